"""A reproduced table in the width of a terminal: paper | ours | deviation | why, and notes below."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from isocortex.errors import printable

if TYPE_CHECKING:
    from rich.console import Console

    from isocortex_report.reproduce.recipe import Recipe
    from isocortex_report.reproduce.rows import Row
    from isocortex_report.reproduce.running import Reproduced

#: columns where no terminal says how many there are
WIDTH = 80


def console() -> Console:
    """Where tables are printed."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)


def print_reproduced(found: Reproduced) -> None:
    """Print a table, its notes, and how many numbers are within their tolerance."""
    from rich.markup import escape
    from rich.table import Table

    shown, notes = console(), _Notes()
    _print_head(shown, found.recipe, found.said)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("", overflow="fold", ratio=5)
    for name in ("paper", "ours", "deviation"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why", overflow="fold", ratio=4)
    for title, rows in groupby(found.rows, lambda row: row.part):
        several = list(rows)
        if len(several) == 1 and not several[0].number:
            table.add_row(escape(printable(title)), *_cells(several[0]), escape(_why(several[0], notes)))
            continue
        table.add_row(f"[bold]{escape(printable(title))}[/bold]")
        for row in several:
            table.add_row(f"  {escape(printable(row.number))}", *_cells(row), escape(_why(row, notes)))
    shown.print(table)
    for number, text in enumerate(notes.texts, start=1):
        shown.print(f"[{number}] {printable(text)}", markup=False, style="dim")
    shown.print(summary_line(found.rows), markup=False)


def _print_head(shown: Console, recipe: Recipe, said: Sequence[str]) -> None:
    shown.print(printable(recipe.title), style="bold", markup=False)
    for text in (recipe.paper, f"Numbers: {recipe.source}", recipe.about.strip(), *said):
        if text:
            shown.print(printable(text), markup=False)
    shown.print()


def _cells(row: Row) -> tuple[str, str, str]:
    """Published, ours and deviation as text.

    Examples
    --------
    >>> from isocortex_report.reproduce.rows import Row
    >>> _cells(Row("a", "r", "within", published=0.41, ours=0.4123, deviation=0.0023))
    ('0.4100', '0.4123', '+0.0023')
    """
    deviation = "–" if row.deviation is None else f"{row.deviation:+.4f}"
    return _number(row.published), _number(row.ours), deviation


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _why(row: Row, notes: _Notes) -> str:
    """The word of a row, what it is held against, and the number of its note."""
    words: str = row.status
    if row.status in ("within", "beyond"):
        words = f"{row.status} ±{row.tolerance:g}"
    if row.low is not None and row.high is not None and row.number == "difference":
        words = f"95 % {row.low:+.3f} … {row.high:+.3f}"
    return f"{words} [{notes.place(row.why)}]" if row.why else words


class _Notes:
    """Texts below a table, each once."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def place(self, text: str) -> int:
        """The number of a note, from 1; of a text of many lines its beginning and what to do."""
        text = shortened(text)
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1


def shortened(text: str) -> str:
    """The first line of a message, and those that say what to get or to run; ``--json`` has all of it.

    Examples
    --------
    >>> shortened("Weights of a/b are not here.\\nLooked for\\n  /data/b.pth\\nRun 'isocortex fetch -m a/b'.")
    "Weights of a/b are not here. Run 'isocortex fetch -m a/b'."
    """
    first, *others = text.splitlines()
    return " ".join([first, *(line for line in others if line.startswith(("Get ", "Run ", "Where ")))])


def summary_line(rows: Sequence[Row]) -> str:
    """How many numbers of each status there are.

    Examples
    --------
    >>> from isocortex_report.reproduce.rows import Row
    >>> summary_line([Row("a", "r", "within"), Row("a", "mse", "not run")])
    '1 of 1 judged number within its tolerance; 1 not run.'
    """
    counts = {status: sum(row.status == status for row in rows) for status in dict.fromkeys(row.status for row in rows)}
    n_within, n_beyond = counts.pop("within", 0), counts.pop("beyond", 0)
    n_judged = n_within + n_beyond
    judged = "No number was judged"
    if n_judged:
        several = n_judged > 1
        judged = (
            f"{n_within} of {n_judged} judged number{'s' * several} within {'their' if several else 'its'} tolerance"
        )
    return "; ".join([judged, *(f"{count} {status}" for status, count in counts.items())]) + "."


def print_recipes(found: Sequence[Recipe], faults: Sequence[str]) -> None:
    """Print what there is."""
    from rich.markup import escape
    from rich.table import Table

    shown = console()
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("recipe", no_wrap=True)
    table.add_column("numbers", justify="right", no_wrap=True)
    table.add_column("what it is", overflow="fold")
    for recipe in found:
        table.add_row(
            escape(recipe.id), str(recipe.n_published), escape(f"{printable(recipe.title)} ({recipe.package})")
        )
    shown.print(table)
    for fault in faults:
        shown.print(f"left out: {printable(fault)}", markup=False)
