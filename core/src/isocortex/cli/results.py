"""``isocortex show`` and ``isocortex compare``: what was computed, as tables, for programs and for papers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isocortex.cli.commands import FolderOrFile
from isocortex.errors import IsocortexError, StoreError, UsageError, shorten, suggest

if TYPE_CHECKING:
    from isocortex.results.result import Result
    from isocortex.results.sheets import Order

_Function = Callable[..., Any]
#: orders that are no field of a card; a region is one, too
_SORTS = ("value", "model")


def _chosen_options(function: _Function) -> _Function:
    """Options that say which results are meant."""
    for option in (
        click.option("--region", "regions", multiple=True, metavar="NAME", help="Only these; 'all' is the whole."),
        click.option("-m", "--model", "models", multiple=True, metavar="MODEL", help="Only these: ID[@VARIANT], glob."),
        click.option("-b", "--benchmark", "benchmarks", multiple=True, metavar="ID", help="Only these; globs too."),
    ):
        function = option(function)
    return function


def _form_options(function: _Function) -> _Function:
    """Options that say what is printed; one of them at most."""
    for name, text in (
        ("markdown", "The tables in Markdown."),
        ("latex", "The tables for LaTeX, with the package booktabs."),
        ("csv", "CSV to stdout: a row each, every field."),
        ("json", "JSON to stdout: every field."),
    ):
        function = click.option(f"--{name}", f"as_{name}", is_flag=True, help=text)(function)
    return function


def _form(options: dict[str, Any]) -> str:
    """The form that was asked for, "table" where none was."""
    asked = [name for name, given in options.items() if name.startswith("as_") and given]
    if len(asked) > 1:
        names = " and ".join(f"--{name.removeprefix('as_')}" for name in asked)
        raise UsageError(f"{names} were asked for at once. Expected one of them, or none for the table.")
    return asked[0].removeprefix("as_") if asked else "table"


@click.command()
@click.argument("results", type=FolderOrFile(), default=Path("results"))
@_chosen_options
@click.option("--by", metavar="FIELD", help="Group models by a field or tag of their cards: modality, family, year.")
@click.option("--sort", metavar="WHAT", help="value (default), model, a region, or a field of the models' cards.")
@click.option("--sizes", is_flag=True, help="Units and effective dimensionality of the layer that is read out, too.")
@click.option("--long", "as_long", is_flag=True, help="A row for each region, with all that belongs to it, and curves.")
@_form_options
def show(results: Path, by: str | None, sort: str | None, sizes: bool, **options: Any) -> None:
    """Show tables of results: models × regions, one table per benchmark, statistic and target.

    They are as wide as the terminal, or as the variable COLUMNS says, 80 at least. Nothing is ranked across them.
    """
    from isocortex.results.result import no_collection

    form = _form(options)
    if (by or sort) and form in ("long", "json", "csv"):
        raise UsageError(
            f"--by and --sort order the models of the table; with --{form} there is a row for each region."
        )
    with no_collection():
        _show(results, form, options, by, sort, sizes=sizes)


def _show(folder: Path, form: str, options: dict[str, Any], by: str | None, sort: str | None, *, sizes: bool) -> None:
    from isocortex.results import long_table, tables
    from isocortex.results.others import print_others
    from isocortex.results.result import read_results
    from isocortex.results.selection import Selection, selected_results

    found = read_results(folder)
    if not found:
        raise StoreError(f"{folder} holds no results yet. 'isocortex score' makes them.")
    chosen = Selection(options["benchmarks"], options["models"], options["regions"])
    kept = selected_results(found, chosen)
    if not kept:
        raise UsageError("No result is of these models and of these benchmarks. 'isocortex show' shows all.")
    plain = {"json": tables.print_json, "csv": tables.print_csv, "long": long_table.print_long}
    ordered = {"table": tables.print_table, "latex": tables.print_latex, "markdown": tables.print_markdown}
    if form in plain:
        plain[form](kept, chosen)
    else:
        ordered[form](kept, chosen, replace(_order(kept, by, sort), sizes=sizes))
    if form in ("table", "long"):
        print_others(folder, chosen.benchmarks, chosen.models)


@click.command()
@click.argument("results", type=FolderOrFile(), default=Path("results"))
@_chosen_options
@click.option("--against", metavar="MODEL", help="Compare each model with this one only, not every pair.")
@_form_options
def compare(results: Path, against: str | None, **options: Any) -> None:
    """Compare models on the same bootstrap draws: difference, interval, p, and q over all rows that are shown."""
    from isocortex.results import pair_tables
    from isocortex.results.paired import compare_results
    from isocortex.results.selection import Selection

    form = _form(options)
    chosen = Selection(options["benchmarks"], options["models"], options["regions"], against)
    printers = {
        "table": pair_tables.print_pairs,
        "json": pair_tables.print_pairs_json,
        "csv": pair_tables.print_pairs_csv,
        "latex": pair_tables.print_pairs_latex,
        "markdown": pair_tables.print_pairs_markdown,
    }
    printers[form](compare_results(results, chosen))


# --- fields of cards --------------------------------------------------------------------------------------------------


def _order(results: Sequence[Result], by: str | None, sort: str | None) -> Order:
    """How models are ordered; cards are looked up only where a field of theirs is asked for.

    Raises
    ------
    UsageError
        A field that no card of these models has, or a region that no result has.
    """
    from isocortex.results.frames import row_name
    from isocortex.results.sheets import Order

    regions = {row_name(region) for result in results if result.summary for region in (None, *result.regions)}
    of_card = sort is not None and sort not in (*_SORTS, *regions)
    if by is None and not of_card:
        return Order(sort or "value")
    fields = _fields(results)
    known = sorted({name for own in fields.values() for name in own})
    if by is not None and by not in known:
        raise UsageError(f"No card of these models has the field {by!r}.{suggest(by, known)} {_listed(known)}")
    if of_card and sort not in known:
        others = [*_SORTS, *sorted(regions), *known]
        raise UsageError(f"Models cannot be sorted by {sort!r}.{suggest(sort or '', others)} {_listed(others)}")
    return Order(sort or "value", by, fields)


def _listed(names: Sequence[str]) -> str:
    return f"There are {shorten(names, 40)}." if names else "No card of these models is installed."


def _fields(results: Sequence[Result]) -> dict[str, dict[str, object]]:
    """Model → fields of its card with its tags; models of which no card is installed are not there."""
    from isocortex.catalogue.rows import Catalogue
    from isocortex.cli.list import fields_of

    catalogue = Catalogue.discover()
    found: dict[str, dict[str, object]] = {}
    for model in dict.fromkeys(result.model for result in results):
        try:
            found[model] = fields_of(catalogue.find("model", model))
        except IsocortexError:
            continue
    return found
