"""Curves over layers: how well each layer of a model predicts, beside ceiling, controls and single layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.files import folder_name
from isocortex.scoring import by_participant, codes_of, over_participants
from isocortex_report.figures import style, words
from isocortex_report.figures.direct_labels import write_at_right
from isocortex_report.figures.figure import Drawing, Figure
from isocortex_report.figures.material import CONTROLS, ONE_AXIS, Material, records
from isocortex_report.figures.readouts import CLOSE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLUMNS = (
    *("mark", *ONE_AXIS, "model", "variant", "label", "family", "role", "colour", "layer", "place", "depth", "value"),
    *("read_out", "participant", "n_splits", "ceiling", "ceiling_lower", "ceiling_upper", "digest"),
)
CURVE, SINGLE, PARTICIPANT = "curve", "single layer", "participant"
#: so many curves have a colour and a name, the rest is pale
MOST_NAMED = 8
#: so many curves are drawn at all
MOST_CURVES = 60
#: participants are drawn for so many models
MOST_WITH_PARTICIPANTS = 2
HEIGHT = 68.0


def figures(material: Material) -> Iterator[Figure]:
    """Curves for each benchmark, region, statistic and target in which a model has several layers."""
    for (benchmark, region, statistic, target), rows in material.groups():
        inside = material.layers["digest"].isin(_members(rows)) & (material.layers["region"] == region)
        curves = material.layers[inside & (material.layers["statistic"] == statistic)]
        n_layers = curves.groupby("digest")["layer"].size()
        if (n_layers > 1).any():
            yield _figure(material, rows, curves, f"{benchmark}-{region}-{statistic}-{target}")


def _members(rows: pd.DataFrame) -> list[str]:
    return [digest for members in rows["members"] for digest in str(members).split()]


def _figure(material: Material, rows: pd.DataFrame, curves: pd.DataFrame, name: str) -> Figure:
    first = rows.iloc[0]
    frame = _frame(material, rows, curves)
    curved = frame[frame["mark"] == CURVE]
    n_curves, n_labels = curved["digest"].nunique(), curved["label"].nunique()
    n_all = int((curves.groupby("digest")["layer"].size() > 1).sum())
    named = _named(frame)
    more = [
        "area of the dots: how often a layer is read out" if frame["read_out"].gt(0).any() else "",
        "no layer is chosen for a curve",
        f"{n_labels - len(named)} models without a name are pale" if n_labels > len(named) else "",
        f"{n_all - n_curves} of {n_all} curves are not drawn: the lowest" if n_all > n_curves else "",
        "dashed and level: models of a single layer" if (frame["mark"] == SINGLE).any() else "",
        "thin lines: participants" if (frame["mark"] == PARTICIPANT).any() else "",
    ]
    title = f"At which depth do models predict {words.about(first['region'], first['benchmark'])}?"
    note = words.note_of(rows.assign(interval_low=np.nan, n_seeds=1), more).replace("no interval; ", "")
    return Figure("layers", folder_name(f"layers-{name}")[:150], title, note, frame, DRAWING)


# --- what is drawn ----------------------------------------------------------------------------------------------------


def _frame(material: Material, rows: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    context = _context(rows)
    n_layers = curves.groupby("digest")["layer"].transform("size")
    marked = curves.assign(mark=np.where(n_layers > 1, CURVE, SINGLE))
    known = {name: [context[digest][name] for digest in marked["digest"]] for name in _OF_ROW}
    marked = marked.assign(**known)
    best = marked[marked["mark"] == CURVE].groupby("digest")["value"].max().sort_values(ascending=False)
    shown = [*best.index[:MOST_CURVES], *marked["digest"][marked["mark"] == SINGLE].unique()[:MOST_NAMED]]
    marked = marked[marked["digest"].isin(shown)]
    people = [
        row
        for digest in best.index[: MOST_WITH_PARTICIPANTS + 1]
        for row in _participants(material, marked[marked["digest"] == digest])
        if len(best) <= MOST_WITH_PARTICIPANTS
    ]
    frame = pd.concat([marked, pd.DataFrame(people)]) if people else marked
    frame = frame.reindex(columns=list(COLUMNS)).reset_index(drop=True)
    return frame.assign(participant=frame["participant"].astype(object).where(frame["participant"].notna(), ""))


_OF_ROW = ("label", "n_splits", "ceiling", "ceiling_lower", "ceiling_upper")


def _context(rows: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """What belongs to each result, by digest; the seeds of a control share a label."""
    return {
        digest: {name: row[name] for name in _OF_ROW} for row in records(rows) for digest in str(row["members"]).split()
    }


def _participants(material: Material, curve: pd.DataFrame) -> list[dict[str, Any]]:
    """The curve of each participant, where their mean is the curve."""
    first = curve.iloc[0]
    scores = material.scores(str(first["digest"]))
    measure = None if scores is None else str(scores.attrs.get("measure"))
    if scores is None or measure not in scores or first["region"] != "all" or first["target"] != "participant":
        return []
    values = scores[measure]
    if not {"layer", "neuroid"} <= set(values.dims) or "subject" not in values.coords:
        return []
    averaged = values.mean([dim for dim in values.dims if dim not in ("layer", "neuroid")])
    names = list(dict.fromkeys(map(str, values["subject"].values)))
    for how in ("median-mean", "mean-mean"):
        found = by_participant(averaged.transpose("layer", "neuroid").values.astype(float), codes_of(averaged), how)
        if len(found) == len(curve) and np.allclose(
            over_participants(found), curve["value"], atol=CLOSE, equal_nan=True
        ):
            return [
                {**row, "mark": PARTICIPANT, "participant": name, "value": value, "read_out": np.nan}
                for name, column in zip(names, found.T, strict=True)
                for row, value in zip(records(curve), column.tolist(), strict=True)
            ]
    return []


def _named(frame: pd.DataFrame) -> list[str]:
    """Labels of the curves that have a name: the best ones that are no controls, and the best controls."""
    curves = frame[frame["mark"] == CURVE]
    best = curves.groupby(["label", "role"])["value"].max().sort_values(ascending=False).reset_index()
    own = best["label"][best["role"] != CONTROLS].tolist()
    controls = best["label"][best["role"] == CONTROLS].tolist()
    n_controls = min(len(controls), max(2, MOST_NAMED - len(own)))
    return [*own[: MOST_NAMED - n_controls], *controls[:n_controls]]


# --- drawing ----------------------------------------------------------------------------------------------------------


def size(_: pd.DataFrame) -> tuple[float, float]:
    """Width and height in mm."""
    return style.PAGE * 0.72, HEIGHT


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw curves over the relative depth of layers.

    Parameters
    ----------
    frame
        With the columns ``COLUMNS``, as ``Figure.frame`` of the kind "layers" has it.
    ax
        Axes to draw into; None: those of a new figure.
    """
    with style.styled():
        ax = style.new_axes(*size(frame)) if ax is None else ax
        named = _named(frame)
        n_seeds = frame.groupby("label")["digest"].nunique()
        for _, part in frame.groupby("digest", sort=False):
            _draw_one(ax, part, named, of_seeds=n_seeds[part["label"].iloc[0]] > 1)
        ax.set_xlim(-0.02, 1.02)
        _set_heights(ax, frame)
        _draw_ceiling(ax, frame)
        _write_names(ax, frame, named)
        _write_axes(ax, frame)
    return ax


