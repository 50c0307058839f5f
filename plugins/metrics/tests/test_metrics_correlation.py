"""Correlations, bootstrap weights, reliability and splits against numpy, scipy and explicit repetition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from isocortex.errors import DataError
from isocortex_metrics.ceilings.reliability import reliability
from isocortex_metrics.numerics.correlation import pearson, weighted_pearson
from isocortex_metrics.target.splits import folds


@pytest.fixture
def columns() -> tuple[np.ndarray, np.ndarray]:
    """Two related (30, 4) matrices."""
    generator = np.random.default_rng(0)
    prediction = generator.standard_normal((30, 4)) + 100
    return prediction, prediction + generator.standard_normal((30, 4))


def test_pearson_equals_scipy(columns) -> None:
    r, null = pearson(*columns)
    expected = [scipy_stats.pearsonr(p, y).statistic for p, y in zip(columns[0].T, columns[1].T, strict=True)]
    np.testing.assert_allclose(r, expected, atol=1e-12)
    assert not null.any()


@pytest.mark.parametrize(("spread", "is_null"), [(1e-11, True), (1e-9, False), (0.0, True)])
def test_null_predictions_are_declared(spread: float, is_null: bool) -> None:
    response = np.random.default_rng(0).standard_normal((40, 1))
    r, null = pearson(spread * response, response)
    assert null.tolist() == [is_null]
    assert r[0] == pytest.approx(0.0 if is_null else 1.0)


def test_constant_responses_are_null() -> None:
    r, null = pearson(np.arange(5.0)[:, None], np.full((5, 1), 3.0))
    assert (r.tolist(), null.tolist()) == ([0.0], [True])


def test_weighted_pearson_equals_repeated_rows(columns) -> None:
    counts = np.random.default_rng(1).multinomial(30, np.full(30, 1 / 30), size=20).astype(float)
    found = weighted_pearson(*columns, counts)
    for draw, row in zip(counts, found, strict=True):
        rows = np.repeat(np.arange(30), draw.astype(int))
        np.testing.assert_allclose(row, pearson(columns[0][rows], columns[1][rows])[0], atol=1e-10)


def test_a_draw_without_variance_is_not_a_number(columns) -> None:
    single = np.zeros((1, 30))
    single[0, 3] = 30
    assert np.isnan(weighted_pearson(*columns, single)).all()
    flat = np.full_like(columns[0], 2.0)
    assert weighted_pearson(flat, columns[1], single).tolist() == [[0.0] * 4]


@pytest.mark.parametrize("n_repetitions", [2, 3, 5])
def test_reliability_is_that_of_the_mean(n_repetitions: int) -> None:
    generator = np.random.default_rng(0)
    snr = np.array([0.0, 0.2, 1.0, 4.0])  # variance of the signal over that of the noise of one repetition
    signal = generator.standard_normal((20_000, 4)) * np.sqrt(snr)
    repeated = signal + generator.standard_normal((n_repetitions, 20_000, 4))
    expected = snr / (snr + 1 / n_repetitions)
    np.testing.assert_allclose(reliability(repeated), expected, atol=0.02)
    # its square root bounds the correlation of the mean with the best prediction, the signal itself
    best, _ = pearson(signal[:, 1:], repeated.mean(axis=0)[:, 1:])
    np.testing.assert_allclose(np.sqrt(reliability(repeated)[1:]), best, atol=0.02)


def test_folds_test_every_stimulus_once_per_repeat() -> None:
    splits = folds(23, n_folds=4, n_repeats=3, seed=5)
    assert len(splits) == 12
    for repeat in range(3):
        tested = np.concatenate([split.test for split in splits[4 * repeat : 4 * repeat + 4]])
        assert sorted(tested.tolist()) == list(range(23))
    for train, test in splits:
        assert sorted([*train, *test]) == list(range(23))
        assert (np.diff(train) > 0).all()
    again = folds(23, n_folds=4, n_repeats=3, seed=5)
    assert all((a.test == b.test).all() for a, b in zip(splits, again, strict=True))
    other = folds(23, n_folds=4, n_repeats=3, seed=6)
    assert any(a.test.tolist() != b.test.tolist() for a, b in zip(splits, other, strict=True))


def test_strata_are_shared_out_and_groups_stay_together() -> None:
    labels = ["a"] * 10 + ["b"] * 10 + ["c"] * 5
    for split in folds(25, strata=labels):
        counted = {label: sum(labels[place] == label for place in split.test) for label in "abc"}
        assert counted == {"a": 2, "b": 2, "c": 1}
    groups = [f"group{place // 3}" for place in range(30)]
    for split in folds(30, groups=groups):
        assert not {groups[place] for place in split.test} & {groups[place] for place in split.train}


def test_too_few_stimuli_or_groups() -> None:
    with pytest.raises(DataError, match=r"at least 15 stimuli.*found 14"):
        folds(14)
    with pytest.raises(DataError, match=r"at least 5 groups.*found 2"):
        folds(30, groups=["a", "b"] * 15)
