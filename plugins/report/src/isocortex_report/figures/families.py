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


def kendall(x: Array, y: Array, counts: Array | None = None) -> Array:
    """Kendall's tau-b of two rankings, and of samples of them; NaN where one side has a single value.

    Parameters
    ----------
    x, y
        (n_models,).
    counts
        (n_draws, n_models): how often each model is in each sample; None: each once.

    Returns
    -------
    (n_draws,). A model that is drawn twice is tied with itself, on both sides.

    Examples
    --------
    >>> x, y = np.array([1.0, 2.0, 2.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0])
    >>> kendall(x, y).round(4).tolist(), kendall(x, y, np.array([[2, 1, 0, 0]])).tolist()
    ([0.9129], [1.0])
    """
    counts = np.ones((1, len(x))) if counts is None else np.asarray(counts, dtype=np.float64)
    order_x, order_y = (np.sign(side[:, None] - side[None, :]) for side in (x, y))
    both, in_x, in_y = (
        np.einsum("di,di->d", counts @ signs, counts) for signs in (order_x * order_y, order_x**2, order_y**2)
    )
    untied = np.sqrt(in_x * in_y)
    return np.where(untied > 0, both / np.where(untied > 0, untied, 1.0), np.nan)


def drawn_counts(families: Sequence[str], n_draws: int = N_DRAWS) -> Array:
    """How often each model is in each draw of families, (n_draws, n_models): those of ``family_draws``.

    Examples
    --------
    >>> drawn_counts(["a", "a", "b"], 4).shape
    (4, 3)
    """
    return np.stack([np.bincount(draw, minlength=len(families)) for draw in family_draws(families, n_draws)])


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
