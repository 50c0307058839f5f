"""``ridge``: a linear map from a layer's units to each neuroid, judged on held-out stimuli.

Features and responses are centred by the training mean. Alpha is chosen per neuroid by exact leave-one-out within the
training stimuli, among multiples of the mean eigenvalue of the training Gram matrix; the value is the Pearson
correlation between prediction and response over the test stimuli of a fold, signed, with nothing set to zero but null
predictions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from isocortex.activations import Activations
from isocortex.dataset import Dataset, averaged, repetitions, stimulus_order
from isocortex.errors import SettingsError
from isocortex.interfaces import Ceiling, Comparison, MetricPlugin, check_settings
from isocortex.layers import as_layered, codes_of, read_out
from isocortex.stats import by_participant, draw_counts, over_participants, widened
from isocortex_metrics.correlation import pearson, weighted_pearson
from isocortex_metrics.dual_ridge import ALPHA_GRID, fit_split, gram_matrix, split_basis, stack_tests
from isocortex_metrics.reliability import ceiling_of_r, noise_corrected, reliability
from isocortex_metrics.splits import Split, folds, leave_one_group_out
from isocortex_metrics.targets import labels_of, responses_of

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray[Any, Any]

#: neuroids whose bootstrap samples are drawn together
_BOOTSTRAP_BLOCK = 512
#: values of one block of features: 16 MB in float64
_BLOCK_VALUES = 2_000_000


class RidgeSettings(BaseModel):
    """Settings of ``ridge``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    scheme: Literal["k-fold", "leave-one-group-out"] = "k-fold"
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
        """Average repetitions, draw the splits and estimate the ceiling; the CPU does it, whatever the device.

        Raises
        ------
        SettingsError, DataError
            Settings that are not valid, no responses, or too few stimuli for the splits.
        """
        del device
        chosen = check_settings(RidgeSettings, settings, self.card.id)
        responses = responses_of(target, self.card.id)
        return RidgeComparison(responses, _draw_splits(target, responses, chosen, seed))


def _draw_splits(
    target: Dataset | xr.DataArray, responses: xr.DataArray, settings: RidgeSettings, seed: int
) -> list[Split]:
    """Splits of the stimuli; a data set may ask for ``stratify`` or ``group`` in its attributes, settings go first."""
    asked = {name: getattr(settings, name) for name in ("stratify", "group")}
    if isinstance(target, Dataset) and not any(asked.values()):
        asked = {name: target.attrs.get(name) for name in asked}
    if all(asked.values()):
        raise SettingsError("Splits are stratified or grouped, not both; give 'stratify' or 'group'.")
    stimulus_id = stimulus_order(responses)
    labels = {name: labels_of(target, responses, str(column), stimulus_id) for name, column in asked.items() if column}
    if settings.scheme == "leave-one-group-out":
        if "group" not in labels:
            raise SettingsError("scheme = 'leave-one-group-out' needs 'group', the stimulus column that is left out.")
        return leave_one_group_out(labels["group"])
    return folds(
        len(stimulus_id),
        n_folds=settings.n_folds,
        n_repeats=settings.n_repeats,
        seed=seed,
        strata=labels.get("stratify"),
        groups=labels.get("group"),
    )


