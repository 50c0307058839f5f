"""Ridge regression on several feature spaces at once, each with its own share, from their Gram matrices.

Banded ridge regression gives every feature space a penalty of its own; in the dual that is a weighted sum of kernels,
K = Σ_b γ_b K_b / tr(K_b), with one alpha. Nunez-Elizalde, Huth & Gallant 2019, NeuroImage 197; Dupré la Tour,
Eickenberg, Nunez-Elizalde & Gallant 2022, NeuroImage 264. Shares are searched on a small grid, which needs no descent
and no random search, and ends at the same place every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product

import numpy as np

from isocortex.activations import namespace
from isocortex.typing import Array
from isocortex_metrics.numerics.arrays import to_numpy
from isocortex_metrics.numerics.dual_ridge import TIE, fit_split
from isocortex_metrics.numerics.gram import split_basis

#: relative weights of the baselines among each other
_RELATIVE = (0.0, 1.0, 10.0)
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class MixtureFit:
    """The best of several mixtures for each neuroid, on one split.

    Attributes
    ----------
    deviation
        (n_rows, n_neuroids) float64: prediction less the training mean.
    alpha_index
        (n_neuroids,) place in the grid of alphas.
    selection
        (n_neuroids,) 1 − (leave-one-out error) / (that of the training mean), within the training stimuli.
    shares
        (n_kernels, n_neuroids): share of each kernel in the mixture that was chosen.
    """

    deviation: Array
    alpha_index: Array
    selection: Array
    shares: Array


def baseline_mixtures(n_baselines: int) -> Array:
    """Shares of the baselines among each other: relative weights 0, 1 and 10 in all combinations, each once.

    Returns
    -------
    (n_mixtures, n_baselines), rows add up to 1; one empty row without baselines.

    Examples
    --------
    >>> baseline_mixtures(1).tolist()
    [[1.0]]
    >>> baseline_mixtures(2).round(2).tolist()
    [[0.0, 1.0], [1.0, 0.0], [0.5, 0.5], [0.09, 0.91], [0.91, 0.09]]
    """
    if n_baselines == 0:
        return np.zeros((1, 0))
    weights = np.array([row for row in product(_RELATIVE, repeat=n_baselines) if any(row)])
    shares = weights / weights.sum(axis=1, keepdims=True)
    first = np.unique(shares.round(9), axis=0, return_index=True)[1]
    return shares[np.sort(first)]


def joint_mixtures(model_shares: Sequence[float], baselines: Array) -> Array:
    """Shares of baselines and model, (n_mixtures, n_baselines + 1), the model last; each mixture once.

    Parameters
    ----------
    model_shares
        Shares of the model, above 0, at most 1.
    baselines
        (n_baseline_mixtures, n_baselines) as ``baseline_mixtures`` gives them.

    Examples
    --------
    >>> joint_mixtures([0.5, 1.0], np.array([[1.0]])).tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """
    if baselines.shape[1] == 0:
        return np.ones((1, 1))
    rows = [[*((1 - share) * row), share] for share in model_shares for row in baselines]
    return np.array(list(dict.fromkeys(tuple(float(value) for value in row) for row in rows)))


def training_traces(kernels: Sequence[Array], train: Array) -> Array:
    """tr(K_b) of each kernel centred over the training stimuli; 0 where nothing but rounding is left.

    Examples
    --------
    >>> training_traces([np.diag([1.0, 1.0, 5.0]), np.ones((3, 3))], np.array([0, 1])).tolist()
    [1.0, 0.0]
    """
    traces: list[float] = []
    for kernel in kernels:
        inner = kernel[train[:, None], train[None, :]]
        whole = float(namespace(inner).linalg.trace(inner))
        trace = whole - float(inner.sum()) / len(train)
        # as split_basis: features may vary over all stimuli and yet not over these
        traces.append(trace if trace > 20 * len(train) * _EPS * whole else 0.0)
    return np.array(traces)


def best_mixture(
    kernels: Sequence[Array],
    mixtures: Array,
    train: Array,
    rows: Array,
    responses: Array,
    start: MixtureFit | None = None,
) -> MixtureFit:
    """Choose shares and alpha per neuroid by leave-one-out within the training stimuli, and predict other stimuli.

    Parameters
    ----------
    kernels
        Gram matrices (n_stimuli, n_stimuli), on one device.
    mixtures
        (n_mixtures, n_kernels) shares γ; each kernel is divided by its trace over the training stimuli. A kernel that
        does not vary there has no share, and the others take over.
    train, rows
        Places of the training stimuli, and of those that are predicted.
    responses
        (n_train, n_neuroids) float64, where the kernels lie.
    start
        The best mixture of the first kernels on the same split. It stays where none of these is better by more than
        1e-9 (relative) in leave-one-out error; the same holds between earlier and later mixtures.

    Examples
    --------
    >>> x = np.arange(6.0)[:, None]
    >>> stimuli = np.arange(6)
    >>> fit = best_mixture([x @ x.T], np.array([[1.0]]), stimuli[:5], stimuli[5:], 2 * x[:5])
    >>> fit.deviation.round(3).tolist(), fit.shares.tolist()
    ([[6.0]], [[1.0]])
    """
    traces = training_traces(kernels, train)
    shares = effective(mixtures, traces > 0)
    best = start
    for share in shares:
        if best is not None and not share.any():
            continue
        kernel = mixed(kernels, share / np.where(traces > 0, traces, 1.0))
        best = _better(best, _fit(kernel, share, train, rows, responses))
    assert best is not None
    return best


def effective(mixtures: Array, varies: Array) -> Array:
    """Mixtures without the kernels that do not vary, rows adding up to 1 (or 0 where nothing varies), each once.

    Examples
    --------
    >>> effective(np.array([[0.5, 0.5], [0.0, 1.0], [1.0, 0.0]]), np.array([True, False])).tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """
    kept = mixtures * varies
    total = kept.sum(axis=1, keepdims=True)
    kept = kept / np.where(total > 0, total, 1.0)
    return np.array(list(dict.fromkeys(tuple(float(value) for value in row.round(12)) for row in kept)))


def mixed(kernels: Sequence[Array], weights: Array) -> Array:
    """Weighted sum of kernels, Σ_b w_b K_b.

    Examples
    --------
    >>> mixed([np.eye(2), np.ones((2, 2))], np.array([2.0, 0.5])).tolist()
    [[2.5, 0.5], [0.5, 2.5]]
    """
    parts = (float(weight) * kernel for weight, kernel in zip(weights, kernels, strict=True) if weight > 0)
    return reduce(lambda total, part: total + part, parts, namespace(kernels[0]).zeros_like(kernels[0]))


def _fit(kernel: Array, share: Array, train: Array, rows: Array, responses: Array) -> MixtureFit:
    fit = fit_split(split_basis(kernel, train, rows), responses)
    selection = to_numpy(fit.selection)
    shares = np.repeat(share[:, None], len(selection), axis=1)
    return MixtureFit(to_numpy(fit.deviation), to_numpy(fit.alpha_index), selection, shares)


def _better(best: MixtureFit | None, other: MixtureFit) -> MixtureFit:
    """Each neuroid from the fit with the smaller leave-one-out error, the earlier one where they tie."""
    if best is None:
        return other
    better = (1.0 - other.selection) < (1.0 - best.selection) * (1.0 - TIE)
    added = np.zeros((len(other.shares) - len(best.shares), len(better)))  # kernels that the earlier one had not
    return MixtureFit(
        np.where(better, other.deviation, best.deviation),
        np.where(better, other.alpha_index, best.alpha_index),
        np.where(better, other.selection, best.selection),
        np.where(better, other.shares, np.concatenate([best.shares, added])),
    )
