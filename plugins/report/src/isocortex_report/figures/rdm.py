"""RDMs: which stimuli are alike for a model and for the brain, side by side."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.errors import DataError
from isocortex.files import folder_name
from isocortex.typing import Array
from isocortex_report.figures import style, words
from isocortex_report.figures.brain import by_category, edges_of
from isocortex_report.figures.figure import Drawing, Figure
from isocortex_report.figures.material import Material, records
from isocortex_report.figures.neuroids import best_model

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from isocortex.data import Dataset

COLUMNS = (
    *("matrix", "row", "column", "stimulus_row", "stimulus_column", "category_row", "category_column", "colour_row"),
    *("dissimilarity", "percentile"),
)
BRAIN = "brain"
#: models beside the brain
MOST_MODELS = 2


def figures(material: Material) -> Iterator[Figure]:
    """The best models of each benchmark on dissimilarities, beside the brain; where the model's matrix was kept."""
    for (benchmark, region, statistic, target), rows in material.wholes():
        if region != "all":
            continue
        first = material.by_digest.get(str(best_model(rows)["digest"]))
        if first is None or not first.metric.endswith(("rsa", "rdm", "rdm-cv")):
            continue
        kept = _kept_models(material, rows)
        dataset = material.dataset(first) if kept else None
        brain = None if dataset is None else brain_rdm(dataset, first.settings)
        if dataset is None or brain is None or any(len(values) != len(brain) for values in kept.values()):
            continue
        table = dataset.stimuli.table
        frame = rdm_frame({**kept, BRAIN: brain}, list(dataset.stimuli.ids), table)
        names = " and ".join(style.short_name(name) for name in kept)
        note = (
            f"{len(dataset.stimuli)} stimuli in the order and categories of the data set; colours: ranks of the "
            f"dissimilarities within each matrix, 0 to 100 %; brain: {_brain_words(dataset, first.settings)}; "
            f"{words.STATISTICS.get(statistic, statistic)}: "
            + ", ".join(
                f"{style.short_name(str(one['label']))} {words.number(one['value'])}" for one in _shown(rows, kept)
            )
            + "."
        )
        title = f"Are the stimuli of {words.about(region, benchmark)} alike for {names} and for the brain?"
        yield Figure("rdm", folder_name(f"rdm-{benchmark}-{statistic}-{target}")[:150], title, note, frame, DRAWING)


def _shown(rows: pd.DataFrame, kept: Mapping[str, Array]) -> list[dict[str, Any]]:
    return [row for row in records(rows) if row["label"] in kept]


def _kept_models(material: Material, rows: pd.DataFrame) -> dict[str, Array]:
    """Dissimilarities of the best models at the layer that is read out most, by label."""
    found: dict[str, Array] = {}
    for row in records(rows.sort_values("value", ascending=False)):
        kept = material.kept(str(row["digest"]), "prediction") if row["n_seeds"] == 1 else None
        if kept is None or "pair" not in kept["prediction"].dims:
            continue
        values = kept["prediction"]
        if "readout_layer" in values.dims:
            most = int(np.argmax(kept["readout_share"].values)) if "readout_share" in kept else 0
            values = values.isel(readout_layer=most)
        if values.dims == ("pair",):
            found[str(row["label"])] = values.values.astype(float)
        if len(found) == MOST_MODELS:
            break
    return found


def brain_rdm(dataset: Dataset, settings: Mapping[str, Any]) -> Array | None:
    """Dissimilarities of the pairs of stimuli in canonical order, (n_pairs,): the mean over participants.

    Of responses they are made as the metric's settings say, ``dissimilarity`` and ``standardise``, so that model and
    brain are looked at in one way; None where a participant has none.
    """
    from isocortex_metrics.geometry.participant_rdms import participant_rdms

    how, standardise = _recipe(settings)
    try:
        people = participant_rdms(dataset, how, "rdm", standardise=standardise)
    except DataError:
        return None
    return people.rdms.mean(axis=0) if tuple(people.stimulus_id) == tuple(dataset.stimuli.ids) else None


def _recipe(settings: Mapping[str, Any]) -> tuple[str, bool]:
    """Dissimilarity, and whether neuroids are z-scored before; of a metric without such settings 1 − r."""
    return str(settings.get("dissimilarity", "correlation")), bool(settings.get("standardise", False))


def _brain_words(dataset: Dataset, settings: Mapping[str, Any]) -> str:
    if dataset.rdm is not None:
        n_subjects = dataset.rdm.sizes["subject"]
        return f"mean over {n_subjects} participants" if n_subjects > 1 else "one matrix, as it was published"
    how, standardise = _recipe(settings)
    return f"{how} dissimilarity of patterns{', every neuroid z-scored' if standardise else ''}, mean over participants"


