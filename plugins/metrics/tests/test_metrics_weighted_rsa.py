"""``weighted-rsa`` against scikit-learn's non-negative regression, fold by fold and pair by pair."""

from __future__ import annotations

import logging
from importlib.util import find_spec

import numpy as np
import pytest
import xarray as xr
from scipy.optimize import nnls
from scipy.spatial.distance import pdist, squareform
from scipy.stats import pearsonr, spearmanr
from sklearn.linear_model import LinearRegression

import isocortex
from isocortex.activations.layer import Activations
from isocortex.data.dataset import Dataset, make_responses
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.errors import AlignmentError, DataError, LayerError, SettingsError
from isocortex.scoring.contract import Rules
from isocortex_metrics.geometry import layer_weights
from isocortex_metrics.geometry.dissimilarity import pairs_among
from isocortex_metrics.geometry.layer_weights import (
    cells_of,
    fit_combination,
    held_out_predictions,
    moments_of,
    pair_table,
    training_moments,
)
from isocortex_metrics.numerics.draws import of_pairs

N_STIMULI = 30
IDS = [f"stimulus{number:02d}" for number in range(N_STIMULI)]


def features(seed: int, n_units: int = 12) -> np.ndarray:
    """Independent normal features."""
    return np.random.default_rng(seed).standard_normal((N_STIMULI, n_units))


def layer(seed: int, name: str | None = None) -> Activations:
    """A layer of independent normal units."""
    return Activations(name or f"layer{seed}", IDS, [features(seed)])


def mixed(seed: int = 0, n_neuroids: int = 30) -> np.ndarray:
    """Responses to the features of layers 1 and 2, with noise."""
    stream = np.random.default_rng([seed, 7])
    read = [features(number) @ stream.standard_normal((12, n_neuroids)) for number in (1, 2)]
    return read[0] + 0.6 * read[1] + 2.0 * stream.standard_normal((N_STIMULI, n_neuroids))


def two_participants() -> xr.DataArray:
    """Responses of two participants."""
    return make_responses(
        np.concatenate([mixed(0), mixed(1)], axis=1), IDS, neuroid={"subject": ["a"] * 30 + ["b"] * 30}
    )


def rdm_of(values: np.ndarray, names: list[str] = IDS) -> xr.DataArray:
    """RDMs (n_subjects, n_pairs) as an array of a notebook."""
    first, second = np.triu_indices(len(names), 1)
    ids = np.array(names, dtype=object)
    return xr.DataArray(
        values,
        dims=("subject", "pair"),
        coords={
            "subject": [f"s{number}" for number in range(len(values))],
            "stimulus_a": ("pair", ids[first]),
            "stimulus_b": ("pair", ids[second]),
        },
    )


def against(target, seed: int = 0, device: str = "cpu", **settings):
    """The comparison with some target."""
    return isocortex.load_metric("weighted-rsa").against(target, settings=settings, seed=seed, device=device)


def by_scikit_learn(models: list[np.ndarray], brain: np.ndarray, train: np.ndarray) -> LinearRegression:
    """Non-negative regression on the pairs among the training stimuli; matrices are square."""
    first, second = (train[side] for side in np.triu_indices(len(train), 1))
    design = np.stack([model[first, second] for model in models], axis=1)
    return LinearRegression(positive=True).fit(design, brain[first, second])


# --- weights ----------------------------------------------------------------------------------------------------------


def test_weights_equal_nnls_on_all_pairs_at_once() -> None:
    stream = np.random.default_rng(0)
    layers = stream.random((5, 435)) + 3.0
    brains = np.stack([2 * layers[1] + layers[3] + 0.3 * stream.random(435), -layers[0], stream.random(435)])
    tests = [np.arange(0, 30, 3), np.arange(1, 30, 3), np.arange(2, 30, 3)]
    for test, (weights, prediction) in zip(tests, held_out_predictions(layers, brains, tests), strict=True):
        pairs = pairs_among(np.setdiff1d(np.arange(30), test), 30)
        inside, target = layers[:, pairs].T, brains[:, pairs].T
        z = (inside - inside.mean(axis=0)) / inside.std(axis=0)
        for column in range(3):
            y = (target[:, column] - target[:, column].mean()) / target[:, column].std()
            np.testing.assert_allclose(weights[:, column], nnls(z, y)[0], atol=1e-10)
            fitted = LinearRegression(positive=True).fit(inside, target[:, column])
            expected = fitted.predict(layers[:, pairs_among(test, 30)].T)
            np.testing.assert_allclose(prediction[column], expected, atol=1e-10)


