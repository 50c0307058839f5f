"""From the trials of a recording to what is scored: which presentations select cells, and which are scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from isocortex.typing import Array
from isocortex_allen2p.cells import CellTable
from isocortex_allen2p.nwb import Recording
from isocortex_allen2p.reliability import RUNNING_CM_S, presentations, running_p, split_half_reliability

#: p below which running changes a cell
SIGNIFICANT: Final = 0.05
#: first µm of each range of depths; a range ends where the next one begins
_DEPTHS: Final = (0, 150, 250, 350, 500)


@dataclass(frozen=True)
class Part:
    """What one recording adds to a data set.

    Attributes
    ----------
    cells
        Its cells.
    halves
        (2, n_scenes, n_cells) float32: mean responses over the halves of the scored presentations.
    counts
        How many trials there were, of what kinds, for ``Selection.warnings``.
    """

    cells: CellTable
    halves: Array
    counts: dict[str, int]


@dataclass(frozen=True)
class Selection:
    """Which presentations of a scene select cells, and which are scored.

    Attributes
    ----------
    of_all
        All select and all are scored, as published; else odd ones (the first, the third, …) select, even ones are
        scored.
    """

    of_all: bool = False

    @property
    def selected_on(self) -> str:
        """The presentations that select, in words."""
        return "all trials, the scored ones among them," if self.of_all else "odd trials, none of which is scored,"

    def selecting(self, n_presentations: int) -> Array:
        """Places of the presentations that select cells.

        Examples
        --------
        >>> Selection().selecting(5).tolist(), Selection(of_all=True).selecting(3).tolist()
        ([0, 2, 4], [0, 1, 2])
        """
        return np.arange(0, n_presentations, 1 if self.of_all else 2)

    def scored(self, n_presentations: int) -> tuple[Array, Array]:
        """Places of the presentations of both scored halves, which take turns.

        Examples
        --------
        >>> [places.tolist() for places in Selection().scored(8)]
        [[1, 5], [3, 7]]
        """
        places = np.arange(0 if self.of_all else 1, n_presentations, 1 if self.of_all else 2)
        return places[::2], places[1::2]

    def warnings(self, parts: Sequence[Part]) -> list[str]:
        """What was done to the trials of all recordings."""
        total = {name: sum(part.counts[name] for part in parts) for name in parts[0].counts}
        said = [
            f"{len(parts)} recordings, {total['trials']:,} trials: {total['blank']:,} of the blank, which has no image,"
            f" were left out, and {total['unequal']:,} of scenes that were shown more often than others of their "
            f"recording or after its end. {total['running']:,} trials of running ({RUNNING_CM_S:g} cm/s or more) "
            "are kept."
        ]
        return said + [f"{total[name]:,} {words}." for name, words in _COUNTED.items() if total[name]]


#: what else is counted → how it is said
_COUNTED: Final = {
    "untested": "cells were seen in fewer than five trials of running, or of rest, at their preferred scene: there is "
    "no test, and they count as not changed by running",
    "gaps": "cells have gaps in their traces and were left out",
    "speedless": "trials have no running speed and count as neither running nor rest",
}


def halves_of(recording: Recording, n_scenes: int, selection: Selection) -> Part:
    """Select on some presentations, average the others in two halves.

    Parameters
    ----------
    recording
        Trials of all scenes.
    n_scenes
        Number of scenes.
    selection
        Which presentations do what.

    Raises
    ------
    DataError
        A scene that was shown too seldom.
    """
    ended = np.isnan(recording.responses).all(axis=1)
    scene = np.where(ended, -1, recording.scene)
    shown = presentations(scene, n_scenes)  # (n_presentations, n_scenes)
    whole: Array = np.isfinite(recording.responses[shown.ravel()]).all(axis=0)  # pyright: ignore[reportAssignmentType]
    trials = recording.responses[:, whole][shown]  # (n_presentations, n_scenes, n_cells)
    places = selection.selecting(len(shown))
    chosen = shown[places].ravel()
    p = running_p(recording.responses[chosen][:, whole], scene[chosen], recording.speed[chosen], n_scenes)
    halves = np.stack([trials[half].mean(axis=0, dtype=np.float64) for half in selection.scored(len(shown))])
    blank = int((recording.scene < 0).sum())
    counts = {
        "trials": len(scene),
        "blank": blank,
        "unequal": len(scene) - blank - shown.size,
        "running": int((recording.speed[shown] >= RUNNING_CM_S).sum()),
        "speedless": int(np.isnan(recording.speed[shown]).sum()),
        "untested": int(np.isnan(p).sum()),
        "gaps": int((~whole).sum()),
    }
    cells = _cells(recording, whole, split_half_reliability(trials[places]), p)
    return Part(cells, halves.astype(np.float32), counts)


def _cells(recording: Recording, whole: Array, reliability: Array, p: Array) -> CellTable:
    n_cells = int(whole.sum())
    also: dict[str, list[Any]] = {
        "animal": [recording.animal] * n_cells,
        "experiment": [recording.experiment_id] * n_cells,
        "cre_line": [recording.cre_line] * n_cells,
        "imaging_depth_um": ["" if recording.depth_um is None else str(recording.depth_um)] * n_cells,
    }
    return CellTable(
        tuple(name for name, keep in zip(recording.cell_id, whole, strict=True) if keep),
        (recording.area,) * n_cells,
        (depth_range(recording.depth_um),) * n_cells,
        reliability,
        tuple("yes" if changed else "no" for changed in p < SIGNIFICANT),
        also,
    )


def depth_range(depth_um: int | None) -> str:
    """The range that a depth is in, as a row of a table names it; "" where it is not known.

    Examples
    --------
    >>> depth_range(175), depth_range(350), depth_range(625), depth_range(None)
    ('150-249 um', '350-499 um', '500 um and more', '')
    """
    if depth_um is None:
        return ""
    place = max(number for number, first in enumerate(_DEPTHS) if first <= depth_um)
    last = place + 1 == len(_DEPTHS)
    return f"{_DEPTHS[place]} um and more" if last else f"{_DEPTHS[place]}-{_DEPTHS[place + 1] - 1} um"
