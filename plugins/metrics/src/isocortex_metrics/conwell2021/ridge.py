"""``conwell-ridge`` and ``conwell-ridge-searched``: every image predicted from all others.

Conwell, Mayo, Barbu, Buice, Alvarez & Katz 2021, NeurIPS. Units are z-scored over all images, without
labels, as published. The maths lies in ``leave_one_out``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from isocortex.activations import Activations
from isocortex.data import Dataset, averaged, stimulus_order
from isocortex.errors import DataError
from isocortex.interfaces import Ceiling, Comparison, MetricPlugin, Preparation, check_settings
from isocortex.scoring import as_layered, read_out, score_layers
from isocortex.typing import Array
from isocortex_metrics.ceilings.estimators import from_repetitions
from isocortex_metrics.ceilings.reliability import ceiling_of_r
from isocortex_metrics.conwell2021.fits import (
    is_null,
    leave_one_out_deviations,
    left_out_explained_variance,
    mean_of_others,
    permutation_mean_r,
    searched_deviations,
    z_scored_units,
)
from isocortex_metrics.numerics.arrays import on_device, to_numpy
from isocortex_metrics.numerics.correlation import pearson
from isocortex_metrics.numerics.dual_ridge import ALPHA_GRID
from isocortex_metrics.numerics.gram import gram_matrix
from isocortex_metrics.target.responses import NoSettings, refuse_seed, responses_of

if TYPE_CHECKING:
    import xarray as xr


#: as published; it belongs to z-scored units
Z_SCORED_ALPHA = 1.0
MIN_STIMULI = 4
#: values of one block of features: 16 MB in float64
_BLOCK_VALUES = 2_000_000
#: draws the permutations; fixed, as a published metric takes no other
_PERMUTATION_SEED = 0


class ConwellSettings(BaseModel):
    """What ``conwell-ridge`` shows beside what was published; it changes nothing of that."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    permutations: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="times the images are handed round for permutation_r, the mean r that chance gives; 0: not shown",
    )


class ConwellRidge(MetricPlugin):
    """Leave-one-image-out ridge at alpha 1."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Average repetitions, estimate the ceiling, and draw the permutations that are asked for.

        Raises
        ------
        SettingsError
            Settings that are not valid, or a seed other than 0: what is published draws nothing.
        DataError
            No responses, or fewer than four stimuli.
        """
        refuse_seed(seed, self.card.id)
        chosen = check_settings(ConwellSettings, settings, self.card.id)
        return ConwellComparison(responses_of(target, self.card.id), device, preparation, chosen.permutations)


class ConwellRidgeSearched(MetricPlugin):
    """Leave-one-image-out ridge, alpha found among the other images."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Average repetitions and estimate the ceiling.

        Raises
        ------
        SettingsError
            Any setting, or a seed other than 0: nothing is drawn.
        DataError
            No responses, or fewer than four stimuli.
        """
        refuse_seed(seed, self.card.id)
        check_settings(NoSettings, settings, self.card.id)
        return ConwellSearchedComparison(responses_of(target, self.card.id), device, preparation)


