"""``error-consistency``: do model and observers err on the same stimuli, beyond what their accuracies give by chance?

Geirhos, Meding & Wichmann 2020, doi:10.48550/arXiv.2006.16736: Cohen's kappa between right and wrong answers, for each
observer and condition. An answer is a number in [0, 1]: whether it was right, or how probably it is (repeated trials of
a stimulus, ties between a model's outputs).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from isocortex.activations import Activations
from isocortex.data import Dataset
from isocortex.interfaces import Ceiling, Comparison, MetricPlugin, Preparation, Resampled, check_settings
from isocortex.scoring import by_blocks, draw_counts, over_participants
from isocortex_metrics.behaviour.accuracy import first_choice_credit
from isocortex_metrics.behaviour.observers import Observers, condition_column, kappa_with_model
from isocortex_metrics.behaviour.readout import Division, ReadoutSettings, choice_outputs, divide
from isocortex_metrics.behaviour.trials import trials_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


# --- the metric -------------------------------------------------------------------------------------------------------


class ErrorConsistencySettings(BaseModel):
    """Settings of ``error-consistency``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    label: str = Field(default="truth", description="column with the right answer to each stimulus")
    condition: str = Field(
        default="condition",
        description="column (of trials or stimuli) of conditions, which are averaged; '' puts all trials together",
    )
    readout: ReadoutSettings | None = Field(
        default=None, description="fit probabilities of the choices on features; default: units are the choices"
    )


class ErrorConsistency(MetricPlugin):
    """Cohen's kappa between the right and wrong answers of a model and of observers."""

    def against(
        self,
        target: Dataset | pd.DataFrame | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Sort the answers by observer and condition, and compare observers with each other; the CPU does it.

        Raises
        ------
        SettingsError, DataError
            Settings that are not valid, or trials without observers, choices or labels.
        """
        del device, seed
        chosen = check_settings(ErrorConsistencySettings, settings, self.card.id)
        trials = trials_of(target, self.card.id)
        division = divide(trials, chosen.readout)
        condition = condition_column(trials, chosen.condition, given="condition" in chosen.model_fields_set)
        observers = Observers(trials.only(division.test), chosen.label, condition)
        return ErrorConsistencyComparison(observers, division, chosen.readout, preparation)


class ErrorConsistencyComparison(Comparison):
    """A model's right and wrong answers against those of observers.

    Parameters
    ----------
    observers
        Their answers to the tested stimuli.
    division
        Which stimuli are tested, and which a readout is fitted on.
    readout
        How features become probabilities; None: the units are named after the choices.
    preparation
        As for ``Comparison``.
    """

    statistic = "kappa"
    ceiling_modes = ("r_over_sqrt_c",)
    aggregates = ("median-mean",)

    def __init__(
        self,
        observers: Observers,
        division: Division,
        readout: ReadoutSettings | None,
        preparation: Preparation = Preparation(),
    ) -> None:
        super().__init__(preparation)
        self.observers = observers
        self.division = division
        self.warnings = division.warnings
        self.readout = readout
        self.n_stimuli = len(division.test)
        self.ceilings = over_participants(observers.by_subject(observers.with_others()))
        if np.isfinite(self.ceilings).any():
            value = float(over_participants(self.ceilings))
            self.ceiling = Ceiling("mean Cohen's kappa of each observer with the others", self.statistic, value)

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Compare the answers of one layer with those of every observer.

        The answer to a stimulus is the choice whose unit has the largest output; between ties it is drawn at random,
        and the expectation over the draws is scored.

        Returns
        -------
        kappa, ceiling (kappa with the other observers), accuracy (of the model on the observer's trials),
        human_accuracy, null (kappa is undefined under every condition: NaN), all ("subject",) and means over
        conditions; kappa_by_condition ("subject", "condition"); prediction ("stimulus",): probability that the model
        is right.

        Raises
        ------
        AlignmentError
            A stimulus has no activations.
        DataError
            Units that are not named after the labels.
        """
        import xarray as xr

        layer = activations if isinstance(activations, Activations) else Activations.from_xarray(activations)
        outputs = choice_outputs(layer, self.division, self.readout)
        model = first_choice_credit(outputs, self.observers.labels)
        seen = self.observers
        kappa = seen.by_subject(kappa_with_model(seen.weights, seen.correct, model))
        accuracy = seen.by_subject((seen.weights @ model) / seen.weights.sum(axis=1))
        per_subject = over_participants(kappa)
        return xr.Dataset(
            {
                "kappa": ("subject", per_subject),
                "ceiling": ("subject", self.ceilings),
                "accuracy": ("subject", over_participants(accuracy)),
                "human_accuracy": ("subject", over_participants(seen.by_subject(seen.accuracy()))),
                "null": ("subject", np.isnan(per_subject)),
                "kappa_by_condition": (("subject", "condition"), kappa),
                "prediction": ("stimulus", model),
            },
            coords={
                "subject": seen.subjects,
                "condition": seen.conditions,
                "stimulus_id": ("stimulus", list(self.division.test)),
            },
            attrs={"layer": layer.layer, "target": "participant"},
        )

    def resample(self, scores: xr.Dataset, n_draws: int, seed: int) -> Resampled | None:
        """Bootstrap over stimuli and observers."""
        if "prediction" not in scores or scores.attrs.get("measure", self.statistic) != self.statistic:
            return None
        seen, n_subjects = self.observers, len(self.observers.subjects)
        counts = draw_counts(self.n_stimuli, n_draws, seed, "stimuli")
        model = scores["prediction"].values.astype(np.float64)
        drawn = by_blocks(  # (n_draws, n_subjects)
            lambda some: over_participants(seen.by_subject(kappa_with_model(seen.weights, seen.correct, model, some))),
            counts,
        )
        if np.isnan(drawn).all():
            return None
        if n_subjects == 1:
            return Resampled(drawn[:, 0], "stimuli")
        weights = draw_counts(n_subjects, n_draws, seed, "participants")
        return Resampled(over_participants(drawn, weights), "stimuli × participants")

    def further(self, scores: xr.Dataset) -> Sequence[str]:
        """As any metric; the ceiling stands beside the value, and conditions are averaged."""
        return [name for name in super().further(scores) if name not in ("ceiling", "kappa_by_condition")]
