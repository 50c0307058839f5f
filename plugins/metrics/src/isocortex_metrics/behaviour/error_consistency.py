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
from isocortex.errors import DataError, SettingsError, shorten, suggest
from isocortex.interfaces import Ceiling, Comparison, MetricPlugin, Preparation, check_settings
from isocortex.scoring import draw_counts, over_participants
from isocortex.typing import Array
from isocortex_metrics.behaviour.accuracy import first_choice_credit
from isocortex_metrics.behaviour.readout import Division, ReadoutSettings, choice_outputs, divide
from isocortex_metrics.behaviour.trials import Trials, trials_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


#: expected disagreement below which kappa is undefined: both are always right, or both always wrong
_NO_DISAGREEMENT = 1e-12
_MIN_STIMULI = 2


# --- pure functions ---------------------------------------------------------------------------------------------------


def cohen_kappa(first: Array, second: Array, both: Array) -> Array:
    """Error consistency from accuracies: κ = (c_obs − c_exp) / (1 − c_exp).

    With p and q the accuracies and b the share of stimuli on which both are right, c_obs = 1 − p − q + 2 b and
    c_exp = p q + (1 − p)(1 − q).

    Parameters
    ----------
    first, second, both
        p, q and b; any shape.

    Returns
    -------
    κ in [−1, 1]; NaN where c_exp = 1: both always right, or both always wrong. Cohen 1960, Educ. Psychol. Meas. 20.

    Examples
    --------
    >>> cohen_kappa(np.array([0.5, 1.0]), np.array([0.5, 1.0]), np.array([0.25, 1.0])).tolist()
    [0.0, nan]
    """
    disagreement = first + second - 2 * first * second  # 1 - c_exp
    defined = disagreement > _NO_DISAGREEMENT
    return np.where(defined, 2 * (both - first * second) / np.where(defined, disagreement, 1.0), np.nan)


def kappa_with_model(weights: Array, correct: Array, model: Array, counts: Array | None = None) -> Array:
    """Kappa of a model with each of several observers.

    Parameters
    ----------
    weights
        (n_observers, n_stimuli): number of trials of each stimulus, 0 where it was not shown.
    correct
        (n_observers, n_stimuli): share of those trials that are right; anything finite where there are none.
    model
        (n_stimuli,): probability that the model is right.
    counts
        (n_draws, n_stimuli): how often each stimulus is in each bootstrap sample; default: each once.

    Returns
    -------
    (n_observers,), or (n_draws, n_observers) with counts; NaN where κ is undefined or fewer than two stimuli were seen.

    Examples
    --------
    >>> kappa_with_model(np.ones((1, 4)), np.array([[1.0, 1, 0, 0]]), np.array([1.0, 1, 0, 1])).tolist()
    [0.5]
    """
    drawn = np.ones((1, weights.shape[1])) if counts is None else counts
    total = drawn @ weights.T
    seen = (drawn > 0).astype(np.float64) @ (weights > 0).T
    divisor = np.where(seen >= _MIN_STIMULI, total, np.nan)
    observer = drawn @ (weights * correct).T / divisor
    of_model = drawn @ (weights * model).T / divisor
    both = drawn @ (weights * correct * model).T / divisor
    kappa = cohen_kappa(observer, of_model, both)
    return kappa[0] if counts is None else kappa


def kappa_between(weights: Array, correct: Array) -> Array:
    """Kappa between every two observers over the stimuli that both saw, every pair of their trials of a stimulus.

    Parameters
    ----------
    weights, correct
        (n_observers, n_stimuli), as in ``kappa_with_model``.

    Returns
    -------
    (n_observers, n_observers), symmetric; NaN on the diagonal, where κ is undefined and where fewer than two stimuli
    are in common.

    Examples
    --------
    >>> kappa_between(np.ones((2, 4)), np.array([[1.0, 1, 0, 0], [1.0, 1, 0, 1]])).tolist()
    [[nan, 0.5], [0.5, nan]]
    """
    right = weights * correct
    shown = (weights > 0).astype(np.float64)
    total = np.where(shown @ shown.T >= _MIN_STIMULI, weights @ weights.T, np.nan)
    accuracy = right @ weights.T / total  # of the row's observer on what both saw
    kappa = cohen_kappa(accuracy, accuracy.T, right @ right.T / total)
    np.fill_diagonal(kappa, np.nan)
    return kappa


# --- observers --------------------------------------------------------------------------------------------------------


