"""``isocortex show``: results as a table, JSON or CSV. Rows of different statistic or target never share a ranking."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from isocortex.results.curves import curves_of
from isocortex.results.result import Stage

if TYPE_CHECKING:
    from rich.console import Console

    from isocortex.results.result import Result

COLUMNS = ("model", "region", "value", "95 % interval", "ceiling", "ceiled", "layer", "rule", "n", "digest")


def print_json(results: Sequence[Result]) -> None:
    """A list with one object per model × benchmark (× region)."""
    print(json.dumps([row for result in results for row in result.rows()], indent=1))


def print_csv(results: Sequence[Result]) -> None:
    """The same rows as CSV; the curve over layers stays in JSON, and so do the stages of single participants."""
    import pandas as pd

    rows = [_with_flat_stage(row) for result in results for row in result.rows()]
    pd.DataFrame(rows).drop(columns=["layers", "also"], errors="ignore").to_csv(sys.stdout, index=False)


def _with_flat_stage(row: dict[str, Any]) -> dict[str, Any]:
    """``stage`` as its value, and its fields as stage_error, stage_procedure and so on."""
    if "stage" not in row:
        return row
    fields = row["stage"] or dict.fromkeys(Stage.model_fields)
    kept = {f"stage_{name}": value for name, value in fields.items() if name not in ("value", "participants")}
    return row | {"stage": fields["value"]} | kept


def print_table(results: Sequence[Result]) -> None:
    """One table per benchmark, statistic and target, best value first, and the failures below."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160)
    rows = [row for result in results for row in result.rows()]
    for (benchmark, statistic, target), group in _groups(row for row in rows if row["status"] == "scored"):
        table = Table(title=f"{benchmark}: {statistic}, {target}", title_justify="left", header_style="bold")
        for name in COLUMNS:
            table.add_column(name, justify="right" if name in ("value", "ceiled") else "left", overflow="fold")
        for row, following in zip(group, [*group[1:], None], strict=True):
            table.add_row(
                *map(escape, _cells(row)), end_section=following is not None and following["region"] != row["region"]
            )
        console.print(table)
        console.print(_legend(group), style="dim", highlight=False)
        _print_curves(console, curves_of(group))
    for row in rows:
        if row["status"] == "failed":
            console.print(
                f"failed: {row['model']}@{row['variant']} × {row['benchmark']}: {row['failure']}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )


def _print_curves(console: Console, curves: Sequence[tuple[str, str]]) -> None:
    if not curves:
        return
    console.print("Curves over layers, none of them chosen; in brackets, how often a layer is read out:", style="dim")
    for model, curve in curves:
        console.print(f"  {model}: {curve}", markup=False, highlight=False, soft_wrap=True)


def _groups(rows: Iterable[dict[str, Any]]) -> list[tuple[tuple[str, str, str], list[dict[str, Any]]]]:
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["benchmark"], row["statistic"], row["target"]), []).append(row)
    for group in groups.values():
        order = list(dict.fromkeys(row["region"] for row in group))
        group.sort(key=lambda row: (order.index(row["region"]), -(row["value"] if row["value"] is not None else -9)))
    return list(groups.items())


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        f"{row['model']}@{row['variant']}",
        "all" if row["region"] is None else row["region"] or "(no region)",
        number(row["value"]),
        f"{number(row['interval_low'])} … {number(row['interval_high'])}" if row["interval_low"] is not None else "–",
        _ceiling(row),
        number(row["ceiled"]),
        row["best_layer"],
        f"{row['layer_rule']} of {row['n_layers_searched']}" if row["n_layers_searched"] > 1 else row["layer_rule"],
        _counts(row),
        row["digest"][:8],
    ]


def number(value: float | None) -> str:
    """Three digits, or a dash.

    Examples
    --------
    >>> number(0.12345), number(None)
    ('0.123', '–')
    """
    return "–" if value is None else f"{value:.3f}"


def _ceiling(row: dict[str, Any]) -> str:
    if row["ceiling_lower"] is not None:
        return f"{number(row['ceiling_lower'])} … {number(row['ceiling_upper'])}"
    return number(row["ceiling"])


def _counts(row: dict[str, Any]) -> str:
    parts = [f"{row['n_stimuli']} stimuli"]
    if row["n_neuroids"] is not None:
        parts.append(f"{row['n_neuroids']}/{row['n_neuroids_total']} neuroids")
    if row["n_subjects"] is not None:
        parts.append(f"{row['n_subjects']} subjects")
    if row["n_null"]:
        parts.append(f"{row['n_null']} null")
    return ", ".join(parts)


def _legend(group: list[dict[str, Any]]) -> str:
    kinds = sorted({f"interval over {row['resampled']}" for row in group if row["resampled"] != "none"})
    ceilings = sorted({row["ceiling_estimator"] for row in group if row["ceiling_estimator"] != "none"})
    further = sorted({name for row in group for name in row["also"]})
    parts = [
        *kinds,
        *(f"ceiling: {name}" for name in ceilings),
        *([f"also in --json: {', '.join(further)}"] if further else []),
    ]
    return "; ".join(parts)
