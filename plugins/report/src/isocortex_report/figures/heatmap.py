"""Heat map: what every neuroid does for every stimulus, measured and predicted on one colour scale."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.data import averaged
from isocortex.files import folder_name
from isocortex.typing import Array
from isocortex_report.figures import style, words
from isocortex_report.figures.brain import by_category, edges_of
from isocortex_report.figures.figure import Drawing, Figure
from isocortex_report.figures.material import ONE_AXIS, Material
from isocortex_report.figures.predicted import best_with_predictions, predictions

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from isocortex.data import Dataset

COLUMNS = (
    *(*ONE_AXIS, "label", "matrix", "row", "column", "neuroid_id", "group", "stimulus_id", "category", "colour", "z"),
)
MEASURED = "measured"
#: more neuroids are thinned evenly
MOST_NEUROIDS = 240
#: standard deviations at the ends of the scale
RANGE = 2.5


def figures(material: Material) -> Iterator[Figure]:
    """The best model of each benchmark whose predictions were kept and whose data are here."""
    for (benchmark, region, statistic, target), rows in material.wholes():
        found = predictions(material, best_with_predictions(material, rows), region)
        if found is None or len(found[3]) < 2:
            continue
        row, dataset, predicted, neuroids = found
        frame, n_drawn = heatmap_frame(row, dataset, predicted, neuroids)
        more = [
            "responses less the mean of the neuroid, over its standard deviation, both those that were measured",
            f"one colour scale, ± {RANGE:g}; predictions on held-out stimuli",
            "neuroids by region, best predicted on top"
            if neuroids["region"].nunique() > 1
            else "best predicted on top",
            f"{n_drawn} of {len(neuroids):,} neuroids, evenly thinned" if n_drawn < len(neuroids) else "",
        ]
        note = words.note_of(rows[rows["digest"] == row["digest"]].assign(interval_low=np.nan), more)
        label = style.short_name(str(row["label"]))
        title = f"Which responses of {words.about(region, benchmark)} does {label} miss?"
        name = folder_name(f"heatmap-{benchmark}-{region}-{statistic}-{target}")[:150]
        yield Figure("heatmap", name, title, note.replace("no interval; ", ""), frame, DRAWING)


def heatmap_frame(
    row: dict[str, Any], dataset: Dataset, predicted: Array, neuroids: pd.DataFrame
) -> tuple[pd.DataFrame, int]:
    """What is drawn, and how many neuroids it has."""
    import pandas as pd

    assert dataset.responses is not None
    regions = neuroids["region"].astype(str)
    first = {name: place for place, name in reversed(list(enumerate(dict.fromkeys(regions))))}
    order = np.lexsort((-neuroids["value"].fillna(-9).to_numpy(), regions.map(first).to_numpy()))
    order = order[np.linspace(0, len(order) - 1, min(len(order), MOST_NEUROIDS)).round().astype(int)]
    listed, stimuli = neuroids.iloc[order], by_category(dataset.stimuli.table)
    column = {str(name): index for index, name in enumerate(dataset.responses["neuroid_id"].values)}
    measured = averaged(dataset.responses)[:, [column[str(name)] for name in listed["neuroid_id"]]]
    mean, deviation = measured.mean(axis=0), measured.std(axis=0)
    deviation[deviation == 0] = np.nan
    shape = (len(listed), len(stimuli.places))
    rows, columns = np.indices(shape).reshape(2, -1)
    ids = np.asarray(dataset.stimuli.ids, dtype=object)[list(stimuli.places)]
    fixed: dict[str, Any] = {
        **{name: row[name] for name in (*ONE_AXIS, "label")},
        "row": rows, "column": columns, "stimulus_id": ids[columns],
        "neuroid_id": listed["neuroid_id"].to_numpy()[rows], "group": listed["region"].to_numpy()[rows],
        "category": np.asarray(stimuli.categories, dtype=object)[columns],
    }  # fmt: skip
    fixed["colour"] = [stimuli.colours.get(str(name), "") for name in fixed["category"]]
    parts = [
        pd.DataFrame({**fixed, "matrix": name, "z": (((values - mean) / deviation).T[:, list(stimuli.places)]).ravel()})
        for name, values in ((MEASURED, measured), (str(row["label"]), predicted[:, order]))
    ]
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)], len(listed)


# --- drawing ----------------------------------------------------------------------------------------------------------


def size(frame: pd.DataFrame) -> tuple[float, float]:
    """Width and height in mm."""
    n_rows = int(frame["row"].max()) + 1
    return style.PAGE, float(np.clip(1.2 * n_rows, 30, 110)) + 14


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw stimuli to the right and neuroids downwards, one panel per matrix, on one scale centred on 0.

    Parameters
    ----------
    frame
        With the columns ``COLUMNS``, as ``Figure.frame`` of the kind "heatmap" has it.
    ax
        Axes to draw into; None: those of a new figure.
    """
    with style.styled():
        ax = style.new_axes(*size(frame)) if ax is None else ax
        ax.axis("off")
        names = list(dict.fromkeys(map(str, frame["matrix"])))
        step = 1 / len(names)
        image: Any = None
        for place, (name, label) in enumerate(zip(names, style.distinct_names(names), strict=True)):
            part = frame[frame["matrix"] == name]
            box = ax.inset_axes((place * step + 0.02, 0.0, step - 0.03, 0.93))
            image = _draw_matrix(box, part)
            box.set_title(label, size=7.5, weight="normal", pad=7, parse_math=False)
            _write_groups(box, part, first=place == 0)
        bar = ax.inset_axes((1.01, 0.02, 0.012, 0.3))
        drawn = ax.figure.colorbar(image, cax=bar)
        drawn.set_ticks([-RANGE, 0, RANGE])
        drawn.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
        bar.tick_params(length=0, labelsize=6.5)
        bar.set_title("z", size=6.5, weight="normal", loc="left")
    return ax


