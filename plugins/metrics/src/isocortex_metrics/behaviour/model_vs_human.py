"""``model-vs-human``: accuracy and consistency of a model with people, over conditions, observers and data sets.

Geirhos et al. 2021, doi:10.48550/arXiv.2106.07411: four numbers for each condition and observer, averaged over the
conditions of a data set, then its observers, then data sets. Answers are as for ``error-consistency``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import Field

from isocortex.activations import Activations
from isocortex.data import Dataset
from isocortex.errors import SettingsError
from isocortex.interfaces import Ceiling, Comparison, MetricPlugin, Preparation, Resampled, check_settings
from isocortex.scoring import by_blocks, draw_counts, over_participants
from isocortex.typing import Array
from isocortex_metrics.behaviour.accuracy import first_choice_credit
from isocortex_metrics.behaviour.error_consistency import ErrorConsistencySettings
from isocortex_metrics.behaviour.observers import (
    Observers,
    cohen_kappa,
    condition_column,
    shares_between,
    shares_with_model,
)
from isocortex_metrics.behaviour.readout import Division, choice_outputs, divide
from isocortex_metrics.behaviour.trials import Trials, trials_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

# --- pure functions ---------------------------------------------------------------------------------------------------


def observed_consistency(first: Array, second: Array, both: Array) -> Array:
    """Share of stimuli on which both are right or both are wrong: c_obs = 1 − p − q + 2 b.

    Parameters
    ----------
    first, second, both
        p, q: the accuracies; b: the share of stimuli on which both are right; any shape.

    Examples
    --------
    >>> float(observed_consistency(np.array(0.5), np.array(0.75), np.array(0.5)))
    0.75
    """
    return 1 - first - second + 2 * both


def squared_difference(first: Array, second: Array, both: Array) -> Array:
    """(p − q)² of two accuracies; how often both are right does not matter.

    Examples
    --------
    >>> float(squared_difference(np.array(0.5), np.array(0.75), np.array(0.5)))
    0.0625
    """
    del both
    return (first - second) ** 2


def _of_second(first: Array, second: Array, both: Array) -> Array:
    """The model's accuracy, where the observer saw something."""
    del both
    return np.where(np.isnan(first), np.nan, second)


#: measure → what it is of an observer's accuracy, the model's, and the share on which both are right
MEASURES: Final[Mapping[str, Callable[[Array, Array, Array], Array]]] = {
    "kappa": cohen_kappa,
    "observed_consistency": observed_consistency,
    "accuracy": _of_second,
    "accuracy_difference": squared_difference,
}
SMALLER_IS_BETTER: Final = frozenset({"accuracy_difference"})
_REFERENCES: Final = {
    "kappa": "mean Cohen's kappa of each observer with the others",
    "observed_consistency": "mean observed consistency of each observer with the others",
    "accuracy": "mean accuracy of the observers",
    "accuracy_difference": "mean squared difference in accuracy of each observer from the others",
}


def with_model(observers: Observers, model: Array, measure: str, counts: Array | None = None) -> Array:
    """A measure of a model for each observer, a mean over conditions.

    Parameters
    ----------
    observers
        Of one data set.
    model
        (n_stimuli,): probability that the model is right.
    measure
        One of ``MEASURES``.
    counts
        (n_draws, n_stimuli): how often each stimulus is in each bootstrap sample; default: each once.

    Returns
    -------
    (n_subjects,), or (n_draws, n_subjects) with counts; NaN where the measure is not defined under any condition.
    """
    shares = shares_with_model(observers.weights, observers.correct, model, counts)
    return over_participants(observers.by_subject(MEASURES[measure](*shares)))


def among_observers(observers: Observers, measure: str) -> Array:
    """A measure of each observer with the others under the same condition, (n_subjects,): mean over others, conditions.

    Of accuracy it is the observer's own.
    """
    if measure == "accuracy":
        return over_participants(observers.by_subject(observers.accuracy()))
    found = np.full(len(observers.subject), np.nan)
    for condition in range(len(observers.conditions)):
        inside = np.flatnonzero(observers.condition == condition)
        values = MEASURES[measure](*shares_between(observers.weights[inside], observers.correct[inside]))
        np.fill_diagonal(values, np.nan)
        found[inside] = over_participants(values)
    return over_participants(observers.by_subject(found))


