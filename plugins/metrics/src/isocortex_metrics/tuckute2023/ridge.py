"""``tuckute2023-ridge`` and ``tuckute2023-components``: the regression of Tuckute et al. 2023, PLOS Biology.

The maths lies in ``tuckute_fits`` (fits, noise correction) and ``tuckute_aggregation`` (layer choice, aggregation).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from isocortex.activations import Activations
from isocortex.data import Dataset, averaged, stimulus_order
from isocortex.errors import DataError, LayerError, SettingsError, shorten
from isocortex.interfaces import Comparison, MetricPlugin, check_settings
from isocortex.scoring import LayerValue, Summary, codes_of, measure_of, over_participants
from isocortex.typing import Array
from isocortex_metrics.numerics.arrays import on_device, to_numpy
from isocortex_metrics.numerics.gram import gram_matrix
from isocortex_metrics.target.responses import NoSettings, refuse_seed, responses_of
from isocortex_metrics.tuckute2023.aggregation import (
    layer_medians,
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


class TuckuteRidge(MetricPlugin):
    """Voxelwise ridge over ten half splits, r² corrected by the reliability of responses and predictions."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object],
        seed: int,
        device: str = "cpu",
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
        return TuckuteRidgeComparison(responses, scans_of(responses, self.card.id), device)


