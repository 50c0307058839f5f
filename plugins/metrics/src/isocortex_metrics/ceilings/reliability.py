"""Reliability of responses that were recorded several times, and what it bounds."""

from __future__ import annotations

import numpy as np

from isocortex.errors import DataError
from isocortex.typing import Array
from isocortex_metrics.numerics.correlation import signed_square

#: means that vary less than this share of their size are constant, up to rounding
_ROUNDING = 64 * float(np.finfo(np.float64).eps)


def reliability(repetitions: Array, n_averaged: float | None = None) -> Array:
    r"""Reliability of the mean over repetitions: c = m r̄ / (1 + (m − 1) r̄), r̄ the mean correlation between repetitions.

    Parameters
    ----------
    repetitions
        (n_repetitions, n_stimuli, n_neuroids) float64, at least two repetitions.
    n_averaged
        m, how many repetitions the mean holds whose reliability is asked for; default all of them. Where stimuli were
        shown unequally often it is the harmonic mean of the counts, because noise variance goes with 1 / count.

    Returns
    -------
    (n_neuroids,), not clipped: below 0 where repetitions disagree, NaN where a repetition does not vary.
    Spearman 1910; Brown 1910.

    Raises
    ------
    DataError
        Fewer than two repetitions.

    Examples
    --------
    >>> twice = np.array([[[0.0], [1.0], [2.0]], [[0.0], [2.0], [1.0]]])
    >>> reliability(twice).round(6).tolist()  # r = 1/2 between them
    [0.666667]
    """
    n_repetitions = len(repetitions)
    if n_repetitions < 2:
        raise DataError(f"Reliability needs at least 2 repetitions of every stimulus; found {n_repetitions}.")
    centred = repetitions - repetitions.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(centred, axis=1, keepdims=True)
    unit = centred / np.where(norm > 0, norm, np.nan)
    # |Σ z|² over repetitions of unit norm holds every pair twice and each repetition with itself once
    of_sum = (unit.sum(axis=0) ** 2).sum(axis=0)
    mean_r = (of_sum - n_repetitions) / (n_repetitions * (n_repetitions - 1))
    m = float(n_repetitions if n_averaged is None else n_averaged)
    divisor = 1 + (m - 1) * mean_r
    # towards opposite repetitions c goes to minus infinity; rounding must not turn its sign, so it is kept finite
    return m * mean_r / np.where(divisor > 1e-12, divisor, 1.0)


def reliability_of_trials(trials: Array) -> Array:
    r"""Reliability of means over unequally many trials: c_j = 1 − mean_i(s²_j / k_ij) / var_i(ȳ_ij).

    ȳ_ij is neuroid j's mean over its own k_ij trials of stimulus i, var_i is taken over stimuli (n − 1), and s²_j is
    the variance over trials (k − 1), averaged over the stimuli of which the neuroid has two or more.

    Parameters
    ----------
    trials
        (n_trials, n_stimuli, n_neuroids) float64, NaN where a trial is not there; at least one of every stimulus.

    Returns
    -------
    (n_neuroids,), not clipped: below 0 where means vary less than their noise; NaN for a neuroid that has no stimulus
    twice, or whose means do not vary. Memory: two copies of the trials.

    Examples
    --------
    >>> trials = np.array([[[0.0], [4.0], [8.0]], [[2.0], [4.0], [np.nan]]])  # s² = 1, k = 2, 2, 1; means 1, 4, 8
    >>> reliability_of_trials(trials).round(6).tolist()
    [0.945946]
    """
    there = ~np.isnan(trials)
    counts = there.sum(axis=0)
    means = np.where(there, trials, 0.0).sum(axis=0) / counts
    squares = np.where(there, trials - means, 0.0) ** 2
    twice = counts >= 2
    variances = np.where(twice, squares.sum(axis=0) / np.maximum(counts - 1, 1), 0.0)
    n_twice = twice.sum(axis=0)
    noise = np.where(n_twice > 0, variances.sum(axis=0) / np.maximum(n_twice, 1), np.nan)
    spread = means.var(axis=0, ddof=1)
    varies = spread > (_ROUNDING * np.abs(means).max(axis=0)) ** 2
    return 1.0 - noise * (1 / counts).mean(axis=0) / np.where(varies, spread, np.nan)


