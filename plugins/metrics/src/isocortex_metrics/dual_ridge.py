"""Ridge regression from a Gram matrix: one small eigendecomposition per split serves all alphas and all neuroids.

Everything depends on the features only through K = X Xᵀ, so that time and memory do not grow with their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: multiples of the mean eigenvalue of the training Gram matrix, half a decade apart, ascending
ALPHA_GRID: Array = 10.0 ** np.arange(-5.0, 5.25, 0.5)
#: leave-one-out errors closer than this (relative) tie, and the largest alpha wins
TIE = 1e-9
#: neuroids that are worked on together
BLOCK = 384


def gram_matrix(blocks: Iterable[Array], n_stimuli: int) -> Array:
    """K = X̃ X̃ᵀ of features centred by their mean over all stimuli, accumulated in float64 over column blocks.

    Parameters
    ----------
    blocks
        Column blocks (n_stimuli, width) of the features.
    n_stimuli
        Number of rows.

    Returns
    -------
    (n_stimuli, n_stimuli) float64.

    Examples
    --------
    >>> gram_matrix([np.array([[1.0], [3.0]])], 2).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    gram = np.zeros((n_stimuli, n_stimuli))
    for block in blocks:
        centred = block.astype(np.float64)
        centred -= centred.mean(axis=0)
        gram += centred @ centred.T
    return gram


@dataclass(frozen=True)
class SplitFit:
    """Ridge on one split, for many neuroids.

    Attributes
    ----------
    prediction
        (n_test, n_neuroids) float64, training mean added.
    alpha_index
        (n_neuroids,) place in the grid.
    selection
        (n_neuroids,) 1 − (leave-one-out error of the chosen alpha) / (that of the training mean): how well the features
        do within the training stimuli.
    """

    prediction: Array
    alpha_index: Array
    selection: Array


@dataclass(frozen=True)
class SplitBasis:
    """What a split needs of the Gram matrix.

    Attributes
    ----------
    vectors
        U (n_train, n_train − 1): eigenvectors of the centred training Gram matrix, orthogonal to the constant.
    values
        (n_train − 1,) eigenvalues, ≥ 0.
    cross
        (n_test, n_train − 1): K[test, train] U, both sides centred by the training mean.
    """

    vectors: Array
    values: Array
    cross: Array

    @property
    def mean_eigenvalue(self) -> float:
        """Scale of the alphas, so that rescaling the features changes nothing."""
        return float(self.values.mean())


def split_basis(gram: Array, train: Array, test: Array) -> SplitBasis:
    """Centre the Gram matrix by the training mean and decompose it.

    The constant is removed by an orthonormal basis of its complement, so that the intercept is exact and there is no
    spurious zero eigenvalue.

    Parameters
    ----------
    gram
        (n_stimuli, n_stimuli).
    train, test
        Places of the training and the test stimuli.
    """
    from threadpoolctl import threadpool_limits

    to_train = gram[:, train].mean(axis=1)
    mean = to_train[train].mean()
    inner = gram[np.ix_(train, train)] - to_train[train][:, None] - to_train[train][None, :] + mean
    outer = gram[np.ix_(test, train)] - to_train[test][:, None] - to_train[train][None, :] + mean
    basis = complement_of_constant(len(train))
    with threadpool_limits(1, user_api="blas"):  # spinning threads make small decompositions ten times slower
        values, rotation = np.linalg.eigh(basis.T @ inner @ basis)
    vectors = basis @ rotation
    return SplitBasis(vectors, np.clip(values, 0.0, None), outer @ vectors)


def complement_of_constant(n: int) -> Array:
    """Orthonormal columns (n, n − 1) that are orthogonal to the constant vector (a Householder reflection).

    Examples
    --------
    >>> bool(np.allclose(complement_of_constant(4).sum(axis=0), 0))
    True
    """
    mirror = np.full(n, 1 / np.sqrt(n))
    mirror[0] += 1.0
    reflection = np.eye(n) - 2.0 * np.outer(mirror, mirror) / (mirror @ mirror)
    return reflection[:, 1:]


