"""``weighted-rsa``: RSA with a non-negative combination of all layers, fitted on some stimuli and tested on others.

No layer is chosen. The weights are fitted on pairs of which both stimuli are training stimuli; what they predict is
compared on pairs of which both are held out.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from isocortex.activations import Activations
from isocortex.data import Dataset
from isocortex.errors import DataError, SettingsError, shorten
from isocortex.interfaces import Ceiling, Comparison, MetricPlugin, Preparation, Resampled, check_settings
from isocortex.scoring import as_layered, by_blocks, draw_counts, measure_of, score_layers
from isocortex.typing import Array
from isocortex_metrics.geometry.dissimilarity import DISSIMILARITIES, FlatPatternError, pairs_among
from isocortex_metrics.geometry.layer_weights import held_out_predictions, padded, pair_table
from isocortex_metrics.geometry.pair_statistics import COMPARISONS, varies, weighted_rho
from isocortex_metrics.geometry.participant_rdms import ParticipantRdms, participant_rdms
from isocortex_metrics.geometry.participants import OfParticipants
from isocortex_metrics.geometry.rdm_ceilings import leave_one_out
from isocortex_metrics.numerics.draws import leaving_one_out, of_pairs
from isocortex_metrics.target.splits import folds

if TYPE_CHECKING:
    import xarray as xr


log = logging.getLogger(__name__)

#: six pairs; fewer cannot be ranked to any purpose
_MIN_TEST = 4
_BLOCK_VALUES = 2_000_000
_COMBINED = "all layers, weighted"


class WeightedRsaSettings(BaseModel):
    """Settings of ``weighted-rsa``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    dissimilarity: Literal["correlation", "cosine", "euclidean"] = "correlation"
    comparison: Literal["spearman", "pearson"] = "spearman"
    held_out: Literal["both", "either"] = Field(
        default="both", description="a pair tests where both of its stimuli are held out, or where either is"
    )
    n_folds: int = Field(default=2, ge=2, description="folds of the stimuli per repeat")
    n_repeats: int = Field(default=5, ge=1, description="times the folds are drawn")


