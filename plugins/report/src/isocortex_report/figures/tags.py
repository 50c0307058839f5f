"""Tags: whether a number of a model (accuracy, depth, parameters, …) goes with how well it predicts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.files import folder_name
from isocortex_report.figures import style, words
from isocortex_report.figures.families import FEWEST_FAMILIES, N_DRAWS, with_interval
from isocortex_report.figures.figure import Drawing, Figure
from isocortex_report.figures.material import CONTROLS, LABELS, ONE_AXIS, Material, records

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLUMNS = (
    *("mark", *ONE_AXIS, "tag", "label", "family", "form", "colour", "x", "value", "interval_low", "interval_high"),
    *("n_splits", "digest"),
)
MODEL, LINE = "model", "line"
FEWEST_MODELS = 5
#: fewer families have no fitted line
FEWEST_FOR_A_LINE = 10
#: so many dots have a name
MOST_NAMED = 10


def figures(material: Material) -> Iterator[Figure]:
    """One figure for each benchmark, region, statistic, target and numeric tag that enough models have."""
    for (benchmark, region, statistic, target), rows in material.wholes():
        chosen = rows[~rows["role"].isin([CONTROLS, LABELS])].dropna(subset=["value"])
        for tag in _tags_of(material, chosen):
            numbers = [material.numbers[str(model)].get(tag, np.nan) for model in chosen["model"]]
            known = chosen.assign(x=numbers).dropna(subset=["x"])
            if len(known) >= FEWEST_MODELS and known["x"].nunique() > 2:
                name = folder_name(f"tags-{tag}-{benchmark}-{region}-{statistic}-{target}")[:150]
                yield _figure(known.assign(tag=tag), name)


def _tags_of(material: Material, rows: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(tag for model in rows["model"] for tag in material.numbers[str(model)]))


def _figure(rows: pd.DataFrame, name: str) -> Figure:
    first = rows.iloc[0]
    x, y = rows["x"].to_numpy(dtype=float), rows["value"].to_numpy(dtype=float)
    families = rows["family"].tolist()
    n_families = len(set(families))
    rho, low, high = with_interval(x, y, families)
    over = (
        f"95 % interval {words.number(low, 2)} to {words.number(high, 2)} over {N_DRAWS:,} draws of families"
        if low == low
        else f"no interval below {FEWEST_FAMILIES} families"
    )
    fitted = n_families >= FEWEST_FOR_A_LINE
    more = [
        f"Spearman's ρ {words.number(rho, 2)}, {over}",
        f"{len(rows)} models of {'1 family' if n_families == 1 else f'{n_families} families'}, controls left out",
        "line: least squares" if fitted else f"no line below {FEWEST_FOR_A_LINE} families",
        words.forms_text(map(str, rows["form"])),
    ]
    what = words.about(str(first["region"]), str(first["benchmark"]))
    title = f"Does {_word(first['tag'])} go with how well models predict {what}?"
    frame = _frame(rows, fitted)
    return Figure("tags", name, title, words.note_of(rows, more), frame, DRAWING)


def _word(tag: Any) -> str:
    return {"top1": "top-1 accuracy", "top5": "top-5 accuracy"}.get(
        str(tag), style.short_name(str(tag)).replace("_", " ")
    )


def _frame(rows: pd.DataFrame, fitted: bool) -> pd.DataFrame:
    import pandas as pd

    marks = rows.assign(mark=MODEL)
    if fitted:
        x = rows["x"].to_numpy(dtype=float)
        scale = np.log10(x) if is_logarithmic(x) else x
        slope, offset = np.polyfit(scale, rows["value"].to_numpy(dtype=float), 1)
        ends = pd.DataFrame({"mark": LINE, "x": [x.min(), x.max()]})
        ends = ends.assign(value=[slope * end + offset for end in (scale.min(), scale.max())])
        marks = pd.concat([marks, ends.assign(**{name: rows[name].iloc[0] for name in (*ONE_AXIS, "tag")})])
    return marks.reindex(columns=list(COLUMNS)).reset_index(drop=True)


def is_logarithmic(x: Any) -> bool:
    """Whether positive numbers span so much that their logarithms are drawn."""
    return bool(x.min() > 0 and x.max() / x.min() > 50)


# --- drawing ----------------------------------------------------------------------------------------------------------


def size(_: pd.DataFrame) -> tuple[float, float]:
    """Width and height in mm."""
    return style.COLUMN * 1.3, 70.0


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw one dot per model: its tag to the right, its value upwards.

    Parameters
    ----------
    frame
        With the columns ``COLUMNS``, as ``Figure.frame`` of the kind "tags" has it.
    ax
        Axes to draw into; None: those of a new figure.
    """
    with style.styled():
        ax = style.new_axes(*size(frame)) if ax is None else ax
        models, line = frame[frame["mark"] == MODEL], frame[frame["mark"] == LINE]
        first = models.iloc[0]
        if is_logarithmic(models["x"]):
            ax.set_xscale("log")
        ax.plot(line["x"], line["value"], color=style.FAINT, lw=0.9, zorder=1)
        for place, row in zip(models.index, records(models), strict=True):
            ax.plot([row["x"]] * 2, [row["interval_low"], row["interval_high"]], color=row["colour"], lw=0.7, alpha=0.5)
            (mark,) = ax.plot(row["x"], row["value"], style.FORMS[row["form"]], ms=4.5, color=row["colour"], mew=0)
            mark.set_gid(f"row-{place}")
        if len(models) <= MOST_NAMED:
            for name, row in zip(style.distinct_names(models["label"].tolist(), 22), records(models), strict=True):
                ax.annotate(name, (row["x"], row["value"]), (4, 2), textcoords="offset points", size=6.2,
                    color=style.FAINT, annotation_clip=False)  # fmt: skip
        else:
            _write_families(ax, models)
        held_out = bool(models["n_splits"].notna().any())
        style.write_height_label(
            ax, words.axis_label(str(first["statistic"]), str(first["target"]), held_out=held_out), 5
        )
        ax.set_xlabel(_word(first["tag"]), parse_math=False)
        ax.grid(axis="y", color=style.RULE, lw=0.4)
    return ax


def _write_families(ax: Axes, models: pd.DataFrame) -> None:
    from matplotlib.lines import Line2D

    listed = models.drop_duplicates("colour").head(8)
    names = style.distinct_names(listed["family"].tolist(), 20)
    handles = [
        Line2D([], [], marker="o", ls="", ms=4, mew=0, color=colour, label=name)
        for name, colour in zip(names, listed["colour"], strict=True)
    ]
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, handletextpad=0.2)


DRAWING = Drawing(plot, size)
