"""Pearson correlations of columns, plain and over bootstrap samples of the stimuli."""

from __future__ import annotations

import numpy as np

from isocortex.typing import Array
from isocortex_metrics.numerics.threads import few_threads

#: predictions that vary less than this share of the responses are null
NULL_SHARE = 1e-10
#: columns that vary less than this share of their size are constant, up to rounding
ROUNDING = 64 * float(np.finfo(np.float64).eps)
#: a bootstrap sample in which a column keeps less than this share of its variance holds one value over and over
_SAMPLE_FLOOR = 1e-12


def pearson(prediction: Array, response: Array) -> tuple[Array, Array]:
    r"""Correlation of each column, r = Σ (p − p̄)(y − ȳ) / √(Σ (p − p̄)² Σ (y − ȳ)²), and where there is none to be had.

    A column is null where its prediction varies by less than 1e-10 of the response, or the response does not vary; its
    correlation is set to 0.

    Parameters
    ----------
    prediction, response
        (n_stimuli, n_columns) float64.

    Returns
    -------
    r (n_columns,), signed; null (n_columns,) bool.

    Examples
    --------
    >>> r, null = pearson(np.array([[1.0, 5.0], [2.0, 5.0]]), np.array([[3.0, 1.0], [4.0, 2.0]]))
    >>> r.round(12).tolist(), null.tolist()
    ([1.0, 0.0], [False, True])
    """
    unit_p, unit_r, null = unit_columns(prediction, response)
    r = np.einsum("ij,ij->j", unit_p, unit_r)
    return np.where(null, 0.0, np.clip(r, -1.0, 1.0)), null


def weighted_pearson(prediction: Array, response: Array, weights: Array) -> Array:
    """Correlation of each column in each bootstrap sample, by a few matrix products.

    Equals the correlation over rows repeated as often as the weights say.

    Parameters
    ----------
    prediction, response
        (n_stimuli, n_columns) float64.
    weights
        (n_draws, n_stimuli): how often each stimulus is in each sample.

    Returns
    -------
    (n_draws, n_columns). Null columns (see ``pearson``) have r = 0 in every sample; NaN where a sample happens to hold
    one value of a column over and over. Memory: about six times the result.

    Examples
    --------
    >>> p, y = np.array([[0.0], [1.0], [5.0]]), np.array([[0.0], [2.0], [1.0]])
    >>> weighted_pearson(p, y, np.array([[3.0, 2.0, 0.0], [5.0, 0.0, 0.0]])).round(12).tolist()
    [[1.0], [nan]]
    """
    unit_p, unit_r, null = unit_columns(prediction, response)
    total = np.maximum(weights.sum(axis=1, keepdims=True), 1.0)
    share = weights / total
    with few_threads(len(unit_p)):
        mean_p, mean_r = share @ unit_p, share @ unit_r
        variance_p = share @ unit_p**2 - mean_p**2
        variance_r = share @ unit_r**2 - mean_r**2
        covariance = share @ (unit_p * unit_r) - mean_p * mean_r
    valid = (variance_p > _SAMPLE_FLOOR / len(unit_p)) & (variance_r > _SAMPLE_FLOOR / len(unit_p))
    spread = np.sqrt(np.where(valid, variance_p * variance_r, 1.0))
    return np.where(null, 0.0, np.where(valid, np.clip(covariance / spread, -1.0, 1.0), np.nan))


def signed_square(r: Array) -> Array:
    """Explained variance that a correlation stands for, with its sign: sign(r) r².

    Examples
    --------
    >>> signed_square(np.array([0.5, -0.5])).tolist()
    [0.25, -0.25]
    """
    return r * np.abs(r)


def unit_columns(prediction: Array, response: Array) -> tuple[Array, Array, Array]:
    """Both sides centred and with norm 1 per column (0 where null), and which columns are null (see ``pearson``).

    Examples
    --------
    >>> p, y, null = unit_columns(np.array([[0.0], [2.0]]), np.array([[5.0], [1.0]]))
    >>> (p * y).sum().round(12), null.tolist()
    (np.float64(-1.0), [False])
    """
    centred_p, centred_r = _centred(prediction), _centred(response)
    norm_p, norm_r = np.linalg.norm(centred_p, axis=0), np.linalg.norm(centred_r, axis=0)
    null = (norm_r == 0) | (norm_p == 0) | (norm_p < NULL_SHARE * norm_r)
    return centred_p / np.where(null, np.inf, norm_p), centred_r / np.where(null, np.inf, norm_r), null


def _centred(values: Array) -> Array:
    mean = values.mean(axis=0)
    centred = values - mean
    centred[:, np.abs(centred).max(axis=0) <= ROUNDING * np.abs(mean)] = 0.0
    return centred
