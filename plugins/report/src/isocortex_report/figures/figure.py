"""A figure: a question, the numbers that answer it, and how they are drawn and written to files.

The same numbers give the same bytes: no date, no random name, one salt for what matplotlib hashes, and the type face
that matplotlib brings.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.sax.saxutils import quoteattr

from isocortex.errors import UsageError
from isocortex.files import write_atomic
from isocortex_report.figures.style import FAINT, MM, SANS, canvas_of, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

#: ending of a file → what matplotlib writes into it beside the picture: nothing that changes
FORMATS: dict[str, dict[str, Any]] = {
    ".svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
    ".pdf": {"CreationDate": None, "ModDate": None, "Creator": None, "Producer": None},
    ".png": {"Software": None},
}
#: of what is drawn as an image
_DPI = {".svg": 160, ".pdf": 300, ".png": 300}
_EDGE = 1.2  # mm around everything
_LINE = 3.1  # mm, of the note
_NOTE_SIZE = 6.2


class Drawing(NamedTuple):
    """How a kind of figure is drawn: into axes or new ones, and its width and height in mm without title and note."""

    plot: Callable[[pd.DataFrame, Axes | None], Axes]
    size: Callable[[pd.DataFrame], tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Figure:
    """One figure of results.

    Attributes
    ----------
    kind
        "ranking", "layers", …: a name in ``KINDS``, and of the function in ``isocortex_report.plot``.
    name
        Stem of its files; safe on any file system, and different for different figures of the same results.
    title
        The question that it answers.
    note
        One line for the caption: n, ceiling, interval, rule of the layers, family of tests.
    frame
        Exactly what is drawn, one row per mark; the CSV beside the file.
    drawing
        How.
    """

    kind: str
    name: str
    title: str
    note: str
    frame: pd.DataFrame
    drawing: Drawing = field(repr=False)

    def draw(self, ax: Axes | None = None) -> Axes:
        """Draw into axes, or into those of a new figure; without title and note."""
        return self.drawing.plot(self.frame, ax)

    def svg(self, *, titled: bool = False) -> str:
        """The drawing as SVG for a page: text is text, names are escaped, there is no script and no prolog.

        Every ``id`` begins with ``name``, so that several drawings live on one page. The mark of row i of ``frame``
        is the group ``NAME-row-i``. ``titled`` adds title and note, which a page has in its own text.
        """
        return _for_pages(self._bytes(".svg", titled=titled).decode("utf-8"), self.name, self.title)

    def save(self, path: Path | str) -> list[Path]:
        """Write the figure with title and note, as its ending says, and ``NAME.csv`` beside it; returns both.

        Raises
        ------
        UsageError
            An ending other than .svg, .pdf or .png.
        StoreError
            They cannot be written.
        """
        path = Path(path)
        check_ending(path)
        made = self._bytes(path.suffix.lower(), titled=True)
        if path.suffix.lower() == ".svg":
            made = _standalone(_for_pages(made.decode("utf-8"), self.name, self.title)).encode("utf-8")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, lambda file: file.write(made))
        return [path, self.save_table(path.with_suffix(".csv"))]

    def save_table(self, path: Path) -> Path:
        """Write what is drawn as CSV."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, lambda file: file.write(self.csv().encode("utf-8")))
        return path

    def csv(self) -> str:
        """What is drawn as CSV, numbers to the last digit; a text that a spreadsheet would compute begins with '."""
        from isocortex.results import csv_frame

        return csv_frame(self.frame).to_csv(index=False, lineterminator="\n")

    def _bytes(self, ending: str, *, titled: bool) -> bytes:
        width, height = self.drawing.size(self.frame)
        made = io.BytesIO()
        with styled(**{"svg.hashsalt": self.name}), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a browser has it
            head, foot = (
                (wrapped(self.title, width - 2 * _EDGE, 8.5, "bold"), wrapped(self.note, width - 2 * _EDGE, _NOTE_SIZE))
                if titled
                else ([], [])
            )
            above, below = (len(head) * 4.0 + 1.0 if head else 0.0), (len(foot) * _LINE + 1.5 if foot else 0.0)
            canvas = canvas_of(width, height + above + below)
            ax = canvas.add_subplot()
            self.draw(ax)
            _write_around(canvas, head, foot)
            _fit(canvas, ax, above, below)
            canvas.savefig(made, format=ending[1:], metadata=FORMATS[ending], dpi=_DPI[ending])
        return made.getvalue()


