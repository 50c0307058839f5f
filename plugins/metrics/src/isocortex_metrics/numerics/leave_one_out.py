"""Exact leave-one-out errors of ridge for many alphas, scans and neuroids: where nearly all the time of ridge goes.

numpy arrays, or torch tensors on another device.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from isocortex.typing import Array
from isocortex_metrics.numerics.arrays import like, to_numpy

if TYPE_CHECKING:
    from isocortex_metrics.numerics.gram import SplitBasis


#: neuroids that are worked on together: their rotated responses and residuals stay in the cache of a core
BLOCK = 384
#: the same on another device, where large pieces are what is fast
DEVICE_BLOCK = 65_536
#: values of the leave-one-out operators that are kept at a time: 32 MB
_OPERATOR_VALUES = 4_000_000
#: residuals are brought to a triangle where there are this many times more columns than training stimuli
_MANY = 8
#: bands of a triangle that are multiplied apart
_BANDS = 5
_EPS = float(np.finfo(np.float64).eps)


def leave_one_out_errors(basis: SplitBasis, rotated: Array, alphas: Array) -> Array:
    r"""Sum over training stimuli of the squared leave-one-out error, exact, intercept included.

    e_i = [U w Uᵀ y]_i / Σ_k U_ik² w_k with w = alpha / (λ + alpha); infinite alpha predicts the mean of the others.
    Weights of this form neither overflow nor cancel, whatever alpha is. Alphas with equal weights are computed once.

    Parameters
    ----------
    rotated
        Uᵀ y, (n_train − 1, n_neuroids); or (n_train − 1, n_scans, n_neuroids) for several scans of each neuroid.
    alphas
        (n_alphas,), above 0.

    Returns
    -------
    (n_alphas, n_neuroids) float64; with scans (n_alphas, 1 + n_scans, n_neuroids), the mean over scans first: its
    residual is the mean of theirs. Memory beyond it: ``BLOCK`` × n_scans × n_train values and 32 MB of operators.

    Examples
    --------
    >>> from isocortex_metrics.numerics.gram import gram_matrix, split_basis
    >>> basis = split_basis(gram_matrix([np.eye(3)], 3), np.arange(3), np.array([0]))
    >>> leave_one_out_errors(basis, basis.vectors.T @ np.array([[0.0], [3.0], [6.0]]), np.array([np.inf])).round(9)
    array([[40.5]])
    """
    distinct, place = distinct_alphas(basis.values, alphas)
    return distinct_errors(basis, rotated, distinct)[place]


def distinct_alphas(values: Array, alphas: Array) -> tuple[Array, Array]:
    """Alphas that differ in their weights, ascending, and for each given alpha the place of its like among them.

    Below 4 eps times the smallest eigenvalue above 0, and above the largest over 4 eps, the weights are, up to a factor
    that cancels, those of the limit: to four units in the last place.

    Examples
    --------
    >>> distinct, place = distinct_alphas(np.array([1.0, 4.0]), np.array([1e-30, 1e-20, 1.0, 1e20, np.inf]))
    >>> place.tolist()
    [0, 0, 1, 2, 2]
    """
    positive = to_numpy(values)
    positive = positive[positive > 0]
    if len(positive) == 0:
        return np.ones(1), np.zeros(len(alphas), dtype=np.intp)
    return np.unique(np.clip(alphas, positive.min() * 4 * _EPS, positive.max() / (4 * _EPS)), return_inverse=True)


@dataclass(frozen=True)
class Operators:
    """What takes rotated responses to leave-one-out residuals, one matrix per alpha.

    Attributes
    ----------
    matrices
        (n_train, n_train − 1) each; or, triangular, the R of its QR decomposition: residuals turned, of equal norm.
    triangular
        Which of the two.
    """

    matrices: tuple[Array, ...]
    triangular: bool

    @classmethod
    def at(cls, basis: SplitBasis, alphas: Array, n_columns: int) -> Operators:
        """Operators at some alphas; a triangle takes half the operations, which pays once there are many columns."""
        squared = basis.vectors**2
        matrices = tuple(_operator(basis, squared, float(alpha)) for alpha in alphas)
        if not isinstance(squared, np.ndarray) or n_columns < _MANY * len(squared):
            return cls(matrices, triangular=False)
        return cls(tuple(np.asarray(np.linalg.qr(matrix, mode="r")) for matrix in matrices), triangular=True)

    def residual(self, place: int, block: Array) -> Array:
        """(n_rows, n_columns) residuals, or turned ones, of rotated responses (n_train − 1, n_columns)."""
        matrix = self.matrices[place]
        return _triangle_product(matrix, block) if self.triangular else matrix @ block


def kept_operators(basis: SplitBasis, alphas: Array, n_columns: int) -> Operators | None:
    """Operators of all alphas (and infinity) that differ, to serve several pieces of the neuroids; None: too large.

    Parameters
    ----------
    n_columns
        Of all pieces together.
    """
    distinct, _ = distinct_alphas(basis.values, np.append(alphas, np.inf))
    small = len(distinct) * len(basis.vectors) ** 2 <= _OPERATOR_VALUES
    return Operators.at(basis, distinct, n_columns) if small else None


def distinct_errors(basis: SplitBasis, rotated: Array, alphas: Array, operators: Operators | None = None) -> Array:
    """``leave_one_out_errors`` at each of some finite alphas, none left out; or with their operators, if known."""
    scans = rotated if rotated.ndim == 3 else rotated[:, None, :]
    n_scans, with_mean = scans.shape[1], rotated.ndim - 2
    errors = like(np.zeros((len(alphas), with_mean + n_scans, scans.shape[2])), rotated)
    step = len(alphas) if operators else max(1, _OPERATOR_VALUES // len(basis.vectors) ** 2)
    for start in range(0, len(alphas), step):
        ready = operators or Operators.at(basis, alphas[start : start + step], n_scans * scans.shape[2])
        for part in neuroid_blocks(scans):
            block = scans[:, :, part].reshape(len(scans), -1)  # (n_train - 1, n_scans * width)
            for place in range(len(ready.matrices)):
                residual = ready.residual(place, block)
                errors[start + place, with_mean:, part] = column_products(residual, residual).reshape(n_scans, -1)
                if with_mean:
                    mean = _sum_of_scans(residual, n_scans)
                    errors[start + place, 0, part] = column_products(mean, mean) / n_scans**2
    return errors if with_mean else errors[:, 0]


def leave_one_out_operator(basis: SplitBasis, alpha: float) -> Array:
    """(n_train, n_train − 1): takes rotated responses Uᵀ y to leave-one-out residuals, at one finite alpha."""
    [alpha] = distinct_alphas(basis.values, np.array([alpha]))[0]
    return _operator(basis, basis.vectors**2, float(alpha))


def _operator(basis: SplitBasis, squared: Array, alpha: float) -> Array:
    weights = alpha / (basis.values + alpha)
    leverage = squared @ weights  # (n_train,) 1 − H_ii
    return basis.vectors * (weights / leverage[:, None])


def _triangle_product(triangle: Array, block: Array) -> Array:
    """R @ block for an upper triangular R, by bands that leave out most of its zeros."""
    product = np.empty((len(triangle), block.shape[1]))
    edges = [len(triangle) * band // _BANDS for band in range(_BANDS + 1)]
    for low, high in pairwise(edges):
        np.matmul(triangle[low:high, low:], block[low:], out=product[low:high])
    return product


def column_products(first: Array, second: Array) -> Array:
    """Inner product of columns: Σ_i first_ij second_ij along the last axis but one.

    Examples
    --------
    >>> column_products(np.array([[1.0, 2.0], [3.0, 4.0]]), np.ones((2, 2))).tolist()
    [4.0, 6.0]
    """
    if isinstance(first, np.ndarray):
        return np.einsum("...ij,...ij->...j", first, second)
    return (first * second).sum(-2)


def _sum_of_scans(values: Array, n_scans: int) -> Array:
    """(n_rows, n_scans * width) → (n_rows, width)."""
    width = values.shape[1] // n_scans
    total = values[:, :width] + (values[:, width : 2 * width] if n_scans > 1 else 0.0)
    for scan in range(2, n_scans):
        total += values[:, scan * width : (scan + 1) * width]
    return total


def neuroid_blocks(values: Array) -> Iterator[slice]:
    """Pieces of the last axis that are worked on together.

    Examples
    --------
    >>> [part.stop for part in neuroid_blocks(np.zeros((2, 500)))]
    [384, 500]
    """
    width = BLOCK if isinstance(values, np.ndarray) else DEVICE_BLOCK
    n_neuroids = values.shape[-1]
    return (slice(start, min(start + width, n_neuroids)) for start in range(0, n_neuroids, width))