class RidgeComparison(Comparison):
    """Ridge regression against one set of responses.

    Parameters
    ----------
    responses
        Dims ("presentation", "neuroid"), checked; repetitions are averaged.
    splits
        Of the stimuli in order of appearance.
    """

    statistic = "r"
    error_kind = "bootstrap standard deviation, widened for shared training stimuli (Nadeau & Bengio 2003)"

    def __init__(self, responses: xr.DataArray, splits: Sequence[Split]) -> None:
        self.stimulus_id = stimulus_order(responses)
        self.n_stimuli = len(self.stimulus_id)
        self.responses = averaged(responses)
        self.neuroid = responses.isel(presentation=0, drop=True)
        self.splits = list(splits)
        self.reliability: Array | None = None
        counts = np.unique(responses["stimulus_id"].values.astype(str), return_counts=True)[1]
        if counts.min() > 1:
            self.reliability = reliability(repetitions(responses), n_averaged=1 / float(np.mean(1 / counts)))
            bound = self.neuroid.copy(data=ceiling_of_r(self.reliability))
            self.ceiling = Ceiling("square root of the Spearman-Brown reliability over repetitions", "r", bound)

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Fit and test every split for one layer.

        Returns
        -------
        r, selection, alpha (as log10 of the multiple of the mean eigenvalue), null and, with repetitions, r2_corrected
        (sign(r) r² / reliability, NaN where the reliability is not above zero), all ("split", "neuroid"); prediction
        ("split", "test", "neuroid"), NaN beyond a short fold, with the coordinate test_stimulus: places in the
        canonical order, -1 beyond a short fold.
        """
        import xarray as xr

        if isinstance(activations, xr.DataArray):
            activations = Activations.from_xarray(activations)
        gram = gram_matrix(
            activations.blocks(self.stimulus_id, max(1, _BLOCK_VALUES // self.n_stimuli)), self.n_stimuli
        )
        parts = [self._score_split(gram, train, test) for train, test in self.splits]
        found = {name: np.stack([part[name] for part in parts]) for name in ("r", "selection", "alpha", "null")}
        if self.reliability is not None:
            found["r2_corrected"] = noise_corrected(found["r"], self.reliability)
        prediction = stack_tests([part["prediction"] for part in parts])
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
        r, null = pearson(fit.deviation, self.responses[test])
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
        measure = str(scores.attrs["measure"])
        if measure not in ("r", "r2_corrected") or "prediction" not in scores:
            return None
        places = {name: place for place, name in enumerate(self.neuroid["neuroid_id"].values)}
        columns = np.array([places[name] for name in scores["neuroid_id"].values])
        counts = draw_counts(self.n_stimuli, n_draws, seed, "stimuli")
        null = read_out(scores["null"], scores["chosen"]).transpose("split", "neuroid").values
        drawn = np.empty((n_draws, len(columns)))
        for start in range(0, len(columns), _BOOTSTRAP_BLOCK):
            part = slice(start, start + _BOOTSTRAP_BLOCK)
            prediction = scores["prediction"].transpose("split", "test", "neuroid").values[:, :, part]
            drawn[:, part] = self._drawn(prediction, null[:, part], columns[part], counts, measure)
        codes = codes_of(scores["readout"])
        value = by_participant(scores["readout"].mean("split").values, codes)
        draws = _SPREAD[measure](by_participant(drawn, codes), value, self._widening())
        if len(value) == 1:
            return draws[:, 0], "stimuli"
        return over_participants(
            draws, draw_counts(len(value), n_draws, seed, "participants")
        ), "stimuli × participants"

    def _widening(self) -> float:
        n_test = np.mean([len(split.test) for split in self.splits])
        n_train = np.mean([len(split.train) for split in self.splits])
        return float(np.sqrt((1 / len(self.splits) + n_test / n_train) / (n_test / self.n_stimuli)))

    def _drawn(self, prediction: Array, null: Array, columns: Array, counts: Array, measure: str) -> Array:
        """Mean over splits of each draw; a split of which a draw holds one stimulus over and over is left out of it."""
        total, n_valid = np.zeros((2, len(counts), len(columns)))
        for split, (_, test) in enumerate(self.splits):
            r = weighted_pearson(prediction[split, : len(test)], self.responses[np.ix_(test, columns)], counts[:, test])
            r[:, null[split]] = 0.0
            if measure == "r2_corrected" and self.reliability is not None:
                r = noise_corrected(r, self.reliability[columns])
            valid = np.isfinite(r)
            total += np.where(valid, r, 0.0)
            n_valid += valid
        return np.where(n_valid > 0, total / np.maximum(n_valid, 1), np.nan)


def _spread_apart(draws: Array, value: Array, factor: float) -> Array:
    """As ``widened``, for a statistic that is not bound to (−1, 1)."""
    return value + factor * (draws - np.nanmean(draws, axis=0))


_SPREAD = {"r": widened, "r2_corrected": _spread_apart}
