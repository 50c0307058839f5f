"""Dissimilarity matrices, ranks and ceilings against scipy and loops; published values on real matrices."""

from __future__ import annotations

from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import rankdata, spearmanr

from isocortex.errors import DataError
from isocortex_metrics.geometry import dissimilarity as rdm
from isocortex_metrics.geometry.dissimilarity import (
    correlation_distance,
    cosine_distance,
    crossvalidated_distance,
    euclidean_distance,
    pairs_among,
    squared_euclidean_distance,
    upper_triangle,
)
from isocortex_metrics.geometry.pair_statistics import COMPARISONS, unit_ranks, weighted_rho
from isocortex_metrics.geometry.rdm_ceilings import leave_one_out


@pytest.fixture
def patterns() -> np.ndarray:
    """Patterns (12, 40) float32 far from zero."""
    return (np.random.default_rng(0).standard_normal((12, 40)) + 1000).astype(np.float32)


def in_blocks(patterns: np.ndarray):
    """The patterns as column blocks of unequal width."""
    return lambda: iter([patterns[:, :7], patterns[:, 7:8], patterns[:, 8:]])


@pytest.mark.parametrize(
    ("distance", "name"), [(correlation_distance, "correlation"), (euclidean_distance, "euclidean")]
)
def test_distances_equal_scipy(patterns, distance, name) -> None:
    expected = pdist(patterns.astype(np.float64), name)
    np.testing.assert_allclose(distance(in_blocks(patterns), 12), expected, atol=1e-9)


def test_constant_pattern_is_named(patterns) -> None:
    patterns[3] = 1000.1
    with pytest.raises(DataError, match=r"1 of 12 stimuli have a constant pattern.*number 3"):
        correlation_distance(in_blocks(patterns), 12)


def test_a_single_unit_has_no_correlation_distance(patterns) -> None:
    with pytest.raises(DataError, match="12 of 12 stimuli"):
        correlation_distance(lambda: iter([patterns[:, :1]]), 12)


def test_product_of_unit_ranks_is_spearman_with_ties() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.integers(0, 6, 50), generator.integers(0, 6, 50)
    assert unit_ranks(a) @ unit_ranks(b) == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)


def test_equal_entries_have_no_ranks() -> None:
    with pytest.raises(DataError, match="equal entries"):
        unit_ranks(np.ones((2, 6)))


def test_noise_ceiling_equals_a_loop() -> None:
    rdms = np.random.default_rng(0).random((5, 66)) + np.linspace(0, 1, 66)
    lower, upper = leave_one_out(rdms, COMPARISONS["spearman"])
    scored = np.stack([(r - r.mean()) / r.std() for r in (rankdata(row) for row in rdms)])
    # means of ranks that are equal but for rounding are ties
    without = [spearmanr(rdms[i], np.delete(scored, i, axis=0).mean(axis=0).round(9)).statistic for i in range(5)]
    within = [spearmanr(row, scored.mean(axis=0).round(9)).statistic for row in rdms]
    assert (lower, upper) == pytest.approx((np.mean(without), np.mean(within)), abs=1e-12)


def test_weighted_rho_equals_explicit_pairs() -> None:
    generator = np.random.default_rng(0)
    n_stimuli = 9
    first, second = np.triu_indices(n_stimuli, 1)
    model, brains = unit_ranks(generator.random(36)), unit_ranks(generator.random((2, 36)))
    counts = generator.multinomial(n_stimuli, np.full(n_stimuli, 1 / n_stimuli), size=6).astype(float)
    found = weighted_rho(model, brains, counts)
    place = {pair: number for number, pair in enumerate(zip(first, second, strict=True))}
    for draw, row in zip(counts, found, strict=True):
        drawn = np.repeat(np.arange(n_stimuli), draw.astype(int))
        pairs = [place[min(i, j), max(i, j)] for a, i in enumerate(drawn) for j in drawn[a + 1 :] if i != j]
        for brain, rho in zip(brains, row, strict=True):
            assert rho == pytest.approx(np.corrcoef(model[pairs], brain[pairs])[0, 1], abs=1e-10)


# --- single precision -------------------------------------------------------------------------------------------------


def network_patterns(n_stimuli: int = 400, n_units: int = 3000) -> np.ndarray:
    """Rectified mixtures of factors, float32."""
    generator = np.random.default_rng(0)
    mixed = generator.standard_normal((n_stimuli, 20)) @ generator.standard_normal((20, n_units))
    return np.maximum(mixed + 2 * generator.standard_normal((n_stimuli, n_units)), 0).astype(np.float32)


@pytest.fixture
def from_few(monkeypatch) -> None:
    """Single precision already for 300 stimuli."""
    monkeypatch.setattr(rdm, "SINGLE_FROM", 300)


@pytest.mark.parametrize("distance", [correlation_distance, cosine_distance])
def test_single_precision_ranks_as_double_does(from_few, distance) -> None:
    patterns = network_patterns()
    blocks = lambda: (patterns[:, start : start + 900] for start in range(0, 3000, 900))  # noqa: E731
    single, double = distance(blocks, 400, single=True), distance(blocks, 400)
    assert (single != double).any(), "single precision was used"
    np.testing.assert_allclose(single, double, rtol=0, atol=2e-6)
    brain = unit_ranks(double + 0.3 * np.random.default_rng(1).standard_normal(len(double)))
    assert brain @ unit_ranks(single) == pytest.approx(brain @ unit_ranks(double), abs=1e-7)


