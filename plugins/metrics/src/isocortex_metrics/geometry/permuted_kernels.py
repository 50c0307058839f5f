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
from isocortex_metrics.geometry.kernels import centre, lengths_of_halves
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

    def pairs(self) -> PermutedPairs:
        """Products with layers, on all pairs and within the halves."""
        n_stimuli, n_participants = len(self.brains[0]), len(self.brains)
        return PermutedPairs(
            n_stimuli, self.inside, self._of_layer, self._of_brains, n_participants, lengths=self._lengths
        )

    def _of_layer(self, layer: Activations) -> Iterator[Array]:
        """The kernel less effects of single stimuli, of length 1, above the diagonal; for all pairs and each half."""
        centred = centre(self.kernel_of(layer), self.weights)
        for own, effects, norm in zip(self.weights > 0, centred.effects, centred.norm, strict=True):
            places = np.flatnonzero(own)
            rest = centred.kernel[np.ix_(places, places)] - effects[places][:, None] - effects[places]
            yield upper_triangle(rest) * (2.0 / norm)  # each pair counts in both orders

    def _lengths(self, block: Array) -> Array:
        """Lengths of the participants' kernels in what each permutation of a block brings to all and to each half."""
        found = np.empty((len(self.brains), len(block), len(self.weights)))
        whole = self.weights[:1]
        first = self.weights[1 : 1 + len(self.weights) // 2]
        moved = np.empty((len(block), *first.shape))
        for number, order in enumerate(block):
            moved[number][:, order] = first  # the stimuli whose responses stand in a half
        flat = moved.reshape(-1, whole.shape[1])
        for place, brain in enumerate(self.brains):
            found[place, :, 0] = centre(brain, whole).norm
            if len(flat):
                halves = lengths_of_halves(brain, flat)  # of the halves, and of the rest of each
                found[place, :, 1:] = np.concatenate([half.reshape(moved.shape[:2]) for half in halves], axis=1)
        return found

    def _of_brains(self, half: int, pairs: Array) -> Array:
        """Entries at some pairs."""
        del half
        return np.take(self.entries, pairs, axis=1)
