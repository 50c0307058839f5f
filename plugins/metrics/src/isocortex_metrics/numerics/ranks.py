"""Ranks and rank correlations of long vectors: average ranks and Kendall's tau-a.

Values and their places are packed into one integer each, because sorting integers is several times faster than sorting
places by their values.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isocortex.typing import Array

#: of a packed integer: its sign is not used
_KEY_BITS = 63
#: shorter vectors are sorted at once, longer ones bucket by bucket
_BUCKETS_FROM = 200_000
_BUCKET_BITS = 16
#: scipy divides by n − 2 on the way to a p value
_SCIPY_FROM = 3


def stable_order(values: Array) -> Array:
    """Places that sort the values, equal ones in order of place: (n,) → (n,) int64.

    Parameters
    ----------
    values
        (n,) finite numbers.

    Examples
    --------
    >>> stable_order(np.array([0.3, 0.1, 0.3, 0.2])).tolist()
    [1, 3, 0, 2]
    """
    return _in_order(values)[0]


def _in_order(values: Array) -> tuple[Array, Array]:
    """Places that sort the values, and the values in that order."""
    n = len(values)
    bits = max(1, (n - 1).bit_length())
    low = values.min()
    span = float(values.max()) - float(low)
    scale = (2.0 ** (_KEY_BITS - bits) - 2.0) / span if span > 0 else 0.0
    if not 0.0 < scale < np.inf:
        order = np.argsort(values, kind="stable")
        return order, values[order]
    packed = ((values - low) * scale).astype(np.int64)
    packed <<= bits
    packed |= np.arange(n)
    _sort(packed)
    packed &= (1 << bits) - 1
    ordered = values[packed]
    if (ordered[1:] < ordered[:-1]).any():  # values that share a key; timsort is fast on what is nearly sorted
        again = np.argsort(ordered, kind="stable")
        return packed[again], ordered[again]
    return packed, ordered


def _sort(packed: Array) -> None:
    """Sort in place; long vectors by a radix sort of their leading bits first."""
    if len(packed) < _BUCKETS_FROM:
        packed.sort()
        return
    bucket = (packed >> (_KEY_BITS - _BUCKET_BITS)).astype(np.uint16)
    packed[:] = packed[np.argsort(bucket, kind="stable")]
    start = 0
    for stop in np.cumsum(np.bincount(bucket, minlength=1 << _BUCKET_BITS)).tolist():
        if stop > start + 1:
            packed[start:stop].sort()
        start = stop


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
    order, ordered = _in_order(values)
    in_order = np.arange(1.0, len(values) + 1.0)
    starts = np.ones(len(values) + 1, dtype=bool)  # of groups of ties, and one beyond the last
    np.greater(np.diff(ordered), tolerance, out=starts[1:-1])
    tied = np.flatnonzero(~(starts[:-1] & starts[1:]))
    if len(tied):
        group = np.cumsum(starts[tied]) - 1
        in_order[tied] = (tied[starts[tied]] + 0.5 * (np.bincount(group) + 1))[group]
    ranks = np.empty(len(values))
    ranks[order] = in_order
    return ranks


def broken_ranks(ranks: Array, seed: int = 0) -> Array:
    """Ranks 1 … n with ties broken at random, by the seed.

    Examples
    --------
    >>> sorted(broken_ranks(np.array([1.5, 1.5, 3.0])).tolist())
    [1.0, 2.0, 3.0]
    """
    shuffled = np.random.default_rng([seed, len(ranks)]).permutation(len(ranks))
    broken = np.empty(len(ranks))
    broken[shuffled[stable_order(ranks[shuffled])]] = np.arange(1.0, len(ranks) + 1.0)
    return broken


def dense_ranks(values: Array) -> Array:
    """Numbers 0, 1, … of the distinct values in ascending order: (n,) → (n,) int64.

    Examples
    --------
    >>> dense_ranks(np.array([5.0, 1.0, 5.0])).tolist()
    [1, 0, 1]
    """
    order, ordered = _in_order(values)
    ranks = np.zeros(len(values), dtype=np.int64)
    ranks[order[1:]] = np.cumsum(np.diff(ordered) > 0)
    return ranks


def concordance(x: Array, y: Array) -> Array:
    """Concordant less discordant partners of each element, s_p = Σ_q sign(x_p − x_q) sign(y_p − y_q).

    Their sum over n (n − 1) is Kendall's tau-a. Exact, O(n log n).

    Parameters
    ----------
    x, y
        (n,) numbers; equal ones are tied.

    Returns
    -------
    (n,) int64.

    Examples
    --------
    >>> concordance(np.array([1, 2, 3, 3]), np.array([1, 3, 2, 4])).tolist()
    [3, 1, 0, 2]
    """
    x, y = dense_ranks(x), dense_ranks(y)
    of_x, of_y = np.bincount(x), np.bincount(y)  # how often each value is there
    less_x, equal_x = (np.cumsum(of_x) - of_x)[x], of_x[x]
    less_y, equal_y = (np.cumsum(of_y) - of_y)[y], of_y[y]
    down = stable_order(y)[::-1]
    order = down[stable_order(x[down])]  # x ascending, and y descending where x ties
    both_less = np.empty(len(x), dtype=np.int64)
    both_less[order] = smaller_before(y[order])
    x_equal_y_less, both_equal = _within_ties(x, y, less_x, equal_x)
    y_equal_x_less, _ = _within_ties(y, x, less_y, equal_y)
    x_less_y_more = less_x - both_less - y_equal_x_less
    x_more_y_less = less_y - both_less - x_equal_y_less
    x_more_y_equal = equal_y - y_equal_x_less - both_equal
    both_more = len(x) - less_x - equal_x - x_more_y_less - x_more_y_equal
    return both_less + both_more - x_less_y_more - x_more_y_less


def _within_ties(x: Array, y: Array, less_x: Array, equal_x: Array) -> tuple[Array, Array]:
    """Of the elements with the same x: how many have a smaller y, and how many the same (each counts itself)."""
    if (equal_x == 1).all():
        return np.zeros(len(x), dtype=np.int64), np.ones(len(x), dtype=np.int64)
    up = stable_order(y)
    order = up[stable_order(x[up])]
    starts = (np.diff(x[order], prepend=-1) != 0) | (np.diff(y[order], prepend=-1) != 0)
    first = np.append(np.flatnonzero(starts), len(x))
    run = np.cumsum(starts) - 1
    less, same = np.empty((2, len(x)), dtype=np.int64)
    less[order], same[order] = first[run], np.diff(first)[run]
    return less - less_x, same


def smaller_before(values: Array) -> Array:
    """How many of the elements before each one are smaller: (n,) integers from 0 to n − 1 → (n,) int64.

    The elements are parted by the highest bit, then each part by the next bit: two elements meet for the last time at
    the first bit in which they differ, where all the smaller ones before are counted at once.

    Examples
    --------
    >>> smaller_before(np.array([2, 0, 3, 1])).tolist()
    [0, 0, 2, 1]
    """
    n = len(values)
    found = np.zeros(n, dtype=np.int64)
    current, places = np.asarray(values, dtype=np.int32), np.arange(n, dtype=np.int32)
    sizes = np.bincount(current, minlength=n + 1)
    below = np.append(0, np.cumsum(sizes)).astype(np.int32)  # elements smaller than 0, 1, …, n + 1
    for bit in reversed(range(max(1, n - 1).bit_length())):
        start = below[np.minimum(current >> (bit + 1) << (bit + 1), n)]  # of the part that holds the element
        is_one = (current >> bit & 1).astype(bool)
        ones = np.cumsum(is_one, dtype=np.int32) - is_one
        zeros = np.arange(n, dtype=np.int32) - ones
        zeros_before = zeros - zeros[start]
        found[places[is_one]] += zeros_before[is_one]
        middle = below[np.minimum((current >> (bit + 1) << (bit + 1)) + (1 << bit), n)]
        target = np.where(is_one, middle + ones - ones[start], start + zeros_before)
        current[target], places[target] = current.copy(), places.copy()
    return found


def tau_a(x: Array, y: Array) -> float:
    """Kendall's tau-a: concordant less discordant pairs of elements, over all pairs.

    Ties count as neither, so that a prediction that ties much scores less; 0 where a vector does not vary. Exact and
    O(n log n), by scipy's tau-c, which is the same count over another denominator. Kendall 1938, Biometrika; for
    dissimilarity matrices Nili et al. 2014, PLOS Computational Biology.

    Examples
    --------
    >>> tau_a(np.array([1, 2, 3, 3]), np.array([1, 3, 2, 4]))
    0.5
    """
    from scipy.stats import kendalltau

    n, n_values = len(x), min(int(dense_ranks(x).max()), int(dense_ranks(y).max())) + 1
    if n_values < 2:
        return 0.0
    if n < _SCIPY_FROM:
        return float(concordance(x, y).sum()) / (n * (n - 1))
    found: Any = kendalltau(x, y, variant="c", method="asymptotic")
    balance = round(
        float(found.statistic) * n**2 * (n_values - 1) / n_values / 2
    )  # concordant less discordant pairs, a whole number
    return balance / (n * (n - 1) // 2)
