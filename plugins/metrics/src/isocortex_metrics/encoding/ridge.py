"""``ridge``: a linear map from a layer's units to each neuroid, judged on held-out stimuli.

Features and responses are centred by the training mean. Alpha is chosen per neuroid by exact leave-one-out within the
training stimuli, among multiples of the mean eigenvalue of the training Gram matrix; the value is the Pearson
correlation between prediction and response over the test stimuli of a fold, signed, with nothing set to zero but null
predictions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from isocortex.activations import Activations
from isocortex.data import Dataset
from isocortex.interfaces import Comparison, MetricPlugin, Preparation, Split, check_settings
from isocortex.scoring import LayerMap, LinearMapping, distinct_layers, score_layers
from isocortex.typing import Array
from isocortex_metrics.encoding.linear_comparison import LinearComparison
from isocortex_metrics.encoding.permuted_fits import PermutedFits
from isocortex_metrics.encoding.split_fits import ERRORS, FitPlan, leading, score_split
from isocortex_metrics.numerics.arrays import like, to_numpy
from isocortex_metrics.numerics.dual_ridge import dual_weights
from isocortex_metrics.numerics.gram import centred_responses, split_basis
from isocortex_metrics.numerics.primal_ridge import FEW_UNITS, Units
from isocortex_metrics.numerics.threads import in_threads
from isocortex_metrics.target.responses import responses_of
from isocortex_metrics.target.splits import SplitSettings, columns_of, draw_splits

if TYPE_CHECKING:
    import xarray as xr


#: with so many, one split at a time has all threads of BLAS, and memory is that of one
_MANY_STIMULI = 4_000


class RidgeSettings(SplitSettings):
    """Settings of ``ridge``."""

    noise_correction: Literal["ratio-of-aggregates", "per-neuroid", "none"] = Field(
        default="ratio-of-aggregates", description="how r2_corrected is made where stimuli were repeated"
    )
    alpha: float | None = Field(
        default=None,
        ge=0,
        description="fixed penalty, as scikit-learn's Ridge(alpha); 0: least squares, of several solutions the "
        "shortest; default: leave-one-out",
    )


class Ridge(MetricPlugin):
    """Ridge regression in the dual, for responses."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Average repetitions, draw the splits and estimate the ceiling.

        Raises
        ------
        SettingsError, DataError
            Settings that are not valid, no responses, too few stimuli for the splits, or a ceiling that they do not
            allow.
        """
        chosen = check_settings(RidgeSettings, settings, self.card.id)
        responses = responses_of(target, self.card.id)
        splits = list(preparation.splits) or draw_splits(target, responses, chosen, seed)
        comparison = RidgeComparison(
            responses, splits, noise_correction=chosen.noise_correction, device=device, preparation=preparation
        )
        comparison.alpha = chosen.alpha
        comparison.split_columns = columns_of(target, chosen)
        return comparison


class RidgeComparison(LinearComparison):
    """Ridge regression against one set of responses; see ``LinearComparison`` for its parameters.

    Attributes
    ----------
    alpha
        Fixed penalty on the scale of the features, 0 for least squares; None: chosen by leave-one-out.
    """

    alpha: float | None = None
    knows_influence = True
    default_permutations = 199
    refits_permutations = False

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Fit and test every split for one layer.

        Returns
        -------
        r, r2 (sign(r) r²), selection, null and, with repetitions, r2_corrected (r2 over the reliability that the
        setting ``noise_correction`` names, NaN where that is not above zero), all ("split", "neuroid"); where the
        benchmark's measure is one of them explained_variance, r2_score and mse; as far as ``keep`` names them alpha
        (as log10 of the multiple of the mean eigenvalue), alpha_at_bound, training_r2; and prediction ("split", "test",
        "neuroid"), NaN beyond a short fold. Coordinates: those of the responses, reliability (neuroid) with
        repetitions, and test_stimulus: places in the canonical order, -1 beyond a short fold.

        Raises
        ------
        AlignmentError, DataError
            A stimulus has no activations, or they are not finite.
        """
        return self._scored(activations, self.splits)

    def score_split(self, activations: Activations | xr.DataArray, split: Split) -> xr.Dataset:
        """Fit and test one split for one layer: what ``score`` gives, without the dim "split"."""
        return self._scored(activations, [split]).isel(split=0)

    def fit(self, layers: Mapping[str, Activations], split: Split | None = None) -> LinearMapping | None:
        """Choose the layer of every neuroid and fit its map, on all stimuli or on the training stimuli of a split.

        Layer and alpha are chosen as for the scores, by leave-one-out within the stimuli that are fitted.
        Memory beyond the map: the Gram matrix of a layer, and a block of it.
        """
        everything = np.arange(self.n_stimuli)
        within = Split(everything, everything) if split is None else split
        alone = self.keeping("alpha")
        alone.splits = [within]
        scores = score_layers(alone, layers)
        chosen = np.broadcast_to(scores["chosen"].values, (1, self.responses.shape[1]))[0]
        alpha, found = np.empty(len(chosen)), dict[str, LayerMap]()
        for place in np.unique(chosen):
            name, columns = str(scores["layer"].values[place]), np.flatnonzero(chosen == place)
            own = scores.isel(layer=place, split=0)
            found[name], alpha[columns] = self._map(layers[name], columns, within.train, own)
        neuroid = self.neuroid.to_dataset(name="response").drop_vars("response")
        return LinearMapping(found, self.responses[within.train].mean(axis=0), alpha, neuroid)

    def _map(self, layer: Activations, columns: Array, train: Array, scores: xr.Dataset) -> tuple[LayerMap, Array]:
        """The map of one layer to some neuroids, and their penalties; ``scores`` hold what was chosen."""
        basis = split_basis(self.gram(layer), train, train[:1])
        if "n_components" in scores:
            basis = leading(basis, int(scores["n_components"]))
        alpha = 10.0 ** scores["alpha"].values[columns] * (basis.mean_eigenvalue or 1.0)
        centred, _ = centred_responses(like(self.responses[np.ix_(train, columns)], basis.vectors))
        return self.map_of(layer, columns, train, to_numpy(dual_weights(basis, centred, alpha))), alpha

    def map_of(self, layer: Activations, columns: Array, train: Array, dual: Array) -> LayerMap:
        """The map W = (X − x̄)ᵀ D of a layer to some neuroids, from dual weights D (n_train, n_columns)."""
        mean, weights, first = np.empty(layer.n_units), np.empty((layer.n_units, len(columns))), 0
        for block in layer.blocks([self.stimulus_id[place] for place in train]):
            part = slice(first, first + block.shape[1])
            mean[part] = block.mean(axis=0, dtype=np.float64)
            weights[part] = (block - mean[part]).T @ dual
            first += block.shape[1]
        return LayerMap(columns, mean, weights)

    def _scored(self, activations: Activations | xr.DataArray, splits: Sequence[Split]) -> xr.Dataset:
        layer = activations if isinstance(activations, Activations) else Activations.from_xarray(activations)
        fit = partial(score_split, self.features(layer), self.responses, plan=self.plan)
        if self.device == "cpu" and self.n_stimuli < _MANY_STIMULI:
            parts = in_threads(fit, splits)
        else:  # other devices do one thing at a time
            parts = [fit(split) for split in splits]
        return self.assembled(parts, splits, {"layer": layer.layer, "noise_correction": self.noise_correction})

    def features(self, activations: Activations) -> Array | Units:
        """The units themselves where they are at most half as many as the training stimuli; else the Gram matrix."""
        smallest = min(len(split.train) for split in self.splits)
        if self.device != "cpu" or self.plan.n_components or activations.n_units > FEW_UNITS * smallest:
            return self.gram(activations)
        first = activations.array(self.stimulus_id[:1])
        return Units.held_if_small(partial(self._read, activations, first), self.n_stimuli, activations.n_units)

    def _read(self, activations: Activations, first: Array, places: Array) -> Array:
        """Features of some stimuli, less those of the first."""
        return np.subtract(activations.array([self.stimulus_id[place] for place in places]), first, dtype=np.float64)

    @property
    def plan(self) -> FitPlan:
        """What is fitted in each split."""
        return FitPlan(self.alpha, keep=self.kept_of_fits, with_errors=self.rules.measure in ERRORS)

    def permuted_readouts(self, layers: Mapping[str, Activations], orders: Array) -> Iterator[xr.DataArray]:
        """Permuted responses are further columns of one decomposition per layer and split; see ``PermutedFits``."""
        fits = PermutedFits(self, replace(self.plan, keep=()), list(distinct_layers(layers)))
        return fits.readouts(orders)
