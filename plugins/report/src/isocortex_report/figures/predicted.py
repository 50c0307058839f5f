"""Predicted: held-out predictions against what was measured, for the best, the middle and the worst neuroid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.data import averaged
from isocortex.files import folder_name
from isocortex.typing import Array
from isocortex_report.figures import style, words
from isocortex_report.figures.brain import by_category
from isocortex_report.figures.figure import Drawing, Figure
from isocortex_report.figures.material import ONE_AXIS, Material, records
from isocortex_report.figures.neuroids import best_model
from isocortex_report.figures.readouts import neuroids_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

    from isocortex.data import Dataset

COLUMNS = (
    *(*ONE_AXIS, "label", "panel", "neuroid_id", "score", "stimulus_id", "category", "colour"),
    *("measured", "predicted"),
)
#: up to so many neuroids are all shown
MOST_PANELS = 6


def figures(material: Material) -> Iterator[Figure]:
    """The best model of each benchmark whose predictions were kept and whose data are here."""
    for (benchmark, region, statistic, target), rows in material.wholes():
        found = predictions(material, best_with_predictions(material, rows), region)
        if found is None:
            continue
        row, measured, predicted, table = found
        frame = _frame(row, measured, predicted, table, _chosen(table))
        label, n = style.short_name(str(row["label"])), frame["neuroid_id"].nunique()
        which = "all neuroids" if n == len(table) else f"the best, the middle and the worst of {len(table):,} neuroids"
        more = [
            f"{which}; one dot per stimulus, predicted without it by the first split that tests it",
            "measured: mean over repetitions; colours: categories of stimuli",
            f"numbers: {words.STATISTICS.get(statistic, statistic)} of the neuroid as scored, mean over splits",
        ]
        note = words.note_of(rows[rows["digest"] == row["digest"]].assign(interval_low=np.nan), more)
        title = f"What does {label} predict for {words.about(region, benchmark)}, and what was measured?"
        name = folder_name(f"predicted-{benchmark}-{region}-{statistic}-{target}")[:150]
        yield Figure("predicted", name, title, note.replace("no interval; ", ""), frame, DRAWING)


def best_with_predictions(material: Material, rows: pd.DataFrame) -> dict[str, Any] | None:
    """The best row of which predictions of neuroids were kept, controls last."""
    first = best_model(rows)
    rest = records(rows[rows["n_seeds"] == 1].sort_values("value", ascending=False))
    for row in [first, *rest]:
        kept = material.kept(str(row["digest"]), "prediction") if row["n_seeds"] == 1 else None
        if kept is not None and {"split", "test", "neuroid"} <= set(kept["prediction"].dims):
            return row
    return None


def predictions(
    material: Material, row: dict[str, Any] | None, region: str
) -> tuple[dict[str, Any], Dataset, Array, pd.DataFrame] | None:
    """Row, data set, predictions (n_stimuli, n_neuroids) in canonical order, and neuroids with scores."""
    if row is None:
        return None
    kept, scores = material.kept(str(row["digest"]), "prediction"), material.scores(str(row["digest"]))
    dataset = material.dataset(material.by_digest[str(row["digest"])])
    neuroids = None if scores is None else neuroids_of(scores, region)
    if kept is None or dataset is None or dataset.responses is None or neuroids is None:
        return None
    place = {str(name): index for index, name in enumerate(kept["neuroid_id"].values)}
    columns = [place[str(name)] for name in neuroids["neuroid_id"]]
    return row, dataset, once_each(kept, len(dataset.stimuli))[:, columns], neuroids


def once_each(kept: xr.Dataset, n_stimuli: int) -> Array:
    """The prediction of each stimulus by the first split that tests it: (n_stimuli, n_neuroids), NaN if none."""
    values = kept["prediction"].transpose("split", "test", "neuroid").values.astype(float)
    tested = kept["test_stimulus"].values
    found = np.full((n_stimuli, values.shape[2]), np.nan)
    for places, part in zip(tested[::-1], values[::-1], strict=True):
        found[places[places >= 0]] = part[places >= 0]
    return found


def _chosen(table: pd.DataFrame) -> dict[str, int]:
    """Panel → place of its neuroid."""
    names = table["neuroid_id"].astype(str).tolist()
    if len(table) <= MOST_PANELS:
        return {name: place for place, name in enumerate(names)}
    order = np.argsort(table["value"].fillna(-np.inf).to_numpy())[::-1]
    return {"best": int(order[0]), "middle": int(order[len(order) // 2]), "worst": int(order[-1])}


def _frame(
    row: dict[str, Any], dataset: Dataset, predicted: Array, table: pd.DataFrame, chosen: dict[str, int]
) -> pd.DataFrame:
    import pandas as pd

    assert dataset.responses is not None
    order = by_category(dataset.stimuli.table)
    places = list(order.places)
    column = {str(name): index for index, name in enumerate(dataset.responses["neuroid_id"].values)}
    measured = averaged(dataset.responses)
    fixed = {name: row[name] for name in (*ONE_AXIS, "label")}
    parts: list[pd.DataFrame] = []
    for panel, place in chosen.items():
        neuroid = str(table["neuroid_id"].iloc[place])
        values = {"measured": measured[places, column[neuroid]], "predicted": predicted[places, place]}
        named = {"stimulus_id": np.asarray(dataset.stimuli.ids, dtype=object)[places], "category": order.categories}
        colours = [order.colours.get(name, style.INK) for name in order.categories]
        part = pd.DataFrame({**named, "colour": colours, **values}).dropna()
        parts.append(part.assign(panel=panel, neuroid_id=neuroid, score=table["value"].iloc[place], **fixed))
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


# --- drawing ----------------------------------------------------------------------------------------------------------

SIDE, GAP = 40.0, 10.0


def size(frame: pd.DataFrame) -> tuple[float, float]:
    """Width and height in mm."""
    n = frame["panel"].nunique()
    across = min(n, 3)
    return across * (SIDE + GAP) + 8, -(-n // across) * (SIDE + GAP + 3) - 2


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw one panel per neuroid: measured to the right, predicted upwards.

    Parameters
    ----------
    frame
        With the columns ``COLUMNS``, as ``Figure.frame`` of the kind "predicted" has it.
    ax
        Axes to draw into; None: those of a new figure.
    """
    with style.styled():
        ax = style.new_axes(*size(frame)) if ax is None else ax
        ax.axis("off")
        panels = list(dict.fromkeys(map(str, frame["panel"])))
        across = min(len(panels), 3)
        width, height = across * (SIDE + GAP), -(-len(panels) // across) * (SIDE + GAP + 3)
        ax.set(xlim=(0, width), ylim=(height, 0), aspect="equal", anchor="NW")
        for place, panel in enumerate(panels):
            corner = (place % across) * (SIDE + GAP) + 6, (place // across) * (SIDE + GAP + 3) + 4
            box = ax.inset_axes((*corner, SIDE, SIDE), transform=ax.transData)
            _draw_panel(box, frame[frame["panel"] == panel], panel)
    return ax


def _draw_panel(box: Axes, part: pd.DataFrame, panel: str) -> None:
    x, y = part["measured"].to_numpy(dtype=float), part["predicted"].to_numpy(dtype=float)
    low, high = min(x.min(), y.min()), max(x.max(), y.max())
    room = 0.05 * (high - low or 1)
    limits = (low - room, high + room)
    box.plot(limits, limits, color=style.RULE, lw=0.8, zorder=1)
    box.scatter(x, y, s=7, c=part["colour"].tolist(), alpha=0.75, lw=0, zorder=2)
    box.set(xlim=limits, ylim=limits)
    box.locator_params(nbins=4)
    name = style.short_name(str(part["neuroid_id"].iloc[0]), 18)
    said = name if name == panel else f"{panel}: {name}"
    text = f"{said}   {words.number(float(part['score'].iloc[0]))}"
    box.set_title(text, size=7, weight="normal", pad=3, parse_math=False)
    box.set_xlabel("measured", labelpad=1)
    box.set_ylabel("predicted", labelpad=1)


DRAWING = Drawing(plot, size)
