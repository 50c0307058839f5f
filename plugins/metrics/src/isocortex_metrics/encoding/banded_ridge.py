"""``banded-ridge``: one or several feature spaces that predict each neuroid together, with a penalty each.

Every model of ``-m 'a+b'`` is a feature space. The layer of each is chosen as by ``ridge``, alone and within the
training stimuli of a split; then all spaces are fitted together. With a single space it is ``ridge``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, field_validator

from isocortex.activations import Activations
from isocortex.data import Dataset
from isocortex.errors import SettingsError
from isocortex.interfaces import Comparison, MetricPlugin, Preparation, Split, check_settings
from isocortex.scoring import LayerMap, LinearMapping, measure_of, score_layers
from isocortex.typing import Array
from isocortex_metrics.encoding.feature_spaces import (
    MAX_SPACES,
    SpacesFit,
    given_fit,
    product_measure,
    searched_fit,
    space_duals,
)
from isocortex_metrics.encoding.linear_comparison import NoiseCorrection
from isocortex_metrics.encoding.ridge import RidgeComparison, RidgeSettings
from isocortex_metrics.encoding.split_fits import FitPlan
from isocortex_metrics.numerics.arrays import like
from isocortex_metrics.numerics.correlation import pearson
from isocortex_metrics.numerics.explained import about, out_of_sample_r2
from isocortex_metrics.numerics.threads import in_threads
from isocortex_metrics.target.responses import responses_of
from isocortex_metrics.target.splits import columns_of, draw_splits, stack_tests

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.scoring import Stage

_TOGETHER = "spaces together"
#: what a layer has by itself, and a space has not
_OF_LAYERS = ("chosen", "readout", "prediction", "influence")


class BandedRidgeSettings(RidgeSettings):
    """Settings of ``banded-ridge``."""

    penalties: tuple[float, ...] | None = Field(
        default=None,
        description="penalty of each space in turn, as scikit-learn's Ridge(alpha); default: searched for every "
        "neuroid within the training stimuli",
    )

    @field_validator("alpha")
    @classmethod
    def _not_alpha(cls, value: float | None) -> float | None:
        if value is not None:
            raise ValueError(f"is the penalty of ridge; set 'penalties', one for each space; found {value}")
        return value

    @field_validator("penalties")
    @classmethod
    def _above_zero(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and not (value and all(0 < penalty < np.inf for penalty in value)):
            raise ValueError(f"penalties must be above 0 and finite, one for each space; found {value}")
        return value


class BandedRidge(MetricPlugin):
    """Ridge regression on several feature spaces, for responses."""

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
            As for ``ridge``.
        """
        chosen = check_settings(BandedRidgeSettings, settings, self.card.id)
        responses = responses_of(target, self.card.id)
        splits = list(preparation.splits) or draw_splits(target, responses, chosen, seed)
        comparison = BandedRidgeComparison(
            responses, splits, chosen.penalties, chosen.noise_correction, device=device, preparation=preparation
        )
        comparison.split_columns = columns_of(target, chosen)
        return comparison


