"""Folders as people have them: what can be read is read whole, everything else ends in one message that names it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from PIL import Image

import isocortex
from isocortex.data.dataset import Dataset, make_responses
from isocortex.errors import DataError, IsocortexError, UsageError
from isocortex.loading.folder_activations import FolderActivations
from isocortex.loading.folder_dataset import folder_benchmark
from isocortex.loading.resolver import resolver

IDS = [f"s{place:02d}" for place in range(9)]
VALUES = np.random.default_rng(0).standard_normal((9, 3))
FEATURES = np.random.default_rng(1).standard_normal((9, 4))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nine pictures and their IDs; no responses yet."""
    monkeypatch.setenv("ISOCORTEX_CACHE", str(tmp_path / "cache"))
    made = tmp_path / "mine"
    (made / "stimuli").mkdir(parents=True)
    for place, name in enumerate(IDS):
        Image.new("RGB", (4, 4), (20 * place, 0, 0)).save(made / "stimuli" / f"{name}.png")
    (made / "stimuli.csv").write_text("stimulus_id\n" + "\n".join(IDS) + "\n")
    return made


def loaded(folder: Path) -> Dataset:
    return resolver(offline=True).dataset(f"folder:{folder}")


def as_csv(folder: Path, header: str = "n1,n2,n3", extra: Callable[[int], str] = lambda _: "") -> None:
    rows = [
        f"{name},{','.join(map(repr, row.tolist()))}{extra(place)}"
        for place, (name, row) in enumerate(zip(IDS, VALUES, strict=True))
    ]
    (folder / "responses.csv").write_text(f"stimulus_id,{header}\n" + "\n".join(rows) + "\n")


# --- responses --------------------------------------------------------------------------------------------------------


def saved(values: np.ndarray, **how: bool) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / "responses.npy", values, **how)


def raw(content: bytes, name: str = "responses.npy") -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def cut(folder: Path) -> None:
    np.save(folder / "responses.npy", VALUES)
    path = folder / "responses.npy"
    path.write_bytes(path.read_bytes()[:-20])


def liar(folder: Path) -> None:
    np.save(folder / "responses.npy", VALUES)
    path = folder / "responses.npy"
    path.write_bytes(path.read_bytes().replace(b"(9, 3), }        ", b"(9000000000, 3), }"[:17]))


def linked(folder: Path) -> None:
    (folder / "responses.csv").symlink_to(".git/annex/objects/not-here")


def npz(folder: Path) -> None:
    with (folder / "responses.npy").open("wb") as file:
        np.savez(file, VALUES)


GOOD_ARRAYS = {
    "float32": VALUES.astype("f4"),
    "float16": VALUES.astype("f2"),
    "big endian": VALUES.astype(">f8"),
    "by columns": np.asfortranarray(VALUES),
    "unsigned": (10 * np.abs(VALUES)).astype("u1"),
    "repetitions": np.stack([VALUES, VALUES + 1]),
}


@pytest.mark.parametrize("values", GOOD_ARRAYS.values(), ids=GOOD_ARRAYS)
def test_arrays_of_every_type_are_read_whole(folder: Path, values: np.ndarray) -> None:
    saved(values)(folder)
    found = loaded(folder).responses
    repeated = values.reshape(-1, 9, 3).astype(float)
    np.testing.assert_array_equal(found.values.astype(float), repeated.transpose(1, 0, 2).reshape(-1, 3))


BAD_RESPONSES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a dictionary": (saved({"spks": VALUES}, allow_pickle=True), "Python objects, such as the dictionaries of Suite2p"),  # type: ignore[arg-type]
    "objects": (saved(VALUES.astype(object), allow_pickle=True), "Python objects"),
    "an archive": (npz, "is an .npz archive"),
    "a pickle": (raw(pickle.dumps({"a": 1})), "is a pickle"),
    "cut": (cut, "cannot be read as an array"),
    "a header that promises more": (liar, "cannot be read as an array"),
    "junk": (raw(b"junk"), "is no array of numpy"),
    "nothing": (raw(b""), "is empty"),
    "complex": (saved(VALUES + 1j), "complex"),
    "text": (saved(VALUES.astype(str)), "text"),
    "truth values": (saved(VALUES > 0), "truth values"),
    "fields": (saved(np.zeros(9, dtype=[("a", "f8")])), "must be real numbers"),
    "one number": (saved(np.float64(3)), r"found shape \(\)"),
    "transposed": (saved(VALUES.T), r"found shape \(3, 9\)"),
    "no columns": (saved(VALUES[:, :0]), r"found shape \(9, 0\)"),
    "a gap": (
        saved(np.where(VALUES > 1, np.nan, VALUES)),
        "of 27 responses are gaps, in . of 9 trials and",
    ),
    "a folder": (lambda folder: (folder / "responses.npy").mkdir(), "is a folder"),
    "a link to nothing": (linked, "a link of git-annex"),
    "none": (lambda _: None, "needs one of responses.csv, responses.npy, .*, responses.mat, responses/; found none"),
    "no netCDF": (raw(b"junk", "responses.nc"), "is no netCDF file"),
    "damaged netCDF": (raw(b"CDF\x01junk", "responses.nc"), "truncated|superblock|cut or damaged"),
    "damaged HDF5": (raw(b"\x89HDF\r\n\x1a\njunk", "responses.nc"), "truncated|superblock|cut or damaged"),
}


