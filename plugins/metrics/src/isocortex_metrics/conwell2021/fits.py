"""Ridge that predicts every stimulus from all others, in closed form; pure functions on arrays, numpy or torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from isocortex.activations import namespace
from isocortex.typing import Array
from isocortex_metrics.numerics.arrays import to_numpy
from isocortex_metrics.numerics.correlation import NULL_SHARE, ROUNDING, pearson
from isocortex_metrics.numerics.dual_ridge import ALPHA_GRID, fit_split
from isocortex_metrics.numerics.gram import centred_responses, split_basis
from isocortex_metrics.numerics.leave_one_out import leave_one_out_operator, neuroid_blocks
from isocortex_metrics.numerics.threads import few_threads, in_threads


@dataclass(frozen=True)
class Searched:
    """Predictions at alphas that were found without the stimulus that is predicted; (n_stimuli, n_neuroids) each.

    Attributes
    ----------
    deviation
        Of each stimulus: the prediction less the mean of the other responses.
    alpha_index
        Place in the grid.
    selection
        1 − (leave-one-out error among the others) / (that of their mean).
    """

    deviation: Array
    alpha_index: Array
    selection: Array


def z_scored_units(blocks: Iterable[Array]) -> Iterator[Array]:
    """Column blocks (n_stimuli, width) of features as z-scores over all stimuli (ddof 0); constant units become 0.

    Examples
    --------
    >>> next(z_scored_units([np.array([[1.0, 4.0], [3.0, 4.0]])])).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    for block in blocks:
        values = np.asarray(to_numpy(block), dtype=np.float64)
        centred = values - values[:1]
        centred -= centred.mean(axis=0)
        spread = centred.std(axis=0)
        constant = spread <= ROUNDING * np.abs(values[0])
        yield np.where(constant, 0.0, centred / np.where(constant, 1.0, spread))


def leave_one_out_deviations(gram: Array, responses: Array, alpha: float) -> Array:
    r"""Predictions of each stimulus by ridge on all others, less the mean of the others.

    With H = 11ᵀ/n + K (K + alpha I)⁻¹ of the centred Gram matrix K: ŷ_i = y_i − (y_i − (H y)_i) / (1 − H_ii), the
    same as n fits with an intercept.

    Parameters
    ----------
    gram
        (n_stimuli, n_stimuli) of features that are centred over all stimuli.
    responses
        (n_stimuli, n_neuroids) float64, where the Gram matrix lies.
    alpha
        Above 0.

    Returns
    -------
    (n_stimuli, n_neuroids); 0 for features that do not vary.

    Examples
    --------
    >>> x = np.array([[-1.0], [0.0], [1.0]])
    >>> y = 2 * x + 5
    >>> (leave_one_out_deviations(x @ x.T, y, 1e-9) + mean_of_others(y)).round(6).ravel().tolist()
    [3.0, 5.0, 7.0]
    """
    xp = namespace(responses)
    places = np.arange(len(gram))
    basis = split_basis(gram, places, places[:0])
    deviation = xp.zeros_like(responses)
    if basis.mean_eigenvalue == 0.0:
        return deviation
    with few_threads(len(places)):
        operator = leave_one_out_operator(basis, alpha)
        for part in neuroid_blocks(responses):
            centred, _ = centred_responses(responses[:, part])
            residual = operator @ (basis.vectors.T @ centred)
            # less the mean of the others is n / (n - 1) times less the mean of all
            deviation[:, part] = centred * (len(places) / (len(places) - 1)) - residual
    return deviation


def permutation_mean_r(gram: Array, responses: Array, alpha: float, permutations: Array) -> Array:
    r"""Mean r of leave-one-out predictions whose features belong to other stimuli: what chance gives.

    Features are handed round, which is the same as handing the responses round: with M = (I − H) / (1 − H_ii) of the
    centred Gram matrix, ŷ = y − M[π, π] y. Predictions that do not vary count as r = 0.

    Parameters
    ----------
    gram, responses, alpha
        As for ``leave_one_out_deviations``, numpy.
    permutations
        (n_permutations, n_stimuli), each a permutation of the stimuli's places.

    Returns
    -------
    (n_neuroids,). Memory: three arrays of the size of a block of responses.

    Examples
    --------
    >>> x = np.array([[-1.0], [0.0], [1.0]])
    >>> permutation_mean_r(x @ x.T, 2 * x, 1e-9, np.array([[0, 1, 2]])).round(6).tolist()
    [1.0]
    """
    places = np.arange(len(gram))
    basis = split_basis(gram, places, places[:0])
    found = np.zeros(responses.shape[1])
    if basis.mean_eigenvalue == 0.0:
        return found
    with few_threads(len(places)):
        residual_of = leave_one_out_operator(basis, alpha) @ basis.vectors.T
        for part in neuroid_blocks(responses):
            centred, _ = centred_responses(responses[:, part])
            for order in permutations:
                residual = residual_of[np.ix_(order, order)] @ centred
                # less the mean of the others is n / (n - 1) times less the mean of all
                deviation = centred * (len(places) / (len(places) - 1)) - residual
                r, _ = pearson(centred - residual, centred)
                found[part] += np.where(is_null(deviation, centred), 0.0, r)
    return found / len(permutations)


