"""Labels are text and values are kept whole or refused, whoever made the data set."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from isocortex.activations.layer import Activations
from isocortex.data.dataset import Dataset, averaged, make_responses
from isocortex.data.response_checks import check_responses
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.errors import DataError

IDS = [f"s{place}" for place in range(8)]
VALUES = np.random.default_rng(0).standard_normal((8, 3))


def stimuli(ids: list[str] = IDS, table: pd.DataFrame | None = None) -> StimulusSet:
    sounds = {name: Stimulus(name, "audio", np.full(9, place, "float32"), 8000.0) for place, name in enumerate(ids)}
    return StimulusSet("sounds", "audio", sounds, table=table)


def of(values: np.ndarray, **coordinates: object) -> xr.DataArray:
    return make_responses(values, IDS).assign_coords(coordinates)


def dataset(responses: xr.DataArray, ids: list[str] = IDS) -> Dataset:
    return Dataset("demo", stimuli(ids), responses=responses)


# --- labels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["S", "O", "U"])
def test_bytes_are_decoded(kind: str) -> None:
    names = (
        np.array(IDS[::-1], dtype="S").astype(kind) if kind != "O" else np.array([i.encode() for i in IDS[::-1]], "O")
    )
    found = dataset(of(VALUES, stimulus_id=("presentation", names), region=("neuroid", np.array([b"A", b"B", b"A"]))))
    assert found.responses is not None
    assert found.responses.stimulus_id.values.tolist() == IDS
    assert found.select(region="B").responses.sizes["neuroid"] == 1
    np.testing.assert_array_equal(found.responses.values, VALUES[::-1])
    layer = Activations.from_xarray(xr.DataArray(VALUES, {"stimulus_id": ("p", names)}, ("p", "unit")))
    np.testing.assert_array_equal(layer.array(IDS), VALUES[::-1])


def test_letters_that_look_alike_meet() -> None:
    typed, of_a_mac = [f"\u00e9{place}" for place in range(8)], [f"e\u0301{place}" for place in range(8)]
    responses = make_responses(VALUES, typed, neuroid={"region": ["e\u0301", "\u00e9", "A"]})
    found = dataset(responses, of_a_mac)
    assert found.stimuli.ids == tuple(typed)
    assert found.select(region="e\u0301").responses.sizes["neuroid"] == 2
    assert Activations("l", of_a_mac, [VALUES]).array(typed).tolist() == VALUES.tolist()
    with pytest.raises(DataError, match="must be unique"):
        stimuli([typed[0], of_a_mac[0]])


def test_numbers_of_participants_are_text_and_positions_are_numbers() -> None:
    responses = of(
        VALUES, subject=("neuroid", [1, 2, 10]), x=("neuroid", [1.5, np.nan, 2.0]), place=("neuroid", [1, 2, 3])
    )
    found = dataset(responses).responses
    assert found.subject.values.tolist() == ["1", "2", "10"]
    assert found.x.dtype == float
    assert found.place.values.tolist() == [1, 2, 3]
    labelled = stimuli(table=pd.DataFrame({"category": [1] * 8, "size": 3, "b": [b"x"] * 8}, index=IDS)).table
    assert labelled.iloc[0].tolist() == ["1", 3, "x"]


@pytest.mark.parametrize("gap", [None, np.nan, pd.NA, pd.NaT])
def test_a_gap_in_a_label_is_refused_with_its_place(gap: object) -> None:
    for name in ("region", "subject", "layer_of_cortex"):
        with pytest.raises(DataError, match=f"lacks the label '{name}' in 1 of 3 places, counted from 1: 2"):
            dataset(of(VALUES, **{name: ("neuroid", np.array(["a", gap, "b"], dtype=object))}))
    ids = np.array([gap, *IDS[1:]], dtype=object)
    with pytest.raises(DataError, match="lacks the label 'stimulus_id'"):
        check_responses("demo", of(VALUES, stimulus_id=("presentation", ids)))
    with pytest.raises(DataError, match="lacks the label 'stimulus_id'"):
        Dataset("demo", stimuli(), trials=pd.DataFrame({"stimulus_id": ids, "choice": "x"}))


def test_a_neuroid_of_no_region_stays_and_digests_of_text_do_not_change() -> None:
    found = dataset(of(VALUES, region=("neuroid", np.array(["A", "", "B"], dtype=object))))
    assert found.responses.region.values.tolist() == ["A", "", "B"]
    as_objects = dataset(of(VALUES, region=("neuroid", np.array(["A", "", "B"]))))
    assert found.digest == as_objects.digest


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["f2", "f4", "i1", "u2", "u8", "i8", ">f8"])
def test_numbers_of_every_type_are_kept_whole(kind: str) -> None:
    values = (10 * np.abs(VALUES)).astype(kind)
    assert averaged(dataset(of(values)).responses).tolist() == values.astype(float).tolist()
    assert Activations("l", IDS, [values]).array().astype(float).tolist() == values.astype(float).tolist()


BAD_VALUES = {
    "complex": (VALUES + 1j, "complex"),
    "truth values": (VALUES > 0, "truth values"),
    "text": (VALUES.astype(str), "text"),
    "objects": (VALUES.astype(object), "Python objects"),
    "too large": (VALUES * 1e160, "too large in 3 of 3"),
    "too small": (VALUES * 1e-160, "too small in 3 of 3"),
    "lost in float32": ((VALUES * 1e-42).astype("f4"), "too small"),
    "beyond double precision": ((VALUES * 1e3).astype("i8") + 2**60, "cannot tell from their neighbours"),
    "unsigned beyond it": (np.full((8, 3), 2**63 + 1, "u8"), "cannot tell from their neighbours"),
    "masked": (np.ma.masked_greater(VALUES, 0.5), "masked values"),
}


@pytest.mark.parametrize(("values", "words"), BAD_VALUES.values(), ids=BAD_VALUES)
def test_values_that_would_lose_something_are_refused(values: np.ndarray, words: str) -> None:
    with pytest.raises(DataError, match=words):
        dataset(of(values))
    if words != "too small" or values.dtype == float:
        with pytest.raises(DataError, match=words):
            list(Activations("l", IDS, [values]).blocks())


def test_a_masked_array_without_a_mask_is_taken() -> None:
    assert dataset(of(np.ma.masked_array(VALUES, mask=False))).responses.values.tolist() == VALUES.tolist()


@pytest.mark.parametrize("scale", [1e-60, 1e-15, 1e60])
def test_scales_within_the_range_are_kept(scale: float) -> None:
    assert dataset(of(VALUES * scale)).responses.values.tolist() == (VALUES * scale).tolist()


@pytest.mark.parametrize("name", ["time_s", "onset", "sample_id"])
def test_responses_that_go_on_in_time_are_refused_by_name(name: str) -> None:
    with pytest.raises(DataError, match=rf"go on in time \({name}\)"):
        dataset(of(VALUES, **{name: ("presentation", np.arange(8.0))}))
    dataset(of(VALUES, **{name: ("neuroid", np.arange(3.0))}))  # what a neuroid has is a label of it


# --- what is said -----------------------------------------------------------------------------------------------------


def test_neuroids_that_are_probably_none_are_named() -> None:
    values = np.column_stack([VALUES[:, 0], np.arange(8)[::-1], np.full(8, 5.0), 1e9 + 64 * (np.arange(8) % 3)])
    names = ["v1", "Trial number", "v2", "v3"]
    responses = make_responses(values.astype("f4"), IDS, neuroid={"neuroid_id": names, "region": ["A", "A", "B", "B"]})
    found = dataset(responses)
    said = "\n".join(found.warnings)
    assert "named as columns that keep the books of an experiment: Trial number" in said
    assert "running numbers: Trial number" in said
    assert "one value for all rows and can correlate with nothing: v2" in said
    assert "an offset has taken their digits: v3" in said
    assert "Trial number" not in "\n".join(found.select(region="B").warnings)
    assert not dataset(of(VALUES)).warnings


@pytest.mark.parametrize("given", [VALUES, pd.DataFrame(VALUES), VALUES.tolist(), None, {"a": 1}])
def test_arrays_and_tables_are_told_what_they_lack(given: object) -> None:
    with pytest.raises(DataError, match=r"must be an xarray.DataArray.*make_responses"):
        check_responses("the responses", given)  # pyright: ignore[reportArgumentType]
    with pytest.raises(DataError, match=r"must be an xarray.DataArray.*does not say which stimulus a row is"):
        Activations.from_xarray(given)  # pyright: ignore[reportArgumentType]


# --- equal stimuli ----------------------------------------------------------------------------------------------------


def test_equal_stimuli_are_found_however_they_were_saved(tmp_path, monkeypatch) -> None:
    from PIL import Image

    from isocortex.data.stimuli import from_folder

    monkeypatch.setenv("ISOCORTEX_CACHE", str(tmp_path / "cache"))
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    folder = tmp_path / "stimuli"
    folder.mkdir()
    Image.fromarray(pixels).save(folder / "a.png")
    Image.fromarray(pixels).save(folder / "b.bmp")
    Image.fromarray(pixels).save(folder / "c.png", compress_level=0)
    Image.fromarray(pixels[::-1]).save(folder / "d.png")
    (folder / "e.png").write_bytes(b"no picture")
    found = from_folder(folder)
    assert found.equal == (("a", "b", "c"),)
    assert len(set(found.content_digests)) == 5, "their bytes differ"
    (record,) = (tmp_path / "cache" / "contents").iterdir()
    before = record.read_bytes()
    assert from_folder(folder).equal == found.equal
    record.write_bytes(before.replace(b"array:", b"array;"))
    assert from_folder(folder).equal == found.equal, "a record that does not match its checksum is made anew"
    assert record.read_bytes() == before


def test_stimuli_in_memory_are_compared_by_samples_and_rate() -> None:
    tone = np.ones(9, "float32")
    sounds = [("a", tone, 8000.0), ("b", tone, 16000.0), ("c", tone.copy(), 8000.0), ("d", 2 * tone, 8000.0)]
    made = StimulusSet("sounds", "audio", {name: Stimulus(name, "audio", wave, rate) for name, wave, rate in sounds})
    assert made.equal == (("a", "c"),)


def test_names_of_files_are_ordered_by_the_value_of_their_numbers(tmp_path) -> None:
    from isocortex.data.stimuli import from_folder

    for name in (
        "dog 10.png",
        "dog 2.png",
        "cat.png",
        "dog 1b.png",
        "dog 01.png",
        ".hidden.png",
        "Thumbs.db",
        "notes.txt",
    ):
        (tmp_path / name).write_bytes(b"x")
    found = from_folder(tmp_path)
    assert found.ids == ("cat", "dog 01", "dog 1b", "dog 2", "dog 10")
    assert found.warnings == (f"1 files in {tmp_path} are no image by their endings and were left out: notes.txt.",)
