"""``accuracy``: how often is the true label of a stimulus the model's first choice, or among its first five?

Ties between outputs are broken at random and the expectation is scored, so that a model whose outputs are all equal is
at chance, whatever the order of its units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from isocortex.activations import Activations
from isocortex.data import Dataset
from isocortex.errors import DataError, shorten
from isocortex.interfaces import Comparison, MetricPlugin, Preparation, Resampled, check_settings
from isocortex.scoring import by_blocks, draw_counts
from isocortex.typing import Array
from isocortex_metrics.behaviour.readout import ChoiceOutputs, Division, ReadoutSettings, choice_outputs, divide
from isocortex_metrics.behaviour.trials import Trials, trials_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


_Z = 1.959963984540054  # 97.5 % of the normal distribution


# --- pure functions ---------------------------------------------------------------------------------------------------


def top_k_credit(outputs: Array, label: Array, k: int = 1) -> Array:
    """Probability that the label is among the k largest outputs, ties broken at random.

    With g outputs larger than the label's and e equal to it (itself included): min(max((k − g) / e, 0), 1).

    Parameters
    ----------
    outputs
        (n_stimuli, n_choices).
    label
        (n_stimuli,): column of the true label.
    k
        How many choices count.

    Returns
    -------
    (n_stimuli,) in [0, 1].

    Examples
    --------
    >>> top_k_credit(np.array([[3.0, 1.0, 2.0], [1.0, 1.0, 0.0]]), np.array([0, 1])).tolist()
    [1.0, 0.5]
    """
    of_label = np.take_along_axis(outputs, label[:, None], axis=1)
    larger = (outputs > of_label).sum(axis=1)
    equal = (outputs == of_label).sum(axis=1)
    return np.clip((k - larger) / equal, 0.0, 1.0)


def confusion(outputs: Array, truth: Array, n_labels: int) -> Array:
    """How often each choice is the first for each label, (n_labels, n_choices); ties share a stimulus equally.

    Parameters
    ----------
    outputs
        (n_stimuli, n_choices).
    truth
        (n_stimuli,): number of the label, 0 … n_labels − 1.
    n_labels
        How many labels there are.

    Examples
    --------
    >>> confusion(np.array([[3.0, 1.0], [1.0, 1.0]]), np.array([0, 1]), 2).tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    first = outputs == outputs.max(axis=1, keepdims=True)
    matrix = np.zeros((n_labels, outputs.shape[1]))
    np.add.at(matrix, truth, first / first.sum(axis=1, keepdims=True))
    return matrix


def wilson(share: float, n: int) -> tuple[float, float]:
    """95 % score interval of a share of n independent stimuli; never of no width, at 0 and 1 neither.

    (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n). Wilson 1927, J. Am. Stat. Assoc. 22.

    Examples
    --------
    >>> tuple(round(bound, 3) for bound in wilson(1.0, 20))
    (0.839, 1.0)
    """
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    spread = _Z * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return max(float(centre - spread), 0.0), min(float(centre + spread), 1.0)


def first_choice_credit(outputs: ChoiceOutputs, labels: Sequence[str]) -> Array:
    """Probability that the true label is a model's first choice, (n_stimuli,), for outputs that come in blocks.

    Raises
    ------
    DataError
        A label that no unit is named after.
    """
    label = _label_columns(outputs, labels)
    return np.concatenate([top_k_credit(rows, label[part]) for part, rows in outputs.blocks()])


def _label_columns(outputs: ChoiceOutputs, labels: Sequence[str]) -> Array:
    """Column of each stimulus's label."""
    names = sorted(set(labels))
    column = dict(zip(names, outputs.columns(names), strict=True))
    return np.array([column[name] for name in labels], dtype=np.intp)


# --- the metric -------------------------------------------------------------------------------------------------------


