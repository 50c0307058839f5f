"""Kernels of participants with rows and columns permuted, aligned with those of layers.

A layer's kernel less the effects of single stimuli is orthogonal to these, so that its product with a participant's
kernel is the numerator of CKA as it is; only the lengths of the participants' kernels differ between permutations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from isocortex.typing import Array
from isocortex_metrics.geometry.dissimilarity import upper_triangle
from isocortex_metrics.geometry.kernels import centre
from isocortex_metrics.geometry.permuted_pairs import PermutedPairs

if TYPE_CHECKING:
    from isocortex.activations import Activations


class PermutedKernels:
    """Kernels as they are aligned.

    Parameters
    ----------
    brains
        (n_stimuli, n_stimuli) of each participant.
    inside
        (n_splits, n_stimuli) bool, halves of the stimuli; None: none.
    kernel_of
        Layer → kernel (n_stimuli, n_stimuli).
    """

    def __init__(
        self, brains: Sequence[Array], inside: Array | None, kernel_of: Callable[[Activations], Array]
    ) -> None:
        self.brains, self.inside, self.kernel_of = brains, inside, kernel_of
        whole = np.ones((1, len(brains[0])))
        self.weights = whole if inside is None else np.concatenate([whole, inside.astype(np.float64)])
        self.entries = np.stack([upper_triangle(brain) for brain in brains])
        self._norms = np.empty((len(brains), 0, len(self.weights)))

    def pairs(self) -> PermutedPairs:
        """Products with layers, on all pairs and within the halves."""
        return PermutedPairs(len(self.brains[0]), self.inside, self._of_layer, self._of_brains, prepare=self._lengths)

    def _of_layer(self, layer: Activations) -> Iterator[Array]:
        """The kernel less effects of single stimuli, of length 1, above the diagonal; for all pairs and each half."""
        centred = centre(self.kernel_of(layer), self.weights)
        for own, effects, norm in zip(self.weights > 0, centred.effects, centred.norm, strict=True):
            places = np.flatnonzero(own)
            rest = centred.kernel[np.ix_(places, places)] - effects[places][:, None] - effects[places]
            yield upper_triangle(rest) * (2.0 / norm)  # each pair counts in both orders

    def _lengths(self, block: Array) -> None:
        """Lengths of the participants' kernels in what each permutation of a block brings to each half."""
        moved = np.empty((len(block), *self.weights.shape))
        for own, order in zip(moved, block, strict=True):
            own[:, order] = self.weights  # the stimuli whose responses stand in a half
        flat = moved.reshape(-1, moved.shape[-1])
        self._norms = np.stack([centre(brain, flat).norm.reshape(moved.shape[:2]) for brain in self.brains])

    def _of_brains(self, half: int, pairs: Array, number: int) -> Array:
        """Entries at some pairs over the length of what the half holds after the permutation."""
        found = np.take(self.entries, pairs, axis=1)
        found /= self._norms[:, number, half, None]
        return found
