"""``pca-ridge`` against scikit-learn's PCA and Ridge, and that test stimuli take no part in finding components."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.metrics import explained_variance_score, mean_squared_error, r2_score
from sklearn.pipeline import make_pipeline

import isocortex
from isocortex.activations.layer import Activations
from isocortex.data.dataset import make_responses
from isocortex.errors import DataError, SettingsError
from isocortex.scoring.contract import Rules
from isocortex_metrics.numerics.correlation import weighted_pearson
from isocortex_metrics.numerics.dual_ridge import ALPHA_GRID
from isocortex_metrics.numerics.explained import explained_variance, mean_squared_error as own_mean_squared_error

N_STIMULI, N_NEUROIDS = 50, 4
IDS = [f"stimulus{number:02d}" for number in range(N_STIMULI)]


@cache
def metric():
    """The metric, found once."""
    return isocortex.load_metric("pca-ridge")


def problem(n_units: int, seed: int = 0):
    """Features of falling variance, far from 0, and responses that depend on them."""
    generator = np.random.default_rng(seed)
    features = generator.standard_normal((N_STIMULI, n_units)) * np.geomspace(3, 0.1, n_units) + 20
    responses = features[:, :9] @ generator.standard_normal((9, N_NEUROIDS)) + generator.standard_normal((50, 4)) + 7
    return features, make_responses(responses, IDS)


def against(responses, **settings):
    """The comparison with some responses."""
    return metric().against(responses, settings=settings, seed=0)


def layer(features: np.ndarray, name: str = "layer") -> Activations:
    """Features as a layer."""
    return Activations(name, IDS, [features])


def pipeline(n_components: int, alpha: float):
    """What the scores are held against."""
    return make_pipeline(PCA(n_components, svd_solver="full"), Ridge(alpha, solver="svd"))


@pytest.mark.parametrize("n_units", [12, 200])
@pytest.mark.parametrize("n_components", [1, 6, 12])
def test_equal_to_scikit_learn_at_a_given_alpha(n_units: int, n_components: int) -> None:
    features, responses = problem(n_units)
    comparison = against(responses, n_components=n_components, alpha=3.0)
    scores = comparison.score(layer(features))
    for split, (train, test) in enumerate(comparison.splits):
        predicted = pipeline(n_components, 3.0).fit(features[train], responses.values[train]).predict(features[test])
        y = responses.values[test]
        expected = {
            "r": [np.corrcoef(predicted[:, v], y[:, v])[0, 1] for v in range(N_NEUROIDS)],
            "explained_variance": explained_variance_score(y, predicted, multioutput="raw_values"),
            "r2_score": r2_score(y, predicted, multioutput="raw_values"),
            "mse": mean_squared_error(y, predicted, multioutput="raw_values"),
        }
        np.testing.assert_allclose(scores["prediction"][split, : len(test)], predicted, rtol=0, atol=1e-9)
        for name, values in expected.items():
            np.testing.assert_allclose(scores[name][split], values, rtol=0, atol=1e-9, err_msg=name)
    assert (scores["n_components"] == n_components).all()
    assert not scores["alpha_at_bound"].any()


def test_alpha_is_found_by_leave_one_out_over_the_components() -> None:
    features, responses = problem(80)
    comparison = against(responses, n_components=10)
    scores = comparison.score(layer(features))
    for split, (train, test) in enumerate(comparison.splits[:1]):
        pca = PCA(10, svd_solver="full").fit(features[train])
        x, y = pca.transform(features[train]), responses.values[train]
        scale = (x**2).sum() / (len(train) - 1)
        errors = np.array([leave_one_out_errors(x, y, alpha * scale) for alpha in ALPHA_GRID])
        chosen = errors.argmin(axis=0)
        np.testing.assert_allclose(scores["alpha"][split], np.log10(ALPHA_GRID[chosen]), atol=1e-12)
        of_mean = ((y - y.mean(axis=0)) ** 2).sum(axis=0) * (len(train) / (len(train) - 1)) ** 2
        np.testing.assert_allclose(scores["selection"][split], 1 - errors.min(axis=0) / of_mean, rtol=0, atol=1e-9)
        for neuroid in range(N_NEUROIDS):
            fit = Ridge(ALPHA_GRID[chosen[neuroid]] * scale, solver="svd").fit(x, y[:, neuroid])
            predicted = fit.predict(pca.transform(features[test]))
            r = np.corrcoef(predicted, responses.values[test, neuroid])[0, 1]
            assert float(scores["r"][split, neuroid]) == pytest.approx(r, abs=1e-9)


def leave_one_out_errors(x: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
    """Sum of squared errors of refitting without each stimulus in turn."""
    errors = np.zeros(y.shape[1])
    for left_out in range(len(x)):
        rest = np.arange(len(x)) != left_out
        predicted = Ridge(alpha, solver="svd").fit(x[rest], y[rest]).predict(x[[left_out]])
        errors += (y[left_out] - predicted[0]) ** 2
    return errors


def test_test_stimuli_take_no_part_in_finding_components() -> None:
    features, responses = problem(30)
    comparison = against(responses, n_components=4)
    train, test = comparison.splits[0]
    before = comparison.score(layer(features)).isel(split=0)
    outlier = features.copy()
    outlier[test[0]] += 1000 * np.random.default_rng(1).standard_normal(30)
    after = comparison.score(layer(outlier)).isel(split=0)
    for name in ("alpha", "selection", "training_r2"):
        np.testing.assert_allclose(after[name], before[name], rtol=0, atol=1e-8, err_msg=name)
    kept = slice(1, len(test))  # only the stimulus that was moved is predicted otherwise
    np.testing.assert_allclose(after["prediction"][kept], before["prediction"][kept], rtol=0, atol=1e-8)
    # the components of all stimuli would have been drawn to it
    first = [PCA(1).fit(values).components_[0] for values in (outlier, features[train])]
    assert abs(first[0] @ first[1]) < 0.9


def test_all_components_are_all_of_the_layer() -> None:
    features, responses = problem(20)
    ridge = isocortex.load_metric("ridge").against(responses, settings={}, seed=0).score(layer(features))
    found = against(responses).score(layer(features))
    np.testing.assert_allclose(found["r"], ridge["r"], rtol=0, atol=1e-12)
    assert (found["n_components"] == 20).all()  # of the 39 that were allowed


def test_more_components_than_training_stimuli_allow_are_an_error_only_where_they_were_asked_for() -> None:
    features, responses = problem(200)
    assert (against(responses).score(layer(features))["n_components"] == 39).all()
    assert (against(responses, n_components=39).score(layer(features))["n_components"] == 39).all()
    with pytest.raises(SettingsError, match=r"asked for 40 principal components, but 40 training stimuli.*at most 39"):
        against(responses, n_components=40)
    for wrong in ({"n_components": 0}, {"alpha": -1.0}, {"n_component": 3}):
        with pytest.raises(SettingsError):
            against(responses, **wrong)


def test_few_components_leave_out_what_is_small() -> None:
    generator = np.random.default_rng(0)
    features = generator.standard_normal((N_STIMULI, 8)) * np.array([9, 8, 7, 6, 0.5, 0.5, 0.5, 0.5])
    small = make_responses(features[:, 4:] + 0.01 * generator.standard_normal((N_STIMULI, 4)), IDS)
    few, all_of_them = (against(small, n_components=n).score(layer(features))["r"].mean() for n in (4, 8))
    assert float(few) < 0.2
    assert float(all_of_them) > 0.99


def test_layers_are_chosen_within_the_training_stimuli() -> None:
    features, responses = problem(30)
    generator = np.random.default_rng(0)
    layers = {
        f"noise{number}": layer(generator.standard_normal((N_STIMULI, 30)), f"noise{number}") for number in (0, 1)
    }
    comparison = against(responses, n_components=10)
    comparison.rules = Rules(n_draws=200)
    summary = comparison.summarise(comparison.score_all({**layers, "layer": layer(features)}))
    assert (summary.layer_rule, summary.best_layer) == ("nested by region", "layer")
    assert summary.interval_low < summary.value < summary.interval_high
    assert {"explained_variance", "mse", "r2"} <= set(summary.also)


@pytest.mark.parametrize("measure", ["explained_variance", "mse", "r2"])
def test_other_measures_have_their_own_value_and_interval(measure) -> None:
    features, responses = problem(30)
    comparison = against(responses, n_components=10)
    comparison.rules = Rules(measure=measure, n_draws=300)
    scores = comparison.score(layer(features))
    summary = comparison.summarise(scores)
    name = "r" if measure == "r2" else measure
    by_hand = float(np.median(scores[name].values.mean(axis=0)))
    assert summary.statistic == measure
    assert summary.better == ("lower" if measure == "mse" else "higher")
    assert summary.value == pytest.approx(by_hand * abs(by_hand) if measure == "r2" else by_hand, abs=0.005)
    assert summary.interval_low < summary.value < summary.interval_high
    assert np.mean(summary.draws) == pytest.approx(summary.value, rel=0.05)


def test_weighted_statistics_equal_repeated_rows() -> None:
    generator = np.random.default_rng(0)
    prediction, response = generator.standard_normal((2, 30, 3)) + 5
    counts = generator.multinomial(30, np.full(30, 1 / 30), size=10).astype(float)
    for function, expected in (
        (explained_variance, explained_variance_score),
        (own_mean_squared_error, mean_squared_error),
    ):
        np.testing.assert_allclose(
            function(prediction, response), expected(response, prediction, multioutput="raw_values"), atol=1e-12
        )
        for draw, found in zip(counts, function(prediction, response, counts), strict=True):
            rows = np.repeat(np.arange(30), draw.astype(int))
            by_hand = expected(response[rows], prediction[rows], multioutput="raw_values")
            np.testing.assert_allclose(found, by_hand, atol=1e-10)
    single = np.zeros((1, 30))
    single[0, 3] = 30
    assert np.isnan(explained_variance(prediction, response, single)).all()
    assert np.isnan(weighted_pearson(prediction, response, single)).all()


def test_flat_layers_and_flat_neuroids_are_null() -> None:
    features, responses = problem(30)
    responses[:, 1] = 0.7
    scores = against(responses).score(layer(features))
    assert scores["null"].values[:, 1].all()
    assert not scores["null"].values[:, [0, 2, 3]].any()
    assert (scores["explained_variance"].values[:, 1] == 0).all()
    for alpha in (None, 1.0):
        settings = {} if alpha is None else {"alpha": alpha}
        flat = against(responses, **settings).score(layer(np.full((N_STIMULI, 5), 0.1)))
        assert flat["null"].values.all()
        assert not flat["r"].values.any()
        assert not flat["n_components"].values.any()
        np.testing.assert_allclose(flat["explained_variance"], 0, atol=1e-12)


def test_torch_gives_what_numpy_gives() -> None:
    pytest.importorskip("torch")
    features, responses = problem(200)
    found, expected = (
        metric().against(responses, settings={"n_components": 9}, seed=0, device=device).score(layer(features))
        for device in ("torch", "cpu")
    )
    for name in ("r", "explained_variance", "mse", "selection", "prediction", "alpha", "training_r2"):
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-9, err_msg=name)


def test_values_that_are_not_finite_are_refused() -> None:
    features, responses = problem(30)
    features[3, 3] = np.nan
    with pytest.raises(DataError, match="stimulus03"):
        against(responses).score(layer(features))


# --- what the training stimuli choose ---------------------------------------------------------------------------------


def test_of_several_numbers_of_components_the_training_stimuli_choose_in_every_split() -> None:
    features, responses = problem(40)
    alone = {
        number: against(responses, n_components=number, alpha=1e-6).score(layer(features)) for number in (2, 9, 30)
    }
    chosen = against(responses, n_components=[30, 2, 9], alpha=1e-6).score(layer(features))
    for split in range(chosen.sizes["split"]):
        within = {number: float(scores["selection"][split].mean()) for number, scores in alone.items()}
        best = max(within, key=lambda number: within[number])
        assert int(chosen["n_components"][split]) == best
        for name in ("r", "explained_variance", "r2_score", "mse", "selection"):
            np.testing.assert_array_equal(chosen[name][split], alone[best][name][split], err_msg=name)
    assert set(chosen["n_components"].values.tolist()) == {9, 30}, "each split chooses for itself"
    all_there_are = against(responses, n_components=[39]).score(layer(features))
    np.testing.assert_array_equal(
        against(responses, n_components=[500]).score(layer(features))["r"], all_there_are["r"]
    )


def test_moving_a_test_stimulus_changes_no_choice_of_components() -> None:
    features, responses = problem(40)
    comparison = against(responses, n_components=[2, 9, 30], alpha=1e-6)
    _, test = comparison.splits[0]
    moved = responses.copy(data=responses.values.copy())
    moved.values[test] = np.random.default_rng(9).standard_normal((len(test), N_NEUROIDS)) * 1000
    other = against(moved, n_components=[2, 9, 30], alpha=1e-6).score(layer(features)).isel(split=0)
    same = comparison.score(layer(features)).isel(split=0)
    assert int(other["n_components"]) == int(same["n_components"])
    np.testing.assert_array_equal(other["selection"], same["selection"])


@pytest.mark.parametrize("n_components", [0, [], [4, 0]])
def test_components_that_are_none_are_refused(n_components: object) -> None:
    with pytest.raises(SettingsError, match="expected 1 or more components"):
        against(problem(20)[1], n_components=n_components)


def test_a_layer_that_is_chosen_on_the_test_stimuli_is_marked_optimistic() -> None:
    features, responses = problem(30)
    layers = {name: layer(values, name) for name, values in (("noise", features[::-1]), ("whole", features))}
    rules = {}
    for how in ("nested", "on-test"):
        comparison = against(responses, n_components=9, layer=how)
        rules[how] = comparison.summarise(comparison.score_all(layers)).layer_rule
    assert rules == {"nested": "nested by region", "on-test": "optimistic"}
