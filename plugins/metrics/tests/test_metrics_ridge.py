"""``ridge`` as a metric: values against scikit-learn, no leak through the choice of layers, bad input."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import xarray as xr
from scipy.stats import pearsonr
from sklearn.linear_model import Ridge as SklearnRidge

import isocortex
from isocortex.activations.layer import Activations
from isocortex.catalogue.cards import LayerRule
from isocortex.data.dataset import make_responses
from isocortex.errors import AlignmentError, DataError, SettingsError
from isocortex.interfaces import Comparison, Rules
from isocortex.scoring.layer_choice import as_layered, score_layers
from isocortex.scoring.stats import interval
from isocortex_metrics.ceilings.reliability import reliability, unbiased_reliability
from isocortex_metrics.numerics.dual_ridge import ALPHA_GRID

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


ridge = cache(lambda: isocortex.load_metric("ridge"))


def against(responses, **settings):
    """The comparison with some responses."""
    return ridge().against(responses, settings=settings, seed=0)


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


def spearman_brown(responses: xr.DataArray) -> np.ndarray:
    """Reliability of the mean of three repetitions, pair by pair."""
    repeated = responses.values.reshape(3, N_STIMULI, -1)
    pairs = [[np.corrcoef(*repeated[[a, b], :, v])[0, 1] for v in range(repeated.shape[2])] for a, b in PAIRS]
    return 3 * np.mean(pairs, axis=0) / (1 + 2 * np.mean(pairs, axis=0))


def test_repetitions_give_a_ceiling_and_corrected_r2() -> None:
    activations, responses = related(n_repetitions=3, noise=0.7)
    comparison = against(responses, noise_correction="per-neuroid")
    comparison.rules = Rules(ceiling_mode="r_over_sqrt_c")
    scores = comparison.score(activations)
    reliability = spearman_brown(responses)
    np.testing.assert_allclose(comparison.ceiling.value.values, np.sqrt(reliability), atol=1e-12)
    np.testing.assert_allclose(scores["reliability"].values, reliability, atol=1e-12)
    np.testing.assert_allclose(scores["r2"].values, np.sign(scores["r"]) * scores["r"] ** 2, atol=1e-15)
    np.testing.assert_allclose(scores["r2_corrected"].values, scores["r2"].values / reliability, atol=1e-12)
    summary = comparison.summarise(scores)
    assert summary.ceiled == pytest.approx(summary.value / summary.ceiling)
    r = scores["r"].values.mean(axis=0)
    by_hand = [np.median((r**2 / reliability)[part]) for part in (slice(4), slice(4, 6))]
    assert summary.also["r2_corrected"] == pytest.approx(np.mean(by_hand), abs=1e-12)
    assert summary.also["r2"] == pytest.approx(np.mean([np.median(r[:4] ** 2), np.median(r[4:] ** 2)]), abs=1e-12)


@pytest.mark.parametrize("region", [None, "A"])
def test_the_correction_is_a_ratio_of_aggregates_of_the_neuroids_in_the_row(region) -> None:
    activations, responses = related(n_repetitions=3, noise=2.0)
    comparison = against(responses)
    scores = comparison.score(activations)
    reliability = 1 - (1 - spearman_brown(responses)) * (N_STIMULI - 3) / (N_STIMULI - 1)
    inside = np.array([region in (None, name) for name in responses["region"].values])
    r = scores["r"].values.mean(axis=0)
    expected = []
    for subject in ("s1", "s2"):
        chosen = inside & (responses["subject"].values == subject)
        expected.append(np.sum(np.sign(r) * r**2, where=chosen) / np.sum(reliability, where=chosen))
    found = comparison.summarise(scores.isel(neuroid=np.flatnonzero(inside)))
    assert found.also["r2_corrected"] == pytest.approx(np.mean(expected), abs=1e-12)


@pytest.mark.parametrize("setting", ["ratio-of-aggregates", "per-neuroid"])
def test_unreliable_neuroids_have_no_ceiling_and_are_not_divided_by(setting) -> None:
    generator = np.random.default_rng(3)
    activations, responses = related(n_repetitions=2)
    n_opposite = 6 if setting == "ratio-of-aggregates" else 1
    responses[:, :n_opposite] = generator.standard_normal((2 * N_STIMULI, n_opposite))
    responses[N_STIMULI:, :n_opposite] = -responses[:N_STIMULI, :n_opposite].values
    comparison = against(responses, noise_correction=setting)
    scores = comparison.score(activations)
    assert np.isnan(scores["r2_corrected"].values[:, :n_opposite]).all()
    assert np.isfinite(scores["r2_corrected"].values[:, n_opposite:]).all()
    if n_opposite == 6:
        assert comparison.summarise(scores).also["r2_corrected"] is None


@pytest.mark.parametrize(
    ("n_repetitions", "setting", "said"),
    [(1, "ratio-of-aggregates", "none, for want of repetitions"), (2, "none", "none")],
)
def test_without_correction_there_is_none_and_the_scores_say_so(n_repetitions, setting, said) -> None:
    activations, responses = related(n_repetitions)
    comparison = against(responses, noise_correction=setting)
    scores = comparison.score(activations)
    assert scores.attrs["noise_correction"] == said
    assert "r2_corrected" not in scores
    summary = comparison.summarise(scores)
    assert "r2_corrected" not in summary.also
    assert (summary.ceiling is None, summary.ceiling_estimator == "none") == (n_repetitions == 1,) * 2
    comparison.rules = Rules(measure="r2_corrected")
    with pytest.raises(SettingsError, match=r"'r2_corrected' is not among the scores"):
        comparison.summarise(scores)


@pytest.mark.parametrize("n_stimuli", [15, 40])
@pytest.mark.parametrize("n_repetitions", [2, 5])
def test_reliabilities_are_summed_without_their_bias(n_stimuli: int, n_repetitions: int) -> None:
    generator = np.random.default_rng(0)
    true = np.repeat([0.0, 0.3, 0.8], 4000)
    signal = np.sqrt(true) * generator.standard_normal((n_stimuli, 12_000))
    noise = np.sqrt(n_repetitions * (1 - true)) * generator.standard_normal((n_repetitions, n_stimuli, 12_000))
    c = reliability(signal + noise)
    bias = (unbiased_reliability(c, n_stimuli) - true).reshape(3, -1).mean(axis=1)
    assert np.abs(bias).max() < 0.025
    expected = -2 * (1 - true[::4000]) / (n_stimuli - 3)
    np.testing.assert_allclose((c - true).reshape(3, -1).mean(axis=1), expected, atol=0.03)


def explainable(seed: int) -> dict[str, float]:
    """Corrected r² by every rule, and the truth, for 160 neuroids of which most have next to no reliability.

    Every neuroid's signal is 70 % linear in the features. The truth is the explained variance of the noise-free signal
    on 4000 other stimuli, weighted by the variance that there is to explain.
    """
    generator = np.random.default_rng(seed)
    n_stimuli, n_neuroids, n_repetitions = 165, 160, 3
    c = 0.01 + 0.85 * np.linspace(0, 1, n_neuroids) ** 2  # reliability of the mean response
    features = generator.standard_normal((n_stimuli + 4000, 5))
    linear = features @ generator.standard_normal((5, n_neuroids))
    signal = np.sqrt(0.7) * linear / linear.std(axis=0) + np.sqrt(0.3) * generator.standard_normal(linear.shape)
    noise = np.sqrt(n_repetitions * (1 - c) / c) * generator.standard_normal((n_repetitions, n_stimuli, n_neuroids))
    ids = [f"s{number}" for number in range(n_stimuli)]
    comparison = against(make_responses(signal[:n_stimuli] + noise, ids), n_repeats=1)
    comparison.rules = Rules(n_draws=10)
    scores = comparison.score(Activations("layer", ids, [features[:n_stimuli]]))
    r, reliability = scores["r"].values.mean(axis=0), scores["reliability"].values
    ratios = (np.sign(r) * r**2 / reliability)[reliability > 0]
    others = np.arange(n_stimuli, n_stimuli + 4000)
    true_r = np.zeros(n_neuroids)
    for train, _ in comparison.splits:
        fit = SklearnRidge(1.0).fit(features[train], comparison.responses[train])
        true_r += pearsonr(fit.predict(features[others]), signal[others], axis=0).statistic / 5
    return {
        "truth": float(np.sum(true_r**2 * c) / np.sum(c)),
        "ratio of aggregates": comparison.summarise(scores).also["r2_corrected"],
        "mean of ratios": float(ratios.mean()),
        "median of ratios": float(np.median(ratios)),
    }


def test_the_ratio_of_aggregates_finds_the_explainable_variance_and_ratios_of_neuroids_do_not() -> None:
    found = [explainable(seed) for seed in range(4)]
    truth = np.array([one["truth"] for one in found])
    assert np.all(np.abs(truth - 0.64) < 0.01)
    error = {name: np.array([one[name] for one in found]) - truth for name in found[0]}
    assert np.abs(error["ratio of aggregates"]).max() < 0.04
    assert abs(error["ratio of aggregates"].mean()) < 0.02
    assert error["mean of ratios"].max() > 0.3, "neuroids of next to no reliability dominate"
    assert error["median of ratios"].mean() < -0.03
    assert error["median of ratios"].max() < 0


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
    n_layers, n_seeds = 43, 5
    found: dict[str, list[float]] = {"model": [], "region": [], "neuroid": []}
    overlapping: list[float] = []
    for seed in range(n_seeds):
        generator = np.random.default_rng(seed)
        regions = {"region": [f"region{number // 20}" for number in range(60)]}
        responses = make_responses(generator.standard_normal((N_STIMULI, 60)), IDS, neuroid=regions)
        comparison = against(responses, n_repeats=1)
        comparison.keep = ()
        layers = {
            f"layer{number}": Activations(f"layer{number}", IDS, [generator.standard_normal((N_STIMULI, 20))])
            for number in range(n_layers)
        }
        scores = {name: comparison.score(layer) for name, layer in layers.items()}
        for unit, means in found.items():
            chosen = score_layers(Remembered(scores, unit), layers)
            assert chosen.attrs["n_layers_searched"] == n_layers
            assert len(np.unique(chosen["chosen"])) > 2, "noise should not agree on a layer"
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


def test_intervals_of_noise_cover_zero_and_would_not_of_the_test_alone() -> None:
    covered, ids, n_seeds, n_neuroids = np.zeros(2), [f"s{number}" for number in range(100)], 15, 8
    for seed in range(n_seeds):
        generator = np.random.default_rng([9, seed])
        comparison = against(make_responses(generator.standard_normal((100, n_neuroids)), ids))
        scores = comparison.score(Activations("layer", ids, [generator.standard_normal((100, 60))]))
        for neuroid in range(n_neuroids):
            one = as_layered(comparison, scores.isel(neuroid=[neuroid]))
            trained = [np.isin(np.arange(100), split.train) for split in comparison.splits]
            alone = one.assign(influence=one["influence"].where(~np.array(trained)[:, :, None], 0.0))
            draws, narrow = (comparison.resample(scores, 400, 0).draws for scores in (one, alone))
            for place, (low, high) in enumerate(map(interval, (draws, narrow))):
                covered[place] += low < 0 < high
    assert covered[0] / (n_seeds * n_neuroids) >= 0.93
    assert covered[1] / (n_seeds * n_neuroids) < 0.9
