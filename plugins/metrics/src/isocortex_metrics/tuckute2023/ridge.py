"""``tuckute2023-ridge`` and ``tuckute2023-components``: the regression of Tuckute et al. 2023, PLOS Biology.

The maths lies in ``tuckute_fits`` (fits, noise correction) and ``tuckute_aggregation`` (layer choice, aggregation).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from isocortex.activations import Activations
from isocortex.data import Dataset, averaged, stimulus_order
from isocortex.errors import DataError, LayerError, SettingsError, shorten
from isocortex.interfaces import Comparison, MetricPlugin, Preparation, check_settings
from isocortex.scoring import Stage, along_layers, codes_of, measure_of, over_participants, read_out
from isocortex.typing import Array
from isocortex_metrics.numerics.arrays import on_device, to_numpy
from isocortex_metrics.numerics.gram import gram_matrix
from isocortex_metrics.target.responses import NoSettings, refuse_seed, responses_of
from isocortex_metrics.tuckute2023.aggregation import (
    most_frequent,
    participant_medians,
    read_halves,
    standard_error,
)
from isocortex_metrics.tuckute2023.fits import ABSOLUTE_ALPHAS, predict_splits, reliabilities, score_halves
from isocortex_metrics.tuckute2023.splits import tuckute_splits
from isocortex_metrics.tuckute2023.stages import CORRECTED, LIMITS, stage_over_splits, with_best_layers

if TYPE_CHECKING:
    import xarray as xr


#: values of one block of features: 16 MB in float64
_BLOCK_VALUES = 2_000_000
_COMPONENTS = "tuckute2023-components"
#: kept with training_r2: standard deviations over the test or training stimuli of a split
_SPREADS = ("prediction_std", "training_prediction_std", "response_std", "training_response_std")


class TuckuteRidge(MetricPlugin):
    """Voxelwise ridge over ten half splits, r² corrected by the reliability of responses and predictions."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Take the repetitions apart and find how reliable they are in each training half.

        Raises
        ------
        SettingsError
            Any setting, or a seed other than 0.
        DataError
            No responses, one repetition, unequal numbers of repetitions, or fewer than 6 stimuli.
        """
        refuse_seed(seed, self.card.id)
        check_settings(NoSettings, settings, self.card.id)
        responses = responses_of(target, self.card.id)
        return TuckuteRidgeComparison(responses, scans_of(responses, self.card.id), device, preparation)


class TuckuteComponents(MetricPlugin):
    """The same regression for components: no repetitions, no correction."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Average repetitions, if there are any.

        Raises
        ------
        SettingsError
            Any setting, or a seed other than 0.
        DataError
            No responses, or fewer than 6 stimuli.
        """
        refuse_seed(seed, self.card.id)
        check_settings(NoSettings, settings, self.card.id)
        responses = responses_of(target, self.card.id)
        return TuckuteComparison(responses, averaged(responses)[None], device, preparation)


def scans_of(responses: xr.DataArray, metric: str) -> Array:
    """Responses apart by the coordinate ``repetition``: (n_scans, n_stimuli, n_neuroids) float64.

    The scans of a stimulus are in the order of their labels; stimuli are in order of first appearance.

    Raises
    ------
    DataError
        One repetition, not the same number for every stimulus, or trials that are missing for some neuroids.

    Examples
    --------
    >>> from isocortex.data import make_responses
    >>> scans_of(make_responses(np.arange(6.0).reshape(2, 3, 1), ["a", "b", "c"]), "demo")[:, :, 0].tolist()
    [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    """
    gone = np.asarray(np.isnan(responses.values).any(axis=0))
    if gone.any():
        raise DataError(
            f"{metric} needs the same repetitions of every stimulus for all neuroids; {int(gone.sum())} of {len(gone)} "
            f"lack some: {shorten(responses['neuroid_id'].values[gone])}. Leave out those neuroids, or the trials that "
            "are not there for all (gaps = 'drop-trials')."
        )
    names = stimulus_order(responses)
    rank = {name: place for place, name in enumerate(names)}
    of_stimulus = np.array([rank[name] for name in responses["stimulus_id"].values.astype(str)])
    counts = np.bincount(of_stimulus)
    if counts.max() == 1:
        raise DataError(
            f"{metric} corrects for noise by several repetitions of every stimulus (published with 3); found one. "
            f"Use {_COMPONENTS} for responses without repetitions."
        )
    if counts.min() != counts.max():
        few = [f"{names[place]} ({counts[place]})" for place in np.flatnonzero(counts < counts.max())]
        raise DataError(
            f"{metric} needs the same number of repetitions of every stimulus; found up to {counts.max()}, but fewer "
            f"for {len(few)}: {shorten(few)}. Leave out those stimuli or the surplus repetitions."
        )
    labels = np.unique(responses["repetition"].values, return_inverse=True)[1]
    rows = np.lexsort((labels, of_stimulus)).reshape(len(names), -1).T  # (n_scans, n_stimuli)
    return responses.values.astype(np.float64)[rows]


@dataclass(frozen=True)
class _Fitted:
    """One layer: its Gram matrix, its number of units, the place of each alpha, and the scores."""

    gram: Array
    n_units: int
    alpha_index: Array
    found: dict[str, Array]


class TuckuteComparison(Comparison):
    """Ten half splits against one set of responses.

    Parameters
    ----------
    responses
        Dims ("presentation", "neuroid"), checked.
    scans
        (n_scans, n_stimuli, n_neuroids) float64; one scan: no noise correction.
    device
        Where it is worked on.
    preparation
        As for ``Comparison``.
    """

    statistic: ClassVar[str] = "r2"
    ceiling_modes: ClassVar[tuple[str, ...]] = ()
    aggregates: ClassVar[tuple[str, ...]] = ("median-mean",)
    made_of = MappingProxyType({"n_null_scans": "null_scans"})
    #: what may be aggregated
    measures: ClassVar[tuple[str, ...]] = ("r2", "r")

    def __init__(
        self,
        responses: xr.DataArray,
        scans: Array,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> None:
        super().__init__(preparation)
        self.stimulus_id = stimulus_order(responses)
        self.n_stimuli = len(self.stimulus_id)
        self.neuroid = responses.isel(presentation=0, drop=True)
        self.splits = tuckute_splits(self.n_stimuli)
        self.device = device
        self.scans = on_device(scans, device)
        self.reliability = reliabilities(self.splits, self.scans)

    # --- scores -------------------------------------------------------------------------------------------------------

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Fit and test the ten splits for one layer.

        Returns
        -------
        r_prior_zero (NaN where null), r (negative ones 0), r2, null, alpha (log10), alpha_at_bound, training_r2, and
        beside it the standard deviations of predictions and responses over test and training stimuli (prediction_std,
        training_prediction_std, response_std, training_response_std), all ("split", "neuroid"). With several scans also
        r2_corrected (not clipped), null_scans (how many fits of single scans are null), response_reliability and
        prediction_reliability. prediction ("split", "test", "neuroid") with the coordinate test_stimulus. ``keep``
        leaves out alpha, training_r2 or prediction.
        """
        if not isinstance(activations, Activations):
            activations = Activations.from_xarray(activations)
        fit = self._fitted(activations, with_prediction="prediction" in self.keep)
        return self._with_reliability(self._dataset(fit.found)).assign_attrs(layer=activations.layer)

    def _fitted(self, activations: Activations, *, with_prediction: bool) -> _Fitted:
        blocks = activations.blocks(self.stimulus_id, max(1, _BLOCK_VALUES // self.n_stimuli))
        gram = gram_matrix(blocks, self.n_stimuli, self.device)
        names = ["r_prior_zero", "r", "r2", "null", "alpha_index"]
        names += ["training_r2", *_SPREADS] if "training_r2" in self.keep else []
        names += ["r2_corrected", "null_scans", "prediction_reliability"] if len(self.scans) > 1 else []
        names += ["prediction", "training_mean"] if with_prediction else []
        found = score_halves(gram, self.splits, self.scans, self.reliability, activations.n_units, names)
        if with_prediction:
            found["prediction"] += found.pop("training_mean")[:, None]
        index = found.pop("alpha_index")[:, 0]
        if "alpha" in self.keep:
            found["alpha"] = np.log10(ABSOLUTE_ALPHAS)[index]
            found["alpha_at_bound"] = (index == len(ABSOLUTE_ALPHAS) - 1).astype(np.int8) - (index == 0).astype(np.int8)
        return _Fitted(gram, activations.n_units, index, found)

    def _dataset(self, found: Mapping[str, Array]) -> xr.Dataset:
        import xarray as xr

        dims = {"prediction": ("split", "test", "neuroid")}
        return xr.Dataset(
            {name: (dims.get(name, ("split", "neuroid")), values) for name, values in found.items()},
            coords={
                **self.neuroid.coords,
                "test_stimulus": (("split", "test"), np.stack([split.test for split in self.splits])),
            },
        )

    def _with_reliability(self, scores: xr.Dataset) -> xr.Dataset:
        if len(self.scans) == 1:
            return scores
        return scores.assign(response_reliability=(("split", "neuroid"), to_numpy(self.reliability)))

    # --- layers -------------------------------------------------------------------------------------------------------

    def score_all(self, layers: Mapping[str, Activations]) -> xr.Dataset:
        """Score all layers and choose for each neuroid as published, over halves of the splits.

        Returns
        -------
        What ``score`` gives along "layer"; chosen and readout ("iteration", "neuroid") of the measure, and of
        r2_corrected (chosen_corrected, readout_corrected) where there is one; prediction at the layer that is chosen
        most often, prediction_layer ("neuroid"). Layers of equal content are fitted and counted once.
        """
        first_with: dict[str, int] = {}
        twins = [first_with.setdefault(layer.digest, place) for place, layer in enumerate(layers.values())]
        self._check_number(len(first_with))
        fits: dict[int, _Fitted] = {}
        scores: list[xr.Dataset] = []
        for place, (activations, twin) in enumerate(zip(layers.values(), twins, strict=True)):
            if twin == place:
                fits[place] = self._fitted(activations, with_prediction=False)
            scores.append(self._dataset(fits[twin].found) if twin == place else scores[twin])
        whole = self._with_reliability(along_layers(scores, list(layers)))
        whole = self._with_readout(whole, len(first_with))
        return self._with_prediction(whole, fits, np.array(twins)) if "prediction" in self.keep else whole

    def _check_number(self, n_layers: int) -> None:
        if n_layers == 0:
            raise LayerError("There is no layer to score. 'isocortex info MODEL' lists the layers of a model.")
        if self.rules.layer_rule.choose == "none" and n_layers > 1:
            raise SettingsError(f"The benchmark chooses no layer, but {n_layers} were given. Pick one with --layers.")

    def _with_readout(self, scores: xr.Dataset, n_layers: int) -> xr.Dataset:
        """Add choices and what is read out there, for the neuroids that the scores hold."""
        names = [str(name) for name in self.neuroid["neuroid_id"].values]
        rank = {name: place for place, name in enumerate(names)}
        places = np.array([rank[str(name)] for name in scores["neuroid_id"].values])
        measure = measure_of(self)
        if measure not in self.measures:
            raise SettingsError(f"This metric has no measure {measure!r}. It has {', '.join(self.measures)}.")
        wanted = {"": measure, **({"_corrected": CORRECTED} if CORRECTED in scores else {})}
        for suffix, name in wanted.items():
            values = scores[name].transpose("layer", "neuroid", "split").values
            found = read_halves(values, limit=LIMITS.get(name, np.inf), places=places, n_neuroids=len(names))
            scores = scores.assign(
                {
                    f"chosen{suffix}": (("iteration", "neuroid"), found.chosen),
                    f"readout{suffix}": (("iteration", "neuroid"), found.value),
                }
            )
        rule = "single layer" if n_layers == 1 else "overlapping"
        return with_best_layers(scores).assign_attrs(measure=measure, layer_rule=rule, n_layers_searched=n_layers)

    def _with_prediction(self, scores: xr.Dataset, fits: Mapping[int, _Fitted], twins: Array) -> xr.Dataset:
        """Predict once more, at the layer that each neuroid has most often and at the alphas that were found."""
        layer = most_frequent(scores["chosen"].values)
        prediction = np.empty((len(self.splits), len(self.splits[0].test), len(layer)))
        for place in np.unique(twins[layer]):
            inside = np.flatnonzero(twins[layer] == place)
            fit = fits[int(place)]
            prediction[:, :, inside] = predict_splits(
                fit.gram, self.splits, self.scans[:, :, inside], fit.n_units, fit.alpha_index[:, inside]
            )
        return scores.assign(
            prediction=(("split", "test", "neuroid"), prediction), prediction_layer=(("neuroid",), layer)
        )

    # --- the value ----------------------------------------------------------------------------------------------------

    def layered(self, scores: xr.Dataset) -> xr.Dataset:
        """Scores with the layer that each neuroid has in each iteration."""
        if "layer" not in scores.dims:
            name = str(scores.attrs.get("layer", "layer"))
            scores = scores.drop_vars("prediction", errors="ignore").expand_dims(layer=[name])
        return scores if "readout" in scores else self._with_readout(scores, scores.sizes["layer"])

    def collapse(self, values: xr.DataArray, measure: str) -> xr.DataArray:
        """Aggregate as published: median over neuroids, mean over iterations, mean over participants.

        Without iterations it is the median over splits, then over neuroids; fits that are null are counted.
        """
        if measure == "n_null_scans":
            return values.sum()
        codes = codes_of(values)
        if "iteration" in values.dims:
            along = values.transpose(..., "iteration", "neuroid")
            found = participant_medians(along.values, codes).mean(axis=(-2, -1))
            return along.isel(iteration=0, neuroid=0, drop=True).copy(data=found)
        along = values.transpose(..., "neuroid", "split")
        medians = np.minimum(np.median(along.values, axis=-1), LIMITS.get(measure, np.inf))
        found = over_participants(participant_medians(medians, codes))
        return along.isel(split=0, neuroid=0, drop=True).copy(data=found)

    def spread(self, readout: xr.DataArray, measure: str) -> tuple[float, str] | None:
        """The standard error over participants, or over iterations where there are none."""
        del measure
        medians = participant_medians(readout.transpose("iteration", "neuroid").values, codes_of(readout))
        several = medians.shape[1] > 1
        error = standard_error(medians.mean(axis=0) if several else medians[:, 0])
        return error, f"standard error over {'participants' if several else 'iterations of the layer choice'}"

    def corrected(self, scores: xr.Dataset) -> xr.DataArray | None:
        """The noise-corrected r², with a layer choice of its own, where there are repetitions."""
        return scores.get("readout_corrected")

    def readout_of(self, scores: xr.Dataset, measure: str) -> xr.DataArray:
        """The measure where it was chosen; others at the layer that each neuroid has most often."""
        if measure == scores.attrs["measure"]:
            return scores["readout"]
        source = scores[self.made_of.get(measure, measure)]
        layer = most_frequent(scores["chosen"].transpose("iteration", "neuroid").values)
        return read_out(source, scores["readout"].isel(iteration=0, drop=True).copy(data=layer))

    def further(self, scores: xr.Dataset) -> Sequence[str]:
        """Other measures at the layers that were chosen for this one, and how many fits of single scans are null."""
        names = [name for name in ("r2", "r", "training_r2") if name in scores and name != scores.attrs["measure"]]
        return [*names, "n_null_scans"] if "null_scans" in scores else names

    def stage(self, scores: xr.Dataset) -> Stage | None:
        """The stage as published, over all splits."""
        return stage_over_splits(scores)


class TuckuteRidgeComparison(TuckuteComparison):
    """The same with several scans, whose reliability corrects r²."""

    ceiling_modes: ClassVar[tuple[str, ...]] = ("r2_over_rv_rvhat",)
    measures: ClassVar[tuple[str, ...]] = ("r2", CORRECTED, "r")
