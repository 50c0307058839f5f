"""Pairs: which of many models differ, as a triangle of q-values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.files import folder_name
from isocortex_report.figures import style, words
from isocortex_report.figures.figure import Drawing, Figure
from isocortex_report.figures.material import ONE_AXIS, Material
from isocortex_report.figures.pair_tests import MOST_MARKED, family_of_pairs

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLUMNS = (
    *ONE_AXIS,
    "place_a",
    "place_b",
    "label_a",
    "label_b",
    "difference",
    "interval_low",
    "interval_high",
    "p",
    "q",
)
#: q at most → colour, darker for what is surer; and for the rest
STEPS = ((0.001, "#08306B"), (0.01, "#2171B5"), (0.05, "#9ECAE1"))
REST = "#F1F2F4"


def figures(material: Material) -> Iterator[Figure]:
    """A triangle for each ranking that has more models than marks can be read for."""
    for (benchmark, region, statistic, target), rows in material.wholes():
        if (rows["n_seeds"] == 1).sum() <= MOST_MARKED:
            continue
        family = family_of_pairs(material, rows)
        if family.reason:
            continue
        frame = _frame(rows, family.pairs)
        name = folder_name(f"pairs-{benchmark}-{region}-{statistic}-{target}")[:150]
        title = f"Which models differ in how well they predict {words.about(region, benchmark)}?"
        note = words.note_of(rows.assign(interval_low=np.nan), [family.note]).replace("no interval; ", "")
        yield Figure("pairs", name, title, note, frame, DRAWING)


def _frame(rows: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """One row per pair; places count from the best model, and a is the better one."""
    tested = rows[rows["digest"].isin([*pairs["digest_a"], *pairs["digest_b"]])]
    best = words.best_first(str(rows["statistic"].iloc[0]))
    ordered = tested.sort_values("value", ascending=not best, kind="stable")
    place = {digest: index for index, digest in enumerate(ordered["digest"])}
    label = dict(zip(ordered["digest"], ordered["label"], strict=True))
    found = pairs.assign(
        place_a=pairs["digest_a"].map(place), place_b=pairs["digest_b"].map(place),
        label_a=pairs["digest_a"].map(label), label_b=pairs["digest_b"].map(label),
    )  # fmt: skip
    return found.sort_values(["place_b", "place_a"]).reindex(columns=list(COLUMNS)).reset_index(drop=True)


def size(frame: pd.DataFrame) -> tuple[float, float]:
    """Width and height in mm."""
    n_models = int(frame[["place_a", "place_b"]].to_numpy().max()) + 1
    side = min(style.PAGE - 40, 4.6 * n_models)
    return side + 40, side + 6


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw a triangle of q-values, best model on top.

    Parameters
    ----------
    frame
        With the columns ``COLUMNS``, as ``Figure.frame`` of the kind "pairs" has it.
    ax
        Axes to draw into; None: those of a new figure.
    """
    with style.styled():
        ax = style.new_axes(*size(frame)) if ax is None else ax
        names: dict[int, str] = {}
        for side in "ab":
            names |= dict(zip(map(int, frame[f"place_{side}"]), map(str, frame[f"label_{side}"]), strict=True))
        order = sorted(names)
        labels = style.distinct_names([names[place] for place in order], 28)
        cells = [
            _cell(min(a, b), max(a, b), colour_of(q))
            for a, b, q in zip(frame["place_a"], frame["place_b"], frame["q"], strict=True)
        ]
        for cell in cells:
            ax.add_patch(cell)
        ax.set_xlim(-0.6, len(order) - 0.4)
        ax.set_ylim(len(order) - 0.4, -0.6)
        ax.set_aspect("equal", anchor="NW")
        ax.axis("off")
        for place, label in zip(order, labels, strict=True):
            ax.annotate(label, (place - 0.45, place), va="center", ha="left", size=7, annotation_clip=False)
        _write_key(ax)
    return ax


def _cell(column: int, row: int, colour: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, facecolor=colour, edgecolor="none")


def colour_of(q: float) -> str:
    """The colour of a q-value.

    Examples
    --------
    >>> colour_of(0.05), colour_of(0.2)
    ('#9ECAE1', '#F1F2F4')
    """
    return next((colour for level, colour in STEPS if q <= level), REST)


def _write_key(ax: Axes) -> None:
    from matplotlib.patches import Patch

    keys = [(f"q ≤ {words.number(level).rstrip('0')}", colour) for level, colour in STEPS]
    handles = [Patch(facecolor=colour, label=text) for text, colour in [*keys, ("q > .05: not told apart", REST)]]
    ax.legend(handles=handles, loc="upper right", handlelength=0.9, handleheight=0.9, borderaxespad=0)


DRAWING = Drawing(plot, size)