# --- the metric -------------------------------------------------------------------------------------------------------


class ModelVsHumanSettings(ErrorConsistencySettings):
    """Settings of ``model-vs-human``: those of ``error-consistency``, and data sets."""

    data_set: str = Field(
        default="data_set",
        description="column (of trials or stimuli) of data sets, averaged last; where there is none, all is one",
    )


class ModelVsHuman(MetricPlugin):
    """Error consistency, observed consistency, accuracy and its squared difference from people's."""

    def against(
        self,
        target: Dataset | pd.DataFrame | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Sort the answers by data set, observer and condition, and compare observers; the CPU does it.

        Raises
        ------
        SettingsError, DataError
            Settings that are not valid, or trials without observers, choices or labels.
        """
        del device, seed
        chosen = check_settings(ModelVsHumanSettings, settings, self.card.id)
        trials = trials_of(target, self.card.id)
        division = divide(trials, chosen.readout)
        return ModelVsHumanComparison(trials.only(division.test), division, chosen, preparation)


class ModelVsHumanComparison(Comparison):
    """A model's answers against those of the observers of one or several data sets.

    Memory: two numbers for each observer under each condition and stimulus of a data set, and while the interval is
    drawn ``n_draws`` numbers for each stimulus of one data set.

    Parameters
    ----------
    trials
        Of the tested stimuli.
    division
        Which stimuli are tested, and which a readout is fitted on.
    settings
        Which columns there are, and how choices are made.
    preparation
        As for ``Comparison``.
    """

    statistic = "kappa"
    smaller_is_better = SMALLER_IS_BETTER
    ceiling_modes = ()
    aggregates = ("median-mean",)

    def __init__(
        self,
        trials: Trials,
        division: Division,
        settings: ModelVsHumanSettings,
        preparation: Preparation = Preparation(),
    ) -> None:
        super().__init__(preparation)
        self.division, self.readout, self.warnings = division, settings.readout, division.warnings
        self.n_stimuli = len(division.test)
        self.labels = trials.of_stimuli(settings.label)
        condition = condition_column(trials, settings.condition, given="condition" in settings.model_fields_set)
        column = condition_column(trials, settings.data_set, given="data_set" in settings.model_fields_set)
        names = np.array(trials.of_stimuli(column) if column else [""] * len(self.labels))
        self.data_sets = [str(name) for name in np.unique(names)]
        self.places = [np.flatnonzero(names == name) for name in self.data_sets]
        ids = np.array(trials.ids, dtype=object)
        self.observers = [Observers(trials.only(ids[places]), settings.label, condition) for places in self.places]
        self.subjects = [
            f"{name}/{subject}" if name else subject
            for name, observers in zip(self.data_sets, self.observers, strict=True)
            for subject in observers.subjects
        ]
        self.data_set = np.repeat(np.arange(len(self.data_sets)), [len(one.subjects) for one in self.observers])
        self.references = {
            measure: np.concatenate([among_observers(one, measure) for one in self.observers]) for measure in MEASURES
        }
        self.ceiling = self._reference(self.rules.measure or self.statistic)

    def _reference(self, measure: str) -> Ceiling | None:
        """What people have of a measure among themselves: shown beside the value, and no divisor."""
        if measure not in MEASURES:
            raise SettingsError(f"This metric has no measure {measure!r}. It has {', '.join(MEASURES)}.")
        value = float(self._over_data_sets(self.references[measure]))
        return Ceiling(_REFERENCES[measure], measure, value) if np.isfinite(value) else None

    def _by_data_set(self, values: Array) -> Array:
        """(…, n_subjects) → (…, n_data_sets): means over the observers of each."""
        numbers = range(len(self.data_sets))
        return np.stack([over_participants(values[..., self.data_set == number]) for number in numbers], axis=-1)

    def _over_data_sets(self, values: Array) -> Array:
        return over_participants(self._by_data_set(values))

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Compare the answers of one layer with those of every observer.

        The answer to a stimulus is the choice whose unit has the largest output; between ties it is drawn at random,
        and the expectation over the draws is scored.

        Returns
        -------
        kappa, observed_consistency, accuracy (of the model on the observer's trials), accuracy_difference (squared),
        the same of observers among themselves as human_…, null (kappa is undefined under every condition: NaN), all
        ("subject",) and means over conditions; …_by_data_set ("data_set",); prediction ("stimulus",): probability that
        the model is right.

        Raises
        ------
        AlignmentError
            A stimulus has no activations.
        DataError
            Units that are not named after the labels.
        """
        import xarray as xr

        layer = activations if isinstance(activations, Activations) else Activations.from_xarray(activations)
        model = first_choice_credit(choice_outputs(layer, self.division, self.readout), self.labels)
        found: dict[str, Any] = {}
        for measure in MEASURES:
            values = np.concatenate(
                [
                    with_model(observers, model[places], measure)
                    for observers, places in zip(self.observers, self.places, strict=True)
                ]
            )
            found[measure] = ("subject", values)
            found[f"human_{measure}"] = ("subject", self.references[measure])
            found[f"{measure}_by_data_set"] = ("data_set", self._by_data_set(values))
        found["null"] = ("subject", np.isnan(found["kappa"][1]))
        found["prediction"] = ("stimulus", model)
        coordinates = {
            "subject": self.subjects,
            "data_set": self.data_sets,
            "stimulus_id": ("stimulus", list(self.division.test)),
        }
        return xr.Dataset(found, coords=coordinates, attrs={"layer": layer.layer, "target": "participant"})

    def score_all(self, layers: Mapping[str, Activations]) -> xr.Dataset:
        """Score layers one by one; the best is the one with the largest value.

        Raises
        ------
        SettingsError
            Several layers, and a measure of which a smaller value is the better one.
        """
        if self.rules.measure in self.smaller_is_better and len(layers) > 1:
            raise SettingsError(
                f"Of {self.rules.measure!r} a smaller value is the better one, and no layer is chosen by it; "
                f"{len(layers)} were given. Pick one with --layers."
            )
        return super().score_all(layers)

    def collapse(self, values: xr.DataArray, measure: str) -> xr.DataArray:
        """Mean over the observers of each data set, then over data sets."""
        del measure
        if "subject" not in values.dims:
            return values
        import xarray as xr

        last = values.transpose(..., "subject")
        kept = {name: item for name, item in last.coords.items() if "subject" not in item.dims}
        return xr.DataArray(self._over_data_sets(last.values), dims=last.dims[:-1], coords=kept)

    def resample(self, scores: xr.Dataset, n_draws: int, seed: int) -> Resampled | None:
        """Bootstrap over the stimuli and the observers of each data set."""
        measure = str(scores.attrs.get("measure", self.statistic))
        if "prediction" not in scores or measure not in MEASURES:
            return None
        model = scores["prediction"].values.astype(np.float64)
        drawn = [
            self._draws(number, model[places], measure, n_draws, seed) for number, places in enumerate(self.places)
        ]
        if np.isnan(drawn).all():
            return None
        several = max(len(observers.subjects) for observers in self.observers) > 1
        what = "stimuli × participants" if several else "stimuli"
        return Resampled(over_participants(np.stack(drawn, axis=-1)), what)

    def _draws(self, number: int, model: Array, measure: str, n_draws: int, seed: int) -> Array:
        """(n_draws,) of one data set; those of another with as many stimuli are independent of them."""
        observers, name = self.observers[number], self.data_sets[number]
        counts = draw_counts(len(model), n_draws, seed, f"stimuli {name}".strip())
        values = by_blocks(lambda some: with_model(observers, model, measure, some), counts)
        n_subjects = len(observers.subjects)
        if n_subjects == 1:
            return values[:, 0]
        return over_participants(values, draw_counts(n_subjects, n_draws, seed, f"participants {name}".strip()))

    def further(self, scores: xr.Dataset) -> Sequence[str]:
        """The other measures, and those of observers among themselves; data sets are no measures."""
        own = f"human_{scores.attrs['measure']}"  # it stands beside the value
        return [name for name in super().further(scores) if name != own and not name.endswith("_by_data_set")]
