"""Reliability from random split halves: what bounds the correlation with a mean response by its own noise."""

from __future__ import annotations

import numpy as np

from isocortex.errors import DataError, SettingsError, shorten
from isocortex.typing import Array

#: columns that vary less than this share of their size are constant, up to rounding
_ROUNDING = 64 * float(np.finfo(np.float64).eps)


def spearman_brown(r: Array | float, n: Array | float) -> Array:
    r"""Reliability of the mean of n measurements from that of one: n r / (1 + (n − 1) r).

    Parameters
    ----------
    r
        Any shape: correlation of two single measurements (for halves: of two halves, n = 2).
    n
        How many times more is averaged; one number, or one for each r.

    Returns
    -------
    Same shape, not clipped; NaN where 1 + (n − 1) r is not above 0, because beyond that point the formula turns
    positive again. Spearman 1910, Brown 1910, British Journal of Psychology 3.

    Raises
    ------
    SettingsError
        n is not above 0.

    Examples
    --------
    >>> spearman_brown(np.array([0.5, -0.6]), 3).tolist()
    [0.75, nan]
    """
    if not np.all(np.asarray(n) > 0):
        raise SettingsError(f"Spearman-Brown needs a positive number of measurements; found n = {n}.")
    r = np.asarray(r, dtype=np.float64)
    divisor = 1 + (n - 1) * r
    return n * r / np.where(divisor > 0, divisor, np.nan)


def column_correlation(first: Array, second: Array) -> Array:
    """Pearson correlation of each column, NaN where one does not vary.

    Parameters
    ----------
    first, second
        (n_stimuli, n_neuroids) float64.

    Examples
    --------
    >>> column_correlation(np.array([[1.0, 1.0], [2.0, 1.0]]), np.array([[4.0, 1.0], [2.0, 2.0]])).round(12).tolist()
    [-1.0, nan]
    """
    return np.clip(np.einsum("ij,ij->j", unit_columns(first), unit_columns(second)), -1.0, 1.0)


def unit_columns(values: Array) -> Array:
    """Columns centred, of length 1; NaN where constant."""
    mean = values.mean(axis=-2, keepdims=True)
    centred = values - mean
    constant = np.abs(centred).max(axis=-2, keepdims=True) <= _ROUNDING * np.abs(mean)
    return centred / np.where(constant, np.nan, np.linalg.norm(centred, axis=-2, keepdims=True))


# --- halves -----------------------------------------------------------------------------------------------------------


def half_correlations(responses: Array, stimuli: Array, n_halvings: int = 100, seed: int = 0) -> Array:
    """Correlation over stimuli between means of two random halves of the repetitions, for each halving.

    Every stimulus is halved by itself: of its k presentations ⌊k/2⌋ go to either half; of an odd number one, drawn
    anew each time, is left out. Where trials are missing for some neuroids, each neuroid's own trials are halved.

    Parameters
    ----------
    responses
        (n_presentations, n_neuroids), NaN where a trial is not there.
    stimuli
        (n_presentations,): the stimulus of each, as names or numbers; any order, any number of times from two on.
    n_halvings
        How often halves are drawn.
    seed
        Draws them.

    Returns
    -------
    (n_halvings, n_neuroids), NaN where a half does not vary. Memory beyond it: one copy of the responses, with gaps
    six.

    Raises
    ------
    DataError
        A neuroid with fewer than two trials of a stimulus, fewer than two stimuli, or responses that do not fit or are
        infinite.
    SettingsError
        No halvings.

    Examples
    --------
    >>> twice = np.array([[0.0], [1.0], [2.0], [0.0], [1.0], [2.0]])
    >>> half_correlations(twice, np.array(["a", "b", "c", "a", "b", "c"]), n_halvings=2).round(12).tolist()
    [[1.0], [1.0]]
    """
    if n_halvings < 1:
        raise SettingsError(f"n_halvings must be at least 1; found {n_halvings}.")
    values, codes, counts = _checked(responses, stimuli)
    half = counts // 2
    if counts.ndim == 2:
        return _of_own_trials(values, codes, counts, n_halvings, seed)
    starts, begins = np.cumsum(counts) - counts, np.cumsum(half) - half
    grouped = np.repeat(np.arange(len(counts)), counts)
    stream = np.random.default_rng([seed, *b"halves"])
    found = np.empty((n_halvings, values.shape[1]))
    for number in range(n_halvings):
        order = np.lexsort((stream.random(len(codes)), codes))  # by stimulus, at random within each
        place = np.arange(len(codes)) - starts[grouped]
        sides = (place < half[grouped], (place >= half[grouped]) & (place < 2 * half[grouped]))
        first, second = (np.add.reduceat(values[order[side]], begins, axis=0) / half[:, None] for side in sides)
        found[number] = column_correlation(first, second)
    return found


