"""Recovery: of brains that were made of known models, how often does scoring find the model, at each reliability?

The numbers come from ``recovery.json``, which ``isocortex recover`` writes below the results folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from isocortex.files import folder_name, read_sealed
from isocortex_report.figures import style, words
from isocortex_report.figures.figure import Drawing, Figure
from isocortex_report.figures.material import Material, records

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLUMNS = ("benchmark", "metric", "c", "what", "share", "low", "high", "n", "chance")
RECORD = "recovery.json"
#: what is asked → column of the curve, colour, form and dash
ASKED: dict[str, tuple[str, str, str, Any]] = {
    "its family comes first": ("family", style.INK, "o", "-"),
    "the model itself comes first": ("right", style.FAINT, "s", (0, (5, 1.2))),
    "its family is named": ("named_right", style.HUES[0], "D", (0, (1.2, 1.2))),
    "family left out, something is named": ("left_out", style.HUES[3], "x", (0, (6, 1.5, 1.2, 1.5))),
}
_INTERVALS = {
    "family": ("family", "family_low", "family_high"),
    "right": ("right", "right_low", "right_high"),
    "named_right": ("named_right", None, None),
    "left_out": ("left_out_named", "left_out_low", "left_out_high"),
}
_RECORDED = "recorded"


def figures(material: Material) -> Iterator[Figure]:
    """One figure for each benchmark that was asked whether it would know."""
    for path in sorted(material.folder.rglob(RECORD)) if material.folder is not None else ():
        state, content = read_sealed(path)
        if state != "whole" or not {"benchmark", "curve", "models", "question"} <= set(content):
            continue
        frame = _frame(content)
        if len(frame):
            name = folder_name(f"recovery-{content['benchmark']}")[:150]
            title = f"Would {content['benchmark']} know the model that a brain was made of?"
            yield Figure("recovery", name, title, _note(content, frame), frame, DRAWING)


def _frame(content: dict[str, Any]) -> pd.DataFrame:
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for row in content["curve"]:
        if row["c"] == _RECORDED:
            continue
        for what, (name, *_) in ASKED.items():
            share, low, high = (key and row[key] for key in _INTERVALS[name])
            if share is not None:
                fixed = {"benchmark": content["benchmark"], "metric": row["metric"], "c": float(row["c"])}
                found = {"what": what, "share": share, "low": low, "high": high, "n": row["n"]}
                rows.append({**fixed, **found, "chance": 1 / row["n_models"]})
    return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(["metric", "what", "c"], ignore_index=True)


def _note(content: dict[str, Any], frame: pd.DataFrame) -> str:
    models, question = content["models"], content["question"]
    n = words.span(frame["n"].tolist())
    families = {one["family"] for one in models}
    real = "recorded" if content["real_level"] == _RECORDED else "not known, for want of repetitions"
    return (
        f"{len(models)} models of {len(families)} families, {n} simulated "
        f"brains at each reliability; bars: 95 % interval (Wilson); dotted line: one of {len(models)} by chance. The "
        f"reliability of the recorded responses is {real}. Named: q ≤ .05 against every model of another family, and "
        "values of all models as the named one gives as the truth, by further brains of it; "
        f"{question['n_samples']} bootstrap samples."
    )


# --- drawing ----------------------------------------------------------------------------------------------------------


def size(frame: pd.DataFrame) -> tuple[float, float]:
    """Width and height in mm."""
    return min(style.PAGE, 34.0 * frame["metric"].nunique() + 12), 62.0


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw one panel per metric: shares of brains against the reliability of their responses.

    Parameters
    ----------
    frame
        With the columns ``COLUMNS``, as ``Figure.frame`` of the kind "recovery" has it.
    ax
        Axes to draw into; None: those of a new figure.
    """
    from matplotlib.lines import Line2D

    with style.styled():
        ax = style.new_axes(*size(frame)) if ax is None else ax
        ax.axis("off")
        metrics = list(dict.fromkeys(map(str, frame["metric"])))
        step = 1 / len(metrics)
        for place, metric in enumerate(metrics):
            box = ax.inset_axes((place * step + 0.05 * step, 0.2, 0.9 * step, 0.7))
            _panel(box, frame[frame["metric"] == metric], first=place == 0)
            box.set_title(style.short_name(metric, 18), size=7.5, weight="normal", pad=4, parse_math=False)
        there = set(frame["what"])
        handles = [
            Line2D([], [], color=colour, marker=form, ls=dash, ms=3.5, label=what)
            for what, (_, colour, form, dash) in ASKED.items()
            if what in there
        ]
        ax.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, -0.12), ncols=2, handlelength=3)
    return ax


def _panel(box: Axes, frame: pd.DataFrame, *, first: bool) -> None:
    for what, (_, colour, form, dash) in ASKED.items():
        part = frame[frame["what"] == what]
        if not len(part):
            continue
        box.plot(part["c"], part["share"], color=colour, ls=dash, lw=0.9, zorder=2)
        for place, row in zip(part.index, records(part), strict=True):
            if row["low"] == row["low"] and row["low"] is not None:
                box.plot([row["c"]] * 2, [row["low"], row["high"]], color=colour, lw=0.7, alpha=0.6)
            (mark,) = box.plot(row["c"], row["share"], form, ms=3.2, color=colour, mew=0.9 if form == "x" else 0)
            mark.set_gid(f"row-{place}")
    box.axhline(float(frame["chance"].iloc[0]), color=style.FAINT, ls=(0, (1, 2)), lw=0.6, zorder=1)
    box.set_xlim(0, 1)
    box.set_ylim(-0.03, 1.03)
    box.set_xticks([0.0, 0.5, 1.0], labels=["0", ".5", "1"])
    box.set_yticks([0.0, 0.25, 0.5, 0.75, 1.0], labels=["0", ".25", ".5", ".75", "1"] if first else [""] * 5)
    box.set_xlabel("reliability c")
    box.grid(axis="y", color=style.RULE, lw=0.4)
    if first:
        box.set_ylabel("share of brains")


DRAWING = Drawing(plot, size)
