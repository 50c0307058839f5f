"""Published numbers beside ours, where statistic and procedure are the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isocortex_report.page.axis import Axis, axis_of
from isocortex_report.page.contents import Panel, Row, Score

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Published:
    """Numbers of papers for a panel, region by region, and ours on the same axis.

    Attributes
    ----------
    rows
        Name, the row if it is ours, and region → score; ours first, then those of papers, best mean first.
    """

    sources: Sequence[str]
    axis: Axis
    regions: Sequence[str]
    rows: Sequence[tuple[str, Row | None, Mapping[str, Score]]]


def published_of(panel: Panel, frame: pd.DataFrame) -> Published | None:
    """The published numbers that may stand beside a panel, or None.

    Parameters
    ----------
    panel
        Of one benchmark, statistic and target.
    frame
        As ``rows_frame`` gives it.
    """
    from isocortex_report.figures.published import published_scores

    inside = frame[(frame["benchmark"] == panel.benchmark) & (frame["statistic"] == panel.statistic)]
    inside = inside[inside["target"] == panel.target]
    values: dict[str, dict[str, float]] = {}
    sources: dict[str, None] = {}
    for region, rows in inside.groupby("region", sort=False):
        for found in published_scores(rows):
            values.setdefault(found["model"], {})[str(region)] = found["value"]
            sources[found["source"]] = None
    if not values:
        return None
    regions = [str(name) for name in inside["region"].unique() if any(str(name) in found for found in values.values())]
    ours = [(row, _own(row, regions)) for row in panel.rows]
    axis = axis_of(value for found in (*values.values(), *(own for _, own in ours)) for value in found.values())
    best = sorted(values, key=lambda name: -sum(values[name].values()) / len(values[name]))
    return Published(
        list(sources),
        axis,
        regions,
        [
            *((row.name, row, _scores(found, axis)) for row, found in ours),
            *((name, None, _scores(values[name], axis)) for name in best),
        ],
    )


def _own(row: Row, regions: Sequence[str]) -> dict[str, float]:
    found = {str(row.record["region"]): row.score, **row.regions}
    return {name: score.value for name, score in found.items() if name in regions and score.value is not None}


def _scores(values: Mapping[str, float], axis: Axis) -> dict[str, Score]:
    return {name: Score(value, style=f"--v:{axis.place(value)}%") for name, value in values.items()}