@pytest.mark.parametrize(("write", "words"), BAD_RESPONSES.values(), ids=BAD_RESPONSES)
def test_responses_that_cannot_be_read_say_why_and_where(
    folder: Path, write: Callable[[Path], None], words: str
) -> None:
    write(folder)
    with pytest.raises(DataError, match=words) as refused:
        loaded(folder)
    assert "responses" in str(refused.value)


@pytest.mark.parametrize("name", ["time_s", "onset", "time_bin", "sample_id"])
def test_a_column_of_times_is_refused(folder: Path, name: str) -> None:
    as_csv(folder, f"n1,n2,n3,{name}", lambda place: f",{place / 2}")
    with pytest.raises(DataError, match=rf"go on in time \({name}\)"):
        loaded(folder)


@pytest.mark.parametrize("name", ["trial", "Run", "session", "index", "subject", "rep", "trial number", "block"])
def test_a_column_of_book_keeping_is_said(folder: Path, name: str) -> None:
    as_csv(folder, f"n1,n2,n3,{name}", lambda place: f",{place // 2}")
    assert any(f"books of an experiment: {name}" in text for text in loaded(folder).warnings)


def test_netcdf_has_no_times_that_were_not_meant_and_bytes_are_text(folder: Path) -> None:
    made = make_responses(VALUES, IDS, units="days since 2000-01-01").assign_coords(
        stimulus_id=("presentation", np.array(IDS, dtype="S")),
        subject=("neuroid", [1, 2, 10]),
        onset=("neuroid", xr.Variable("neuroid", [1.0, 2.0, 3.0], {"units": "seconds"}).values),
    )
    made.to_netcdf(folder / "responses.nc")
    found = loaded(folder).responses
    np.testing.assert_array_equal(found.values, VALUES)
    assert found.subject.values.tolist() == ["1", "2", "10"]
    assert found.onset.values.tolist() == [1.0, 2.0, 3.0]


# --- stimuli and neuroids ---------------------------------------------------------------------------------------------


def test_what_is_left_out_is_counted(folder: Path) -> None:
    as_csv(folder)
    (folder / "neuroids.csv").write_text("neuroid_id,region\nn1,A\nn2,NA\nn3,007\nn9,B\n")
    Image.new("RGB", (4, 4)).save(folder / "stimuli" / "more.png")
    (folder / "stimuli" / "s00.gif").write_bytes(b"x")
    for hidden in ("._s00.png", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (folder / "stimuli" / hidden).write_bytes(b"\x00\x05\x16\x07")
    found = loaded(folder)
    assert found.responses.region.values.tolist() == ["A", "NA", "007"]
    assert found.select(region="007").responses.sizes["neuroid"] == 1
    assert found.warnings == ("1 neuroids of neuroids.csv have no responses and were left out: n9.",)
    stimuli = folder / "stimuli"
    assert found.stimuli.warnings == (
        f"1 files in {stimuli} are no image by their endings and were left out: s00.gif.",
        f"1 files in {stimuli} are not in the table and were left out: more.png.",
    )


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("neuroid_id,region\nn1,A\nn2,\nn3,B\n", r"no 'region' in 1 rows \(lines 3\)"),
        ("neuroid_id,region\nn1,A\nn1,A\nn2,A\nn3,A\n", "neuroids.csv has more than one row.*n1"),
        ("neuroid_id,region\nn1,A\nn2,A\n", "lacks 1 of 3 neuroids: n3"),
        ("neuroid_id,stimulus_id\nn1,A\nn2,A\nn3,A\n", "names are taken: stimulus_id"),
        ("neuroid_id,x\nn1,1\nn2,left\nn3,2\n", "'left' in line 3, column 'x'"),
        ("neuroid_id,note\nn1,A\nn2,\nn3,B\n", "lacks the label 'note'"),
    ],
)
def test_a_table_of_neuroids_that_does_not_fit_is_refused(folder: Path, table: str, words: str) -> None:
    as_csv(folder)
    (folder / "neuroids.csv").write_text(table)
    with pytest.raises(DataError, match=words):
        loaded(folder)