def test_collinear_and_flat_layers_do_not_disturb_the_prediction() -> None:
    stream = np.random.default_rng(1)
    base = stream.random((3, 435))
    brain = base[:1] + 0.5 * base[1:2] + 0.1 * stream.random((1, 435))
    tests = [np.arange(15), np.arange(15, 30)]
    wider = np.concatenate([base, 2 * base[:1] + 1, base[:2].sum(axis=0)[None], np.full((1, 435), 0.1)])
    plain, more = (held_out_predictions(layers, brain, tests) for layers in (base, wider))
    for (_, expected), (weights, found) in zip(plain, more, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-9)
        assert weights[-1, 0] == 0


def test_pairs_of_a_fold_are_in_no_sum_that_it_is_trained_on() -> None:
    tests = [np.arange(0, 12, 2), np.arange(1, 12, 2)]
    fold_of = np.arange(12) % 2
    cells = cells_of(fold_of, 2)
    assert sorted(np.concatenate(list(cells.values())).tolist()) == list(range(66))
    layers, brains = np.random.default_rng(0).random((2, 4, 66))
    moments = {cell: moments_of((layers, brains), places, np.zeros(8)) for cell, places in cells.items()}
    for fold, test in enumerate(tests):
        found = training_moments(moments, fold)
        kept = np.concatenate([layers, brains])[:, pairs_among(np.setdiff1d(np.arange(12), test), 12)]
        assert found.n_pairs == kept.shape[1] == 15
        np.testing.assert_allclose(found.products, kept @ kept.T, rtol=1e-12)


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
def test_sums_on_torch_are_those_of_numpy() -> None:
    rows, places = np.random.default_rng(0).random((4, 66)), np.arange(0, 66, 2)
    found = [moments_of((rows,), places, rows.mean(axis=1), device) for device in ("cpu", "torch")]
    np.testing.assert_allclose(found[0].products, found[1].products, rtol=1e-12)


def test_a_table_in_a_file_and_small_blocks_give_the_same(monkeypatch) -> None:
    layers, brains = np.random.default_rng(0).random((2, 6, 435))
    tests = [np.arange(15), np.arange(15, 30)]
    expected = held_out_predictions(layers, brains, tests)
    filed = pair_table(6, 435, held_bytes=0)
    filed[:] = layers
    monkeypatch.setattr(layer_weights, "_BLOCK_VALUES", 100)
    for (_, found), (_, whole) in zip(held_out_predictions(filed, brains, tests), expected, strict=True):
        np.testing.assert_allclose(found, whole, rtol=1e-10)


def test_a_target_that_does_not_vary_has_no_weights() -> None:
    layers = np.random.default_rng(0).random((2, 45))
    shift = np.zeros(3)
    moments = moments_of((layers, np.full((1, 45), 0.3)), np.arange(45), shift)
    assert not fit_combination(moments, 2, shift).weights.any()