class TuckuteComponents(MetricPlugin):
    """The same regression for components: no repetitions, no correction."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object],
        seed: int,
        device: str = "cpu",
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
        return TuckuteComparison(responses, averaged(responses)[None], device)


def scans_of(responses: xr.DataArray, metric: str) -> Array:
    """Responses apart by the coordinate ``repetition``: (n_scans, n_stimuli, n_neuroids) float64.

    The scans of a stimulus are in the order of their labels; stimuli are in order of first appearance.

    Raises
    ------
    DataError
        One repetition, or not the same number for every stimulus.

    Examples
    --------
    >>> from isocortex.data import make_responses
    >>> scans_of(make_responses(np.arange(6.0).reshape(2, 3, 1), ["a", "b", "c"]), "demo")[:, :, 0].tolist()
    [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    """
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
    """

    statistic: ClassVar[str] = "r2"
    ceiling_modes: ClassVar[tuple[str, ...]] = ()
    #: what may be aggregated
    measures: ClassVar[tuple[str, ...]] = ("r2", "r")

    def __init__(self, responses: xr.DataArray, scans: Array, device: str = "cpu") -> None:
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
        r_prior_zero (NaN where null), r (negative ones 0), r2, null, alpha (log10), alpha_at_bound, training_r2, all
        ("split", "neuroid"), and with several scans r2_corrected (not clipped), null_scans (how many fits of single
        scans are null), response_reliability and prediction_reliability; prediction ("split", "test", "neuroid") with
        the coordinate test_stimulus. ``keep`` leaves out alpha, training_r2 or prediction.
        """
        if not isinstance(activations, Activations):
            activations = Activations.from_xarray(activations)
        fit = self._fitted(activations, with_prediction="prediction" in self.keep)
        return self._with_reliability(self._dataset(fit.found)).assign_attrs(layer=activations.layer)

    def _fitted(self, activations: Activations, *, with_prediction: bool) -> _Fitted:
        blocks = activations.blocks(self.stimulus_id, max(1, _BLOCK_VALUES // self.n_stimuli))
        gram = gram_matrix(blocks, self.n_stimuli, self.device)
        names = ["r_prior_zero", "r", "r2", "null", "alpha_index"]
        names += ["training_r2"] if "training_r2" in self.keep else []
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
        import xarray as xr

        first_with: dict[str, int] = {}
        twins = [first_with.setdefault(layer.digest, place) for place, layer in enumerate(layers.values())]
        self._check_number(len(first_with))
        fits: dict[int, _Fitted] = {}
        scores: list[xr.Dataset] = []
        for place, (activations, twin) in enumerate(zip(layers.values(), twins, strict=True)):
            if twin == place:
                fits[place] = self._fitted(activations, with_prediction=False)
            scores.append(self._dataset(fits[twin].found) if twin == place else scores[twin])
        dim = xr.Variable("layer", list(layers))
        whole = xr.concat(scores, dim=dim, coords="minimal", compat="override", join="override")
        whole = self._with_readout(self._with_reliability(whole)).assign_attrs(n_layers_searched=len(first_with))
        return self._with_prediction(whole, fits, np.array(twins)) if "prediction" in self.keep else whole

    def _check_number(self, n_layers: int) -> None:
        if n_layers == 0:
            raise LayerError("There is no layer to score. 'isocortex info MODEL' lists the layers of a model.")
        if self.rules.layer_rule.choose == "none" and n_layers > 1:
            raise SettingsError(f"The benchmark chooses no layer, but {n_layers} were given. Pick one with --layers.")

    def _with_readout(self, scores: xr.Dataset) -> xr.Dataset:
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
        return with_best_layers(scores).assign_attrs(measure=measure)

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

    # --- summary ------------------------------------------------------------------------------------------------------

    def summarise(self, scores: xr.Dataset) -> Summary:
        """Aggregate as published: median over neuroids, mean over iterations, mean over participants.

        ``scores`` may be restricted to some neuroids. ``ceiled`` is the noise-corrected r², with a layer choice of its
        own, where there are repetitions. ``error`` is the standard error over participants, or over iterations where
        there are none.
        """
        if "layer" not in scores.dims:
            name = str(scores.attrs.get("layer", "layer"))
            scores = scores.drop_vars("prediction", errors="ignore").expand_dims(layer=[name])
        if "readout" not in scores:
            scores = self._with_readout(scores).assign_attrs(n_layers_searched=scores.sizes["layer"])
        codes, measure = codes_of(scores["readout"]), str(scores.attrs["measure"])
        medians = participant_medians(scores["readout"].values, codes)  # (n_iterations, n_participants)
        several = medians.shape[1] > 1
        error = standard_error(medians.mean(axis=0) if several else medians[:, 0])
        n_layers = int(scores.attrs["n_layers_searched"])
        return Summary(
            statistic=measure,
            target="participant" if "subject" in scores.coords else "pooled",
            value=float(medians.mean()),
            error=error,
            error_kind=f"standard error over {'participants' if several else 'iterations of the layer choice'}",
            ceiled=self._ceiled(scores, codes),
            layer_rule="single layer" if n_layers == 1 else "overlapping",
            n_layers_searched=n_layers,
            n_stimuli=self.n_stimuli,
            stage=stage_over_splits(scores),
            also=_further(scores, measure),
            **_layer_fields(scores, measure, codes),
            **self._counts(scores),
        )

    def _ceiled(self, scores: xr.Dataset, codes: Array) -> float | None:
        mode = self.rules.ceiling_mode
        if mode not in ("none", *self.ceiling_modes):
            known = ", ".join(("none", *self.ceiling_modes))
            raise SettingsError(f"ceiling_mode {mode!r} is not offered by this metric. Known: {known}.")
        if "readout_corrected" not in scores:
            return None
        return float(participant_medians(scores["readout_corrected"].values, codes).mean())

    def _counts(self, scores: xr.Dataset) -> dict[str, Any]:
        subjects = scores["subject"].values if "subject" in scores.coords else None
        n_neuroids = scores.sizes["neuroid"]
        return {
            "n_subjects": None if subjects is None else len(set(map(str, np.atleast_1d(subjects)))),
            "n_neuroids": n_neuroids,
            "n_neuroids_total": self.n_neuroids_total or n_neuroids,
            "n_splits": scores.sizes["split"],
            "n_null": int(_at_most_frequent(scores, "null").sum()),
        }


class TuckuteRidgeComparison(TuckuteComparison):
    """The same with several scans, whose reliability corrects r²."""

    ceiling_modes: ClassVar[tuple[str, ...]] = ("r2_over_rv_rvhat",)
    measures: ClassVar[tuple[str, ...]] = ("r2", CORRECTED, "r")


def _at_most_frequent(scores: xr.Dataset, name: str) -> Array:
    """(n_splits, n_neuroids): a variable at the layer that each neuroid has most often."""
    values = scores[name].transpose("layer", "split", "neuroid").values
    return values[most_frequent(scores["chosen"].values), :, np.arange(values.shape[2])].T


def _layer_fields(scores: xr.Dataset, measure: str, codes: Array) -> dict[str, Any]:
    """The layer that is read out most often, and the curve over layers: the median over all splits, no choice made."""
    names = [str(name) for name in scores["layer"].values]
    shares = np.bincount(scores["chosen"].values.ravel(), minlength=len(names)) / scores["chosen"].size
    curve = layer_medians(scores[measure].transpose("layer", "neuroid", "split").values, LIMITS.get(measure, np.inf))
    values = over_participants(participant_medians(curve, codes))
    return {
        "best_layer": names[int(shares.argmax())],
        "layers": [
            LayerValue(name=name, value=float(value), read_out=float(share))
            for name, value, share in zip(names, values, shares, strict=True)
        ],
    }


def _further(scores: xr.Dataset, measure: str) -> dict[str, float | None]:
    """Other measures at the layers that were chosen for this one, and how many fits of single scans are null."""
    codes = codes_of(scores["readout"])
    names = [name for name in ("r2", "r", "training_r2") if name in scores and name != measure]
    further: dict[str, float | None] = {
        name: float(over_participants(participant_medians(np.median(_at_most_frequent(scores, name), axis=0), codes)))
        for name in names
    }
    if "null_scans" in scores:
        further["n_null_scans"] = float(_at_most_frequent(scores, "null_scans").sum())
    return further
