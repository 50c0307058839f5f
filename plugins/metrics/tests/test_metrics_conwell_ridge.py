"""Leave-one-image-out ridge against scikit-learn, and that nothing is chosen on the image that is predicted."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.metrics import explained_variance_score
from sklearn.preprocessing import StandardScaler

import isocortex
from isocortex.activations.layer import Activations
from isocortex.catalogue.cards import LayerRule
from isocortex.data.dataset import make_responses
from isocortex.errors import AlignmentError, DataError, SettingsError
from isocortex.scoring.contract import Rules
from isocortex.scoring.summary import by_region
from isocortex_metrics.conwell2021.fits import leave_one_out_deviations, mean_of_others, z_scored_units
from isocortex_metrics.numerics.dual_ridge import ALPHA_GRID
from isocortex_metrics.numerics.gram import gram_matrix

GOLDEN = Path(os.environ.get("ISOCORTEX_GOLDEN", Path(__file__).parents[3] / "tests" / "golden"))
BOTH = ("conwell-ridge", "conwell-ridge-searched")
N_STIMULI = 24
IDS = [f"image{number:02d}" for number in range(N_STIMULI)]


def against(responses, metric: str = "conwell-ridge", **given):
    """The comparison with some responses."""
    return isocortex.load_metric(metric).against(responses, **{"settings": {}, "seed": 0, **given})


def related(n_neuroids: int = 6, n_units: int = 15, seed: int = 0):
    """Features (24, n_units) and responses that depend on them; two regions."""
    generator = np.random.default_rng(seed)
    features = generator.standard_normal((N_STIMULI, n_units)) * 10 ** generator.uniform(-1, 1, n_units) + 2
    signal = StandardScaler().fit_transform(features) @ generator.standard_normal((n_units, n_neuroids))
    values = signal / np.sqrt(n_units) + 0.7 * generator.standard_normal((N_STIMULI, n_neuroids)) + 5
    half = n_neuroids // 2
    return features, make_responses(values, IDS, neuroid={"region": ["V1"] * half + ["LM"] * (n_neuroids - half)})


def layer_of(features: np.ndarray, name: str = "layer") -> Activations:
    """Features as activations."""
    return Activations(name, IDS, [features])


def test_published_leave_one_out_predictions() -> None:
    golden = np.load(GOLDEN / "models_dmt_ridge_loo.npz", allow_pickle=False)
    ids = [f"image{number}" for number in range(119)]
    # units of other scales and offsets: the z-score brings them back
    features = golden["X"] * np.linspace(0.1, 30, 256) + 4
    scores = against(make_responses(golden["Y"], ids)).score(Activations("layer", ids, [features]))
    predicted = scores["prediction"].values[:, 0]
    np.testing.assert_allclose(predicted, golden["loo_predictions"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(scores["r"].values, golden["pearson_r"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(scores["explained_variance"].values, golden["explained_variance"], rtol=0, atol=1e-9)
    assert scores["test_stimulus"].values[:, 0].tolist() == list(range(119))


@pytest.mark.parametrize("n_units", [3, 23, 80])
def test_scores_equal_scikit_learn(n_units: int) -> None:
    features, responses = related(n_units=n_units)
    scores = against(responses).score(layer_of(features))
    standard = StandardScaler().fit_transform(features)
    fitted = RidgeCV(alphas=[1.0], scoring="explained_variance", store_cv_results=True).fit(standard, responses.values)
    predicted = fitted.cv_results_[:, :, 0]
    np.testing.assert_allclose(scores["prediction"].values[:, 0], predicted, rtol=0, atol=1e-9)
    for neuroid in range(6):
        y, p = responses.values[:, neuroid], predicted[:, neuroid]
        assert float(scores["r"][neuroid]) == pytest.approx(np.corrcoef(y, p)[0, 1], abs=1e-10)
        expected = explained_variance_score(y, p)
        assert float(scores["explained_variance"][neuroid]) == pytest.approx(expected, abs=1e-10)


def test_permutation_r_is_the_mean_of_refits_on_images_that_were_handed_round() -> None:
    features, responses = related(n_units=9)
    comparison = against(responses, settings={"permutations": 5})
    scores = comparison.score(layer_of(features))
    standard = StandardScaler().fit_transform(features)
    stream = np.random.default_rng(0)
    by_chance = []
    for _ in range(5):
        handed = standard[stream.permutation(N_STIMULI)]
        fitted = RidgeCV(alphas=[1.0], store_cv_results=True, scoring="r2").fit(handed, responses.values)
        predicted = fitted.cv_results_[:, :, 0]
        by_chance.append([np.corrcoef(predicted[:, v], responses.values[:, v])[0, 1] for v in range(6)])
    np.testing.assert_allclose(scores["permutation_r"].values, np.mean(by_chance, axis=0), atol=1e-10)
    summary = comparison.summarise(scores)
    assert summary.also["permutation_r"] == pytest.approx(np.median(np.mean(by_chance, axis=0)))
    assert summary.also["permutation_r"] < summary.value / 2


def test_permutations_change_nothing_of_what_was_published() -> None:
    features, responses = related()
    plain, beside = (against(responses, settings=settings) for settings in ({}, {"permutations": 3}))
    first, second = plain.score(layer_of(features)), beside.score(layer_of(features))
    assert set(second.data_vars) - set(first.data_vars) == {"permutation_r"}
    for name in first.data_vars:
        np.testing.assert_array_equal(first[name].values, second[name].values)
    flat = beside.score(layer_of(np.full((N_STIMULI, 3), 0.1)))
    assert not flat["permutation_r"].values.any()


def test_the_published_square_has_a_name_of_its_own_and_loses_the_sign() -> None:
    stream = np.random.default_rng(0)
    responses = make_responses(stream.standard_normal((N_STIMULI, 40)), IDS)
    comparison = against(responses)
    scores = comparison.score(layer_of(stream.standard_normal((N_STIMULI, 15))))
    assert scores["r"].values.min() < -0.2
    np.testing.assert_array_equal(scores["unsigned_r2"].values, scores["r"].values ** 2)
    assert comparison.summarise(scores).also["unsigned_r2"] == pytest.approx(np.median(scores["r"].values ** 2))


def searched_by_refitting(features: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and alphas (log10 of the multiple) by fits of scikit-learn alone."""
    standard = StandardScaler().fit_transform(features)
    predicted, alphas = np.empty_like(values), np.empty_like(values)
    for left_out in range(len(values)):
        others = np.delete(np.arange(len(values)), left_out)
        centred = standard[others] - standard[others].mean(axis=0)
        scale = (centred**2).sum() / (len(others) - 1)
        errors = np.zeros((len(ALPHA_GRID), values.shape[1]))
        for place, multiple in enumerate(ALPHA_GRID):
            fitted = RidgeCV(alphas=[multiple * scale], store_cv_results=True).fit(standard[others], values[others])
            errors[place] = fitted.cv_results_[:, :, 0].sum(axis=0)
        best = errors.argmin(axis=0)
        for neuroid, place in enumerate(best):
            fitted = Ridge(ALPHA_GRID[place] * scale, solver="svd").fit(standard[others], values[others, neuroid])
            predicted[left_out, neuroid] = fitted.predict(standard[[left_out]])[0]
            alphas[left_out, neuroid] = np.log10(ALPHA_GRID[place])
    return predicted, alphas


