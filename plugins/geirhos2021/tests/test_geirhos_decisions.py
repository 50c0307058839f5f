"""Decisions out of both layouts: the same table, the published rules, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isocortex.errors import DataError, FilesError
from isocortex_geirhos2021 import DATA_SETS, LEFT_OUT, condition_of, counts, one_table, read_trials
from isocortex_geirhos2021.decisions import COLUMNS, image_name, texture_of
from isocortex_geirhos2021.import_command import read_source
from plugins.geirhos2021.tests import synthetic


def by_hand(data_set: str, observers: tuple[str, ...] = synthetic.OBSERVERS) -> set[tuple[str, ...]]:
    """Rows of a data set, straight from what was made up."""
    one = synthetic.decided(data_set)
    return {
        (
            data_set,
            f"{data_set}/{image}",
            condition,
            synthetic.CATEGORIES[category],
            observer,
            synthetic.WORDS[one.response[synthetic.OBSERVERS.index(observer), place]],
        )
        for observer in observers
        for place, (image, condition, category) in enumerate(zip(one.image, one.condition, one.category, strict=True))
    }


def rows_of(table: pd.DataFrame) -> set[tuple[str, ...]]:
    assert not table.duplicated().any()
    return set(table[list(COLUMNS)].itertuples(index=False, name=None))


def test_both_layouts_hold_what_was_decided(tmp_path) -> None:
    expected = set().union(*(by_hand(name) for name in DATA_SETS))
    assert rows_of(read_source(synthetic.compact(tmp_path / "copy.npz"))) == expected
    assert rows_of(read_source(synthetic.repositories(tmp_path / "clones") / "model-vs-human")) == expected


def test_what_observers_did_not_see_is_no_trial(tmp_path) -> None:
    response = synthetic.decided("edge").response.astype(np.uint8)
    response[1, 3:7] = 255
    table = read_source(synthetic.compact(tmp_path / "copy.npz", edge__response=response))
    edges = table[table["data_set"] == "edge"]
    assert edges["observer"].value_counts().to_dict() == dict.fromkeys(synthetic.OBSERVERS, 32) | {"subject-02": 28}


def test_conditions_are_compared_as_numbers_or_in_lower_case() -> None:
    spelled = ("0", "0.0", "-0.50", "1e1", "True", " c05 ", "1-10-10", "inf", "NaN")
    known = ["0", "0", "-0.5", "10", "true", "c05", "1-10-10", "inf", "nan"]
    assert [condition_of("low-pass", text) for text in spelled] == known
    assert {condition_of("sketch", text) for text in spelled} == {"-"}, "it has one, whatever it is called"
    assert all(condition_of(name, one) == one for name, left_out in LEFT_OUT.items() for one in left_out)
    assert [counts("false-colour", text) for text in ("True", "true", "False")] == [False, False, True]
    assert [counts("low-pass", text) for text in ("0.0", "1.0", "40", "10")] == [False, True, False, True]
    assert (len(DATA_SETS), sum(bool(left_out) for left_out in LEFT_OUT.values())) == (17, 12)


def test_names_of_pictures_are_without_trial_session_and_ending() -> None:
    assert image_name("0056_cl_s01_bw_chair_40_n04429376_21865.png") == "n04429376_21865"
    assert image_name("0001_sk_s02_airplane-0001-sketch-0.JPEG") == "airplane-0001-sketch-0"
    assert image_name("airplane1.png") == "airplane1"
    assert texture_of("cue-conflict/keyboard10-elephant12") == "elephant"


def table_file(folder: Path, *lines: str, name: str = "edge_robot_session-1.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(("subj,session,trial,rt,object_response,category,condition,imagename", *lines)))
    return path


def test_a_table_says_by_its_folder_or_name_what_it_belongs_to(tmp_path) -> None:
    line = "robot,1,1,NaN,cat,dog,NaN,dog1.png"
    (tmp_path / "sketch").mkdir()
    assert set(read_trials(table_file(tmp_path, line))["data_set"]) == {"edge"}
    assert set(read_trials(table_file(tmp_path / "sketch", line, name="mine.csv"))["data_set"]) == {"sketch"}
    mine = table_file(tmp_path, line, name="mine.csv")
    assert rows_of(read_trials(mine, "stylized")) == {("stylized", "stylized/dog1", "-", "dog", "robot", "cat")}
    with pytest.raises(DataError, match=r"mine.csv does not say which data set.*Give --data-set"):
        read_trials(mine)
    with pytest.raises(DataError, match=r"no data set 'skech'. Did you mean sketch"):
        read_trials(mine, "skech")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            (),
            "needs rows and the columns subj, object_response, category, condition, imagename, each once; found 0 rows",
        ),
        (("robot,1,1,NaN,kat,dog,NaN,dog1.png",), "has 1 words as decision .* categories: kat. Did you mean cat"),
        (("robot,1,1,NaN,cat,,NaN,dog1.png",), "has 1 words as category that are none"),
        ((",1,1,NaN,cat,dog,NaN,dog1.png",), "has trials without an observer"),
    ],
)
def test_tables_that_are_none_are_refused(tmp_path, lines: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_trials(table_file(tmp_path, *lines))


def test_a_table_without_a_column_is_refused(tmp_path) -> None:
    path = tmp_path / "edge_robot.csv"
    path.write_text("subj,category,condition,imagename\nrobot,dog,NaN,dog1.png\n")
    with pytest.raises(DataError, match=r"needs rows and the columns .* found 1 rows and subj, category"):
        read_trials(path)
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DataError, match="cannot be read as a table of trials"):
        read_trials(path)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("robot,1,1,NaN,dog,dog,NaN,dog1.png", r"1 decisions are an observer's second .*: robot on edge/dog1"),
        ("parrot,1,1,NaN,cat,cat,NaN,dog1.png", "1 pictures have more than one category: edge/dog1"),
    ],
)
def test_tables_that_do_not_agree_are_refused(tmp_path, second: str, message: str) -> None:
    first = read_trials(table_file(tmp_path, "robot,1,1,NaN,cat,dog,NaN,dog1.png"))
    other = read_trials(table_file(tmp_path, second, name="edge_other.csv"))
    assert len(one_table([first, first])) == 1, "the same decision twice is one"
    with pytest.raises(DataError, match=message):
        one_table([first, other])


def test_a_picture_under_two_conditions_is_refused(tmp_path) -> None:
    lines = (
        "robot,1,1,NaN,cat,dog,90.0,dog1.png",
        "parrot,1,1,NaN,cat,dog,180,dog1.png",
        "owl,1,1,NaN,cat,dog,90,dog1.png",
    )
    tables = [
        read_trials(table_file(tmp_path, line, name=f"rotation_{number}.csv")) for number, line in enumerate(lines)
    ]
    assert len(one_table([tables[0], tables[2]])) == 2
    with pytest.raises(DataError, match="1 pictures have more than one condition: rotation/dog1"):
        one_table(tables)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rotation__in_benchmark": np.ones(32, bool)}, "rotation: the copy and the published rules differ .* 0 count"),
        ({"edge__response": np.full((5, 32), 17, np.uint8)}, "edge: expected numbers of categories, 0 to 16"),
        (
            {"edge__response": np.zeros((4, 32), np.uint8)},
            r"edge: response must be \(n_observers, n_images\) = \(5, 32\)",
        ),
        ({"edge__category": np.zeros(31, np.uint8)}, "edge: condition, image, category and in_benchmark must have one"),
        ({"edge__category": np.full(32, 16, np.uint8)}, "edge: expected numbers of categories, 0 to 15"),
        ({"categories": np.array(["cat", "na"])}, "categories must be the 16 categories"),
    ],
)
def test_copies_that_are_other_than_expected_are_refused(tmp_path, changed, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_source(synthetic.compact(tmp_path / "copy.npz", **changed))


def test_a_copy_without_an_array_or_with_objects_is_refused(tmp_path) -> None:
    np.savez(tmp_path / "copy.npz", categories=np.array(synthetic.WORDS))
    with pytest.raises(DataError, match="lacks the array 'colour/response'"):
        read_source(tmp_path / "copy.npz")
    np.savez(tmp_path / "copy.npz", categories=np.array([object()], dtype=object))
    with pytest.raises(DataError, match="holds Python objects"):
        read_source(tmp_path / "copy.npz")
    (tmp_path / "copy.npz").write_bytes(b"no archive")
    with pytest.raises(FilesError, match="neither a zip nor a tar archive"):
        read_source(tmp_path / "copy.npz")
    with pytest.raises(DataError, match=r"holds no .csv at any depth"):
        read_source((tmp_path / "empty").mkdir() or tmp_path / "empty")
