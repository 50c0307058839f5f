"""Raw scores on disk: draws of every row, float32, what was asked to be kept, whole or not at all."""

from __future__ import annotations

import errno
import json
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from isocortex.errors import StoreError
from isocortex.results.kept_arrays import absent_arrays
from isocortex.results.result import Result
from isocortex.results.scores_file import stored_draws, write_scores
from isocortex.scoring.contract import KEEPABLE
from tests.lab import Lab

BESIDE = {"prediction", "alpha", "alpha_at_bound", "training_r2"}


def scored(lab: Lab, benchmark: str, **config: object) -> tuple[Result, xr.Dataset]:
    """A result, and its scores as they lie on disk."""
    (result,) = lab.score("lab-net", benchmark, **config)
    (path,) = (path for path in lab.records("scores.nc") if path.parent.name == result.digest[:16])
    return result, xr.load_dataset(path)


def test_draws_of_the_whole_and_of_each_region_are_kept_in_single_precision(lab: Lab) -> None:
    result, scores = scored(lab, "lab.regions")
    rows = {"all": result.summary, **result.regions}
    assert scores["row"].values.tolist() == ["all", "A", "B"]
    for name, summary in rows.items():
        assert summary is not None
        assert np.array_equal(scores["draws"].sel(row=name), np.float32(summary.draws))
    assert {str(item.dtype) for item in scores.data_vars.values() if item.dtype.kind == "f"} == {"float32"}
    assert scores["test_stimulus"].values.tolist() == [list(range(20, 40))]


def test_layers_and_neuroids_keep_their_names(lab: Lab) -> None:
    _, scores = scored(lab, "lab.fit")
    assert scores["layer"].values.tolist() == ["net.mean", "net.pixels"]
    assert scores["neuroid_id"].values.tolist() == [f"neuroid{number}" for number in range(4)]
    assert scores["region"].values.tolist() == ["A", "A", "B", "B"]


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ((), set()),
        (("alpha",), {"alpha", "alpha_at_bound"}),
        (("prediction", "training_r2"), {"prediction", "training_r2"}),
        (("prediction", "alpha", "training_r2"), BESIDE),
    ],
)
def test_what_lies_beside_the_scores_is_kept_on_request(lab: Lab, keep: tuple[str, ...], kept: set[str]) -> None:
    result, scores = scored(lab, "lab.fit", keep=keep)
    assert not BESIDE & set(scores)
    assert {"r", "selection", "chosen", "readout", "draws"} <= set(scores)
    found = {path.stem: xr.load_dataset(path) for path in lab.records("kept/*.nc")}
    assert set(found) == set(keep)
    assert {name for arrays in found.values() for name in arrays} == kept
    assert absent_arrays(lab.records("result.json")[0].parent, result, KEEPABLE) == [
        k for k in KEEPABLE if k not in keep
    ]


def test_a_result_folder_holds_two_files_and_nothing_else(lab: Lab) -> None:
    result, _ = scored(lab, "lab.fit")
    folder = lab.folder / "results" / "lab.fit" / "lab-net@fixed" / result.digest[:16]
    assert sorted(path.name for path in folder.iterdir()) == ["result.json", "scores.nc"]
    assert sorted(path.name for path in (lab.folder / "results").iterdir()) == ["lab.fit"]
    record = json.loads((folder / "result.json").read_text())
    assert record["digest"] == result.digest
    assert "draws" not in record["summary"]
    assert "cached" not in record


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on there is no space left for a file of scores."""
    replace = Path.replace

    def fails(self: Path, target: Path) -> Path:
        if target.name == "scores.nc":
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fails)


def test_scores_that_cannot_be_written_leave_what_was_there(lab: Lab, monkeypatch) -> None:
    result, scores = scored(lab, "lab.fit")
    (path,) = lab.records("scores.nc")
    before = path.read_bytes()
    full_disk(monkeypatch)
    with pytest.raises(StoreError, match=r"No space left to write .*scores\.nc.*--out"):
        write_scores(path, scores, result)
    assert path.read_bytes() == before
    assert sorted(item.name for item in path.parent.iterdir()) == ["result.json", "scores.nc"]


def test_a_cell_whose_scores_cannot_be_written_has_no_result_and_says_that_the_disk_is_full(
    lab: Lab, monkeypatch
) -> None:
    with monkeypatch.context() as patched:
        full_disk(patched)
        (result,) = lab.score("lab-net", "lab.fit")
    assert result.failure is not None
    assert (result.status, result.failure.kind, result.failure.traceback) == ("failed", "StoreError", None)
    assert "No space left" in result.failure.message
    assert lab.records("result.json") == []
    assert [path.parent.name for path in (lab.folder / "results").rglob("*") if path.is_file()] == ["failures"]
    assert lab.score("lab-net", "lab.fit")[0].status == "scored"


def test_a_metric_without_draws_has_a_file_without_draws(lab: Lab, monkeypatch) -> None:
    lab.score("lab-net", "lab.fit")
    import iso_lab  # type: ignore[import-not-found]

    monkeypatch.setattr(iso_lab.Fitted, "resample", lambda *_: None)
    result, scores = scored(lab, "lab.regions")
    assert "draws" not in scores
    assert result.summary is not None
    assert result.summary.resampled == "none"


def test_a_region_that_is_called_all_does_not_replace_the_whole(lab: Lab) -> None:
    result, scores = scored(lab, "lab.all")
    assert result.summary is not None
    assert set(result.regions) == {"all", "B"}
    assert scores.sizes["row"] == 3
    (path,) = lab.records("scores.nc")
    draws = stored_draws(path, result)
    assert draws is not None
    for name, part in [(None, result.summary), *result.regions.items()]:
        assert np.array_equal(draws[name], np.float32(part.draws))
    assert not np.array_equal(draws[None], draws["all"])


def test_scores_are_what_xarray_itself_would_have_written(lab: Lab, tmp_path: Path) -> None:
    _, scores = scored(lab, "lab.regions", keep=("prediction", "alpha"))
    scores.to_netcdf(tmp_path / "by xarray.nc", engine="netcdf4")
    xr.testing.assert_identical(scores, xr.load_dataset(tmp_path / "by xarray.nc"))


def test_equal_scores_are_equal_bytes_whenever_they_are_written_and_the_library_reads_them(lab: Lab, tmp_path) -> None:
    result, scores = scored(lab, "lab.regions")
    paths = [tmp_path / "first.nc", tmp_path / "second.nc"]
    for path in paths:
        write_scores(path, scores, result)
        time.sleep(1.1)  # HDF5 writes down seconds
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert xr.load_dataset(paths[0], engine="netcdf4").identical(xr.load_dataset(paths[1], engine="netcdf4"))
    torn = bytearray(first)
    torn[54] = 1  # the first byte of the times: HDF5 looks at the checksum over them
    paths[1].write_bytes(torn)
    with pytest.raises(OSError, match="HDF error"):
        xr.load_dataset(paths[1], engine="netcdf4")
