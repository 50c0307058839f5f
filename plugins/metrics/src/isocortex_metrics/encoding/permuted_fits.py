"""Ridge regression on permuted responses: they are further columns of one decomposition per layer and split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from isocortex.activations import Activations
from isocortex.interfaces import Split
from isocortex.scoring import (
    PermutedChoice,
    codes_of,
    growing_blocks,
    measure_of,
    optimistic_criterion,
    unit_criterion,
)
from isocortex.typing import Array
from isocortex_metrics.encoding.split_fits import Basis, FitPlan, decomposed, score_basis
from isocortex_metrics.numerics.per_layer import PerLayer
from isocortex_metrics.numerics.primal_ridge import Units
from isocortex_metrics.numerics.threads import blas_threads, in_threads

if TYPE_CHECKING:
    import xarray as xr

    from isocortex_metrics.encoding.linear_comparison import LinearComparison

#: bytes that a block of permutations may take
_BLOCK_BYTES = 256 * 1024**2


class PermutedFits:
    """Scores of many permutations at once.

    Memory: 256 MB for a block of permutations and each thread, or what one permutation takes; 256 MB of
    decompositions. Layers whose decompositions do not fit are read and decomposed again for each block.

    Parameters
    ----------
    comparison
        Responses, splits, rules, and how Gram matrices are formed.
    plan
        What is fitted.
    layers
        Of different content, in order.
    nested
        False: the layer is chosen on the test stimuli, which is marked optimistic.
    """

    def __init__(
        self, comparison: LinearComparison, plan: FitPlan, layers: Sequence[Activations], *, nested: bool = True
    ) -> None:
        self.comparison, self.plan, self.nested = comparison, plan, nested
        # other devices do one thing at a time
        self.n_threads = blas_threads() if comparison.device == "cpu" else 1
        self.bases = PerLayer(self._of_layer, layers, lambda found: sum(basis.n_bytes for basis in found))

    def readouts(self, orders: Array) -> Iterator[xr.DataArray]:
        """What is read out, ("draw", "split", "neuroid"), in blocks of permutations (n_permutations, n_stimuli)."""
        import xarray as xr

        own = self.comparison
        measure = measure_of(own)
        source = own.made_of.get(measure, measure)
        for block in growing_blocks(orders, self._most()):
            choice = PermutedChoice()
            for bases in self.bases:
                selection, values = self._scored(bases, block, source)
                choice.offer(values, self._criterion(selection, values))
            yield xr.DataArray(choice.values, dims=("draw", "split", "neuroid"), coords=own.neuroid.coords)

    def _most(self) -> int:
        """Permutations of a block."""
        n_stimuli, n_neuroids = self.comparison.responses.shape
        each = 8 * n_neuroids * (6 * len(self.comparison.splits) + 5 * n_stimuli)
        return max(1, _BLOCK_BYTES // each)

    def _criterion(self, selection: Array, values: Array) -> Array:
        like, rules = self.comparison.neuroid, self.comparison.rules
        if self.nested:
            return unit_criterion(selection, like, rules)
        sign = -1.0 if measure_of(self.comparison) in self.comparison.smaller_is_better else 1.0
        return sign * optimistic_criterion(values, codes_of(like), rules)

    def _scored(self, bases: Sequence[Basis], block: Array, source: str) -> tuple[Array, Array]:
        """Selection and measure of one layer, (n_permutations, n_splits, n_neuroids) each."""
        pairs = list(zip(bases, self.comparison.splits, strict=True))
        parts = in_threads(partial(self._fitted, block, source), pairs, n_threads=self.n_threads)
        selection, values = (np.stack([part[number] for part in parts], axis=1) for number in (0, 1))
        return selection, values

    def _of_layer(self, layer: Activations) -> list[Basis]:
        """Decompositions of all splits of a layer."""
        of_split = partial(_of_split, self.comparison.features(layer))
        return in_threads(of_split, self.comparison.splits, n_threads=self.n_threads)

    def _fitted(self, block: Array, source: str, pair: tuple[Basis, Split]) -> tuple[Array, Array]:
        """Selection and measure (n_permutations, n_neuroids) of one split."""
        basis, split = pair
        n_neuroids = self.comparison.responses.shape[1]
        # of several numbers of components one serves all neuroids, so that each permutation has its own
        several = self.plan.n_components is not None and len(self.plan.n_components) > 1
        found = [self._of_columns(basis, some, split) for some in (block[:, None] if several else [block])]
        selection, values = (
            np.concatenate([part[name].reshape(-1, n_neuroids) for part in found]) for name in ("selection", source)
        )
        return selection, values

    def _of_columns(self, basis: Basis, orders: Array, split: Split) -> dict[str, Array]:
        """Scores of the columns (n_permutations × n_neuroids,) of several permutations."""
        responses = self.comparison.responses
        columns = responses[orders.T].reshape(len(responses), -1)  # (n_stimuli, n_permutations · n_neuroids)
        return score_basis(basis, columns, split, self.plan)


def _of_split(features: Array | Units, split: Split) -> Basis:
    return decomposed(features, split.train, split.test)
