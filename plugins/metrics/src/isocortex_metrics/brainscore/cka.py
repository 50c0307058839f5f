"""Brain-Score's ``cka`` family, exact to the published package, which pools all neuroids: are two kernels aligned?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from isocortex.activations import Activations
from isocortex.data import Dataset, stimulus_order
from isocortex.errors import DataError
from isocortex.interfaces import Comparison, MetricPlugin, Preparation, Split, check_settings
from isocortex.scoring import PermutedChoice, distinct_layers, optimistic_criterion
from isocortex.typing import Array
from isocortex_metrics.brainscore.permuted_cka import PermutedCka
from isocortex_metrics.brainscore.splits import PermutedRows, Rows, brainscore_rows, brainscore_splits
from isocortex_metrics.geometry.kernels import (
    MIN_STIMULI,
    biased_cka,
    kernel_of,
    linear_kernel,
    unbiased_cka,
)
from isocortex_metrics.numerics.arrays import to_numpy
from isocortex_metrics.target.responses import NoSettings, refuse_seed, responses_of

if TYPE_CHECKING:
    import xarray as xr


#: share of a score that the constant of the published definition may take without a word
_SMALL = 1e-3


def _of_size_one(kernel: Array) -> Array:
    """A kernel whose largest absolute value is 1; zeros stay."""
    largest = float(np.abs(kernel).max())
    return kernel / largest if largest > 0 else kernel


class BrainScoreCvSettings(BaseModel):
    """Settings of ``brainscore-cka-cv``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    stratify: str | bool | None = Field(
        default=None,
        description="column that splits are stratified by; default object_name if there is one; false: none",
    )


