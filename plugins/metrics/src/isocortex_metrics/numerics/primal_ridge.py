"""Ridge regression from the units themselves, for fewer units than training stimuli: equal to that from a Gram matrix.

With X̃ the training features less their mean and X̃ᵀX̃ = V Λ Vᵀ, the directions U = X̃ V Λ^−½ are the eigenvectors of the
Gram matrix whose eigenvalues are above 0; all others leave a response as it is. One decomposition of (n_units, n_units)
per split takes the place of one of (n_train, n_train). numpy arrays, or torch tensors on another device.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isocortex.activations import namespace
from isocortex.typing import Array
from isocortex_metrics.numerics.arrays import like, to_numpy
from isocortex_metrics.numerics.dual_ridge import ALPHA_GRID, SplitFit, largest_of_the_best
from isocortex_metrics.numerics.gram import centred_responses
from isocortex_metrics.numerics.leave_one_out import distinct_alphas, neuroid_blocks
from isocortex_metrics.numerics.threads import few_threads

_EPS = float(np.finfo(np.float64).eps)
#: of the training stimuli: with this share of units or fewer, the units themselves cost less than a Gram matrix
FEW_UNITS = 0.5


@dataclass(frozen=True)
class Units:
    """Features whose units are few: (n_stimuli, n_units) float64, less any constant row."""

    values: Array


@dataclass(frozen=True)
class PrimalBasis:
    """What a split needs of the features; arrays lie where these lay.

    Attributes
    ----------
    vectors
        U (n_train, n_directions), orthonormal, orthogonal to the constant.
    values
        (n_directions,) eigenvalues, all above 0, ascending.
    cross
        (n_test, n_directions): test features less the training mean, times V Λ^½.
    free
        (n_train,) the share of each stimulus that no direction explains, 1 − 1/n − Σ U²; exactly 0 for rounding.
    """

    vectors: Array
    values: Array
    cross: Array
    free: Array

    @property
    def mean_eigenvalue(self) -> float:
        """Scale of the alphas: the mean over all n_train − 1 eigenvalues of the Gram matrix, zeros included."""
        return float(self.values.sum()) / max(1, len(self.vectors) - 1)


def primal_basis(features: Array, train: Array, test: Array) -> PrimalBasis:
    """Centre the features by the training mean and decompose what their units share.

    Parameters
    ----------
    features
        (n_stimuli, n_units) float64, less any constant row.
    train, test
        Places of the training and the test stimuli.

    Notes
    -----
    Eigenvalues are squares of singular values, and below twice the training stimuli times the precision of the largest
    they are rounding, as in the Gram matrix. Memory: twice the training features, and (n_units, n_units).
    """
    xp = namespace(features)
    mean = xp.mean(features[train], axis=0)
    inner, outer = features[train] - mean, features[test] - mean
    with few_threads(features.shape[1]):
        values, rotation = xp.linalg.eigh(inner.T @ inner)
    precision = 2 * len(train) * _EPS
    # features may vary over all stimuli and yet not over these; what centring leaves of them is rounding
    all_of_it = float((features[train] ** 2).sum())
    real = to_numpy(values) > precision * max(float(values[-1]), 0.0)
    if float(values.sum()) <= 10 * precision * all_of_it:
        real[:] = False
    kept = np.flatnonzero(real)
    values, rotation = values[kept], rotation[:, kept]
    scale = xp.sqrt(values)
    vectors = (inner @ rotation) / scale
    free = 1.0 - 1.0 / len(train) - xp.sum(vectors**2, axis=1)
    free = xp.where(free <= precision, xp.zeros_like(free), free)
    return PrimalBasis(vectors, values, (outer @ rotation) * scale, free)


def fit_primal(basis: PrimalBasis, responses: Array, grid: Array = ALPHA_GRID) -> SplitFit:
    """Choose alpha per neuroid by leave-one-out within the training stimuli, and predict the test stimuli.

    The same as ``dual_ridge.fit_split`` of the same features: with s = λ / (λ + alpha), the error left out is
    e_i = [y − U s Uᵀ y]_i / (1 − 1/n − Σ_k U_ik² s_k).

    Parameters
    ----------
    responses
        (n_train, n_neuroids) float64, where the features lay.
    grid
        Ascending multiples of the mean eigenvalue.

    Examples
    --------
    >>> stimuli = np.arange(5.0)[:, None]
    >>> fit = fit_primal(primal_basis(stimuli, np.arange(4), np.array([4])), 3 * stimuli[:4] + 1)
    >>> fit.prediction.round(3).tolist(), fit.selection.round(3).tolist()
    ([[13.0]], [1.0])
    """
    xp = namespace(responses)
    centred, mean = centred_responses(responses)
    if not len(basis.values):
        nothing = like(np.zeros((len(basis.cross), len(mean))), responses)
        return SplitFit(nothing, mean, like(np.full(len(mean), len(grid) - 1), responses), xp.zeros_like(mean))
    alphas = grid * basis.mean_eigenvalue
    with few_threads(basis.vectors.shape[1]):
        rotated = basis.vectors.T @ centred
        chosen, best, without = _chosen(basis, centred, rotated, alphas)
        alpha = like(alphas, responses)[chosen]
        deviation = basis.cross @ (rotated / (basis.values[:, None] + alpha[None, :]))
    varies = without > 0
    selection = xp.where(varies, 1.0 - best / xp.where(varies, without, xp.ones_like(without)), xp.zeros_like(best))
    return SplitFit(deviation, mean, chosen, selection)


def _chosen(basis: PrimalBasis, centred: Array, rotated: Array, alphas: Array) -> tuple[Array, Array, Array]:
    """Place of the alpha with the smallest leave-one-out error, ties to the largest; its error; of infinite alpha."""
    xp = namespace(centred)
    distinct, place = distinct_alphas(basis.values, np.append(alphas, np.inf))
    errors = like(np.empty((len(distinct), centred.shape[1])), centred)
    squared = basis.vectors**2
    for number, alpha in enumerate(distinct):
        explained = basis.values / (basis.values + float(alpha))
        left = basis.free + squared @ (1.0 - explained)
        weights = xp.where(left > 0, 1.0 / xp.where(left > 0, left, xp.ones_like(left)), xp.zeros_like(left))
        shrunk = basis.vectors * explained
        for part in neuroid_blocks(centred):
            residual = centred[:, part] - shrunk @ rotated[:, part]
            errors[number, part] = xp.sum((residual * weights[:, None]) ** 2, axis=0)
    last = int(place[-2]) + 1
    best = largest_of_the_best(errors[:last])
    largest_like = np.array([np.flatnonzero(place[:-1] == group)[-1] for group in range(last)])
    return like(largest_like, centred)[best], xp.take_along_axis(errors, best[None], axis=0)[0], errors[int(place[-1])]
