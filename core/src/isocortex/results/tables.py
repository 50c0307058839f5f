"""Results as tables: models × regions within the width of the terminal, and the same in LaTeX and Markdown.

JSON and CSV hold every field. Rows of different statistic or target never share a table.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from isocortex.errors import printable, shorten, without_credentials
from isocortex.results.csv_texts import csv_frame
from isocortex.results.false_discovery import with_q
from isocortex.results.frames import row_name, rows_frame
from isocortex.results.selection import Selection, full_name, matches, require
from isocortex.results.sheet_layout import MOST_BLOCKS, layout_of, sheet_lines
from isocortex.results.sheets import Order, Sheet, shared_notes, sheets_of
from isocortex.results.terminal import Piece, Printer, one_line, width_of
from isocortex.results.typeset import latex, markdown, tables_of_sheets

if TYPE_CHECKING:
    import pandas as pd

    from isocortex.results.result import Result


def print_table(results: Sequence[Result], chosen: Selection | None = None, order: Order | None = None) -> None:
    """Print one table per benchmark, statistic and target: models × regions, best value first, in the given width.

    What is the same for all rows is said once; below stand warnings and failures.

    Parameters
    ----------
    results
        Those of the benchmarks and models that are shown.
    chosen
        Its regions are shown; none: as many as there is place for, and the names of the others.
    order
        How models are sorted and grouped.

    Raises
    ------
    UsageError
        A region that no result has.
    """
    printer = Printer()
    sheets = sheets_of(results, chosen, order)
    shared = shared_notes(sheets)
    for place, sheet in enumerate(sheets):
        if place:
            printer.line()
        _print_sheet(printer, sheet, shared, all_regions=bool(chosen and chosen.regions))
    if sheets and shared:
        if len(sheets) > 1:
            printer.line()
        printer.sentences(shared)
    for text, names in warnings_of(results).items():
        printer.sentence(f"warning: {text} ({shorten(names, 3)})")
    for text in failures_of(results):
        printer.sentence(text)


def _print_sheet(printer: Printer, sheet: Sheet, shared: Sequence[str], *, all_regions: bool) -> None:
    print_title(printer, sheet.benchmark, ", ".join(sheet.facts))
    layout = layout_of(sheet, printer.width, most_blocks=None if all_regions else MOST_BLOCKS)
    for line in sheet_lines(sheet, layout):
        printer.line(*line)
    more = layout.left_out
    left_out = [f"{len(more)} more regions, with --region NAME or --long: {shorten(more, 6)}"] if more else []
    printer.sentences([*left_out, *(note for note in sheet.notes if note not in shared)])


def print_title(printer: Printer, benchmark: str, facts: str) -> None:
    """What a table is about, in one line where that fits."""
    title = one_line(benchmark)
    if width_of(title) + 2 + width_of(facts) <= printer.width:
        printer.line(Piece(title, "bold"), Piece(f"  {facts}"))
    else:
        printer.sentence(title, "bold")
        printer.sentence(facts, indent=0)


def failures_of(results: Sequence[Result]) -> list[str]:
    """A sentence for each cell that failed.

    Examples
    --------
    >>> failures_of([])
    []
    """
    return [
        f"failed: {full_name(result)} × {result.benchmark}: {result.failure.message if result.failure else 'unknown'}"
        for result in results
        if result.summary is None
    ]


def warnings_of(results: Sequence[Result]) -> dict[str, list[str]]:
    """Each warning of the results, and the cells that keep it.

    Examples
    --------
    >>> warnings_of([])
    {}
    """
    found: dict[str, list[str]] = {}
    for result in results:
        for text in result.warnings:
            found.setdefault(text, []).append(f"{full_name(result)} × {result.benchmark}")
    return found


def tally(results: Sequence[Result], left_out: Sequence[str] = ()) -> str:
    """One line that says what was computed, cached, failed and left out."""
    failed = sum(result.status == "failed" for result in results)
    cached = sum(result.cached for result in results)
    computed = len(results) - cached - failed
    rest = f", {len(left_out)} pairs left out (another modality)" if left_out else ""
    return f"{len(results)} cells: {computed} computed, {cached} cached, {failed} failed{rest}"


# --- for programs and papers ------------------------------------------------------------------------------------------


def print_json(results: Sequence[Result], chosen: Selection | None = None) -> None:
    """Print a list with one object per model × benchmark (× region)."""
    rows = with_q([row for result in results for row in result.rows()])
    patterns = () if chosen is None else chosen.regions
    for pattern in patterns:
        require(pattern, [row_name(row["region"]) for row in rows if row["status"] == "scored"], "region")
    kept = [row for row in rows if row["status"] == "failed" or matches(row_name(row["region"]), patterns)]
    print(without_credentials(json.dumps(kept, indent=1)))


def print_csv(results: Sequence[Result], chosen: Selection | None = None) -> None:
    """Print ``rows_frame`` as CSV: one row per model × benchmark × region, the whole as "all".

    Texts that a spreadsheet would take for a formula begin with an apostrophe.
    """
    frame = rows_frame(results)
    for pattern in () if chosen is None else chosen.regions:
        require(pattern, frame["region"][frame["status"] == "scored"], "region")
    if chosen is not None and chosen.regions:
        meant = [matches(str(name), chosen.regions) for name in frame["region"]]
        frame = frame[(frame["status"] == "failed") | np.array(meant, dtype=bool)]
    write_csv(frame)


def write_csv(frame: pd.DataFrame) -> None:
    """Print a table as CSV, its texts without what a terminal obeys or a spreadsheet takes for a formula."""
    plain = frame.map(lambda value: printable(value) if isinstance(value, str) else value)
    csv_frame(plain.rename(columns=lambda name: printable(str(name)))).to_csv(sys.stdout, index=False)


def print_latex(results: Sequence[Result], chosen: Selection | None = None, order: Order | None = None) -> None:
    """Print the tables for LaTeX, with the package booktabs."""
    _print_typeset(latex, results, chosen, order)


def latex_tables(results: Sequence[Result]) -> dict[str, str]:
    """The tables of each benchmark for LaTeX, as ``show --latex`` prints them: benchmark → text.

    Examples
    --------
    >>> latex_tables([])
    {}
    """
    sheets = sheets_of(results)
    named = dict.fromkeys(sheet.benchmark for sheet in sheets)
    return {
        name: printable(latex(tables_of_sheets(sheet for sheet in sheets if sheet.benchmark == name))) for name in named
    }


def print_markdown(results: Sequence[Result], chosen: Selection | None = None, order: Order | None = None) -> None:
    """Print the tables in Markdown."""
    _print_typeset(markdown, results, chosen, order)


def _print_typeset(
    typeset: Callable[..., str], results: Sequence[Result], chosen: Selection | None, order: Order | None
) -> None:
    print(printable(typeset(tables_of_sheets(sheets_of(results, chosen, order)))))
    for text in (*(f"warning: {text}" for text in warnings_of(results)), *failures_of(results)):
        print(printable(text), file=sys.stderr)
