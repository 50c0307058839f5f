"""How much each stimulus bears on a correlation, as a test of the fits and as a part of their training.

The infinitesimal jackknife (Jaeckel 1972; Efron 1982, *The jackknife, the bootstrap and other resampling plans*,
chapter 6) follows a statistic to first order in the weights of the stimuli. A test stimulus enters the correlation of
its split; a training stimulus enters the predictions of all test stimuli, by its row of the smoother and its residual.
Each is taken as far as leaving the stimulus out would go: a residual that was fitted is too small by its leverage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from isocortex.activations import namespace
from isocortex.typing import Array
from isocortex_metrics.numerics.arrays import like, to_numpy
from isocortex_metrics.numerics.correlation import unit_columns
from isocortex_metrics.numerics.leave_one_out import neuroid_blocks
from isocortex_metrics.numerics.primal_ridge import PrimalBasis
from isocortex_metrics.numerics.threads import few_threads

if TYPE_CHECKING:
    from isocortex_metrics.numerics.gram import SplitBasis

#: a stimulus that is nearly all of a correlation, or of its own prediction, counts at most this many times over
_MOST = 10.0
#: influences of all splits of a layer that are held; a larger problem does without
_HELD_BYTES = 1024**3
#: of the largest leverage that is left: less is rounding
_LEAST = 1e-12


def holds_influence(n_splits: int, n_stimuli: int, n_neuroids: int) -> bool:
    """Whether the influence of every stimulus on every neuroid's correlation is held for each split: up to 1 GB.

    Examples
    --------
    >>> holds_influence(10, 165, 7_694), holds_influence(10, 10_000, 15_000)
    (True, False)
    """
    return 4 * n_splits * n_stimuli * n_neuroids <= _HELD_BYTES


class TestRole(NamedTuple):
    """What test stimuli and their predictions do to a correlation.

    Attributes
    ----------
    influence
        (n_test, n_columns): change of r with the weight of a test stimulus; 0 for null columns.
    gradient
        (n_test, n_columns): change of r with the prediction of a test stimulus.
    """

    influence: Array
    gradient: Array


def role_in_test(prediction: Array, response: Array) -> TestRole:
    r"""Influence of test stimuli on the correlation of each column.

    With p and y of norm 1 and mean 0, influence_i = (p_i y_i − r (p_i² + y_i²) / 2) / (1 − 1/n − (p_i² + y_i²) / 2):
    the derivative of r with the weight of i, over what is left when i is left out. gradient = (y − r p) / |prediction|.

    Parameters
    ----------
    prediction, response
        (n_test, n_columns) float64.

    Examples
    --------
    >>> role = role_in_test(np.array([[0.0], [1.0], [2.0]]), np.array([[0.0], [2.0], [4.0]]))
    >>> role.influence.round(9).tolist()  # a perfect correlation stays one
    [[0.0], [0.0], [0.0]]
    """
    p, y, null = unit_columns(prediction, response)
    r = np.where(null, 0.0, np.einsum("ij,ij->j", p, y))
    half = (p**2 + y**2) / 2
    influence = (p * y - r * half) / np.maximum(1 - 1 / len(p) - half, 1 / _MOST)
    norm = np.linalg.norm(prediction - prediction.mean(axis=0), axis=0)
    gradient = np.where(null, 0.0, (y - r * p) / np.where(null, 1.0, norm))
    return TestRole(np.where(null, 0.0, influence), gradient)


def role_in_training(basis: SplitBasis | PrimalBasis, centred: Array, alpha: Array, gradient: Array) -> Array:
    r"""Influence of training stimuli on a statistic of ridge predictions.

    The weight of stimulus i changes the predictions by H_i e_i / (1 − h_ii), and the statistic by the gradient times
    that: H = K_test (K + alpha)⁻¹, e_i the residual and h_ii the leverage, so that e_i / (1 − h_ii) is the error of
    leaving the stimulus out.

    Parameters
    ----------
    basis
        Of the split.
    centred
        (n_train, n_columns) responses less their training mean, where the basis lies.
    alpha
        (n_columns,) absolute, above 0.
    gradient
        (n_test, n_columns) of the statistic with the predictions.

    Returns
    -------
    (n_train, n_columns) numpy.
    """
    found = np.zeros(tuple(centred.shape))
    if basis.mean_eigenvalue == 0.0 or not len(basis.values):
        return found
    with few_threads(len(found)):
        return (
            _of_units(basis, centred, alpha, gradient)
            if isinstance(basis, PrimalBasis)
            else _of_gram(basis, centred, alpha, gradient)
        )


def _of_gram(basis: SplitBasis, centred: Array, alpha: Array, gradient: Array) -> Array:
    xp, found = namespace(basis.vectors), np.zeros(tuple(centred.shape))
    squared, column = basis.vectors**2, basis.values[:, None]
    rotated = basis.vectors.T @ centred
    for part in neuroid_blocks(rotated):
        own, towards = like(alpha[part], basis.vectors), like(gradient[:, part], basis.vectors)
        shrunk = 1.0 / (column + own)
        residual, left = basis.vectors @ (shrunk * rotated[:, part]), squared @ shrunk
        moved = basis.vectors @ ((basis.cross.T @ towards) * shrunk)
        found[:, part] = to_numpy(moved * residual / xp.maximum(left, xp.max(left, axis=0) * _LEAST))
    return found


def _of_units(basis: PrimalBasis, centred: Array, alpha: Array, gradient: Array) -> Array:
    """The same, with what the directions do not explain, which is nothing where they are as many as stimuli allow."""
    found, left = np.zeros(centred.shape), np.zeros(centred.shape)
    rotated, towards = basis.vectors.transposed_times(centred), basis.cross.transposed_times(gradient)
    for rows, vectors in basis.vectors:
        squared = vectors**2
        for part in neuroid_blocks(rotated):
            shrunk = 1.0 / (basis.values[:, None] + alpha[part])
            beside = centred[rows, part] - vectors @ rotated[:, part]
            residual = vectors @ (shrunk * rotated[:, part]) + beside / alpha[part]
            left[rows, part] = squared @ shrunk + basis.free[rows, None] / alpha[part]
            found[rows, part] = (vectors @ (towards[:, part] * shrunk)) * residual
    found /= np.maximum(left, left.max(axis=0) * _LEAST)
    return found


def role_of_smoother(test: Any, train: Any, norms: Any, centred: Any, gradient: Array) -> Array:
    r"""As ``role_in_training``, of predictions T_test (TᵀT)⁻¹ Tᵀ y from orthogonal components that are taken as given.

    Parameters
    ----------
    test, train
        T (n_test | n_train, n_components).
    norms
        (n_components,) TᵀT; infinite where there is no such component.
    centred
        (n_train, n_columns) responses less their training mean.
    gradient
        (n_test, n_columns).

    Returns
    -------
    (n_train, n_columns) numpy.
    """
    found = (train.T @ centred) / norms[:, None]
    residual = to_numpy(centred - train @ found)
    leverage = to_numpy((train**2 / norms).sum(1)) + 1 / len(residual)
    towards = like(gradient, train)
    moved = to_numpy(train @ ((test.T @ towards) / norms[:, None]))
    return moved * residual / np.maximum(1 - leverage, 1 / _MOST)[:, None]
