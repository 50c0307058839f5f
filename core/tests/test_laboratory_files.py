"""Data as laboratories keep them: HDF5 and MATLAB files, long tables, a file per participant, gaps."""

from __future__ import annotations

import itertools
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from isocortex.data.dataset import Dataset
from isocortex.errors import DataError, IsocortexError, UsageError
from isocortex.loading.array_containers import arrays_in, read_array, read_labels
from isocortex.loading.folder_layers import layers_of, said_of_folder
from isocortex.loading.resolver import resolver

io = pytest.importorskip("scipy.io")
sparse = pytest.importorskip("scipy.sparse")

IDS = [f"s{place:02d}" for place in range(9)]
SITES = ["A1-1", "A1-2", "belt é"]
VALUES = np.random.default_rng(0).standard_normal((9, 3))
TRIALS = np.stack([VALUES, VALUES + 1, VALUES - 0.5])
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


def table_of(dataset: Dataset) -> dict[tuple[str, str, str], float]:
    """(stimulus, repetition, neuroid) → response."""
    found = dataset.responses
    repetition = found["repetition"].values if "repetition" in found.coords else [0] * len(found)
    rows = zip(found["stimulus_id"].values, repetition, found.values, strict=True)
    return {
        (str(stimulus), str(count), str(neuroid)): float(value)
        for stimulus, count, row in rows
        for neuroid, value in zip(found["neuroid_id"].values, row, strict=True)
    }


def expected(values: np.ndarray, sites: list[str] = SITES) -> dict[tuple[str, str, str], float]:
    """The same of an array (n_repetitions, n_stimuli, n_neuroids)."""
    return {
        (IDS[stimulus], str(count), sites[neuroid]): float(value)
        for (count, stimulus, neuroid), value in np.ndenumerate(values)
    }


def write_lines(path: Path, *lines: str) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


# --- files with arrays by name ----------------------------------------------------------------------------------------


def as_hdf5(path: Path, arrays: dict[str, Any]) -> None:
    with h5py.File(path, "w") as file:
        for name, value in arrays.items():
            file[name] = value if isinstance(value, np.ndarray) else np.array(value, dtype=h5py.string_dtype())


def as_matlab(path: Path, arrays: dict[str, Any], *, compressed: bool = True) -> None:
    cells = {
        name: value if isinstance(value, (np.ndarray, dict)) else np.array(value, dtype=object)
        for name, value in arrays.items()
    }
    io.savemat(path, cells, do_compression=compressed)


def as_plain_matlab(path: Path, arrays: dict[str, Any]) -> None:
    as_matlab(path, arrays, compressed=False)


