"""Records of results on disk: written with checksums, and read only as what was written, where it was written.

``result.json`` is a sealed record (``isocortex.files.sealed``) and holds the SHA-256 of ``scores.nc`` beside it. A
record that was damaged or edited, one that lies in the folder of another cell, and one whose scores are damaged are
refused by name. Records of versions that did not seal are read, and said to be of such.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from isocortex.errors import FilesError, StoreError
from isocortex.files.digests import digest_file, short
from isocortex.files.disk import folder_name
from isocortex.files.sealed import unsealed, write_sealed

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.results.result import Result

#: of the fields of result.json; 1 was not sealed, 2 had all draws in scores.nc
FORMAT = 3
UNSEALED = 1

OLDER = (
    "{} was written by an older version of isocortex, without checksums: whether it is as it was written cannot be "
    "checked. Score again to have that checked."
)


def cell_folder(out: Path, benchmark: str, model: str, variant: str) -> Path:
    """Where results and failures of a model on a benchmark lie.

    Examples
    --------
    >>> cell_folder(Path("results"), "NH2015comp.ridge", "noise/3", "fixed").as_posix()
    'results/NH2015comp.ridge/noise%2F3@fixed'
    """
    return out / folder_name(benchmark) / folder_name(f"{model}@{variant}")


def trial_mark(limit: int | None) -> str:
    """What stands behind the name of a benchmark where only some of its stimuli were used, so that nothing mixes.

    Examples
    --------
    >>> trial_mark(20), trial_mark(None)
    (' (trial, 20 stimuli)', '')
    """
    return "" if limit is None else f" (trial, {limit} stimuli)"


def splits_mark(splits: str | None) -> str:
    """What stands behind the name of a benchmark whose stricter splits were asked for by name.

    Examples
    --------
    >>> splits_mark("leave-category-out"), splits_mark(None)
    (' (leave-category-out)', '')
    """
    return "" if splits is None else f" ({splits})"


def row_of_benchmark(name: str, splits: str | None, limit: int | None) -> str:
    """The benchmark's own name, without what was asked of it beside.

    Examples
    --------
    >>> row_of_benchmark("NH2015.ridge (leave-category-out) (trial, 20 stimuli)", "leave-category-out", 20)
    'NH2015.ridge'
    """
    return name.removesuffix(trial_mark(limit)).removesuffix(splits_mark(splits))


def draws_path(path: Path, n_draws: int) -> Path:
    """Where all draws of a result lie that has more than those in its scores; ``path`` is that of its record."""
    return path.with_name(f"draws-{n_draws}.nc")


def record_path(cell: Path, digest: str) -> Path:
    """Where the record of a result lies, in the folder of its cell."""
    return cell / short(digest) / "result.json"


def write_record(path: Path, result: Result) -> None:
    """Write a record with its seal, durably: after this the result survives anything.

    Raises
    ------
    StoreError
        It cannot be written.
    """
    write_sealed(path, result.model_dump(mode="json"), durable=True)


def read_fields(path: Path) -> dict[str, Any]:
    """Fields of a record that is as it was written; those of an older version with a warning.

    Raises
    ------
    StoreError
        It cannot be read, is damaged, or was edited.
    """
    from pydantic_core import from_json  # twice as fast as that of Python

    try:
        state, fields = unsealed(path.read_bytes(), from_json)
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}).") from error
    if state == "older" and fields.get("format") == UNSEALED:
        said = fields.get("warnings")
        return {**fields, "warnings": [*(said if isinstance(said, list) else ()), OLDER.format(path)]}
    if state != "whole":
        raise StoreError(
            f"{path} is not what was written: it is damaged, was edited, or is no result of this version. Nothing of "
            "it is shown. Move it away and score again."
        )
    return fields


def refuse_foreign(path: Path, result: Result) -> None:
    """Refuse a record that lies in the folder of another cell.

    Raises
    ------
    StoreError
        It does.
    """
    digest, cell = path.parent, path.parent.parent
    benchmark, known = (
        row_of_benchmark(name, result.splits, result.limit) for name in (unquote(cell.parent.name), result.benchmark)
    )
    of_folder = benchmark.startswith("folder:") and benchmark.endswith(f":{result.metric}")
    own = (
        digest.name == short(result.digest)
        and cell.name == folder_name(f"{result.model}@{result.variant}")
        and (of_folder or benchmark == known or benchmark.endswith(f"::{known}"))
    )
    if not own:
        raise StoreError(
            f"{path} is the record of {result.model}@{result.variant} × {result.benchmark} with the digest "
            f"{short(result.digest)}, which lies in the folder of another result. Nothing of it is shown. Move it to "
            "where it belongs, or away."
        )


def verify_scores(path: Path, result: Result) -> None:
    """Compare ``scores.nc`` and further draws beside a record with their checksums; every byte is read.

    Parameters
    ----------
    path
        Of the record. Scores that are not there are no fault of the record: it holds the summary.

    Raises
    ------
    StoreError
        They are damaged, or of another result.
    """
    _verify(path.with_name("scores.nc"), path, result.scores_sha256)
    if result.n_draws is not None:
        _verify(draws_path(path, result.n_draws), path, result.draws_sha256)


def _verify(file: Path, record: Path, expected: str | None) -> None:
    if expected is None or not file.exists():
        return
    try:
        found = digest_file(file)
    except FilesError as error:
        raise StoreError(str(error)) from error
    if found != expected:
        raise StoreError(
            f"{file} is not what was written: its SHA-256 is {found[:16]}…, and {record.name} beside it says "
            f"{expected[:16]}…. Nothing of this result is shown. Score again, and it is replaced."
        )


def open_scores(path: Path, result: Result) -> xr.Dataset:
    """The raw scores of a result, read into memory after they were compared with its record.

    Parameters
    ----------
    path
        ``scores.nc``.

    Raises
    ------
    StoreError
        They are not there, damaged, or cannot be read.
    """
    import xarray as xr

    verify_scores(path.with_name("result.json"), result)
    try:
        return xr.load_dataset(path, engine="netcdf4")
    except Exception as error:  # whatever libraries for netCDF raise on what is none
        raise StoreError(f"{path} cannot be read as raw scores ({error}). Score again, and it is replaced.") from error
