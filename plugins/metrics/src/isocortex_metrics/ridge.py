"""``ridge``: a linear map from a layer's units to each neuroid, judged on held-out stimuli.

Features and responses are centred by the training mean. Alpha is chosen per neuroid by exact leave-one-out within the
training stimuli, among multiples of the mean eigenvalue of the training Gram matrix; the value is the Pearson
correlation between prediction and response over the test stimuli of a fold, signed, with nothing set to zero but null
predictions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from isocortex.activations import Activations
from isocortex.dataset import Dataset, averaged, check_responses, repetitions, stimulus_order
from isocortex.errors import DataError, SettingsError
from isocortex.interfaces import Ceiling, Comparison, MetricPlugin, check_settings
from isocortex.layers import as_layered, codes_of
from isocortex.stats import by_participant, draw_counts, over_participants, widened
from isocortex_metrics.correlation import pearson, reliability, weighted_pearson
from isocortex_metrics.dual_ridge import ALPHA_GRID, fit_split, gram_matrix, split_basis, stack_tests
from isocortex_metrics.splits import folds

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray[Any, Any]

_BOOTSTRAP_BLOCK = 512


class RidgeSettings(BaseModel):
    """Settings of ``ridge``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    n_folds: int = Field(default=5, ge=2, description="folds per repeat")
    n_repeats: int = Field(default=2, ge=1, description="times the folds are drawn")
    stratify: str | None = Field(default=None, description="stimulus column of which every fold gets its share")
    group: str | None = Field(default=None, description="column whose stimuli are never on both sides")


