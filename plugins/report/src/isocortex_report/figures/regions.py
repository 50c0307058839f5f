"""Regions: which model predicts which region, side by side on one axis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.files import folder_name
from isocortex_report.figures import style, words
from isocortex_report.figures.direct_labels import write_at_right
from isocortex_report.figures.figure import Drawing, Figure
from isocortex_report.figures.material import CONTROLS, LABELS, ONE_AXIS, Material, records

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLUMNS = (
    *(
        *ONE_AXIS,
        "model",
        "variant",
        "label",
        "family",
        "role",
        "form",
        "colour",
        "value",
        "interval_low",
        "interval_high",
    ),
    *("range_low", "range_high", "n_seeds", "n_splits", "ceiling", "ceiling_lower", "ceiling_upper", "digest"),
)
#: models that are drawn, the best over regions
MOST_MODELS = 8
HEIGHT = 66.0


def figures(material: Material) -> Iterator[Figure]:
    """One figure for each benchmark, statistic and target with several regions."""
    scored = material.rows[(material.rows["status"] == "scored") & (material.rows["region"] != "all")]
    for (benchmark, statistic, target), rows in scored.groupby(["benchmark", "statistic", "target"], sort=False):
        for coordinate, part in _coordinates(rows):
            if part["region"].nunique() < 2:
                continue
            means = part.groupby("label")["value"].mean().sort_values(ascending=not words.best_first(str(statistic)))
            shown = part[part["label"].isin(means.index[:MOST_MODELS])]
            left = len(means) - shown["label"].nunique()
            more = [
                f"the {MOST_MODELS} best of {len(means)} models" if left else "",
                words.forms_text(map(str, shown["form"])),
            ]
            title = f"Which model predicts which {coordinate or 'region'} of {words.about('all', str(benchmark))}?"
            name = folder_name(f"regions-{benchmark}-{coordinate}-{statistic}-{target}")[:150]
            frame = shown.reindex(columns=list(COLUMNS)).reset_index(drop=True)
            yield Figure("regions", name, title, words.note_of(shown, more), frame, DRAWING)


def _coordinates(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Rows by the coordinate that they are named after: "hemisphere=lh" and "hemisphere=rh" belong together."""
    names = rows["region"].map(lambda name: str(name).partition("=")[0] if "=" in str(name) else "")
    for coordinate, part in rows.groupby(names, sort=False):
        yield str(coordinate), part


def size(frame: pd.DataFrame) -> tuple[float, float]:
    """Width and height in mm."""
    return min(style.PAGE, 62 + 3.2 * len(frame)), HEIGHT


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw one panel per region, the same models in the same order in each, on one shared axis.

    Parameters
    ----------
    frame
        With the columns ``COLUMNS``, as ``Figure.frame`` of the kind "regions" has it.
    ax
        Axes to draw into; None: those of a new figure.
    """
    with style.styled():
        ax = style.new_axes(*size(frame)) if ax is None else ax
        regions = list(dict.fromkeys(map(str, frame["region"])))
        best = words.best_first(str(frame["statistic"].iloc[0]))
        order = frame.groupby("label")["value"].mean().sort_values(ascending=not best).index.tolist()
        step = 0.82 / max(len(order), 1)
        x_of = {label: -0.41 + step * (place + 0.5) for place, label in enumerate(order)}
        for place, row in zip(frame.index, records(frame), strict=True):
            _draw_dot(ax, row, regions.index(row["region"]) + x_of[row["label"]], f"row-{place}")
        for place, region in enumerate(regions):
            _draw_ceiling(ax, frame[frame["region"] == region], place)
        _finish(ax, frame, regions)
        last = frame[frame["region"] == regions[-1]].dropna(subset=["value"])
        low, high = ax.get_ylim()
        names = style.distinct_names(last["label"].tolist(), 26)
        gap = (high - low) * 3.3 / (HEIGHT - 20)
        write_at_right(ax, names, last["value"].tolist(), last["colour"].tolist(), gap)
    return ax


def _draw_dot(ax: Axes, row: dict[str, Any], x: float, gid: str) -> None:
    low, high = ("range_low", "range_high") if row["n_seeds"] > 1 else ("interval_low", "interval_high")
    width = 0.7 if row["role"] == CONTROLS else 1.1
    ax.plot(
        [x, x], [row[low], row[high]], color=row["colour"], lw=width, ls=":" if row["n_seeds"] > 1 else "-", zorder=2
    )
    face = "white" if row["role"] == LABELS else row["colour"]
    (mark,) = ax.plot(x, row["value"], style.FORMS[row["form"]], ms=4.2, mfc=face, mec=row["colour"], mew=0.9, zorder=3)
    mark.set_gid(gid)


def _draw_ceiling(ax: Axes, rows: pd.DataFrame, place: int) -> None:
    low = rows["ceiling_lower"].where(rows["ceiling_lower"].notna(), rows["ceiling"]).min()
    high = rows["ceiling_upper"].where(rows["ceiling_upper"].notna(), rows["ceiling"]).max()
    if low != low:
        return
    if high - low > 1e-9:
        ax.fill_between([place - 0.45, place + 0.45], low, high, color=style.CEILING, lw=0, zorder=0)
    else:
        ax.hlines(high, place - 0.45, place + 0.45, color=style.CEILING_INK, lw=0.9, zorder=0)
    if place == 0:
        ax.annotate("ceiling", (place - 0.45, high), (0, 1.5), textcoords="offset points", size=6.5, va="bottom",
            color=style.CEILING_INK, annotation_clip=False)  # fmt: skip


def _finish(ax: Axes, frame: pd.DataFrame, regions: list[str]) -> None:
    first = frame.iloc[0]
    known = frame[["value", "interval_low", "interval_high", "range_low", "range_high", "ceiling", "ceiling_upper"]]
    values = known.to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    ax.set_ylim(low - 0.04 * (high - low or 1), high + 0.05 * (high - low or 1))
    ax.set_xlim(-0.5, len(regions) - 0.5)
    ax.axhline(0, color=style.FAINT, lw=0.6, zorder=1)
    for place in range(1, len(regions)):
        ax.axvline(place - 0.5, color="white", lw=3, zorder=1)
    names = [region.partition("=")[2] or region for region in regions]
    turned = max(map(len, names)) * 1.35 > (size(frame)[0] - 50) / len(regions)
    ax.set_xticks(range(len(regions)), labels=style.distinct_names(names, 18), parse_math=False,
        rotation=28 if turned else 0, ha="right" if turned else "center", rotation_mode="anchor")  # fmt: skip
    ax.tick_params(axis="x", length=0)
    ax.spines["bottom"].set_visible(False)
    ax.grid(axis="y", color=style.RULE, lw=0.4)
    held_out = bool(frame["n_splits"].notna().any())
    style.write_height_label(ax, words.axis_label(str(first["statistic"]), str(first["target"]), held_out=held_out), 9)


DRAWING = Drawing(plot, size)
