"""``brainscore-i2n`` and ``brainscore-i1``: does the model confuse the stimuli that people confuse?

Patterns of sensitivity, stimulus by distractor, of a model's probabilities and of half of the human trials are
correlated; what the two halves of the trials share is the ceiling.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from isocortex.activations import Activations
from isocortex.data import Dataset
from isocortex.errors import DataError, shorten
from isocortex.interfaces import Ceiling, Comparison, MetricPlugin, Preparation, check_settings
from isocortex.typing import Array
from isocortex_metrics.behaviour.readout import ChoiceOutputs, Division, ReadoutSettings, choice_outputs, divide
from isocortex_metrics.behaviour.trials import BinaryTrials, binary_trials, trials_of
from isocortex_metrics.brainscore.behaviour_patterns import (
    N_HALVINGS,
    consistency,
    dprime,
    halvings,
    has_spread,
    normalised,
    over_distractors,
    rates_of_probabilities,
    rates_of_trials,
)
from isocortex_metrics.target.responses import refuse_seed

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


_MIN_ENTRIES = 3
#: by how much the probabilities of a stimulus may miss 1: those of half precision over a thousand classes do by 1e-4
_SUM_TOLERANCE = 1e-3


class BehaviourSettings(BaseModel):
    """Settings of ``brainscore-i2n`` and ``brainscore-i1``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    readout: ReadoutSettings | None = Field(
        default=None, description="fit probabilities of the choices on features; default: units are the choices"
    )