def _of_own_trials(values: Array, codes: Array, counts: Array, n_halvings: int, seed: int) -> Array:
    """As ``half_correlations``, for counts (n_stimuli, n_neuroids): one order of the trials is drawn for all neuroids,
    and each takes its own first and second ⌊k/2⌋ in it.
    """
    there = ~np.isnan(values)
    values, half = np.where(there, values, 0.0), counts // 2
    grouped = np.sort(codes)
    starts = np.searchsorted(grouped, np.arange(len(counts)))
    before = (np.cumsum(counts, axis=0) - counts)[grouped]
    stream = np.random.default_rng([seed, *b"halves"])
    found = np.empty((n_halvings, values.shape[1]))
    for number in range(n_halvings):
        order = np.lexsort((stream.random(len(codes)), codes))
        place = np.cumsum(there[order], axis=0) - 1 - before
        sides = (place < half[grouped], (place >= half[grouped]) & (place < 2 * half[grouped]))
        means = (
            np.add.reduceat(np.where(side & there[order], values[order], 0.0), starts, axis=0) / half for side in sides
        )
        found[number] = column_correlation(*means)
    return found


def _checked(responses: Array, stimuli: Array) -> tuple[Array, Array, Array]:
    """Responses as float64, number of each presentation's stimulus, and how many trials there are of each stimulus:
    (n_stimuli,), or with gaps (n_stimuli, n_neuroids).
    """
    values = np.asarray(responses, dtype=np.float64)
    names, codes, counts = np.unique(np.asarray(stimuli), return_inverse=True, return_counts=True)
    if values.ndim != 2 or len(values) != len(codes):
        raise DataError(
            f"Split halves need responses (n_presentations, n_neuroids) and a stimulus for each presentation; found "
            f"{values.shape} and {len(codes)}."
        )
    if np.isinf(values).any():
        raise DataError("Split halves need responses that are finite; found infinite values. Leave them out.")
    gone = np.isnan(values)
    if gone.any():
        counts = np.zeros((len(names), values.shape[1]), dtype=np.intp)
        np.add.at(counts, codes, ~gone)
    if len(names) < 2 or counts.min(initial=2) < 2:
        bad = counts.reshape(len(names), -1).min(axis=1) < 2
        once = shorten(names[bad]) or "none"
        raise DataError(
            f"Split halves need at least 2 stimuli, each shown at least twice to every neuroid; found {len(names)} "
            f"stimuli, of which {int(bad.sum())} were shown less often: {once}. Without repetitions there is no such "
            "ceiling."
        )
    return values, codes, counts


def split_half_reliability(responses: Array, stimuli: Array, n_halvings: int = 100, seed: int = 0) -> Array:
    r"""Reliability of each neuroid's mean over all repetitions, from random halves.

    c = n r̄ / (1 + (n − 1) r̄), r̄ the mean of ``half_correlations`` and n how much less noise variance the mean over all
    presentations has than that over one half: n = mean(1/⌊k/2⌋) / mean(1/k) over stimuli shown k times; 2 where all k
    are even; with gaps k is each neuroid's own. The mean is taken before the formula, which is not linear and runs to
    −∞ for halves that disagree.

    Parameters
    ----------
    responses, stimuli, n_halvings, seed
        As ``half_correlations``.

    Returns
    -------
    (n_neuroids,), not clipped: below 0 where halves disagree, NaN where a half does not vary.

    Raises
    ------
    DataError, SettingsError
        As ``half_correlations``.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(4, 500, 1))
    >>> signal = np.random.default_rng(1).normal(size=(500, 1))
    >>> found = split_half_reliability((signal + noise).reshape(-1, 1), np.tile(np.arange(500), 4))
    >>> bool(abs(found[0] - 4 / 5) < 0.05)  # variance of the signal 1, of the mean of four noises 1/4
    True
    """
    mean_r = half_correlations(responses, stimuli, n_halvings, seed).mean(axis=0)
    counts = _checked(responses, stimuli)[2]
    return spearman_brown(mean_r, np.mean(1 / (counts // 2), axis=0) / np.mean(1 / counts, axis=0))