# --- the metric -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("comparison", ["spearman", "pearson"])
@pytest.mark.parametrize("dissimilarity", ["correlation", "euclidean"])
def test_value_is_the_mean_over_folds_of_correlations_on_held_out_pairs(comparison, dissimilarity) -> None:
    target = two_participants()
    metric = against(target, n_folds=3, n_repeats=2, comparison=comparison, dissimilarity=dissimilarity)
    layers = {f"layer{seed}": layer(seed) for seed in (1, 2, 3, 4)}
    scores = metric.score_all(layers)
    models = [squareform(pdist(features(seed), dissimilarity)) for seed in (1, 2, 3, 4)]
    brains = [squareform(pdist(target.values[:, part], dissimilarity)) for part in (slice(0, 30), slice(30, 60))]
    correlate = {"spearman": spearmanr, "pearson": pearsonr}[comparison]
    expected, own, weights = np.empty((6, 2)), np.empty((4, 6, 2)), np.empty((4, 6, 2))
    for split, (train, test) in enumerate(metric.splits):
        first, second = (test[side] for side in np.triu_indices(len(test), 1))
        for subject, brain in enumerate(brains):
            fitted = by_scikit_learn(models, brain, train)
            prediction = fitted.predict(np.stack([model[first, second] for model in models], axis=1))
            expected[split, subject] = correlate(prediction, brain[first, second]).statistic
            own[:, split, subject] = [correlate(model[first, second], brain[first, second])[0] for model in models]
            pairs = np.triu_indices(len(train), 1)
            spread = [m[np.ix_(train, train)][pairs].std() for m in [*models, brain]]
            weights[:, split, subject] = fitted.coef_ * spread[:-1] / spread[-1]
    np.testing.assert_allclose(scores["readout"].values, expected, atol=1e-9)
    np.testing.assert_allclose(scores["weight"].values, weights, atol=1e-8)
    name = {"spearman": "rho", "pearson": "r"}[comparison]
    np.testing.assert_allclose(scores[name].values, own, atol=1e-9)
    summary = metric.summarise(scores)
    assert summary.value == pytest.approx(expected.mean(), abs=1e-9)
    assert summary.statistic == name
    assert [one.value for one in summary.layers] == pytest.approx(own.mean(axis=(1, 2)), abs=1e-9)
    mean_weights = weights.mean(axis=(1, 2))
    assert [one.read_out for one in summary.layers] == pytest.approx(mean_weights / mean_weights.sum(), abs=1e-8)
    assert (summary.best_layer, summary.layer_rule) == ("layer1", "all layers, weighted")
    assert (summary.n_layers_searched, summary.n_splits, summary.n_subjects) == (4, 6, 2)
    assert summary.also == {}


def test_pairs_with_either_stimulus_held_out_as_conwell_does_it() -> None:
    """Similarity matrices, six folds, overlapping predictions averaged, Pearson."""
    responses = mixed(0)
    metric = against(make_responses(responses, IDS), held_out="either", n_folds=6, n_repeats=1, comparison="pearson")
    models, brain = [np.corrcoef(features(seed)) for seed in (1, 2, 3)], np.corrcoef(responses)
    total, count = np.zeros((2, N_STIMULI, N_STIMULI))
    for train, test in metric.splits:
        fitted = by_scikit_learn(models, brain, train)
        held_out = np.zeros((N_STIMULI, N_STIMULI), dtype=bool)
        held_out[test], held_out[:, test] = True, True
        predicted = fitted.predict(np.stack([model.ravel() for model in models], axis=1)).reshape(brain.shape)
        total[held_out] += predicted[held_out]
        count[held_out] += 1
    pairs = np.triu_indices(N_STIMULI, 1)
    assert count[pairs].min() == 1
    expected = pearsonr((total / np.maximum(count, 1))[pairs], brain[pairs]).statistic
    scores = metric.score_all({f"layer{seed}": layer(seed) for seed in (1, 2, 3)})
    assert scores["readout"].shape == (1, 1)
    assert float(scores["readout"][0, 0]) == pytest.approx(expected, abs=1e-9)
    own = pearsonr(models[0][pairs], brain[pairs]).statistic
    assert float(scores["r"].sel(layer="layer1")[0, 0]) == pytest.approx(own, abs=1e-9)
    summary = metric.summarise(scores)
    assert summary.interval_low < summary.value < summary.interval_high


def test_weights_on_both_sides_beat_each_layer_alone() -> None:
    metric = against(two_participants())
    summary = metric.summarise(metric.score_all({f"layer{seed}": layer(seed) for seed in range(1, 9)}))
    assert summary.value > max(one.value for one in summary.layers)
    assert summary.interval_low < summary.value < summary.interval_high
    assert summary.resampled == "stimuli × participants"
    shares = {one.name: one.read_out for one in summary.layers}
    assert shares["layer1"] > shares["layer2"] > max(shares[f"layer{seed}"] for seed in range(3, 9))