def _draw_matrix(box: Axes, part: pd.DataFrame) -> Any:
    from matplotlib.transforms import blended_transform_factory

    shape = (int(part["row"].max()) + 1, int(part["column"].max()) + 1)
    values = np.full(shape, np.nan)
    values[part["row"].to_numpy(), part["column"].to_numpy()] = part["z"].to_numpy()
    image = box.imshow(values, cmap="PuOr_r", vmin=-RANGE, vmax=RANGE, aspect="auto", interpolation="nearest")
    box.set(xticks=[], yticks=[])
    for spine in box.spines.values():
        spine.set_visible(False)
    top = part[part["row"] == 0].sort_values("column")
    edges = [0, *edges_of(top["category"].tolist()), shape[1]]
    across: Any = blended_transform_factory(box.transData, box.transAxes)
    for start, end in itertools.pairwise(edges):
        colour = str(top["colour"].iloc[start])
        if colour:
            box.plot([start - 0.3, end - 0.7], [1.02, 1.02], color=colour, lw=2.5, transform=across, clip_on=False,
                solid_capstyle="butt")  # fmt: skip
        if start > 0:
            box.axvline(start - 0.5, color="white", lw=0.8)
    return image


def _write_groups(box: Axes, part: pd.DataFrame, *, first: bool) -> None:
    side = part[part["column"] == 0].sort_values("row")
    groups = side["group"].astype(str).tolist()
    edges = [0, *edges_of(groups), len(groups)]
    for start, end in itertools.pairwise(edges):
        if start:
            box.axhline(start - 0.5, color="white", lw=1.2)
        if first and len(edges) > 2 and groups[start]:
            middle = (start + end) / 2 - 0.5
            box.annotate(style.short_name(groups[start], 16), (-0.012, middle), size=6.5, ha="right", va="center",
                xycoords=box.get_yaxis_transform(), annotation_clip=False)  # fmt: skip


DRAWING = Drawing(plot, size)