def repeated_rows(patterns: np.ndarray) -> np.ndarray:
    """Every tenth stimulus is one and the same, so that dissimilarities tie."""
    patterns[::10] = patterns[0]
    return patterns


def labels(patterns: np.ndarray) -> np.ndarray:
    """One-hot labels: two values of dissimilarity."""
    return np.eye(7, dtype=np.float32)[np.arange(len(patterns)) % 7]


def alike(patterns: np.ndarray) -> np.ndarray:
    """Patterns that differ in their last digits only."""
    return (10 * patterns[:1] + 1e-3 * patterns).astype(np.float32)


@pytest.mark.parametrize("change", [repeated_rows, labels, alike, np.float64])
def test_double_precision_is_kept_where_rounding_would_matter(from_few, change) -> None:
    patterns = change(network_patterns(n_units=500))
    for distance in (correlation_distance, cosine_distance):
        blocks = lambda: iter([patterns])  # noqa: E731
        np.testing.assert_array_equal(distance(blocks, 400, single=True), distance(blocks, 400))


def test_constant_patterns_are_named_in_single_precision_too(from_few) -> None:
    patterns = network_patterns()
    patterns[[7, 11]] = 0.1
    with pytest.raises(DataError, match=r"2 of 400 stimuli have a constant pattern.*number 7"):
        correlation_distance(lambda: iter([patterns]), 400, single=True)


@pytest.mark.parametrize(
    "distance", [correlation_distance, cosine_distance, euclidean_distance, squared_euclidean_distance]
)
def test_torch_equals_numpy(patterns, distance) -> None:
    np.testing.assert_allclose(
        distance(in_blocks(patterns), 12, "torch"), distance(in_blocks(patterns), 12), rtol=1e-9, atol=1e-13
    )


# --- pairs and cross-validation ---------------------------------------------------------------------------------------


def test_pairs_among_stimuli_are_a_part_of_the_matrix() -> None:
    matrix = np.random.default_rng(0).random((9, 9))
    for members in ([0, 1], [2, 5, 8], list(range(9))):
        expected = upper_triangle(matrix[np.ix_(members, members)])
        np.testing.assert_array_equal(upper_triangle(matrix)[pairs_among(np.array(members), 9)], expected)


@pytest.mark.parametrize("n_repetitions", [2, 5])
def test_cross_validated_distance_equals_a_loop(n_repetitions) -> None:
    shown = np.random.default_rng(0).standard_normal((n_repetitions, 6, 7)) + 100
    expected = [
        np.mean([(a[i] - a[j]) @ (b[i] - b[j]) / 7 for a, b in permutations(shown, 2)])
        for i, j in combinations(range(6), 2)
    ]
    found = crossvalidated_distance(shown)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert (found < 0).any(), "noise can make it negative"


def test_cross_validated_distance_knows_the_truth() -> None:
    """With signal and noise its mean is the distance of the true patterns, that of averages is larger."""
    truth = np.random.default_rng(0).standard_normal((5, 8))
    shown = truth + 2 * np.random.default_rng(1).standard_normal((1500, 3, 5, 8))
    found = np.array([crossvalidated_distance(one) for one in shown])
    expected = pdist(truth, "sqeuclidean") / 8
    assert (np.abs(found.mean(axis=0) - expected) < 4 * found.std(axis=0) / np.sqrt(1500)).all()


def test_neuroids_that_do_not_vary_count_as_nothing() -> None:
    shown = np.random.default_rng(0).standard_normal((2, 6, 3))
    with_constant = np.concatenate([shown, np.full((2, 6, 1), 0.7)], axis=2)
    found = crossvalidated_distance(with_constant, standardise=True)
    np.testing.assert_allclose(4 * found, 3 * crossvalidated_distance(shown, standardise=True), atol=1e-13)


@pytest.fixture
def human(realdata: Path) -> np.ndarray:
    """RDMs of four participants, sessions averaged, (4, 4186)."""
    from scipy.io import loadmat

    found = loadmat(realdata / "kriegeskorte2008" / "92_brainRDMs.mat")["RDMs"][0]  # (4 participants, 2 sessions)
    upper = np.triu_indices(92, 1)
    return np.array([[session["RDM"][upper] for session in row] for row in found]).mean(axis=1)


def test_published_noise_ceiling_of_human_it(human) -> None:
    assert leave_one_out(human, COMPARISONS["spearman"]) == pytest.approx((0.3723, 0.6657), abs=5e-4)


def test_animacy_model_against_human_it(human, realdata) -> None:
    from scipy.io import loadmat

    models = loadmat(realdata / "kriegeskorte2008" / "92_modelRDMs.mat")["Models"].ravel()
    named = {str(model["name"].ravel()[0]).lower(): model["RDM"] for model in models}
    animacy = next(matrix for name, matrix in named.items() if "anim" in name and "face" not in name)
    ranks = unit_ranks(animacy[np.triu_indices(92, 1)].astype(float))
    assert unit_ranks(human.mean(axis=0)) @ ranks == pytest.approx(0.5882, abs=1e-3)
    assert np.mean(unit_ranks(human) @ ranks) == pytest.approx(0.386, abs=1e-3)
