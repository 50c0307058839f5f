"""Pure functions on arrays: aggregation over neuroids and participants, bootstrap draws, paired tests, q-values."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from isocortex.typing import Array

#: draws that every result has. They alone say how far draws are spread, and further ones are made in blocks of as many,
#: so that these are the same to the last bit whatever the number of draws
DRAWS = 1000
#: bootstrap draws are stored as float32; differences below this share of the draws are rounding, and ties
ROUNDING = 4 * float(np.finfo(np.float32).eps)


def subject_codes(subjects: Sequence[object] | Array | None, n_neuroids: int) -> Array:
    """Number the participants 0, 1, … in order of appearance, (n_neuroids,); pooled neuroids are one participant.

    Examples
    --------
    >>> subject_codes(["b", "a", "b"], 3).tolist()
    [0, 1, 0]
    """
    if subjects is None:
        return np.zeros(n_neuroids, dtype=np.intp)
    seen: dict[str, int] = {}
    return np.array([seen.setdefault(str(name), len(seen)) for name in subjects], dtype=np.intp)


def by_participant(values: Array, codes: Array, how: str = "median-mean") -> Array:
    """Median over the neuroids of each participant, (…, n_neuroids) → (…, n_participants); NaN is left out.

    ``how`` is the aggregate of a benchmark; with "mean-mean" it is the mean over neuroids.

    Examples
    --------
    >>> by_participant(np.array([1.0, 2.0, 6.0, 7.0]), np.array([0, 0, 0, 1])).tolist()
    [2.0, 7.0]
    """
    within = _WITHIN[how]
    return np.stack([within(values[..., codes == code]) for code in range(int(codes.max()) + 1)], axis=-1)


def _nanmedian(values: Array) -> Array:
    if not np.isnan(values).any():
        return np.median(values, axis=-1)
    empty = np.asarray(np.isnan(values).all(axis=-1))
    filled = np.where(empty[..., None], 0.0, values)
    return np.where(empty, np.nan, np.nanmedian(filled, axis=-1))


def _nanmean(values: Array) -> Array:
    return over_participants(values)


_WITHIN: dict[str, Callable[[Array], Array]] = {"median-mean": _nanmedian, "mean-mean": _nanmean}


def aggregate(values: Array, codes: Array, participant_weights: Array | None = None, how: str = "median-mean") -> Array:
    """Median over neuroids within a participant, then mean over participants: (…, n_neuroids) → (…).

    ``how`` as for ``by_participant``.

    ``participant_weights`` (…, n_participants) or (n_participants,) counts how often each participant was drawn.

    Examples
    --------
    >>> float(aggregate(np.array([1.0, 2.0, 6.0, 7.0]), np.array([0, 0, 0, 1])))
    4.5
    """
    return over_participants(by_participant(values, codes, how), participant_weights)


def over_participants(medians: Array, weights: Array | None = None) -> Array:
    """Mean over participants, (…, n_participants) → (…); those without a value (NaN) are left out.

    Examples
    --------
    >>> float(over_participants(np.array([1.0, 3.0]), np.array([2.0, 0.0])))
    1.0
    """
    drawn = np.ones(medians.shape[-1]) if weights is None else weights
    valid = np.where(np.isnan(medians), 0.0, drawn)
    total = valid.sum(axis=-1)
    mean = (np.nan_to_num(medians) * valid).sum(axis=-1) / np.where(total > 0, total, 1)
    return np.where(total > 0, mean, np.nan)


def widened(draws: Array, value: Array | float, factor: Array | float) -> Array:
    r"""Spread draws of a correlation around its value by a factor, on Fisher's z scale.

    tanh(atanh(value) + factor · (atanh(draw) − mean atanh(draw))), so that the draws stay inside (−1, 1). The mean is
    that of the first ``DRAWS``.

    Parameters
    ----------
    draws
        (n_draws, …).
    value
        (…), what the draws are centred on.
    factor
        One number, or (…); 1 leaves the spread as it is.

    Examples
    --------
    >>> widened(np.array([[0.1], [-0.1]]), np.array([0.0]), 2.0).round(3).tolist()
    [[0.198], [-0.198]]
    """
    bound = 1 - 1e-12
    scale = np.arctanh(np.clip(draws, -bound, bound))
    first = scale[:DRAWS]
    valid = np.isfinite(first)
    mean = np.where(valid, first, 0.0).sum(axis=0) / np.maximum(valid.sum(axis=0), 1)
    spread = factor * (scale - mean)
    return np.tanh(np.arctanh(np.clip(value, -bound, bound)) + spread)


def draw_counts(n: int, n_draws: int, seed: int, what: str) -> Array:
    """How often each of ``n`` items is in each bootstrap sample, (n_draws, n) float64.

    Drawn with replacement; the same ``n``, ``seed`` and ``what`` give the same samples, so that models on one data set
    are compared on the same draws. The first of many samples are those of few.

    Examples
    --------
    >>> draw_counts(5, 2, seed=0, what="stimuli").sum(axis=1).tolist()
    [5.0, 5.0]
    """
    stream = np.random.default_rng([seed, n, *what.encode()])
    return stream.multinomial(n, np.full(n, 1 / n), size=n_draws).astype(np.float64)


def by_blocks(of_samples: Callable[[Array], Array], counts: Array) -> Array:
    """What a function makes of bootstrap samples, ``DRAWS`` samples at a time: (n_draws, …).

    The memory that the function takes does not grow with the number of draws, and the first draws are the same to the
    last bit whatever it is: sums of products depend on the shapes of matrices.

    Parameters
    ----------
    of_samples
        (n_samples, n_stimuli) counts → (n_samples, …).
    counts
        (n_draws, n_stimuli), of ``draw_counts``.

    Examples
    --------
    >>> by_blocks(lambda counts: counts.sum(axis=1), np.ones((2500, 3))).shape
    (2500,)
    """
    starts = range(0, max(1, len(counts)), DRAWS)
    return np.concatenate([of_samples(counts[start : start + DRAWS]) for start in starts])


def interval(draws: Array, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of bootstrap draws; those without a value are left out, and of none there is none (NaN).

    Examples
    --------
    >>> low, high = interval(np.arange(101.0), level=0.9)
    >>> round(low), round(high)
    (5, 95)
    """
    if np.isnan(draws).all():
        return float("nan"), float("nan")
    tail = (1 - level) / 2
    low, high = np.nanquantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def paired_difference(draws_a: Array, draws_b: Array) -> tuple[float, float, float]:
    """Mean, lower and upper 95 % bound of a − b over the same bootstrap draws; draws without a value are left out.

    Examples
    --------
    >>> paired_difference(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 2.0]))
    (1.0, 1.0, 1.0)
    """
    difference = _paired(draws_a, draws_b)
    valid = difference[np.isfinite(difference)]
    return float(valid.mean()) if len(valid) else float("nan"), *interval(difference)


