"""What Brain-Score's regressions predict: ridge with alpha 1, least squares, single units, ridge with a searched alpha.

Pure functions on arrays. Each yields, for every split, the prediction of the test stimuli less an offset that changes
no correlation, so that no digit of it is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isocortex.interfaces import Split
from isocortex.typing import Array
from isocortex_metrics.brainscore.compact import centred_columns, cross_product
from isocortex_metrics.numerics.correlation import ROUNDING, pearson
from isocortex_metrics.numerics.dual_ridge import deviations
from isocortex_metrics.numerics.gram import centred_responses, split_basis
from isocortex_metrics.numerics.leave_one_out import leave_one_out_errors
from isocortex_metrics.numerics.threads import few_threads

#: scikit-learn's ``Ridge(alpha=1)``
SKLEARN_ALPHA = 1.0
#: 99 alphas of Brain-Score's ``ridgecv``, ascending
CROSS_VALIDATED_ALPHAS: Array = np.concatenate(
    [
        [0.01, 0.1, 0.5, 1.0],
        np.linspace(10, 100, 4, endpoint=False),
        *(np.linspace(10.0**power, 10.0 ** (power + 1), 18, endpoint=False) for power in (2, 3, 4, 5)),
        np.linspace(1e6, 1e7, 19),
    ]
)
#: features whose training sum of squares is below this share of its size do not vary there
_NOT_VARYING = 1e-26


def correlations(prediction: Array, response: Array) -> Array:
    """Pearson r of each column, NaN where one of the two does not vary, whatever their scales.

    Parameters
    ----------
    prediction, response
        (n_stimuli, n_columns) float64.

    Examples
    --------
    >>> tiny = 1e-30 * np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])
    >>> correlations(tiny, np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 4.0]])).round(12).tolist()
    [1.0, nan]
    """
    spread = np.linalg.norm(prediction - prediction.mean(axis=0), axis=0)
    scale = np.linalg.norm(response - response.mean(axis=0), axis=0) / np.where(spread > 0, spread, 1.0)
    r, null = pearson(prediction * scale, response)
    return np.where(null, np.nan, r)


# --- ridge with a fixed alpha -----------------------------------------------------------------------------------------


def ridge_primal(
    features: Array, responses: Array, splits: Sequence[Split], alpha: float = SKLEARN_ALPHA
) -> Iterator[Array]:
    r"""X_test (XᵀX + αI)⁻¹ XᵀY with all sides centred by the training mean, (n_test, n_neuroids) per split.

    XᵀX and XᵀY of all stimuli are formed once; each split takes off what it leaves out.

    Parameters
    ----------
    features
        (n_stimuli, n_units) float64, centred over all stimuli.
    responses
        (n_stimuli, n_neuroids) float64.

    Examples
    --------
    >>> x = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> split = Split(np.array([1, 2]), np.array([0, 3]))
    >>> [found.round(6).tolist() for found in ridge_primal(x, 3 * x, [split])]  # slope 3 · 2 / (2 + 1)
    [[[-4.0], [4.0]]]
    """
    from scipy.linalg import solve

    targets = centred_columns(responses)
    gram, cross = features.T @ features, features.T @ targets
    for train, test in splits:
        inner = cross_product(features, features, gram, train)
        if float(np.trace(inner)) <= 4 * ROUNDING * float(np.trace(gram)):  # nothing varies over the training stimuli
            yield np.zeros((len(test), responses.shape[1]))
            continue
        outer = cross_product(features, targets, cross, train)
        constant = ~centred_responses(responses[train])[0].any(axis=0)
        outer[:, constant] = 0.0
        inner[np.diag_indices_from(inner)] += alpha
        with few_threads(len(inner)):
            weights = solve(inner, outer, assume_a="pos", overwrite_a=True, check_finite=False)
        yield (features[test] - features[train].mean(axis=0)) @ weights


def _varies(training: Array, mean: Array) -> bool:
    return float(((training - mean) ** 2).sum()) > _NOT_VARYING * float((training**2).sum())


def ridge_dual(gram: Array, responses: Array, splits: Sequence[Split], alpha: float = SKLEARN_ALPHA) -> Iterator[Array]:
    r"""K_test,train (K + αI)⁻¹ Y with all sides centred by the training mean, (n_test, n_neuroids) per split.

    Parameters
    ----------
    gram
        K (n_stimuli, n_stimuli), X Xᵀ of features with any constant taken off.
    responses
        (n_stimuli, n_neuroids) float64.

    Examples
    --------
    >>> x = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> split = Split(np.array([1, 2]), np.array([0, 3]))
    >>> [found.round(6).tolist() for found in ridge_dual(x @ x.T, 3 * x, [split])]
    [[[-4.0], [4.0]]]
    """
    from scipy.linalg import solve

    for train, test in splits:
        to_train = gram[:, train].mean(axis=1)
        inner = gram[np.ix_(train, train)] - to_train[train][:, None] - to_train[train] + to_train[train].mean()
        outer = gram[np.ix_(test, train)] - to_train[test][:, None] - to_train[train] + to_train[train].mean()
        centred, _ = centred_responses(responses[train])
        # unlike sums of squares of features, those of K have lost the digits below the precision of its entries
        if float(np.trace(inner)) <= 4 * ROUNDING * float(np.trace(gram[np.ix_(train, train)])):
            yield np.zeros((len(test), responses.shape[1]))
            continue
        inner[np.diag_indices_from(inner)] += alpha
        with few_threads(len(inner)):
            weights = solve(inner, centred, assume_a="pos", overwrite_a=True, check_finite=False)
        yield outer @ weights


# --- least squares ----------------------------------------------------------------------------------------------------


def least_squares(features: Array, responses: Array, splits: Sequence[Split]) -> Iterator[Array]:
    """X_test X⁺ Y, the solution of least norm, all sides centred by the training mean, (n_test, n_neuroids) per split.

    Singular values below the larger side of X times the precision, relative to the largest, are 0.

    Parameters
    ----------
    features
        (n_stimuli, n_columns) float64.
    responses
        (n_stimuli, n_neuroids) float64.

    Examples
    --------
    >>> x = np.array([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0], [5.0, 5.0]])  # two equal units share the weight
    >>> split = Split(np.array([0, 1, 2]), np.array([3]))
    >>> [found.round(6).tolist() for found in least_squares(x, 3 * x[:, :1], [split])]  # 15 less the mean, 7
    [[[8.0]]]
    """
    from scipy.linalg import lstsq

    for train, test in splits:
        mean = features[train].mean(axis=0)
        centred, _ = centred_responses(responses[train])
        if not _varies(features[train], mean):
            yield np.zeros((len(test), responses.shape[1]))
            continue
        smallest = max(len(train), features.shape[1]) * float(np.finfo(np.float64).eps)
        with few_threads(min(len(train), features.shape[1])):
            solved: Any = lstsq(features[train] - mean, centred, cond=smallest, overwrite_a=True, check_finite=False)
        yield (features[test] - mean) @ solved[0]


# --- single units -----------------------------------------------------------------------------------------------------


@dataclass
class BestUnits:
    """The unit that correlates best with each neuroid over the training stimuli of a split, among those seen so far.

    Attributes
    ----------
    r
        (n_neuroids,) its training correlation, signed; -inf where no unit has one.
    unit
        (n_neuroids,) its number; -1 where there is none.
    values
        (n_test, n_neuroids) what it does on the test stimuli; NaN where there is none.
    """

    r: Array
    unit: Array
    values: Array


def best_units(blocks: Iterable[Array], responses: Array, splits: Sequence[Split]) -> list[BestUnits]:
    """For each neuroid and split the one unit with the largest signed training correlation; ties go to the first.

    Parameters
    ----------
    blocks
        Column blocks (n_stimuli, width) of the features; read once.
    responses
        (n_stimuli, n_neuroids) float64.

    Examples
    --------
    >>> features = np.array([[1.0, 5.0], [2.0, 3.0], [3.0, 4.0], [9.0, 0.0]])
    >>> split = Split(np.array([0, 1, 2]), np.array([3]))
    >>> found = best_units([features], features[:, :1] + 0.1 * features[:, 1:], [split])[0]
    >>> found.unit.tolist(), found.values.tolist()
    ([0], [[9.0]])
    """
    n_neuroids = responses.shape[1]
    found = [
        BestUnits(np.full(n_neuroids, -np.inf), np.full(n_neuroids, -1), np.full((len(split.test), n_neuroids), np.nan))
        for split in splits
    ]
    units = [_unit_norm(responses[split.train]) for split in splits]
    seen = 0
    for block in blocks:
        for best, unit, (train, test) in zip(found, units, splits, strict=True):
            _update(best, unit, block[train].astype(np.float64), block[test], seen)
        seen += block.shape[1]
    return found


def _update(best: BestUnits, responses: Array, training: Array, test: Array, seen: int) -> None:
    r = _unit_norm(training).T @ responses  # (width, n_neuroids)
    r = np.where(np.isnan(r), -np.inf, r)
    top = r.argmax(axis=0)
    value = r[top, np.arange(r.shape[1])]
    better = value > best.r
    best.r = np.where(better, value, best.r)
    best.unit = np.where(better, seen + top, best.unit)
    best.values[:, better] = test[:, top[better]]


def _unit_norm(values: Array) -> Array:
    """Columns centred, of norm 1; NaN where they do not vary."""
    centred, _ = centred_responses(values)
    norm = np.linalg.norm(centred, axis=0)
    return centred / np.where(norm > 0, norm, np.nan)


# --- ridge with a searched alpha --------------------------------------------------------------------------------------


def searched_ridge(
    gram: Array, responses: Array, split: Split, alphas: Array = CROSS_VALIDATED_ALPHAS
) -> tuple[Array, int]:
    """Ridge with one alpha for all neuroids, that of the smallest leave-one-out error of the training stimuli.

    The error is exact, intercept included, and is averaged over stimuli and neuroids; ties go to the first alpha.

    Parameters
    ----------
    gram
        (n_stimuli, n_stimuli), X Xᵀ of features with any constant taken off.
    responses
        (n_stimuli, n_neuroids) float64.
    alphas
        Ascending.

    Returns
    -------
    The prediction less the training mean (n_test, n_neuroids), and the place of alpha.

    Examples
    --------
    >>> x = np.array([[-3.0], [-1.0], [2.0], [4.0], [5.0]])
    >>> found, place = searched_ridge(x @ x.T, 2 * x, Split(np.arange(4), np.array([4])))
    >>> float(CROSS_VALIDATED_ALPHAS[place]), found.round(3).tolist()
    (0.01, [[8.997]])
    """
    basis = split_basis(gram, split.train, split.test)
    centred, _ = centred_responses(responses[split.train])
    if basis.mean_eigenvalue == 0.0:
        return np.zeros((len(split.test), responses.shape[1])), 0
    with few_threads(len(centred)):
        rotated = basis.vectors.T @ centred
        errors = leave_one_out_errors(basis, rotated, alphas).mean(axis=1)
        place = int(errors.argmin())
        return deviations(basis.cross, basis.values, rotated, np.full(rotated.shape[1], alphas[place])), place
