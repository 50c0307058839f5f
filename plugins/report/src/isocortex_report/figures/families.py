"""Rank correlations over models, with intervals over families of models: seeds and sizes of one are no replicates."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

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


def unit_ranks(values: Array) -> Array | None:
    """Ranks less their mean, of length one; None where there is one value alone. ρ of two is their product.

    Examples
    --------
    >>> unit_ranks(np.array([5.0, 7.0])).round(3).tolist()
    [-0.707, 0.707]
    """
    from scipy.stats import rankdata

    if len(values) < 2 or np.ptp(values) == 0:
        return None
    ranks = rankdata(values)
    centred = ranks - ranks.mean()
    return centred / np.sqrt(centred @ centred)


def rank_correlation(x: Array, y: Array) -> float:
    """Spearman's ρ, NaN where one side has a single value.

    Examples
    --------
    >>> round(rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 9.0])), 12)
    1.0
    """
    a, b = unit_ranks(x), unit_ranks(y)
    return float("nan") if a is None or b is None else float(a @ b)


def with_interval(x: Array, y: Array, families: Sequence[str]) -> tuple[float, float, float]:
    """ρ over models, and the 2.5 % and 97.5 % points over draws of families; NaN below three families."""
    rho = rank_correlation(x, y)
    if len(set(families)) < FEWEST_FAMILIES:
        return rho, float("nan"), float("nan")
    sides = [_drawn_ranks(np.ascontiguousarray(side, dtype=np.float64).tobytes(), tuple(families)) for side in (x, y)]
    known = np.array([a @ b for a, b in zip(*sides, strict=True) if a is not None and b is not None])
    if len(known) < N_DRAWS / 2:
        return rho, float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return rho, float(low), float(high)


@lru_cache(maxsize=64)
def _drawn_ranks(values: bytes, families: tuple[str, ...]) -> list[Array | None]:
    """Ranks within each draw: a benchmark meets many others, and is ranked once."""
    numbers = np.frombuffer(values)
    return [unit_ranks(numbers[places]) for places in family_draws(families)]
