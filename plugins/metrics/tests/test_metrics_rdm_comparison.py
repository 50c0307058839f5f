"""Ranks, ties and bootstrap samples of dissimilarity matrices against scipy and explicit samples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.stats import rankdata, spearmanr

from isocortex_metrics.rdm import (
    FlatPatternError,
    correlation_distance,
    cosine_distance,
    euclidean_distance,
    upper_triangle,
)
from isocortex_metrics.rdm_comparison import (
    average_ranks,
    noise_ceiling,
    pair_sums,
    unit_ranks,
    unit_values,
    varies,
    weighted_rho,
)


def one(patterns: np.ndarray, width: int | None = None):
    """The patterns as column blocks."""
    step = width or patterns.shape[1]
    return lambda: (patterns[:, start : start + step] for start in range(0, patterns.shape[1], step))


@pytest.mark.parametrize(
    ("distance", "name"),
    [(correlation_distance, "correlation"), (cosine_distance, "cosine"), (euclidean_distance, "euclidean")],
)
@pytest.mark.parametrize("width", [None, 7])
def test_distances_equal_scipy_however_the_units_are_cut(distance, name, width) -> None:
    generator = np.random.default_rng(0)
    patterns = generator.standard_normal((15, 60)) * 10.0 ** generator.integers(-3, 3, 60)
    patterns[:, :7] += 50
    np.testing.assert_allclose(distance(one(patterns, width), 15), pdist(patterns, name), rtol=1e-12, atol=1e-13)


def test_units_far_from_zero_keep_their_digits() -> None:
    patterns = np.random.default_rng(0).standard_normal((12, 40))
    far = patterns + 1e6 * np.arange(1, 13)[:, None]
    np.testing.assert_allclose(correlation_distance(one(far, 9), 12), pdist(patterns, "correlation"), atol=1e-8)


@pytest.mark.parametrize(
    ("distance", "value"), [(correlation_distance, 0.1), (correlation_distance, 0.0), (cosine_distance, 0.0)]
)
def test_flat_patterns_are_named(distance, value) -> None:
    patterns = np.random.default_rng(0).standard_normal((9, 30)).astype(np.float32)
    patterns[[2, 7]] = value
    with pytest.raises(FlatPatternError, match=r"2 of 9 stimuli.*first: number 2") as caught:
        distance(one(patterns, 8), 9)
    assert caught.value.stimuli == (2, 7)


def test_equal_patterns_have_no_distance() -> None:
    patterns = np.random.default_rng(0).standard_normal((5, 400)) * 1e3
    patterns[3] = patterns[1]
    assert squareform(euclidean_distance(one(patterns), 5))[1, 3] == 0.0


def test_upper_triangle_goes_row_by_row() -> None:
    matrix = np.random.default_rng(0).random((8, 8))
    np.testing.assert_array_equal(upper_triangle(matrix), matrix[np.triu_indices(8, 1)])


def test_ranks_equal_scipy_with_and_without_ties() -> None:
    generator = np.random.default_rng(0)
    for values in (generator.random(500), generator.integers(0, 20, 500).astype(float), np.zeros(4), np.ones(1)):
        np.testing.assert_array_equal(average_ranks(values), rankdata(values))


def test_what_differs_by_rounding_ties() -> None:
    generator = np.random.default_rng(0)
    exact = generator.integers(0, 5, 300) / 7
    blurred = exact + generator.uniform(-1e-14, 1e-14, 300)
    brain = generator.random(300) + exact
    assert unit_ranks(blurred) @ unit_ranks(brain) == pytest.approx(spearmanr(exact, brain).statistic, abs=1e-12)
    assert unit_ranks(blurred, 0.0) @ unit_ranks(brain) != pytest.approx(spearmanr(exact, brain).statistic, abs=1e-6)


def test_labels_tie_within_and_between_categories() -> None:
    generator = np.random.default_rng(3)
    labels = generator.integers(0, 11, 120)
    patterns = np.eye(11, dtype=np.float32)[labels]
    differ = (labels[:, None] != labels).astype(float)[np.triu_indices(120, 1)]
    brain = generator.random(len(differ)) + 0.3 * differ
    found = unit_ranks(correlation_distance(one(patterns, 3), 120)) @ unit_ranks(brain)
    assert found == pytest.approx(spearmanr(differ, brain).statistic, abs=1e-12)


def test_product_of_unit_values_is_pearson() -> None:
    a, b = np.random.default_rng(0).random((2, 80))
    assert unit_values(a) @ unit_values(b) == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-13)


@pytest.mark.parametrize(("rdm", "expected"), [([0.1, 0.1, 0.1 + 1e-13], False), ([0, 0, 0], False), ([0, 0, 1], True)])
def test_what_varies(rdm, expected) -> None:
    assert varies(np.array(rdm, dtype=float)) is expected


def test_pearson_noise_ceiling_equals_a_loop() -> None:
    rdms = np.random.default_rng(0).random((5, 66)) + np.linspace(0, 1, 66)
    scored = (rdms - rdms.mean(axis=1, keepdims=True)) / rdms.std(axis=1, keepdims=True)
    lower = [np.corrcoef(rdms[i], np.delete(scored, i, axis=0).mean(axis=0))[0, 1] for i in range(5)]
    upper = [np.corrcoef(row, scored.mean(axis=0))[0, 1] for row in rdms]
    assert noise_ceiling(rdms, "pearson") == pytest.approx((np.mean(lower), np.mean(upper)), abs=1e-12)


@pytest.mark.parametrize("n_stimuli", [3, 17])
def test_sums_over_pairs_equal_explicit_weights(n_stimuli, monkeypatch) -> None:
    monkeypatch.setattr("isocortex_metrics.rdm_comparison._BLOCK_VALUES", 4 * 20)  # several blocks of rows
    generator = np.random.default_rng(0)
    first, second = np.triu_indices(n_stimuli, 1)
    vector, counts = generator.random(len(first)), generator.integers(0, 4, (20, n_stimuli)).astype(float)
    np.testing.assert_allclose(pair_sums(vector, counts), (counts[:, first] * counts[:, second]) @ vector, rtol=1e-12)


def test_bootstrap_equals_correlation_over_weighted_pairs() -> None:
    generator = np.random.default_rng(0)
    first, second = np.triu_indices(14, 1)
    model = unit_ranks(generator.random(len(first)))
    brains = unit_ranks(generator.random((3, len(first))) + model)
    counts = generator.multinomial(14, np.full(14, 1 / 14), size=30).astype(float)
    found = weighted_rho(model, brains, counts)
    for draw, row in zip(counts, found, strict=True):
        pairs = np.repeat(np.arange(len(first)), (draw[first] * draw[second]).astype(int))
        expected = [np.corrcoef(model[pairs], brain[pairs])[0, 1] for brain in brains]
        np.testing.assert_allclose(row, expected, atol=1e-12)


def test_sample_of_one_or_two_stimuli_is_not_a_number() -> None:
    rdm = unit_ranks(np.random.default_rng(0).random(10))
    counts = np.array([[5.0, 0, 0, 0, 0], [3.0, 2, 0, 0, 0]])
    assert np.isnan(weighted_rho(rdm, rdm[None], counts)).all()
