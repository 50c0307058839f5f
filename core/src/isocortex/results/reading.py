"""From a folder of results to tables and arrays: rows, curves over layers, raw scores, arrays that were kept.

``isocortex.results``, ``isocortex.layers``, ``isocortex.scores`` and ``isocortex.kept`` are what is here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.errors import StoreError, UsageError, shorten
from isocortex.files.digests import short
from isocortex.files.disk import home_expanded
from isocortex.results.frames import layers_frame, rows_frame
from isocortex.results.kept_arrays import open_kept
from isocortex.results.records import open_scores
from isocortex.results.result import Result, read_result, read_results
from isocortex.results.selection import Selection, full_name, selected_results, selected_rows
from isocortex.scoring.contract import KEEPABLE

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

#: letters of a digest that say which result is meant; tables show as many
FEWEST_LETTERS = 8


def results(
    folder: Path | str | Iterable[Result] = "results",
    *,
    models: str | Sequence[str] = (),
    benchmarks: str | Sequence[str] = (),
    regions: str | Sequence[str] = (),
) -> pd.DataFrame:
    """Results as a table: one row per model × benchmark × region, numbers as numbers, nothing nested.

    Parameters
    ----------
    folder
        A results folder, or what ``isocortex.score`` returned.
    models, benchmarks, regions
        Only these: IDs or globs; a model is ``ID``, ``ID@variant`` or ``ID@random:0..4``. The region of a whole result
        is "all". Cells that failed stay whatever region is asked for.

    Returns
    -------
    As ``isocortex.results.rows_frame``: ``value``, ``interval_low``, ``ceiling``, ``n_neuroids``, ``seed``, … typed;
    further measures in ``also_NAME``; ``status`` is "scored" or "failed", with the reason in ``failure``.

    Raises
    ------
    UsageError
        A name that is not among the results.
    StoreError
        No such folder.

    Examples
    --------
    >>> # isocortex.results("results", benchmarks="NH2015*", regions="all")[["model", "value", "interval_low"]]
    """
    chosen = Selection.of(benchmarks, models, regions)
    return selected_rows(rows_frame(_found(folder, chosen)), chosen.regions)


def layers(
    folder: Path | str | Iterable[Result] = "results",
    *,
    models: str | Sequence[str] = (),
    benchmarks: str | Sequence[str] = (),
    regions: str | Sequence[str] = (),
) -> pd.DataFrame:
    """The curves over layers as a table: one row per model × benchmark × region × layer, in processing order.

    Parameters
    ----------
    folder, models, benchmarks, regions
        As for ``isocortex.results``.

    Returns
    -------
    As ``isocortex.results.layers_frame``: ``layer``, ``place`` from 0, ``depth`` from 0 to 1, ``value`` of the layer
    alone, and ``read_out``, the share of splits and neuroids in which it is the one that is read out.

    Raises
    ------
    UsageError, StoreError
        As ``isocortex.results``.

    Examples
    --------
    >>> # isocortex.layers("results", models="wav2vec2*").pivot(index="layer", columns="region", values="value")
    """
    chosen = Selection.of(benchmarks, models, regions)
    return selected_rows(layers_frame(_found(folder, chosen)), chosen.regions)


def scores(result: Result | str, folder: Path | str = "results") -> xr.Dataset:
    """The raw scores of one result: of each layer, split and neuroid, with the draws of its interval.

    Parameters
    ----------
    result
        A result, or the first eight or more letters of its digest.
    folder
        The results folder that it lies in.

    Returns
    -------
    ``readout`` holds the measure at the layer that is read out, the variable of the measure's name (``r``, …) that of
    every layer, ``chosen`` the place of that layer, ``draws`` (row, draw) the bootstrap of each row of the result. Most
    metrics have the dims "layer", "split" and "neuroid", with the coordinates of the neuroids (``neuroid_id``,
    ``region``, ``subject``, …); ``test_stimulus_id`` names the stimuli that each split tests.

    Raises
    ------
    StoreError
        It is not in the folder, failed, or its scores are damaged.
    UsageError
        Letters that stand for no digest, or for several.

    Examples
    --------
    >>> # isocortex.scores(result)["readout"].mean("split").to_series()          # a value per neuroid
    >>> # isocortex.scores("3f2a9c01").readout.to_dataframe().reset_index()      # a row per split and neuroid
    """
    path, known = _place(result, folder)
    return open_scores(path.with_name("scores.nc"), known)


def kept(result: Result | str, name: str, folder: Path | str = "results") -> xr.Dataset:
    """An array that ``--keep`` kept beside a result, such as the predictions.

    Parameters
    ----------
    result, folder
        As for ``isocortex.scores``.
    name
        "prediction", "alpha" or "training_r2".

    Returns
    -------
    A Dataset that holds the array by that name. A prediction is that of the layers that are read out: of an encoding
    metric it has the dims ("split", "test", "neuroid"), and ``test_stimulus_id`` names its stimuli; of a geometric one
    ("pair",). The others are those of every layer, ("layer", "split", "neuroid").

    Raises
    ------
    StoreError
        It was not kept, its metric gives none, or it is damaged; the message says how to keep it.
    UsageError
        Another name, or as ``isocortex.scores``.

    Examples
    --------
    >>> # isocortex.kept(result, "prediction").prediction.sel(split=0).to_dataframe().reset_index()
    """
    if name not in KEEPABLE:
        raise UsageError(f"{name!r} is nothing that is kept. Expected one of {', '.join(KEEPABLE)}.")
    path, known = _place(result, folder)
    return open_kept(path.parent, known, name)


def _found(folder: Path | str | Iterable[Result], chosen: Selection) -> list[Result]:
    found = read_results(home_expanded(Path(folder))) if isinstance(folder, (str, Path)) else list(folder)
    return selected_results(found, chosen)


def _place(result: Result | str, folder: Path | str) -> tuple[Path, Result]:
    """Where a result lies, and what its record says now."""
    root = home_expanded(Path(folder))
    if isinstance(result, Result) and result.status == "failed":
        raise StoreError(
            f"{full_name(result)} × {result.benchmark} failed and has no scores: "
            f"{result.failure.message if result.failure else 'unknown'}"
        )
    digest = result.digest if isinstance(result, Result) else result
    if len(digest) < FEWEST_LETTERS or not digest.isalnum():
        raise UsageError(f"{digest!r} is no digest. Expected {FEWEST_LETTERS} letters of one or more, as tables show.")
    beginning = short(digest)
    paths = [path for path in sorted(root.rglob("result.json")) if path.parent.name.startswith(beginning)]
    if not paths:
        raise StoreError(f"No result in {root} has the digest {beginning}. Give the folder that it was scored into.")
    records = [(path, read_result(path)) for path in paths]
    if len({record.digest for _, record in records}) > 1:
        several = (f"{record.digest[:16]} ({full_name(record)} × {record.benchmark})" for _, record in records)
        raise UsageError(f"{digest!r} stands for several results: {shorten(several)}. Give more letters.")
    return records[0]
