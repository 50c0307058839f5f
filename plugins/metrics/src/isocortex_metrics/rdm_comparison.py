"""Comparing representational dissimilarity matrices: ranks, noise ceiling, bootstrap over stimuli."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from isocortex.errors import DataError
from isocortex_metrics.threads import few_threads

Array = np.ndarray[Any, Any]

#: dissimilarities closer than this share of the largest are equal: what should tie differs by rounding
TIE_SHARE = 1e-10
#: values that are held at once while sums over pairs are formed
_BLOCK_VALUES = 2_000_000


def average_ranks(values: Array, tolerance: float = 0.0) -> Array:
    """Ranks from 1; tied values share the mean of their ranks.

    Parameters
    ----------
    values
        (n,) float64.
    tolerance
        Neighbours in the order that are at most this far apart are tied.

    Examples
    --------
    >>> average_ranks(np.array([0.3, 0.1, 0.3 + 1e-16, 0.2]), tolerance=1e-12).tolist()
    [3.5, 1.0, 3.5, 2.0]
    """
    order = np.argsort(values, kind="stable")
    starts = np.concatenate([[True], np.diff(values[order]) > tolerance])
    first = np.append(np.flatnonzero(starts), len(values))
    ranks = np.empty(len(values))
    ranks[order] = (0.5 * (first[:-1] + first[1:] + 1))[np.cumsum(starts) - 1]
    return ranks


def unit_ranks(rdms: Array, tie_share: float = TIE_SHARE) -> Array:
    """Average ranks of each matrix, centred, with norm 1: their dot product is Spearman's rho.

    Parameters
    ----------
    rdms
        (n_pairs,) or (n_matrices, n_pairs).
    tie_share
        Entries closer than this share of the largest are tied; 0: only those that are equal.

    Raises
    ------
    DataError
        A matrix whose entries are all equal has no ranks.

    Examples
    --------
    >>> round(float(unit_ranks(np.array([1.0, 2.0, 9.0])) @ unit_ranks(np.array([5.0, 7.0, 6.0]))), 12)
    0.5
    """
    rows = np.atleast_2d(np.asarray(rdms, dtype=np.float64))
    ranks = [average_ranks(row, tie_share * float(np.abs(row).max())) for row in rows]
    return _unit(np.stack(ranks)).reshape(rdms.shape)


def unit_values(rdms: Array, tie_share: float = TIE_SHARE) -> Array:
    """Entries of each matrix, centred, with norm 1: their dot product is Pearson's r.

    Raises
    ------
    DataError
        The entries of a matrix are all equal (within ``tie_share`` of the largest).
    """
    rows = np.atleast_2d(np.asarray(rdms, dtype=np.float64))
    varies = np.ptp(rows, axis=1) > tie_share * np.abs(rows).max(axis=1)
    return _unit(np.where(varies[:, None], rows, 0.0)).reshape(rdms.shape)


def _unit(rows: Array) -> Array:
    centred = rows - rows.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(centred, axis=1, keepdims=True)
    if (norm == 0).any():
        raise DataError("A dissimilarity matrix has equal entries throughout; a correlation with it is undefined.")
    return centred / norm


def varies(rdm: Array, tie_share: float = TIE_SHARE) -> bool:
    """Whether the entries of a matrix differ by more than rounding, so that something can correlate with it."""
    return bool(np.ptp(rdm) > tie_share * np.abs(rdm).max(initial=0.0))


#: comparison → (its statistic, the transform of matrices whose dot products are that statistic)
COMPARISONS: dict[str, tuple[str, Callable[..., Array]]] = {
    "spearman": ("rho", unit_ranks),
    "pearson": ("r", unit_values),
}


def noise_ceiling(rdms: Array, comparison: str = "spearman") -> tuple[float, float]:
    """Leave-one-participant-out bounds of the mean correlation with the participants.

    Lower: each participant against the mean of the others' matrices; upper: against the mean of all. Matrices are
    ranked (for Pearson: standardised) before they are averaged. Nili et al. 2014, PLOS Computational Biology, "noise
    ceiling".

    Parameters
    ----------
    rdms
        (n_participants, n_pairs), at least two participants.

    Examples
    --------
    >>> lower, upper = noise_ceiling(np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 8.0]]))
    >>> round(lower, 12), round(upper, 12)
    (1.0, 1.0)
    """
    transform = COMPARISONS[comparison][1]
    standard = transform(rdms, 0.0)
    total = standard.sum(axis=0)
    # sums of ranks that are equal but for rounding are ties, and must stay so: TIE_SHARE sees to it
    lower = [float(own @ transform(total - own)) for own in standard]
    return float(np.mean(lower)), float(np.mean(standard @ transform(total)))


def weighted_rho(model: Array, brains: Array, counts: Array) -> Array:
    r"""Correlation of pair vectors in bootstrap samples of stimuli, with the ranks of the whole sample.

    The pair i ≠ j has the weight w_i w_j: a pair weighs as often as both its stimuli were drawn, and a stimulus makes
    no pair with itself.

    Parameters
    ----------
    model
        (n_pairs,), as from ``unit_ranks`` or ``unit_values``.
    brains
        (n_participants, n_pairs), likewise.
    counts
        w (n_draws, n_stimuli).

    Returns
    -------
    (n_draws, n_participants); NaN where a sample holds one value over and over. Memory: a few vectors of pairs and 2
    million values.

    Examples
    --------
    >>> rdm = unit_ranks(np.array([1.0, 2.0, 3.0]))
    >>> weighted_rho(rdm, rdm[None], np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 0.0]])).round(12).tolist()
    [[1.0], [nan]]
    """
    found = np.empty((len(counts), len(brains)))
    total = 0.5 * (counts.sum(axis=1) ** 2 - (counts**2).sum(axis=1))
    total = np.where(total > 0, total, np.nan)
    mean_m, variance_m = _moments(model, counts, total)
    floor = 1e-12 / len(model)  # in the whole sample each variance is 1 / n_pairs
    for place, brain in enumerate(brains):
        mean_b, variance_b = _moments(brain, counts, total)
        covariance = pair_sums(model * brain, counts) / total - mean_m * mean_b
        valid = (variance_m > floor) & (variance_b > floor)
        r = covariance / np.sqrt(np.where(valid, variance_m * variance_b, 1.0))
        found[:, place] = np.where(valid, np.clip(r, -1.0, 1.0), np.nan)
    return found


def _moments(vector: Array, counts: Array, total: Array) -> tuple[Array, Array]:
    mean = pair_sums(vector, counts) / total
    return mean, pair_sums(vector**2, counts) / total - mean**2


def pair_sums(vector: Array, counts: Array) -> Array:
    r"""Σ_{i<j} w_i w_j v_ij for each sample, by matrix products over blocks of rows of the upper triangle.

    Parameters
    ----------
    vector
        v (n_pairs,).
    counts
        w (n_draws, n_stimuli).

    Returns
    -------
    (n_draws,).

    Examples
    --------
    >>> pair_sums(np.array([1.0, 10.0, 100.0]), np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 0.0]])).tolist()
    [111.0, 2.0]
    """
    n_draws, n_stimuli = counts.shape
    ends = np.cumsum(np.arange(n_stimuli - 1, 0, -1))
    sums = np.zeros(n_draws)
    step = max(1, _BLOCK_VALUES // max(n_stimuli, n_draws))
    for first in range(0, n_stimuli - 1, step):
        rows = range(first, min(first + step, n_stimuli - 1))
        upper = np.zeros((len(rows), n_stimuli))
        for row, place in zip(upper, rows, strict=True):
            row[place + 1 :] = vector[ends[place] - (n_stimuli - 1 - place) : ends[place]]
        with few_threads(n_stimuli):
            products = counts @ upper.T  # (n_draws, n_rows)
        sums += np.einsum("di,di->d", products, counts[:, rows.start : rows.stop])
    return sums