def check_ending(path: Path, more: Sequence[str] = ()) -> None:
    """Refuse what no figure is written as.

    Raises
    ------
    UsageError
        An ending other than .svg, .pdf or .png.
    """
    known = (*FORMATS, *more)
    if path.suffix.lower() not in known:
        raise UsageError(f"{path.name!r} does not end in {', '.join(known)}: what the figure is written as.")


# --- title, note, margins ---------------------------------------------------------------------------------------------


def wrapped(text: str, width: float, size: float, weight: str = "normal") -> list[str]:
    """Lines of a text of this size in points that are at most so many mm wide."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    face, measure = FontProperties(family="DejaVu Sans", size=size, weight=weight), TextToPath()
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and measure.get_text_width_height_descent(longer, face, ismath=False)[0] / 72 / MM <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _write_around(canvas: Canvas, head: list[str], foot: list[str]) -> None:
    """Title above and note below, at the left edge."""
    width, height = (size / MM for size in canvas.get_size_inches())
    for place, line in enumerate(head):
        y = 1 - (_EDGE + 4.0 * place) / height
        canvas.text(_EDGE / width, y, line, size=8.5, weight="bold", va="top")
    for place, line in enumerate(reversed(foot)):
        y = (_EDGE * 0.6 + _LINE * place) / height
        canvas.text(_EDGE / width, y, line, size=_NOTE_SIZE, color=FAINT, va="bottom")


def _fit(canvas: Canvas, ax: Axes, above: float, below: float) -> None:
    """Give the axes all the room that their labels, which keep their size, leave."""
    width, height = (size / MM for size in canvas.get_size_inches())
    ax.set_position((0.2, 0.2, 0.6, 0.6))
    for _ in range(2):  # some labels move with the axes
        outer, inner = ax.get_tightbbox(), ax.get_window_extent()
        if outer is None:
            return
        scale = 1 / (MM * canvas.dpi)
        left, right = (inner.x0 - outer.x0) * scale, (outer.x1 - inner.x1) * scale
        down, up = (inner.y0 - outer.y0) * scale, (outer.y1 - inner.y1) * scale
        x, y = (left + _EDGE) / width, (down + _EDGE + below) / height
        x_end, y_end = 1 - (right + _EDGE) / width, 1 - (up + _EDGE + above) / height
        ax.set_position((x, y, max(x_end - x, 0.08), max(y_end - y, 0.08)))


# --- SVG --------------------------------------------------------------------------------------------------------------


def _for_pages(svg: str, name: str, title: str) -> str:
    """An SVG element alone: names of its parts are its own, the type face is the reader's, its question is said."""
    prefix = re.sub(r"[^A-Za-z0-9_-]", "-", name)
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, count=1, flags=re.DOTALL)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    svg = re.sub(r"<[^<>]+>", lambda tag: _own_tag(tag[0], prefix, used), svg)  # text between tags has neither < nor >
    return svg.replace("<svg ", f'<svg role="img" aria-label={quoteattr(title)} ', 1).strip() + "\n"


def _own_tag(tag: str, prefix: str, used: set[str]) -> str:
    named = re.search(r'\sid="([^"]*)"', tag)
    if named and named[1] not in used and not named[1].startswith("row-"):
        tag = tag.replace(named[0], "", 1)
    tag = re.sub(r"(\sid=\"|href=\"#|url\(#)", rf"\1{prefix}-", tag)
    return re.sub(r"'DejaVu Sans'(?:, sans-serif)?", SANS, tag)


def _standalone(svg: str) -> str:
    return f'<?xml version="1.0" encoding="utf-8" standalone="no"?>\n{svg}'