def test_stimuli_that_were_not_fetched_are_called_that(folder: Path) -> None:
    as_csv(folder)
    for place, content in ((0, None), (4, "version https://git-lfs.github.com/spec/v1\n")):
        path = folder / "stimuli" / f"{IDS[place]}.png"
        path.unlink()
        path.write_text(content) if content else path.symlink_to("../.git/annex/objects/not-here")
    with pytest.raises(DataError, match=r"2 of 9 files.*not fetched: s00.png, s04.png.*a link of git-annex"):
        loaded(folder)


# --- dataset.toml -----------------------------------------------------------------------------------------------------

BAD_SETTINGS = {
    'modalty = "image"': "unknown keys: modalty. Did you mean modality",
    "[benchmrk]": "Did you mean benchmark",
    '[benchmark]\nreductoin = "flatten"': "Did you mean reduction",
    '[benchmark]\nmetric = "rsa"': "unknown keys: metric",
    "id = 5": "id must be text in quotes",
    'id = ""': "id must be text in quotes",
    'id = "a/b"': "cannot be called",
    'id = "a\\u001bb"': "cannot be called",
    "title = 1979-05-27": "title must be text",
    "benchmark = 3": "must be a table",
    "[[benchmark]]": "must be a table",
    "[benchmark]\nsettings = 3": "settings: Input should be a valid dictionary",
    "[benchmark]\nselect = { region = 7 }": "Put them in quotes",
    '[benchmark]\nselect = ["a"]': "select must be a table",
    "x = [": "not valid TOML",
    "a = " + "[" * 5000: "not valid TOML",
}


@pytest.mark.parametrize(("text", "words"), BAD_SETTINGS.items(), ids=range(len(BAD_SETTINGS)))
def test_keys_of_the_settings_are_checked_as_those_of_a_manifest(folder: Path, text: str, words: str) -> None:
    (folder / "dataset.toml").write_text(text)
    with pytest.raises(UsageError, match=words) as refused:
        folder_benchmark(f"folder:{folder}:ridge")
    assert "dataset.toml" in str(refused.value)


def test_settings_that_are_no_file_are_refused(folder: Path) -> None:
    (folder / "dataset.toml").mkdir()
    with pytest.raises(UsageError, match=r"dataset.toml cannot be read \(Is a directory\)"):
        folder_benchmark(f"folder:{folder}:ridge")
    (folder / "dataset.toml").rmdir()
    (folder / "dataset.toml").symlink_to("nowhere")
    with pytest.raises(UsageError, match=r"dataset\.toml cannot be read"):
        folder_benchmark(f"folder:{folder}:ridge")
    (folder / "dataset.toml").unlink()
    (folder / "dataset.toml").write_text('id = "marked"', encoding="utf-8-sig")
    assert folder_benchmark(f"folder:{folder}:ridge").id == "marked.ridge"


@pytest.mark.parametrize(
    ("modality", "words"), [("audio", "holds no audio"), ("smell", "nothing that is read as 'smell'")]
)
def test_a_modality_that_does_not_fit_is_named(folder: Path, modality: str, words: str) -> None:
    as_csv(folder)
    (folder / "dataset.toml").write_text(f'modality = "{modality}"')
    with pytest.raises(DataError, match=words):
        loaded(folder)


# --- activations ------------------------------------------------------------------------------------------------------


def activations(folder: Path, ids: list[str] = IDS) -> Path:
    made = folder.parent / "acts"
    made.mkdir()
    (made / "stimulus_id.txt").write_text("\n".join(ids) + "\n")
    return made


def extracted(made: Path, folder: Path) -> dict[str, isocortex.activations.Activations]:
    as_csv(folder)
    stimuli = loaded(folder).stimuli
    return isocortex.extract(FolderActivations.at(made), stimuli, quiet=True)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (FEATURES, "float32"),
        (FEATURES.astype("f2"), "float32"),
        (FEATURES + 1e9, "float64"),
        (FEATURES * 1e50, "float64"),
        (FEATURES * 1e-50, "float64"),
        ((FEATURES * 1e6).astype("i8") + 2**40, "float64"),
        (np.arange(36).reshape(9, 4), "float32"),
        (np.full((9, 4), 0.1), "float64"),
    ],
    ids=["plain", "half", "offset", "large", "small", "whole numbers with an offset", "whole numbers", "constant"],
)
def test_digits_of_activations_are_kept(folder: Path, values: np.ndarray, dtype: str) -> None:
    made = activations(folder)
    np.save(made / "l.npy", values)
    found = extracted(made, folder)["l"]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.array(IDS), values.astype(dtype))


