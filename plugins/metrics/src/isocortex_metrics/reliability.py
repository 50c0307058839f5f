"""Reliability of responses that were recorded several times, and what it bounds."""

from __future__ import annotations

from typing import Any

import numpy as np

from isocortex.errors import DataError

Array = np.ndarray[Any, Any]


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
    """Explained variance that is explainable: sign(r) r² / c; NaN where c is not above 0. Not clipped.

    Examples
    --------
    >>> noise_corrected(np.array([0.5, -0.5, 0.5]), np.array([0.5, 0.5, 0.0])).tolist()
    [0.5, -0.5, nan]
    """
    return np.sign(r) * r**2 / np.where(c > 0, c, np.nan)
