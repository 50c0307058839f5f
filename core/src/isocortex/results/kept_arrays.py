"""Raw arrays that ``--keep`` asks for: ``kept/NAME.nc`` in the folder of a result, with checksum in ``kept/NAME.json``.

They add to a result: its record and its scores stay as they are. Where the result was there before, the cell is
computed again, and arrays are kept only if the values are those of the record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isclose
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.errors import StoreError, shorten
from isocortex.results.kept_fitted import FITTED, copy_fits
from isocortex.results.kept_mapping import MAPPING, write_mapping
from isocortex.results.kept_records import is_kept, read_kept, write_kept
from isocortex.results.scores_file import write_netcdf
from isocortex.scoring.contract import FOR_DRAWS, KEEPABLE, KEPT_WITH
from isocortex.scoring.summary import OF_NULL

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.results.result import Result
    from isocortex.scoring.mapping import LinearMapping

#: values that are computed again may differ in last bits: by other numbers of threads or other processors
TOLERANCE = 1e-6


def without_keepable(scores: xr.Dataset) -> xr.Dataset:
    """Scores without what is kept on request only, and without what draws alone are made of."""
    names = [name for kept in KEEPABLE for name in (kept, *KEPT_WITH.get(kept, ()))]
    return scores.drop_vars([*names, *FOR_DRAWS], errors="ignore")


def absent_arrays(folder: Path, result: Result, names: Sequence[str]) -> list[str]:
    """Names of arrays of a result that are not kept yet, or not as they were written.

    Parameters
    ----------
    folder
        Of the result.
    """
    return [name for name in names if not is_kept(folder, result, name)]


def write_arrays(
    folder: Path,
    scores: xr.Dataset,
    result: Result,
    names: Sequence[str],
    fits: Sequence[Path] = (),
    mapping: LinearMapping | None = None,
) -> list[str]:
    """Write arrays beside a result; returns the names of those that the metric does not give.

    Parameters
    ----------
    fits
        Folders of the networks that were trained for each split, for "fitted".
    mapping
        The map of the cell, for "mapping"; None: its metric gives none.

    Raises
    ------
    StoreError
        They cannot be written.
    """
    for name in names:
        if name == FITTED:
            write_kept(folder, result, name, copy_fits(folder, fits))
        elif name == MAPPING:
            write_kept(folder, result, name, **write_mapping(folder, mapping))
        else:
            write_kept(folder, result, name, _written(folder, scores, name))
    given = {FITTED: bool(fits), MAPPING: mapping is not None}
    return [name for name in names if not given.get(name, name in scores)]


def _written(folder: Path, scores: xr.Dataset, name: str) -> dict[str, str]:
    """Write an array, with what goes with it; its place below ``kept/`` and checksum, or nothing."""
    chosen = [one for one in (name, *KEPT_WITH.get(name, ())) if one in scores]
    place = f"{name}.nc"
    return {place: write_netcdf(folder / "kept" / place, scores[chosen])} if chosen else {}


def open_kept(folder: Path, result: Result, name: str) -> xr.Dataset:
    """An array that was kept, read into memory after it was compared with its checksum.

    Parameters
    ----------
    folder
        Of the result.

    Raises
    ------
    StoreError
        It was not kept, the metric gives none, or it is damaged.
    """
    import xarray as xr

    read_kept(folder, result, name)
    return xr.load_dataset(folder / "kept" / f"{name}.nc", engine="netcdf4")


#: what is made of the draws, and differs where their number does
_OF_DRAWS = ("error", "interval_low", "interval_high", "ceiled_low", "ceiled_high", "drop_low", "drop_high")


def refuse_other_values(path: Path, found: Result, again: Result, why: str = "for --keep") -> None:
    """Refuse arrays of a computation whose values are not those of the record.

    Parameters
    ----------
    why
        The cell was computed again.

    Raises
    ------
    StoreError
        They differ by more than ``TOLERANCE``.
    """
    different = different_values(found, again)
    if different:
        raise StoreError(
            f"Computed again {why}, the cell has other values than {path}: {shorten(different, 3)}. Nothing was "
            "kept, and the result is as it was. Another machine or other numbers of threads may be the reason: do it "
            "where the result was made, or score into another --out."
        )


def different_values(found: Result, again: Result, *, tolerance: float = TOLERANCE) -> list[str]:
    """Where summaries and regions of two computations of one cell differ; with a tolerance of 0, by any digit.

    Where they have different numbers of draws, what is made of the draws is not compared; and what is made of
    permutations, where they have different numbers of these.
    """
    left_out: Any = set(_OF_DRAWS) if found.n_draws != again.n_draws else set()
    left_out |= set(_OF_SIZE) if None in (_n_units(found), _n_units(again)) else set()  # older results lack them
    left_out |= set() if _permuted(found) == _permuted(again) else set(OF_NULL)
    before, now = (
        {
            "summary": item.summary and item.summary.model_dump(mode="json", exclude=left_out),
            "regions": {name: part.model_dump(mode="json", exclude=left_out) for name, part in item.regions.items()},
        }
        for item in (found, again)
    )
    return list(_differences(before, now, "", tolerance))


#: what older results do not say of the layer that is read out
_OF_SIZE = ("n_units", "dimensionality")


def _n_units(result: Result) -> int | None:
    return result.summary and result.summary.n_units


def _permuted(result: Result) -> tuple[str, int | None] | None:
    return result.summary and (result.summary.permuted, result.summary.most_permutations)


def _differences(one: Any, other: Any, where: str, tolerance: float) -> Iterator[str]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in dict.fromkeys((*one, *other)):
            yield from _differences(one.get(key), other.get(key), f"{where}.{key}" if where else str(key), tolerance)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for place, (first, second) in enumerate(zip(one, other, strict=True)):
            yield from _differences(first, second, f"{where}[{place}]", tolerance)
    elif not _equal(one, other, tolerance):
        yield f"{where} is {other} and was {one}"


def _equal(one: Any, other: Any, tolerance: float) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return isclose(one, other, rel_tol=tolerance, abs_tol=tolerance) or (one != one and other != other)
    return one == other