class BrainScoreComparison(Comparison):
    """All neuroids pooled, and a CKA of kernels as published.

    Parameters
    ----------
    rows
        Responses as Brain-Score has them.
    canonical
        The stimuli in canonical order.
    alignment_of
        (kernel, kernel) → CKA.
    splits
        Whose test stimuli a value is over; none: one value over all stimuli.
    device
        Where kernels are formed.
    preparation
        As for ``Comparison``.
    """

    statistic = "cka"
    measure = "score"
    ceiling_modes = ()
    aggregates = ("median-mean",)
    error_kind = "standard error over splits"
    default_permutations = 999
    refits_permutations = False

    def __init__(
        self,
        rows: Rows,
        canonical: Sequence[str],
        alignment_of: Callable[[Array, Array], float],
        splits: Sequence[Split] = (),
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> None:
        super().__init__(preparation)
        self.splits, self.split_ids = splits, rows.stimulus_id
        subsets = [split.test for split in splits]
        self.rows_of = PermutedRows(rows.stimulus_id, canonical)
        self.stimulus_id, self.n_stimuli = rows.stimulus_id, len(rows.stimulus_id)
        smallest = min((len(part) for part in subsets), default=self.n_stimuli)
        if smallest < MIN_STIMULI:
            raise DataError(f"CKA needs at least {MIN_STIMULI} stimuli in what it is evaluated on; found {smallest}.")
        self.alignment_of, self.subsets, self.device = alignment_of, subsets, device
        self.brain = to_numpy(linear_kernel([rows.values], self.n_stimuli, device=device))

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """CKA of one layer.

        Returns
        -------
        score, without dimension or ("split",), and null alike: where layer or responses have no geometry, so that score
        is 0, or NaN if biased.
        """
        import xarray as xr

        name, kernel = kernel_of(activations, self.stimulus_id, self.device)
        layer, dims = to_numpy(kernel), ("split",) if self.subsets else ()
        subsets = self.subsets or [np.arange(self.n_stimuli)]
        pairs = [(layer[np.ix_(part, part)], self.brain[np.ix_(part, part)]) for part in subsets]
        found = np.array([self.alignment_of(one, other) for one, other in pairs])
        self._say_if_small(name, found, pairs)
        shape = found.shape if self.subsets else ()
        scores = {
            "score": (dims, found.reshape(shape)),
            "null": (dims, (np.isnan(found) | (found == 0)).reshape(shape)),
        }
        return xr.Dataset(scores, attrs={"layer": name, "target": "pooled"})

    def _say_if_small(self, layer: str, found: Array, pairs: Sequence[tuple[Array, Array]]) -> None:
        """Warn where the constant that the publication adds to the divisor decides the score."""
        free = np.array([self.alignment_of(_of_size_one(one), _of_size_one(other)) for one, other in pairs])
        if (np.abs(free - found) > _SMALL * np.abs(free)).any():
            said = (
                f"The constant 1e-12 of the published definition lowers the score of {layer!r}, because it or the "
                f"responses are small: {np.nanmean(found):.3g}, and {np.nanmean(free):.3g} in larger units. Give both "
                "in larger units."
            )
            self.warnings = [*self.warnings, said]

    # --- chance -------------------------------------------------------------------------------------------------------

    def permuted(self, order: Array) -> BrainScoreComparison:
        """Rows and columns of the kernel of all neuroids permuted."""
        other = copy(self)
        rows = self.rows_of(order)
        other.brain = self.brain[np.ix_(rows, rows)]
        return other

    def permuted_readouts(self, layers: Mapping[str, Activations], orders: Array) -> Iterator[xr.DataArray]:
        """Kernels of layers stay; of those of the neuroids entries are gathered."""
        import xarray as xr

        subsets = self.subsets or [np.arange(self.n_stimuli)]
        permuted = PermutedCka(self.brain, subsets, self._kernel, biased=self.alignment_of is biased_cka)
        rows = np.stack([self.rows_of(order) for order in orders])
        for block in permuted.values(list(distinct_layers(layers)), rows):
            choice = PermutedChoice()
            for values in block.transpose(1, 0, 2):
                choice.offer(values, optimistic_criterion(values, None, self.rules))
            yield (
                xr.DataArray(choice.values, dims=("draw", "split"))
                if self.subsets
                else xr.DataArray(choice.values[:, 0], dims=("draw",))
            )

    def _kernel(self, layer: Activations) -> Array:
        return to_numpy(kernel_of(layer, self.stimulus_id, self.device)[1])

    def spread(self, readout: xr.DataArray, measure: str) -> tuple[float, str] | None:
        """The standard deviation over splits over the root of their number, as published."""
        del measure
        if not self.subsets:
            return None
        return float(readout.values.std() / np.sqrt(readout.size)), self.error_kind


class _BrainScore(MetricPlugin):
    """Brain-Score's CKA over all stimuli."""

    alignment_of: ClassVar[Callable[[Array, Array], float]]

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Average repetitions and form the kernel of all neuroids.

        Raises
        ------
        SettingsError, DataError
            Any setting, a seed other than 0, no responses, or fewer than four stimuli.
        """
        check_settings(NoSettings, settings, self.card.id)
        refuse_seed(seed, self.card.id)
        rows = brainscore_rows(target, stratify=False, metric=self.card.id)
        canonical = stimulus_order(responses_of(target, self.card.id))
        return BrainScoreComparison(rows, canonical, type(self).alignment_of, device=device, preparation=preparation)


class BrainScoreCka(_BrainScore):
    """Brain-Score's ``cka``."""

    alignment_of = unbiased_cka


class BrainScoreCkaBiased(_BrainScore):
    """Brain-Score's ``cka_biased``."""

    alignment_of = biased_cka


class BrainScoreCkaCv(MetricPlugin):
    """Brain-Score's ``cka_cv``."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Average repetitions, form the kernel of all neuroids and draw the published splits.

        Raises
        ------
        SettingsError, DataError
            Settings that are not valid, a seed other than 0, no responses, or strata that cannot be split.
        """
        chosen = check_settings(BrainScoreCvSettings, settings, self.card.id)
        refuse_seed(seed, self.card.id)
        rows = brainscore_rows(target, stratify=chosen.stratify, metric=self.card.id)
        splits = brainscore_splits(len(rows.stimulus_id), rows.labels, test_size=_TEST_SIZE)
        canonical = stimulus_order(responses_of(target, self.card.id))
        return BrainScoreComparison(rows, canonical, unbiased_cka, splits, device=device, preparation=preparation)


#: share of the stimuli on which each split of cka_cv is evaluated
_TEST_SIZE = 0.9
