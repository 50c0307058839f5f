"""Results as a row each with all that belongs to it, and the curves over layers: ``isocortex show --long``."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isocortex.display import number
from isocortex.errors import printable, shorten
from isocortex.results.drops import drop_text, notes_of_drop
from isocortex.results.false_discovery import chance_text, notes_of_chance, p_text, with_q
from isocortex.results.frames import row_name
from isocortex.results.selection import Selection, matches, require
from isocortex.results.sizes import HEADING as SIZE_HEADING, NOTE as SIZE_NOTE, size_text
from isocortex.results.tables import failures_of, warnings_of

if TYPE_CHECKING:
    from rich.console import Console

    from isocortex.results.result import Result

COLUMNS = (
    "model",
    "region",
    "value",
    "95 % interval",
    "ceiling",
    "ceiled",
    "layer",
    "rule",
    SIZE_HEADING,
    "n",
    "seed",
    "digest",
)
#: where chance was asked for
OF_CHANCE = ("calibrated (chance)", "p, q")
#: where stricter splits were asked for
OF_DROP = ("ordinary", "drop")


def print_long(results: Sequence[Result], chosen: Selection | None = None) -> None:
    """Print one table per benchmark, statistic and target, a row for each region; piped, 160 columns wide.

    Raises
    ------
    UsageError
        A region that no result has.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160)
    for (benchmark, statistic, target), group in _groups(_rows(results, chosen)):
        table = Table(
            title=escape(printable(f"{benchmark}: {statistic}, {target}")), title_justify="left", header_style="bold"
        )
        with_chance = any(row["permuted"] != "none" for row in group)
        with_drop = any(row["drop"] is not None for row in group)
        for name in (*COLUMNS, *(OF_CHANCE if with_chance else ()), *(OF_DROP if with_drop else ())):
            table.add_column(name, justify="right" if name in ("value", "ceiled") else "left", overflow="fold")
        for row, following in zip(group, [*group[1:], None], strict=True):
            cells = [*_cells(row), *(_chance(row) if with_chance else ()), *(_drop(row) if with_drop else ())]
            table.add_row(
                *(escape(printable(text)) for text in cells),
                end_section=following is not None and following["region"] != row["region"],
            )
        console.print(table)
        console.print(_legend(group), style="dim", highlight=False)
        _print_curves(console, curves_of(group))
    for text, names in warnings_of(results).items():
        _print_line(console, f"warning: {text} ({shorten(names, 3)})")
    for text in failures_of(results):
        _print_line(console, text)


def _rows(results: Sequence[Result], chosen: Selection | None) -> list[dict[str, Any]]:
    rows = with_q([row for result in results for row in result.rows() if row["status"] == "scored"])
    patterns = () if chosen is None else chosen.regions
    for pattern in patterns:
        require(pattern, [row_name(row["region"]) for row in rows], "region")
    return [row for row in rows if matches(row_name(row["region"]), patterns)]


def _print_line(console: Console, text: str) -> None:
    """A line as it is, however long, but for what a terminal would obey."""
    console.print(printable(text), markup=False, highlight=False, soft_wrap=True)


def _print_curves(console: Console, curves: Sequence[tuple[str, str]]) -> None:
    if not curves:
        return
    console.print("Curves over layers, none of them chosen; in brackets, how often a layer is read out:", style="dim")
    for model, curve in curves:
        _print_line(console, f"  {model}: {curve}")


def _groups(rows: Iterable[dict[str, Any]]) -> list[tuple[tuple[str, str, str], list[dict[str, Any]]]]:
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["benchmark"], row["statistic"], row["target"]), []).append(row)
    for group in groups.values():
        order = list(dict.fromkeys(row["region"] for row in group))
        group.sort(key=lambda row: (order.index(row["region"]), _rank(row)))
    return list(groups.items())


def _rank(row: dict[str, Any]) -> float:
    if row["value"] is None:
        return math.inf
    return row["value"] if row["better"] == "lower" else -row["value"]


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        f"{row['model']}@{row['variant']}",
        row_name(row["region"]) or "(no region)",
        number(row["value"]),
        f"{number(row['interval_low'])} … {number(row['interval_high'])}" if row["interval_low"] is not None else "–",
        _ceiling(row),
        number(row["ceiled"]),
        row["best_layer"],
        f"{row['layer_rule']} of {row['n_layers_searched']}" if row["n_layers_searched"] > 1 else row["layer_rule"],
        size_text(row),
        _counts(row),
        str(row["seed"]),
        row["digest"][:8],
    ]


def _chance(row: dict[str, Any]) -> list[str]:
    return [chance_text(row) or row["permuted"], p_text(row) or "–"]


def _drop(row: dict[str, Any]) -> list[str]:
    return [number(row["ordinary"]), drop_text(row) or "–"]


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
        *([f"{SIZE_HEADING}: {SIZE_NOTE}"] if any(row["n_units"] is not None for row in group) else []),
        *notes_of_drop(group),
        *notes_of_chance([row for row in group if row["region"] is None]),
        *(f"regions: {note}" for note in notes_of_chance([row for row in group if row["region"] is not None])),
    ]
    return "; ".join(parts)


# --- curves over layers -----------------------------------------------------------------------------------------------


def curve_text(layers: Sequence[Mapping[str, Any]]) -> str:
    """Name and value of every layer in processing order; the share of read-outs in brackets, where there are any.

    Parameters
    ----------
    layers
        Rows with "name", "value" (None where it is not defined) and "read_out", as in ``Summary.layers``.

    Examples
    --------
    >>> first = {"name": "conv1", "value": 0.31, "read_out": 0.0}
    >>> curve_text([first, {"name": "conv2", "value": 0.4, "read_out": 1.0}])
    'conv1 0.31, conv2 0.40 [100 %]'
    """
    return ", ".join(_point(layer) for layer in layers)


def _point(layer: Mapping[str, Any]) -> str:
    value = "–" if layer["value"] is None else f"{layer['value']:.2f}"
    share = f" [{100 * layer['read_out']:.0f} %]" if layer["read_out"] else ""
    return f"{layer['name']} {value}{share}"


def curves_of(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Model and curve of each row that stands for the whole target and has several layers.

    Parameters
    ----------
    rows
        As from ``Result.rows``.

    Examples
    --------
    >>> one = {"name": "pool", "value": 0.5, "read_out": 1.0}
    >>> curves_of([{"model": "m", "variant": "fixed", "region": None, "layers": [one]}])
    []
    """
    return [
        (f"{row['model']}@{row['variant']}", curve_text(row["layers"]))
        for row in rows
        if row["region"] is None and len(row["layers"]) > 1
    ]
