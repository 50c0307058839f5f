"""The tables of the published tutorial: what they hold is what is scored, and what does not fit is one clear line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import isocortex
from isocortex.errors import AlignmentError, DataError, FilesError
from isocortex.run.fetch import fetch_all
from isocortex_allen2p.scenes import read_images
from plugins.allen2p.tests import made_up


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where tables are written."""
    return tmp_path / "tables"


def brought(folder: Path) -> None:
    """Bring the tables in, as ``isocortex fetch --from`` does."""
    fetch_all([], ["Allen2p.conwell2021"], folder, verify_only=False)


def loaded(folder: Path) -> isocortex.Dataset:
    """The data set of the tables of a folder."""
    brought(folder)
    return isocortex.load_dataset("Allen2p-tables")


def with_blank(place: int, n_scenes: int = 11) -> np.ndarray:
    """Scenes with a grey image among them."""
    grey = np.full((1, 24, 24), 128, np.uint8)
    images = made_up.scenes(n_scenes)
    return np.concatenate([images[:place], grey, images[place:]])


def rewrite(path: Path, change) -> None:
    """Read a table, change it, and write it again."""
    table = pd.read_csv(path).set_index("cell_specimen_id")
    change(table).to_csv(path)


def test_responses_and_coordinates_are_those_of_the_tables(folder) -> None:
    written = made_up.write_tables(folder, images=with_blank(0))
    dataset = loaded(folder)
    found = dataset.responses
    assert found.sizes == {"presentation": 12, "neuroid": 60}
    assert found["stimulus_id"].values.tolist() == [f"image{place:03d}" for place in range(12)]
    average = (written["halves"][0] + written["halves"][1]) / 2
    metadata = written["metadata"]
    for column, name in enumerate(found["neuroid_id"].values):
        place = written["cells"].tolist().index(int(name))
        np.testing.assert_allclose(found.values[:, column], average[:, place], rtol=1e-12)
        row, cell = metadata.loc[int(name)], found.isel(neuroid=column)
        assert (cell.region, cell.depth) == (row.cortical_area, row.cortical_layer)
        assert cell.area_depth == f"{row.cortical_area} {row.cortical_layer}"
        assert float(cell.reliability) == row.splithalf_reliability
        kept = row.splithalf_reliability >= 0.75 and not row.significant_running
        assert (cell.cut_75 == "kept") == kept
    np.testing.assert_array_equal(dataset.stimuli.load(3).array[:, :, 1], written["images"][3])
    assert dataset.stimuli.table["blank"].tolist() == ["yes", *["no"] * 11]
    n_kept = int(((metadata.splithalf_reliability >= 0.75) & ~metadata.significant_running).sum())
    assert any(
        f"{n_kept} of 60 cells have a split-half reliability of at least 0.75" in text for text in dataset.warnings
    )
    assert any("12 columns meet the images by their order" in text for text in dataset.warnings)
    assert any("image000 is one grey throughout: the blank" in text for text in dataset.stimuli.warnings)


def test_without_an_average_odd_and_even_trials_are_two_repetitions(folder) -> None:
    written = made_up.write_tables(folder)
    (folder / "cell_response_average.csv").unlink()
    dataset = loaded(folder)
    assert dataset.responses.sizes["presentation"] == 24
    places = [written["cells"].tolist().index(int(name)) for name in dataset.responses["neuroid_id"].values]
    for repetition, half in enumerate(written["halves"]):
        rows = dataset.responses.values[dataset.responses["repetition"].values == repetition]
        np.testing.assert_allclose(rows, half[:, places], rtol=1e-12)
    assert any("odd and even trials are two repetitions" in text for text in dataset.warnings)


def test_a_blank_column_without_an_image_is_left_out_and_said(folder) -> None:
    made_up.write_tables(folder)
    whole = loaded(folder).responses
    for name in ("average", "odd", "even"):
        rewrite(folder / f"cell_response_{name}.csv", lambda table: table.assign(**{"-1": 7.0})[["-1", *table.columns]])
    data = isocortex_data() / "tables"
    for path in data.iterdir():
        path.unlink()
    dataset = loaded(folder)
    np.testing.assert_array_equal(dataset.responses.values, whole.values)
    assert any("the column -1, the blank, has no image and was left out" in text for text in dataset.warnings)


def isocortex_data() -> Path:
    """Where this package keeps its files."""
    from isocortex.files import data_folder

    return data_folder() / "isocortex-allen2p"


