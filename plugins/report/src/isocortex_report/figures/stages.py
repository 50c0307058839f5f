"""Stages: which depth of a model is read out in which region, beside what shuffled layers would give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.files import folder_name
from isocortex.scoring import NESTED, by_participant, codes_of, relative_depth
from isocortex.typing import Array
from isocortex_report.figures import style, words
from isocortex_report.figures.figure import Drawing, Figure
from isocortex_report.figures.material import ONE_AXIS, TRAINED, Material, records
from isocortex_report.figures.readouts import places_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

COLUMNS = (
    *("mark", *ONE_AXIS, "label", "colour", "layer", "place", "depth", "share", "value", "low", "high", "procedure"),
    *("n_layers", "predicted"),
)
SHARE, STAGE, NULL = "share", "stage", "shuffled layers"
#: models that have a map, by their score
MOST_MODELS = 6
N_SHUFFLES = 2000
CLOSE = 1e-6


def figures(material: Material) -> Iterator[Figure]:
    """A map for each of the best models with several layers, on each benchmark with a stage."""
    staged = material.rows[material.rows["stage"].notna() & (material.rows["status"] == "scored")]
    for (benchmark, statistic, target), rows in staged.groupby(["benchmark", "statistic", "target"], sort=False):
        whole = rows[(rows["region"] == "all") & (rows["n_seeds"] == 1)]
        best = whole.assign(trained=whole["role"] == TRAINED).sort_values(["trained", "value"], ascending=False)
        for model in records(best.head(MOST_MODELS)):
            inside = rows[rows["digest"] == model["digest"]]
            if len(inside) > 1:
                yield _figure(material, inside, f"{benchmark}-{statistic}-{target}-{model['label']}")


def _figure(material: Material, rows: pd.DataFrame, name: str) -> Figure:
    first = rows.iloc[0]
    frame = _frame(material, rows)
    has_null = (frame["mark"] == NULL).any()
    more = [
        f"layers chosen: {style.short_name(str(first['stage_procedure']))}, of {first['stage_n_layers']}",
        "area of a dot: share of participants and splits in which the layer is best"
        if (frame["mark"] == SHARE).any()
        else "shares of layers are not in the scores",
        f"grey bars: the middle 95 % of the mean depth over {N_SHUFFLES:,} random orders of the layers"
        if has_null
        else "",
        "stroke: mean depth; pale where the region is not predicted",
    ]
    title = (
        f"At which depth of {style.short_name(str(first['label']))} does {words.about('all', first['benchmark'])} lie?"
    )
    note = words.note_of(rows.assign(interval_low=np.nan), more).replace("no interval; ", "")
    return Figure("stages", folder_name(f"stages-{name}")[:180], title, note, frame, DRAWING)


def _frame(material: Material, rows: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    scores = material.scores(str(rows["digest"].iloc[0]))
    found: list[dict[str, Any]] = []
    for row in records(rows):
        predicted = not (row["interval_low"] == row["interval_low"] and row["interval_low"] <= 0)
        fixed = {name: row[name] for name in (*ONE_AXIS, "label", "colour")}
        fixed |= {"procedure": row["stage_procedure"], "n_layers": row["stage_n_layers"], "predicted": predicted}
        found.append({**fixed, "mark": STAGE, "value": row["stage"]})
        best = None if scores is None else best_layers(scores, row)
        if scores is None or best is None:
            continue
        shares, null = best.mean(axis=(1, 2)), shuffled_depths(best)
        low, high = np.quantile(null, [0.025, 0.975]).tolist()
        found.append({**fixed, "mark": NULL, "low": low, "high": high})
        depths = relative_depth(np.arange(len(shares)), len(shares))
        for place, name in enumerate(map(str, scores["layer"].values)):
            if shares[place] > 0:
                at = {"layer": name, "place": place, "depth": float(depths[place]), "share": float(shares[place])}
                found.append({**fixed, "mark": SHARE, **at})
    return pd.DataFrame(found).reindex(columns=list(COLUMNS))


def best_layers(scores: xr.Dataset, row: dict[str, Any]) -> Array | None:
    """Which layer is best, (n_layers, n_splits, n_participants), 1 or 0; None unless it gives the row's stage again."""
    if row["stage_procedure"] != NESTED or "selection" not in scores:
        return None
    selection = scores["selection"]
    if not {"layer", "split", "neuroid"} <= set(selection.dims):
        return None
    inside = places_of(selection, str(row["region"]))
    if inside is None:
        return None
    part = selection.transpose("layer", "split", "neuroid").isel(neuroid=inside)
    criterion = np.stack([by_participant(layer.astype(float), codes_of(part)) for layer in part.values])
    if np.isnan(criterion).any():
        return None
    best = np.zeros(criterion.shape)
    np.put_along_axis(best, criterion.argmax(axis=0)[None], 1.0, axis=0)
    stage = float((best.mean(axis=(1, 2)) * relative_depth(np.arange(len(best)), len(best))).sum())
    return best if abs(stage - float(row["stage"])) <= CLOSE else None


