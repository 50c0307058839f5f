"""Lines of text within the width of the terminal: what is too long goes on in the next line, and nothing is cut."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from isocortex.errors import printable

if TYPE_CHECKING:
    from rich.style import Style

#: narrower terminals get lines of this width
MIN_WIDTH = 80
#: where a long name goes on in the next line, rather than anywhere
_SEAMS = "/-_.: ,=×"


class Piece(NamedTuple):
    """A text and how it is set: plain, "bold" or "dim"."""

    text: str
    style: str = ""


def terminal_width() -> int:
    """Columns of the terminal; of a pipe or file those that the variable COLUMNS says, or 80. At least 80."""
    return max(MIN_WIDTH, shutil.get_terminal_size((MIN_WIDTH, 24)).columns)


def one_line(text: str) -> str:
    """A name as it may stand in a table: ends of lines and tabs are written out, too.

    Examples
    --------
    >>> one_line("two\\nlines")
    'two\\\\nlines'
    """
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def width_of(text: str) -> int:
    """Columns that a text takes; letters of East Asia take two.

    Examples
    --------
    >>> width_of("IT"), width_of("视觉")
    (2, 4)
    """
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def folded(text: str, width: int, indent: int = 0) -> list[str]:
    """A name in pieces of at most ``width`` columns, which begin at a seam where there is one.

    Parameters
    ----------
    indent
        Blanks before the second and further pieces.

    Examples
    --------
    >>> folded("facebook/wav2vec2-large", 20), folded("threshold-units@random:0", 22, indent=2)
    (['facebook/wav2vec2-', 'large'], ['threshold-units', '  @random:0'])
    """
    lines: list[str] = []
    rest = text
    while width_of(rest) > width:
        end = _fitting(rest, width)
        variant = rest.rfind("@", 1, end)
        seam = max((rest.rfind(letter, indent + 1, end) for letter in _SEAMS), default=-1) + 1
        end = variant if variant > end // 2 else seam if seam > end // 2 else end
        lines.append(rest[:end])
        rest = " " * min(indent, max(0, width - 2)) + rest[end:]
    return [*lines, rest]


def _fitting(text: str, width: int) -> int:
    """How many letters fit; at least one."""
    end = min(len(text), width)
    while end > 1 and width_of(text[:end]) > width:
        end -= 1
    return max(1, end)


def wrapped(text: str, width: int, indent: int = 2) -> list[str]:
    """A sentence in lines of at most ``width`` columns, the second and further ones indented.

    Examples
    --------
    >>> wrapped("one two three", 9)
    ['one two', '  three']
    """
    lines: list[str] = []
    line = ""
    for paragraph in printable(text).expandtabs(2).split("\n"):
        for word in re.findall(r"\S+", paragraph):
            start = " " * indent if lines else ""
            joined = f"{line} {word}" if line.strip() else f"{start}{word}"
            if width_of(joined) <= width:
                line = joined
                continue
            if line.strip():
                lines.append(line)
            *full, line = folded(f"{' ' * indent if lines else ''}{word}", width)
            lines += full
        if line.strip():
            lines.append(line)
        line = ""
    return lines or [""]


def padded(text: str, width: int, *, right: bool = False) -> str:
    """A text filled with blanks to a number of columns.

    Examples
    --------
    >>> padded("IT", 4), padded("IT", 4, right=True)
    ('IT  ', '  IT')
    """
    blanks = " " * max(0, width - width_of(text))
    return blanks + text if right else text + blanks


class Printer:
    """Writes lines to stdout; bold and dim only where that is a terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self.width = terminal_width()
        self._styles: dict[str, Style] = {}
        if Console(file=sys.stdout).color_system is not None:
            from rich.style import Style

            self._styles = {"bold": Style(bold=True), "dim": Style(dim=True)}

    def line(self, *pieces: Piece) -> None:
        """Write one line, without the blanks at its end."""
        kept = list(pieces)
        while kept and not kept[-1].text.strip():
            kept.pop()
        if kept:
            kept[-1] = kept[-1]._replace(text=kept[-1].text.rstrip())
        print("".join(self._set(piece) for piece in kept))

    def sentence(self, text: str, style: str = "", indent: int = 2) -> None:
        """Write a text in as many lines as it takes."""
        for line in wrapped(text, self.width, indent):
            self.line(Piece(line, style))

    def sentences(self, texts: Sequence[str], style: str = "dim") -> None:
        """Write short texts, joined by semicolons."""
        if texts:
            self.sentence("; ".join(texts), style, indent=0)

    def _set(self, piece: Piece) -> str:
        style = self._styles.get(piece.style)
        if style is None or not piece.text.strip():
            return piece.text
        from rich.color import ColorSystem

        return style.render(piece.text, color_system=ColorSystem.STANDARD)