def test_searched_alpha_equals_a_search_by_refitting() -> None:
    features, responses = related(n_neuroids=3)
    scores = against(responses, "conwell-ridge-searched").score(layer_of(features))
    predicted, alphas = searched_by_refitting(features, responses.values)
    np.testing.assert_allclose(scores["alpha"].values, alphas, atol=1e-9)
    np.testing.assert_allclose(scores["prediction"].values[:, 0], predicted, atol=1e-8)
    expected = [np.corrcoef(predicted[:, v], responses.values[:, v])[0, 1] for v in range(3)]
    np.testing.assert_allclose(scores["r"].values, expected, atol=1e-9)


def test_nothing_is_chosen_on_the_image_that_is_predicted() -> None:
    features, responses = related()
    generator = np.random.default_rng(1)
    layers = {
        "whole": layer_of(features, "whole"),
        "part": layer_of(features[:, :8] + generator.standard_normal((N_STIMULI, 8)), "part"),
        "noise": layer_of(generator.standard_normal(features.shape), "noise"),
    }
    changed = responses.copy()
    changed[5] = 100 * generator.standard_normal(6)
    before, after = (against(target, "conwell-ridge-searched").score_all(layers) for target in (responses, changed))
    np.testing.assert_allclose(after["prediction"].values[5], before["prediction"].values[5], atol=1e-9)
    for name in ("chosen", "alpha"):
        dims = [dim for dim in ("layer", "split", "neuroid") if dim in before[name].dims]
        first, second = (scores[name].transpose(*dims).sel(split=5).values for scores in (before, after))
        np.testing.assert_array_equal(second, first)
    assert not np.array_equal(after["prediction"].values[6], before["prediction"].values[6])


def test_nested_layers_are_read_out_where_they_were_chosen() -> None:
    features, responses = related()
    layers = {"a": layer_of(features[:, :9], "a"), "b": layer_of(features[:, 6:], "b")}
    comparison = against(responses, "conwell-ridge-searched")
    comparison.rules = Rules(layer_rule=LayerRule(unit="neuroid"), summary_by=("region",))
    scores = comparison.score_all(layers)
    chosen = scores["chosen"].values
    assert 0 < chosen.mean() < 1
    each = np.stack([comparison.score(layer)["prediction"].values[:, 0] for layer in layers.values()])
    assembled = np.take_along_axis(each, chosen[None], axis=0)[0]
    expected = [np.corrcoef(assembled[:, v], responses.values[:, v])[0, 1] for v in range(6)]
    np.testing.assert_allclose(scores["readout"].values, expected, atol=1e-12)
    summary = comparison.summarise(scores)
    assert summary.value == pytest.approx(np.median(expected))
    assert (summary.layer_rule, summary.n_splits, summary.n_null) == ("nested by neuroid", N_STIMULI, 0)
    assert by_region(comparison, scores)["LM"].value == pytest.approx(np.median(expected[3:]))
    variance = [explained_variance_score(responses.values[:, v], assembled[:, v]) for v in range(6)]
    assert summary.also["explained_variance"] == pytest.approx(np.median(variance))


