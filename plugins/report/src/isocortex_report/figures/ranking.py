"""Ranking: which model predicts a benchmark's row best, with intervals, participants, ceiling and family of tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.files import folder_name
from isocortex_report.figures import style, words
from isocortex_report.figures.figure import Drawing, Figure
from isocortex_report.figures.material import CONTROLS, LABELS, ONE_AXIS, Material, records
from isocortex_report.figures.pair_tests import LEVEL, MOST_MARKED, Family, family_of_pairs, letters_of
from isocortex_report.figures.published import published_scores, same_name
from isocortex_report.figures.readouts import participants_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLUMNS = (
    *("mark", *ONE_AXIS, "model", "variant", "label", "family", "role", "form", "colour", "value"),
    *("interval_low", "interval_high", "range_low", "range_high", "n_seeds", "n_splits", "participant"),
    *("ceiling", "ceiling_lower", "ceiling_upper", "letters", "q", "reference", "source", "digest"),
)
MODEL, PARTICIPANT, PUBLISHED, FAILED = "model", "participant", "published", "failed"
#: more rows do not fit on a page
MOST_ROWS = 48
#: up to so many rows the value stands beside them, and participants are drawn
MOST_VALUES, MOST_WITH_PARTICIPANTS = 12, 24


def figures(material: Material) -> Iterator[Figure]:
    """A ranking for each benchmark, region, statistic and target of the material."""
    for (benchmark, region, statistic, target), rows in material.groups():
        yield _figure(material, rows, f"{benchmark}-{region}-{statistic}-{target}")


def _figure(material: Material, rows: pd.DataFrame, name: str) -> Figure:
    first = rows.iloc[0]
    ordered = rows.sort_values(["value", "model"], ascending=[not words.best_first(first["statistic"]), True])
    shown = ordered.head(MOST_ROWS)
    reference = _reference(shown, material.against)
    family = family_of_pairs(material, shown, None if reference is None else str(reference["digest"]))
    frame = _frame(material, shown, family, reference)
    hidden = len(ordered) - len(shown)
    more = [
        words.forms_text(map(str, shown["form"])),
        f"{hidden} of {len(ordered)} rows are below these and not drawn" if hidden else "",
        family.note,
        _marks_text(frame, reference, 0 if family.reason else int((shown["n_seeds"] == 1).sum())),
        _failed_text(material, str(first["benchmark"])),
    ]
    title = f"Which model predicts {words.about(first['region'], first['benchmark'])} best?"
    return Figure("ranking", folder_name(f"ranking-{name}")[:150], title, words.note_of(shown, more), frame, DRAWING)


def _reference(rows: pd.DataFrame, against: str | None) -> pd.Series[Any] | None:
    if against is None:
        return None
    named = rows[(rows["model"] == against) | (rows["model"] + "@" + rows["variant"] == against)]
    return named.iloc[0] if len(named) == 1 else None


def _marks_text(frame: pd.DataFrame, reference: pd.Series[Any] | None, n_tested: int) -> str:
    if reference is not None:
        return f"filled mark at the right: differs from {style.short_name(str(reference['label']))}, q ≤ .05"
    if frame["letters"].ne("").any():
        return "models that share a letter do not differ (q > .05)"
    return f"no marks above {MOST_MARKED} models: the figure 'pairs' has the tests" if n_tested > MOST_MARKED else ""


def _failed_text(material: Material, benchmark: str) -> str:
    failed = material.rows[(material.rows["benchmark"] == benchmark) & (material.rows["status"] == "failed")]
    return f"failed, without a value: {len(failed)}" if len(failed) else ""


# --- what is drawn ----------------------------------------------------------------------------------------------------


def _frame(material: Material, rows: pd.DataFrame, family: Family, reference: pd.Series[Any] | None) -> pd.DataFrame:
    import pandas as pd

    first = rows.iloc[0]
    letters = _letters(rows, family, reference)
    q = _q_against(rows, family, reference)
    base = rows.assign(mark=MODEL, letters=[letters.get(digest, "") for digest in rows["digest"]], q=q)
    base = base.assign(reference="" if reference is None else str(reference["label"]))
    found = [row for row in records(base) if row["value"] == row["value"]]
    found += [row for one in found.copy() for row in _participants(material, one, len(rows))]
    found += [
        {**{name: first[name] for name in ONE_AXIS}, "mark": PUBLISHED, "label": f"{one['model']} (published)", **one}
        for one in published_scores(rows)
    ]
    failed = material.rows[(material.rows["benchmark"] == first["benchmark"]) & (material.rows["status"] == "failed")]
    found += [{**row, "mark": FAILED, "region": first["region"]} for row in records(failed.head(8))]
    frame = pd.DataFrame(found, columns=list(COLUMNS))
    frame = frame.assign(label=_attached(frame))
    texts = [name for name in COLUMNS if frame[name].dtype == object or name in ("letters", "participant", "source")]
    return frame.assign(**{name: frame[name].astype(object).where(frame[name].notna(), "") for name in texts})


def _attached(frame: pd.DataFrame) -> list[str]:
    """Labels, a published score in the row of the model that it is of."""
    own = frame[frame["mark"] == MODEL]
    plain = dict(zip(own["model"], own["label"], strict=True))
    found: list[str] = []
    for mark, model, label in zip(frame["mark"], frame["model"], frame["label"], strict=True):
        matches = [name for name in plain if mark == PUBLISHED and same_name(str(model), str(name))]
        found.append(str(plain[matches[0]]) if len(matches) == 1 else str(label))
    return found


def _letters(rows: pd.DataFrame, family: Family, reference: pd.Series[Any] | None) -> dict[str, str]:
    if reference is not None or family.reason or (rows["n_seeds"] == 1).sum() > MOST_MARKED:
        return {}
    tested = set(family.pairs["digest_a"]) | set(family.pairs["digest_b"])
    return letters_of(family, [digest for digest in rows["digest"] if digest in tested])


def _q_against(rows: pd.DataFrame, family: Family, reference: pd.Series[Any] | None) -> list[float]:
    if reference is None or family.reason:
        return [float("nan")] * len(rows)
    digests = rows["digest"].tolist()
    return family.q_matrix(digests)[digests.index(reference["digest"])].tolist()


def _participants(material: Material, row: dict[str, Any], n_rows: int) -> list[dict[str, Any]]:
    """One mark per participant, of the models of a ranking that has room for them."""
    several = row["n_subjects"] == row["n_subjects"] and row["n_subjects"] is not None and row["n_subjects"] > 1
    if n_rows > MOST_WITH_PARTICIPANTS or row["n_seeds"] > 1 or not several or row["target"] != "participant":
        return []
    scores = material.scores(str(row["digest"]))
    people = {} if scores is None else participants_of(scores, str(row["region"]), float(row["value"]))
    kept = {name: row[name] for name in (*ONE_AXIS, "model", "variant", "label", "family", "role", "colour", "digest")}
    return [{**kept, "mark": PARTICIPANT, "participant": name, "value": value} for name, value in people.items()]


# --- drawing ----------------------------------------------------------------------------------------------------------


def size(frame: pd.DataFrame) -> tuple[float, float]:
    """Width and height in mm."""
    n_rows = len(_row_order(frame))
    several = frame["interval_low"].notna().any() or n_rows > MOST_VALUES
    return (style.PAGE * 0.72 if several else style.COLUMN * 1.2, 13.0 + min(4.4, 200 / max(n_rows, 1)) * n_rows)


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw a ranking: one row per model, best on top.

    Parameters
    ----------
    frame
        With the columns ``COLUMNS``, as ``Figure.frame`` of the kind "ranking" has it. Of one benchmark, region,
        statistic and target.
    ax
        Axes to draw into; None: those of a new figure.

    Raises
    ------
    ValueError
        Rows of several statistics or targets.
    """
    if len(frame[["statistic", "target"]][frame["mark"] == MODEL].drop_duplicates()) > 1:
        raise ValueError("A ranking is of one statistic and target; these rows have several.")
    with style.styled():
        ax = style.new_axes(*size(frame)) if ax is None else ax
        labels = _row_order(frame)
        y_of = {label: place for place, label in enumerate(labels)}
        _draw_ceiling(ax, frame[frame["mark"] == MODEL], y_of)
        for place, row in enumerate(records(frame)):
            _MARKS[row["mark"]](ax, row, y_of[row["label"]], f"row-{place}")
        _finish(ax, frame, labels)
    return ax