class BandedRidgeComparison(RidgeComparison):
    """Ridge regression on several feature spaces against one set of responses.

    Parameters
    ----------
    responses, splits, noise_correction, device, preparation
        As for ``LinearComparison``.
    penalties
        One for each space; None: searched.
    """

    drawn = ("r", "r2", "r2_corrected", "out_of_sample_r2")

    default_permutations = 99
    refits_permutations = True

    def __init__(
        self,
        responses: xr.DataArray,
        splits: Sequence[Split],
        penalties: tuple[float, ...] | None = None,
        noise_correction: NoiseCorrection = "ratio-of-aggregates",
        *,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> None:
        super().__init__(responses, splits, noise_correction=noise_correction, device=device, preparation=preparation)
        self.penalties = penalties

    @property
    def plan(self) -> FitPlan:
        """What is fitted in each split where there is one space."""
        if self.penalties is None:
            return super().plan
        if len(self.penalties) != 1:
            raise SettingsError(f"{len(self.penalties)} penalties were set, and there is one feature space.")
        return FitPlan(self.penalties[0], keep=self.keep)

    def _scored(self, activations: Activations | xr.DataArray, splits: Sequence[Split]) -> xr.Dataset:
        """As ridge gives it, and out_of_sample_r2, R² about the training mean."""
        fitted = self.keeping(*dict.fromkeys([*self.keep, "prediction"]))
        scores = super(BandedRidgeComparison, fitted)._scored(activations, splits)
        found = np.empty(scores["r"].shape)
        for row, (split, prediction) in enumerate(zip(splits, scores["prediction"].values, strict=True)):
            mean = self.responses[split.train].mean(axis=0)
            deviation = prediction[: len(split.test)] - mean
            found[row] = product_measure(deviation[None], about(self.responses[split.test], mean))[0]
        scores = scores if "prediction" in self.keep else scores.drop_vars("prediction")
        return scores.assign(out_of_sample_r2=(scores["r"].dims, found))

    def score_all(self, layers: Mapping[str, Activations]) -> xr.Dataset:
        r"""Choose the layer of every space, and fit and test all spaces together; one space is scored as by ``ridge``.

        Returns
        -------
        joint_r and joint_out_of_sample_r2 ("split", "neuroid"): r of the whole prediction, and its R² about the
        training mean; r2_of_SPACE ("split", "neuroid"): the parts of R² by the product measure, which add up to it;
        readout: the benchmark's measure of the whole prediction; r, r2, out_of_sample_r2, selection ("layer", "split",
        "neuroid"): of each layer alone, as ``ridge`` gives them; chosen ("split", "neuroid"): the layer whose space has
        the largest part; null: of the whole prediction, the same for each layer; prediction ("split", "test",
        "neuroid"); where ``keep`` names it, alpha ("layer", "split", "neuroid"): log10 of the penalty on the scale of
        the features, infinite for a space without a part, NaN for layers that were not chosen. Attribute spaces: their
        names.

        Raises
        ------
        SettingsError
            More spaces than can be searched, or another number of penalties than of spaces.
        AlignmentError, DataError
            A stimulus has no activations, or they are not finite.
        """
        spaces = _by_space(layers)
        if len(spaces) < 2:
            return super().score_all(layers)
        self._check_number(len(spaces))
        alone = self.keeping()
        alone.penalties = None
        own = [score_layers(alone, members) for members in spaces.values()]
        return self._together(own, list(spaces), layers)

    def _check_number(self, n_spaces: int) -> None:
        if self.penalties is not None and len(self.penalties) != n_spaces:
            raise SettingsError(f"{len(self.penalties)} penalties were set for {n_spaces} feature spaces.")
        if self.penalties is None and n_spaces > MAX_SPACES:
            raise SettingsError(
                f"Penalties of at most {MAX_SPACES} feature spaces are searched, because every one multiplies what is "
                f"searched; found {n_spaces}. Set 'penalties', or name fewer."
            )

    def _together(self, own: list[xr.Dataset], spaces: list[str], layers: Mapping[str, Activations]) -> xr.Dataset:
        import xarray as xr

        shape = len(self.splits), self.responses.shape[1]
        first = np.cumsum([0, *(part.sizes["layer"] for part in own)])[:-1]
        # (n_spaces, n_splits, n_neuroids) places among all layers
        chosen = np.stack(
            [np.broadcast_to(part["chosen"].values, shape) + at for part, at in zip(own, first, strict=True)]
        )
        alone = xr.concat([part.drop_vars(_OF_LAYERS, errors="ignore") for part in own], "layer", join="override")
        grams = {place: self.gram(layers[str(alone["layer"].values[place])]) for place in np.unique(chosen)}
        fit = partial(self._split_together, grams, chosen)
        parts = in_threads(fit, range(len(self.splits)), n_threads=None if self.device == "cpu" else 1)
        found = {name: np.stack([part[name] for part in parts]) for name in parts[0] if name != "prediction"}
        scores = alone.assign({"null": (alone["null"].dims, np.broadcast_to(found["null"], alone["null"].shape))})
        scores = scores.assign(self._joint(found, chosen, spaces))
        if "alpha" in self.keep:
            alpha = np.full(alone["r"].shape, np.nan)
            for space in range(len(spaces)):
                np.put_along_axis(alpha, chosen[space][None], np.log10(found["penalties"][:, space])[None], axis=0)
            scores["alpha"] = (alone["r"].dims, alpha)
        if "prediction" in self.keep:
            scores["prediction"] = (("split", "test", "neuroid"), stack_tests([part["prediction"] for part in parts]))
        measure = self.rules.measure or self.statistic
        scores["readout"] = self._of_r(scores, measure) if measure in self.made_of else scores[f"joint_{measure}"]
        nested = next((part.attrs["layer_rule"] for part in own if int(part.attrs["n_layers_searched"]) > 1), None)
        searched = sum(int(part.attrs["n_layers_searched"]) for part in own)
        rule = _TOGETHER if nested is None else f"{nested}, {_TOGETHER}"
        attrs = {"layer_rule": rule, "n_layers_searched": searched, "measure": measure, "spaces": ", ".join(spaces)}
        return scores.assign_attrs(attrs)

    def _joint(self, found: Mapping[str, Array], chosen: Array, spaces: Sequence[str]) -> dict[str, Any]:
        """Variables ("split", "neuroid") of the whole prediction."""
        parts = found["parts"]  # (n_splits, n_spaces, n_neuroids)
        largest = np.where(np.isnan(parts), -np.inf, parts).argmax(axis=1)
        variables = {"joint_r": found["r"], "joint_out_of_sample_r2": parts.sum(axis=1)}
        variables |= {part_name(space): parts[:, place] for place, space in enumerate(spaces)}
        variables["chosen"] = np.take_along_axis(chosen.transpose(1, 0, 2), largest[:, None], axis=1)[:, 0]
        return {name: (("split", "neuroid"), values) for name, values in variables.items()}

    def _split_together(self, grams: Mapping[int, Array], chosen: Array, number: int) -> dict[str, Array]:
        """All neuroids in one split; those with the same layers are fitted together."""
        split, response = self.splits[number], self.responses[self.splits[number].test]
        n_spaces, n_neuroids = len(chosen), self.responses.shape[1]
        deviations = np.empty((n_spaces, len(split.test), n_neuroids))
        penalties = np.empty((n_spaces, n_neuroids))
        combinations, group = np.unique(chosen[:, number], axis=1, return_inverse=True)
        for place in range(combinations.shape[1]):
            columns = np.flatnonzero(group.ravel() == place)
            kernels = [grams[layer] for layer in combinations[:, place]]
            fit = self._fitted(kernels, split, columns)
            deviations[:, :, columns], penalties[:, columns] = fit.deviations, fit.penalties
        mean = self.responses[split.train].mean(axis=0)
        r, null = pearson(deviations.sum(axis=0), response)
        found = {"r": r, "null": null, "parts": product_measure(deviations, about(response, mean))}
        return {**found, "penalties": penalties, "prediction": deviations.sum(axis=0) + mean}

    def _fitted(self, kernels: Sequence[Array], split: Split, columns: Array) -> SpacesFit:
        responses = like(self.responses[np.ix_(split.train, columns)], kernels[0])
        if self.penalties is None:
            return searched_fit(kernels, split.train, split.test, responses)
        return given_fit(kernels, self.penalties, split.train, split.test, responses)

    def _split_draws(self, split: int, prediction: Array, columns: Array, counts: Array, measure: str) -> Array:
        """As for ridge; R² about the training mean, too."""
        if measure != "out_of_sample_r2":
            return super()._split_draws(split, prediction, columns, counts, measure)
        train, test = self.splits[split]
        mean = self.responses[train].mean(axis=0)[columns]
        centred = about(self.responses[np.ix_(test, columns)], mean)
        return out_of_sample_r2((centred - (prediction - mean)) ** 2, centred**2, counts)

    def fit(self, layers: Mapping[str, Activations], split: Split | None = None) -> LinearMapping | None:
        """As for ridge; of several spaces each neuroid has a map from the chosen layer of each, which add up.

        ``alpha`` of the map is (n_spaces, n_neuroids), the penalties in the order of the spaces.
        """
        spaces = _by_space(layers)
        if len(spaces) < 2:
            return super().fit(layers, split)
        self._check_number(len(spaces))
        everything = np.arange(self.n_stimuli)
        train = everything if split is None else split.train
        alone = self.keeping()
        alone.penalties, alone.splits = None, [Split(train, train)]
        n_neuroids = self.responses.shape[1]
        chosen = np.stack([_chosen_names(score_layers(alone, members), n_neuroids) for members in spaces.values()])
        penalties, duals = np.empty(chosen.shape), np.empty((len(spaces), len(train), n_neuroids))
        combinations, group = np.unique(chosen, axis=1, return_inverse=True)
        grams = {name: self.gram(layers[name]) for name in np.unique(chosen).tolist()}
        for place, names in enumerate(combinations.T):
            columns = np.flatnonzero(group.ravel() == place)
            kernels = [grams[name] for name in names]
            penalties[:, columns] = self._fitted(kernels, Split(train, train[:1]), columns).penalties
            responses = like(self.responses[np.ix_(train, columns)], kernels[0])
            duals[:, :, columns] = space_duals(kernels, penalties[:, columns], train, responses)
        maps: dict[str, LayerMap] = {}
        for own, dual in zip(chosen, duals, strict=True):
            for name in dict.fromkeys(own.tolist()):
                columns = np.flatnonzero(own == name)
                maps[name] = self.map_of(layers[name], columns, train, dual[:, columns])
        neuroid = self.neuroid.to_dataset(name="response").drop_vars("response")
        return LinearMapping(maps, self.responses[train].mean(axis=0), penalties, neuroid)

    def permuted_readouts(self, layers: Mapping[str, Activations], orders: Array) -> Iterator[xr.DataArray]:
        """One space as ``ridge``; of several the search and the choice of layers are repeated for each permutation."""
        alone = len({layer.space for layer in layers.values()}) < 2
        if alone and measure_of(self) in ("r", *self.made_of):
            return super().permuted_readouts(layers, orders)
        return Comparison.permuted_readouts(self, layers, orders)

    # --- from scores to a row -----------------------------------------------------------------------------------------

    def _of_r(self, scores: xr.Dataset, measure: str) -> xr.DataArray:
        """What is made of r of the whole prediction, neuroid by neuroid and split by split."""
        r = scores["joint_r"]
        return r.copy(data=self.squared(r.values, self._columns(r))[measure])

    def readout_of(self, scores: xr.Dataset, measure: str) -> xr.DataArray:
        """Of several spaces what the whole prediction has."""
        if "joint_r" not in scores:
            return super().readout_of(scores, measure)
        name = f"joint_{self.made_of.get(measure, measure)}"
        return scores[name if name in scores else measure]

    def further(self, scores: xr.Dataset) -> Sequence[str]:
        """As any metric; of several spaces R² and its parts, too."""
        if "joint_r" not in scores:
            return super().further(scores)
        parts = [str(name) for name in scores.data_vars if str(name).startswith("r2_of_")]
        known = ["r", *self.made_of, "out_of_sample_r2", *parts]
        return [name for name in known if name != str(scores.attrs["measure"])]

    def stage(self, scores: xr.Dataset) -> Stage | None:
        """Layers of several models have no order among each other."""
        return None if "joint_r" in scores else super().stage(scores)


def _by_space(layers: Mapping[str, Activations]) -> dict[str, dict[str, Activations]]:
    """Layers of each feature space, in order."""
    spaces: dict[str, dict[str, Activations]] = {}
    for name, layer in layers.items():
        spaces.setdefault(layer.space, {})[name] = layer
    return spaces


def _chosen_names(scores: xr.Dataset, n_neuroids: int) -> Array:
    """(n_neuroids,) names of the layers that were chosen in the one split."""
    chosen = np.broadcast_to(scores["chosen"].values, (1, n_neuroids))[0]
    return scores["layer"].values.astype(str)[chosen]


def part_name(space: str) -> str:
    """Name of the variable that holds the part of a space; a slash would be a folder of the file.

    Examples
    --------
    >>> part_name("nvidia/parakeet")
    'r2_of_nvidia:parakeet'
    """
    return f"r2_of_{space.replace('/', ':')}"
