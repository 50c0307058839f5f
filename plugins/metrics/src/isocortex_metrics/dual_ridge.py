"""Ridge regression from a Gram matrix: one small eigendecomposition per split serves all alphas and all neuroids.

Everything depends on the features only through K = X Xᵀ, so that time and memory do not grow with their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isocortex_metrics.threads import few_threads

Array = np.ndarray[Any, Any]

#: multiples of the mean eigenvalue of the training Gram matrix, half a decade apart, ascending
ALPHA_GRID: Array = 10.0 ** np.arange(-5.0, 5.25, 0.5)
#: leave-one-out errors closer than this (relative) tie, and the largest alpha wins
TIE = 1e-9
#: neuroids that are worked on together
BLOCK = 384
#: responses that vary less than this share of their size are constant, up to rounding
ROUNDING = 64 * float(np.finfo(np.float64).eps)


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
        # the first row goes before the mean does, because the rounded mean of equal values may differ from them
        centred = np.subtract(block, block[:1], dtype=np.float64)
        centred -= centred.mean(axis=0)
        gram += centred @ centred.T
    return gram


@dataclass(frozen=True)
class SplitFit:
    """Ridge on one split, for many neuroids.

    Attributes
    ----------
    deviation
        (n_test, n_neuroids) float64: the prediction less the training mean, so that no digit of it is lost.
    mean
        (n_neuroids,) training mean of the responses.
    alpha_index
        (n_neuroids,) place in the grid.
    selection
        (n_neuroids,) 1 − (leave-one-out error of the chosen alpha) / (that of the training mean): how well the features
        do within the training stimuli; 0 where features or responses do not vary there.
    """

    deviation: Array
    mean: Array
    alpha_index: Array
    selection: Array

    @property
    def prediction(self) -> Array:
        """(n_test, n_neuroids) float64, in the units of the responses."""
        return self.deviation + self.mean


@dataclass(frozen=True)
class SplitBasis:
    """What a split needs of the Gram matrix.

    Attributes
    ----------
    vectors
        U (n_train, n_train − 1): eigenvectors of the centred training Gram matrix, orthogonal to the constant.
    values
        (n_train − 1,) eigenvalues, ≥ 0; those that are nothing but rounding are 0.
    cross
        (n_test, n_train − 1): K[test, train] U, both sides centred by the training mean.
    """

    vectors: Array
    values: Array
    cross: Array

    @property
    def mean_eigenvalue(self) -> float:
        """Scale of the alphas, so that rescaling the features changes nothing; 0 for features that do not vary."""
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
    to_train = gram[:, train].mean(axis=1)
    mean = to_train[train].mean()
    inner = gram[np.ix_(train, train)] - to_train[train][:, None] - to_train[train][None, :] + mean
    outer = gram[np.ix_(test, train)] - to_train[test][:, None] - to_train[train][None, :] + mean
    basis = complement_of_constant(len(train))
    with few_threads(len(train)):
        values, rotation = np.linalg.eigh(basis.T @ inner @ basis)
    vectors = basis @ rotation
    rounding = 2 * len(train) * float(np.finfo(np.float64).eps)
    # features may vary over all stimuli and yet not over these; what centring leaves of them is rounding
    if values.sum() <= 10 * rounding * gram[train, train].sum():
        values = np.zeros_like(values)
    return SplitBasis(vectors, np.where(values > rounding * values[-1], values, 0.0), outer @ vectors)


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


def leave_one_out_errors(basis: SplitBasis, rotated: Array, alphas: Array) -> Array:
    r"""Sum over training stimuli of the squared leave-one-out error, exact, intercept included.

    e_i = [U w Uᵀ y]_i / Σ_k U_ik² w_k with w = alpha / (λ + alpha); infinite alpha predicts the mean of the others.
    Weights of this form neither overflow nor cancel, whatever alpha is.

    Parameters
    ----------
    rotated
        Uᵀ y, (n_train − 1, n_neuroids).
    alphas
        (n_alphas,), above 0.

    Returns
    -------
    (n_alphas, n_neuroids) float64. Memory beyond it: ``BLOCK`` × n_train values.

    Examples
    --------
    >>> basis = split_basis(gram_matrix([np.eye(3)], 3), np.arange(3), np.array([0]))
    >>> leave_one_out_errors(basis, basis.vectors.T @ np.array([[0.0], [3.0], [6.0]]), np.array([np.inf])).round(9)
    array([[40.5]])
    """
    errors = np.empty((len(alphas), rotated.shape[1]))
    squared = basis.vectors**2
    for place, alpha in enumerate(alphas):
        weights = np.ones_like(basis.values) if np.isinf(alpha) else alpha / (basis.values + alpha)
        leverage = squared @ weights  # (n_train,) 1 − H_ii
        operator = basis.vectors * (weights / leverage[:, None])
        for start in range(0, rotated.shape[1], BLOCK):
            residual = operator @ rotated[:, start : start + BLOCK]
            errors[place, start : start + BLOCK] = np.einsum("ij,ij->j", residual, residual)
    return errors


def leave_one_out_error(basis: SplitBasis, responses: Array, alpha: float) -> Array:
    """``leave_one_out_errors`` of responses (n_train, n_neuroids) at one alpha: (n_neuroids,)."""
    return leave_one_out_errors(basis, basis.vectors.T @ responses, np.array([alpha]))[0]


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
    Features or responses that are constant over the training stimuli predict the training mean, with the largest alpha
    and a selection of 0. Memory beyond the result: twice the responses, and ``BLOCK`` × n_train values.

    Examples
    --------
    >>> stimuli = np.arange(5.0)[:, None]
    >>> fit = fit_split(split_basis(gram_matrix([stimuli], 5), np.arange(4), np.array([4])), 3 * stimuli[:4] + 1)
    >>> fit.prediction.round(3).tolist(), fit.selection.round(3).tolist()
    ([[13.0]], [1.0])
    """
    mean = responses.mean(axis=0)
    if basis.mean_eigenvalue == 0.0:
        nothing = np.zeros((len(basis.cross), len(mean)))
        return SplitFit(nothing, mean, np.full(len(mean), len(grid) - 1), np.zeros(len(mean)))
    centred = responses - mean
    centred[:, np.abs(centred).max(axis=0) <= ROUNDING * np.abs(mean)] = 0.0
    alphas = grid * basis.mean_eigenvalue
    with few_threads(len(centred)):
        rotated = basis.vectors.T @ centred
        errors = leave_one_out_errors(basis, rotated, alphas)
        without = leave_one_out_errors(basis, rotated, np.array([np.inf]))[0]
        chosen = largest_of_the_best(errors)
        deviation = _deviation(basis, rotated, alphas[chosen])
    best = np.take_along_axis(errors, chosen[None], axis=0)[0]
    selection = np.where(without > 0, 1.0 - best / np.where(without > 0, without, 1.0), 0.0)
    return SplitFit(deviation, mean, chosen, selection)


def _deviation(basis: SplitBasis, rotated: Array, alpha: Array) -> Array:
    """(n_test, n_neuroids): prediction less the training mean, each neuroid at its own alpha."""
    deviation = np.empty((len(basis.cross), rotated.shape[1]))
    for start in range(0, rotated.shape[1], BLOCK):
        part = slice(start, start + BLOCK)
        deviation[:, part] = basis.cross @ (rotated[:, part] / (basis.values[:, None] + alpha[part]))
    return deviation


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
