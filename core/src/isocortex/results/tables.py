"""Results and compared pairs as tables, JSON or CSV. Rows of different statistic or target never share a ranking."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.errors import printable, shorten, without_credentials
from isocortex.results.frames import row_name
from isocortex.results.paired import FEW_PARTICIPANTS
from isocortex.scoring.stages import Stage

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from isocortex.results.result import Result

COLUMNS = ("model", "region", "value", "95 % interval", "ceiling", "ceiled", "layer", "rule", "n", "seed", "digest")


def print_json(results: Sequence[Result]) -> None:
    """A list with one object per model × benchmark (× region)."""
    print(without_credentials(json.dumps([row for result in results for row in result.rows()], indent=1)))


def print_csv(results: Sequence[Result]) -> None:
    """The same rows as CSV; the curve over layers stays in JSON, and so do the stages of single participants."""
    import pandas as pd

    flat = [
        _with_flat_stage(row) | {"warnings": " ".join(row.get("warnings", ()))}
        for result in results
        for row in result.rows()
    ]
    rows = [{key: printable(value) if isinstance(value, str) else value for key, value in row.items()} for row in flat]
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
        table = Table(
            title=escape(printable(f"{benchmark}: {statistic}, {target}")), title_justify="left", header_style="bold"
        )
        for name in COLUMNS:
            table.add_column(name, justify="right" if name in ("value", "ceiled") else "left", overflow="fold")
        for row, following in zip(group, [*group[1:], None], strict=True):
            table.add_row(
                *(escape(printable(text)) for text in _cells(row)),
                end_section=following is not None and following["region"] != row["region"],
            )
        console.print(table)
        console.print(_legend(group), style="dim", highlight=False)
        _print_curves(console, curves_of(group))
    for text, names in _warnings_of(results).items():
        _print_line(console, f"warning: {text} ({shorten(names, 3)})")
    for row in rows:
        if row["status"] == "failed":
            _print_line(console, f"failed: {row['model']}@{row['variant']} × {row['benchmark']}: {row['failure']}")


def _print_line(console: Console, text: str) -> None:
    """A line as it is, however long, but for what a terminal would obey."""
    console.print(printable(text), markup=False, highlight=False, soft_wrap=True)


def _warnings_of(results: Sequence[Result]) -> dict[str, list[str]]:
    """Each warning of the results, and the cells that keep it."""
    found: dict[str, list[str]] = {}
    for result in results:
        for text in result.warnings:
            found.setdefault(text, []).append(f"{result.model}@{result.variant} × {result.benchmark}")
    return found


def tally(results: Sequence[Result], left_out: Sequence[str] = ()) -> str:
    """One line that says what was computed, cached, failed and left out."""
    failed = sum(result.status == "failed" for result in results)
    cached = sum(result.cached for result in results)
    computed = len(results) - cached - failed
    rest = f", {len(left_out)} pairs left out (another modality)" if left_out else ""
    return f"{len(results)} cells: {computed} computed, {cached} cached, {failed} failed{rest}"


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
        group.sort(key=lambda row: (order.index(row["region"]), -(row["value"] if row["value"] is not None else -9)))
    return list(groups.items())


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
        _counts(row),
        str(row["seed"]),
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


# --- pairs of models --------------------------------------------------------------------------------------------------


def print_pairs_json(table: pd.DataFrame) -> None:
    """A list with one object per pair, and per row that could not be compared."""
    rows = [{key: _plain(value) for key, value in row.items()} for row in table.to_dict("records")]
    print(json.dumps(rows, indent=1))


def _plain(value: Any) -> Any:
    import pandas as pd

    if pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def print_pairs_csv(table: pd.DataFrame) -> None:
    """The same rows as CSV."""
    table.to_csv(sys.stdout, index=False)


def print_pairs(table: pd.DataFrame) -> None:
    """One table per benchmark, statistic and target, and below what could not be compared."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160)
    rows = [{str(key): _plain(value) for key, value in row.items()} for row in table.to_dict("records")]
    names = _pair_labels(tested := [row for row in rows if row["p"] is not None])
    for key in dict.fromkeys((row["benchmark"], row["statistic"], row["target"]) for row in tested):
        shown = Table(
            title=escape(printable(f"{key[0]}: {key[1]}, {key[2]}")), title_justify="left", header_style="bold"
        )
        for name in ("model a", "model b", "region", "a", "b", "a − b", "95 % interval", "p", "q", "seed"):
            shown.add_column(
                name, justify="right" if name in ("a", "b", "a − b", "p", "q", "seed") else "left", overflow="fold"
            )
        for row in tested:
            if (row["benchmark"], row["statistic"], row["target"]) == key:
                shown.add_row(*(escape(printable(text)) for text in _pair_cells(row, names)))
        console.print(shown)
    console.print(_pair_legend(tested), style="dim", highlight=False)
    for row in rows:
        if row["reason"] is not None:
            where = f"{row['model_a']} × {row['benchmark']}{' ' + row['region'] if row['region'] else ''}"
            _print_line(console, f"not comparable: {where}: {row['reason']}")


def _pair_labels(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Digest → name of the model, with the digest where one name has several on a benchmark."""
    named = {row[f"digest_{side}"]: row[f"model_{side}"] for row in rows for side in "ab"}
    per_benchmark = {(row["benchmark"], row[f"model_{side}"], row[f"digest_{side}"]) for row in rows for side in "ab"}
    places = [(benchmark, name) for benchmark, name, _ in per_benchmark]
    twice = {name for benchmark, name in places if places.count((benchmark, name)) > 1}
    return {digest: f"{name} [{digest[:8]}]" if name in twice else name for digest, name in named.items()}


def _pair_cells(row: dict[str, Any], names: dict[str, str]) -> list[str]:
    return [
        names[row["digest_a"]],
        names[row["digest_b"]],
        row_name(row["region"]) or "''",
        number(row["value_a"]),
        number(row["value_b"]),
        number(row["difference"]),
        f"{number(row['interval_low'])} … {number(row['interval_high'])}",
        number(row["p"]),
        number(row["q"]),
        str(row["seed"]),
    ]


def _pair_legend(rows: Sequence[dict[str, Any]]) -> str:
    floor = max(2 / (row["n_draws"] + 1) for row in rows)
    kinds = sorted({f"draws over {row['resampled']}" for row in rows})
    parts = [*kinds, f"p ≥ {floor:.3f}", f"q: Benjamini-Hochberg over these {len(rows)} tests"]
    needed = int(np.ceil(round(len(rows) * floor / 0.05, 9)))
    if needed > 1:
        parts.append(f"q ≤ 0.05 needs at least {needed} tests at the smallest p: compare fewer, or with --against")
    people = [row["n_subjects"] for row in rows if "participants" in row["resampled"]]
    if people and min(people) < FEW_PARTICIPANTS:
        parts.append(f"{min(people)} participants are few: p and intervals come out too small (docs: comparing models)")
    if any(row["layer_rule_a"] == "optimistic" and row["n_layers_a"] != row["n_layers_b"] for row in rows):
        parts.append("layers chosen optimistically among different numbers of layers: the larger number is favoured")
    return "; ".join(parts)
