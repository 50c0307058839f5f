"""``isocortex dimensionality``: along how many directions the activations of each layer vary."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import pandas as pd


@click.command(
    name="dimensionality", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120}
)
@click.option("-m", "--model", required=True, metavar="MODEL", help="ID[@VARIANT], or activations:FOLDER.")
@click.option("--stimuli", required=True, metavar="ID|FOLDER", help="Stimulus set, or a folder of sounds or images.")
@click.option("--layers", multiple=True, metavar="GLOB", help="Layer names or patterns; default: the card's layers.")
@click.option("--reduction", default="flatten", show_default=True, help="For example time-mean, spatial-mean.")
@click.option("--json", "as_json", is_flag=True, help="JSON to stdout.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV to stdout.")
def dimensionality(
    model: str, stimuli: str, layers: tuple[str, ...], reduction: str, as_json: bool, as_csv: bool
) -> None:
    """Show the effective dimensionality of every layer of a model on a set of stimuli; no brain is involved.

    It is the participation ratio of the variances, (sum of eigenvalues)² / sum of their squares, at most the number of
    stimuli less one. "units" is the usual definition, the others are those of Tuckute et al. 2023.
    """
    import isocortex
    from isocortex.errors import UsageError
    from isocortex.scoring import dimensionality_table

    if as_json and as_csv:
        raise UsageError("Give --json or --csv, not both.")
    activations = isocortex.extract(model, stimuli, reduction=reduction, layers=layers)
    table = dimensionality_table(activations)
    if as_json:
        print(table.reset_index().to_json(orient="records", double_precision=15, indent=1))
    elif as_csv:
        table.to_csv(sys.stdout, lineterminator="\n")
    else:
        _print_table(table, f"{model}: effective dimensionality on {stimuli}, {reduction}")


def _print_table(table: pd.DataFrame, title: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = Table(title=escape(title), title_justify="left", header_style="bold")
    shown.add_column("layer", overflow="fold")
    for name in table.columns:
        shown.add_column(str(name), justify="right")
    for layer, row in table.iterrows():
        cells = [f"{row[name]:.0f}" if str(name).startswith("n_") else _cell(row[name]) for name in table.columns]
        shown.add_row(escape(str(layer)), *cells)
    Console(width=None if sys.stdout.isatty() else 160).print(shown)


def _cell(value: float) -> str:
    """A number; a dash where nothing varies."""
    return "–" if value != value else f"{value:.2f}"
