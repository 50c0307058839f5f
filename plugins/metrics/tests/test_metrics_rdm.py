"""Dissimilarity matrices, ranks and ceilings against scipy and loops; published values on real matrices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import rankdata, spearmanr

from isocortex.errors import DataError
from isocortex_metrics.rdm import correlation_distance, euclidean_distance
from isocortex_metrics.rdm_comparison import noise_ceiling, unit_ranks, weighted_rho


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
    lower, upper = noise_ceiling(rdms)
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


@pytest.fixture
def human(realdata: Path) -> np.ndarray:
    """RDMs of four participants, sessions averaged, (4, 4186)."""
    from scipy.io import loadmat

    found = loadmat(realdata / "kriegeskorte2008" / "92_brainRDMs.mat")["RDMs"][0]  # (4 participants, 2 sessions)
    upper = np.triu_indices(92, 1)
    return np.array([[session["RDM"][upper] for session in row] for row in found]).mean(axis=1)


def test_published_noise_ceiling_of_human_it(human) -> None:
    assert noise_ceiling(human) == pytest.approx((0.3723, 0.6657), abs=5e-4)


def test_animacy_model_against_human_it(human, realdata) -> None:
    from scipy.io import loadmat

    models = loadmat(realdata / "kriegeskorte2008" / "92_modelRDMs.mat")["Models"].ravel()
    named = {str(model["name"].ravel()[0]).lower(): model["RDM"] for model in models}
    animacy = next(matrix for name, matrix in named.items() if "anim" in name and "face" not in name)
    ranks = unit_ranks(animacy[np.triu_indices(92, 1)].astype(float))
    assert unit_ranks(human.mean(axis=0)) @ ranks == pytest.approx(0.5882, abs=1e-3)
    assert np.mean(unit_ranks(human) @ ranks) == pytest.approx(0.386, abs=1e-3)
