from __future__ import annotations

import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from isocortex.stats import (
    aggregate,
    by_participant,
    draw_counts,
    interval,
    over_participants,
    paired_difference,
    subject_codes,
    widened,
)

FLOATS = st.floats(-100, 100).map(lambda value: round(value, 3))


def brute_force(values: list[float], codes: list[int], weights: list[float] | None = None) -> float:
    """Mean over participants, each repeated as often as it was drawn, of the median over its neuroids."""
    medians: list[float] = []
    for participant in sorted(set(codes)):
        own = [
            value for value, code in zip(values, codes, strict=True) if code == participant and not math.isnan(value)
        ]
        if own:
            times = 1 if weights is None else int(weights[participant])
            medians.extend([statistics.median(own)] * times)
    return statistics.fmean(medians) if medians else math.nan


@st.composite
def grouped(draw: st.DrawFn) -> tuple[np.ndarray, list[int]]:
    codes = [int(code) for code in subject_codes(draw(st.lists(st.sampled_from("xyz"), min_size=1, max_size=8)), 8)]
    values = draw(npst.arrays(float, (2, 3, len(codes)), elements=FLOATS | st.just(math.nan)))
    return values, codes


def test_participants_are_numbered_in_order_of_appearance() -> None:
    assert subject_codes(["z", "a", "z", "b", "a"], 5).tolist() == [0, 1, 0, 2, 1]
    assert subject_codes(np.array([7, 7, 3]), 3).tolist() == [0, 0, 1]
    assert subject_codes(None, 4).tolist() == [0, 0, 0, 0]
    assert subject_codes([], 0).shape == (0,)


@given(grouped())
def test_aggregate_against_loops(case: tuple[np.ndarray, list[int]]) -> None:
    values, codes = case
    found = aggregate(values, np.array(codes))
    assert found.shape == (2, 3)
    for place in itertools.product(range(2), range(3)):
        expected = brute_force(values[place].tolist(), codes)
        np.testing.assert_allclose(found[place], expected, rtol=1e-12, atol=1e-12)


@given(grouped(), st.randoms(use_true_random=False))
def test_weights_are_explicit_resampling(case: tuple[np.ndarray, list[int]], random: object) -> None:
    """A participant drawn twice counts twice, one that was not drawn not at all."""
    values, codes = case
    n_participants = max(codes) + 1
    weights = np.array([random.randint(0, 3) for _ in range(n_participants)])  # type: ignore[attr-defined]
    found = aggregate(values, np.array(codes), weights)
    each = aggregate(values, np.array(codes), np.broadcast_to(weights, (2, 3, n_participants)))
    for place in itertools.product(range(2), range(3)):
        expected = brute_force(values[place].tolist(), codes, weights.tolist())
        np.testing.assert_allclose(found[place], expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(each[place], expected, rtol=1e-12, atol=1e-12)


def test_by_participant_leaves_out_what_is_not_a_number() -> None:
    values = np.array([[1.0, np.nan, 5.0, np.nan], [np.nan, 2.0, np.nan, 4.0]])
    np.testing.assert_array_equal(by_participant(values, np.array([0, 0, 0, 1])), [[3.0, np.nan], [2.0, 4.0]])
    assert by_participant(np.array([4.0, 8.0]), np.array([1, 0])).tolist() == [8.0, 4.0]


def test_aggregate_of_nothing_is_not_a_number() -> None:
    assert math.isnan(float(aggregate(np.array([np.nan, np.nan]), np.array([0, 1]))))
    assert math.isnan(float(aggregate(np.array([1.0, 2.0]), np.array([0, 1]), np.array([0.0, 0.0]))))
    assert float(aggregate(np.array([1.0, np.nan]), np.array([0, 1]), np.array([1.0, 5.0]))) == 1.0


def test_the_median_does_not_follow_an_outlier_but_the_mean_over_participants_does() -> None:
    values = np.array([0.1, 0.2, 1000.0, 4.0])
    assert float(aggregate(values, np.array([0, 0, 0, 1]))) == pytest.approx((0.2 + 4.0) / 2)


# --- bootstrap --------------------------------------------------------------------------------------------------------


def test_draws_are_counts_of_samples_with_replacement() -> None:
    """Mean 1, variance 1 − 1/n, covariance −1/n: the moments of drawing n of n with replacement."""
    n, n_draws = 6, 40_000
    counts = draw_counts(n, n_draws, seed=0, what="stimuli")
    assert counts.shape == (n_draws, n)
    assert counts.dtype == np.float64
    assert (counts.sum(axis=1) == n).all()
    assert (counts == np.round(counts)).all()
    covariance = np.cov(counts.T)
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.02)
    np.testing.assert_allclose(np.diag(covariance), 1 - 1 / n, atol=0.03)
    np.testing.assert_allclose(covariance[~np.eye(n, dtype=bool)], -1 / n, atol=0.03)


def test_the_distribution_is_that_of_explicit_resampling() -> None:
    """The chance of each count vector of 3 items, against all 27 ordered samples."""
    n_draws = 60_000
    counts = draw_counts(3, n_draws, seed=1, what="subjects").astype(int)
    samples = [tuple(np.bincount(sample, minlength=3).tolist()) for sample in itertools.product(range(3), repeat=3)]
    expected = {vector: samples.count(vector) / 27 for vector in set(samples)}
    found, times = np.unique(counts, axis=0, return_counts=True)
    share = {tuple(vector.tolist()): count / n_draws for vector, count in zip(found, times, strict=True)}
    assert set(share) == set(expected)
    for vector, chance in expected.items():
        assert share[vector] == pytest.approx(chance, abs=0.01)


