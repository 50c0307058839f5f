"""Agreement: whether benchmarks and metrics put the same models in the same order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.files import folder_name
from isocortex_report.figures import style, words
from isocortex_report.figures.families import FEWEST_FAMILIES, with_interval
from isocortex_report.figures.figure import Drawing, Figure
from isocortex_report.figures.material import CONTROLS, LABELS, Material, records

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLUMNS = ("benchmark_a", "benchmark_b", "statistic_a", "statistic_b", "rho", "low", "high", "n_models", "n_families")
#: a correlation over fewer models is not shown
FEWEST_MODELS = 8
#: benchmarks in one figure
MOST = 24


def figures(material: Material) -> Iterator[Figure]:
    """One figure of all benchmarks of the same region name that share enough models."""
    scored = material.rows[(material.rows["status"] == "scored") & material.rows["value"].notna()]
    models = scored[~scored["role"].isin([CONTROLS, LABELS])]
    wanted = [name for name in models["region"].unique() if name == "all" or name in material.regions]
    for region in wanted:
        table = _table(models[models["region"] == region])
        frame = _frame(table)
        if not len(frame) or frame["rho"].isna().all():
            continue
        listed = list(dict.fromkeys([*frame["benchmark_a"], *frame["benchmark_b"]]))
        shared = words.span(frame["n_models"].tolist())
        n_left = len(table) - len(listed)
        note = (
            f"Spearman's ρ over the models that both have, the number of them in each cell ({shared}); "
            f"no cell below {FEWEST_MODELS} models; brackets: 95 % interval over 1,000 draws of families of models, "
            f"none below {FEWEST_FAMILIES} families; controls are left out"
            + (f"; {n_left} benchmarks are not drawn" if n_left > 0 else "")
            + "."
        )
        title = "Do benchmarks and metrics agree on which models are better?"
        yield Figure("agreement", folder_name(f"agreement-{region}")[:150], title, note, frame, DRAWING)


def _table(rows: pd.DataFrame) -> dict[tuple[str, str], dict[str, Any]]:
    """Benchmark and statistic → model → value and family, larger for better; names that occur twice are left out."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for (benchmark, statistic, _), part in rows.groupby(["benchmark", "statistic", "target"], sort=False):
        sign = 1 if words.best_first(str(statistic)) else -1
        once = part[~part["label"].duplicated(keep=False)]
        found[str(benchmark), str(statistic)] = {
            row["label"]: (sign * row["value"], row["family"]) for row in records(once)
        }
    return found


def _frame(table: dict[tuple[str, str], dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    kept = [key for key, models in table.items() if len(models) >= FEWEST_MODELS][:MOST]
    rows: list[dict[str, Any]] = []
    for a, b in combinations(kept, 2):
        both = [name for name in table[a] if name in table[b]]
        families = [table[a][name][1] for name in both]
        x, y = (np.array([table[key][name][0] for name in both]) for key in (a, b))
        known = len(both) >= FEWEST_MODELS
        rho, low, high = with_interval(x, y, families) if known else (float("nan"),) * 3
        rows.append(
            {"benchmark_a": a[0], "benchmark_b": b[0], "statistic_a": a[1], "statistic_b": b[1], "rho": rho, "low": low}
            | {"high": high, "n_models": len(both), "n_families": len(set(families))}
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


# --- drawing ----------------------------------------------------------------------------------------------------------


def size(frame: pd.DataFrame) -> tuple[float, float]:
    """Width and height in mm."""
    n = len(_keys(frame))
    side = min(style.PAGE - 30, 14.0 * (n - 1))
    return side + 46, side * (n / max(n - 1, 1)) + 4


def _keys(frame: pd.DataFrame) -> list[tuple[str, str]]:
    sides = [zip(frame[f"benchmark_{side}"], frame[f"statistic_{side}"], strict=True) for side in "ab"]
    return list(dict.fromkeys((str(a), str(b)) for side in sides for a, b in side))


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw a triangle of rank correlations, signed colours centred on 0.

    Parameters
    ----------
    frame
        With the columns ``COLUMNS``, as ``Figure.frame`` of the kind "agreement" has it.
    ax
        Axes to draw into; None: those of a new figure.
    """
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    with style.styled():
        ax = style.new_axes(*size(frame)) if ax is None else ax
        keys = _keys(frame)
        colours = colormaps["PuOr_r"]
        for row in records(frame):
            x, y = (
                keys.index((row["benchmark_a"], row["statistic_a"])),
                keys.index((row["benchmark_b"], row["statistic_b"])),
            )
            known = row["rho"] == row["rho"]
            colour = colours(0.5 + 0.42 * row["rho"]) if known else "#F4F5F6"
            ax.add_patch(Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, facecolor=colour, edgecolor="none"))
            _write_cell(ax, x, y, row, len(keys))
        ax.set_xlim(-0.55, len(keys) - 0.3)
        ax.set_ylim(len(keys) - 0.45, -0.4)
        ax.set_aspect("equal", anchor="NW")
        ax.axis("off")
        names = style.distinct_names([f"{benchmark}, {statistic}" for benchmark, statistic in keys], 40)
        for place, name in enumerate(names):
            ax.annotate(name, (place - 0.42, place), size=7, va="center", ha="left", annotation_clip=False)
    return ax


def _write_cell(ax: Axes, x: int, y: int, row: dict[str, Any], n_keys: int) -> None:
    known = row["rho"] == row["rho"]
    ink = "white" if known and abs(row["rho"]) > 0.75 else style.INK
    if not known:
        ax.text(x, y, f"n {row['n_models']}", size=5.6, ha="center", va="center", color=style.FAINT)
        return
    if n_keys > 12:
        ax.text(x, y, words.number(row["rho"], 2), size=5.4, ha="center", va="center", color=ink)
        return
    ax.text(x, y - 0.14, words.number(row["rho"], 2), size=7.5, ha="center", va="center", color=ink)
    span = f"[{words.number(row['low'], 2)}, {words.number(row['high'], 2)}]\n" if row["low"] == row["low"] else ""
    ax.text(x, y + 0.2, f"{span}n {row['n_models']}", size=5.2, ha="center", va="center", color=ink, linespacing=1.3)


DRAWING = Drawing(plot, size)
