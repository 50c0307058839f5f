"""How objects show themselves in Python: a few lines of text, and in a notebook a small table.

Whatever they are called, a text has at most ten lines of 96 characters, and nothing in a table is markup. Tables set no
colours: they are read on light and on dark pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import chain

from isocortex.errors import printable

#: of a text, so that it stays below 1,000 characters
LINES, WIDTH = 10, 96
#: letters of one cell, as text and in a table; rows of a table
_CELL, _WIDE_CELL, _ROWS = 32, 160, 40


@dataclass(frozen=True)
class Shown:
    """What is shown of an object.

    Parameters
    ----------
    title
        One line.
    facts
        What is said of it, by name; an empty text is left out.
    header, rows
        A table below the facts.
    """

    title: str
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    header: tuple[str, ...] = ()
    rows: Sequence[Sequence[str]] = ()

    def text(self) -> str:
        """At most ``LINES`` lines of at most ``WIDTH`` characters.

        Examples
        --------
        >>> print(Shown("Model 'noise'", {"takes": "any", "licence": ""}, ("a", "b"), [("1", "2")]).text())
        Model 'noise'
          takes: any
          a  b
          1  2
        """
        lines = [self.title, *(f"  {name}: {fact}" for name, fact in self.facts.items() if fact)][:LINES]
        room = LINES - len(lines) - bool(self.header)
        shown = self.rows if len(self.rows) <= room else self.rows[: max(0, room - 1)]
        if shown:
            lines += _columns([self.header, *shown])
        if len(shown) < len(self.rows):
            lines = [*lines[: LINES - 1], f"  … and {len(self.rows) - len(shown)} more"]
        return "\n".join(_cut(line, WIDTH) for line in lines)

    def html(self) -> str:
        """A title, a line for each fact and a table; every text is escaped.

        Examples
        --------
        >>> "<script>" in Shown("<script>", {"<script>": "<script>"}).html()
        False
        """
        facts = "".join(
            f"<tr><th {_LEFT}>{_safe(name)}</th><td {_LEFT}>{_safe(fact)}</td></tr>"
            for name, fact in self.facts.items()
            if fact
        )
        head = "".join(f"<th {_LEFT}>{_safe(name)}</th>" for name in self.header)
        body = "".join(
            f"<tr>{''.join(f'<td {_LEFT}>{_safe(cell)}</td>' for cell in row)}</tr>" for row in self.rows[:_ROWS]
        )
        more = f"<p>… and {len(self.rows) - _ROWS} more</p>" if len(self.rows) > _ROWS else ""
        tables = [f"<table><tbody>{facts}</tbody></table>"] if facts else []
        tables += [f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"] if body else []
        return f"<div><strong>{_safe(self.title)}</strong>{''.join(tables)}{more}</div>"


_LEFT = 'style="text-align:left"'


class Displayed:
    """Something that shows itself by what ``_shown`` says of it."""

    def _shown(self) -> Shown:
        return Shown(type(self).__name__)

    def __repr__(self) -> str:
        return self._shown().text()

    def __str__(self) -> str:
        return self._shown().text()

    def _repr_html_(self) -> str:
        return self._shown().html()


def counted(n: int, one: str, many: str | None = None) -> str:
    """A number with what is counted.

    Examples
    --------
    >>> counted(1, "layer"), counted(1200, "layer"), counted(2, "stimulus", "stimuli")
    ('1 layer', '1,200 layers', '2 stimuli')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def number(value: float | None) -> str:
    """Three digits, or a dash.

    Examples
    --------
    >>> number(0.12345), number(None)
    ('0.123', '–')
    """
    return "–" if value is None or value != value else f"{value:.3f}"


def listed(names: Sequence[object], limit: int = 4) -> str:
    """The first names, and how many there are.

    Examples
    --------
    >>> listed(["V1", "V2", "V4", "IT", "MT"], limit=2), listed(["V1"]), listed([])
    ('V1, V2, … (5)', 'V1', '')
    """
    if len(names) <= limit:
        return ", ".join(map(str, names))
    return ", ".join(chain(map(str, names[:limit]), [f"… ({len(names)})"]))


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, their cells below each other."""
    cells = [[_cut(cell, _CELL) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    ]


def _cut(text: str, width: int) -> str:
    """One line that a terminal shows and does not obey."""
    one = printable(text[: 4 * width]).replace("\t", "\\t").replace("\n", "\\n")
    return one if len(one) <= width else f"{one[: width - 1]}…"


def _safe(text: str) -> str:
    return escape(_cut(text, _WIDE_CELL))