class AccuracySettings(BaseModel):
    """Settings of ``accuracy``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    label: str = Field(default="truth", description="column of stimuli or trials with the true label")
    top: int = Field(default=5, ge=2, description="also count labels among this many first choices")
    readout: ReadoutSettings | None = Field(
        default=None, description="fit probabilities of the labels on features; default: units are the labels"
    )


class Accuracy(MetricPlugin):
    """Share of stimuli whose true label is the model's choice."""

    def against(
        self,
        target: Dataset | pd.DataFrame | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Look up the labels, and how often people were right; the CPU does it, whatever the device.

        Raises
        ------
        SettingsError, DataError
            Settings that are not valid, or stimuli without a label.
        """
        del device, seed
        chosen = check_settings(AccuracySettings, settings, self.card.id)
        trials = trials_of(target, self.card.id)
        division = divide(trials, chosen.readout)
        return AccuracyComparison(trials.only(division.test), division, chosen, preparation)


class AccuracyComparison(Comparison):
    """A model's choices against the labels of stimuli.

    Parameters
    ----------
    trials
        Of the tested stimuli.
    division
        Which stimuli are tested, and which a readout is fitted on.
    settings
        Which labels, and how choices are made.
    preparation
        As for ``Comparison``.
    """

    statistic = "accuracy"
    aggregates = ("median-mean",)

    def __init__(
        self,
        trials: Trials,
        division: Division,
        settings: AccuracySettings,
        preparation: Preparation = Preparation(),
    ) -> None:
        super().__init__(preparation)
        self.division = division
        self.warnings = division.warnings
        self.settings = settings
        self.labels = trials.of_stimuli(settings.label)
        self.n_stimuli = len(self.labels)
        self.human_accuracy = _human_accuracy(trials, self.labels) if trials.has("choice") else None

    @property
    def top_measure(self) -> str:
        """Name of the second measure, ``top5`` by default."""
        return f"top{self.settings.top}"

    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Count one layer's right choices.

        Returns
        -------
        accuracy (), top5 () (named after ``top``; NaN where there are no more choices than that), human_accuracy ()
        where the trials have choices; confusion ("truth", "choice"): numbers of stimuli, for the labels that occur and
        all units, both sorted; prediction ("stimulus",): probability that the model is right.

        Raises
        ------
        AlignmentError
            A stimulus has no activations.
        DataError
            A label that no unit is named after.
        """
        import xarray as xr

        layer = activations if isinstance(activations, Activations) else Activations.from_xarray(activations)
        outputs = choice_outputs(layer, self.division, self.settings.readout)
        credit, top, matrix = self._counted(outputs)
        found: dict[str, Any] = {"accuracy": ((), float(credit.mean())), self.top_measure: ((), top)}
        if self.human_accuracy is not None:
            found["human_accuracy"] = ((), self.human_accuracy)
        order = np.argsort(np.array(outputs.names))
        found["confusion"] = (("truth", "choice"), matrix[:, order])
        found["prediction"] = ("stimulus", credit)
        coordinates = {
            "truth": sorted(set(self.labels)),
            "choice": [outputs.names[place] for place in order],
            "stimulus_id": ("stimulus", list(self.division.test)),
        }
        return xr.Dataset(found, coords=coordinates, attrs={"layer": layer.layer, "target": "pooled"})

    def _counted(self, outputs: ChoiceOutputs) -> tuple[Array, float, Array]:
        """Credit of every stimulus, top-k accuracy and the confusion matrix, in one pass."""
        label, n_choices, k = _label_columns(outputs, self.labels), len(outputs.names), self.settings.top
        names = sorted(set(self.labels))
        number = {name: place for place, name in enumerate(names)}
        truth = np.array([number[name] for name in self.labels], dtype=np.intp)
        credit, among = np.empty((2, self.n_stimuli))
        matrix = np.zeros((len(names), n_choices))
        for part, rows in outputs.blocks():
            credit[part] = top_k_credit(rows, label[part])
            among[part] = top_k_credit(rows, label[part], k)
            matrix += confusion(rows, truth[part], len(names))
        return credit, float(among.mean()) if n_choices > k else float("nan"), matrix

    def score_all(self, layers: Mapping[str, Activations]) -> xr.Dataset:
        """Score layers one by one; without a readout their units must have the same names.

        Raises
        ------
        DataError
            They have not, so that their confusion matrices do not fit each other.
        """
        names = {name: frozenset(map(str, layer.units or ())) for name, layer in layers.items()}
        if self.settings.readout is None and len(set(names.values())) > 1:
            raise DataError(
                f"The layers {shorten(names)} have units of different names. Score them separately (--layers), or set "
                "readout = {} to fit a readout of their features."
            )
        return super().score_all(layers)

    def resample(self, scores: xr.Dataset, n_draws: int, seed: int) -> Resampled | None:
        """Bootstrap over stimuli."""
        if "prediction" not in scores or scores.attrs.get("measure", self.statistic) != self.statistic:
            return None
        counts = draw_counts(self.n_stimuli, n_draws, seed, "stimuli")
        credit = scores["prediction"].values.astype(np.float64)
        return Resampled(by_blocks(lambda some: some @ credit / self.n_stimuli, counts), "stimuli")

    def further(self, scores: xr.Dataset) -> Sequence[str]:
        """As any metric; the confusion matrix is no measure."""
        return [name for name in super().further(scores) if name != "confusion"]

    def bounds(self, value: float, measure: str) -> tuple[float, float, str] | None:
        """Wilson's interval of a share of right choices."""
        return (*wilson(value, self.n_stimuli), "stimuli") if measure in (self.statistic, self.top_measure) else None


def _human_accuracy(trials: Trials, labels: Sequence[str]) -> float:
    """Share of right choices, a mean over participants where they are known."""
    right = trials.column("choice") == np.array(labels, dtype=object)[trials.rows]
    if not trials.has("subject"):
        return float(right.mean())
    _, subject = np.unique(trials.column("subject").astype(str), return_inverse=True)
    return float((np.bincount(subject, weights=right) / np.bincount(subject)).mean())
