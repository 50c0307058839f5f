"""Dissimilarity matrices of participants with rows and columns permuted, compared with those of layers.

Within a half of the stimuli ranks are those within the half, and a permutation brings other pairs there: the ranks of
participants are found by counting, those of layers stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from isocortex.typing import Array
from isocortex_metrics.geometry.dissimilarity import pairs_among
from isocortex_metrics.geometry.pair_statistics import COMPARISONS, PairStatistic, varies
from isocortex_metrics.geometry.permuted_pairs import PermutedPairs
from isocortex_metrics.numerics.ranks import average_ranks

if TYPE_CHECKING:
    from isocortex.activations import Activations


class PermutedRdms:
    """Matrices as a statistic compares them.

    Parameters
    ----------
    kind
        The statistic.
    brains
        (n_participants, n_pairs), transformed.
    rdm_of
        Layer → dissimilarities (n_pairs,).
    """

    def __init__(self, kind: PairStatistic, brains: Array, rdm_of: Callable[[Activations], Array]) -> None:
        self.kind, self.brains, self.rdm_of = kind, brains, rdm_of
        self.ranks = [RanksWithin(brain) for brain in brains] if kind.name in _OF_RANKS else []

    def pairs(self, n_stimuli: int, inside: Array | None) -> PermutedPairs:
        """Products with layers, on all pairs and within halves ``inside``."""
        compare = None if self.kind is not COMPARISONS["kendall"] else self._one_by_one
        vectors = partial(self._of_layer, n_stimuli, inside)
        sizes = partial(self._sizes, 1 if inside is None else 1 + len(inside), n_stimuli, inside)
        return PermutedPairs(
            n_stimuli, inside, vectors, self._of_brains, len(self.brains), compare=compare, lengths=sizes
        )

    def _sizes(self, n_parts: int, n_stimuli: int, inside: Array | None, block: Array) -> Array:
        """Norms (n_participants, n_permutations, 1 + n_splits) of ranks that are not of norm 1: those without ties."""
        found = np.ones((len(self.brains), len(block), n_parts))
        plain = [place for place, ranks in enumerate(self.ranks) if not ranks.has_ties]
        for part, half in enumerate(() if inside is None else inside, start=1):
            n = len(pairs_among(np.flatnonzero(half), n_stimuli))
            found[plain, :, part] = np.sqrt((n**3 - n) / 12)
        return found

    def _of_layer(self, n_stimuli: int, inside: Array | None, layer: Activations) -> Iterator[Array]:
        rdm = self.rdm_of(layer)
        yield self._transformed(rdm)
        for half in () if inside is None else inside:
            yield self._transformed(rdm[pairs_among(np.flatnonzero(half), n_stimuli)])

    def _transformed(self, rdm: Array) -> Array:
        """As it is compared; NaN where its entries are equal."""
        return self.kind.transform(rdm) if varies(rdm) else np.full(len(rdm), np.nan)

    def _of_brains(self, half: int, pairs: Array) -> Array:
        if half == 0:
            return np.take(self.brains, pairs, axis=1)
        found = np.empty((len(self.brains), *pairs.shape))
        for place in range(len(self.brains)):
            for number, some in enumerate(pairs):
                found[place, number] = self._within(place, some)
        return found

    def _within(self, place: int, pairs: Array) -> Array:
        """What is compared of one participant at some pairs alone."""
        if self.ranks:
            ranks = self.ranks[place].of(pairs)
            # a layer's sum to 0, so that a mean may stay
            return _OF_RANKS[self.kind.name](ranks) if self.ranks[place].has_ties else ranks
        found = self.brains[place, pairs]
        return self.kind.transform(found, 0.0) if varies(found) else np.full(len(found), np.nan)

    def _one_by_one(self, brains: Array, layers: Array) -> Array:
        """(n_participants, n_permutations, n_layers) of a statistic that is no product; NaN where one of the two is."""
        found = np.full((*brains.shape[:2], len(layers)), np.nan)
        for number in range(brains.shape[1]):
            own = brains[:, number]
            known = np.isfinite(own[:, 0])
            for place in np.flatnonzero(np.isfinite(layers[:, 0])):
                found[known, number, place] = self.kind.compare(own[known], layers[place])
        return found


def _unit(ranks: Array) -> Array:
    """Ranks less their mean, with norm 1; NaN where all are equal."""
    centred = ranks - (len(ranks) + 1) / 2
    norm = np.sqrt(centred @ centred)
    return centred / (norm if norm > 0 else np.nan)


def _scaled(ranks: Array) -> Array:
    """Ranks less their mean, over the norm of ranks without ties."""
    n = len(ranks)
    return (ranks - (n + 1) / 2) * (np.sqrt(12 / (n**3 - n)) if np.ptp(ranks) > 0 else np.nan)


_OF_RANKS: dict[str, Callable[[Array], Array]] = {"rho": _unit, "rho_a": _scaled}


class RanksWithin:
    """Ranks of a vector within any of its parts, by counting: no sorting for each part.

    Parameters
    ----------
    vector
        (n_entries,); equal entries tie.

    Examples
    --------
    >>> RanksWithin(np.array([5.0, 1.0, 5.0, 3.0])).of(np.array([0, 2, 3])).tolist()
    [2.5, 2.5, 1.0]
    """

    def __init__(self, vector: Array) -> None:
        ranks = average_ranks(vector, 0.0)
        self.level = np.unique(ranks, return_inverse=True)[1].astype(np.intp)
        self.n_levels = int(self.level.max()) + 1
        self.has_ties = self.n_levels < len(self.level)

    def of(self, places: Array) -> Array:
        """Average ranks, from 1, of the entries at some places among each other, (n_places,)."""
        level = self.level.take(places)
        if not self.has_ties:
            there = np.zeros(self.n_levels, dtype=np.int8)
            there[level] = 1
            # sums of small integers are ten times as fast as those of truths in double precision
            return there.cumsum(dtype=np.int32).take(level)
        counts = np.bincount(level, minlength=self.n_levels)
        return np.take(np.cumsum(counts) - (counts - 1) / 2, level)
