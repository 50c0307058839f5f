"""``ridge`` as a metric: values against scikit-learn, no leak through the choice of layers, bad input."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from sklearn.linear_model import Ridge as SklearnRidge

import isocortex
from isocortex.activations import Activations
from isocortex.dataset import make_responses
from isocortex.errors import AlignmentError, DataError, SettingsError
from isocortex.interfaces import Comparison, Rules
from isocortex.layers import score_layers
from isocortex.manifest import LayerRule
from isocortex_metrics.dual_ridge import ALPHA_GRID
from isocortex_metrics.ridge import RidgeComparison

N_STIMULI = 60
IDS = [f"stimulus{number:02d}" for number in range(N_STIMULI)]
PAIRS = ((0, 1), (0, 2), (1, 2))


def related(n_repetitions: int = 1, n_neuroids: int = 6, noise: float = 1.0, seed: int = 0):
    """Activations (60 × 40) and responses that depend on them; two regions, two participants."""
    generator = np.random.default_rng(seed)
    features = generator.standard_normal((N_STIMULI, 40))
    signal = features @ generator.standard_normal((40, n_neuroids)) / np.sqrt(40)
    responses = signal + noise * generator.standard_normal((n_repetitions, N_STIMULI, n_neuroids))
    coordinates = {"region": ["A", "B"] * (n_neuroids // 2), "subject": ["s1"] * 4 + ["s2"] * (n_neuroids - 4)}
    return Activations("layer", IDS, [features]), make_responses(responses, IDS, neuroid=coordinates)


def against(responses, **settings):
    """The comparison with some responses."""
    return isocortex.load_metric("ridge").against(responses, settings=settings, seed=0)


def test_scores_equal_scikit_learn_split_by_split() -> None:
    activations, responses = related()
    comparison = against(responses)
    scores = comparison.score(activations)
    features = activations.array()
    for split, (train, test) in enumerate(comparison.splits):
        centred = features[train] - features[train].mean(axis=0)
        scale = (centred**2).sum() / (len(train) - 1)
        for neuroid in range(6):
            y = responses.values[:, neuroid]
            alpha = 10 ** float(scores["alpha"][split, neuroid]) * scale
            predicted = SklearnRidge(alpha, solver="svd").fit(features[train], y[train]).predict(features[test])
            assert float(scores["r"][split, neuroid]) == pytest.approx(np.corrcoef(predicted, y[test])[0, 1], abs=1e-9)
    assert set(np.round(scores["alpha"].values, 6).ravel()) <= set(np.round(np.log10(ALPHA_GRID), 6))


def test_value_is_the_mean_over_participants_of_the_median_over_neuroids() -> None:
    activations, responses = related()
    comparison = against(responses)
    scores = comparison.score(activations)
    per_neuroid = scores["r"].values.mean(axis=0)
    summary = comparison.summarise(scores)
    assert summary.value == pytest.approx(np.mean([np.median(per_neuroid[:4]), np.median(per_neuroid[4:])]))
    assert (summary.statistic, summary.target, summary.layer_rule) == ("r", "participant", "single layer")
    assert (summary.n_stimuli, summary.n_neuroids, summary.n_subjects, summary.n_splits) == (60, 6, 2, 10)
    assert summary.resampled == "stimuli × participants"
    assert summary.interval_low < summary.value < summary.interval_high
    assert summary.ceiling is None


def test_order_of_activations_does_not_matter_and_that_of_stimuli_is_the_data_sets() -> None:
    activations, responses = related()
    shuffled = np.random.default_rng(1).permutation(N_STIMULI)
    other = Activations("layer", [IDS[place] for place in shuffled], [activations.array()[shuffled]])
    comparison = against(responses)
    xr.testing.assert_identical(comparison.score(activations), comparison.score(other))


def test_repetitions_give_a_ceiling_and_corrected_r2() -> None:
    activations, responses = related(n_repetitions=3, noise=0.7)
    comparison = against(responses)
    comparison.rules = Rules(ceiling_mode="r_over_sqrt_c")
    scores = comparison.score(activations)
    repeated = responses.values.reshape(3, N_STIMULI, 6)
    pairs = [[np.corrcoef(repeated[a, :, v], repeated[b, :, v])[0, 1] for v in range(6)] for a, b in PAIRS]
    mean = np.mean(pairs, axis=0)
    reliability = 3 * mean / (1 + 2 * mean)
    np.testing.assert_allclose(comparison.ceiling.value.values, np.sqrt(reliability), atol=1e-12)
    expected = np.sign(scores["r"]) * scores["r"] ** 2 / reliability
    np.testing.assert_allclose(scores["r2_corrected"].values, expected.values, atol=1e-12)
    summary = comparison.summarise(scores)
    assert summary.ceiled == pytest.approx(summary.value / summary.ceiling)
    assert "r2_corrected" in summary.also


def test_unreliable_neuroids_have_no_ceiling_and_are_not_divided_by() -> None:
    generator = np.random.default_rng(3)
    activations, responses = related(n_repetitions=2)
    responses[:, 0] = generator.standard_normal(2 * N_STIMULI)
    responses[N_STIMULI:, 0] = -responses[:N_STIMULI, 0].values
    scores = against(responses).score(activations)
    assert np.isnan(scores["r2_corrected"].values[:, 0]).all()
    assert np.isfinite(scores["r2_corrected"].values[:, 1:]).all()


def test_a_region_of_noise_has_no_ceiling_worth_the_name() -> None:
    generator = np.random.default_rng(5)
    activations, _ = related()
    comparison = against(make_responses(generator.standard_normal((3, N_STIMULI, 80)), IDS))
    comparison.rules = Rules(ceiling_mode="r_over_sqrt_c")
    summary = comparison.summarise(comparison.score(activations))
    # reliabilities scatter around zero; the median of signed roots does so, too; without the negative ones it is .3
    assert abs(summary.ceiling) < 0.25
    assert np.nanmedian(np.where(comparison.reliability > 0, np.sqrt(np.abs(comparison.reliability)), np.nan)) > 0.25


def test_constant_neuroid_is_null_and_counted() -> None:
    activations, responses = related()
    responses[:, 2] = 1.5
    comparison = against(responses)
    scores = comparison.score(activations)
    assert scores["null"].values[:, 2].all()
    assert (scores["r"].values[:, 2] == 0).all()
    assert comparison.summarise(scores).n_null == 10


class Remembered(Comparison):
    """Scores that were computed before, so that one set of fits serves every unit of choice."""

    statistic = "r"

    def __init__(self, scores: dict[str, xr.Dataset], unit: str) -> None:
        self.scores = scores
        self.rules = Rules(layer_rule=LayerRule(unit=unit))

    def score(self, activations):
        return self.scores[activations.layer]


def test_choosing_among_43_layers_of_noise_gives_nothing() -> None:
    n_layers, n_seeds = 43, 20
    found: dict[str, list[float]] = {"model": [], "region": [], "neuroid": []}
    overlapping: list[float] = []
    for seed in range(n_seeds):
        generator = np.random.default_rng(seed)
        regions = {"region": [f"region{number // 4}" for number in range(12)]}
        comparison = against(make_responses(generator.standard_normal((N_STIMULI, 12)), IDS, neuroid=regions))
        layers = {
            f"layer{number}": Activations(f"layer{number}", IDS, [generator.standard_normal((N_STIMULI, 20))])
            for number in range(n_layers)
        }
        scores = {name: comparison.score(layer) for name, layer in layers.items()}
        for unit, means in found.items():
            chosen = score_layers(Remembered(scores, unit), layers)
            assert chosen.attrs["n_layers_searched"] == n_layers
            assert len(np.unique(chosen["chosen"])) > 3, "noise should not agree on a layer"
            means.append(float(chosen["readout"].mean()))
        curves = np.stack([score["r"].mean("split").values for score in scores.values()])
        overlapping.append(float(curves.max(axis=0).mean()))
    for unit, means in found.items():
        assert abs(np.mean(means)) <= 0.02, f"{unit}: {np.mean(means):.4f}"
    assert np.mean(overlapping) > 0.1, "choosing on what is tested on leaks; this is what the nested choice avoids"


def test_bad_input_is_refused() -> None:
    activations, responses = related()
    with pytest.raises(SettingsError, match="Did you mean n_folds"):
        against(responses, n_fold=3)
    with pytest.raises(SettingsError, match="n_folds"):
        against(responses, n_folds=1)
    with pytest.raises(DataError, match="at least 15 stimuli"):
        against(responses.isel(presentation=slice(0, 14)))
    with pytest.raises(DataError, match="not finite"):
        against(responses.where(responses != responses[0, 0]))
    with pytest.raises(AlignmentError, match=r"lack 1 of 60 stimuli: stimulus00"):
        against(responses).score(Activations("layer", IDS[1:], [activations.array()[1:]]))
    broken = activations.array().copy()
    broken[7, 3] = np.nan
    with pytest.raises(DataError, match="stimulus07"):
        against(responses).score(Activations("layer", IDS, [broken]))


def coverage_of_zero(n_seeds: int = 120) -> float:
    """Share of pure-noise problems whose 95 % interval covers 0."""
    covered, ids = 0, [f"s{number}" for number in range(100)]
    for seed in range(n_seeds):
        generator = np.random.default_rng([9, seed])
        comparison = against(make_responses(generator.standard_normal((100, 1)), ids))
        scores = comparison.score(Activations("layer", ids, [generator.standard_normal((100, 60))]))
        summary = comparison.summarise(scores)
        covered += summary.interval_low < 0 < summary.interval_high
    return covered / n_seeds


def test_intervals_of_noise_cover_zero_and_would_not_without_widening(monkeypatch) -> None:
    assert coverage_of_zero() >= 0.9
    monkeypatch.setattr(RidgeComparison, "_widening", lambda _: 1.0)
    assert coverage_of_zero() < 0.9
