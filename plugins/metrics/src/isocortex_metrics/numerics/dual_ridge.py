"""Ridge regression from a Gram matrix: one small eigendecomposition per split serves all alphas and all neuroids.

Everything depends on the features only through K = X Xᵀ, so that time and memory do not grow with their number. The
same code works on numpy arrays and, on another device, on torch tensors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from isocortex.typing import Array
from isocortex_metrics.numerics.arrays import namespace, on_device, to_numpy
from isocortex_metrics.numerics.leave_one_out import (
    BLOCK,
    Operators,
    distinct_alphas,
    distinct_errors,
    leave_one_out_errors,
    like,
    neuroid_blocks,
)
from isocortex_metrics.numerics.threads import few_threads

__all__ = [
    "ALPHA_GRID",
    "BLOCK",
    "ROUNDING",
    "TIE",
    "SplitBasis",
    "SplitFit",
    "centred_responses",
    "chosen_alphas",
    "complement_of_constant",
    "deviations",
    "fit_split",
    "gram_matrix",
    "largest_of_the_best",
    "leave_one_out_error",
    "leave_one_out_errors",
    "split_basis",
    "stack_tests",
]


#: multiples of the mean eigenvalue of the training Gram matrix, half a decade apart, ascending
ALPHA_GRID: Array = 10.0 ** np.arange(-5.0, 5.25, 0.5)
#: leave-one-out errors closer than this (relative) tie, and the largest alpha wins
TIE = 1e-9
#: responses that vary less than this share of their size are constant, up to rounding
ROUNDING = 64 * float(np.finfo(np.float64).eps)
_EPS = float(np.finfo(np.float64).eps)


def gram_matrix(blocks: Iterable[Array], n_stimuli: int, device: str = "cpu") -> Array:
    """K = X̃ X̃ᵀ of features centred by their mean over all stimuli, accumulated in float64 over column blocks.

    Parameters
    ----------
    blocks
        Column blocks (n_stimuli, width) of the features.
    n_stimuli
        Number of rows.
    device
        Where it is computed and stays (see ``backend.on_device``).

    Returns
    -------
    (n_stimuli, n_stimuli) float64.

    Examples
    --------
    >>> gram_matrix([np.array([[1.0], [3.0]])], 2).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    gram = on_device(np.zeros((n_stimuli, n_stimuli)), device)
    for block in blocks:
        # the first row goes before the mean does, because the rounded mean of equal values may differ from them
        if device == "cpu":
            centred = np.subtract(to_numpy(block), to_numpy(block)[:1], dtype=np.float64)
        else:
            values = on_device(block, device).to(gram.dtype)
            centred = values - values[:1]
        centred -= centred.mean(axis=0)
        gram += centred @ centred.T
    return gram


@dataclass(frozen=True)
class SplitFit:
    """Ridge on one split, for many neuroids; arrays lie where the responses lay.

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
    """What a split needs of the Gram matrix; arrays lie where the Gram matrix lay.

    Attributes
    ----------
    vectors
        U (n_train, n_train − 1): eigenvectors of the centred training Gram matrix, orthogonal to the constant.
    values
        (n_train − 1,) eigenvalues, ≥ 0; those that are nothing but rounding are 0.
    cross
        (n_test, n_train − 1): K[test, train] U, both sides centred by the training mean; 0 where the eigenvalue is.
    """

    vectors: Array
    values: Array
    cross: Array

    @property
    def mean_eigenvalue(self) -> float:
        """Scale of the alphas, so that rescaling the features changes nothing; 0 for features that do not vary."""
        return float(self.values.mean())


def split_basis(gram: Array, train: Array, test: Array, *, rounding: float | None = None) -> SplitBasis:
    """Centre the Gram matrix by the training mean and decompose it.

    The constant is removed by an orthonormal basis of its complement, so that the intercept is exact and there is no
    spurious zero eigenvalue.

    Parameters
    ----------
    gram
        (n_stimuli, n_stimuli).
    train, test
        Places of the training and the test stimuli.
    rounding
        Eigenvalues below this share of the largest are 0; default twice the training stimuli times the precision.
    """
    xp = namespace(gram)
    to_train = xp.mean(gram[:, train], axis=1)
    mean = xp.mean(to_train[train])
    inner = gram[train[:, None], train[None, :]] - to_train[train][:, None] - to_train[train][None, :] + mean
    outer = gram[test[:, None], train[None, :]] - to_train[test][:, None] - to_train[train][None, :] + mean
    basis = like(complement_of_constant(len(train)), gram)
    with few_threads(len(train)):
        values, rotation = xp.linalg.eigh(basis.T @ inner @ basis)
        vectors, cross = basis @ rotation, outer @ (basis @ rotation)
    precision = 2 * len(train) * _EPS
    # features may vary over all stimuli and yet not over these; what centring leaves of them is rounding
    if values.sum() <= 10 * precision * gram[train, train].sum():
        values = xp.zeros_like(values)
    values = xp.where(values > (rounding or precision) * values[-1], values, xp.zeros_like(values))
    # without this, the smallest alphas would blow up the rounding of what is not there
    cross = xp.where(values > 0, cross, xp.zeros_like(cross))
    return SplitBasis(_determined(vectors, values, precision), values, cross)


def _determined(vectors: Array, values: Array, precision: float) -> Array:
    """Eigenvectors with exact zeros where a stimulus has no part in the directions that the features leave free.

    Such a stimulus alone determines some coefficient; its leave-one-out error would be a ratio of roundings.
    """
    xp = namespace(vectors)
    free = values == 0
    share = xp.sum(xp.where(free, vectors, xp.zeros_like(vectors)) ** 2, axis=1)  # (n_train,)
    return xp.where(free[None, :] & (share <= precision)[:, None], xp.zeros_like(vectors), vectors)


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


# --- choosing alpha and predicting ------------------------------------------------------------------------------------


def leave_one_out_error(basis: SplitBasis, responses: Array, alpha: float) -> Array:
    """``leave_one_out_errors`` of responses (n_train, n_neuroids) at one alpha: (n_neuroids,)."""
    return leave_one_out_errors(basis, basis.vectors.T @ responses, np.array([alpha]))[0]


def fit_split(basis: SplitBasis, responses: Array, grid: Array = ALPHA_GRID) -> SplitFit:
    """Choose alpha per neuroid by leave-one-out within the training stimuli, and predict the test stimuli.

    Parameters
    ----------
    responses
        (n_train, n_neuroids) float64, where the Gram matrix lay.
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
    xp = namespace(responses)
    centred, mean = centred_responses(responses)
    if basis.mean_eigenvalue == 0.0:
        nothing = like(np.zeros((len(basis.cross), len(mean))), responses)
        return SplitFit(nothing, mean, like(np.full(len(mean), len(grid) - 1), responses), xp.zeros_like(mean))
    alphas = grid * basis.mean_eigenvalue
    with few_threads(len(centred)):
        rotated = basis.vectors.T @ centred
        chosen, best, without = chosen_alphas(basis, rotated, alphas)
        deviation = deviations(basis.cross, basis.values, rotated, like(alphas, responses)[chosen])
    varies = without > 0
    selection = xp.where(varies, 1.0 - best / xp.where(varies, without, xp.ones_like(without)), xp.zeros_like(best))
    return SplitFit(deviation, mean, chosen, selection)


