"""Commands that show what is installed and what was computed: info, check, show, compare.

What they need is imported when they run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from isocortex.errors import EXIT_FAILED, StoreError

if TYPE_CHECKING:
    from isocortex.testing import CheckOutcome


@click.command()
@click.argument("identity", metavar="ID")
def info(identity: str) -> None:
    """Show a card, with licence, citation, published scores, and ceilings where the data are here."""
    from isocortex.cli.info import describe

    print(describe(identity))


@click.command()
@click.argument("what", required=False, metavar="[PLUGIN|ID]")
@click.option("--json", "as_json", is_flag=True, help="JSON to stdout.")
def check(what: str | None, as_json: bool) -> None:
    """Run the conformance kit on a plugin, an ID, or everything installed."""
    from isocortex.testing import run_checks

    outcomes = run_checks(what, report=None if as_json else _print_outcome)
    if as_json:
        print(json.dumps([vars(outcome) for outcome in outcomes], indent=1, default=str))
    sys.exit(EXIT_FAILED if any(outcome.status == "failed" for outcome in outcomes) else 0)


def _print_outcome(outcome: CheckOutcome) -> None:
    print(f"{outcome.status:8} {outcome.id}{': ' if outcome.message else ''}{outcome.message}", flush=True)


@click.command()
@click.argument("results", type=click.Path(path_type=Path), default=Path("results"))
@click.option("--json", "as_json", is_flag=True, help="JSON to stdout.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV to stdout.")
def show(results: Path, as_json: bool, as_csv: bool) -> None:
    """Show the table of results; rows of different statistic or target are never ranked together."""
    from isocortex.results.result import read_results
    from isocortex.results.tables import print_csv, print_json, print_table

    found = read_results(results)
    if not found:
        raise StoreError(f"{results} holds no results yet. 'isocortex score' makes them.")
    printer = print_json if as_json else print_csv if as_csv else print_table
    printer(found)


@click.command()
@click.argument("results", type=click.Path(path_type=Path), default=Path("results"))
@click.option("-b", "--benchmark", "benchmarks", multiple=True, metavar="ID", help="Only these benchmarks; globs too.")
@click.option("-m", "--model", "models", multiple=True, metavar="MODEL", help="Only these: ID[@VARIANT] or glob.")
@click.option("--region", "regions", multiple=True, metavar="NAME", help="Only these regions; 'all' is the whole.")
@click.option("--against", metavar="MODEL", help="Compare each model with this one only, not every pair.")
@click.option("--json", "as_json", is_flag=True, help="JSON to stdout.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV to stdout.")
def compare(results: Path, as_json: bool, as_csv: bool, against: str | None, **names: tuple[str, ...]) -> None:
    """Compare models on the same bootstrap draws: difference, interval, p, and q over all rows that are shown."""
    from isocortex.results.paired import Selection, compare_results
    from isocortex.results.tables import print_pairs, print_pairs_csv, print_pairs_json

    table = compare_results(results, Selection(against=against, **names))
    printer = print_pairs_json if as_json else print_pairs_csv if as_csv else print_pairs
    printer(table)
