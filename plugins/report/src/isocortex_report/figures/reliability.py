"""Reliability: whether a model fails where the data are noisy, one dot per neuroid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from isocortex.files import folder_name
from isocortex_report.figures import style, words
from isocortex_report.figures.figure import Drawing, Figure
from isocortex_report.figures.material import ONE_AXIS, Material
from isocortex_report.figures.neuroids import best_model
from isocortex_report.figures.paired import FEWEST, MOST_VECTORS
from isocortex_report.figures.readouts import neuroids_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLUMNS = (*ONE_AXIS, "label", "colour", "neuroid_id", "subject", "reliability", "value", "n_splits")


def figures(material: Material) -> Iterator[Figure]:
    """The best model of each benchmark, region, statistic and target whose neuroids have a reliability."""
    for (benchmark, region, statistic, target), rows in material.wholes():
        row = best_model(rows)
        scores = material.scores(str(row["digest"]))
        found = None if scores is None else neuroids_of(scores, region)
        known = None if found is None else found.dropna(subset=["value", "reliability"])
        if known is None or len(known) < FEWEST:
            continue
        fixed = {name: row[name] for name in (*ONE_AXIS, "label", "colour", "n_splits")}
        frame = known.assign(**fixed).reindex(columns=list(COLUMNS)).reset_index(drop=True)
        label = style.short_name(str(row["label"]))
        title = f"Does {label} fail where the data of {words.about(region, benchmark)} are noisy?"
        more = ["one dot per neuroid, mean over splits"]
        more += ["line: the highest r that a reliability allows, its square root"] if statistic == "r" else []
        note = words.note_of(rows[rows["digest"] == row["digest"]].assign(interval_low=np.nan), more)
        name = folder_name(f"reliability-{benchmark}-{region}-{statistic}-{target}")[:150]
        yield Figure("reliability", name, title, note.replace("no interval; ", ""), frame, DRAWING)


def size(_: pd.DataFrame) -> tuple[float, float]:
    """Width and height in mm."""
    return style.COLUMN, 66.0


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw one dot per neuroid: its reliability to the right, its score upwards.

    Parameters
    ----------
    frame
        With the columns ``COLUMNS``, as ``Figure.frame`` of the kind "reliability" has it.
    ax
        Axes to draw into; None: those of a new figure.
    """
    with style.styled():
        ax = style.new_axes(*size(frame)) if ax is None else ax
        first = frame.iloc[0]
        strength = float(np.clip(60 / len(frame), 0.12, 0.75))
        ax.scatter(frame["reliability"], frame["value"], s=9 if len(frame) < 400 else 5, color=first["colour"],
            alpha=strength, lw=0, zorder=3, rasterized=len(frame) > MOST_VECTORS)  # fmt: skip
        if first["statistic"] == "r":
            high = max(1.0, float(frame["reliability"].max()))
            line = np.linspace(0, high, 200)
            ax.plot(line, np.sqrt(line), color=style.CEILING_INK, lw=0.9, zorder=2)
            ax.annotate("ceiling", (0.5, np.sqrt(0.5)), (-2, 2), textcoords="offset points", ha="right", va="bottom",
                size=6.5, color=style.CEILING_INK)  # fmt: skip
        ax.axhline(0, color=style.FAINT, lw=0.6, zorder=1)
        held_out = bool(frame["n_splits"].notna().any())
        style.write_height_label(ax, words.axis_label(str(first["statistic"]), "", held_out=held_out), 5)
        ax.set_xlabel("reliability of the neuroid")
    return ax


DRAWING = Drawing(plot, size)
