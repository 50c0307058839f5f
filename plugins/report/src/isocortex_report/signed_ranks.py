"""Wilcoxon's signed-rank test over models by scipy: exact, also where sizes tie, and by the normal approximation."""

from __future__ import annotations

from typing import Any

import numpy as np

from isocortex.typing import Array

#: differences are compared to this many digits: 0.1 + 0.2 - 0.3 is none, and 0.3 and 0.1 + 0.2 are one size. Stages are
#: multiples of 1 / (n_layers - 1) averaged over participants, so that true differences are far larger
DIGITS = 12
#: where sizes tie all signs are gone through up to this number; of more, as many are drawn
MOST_SIGNS = 2**18


def wilcoxon_columns(differences: Array) -> dict[str, float | str] | None:
    """Columns of a row: the statistic and both p values of Wilcoxon's signed-rank test, two-sided.

    Zeros are left out, and equal sizes share the mean of their ranks. W is the smaller of the sums of ranks of positive
    and of negative differences.

    Parameters
    ----------
    differences
        (n,), finite; rounded to twelve digits.

    Returns
    -------
    ``w``; ``p``, exact, over all 2ⁿ signs of the ranks as they are; ``p_normal``, by the normal approximation without
    correction for continuity; ``reason`` where sizes tie over more than 18 differences and signs had to be drawn. None
    where every difference is zero.

    References
    ----------
    Wilcoxon 1945, *Biometrics Bulletin* 1.

    Examples
    --------
    >>> wilcoxon_columns(np.array([0.3, 0.1, 0.2, 0.5, -0.05, 0.4]))["p"]
    0.0625
    """
    from scipy.stats import rankdata, wilcoxon

    kept = np.round(np.asarray(differences, dtype=np.float64), DIGITS)
    kept = kept[kept != 0]
    if not len(kept):
        return None
    normal: Any = wilcoxon(kept, method="asymptotic", correction=False)
    found = {"w": float(normal.statistic), "p_normal": float(normal.pvalue)}
    ranks = rankdata(np.abs(kept))
    if len(np.unique(ranks)) == len(ranks):
        exact: Any = wilcoxon(kept, method="exact")
        return {**found, "p": float(exact.pvalue)}
    return {**found, **_with_ties(np.sign(kept) * ranks)}


def _with_ties(signed_ranks: Array) -> dict[str, float | str]:
    """p over the signs of tied ranks.

    ``wilcoxon`` itself, with a ``PermutationMethod``, ranks anew for every sign: the same numbers in forty times the
    time.
    """
    from scipy.stats import permutation_test

    n_signs = min(2 ** len(signed_ranks), MOST_SIGNS)
    drawn: Any = permutation_test(
        (signed_ranks,), np.sum, permutation_type="samples", vectorized=True,
        n_resamples=n_signs, batch=2**12, rng=np.random.default_rng(0),
    )  # fmt: skip
    if n_signs == 2 ** len(signed_ranks):
        return {"p": float(drawn.pvalue)}
    return {"p": float(drawn.pvalue), "reason": f"p over {n_signs:,} random signs, because sizes of differences tie"}
