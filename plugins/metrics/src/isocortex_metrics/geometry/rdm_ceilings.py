"""Ceilings of dissimilarity matrices: how well a model could do, from how well the participants agree.

They bound the mean over participants of the statistic that they are made with, and no other: a ceiling made with
Pearson's r says nothing about a Spearman's rho.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from isocortex.typing import Array

if TYPE_CHECKING:
    from isocortex_metrics.geometry.pair_statistics import PairStatistic

Average = Literal["rank", "raw"]


def leave_one_out(
    rdms: Array,
    statistic: PairStatistic,
    average: Average = "rank",
    tie_share: float = 0.0,
    transformed: Array | None = None,
) -> tuple[float, float]:
    r"""Leave-one-participant-out bounds of the mean over participants of a statistic.

    Lower: each participant against the mean of the others' matrices, (1/S) Σ_s ρ(D_s, mean_{t≠s} D_t); upper: against
    the mean of all, the participant included. Nili et al. 2014, PLOS Computational Biology, "noise ceiling".

    Parameters
    ----------
    rdms
        D (n_participants, n_pairs), at least two participants.
    statistic
        An entry of ``rdm_comparison.COMPARISONS``.
    average
        "rank": matrices are ranked (Pearson: standardised, cosine: scaled to length 1) before they are averaged, so
        that the upper bound holds for every model (for tau-a: nearly, the best matrix has no formula). "raw": they are
        averaged as they are; participants with large dissimilarities weigh more, and a model can exceed the bound.
    tie_share
        Entries of ``rdms`` closer than this share of the largest are tied.
    transformed
        ``statistic.transform(rdms, tie_share)``, where it is there already.

    Returns
    -------
    lower, upper.

    Examples
    --------
    >>> from isocortex_metrics.geometry.pair_statistics import COMPARISONS
    >>> rdms, spearman = np.array([[1.0, 2.0, 3.0], [20.0, 40.0, 30.0]]), COMPARISONS["spearman"]
    >>> np.round(leave_one_out(rdms, spearman, "rank"), 3).tolist()
    [0.5, 0.866]
    >>> np.round(leave_one_out(rdms, spearman, "raw"), 3).tolist()
    [0.5, 0.75]
    """
    own = statistic.transform(rdms, tie_share) if transformed is None else transformed
    averaged = own if average == "rank" else np.asarray(rdms, dtype=np.float64)
    total = averaged.sum(axis=0)
    # sums of ranks that are equal but for rounding are ties, and stay so: the transform sees to it
    lower = [
        statistic.compare(one[None], statistic.transform(total - left_out))[0]
        for one, left_out in zip(own, averaged, strict=True)
    ]
    return float(np.mean(lower)), float(np.mean(statistic.compare(own, statistic.transform(total))))


def pairwise_agreement(rdms: Array, statistic: PairStatistic, tie_share: float = 0.0) -> float:
    """Mean of a statistic over all pairs of participants: what another participant of the same noise would reach.

    Parameters
    ----------
    rdms
        (n_participants, n_pairs), at least two participants.

    Examples
    --------
    >>> from isocortex_metrics.geometry.pair_statistics import COMPARISONS
    >>> round(pairwise_agreement(np.array([[1.0, 2.0, 3.0], [1.0, 3.0, 2.0]]), COMPARISONS["spearman"]), 12)
    0.5
    """
    own = statistic.transform(rdms, tie_share)
    pairs = [statistic.compare(own[place + 1 :], one) for place, one in enumerate(own[:-1])]
    return float(np.mean(np.concatenate(pairs)))


def brainscore_upper_bound(rdms: Array, statistic: PairStatistic, tie_share: float = 0.0) -> float:
    """Brain-Score's inter-subject ceiling: each participant against the mean matrix of all, the participant included.

    What its ``RSABenchmark`` divides by, with Spearman's rho; the upper bound of ``leave_one_out`` with matrices
    averaged as they are.

    Examples
    --------
    >>> from isocortex_metrics.geometry.pair_statistics import COMPARISONS
    >>> rdms = np.array([[1.0, 2.0, 3.0], [20.0, 40.0, 30.0]])
    >>> round(brainscore_upper_bound(rdms, COMPARISONS["spearman"]), 12)
    0.75
    """
    return leave_one_out(rdms, statistic, "raw", tie_share)[1]