def test_published_choice_is_the_best_layer_of_each_region() -> None:
    features, responses = related()
    layers = {"a": layer_of(features[:, :9], "a"), "b": layer_of(features[:, 6:], "b")}
    comparison = against(responses)
    comparison.rules = Rules(summary_by=("region",))
    scores = comparison.score_all(layers)
    curve = scores["r"].transpose("layer", "neuroid").values
    summary = comparison.summarise(scores)
    assert summary.layer_rule == "optimistic"
    assert summary.value == pytest.approx(np.median(curve, axis=1).max())
    rows = by_region(comparison, scores)
    for region, part in (("V1", slice(0, 3)), ("LM", slice(3, 6))):
        of_layers = np.median(curve[:, part], axis=1)
        assert rows[region].value == pytest.approx(of_layers.max())
        assert rows[region].best_layer == "ab"[of_layers.argmax()]


@pytest.mark.parametrize("metric", BOTH)
def test_what_does_not_vary_is_null(metric: str) -> None:
    features, responses = related()
    responses[:, 1] = 0.3
    features[:, 0] = 0.1
    comparison = against(responses, metric)
    scores = comparison.score(layer_of(features))
    assert scores["null"].values.tolist() == [False, True, False, False, False, False]
    assert (scores["r"].values[1], scores["explained_variance"].values[1]) == (0, 0)
    assert comparison.summarise(scores).n_null == 1
    flat = comparison.score(layer_of(np.full((N_STIMULI, 3), 0.1)))
    assert flat["null"].values.all(), "the mean of the others, which runs against what it predicts, is no prediction"
    assert not flat["r"].values.any()


def test_constant_units_are_zero_and_others_z_scores() -> None:
    generator = np.random.default_rng(0)
    values = np.column_stack([generator.standard_normal((9, 3)) * [1, 1e-3, 1e4] + [0, 5, 1e3], np.full(9, 0.1)])
    [block] = z_scored_units([values.astype(np.float32)])
    np.testing.assert_allclose(
        block, StandardScaler().fit_transform(values.astype(np.float32).astype(float)), atol=1e-9
    )
    assert not block[:, 3].any()


def test_repetitions_give_a_ceiling() -> None:
    features, responses = related()
    values = responses.values + 0.5 * np.random.default_rng(2).standard_normal((3, N_STIMULI, 6))
    comparison = against(make_responses(values, IDS))
    comparison.rules = Rules(ceiling_mode="r_over_sqrt_c")
    summary = comparison.summarise(comparison.score(layer_of(features)))
    assert 0 < summary.ceiling < 1
    assert summary.ceiled == pytest.approx(summary.value / summary.ceiling)
    assert comparison.n_stimuli == N_STIMULI


def test_deviations_are_from_the_mean_of_the_others() -> None:
    features, responses = related()
    values = responses.values + 1e6  # no digit of the deviation is lost to the mean
    [standard] = z_scored_units([features])
    deviation = leave_one_out_deviations(gram_matrix([standard], N_STIMULI), values, 1.0)
    others = np.delete(np.arange(N_STIMULI), 3)
    fitted = Ridge(1.0, solver="svd").fit(standard[others], values[others] - 1e6)
    expected = fitted.predict(standard[[3]])[0] - (values[others] - 1e6).mean(axis=0)
    np.testing.assert_allclose(deviation[3], expected, atol=1e-8)
    np.testing.assert_allclose(mean_of_others(values)[3], values[others].mean(axis=0), rtol=1e-14)


@pytest.mark.parametrize("metric", BOTH)
def test_bad_input_is_refused(metric: str) -> None:
    features, responses = related()
    with pytest.raises(DataError, match="at least 4 stimuli; found 3"):
        against(responses.isel(presentation=slice(0, 3)), metric)
    with pytest.raises(DataError, match="not finite"):
        against(responses.where(responses != responses[0, 0]), metric)
    permutations = {"permutations": -1} if metric == "conwell-ridge" else {"permutations": 3}
    with pytest.raises(SettingsError, match="permutations"):
        against(responses, metric, settings=permutations)
    with pytest.raises(SettingsError, match="alpha"):
        against(responses, metric, settings={"alpha": 3})
    with pytest.raises(SettingsError, match="seed 2"):
        against(responses, metric, seed=2)
    with pytest.raises(AlignmentError, match="lack 1 of 24"):
        against(responses, metric).score(Activations("layer", IDS[1:], [features[1:]]))
    broken = features.copy()
    broken[7, 3] = np.inf
    with pytest.raises(DataError, match="image07"):
        against(responses, metric).score(layer_of(broken))
