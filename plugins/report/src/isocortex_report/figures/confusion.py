"""Confusion: which of the right answers become which wrong ones, for models on one colour scale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.files import folder_name
from isocortex_report.figures import style, words
from isocortex_report.figures.figure import Drawing, Figure
from isocortex_report.figures.material import Material, records

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLUMNS = ("benchmark", "label", "accuracy", "truth", "choice", "n", "share", "digest")
#: models side by side
MOST_MODELS = 3
#: of more labels no cell can be read
MOST_LABELS = 40


def figures(material: Material) -> Iterator[Figure]:
    """The best models of each benchmark whose scores hold a confusion matrix."""
    for (benchmark, _, statistic, target), rows in material.wholes():
        frame = _frame(material, rows)
        if frame is None:
            continue
        totals = frame.groupby(["label", "truth"])["n"].sum()
        note = (
            f"{int(frame[frame['label'] == frame['label'].iloc[0]]['n'].sum()):,} stimuli, "
            f"{words.span(totals.tolist())} of each label; rows: the true label, columns: the model's choice, shares "
            f"of the row on one colour scale from 0 to 1; in brackets: {words.STATISTICS.get(statistic, statistic)}."
        )
        title = f"Which labels of {words.about('all', benchmark)} are taken for which?"
        name = folder_name(f"confusion-{benchmark}-{statistic}-{target}")[:150]
        yield Figure("confusion", name, title, note, frame, DRAWING)


def _frame(material: Material, rows: pd.DataFrame) -> pd.DataFrame | None:
    import pandas as pd

    parts: list[pd.DataFrame] = []
    for row in records(rows[rows["n_seeds"] == 1].sort_values("value", ascending=False)):
        scores = material.scores(str(row["digest"])) if len(parts) < MOST_MODELS else None
        if scores is None or "confusion" not in scores:
            continue
        matrix = scores["confusion"]
        if "layer" in matrix.dims:
            matrix = matrix.isel(layer=int(np.atleast_1d(scores["chosen"].values).ravel()[0]))
        if set(matrix.dims) != {"truth", "choice"} or matrix.sizes["truth"] > MOST_LABELS:
            continue
        counts = matrix.transpose("truth", "choice")
        table = pd.DataFrame(
            counts.values, index=list(map(str, counts["truth"].values)), columns=list(map(str, counts["choice"].values))
        )
        parts.append(_long(table, row))
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)] if parts else None


def _long(table: pd.DataFrame, row: dict[str, Any]) -> pd.DataFrame:
    """A row per cell: number of stimuli, and share of those with this true label."""
    found = table.rename_axis("truth").reset_index().melt("truth", var_name="choice", value_name="n")
    share = found["n"] / found.groupby("truth")["n"].transform("sum")
    fixed = {"benchmark": row["benchmark"], "label": row["label"], "accuracy": row["value"], "digest": row["digest"]}
    return found.assign(share=share, **fixed)


# --- drawing ----------------------------------------------------------------------------------------------------------


def size(frame: pd.DataFrame) -> tuple[float, float]:
    """Width and height in mm."""
    n_models, n_labels = frame["label"].nunique(), frame["truth"].nunique()
    side = min(3.6 * n_labels + 6, (style.PAGE - 34) / n_models - 4)
    return n_models * (side + 4) + 34, side + 26


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw confusion matrices side by side on one colour scale.

    Parameters
    ----------
    frame
        With the columns ``COLUMNS``, as ``Figure.frame`` of the kind "confusion" has it.
    ax
        Axes to draw into; None: those of a new figure.
    """
    with style.styled():
        ax = style.new_axes(*size(frame)) if ax is None else ax
        ax.axis("off")
        names = list(dict.fromkeys(map(str, frame["label"])))
        labels = list(dict.fromkeys(map(str, frame["truth"])))
        choices = [*labels, *(name for name in dict.fromkeys(map(str, frame["choice"])) if name not in labels)]
        step = 1 / len(names)
        image: Any = None
        for place, name in enumerate(names):
            part = frame[frame["label"] == name]
            box = ax.inset_axes((place * step + 0.01, 0.0, step - 0.02, 0.94))
            values = part.pivot_table(index="truth", columns="choice", values="share").reindex(labels, columns=choices)
            image = box.imshow(values.to_numpy(), cmap="cividis", vmin=0, vmax=1, interpolation="nearest")
            said = f"{style.short_name(name, 24)} ({words.number(float(part['accuracy'].iloc[0]))})"
            box.set_title(said, size=7.5, weight="normal", pad=4, parse_math=False)
            own = style.distinct_names(labels, 16) if place == 0 else [""] * len(labels)
            box.set_yticks(range(len(labels)), labels=own, parse_math=False, size=6)
            box.set_xticks(
                range(len(choices)), labels=style.distinct_names(choices, 16), parse_math=False, size=6, rotation=90
            )
            box.tick_params(length=0)
            for spine in box.spines.values():
                spine.set_visible(False)
        bar = ax.inset_axes((1.01, 0.55, 0.014, 0.38))
        drawn = ax.figure.colorbar(image, cax=bar)
        drawn.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
        bar.tick_params(length=0, labelsize=6.5)
    return ax


DRAWING = Drawing(plot, size)
