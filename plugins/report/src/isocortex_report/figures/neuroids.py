"""Neuroids: how scores spread over neuroids, beside the spread that equally well predicted ones would have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.files import folder_name
from isocortex.scoring import by_participant, over_participants, subject_codes
from isocortex.typing import Array
from isocortex_report.figures import style, words
from isocortex_report.figures.figure import Drawing, Figure
from isocortex_report.figures.material import CONTROLS, ONE_AXIS, Material, records
from isocortex_report.figures.readouts import neuroids_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

COLUMNS = ("mark", *ONE_AXIS, "label", "colour", "low", "high", "value", "n_splits")
BIN, EQUAL = "bin", "equal neuroids"
#: fewer neuroids have no histogram
FEWEST = 20
#: shares of the histogram and the line differ by no more than this in how the ceiling comes out
SAME_CEILING = 1e-3


def figures(material: Material) -> Iterator[Figure]:
    """The best model of each benchmark, region, statistic and target."""
    for (benchmark, region, statistic, target), rows in material.wholes():
        row = best_model(rows)
        scores = material.scores(str(row["digest"]))
        found = None if scores is None else neuroids_of(scores, region)
        values = None if found is None else found.dropna(subset=["value"])
        if scores is None or values is None or len(values) < FEWEST:
            continue
        spread, why = equal_spread(values, row, scores)
        frame = _frame(values["value"].to_numpy(), row, spread)
        name = folder_name(f"neuroids-{benchmark}-{region}-{statistic}-{target}")[:150]
        label = style.short_name(str(row["label"]))
        title = f"Does {label} predict some neuroids of {words.about(region, benchmark)} better than others?"
        said = (
            "line: neuroids that are all predicted equally well but for their reliability and the sampling of the test "
            "stimuli, which are taken for normal; what is wider than it differs between neuroids"
            if spread is not None
            else f"no line for equally well predicted neuroids: {why}"
        )
        note = words.note_of(rows[rows["digest"] == row["digest"]].assign(interval_low=np.nan), [said])
        yield Figure("neuroids", name, title, note.replace("no interval; ", ""), frame, DRAWING)


def best_model(rows: pd.DataFrame) -> dict[str, Any]:
    """The best row that is no control, or the best of all."""
    ordered = rows[rows["n_seeds"] == 1].sort_values("value", ascending=not words.best_first(rows["statistic"].iloc[0]))
    ordered = ordered if len(ordered) else rows
    models = records(ordered[ordered["role"] != CONTROLS])
    return (models or records(ordered))[0]


# --- the spread of equal neuroids -------------------------------------------------------------------------------------


def equal_spread(values: pd.DataFrame, row: dict[str, Any], scores: xr.Dataset) -> tuple[Array | None, str]:
    """r of neuroids that differ in reliability and sampling alone: (n_neuroids, n_quantiles), or why there is none.

    Neuroid i has r = tanh(z), z normal around atanh(ρ √c_i), c_i its reliability, ρ the same for all: the median of r
    over the median of √c. Its variance is that of a mean over k disjoint test sets of m stimuli, 1 / (k (m − 3)).
    """
    if row["statistic"] != "r":
        return None, f"it is not known for {style.short_name(str(row['statistic']))}"
    reliability = values["reliability"].to_numpy(dtype=float)
    if not np.isfinite(reliability).all():
        return None, "the scores hold no reliability of every neuroid"
    roots = np.sqrt(np.clip(reliability, 0, None))
    codes = subject_codes(values["subject"].tolist(), len(values))
    if abs(float(over_participants(by_participant(roots, codes))) - float(row["ceiling"] or np.nan)) > SAME_CEILING:
        return None, "the reliability in the scores is not that of the ceiling"
    if "test_stimulus" not in scores:
        return None, "the scores do not say which stimuli were tested"
    n_test = float((scores["test_stimulus"].values >= 0).sum(axis=-1).mean())
    if n_test < 8 or np.median(roots) <= 0:
        return None, "there are too few test stimuli or no reliability"
    rho = min(float(np.median(values["value"])) / float(np.median(roots)), 0.999)
    return equal_quantiles(rho, roots, n_test, float(row["n_stimuli"])), ""


def equal_quantiles(rho: float, roots: Array, n_test: float, n_stimuli: float) -> Array:
    """Quantiles of r of each neuroid, (n_neuroids, 201), as ``equal_spread`` says."""
    from scipy.stats import norm

    deviation = 1 / np.sqrt(n_stimuli / n_test * (n_test - 3))
    steps = norm.ppf((np.arange(201) + 0.5) / 201) * deviation
    return np.tanh(np.arctanh(np.clip(rho * roots, -0.999, 0.999))[:, None] + steps)


def _frame(values: Array, row: dict[str, Any], spread: Array | None) -> pd.DataFrame:
    import pandas as pd

    edges = np.histogram_bin_edges(values, bins=int(np.clip(np.sqrt(len(values)) * 1.5, 10, 50)))
    fixed = {name: row[name] for name in (*ONE_AXIS, "label", "colour", "n_splits")}
    counts, _ = np.histogram(values, edges)
    bins = pd.DataFrame({"mark": BIN, "low": edges[:-1], "high": edges[1:], "value": counts})
    if spread is not None:
        width = edges[1] - edges[0]
        low, high = min(edges[0], float(spread.min())), max(edges[-1], float(spread.max()))
        fine = np.arange(low - width, high + 2 * width, width / 2)
        expected = np.histogram(spread.ravel(), fine)[0] * len(values) / spread.size * 2  # as counts per bin
        line = pd.DataFrame({"mark": EQUAL, "low": fine[:-1], "high": fine[1:], "value": expected})
        bins = pd.concat([bins, line], ignore_index=True)
    return bins.assign(**fixed).reindex(columns=list(COLUMNS))


# --- drawing ----------------------------------------------------------------------------------------------------------


def size(_: pd.DataFrame) -> tuple[float, float]:
    """Width and height in mm."""
    return style.COLUMN * 1.2, 56.0


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw a histogram over neuroids, and the line of equal ones where there is one.

    Parameters
    ----------
    frame
        With the columns ``COLUMNS``, as ``Figure.frame`` of the kind "neuroids" has it.
    ax
        Axes to draw into; None: those of a new figure.
    """
    with style.styled():
        ax = style.new_axes(*size(frame)) if ax is None else ax
        first = frame.iloc[0]
        bins, line = frame[frame["mark"] == BIN], frame[frame["mark"] == EQUAL]
        ax.bar(bins["low"], bins["value"], bins["high"] - bins["low"], align="edge", color=first["colour"], alpha=0.85,
            edgecolor="white", lw=0.4)  # fmt: skip
        if len(line):
            middle = (line["low"] + line["high"]) / 2
            ax.plot(middle, line["value"], color=style.INK, lw=1.2)
            peak = int(np.argmax(line["value"].to_numpy()))
            ax.annotate("if all were\npredicted equally well", (middle.iloc[peak], line["value"].iloc[peak]), (0, 4),
                textcoords="offset points", ha="center", va="bottom", size=6.5, annotation_clip=False)  # fmt: skip
        if ax.get_xlim()[0] < 0 < ax.get_xlim()[1]:
            ax.axvline(0, color=style.FAINT, lw=0.6)
        style.write_height_label(ax, "number of neuroids", 14 if len(line) else 5)
        held_out = bool(frame["n_splits"].notna().any())
        ax.set_xlabel(words.axis_label(str(first["statistic"]), "", held_out=held_out))
        ax.set_ylim(0)
    return ax


DRAWING = Drawing(plot, size)