def as_matlab_73(path: Path, arrays: dict[str, Any]) -> None:
    """HDF5 behind 512 bytes of header, axes reversed, text as references to numbers of letters."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in arrays.items():
            if isinstance(value, np.ndarray):
                file[name] = value.T
                file[name].attrs["MATLAB_class"] = np.bytes_("double")
                continue
            references = np.empty((1, len(value)), dtype=h5py.ref_dtype)
            for place, text in enumerate(value):
                cell = file.create_dataset(f"#refs#/{name}{place}", data=np.array([list(map(ord, text))], "u2").T)
                cell.attrs["MATLAB_class"] = np.bytes_("char")
                references[0, place] = cell.ref
            file.create_dataset(name, data=references.T, dtype=h5py.ref_dtype)
            file[name].attrs["MATLAB_class"] = np.bytes_("cell")
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512, b" "))


WRITERS: dict[str, tuple[str, Callable[[Path, dict[str, Any]], None]]] = {
    "HDF5": ("responses.h5", as_hdf5),
    "MATLAB": ("responses.mat", as_matlab),
    "MATLAB, not compressed": ("responses.mat", as_plain_matlab),
    "MATLAB 7.3": ("responses.mat", as_matlab_73),
}


@pytest.mark.parametrize(("name", "write"), WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("values", [VALUES, TRIALS], ids=["means", "trials"])
def test_arrays_and_labels_of_a_file_are_read_whole(folder: Path, name: str, write: Any, values: np.ndarray) -> None:
    order = [4, 0, 8, 1, 2, 3, 7, 6, 5]
    write(folder / name, {"resp": values[..., order, :], "stimulus_id": [IDS[n] for n in order], "neuroid_id": SITES})
    assert table_of(loaded(folder)) == expected(values.reshape(-1, 9, 3))
    (folder / name).unlink()
    write(folder / name, {"resp": values})
    assert table_of(loaded(folder)) == expected(values.reshape(-1, 9, 3), ["neuroid0", "neuroid1", "neuroid2"])


@pytest.mark.parametrize(("name", "write"), WRITERS.values(), ids=WRITERS)
def test_of_several_arrays_one_is_named_or_refused(folder: Path, name: str, write: Any) -> None:
    write(folder / name, {"before": VALUES, "after": VALUES + 1, "rate": np.array([[30.0]]), "t": np.ones((1, 9))})
    with pytest.raises(DataError, match=r"one array of numbers.*(before|after) \(9, 3\), .* variable = ") as refused:
        loaded(folder)
    assert "rate" not in str(refused.value)
    (folder / "dataset.toml").write_text('variable = "after"\n')
    assert loaded(folder).responses.values[0, 0] == VALUES[0, 0] + 1
    (folder / "dataset.toml").write_text('variable = "later"\n')
    with pytest.raises(DataError, match=r"no array of numbers 'later'.*found"):
        loaded(folder)
    (folder / "dataset.toml").unlink()
    (folder / name).unlink()
    write(folder / name, {"before": VALUES, "responses": VALUES + 1})
    assert loaded(folder).responses.values[0, 0] == VALUES[0, 0] + 1


def test_groups_of_hdf5_and_a_matrix_of_letters_are_read(tmp_path: Path) -> None:
    as_hdf5(tmp_path / "a.h5", {"data/resp": VALUES.astype("f4"), "data/more": VALUES.astype("i2")})
    assert arrays_in(tmp_path / "a.h5") == {"data/more": (9, 3), "data/resp": (9, 3)}
    np.testing.assert_array_equal(read_array(tmp_path / "a.h5", "data/resp"), VALUES.astype("f4"))
    io.savemat(tmp_path / "a.mat", {"stimulus_id": np.array(["s1", "s10"]), "x": VALUES})
    assert read_labels(tmp_path / "a.mat", "stimulus_id") == ["s1", "s10"]
    assert read_labels(tmp_path / "a.mat", "neuroid_id") is None


def external(folder: Path) -> None:
    with h5py.File(folder / "responses.h5", "w") as file:
        file["link"] = h5py.ExternalLink("other.h5", "/x")


def cut(name: str, write: Any) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        write(folder / name, {"resp": np.random.default_rng(1).standard_normal((9, 400))})
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return make


def hdf5(**arrays: Any) -> Callable[[Path], None]:
    return lambda folder: as_hdf5(folder / "responses.h5", arrays)


def matlab(**arrays: Any) -> Callable[[Path], None]:
    return lambda folder: as_matlab(folder / "responses.mat", arrays)


def junk(folder: Path) -> None:
    (folder / "responses.mat").write_bytes(b"junk")


def linked(folder: Path) -> None:
    (folder / "responses.mat").symlink_to(".git/annex/x")


def sparsely(folder: Path) -> None:
    io.savemat(folder / "responses.mat", {"r": sparse.csc_matrix(VALUES)})


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "complex": (matlab(r=VALUES + 1j), "complex"),
    "sparse": (sparsely, "sparse"),
    "transposed": (hdf5(r=VALUES.T), r"found shape \(3, 9\)"),
    "a structure": (matlab(r={"x": VALUES}), "found none"),
    "text": (hdf5(r=["a", "b"]), "found none"),
    "few labels": (hdf5(r=VALUES, neuroid_id=["a"]), "1 labels"),
    "numbers as labels": (hdf5(r=VALUES, stimulus_id=np.arange(9.0)), "expected text"),
    "another file": (external, "link into another file"),
    "cut HDF5": (cut("responses.h5", as_hdf5), "HDF5|truncated|promises"),
    "cut MATLAB": (cut("responses.mat", as_matlab), "is cut"),
    "cut MATLAB 7.3": (cut("responses.mat", as_matlab_73), "HDF5|truncated|promises"),
    "junk": (junk, "cannot be read as a MATLAB file"),
    "a link": (linked, "a link of git-annex"),
}


@pytest.mark.parametrize(("write", "words"), BAD.values(), ids=BAD)
def test_files_that_cannot_be_used_are_named(folder: Path, write: Callable[[Path], None], words: str) -> None:
    write(folder)
    with pytest.raises(DataError, match=words) as refused:
        loaded(folder)
    assert "responses." in str(refused.value)


def test_what_a_matlab_file_expands_to_is_bounded_before_it_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squeezer = zlib.compressobj(9)
    content = b"".join(squeezer.compress(bytes(1 << 24)) for _ in range(8)) + squeezer.flush()
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    (folder / "responses.mat").write_bytes(header + struct.pack("<II", 15, len(content)) + content)
    monkeypatch.setattr("isocortex.devices.free_memory", lambda _: 50 << 20)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"holds .* GB of values, and 0.05 GB are free"):
        loaded(folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


@pytest.mark.parametrize(("name", "write"), WRITERS.values(), ids=WRITERS)
def test_damaged_files_give_values_or_one_message(tmp_path: Path, name: str, write: Any) -> None:
    """Bytes changed, cut out and blown up: no error of a library, and no end of the process."""
    path, draw = tmp_path / name, np.random.default_rng(5)
    write(path, {"resp": TRIALS, "stimulus_id": IDS, "neuroid_id": SITES})
    good, said = path.read_bytes(), list[str]()
    for _ in range(150):
        content = bytearray(good)
        for _ in range(int(draw.integers(1, 4))):
            place = int(draw.integers(len(content) - 8))
            change = (content[place : place + 1].translate(draw.bytes(256)), b"\xff" * 8, b"", b"\0" * 8)
            content[place : place + int(draw.choice([1, 8]))] = change[int(draw.integers(4))]
        path.write_bytes(content)
        try:
            for array in arrays_in(path):
                read_array(path, array)
            read_labels(path, "stimulus_id"), read_labels(path, "neuroid_id")
        except IsocortexError as error:
            said.append(str(error))
    assert len(said) > 30
    assert [text for text in said if name not in text] == []


def test_older_files_of_matlab_hold_every_type_and_say_what_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    arrays = {dtype: (100 * VALUES).astype(dtype) for dtype in ("f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")}
    io.savemat(path, {**arrays, "flag": VALUES > 0, "table": np.array([["ab", "c"], ["", "é"]], dtype=object)})
    assert set(arrays_in(path)) == set(arrays)
    for dtype, values in arrays.items():
        found = read_array(path, dtype)
        np.testing.assert_array_equal(found, values)
        assert found.dtype == values.dtype
    assert read_labels(path, "table") == ["ab", "", "c", "é"], "column by column, as MATLAB counts"
    io.savemat(path, {"x": VALUES}, format="4")
    with pytest.raises(DataError, match=r"a.mat cannot be read as a MATLAB file: .* version 4"):
        arrays_in(path)


# --- long tables ------------------------------------------------------------------------------------------------------

HEADER = "stimulus_id,neuroid_id,repetition,region,rate"


def long_rows(values: np.ndarray = TRIALS, *, skip: Callable[..., bool] = lambda *_: False) -> list[str]:
    """Rows of a table, in an order of their own."""
    places = [place for place in np.ndindex(values.shape) if not skip(*place)]
    order = np.random.default_rng(3).permutation(len(places))
    return [
        f"{IDS[stimulus]},{SITES[neuroid]},{count},{['A1', 'A1', 'belt'][neuroid]},"
        f"{float(values[count, stimulus, neuroid])!r}"
        for count, stimulus, neuroid in (places[n] for n in order)
    ]


def test_a_long_table_is_the_wide_one(folder: Path) -> None:
    write_lines(folder / "responses.csv", HEADER, *long_rows())
    found = loaded(folder)
    assert table_of(found) == expected(TRIALS)
    regions = dict(zip(found.responses["neuroid_id"].values, found.responses["region"].values, strict=True))
    assert regions == dict(zip(SITES, ["A1", "A1", "belt"], strict=True))
    assert found.warnings == ()


def test_repetitions_that_are_not_numbered_are_counted_and_said(folder: Path) -> None:
    cells = [row.split(",") for row in long_rows()]
    write_lines(folder / "responses.csv", "stimulus_id,neuroid_id,rate", *(f"{c[0]},{c[1]},{c[4]}" for c in cells))
    found = loaded(folder)
    means = found.responses.groupby("stimulus_id").mean().sel(stimulus_id=IDS)
    order = [found.responses["neuroid_id"].values.tolist().index(site) for site in SITES]
    np.testing.assert_allclose(means.values[:, order], TRIALS.mean(axis=0), rtol=0, atol=1e-12)
    assert any("up to 3 rows of one stimulus and neuroid" in text for text in found.warnings)


def test_columns_that_are_not_used_are_said_and_times_refused(folder: Path) -> None:
    rows = [f"{row},{n},nobody" for n, row in enumerate(long_rows())]
    write_lines(folder / "responses.csv", f"{HEADER},trial_start,rater", *rows)
    with pytest.raises(DataError, match=r"one column of numbers; found .*rate.*trial_start.*'response'"):
        loaded(folder)
    text = (folder / "responses.csv").read_text(encoding="utf-8")
    write_lines(folder / "responses.csv", text.replace(",rate,", ",response,"))
    found = loaded(folder)
    assert table_of(found) == expected(TRIALS)
    assert any("not used: trial_start, rater" in said for said in found.warnings)
    write_lines(folder / "responses.csv", text.replace(",trial_start,", ",time_s,"))
    with pytest.raises(DataError, match="go on in time"):
        loaded(folder)


def with_cell(row: str, place: int, cell: str) -> str:
    cells = row.split(",")
    cells[place] = cell
    return ",".join(cells)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: [*rows, rows[0]], r"more than once \(lines 2, 83\)"),
        (lambda rows: [with_cell(rows[0], 4, "high"), *rows[1:]], "there is none"),
        (lambda rows: [with_cell(rows[0], 0, ""), *rows[1:]], r"no 'stimulus_id' in 1 rows \(lines 2\)"),
        (lambda rows: [with_cell(rows[0], 4, ""), *rows[1:]], "'' in line 2, column 'rate'"),
        (lambda _: [], "a header and no rows"),
    ],
)
def test_long_tables_that_are_wrong_name_the_line(folder: Path, change: Any, words: str) -> None:
    write_lines(folder / "responses.csv", HEADER, *change(long_rows()))
    with pytest.raises(DataError, match=words):
        loaded(folder)


# --- a file per participant -------------------------------------------------------------------------------------------


def test_files_of_participants_are_put_side_by_side(folder: Path) -> None:
    (folder / "responses").mkdir()
    np.save(folder / "responses" / "S1.npy", TRIALS)
    as_matlab(folder / "responses" / "S2.mat", {"r": TRIALS[..., ::-1] * 2, "neuroid_id": SITES[::-1]})
    rows = [f"{name},{count},{float(TRIALS[count, n, 0])!r}" for count in range(3) for n, name in enumerate(IDS)]
    write_lines(folder / "responses" / "007.csv", "stimulus_id,repetition,v1", *reversed(rows))
    found = loaded(folder)
    sites = ["007/v1", *(f"S1/neuroid{n}" for n in range(3)), *(f"S2/{name}" for name in reversed(SITES))]
    together = np.concatenate([TRIALS[..., :1], TRIALS, TRIALS[..., ::-1] * 2], axis=2)
    assert table_of(found) == expected(together, sites)
    subjects = dict(zip(found.responses["neuroid_id"].values, found.responses["subject"].values, strict=True))
    assert subjects == {site: site.partition("/")[0] for site in sites}


def test_a_trial_that_one_participant_lacks_is_a_gap(folder: Path) -> None:
    (folder / "responses").mkdir()
    np.save(folder / "responses" / "S1.npy", TRIALS)
    np.save(folder / "responses" / "S2.npy", TRIALS[:2])
    with pytest.raises(DataError, match=r"27 of 162 responses are gaps, in 9 of 27 trials and 3 of 6 neuroids: S2"):
        loaded(folder)
    (folder / "dataset.toml").write_text('gaps = "drop-trials"\n')
    found = loaded(folder)
    sites = [f"S{n}/neuroid{k}" for n in (1, 2) for k in range(3)]
    assert table_of(found) == expected(np.concatenate([TRIALS[:2]] * 2, axis=2), sites)
    assert any("9 of 27 trials of 'mine' are not there for all neuroids" in text for text in found.warnings)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda _: None, "it is empty"),
        (lambda made: (made / "notes.docx").write_bytes(b"x"), "found notes.docx"),
        (lambda made: [np.save(made / "S1.npy", VALUES), as_hdf5(made / "S1.h5", {"r": VALUES})], "several files for"),
        (lambda made: (made / "S1.npy").write_bytes(b"junk"), "S1.npy is no array"),
        (lambda made: (made.parent / "responses.csv").write_text("x"), "found responses.csv, responses/"),
    ],
)
def test_a_folder_of_participants_that_is_wrong_is_named(folder: Path, write: Any, words: str) -> None:
    (folder / "responses").mkdir()
    write(folder / "responses")
    with pytest.raises(DataError, match=words):
        loaded(folder)


# --- gaps -------------------------------------------------------------------------------------------------------------

GAPS = np.zeros(TRIALS.shape, dtype=bool)
GAPS[0, 3, 1] = GAPS[2, 3, 1] = GAPS[1, 5, 1] = True


def with_gaps(folder: Path, kind: str) -> None:
    holes = np.where(GAPS, np.nan, TRIALS)
    if kind == "npy":
        np.save(folder / "responses.npy", holes)
    elif kind == "long":
        write_lines(folder / "responses.csv", HEADER, *long_rows(skip=lambda *place: bool(GAPS[place])))
    else:
        rows = [
            f"{IDS[stimulus]},{count},{','.join('' if np.isnan(v) else repr(float(v)) for v in holes[count, stimulus])}"
            for count, stimulus in itertools.product(range(3), range(9))
        ]
        write_lines(folder / "responses.csv", "stimulus_id,repetition,a,b,c", *rows)


@pytest.mark.parametrize(
    ("kind", "sites"),
    [("npy", ["neuroid0", "neuroid1", "neuroid2"]), ("long", SITES), ("wide", ["a", "b", "c"])],
    ids=["npy", "long", "wide"],
)
def test_gaps_are_refused_or_left_out_as_was_said_and_counted(folder: Path, kind: str, sites: list[str]) -> None:
    with_gaps(folder, kind)
    with pytest.raises(DataError, match=r"3 of 81 responses are gaps|3 cells are not numeric"):
        loaded(folder)
    gone = {(IDS[stimulus], str(count), sites[site]) for count, stimulus, site in zip(*np.nonzero(GAPS), strict=True)}
    for policy in ("keep", "drop-neuroids", "drop-stimuli"):  # every neuroid has some trial of every stimulus
        (folder / "dataset.toml").write_text(f'gaps = "{policy}"\n')
        found = loaded(folder)
        there = {key: value for key, value in table_of(found).items() if not np.isnan(value)}
        assert there == {key: value for key, value in expected(TRIALS, sites).items() if key not in gone}
        assert any(f"3 are missing for some neuroids (1 of 3: {sites[1]})" in text for text in found.warnings)
    (folder / "dataset.toml").write_text('gaps = "drop-trials"\n')
    found = loaded(folder)
    trials = {key[:2] for key in gone}
    assert table_of(found) == {key: value for key, value in expected(TRIALS, sites).items() if key[:2] not in trials}
    assert any("3 of 27 trials of 'mine' are not there for all neuroids and were dropped" in t for t in found.warnings)


def test_a_neuroid_or_a_stimulus_without_a_trial_is_dropped_as_was_said(folder: Path) -> None:
    holes = TRIALS.copy()
    holes[:, 4, 1] = np.nan
    np.save(folder / "responses.npy", holes)
    names = ["neuroid0", "neuroid1", "neuroid2"]
    (folder / "dataset.toml").write_text('gaps = "drop-neuroids"\n')
    found = loaded(folder)
    assert table_of(found) == expected(TRIALS[..., [0, 2]], [names[0], names[2]])
    assert any("1 of 3 neuroids of 'mine' have no trial of some stimuli and were dropped" in t for t in found.warnings)
    (folder / "dataset.toml").write_text('gaps = "drop-stimuli"\n')
    found = loaded(folder)
    assert table_of(found) == {key: value for key, value in expected(TRIALS, names).items() if key[0] != IDS[4]}
    assert any("1 of 9 stimuli of 'mine' have no trial for some neuroids and were dropped" in t for t in found.warnings)


def test_kept_gaps_leave_every_neuroid_a_trial_of_every_stimulus(folder: Path) -> None:
    np.save(folder / "responses.npy", np.where(np.arange(9)[:, None] == 4, np.nan, TRIALS))
    (folder / "dataset.toml").write_text('gaps = "keep"\n')
    with pytest.raises(DataError, match=r"has no trial of 1 of 9 stimuli .* for 3 of 3 neuroids"):
        loaded(folder)


def test_a_policy_that_leaves_nothing_and_one_that_is_unknown_are_refused(folder: Path) -> None:
    np.save(folder / "responses.npy", np.where(np.eye(9, 3, dtype=bool), np.nan, VALUES))
    (folder / "dataset.toml").write_text('gaps = "drop-neuroids"\n')
    with pytest.raises(DataError, match=r"lacks trials of some stimulus, so that none is left"):
        loaded(folder)
    (folder / "dataset.toml").write_text('gaps = "fill"\n')
    with pytest.raises(
        UsageError, match=r"gaps must be one of refuse, keep, drop-neuroids, drop-stimuli, drop-trials; found 'fill'"
    ):
        loaded(folder)


# --- activations ------------------------------------------------------------------------------------------------------


def test_layers_in_files_with_arrays_by_name(tmp_path: Path) -> None:
    as_hdf5(tmp_path / "net.h5", {"conv/1": FEATURES, "fc": FEATURES[:, :2], "w": np.ones((4, 2)), "stimulus_id": IDS})
    as_matlab(tmp_path / "one.mat", {"X": FEATURES + 1, "stimulus_id": IDS[::-1]})
    found = layers_of(tmp_path)
    assert list(found) == ["net.conv.1", "net.fc", "one"]
    for name, values in (("net.conv.1", FEATURES), ("net.fc", FEATURES[:, :2]), ("one", FEATURES[::-1] + 1)):
        [block] = found[name]().blocks(IDS)
        np.testing.assert_array_equal(block, values)
    assert "1 arrays in net.h5 have no row per stimulus: w." in said_of_folder(tmp_path)


def test_layers_without_ids_of_their_own_take_those_of_the_list(tmp_path: Path) -> None:
    as_matlab_73(tmp_path / "layer.mat", {"X": FEATURES})
    with pytest.raises(DataError, match=r"layer.mat has no stimulus IDs"):
        layers_of(tmp_path)["layer"]()
    write_lines(tmp_path / "stimulus_id.txt", *IDS)
    [block] = layers_of(tmp_path)["layer"]().blocks(IDS)
    np.testing.assert_array_equal(block, FEATURES)
    write_lines(tmp_path / "stimulus_id.txt", *IDS[:5])
    with pytest.raises(IsocortexError, match=r"layer.mat has 9 rows in 'layer' and 5 IDs"):
        layers_of(tmp_path)["layer"]()
