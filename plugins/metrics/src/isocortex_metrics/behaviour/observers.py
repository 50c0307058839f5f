"""Answers of observers under conditions, and what two who answer have in common: accuracies, errors, Cohen's kappa.

An answer is a number in [0, 1]: whether it was right, or how probably it is (repeated trials of a stimulus, ties
between a model's outputs).
"""

from __future__ import annotations

import numpy as np

from isocortex.errors import DataError, SettingsError, shorten, suggest
from isocortex.scoring import over_participants
from isocortex.typing import Array
from isocortex_metrics.behaviour.trials import Trials

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


def shares_with_model(
    weights: Array, correct: Array, model: Array, counts: Array | None = None
) -> tuple[Array, Array, Array]:
    """Accuracy of each of several observers, of a model on the same trials, and the share on which both are right.

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
    Three arrays (n_observers,), or (n_draws, n_observers) with counts; NaN where fewer than two stimuli were seen.

    Examples
    --------
    >>> found = shares_with_model(np.ones((1, 4)), np.array([[1.0, 1, 0, 0]]), np.array([1.0, 1, 0, 1]))
    >>> [share.tolist() for share in found]
    [[0.5], [0.75], [0.5]]
    """
    drawn = np.ones((1, weights.shape[1])) if counts is None else counts
    total = drawn @ weights.T
    seen = (drawn > 0).astype(np.float64) @ (weights > 0).T
    divisor = np.where(seen >= _MIN_STIMULI, total, np.nan)
    observer = drawn @ (weights * correct).T / divisor
    of_model = drawn @ (weights * model).T / divisor
    both = drawn @ (weights * correct * model).T / divisor
    return (observer[0], of_model[0], both[0]) if counts is None else (observer, of_model, both)


def kappa_with_model(weights: Array, correct: Array, model: Array, counts: Array | None = None) -> Array:
    """Kappa of a model with each of several observers.

    Parameters
    ----------
    weights, correct, model, counts
        As for ``shares_with_model``.

    Returns
    -------
    (n_observers,), or (n_draws, n_observers) with counts; NaN where κ is undefined or fewer than two stimuli were seen.

    Examples
    --------
    >>> kappa_with_model(np.ones((1, 4)), np.array([[1.0, 1, 0, 0]]), np.array([1.0, 1, 0, 1])).tolist()
    [0.5]
    """
    return cohen_kappa(*shares_with_model(weights, correct, model, counts))


def shares_between(weights: Array, correct: Array) -> tuple[Array, Array, Array]:
    """Accuracies of every two observers and the share on which both are right, over the stimuli that both saw.

    Every pair of their trials of a stimulus counts.

    Parameters
    ----------
    weights, correct
        (n_observers, n_stimuli), as in ``shares_with_model``.

    Returns
    -------
    Three arrays (n_observers, n_observers): accuracy of the row's observer, of the column's, and both; NaN where fewer
    than two stimuli are in common.

    Examples
    --------
    >>> row, column, both = shares_between(np.ones((2, 4)), np.array([[1.0, 1, 0, 0], [1.0, 1, 0, 1]]))
    >>> float(row[0, 1]), float(column[0, 1]), float(both[0, 1])
    (0.5, 0.75, 0.5)
    """
    right = weights * correct
    shown = (weights > 0).astype(np.float64)
    total = np.where(shown @ shown.T >= _MIN_STIMULI, weights @ weights.T, np.nan)
    accuracy = right @ weights.T / total
    return accuracy, accuracy.T, right @ right.T / total


def kappa_between(weights: Array, correct: Array) -> Array:
    """Kappa between every two observers over the stimuli that both saw, every pair of their trials of a stimulus.

    Parameters
    ----------
    weights, correct
        (n_observers, n_stimuli), as in ``shares_with_model``.

    Returns
    -------
    (n_observers, n_observers), symmetric; NaN on the diagonal, where κ is undefined and where fewer than two stimuli
    are in common.

    Examples
    --------
    >>> kappa_between(np.ones((2, 4)), np.array([[1.0, 1, 0, 0], [1.0, 1, 0, 1]])).tolist()
    [[nan, 0.5], [0.5, nan]]
    """
    kappa = cohen_kappa(*shares_between(weights, correct))
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


def condition_column(trials: Trials, column: str, *, given: bool) -> str | None:
    """The column of trials or stimuli that a setting names; None where there is none and it was not asked for.

    Raises
    ------
    SettingsError
        It was asked for, and there is none of that name.
    """
    known = [str(name) for name in (*trials.table.columns, *trials.stimuli.columns)]
    if column in known:
        return column
    if column and given:
        raise SettingsError(
            f"Neither trials nor stimuli have a column {column!r} of conditions."
            f"{suggest(column, known)} Known: {shorten(known, 12)}."
        )
    return None