class Observers:
    """Answers of observers under conditions; one "cell" is an observer under a condition.

    Parameters
    ----------
    trials
        Of the tested stimuli.
    label
        Column with the right answer to each stimulus.
    condition
        Column of the conditions, of trials or stimuli; None: there is one.

    Attributes
    ----------
    subjects, conditions
        Names, sorted as text.
    subject, condition
        (n_cells,): numbers among them.
    weights, correct
        (n_cells, n_stimuli): number of trials, and the share of them that are right.
    """

    def __init__(self, trials: Trials, label: str, condition: str | None) -> None:
        self.labels = trials.of_stimuli(label)
        rows, choice = trials.rows, trials.column("choice")
        self._refuse_other_words(choice)
        self.subjects, of_subject = _numbered(trials.column("subject"))
        self.conditions, of_condition = _numbered(_conditions(trials, condition))
        cells, cell = np.unique(of_subject * len(self.conditions) + of_condition, return_inverse=True)
        self.subject, self.condition = np.divmod(cells, len(self.conditions))
        shape = (len(cells), len(self.labels))
        place = cell * shape[1] + rows
        right = choice == np.array(self.labels, dtype=object)[rows]
        self.weights = np.bincount(place, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
        n_right = np.bincount(place, weights=right, minlength=shape[0] * shape[1]).reshape(shape)
        self.correct = n_right / np.maximum(self.weights, 1)

    def _refuse_other_words(self, choice: Array) -> None:
        if not set(choice) & set(self.labels):
            raise DataError(
                f"No choice of the trials is a label of a stimulus: choices are {shorten(sorted(set(choice)))}, labels "
                f"{shorten(sorted(set(self.labels)))}. Expected the name of what was chosen, not whether it was right."
            )

    def by_subject(self, values: Array) -> Array:
        """(…, n_cells) → (…, n_subjects, n_conditions), NaN where an observer has no trials."""
        table = np.full((*values.shape[:-1], len(self.subjects), len(self.conditions)), np.nan)
        table[..., self.subject, self.condition] = values
        return table

    def accuracy(self) -> Array:
        """(n_cells,): share of right answers."""
        return (self.weights * self.correct).sum(axis=1) / self.weights.sum(axis=1)

    def with_others(self) -> Array:
        """(n_cells,): mean kappa of each observer with the others under the same condition; NaN where there is none."""
        found = np.full(len(self.subject), np.nan)
        for condition in range(len(self.conditions)):
            inside = np.flatnonzero(self.condition == condition)
            found[inside] = over_participants(kappa_between(self.weights[inside], self.correct[inside]))
        return found


def _conditions(trials: Trials, column: str | None) -> Array:
    """Condition of every trial."""
    if column is None:
        return np.full(len(trials.table), "all")
    return trials.column(column) if trials.has(column) else np.array(trials.of_stimuli(column))[trials.rows]


def _numbered(words: Array) -> tuple[list[str], Array]:
    names, numbers = np.unique(words.astype(str), return_inverse=True)
    return [str(name) for name in names], numbers


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
        observers = Observers(trials.only(division.test), chosen.label, _condition_of(trials, chosen))
        return ErrorConsistencyComparison(observers, division, chosen.readout, preparation)


def _condition_of(trials: Trials, settings: ErrorConsistencySettings) -> str | None:
    known = [str(name) for name in (*trials.table.columns, *trials.stimuli.columns)]
    if settings.condition in known:
        return settings.condition
    if settings.condition and "condition" in settings.model_fields_set:
        raise SettingsError(
            f"Neither trials nor stimuli have a column {settings.condition!r} of conditions."
            f"{suggest(settings.condition, known)} Known: {shorten(known, 12)}."
        )
    return None


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

    def resample(self, scores: xr.Dataset, n_draws: int, seed: int) -> tuple[Array, str] | None:
        """Bootstrap over stimuli and observers."""
        if "prediction" not in scores or scores.attrs.get("measure", self.statistic) != self.statistic:
            return None
        seen, n_subjects = self.observers, len(self.observers.subjects)
        counts = draw_counts(self.n_stimuli, n_draws, seed, "stimuli")
        kappa = kappa_with_model(seen.weights, seen.correct, scores["prediction"].values.astype(np.float64), counts)
        drawn = over_participants(seen.by_subject(kappa))  # (n_draws, n_subjects)
        if np.isnan(drawn).all():
            return None
        if n_subjects == 1:
            return drawn[:, 0], "stimuli"
        weights = draw_counts(n_subjects, n_draws, seed, "participants")
        return over_participants(drawn, weights), "stimuli × participants"

    def further(self, scores: xr.Dataset) -> Sequence[str]:
        """As any metric; the ceiling stands beside the value, and conditions are averaged."""
        return [name for name in super().further(scores) if name not in ("ceiling", "kappa_by_condition")]