def test_what_is_left_out_is_counted(folder) -> None:
    written = made_up.write_tables(folder, cortical_layer=[""] * 10 + ["L4"] * 50, unknown=["x"] * 60)
    gap = str(written["cells"][3])
    rewrite(folder / "cell_response_average.csv", lambda table: table.assign(
        **{"5": table["5"].mask(table.index.astype(str) == gap)}))  # fmt: skip
    rewrite(folder / "cell_metadata_mini.csv", lambda table: table.drop(index=written["cells"][:2]))
    said = "\n".join(loaded(folder).warnings)
    assert "the columns unknown are not used" in said
    assert "2 cells that cell_metadata_mini.csv does not describe were left out" in said
    assert f"1 cells have no response to some image and were left out: {gap}" in said
    assert "7 of 57 cells have no depth" in said


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ("other cells", AlignmentError, "has no responses of 60 of the 60 cells that cell_metadata_mini.csv describes"),
        ("fewer images", AlignmentError, "has 12 columns of responses, and there are 11 images"),
        ("blank elsewhere", AlignmentError, r"the blank is column 0 \('-1'\), and image 4 is one grey throughout"),
        ("text", DataError, "expected numbers in every column but cell_specimen_id"),
        ("cell twice", DataError, "expected each cell once, found"),
        ("no reliability", DataError, "lacks the columns splithalf_reliability"),
        ("reliability above one", DataError, "splithalf_reliability of 1 cells is above 1"),
        ("running is maybe", DataError, "expected True or False in significant_running, found maybe"),
        ("no images", DataError, r"expected images \(n_images, height, width\).*found \(12, 3\)"),
        ("values beyond a byte", DataError, "expected whole numbers from 0 to 255"),
        ("objects", DataError, "cannot be read as an array"),
        ("no table", DataError, "has no column cell_specimen_id"),
    ],
)
def test_what_does_not_fit_is_one_clear_line(folder, change: str, error: type[Exception], words: str) -> None:
    made_up.write_tables(folder, images=with_blank(4) if change == "blank elsewhere" else None)
    average, metadata, images = (folder / name for name in (
        "cell_response_average.csv", "cell_metadata_mini.csv", "stimulus_set.npy"))  # fmt: skip
    {
        "other cells": lambda: rewrite(average, lambda table: table.set_axis(table.index + 1_000_000_000)
                                       .rename_axis("cell_specimen_id")),
        "fewer images": lambda: np.save(images, made_up.scenes(11)),
        "blank elsewhere": lambda: rewrite(average, lambda table: table.rename(columns={"0": "-1"})),
        "text": lambda: rewrite(average, lambda table: table.assign(**{"3": "high"})),
        "cell twice": lambda: rewrite(average, lambda table: pd.concat([table, table.iloc[:1]])),
        "no reliability": lambda: rewrite(metadata, lambda table: table.drop(columns="splithalf_reliability")),
        "reliability above one": lambda: rewrite(metadata, lambda table: table.assign(
            splithalf_reliability=[1.5, *[0.5] * 59])),
        "running is maybe": lambda: rewrite(metadata, lambda table: table.assign(significant_running="maybe")),
        "no images": lambda: np.save(images, np.zeros((12, 3))),
        "values beyond a byte": lambda: np.save(images, made_up.scenes(12) * 2.0),
        "objects": lambda: np.save(images, np.array([{}] * 12, dtype=object), allow_pickle=True),
        "no table": lambda: average.write_text("a,b\n1,2\n"),
    }[change]()  # fmt: skip
    with pytest.raises(error, match=words) as raised:
        loaded(folder)
    assert "\n" not in str(raised.value)


def test_images_in_colour_and_as_floats_are_taken(tmp_path) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (3, 8, 9, 3), dtype=np.uint8)
    for values in (colour, colour.astype(np.float32)):
        np.save(tmp_path / "stimulus_set.npy", values)
        np.testing.assert_array_equal(read_images(tmp_path / "stimulus_set.npy"), colour)


def test_tables_that_changed_are_refused_and_those_that_are_absent_are_named(folder, isocortex) -> None:
    said = isocortex("score", "-m", "pixels", "-b", "Allen2p.conwell2021")
    assert said.returncode == 1
    assert "3 of the tables of the published tutorial are not in" in said.stderr
    assert "isocortex fetch -b Allen2p.conwell2021 --from FOLDER" in said.stderr
    made_up.write_tables(folder)
    (folder / "cell_metadata_mini.csv").unlink()
    with pytest.raises(FilesError, match=r"lacks 1 of the tables of the published tutorial: cell_metadata_mini\.csv"):
        brought(folder)
    made_up.write_tables(folder)
    brought(folder)
    path = isocortex_data() / "tables" / "cell_response_average.csv"
    path.write_text(path.read_text().replace("0.", "1.", 1))
    with pytest.raises(FilesError, match="differ"):
        loaded(folder)
