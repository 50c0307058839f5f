"""Wilcoxon's signed-rank test: exact with ties, and by the normal approximation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from isocortex.typing import Array

#: differences closer than this are rounding of equal ones
ROUNDING_DIGITS = 12


@dataclass(frozen=True)
class SignedRank:
    """What the test found.

    Attributes
    ----------
    statistic
        The smaller of the two sums of ranks.
    p
        Two-sided, exact.
    p_normal
        Two-sided, by the normal approximation without correction for continuity.
    n
        Differences that are not zero.
    """

    statistic: float
    p: float
    p_normal: float
    n: int


def signed_rank(differences: Array) -> SignedRank | None:
    r"""Test whether differences lie around zero.

    Zeros are left out, equal sizes share the mean of their ranks; W is the smaller of the sums of ranks of positive and
    of negative differences. p = min(1, 2 P(W⁺ ≤ W)) over all 2ⁿ signs of the ranks as they are.

    Parameters
    ----------
    differences
        (n,), finite; rounded to twelve digits.

    Returns
    -------
    None where every difference is zero.

    References
    ----------
    Wilcoxon 1945, *Biometrics Bulletin* 1.

    Examples
    --------
    >>> found = signed_rank(np.array([0.3, 0.1, 0.2, 0.5, -0.05, 0.4]))
    >>> found.statistic, found.p, found.n
    (1.0, 0.0625, 6)
    """
    from scipy.stats import rankdata

    kept = np.round(np.asarray(differences, dtype=np.float64), ROUNDING_DIGITS)
    kept = kept[kept != 0]
    if not len(kept):
        return None
    ranks = rankdata(np.abs(kept))
    smaller = min(float(ranks[kept > 0].sum()), float(ranks[kept < 0].sum()))
    return SignedRank(smaller, _exact_p(ranks, smaller), _normal_p(ranks, smaller), len(kept))


def _exact_p(ranks: Array, smaller: float) -> float:
    """Share of all signs that give a sum of at most ``smaller``, on both sides; ranks are multiples of a half."""
    doubled = np.round(2 * ranks).astype(np.intp)
    shares = np.zeros(int(doubled.sum()) + 1)
    shares[0] = 1.0
    for rank in doubled:  # the distribution of the sum, one rank after the other
        moved = np.zeros_like(shares)
        moved[rank:] = shares[: len(shares) - rank]
        shares = (shares + moved) / 2
    return min(1.0, 2 * float(shares[: round(2 * smaller) + 1].sum()))


def _normal_p(ranks: Array, smaller: float) -> float:
    """From mean and variance over all signs, Σ ranks / 2 and Σ ranks² / 4, which ties are part of."""
    distance = abs(smaller - float(ranks.sum()) / 2)
    return math.erfc(distance / math.sqrt(float(np.sum(ranks**2)) / 4) / math.sqrt(2))
