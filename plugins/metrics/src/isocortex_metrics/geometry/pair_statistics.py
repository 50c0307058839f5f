"""Comparing representational dissimilarity matrices: five statistics over pairs, and their bootstrap over stimuli.

Each statistic has a transform of matrices, done once for the brains and once per layer, and a comparison of what it
gives. Four of them are dot products of transformed matrices; Kendall's tau-a is a count over pairs of pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from isocortex.errors import DataError
from isocortex.typing import Array
from isocortex_metrics.numerics.ranks import average_ranks, broken_ranks, concordance, tau_a
from isocortex_metrics.numerics.threads import few_threads

#: dissimilarities closer than this share of the largest are equal: what should tie differs by rounding
TIE_SHARE = 1e-10
#: the same for published metrics, whose code ties equal numbers only: next to no true difference is that small
PUBLISHED_TIE_SHARE = 1e-13
#: values that are held at once while sums over pairs are formed
_BLOCK_VALUES = 2_000_000


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
    return _unit(ranked(np.atleast_2d(rdms), tie_share)).reshape(rdms.shape)


def ranked(rdms: Array, tie_share: float = TIE_SHARE) -> Array:
    """Average ranks of each matrix, from 1; parameters as those of ``unit_ranks``.

    Examples
    --------
    >>> ranked(np.array([0.5, 0.1, 0.5])).tolist()
    [2.5, 1.0, 2.5]
    """
    rows = np.atleast_2d(np.asarray(rdms, dtype=np.float64))
    ranks = np.empty_like(rows)
    for found, row in zip(ranks, rows, strict=True):
        found[:] = average_ranks(row, tie_share * float(max(row.max(), -row.min())))
    return ranks.reshape(rdms.shape)


def scaled_ranks(rdms: Array, tie_share: float = TIE_SHARE) -> Array:
    """Average ranks of each matrix, centred, over the norm of ranks without ties: their dot product is rho-a.

    Examples
    --------
    >>> round(float(scaled_ranks(np.array([1.0, 1.0, 2.0])) @ scaled_ranks(np.array([1.0, 2.0, 3.0]))), 12)
    0.75
    """
    n = rdms.shape[-1]
    return (ranked(rdms, tie_share) - (n + 1) / 2) * np.sqrt(12 / (n**3 - n))


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


def unit_lengths(rdms: Array, tie_share: float = TIE_SHARE) -> Array:
    """Each matrix over its norm: their dot product is the cosine.

    Raises
    ------
    DataError
        A matrix of zeros.

    Examples
    --------
    >>> unit_lengths(np.array([3.0, 4.0])).tolist()
    [0.6, 0.8]
    """
    del tie_share
    rows = np.atleast_2d(np.array(rdms, dtype=np.float64))  # a copy
    return _over_norm(rows).reshape(rdms.shape)


def _unit(rows: Array) -> Array:
    """Rows centred, with norm 1; works in place, because matrices of many stimuli are large."""
    rows -= rows.mean(axis=1, keepdims=True)
    return _over_norm(rows)


def _over_norm(rows: Array) -> Array:
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    if (norm == 0).any():
        raise DataError("A dissimilarity matrix has equal entries throughout; a correlation with it is undefined.")
    rows /= norm
    return rows


def varies(rdm: Array, tie_share: float = TIE_SHARE) -> bool:
    """Whether the entries of a matrix differ by more than rounding, so that something can correlate with it."""
    return bool(np.ptp(rdm) > tie_share * np.abs(rdm).max(initial=0.0))


def weighted_rho(
    model: Array, brains: Array, counts: Array, *, centred: bool = True, scales: tuple[Array, Array] | None = None
) -> Array:
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
    centred
        False: the cosine.
    scales
        Vectors like ``model`` and ``brains`` whose variances are divided by; None: those of ``model`` and ``brains``.

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
    total = _pair_weight(counts)
    mean_m, variance_m = _moments(model, counts, total, centred)
    if scales is not None:
        variance_m = _moments(scales[0], counts, total, centred)[1]
    floor = 1e-12 / len(model)  # in the whole sample each variance is 1 / n_pairs
    for place, brain in enumerate(brains):
        mean_b, variance_b = _moments(brain, counts, total, centred)
        if scales is not None:
            variance_b = _moments(scales[1][place], counts, total, centred)[1]
        covariance = pair_sums(model * brain, counts) / total - mean_m * mean_b
        valid = (variance_m > floor) & (variance_b > floor)
        r = covariance / np.sqrt(np.where(valid, variance_m * variance_b, 1.0))
        found[:, place] = np.where(valid, np.clip(r, -1.0, 1.0), np.nan)
    return found


def _pair_weight(counts: Array) -> Array:
    """Sum of the weights of all pairs, NaN where a sample holds one stimulus only."""
    total = 0.5 * (counts.sum(axis=1) ** 2 - (counts**2).sum(axis=1))
    return np.where(total > 0, total, np.nan)


def _moments(vector: Array, counts: Array, total: Array, centred: bool) -> tuple[Array, Array]:
    mean = pair_sums(vector, counts) / total if centred else np.zeros(len(counts))
    return mean, pair_sums(vector**2, counts) / total - mean**2


def weighted_rho_a(model: Array, brains: Array, counts: Array) -> Array:
    """Bootstrap of rho-a as in ``weighted_rho``: covariances of average ranks over variances of ranks without ties.

    Parameters are those of ``weighted_rho``, with vectors from ``scaled_ranks``.
    """
    scales = [_unit(broken_ranks(row)[None])[0] for row in (model, *brains)]
    return weighted_rho(model, brains, counts, scales=(scales[0], np.stack(scales[1:])))


def weighted_cosine(model: Array, brains: Array, counts: Array) -> Array:
    """Bootstrap of the cosine; parameters and weights of pairs are those of ``weighted_rho``."""
    return weighted_rho(model, brains, counts, centred=False)


def weighted_tau_a(model: Array, brains: Array, counts: Array) -> Array:
    r"""Bootstrap of tau-a, linear in the weights of pairs: τ + 2 (Σ_p w_p τ_p / Σ_p w_p − τ).

    τ_p is the part of τ that pair p has with all others, so that one count serves all samples. To first order this is
    tau-a in the sample (a U-statistic and its projection: Hoeffding 1948, Annals of Mathematical Statistics 19).

    Parameters are those of ``weighted_rho``, with vectors from ``ranked``.
    """
    found = np.empty((len(counts), len(brains)))
    total = _pair_weight(counts)
    for place, brain in enumerate(brains):
        parts = concordance(model, brain) / (len(model) - 1)
        tau = parts.mean()
        found[:, place] = np.clip(tau + 2 * pair_sums(parts - tau, counts) / total, -1.0, 1.0)
    return found


def _products(brains: Array, model: Array) -> Array:
    return brains @ model


def _taus(brains: Array, model: Array) -> Array:
    return np.array([tau_a(brain, model) for brain in brains])


class PairStatistic(NamedTuple):
    """A way to compare dissimilarity matrices.

    Attributes
    ----------
    name
        Of the statistic.
    transform
        (rdms, tie_share) → rdms as they are compared, same shape.
    compare
        (brains (n_participants, n_pairs), model (n_pairs,)), both transformed → (n_participants,).
    draws
        (model, brains, counts (n_draws, n_stimuli)) → (n_draws, n_participants): the statistic in bootstrap samples.
    averaging
        What "rank" averaging does to matrices before they are averaged, for the name of a ceiling.
    """

    name: str
    transform: Callable[..., Array]
    compare: Callable[[Array, Array], Array]
    draws: Callable[[Array, Array, Array], Array]
    averaging: str


COMPARISONS: dict[str, PairStatistic] = {
    "spearman": PairStatistic("rho", unit_ranks, _products, weighted_rho, "rank-averaged"),
    "pearson": PairStatistic("r", unit_values, _products, weighted_rho, "averaged after standardising"),
    "kendall": PairStatistic("tau_a", ranked, _taus, weighted_tau_a, "rank-averaged"),
    "rho-a": PairStatistic("rho_a", scaled_ranks, _products, weighted_rho_a, "rank-averaged"),
    "cosine": PairStatistic("cosine", unit_lengths, _products, weighted_cosine, "averaged after scaling"),
}


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
