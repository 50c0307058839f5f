"""``unique-variance``: what a model explains of held-out responses beyond named baselines.

R² of baselines and model together, less R² of the baselines alone, both fitted by ridge regression in which every
feature space has a share of its own (``kernel_mixture``), chosen per neuroid within the training stimuli.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field, field_validator

from isocortex.activations import Activations
from isocortex.data import Dataset
from isocortex.errors import DataError
from isocortex.files import digest_of
from isocortex.interfaces import Ceiling, Comparison, MetricPlugin, Preparation, Resampled, Split, check_settings
from isocortex.scoring import codes_of, over_participants
from isocortex.typing import Array
from isocortex_metrics.ceilings.estimators import Estimate
from isocortex_metrics.ceilings.reliability import ratio_by_participant
from isocortex_metrics.encoding.banded import MixtureFit, baseline_mixtures, best_mixture, joint_mixtures
from isocortex_metrics.encoding.linear_comparison import LinearComparison
from isocortex_metrics.encoding.split_fits import at_bound
from isocortex_metrics.numerics.arrays import like, on_device
from isocortex_metrics.numerics.correlation import pearson, signed_square
from isocortex_metrics.numerics.dual_ridge import ALPHA_GRID
from isocortex_metrics.numerics.explained import about, out_of_sample_r2
from isocortex_metrics.numerics.threads import in_threads
from isocortex_metrics.target.responses import responses_of
from isocortex_metrics.target.splits import SplitSettings, columns_of, draw_splits

if TYPE_CHECKING:
    import xarray as xr


#: more than this many feature spaces make the grid of shares large
MAX_BASELINES = 4
_CORRECTED = "unique_r2_corrected"
MODEL_SHARES = (0.0, 0.01, 0.1, 0.5, 0.9, 0.99, 1.0)


class UniqueVarianceSettings(SplitSettings):
    """Settings of ``unique-variance``."""

    model_shares: tuple[float, ...] = Field(
        default=MODEL_SHARES, description="shares of the model in the joint kernel that are searched; 0 is one of them"
    )

    @field_validator("model_shares")
    @classmethod
    def _check_shares(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if 0.0 not in value or len(set(value)) < 2 or not all(0 <= share <= 1 for share in value):
            raise ValueError(f"model_shares must hold 0 and others up to 1, each once; found {value}")
        return tuple(sorted(set(value)))


class UniqueVariance(MetricPlugin):
    """Variance that a model explains beyond baselines, for responses."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Average repetitions and draw the splits; the baselines come with the preparation.

        Raises
        ------
        SettingsError, DataError
            Settings that are not valid, no responses, too few stimuli for the splits, or a ceiling that they do not
            allow.
        """
        chosen = check_settings(UniqueVarianceSettings, settings, self.card.id)
        responses = responses_of(target, self.card.id)
        splits = list(preparation.splits) or draw_splits(target, responses, chosen, seed)
        comparison = UniqueVarianceComparison(responses, splits, chosen.model_shares, device, preparation)
        comparison.split_columns = columns_of(target, chosen)
        return comparison


@dataclass(frozen=True)
class _Baseline:
    """Fits of the baselines alone, which serve every layer.

    Attributes
    ----------
    key
        Of the baselines and of what was kept.
    kernels
        Gram matrix of each.
    fits
        One per split.
    """

    key: tuple[str, bool]
    kernels: list[Array]
    fits: list[MixtureFit]


class UniqueVarianceComparison(LinearComparison):
    """What layers add to baselines against one set of responses.

    Parameters
    ----------
    responses, splits, device, preparation
        As for ``LinearComparison``; the ceiling is one of joint_r2, and the baselines are those of the preparation.
    model_shares
        Shares of the model that are searched, 0 among them.
    """

    statistic = "unique_r2"
    ceiling_modes = ()
    ceiling_estimators = ("repetitions", "split-half")  # a band of r is none of R²
    drawn = ("unique_r2", "joint_r2", "baseline_r2")

    def __init__(
        self,
        responses: xr.DataArray,
        splits: list[Split],
        model_shares: tuple[float, ...] = MODEL_SHARES,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> None:
        super().__init__(responses, splits, noise_correction="none", device=device, preparation=preparation)
        self.made_of = {} if self.unbiased is None else {_CORRECTED: "unique_r2"}
        self.model_shares = [share for share in model_shares if share > 0]
        self._baseline: _Baseline | None = None

    def ceiling_from(self, estimate: Estimate, responses: xr.DataArray) -> Ceiling:
        """The reliability itself, which bounds the R² of both together."""
        del responses
        return Ceiling(estimate.name, "joint_r2", self.neuroid.copy(data=estimate.reliability))

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Fit baselines, and baselines and layer together, in every split.

        Returns
        -------
        unique_r2 = joint_r2 − baseline_r2, on the test stimuli; selection (what the layer takes off the leave-one-out
        error of the baselines, as a share of that of the training mean); null (the response does not vary, or neither
        fit predicts anything); model_share, the share of the layer in the joint kernel; as far as ``keep`` names them
        alpha and alpha_at_bound of the joint fit and training_r2 (sign(r) r² of it on its training stimuli), all
        ("split", "neuroid"); prediction of the joint fit ("split", "test", "neuroid"). The attribute ``baselines``
        names the baselines.

        Raises
        ------
        AlignmentError, DataError
            A stimulus has no activations or no values of a baseline, or they are not finite; too many baselines.
        """
        layer = activations if isinstance(activations, Activations) else Activations.from_xarray(activations)
        baseline = self._fitted_baseline()
        joint = joint_mixtures(self.model_shares, baseline_mixtures(len(baseline.kernels)))
        kernels = [*baseline.kernels, self.gram(layer)]
        fit = partial(self._split_scores, kernels, joint, baseline)
        parts = in_threads(fit, range(len(self.splits)), n_threads=None if self.device == "cpu" else 1)
        names = ", ".join(self.baselines) or "none: the training mean"
        attrs = {"layer": layer.layer, "baselines": names, "baselines_digest": self._key()}
        return self.assembled(parts, self.splits, attrs)

    def _key(self) -> str:
        return digest_of([[name, layer.digest] for name, layer in self.baselines.items()])

    def _fitted_baseline(self) -> _Baseline:
        """Fits of the baselines alone, kept while the baselines stay the same."""
        if len(self.baselines) > MAX_BASELINES:
            raise DataError(
                f"unique-variance takes at most {MAX_BASELINES} baselines, because every one multiplies the shares to "
                f"search; found {len(self.baselines)}: {', '.join(self.baselines)}. Join some of them, or leave some "
                "away."
            )
        key = (self._key(), "training_r2" in self.keep)
        if self._baseline is None or self._baseline.key != key:
            kernels = [self.gram(layer) for layer in self.baselines.values()]
            # without baselines a kernel of nothing: the training mean
            given = kernels or [on_device(np.zeros((self.n_stimuli, self.n_stimuli)), self.device)]
            mixtures = baseline_mixtures(len(given))
            fits = [best_mixture(given, mixtures, *self._rows(split, given[0])) for split in self.splits]
            self._baseline = _Baseline(key, kernels, fits)
        return self._baseline

    def _rows(self, split: Split, gram: Array) -> tuple[Array, Array, Array]:
        """Training stimuli, stimuli to predict (test stimuli first), and training responses where the kernels lie."""
        train, test = split
        rows = np.concatenate([test, train]) if "training_r2" in self.keep else test
        return train, rows, like(self.responses[train], gram)

    def _split_scores(self, kernels: list[Array], joint: Array, baseline: _Baseline, number: int) -> dict[str, Array]:
        split = self.splits[number]
        alone = baseline.fits[number]
        both = best_mixture(kernels, joint, *self._rows(split, kernels[0]), start=alone)
        n_test = len(split.test)
        found = _compared(self.responses, split, both.deviation[:n_test], alone.deviation[:n_test])
        found |= {"selection": both.selection - alone.selection, "model_share": both.shares[-1]}
        if "alpha" in self.keep:
            found["alpha"] = np.log10(ALPHA_GRID)[both.alpha_index]
            found["alpha_at_bound"] = at_bound(both.alpha_index, len(ALPHA_GRID))
        if "training_r2" in self.keep:
            found["training_r2"] = signed_square(pearson(both.deviation[n_test:], self.responses[split.train])[0])
        if "prediction" in self.keep:
            found["prediction"] = both.deviation[:n_test] + self.responses[split.train].mean(axis=0)
        return found

    def _split_draws(self, split: int, prediction: Array, columns: Array, counts: Array, measure: str) -> Array:
        """Both fits are judged on the same draw, so that what they have in common goes."""
        train, test = self.splits[split]
        assert self._baseline is not None
        mean = self.responses[train].mean(axis=0)[columns]
        # rounded as the joint prediction was, so that equal fits differ by nothing
        alone = self._baseline.fits[split].deviation[: len(test), columns] + mean - mean
        total, of_joint, of_baseline = _squares(self.responses[np.ix_(test, columns)], mean, prediction - mean, alone)
        joint, baseline = (out_of_sample_r2(error, total, counts) for error in (of_joint, of_baseline))
        return {"unique_r2": joint - baseline, "joint_r2": joint, "baseline_r2": baseline}[measure]

    def resample(self, scores: xr.Dataset, n_draws: int, seed: int) -> Resampled | None:
        """As ``LinearComparison.resample``, in pairs.

        Raises
        ------
        DataError
            The scores were made against other baselines than those that the comparison has now.
        """
        if scores.attrs.get("baselines_digest") != self._key():
            raise DataError(
                f"These scores were made against the baselines {scores.attrs.get('baselines')!r}, but the comparison "
                f"has {', '.join(self.baselines) or 'none'} now. Score again."
            )
        self._fitted_baseline()
        return super().resample(scores, n_draws, seed)

    def further(self, scores: xr.Dataset) -> Sequence[str]:
        """As any metric; with repetitions also ``unique_r2_corrected``, the share of the explainable variance."""
        return [*super().further(scores), *self.made_of]

    def collapse(self, values: xr.DataArray, measure: str) -> xr.DataArray:
        """As any metric; the corrected one is a ratio of the sums over a participant's neuroids."""
        if measure != _CORRECTED or self.unbiased is None:
            return super().collapse(values, measure)
        along = values.mean("split").transpose(..., "neuroid")
        c = self.unbiased[self._columns(along)]
        ratio = over_participants(ratio_by_participant(along.values, c, codes_of(along)))
        return along.isel(neuroid=0, drop=True).copy(data=ratio)


def _compared(responses: Array, split: Split, joint: Array, baseline: Array) -> dict[str, Array]:
    """R² of both predictions, given less the training mean, and their difference."""
    response = responses[split.test]
    total, of_joint, of_baseline = _squares(response, responses[split.train].mean(axis=0), joint, baseline)
    joint_r2, baseline_r2 = out_of_sample_r2(of_joint, total), out_of_sample_r2(of_baseline, total)
    null = (total.sum(axis=0) == 0) | (pearson(joint, response)[1] & pearson(baseline, response)[1])
    return {"unique_r2": joint_r2 - baseline_r2, "joint_r2": joint_r2, "baseline_r2": baseline_r2, "null": null}


def _squares(response: Array, mean: Array, joint: Array, baseline: Array) -> tuple[Array, Array, Array]:
    """Squared deviations from the training mean, and squared errors of both predictions less it; a stimulus each."""
    centred = about(response, mean)
    return centred**2, (centred - joint) ** 2, (centred - baseline) ** 2