def test_many_layers_of_noise_give_nothing() -> None:
    values = []
    for seed in range(30):
        metric = against(make_responses(features(5000 + seed, 20), IDS), seed=seed, n_repeats=2, comparison="pearson")
        layers = {f"l{number}": layer(6000 + 43 * seed + number, f"l{number}") for number in range(43)}
        values.append(float(metric.score_all(layers)["readout"].mean()))
    assert abs(np.mean(values)) < 0.02


def test_without_weights_differing_intercepts_are_no_prediction() -> None:
    metric = against(rdm_of(-pdist(features(1), "correlation")[None]), held_out="either")
    scores = metric.score(layer(1))
    assert scores["null"].values.all()
    assert not scores["rho"].values.any()


def test_matrices_of_participants_are_taken_as_they_are() -> None:
    common = pdist(features(1), "correlation")
    values = common + np.random.default_rng(0).standard_normal((3, 2, len(common))) * 0.1
    images = {name: Stimulus(name, "image", np.full((2, 2, 3), n, np.uint8)) for n, name in enumerate(IDS)}
    stimuli = StimulusSet("s", "image", images)
    sessions = xr.concat([rdm_of(values[:, session]) for session in range(2)], dim="session")
    data = Dataset("brains", stimuli, rdm=sessions.transpose("subject", "session", "pair"))
    metric = against(data)
    summary = metric.summarise(metric.score_all({"a": layer(1, "a"), "b": layer(2, "b")}))
    plain = against(rdm_of(values.mean(axis=1)))
    again = plain.summarise(plain.score_all({"a": layer(1, "a"), "b": layer(2, "b")}))
    assert summary.value == pytest.approx(again.value, abs=1e-12)
    assert (summary.target, summary.best_layer, summary.n_subjects) == ("participant", "a", 3)
    assert summary.ceiling_lower < summary.value < summary.ceiling_upper
    assert "mean over test folds" in summary.ceiling_estimator


def test_a_single_layer_and_layers_of_equal_content() -> None:
    metric = against(two_participants())
    alone = metric.summarise(metric.score(layer(1)))
    same = metric.summarise(metric.score_all({"a": layer(1, "a"), "b": layer(1, "b")}))
    assert (alone.layer_rule, same.layer_rule, same.n_layers_searched) == ("single layer", "single layer", 1)
    assert alone.value == same.value == pytest.approx(alone.layers[0].value)
    three = metric.score_all({"a": layer(1, "a"), "b": layer(2, "b"), "c": layer(1, "c")})
    two = metric.score_all({"a": layer(1, "a"), "b": layer(2, "b")})
    np.testing.assert_array_equal(three["readout"].values, two["readout"].values)
    assert np.isnan(three["weight"].sel(layer="c")).all()
    np.testing.assert_array_equal(three["rho"].sel(layer="c").values, three["rho"].sel(layer="a").values)
    summary = metric.summarise(three)
    assert (summary.n_layers_searched, summary.best_layer, summary.layers[2].read_out) == (2, "a", 0.0)


def test_a_layer_against_the_brain_has_no_weight_and_predicts_nothing() -> None:
    metric = against(rdm_of(-pdist(features(1), "correlation")[None]))
    scores = metric.score(layer(1))
    assert scores["null"].values.all()
    assert not scores["rho"].values.any()
    assert not scores["weight"].values.any()
    summary = metric.summarise(scores)
    assert (summary.value, summary.n_null, summary.error) == (0.0, 10, 0.0)
    whole = metric.score_all({"against": layer(1), "flat": Activations("flat", IDS, [np.ones((N_STIMULI, 3))])})
    assert not whole["weight"].values.any()
    assert whole["layer_null"].sel(layer="flat").values.all()
    summary = metric.summarise(whole)
    assert (summary.value, summary.n_null) == (0.0, 10)
    assert summary.layers[0].value == pytest.approx(-1.0)