def leave_one_out_error(basis: SplitBasis, responses: Array, alpha: float) -> Array:
    r"""Sum over training stimuli of the squared leave-one-out error, exact, intercept included.

    e_i = [U w Uᵀ y]_i / Σ_k U_ik² w_k with w = alpha / (λ + alpha); infinite alpha predicts the mean of the others.

    Parameters
    ----------
    responses
        (n_train, n_neuroids).

    Returns
    -------
    (n_neuroids,) float64.
    """
    rotated = basis.vectors.T @ responses
    return _press(basis.vectors, _shrinkage(basis.values, alpha), rotated)


def _shrinkage(values: Array, alpha: float) -> Array:
    return np.ones_like(values) if np.isinf(alpha) else alpha / (values + alpha)


def _press(vectors: Array, weights: Array, rotated: Array) -> Array:
    leverage = (vectors**2) @ weights  # (n_train,) 1 − H_ii
    residual = (vectors * (weights / leverage[:, None])) @ rotated
    return np.einsum("ij,ij->j", residual, residual)


def fit_split(basis: SplitBasis, responses: Array, grid: Array = ALPHA_GRID) -> SplitFit:
    """Choose alpha per neuroid by leave-one-out within the training stimuli, and predict the test stimuli.

    Parameters
    ----------
    responses
        (n_train, n_neuroids) float64.
    grid
        Ascending multiples of the mean eigenvalue.

    Notes
    -----
    Features that are constant over the training stimuli predict the training mean, with the largest alpha and a
    selection of 0. Memory: a few times ``BLOCK`` × n_train values beyond the result.
    """
    n_neuroids = responses.shape[1]
    prediction = np.empty((len(basis.cross), n_neuroids))
    chosen = np.empty(n_neuroids, dtype=np.intp)
    selection = np.empty(n_neuroids)
    for start in range(0, n_neuroids, BLOCK):
        part = slice(start, min(start + BLOCK, n_neuroids))
        prediction[:, part], chosen[part], selection[part] = _fit_block(basis, responses[:, part], grid)
    return SplitFit(prediction, chosen, selection)


def _fit_block(basis: SplitBasis, responses: Array, grid: Array) -> tuple[Array, Array, Array]:
    mean = responses.mean(axis=0)
    rotated = basis.vectors.T @ (responses - mean)
    without = _press(basis.vectors, np.ones_like(basis.values), rotated)
    if basis.mean_eigenvalue == 0.0:
        shape = (len(basis.cross), 1)
        return np.tile(mean, shape), np.full(len(mean), len(grid) - 1), np.zeros(len(mean))
    alphas = grid * basis.mean_eigenvalue
    errors = np.stack([_press(basis.vectors, _shrinkage(basis.values, alpha), rotated) for alpha in alphas])
    chosen = largest_of_the_best(errors)
    best = np.take_along_axis(errors, chosen[None], axis=0)[0]
    selection = 1.0 - best / np.where(without > 0, without, 1.0)
    shrunk = rotated / (basis.values[:, None] + alphas[chosen])
    return basis.cross @ shrunk + mean, chosen, np.where(without > 0, selection, 0.0)


def largest_of_the_best(errors: Array) -> Array:
    """Place of the last error, along the first axis, within ``TIE`` of the smallest.

    Examples
    --------
    >>> largest_of_the_best(np.array([[2.0], [1.0], [1.0], [3.0]])).tolist()
    [2]
    """
    tied = errors <= errors.min(axis=0) * (1.0 + TIE)
    return len(errors) - 1 - np.argmax(tied[::-1], axis=0)


def stack_tests(arrays: Sequence[Array]) -> Array:
    """Stack arrays (n_test, …) of unequal length, the short ones filled with NaN (or −1 for places).

    Examples
    --------
    >>> stack_tests([np.array([1, 2]), np.array([3])]).tolist()
    [[1, 2], [3, -1]]
    """
    longest = max(len(array) for array in arrays)
    fill = -1 if np.issubdtype(arrays[0].dtype, np.integer) else np.nan
    stacked = np.full((len(arrays), longest, *arrays[0].shape[1:]), fill, dtype=arrays[0].dtype)
    for row, array in zip(stacked, arrays, strict=True):
        row[: len(array)] = array
    return stacked
