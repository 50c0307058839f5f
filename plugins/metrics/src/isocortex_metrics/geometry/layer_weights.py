"""Non-negative combinations of dissimilarity matrices, fitted on some pairs of stimuli and applied to others.

Pairs fall into cells by the folds of their two stimuli. Sums of squares and products are formed once per cell; those of
the training pairs of a fold are the sum over the cells that the fold does not touch. So all fits of one drawing of
folds cost a single pass over the pairs, and nothing is held but a block of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from isocortex.typing import Array
from isocortex_metrics.numerics.arrays import on_device, to_numpy
from isocortex_metrics.numerics.threads import few_threads

#: bytes of dissimilarities that are held in memory; more go to a file
HELD_BYTES = 500_000_000
#: values that are worked on at once
_BLOCK_VALUES = 2_000_000
#: matrices that vary less than this share of their size on the training pairs are flat there
_FLAT = 1e-12


def pair_table(n_rows: int, n_pairs: int, held_bytes: int = HELD_BYTES) -> Array:
    """An empty table (n_rows, n_pairs) float64: in memory, or in a temporary file where it would take too much.

    Examples
    --------
    >>> pair_table(2, 3).shape, type(pair_table(2, 3, held_bytes=0)).__name__
    ((2, 3), 'memmap')
    """
    if n_rows * n_pairs * 8 <= held_bytes:
        return np.empty((n_rows, n_pairs))
    with tempfile.TemporaryFile() as file:  # gone once nothing refers to the table
        return np.memmap(file, dtype=np.float64, mode="w+", shape=(n_rows, n_pairs))


def cells_of(fold_of: Array, n_folds: int) -> dict[tuple[int, int], Array]:
    """Places of the pairs in each cell: (lower fold, higher fold) of their two stimuli.

    Parameters
    ----------
    fold_of
        (n_stimuli,) the fold that tests each stimulus.
    n_folds
        How many there are.

    Examples
    --------
    >>> {cell: places.tolist() for cell, places in cells_of(np.array([0, 1, 0]), 2).items()}
    {(0, 0): [1], (0, 1): [0, 2], (1, 1): []}
    """
    first, second = (fold_of[side] for side in np.triu_indices(len(fold_of), 1))
    code = np.minimum(first, second) * n_folds + np.maximum(first, second)
    order = np.argsort(code, kind="stable")
    ends = np.searchsorted(code[order], np.arange(n_folds**2 + 1))
    return {
        (low, high): order[ends[low * n_folds + high] : ends[low * n_folds + high + 1]]
        for low in range(n_folds)
        for high in range(low, n_folds)
    }


class Moments(NamedTuple):
    """Sums over pairs: how many, of each row, and of products of rows (n_rows, n_rows)."""

    n_pairs: int
    sums: Array
    products: Array


def moments_of(tables: tuple[Array, ...], places: Array, shift: Array, device: str = "cpu") -> Moments:
    """Sums over some pairs of the rows of several tables, less a shift.

    Parameters
    ----------
    tables
        (n_rows, n_pairs) each; their rows follow each other.
    places
        The pairs.
    shift
        (n_rows of all tables,), taken off before products are formed; about the mean, so that few digits are lost.
    device
        Where products are formed.

    Examples
    --------
    >>> found = moments_of((np.array([[1.0, 2.0, 9.0]]),), np.array([0, 1]), np.array([1.0]))
    >>> found.n_pairs, found.sums.tolist(), found.products.tolist()
    (2, [1.0], [[1.0]])
    """
    n_rows = len(shift)
    sums, products = np.zeros(n_rows), np.zeros((n_rows, n_rows))
    step = max(1, _BLOCK_VALUES // n_rows)
    for start in range(0, len(places), step):
        block = np.concatenate([table[:, places[start : start + step]] for table in tables])
        block -= shift[:, None]
        sums += block.sum(axis=1)
        moved = on_device(block, device)
        products += to_numpy(moved @ moved.T)
    return Moments(len(places), sums, products)


def training_moments(cells: dict[tuple[int, int], Moments], fold: int) -> Moments:
    """Sums over the pairs of which neither stimulus is in a fold.

    Examples
    --------
    >>> one = Moments(1, np.ones(1), np.ones((1, 1)))
    >>> training_moments({(0, 0): one, (0, 1): one, (1, 1): one}, fold=0).n_pairs
    1
    """
    parts = [found for cell, found in cells.items() if fold not in cell]
    n_pairs = sum(part.n_pairs for part in parts)
    return Moments(
        n_pairs, np.sum([part.sums for part in parts], axis=0), np.sum([part.products for part in parts], axis=0)
    )


class Combination(NamedTuple):
    """A fitted combination.

    Attributes
    ----------
    weights
        (n_layers, n_participants) ≥ 0, of standardised matrices for a standardised target.
    slopes
        (n_layers, n_participants): the same in the units of the dissimilarities.
    intercepts
        (n_participants,).
    """

    weights: Array
    slopes: Array
    intercepts: Array


def fit_combination(moments: Moments, n_layers: int, shift: Array) -> Combination:
    r"""Non-negative least squares with an intercept: min_w Σ (d − c − Σ_l w_l d_l)², w_l ≥ 0, from sums alone.

    With the correlations R = V Λ Vᵀ among layers and r with the target, the problem is the same as that of the small
    design Λ^½ Vᵀ and the target Λ^−½ Vᵀ r, so that layers may be collinear. A layer or target that does not vary over
    the pairs has weight 0.

    Parameters
    ----------
    moments
        Of the layers, then of the participants.
    n_layers
        How many of the rows are layers.
    shift
        What was taken off the rows.

    Examples
    --------
    >>> rows = np.array([[0.0, 1.0, 2.0, 4.0], [3.0, 1.0, 1.0, 2.0], [1.0, 3.0, 5.0, 9.0]])
    >>> fitted = fit_combination(moments_of((rows,), np.arange(4), np.zeros(3)), 2, np.zeros(3))
    >>> fitted.slopes[:, 0].round(9).tolist(), fitted.intercepts.round(9).tolist()
    ([2.0, 0.0], [1.0])
    """
    from scipy.optimize import nnls

    mean = moments.sums / moments.n_pairs
    covariance = moments.products / moments.n_pairs - np.outer(mean, mean)
    variance = covariance.diagonal()
    varies = variance > _FLAT * moments.products.diagonal() / moments.n_pairs
    spread = np.sqrt(np.where(varies, variance, 1.0))
    correlation = covariance / np.outer(spread, spread)
    used = np.flatnonzero(varies[:n_layers])
    weights = np.zeros((n_layers, len(mean) - n_layers))
    if len(used):
        with few_threads(n_layers):
            values, vectors = np.linalg.eigh(correlation[np.ix_(used, used)])
        kept = values > len(used) * np.finfo(np.float64).eps * values[-1]
        root, vectors = np.sqrt(values[kept])[:, None], vectors[:, kept].T
        for column in np.flatnonzero(varies[n_layers:]):
            target = vectors @ correlation[used, n_layers + column] / root[:, 0]
            weights[used, column] = nnls(root * vectors, target, maxiter=10 * len(used) + 30)[0]
    slopes = weights * (spread[n_layers:] / spread[:n_layers, None])
    means = mean + shift
    return Combination(weights, slopes, means[n_layers:] - means[:n_layers] @ slopes)


def predict(fitted: Combination, layers: Array, places: Array) -> Array:
    """Dissimilarities that a combination gives for some pairs, (n_participants, n_places).

    Examples
    --------
    >>> fitted = Combination(np.ones((1, 1)), np.array([[2.0]]), np.array([1.0]))
    >>> predict(fitted, np.array([[0.0, 3.0, 5.0]]), np.array([1, 2])).tolist()
    [[7.0, 11.0]]
    """
    step = max(1, _BLOCK_VALUES // len(layers))
    starts: Iterable[int] = range(0, max(len(places), 1), step)
    parts = [fitted.slopes.T @ layers[:, places[start : start + step]] for start in starts]
    return np.concatenate(parts, axis=1) + fitted.intercepts[:, None]


def held_out_predictions(
    layers: Array, brains: Array, tests: list[Array], *, either: bool = False, device: str = "cpu"
) -> list[tuple[Array, Array]]:
    """Fit a combination outside each fold of the stimuli, and predict the pairs that the fold holds out.

    Parameters
    ----------
    layers
        (n_layers, n_pairs): the upper triangle of each layer's matrix, row by row.
    brains
        (n_participants, n_pairs), likewise.
    tests
        Places of the stimuli of each fold, ascending; each stimulus is in one.
    either
        Predict the pairs of which either stimulus is held out; those of two folds are predicted twice and averaged.
    device
        Where sums of products are formed.

    Returns
    -------
    For each fold the weights (n_layers, n_participants) and the predictions (n_participants, n_pairs of the fold) of
    the pairs of which both stimuli are held out, ordered as in ``rdm.pairs_among``. With ``either`` one entry: the mean
    weights, and the predictions of all pairs.

    Examples
    --------
    >>> model = np.random.default_rng(0).random((1, 15))
    >>> found = held_out_predictions(model, 2 * model, [np.arange(3), np.arange(3, 6)])
    >>> [bool(np.allclose(both[1], 2 * model[:, places])) for both, places in zip(found, [[0, 1, 5], [12, 13, 14]])]
    [True, True]
    """
    fold_of = np.empty(sum(map(len, tests)), dtype=np.intp)
    for fold, test in enumerate(tests):
        fold_of[test] = fold
    cells = cells_of(fold_of, len(tests))
    shift = np.concatenate([layers.mean(axis=1), brains.mean(axis=1)])
    moments = {cell: moments_of((layers, brains), places, shift, device) for cell, places in cells.items()}
    fits = [fit_combination(training_moments(moments, fold), len(layers), shift) for fold in range(len(tests))]
    if not either:
        return [(fit.weights, predict(fit, layers, cells[fold, fold])) for fold, fit in enumerate(fits)]
    total = np.zeros_like(brains)
    for (low, high), places in cells.items():
        found = [predict(fits[fold], layers, places) for fold in {low, high}]
        total[:, places] = np.mean(found, axis=0)
    return [(np.mean([fit.weights for fit in fits], axis=0), total)]


def padded(arrays: list[Array]) -> Array:
    """Stack arrays (n, …) of unequal length, the short ones filled with NaN (or −1 for places).

    Examples
    --------
    >>> padded([np.array([1, 2]), np.array([3])]).tolist()
    [[1, 2], [3, -1]]
    """
    shape = (len(arrays), max(map(len, arrays)), *arrays[0].shape[1:])
    fill = -1 if np.issubdtype(arrays[0].dtype, np.integer) else np.nan
    stacked = np.full(shape, fill, dtype=arrays[0].dtype)
    for row, array in zip(stacked, arrays, strict=True):
        row[: len(array)] = array
    return stacked