def test_flat_patterns_are_named(caplog) -> None:
    metric = against(two_participants())
    flat = features(3)
    flat[4] = 1.0
    with caplog.at_level(logging.WARNING):
        scores = metric.score_all({"a": layer(1, "a"), "flat": Activations("flat", IDS, [flat])})
    assert "'flat' counts as null; stimuli stimulus04" in caplog.text
    assert not scores["weight"].sel(layer="flat").values.any()


def test_test_pairs_that_are_all_equal_have_no_correlation() -> None:
    brain = squareform(pdist(features(1), "correlation"))
    metric = against(rdm_of(brain[np.triu_indices(N_STIMULI, 1)][None]))
    first = metric.splits[0].test
    brain[np.ix_(first, first)] = 0.5
    metric = against(rdm_of(brain[np.triu_indices(N_STIMULI, 1)][None]))
    scores = metric.score_all({"a": layer(1, "a"), "b": layer(2, "b")})
    assert np.isnan(scores["readout"].values[0]).all()
    assert np.isfinite(scores["readout"].values[1:]).all()
    summary = metric.summarise(scores)
    assert summary.value == pytest.approx(float(np.nanmean(scores["readout"])))
    assert np.isfinite([summary.interval_low, summary.interval_high]).all()


def test_draws_equal_correlations_over_pairs_written_out() -> None:
    metric = against(make_responses(mixed(), IDS), n_folds=2, n_repeats=1, comparison="pearson")
    scores = metric.score_all({"a": layer(1, "a"), "b": layer(2, "b")})
    draws, resampled, *_ = metric.resample(scores, 6, seed=3)
    left_out = 1 - np.eye(N_STIMULI, dtype=int)
    counts = np.concatenate([isocortex.scoring.draw_counts(N_STIMULI, 6, 3, "stimuli").astype(int), left_out])
    brain = squareform(pdist(mixed(), "correlation"))
    expected = []
    for count in counts:
        parts = []
        for split, (_, test) in enumerate(metric.splits):
            model = squareform(scores["prediction"].values[split, : len(test) * (len(test) - 1) // 2, 0])
            drawn = np.repeat(np.arange(len(test)), count[test])
            first, second = (drawn[side] for side in np.triu_indices(len(drawn), 1))
            first, second = first[first != second], second[first != second]
            parts.append(pearsonr(model[first, second], brain[test[first], test[second]]).statistic)
        expected.append([np.mean(parts)])
    value = scores["readout"].mean("split").values
    found = of_pairs(np.array(expected[:6]), value, np.array(expected[6:]))
    np.testing.assert_allclose(draws, found[:, 0], atol=1e-9)
    assert resampled == "stimuli"


def test_bad_input_is_refused() -> None:
    target = two_participants()
    with pytest.raises(SettingsError, match="Did you mean held_out"):
        against(target, heldout="both")
    with pytest.raises(DataError, match="8 folds need at least 32 stimuli"):
        against(target, n_folds=8)
    with pytest.raises(DataError, match="s1 are all equal"):
        against(rdm_of(np.stack([pdist(features(1)), np.ones(435)])))
    with pytest.raises(DataError, match="Participant 'pooled', stimuli stimulus02"):
        against(make_responses(np.where(np.arange(N_STIMULI)[:, None] == 2, 1.0, mixed()), IDS))
    metric = against(target)
    with pytest.raises(LayerError, match="no layer"):
        metric.score_all({})
    with pytest.raises(AlignmentError, match="lack 1 of 30"):
        metric.score(Activations("short", IDS[1:], [features(0)[1:]]))
    with pytest.raises(DataError, match="not finite"):
        metric.score(Activations("nan", IDS, [np.full((N_STIMULI, 2), np.nan)]))
    metric.rules = Rules(measure="r")
    with pytest.raises(SettingsError, match="reports 'rho'; the benchmark asks for 'r'"):
        metric.score_all({"a": layer(1), "b": layer(2)})
