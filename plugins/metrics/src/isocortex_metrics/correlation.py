"""Pearson correlations of columns, plain and over bootstrap samples, and the reliability of repeated responses."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: predictions that vary less than this share of the responses are null
NULL_SHARE = 1e-10


def pearson(prediction: Array, response: Array) -> tuple[Array, Array]:
    """Correlation of each column, and where there is none to be had.

    A column is null where its prediction varies by less than 1e-10 of the response, or the response not at all; its
    correlation is set to 0.

    Parameters
    ----------
    prediction, response
        (n_stimuli, n_columns) float64.

    Returns
    -------
    r (n_columns,), null (n_columns,) bool.

    Examples
    --------
    >>> r, null = pearson(np.array([[1.0, 5.0], [2.0, 5.0]]), np.array([[3.0, 1.0], [4.0, 2.0]]))
    >>> r.tolist(), null.tolist()
    ([1.0, 0.0], [False, True])
    """
    prediction = prediction - prediction.mean(axis=0)
    response = response - response.mean(axis=0)
    spread_p, spread_r = np.linalg.norm(prediction, axis=0), np.linalg.norm(response, axis=0)
    null = (spread_p < NULL_SHARE * spread_r) | (spread_r == 0)
    product = np.einsum("ij,ij->j", prediction, response)
    return np.where(null, 0.0, product / np.where(null, 1.0, spread_p * spread_r)), null


def weighted_pearson(prediction: Array, response: Array, weights: Array) -> Array:
    """Correlation of each column in each bootstrap sample, (n_draws, n_columns).

    Parameters
    ----------
    prediction, response
        (n_stimuli, n_columns).
    weights
        (n_draws, n_stimuli): how often each stimulus is in each sample.

    Notes
    -----
    Null columns (see ``pearson``) have r = 0; a sample in which a column happens not to vary has NaN. Elsewhere it
    equals the correlation over explicitly repeated rows.
    """
    _, null = pearson(prediction, response)
    total = np.maximum(weights.sum(axis=1, keepdims=True), 1.0)
    prediction = prediction - prediction.mean(axis=0)
    response = response - response.mean(axis=0)
    mean_p, mean_r = weights @ prediction / total, weights @ response / total
    covariance = weights @ (prediction * response) / total - mean_p * mean_r
    variance_p = weights @ prediction**2 / total - mean_p**2
    variance_r = weights @ response**2 / total - mean_r**2
    floor = 1e-12 * (prediction**2).mean(axis=0) * (response**2).mean(axis=0)
    product = variance_p * variance_r
    valid = (product > floor) & (variance_p > 0) & (variance_r > 0)
    r = np.where(valid, covariance / np.sqrt(np.where(valid, product, 1.0)), np.nan)
    return np.where(null, 0.0, r)


def reliability(repetitions: Array) -> Array:
    r"""Reliability of the mean over repetitions: c = m r̄ / (1 + (m − 1) r̄), r̄ the mean correlation between repetitions.

    Parameters
    ----------
    repetitions
        (n_repetitions, n_stimuli, n_neuroids), at least two repetitions.

    Returns
    -------
    (n_neuroids,), not clipped; its square root bounds r. Spearman 1910; Brown 1910.

    Examples
    --------
    >>> y = np.array([[[0.0], [1.0], [2.0]], [[0.0], [1.0], [2.0]]])
    >>> reliability(y).tolist()
    [1.0]
    """
    m = len(repetitions)
    pairs = [pearson(repetitions[i], repetitions[j])[0] for i in range(m) for j in range(i)]
    mean = np.mean(pairs, axis=0)
    divisor = 1 + (m - 1) * mean
    # perfectly opposite repetitions have no finite value; nothing below zero is divided by anyway
    return m * mean / np.where(np.abs(divisor) > 1e-12, divisor, -1.0)
