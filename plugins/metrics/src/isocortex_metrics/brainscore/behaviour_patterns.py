"""Patterns of behaviour, stimulus by distractor, and how alike two of them are: pure functions on arrays.

After Rajalingham et al. 2018, J. Neurosci. 38(33), and Schrimpf et al. 2018, doi:10.1101/407007: false-alarm rates are
means over the stimuli of an object, and a model is one fixed matrix of probabilities.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from isocortex.typing import Array

#: d' is clipped to ± this
CAP = 5.0
N_HALVINGS = 2
#: standard deviation, in units of d', below which a pattern does not vary
FLAT = 1e-10


def halvings(n_trials: int) -> Iterator[tuple[Array, Array]]:
    """Two random halvings of the trials, as published: the trials' places are shuffled anew by one stream, seed 0.

    The first half holds floor(n_trials / 2) trials. Halves depend on the order of the trials.

    Examples
    --------
    >>> [[half.tolist() for half in halves] for halves in halvings(4)]
    [[[2, 3], [1, 0]], [[0, 2], [1, 3]]]
    """
    stream = np.random.RandomState(0)
    for _ in range(N_HALVINGS):
        places = np.arange(n_trials)
        stream.shuffle(places)
        yield places[: n_trials // 2], places[n_trials // 2 :]


def rates_of_probabilities(probabilities: Array, truth: Array) -> Array:
    """Probability of picking the distractor out of two: m_ic = P_c / (P_c + P_t), t the object of stimulus i.

    Parameters
    ----------
    probabilities
        (n_stimuli, n_choices) float64, not negative.
    truth
        (n_stimuli,), number of the stimulus's object among the choices.

    Returns
    -------
    (n_stimuli, n_choices); NaN for c = t, and where both probabilities are 0.

    Examples
    --------
    >>> rates_of_probabilities(np.array([[0.6, 0.2, 0.2]]), np.array([0])).tolist()
    [[nan, 0.25, 0.25]]
    """
    of_truth = np.take_along_axis(probabilities, truth[:, None], axis=1)  # (n_stimuli, 1)
    total = probabilities + of_truth
    rates = probabilities / np.where(total > 0, total, np.nan)
    np.put_along_axis(rates, truth[:, None], np.nan, axis=1)
    return rates


def rates_of_trials(stimulus: Array, distractor: Array, choice: Array, truth: Array, n_choices: int) -> Array:
    """Share of the trials of stimulus i with distractor c in which c was chosen.

    Parameters
    ----------
    stimulus, distractor, choice
        (n_trials,), numbers of stimuli and choices.
    truth
        (n_stimuli,), as in ``rates_of_probabilities``.
    n_choices
        How many choices there are.

    Returns
    -------
    (n_stimuli, n_choices); NaN for c = t and where c was never the distractor.

    Examples
    --------
    >>> rates_of_trials(np.array([0, 0]), np.array([1, 1]), np.array([1, 0]), np.array([0]), 3).tolist()
    [[nan, 0.5, nan]]
    """
    shape = (len(truth), n_choices)
    n_cells = len(truth) * n_choices
    offered = np.bincount(stimulus * n_choices + distractor, minlength=n_cells).reshape(shape)
    chosen = np.bincount(stimulus * n_choices + choice, minlength=n_cells).reshape(shape)
    rates = chosen / np.where(offered > 0, offered, np.nan)
    np.put_along_axis(rates, truth[:, None], np.nan, axis=1)
    return rates


def dprime(rates: Array, truth: Array) -> Array:
    """Sensitivity of every stimulus against every distractor: d'_ic = z(1 − m_ic) − z(F_ct), clipped to [−5, 5].

    F_ct is the mean, over the stimuli of object c, of the rate at which t was chosen; NaN are left out of it.

    Parameters
    ----------
    rates
        (n_stimuli, n_choices), NaN where undefined.
    truth
        (n_stimuli,).

    Returns
    -------
    (n_stimuli, n_choices); NaN where m or F is, where no stimulus is of object c, and where both z are infinite of one
    sign (a stimulus never recognised against an object that is never taken for its own).

    Examples
    --------
    >>> dprime(np.array([[np.nan, 0.0], [0.5, np.nan]]), np.array([0, 1])).tolist()
    [[nan, 5.0], [5.0, nan]]
    """
    from scipy.special import ndtri

    false_alarms = _mean_by_object(rates, truth)[:, truth].T  # (n_stimuli, n_choices): F_ct of each stimulus's t
    with np.errstate(invalid="ignore"):
        return np.clip(ndtri(1 - rates) - ndtri(false_alarms), -CAP, CAP)


def normalised(pattern: Array, truth: Array) -> Array:
    """Subtract, for every pair of object and distractor, the mean over the stimuli of the object ("n" of i2n).

    Examples
    --------
    >>> normalised(np.array([[np.nan, 1.0], [np.nan, 3.0]]), np.array([0, 0])).tolist()
    [[nan, -1.0], [nan, 1.0]]
    """
    return pattern - _mean_by_object(pattern, truth)[truth]


def over_distractors(pattern: Array) -> Array:
    """Mean over the distractors, (n_stimuli, n_choices) → (n_stimuli,); NaN are left out ("1" of i1).

    Examples
    --------
    >>> over_distractors(np.array([[np.nan, 1.0, 2.0]])).tolist()
    [1.5]
    """
    return _mean(pattern, axis=1)


def consistency(first: Array, second: Array) -> float:
    """Pearson correlation over the entries that both patterns have; NaN where one of them does not vary over these.

    Examples
    --------
    >>> round(consistency(np.array([1.0, 2.0, np.nan]), np.array([2.0, 3.0, 1.0])), 6)
    1.0
    """
    common = np.isfinite(first) & np.isfinite(second)
    x, y = first[common], second[common]
    if not (has_spread(x) and has_spread(y)):
        return float("nan")
    x, y = x - x.mean(), y - y.mean()
    return float((x / np.linalg.norm(x)) @ (y / np.linalg.norm(y)))


def has_spread(values: Array) -> bool:
    """Whether entries of a pattern differ by more than rounding.

    Examples
    --------
    >>> has_spread(np.array([0.0, 1e-15, 0.0])), has_spread(np.array([0.0, 0.1]))
    (False, True)
    """
    return len(values) > 1 and float(np.std(values)) > FLAT


def _mean_by_object(values: Array, truth: Array) -> Array:
    """(n_choices, n_choices): row c is the mean over the stimuli of object c, NaN left out."""
    found = np.full((values.shape[1], values.shape[1]), np.nan)
    for code in np.unique(truth):
        found[code] = _mean(values[truth == code], axis=0)
    return found


def _mean(values: Array, axis: int) -> Array:
    """Mean without NaN; NaN where there is nothing."""
    there = ~np.isnan(values)
    count = there.sum(axis=axis)
    return np.where(there, values, 0.0).sum(axis=axis) / np.where(count > 0, count, np.nan)