def test_a_weighted_mean_over_draws_has_the_standard_error_of_the_mean() -> None:
    values = np.random.default_rng(3).standard_normal(50)
    counts = draw_counts(50, 20_000, seed=0, what="stimuli")
    draws = counts @ values / 50
    assert draws.std() == pytest.approx(values.std() / np.sqrt(50), rel=0.02)
    assert draws.mean() == pytest.approx(values.mean(), abs=0.005)


def test_draws_are_shared_by_models_and_differ_by_seed_and_purpose() -> None:
    first = draw_counts(20, 5, seed=0, what="stimuli")
    np.testing.assert_array_equal(first, draw_counts(20, 5, seed=0, what="stimuli"))
    np.testing.assert_array_equal(first[:2], draw_counts(20, 2, seed=0, what="stimuli"))
    for other in (draw_counts(20, 5, seed=1, what="stimuli"), draw_counts(20, 5, seed=0, what="subjects")):
        assert not np.array_equal(first, other)
    assert draw_counts(1, 3, seed=0, what="subjects").tolist() == [[1], [1], [1]]


# --- intervals --------------------------------------------------------------------------------------------------------


@given(st.lists(FLOATS, min_size=1, max_size=30), st.sampled_from([0.5, 0.8, 0.95]))
def test_interval_against_linear_interpolation_by_hand(draws: list[float], level: float) -> None:
    ordered = sorted(draws)

    def quantile(share: float) -> float:
        place = share * (len(ordered) - 1)
        below = math.floor(place)
        above = min(below + 1, len(ordered) - 1)
        return ordered[below] + (place - below) * (ordered[above] - ordered[below])

    expected = (quantile((1 - level) / 2), quantile(1 - (1 - level) / 2))
    np.testing.assert_allclose(interval(np.array(draws), level), expected, atol=1e-9)


def test_the_default_interval_leaves_out_two_and_a_half_percent_on_each_side() -> None:
    low, high = interval(np.random.default_rng(0).permutation(np.arange(1001.0)))
    assert (low, high) == (pytest.approx(25.0), pytest.approx(975.0))


def test_draws_without_a_value_are_left_out() -> None:
    draws = np.array([np.nan, *np.arange(101.0), np.nan])
    assert interval(draws, 0.9) == (pytest.approx(5.0), pytest.approx(95.0))


@given(st.floats(-0.9, 0.9), st.floats(1, 3), st.integers(0, 100))
def test_widened_draws_keep_their_shape_on_the_scale_of_fisher(value: float, factor: float, seed: int) -> None:
    draws = np.tanh(0.3 * np.random.default_rng(seed).standard_normal((50, 2)) + 0.2)
    found = widened(draws, np.array([value, value]), factor)
    z_found, z_draws = np.arctanh(found), np.arctanh(draws)
    np.testing.assert_allclose(z_found.mean(axis=0), math.atanh(value), atol=1e-9)
    np.testing.assert_allclose(z_found.std(axis=0), factor * z_draws.std(axis=0), rtol=1e-9)
    np.testing.assert_array_equal(found.argsort(axis=0), draws.argsort(axis=0))
    assert (np.abs(found) < 1).all()


def test_widened_draws_of_perfect_correlations_stay_finite() -> None:
    found = widened(np.array([[1.0], [1.0], [-1.0], [np.nan]]), np.array([1.0]), 2.0)
    assert np.isfinite(found[:3]).all()
    assert np.isnan(found[3, 0])
    assert (np.abs(found[:3]) <= 1).all()


def test_participants_are_averaged_as_often_as_they_were_drawn() -> None:
    medians = np.array([[1.0, 2.0, 6.0], [1.0, np.nan, 6.0], [np.nan, np.nan, np.nan]])
    np.testing.assert_allclose(over_participants(medians), [3.0, 3.5, np.nan])
    np.testing.assert_allclose(over_participants(medians, np.array([2, 1, 0])), [4 / 3, 1.0, np.nan])
    np.testing.assert_allclose(
        over_participants(medians, np.array([[0, 0, 3], [0, 3, 0], [1, 1, 1]])), [6, np.nan, np.nan]
    )


def test_paired_differences() -> None:
    stream = np.random.default_rng(0)
    shared = 10 * stream.standard_normal(5000)
    difference = 0.5 + 0.1 * stream.standard_normal(5000)
    mean, low, high = paired_difference(shared + difference, shared)
    assert mean == pytest.approx(0.5, abs=0.01)
    assert low == pytest.approx(0.5 - 1.96 * 0.1, abs=0.02)
    assert high == pytest.approx(0.5 + 1.96 * 0.1, abs=0.02)
    back = paired_difference(shared, shared + difference)
    np.testing.assert_allclose(back, (-mean, -high, -low), atol=1e-9)


def test_paired_differences_leave_out_draws_without_a_value() -> None:
    first, second = np.array([1.0, np.nan, 3.0]), np.array([0.0, 5.0, 2.0])
    assert paired_difference(first, second) == (1.0, 1.0, 1.0)


def test_paired_draws_must_be_paired() -> None:
    with pytest.raises(ValueError, match=r"found \(3,\) and \(2,\)"):
        paired_difference(np.zeros(3), np.zeros(2))