class WeightedRsa(MetricPlugin):
    """RSA with fitted weights of layers, for responses and dissimilarity matrices."""

    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Make or take the matrices of the participants, draw the folds, and rank the test pairs of each.

        Raises
        ------
        SettingsError, DataError
            Settings that are not valid, a target without dissimilarities, or fewer than four stimuli in a test fold.
        """
        chosen = check_settings(WeightedRsaSettings, settings, self.card.id)
        brains = participant_rdms(target, chosen.dissimilarity, self.card.id)
        return _KINDS[chosen.comparison](brains, chosen, seed, device, preparation)


@dataclass(frozen=True)
class _Test:
    """What one correlation is over: stimuli, the places of their pairs, and the participants' entries there.

    ``brains`` (n_participants, n_pairs) are centred with norm 1; of a participant whose entries are all equal they are
    0 and ``known`` is False.
    """

    stimuli: Array
    pairs: Array
    brains: Array
    known: Array


@dataclass(frozen=True)
class _Combined:
    """What the combination gives: r and null (n_splits, n_participants), weights (n_layers, n_splits, n_participants).

    ``predictions`` are (n_participants, n_pairs) for each split.
    """

    r: Array
    null: Array
    weights: Array
    predictions: list[Array]


class WeightedRsaComparison(OfParticipants):
    """Dissimilarity matrices of participants, and folds of the stimuli.

    Parameters
    ----------
    brains
        The matrices.
    settings
        How matrices are made, divided and compared.
    seed
        Draws the folds.
    device
        Where sums of products are formed.
    preparation
        As for ``Comparison``.
    """

    statistic = "rho"
    ceiling_modes = ()
    aggregates = ("median-mean",)

    def __init__(
        self,
        brains: ParticipantRdms,
        settings: WeightedRsaSettings,
        seed: int,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> None:
        super().__init__(preparation)
        self.brains, self.settings, self.device = brains, settings, device
        self.n_stimuli, self.n_pairs = len(brains.stimulus_id), brains.rdms.shape[1]
        n_folds, n_repeats = settings.n_folds, settings.n_repeats
        if self.n_stimuli < _MIN_TEST * n_folds:
            raise DataError(
                f"{n_folds} folds need at least {_MIN_TEST * n_folds} stimuli, so that each tests on {_MIN_TEST} "
                f"stimuli and 6 pairs; found {self.n_stimuli}. Use fewer folds (setting n_folds) or more stimuli."
            )
        groups = None if brains.first_equal in ((), brains.stimulus_id) else brains.first_equal
        self.splits = folds(self.n_stimuli, n_folds=n_folds, n_repeats=n_repeats, seed=seed, groups=groups)
        self.transform = COMPARISONS[settings.comparison].transform
        if settings.held_out == "both":
            self.tests = [self._test(split.test) for split in self.splits]
        else:
            self.tests = [self._test(np.arange(self.n_stimuli))] * n_repeats
        if len(brains.subjects) > 1:
            self.ceiling = self._band()

    def _test(self, stimuli: Array) -> _Test:
        pairs = pairs_among(stimuli, self.n_stimuli)
        rdms, share = self.brains.rdms[:, pairs], self.brains.tie_share
        known = np.array([varies(rdm, share) for rdm in rdms])
        unit = np.zeros_like(rdms)
        if known.any():
            unit[known] = self.transform(rdms[known], share)
        return _Test(stimuli, pairs, unit, known)

    def _band(self) -> Ceiling | None:
        distinct = list({id(test): test for test in self.tests}.values())
        bands = [
            leave_one_out(
                self.brains.rdms[:, test.pairs], COMPARISONS[self.settings.comparison], tie_share=self.brains.tie_share
            )
            for test in distinct
            if test.known.all()
        ]
        if not bands:
            return None
        lower, upper = np.mean(bands, axis=0)
        averaging = COMPARISONS[self.settings.comparison].averaging
        where = {"both": "mean over test folds", "either": "all pairs"}[self.settings.held_out]
        estimator = f"leave-one-participant-out, {averaging}, {where} (Nili et al. 2014)"
        return Ceiling(estimator, self.statistic, lower=float(lower), upper=float(upper))

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Fit and test a single layer: its weight is above 0 where it correlates positively with the training pairs.

        Returns
        -------
        rho, weight and null ("split", "subject"); prediction ("split", "pair", "subject"), NaN beyond a small test
        fold; test_stimulus ("split", "test"). Without a weight above 0 there is no prediction: null is True and rho 0.
        NaN: the participant's test pairs are all equal. With Pearson comparison rho is called r.
        """
        layer = activations if isinstance(activations, Activations) else Activations.from_xarray(activations)
        found = self._combined(self._table([layer])[0])
        scores = self._dataset(
            {
                self.statistic: (("split", "subject"), found.r),
                "null": (("split", "subject"), found.null),
                "weight": (("split", "subject"), found.weights[0]),
            },
            found,
        )
        return scores.assign_attrs(layer=layer.layer)

    def score_all(self, layers: Mapping[str, Activations]) -> xr.Dataset:
        """Fit and test the combination of all layers; layers of equal content count once, under the first name.

        Returns
        -------
        readout ("split", "subject"): the combination's rho; weight ("layer", "split", "subject"), for standardised
        dissimilarities, NaN for a layer whose content has been counted; rho ("layer", "split", "subject"): each layer's
        own, nothing fitted, on the same pairs, and layer_null where that is undefined and set to 0; null ("layer",
        "split", "subject"): where the combination is, the same for each layer; chosen ("split", "subject"): the layer
        of the largest weight; prediction and test_stimulus as in ``score``.
        """
        first_with: dict[str, int] = {}
        firsts = np.array([first_with.setdefault(layer.digest, place) for place, layer in enumerate(layers.values())])
        if len(first_with) < 2:
            return score_layers(self, layers)
        if measure_of(self) != self.statistic:
            raise SettingsError(
                f"weighted-rsa reports {self.statistic!r}; the benchmark asks for {measure_of(self)!r}."
            )
        distinct, rows = np.unique(firsts, return_inverse=True)
        table, own, own_null = self._table([list(layers.values())[place] for place in distinct])
        found = self._combined(table)
        is_twin = firsts < np.arange(len(firsts))
        weights = np.where(is_twin[:, None, None], np.nan, found.weights[rows])
        dims = ("layer", "split", "subject")
        scores = self._dataset(
            {
                self.statistic: (dims, own[rows]),
                "layer_null": (dims, own_null[rows]),
                "weight": (dims, weights),
                "null": (dims, np.broadcast_to(found.null, weights.shape)),
                "chosen": (("split", "subject"), np.nanargmax(weights, axis=0)),
                "readout": (("split", "subject"), found.r),
            },
            found,
        )
        rule = {"layer_rule": _COMBINED, "n_layers_searched": len(distinct), "measure": self.statistic}
        return scores.assign_coords(layer=list(layers)).assign_attrs(rule)

    def _table(self, layers: Sequence[Activations]) -> tuple[Array, Array, Array]:
        """Dissimilarities (n_layers, n_pairs), and each layer's own correlations and nulls (n_layers, n_splits, …)."""
        table = pair_table(len(layers), self.n_pairs)
        own = np.empty((len(layers), len(self.tests), len(self.brains.subjects)))
        null = np.empty(own.shape, dtype=bool)
        for place, layer in enumerate(layers):
            table[place] = rdm = self._rdm(layer)
            for split, test in enumerate(self.tests):
                if split and test is self.tests[split - 1]:
                    own[place, split], null[place, split] = own[place, split - 1], null[place, split - 1]
                else:
                    own[place, split], null[place, split] = self._correlated(rdm[None, test.pairs], test)
        return table, own, null

    def _rdm(self, layer: Activations) -> Array:
        width = max(1, _BLOCK_VALUES // self.n_stimuli, self.n_stimuli)
        blocks = partial(layer.blocks, self.brains.stimulus_id, width)
        try:
            return DISSIMILARITIES[self.settings.dissimilarity](blocks, self.n_stimuli, self.device, single=True)
        except FlatPatternError as error:
            flat = shorten(self.brains.stimulus_id[place] for place in error.stimuli)
            log.warning("Layer %r counts as null; stimuli %s: %s", layer.layer, flat, error)
            return np.zeros(self.n_pairs)

    def _correlated(self, models: Array, test: _Test) -> tuple[Array, Array]:
        """Correlation with each participant, and where there is none; one model for all, or one for each."""
        null = np.array([not varies(model) for model in models])
        unit = np.zeros_like(models)
        if not null.all():
            unit[~null] = self.transform(models[~null])
        r = np.where(test.known, (test.brains * unit).sum(axis=1), np.nan)
        return np.where(null, 0.0, r), np.broadcast_to(null, r.shape)

    def _combined(self, table: Array) -> _Combined:
        settings, splits = self.settings, self.splits
        found: list[tuple[Array, Array]] = []
        for first in range(0, len(splits), settings.n_folds):
            tests = [split.test for split in splits[first : first + settings.n_folds]]
            either = settings.held_out == "either"
            found += held_out_predictions(table, self.brains.rdms, tests, either=either, device=self.device)
        parts = [self._correlated(model, test) for (_, model), test in zip(found, self.tests, strict=True)]
        # intercepts differ between folds, so that a prediction may vary where no layer has a weight
        null = np.stack([null | ~weights.any(axis=0) for (_, null), (weights, _) in zip(parts, found, strict=True)])
        return _Combined(
            r=np.where(null, 0.0, np.stack([r for r, _ in parts])),
            null=null,
            weights=np.stack([weights for weights, _ in found], axis=1),
            predictions=[model for _, model in found],
        )

    def _dataset(self, variables: Mapping[str, tuple[tuple[str, ...], Array]], found: _Combined) -> xr.Dataset:
        import xarray as xr

        scores = xr.Dataset(
            dict(variables), coords={"subject": list(self.brains.subjects)}, attrs={"target": self.brains.target}
        )
        scores["test_stimulus"] = ("split", "test"), padded([test.stimuli for test in self.tests])
        if "prediction" in self.keep:
            kept = [np.where(null, 0.0, model.T) for model, null in zip(found.predictions, found.null, strict=True)]
            scores["prediction"] = ("split", "pair", "subject"), padded(kept)
        return scores

    # --- interval and value -------------------------------------------------------------------------------------------

    def resample(self, scores: xr.Dataset, n_draws: int, seed: int) -> Resampled | None:
        """Bootstrap over test stimuli and, with the corrected spread, participants; fits are not repeated.

        A pair weighs as often as both its stimuli were drawn, with the ranks of the whole sample; a stimulus makes no
        pair with itself.
        """
        if "prediction" not in scores or scores.attrs.get("measure", self.statistic) != self.statistic:
            return None
        prediction = scores["prediction"].transpose("split", "subject", "pair").values
        counts = draw_counts(self.n_stimuli, n_draws, seed, "stimuli")
        draw = partial(self._over_folds, prediction)
        values = as_layered(self, scores)["readout"].mean("split").values
        draws = of_pairs(by_blocks(draw, counts), values, by_blocks(draw, leaving_one_out(self.n_stimuli)))
        return self.joined_draws(draws, values, seed)

    def _over_folds(self, prediction: Array, counts: Array) -> Array:
        """(n_draws, n_participants): the mean over test folds in which a draw has a value."""
        total, n_valid = np.zeros((2, len(counts), len(self.brains.subjects)))
        for test, models in zip(self.tests, prediction, strict=True):
            drawn = self._drawn(models[:, : len(test.pairs)], test, counts[:, test.stimuli])
            valid = np.isfinite(drawn)
            total += np.where(valid, drawn, 0.0)
            n_valid += valid
        return np.where(n_valid > 0, total / np.maximum(n_valid, 1), np.nan)

    def _drawn(self, models: Array, test: _Test, counts: Array) -> Array:
        """Correlations (n_draws, n_participants) in one test fold."""
        drawn = np.zeros((len(counts), len(models)))
        for place, model in enumerate(models):
            if not test.known[place]:
                drawn[:, place] = np.nan
            elif varies(model):
                brain = test.brains[place][None]
                drawn[:, place] = weighted_rho(self.transform(model), brain, counts)[:, 0]
        return drawn

    def further(self, scores: xr.Dataset) -> Sequence[str]:
        """As any metric; weights of a combination are no measures."""
        found = super().further(scores)
        return [name for name in found if name != "weight"] if _is_combined(scores) else found

    def shares(self, scores: xr.Dataset) -> Array:
        """Share of each layer in the mean weights of a combination."""
        if not _is_combined(scores):
            return super().shares(scores)
        weights = np.nan_to_num(scores["weight"].mean(["split", "subject"]).values)
        total = float(weights.sum())
        return weights / total if total > 0 else np.zeros_like(weights)


def _is_combined(scores: xr.Dataset) -> bool:
    return scores.attrs.get("layer_rule") == _COMBINED


class _PearsonComparison(WeightedRsaComparison):
    statistic = "r"


_KINDS: dict[str, type[WeightedRsaComparison]] = {"spearman": WeightedRsaComparison, "pearson": _PearsonComparison}
