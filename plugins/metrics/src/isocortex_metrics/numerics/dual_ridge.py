"""Ridge regression from a Gram matrix: one small eigendecomposition per split serves all alphas and all neuroids.

Everything depends on the features only through K = X Xᵀ, so that time and memory do not grow with their number. The
same code works on numpy arrays and, on another device, on torch tensors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isocortex.activations import namespace
from isocortex.typing import Array
from isocortex_metrics.numerics.arrays import like
from isocortex_metrics.numerics.gram import (
    SplitBasis,
    centred_responses,
)
from isocortex_metrics.numerics.leave_one_out import (
    Operators,
    distinct_alphas,
    distinct_errors,
    neuroid_blocks,
)
from isocortex_metrics.numerics.threads import few_threads

#: multiples of the mean eigenvalue of the training Gram matrix, half a decade apart, ascending
ALPHA_GRID: Array = 10.0 ** np.arange(-5.0, 5.25, 0.5)
#: leave-one-out errors closer than this (relative) tie, and the largest alpha wins
TIE = 1e-9


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


# --- choosing alpha and predicting ------------------------------------------------------------------------------------


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
    >>> from isocortex_metrics.numerics.gram import gram_matrix, split_basis
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


def dual_weights(basis: SplitBasis, centred: Array, alpha: Array) -> Array:
    """Weights of the training stimuli, (K + alpha)⁻¹ Y; none along directions in which no feature varies.

    Parameters
    ----------
    centred
        (n_train, n_neuroids) responses less their mean.
    alpha
        (n_neuroids,) absolute, numpy.

    Returns
    -------
    (n_train, n_neuroids), where the responses lie.
    """
    xp = namespace(centred)
    varies = basis.values > 0
    vectors = xp.where(varies, basis.vectors, xp.zeros_like(basis.vectors))
    values = xp.where(varies, basis.values, xp.ones_like(basis.values))  # alpha may be 0, and so may they
    with few_threads(len(centred)):
        return deviations(vectors, values, basis.vectors.T @ centred, like(alpha, centred))


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
