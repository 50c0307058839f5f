"""How long a run will still take: from the cells that are done, for all that are left."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isocortex.run.plan import Cell


class Pace:
    """Seconds of cells that were computed, and what they say of those that are left.

    A cell takes the time of its extraction, if no cell before it had the same, and that of its scoring. Extractions are
    as long as those of the same model, or else on the same stimuli, or else all; scorings as those of the same
    benchmark, or else all. What was found finished says nothing.

    Parameters
    ----------
    cells
        All cells of the run, in their order.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._left = list(cells)
        self._extracted: dict[str, tuple[Cell, float]] = {}
        self._scored: list[tuple[Cell, float]] = []
        self._known: set[str] = set()

    def done(self, cell: Cell, seconds: float, extracting: float = 0.0, *, computed: bool = True) -> None:
        """One cell is done.

        Parameters
        ----------
        seconds
            In all.
        extracting
            Of these.
        computed
            Whether it was computed, and not found.
        """
        self._left.remove(cell)
        self._known.add(cell.extraction)
        if computed:
            self._extracted.setdefault(cell.extraction, (cell, extracting))
            self._scored.append((cell, max(0.0, seconds - extracting)))

    def left(self) -> float | None:
        """Seconds that the cells that are left will take; None where none was computed yet."""
        if not self._scored:
            return None
        extractions = {cell.extraction: cell for cell in reversed(self._left) if cell.extraction not in self._known}
        return sum(map(self._extraction, extractions.values())) + sum(map(self._scoring, self._left))

    def _extraction(self, cell: Cell) -> float:
        known = list(self._extracted.values())
        model = [seconds for other, seconds in known if (other.model, other.stimuli) == (cell.model, cell.stimuli)]
        stimuli = [seconds for other, seconds in known if other.stimuli == cell.stimuli]
        return fmean(model or stimuli or [seconds for _, seconds in known])

    def _scoring(self, cell: Cell) -> float:
        benchmark = [seconds for other, seconds in self._scored if other.benchmark == cell.benchmark]
        return fmean(benchmark or [seconds for _, seconds in self._scored])
