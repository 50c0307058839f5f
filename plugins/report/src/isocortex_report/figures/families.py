"""Rank correlations over models, with intervals over families of models: seeds and sizes of one are no replicates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isocortex.typing import Array

N_DRAWS = 1000
#: an interval over fewer families would say nothing
FEWEST_FAMILIES = 3


def family_draws(families: Sequence[str], n_draws: int = N_DRAWS) -> list[Array]:
    """Places of the models of families that are drawn with replacement, one array per draw; always the same draws.

    Examples
    --------
    >>> all(len(draw) >= 1 for draw in family_draws(["a", "a", "b"], 5))
    True
    """
    names = list(dict.fromkeys(families))
    members = [np.flatnonzero(np.asarray(families, dtype=object) == name) for name in names]
    stream = np.random.default_rng([len(names), n_draws])
    drawn = stream.integers(0, len(names), (n_draws, len(names)))
    return [np.concatenate([members[place] for place in row]) for row in drawn]


def rank_correlation(x: Array, y: Array) -> float:
    """Spearman's ρ, NaN where one side has a single value.

    Examples
    --------
    >>> rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 9.0]))
    1.0
    """
    from scipy.stats import rankdata

    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    ranks = np.stack([rankdata(x), rankdata(y)])
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    return float(centred[0] @ centred[1] / np.sqrt((centred[0] @ centred[0]) * (centred[1] @ centred[1])))


def with_interval(x: Array, y: Array, families: Sequence[str]) -> tuple[float, float, float]:
    """ρ over models, and the 2.5 % and 97.5 % points over draws of families; NaN below three families."""
    rho = rank_correlation(x, y)
    if len(set(families)) < FEWEST_FAMILIES:
        return rho, float("nan"), float("nan")
    drawn = np.array([rank_correlation(x[places], y[places]) for places in family_draws(families)])
    known = drawn[np.isfinite(drawn)]
    if len(known) < N_DRAWS / 2:
        return rho, float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return rho, float(low), float(high)
