"""Representational dissimilarity matrices as vectors of pairs (upper triangle, row by row), and comparing them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from isocortex.errors import DataError

Array = np.ndarray[Any, Any]
Blocks = Callable[[], Iterator[Array]]


def correlation_distance(blocks: Blocks, n_stimuli: int) -> Array:
    """1 − Pearson correlation between the patterns of every pair of stimuli.

    Parameters
    ----------
    blocks
        Gives the column blocks (n_stimuli, width) of the patterns, each time it is called; they are read twice.

    Returns
    -------
    (n_pairs,) float64.

    Raises
    ------
    DataError
        A pattern does not vary over its units, so that its correlation is undefined.

    Examples
    --------
    >>> patterns = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    >>> correlation_distance(lambda: iter([patterns]), 3).round(6).tolist()
    [2.0, 0.0, 2.0]
    """
    total, n_units = np.zeros(n_stimuli), 0
    for block in blocks():
        total += block.sum(axis=1, dtype=np.float64)
        n_units += block.shape[1]
    mean = (total / max(n_units, 1))[:, None]
    gram, scale = np.zeros((n_stimuli, n_stimuli)), np.zeros(n_stimuli)
    for block in blocks():
        centred = block.astype(np.float64) - mean
        gram += centred @ centred.T
        scale = np.maximum(scale, np.abs(block).max(axis=1, initial=0.0))
    norm = np.sqrt(np.diag(gram))
    flat = np.flatnonzero(norm <= 1e-12 * scale * np.sqrt(n_units))
    if len(flat):
        raise DataError(
            f"The correlation distance needs patterns that vary over units; {len(flat)} of {n_stimuli} stimuli have a "
            f"constant pattern of {n_units} units (first: number {flat[0]} of the canonical order). Use another "
            "reduction or dissimilarity."
        )
    return 1.0 - (gram / np.outer(norm, norm))[np.triu_indices(n_stimuli, 1)]


def euclidean_distance(blocks: Blocks, n_stimuli: int) -> Array:
    """Euclidean distance between the patterns of every pair of stimuli, (n_pairs,) float64."""
    first, second = np.triu_indices(n_stimuli, 1)
    gram = np.zeros((n_stimuli, n_stimuli))
    for block in blocks():
        centred = block.astype(np.float64) - block.mean(axis=0, dtype=np.float64)
        gram += centred @ centred.T
    diagonal = np.diag(gram)
    squared = diagonal[first] + diagonal[second] - 2 * gram[first, second]
    return np.sqrt(np.clip(squared, 0.0, None))


DISSIMILARITIES: dict[str, Callable[[Blocks, int], Array]] = {
    "correlation": correlation_distance,
    "euclidean": euclidean_distance,
}


def unit_ranks(rdms: Array) -> Array:
    """Average ranks of each row, centred, with norm 1: their dot product is Spearman's rho. (…, n_pairs).

    Raises
    ------
    DataError
        A matrix whose entries are all equal has no ranks.
    """
    from scipy.stats import rankdata

    ranks = rankdata(rdms, axis=-1)
    ranks -= ranks.mean(axis=-1, keepdims=True)
    norm = np.linalg.norm(ranks, axis=-1, keepdims=True)
    if (norm == 0).any():
        raise DataError("A dissimilarity matrix has equal entries throughout; a rank correlation with it is undefined.")
    return ranks / norm


def noise_ceiling(rdms: Array) -> tuple[float, float]:
    """Leave-one-participant-out bounds of the mean Spearman correlation with the participants.

    Lower: each participant against the mean of the others' ranked matrices; upper: against the mean of all.
    Nili et al. 2014, PLOS Computational Biology, "noise ceiling".

    Parameters
    ----------
    rdms
        (n_participants, n_pairs), at least two participants.
    """
    ranks = unit_ranks(rdms)
    total = ranks.sum(axis=0)
    # sums of ranks that are equal but for rounding are ties, and must stay so
    lower = [float(own @ unit_ranks(np.round(total - own, 12))) for own in ranks]
    upper = [float(own @ unit_ranks(np.round(total, 12))) for own in ranks]
    return float(np.mean(lower)), float(np.mean(upper))


def weighted_rho(model_ranks: Array, brain_ranks: Array, counts: Array) -> Array:
    """Rank correlation in bootstrap samples of stimuli, with the ranks of the whole sample: (n_draws, n_participants).

    A pair weighs as often as both its stimuli were drawn; a stimulus makes no pair with itself.

    Parameters
    ----------
    model_ranks
        (n_pairs,).
    brain_ranks
        (n_participants, n_pairs).
    counts
        (n_draws, n_stimuli).
    """
    from isocortex_metrics.correlation import weighted_pearson

    first, second = np.triu_indices(counts.shape[1], 1)
    found = np.empty((len(counts), len(brain_ranks)))
    step = max(1, 4_000_000 // len(first))
    for start in range(0, len(counts), step):
        part = counts[start : start + step]
        weights = part[:, first] * part[:, second]
        model = np.repeat(model_ranks[:, None], len(brain_ranks), axis=1)
        found[start : start + step] = np.nan_to_num(weighted_pearson(model, brain_ranks.T, weights))
    return found
