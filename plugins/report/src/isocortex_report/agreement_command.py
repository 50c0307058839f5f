"""``isocortex agreement``: whether benchmarks and metrics put the same models in the same order."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isocortex.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from isocortex_report.rank_agreement import Agreement, Averages


@click.command(name="agreement", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.argument("results", type=click.Path(path_type=Path), default=Path("results"))
@click.option("-b", "--benchmark", "benchmarks", multiple=True, metavar="ID", help="Only these benchmarks; globs too.")
@click.option("-m", "--model", "models", multiple=True, metavar="MODEL", help="Only these: ID[@VARIANT] or glob.")
@click.option("--region", "regions", multiple=True, metavar="NAME", help="Of these rows; default: 'all', the whole.")
@click.option("--also", is_flag=True, help="Further measures of each benchmark are rankings, too.")
@click.option("--controls", is_flag=True, help="Untrained, permuted and label models count as models, too.")
@click.option("--json", "as_json", is_flag=True, help="JSON to stdout: every field.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV to stdout: a row for each pair, every field.")
def agreement(results: Path, regions: tuple[str, ...], as_json: bool, as_csv: bool, **chosen: Any) -> None:
    """Show whether benchmarks and metrics put the same models in the same order: Kendall's tau-b and Spearman's rho.

    Each pair of benchmarks (or of metrics on one data set) over the models that both have, five at least; with how
    many these are, and 95 % intervals over families of models. Nothing is averaged over different models.
    """
    from isocortex_report.rank_agreement import agreement as found_in

    if as_json and as_csv:
        raise UsageError("Give --json or --csv, not both.")
    found = found_in(results, regions=regions or ("all",), **chosen)
    if as_json or as_csv:
        for text in found.said:
            print(text, file=sys.stderr)
    if as_json:
        print(json.dumps(json.loads(found.frame.to_json(orient="records", double_precision=15)), indent=1))
    elif as_csv:
        found.frame.to_csv(sys.stdout, index=False, lineterminator="\n")
    else:
        _print_tables(found)


# --- printing ---------------------------------------------------------------------------------------------------------


def _print_tables(found: Agreement) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from isocortex_report.figures.material import records

    console = Console(width=None if sys.stdout.isatty() else 160)
    for region, part in found.frame.groupby("region", sort=False):
        title = f"Agreement on the order of models, {region}"
        table = Table(title=escape(title), title_justify="left", header_style="bold")
        for name in ("benchmark", "and", "tau-b [95 %]", "rho [95 %]", "models"):
            table.add_column(name, overflow="fold")
        rows = records(part)
        for row, following in zip(rows, [*rows[1:], None], strict=True):
            ends = following is not None and following["benchmark_a"] != row["benchmark_a"]
            table.add_row(*map(escape, _cells(row)), end_section=ends)
        console.print(table)
        _print_averages(console, found.averages[str(region)])
    console.print(
        "tau-b: Kendall's; rho: Spearman's; over the models that both have, larger values the better ones (errors are "
        "turned). Brackets: 95 % interval over families of models, – where there is none.",
        style="dim", highlight=False,
    )  # fmt: skip
    for text in found.said:
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def _cells(row: dict[str, Any]) -> list[str]:
    names = [f"{row[f'benchmark_{side}']}, {row[f'statistic_{side}']}" for side in "ab"]
    if row["reason"]:
        return [*names, "–", "–", row["reason"]]
    return [*names, _with_interval(row, "tau_b"), _with_interval(row, "rho"), _models(row)]


def _with_interval(row: dict[str, Any], name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{row[name]:.2f} " + ("[–]" if low != low else f"[{low:.2f}, {high:.2f}]")


def _models(row: dict[str, Any]) -> str:
    """How many models, of how many families, and how many each side has where these are more."""
    text = f"{row['n_models']} of {row['n_families']} families"
    sides = [row["n_models_a"], row["n_models_b"]]
    return text if sides == [row["n_models"]] * 2 else f"{text} ({sides[0]} and {sides[1]} alone)"


def _print_averages(console: Console, averages: Averages) -> None:
    if averages.n_rankings < 3:
        return
    shared = f"{averages.n_models} models that all {averages.n_rankings} have"
    if not averages.rows:
        text = f"No mean over pairs: it would need five models that all have and that differ in all; here {shared}."
        console.print(text, highlight=False, soft_wrap=True)
        return
    console.print(f"Mean with all others, over the {shared}:", highlight=False)
    for name, tau, rho in averages.rows:
        console.print(f"  {name}: tau-b {tau:.2f}, rho {rho:.2f}", markup=False, highlight=False, soft_wrap=True)