def _draw_one(ax: Axes, part: pd.DataFrame, named: list[str], *, of_seeds: bool) -> None:
    first = part.iloc[0]
    colour, control = str(first["colour"]), first["role"] == CONTROLS
    is_named = first["label"] in named
    if first["mark"] == SINGLE:
        ax.axhline(float(first["value"]), color=colour, lw=0.9, ls=(0, (4, 2)), zorder=1)
        return
    for _, line in part[part["mark"] == PARTICIPANT].groupby("participant", sort=False):
        ax.plot(line["depth"], line["value"], color=colour, lw=0.5, alpha=0.4, zorder=1)
    curve = part[part["mark"] == CURVE]
    width, strength = (0.6 if of_seeds else 1.0 if control else 1.5, 1.0) if is_named else (0.6, 0.28)
    (line,) = ax.plot(curve["depth"], curve["value"], color=colour, lw=width, alpha=strength,
        ls="-" if control else style.dash_of(colour), zorder=2 + (not control) + is_named)  # fmt: skip
    line.set_gid(f"row-{int(curve.index[0])}")
    if is_named:
        read = curve[curve["read_out"] > 0]
        ax.scatter(
            read["depth"],
            read["value"],
            s=(1 + 12 * read["read_out"]) if of_seeds else (4 + 50 * read["read_out"]),
            color=colour,
            lw=0,
            zorder=5,
        )