def unbiased_reliability(c: Array, n_stimuli: int) -> Array:
    r"""Reliability without its bias, 1 − (1 − c) (n − 3) / (n − 1); for sums and means over neuroids.

    An estimated c is too low by 2 (1 − c) / (n − 3) on average: 1 / (1 − c) is a ratio of variances, and follows an F
    distribution with n − 1 degrees of freedom above. Kristof 1963, Psychometrika 28.

    Parameters
    ----------
    c
        As ``reliability`` gives it.
    n_stimuli
        n, more than three.

    Examples
    --------
    >>> unbiased_reliability(np.array([1.0, 0.5, -0.1]), 21).round(6).tolist()
    [1.0, 0.55, 0.01]
    """
    return 1.0 - (1.0 - c) * (n_stimuli - 3) / (n_stimuli - 1)


def ceiling_of_r(c: Array) -> Array:
    """What a perfect model's correlation with the mean response would be: sign(c) √|c|.

    Signed, so that the median over a region without signal is about zero and not the best of its noise.

    Examples
    --------
    >>> ceiling_of_r(np.array([0.25, -0.04])).tolist()
    [0.5, -0.2]
    """
    return np.sign(c) * np.sqrt(np.abs(c))


def noise_corrected(r: Array, c: Array) -> Array:
    """Explained variance that is explainable, neuroid by neuroid: sign(r) r² / c; NaN where c is not above 0.

    Not clipped. Neuroids of small c scatter widely and are too large on average, see ``ratio_by_participant``.

    Examples
    --------
    >>> noise_corrected(np.array([0.5, -0.5, 0.5]), np.array([0.5, 0.5, 0.0])).tolist()
    [0.5, -0.5, nan]
    """
    return signed_square(r) / np.where(c > 0, c, np.nan)


def ratio_by_participant(variance: Array, c: Array, codes: Array) -> Array:
    r"""Explained variance that is explainable, of a participant's neuroids together: Σ variance / Σ c.

    A ratio of aggregates: neuroids without signal add about nothing to either sum, where their own ratios would have no
    bound. c is summed whatever its sign, so that its errors cancel. Not clipped.

    Parameters
    ----------
    variance
        (…, n_neuroids) explained variance of the mean response, sign(r) r² or R², averaged over splits; NaN: nothing is
        known, and the neuroid is taken to be as the others.
    c
        (n_neuroids,) ``unbiased_reliability`` of the mean response; NaN: the neuroid is left out.
    codes
        (n_neuroids,) participant of each neuroid, from 0.

    Returns
    -------
    (…, n_participants); NaN where Σ c is not above 0.

    Examples
    --------
    >>> ratio_by_participant(np.array([0.6, 0.01]), np.array([0.8, -0.02]), np.array([0, 0])).round(3).tolist()
    [0.782]
    """
    known = np.isfinite(c)
    found: list[Array] = []
    for code in range(int(codes.max()) + 1):
        of_code = np.flatnonzero(known & (codes == code))
        values, total = variance[..., of_code], float(c[of_code].sum())
        valid = np.isfinite(values)
        n_valid = valid.sum(axis=-1)
        mean = np.where(valid, values, 0.0).sum(axis=-1) / np.maximum(n_valid, 1)
        found.append(np.where((n_valid > 0) & (total > 0), mean * len(of_code) / (total if total > 0 else 1.0), np.nan))
    return np.stack(found, axis=-1)


def divisors(c: Array, codes: Array) -> Array:
    """Mean reliability of each neuroid's participant, (n_neuroids,); NaN where it is not above 0.

    Examples
    --------
    >>> divisors(np.array([0.25, 0.75, -0.1]), np.array([0, 0, 1])).tolist()
    [0.5, 0.5, nan]
    """
    known = np.isfinite(c)
    count = np.bincount(codes, known)
    mean = np.bincount(codes, np.where(known, c, 0.0)) / np.maximum(count, 1)
    return np.where(mean > 0, mean, np.nan)[codes]
