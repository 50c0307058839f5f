"""Names written beside what they name, moved apart where they would overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.typing import Array
from isocortex_report.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def moved_apart(places: Sequence[float], gap: float) -> Array:
    """Places at least ``gap`` apart, in their order and as near as can be to where they were (least squares).

    Examples
    --------
    >>> moved_apart([0.0, 0.0, 5.0], 1.0).tolist()
    [-0.5, 0.5, 5.0]
    """
    given = np.asarray(places, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    blocks: list[list[float]] = []  # of neighbours that touch: sum of free places, number
    for place in given[order] - gap * np.arange(len(given)):
        blocks.append([float(place), 1.0])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, number = blocks.pop()
            blocks[-1] = [blocks[-1][0] + total, blocks[-1][1] + number]
    free = np.repeat([total / number for total, number in blocks], [int(number) for _, number in blocks])
    found = np.empty(len(given))
    found[order] = free + gap * np.arange(len(given))
    return found


def write_at_right(
    ax: Axes, names: Sequence[str], heights: Sequence[float], colours: Sequence[str], gap: float
) -> None:
    """Names at the right edge beside the heights of their lines, with a thin stroke to those that had to move.

    Parameters
    ----------
    ax
        With its limits set.
    names, heights, colours
        One per line; heights in data.
    gap
        Between two names, in data.
    """
    placed = moved_apart(heights, gap)
    if len(placed):  # not beyond the axes, if there is room
        low, high = sorted(ax.get_ylim())
        placed = placed - max(0.0, float(placed.max()) - high) if np.ptp(placed) <= high - low else placed
        placed = placed + max(0.0, low - float(placed.min())) if np.ptp(placed) <= high - low else placed
    across: Any = ax.get_yaxis_transform()
    for name, height, place, colour in zip(names, heights, placed, colours, strict=True):
        ax.plot([1.005, 1.035], [height, place], transform=across, color=colour, lw=0.5, clip_on=False, in_layout=False)
        ax.annotate(name, (1.04, place), xycoords=across, va="center", ha="left", size=7, color=ink_of(colour),
            annotation_clip=False)  # fmt: skip


def ink_of(colour: str) -> str:
    """A colour in which a small text can be read on white: the same one, darker where it is too light."""
    from matplotlib.colors import to_hex, to_rgb

    parts = to_rgb(colour)
    while style.luminance(to_hex(parts)) > 48:
        parts = (parts[0] * 0.93, parts[1] * 0.93, parts[2] * 0.93)
    return to_hex(parts)