def _set_heights(ax: Axes, frame: pd.DataFrame) -> None:
    known = frame[["value", "ceiling", "ceiling_lower", "ceiling_upper"]].to_numpy(dtype=float)
    known = known[np.isfinite(known)]
    low, high = (min(0.0, float(known.min())), max(0.0, float(known.max()))) if len(known) else (0.0, 1.0)
    room = 0.05 * (high - low or 1.0)
    ax.set_ylim(low - (room if low else 0), high + room)
    if low:
        ax.axhline(0, color=style.FAINT, lw=0.6, zorder=0)


def _draw_ceiling(ax: Axes, frame: pd.DataFrame) -> None:
    rows = frame.drop_duplicates("digest")
    low = rows["ceiling_lower"].where(rows["ceiling_lower"].notna(), rows["ceiling"]).dropna()
    high = rows["ceiling_upper"].where(rows["ceiling_upper"].notna(), rows["ceiling"]).dropna()
    if not len(low) or not len(high):
        return
    bottom, top = float(low.min()), float(high.max())
    same = np.ptp(low) < 1e-9 and np.ptp(high) < 1e-9
    if top - bottom < 1e-9:
        ax.axhline(top, color=style.CEILING_INK, lw=0.8, zorder=0)
    else:
        ax.axhspan(bottom, top, color=style.CEILING, lw=0, zorder=0)
    text = "ceiling" if same else "ceilings of the models, lowest to highest"
    ax.annotate(text, (0, top), (2, 2), xycoords=ax.get_yaxis_transform(), textcoords="offset points", ha="left",
        va="bottom", size=6.5, color=style.CEILING_INK)  # fmt: skip


def _write_names(ax: Axes, frame: pd.DataFrame, named: list[str]) -> None:
    curves = frame[(frame["mark"] == CURVE) & frame["label"].isin(named)]
    ends = curves.dropna(subset=["value"]).groupby("label", sort=False).last()
    single = frame[frame["mark"] == SINGLE].dropna(subset=["value"]).groupby("label", sort=False).first()
    labels = [*map(str, ends.index), *map(str, single.index)]
    heights = [*ends["value"].astype(float), *single["value"].astype(float)]
    colours = [*map(str, ends["colour"]), *map(str, single["colour"])]
    low, high = ax.get_ylim()
    write_at_right(ax, style.distinct_names(labels, 28), heights, colours, (high - low) * 3.3 / (HEIGHT - 14))


def _write_axes(ax: Axes, frame: pd.DataFrame) -> None:
    first = frame.iloc[0]
    held_out = bool(frame["n_splits"].notna().any())
    style.write_height_label(ax, words.axis_label(str(first["statistic"]), str(first["target"]), held_out=held_out))
    ax.grid(axis="y", color=style.RULE, lw=0.4)
    curves = frame[frame["mark"] == CURVE]
    lists = {tuple(part["layer"]) for _, part in curves.groupby("digest", sort=False)}
    if len(lists) > 1:
        ax.set_xlabel("relative depth of the layer (0 first, 1 last)")
        return
    (layers,) = lists
    places = range(len(layers)) if len(layers) <= 8 else sorted({0, (len(layers) - 1) // 2, len(layers) - 1})
    names = style.distinct_names([layers[place] for place in places], 22)
    turned = len(layers) > 4 and max(map(len, names)) > 7
    ax.set_xticks([place / (len(layers) - 1) for place in places], labels=names, parse_math=False,
        rotation=28 if turned else 0, ha="right" if turned else "center", rotation_mode="anchor")  # fmt: skip
    ax.set_xlabel(f"layer, of {len(layers)}")


DRAWING = Drawing(plot, size)
