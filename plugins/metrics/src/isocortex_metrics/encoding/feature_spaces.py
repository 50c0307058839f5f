"""Several feature spaces with a penalty each: the search for the penalties, the fit, and each space's part of R².

min ‖Y − Σ_b X_b W_b‖² + Σ_b λ_b ‖W_b‖², in the dual K = Σ_b K_b / λ_b with alpha 1. Nunez-Elizalde, Huth & Gallant
2019, NeuroImage 197; Dupré la Tour, Eickenberg, Nunez-Elizalde & Gallant 2022, NeuroImage 264. On arrays alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from isocortex.activations import namespace
from isocortex.typing import Array
from isocortex_metrics.encoding.banded import effective, mixed, training_traces
from isocortex_metrics.numerics.arrays import like, to_numpy
from isocortex_metrics.numerics.dual_ridge import ALPHA_GRID, TIE, dual_weights, fit_split
from isocortex_metrics.numerics.gram import SplitBasis, centred_responses, split_basis
from isocortex_metrics.numerics.threads import few_threads

#: more feature spaces make the grid of shares large
MAX_SPACES = 5
#: relative weights of the spaces among each other, and those of many spaces
_RELATIVE: tuple[float, ...] = (0.0, 1.0, 10.0, 100.0)
_FEW = 3
#: mixtures of each neuroid that are compared by leave-one-out, of all that were searched
SHORTLIST = 3


@dataclass(frozen=True)
class SpacesFit:
    """Ridge on several feature spaces, on one split; numpy arrays.

    Attributes
    ----------
    deviations
        (n_spaces, n_rows, n_neuroids): what each space adds to the prediction, less the training mean.
    penalties
        (n_spaces, n_neuroids) λ_b, as scikit-learn's ``Ridge(alpha)`` on the features of a space; infinite without it.
    selection
        (n_neuroids,) 1 − (leave-one-out error) / (that of the training mean), within the training stimuli.
    """

    deviations: Array
    penalties: Array
    selection: Array


def space_mixtures(n_spaces: int) -> Array:
    """Shares that are searched: relative weights 0, 1, 10 and 100 (beyond three spaces without 100), each once.

    Returns
    -------
    (n_mixtures, n_spaces), rows add up to 1.

    Examples
    --------
    >>> [len(space_mixtures(n)) for n in (1, 2, 3, 4, 5)]
    [1, 7, 37, 65, 211]
    """
    relative = _RELATIVE if n_spaces <= _FEW else _RELATIVE[:-1]
    weights = np.array([row for row in product(relative, repeat=n_spaces) if any(row)])
    shares = weights / weights.sum(axis=1, keepdims=True)
    return shares[np.sort(np.unique(shares.round(9), axis=0, return_index=True)[1])]


def searched_fit(kernels: Sequence[Array], train: Array, rows: Array, responses: Array) -> SpacesFit:
    r"""Penalties of every neuroid chosen within the training stimuli, and what each space predicts for other stimuli.

    Mixtures K = Σ_b γ_b K_b / tr(K_b) are searched on ``space_mixtures``, each with all alphas. All are compared by
    generalised cross-validation, and the best ``SHORTLIST`` of a neuroid by exact leave-one-out, in which ties go to
    the earlier mixture and the larger alpha. λ_b = alpha tr(K_b) / γ_b.

    Parameters
    ----------
    kernels
        Gram matrices (n_stimuli, n_stimuli), on one device.
    train, rows
        Places of the training stimuli, and of those that are predicted.
    responses
        (n_train, n_neuroids) float64, where the kernels lie.

    Notes
    -----
    Memory beyond the result: (n_mixtures, n_neuroids) errors, and that of ``fit_split``.

    Examples
    --------
    >>> x = np.arange(6.0)[:, None]
    >>> stimuli = np.arange(6)
    >>> fit = searched_fit([x @ x.T, (x - 2) ** 4 @ (x.T - 2) ** 4], stimuli[:5], stimuli[5:], 2 * x[:5])
    >>> fit.deviations[:, 0, 0].round(3).tolist()
    [6.0, 0.0]
    """
    traces = training_traces(kernels, train)
    scale = np.where(traces > 0, traces, 1.0)
    shares = effective(space_mixtures(len(kernels)), traces > 0)
    short = _shortlisted(kernels, shares / scale, train, responses)
    n_neuroids = responses.shape[1]
    loss, chosen = np.full(n_neuroids, np.inf), np.zeros(n_neuroids, dtype=np.intp)
    alpha = np.ones(n_neuroids)
    for number, share in enumerate(shares):
        columns = np.flatnonzero((short == number).any(axis=0))
        if not len(columns):
            continue
        basis = split_basis(mixed(kernels, share / scale), train, rows)
        fit = fit_split(basis, responses[:, columns])
        own = 1.0 - to_numpy(fit.selection)
        better = own < loss[columns] * (1.0 - TIE)
        taken = columns[better]
        loss[taken], chosen[taken] = own[better], number
        alpha[taken] = (ALPHA_GRID * (basis.mean_eigenvalue or 1.0))[to_numpy(fit.alpha_index)[better]]
    weights = (shares / scale)[chosen].T / alpha
    return SpacesFit(_of_spaces(kernels, weights, train, rows, responses), _penalties(weights), 1.0 - loss)


def given_fit(
    kernels: Sequence[Array], penalties: Sequence[float], train: Array, rows: Array, responses: Array
) -> SpacesFit:
    """As ``searched_fit``, with one penalty for each space that is given, for all neuroids.

    Examples
    --------
    >>> x = np.array([[-1.0], [1.0], [3.0]])
    >>> fit = given_fit([x @ x.T], [2.0], np.array([0, 1]), np.array([2]), x[:2])
    >>> fit.deviations.round(9).tolist()  # slope 2 / (2 + 2)
    [[[1.5]]]
    """
    weights = 1.0 / np.array(penalties, dtype=np.float64)
    basis = split_basis(mixed(kernels, weights), train, rows)
    fit = fit_split(basis, responses, np.array([1.0 / (basis.mean_eigenvalue or 1.0)]))
    repeated = np.repeat(weights[:, None], responses.shape[1], axis=1)
    found = _of_spaces(kernels, repeated, train, rows, responses)
    return SpacesFit(found, _penalties(repeated), to_numpy(fit.selection))


def _penalties(weights: Array) -> Array:
    return 1.0 / np.where(weights > 0, weights, 1.0) + np.where(weights > 0, 0.0, np.inf)


def _shortlisted(kernels: Sequence[Array], weights: Array, train: Array, responses: Array) -> Array:
    """(at most SHORTLIST, n_neuroids): the mixtures with the smallest error of generalised cross-validation."""
    if len(weights) <= SHORTLIST:
        return np.repeat(np.arange(len(weights))[:, None], responses.shape[1], axis=1)
    centred, _ = centred_responses(responses)
    errors = np.empty((len(weights), responses.shape[1]))
    for number, row in enumerate(weights):
        basis = split_basis(mixed(kernels, row), train, train[:1])
        errors[number] = to_numpy(_generalised_errors(basis, centred))
    return np.argsort(errors, axis=0, kind="stable")[:SHORTLIST]


def _generalised_errors(basis: SplitBasis, centred: Array) -> Array:
    r"""(n_neuroids,) smallest over all alphas of ‖w Uᵀy‖² / (mean of 1 − leverage)², w = alpha / (λ + alpha)."""
    xp = namespace(centred)
    if basis.mean_eigenvalue == 0.0:
        return xp.sum(centred**2, axis=0) + np.inf
    values = to_numpy(basis.values)
    alphas = ALPHA_GRID * basis.mean_eigenvalue
    weights = alphas[:, None] / (values + alphas[:, None])
    factors = (weights / weights.mean(axis=1, keepdims=True)) ** 2
    with few_threads(len(centred)):
        rotated = basis.vectors.T @ centred
        return xp.min(like(factors, centred) @ rotated**2, axis=0)


def _of_spaces(kernels: Sequence[Array], weights: Array, train: Array, rows: Array, responses: Array) -> Array:
    """(n_spaces, n_rows, n_neuroids) predictions of K = Σ_b w_b K_b with alpha 1."""
    found = np.zeros((len(kernels), len(rows), responses.shape[1]))
    crosses = [_cross(kernel, train, rows) for kernel in kernels]
    for columns, ratio, dual in _duals(kernels, weights, train, responses):
        for space in np.flatnonzero(ratio):
            found[space][:, columns] = to_numpy(float(ratio[space]) * (crosses[space] @ dual))
    return found


def _duals(
    kernels: Sequence[Array], weights: Array, train: Array, responses: Array
) -> Iterator[tuple[Array, Array, Array]]:
    """Places of neuroids of equal ratios of weights, their ratios (n_spaces,), and dual weights (n_train, n_places)."""
    total = weights.sum(axis=0)
    ratios, group = np.unique((weights / total).round(12), axis=1, return_inverse=True)
    centred, _ = centred_responses(responses)
    for number in range(ratios.shape[1]):
        columns = np.flatnonzero(group.ravel() == number)
        ratio = weights[:, columns[0]] / total[columns[0]]
        basis = split_basis(mixed(kernels, ratio), train, train[:1])
        yield columns, ratio, dual_weights(basis, centred[:, columns], 1.0 / total[columns])


def space_duals(kernels: Sequence[Array], penalties: Array, train: Array, responses: Array) -> Array:
    """What the map of each space is made of: W_b = (X_b − x̄_b)ᵀ D_b, from the penalties that a fit has found.

    Parameters
    ----------
    kernels, train, responses
        As for ``searched_fit``.
    penalties
        (n_spaces, n_neuroids), as ``SpacesFit`` has them.

    Returns
    -------
    (n_spaces, n_train, n_neuroids); 0 for a space without a part.

    Examples
    --------
    >>> x = np.array([[-1.0], [1.0]])
    >>> duals = space_duals([x @ x.T], np.array([[2.0]]), np.arange(2), x)[0]
    >>> (x.T @ duals).round(12).tolist()  # slope 2 / (2 + 2)
    [[0.5]]
    """
    found = np.zeros((len(kernels), len(train), responses.shape[1]))
    for columns, ratio, dual in _duals(kernels, 1.0 / penalties, train, responses):
        for space in np.flatnonzero(ratio):
            found[space][:, columns] = to_numpy(float(ratio[space]) * dual)
    return found


def _cross(kernel: Array, train: Array, rows: Array) -> Array:
    """K[rows, train], both sides centred by the training mean."""
    to_train = namespace(kernel).mean(kernel[:, train], axis=1)
    outer = kernel[rows[:, None], train[None, :]]
    return outer - to_train[rows][:, None] - to_train[train][None, :] + to_train[train].mean()


def product_measure(deviations_of: Array, response: Array) -> Array:
    r"""What each space adds to R² of the whole prediction: Σ_i ŷ_bi (2 y_i − ŷ_i) / Σ_i y_i², y less the training mean.

    The parts add up to R² = 1 − Σ (y − ŷ)² / Σ y², what spaces share included; a part may be below 0.

    Parameters
    ----------
    deviations_of
        (n_spaces, n_test, n_neuroids).
    response
        (n_test, n_neuroids), less the training mean.

    Returns
    -------
    (n_spaces, n_neuroids); NaN where the response does not vary about the training mean.

    Examples
    --------
    >>> y = np.array([[1.0], [-1.0]])
    >>> product_measure(np.stack([0.5 * y, 0.5 * y]), y).tolist(), product_measure(np.stack([2 * y, -y]), y).tolist()
    ([[0.5], [0.5]], [[2.0], [-1.0]])
    """
    total = (response**2).sum(axis=0)
    both = 2.0 * response - deviations_of.sum(axis=0)
    return np.einsum("bij,ij->bj", deviations_of, both) / np.where(total > 0, total, np.nan)