def _paired(draws_a: Array, draws_b: Array) -> Array:
    if draws_a.shape != draws_b.shape:
        raise ValueError(f"Paired draws need one shape; found {draws_a.shape} and {draws_b.shape}.")
    return draws_a - draws_b


def paired_p(draws_a: Array, draws_b: Array, difference: float) -> tuple[float, int]:
    r"""Two-sided p of a difference from paired bootstrap draws, and the number of draws that it rests on.

    p = min(1, 2 (1 + k) / (n + 1)), k of the n draws of a − b lying at zero or on the other side of it than the
    difference does. It cannot fall below 2 / (n + 1): .002 with 1000 draws. Draws without a value in a or b are left
    out; differences that single precision cannot tell from zero are zero. Davison & Hinkley 1997, *Bootstrap methods
    and their application*, section 4.2, for the added 1.

    Parameters
    ----------
    draws_a, draws_b
        (n_draws,) of the two models, over the same samples.
    difference
        a − b of the values themselves.

    Returns
    -------
    p, NaN where there is no draw or no difference; n.

    Raises
    ------
    ValueError
        Draws of different shapes.

    Examples
    --------
    >>> p, n = paired_p(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 4.0]), difference=1.0)
    >>> p, n  # one draw of three is on the other side: 2 (1 + 1) / (3 + 1)
    (1.0, 3)
    """
    drawn = _paired(draws_a, draws_b)
    valid = np.isfinite(drawn)
    n = int(valid.sum())
    if n == 0 or not np.isfinite(difference):
        return float("nan"), n
    tie = ROUNDING * np.maximum(np.abs(draws_a[valid]), np.abs(draws_b[valid]))
    against = np.sign(difference) * drawn[valid] <= tie
    return min(1.0, 2 * (1 + int(against.sum())) / (n + 1)), n


#: participants of whom all sign flips are made
MOST_FLIPPED = 12


def sign_flip_p(differences: Array) -> float:
    """One-sided exact p of the mean of a few differences: the share of all sign flips whose mean is as large.

    Under H0 the difference of each participant is as likely to be above zero as below. It cannot fall below 2⁻ⁿ.

    Parameters
    ----------
    differences
        (n_participants,); those without a value (NaN) are left out.

    Returns
    -------
    p; NaN with fewer than two participants, or more than 12.

    Examples
    --------
    >>> sign_flip_p(np.array([0.1, 0.2, 0.3])), sign_flip_p(np.array([0.1, -0.2, 0.3]))
    (0.125, 0.375)
    """
    known = differences[np.isfinite(differences)]
    if not 2 <= len(known) <= MOST_FLIPPED:
        return float("nan")
    signs = 1.0 - 2.0 * (np.arange(2 ** len(known))[:, None] >> np.arange(len(known)) & 1)
    tie = ROUNDING * float(np.abs(known).sum())
    return float(np.mean(signs @ known >= known.sum() - tie))


def false_discovery_rate(p: Array) -> Array:
    r"""q-values of Benjamini & Hochberg: the smallest false-discovery rate at which each test of a family is called.

    q_(i) = min over j ≥ i of p_(j) m / j, p sorted ascending, at most 1.

    Parameters
    ----------
    p
        (n_tests,) in [0, 1]; NaN is no test and does not count in m.

    Returns
    -------
    (n_tests,), NaN where p is. Benjamini & Hochberg 1995, *J. R. Stat. Soc. B* 57. It controls the rate where tests are
    independent or depend positively (Benjamini & Yekutieli 2001, *Ann. Stat.* 29).

    Raises
    ------
    ValueError
        A p outside [0, 1].

    Examples
    --------
    >>> false_discovery_rate(np.array([0.01, 0.04, np.nan, 0.03])).round(12).tolist()
    [0.03, 0.04, nan, 0.04]
    """
    valid = ~np.isnan(p)
    tested = np.asarray(p, dtype=np.float64)[valid]
    if ((tested < 0) | (tested > 1)).any():
        raise ValueError(f"p-values lie in [0, 1]; found {tested.min()} … {tested.max()}.")
    order = np.argsort(tested)
    scaled = tested[order] * len(tested) / np.arange(1, len(tested) + 1)
    q = np.full(np.shape(p), np.nan)
    q[np.flatnonzero(valid)[order]] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q
