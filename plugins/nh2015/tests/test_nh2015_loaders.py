"""Loaders on files that these tests write in the published layout: order, alignment by ID, bad input."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from isocortex.catalogue.cards import BenchmarkCard, read_card
from isocortex.catalogue.rows import Catalogue
from isocortex.errors import AlignmentError, DataError
from isocortex.files.file_store import DataFiles, read_specs
from isocortex.loading.resolver import make_plugin
from isocortex_nh2015 import read_categories, read_components, stimulus_number

# by category, as in the published file: neither the numeric nor the alphabetical order
IDS = ["stim28_big_band", "stim136_drum_roll", "stim7_applause", "stim11_baby_crying", "stim5_alarm_clock"]
CATEGORIES = ["Music", "Music", "HumNonVoc", "HumVoc", "Mechanical"]
CANONICAL = ("stim5_alarm_clock", "stim7_applause", "stim11_baby_crying", "stim28_big_band", "stim136_drum_roll")
COMPONENTS = ["lowfreq", "highfreq", "envsounds", "pitch", "speech", "music"]


def cells(values: list[str], shape: tuple[int, int], *, nested: bool = False) -> np.ndarray:
    filled = np.empty(shape, dtype=object)
    for place, value in zip(np.ndindex(shape), values, strict=True):
        inner = np.empty((1, 1), dtype=object)
        inner[0, 0] = value
        filled[place] = inner if nested else value
    return filled


def responses() -> np.ndarray:
    """(5, 6): the number of the sound + the place of the component / 10, so that each value names its origin."""
    return np.array([[stimulus_number(name) + place / 10 for place in range(6)] for name in IDS])


def write_components(path: Path, **changes: object) -> Path:
    content: dict[str, object] = {
        "R": responses(),
        "W": np.ones((6, 20)),
        "stim_names": cells(IDS, (1, 5)),
        "category_labels": cells(CATEGORIES, (1, 5)),
        "component_names": cells(COMPONENTS, (6, 1), nested=True),
    }
    content.update(changes)
    savemat(path, {name: value for name, value in content.items() if value is not None})
    return path


def write_sounds(folder: Path, ids: list[str] = IDS) -> DataFiles:
    (folder / "sounds").mkdir()
    for name in ids:
        with wave.open(str(folder / "sounds" / f"{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(44_100)
            file.writeframes(np.full(88_200, stimulus_number(name), dtype="<i2").tobytes())
    lines = [f"{name},{category}" for name, category in zip(IDS, CATEGORIES, strict=True)]
    (folder / "category_labels.csv").write_text("\n".join(lines))  # no header, no newline at the end
    paths = sorted(folder.rglob("*.*"), reverse=True)
    return DataFiles({path.relative_to(folder).as_posix(): path for path in paths})


def plugin(kind: str, name: str):
    return make_plugin(kind, read_card(Catalogue.discover().find(kind, name)))


def load(folder: Path, **changes: object):
    stimuli = plugin("stimuli", "natsound165").load(write_sounds(folder))
    path = write_components(folder / "components.mat", **changes)
    return plugin("dataset", "NH2015comp").load(DataFiles({"components.mat": path}), stimuli)


def test_sounds_come_in_ascending_order_of_their_number_with_their_category(tmp_path):
    stimuli = plugin("stimuli", "natsound165").load(write_sounds(tmp_path))
    assert stimuli.ids == CANONICAL
    assert dict(stimuli.table["category"]) == dict(zip(IDS, CATEGORIES, strict=True))
    sound = stimuli.load(2)
    assert (sound.id, sound.sample_rate, sound.array.shape) == ("stim11_baby_crying", 44_100.0, (88_200,))
    np.testing.assert_array_equal(sound.array, np.float32(11 / 32768))


def test_responses_are_matched_by_id_whatever_the_order_of_the_file(tmp_path):
    dataset = load(tmp_path)
    found = dataset.responses
    assert tuple(found["stimulus_id"].values) == CANONICAL
    expected = [[stimulus_number(name) + place / 10 for place in range(6)] for name in CANONICAL]
    np.testing.assert_array_equal(found.values, expected)
    assert found["neuroid_id"].values.tolist() == COMPONENTS == found["region"].values.tolist()
    assert "subject" not in found.coords
    assert found.attrs["units"] == dataset.attrs["units"] == "component response, arbitrary units"
    assert dataset.attrs["target"] == "pooled"


def test_a_shuffled_file_gives_the_same_data_set(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    order = [3, 0, 4, 2, 1]
    shuffled = load(
        tmp_path / "b",
        R=responses()[order],
        stim_names=cells([IDS[place] for place in order], (1, 5)),
        category_labels=cells([CATEGORIES[place] for place in order], (1, 5)),
    )
    assert load(tmp_path / "a").digest == shuffled.digest


def test_components_keep_their_names_whatever_their_order(tmp_path):
    order = [5, 4, 3, 2, 1, 0]
    names = cells([COMPONENTS[place] for place in order], (6, 1), nested=True)
    dataset = load(tmp_path, R=responses()[:, order], component_names=names)
    music = dataset.select(region="music").responses
    np.testing.assert_allclose(music.values[:, 0], [stimulus_number(name) + 0.5 for name in CANONICAL], rtol=0, atol=0)


def test_a_sound_without_responses_is_named(tmp_path):
    changes = {
        "R": responses()[:4],
        "stim_names": cells(IDS[:4], (1, 4)),
        "category_labels": cells(CATEGORIES[:4], (1, 4)),
    }
    with pytest.raises(AlignmentError, match=r"1 of 5 stimuli of 'NH2015comp' have no responses: stim5_alarm_clock"):
        load(tmp_path, **changes)


def test_responses_to_an_unknown_sound_are_named(tmp_path):
    with pytest.raises(AlignmentError, match="not in 'natsound165': stim6_bell"):
        load(tmp_path, stim_names=cells([*IDS[:4], "stim6_bell"], (1, 5)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"R": np.zeros((4, 6))}, r"expected R of shape \(5, 6\).*found R of shape \(4, 6\)"),
        ({"R": np.zeros((6, 5))}, r"expected R of shape \(5, 6\).*found R of shape \(6, 5\)"),
        ({"R": np.zeros((5, 6), dtype=complex)}, "expected R to be real numbers .* found complex128"),
        ({"component_names": cells(list("abcdef"), (6, 1))}, "expected the components lowfreq.*found a, b, c"),
        ({"category_labels": cells(CATEGORIES[:4], (1, 4))}, "5 stim_names.*4 labels"),
        ({"stim_names": None}, r"components\.mat lacks the variable stim_names\. Expected R, stim_names"),
        ({"stim_names": np.zeros((1, 5))}, r"components\.mat: stim_names: expected a text in each cell, found float"),
    ],
)
def test_a_file_with_other_contents_is_refused(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        read_components(write_components(tmp_path / "components.mat", **changes))


def test_nan_in_the_responses_is_refused(tmp_path):
    damaged = responses()
    damaged[2, 4] = np.nan
    with pytest.raises(DataError, match=r"no trial of 1 of 5 stimuli .* \(speech\): what is there is not finite"):
        load(tmp_path, R=damaged)


@pytest.mark.parametrize("content", [b"", b"not a MATLAB file" * 20, "truncated"])
def test_a_damaged_matlab_file_is_named(tmp_path, content):
    path = write_components(tmp_path / "components.mat")
    path.write_bytes(path.read_bytes()[:700] if content == "truncated" else content)
    with pytest.raises(DataError, match=r"components\.mat (cannot be read as a MATLAB file|lacks the variable)"):
        read_components(path)


def test_a_category_without_its_sound_is_named(tmp_path):
    with pytest.raises(AlignmentError, match=r"1 of 5 stimuli in category_labels.csv have no sound file: stim28"):
        plugin("stimuli", "natsound165").load(write_sounds(tmp_path, IDS[1:]))


def test_a_sound_without_a_category_is_named(tmp_path):
    with pytest.raises(AlignmentError, match=r"1 of 6 sounds have no category .*stim6_bell"):
        plugin("stimuli", "natsound165").load(write_sounds(tmp_path, [*IDS, "stim6_bell"]))


def test_files_that_are_not_there_are_named(tmp_path):
    with pytest.raises(DataError, match=r"Expected one file category_labels\.csv, found 0 among no files"):
        plugin("stimuli", "natsound165").load(DataFiles({}))


def test_two_sounds_with_one_number_have_no_order(tmp_path):
    files = write_sounds(tmp_path, [*IDS, "stim05_bell"])
    with (tmp_path / "category_labels.csv").open("a") as table:
        table.write("\nstim05_bell,Mechanical\n")
    with pytest.raises(DataError, match=r"one sound per number, found 'stim0?5_.+' and 'stim0?5_"):
        plugin("stimuli", "natsound165").load(files)


@pytest.mark.parametrize("name", ["alarm_clock", "stim_alarm", "stim5", "5_alarm", "xstim5_alarm"])
def test_an_id_without_a_number_is_refused(name):
    with pytest.raises(DataError, match="of the form stim<number>_<name>"):
        stimulus_number(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stim5_a,Music\nstim5_a,Music", "each stimulus once, found 'stim5_a' twice"),
        ("stim5_a,Music,loud", "'stimulus_id,category', found 'stim5_a,Music,loud'"),
        ("stim5_a,", "'stimulus_id,category', found 'stim5_a,'"),
        ("stim5_a\xff,Music", "cannot be read as CSV"),
    ],
)
def test_a_category_table_of_another_form_is_refused(tmp_path, text, message):
    path = tmp_path / "category_labels.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=message):
        read_categories(path)


def test_every_row_of_the_manifest_is_valid_and_its_object_exists():
    catalogue = Catalogue.discover()
    rows = [row for row in catalogue.rows if row.package == "isocortex-nh2015"]
    voxels = {f"{name}.{metric}" for name in ("NH2015", "B2021") for metric in ("ridge", "rsa", "tuckute2023")}
    known = {
        "natsound165",
        "NH2015comp",
        "NH2015",
        "B2021",
        "NH2015comp.ridge",
        "NH2015comp.rsa",
        "import tuckute",
        *voxels,
    }
    assert known <= {row.id for row in rows}
    for row in rows:
        card = read_card(row)
        if row.kind in ("command", "suite"):
            continue
        assert card.licence
        assert card.reference.startswith("doi:")
        assert card.notes
        if row.kind in ("stimuli", "dataset"):
            make_plugin(row.kind, card)


def test_the_benchmarks_declare_what_they_report():
    catalogue = Catalogue.discover()
    ridge = read_card(catalogue.find("benchmark", "NH2015comp.ridge"))
    rsa = read_card(catalogue.find("benchmark", "NH2015comp.rsa"))
    assert isinstance(ridge, BenchmarkCard)
    assert isinstance(rsa, BenchmarkCard)
    assert (ridge.metric, ridge.reduction, ridge.measure, ridge.ceiling_mode) == ("ridge", "time-mean", "r", "none")
    assert (ridge.layer_rule.choose, ridge.layer_rule.unit, ridge.summary_by) == ("nested", "region", ("region",))
    assert (rsa.metric, rsa.reduction, rsa.dataset) == ("rsa", "time-mean", "NH2015comp")
    assert ridge.published
    assert (ridge.folder / ridge.published).is_file()


def test_the_lists_of_files_are_complete_and_pinned_to_a_commit():
    catalogue = Catalogue.discover()
    sounds, responses_ = (
        read_specs(card.folder, card.files)
        for card in (
            read_card(catalogue.find("stimuli", "natsound165")),
            read_card(catalogue.find("dataset", "NH2015comp")),
        )
    )
    assert len([spec for spec in sounds if spec.name.endswith(".wav")]) == 165
    assert len(sounds) == 166
    assert [spec.name for spec in responses_] == ["components.mat"]
    base = "https://raw.githubusercontent.com/snormanhaignere/natsound165-neuron2015/b41b99ff620d7997dbf278fc770f58566707726a/"
    for spec in (*sounds, *responses_):
        assert spec.url.startswith(base)
        assert spec.url.rsplit("/", 1)[1] == spec.name.rsplit("/", 1)[-1]
        assert len(spec.sha256) == 64


@pytest.mark.parametrize("name", ["NH2015comp", "NH2015", "B2021", "NH2015.rsa", "B2021.rsa"])
def test_published_scores_say_where_they_are_from_and_how_they_were_read(name):
    import csv

    import isocortex_nh2015

    path = Path(isocortex_nh2015.__file__).parent / "published" / f"{name}.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["region", "model", "statistic", "value", "source"]
    assert len({(row["region"], row["model"], row["statistic"]) for row in rows}) == len(rows)
    for row in rows:
        assert 0 <= float(row["value"]) <= 1
        assert ("printed" in row["source"]) != ("digitised to 0.01" in row["source"])
        assert "10.1371/journal.pbio.3002366" in row["source"]
    expected = {"NH2015comp": 102, "NH2015": 43, "B2021": 43, "NH2015.rsa": 58, "B2021.rsa": 58}
    assert len(rows) == expected[name]
