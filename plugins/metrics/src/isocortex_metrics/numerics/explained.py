"""How far predictions are from responses, in variance and squared error, plain and over bootstrap samples.

Unlike a correlation these see whether a prediction has the right scale. Weights say how often each stimulus is in each
bootstrap sample, so that a sample is judged by a few matrix products.
"""

from __future__ import annotations

import numpy as np

from isocortex.typing import Array
from isocortex_metrics.numerics.correlation import ROUNDING

#: a bootstrap sample in which a column keeps less than this share of its variance holds one value over and over
_SAMPLE_FLOOR = 1e-12


def explained_variance(prediction: Array, response: Array, weights: Array | None = None) -> Array:
    r"""Explained variance of each column, 1 − Var(y − p) / Var(y); 0 where the response does not vary.

    Equal to scikit-learn's ``explained_variance_score``. A constant offset of the prediction costs nothing, a wrong
    scale does; below 0 where the response less the prediction varies more than the response.

    Parameters
    ----------
    prediction, response
        (n_stimuli, n_columns) float64.
    weights
        (n_draws, n_stimuli), how often each stimulus is in each sample; None: all once.

    Returns
    -------
    (n_columns,), or (n_draws, n_columns) with weights, NaN where a sample holds one value of the response over and
    over.

    Examples
    --------
    >>> y = np.array([[1.0], [2.0], [3.0]])
    >>> explained_variance(y + 5, y).tolist(), explained_variance(0.5 * y, y).tolist()
    ([1.0], [0.75])
    """
    varied = about(response, response.mean(axis=0))
    rest = about(response - prediction, (response - prediction).mean(axis=0))
    if weights is None:
        total = (varied**2).sum(axis=0)
        return np.where(total > 0, 1.0 - (rest**2).sum(axis=0) / np.where(total > 0, total, 1.0), 0.0)
    share = _shares(weights)
    of_response = share @ varied**2 - (share @ varied) ** 2
    of_rest = share @ rest**2 - (share @ rest) ** 2
    return _one_minus(of_rest, of_response, (varied**2).mean(axis=0))


def mean_squared_error(prediction: Array, response: Array, weights: Array | None = None) -> Array:
    """Mean of (y − p)² over stimuli, in squared units of the responses.

    Parameters
    ----------
    prediction, response, weights
        As for ``explained_variance``.

    Returns
    -------
    (n_columns,), or (n_draws, n_columns) with weights.

    Examples
    --------
    >>> mean_squared_error(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]])).tolist()
    [2.0]
    """
    squared = (response - prediction) ** 2
    return squared.mean(axis=0) if weights is None else _shares(weights) @ squared


def r2_score(prediction: Array, response: Array) -> Array:
    """Coefficient of determination of each column, 1 − Σ (y − p)² / Σ (y − ȳ)², ȳ over these stimuli.

    Equal to scikit-learn's ``r2_score``, and never above ``explained_variance``: here a constant offset costs, too.
    0 where the response does not vary.

    Parameters
    ----------
    prediction, response
        (n_stimuli, n_columns) float64.

    Examples
    --------
    >>> y = np.array([[1.0], [2.0], [3.0]])
    >>> r2_score(y + 1, y).tolist(), r2_score(0.5 * y, y).tolist()
    ([-0.5], [-0.75])
    """
    total = ((response - response.mean(axis=0)) ** 2).sum(axis=0)
    rest = ((response - prediction) ** 2).sum(axis=0)
    return np.where(total > 0, 1.0 - rest / np.where(total > 0, total, 1.0), 0.0)


def out_of_sample_r2(error: Array, total: Array, weights: Array | None = None) -> Array:
    r"""R² on stimuli that took no part in the fit: 1 − Σ error / Σ total of squared deviations.

    With total = (y − ȳ)², ȳ the *training* mean, predicting ȳ gives exactly 0, as it should: ȳ is what would be
    predicted without features. About the mean of the test stimuli it would be below 0.

    Parameters
    ----------
    error
        (n_stimuli, n_columns) (y − p)².
    total
        (n_stimuli, n_columns) (y − ȳ)².
    weights
        (n_draws, n_stimuli).

    Returns
    -------
    (n_columns,), or (n_draws, n_columns); 0 where the total is 0 over all stimuli, NaN where it is 0 in a sample only.

    Examples
    --------
    >>> out_of_sample_r2(np.array([[1.0], [1.0]]), np.array([[4.0], [4.0]])).tolist()
    [0.75]
    """
    share = np.full((1, len(total)), 1 / len(total)) if weights is None else _shares(weights)
    found = _one_minus(share @ error, share @ total, total.mean(axis=0))
    return found[0] if weights is None else found


def about(values: Array, mean: Array) -> Array:
    """Values less a mean, exactly 0 in columns that are constant up to rounding.

    Examples
    --------
    >>> about(np.array([[0.1, 1.0], [0.1, 2.0]]), np.array([0.1, 1.0])).tolist()
    [[0.0, 0.0], [0.0, 1.0]]
    """
    centred = values - mean
    centred[:, np.abs(centred).max(axis=0) <= ROUNDING * np.abs(mean)] = 0.0
    return centred


def _shares(weights: Array) -> Array:
    return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1.0)


def _one_minus(rest: Array, total: Array, whole: Array) -> Array:
    """1 − rest / total of samples (n_draws, n_columns); ``whole`` (n_columns,) is the total of all stimuli."""
    valid = total > _SAMPLE_FLOOR * whole
    found = np.where(valid, 1.0 - rest / np.where(valid, total, 1.0), np.nan)
    return np.where(whole > 0, found, 0.0)
