"""Tables for papers and pages: LaTeX with booktabs, and Markdown. Whatever a user has named is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from isocortex.results.number_texts import Cell, spread_text
from isocortex.results.said_once import OPTIMISTIC
from isocortex.results.sheet_layout import value_text
from isocortex.results.sheets import Line, Sheet
from isocortex.results.terminal import one_line


@dataclass(frozen=True)
class Typeset:
    """A table of texts.

    Attributes
    ----------
    caption
        What it is about.
    headings
        Of the columns; the first ``n_names`` of them hold names, the others numbers.
    sections
        Rows that belong together, each row with a text for every column.
    notes
        What brackets and the like mean.
    """

    caption: str
    headings: tuple[str, ...]
    sections: tuple[tuple[tuple[str, ...], ...], ...]
    notes: tuple[str, ...]
    n_names: int = 1


def tables_of_sheets(sheets: Iterable[Sheet]) -> list[Typeset]:
    """Sheets as tables of texts, all regions side by side."""
    return [_table_of(sheet) for sheet in sheets]


def _table_of(sheet: Sheet) -> Typeset:
    further = sheet.further
    headings = [heading for heading, _ in further]
    regions = [region or "(no region)" for region in sheet.regions]
    groups = [tuple(_row(sheet, line) for line in own) for _, own in groupby(sheet.lines, _group_of)]
    if any(line.group for line in sheet.lines):
        titles = [name for name, _ in groupby(sheet.lines, _group_of)]
        blank = ("",) * (len(regions) + len(further))
        groups = [((name, *blank), *rows) for name, rows in zip(titles, groups, strict=True)]
    below = tuple(
        (name, *[""] * len(further), *(texts.get(region, "–") for region in sheet.regions))
        for name, texts in sheet.below
    )
    return Typeset(
        caption=f"{sheet.benchmark}: {', '.join(sheet.facts)}",
        headings=("model", *headings, *regions),
        sections=tuple(section for section in (*groups, below) if section),
        notes=sheet.notes,
        n_names=1 + len(further),
    )


def _group_of(line: Line) -> str:
    return line.group


def _row(sheet: Sheet, line: Line) -> tuple[str, ...]:
    cells = [line.cells.get(region, Cell()) for region in sheet.regions]
    texts = [f"{value_text(cell, sheet.decimals)} {spread_text(cell, sheet.decimals)}".strip() for cell in cells]
    name = line.name + (f" {OPTIMISTIC}" if line.optimistic else "")
    place = sheet.lines.index(line)
    return (name, *(own[place] for _, own in sheet.further), *texts)


# --- LaTeX ------------------------------------------------------------------------------------------------------------

#: letters that LaTeX obeys or sets as something else
_LATEX = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    **{letter: f"{{{letter}}}" for letter in "[]*"},
    "–": "--",
    "…": r"\ldots{}",
    "×": r"$\times$",
    "²": r"\textsuperscript{2}",
    "√": r"$\surd$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "−": "$-$",
    "±": r"$\pm$",
    "†": r"\dag{}",
}
#: letters beyond ASCII that every LaTeX sets
_LATIN = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿ")


def latex(tables: Iterable[Typeset]) -> str:
    """Tables for LaTeX; needs ``\\usepackage{booktabs}`` and nothing else.

    Letters that pdfLaTeX cannot set are written as their number, U+05D0.

    Examples
    --------
    >>> print(latex([Typeset("b", ("model", "all"), ((("a_b", "-.5"),),), ())]))
    % needs \\usepackage{booktabs}
    \\begin{table}
    \\centering
    \\caption{b.}
    \\begin{tabular}{ll}
    \\toprule
    model & all \\\\
    \\midrule
    a\\_b & $-$.5 \\\\
    \\bottomrule
    \\end{tabular}
    \\end{table}
    """
    return "\n".join(["% needs \\usepackage{booktabs}", *("\n".join(_latex_lines(table)) for table in tables)])


def _latex_lines(table: Typeset) -> list[str]:
    notes = f" {_sentence(table.notes)}" if table.notes else ""
    return [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_latex_text(table.caption)}.{_latex_text(notes)}}}",
        rf"\begin{{tabular}}{{{'l' * len(table.headings)}}}",
        r"\toprule",
        _latex_row(table.headings, len(table.headings)),
        *(
            line
            for section in table.sections
            for line in (r"\midrule", *(_latex_row(row, table.n_names) for row in section))
        ),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def _latex_row(cells: Sequence[str], n_names: int) -> str:
    texts = (_latex_number(text) if place >= n_names else _latex_text(text) for place, text in enumerate(cells))
    return " & ".join(texts) + r" \\"


def _latex_number(text: str) -> str:
    return text.replace("-", "$-$").replace("–", "--").replace("~", r"\textasciitilde{}")


def _latex_text(text: str) -> str:
    return "".join(map(_latex_letter, one_line(text))).replace("--", "-{}-")


def _latex_letter(letter: str) -> str:
    if letter in _LATEX:
        return _LATEX[letter]
    return letter if letter.isascii() or letter in _LATIN else f"U+{ord(letter):04X}"


def _sentence(notes: Sequence[str]) -> str:
    return "; ".join(notes) + "."


# --- Markdown ---------------------------------------------------------------------------------------------------------

#: marks, and what becomes a link or a mention
_MARKS = re.compile(r"([\\`*_{}\[\]|~$#]|:(?=//)|(?<!\w)@)")


def markdown(tables: Iterable[Typeset]) -> str:
    """Tables in Markdown, as GitHub and most others read it.

    Examples
    --------
    >>> print(markdown([Typeset("b", ("model", "all"), ((("a_b", "-.5"),),), ())]))
    **b**
    <BLANKLINE>
    | model | all |
    |---|---|
    | a\\_b | -.5 |
    """
    return "\n\n".join("\n".join(_markdown_lines(table)) for table in tables)


def _markdown_lines(table: Typeset) -> list[str]:
    rows = [row for section in table.sections for row in section]
    return [
        f"**{_markdown_text(table.caption)}**",
        "",
        _markdown_row(table.headings, len(table.headings)),
        "|" + "---|" * len(table.headings),
        *(_markdown_row(row, table.n_names) for row in rows),
        *(["", _markdown_text(_sentence(table.notes))] if table.notes else []),
    ]


def _markdown_row(cells: Sequence[str], n_names: int) -> str:
    texts = (text if place >= n_names else _markdown_text(text) for place, text in enumerate(cells))
    return "| " + " | ".join(texts) + " |"


def _markdown_text(text: str) -> str:
    """A text that is no mark, link, mention or HTML."""
    plain = _MARKS.sub(r"\\\1", one_line(text))
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
