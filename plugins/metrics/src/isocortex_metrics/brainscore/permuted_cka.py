"""Brain-Score's CKA where rows and columns of the kernel of all neuroids are permuted.

Of the unbiased alignment H(K, L) / (√(H(K, K) H(L, L)) + ε) the layer's part is prepared once: less the effects of
single stimuli it is orthogonal to these, so that its product with the permuted kernel is n (n − 3) H(K, L) as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from isocortex.scoring import growing_blocks
from isocortex.typing import Array
from isocortex_metrics.geometry.kernels import EPSILON, centre, unbiased_hsic
from isocortex_metrics.numerics.threads import few_threads

if TYPE_CHECKING:
    from isocortex.activations import Activations

#: bytes of layers' kernels that are held at once
_LAYER_BYTES = 256 * 1024**2
#: bytes of the permuted kernels that are made at once, which a cache holds
_BRAIN_BYTES = 4 * 1024**2
#: permutations of a block
_MOST = 1000


class PermutedCka:
    """Alignments of layers with permuted kernels.

    Memory: 256 MB of layers' kernels, or those of one layer; layers beyond are read again for each block of up to
    1,000 permutations.

    Parameters
    ----------
    brain
        (n_stimuli, n_stimuli), the kernel of all neuroids.
    subsets
        Places of the stimuli of each split.
    kernel_of
        Layer → kernel (n_stimuli, n_stimuli).
    biased
        Whether ⟨K, L⟩ / (‖K‖ ‖L‖) is meant, or the unbiased form.
    """

    def __init__(
        self, brain: Array, subsets: Sequence[Array], kernel_of: Callable[[Activations], Array], *, biased: bool
    ) -> None:
        self.subsets, self.kernel_of, self.biased = subsets, kernel_of, biased
        # the unbiased form does not use the diagonal
        self.brain = brain if biased else np.where(np.eye(len(brain), dtype=bool), 0.0, brain)

    def values(self, layers: Sequence[Activations], rows: Array) -> Iterator[Array]:
        """(n_permutations, n_layers, n_splits), in blocks; ``rows`` (n_permutations, n_stimuli)."""
        each = 8 * sum(len(part) ** 2 for part in self.subsets)
        size = max(1, _LAYER_BYTES // each)
        batches = [layers[start : start + size] for start in range(0, len(layers), size)]
        only = self._together(batches[0]) if len(batches) == 1 else None
        for block in growing_blocks(rows, _MOST):
            parts = (self._aligned(self._together(batch) if only is None else only, block) for batch in batches)
            with few_threads(0):
                yield np.concatenate(list(parts), axis=1)

    def _together(self, layers: Sequence[Activations]) -> list[tuple[Array, Array]]:
        """For each split what the layers are compared by, (n_layers, n · n), and their sizes (n_layers,)."""
        found = [(np.empty((len(layers), len(part) ** 2)), np.empty(len(layers))) for part in self.subsets]
        for place, layer in enumerate(layers):
            kernel = self.kernel_of(layer)
            for (vectors, sizes), part in zip(found, self.subsets, strict=True):
                vectors[place], sizes[place] = self._of_layer(kernel[np.ix_(part, part)])
        return found

    def _of_layer(self, kernel: Array) -> tuple[Array, float]:
        if self.biased:
            return kernel.ravel(), float(np.linalg.norm(kernel))
        n = len(kernel)
        centred = centre(kernel, np.ones((1, n)))
        rest = centred.kernel - centred.effects[0][:, None] - centred.effects[0]
        np.fill_diagonal(rest, 0.0)
        return rest.ravel() / (n * (n - 3)), unbiased_hsic(kernel, kernel)

    def _aligned(self, layers: Sequence[tuple[Array, Array]], block: Array) -> Array:
        found = np.empty((len(block), len(layers[0][1]), len(self.subsets)))
        n_stimuli = len(self.brain)
        size = max(1, _BRAIN_BYTES // (16 * n_stimuli**2))
        for start in range(0, len(block), size):
            some = block[start : start + size]
            for place, (part, (vectors, sizes)) in enumerate(zip(self.subsets, layers, strict=True)):
                own = some[:, part]
                brains = np.take(self.brain, own[:, :, None] * n_stimuli + own[:, None, :])
                products = brains.reshape(len(some), -1) @ vectors.T
                found[start : start + size, :, place] = self._related(products, sizes, self._sizes(brains))
        return found

    def _sizes(self, brains: Array) -> Array:
        """What ``sizes`` are, of permuted kernels (n_permutations, n, n)."""
        flat = brains.reshape(len(brains), -1)
        squares = np.einsum("ij,ij->i", flat, flat)
        if self.biased:
            return np.sqrt(squares)
        n = brains.shape[1]
        sums = brains.sum(axis=2)
        of_sums = sums.sum(axis=1) ** 2 / ((n - 1) * (n - 2))
        return (squares + of_sums - 2 * np.einsum("ij,ij->i", sums, sums) / (n - 2)) / (n * (n - 3))

    def _related(self, products: Array, sizes: Array, brains: Array) -> Array:
        """Products over both sizes, as published."""
        both = np.outer(brains, sizes)
        if self.biased:
            return products / np.where(both > 0, both, np.nan)
        return np.where(both > 0, products / (np.sqrt(np.maximum(both, 0.0)) + EPSILON), 0.0)