class ConwellComparison(Comparison):
    """Leave-one-out predictions of one set of responses.

    Parameters
    ----------
    responses
        Dims ("presentation", "neuroid"), checked; repetitions are averaged.
    device
        Where it is worked on.
    preparation
        As for ``Comparison``.
    n_permutations
        Times the images are handed round for ``permutation_r``.
    """

    statistic: ClassVar[str] = "r"
    aggregates: ClassVar[tuple[str, ...]] = ("median-mean",)
    #: whether predictions are put together from several layers, so that every layer's are needed
    needs_prediction: ClassVar[bool] = False

    def __init__(
        self,
        responses: xr.DataArray,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
        n_permutations: int = 0,
    ) -> None:
        super().__init__(preparation)
        self.stimulus_id = stimulus_order(responses)
        self.n_stimuli = len(self.stimulus_id)
        if self.n_stimuli < MIN_STIMULI:
            raise DataError(
                f"Leave-one-out ridge needs at least {MIN_STIMULI} stimuli; found {self.n_stimuli}. Use more stimuli."
            )
        stream = np.random.default_rng(_PERMUTATION_SEED)
        self.permutations = [stream.permutation(self.n_stimuli) for _ in range(n_permutations)]
        self.responses = averaged(responses)
        self.neuroid = responses.isel(presentation=0, drop=True)
        self.device = device
        repeated = from_repetitions(responses)
        if repeated is not None and repeated.reliability is not None:
            bound = self.neuroid.copy(data=ceiling_of_r(repeated.reliability))
            self.ceiling = Ceiling(f"square root of the {repeated.name}", "r", bound)

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Predict every stimulus from all others for one layer.

        Returns
        -------
        r (signed), unsigned_r2 (its square, as it was published), explained_variance and null, all ("neuroid",) over
        all stimuli, and permutation_r where permutations are asked for; prediction ("split", "test", "neuroid"), one
        left-out stimulus per split, with the coordinate test_stimulus, where ``keep`` asks for it.
        """
        if not isinstance(activations, Activations):
            activations = Activations.from_xarray(activations)
        gram = self._gram(activations)
        found = self._found(gram)
        deviation = found.pop("deviation")
        scores = self._dataset(deviation, found).assign_attrs(layer=activations.layer)
        if not self.permutations:
            return scores
        by_chance = permutation_mean_r(
            to_numpy(gram), np.asarray(self.responses, dtype=np.float64), Z_SCORED_ALPHA, np.stack(self.permutations)
        )
        return scores.assign(permutation_r=(("neuroid",), by_chance))

    def _gram(self, activations: Activations) -> Array:
        blocks = activations.blocks(self.stimulus_id, max(1, _BLOCK_VALUES // self.n_stimuli))
        return gram_matrix(z_scored_units(blocks), self.n_stimuli, self.device)

    def _found(self, gram: Array) -> dict[str, Array]:
        """The deviations, and what else there is per left-out stimulus and neuroid."""
        responses = on_device(self.responses, self.device)
        return {"deviation": to_numpy(leave_one_out_deviations(gram, responses, Z_SCORED_ALPHA))}

    def _dataset(self, deviation: Array, found: Mapping[str, Array]) -> xr.Dataset:
        import xarray as xr

        scores = xr.Dataset(
            {
                **{name: (("neuroid",), values) for name, values in self._measures(deviation).items()},
                **{name: (("split", "neuroid"), values) for name, values in found.items()},
            },
            coords={
                **self.neuroid.coords,
                "test_stimulus": (("split", "test"), np.arange(self.n_stimuli)[:, None]),
            },
        )
        if not (self.needs_prediction or "prediction" in self.keep):
            return scores
        prediction = deviation + mean_of_others(self.responses)
        return scores.assign(prediction=(("split", "test", "neuroid"), prediction[:, None]))

    def _measures(self, deviation: Array, columns: Array | None = None) -> dict[str, Array]:
        """r, unsigned_r2, explained_variance and null, (n_neuroids,) each."""
        responses = self.responses if columns is None else self.responses[:, columns]
        null = is_null(deviation, responses)
        r, _ = pearson(deviation + mean_of_others(responses), responses)
        r = np.where(null, 0.0, r)
        return {
            "r": r,
            "unsigned_r2": r**2,
            "explained_variance": np.where(null, 0.0, left_out_explained_variance(deviation, responses)),
            "null": null,
        }

    def layered(self, scores: xr.Dataset) -> xr.Dataset:
        """Scores with the best of several layers, as published.

        Scores that are restricted to a region have the best layer for that region; it is chosen on what it is tested
        on, and marked "optimistic".
        """
        scores = as_layered(self, scores)
        measure = str(scores.attrs["measure"])
        values = self.collapse(scores[measure], measure).values
        chosen = scores["chosen"].copy(data=int(np.nanargmax(values)))
        return scores.assign(chosen=chosen, readout=read_out(scores[measure], chosen))


class ConwellSearchedComparison(ConwellComparison):
    """The same with alpha, and the layer, found among the other images of every left-out image."""

    needs_prediction: ClassVar[bool] = True

    def _found(self, gram: Array) -> dict[str, Array]:
        found = searched_deviations(gram, on_device(self.responses, self.device))
        kept = {"deviation": found.deviation, "selection": found.selection}
        if "alpha" in self.keep:
            index, top = found.alpha_index, len(ALPHA_GRID) - 1
            kept["alpha"] = np.log10(ALPHA_GRID)[index]
            kept["alpha_at_bound"] = (index == top).astype(np.int8) - (index == 0).astype(np.int8)
        return kept

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """As for ``conwell-ridge``, and for every left-out stimulus ("split", "neuroid") what was found without it.

        Returns
        -------
        r, explained_variance, null ("neuroid",); selection (1 − leave-one-out error among the others over that of
        their mean), alpha (log10 of the multiple of their mean eigenvalue) and alpha_at_bound ("split", "neuroid");
        prediction ("split", "test", "neuroid").
        """
        return super().score(activations)

    def score_all(self, layers: Mapping[str, Activations]) -> xr.Dataset:
        """Score all layers; the layer that predicts a stimulus is chosen among the other stimuli.

        Returns
        -------
        What ``score`` gives along "layer", chosen ("split", "neuroid"), and readout, readout_explained_variance and
        readout_null ("neuroid",) of the predictions that the chosen layers make.
        """
        return self._assembled(score_layers(self, layers))

    def _assembled(self, scores: xr.Dataset) -> xr.Dataset:
        """Measures of the predictions of chosen layers, put together over all left-out stimuli."""
        rank = {str(name): place for place, name in enumerate(self.neuroid["neuroid_id"].values)}
        columns = np.array([rank[str(name)] for name in scores["neuroid_id"].values])
        prediction = scores["prediction"].transpose("split", "test", "neuroid").values[:, 0]
        found = self._measures(prediction - mean_of_others(self.responses[:, columns]), columns)
        scores = scores.assign(readout=(("neuroid",), found[str(scores.attrs["measure"])]))
        if "prediction" not in self.keep:
            scores = scores.drop_vars("prediction")
        return scores.assign({f"readout_{name}": (("neuroid",), values) for name, values in found.items()})

    def layered(self, scores: xr.Dataset) -> xr.Dataset:
        """Scores with the measures of the predictions that the chosen layers make."""
        return scores if "layer" in scores.dims else self._assembled(as_layered(self, scores))

    def readout_of(self, scores: xr.Dataset, measure: str) -> xr.DataArray:
        """That of the predictions that the chosen layers make together."""
        return scores[f"readout_{measure}"]

    def further(self, scores: xr.Dataset) -> Sequence[str]:
        """Those of r, its square and explained variance that are not the value."""
        return [name for name in ("r", "unsigned_r2", "explained_variance") if name != scores.attrs["measure"]]