def searched_deviations(gram: Array, responses: Array, grid: Array = ALPHA_GRID) -> Searched:
    """The same, alpha found anew for every stimulus and neuroid by leave-one-out among the other stimuli.

    Parameters
    ----------
    gram, responses
        As for ``leave_one_out_deviations``.
    grid
        Ascending multiples of the mean eigenvalue of the others' Gram matrix.

    Returns
    -------
    numpy arrays. Cost: for every stimulus one decomposition and the leave-one-out errors of all alphas, so that it
    grows with the fourth power of the number of stimuli; splits run in threads where BLAS may use several.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 6)[:, None]
    >>> found = searched_deviations(x @ x.T, 3 * x)
    >>> (found.deviation + mean_of_others(3 * x)).round(3).ravel().tolist()
    [-3.0, -1.8, -0.6, 0.6, 1.8, 3.0]
    """
    shape = tuple(responses.shape)
    deviation, selection = np.empty(shape), np.empty(shape)
    alpha_index = np.empty(shape, dtype=np.int16)
    places = np.arange(shape[0])

    def one(left_out: int) -> None:
        others = np.delete(places, left_out)
        basis = split_basis(gram, others, places[left_out : left_out + 1])
        for part in neuroid_blocks(responses):
            fit = fit_split(basis, responses[others, part], grid)
            deviation[left_out, part] = to_numpy(fit.deviation)[0]
            alpha_index[left_out, part] = to_numpy(fit.alpha_index)
            selection[left_out, part] = to_numpy(fit.selection)

    in_threads(one, range(len(places)), n_threads=None if isinstance(responses, np.ndarray) else 1)
    return Searched(deviation, alpha_index, selection)


def mean_of_others(responses: Array) -> Array:
    """Mean response of all other stimuli: (n_stimuli, n_neuroids).

    Examples
    --------
    >>> mean_of_others(np.array([[1.0], [2.0], [6.0]])).ravel().tolist()
    [4.0, 3.5, 1.5]
    """
    xp = namespace(responses)
    mean = xp.mean(responses, axis=0)
    return mean - (responses - mean) / (len(responses) - 1)


def is_null(deviation: Array, responses: Array) -> Array:
    """Neuroids that do not vary, or whose predictions vary by less than 1e-10 of the responses: (n_neuroids,) bool.

    Examples
    --------
    >>> is_null(np.array([[0.0, 1.0], [0.0, 2.0]]), np.array([[1.0, 3.0], [2.0, 3.0]])).tolist()
    [True, True]
    """
    norms = [np.linalg.norm(centred_responses(values)[0], axis=0) for values in (deviation, responses)]
    return (norms[1] == 0) | (norms[0] == 0) | (norms[0] < NULL_SHARE * norms[1])


def left_out_explained_variance(deviation: Array, responses: Array) -> Array:
    """1 − Var(y − ŷ) / Var(y) over all stimuli, (n_neuroids,); 0 where the responses do not vary.

    Parameters
    ----------
    deviation
        Predictions less ``mean_of_others``, (n_stimuli, n_neuroids).
    responses
        (n_stimuli, n_neuroids).

    Examples
    --------
    >>> y = np.array([[0.0], [1.0], [2.0]])
    >>> left_out_explained_variance(y - mean_of_others(y), y).tolist()
    [1.0]
    """
    centred, _ = centred_responses(responses)
    error = centred * (len(responses) / (len(responses) - 1)) - deviation
    variance = centred.var(axis=0)
    return np.where(variance > 0, 1 - error.var(axis=0) / np.where(variance > 0, variance, 1.0), 0.0)
