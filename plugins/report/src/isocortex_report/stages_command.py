"""``isocortex stages``: which depth of a model predicts each region best, against a reference region."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from isocortex.errors import StoreError

if TYPE_CHECKING:
    from rich.console import Console

    from isocortex_report.stage_rows import Group, Row


@click.command(name="stages", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.argument("results", type=click.Path(path_type=Path), default=Path("results"))
@click.option("--from", "reference", metavar="REGION", help="Compare regions with this one; default: Primary.")
@click.option("-b", "--benchmark", "benchmarks", multiple=True, metavar="ID", help="Only these benchmarks; globs too.")
@click.option("-m", "--model", "models", multiple=True, metavar="MODEL", help="Only these: ID[@VARIANT] or glob.")
@click.option("--json", "as_json", is_flag=True, help="JSON to stdout.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV to stdout.")
def stages(
    results: Path,
    reference: str | None,
    benchmarks: tuple[str, ...],
    models: tuple[str, ...],
    as_json: bool,
    as_csv: bool,
) -> None:
    """Show how deep in each model the layer lies that predicts a region best: 0 is the first layer, 1 the last.

    One table per benchmark, procedure and kind of weights, with the published stages where there are any. Below each
    stage stands the difference to the reference region, over participants, and over models with Wilcoxon's test.
    """
    from isocortex.results import Selection, read_results, selected_results
    from isocortex_report.stage_tables import stage_tables

    found = selected_results(read_results(results), Selection(benchmarks, models))
    if not found:
        raise StoreError(f"{results} holds no results yet. 'isocortex score' makes them.")
    tables, without = stage_tables(found, reference)
    if as_json or as_csv:
        for line in dict.fromkeys(without):
            print(f"without a stage: {line}", file=sys.stderr)
    if as_json:
        print(json.dumps([row for rows in tables.values() for row in rows], indent=1))
    elif as_csv:
        _print_csv(row for rows in tables.values() for row in rows)
    else:
        _print_tables(tables, without)


# --- printing ---------------------------------------------------------------------------------------------------------


def _print_csv(rows: Iterable[Row]) -> None:
    from isocortex_report.stage_rows import COLUMNS

    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def _print_tables(tables: Mapping[Group, Sequence[Row]], without: Sequence[str]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160)
    for (benchmark, procedure, weights), rows in tables.items():
        shown = _shown_labels(rows)
        title = f"{benchmark}: stage, {procedure}; weights {weights}"
        table = Table(title=escape(title), title_justify="left", header_style="bold", show_lines=True)
        for name in ("model", *map(_short, shown)):
            table.add_column(escape(name), overflow="fold")
        lines: dict[tuple[str, str, str | None], dict[str, Row]] = {}
        for row in rows:
            # rows of one region over models may count different models, and are one line
            name = "mean over models" if row["kind"] == "mean" else str(row["model"])
            lines.setdefault((row["kind"], name, row["digest"]), {})[row["region"]] = row
        for (kind, name, digest), cells in lines.items():
            twice = any(row["reason"] for row in cells.values()) and kind == "model"
            label = f"{name} [{(digest or '')[:8]}]" if twice else f"published: {name}" if kind == "published" else name
            table.add_row(*map(escape, (label, *(_cell(cells.get(region)) for region in shown))))
        console.print(table)
        _print_legend(console, rows, shown)
    for line in without:
        console.print(f"no stage: {line}", markup=False, highlight=False, soft_wrap=True)


def _short(label: str) -> str:
    from isocortex_report.stage_rows import region_of

    return region_of(label)[1] or "(no region)"


def _shown_labels(rows: Sequence[Row]) -> list[str]:
    """The whole, and the regions of one coordinate: that of the reference, or else the first."""
    from isocortex_report.stage_rows import WHOLE, region_of

    labels = list(dict.fromkeys(row["region"] for row in rows if row["kind"] != "published"))
    compared = [row["reference"] for row in rows if row["reference"] is not None and row["kind"] != "published"]
    first = (compared or [label for label in labels if label != WHOLE] or [""])[0]
    inside = [label for label in labels if label != WHOLE and region_of(label)[0] == region_of(first)[0]]
    return [*([WHOLE] if WHOLE in labels else []), *inside]


def _cell(row: Row | None) -> str:
    if row is None:
        return "–"
    stage = f"{row['stage']:.3f}" + (f" ± {row['error']:.3f}" if row["error"] is not None else "")
    if row["predicted"] is False:
        stage = f"({stage})"
    if row["spread"] is not None:
        stage += f" [{row['spread']:.2f}]"
    lines = [stage]
    if row["difference"] is not None:
        error = f" ± {row['difference_error']:.3f}" if row["difference_error"] is not None else ""
        lines.append(f"{row['difference']:+.3f}{error}")
    if row["w"] is not None:
        lines.append(f"W {row['w']:g}, p {row['p']:.2g}")
    if row["p_normal"] is not None:
        lines.append(f"p {row['p_normal']:.2g} (normal)")
    if row["kind"] == "mean":
        lines.append(f"n {row['n_models']}")
    return "\n".join(lines)


def _print_legend(console: Console, rows: Sequence[Row], shown: Sequence[str]) -> None:
    own = [row for row in rows if row["kind"] != "published"]
    parts = ["0 first layer, 1 last", "± standard error over participants, or over models"]
    if any(row["spread"] is not None for row in own):
        parts.append("[spread over splits]")
    if any(row["predicted"] is False for row in own):
        parts.append("(not predicted: its interval reaches zero; left out of differences and means)")
    reference = next((row["reference"] for row in own if row["reference"] is not None), None)
    if reference is not None:
        parts.append(f"second line: less {_short(reference)}, paired over participants")
    if any(row["w"] is not None for row in own):
        parts.append("W, p: Wilcoxon signed rank over models, exact and by the normal approximation")
    parts += dict.fromkeys(row["reason"] for row in own if row["reason"] and row["region"] in shown)
    n_left = len({row["region"] for row in own} - set(shown))
    if n_left:
        parts.append(f"{n_left} more regions in --json and --csv")
    console.print("; ".join(parts), style="dim", highlight=False, markup=False)
    for source in dict.fromkeys(row["source"] for row in rows if row["source"]):
        console.print(f"published: {source}", style="dim", highlight=False, markup=False)
