"""Comparisons of pair vectors where rows and columns of every participant's matrix are permuted.

The layers' vectors, on all pairs and within each half of the stimuli, stay; what a permutation brings to a half is
gathered from the participants' matrices, so that layers share the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from isocortex.scoring import growing_blocks, mean_of_valid
from isocortex.typing import Array
from isocortex_metrics.geometry.dissimilarity import pairs_among
from isocortex_metrics.numerics.threads import few_threads

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.activations import Activations

#: bytes of layers' vectors that are held at once
_LAYER_BYTES = 256 * 1024**2
#: bytes of what a few permutations bring to a half, which a cache holds
_BRAIN_BYTES = 8 * 1024**2
#: permutations of a block at most
_MOST = 200

#: (place of the half, 0 for all pairs, places (n_permutations, n_pairs) of its pairs after each permutation) →
#: (n_participants, n_permutations, n_pairs), of which products with the layers' vectors are the statistic
Brains = Callable[[int, Array], Array]
#: vectors of a layer on all pairs and within each half
Vectors = Callable[["Activations"], Iterable[Array]]


class PermutedPairs:
    """Products of layers and permuted brains.

    Memory: 256 MB of layers' vectors, or those of one layer; layers beyond are read again for each block of up to 200
    permutations.

    Parameters
    ----------
    n_stimuli
        How many.
    inside
        (n_splits, n_stimuli) bool: halves of the stimuli, the second of all halvings behind the first; None: no choice
        of a layer is nested.
    vectors
        Of a layer: all pairs, and those within each half.
    brains
        What a permutation brings to a half.
    n_participants
        How many there are.
    compare
        (brains, layers (n_layers, n_pairs)) → (n_participants, n_permutations, n_layers); default: products.
    lengths
        Called with each block of permutations; gives what their products are divided by, (n_participants,
        n_permutations, 1 + n_splits). Default: 1.
    """

    def __init__(
        self,
        n_stimuli: int,
        inside: Array | None,
        vectors: Vectors,
        brains: Brains,
        n_participants: int,
        *,
        compare: Callable[[Array, Array], Array] | None = None,
        lengths: Callable[[Array], Array] | None = None,
    ) -> None:
        self.n_stimuli, self.inside, self.vectors, self.brains = n_stimuli, inside, vectors, brains
        self.n_participants, self.compare, self.lengths = n_participants, compare or _products, lengths
        halves = () if inside is None else tuple(inside)
        self.places = [
            pairs_among(np.flatnonzero(half), n_stimuli) for half in (np.ones(n_stimuli, dtype=bool), *halves)
        ]
        self._first, self._second = np.triu_indices(n_stimuli, 1)
        number = np.zeros((n_stimuli, n_stimuli), dtype=np.intp)
        number[self._first, self._second] = np.arange(len(self._first))
        self._number = (number + number.T).ravel()

    def readouts(
        self, layers: Sequence[Activations], orders: Array, fill: float | None = None
    ) -> Iterator[xr.DataArray]:
        """What is read out, ("draw"[, "split"], "subject"), in blocks; ``fill`` where nothing can be compared."""
        import xarray as xr

        size = max(1, _LAYER_BYTES // (8 * sum(map(len, self.places))))
        batches = [layers[start : start + size] for start in range(0, len(layers), size)]
        only = self._together(batches[0]) if len(batches) == 1 else None
        for block in growing_blocks(orders, _MOST):
            parts: list[Array] = []
            for batch in batches:
                together = self._together(batch) if only is None else only
                with few_threads(0):
                    parts.append(self._compared(together, block))
            found = np.concatenate(parts, axis=1)  # (n_permutations, n_layers, 1 + n_splits, n_participants)
            if self.lengths is not None:
                found /= self.lengths(block).transpose(1, 2, 0)[:, None]
            if fill is not None and self.inside is None:
                found = np.nan_to_num(found, nan=fill)
            values = self._read_out(found)
            values = values if fill is None else np.nan_to_num(values, nan=fill)
            yield xr.DataArray(values, dims=("draw", "split", "subject") if values.ndim == 3 else ("draw", "subject"))

    def _together(self, layers: Sequence[Activations]) -> list[Array]:
        """Vectors (n_layers, n_pairs) of some layers on all pairs, and within each half."""
        found = [np.empty((len(layers), len(places))) for places in self.places]
        for row, layer in enumerate(layers):
            for vectors, vector in zip(found, self.vectors(layer), strict=True):
                vectors[row] = vector
        return found

    def _compared(self, layers: Sequence[Array], block: Array) -> Array:
        """(n_permutations, n_layers, 1 + n_splits, n_participants) of a block, a few permutations at a time."""
        found = np.empty((len(block), len(layers[0]), len(self.places), self.n_participants))
        size = max(1, _BRAIN_BYTES // (8 * self.n_participants * len(self._first)))
        for start in range(0, len(block), size):
            some = slice(start, start + size)
            orders = block[some]
            # ``take`` of places of this type is several times as fast as an index
            first = np.take(orders * self.n_stimuli, self._first, axis=1)
            first += np.take(orders, self._second, axis=1)
            pairs = np.take(self._number, first)
            for half, (places, vectors) in enumerate(zip(self.places, layers, strict=True)):
                brains = self.brains(half, pairs if half == 0 else np.take(pairs, places, axis=1))
                found[some, :, half] = self.compare(brains, vectors).transpose(1, 2, 0)
        return found

    def _read_out(self, found: Array) -> Array:
        """(n_permutations[, n_splits], n_participants): the layer best on a half, on the other; or best of all."""
        if self.inside is None:
            chosen = _best(mean_of_valid(found[:, :, 0]))
            return found[np.arange(len(found)), chosen, 0]
        n_splits = len(self.inside)
        chosen = _best(mean_of_valid(found[:, :, 1:]))  # (n_permutations, n_splits)
        other_half = 1 + np.roll(np.arange(n_splits), n_splits // 2)
        return found[np.arange(len(found))[:, None], chosen, other_half]


def _products(brains: Array, layers: Array) -> Array:
    """(n_participants, n_permutations, n_layers) in one matrix product."""
    return (brains.reshape(-1, brains.shape[2]) @ layers.T).reshape(*brains.shape[:2], -1)


def _best(criterion: Array) -> Array:
    """Place of the best along the second axis, the first of equals; NaN is below all."""
    return np.where(np.isnan(criterion), -np.inf, criterion).argmax(axis=1)
