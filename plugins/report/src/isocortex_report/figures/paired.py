"""Paired: two models over the neuroids that both predict, one dot each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.files import folder_name
from isocortex_report.figures import style, words
from isocortex_report.figures.figure import Drawing, Figure
from isocortex_report.figures.material import CONTROLS, LABELS, ONE_AXIS, Material, records
from isocortex_report.figures.pair_tests import family_of_pairs
from isocortex_report.figures.readouts import neuroids_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLUMNS = (
    *(*ONE_AXIS, "label_a", "label_b", "colour_a", "colour_b", "neuroid_id", "subject", "value_a", "value_b"),
    "n_splits",
)
#: fewer neuroids are a table
FEWEST = 8
#: more dots are drawn as one image
MOST_VECTORS = 2000
SIDE = 72.0


def figures(material: Material) -> Iterator[Figure]:
    """The two best models of each benchmark, region, statistic and target, no controls among them."""
    for (benchmark, region, statistic, target), rows in material.wholes():
        chosen = _two(rows, material.against)
        frame = None if chosen is None else _frame(material, *chosen)
        if chosen is None or frame is None or len(frame) < FEWEST:
            continue
        a, b = str(frame["label_a"].iloc[0]), str(frame["label_b"].iloc[0])
        name = folder_name(f"paired-{benchmark}-{region}-{statistic}-{target}-{a}-{b}")[:180]
        both = f"{style.short_name(a)} or {style.short_name(b)}"
        title = f"Does {both} predict the neuroids of {words.about(region, benchmark)}?"
        yield Figure("paired", name, title, _note(material, rows, frame, chosen), frame, DRAWING)


def _two(rows: pd.DataFrame, against: str | None) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The best model, and the second best or the one that is named."""
    single = rows[rows["n_seeds"] == 1].sort_values("value", ascending=not words.best_first(rows["statistic"].iloc[0]))
    models = records(single[~single["role"].isin([CONTROLS, LABELS])])
    models = models if len(models) > 1 else records(single)
    named = [row for row in records(single) if against in (row["model"], f"{row['model']}@{row['variant']}")]
    if against is not None:
        models = [row for row in models if row not in named][:1] + named[:1]
    return (models[0], models[1]) if len(models) > 1 else None


def _frame(material: Material, a: dict[str, Any], b: dict[str, Any]) -> pd.DataFrame | None:
    scores = [material.scores(str(row["digest"])) for row in (a, b)]
    values = [None if one is None else neuroids_of(one, str(a["region"])) for one in scores]
    if values[0] is None or values[1] is None:
        return None
    both = values[0].merge(values[1][["neuroid_id", "value"]], on="neuroid_id", suffixes=("_a", "_b"), validate="1:1")
    both = both[np.isfinite(both["value_a"]) & np.isfinite(both["value_b"])]
    fixed = {name: a[name] for name in (*ONE_AXIS, "n_splits")}
    sides = {f"{name}_{side}": row[name] for side, row in (("a", a), ("b", b)) for name in ("label", "colour")}
    return both.assign(**fixed, **sides).reindex(columns=list(COLUMNS)).reset_index(drop=True)


def _note(
    material: Material, rows: pd.DataFrame, frame: pd.DataFrame, chosen: tuple[dict[str, Any], ...] | None
) -> str:
    assert chosen is not None
    two = rows[rows["digest"].isin([row["digest"] for row in chosen])]
    above = int((frame["value_a"] > frame["value_b"]).sum())
    family = family_of_pairs(material, two)
    tested = "" if family.reason else _tested(family.pairs)
    more = [
        "one dot per neuroid, mean over splits",
        f"above the line {style.short_name(str(frame['label_a'].iloc[0]))} is better: {above:,} of {len(frame):,}",
        tested,
        "neuroids of one participant are no independent samples",
    ]
    return words.note_of(two.assign(interval_low=np.nan), more).replace("no interval; ", "")


def _tested(pairs: pd.DataFrame) -> str:
    pair = pairs.iloc[0]
    low, high, n = words.number(pair["interval_low"]), words.number(pair["interval_high"]), int(pair["n_draws"])
    return (
        f"difference of the two scores {words.number(abs(pair['difference']))}, 95 % interval {low} to {high}, "
        f"p {words.number(pair['p'])} (one test, {n:,} draws, p ≥ {words.number(2 / (n + 1))})"
    )


# --- drawing ----------------------------------------------------------------------------------------------------------


def size(_: pd.DataFrame) -> tuple[float, float]:
    """Width and height in mm."""
    return SIDE + 13, SIDE + 10


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw one dot per neuroid, the first model upwards and the second to the right.

    Parameters
    ----------
    frame
        With the columns ``COLUMNS``, as ``Figure.frame`` of the kind "paired" has it.
    ax
        Axes to draw into; None: those of a new figure.
    """
    with style.styled():
        ax = style.new_axes(*size(frame)) if ax is None else ax
        first = frame.iloc[0]
        a, b = frame["value_a"].to_numpy(dtype=float), frame["value_b"].to_numpy(dtype=float)
        low, high = min(a.min(), b.min()), max(a.max(), b.max())
        room = 0.04 * (high - low or 1)
        limits = (low - room, high + room)
        ax.plot(limits, limits, color=style.FAINT, lw=0.7, zorder=1)
        strength = float(np.clip(60 / len(frame), 0.12, 0.75))
        for inside, colour in ((a >= b, first["colour_a"]), (a < b, first["colour_b"])):
            ax.scatter(b[inside], a[inside], s=9 if len(frame) < 400 else 5, color=colour, alpha=strength, lw=0,
                zorder=3, rasterized=len(frame) > MOST_VECTORS)  # fmt: skip
        ax.set(xlim=limits, ylim=limits, aspect="equal")
        _write_medians(ax, float(np.median(a)), float(np.median(b)), limits)
        words_of = words.STATISTICS.get(str(first["statistic"]), str(first["statistic"]))
        ax.set_xlabel(f"{style.short_name(str(first['label_b']))}: {words_of}", parse_math=False)
        ax.set_ylabel(f"{style.short_name(str(first['label_a']))}: {words_of}", parse_math=False)
    return ax


def _write_medians(ax: Axes, a: float, b: float, limits: tuple[float, float]) -> None:
    """The median over neuroids of each model as a stroke at its axis."""
    length = 0.035 * (limits[1] - limits[0])
    ax.plot([limits[0], limits[0] + length], [a, a], color=style.INK, lw=1.4, clip_on=False, zorder=4)
    ax.plot([b, b], [limits[0], limits[0] + length], color=style.INK, lw=1.4, clip_on=False, zorder=4)
    ax.annotate(f"median {words.number(a)}", (limits[0] + length, a), (2, 0), textcoords="offset points", size=6.5,
        va="center", color=style.FAINT)  # fmt: skip
    ax.annotate(words.number(b), (b, limits[0] + length), (0, 1.5), textcoords="offset points", size=6.5, ha="center",
        va="bottom", color=style.FAINT)  # fmt: skip


DRAWING = Drawing(plot, size)