def rdm_frame(matrices: Mapping[str, Array], ids: Sequence[str], table: pd.DataFrame) -> pd.DataFrame:
    """What is drawn of labelled dissimilarities: a row per matrix and pair of stimuli, in the order of categories.

    Parameters
    ----------
    matrices
        Name → dissimilarities of the pairs in canonical order, (n_pairs,), or a square matrix (n_stimuli, n_stimuli).
    ids
        Of the stimuli in canonical order.
    table
        Of the stimuli, with a column "category" and, if it has them, "category_colour".

    Raises
    ------
    ValueError
        A matrix of another size.
    """
    import pandas as pd
    from scipy.spatial.distance import squareform
    from scipy.stats import rankdata

    order = by_category(table)
    places, n = list(order.places), len(ids)
    upper = np.triu_indices(n, 1)
    rows: list[pd.DataFrame] = []
    for name, values in matrices.items():
        square = np.asarray(values, dtype=float)
        square = squareform(square, checks=False) if square.ndim == 1 else square
        if square.shape != (n, n):
            raise ValueError(f"The matrix {name!r} is {square.shape}; {n} stimuli need ({n}, {n}).")
        shown = square[np.ix_(places, places)][upper]
        rank = rankdata(shown)
        percent = 100 * (rank - 1) / max(len(rank) - 1, 1)
        listed = np.asarray(ids, dtype=object)[places]
        kinds = np.asarray(order.categories, dtype=object)
        named = {"matrix": name, "row": upper[0], "column": upper[1]}
        named |= {"stimulus_row": listed[upper[0]], "stimulus_column": listed[upper[1]]}
        named |= {"category_row": kinds[upper[0]], "category_column": kinds[upper[1]]}
        colour = [order.colours.get(str(kind), "") for kind in named["category_row"]]
        rows.append(pd.DataFrame({**named, "colour_row": colour, "dissimilarity": shown, "percentile": percent}))
    return pd.concat(rows, ignore_index=True)[list(COLUMNS)]


# --- drawing ----------------------------------------------------------------------------------------------------------


def size(frame: pd.DataFrame) -> tuple[float, float]:
    """Width and height in mm."""
    n_matrices = frame["matrix"].nunique()
    side = min(76.0, (style.PAGE - 34) / n_matrices - 5)
    return n_matrices * (side + 5) + 34, side + 12


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw dissimilarity matrices side by side on one scale of ranks, with the categories as strips.

    Parameters
    ----------
    frame
        With the columns ``COLUMNS``, as ``rdm_frame`` makes it.
    ax
        Axes to draw into; None: those of a new figure.
    """
    with style.styled():
        ax = style.new_axes(*size(frame)) if ax is None else ax
        ax.axis("off")
        names = list(dict.fromkeys(map(str, frame["matrix"])))
        width, height = size(frame)
        ax.set(xlim=(0, width - 34), ylim=(height - 12, 0), aspect="equal", anchor="NW")
        step = (width - 34) / len(names)
        image: Any = None
        for place, (name, label) in enumerate(zip(names, style.distinct_names(names, 24), strict=True)):
            image = _draw_matrix(ax, frame[frame["matrix"] == name], label, place * step, step - 5)
        _write_categories(ax, frame, width - 34, step - 5)
        _draw_scale(ax, image)
    return ax


def _draw_matrix(ax: Axes, part: pd.DataFrame, label: str, x: float, side: float) -> Any:
    categories, colours = _margins(part)
    n = len(categories)
    edges = edges_of(categories)
    gap = max(1, round(n / 90)) if edges else 0
    place = np.array([stimulus + gap * sum(edge <= stimulus for edge in edges) for stimulus in range(n)])
    square = np.full((place[-1] + 1,) * 2, np.nan)
    a, b = place[part["row"].to_numpy()], place[part["column"].to_numpy()]
    square[a, b] = square[b, a] = part["percentile"].to_numpy()
    box = ax.inset_axes((x + 2.2, 2.2, side - 2.2, side - 2.2), transform=ax.transData)
    image = box.imshow(square, cmap="viridis", vmin=0, vmax=100, interpolation="nearest")
    box.axis("off")
    ax.text(x + 2.2, -0.8, label, size=7.5, va="bottom", ha="left", parse_math=False)
    scale = (side - 2.2) / len(square)
    for first, end in itertools.pairwise([0, *edges, n]):
        if colours[first]:
            at, length = place[first] * scale + 2.2, (place[end - 1] - place[first] + 1) * scale
            ax.add_patch(_strip(x, at, 1.5, length, colours[first]))
            ax.add_patch(_strip(x + at, 0, length, 1.5, colours[first]))
    return image


def _strip(x: float, y: float, width: float, height: float, colour: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, facecolor=colour, edgecolor=colour, lw=0.1, clip_on=False)


def _margins(part: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Category and colour of every stimulus that is shown."""
    n = int(part["column"].max()) + 1
    first = part.drop_duplicates("row").sort_values("row")
    last = part[part["column"] == n - 1].iloc[0]
    categories = [*map(str, first["category_row"]), str(last["category_column"])]
    known = dict(zip(first["category_row"].astype(str), first["colour_row"].astype(str), strict=True))
    return categories, [known.get(name, "") for name in categories]


def _write_categories(ax: Axes, frame: pd.DataFrame, x: float, side: float) -> None:
    part = frame[frame["matrix"] == frame["matrix"].iloc[0]]
    categories, colours = _margins(part)
    listed = {name: colour for name, colour in zip(categories, colours, strict=True) if colour}
    step = min(3.6, (side - 13) / max(len(listed), 1))
    if step < 2.0:
        return
    for place, (name, colour) in enumerate(listed.items()):
        ax.add_patch(_strip(x, 2.2 + place * step, 1.8, step * 0.72, colour))
        ax.text(x + 3, 2.2 + (place + 0.36) * step, style.short_name(name, 20), size=6.5, va="center", parse_math=False)


def _draw_scale(ax: Axes, image: Any) -> None:
    bar = ax.inset_axes((1.02, 0.02, 0.016, 0.16))
    drawn = ax.figure.colorbar(image, cax=bar)
    drawn.set_ticks([0, 100], labels=["alike", "unlike"])
    drawn.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    bar.tick_params(length=0, labelsize=6.5)


DRAWING = Drawing(plot, size)
