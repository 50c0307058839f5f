"""Choosing a layer on one half of the stimuli and reading it out on the other, for metrics that compare geometries.

For a kernel or a dissimilarity matrix a half of the stimuli is a submatrix, so that many random halves are cheap. Both
halves of a halving choose once and test once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from isocortex.errors import DataError
from isocortex.scoring import over_participants
from isocortex.typing import Array

if TYPE_CHECKING:
    import xarray as xr


def halves(n_stimuli: int, n_halvings: int, seed: int, min_half: int = 4) -> Array:
    """Random halves of the stimuli: row h and row h + n_halvings are the two of one halving.

    Parameters
    ----------
    n_stimuli
        How many; where they are odd the second half has one more.
    n_halvings
        How often they are halved.
    seed
        Draws them.
    min_half
        Stimuli that a half needs.

    Returns
    -------
    (2 n_halvings, n_stimuli) bool.

    Raises
    ------
    DataError
        Fewer than ``min_half`` stimuli in a half.

    Examples
    --------
    >>> halves(8, 1, seed=0).sum(axis=1).tolist()
    [4, 4]
    """
    if n_stimuli // 2 < min_half:
        raise DataError(
            f"Choosing among layers on halves of the stimuli needs at least {2 * min_half} of them, {min_half} in each "
            f"half; found {n_stimuli}. Score one layer, or use more stimuli."
        )
    # the stream of RandomState is frozen, so that halves outlive versions of numpy
    stream = np.random.RandomState([seed, n_stimuli])
    first = np.zeros((n_halvings, n_stimuli), dtype=bool)
    for row in first:
        row[stream.permutation(n_stimuli)[: n_stimuli // 2]] = True
    return np.concatenate([first, ~first])


class HalvesChoice:
    """Layers that are offered one by one; each half of the stimuli keeps the best so far.

    Parameters
    ----------
    inside
        (n_splits, n_stimuli) bool, as from ``halves``: the stimuli on which each split chooses; it tests on the rest.
    """

    def __init__(self, inside: Array) -> None:
        self.inside = inside
        self.other_half = np.roll(np.arange(len(inside)), len(inside) // 2)
        self.best = np.full(len(inside), -np.inf)
        self.chosen = np.zeros(len(inside), dtype=np.intp)
        self.names: list[str] = []
        self.found: list[Array] = []
        self.kept: dict[int, Array] = {}
        self._first_with: dict[str, int] = {}

    def offer(self, name: str, digest: str, score: Callable[[], tuple[Array, Callable[[], Array] | None]]) -> None:
        """Take a layer on the halves on which it is better than those before; one of equal content counts once.

        Parameters
        ----------
        name, digest
            Of the layer.
        score
            Gives the measure on the whole sample and on each half, (1 + n_splits, n_participants), and what is to be
            kept of the layer while it is chosen somewhere, or None; called for new content only.
        """
        index = len(self.names)
        self.names.append(name)
        twin = self._first_with.setdefault(digest, index)
        if twin < index:
            self.found.append(self.found[twin])
            return
        found, keep = score()
        self.found.append(found)
        criterion = over_participants(found[1:])
        better = np.where(np.isnan(criterion), -np.inf, criterion) > self.best
        self.best, self.chosen = np.where(better, criterion, self.best), np.where(better, index, self.chosen)
        if keep is not None and index in self.chosen:
            self.kept[index] = keep()
        self.kept = {place: self.kept[place] for place in self.kept if place in self.chosen}

    def scores(self, measure: str, subjects: Sequence[str], attrs: Mapping[str, object]) -> xr.Dataset:
        """What was found, with the layer that each split reads out.

        Returns
        -------
        The measure and null ("layer", "subject") on all stimuli; selection and test ("layer", "split", "subject") on
        the half that chooses and on the other; chosen ("split",), readout ("split", "subject"), test_stimulus ("split",
        "stimulus"): whether a split tests a stimulus; prediction ("readout_layer", "pair") of the layers that are read
        out, with the coordinate readout_share.
        """
        import xarray as xr

        found = np.stack(self.found)  # (n_layers, 1 + n_splits, n_participants)
        halved = ("layer", "split", "subject")
        test = found[:, 1:][:, self.other_half]
        scores = xr.Dataset(
            {
                measure: (("layer", "subject"), found[:, 0]),
                "null": (("layer", "subject"), np.isnan(found[:, 0])),
                "selection": (halved, found[:, 1:]),
                "test": (halved, test),
                "chosen": (("split",), self.chosen),
                "readout": (("split", "subject"), test[self.chosen, np.arange(len(self.inside))]),
                "test_stimulus": (("split", "stimulus"), ~self.inside),
            },
            coords={"subject": list(subjects), "layer": self.names},
            attrs={**attrs, "measure": measure, "layer_rule": "nested by model"},
        )
        return self._with_prediction(scores.assign_attrs(n_layers_searched=len(self._first_with)))

    def _with_prediction(self, scores: xr.Dataset) -> xr.Dataset:
        places = sorted(self.kept)
        if not places:
            return scores
        scores["prediction"] = (("readout_layer", "pair"), np.stack([self.kept[place] for place in places]))
        shares = [float(np.mean(self.chosen == place)) for place in places]
        names = [self.names[place] for place in places]
        return scores.assign_coords(readout_layer=names, readout_share=("readout_layer", shares))
