"""Stages of many results as tables: rows of models and their means, and what was published beside them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import isocortex
from isocortex.errors import IsocortexError, UsageError, shorten, suggest
from isocortex.results import Result, Selection, read_results, selected_results
from isocortex_report.stage_rows import (
    COLUMNS,
    PERMUTED,
    PRIMARY,
    RANDOM,
    WHOLE,
    Entry,
    Group,
    Row,
    entries_of,
    reference_label,
    rows_of,
)

if TYPE_CHECKING:
    import pandas as pd

    from isocortex.interfaces import BenchmarkCard

_COUNTS = ("n_subjects", "n_layers", "n_paired", "n_models")
_NUMBERS = ("stage", "error", "spread", "agreement", "tied", "difference", "difference_error", "w", "p", "p_normal")


def stages(
    results: Path | str | Iterable[Result] = "results",
    *,
    models: str | Sequence[str] = (),
    benchmarks: str | Sequence[str] = (),
    reference: str | None = None,
) -> pd.DataFrame:
    """How deep in each model the layer lies that predicts a region best, as ``isocortex stages`` shows it.

    Parameters
    ----------
    results
        A results folder, or what ``isocortex.score`` returned.
    models, benchmarks
        Only these: IDs or globs; a model is ``ID`` or ``ID@variant``.
    reference
        Compare regions with this one; default: Primary.

    Returns
    -------
    One row per model and region (``kind`` "model"), per region over models ("mean"), and per published stage
    ("published"); a result without a stage is one row ("none") with its ``reason``. ``stage`` is 0 for the first layer
    and 1 for the last, ``error`` its standard error, ``difference`` that to the reference region.

    Raises
    ------
    UsageError
        A name that is not among the results, or no result has a stage.
    StoreError
        No such folder.

    Examples
    --------
    >>> # isocortex_report.stages("results").query("kind == 'model'")[["model", "region", "stage", "error"]]
    """
    import pandas as pd

    found = read_results(Path(results).expanduser()) if isinstance(results, (str, Path)) else list(results)
    chosen = selected_results(found, Selection.of(benchmarks, models))
    tables, _ = stage_tables(chosen, reference)
    rows = [row for table in tables.values() for row in table]
    rows += [
        dict.fromkeys(COLUMNS)
        | {"benchmark": one.benchmark, "kind": "none", "model": f"{one.model}@{one.variant}", "digest": one.digest}
        | {"reason": _why_none(one)}
        for one in chosen
        if not _has_stage(one)
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    types = {**dict.fromkeys(_COUNTS, "Int64"), **dict.fromkeys(_NUMBERS, "float64"), "predicted": "boolean"}
    return frame.astype(types)


def stage_tables(results: Sequence[Result], reference: str | None) -> tuple[dict[Group, list[Row]], list[str]]:
    """Rows of each table, with published stages, and why results have none.

    Parameters
    ----------
    reference
        The region that others are compared with; None: "Primary", where there is one.

    Raises
    ------
    UsageError
        No result has a stage, or none has the region.
    """
    groups = entries_of(results)
    without = [_why_none(result) for result in results if result.summary is None or not _has_stage(result)]
    if not groups:
        raise UsageError(f"No result has a stage. {shorten(dict.fromkeys(without), 3)}")
    labels = [label for entries in groups.values() for entry in entries for label in entry.stages if label != WHOLE]
    if reference is not None and reference_label(labels, reference) is None:
        known = list(dict.fromkeys(labels))
        raise UsageError(
            f"No result has the region {reference!r}.{suggest(reference, known)} "
            f"There are {shorten(known, 8) or 'none'}."
        )
    tables = {
        group: [*rows_of(group, entries, reference or PRIMARY), *_published(group, entries)]
        for group, entries in groups.items()
    }
    return tables, without


def _has_stage(result: Result) -> bool:
    parts = [*([result.summary] if result.summary is not None else []), *result.regions.values()]
    return any(part.stage is not None for part in parts)


def _why_none(result: Result) -> str:
    name = f"{result.model}@{result.variant} × {result.benchmark}"
    if result.summary is None:
        return f"{name}: failed: {result.failure.message if result.failure else 'unknown'}"
    if result.summary.n_layers_searched == 1:
        return f"{name}: a single layer"
    return f"{name}: the metric {result.metric!r} gives none, or an older version scored it: score it again"


def _published(group: Group, entries: Sequence[Entry]) -> list[Row]:
    """Published stages of the benchmark, if they were found by the same procedure with weights of the same kind."""
    benchmark, procedure, weights = group
    card = _card(benchmark)
    if card is None or not card.published or weights == RANDOM:
        return []
    with (card.folder / card.published).open(newline="", encoding="utf-8") as file:
        listed = [row for row in csv.DictReader(file) if ("(permuted" in row["model"]) == (weights == PERMUTED)]
    p_values = {row["region"]: float(row["value"]) for row in listed if _is_about(row, f"p of stage, {procedure}:")}
    labels = list(dict.fromkeys(label for entry in entries for label in entry.stages))
    rows: list[Row] = []
    for row in (row for row in listed if _is_about(row, f"stage, {procedure}:")):
        region = row["region"]
        found: Row = {
            "benchmark": benchmark,
            "procedure": procedure,
            "weights": weights,
            "kind": "published",
            "model": row["model"],
            "region": reference_label(labels, region) or region,
            "stage": float(row["value"]),
            "p_normal": p_values.get(region),
            "reference": PRIMARY if region in p_values else None,
            "source": row["source"],
        }
        rows.append(dict.fromkeys(COLUMNS) | found)
    return rows


def _is_about(row: Mapping[str, str], statistic: str) -> bool:
    return row["statistic"].startswith(statistic)


def _card(benchmark: str) -> BenchmarkCard | None:
    """The card of an installed benchmark."""
    from isocortex.interfaces import BenchmarkCard

    try:
        card = isocortex.load_card("benchmark", benchmark)
    except IsocortexError:
        return None
    return card if isinstance(card, BenchmarkCard) else None