def test_what_a_mac_leaves_behind_is_no_layer_and_other_files_are_said(folder: Path) -> None:
    made = activations(folder)
    (made / "stimulus_id.txt").write_text("\n".join(IDS), encoding="utf-8-sig")
    np.save(made / "l.npy", FEATURES)
    (made / "._l.npy").write_bytes(b"\x00\x05\x16\x07")
    np.savez(made / "m.npz", FEATURES)
    found = extracted(made, folder)
    assert list(found) == ["l"]
    assert "1 files in acts are not read as layers: m.npz." in found["l"].warnings


def test_activations_whose_digits_are_gone_are_said(folder: Path) -> None:
    made = activations(folder)
    np.save(made / "gone.npy", np.float32(1e9) + 64 * np.float32(np.arange(36).reshape(9, 4) % 5))
    np.save(made / "flat.npy", (FEATURES + 1e9).astype("f4"))
    said = "\n".join(extracted(made, folder)["gone"].warnings)
    assert "4 of 4 units of 'gone' vary by less than 256 steps of float32" in said
    assert "No unit of 'flat' varies over its 9 stimuli" in said


BAD_LAYERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "an index": (lambda made: (made / "l.csv").write_text(",stimulus_id,a\n0,s00,1\n"), "without a name"),
    "text": (lambda made: (made / "l.csv").write_text("stimulus_id,a\ns00,x\n"), "l.csv.*'x' in line 2, column 'a'"),
    "repetitions": (
        lambda made: (made / "l.csv").write_text("stimulus_id,repetition,a\ns00,0,1\n"),
        "one row per stim",
    ),
    "complex": (lambda made: np.save(made / "l.npy", FEATURES + 1j), "l.npy.*complex"),
    "objects": (lambda made: np.save(made / "l.npy", FEATURES.astype(object)), "l.npy holds Python objects"),
    "one axis": (lambda made: np.save(made / "l.npy", FEATURES[:, 0]), "l.npy"),
    "too large": (lambda made: np.save(made / "l.npy", FEATURES * 1e160), "too large in 4 of 4 units"),
    "few IDs": (lambda made: np.save(made / "l.npy", FEATURES[:5]), "l.npy has 5 rows in 'l' and 9 IDs"),
    "a link": (lambda made: (made / "l.npy").symlink_to(".git/annex/x"), "l.npy is a link of git-annex"),
    "no netCDF": (lambda made: (made / "l.nc").write_bytes(b"junk"), "l.nc is no netCDF file"),
    "twice": (lambda made: [(made / f"l.{kind}").write_text("") for kind in ("csv", "nc")], "several files for each"),
    "none": (lambda _: None, "holds no activations"),
    "IDs in one line": (
        lambda made: [(made / "stimulus_id.txt").write_text(" ".join(IDS)), np.save(made / "l.npy", FEATURES)],
        "9 rows in 'l' and 1 IDs",
    ),
}


@pytest.mark.parametrize(("write", "words"), BAD_LAYERS.values(), ids=BAD_LAYERS)
def test_a_layer_that_cannot_be_read_is_named(folder: Path, write: Callable[[Path], object], words: str) -> None:
    made = activations(folder)
    write(made)
    with pytest.raises(IsocortexError, match=words):
        extracted(made, folder)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", "[" * 5000 + "]" * 5000]
    + [
        json.dumps({"stimulus_id": ["a"], "chunk_size": 1, "layers": ["l"], **change})
        for change in (
            {"layers": None},
            {"layers": []},
            {"layers": [1]},
            {"chunk_size": 0},
            {"chunk_size": "x"},
            {"chunk_size": True},
            {"stimulus_id": [1]},
        )
    ],
    ids=range(12),
)
def test_a_listing_that_extract_did_not_write_is_refused(folder: Path, text: str) -> None:
    made = activations(folder)
    (made / "activations.json").write_text(text)
    with pytest.raises(DataError, match=r"activations\.json is not what 'isocortex extract' writes"):
        FolderActivations.at(made)