class _HalvingsPlugin(MetricPlugin):
    comparison: ClassVar[type[_HalvingsComparison]]

    def against(
        self,
        target: Dataset | pd.DataFrame | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Halve the trials as published and make the human patterns; the CPU does it, whatever the device.

        Raises
        ------
        SettingsError, DataError
            Settings or a seed that are not valid, or trials that are not of two alternatives or too few.
        """
        del device
        chosen = check_settings(BehaviourSettings, settings, self.card.id)
        refuse_seed(seed, self.card.id)
        trials = trials_of(target, self.card.id)
        division = divide(trials, chosen.readout)
        tested = binary_trials(trials.only(division.test).in_order())
        return self.comparison(tested, division, chosen.readout, preparation)


class _HalvingsComparison(Comparison):
    """A model's pattern against those of halves of the trials.

    Parameters
    ----------
    trials
        Of the tested stimuli, in the published order.
    division
        Which stimuli are tested, and which a readout is fitted on.
    readout
        How features become probabilities; None: the units are named after the choices.
    preparation
        As for ``Comparison``.
    """

    statistic = "r"
    measure = "score"
    ceiling_modes = ("r_over_sqrt_c",)
    aggregates = ("median-mean",)
    error_kind = f"population standard deviation over {N_HALVINGS} halvings of the trials"

    def __init__(
        self,
        trials: BinaryTrials,
        division: Division,
        readout: ReadoutSettings | None,
        preparation: Preparation = Preparation(),
    ) -> None:
        super().__init__(preparation)
        self.trials = trials
        self.division = division
        self.warnings = division.warnings
        self.readout = readout
        self.n_stimuli = len(trials.stimulus_id)
        #: patterns of both halves of each halving
        self.halves = [
            (self.human_pattern(first), self.human_pattern(second)) for first, second in halvings(len(trials.stimulus))
        ]
        self._refuse_too_few()
        self.ceilings = np.array([consistency(*patterns) for patterns in self.halves])
        self.ceiling = Ceiling("correlation between two halves of the trials", "r", float(np.mean(self.ceilings)))

    @staticmethod
    @abstractmethod
    def pattern(rates: Array, truth: Array) -> Array:
        """The pattern that is compared, from rates of picking the distractor (n_stimuli, n_choices)."""

    def human_pattern(self, trials: Array | slice = slice(None)) -> Array:
        """Pattern of some of the trials, by their places; default: of all."""
        part = self.trials
        rates = rates_of_trials(
            part.stimulus[trials], part.distractor[trials], part.choice[trials], part.truth, len(part.choices)
        )
        return self.pattern(rates, part.truth)

    def _refuse_too_few(self) -> None:
        for first, second in self.halves:
            common = np.isfinite(first) & np.isfinite(second)
            if common.sum() < _MIN_ENTRIES or not (has_spread(first[common]) and has_spread(second[common])):
                raise DataError(
                    f"{len(self.trials.stimulus)} trials of {self.n_stimuli} stimuli are too few: the two halves of "
                    f"the trials have {int(common.sum())} entries of their patterns in common, which do not vary or "
                    f"are fewer than {_MIN_ENTRIES}. Expected several stimuli per object, and at least 2 trials of "
                    "each stimulus with each distractor."
                )

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Correlate one layer's pattern with that of the first half of the trials of each halving.

        Returns
        -------
        score, ceiling and ceiled (score / √ceiling; NaN where the ceiling is not above 0), n_entries that were
        compared, and null where the model's pattern does not vary (score is NaN), all ("split",); prediction: the
        model's pattern, ("stimulus", "choice") for i2n and ("stimulus",) for i1.

        Raises
        ------
        AlignmentError
            A stimulus has no activations.
        DataError
            Units that are not named after the choices, that are not probabilities, or that give neither object a
            probability.
        """
        import xarray as xr

        layer = activations if isinstance(activations, Activations) else Activations.from_xarray(activations)
        outputs = choice_outputs(layer, self.division, self.readout)
        pattern = self.pattern(
            rates_of_probabilities(self._probabilities(outputs), self.trials.truth), self.trials.truth
        )
        humans = [first for first, _ in self.halves]
        self._refuse_undefined(pattern, humans, layer.layer)
        r = np.array([consistency(pattern, human) for human in humans])
        bound = np.sqrt(np.where(self.ceilings > 0, self.ceilings, np.nan))
        dims = ("stimulus", "choice")[: pattern.ndim]
        names = {"stimulus_id": ("stimulus", list(self.trials.stimulus_id)), "choice": list(self.trials.choices)}
        return xr.Dataset(
            {
                "score": ("split", r),
                "ceiling": ("split", self.ceilings),
                "ceiled": ("split", r / bound),
                "n_entries": ("split", [int(np.isfinite(human).sum()) for human in humans]),
                "null": ("split", np.isnan(r)),
                "prediction": (dims, pattern),
            },
            coords=dict(list(names.items())[: pattern.ndim]),
            attrs={"layer": layer.layer, "target": "pooled"},
        )

    def _probabilities(self, outputs: ChoiceOutputs) -> Array:
        """(n_stimuli, n_choices) of the choices of the trials; checked over all units."""
        columns = outputs.columns(self.trials.choices)
        found = np.empty((self.n_stimuli, len(columns)))
        for part, rows in outputs.blocks():
            bad = (rows < 0).any(axis=1) | (np.abs(rows.sum(axis=1) - 1) > _SUM_TOLERANCE)
            if bad.any():
                names = np.array(self.trials.stimulus_id)[part][bad]
                raise DataError(
                    f"The units of {outputs.layer!r} are no probabilities for {len(names)} stimuli ({shorten(names)}): "
                    f"expected values from 0 that sum to 1, found a minimum of {rows.min():.4g} and sums from "
                    f"{rows.sum(axis=1).min():.4g} to {rows.sum(axis=1).max():.4g}. Give the layer after the softmax, "
                    "or set readout = {} to fit a readout of features."
                )
            found[part] = rows[:, columns]
        return found

    def _refuse_undefined(self, pattern: Array, humans: list[Array], layer: str) -> None:
        undefined = np.isnan(pattern) & np.any([np.isfinite(human) for human in humans], axis=0)
        if undefined.any():
            names = np.array(self.trials.stimulus_id)[undefined.reshape(len(pattern), -1).any(axis=1)]
            raise DataError(
                f"The pattern of {layer!r} is undefined in {int(undefined.sum())} entries that people have, of the "
                f"stimuli {shorten(names)}: both objects have probability 0, or d' is a difference of two infinities. "
                "Give probabilities that do not underflow (float64, or a softmax at a higher temperature)."
            )

    def further(self, scores: xr.Dataset) -> Sequence[str]:
        """As any metric; ceiling and ceiled have fields of their own."""
        return [name for name in super().further(scores) if name not in ("ceiling", "ceiled")]

    def spread(self, readout: xr.DataArray, measure: str) -> tuple[float, str] | None:
        """The published error: the standard deviation over halvings."""
        return (float(readout.std("split", skipna=False)), self.error_kind) if measure == self.measure else None

    def corrected(self, scores: xr.Dataset) -> xr.DataArray | None:
        """Score / √ceiling of each halving, where the benchmark asks for it; none at all where one has none."""
        if scores.attrs["measure"] != self.measure or self.rules.ceiling_mode == "none":
            return None
        found = self.readout_of(scores, "ceiled")
        return found.where(found.notnull().all())


class I2nComparison(_HalvingsComparison):
    """Stimulus by distractor, less the mean over the stimuli of each object."""

    @staticmethod
    def pattern(rates: Array, truth: Array) -> Array:
        """d' (n_stimuli, n_choices) less its mean for every pair of object and distractor."""
        return normalised(dprime(rates, truth), truth)


class I1Comparison(_HalvingsComparison):
    """One number per stimulus: d' averaged over distractors."""

    @staticmethod
    def pattern(rates: Array, truth: Array) -> Array:
        """d' averaged over distractors, (n_stimuli,)."""
        return over_distractors(dprime(rates, truth))


class I2n(_HalvingsPlugin):
    """Image-by-distractor consistency of behaviour, as Brain-Score computes it."""

    comparison = I2nComparison


class I1(_HalvingsPlugin):
    """Image-level consistency of behaviour, as Brain-Score computes it."""

    comparison = I1Comparison