class Ridge(MetricPlugin):
    """Ridge regression in the dual, for responses."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object],
        seed: int,
        device: str = "cpu",
    ) -> Comparison:
        """Average repetitions, draw the folds and estimate the ceiling."""
        del device
        chosen = check_settings(RidgeSettings, settings, self.card.id)
        responses = _responses_of(target, self.card.id)
        labels = {name: _labels(target, getattr(chosen, name), name) for name in ("stratify", "group")}
        return RidgeComparison(responses, chosen, seed, strata=labels["stratify"], groups=labels["group"])


def _responses_of(target: Dataset | xr.DataArray, metric: str) -> xr.DataArray:
    if not isinstance(target, Dataset):
        return check_responses("responses", target)
    if target.responses is None:
        raise DataError(f"The metric {metric!r} takes responses, but the data set {target.id!r} holds {target.kind}.")
    return target.responses


def _labels(target: Dataset | xr.DataArray, column: str | None, use: str) -> list[str] | None:
    """Labels of the stimuli in canonical order; the data set itself may ask for them in its attributes."""
    column = column or (target.attrs.get(use) if isinstance(target, Dataset) else None)
    if column is None:
        return None
    if not isinstance(target, Dataset) or column not in target.stimuli.table.columns:
        known = list(target.stimuli.table.columns) if isinstance(target, Dataset) else "no stimulus table"
        raise SettingsError(f"{use} = {column!r} needs that column in the stimulus table; found {known}.")
    return [str(label) for label in target.stimuli.table[column]]


class RidgeComparison(Comparison):
    """Ridge regression against one set of responses."""

    statistic = "r"
    error_kind = "bootstrap standard deviation, widened for shared training stimuli (Nadeau & Bengio 2003)"

    def __init__(
        self,
        responses: xr.DataArray,
        settings: RidgeSettings,
        seed: int,
        *,
        strata: list[str] | None = None,
        groups: list[str] | None = None,
    ) -> None:
        self.stimulus_id = stimulus_order(responses)
        self.n_stimuli = len(self.stimulus_id)
        self.responses = averaged(responses)
        self.neuroid = responses.isel(presentation=0, drop=True)
        self.reliability = self._reliability(repetitions(responses))
        self.splits = folds(
            self.n_stimuli,
            n_folds=settings.n_folds,
            n_repeats=settings.n_repeats,
            seed=seed,
            strata=strata,
            groups=groups,
        )
        if self.reliability is not None:
            bound = np.sqrt(np.where(self.reliability > 0, self.reliability, np.nan))
            self.ceiling = Ceiling(
                "square root of the Spearman-Brown reliability over repetitions", "r", self._on_neuroids(bound)
            )

    @staticmethod
    def _reliability(repeated: Array) -> Array | None:
        return reliability(repeated) if len(repeated) > 1 else None

    def _on_neuroids(self, values: Array) -> xr.DataArray:
        return self.neuroid.copy(data=values)

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Fit and test every split for one layer.

        Returns
        -------
        r, selection, alpha (as log10 of the multiple of the mean eigenvalue), null and, with repetitions, r2_corrected
        (sign(r) r² / reliability, NaN where the reliability is not above zero), all ("split", "neuroid"); prediction
        ("split", "test", "neuroid") with the coordinate test_stimulus.
        """
        import xarray as xr

        if isinstance(activations, xr.DataArray):
            activations = Activations.from_xarray(activations)
        gram = gram_matrix(activations.blocks(self.stimulus_id), self.n_stimuli)
        parts = [self._score_split(gram, train, test) for train, test in self.splits]
        found = {name: np.stack([part[name] for part in parts]) for name in ("r", "selection", "alpha", "null")}
        if self.reliability is not None:
            divisor = np.where(self.reliability > 0, self.reliability, np.nan)
            found["r2_corrected"] = np.sign(found["r"]) * found["r"] ** 2 / divisor
        prediction = stack_tests([part["prediction"].astype(np.float32) for part in parts])
        return xr.Dataset(
            {
                **{name: (("split", "neuroid"), values) for name, values in found.items()},
                "prediction": (("split", "test", "neuroid"), prediction),
            },
            coords={
                **self.neuroid.coords,
                "test_stimulus": (("split", "test"), stack_tests([split.test for split in self.splits])),
            },
            attrs={"layer": activations.layer},
        )

    def _score_split(self, gram: Array, train: Array, test: Array) -> dict[str, Array]:
        fit = fit_split(split_basis(gram, train, test), self.responses[train])
        r, null = pearson(fit.prediction, self.responses[test])
        return {
            "r": r,
            "null": null,
            "selection": fit.selection,
            "alpha": np.log10(ALPHA_GRID)[fit.alpha_index],
            "prediction": fit.prediction,
        }

    def resample(self, scores: xr.Dataset, n_draws: int, seed: int) -> tuple[Array, str] | None:
        """Bootstrap over test stimuli and participants, widened for what the fits share.

        The fits are not repeated, so that draws over test stimuli alone are too narrow: splits share training stimuli.
        Their spread is multiplied by the square root of (1/J + n_test/n_train) / (n_test/n_stimuli) for J splits, the
        variance of Nadeau & Bengio 2003, Machine Learning 52, section 3, over that of independent tests.
        """
        scores = as_layered(self, scores)
        places = {name: place for place, name in enumerate(self.neuroid["neuroid_id"].values)}
        columns = np.array([places[name] for name in scores["neuroid_id"].values])
        counts = draw_counts(self.n_stimuli, n_draws, seed, "stimuli")
        drawn = np.empty((n_draws, len(columns)))
        for start in range(0, len(columns), _BOOTSTRAP_BLOCK):
            part = slice(start, start + _BOOTSTRAP_BLOCK)
            prediction = scores["prediction"].values[:, :, part].astype(np.float64)
            drawn[:, part] = self._drawn(prediction, self.responses[:, columns[part]], counts)
        codes = codes_of(scores["readout"])
        value = by_participant(scores["readout"].mean("split").values, codes)
        draws = widened(by_participant(drawn, codes), value, self._widening())
        if len(value) == 1:
            return draws[:, 0], "stimuli"
        weights = draw_counts(len(value), n_draws, seed, "participants")
        return over_participants(draws, weights), "stimuli × participants"

    def _widening(self) -> float:
        n_test = np.mean([len(split.test) for split in self.splits])
        n_train = np.mean([len(split.train) for split in self.splits])
        return float(np.sqrt((1 / len(self.splits) + n_test / n_train) / (n_test / self.n_stimuli)))

    def _drawn(self, prediction: Array, responses: Array, counts: Array) -> Array:
        """Mean over splits of each draw; a split of which a draw holds too little is left out of that draw."""
        total, n_valid = np.zeros((2, len(counts), responses.shape[1]))
        for split, (_, test) in enumerate(self.splits):
            r = weighted_pearson(prediction[split, : len(test)], responses[test], counts[:, test])
            valid = ~np.isnan(r)
            total += np.where(valid, r, 0.0)
            n_valid += valid
        return total / np.maximum(n_valid, 1)
