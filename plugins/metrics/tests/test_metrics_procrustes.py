"""``procrustes`` against scipy's Procrustes analysis."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes as scipy_procrustes
from scipy.stats import ortho_group

import isocortex
from isocortex.activations.layer import Activations
from isocortex.data.dataset import make_responses
from isocortex.errors import AlignmentError, DataError, SettingsError
from isocortex.interfaces import Preparation, Rules
from isocortex_metrics.geometry.kernels import linear_kernel
from isocortex_metrics.geometry.shape_distance import procrustes_similarity, unit_factor

N_STIMULI = 24
IDS = [f"stimulus{number:02d}" for number in range(N_STIMULI)]


def features(seed: int, n_units: int = 30) -> np.ndarray:
    """Independent normal features with means of their own."""
    return np.random.default_rng(seed).standard_normal((N_STIMULI, n_units)) + np.arange(n_units)


def against(target, device: str = "cpu", rules: Rules | None = None, **settings):
    """The comparison with some target."""
    preparation = Preparation(rules or Rules())
    return isocortex.load_metric("procrustes").against(
        target, settings=settings, device=device, preparation=preparation
    )


def clouds(*sides: np.ndarray) -> list[np.ndarray]:
    """Both sides centred, of size 1, and equally wide: zeros added."""
    widest = max(side.shape[1] for side in sides)
    wide = [np.pad(side - side.mean(axis=0), ((0, 0), (0, widest - side.shape[1]))) for side in sides]
    return [side / np.linalg.norm(side) for side in wide]


@pytest.mark.parametrize(("n_units", "n_neuroids"), [(5, 5), (60, 3), (4, 50), (200, 90), (1, 1)])
def test_similarity_is_what_scipys_best_rotation_reaches(n_units, n_neuroids) -> None:
    x, y = features(0, n_units), features(1, n_neuroids)
    found = procrustes_similarity(linear_kernel([x], N_STIMULI), unit_factor(y))
    left, right = clouds(x, y)
    rotation, reached = orthogonal_procrustes(left, right)
    assert found == pytest.approx(reached, abs=1e-9)
    assert found == pytest.approx(float(((left @ rotation) * right).sum()), abs=1e-9)
    assert 1 - found**2 == pytest.approx(scipy_procrustes(right, left)[2], abs=1e-9)


def test_rotation_scale_mean_and_added_constant_units_change_nothing() -> None:
    x, y = features(0, 12), features(1, 12)
    turned = 7.0 * x @ ortho_group.rvs(12, random_state=0) + 100.0
    wider = np.concatenate([turned, np.full((N_STIMULI, 40), 0.7)], axis=1)
    found = [procrustes_similarity(linear_kernel([one], N_STIMULI), unit_factor(y)) for one in (x, turned, wider)]
    np.testing.assert_allclose(found, found[0], atol=1e-10)
    itself = procrustes_similarity(linear_kernel([turned], N_STIMULI), unit_factor(x))
    assert itself == pytest.approx(1.0, abs=1e-10)


def test_clouds_of_low_rank_keep_their_digits() -> None:
    x, y = features(0, 3) @ features(2, 500)[:3], features(1, 2) @ features(3, 300)[:2]
    left, right = clouds(x, y)
    found = procrustes_similarity(linear_kernel([x], N_STIMULI), unit_factor(y))
    assert found == pytest.approx(np.linalg.norm(left.T @ right, "nuc"), abs=1e-7)


def test_value_is_the_mean_over_participants() -> None:
    signal = features(5, 8)
    responses = np.concatenate([signal, features(6, 4)], axis=1)
    target = make_responses(responses, IDS, neuroid={"subject": ["a"] * 8 + ["b"] * 4})
    comparison = against(target)
    order = np.random.default_rng(0).permutation(N_STIMULI)
    scores = comparison.score(Activations("layer", [IDS[place] for place in order], [signal[order]]))
    expected = [
        np.linalg.norm(np.matmul(*_transposed(clouds(signal, part))), "nuc") for part in (signal, features(6, 4))
    ]
    np.testing.assert_allclose(scores["procrustes"].values, expected, atol=1e-10)
    np.testing.assert_allclose(scores["angle"].values, np.arccos(np.minimum(expected, 1)), atol=1e-5)
    summary = comparison.summarise(scores)
    assert summary.value == pytest.approx(np.mean(expected), abs=1e-10)
    assert set(summary.also) == {"angle"}
    assert (summary.statistic, summary.target, summary.interval_low) == ("procrustes", "participant", None)


def _transposed(pair: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return pair[0].T, pair[1]


def test_noise_is_far_above_nothing() -> None:
    found = [
        against(make_responses(features(2 * seed), IDS)).score(Activations("layer", IDS, [features(2 * seed + 1)]))
        for seed in range(30)
    ]
    assert np.mean([float(one["procrustes"][0]) for one in found]) > 0.6


def test_the_best_of_several_layers_is_marked_optimistic() -> None:
    comparison = against(make_responses(features(0, 6), IDS))
    layers = {name: Activations(name, IDS, [features(seed)]) for name, seed in (("a", 1), ("b", 0))}
    summary = comparison.summarise(comparison.score_all(layers))
    assert (summary.layer_rule, summary.best_layer, summary.n_layers_searched) == ("optimistic", "b", 2)


def test_the_best_layer_of_a_distance_is_the_one_at_the_smallest() -> None:
    comparison = against(make_responses(features(0, 6), IDS), rules=Rules(measure="angle"))
    layers = {name: Activations(name, IDS, [features(seed)]) for name, seed in (("a", 1), ("b", 0), ("c", 2))}
    summary = comparison.summarise(comparison.score_all(layers))
    nearest = min(summary.layers, key=lambda layer: layer.value)
    assert (summary.best_layer, summary.value, summary.better) == (nearest.name, nearest.value, "lower")


def test_what_does_not_vary_is_null_or_refused() -> None:
    responses = np.concatenate([features(0, 4), np.full((N_STIMULI, 2), 0.1)], axis=1)
    comparison = against(make_responses(responses, IDS, neuroid={"subject": ["a"] * 4 + ["b"] * 2}))
    assert comparison.score(Activations("layer", IDS, [features(1)]))["null"].values.tolist() == [False, True]
    scores = comparison.score(Activations("flat", IDS, [np.full((N_STIMULI, 3), 0.1, dtype=np.float32)]))
    summary = comparison.summarise(scores)
    assert (summary.value, summary.n_null) == (None, 2)
    with pytest.raises(DataError, match="No response varies"):
        against(make_responses(np.ones((N_STIMULI, 3)), IDS))


def test_bad_input_is_refused() -> None:
    target = make_responses(features(0, 4), IDS)
    with pytest.raises(SettingsError, match="n_permutations"):
        against(target, n_permutations=3)
    with pytest.raises(DataError, match="at least 4 stimuli; found 3"):
        against(make_responses(features(0)[:3], IDS[:3]))
    with pytest.raises(AlignmentError, match="lack 1 of 24"):
        against(target).score(Activations("short", IDS[1:], [features(1)[1:]]))
    with pytest.raises(DataError, match="not finite"):
        against(target).score(Activations("nan", IDS, [np.full((N_STIMULI, 2), np.nan)]))


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
def test_torch_gives_what_numpy_gives() -> None:
    target, layer = make_responses(features(0, 40), IDS), Activations("layer", IDS, [features(1).astype(np.float32)])
    found = [against(target, device=device).score(layer) for device in ("cpu", "torch")]
    for name in ("procrustes", "angle"):
        np.testing.assert_allclose(found[0][name].values, found[1][name].values, atol=1e-9)