def shuffled_depths(best: Array, n_shuffles: int = N_SHUFFLES) -> Array:
    """Mean depth of the best layer under random orders of the layers, (n_shuffles,); the same for every region."""
    n_layers = len(best)
    stream = np.random.default_rng([n_layers, n_shuffles])
    orders = stream.permuted(np.tile(np.arange(n_layers), (n_shuffles, 1)), axis=1)
    return relative_depth(orders, n_layers) @ best.mean(axis=(1, 2))


# --- drawing ----------------------------------------------------------------------------------------------------------


def size(frame: pd.DataFrame) -> tuple[float, float]:
    """Width and height in mm."""
    return style.PAGE * 0.72, 17 + 8.0 * frame["region"].nunique()


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the layers that are read out in each region: depth to the right, one row per region.

    Parameters
    ----------
    frame
        With the columns ``COLUMNS``, as ``Figure.frame`` of the kind "stages" has it.
    ax
        Axes to draw into; None: those of a new figure.
    """
    with style.styled():
        ax = style.new_axes(*size(frame)) if ax is None else ax
        regions = list(dict.fromkeys(map(str, frame["region"])))
        y_of = {region: place for place, region in enumerate(regions)}
        ax.hlines(range(len(regions)), 0, 1, color=style.RULE, lw=0.5, zorder=0)
        for row in records(frame):
            _DRAW[row["mark"]](ax, row, y_of[row["region"]], 1.0 if row["predicted"] else 0.35)
        ax.set_ylim(len(regions) - 0.4, -0.6)
        ax.set_xlim(-0.04, 1.04)
        ax.set_yticks(range(len(regions)), labels=style.distinct_names(regions, 30), parse_math=False)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.set_xlabel("relative depth of the layer (0 first, 1 last)")
    return ax


def _draw_share(ax: Axes, row: dict[str, Any], y: int, strength: float) -> None:
    ax.scatter(row["depth"], y, s=90 * row["share"], color=row["colour"], alpha=0.75 * strength, lw=0, zorder=3)


def _draw_stage(ax: Axes, row: dict[str, Any], y: int, strength: float) -> None:
    ax.plot([row["value"]] * 2, [y - 0.33, y + 0.33], color=style.INK, lw=1.6, alpha=strength, zorder=4)
    ax.annotate(words.number(row["value"], 2), (1, y), (26, 0), xycoords=ax.get_yaxis_transform(), size=7,
        textcoords="offset points", va="center", ha="right", alpha=max(strength, 0.6))  # fmt: skip


def _draw_null(ax: Axes, row: dict[str, Any], y: int, _: float) -> None:
    ax.barh(y + 0.30, row["high"] - row["low"], 0.1, row["low"], color="#C9CED4", zorder=1)


_DRAW = {SHARE: _draw_share, STAGE: _draw_stage, NULL: _draw_null}
DRAWING = Drawing(plot, size)
