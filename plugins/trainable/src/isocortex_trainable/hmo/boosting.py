"""Weights of samples between the rounds of a search: what is classified wrongly counts more in the next."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def weighted_accuracy(correct: NDArray[np.bool_], weights: NDArray[np.float64]) -> float:
    """Share of the weight of samples that are classified correctly.

    Examples
    --------
    >>> weighted_accuracy(np.array([True, False]), np.array([3.0, 1.0]))
    0.75
    """
    return float(weights[correct].sum() / weights.sum())


def reweighted(weights: NDArray[np.float64], correct: NDArray[np.bool_], n_classes: int) -> NDArray[np.float64]:
    r"""Raise the weights of errors as AdaBoost does for several classes (SAMME), and scale to a mean of 1.

    With e the share of weight of the errors and K classes, errors are multiplied by :math:`\exp(a)`,
    :math:`a = \ln((1 - e) / e) + \ln(K - 1)`. Where nothing is wrong, or no more is right than by chance (a below 0),
    the weights stay.

    Parameters
    ----------
    weights, correct
        (n_samples,).
    n_classes
        K.

    Returns
    -------
    (n_samples,).

    References
    ----------
    Zhu, Zou, Rosset & Hastie (2009), Multi-class AdaBoost, Statistics and Its Interface 2:349-360.

    Examples
    --------
    >>> reweighted(np.ones(4), np.array([True, True, True, False]), n_classes=2)
    array([0.66666667, 0.66666667, 0.66666667, 2.        ])
    """
    error = 1.0 - weighted_accuracy(correct, weights)
    if correct.all() or error >= 1 - 1 / n_classes:
        return weights
    raised = np.where(correct, weights, weights * (1 - error) / error * (n_classes - 1))
    return raised * (len(raised) / raised.sum())