def centred_responses(responses: Array) -> tuple[Array, Array]:
    """Responses (…, n_stimuli, n_neuroids) less their mean over stimuli, exactly 0 where constant; and the mean.

    Examples
    --------
    >>> centred, mean = centred_responses(np.array([[0.1, 1.0], [0.1, 2.0], [0.1, 3.0]]))
    >>> centred.tolist(), mean.round(12).tolist()
    ([[0.0, -1.0], [0.0, 0.0], [0.0, 1.0]], [0.1, 2.0])
    """
    xp = namespace(responses)
    mean = xp.mean(responses, axis=-2)
    centred = responses - mean[..., None, :]
    constant = xp.max(xp.abs(centred), axis=-2) <= ROUNDING * xp.abs(mean)
    return xp.where(constant[..., None, :], xp.zeros_like(centred), centred), mean


def chosen_alphas(
    basis: SplitBasis, rotated: Array, alphas: Array, tie: float = TIE, operators: Operators | None = None
) -> tuple[Array, Array, Array]:
    """Place of the alpha with the smallest leave-one-out error, ties to the largest; its error; that of infinite alpha.

    Parameters
    ----------
    rotated
        (n_train − 1[, n_scans], n_neuroids).
    alphas
        (n_alphas,) ascending, finite.
    tie
        Errors within this share of the smallest tie.
    operators
        ``kept_operators`` of these alphas, for several pieces of the neuroids.

    Returns
    -------
    Three arrays ([1 + n_scans, ]n_neuroids), the mean over scans first.
    """
    distinct, place = distinct_alphas(basis.values, np.append(alphas, np.inf))
    errors = distinct_errors(basis, rotated, distinct, operators)
    # infinity is the limit that the errors are compared with, and no alpha to choose unless a finite one equals it
    last = int(place[-2]) + 1
    best = largest_of_the_best(errors[:last], tie)
    largest_like = np.array([np.flatnonzero(place[:-1] == group)[-1] for group in range(last)])
    chosen = like(largest_like, rotated)[best]
    return chosen, _at(errors, best), errors[int(place[-1])]


def _at(values: Array, places: Array) -> Array:
    """values[places[...], ...] for places along the first axis."""
    xp = namespace(values)
    return xp.take_along_axis(values, places[None], axis=0)[0]


def deviations(left: Array, values: Array, rotated: Array, alpha: Array) -> Array:
    """Predictions less the training mean, each neuroid at its own alpha: left (Λ + alpha)⁻¹ rotated.

    Parameters
    ----------
    left
        (n_rows, n_train − 1): ``cross`` for test stimuli, U Λ for the training stimuli.
    values
        (n_train − 1,) eigenvalues.
    rotated
        (n_train − 1, …, n_neuroids).
    alpha
        (…, n_neuroids).

    Returns
    -------
    (n_rows, …, n_neuroids).
    """
    predicted = like(np.zeros((len(left), *rotated.shape[1:])), rotated)
    column = values.reshape(-1, *(1,) * (rotated.ndim - 1))
    for part in neuroid_blocks(rotated):
        scaled = rotated[..., part] / (column + alpha[..., part])
        predicted[..., part] = (left @ scaled.reshape(len(scaled), -1)).reshape(len(left), *scaled.shape[1:])
    return predicted


def largest_of_the_best(errors: Array, tie: float = TIE) -> Array:
    """Place of the last error, along the first axis, within ``tie`` (relative) of the smallest.

    Examples
    --------
    >>> largest_of_the_best(np.array([[2.0], [1.0], [1.0], [3.0]])).tolist()
    [2]
    """
    xp = namespace(errors)
    tied = errors <= xp.min(errors, axis=0) * (1.0 + tie)
    return len(errors) - 1 - xp.argmax(xp.astype(xp.flip(tied, axis=0), xp.int8), axis=0)


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
