"""``brainscore-rdm`` and ``brainscore-rdm-cv``: Brain-Score's comparison of dissimilarity matrices.

Spearman's rho between 1 − Pearson correlation over the units of a layer and over the neuroids of all animals together;
on all stimuli, or on ten subsets of nine tenths of them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from isocortex.activations import Activations
from isocortex.data import Dataset
from isocortex.errors import DataError, shorten
from isocortex.interfaces import Comparison, MetricPlugin, Preparation, Split, check_settings
from isocortex.typing import Array
from isocortex_metrics.brainscore.splits import Rows, brainscore_rows, brainscore_splits
from isocortex_metrics.geometry.dissimilarity import Blocks, FlatPatternError, correlation_distance, pairs_among
from isocortex_metrics.geometry.pair_statistics import PUBLISHED_TIE_SHARE, unit_ranks, varies
from isocortex_metrics.target.responses import NoSettings, refuse_seed

if TYPE_CHECKING:
    import xarray as xr


log = logging.getLogger(__name__)

#: six pairs; fewer cannot be ranked to any purpose
_MIN_STIMULI = 4
#: values of one block of features: 16 MB in float64
_BLOCK_VALUES = 2_000_000
#: share of the stimuli on which each split is evaluated, as published
TEST_SIZE = 0.9


def rdm_similarity(model: Array, brain: Array, subsets: Sequence[Array], n_stimuli: int) -> Array:
    """Spearman's rho of two matrices over the pairs within each subset of the stimuli.

    Brain-Score's ``rdm`` is that of the one subset of all stimuli, ``rdm_cv`` that of ten. Entries that differ by less
    than 1e-13 of the largest tie.

    Parameters
    ----------
    model, brain
        (n_pairs,): the upper triangles, row by row.
    subsets
        Places of stimuli, ascending.

    Returns
    -------
    (n_subsets,) float64; NaN where the entries of a matrix are all equal.

    Examples
    --------
    >>> first, second = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), np.array([1.0, 2.0, 4.0, 3.0, 5.0, 6.0])
    >>> rdm_similarity(first, second, [np.arange(4), np.array([0, 1, 2])], 4).round(6).tolist()
    [0.942857, 1.0]
    """
    found = np.full(len(subsets), np.nan)
    for place, members in enumerate(subsets):
        pairs = pairs_among(members, n_stimuli)
        if varies(model[pairs]) and varies(brain[pairs]):
            ranks = unit_ranks(np.stack([model[pairs], brain[pairs]]), PUBLISHED_TIE_SHARE)
            found[place] = float(ranks[0] @ ranks[1])
    return found


class BrainScoreRdmCvSettings(BaseModel):
    """Settings of ``brainscore-rdm-cv``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    stratify: str | bool | None = Field(
        default=None, description="stimulus column of which every split gets its share; object_name where there is one"
    )


class BrainScoreRdm(MetricPlugin):
    """Brain-Score's ``rdm``, for responses."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Average repetitions and rank the matrix of all neuroids together, participants or not.

        Raises
        ------
        SettingsError
            A setting, or another seed than 0.
        DataError
            No responses, fewer than four stimuli, or stimuli to which all neuroids respond alike.
        """
        refuse_seed(seed, self.card.id)
        check_settings(NoSettings, settings, self.card.id)
        return BrainScoreRdmComparison(brainscore_rows(target, metric=self.card.id), None, device, preparation)


class BrainScoreRdmCv(MetricPlugin):
    """Brain-Score's ``rdm_cv``, for responses."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """As ``brainscore-rdm``, and draw the published splits on the rows of the target.

        Raises
        ------
        SettingsError
            Settings that are not valid, or another seed than 0.
        DataError
            As ``brainscore-rdm``, or splits that cannot be drawn.
        """
        refuse_seed(seed, self.card.id)
        chosen = check_settings(BrainScoreRdmCvSettings, settings, self.card.id)
        rows = brainscore_rows(target, stratify=chosen.stratify, metric=self.card.id)
        splits = brainscore_splits(len(rows.values), rows.labels, test_size=TEST_SIZE)
        return BrainScoreRdmComparison(rows, splits, device, preparation)


class BrainScoreRdmComparison(Comparison):
    """The matrix of all neuroids together.

    Parameters
    ----------
    rows
        Mean responses, as the package orders them.
    splits
        Of the rows; the test part of each is compared. None: all rows are.
    device
        Where products of patterns are formed.
    preparation
        As for ``Comparison``.

    Attributes
    ----------
    rdm
        (n_pairs,) dissimilarities of the neuroids.
    """

    statistic = "rho"
    measure = "score"
    ceiling_modes = ()
    aggregates = ("median-mean",)
    error_kind = "standard error over splits"

    def __init__(
        self,
        rows: Rows,
        splits: Sequence[Split] | None,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> None:
        super().__init__(preparation)
        self.stimulus_id, self.n_stimuli, self.device = rows.stimulus_id, len(rows.values), device
        self.n_neuroids = rows.values.shape[1]
        self.splits, self.has_splits = splits or (), splits is not None
        self.split_ids = rows.stimulus_id
        self.subsets = [np.arange(self.n_stimuli)] if splits is None else [split.test for split in splits]
        if self.n_stimuli < _MIN_STIMULI:
            raise DataError(f"An RDM needs at least {_MIN_STIMULI} stimuli to be ranked; found {self.n_stimuli}.")
        try:
            self.rdm = self._distances(partial(_as_one_block, rows.values))
        except FlatPatternError as error:
            flat = shorten(self.stimulus_id[place] for place in error.stimuli)
            raise DataError(f"Responses to {flat}: {error}") from error
        if not all(varies(self.rdm[pairs_among(members, self.n_stimuli)]) for members in self.subsets):
            raise DataError(
                f"The dissimilarities of the {self.n_neuroids} neuroids are all equal, so that nothing correlates with "
                "them; a correlation over 2 neuroids is 1 or -1. Use more neuroids."
            )

    def _distances(self, blocks: Blocks) -> Array:
        return correlation_distance(blocks, self.n_stimuli, self.device)

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Compare one layer's matrix.

        Returns
        -------
        score (), or ("split",): Spearman's rho; null, where a pattern of the layer does not vary over units (a warning
        names the stimuli) or its dissimilarities are all equal, and score is NaN as published.
        """
        import xarray as xr

        layer = activations if isinstance(activations, Activations) else Activations.from_xarray(activations)
        width = max(1, _BLOCK_VALUES // self.n_stimuli)
        found = np.full(len(self.subsets), np.nan)
        try:
            model = self._distances(partial(layer.blocks, self.stimulus_id, width))
            found = rdm_similarity(model, self.rdm, self.subsets, self.n_stimuli)
        except FlatPatternError as error:
            flat = shorten(self.stimulus_id[place] for place in error.stimuli)
            log.warning("Layer %r counts as null; stimuli %s: %s", layer.layer, flat, error)
        dims, values = (("split",), found) if self.has_splits else ((), found[0])
        return xr.Dataset(
            {"score": (dims, values), "null": (dims, np.isnan(values))},
            attrs={"layer": layer.layer, "target": "pooled"},
        )

    def spread(self, readout: xr.DataArray, measure: str) -> tuple[float, str] | None:
        """The standard error over splits (population standard deviation over √n)."""
        del measure
        if not (self.has_splits and readout.notnull().all()):
            return None
        return float(readout.std() / np.sqrt(len(self.subsets))), self.error_kind


def _as_one_block(values: Array) -> Iterator[Array]:
    yield values
