"""Results as tidy tables: of summaries, participants, neuroids or splits, out of records and raw scores.

Memory: the table that is asked for, and the raw scores of one result at a time. A table of splits holds a row for every
layer, split and neuroid: 7,694 voxels, ten splits and nine layers are 0.7 million rows, about 150 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.errors import IsocortexError, StoreError, UsageError, shorten
from isocortex.results import Result, open_scores, row_name, rows_frame
from isocortex.scoring import region_rows
from isocortex_report.paper.tuckute_columns import is_theirs, with_their_columns
from isocortex_report.selection import score_files, scores_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from isocortex.typing import Array

_HEAD = ("benchmark", "model", "variant", "digest")
#: a mean over participants of stored single precision is the value of the record to this
_STORED = 2e-6


def level_frame(results: Sequence[Result], level: str, folder: Path | None, said: list[str]) -> pd.DataFrame:
    """The table of a level.

    Parameters
    ----------
    results
        Those that take part.
    level
        "summary", "participant", "neuroid" or "split".
    folder
        The results folder, which holds the raw scores.
    said
        Told which results have no rows, and why.

    Raises
    ------
    UsageError
        Another level, or no result has rows of it.
    """
    if level not in LEVELS:
        raise UsageError(f"{level!r} is no level. Expected one of {', '.join(LEVELS)}.")
    if level == "summary":
        return rows_frame(results)
    return _from_scores(results, LEVELS[level], folder, said)


def _from_scores(
    results: Sequence[Result], rows_of: Callable[..., pd.DataFrame], folder: Path | None, said: list[str]
) -> pd.DataFrame:
    import pandas as pd

    files = score_files(folder)
    parts: list[pd.DataFrame] = []
    for result in results:
        name = f"{result.model}@{result.variant} × {result.benchmark}"
        path = scores_of(files, result)
        if result.summary is None or path is None:
            why = "it failed" if result.summary is None else "its raw scores are not here"
            said.append(f"{name}: no rows, since {why}")
            continue
        try:
            part = rows_of(result, open_scores(path, result), folder, said)
        except IsocortexError as error:
            said.append(f"{name}: no rows. {error}")
            continue
        head = {column: getattr(result, column) for column in _HEAD}
        parts.append(part.assign(**head)[[*_HEAD, *(column for column in part.columns if column not in _HEAD)]])
    if not parts:
        raise UsageError(f"No result has rows of this level: {shorten(said, 3)}")
    whole = pd.concat(parts, ignore_index=True)
    texts = [name for name in whole if not pd.api.types.is_numeric_dtype(whole[name])]
    return whole.assign(**{str(name): whole[name].astype(object).where(whole[name].notna(), "") for name in texts})


# --- participants -----------------------------------------------------------------------------------------------------


def _participants(result: Result, scores: xr.Dataset, folder: Path | None, said: list[str]) -> pd.DataFrame:
    """A value per participant and region; their mean is the value of the record, or there are no rows."""
    import pandas as pd

    del folder
    rows: list[dict[str, Any]] = []
    for region, summary in [(None, result.summary), *result.regions.items()]:
        assert summary is not None
        if summary.target != "participant":
            raise StoreError(f"Its values are not those of participants but {summary.target}.")
        found = _by_participant(scores, None if region is None else _places(scores, region), summary.value)
        if found is None:
            if region is None:
                raise StoreError(f"How {result.metric} makes values of participants is not told by its raw scores.")
            said.append(f"{result.model} × {result.benchmark}: no participants of {region}")
            continue
        shared = {"region": row_name(region), "statistic": summary.statistic}
        rows += [{**shared, "subject": name, "value": value} for name, value in found.items()]
    return pd.DataFrame(rows)


def _by_participant(scores: xr.Dataset, places: Array | None, value: float | None) -> dict[str, float] | None:
    """Values whose mean is that of the record, by the ways in which metrics aggregate; None: none of them gives it."""
    if "readout" not in scores or value is None:
        return None
    readout = scores["readout"].astype(np.float64)
    if "subject" in readout.dims:
        candidates = [_over(readout, reduce) for reduce in (np.nanmean, np.nanmedian)]
        names = scores["subject"].values.astype(str).tolist()
        found = [dict(zip(names, one.values.tolist(), strict=True)) for one in candidates]
    elif "neuroid" in readout.dims and "subject" in readout.coords:
        readout = readout if places is None else readout.isel(neuroid=places)
        found = list(_of_neuroids(readout))
    else:
        return None
    return next((one for one in found if abs(float(np.nanmean(list(one.values()))) - value) <= _STORED), None)


def _over(readout: xr.DataArray, reduce: Callable[..., Any]) -> xr.DataArray:
    others = [dim for dim in readout.dims if dim != "subject"]
    return readout.reduce(reduce, others) if others else readout


def _of_neuroids(readout: xr.DataArray) -> Iterable[dict[str, float]]:
    """Median or mean over the neuroids of each participant, after or before the mean over splits or iterations."""
    subject = readout["subject"].values.astype(str)
    along = readout.transpose(..., "neuroid").values
    flat = along.reshape(-1, along.shape[-1])
    groups = {name: flat[:, subject == name] for name in dict.fromkeys(subject.tolist())}
    for within in (np.nanmedian, np.nanmean):
        yield {name: float(within(values.mean(axis=0))) for name, values in groups.items()}
        yield {name: float(np.mean(within(values, axis=1))) for name, values in groups.items()}


def _places(scores: xr.Dataset, region: str) -> Array | None:
    """Places of the neuroids of a row of a result: a region, or ``coordinate=region``."""
    names = [str(name) for name, item in scores.coords.items() if item.dims == ("neuroid",)]
    found = region_rows(scores, ["region"]) if "region" in names else {}
    coordinate, equals, value = region.partition("=")
    if equals and coordinate in names:
        return np.flatnonzero(scores[coordinate].values.astype(str) == value)
    return found.get(region)


# --- neuroids and splits ----------------------------------------------------------------------------------------------


def _neuroids(result: Result, scores: xr.Dataset, folder: Path | None, said: list[str]) -> pd.DataFrame:
    """A row per layer and neuroid: means over splits, and in how many splits the layer is the one that is read out."""
    if "neuroid" not in scores.dims:
        raise StoreError(f"{result.metric} has no value of single neuroids.")
    measures = [name for name in scores.data_vars if "neuroid" in scores[name].dims and "layer" in scores[name].dims]
    numbers = scores[measures].astype(np.float64)
    means = numbers.mean("split") if "split" in numbers.dims else numbers
    table = _flat(means.assign(read_out=_share_read_out(scores)), ("layer", "neuroid"))
    return with_their_columns(table, result, scores, folder, said) if is_theirs(result) else table


def _splits(result: Result, scores: xr.Dataset, folder: Path | None, said: list[str]) -> pd.DataFrame:
    """A row per layer, split and neuroid, or participant where the metric has no neuroids."""
    del folder, said
    dims = [dim for dim in ("layer", "split", "neuroid", "subject") if dim in scores.dims]
    if "split" not in dims:
        raise StoreError(f"{result.metric} has no splits of the stimuli, or keeps no values of them.")
    measures = [name for name in scores.data_vars if {"layer", "split"} <= set(scores[name].dims) <= set(dims)]
    return _flat(scores[measures].astype(np.float64), dims)


def _share_read_out(scores: xr.Dataset) -> xr.DataArray:
    """In which share of splits each layer is read out for each neuroid, (layer, neuroid)."""
    import xarray as xr

    chosen = scores["chosen"]
    if "neuroid" not in chosen.dims:
        chosen = chosen.expand_dims(neuroid=scores.sizes["neuroid"])
    along = chosen.transpose(..., "neuroid").values.reshape(-1, scores.sizes["neuroid"])
    shares = np.stack([(along == place).mean(axis=0) for place in range(scores.sizes["layer"])])
    return xr.DataArray(shares, dims=("layer", "neuroid"))


def _flat(scores: xr.Dataset, dims: Sequence[str]) -> pd.DataFrame:
    """Rows over some dims, with the coordinates along them, in the order of the dims."""
    import pandas as pd

    sizes = [scores.sizes[dim] for dim in dims]
    grid = np.indices(sizes).reshape(len(sizes), -1) if sizes else np.zeros((0, 1), dtype=int)
    columns: dict[str, Any] = {}
    for dim, places in zip(dims, grid, strict=True):
        own = [str(name) for name, item in scores.coords.items() if item.dims == (dim,)]
        columns |= {name: scores[name].values[places] for name in own}
        columns |= {dim: places} if not own else {}
    for name, values in scores.data_vars.items():
        inside = [dim for dim in dims if dim in values.dims]
        index = tuple(grid[list(dims).index(dim)] for dim in inside)
        columns[str(name)] = values.transpose(*inside).values[index]
    return pd.DataFrame(columns)


LEVELS: Mapping[str, Callable[..., Any]] = {
    "summary": rows_frame,
    "participant": _participants,
    "neuroid": _neuroids,
    "split": _splits,
}
