"""A sheet of models × regions as lines of text: as many regions side by side as fit, the others in blocks below.

Intervals stand behind their values, or below them where that takes fewer lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from isocortex.results.number_texts import Cell, number_text, spread_text
from isocortex.results.said_once import OPTIMISTIC
from isocortex.results.sheets import Line, Sheet
from isocortex.results.terminal import Piece, folded, one_line, padded, width_of

#: blocks of regions that are shown where no region was named
MOST_BLOCKS = 3
_GAP = 2
#: names of models may take so many columns, or a third of the width; fewer where all regions then fit side by side
_NAME_WIDTH = 24
_LEAST_NAME_WIDTH = 18
_LAYER_WIDTH = 20
_HEADING_WIDTH = 12

Lines = list[list[Piece]]


@dataclass(frozen=True)
class Column:
    """One column of a block: its heading, an entry (text and interval) for each model, and texts below the models."""

    heading: str
    entries: tuple[tuple[str, str], ...]
    below: tuple[str, ...]
    stacked: bool = False
    #: of texts, which go on in the next line; numbers are never folded
    most: int | None = None

    @cached_property
    def values_width(self) -> int:
        """Of the texts, without intervals."""
        widest = max((width_of(text) for text, _ in self.entries), default=0)
        return widest if self.most is None else min(widest, self.most)

    @cached_property
    def spreads_width(self) -> int:
        """Of the intervals."""
        return max((width_of(spread) for _, spread in self.entries), default=0)

    @cached_property
    def width(self) -> int:
        """Of the whole column; a longer heading goes on in the next line."""
        first, second = self.values_width, self.spreads_width
        entries = max(first, second) if self.stacked else first + (1 + second if second else 0)
        heading = min(width_of(self.heading), _HEADING_WIDTH)
        return max(entries, heading, max(map(width_of, self.below), default=0))

    def lines_of(self, place: int) -> Lines:
        """An entry as lines that are as wide as the column."""
        text, spread = self.entries[place]
        if self.most is not None:
            return [[Piece(padded(part, self.width), "dim")] for part in folded(text, self.width)]
        if self.stacked:
            first = [Piece(padded(text, self.width, right=True))]
            return [first, [Piece(padded(spread, self.width, right=True), "dim")]] if self.spreads_width else [first]
        value = padded(text, self.values_width, right=True)
        beside = f" {padded(spread, self.spreads_width, right=True)}" if self.spreads_width else ""
        return [[Piece(value), Piece(padded(beside, self.width - self.values_width), "dim")]]

    def line_below(self, place: int) -> list[Piece]:
        """A text below the models, at the end of the values where it is short."""
        text = self.below[place]
        if not self.stacked and width_of(text) <= self.values_width:
            text = padded(text, self.values_width, right=True)
        return [Piece(padded(text, self.width, right=self.stacked), "dim")]

    def heading_lines(self) -> Lines:
        """The heading in as many lines as it takes."""
        parts = folded(self.heading, self.width)
        return [[Piece(padded(part, self.width, right=self.stacked), "bold")] for part in parts]


@dataclass(frozen=True)
class Layout:
    """How a sheet is divided: blocks of columns, and the regions for which there was no place."""

    width: int
    name_width: int
    blocks: tuple[tuple[Column, ...], ...]
    left_out: tuple[str, ...]


def layout_of(sheet: Sheet, width: int, *, most_blocks: int | None = MOST_BLOCKS) -> Layout:
    """Divide a sheet into blocks that fit the width; None: as many as it takes."""
    texts = (*map(_marked, sheet.lines), *(name for name, _ in sheet.below))
    widest = max(map(width_of, texts), default=0)
    name_width = min(widest, max(_NAME_WIDTH, width // 3))
    room = width - name_width
    beside, stacked = (_blocks(_columns(sheet, stacked=stacked), room) for stacked in (False, True))
    if len(beside) == 1:
        beside = [_with_extra(sheet, beside[0], room)]
    elif (left := width - _needed(column for block in beside for column in block)) >= _LEAST_NAME_WIDTH:
        name_width, beside = left, [tuple(column for block in beside for column in block)]
    blocks = beside if len(beside) == 1 or len(beside) < 2 * len(stacked) else stacked
    shown = blocks[:most_blocks]
    left_out = [column.heading for block in blocks[len(shown) :] for column in block if column.most is None]
    return Layout(width, name_width, tuple(shown), tuple(left_out))


def _columns(sheet: Sheet, *, stacked: bool) -> list[Column]:
    """The whole or the only region, what is known of it (layer, chance, p), and further regions."""
    columns = [_column(sheet, region, stacked=stacked) for region in sheet.regions]
    further = [
        Column(heading, tuple((one_line(text), "") for text in texts), ("",) * len(sheet.below), most=_LAYER_WIDTH)
        for heading, texts in sheet.further
    ]
    return [*columns[:1], *further, *columns[1:]]


def _column(sheet: Sheet, region: str, *, stacked: bool) -> Column:
    cells = [line.cells.get(region, Cell()) for line in sheet.lines]
    return Column(
        one_line(region) or "(no region)",
        tuple((value_text(cell, sheet.decimals), spread_text(cell, sheet.decimals)) for cell in cells),
        tuple(texts.get(region, "–") for _, texts in sheet.below),
        stacked,
    )


def value_text(cell: Cell, decimals: int | None) -> str:
    """The value, or what stands in its place."""
    return cell.absent if cell.value is None else number_text(cell.value, decimals)


def _with_extra(sheet: Sheet, block: Sequence[Column], room: int) -> tuple[Column, ...]:
    """A block that holds all columns, and the ceiled values where there are any and room for them."""
    texts = tuple(("" if line.ceiled is None else number_text(line.ceiled, 3), "") for line in sheet.lines)
    extra = Column("ceiled", texts, ("",) * len(sheet.below))
    fits = _needed((*block, extra)) <= room
    return (block[0], extra, *block[1:]) if fits and any(text for text, _ in texts) else tuple(block)


def _needed(columns: Iterable[Column]) -> int:
    return sum(column.width + _GAP for column in columns)


def _blocks(columns: Sequence[Column], room: int) -> list[tuple[Column, ...]]:
    blocks: list[list[Column]] = [[]]
    left = room
    for column in columns:
        if column.width + _GAP > left and blocks[-1]:
            blocks.append([])
            left = room
        blocks[-1].append(column)
        left -= column.width + _GAP
    return [tuple(block) for block in blocks]


def _marked(line: Line) -> str:
    return one_line(line.name) + (f" {OPTIMISTIC}" if line.optimistic else "")


# --- lines ------------------------------------------------------------------------------------------------------------


def sheet_lines(sheet: Sheet, layout: Layout) -> Iterator[list[Piece]]:
    """The lines of all blocks, one after the other."""
    for number, block in enumerate(layout.blocks):
        yield from _together([""], [column.heading_lines() for column in block], layout, block)
        group = ""
        for place, line in enumerate(sheet.lines):
            if number and not line.has_values:
                continue
            if line.group != group:
                group = line.group
                yield from ([Piece(part, "dim")] for part in folded(one_line(group), layout.width))
            names = folded(_marked(line), layout.name_width, indent=2)
            yield from _together(names, [column.lines_of(place) for column in block], layout, block)
        for place, (name, _) in enumerate(sheet.below):
            yield from _together([name], [[column.line_below(place)] for column in block], layout, block, style="dim")


def _together(
    names: Sequence[str], cells: Sequence[Lines], layout: Layout, block: Sequence[Column], style: str = ""
) -> Iterator[list[Piece]]:
    """A name and the cells beside it, each of one line or several, as lines that are as wide as the block."""
    for place in range(max(len(names), *map(len, cells))):
        line = [Piece(padded(names[place] if place < len(names) else "", layout.name_width), style)]
        for cell, column in zip(cells, block, strict=True):
            line += [Piece(" " * _GAP), *(cell[place] if place < len(cell) else [Piece(" " * column.width)])]
        yield line