def _row_order(frame: pd.DataFrame) -> list[str]:
    """Labels of the rows from top to bottom: by value, failed ones last."""
    valued = frame[frame["mark"].isin([MODEL, PUBLISHED])]
    own = valued.drop_duplicates("label")
    best = words.best_first(str(frame["statistic"].iloc[0]))
    ordered = own.sort_values("value", ascending=not best, kind="stable")["label"]
    failed = frame["label"][frame["mark"] == FAILED]
    return list(dict.fromkeys([*ordered, *failed]))


def _draw_ceiling(ax: Axes, rows: pd.DataFrame, y_of: dict[str, int]) -> None:
    """A pale band, or a line where the ceiling is one number; short ones where rows have different ceilings."""
    low = rows["ceiling_lower"].where(rows["ceiling_lower"].notna(), rows["ceiling"])
    high = rows["ceiling_upper"].where(rows["ceiling_upper"].notna(), rows["ceiling"])
    known = low.notna() & high.notna()
    if not known.any():
        return
    one = known.all() and np.ptp(low) < 1e-9 and np.ptp(high) < 1e-9
    if one:
        start, end = float(low.iloc[0]), float(high.iloc[0])
        if end > start:
            ax.axvspan(start, end, color=style.CEILING, lw=0, zorder=0)
        else:
            ax.axvline(start, color=style.CEILING_INK, lw=0.8, zorder=0)
        ax.annotate("ceiling", ((start + end) / 2, 1), (0, 2), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", va="bottom", size=6.5, color=style.CEILING_INK)  # fmt: skip
        return
    places = np.array([y_of[label] for label in rows["label"][known]])
    for x in {id(low): low, id(high): high}.values():
        ax.vlines(x[known], places - 0.38, places + 0.38, color=style.CEILING_INK, lw=0.8, zorder=0)
    ax.annotate("| ceiling of the row", (1, 1), (0, 2), xycoords="axes fraction", textcoords="offset points",
        ha="right", va="bottom", size=6.5, color=style.CEILING_INK)  # fmt: skip


def _draw_model(ax: Axes, row: dict[str, Any], y: int, gid: str) -> None:
    low, high = row["interval_low"], row["interval_high"]
    if row["n_seeds"] > 1:
        ax.plot([row["range_low"], row["range_high"]], [y, y], color=row["colour"], lw=0.8, ls=(0, (1, 1)), zorder=2)
    elif low == low and high == high:
        ax.plot([low, high], [y, y], color=row["colour"], lw=1.3, zorder=2)
    face = "white" if row["role"] == LABELS else row["colour"]
    (mark,) = ax.plot(row["value"], y, style.FORMS[row["form"]], ms=5, mfc=face, mec=row["colour"], mew=1.0, zorder=4)
    mark.set_gid(gid)


def _draw_participant(ax: Axes, row: dict[str, Any], y: int, gid: str) -> None:
    (mark,) = ax.plot(row["value"], y + 0.24, "o", ms=1.9, mfc=row["colour"], mec="none", alpha=0.55, zorder=3)
    mark.set_gid(gid)


def _draw_published(ax: Axes, row: dict[str, Any], y: int, gid: str) -> None:
    (mark,) = ax.plot(row["value"], y, style.PUBLISHED, ms=4.6, mfc="none", mec=style.INK, mew=0.8, zorder=5)
    mark.set_gid(gid)


def _draw_failed(ax: Axes, _: dict[str, Any], y: int, gid: str) -> None:
    ax.text(0.01, y, "failed: no value", transform=ax.get_yaxis_transform(), size=6.5, style="italic",
        color=style.FAINT, va="center", gid=gid)  # fmt: skip


_MARKS = {
    MODEL: _draw_model,
    PARTICIPANT: _draw_participant,
    PUBLISHED: _draw_published,
    FAILED: _draw_failed,
}


def _finish(ax: Axes, frame: pd.DataFrame, labels: Sequence[str]) -> None:
    first = frame.iloc[0]
    own = {str(row["label"]): row for row in records(frame[frame["mark"] == MODEL])}
    ax.set_yticks(range(len(labels)), labels=style.distinct_names(labels, 40), parse_math=False)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.spines["left"].set_visible(False)
    for tick, label in zip(ax.get_yticklabels(), labels, strict=True):
        grey = label not in own or own[label]["role"] == CONTROLS
        tick.set_color(style.FAINT if grey else style.INK)
    ax.hlines(range(len(labels)), 0, 1, transform=ax.get_yaxis_transform(), color=style.RULE, lw=0.4, zorder=0)
    _set_limits(ax, frame)
    if ax.get_xlim()[0] < 0 < ax.get_xlim()[1]:
        ax.axvline(0, color=style.FAINT, lw=0.6, zorder=1)
    held_out = bool(frame["n_splits"].notna().any())
    ax.set_xlabel(words.axis_label(str(first["statistic"]), str(first["target"]), held_out=held_out))
    for place, label in enumerate(labels):
        if label in own:
            _write_beside(ax, own[label], place, len(labels) <= MOST_VALUES)


def _write_beside(ax: Axes, row: dict[str, Any], y: int, with_value: bool) -> None:
    """Value and letters of a row at the right edge."""
    place: dict[str, Any] = {"xycoords": ax.get_yaxis_transform(), "textcoords": "offset points", "va": "center"}
    if with_value:
        ax.annotate(words.number(row["value"]), (1, y), (24, 0), ha="right", size=7, **place)
    offset = 30 if with_value else 5
    if row["letters"]:
        ax.annotate(str(row["letters"]), (1, y), (offset, 0), ha="left", size=7, color=style.FAINT, **place)
    if row["q"] == row["q"] and row["q"] is not None:
        ax.annotate("●" if row["q"] <= LEVEL else "○", (1, y), (offset, 0), ha="left", size=6, color=style.INK, **place)


def _set_limits(ax: Axes, frame: pd.DataFrame) -> None:
    columns = ["value", "interval_low", "interval_high", "range_low", "range_high", "ceiling", "ceiling_lower"]
    known = frame[[*columns, "ceiling_upper"]].to_numpy(dtype=float)
    known = known[np.isfinite(known)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    low, high = min(low, 0.0) if low < 0.6 * high else low, max(high, 0.0)
    room = 0.03 * (high - low or 1.0)
    ax.set_xlim(low - room, high + room)


DRAWING = Drawing(plot, size)
