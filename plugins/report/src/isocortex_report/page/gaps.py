"""What was compared with what: scored, failed and absent cells, and warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isocortex.errors import printable
from isocortex_report.page.contents import Panel, Row

if TYPE_CHECKING:
    from isocortex.results import Result

#: variants whose seeds are one row of the grid
SEEDED = ("random", "permuted", "trained")
#: letters of the first line of a reason that stand in the table; the rest unfolds
_LONG_LINE = 300


@dataclass(frozen=True)
class Failed:
    """A cell that has no score, with the reason."""

    name: str
    benchmark: str
    reason: str

    @property
    def first_line(self) -> str:
        """What is shown before it is unfolded."""
        return self.reason.partition("\n")[0][:_LONG_LINE]


@dataclass(frozen=True)
class Grid:
    """Models × benchmarks; the seeds of one control are one row.

    Attributes
    ----------
    scored
        (name, benchmark) → the rows of the rankings.
    """

    names: Sequence[str]
    benchmarks: Sequence[str]
    scored: Mapping[tuple[str, str], Sequence[tuple[Panel, Row]]]
    failed: Mapping[tuple[str, str], Sequence[Failed]]

    @property
    def n_scored(self) -> int:
        """Cells with a score."""
        return len(self.scored)

    @property
    def n_failed(self) -> int:
        """Cells that failed, and have no score besides."""
        return len(self.failed.keys() - self.scored.keys())

    @property
    def n_missing(self) -> int:
        """Cells that were not run."""
        return len(self.names) * len(self.benchmarks) - self.n_scored - self.n_failed

    @property
    def missing(self) -> dict[str, list[str]]:
        """Benchmark → the models that were not run on it."""
        cells = self.scored.keys() | self.failed.keys()
        found = {one: [name for name in self.names if (name, one) not in cells] for one in self.benchmarks}
        return {benchmark: names for benchmark, names in found.items() if names}


def grid_name(model: str, variant: str) -> str:
    """The row of the grid: the variant without its seeds.

    Examples
    --------
    >>> grid_name("noise", "random:0..4"), grid_name("pixels", "fixed")
    ('noise@random', 'pixels@fixed')
    """
    kind = variant.partition(":")[0]
    return f"{model}@{kind if kind in SEEDED else variant}"


def grid_of(results: Sequence[Result], panels: Sequence[Panel]) -> Grid:
    """The grid of all results, in the order of the results."""
    names = dict.fromkeys(grid_name(result.model, result.variant) for result in results)
    scored: dict[tuple[str, str], list[tuple[Panel, Row]]] = {}
    for panel in panels:
        for row in panel.rows:
            scored.setdefault((grid_name(row.model, row.variant), panel.benchmark), []).append((panel, row))
    failed: dict[tuple[str, str], list[Failed]] = {}
    for result in results:
        if result.summary is None:
            reason = printable(result.failure.message if result.failure else "unknown")
            entry = Failed(f"{result.model}@{result.variant}", result.benchmark, reason)
            failed.setdefault((grid_name(result.model, result.variant), result.benchmark), []).append(entry)
    ordered = sorted(names, key=lambda name: _mean_rank(panels, name))
    return Grid(ordered, list(dict.fromkeys(result.benchmark for result in results)), scored, failed)


def _mean_rank(panels: Sequence[Panel], name: str) -> tuple[bool, float]:
    """Models before controls, by their mean place in the rankings in which they are, as a share of their length."""
    places = [
        (row.look.is_control, place / len(panel.rows))
        for panel in panels
        for place, row in enumerate(panel.rows)
        if grid_name(row.model, row.variant) == name
    ]
    if not places:
        return (True, 1.0)
    return (places[0][0], sum(share for _, share in places) / len(places))


def warnings_of(results: Sequence[Result]) -> dict[str, list[str]]:
    """Each warning, and the cells that keep it."""
    found: dict[str, list[str]] = {}
    for result in results:
        for text in result.warnings:
            found.setdefault(printable(text), []).append(f"{result.model}@{result.variant} × {result.benchmark}")
    return found
