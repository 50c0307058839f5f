"""The regression of Tuckute et al. (2023) against outputs of the published code in its own environment."""

from __future__ import annotations

import os
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from sklearn.linear_model import Ridge as SklearnRidge

import isocortex
from isocortex.activations.layer import Activations
from isocortex.catalogue.cards import LayerRule
from isocortex.data.dataset import make_responses
from isocortex.errors import AlignmentError, DataError, LayerError, SettingsError
from isocortex.scoring.contract import Rules
from isocortex.scoring.summary import by_region
from isocortex_metrics.numerics.gram import gram_matrix, split_basis
from isocortex_metrics.numerics.leave_one_out import leave_one_out_errors
from isocortex_metrics.target.splits import Split
from isocortex_metrics.tuckute2023 import fits as tuckute_fits
from isocortex_metrics.tuckute2023.fits import (
    ABSOLUTE_ALPHAS,
    RESPONSE_FLOOR,
    basis_of,
    reliabilities,
    reliability_of_mean,
    response_pairs,
    score_half,
)
from isocortex_metrics.tuckute2023.ridge import scans_of

GOLDEN = Path(os.environ.get("ISOCORTEX_GOLDEN", Path(__file__).parents[3] / "tests" / "golden"))
#: the published code takes another route for 60 units, which is itself ill-conditioned at small alphas
TOLERANCE = {"p60": 1e-9, "p300": 1e-13}
PREDICTION_TOLERANCE = {"p60": 2e-8, "p300": 1e-12}
#: the order in which the published code takes pairs of scans, in ours
PAIRS = [0, 2, 1]
CASES = [(name, split) for name in ("p60", "p300") for split in (0, 1)]
CONSTANT = 11  # the voxel that is .7 everywhere


def golden_of(name: str):
    """A file of known answers."""
    return np.load(GOLDEN / f"tuckute_{name}.npz", allow_pickle=False)


def golden_fit(name: str, number: int):
    """Known answers, our scores of one split, the split, the reliability of responses, and where to compare all."""
    golden = golden_of(f"ridge_{name}")
    scans = np.ascontiguousarray(golden["Y"].transpose(2, 0, 1))
    split = Split(*(np.flatnonzero(golden[half][:, number]) for half in ("train", "test")))
    reliability = reliabilities([split], scans)[0]
    features = golden["X"]
    basis = basis_of(gram_matrix([features], len(features)), split, features.shape[1])
    found = score_half(basis, scans[:, split.train], scans[:, split.test], reliability)
    return golden, found, split, reliability, ~golden["rounding_sensitive"][:, number]


@pytest.mark.parametrize(("name", "number"), CASES)
def test_published_scores_of_voxels(name: str, number: int) -> None:
    golden, found, _, _, firm = golden_fit(name, number)
    atol = TOLERANCE[name]
    # everywhere: rounding decides nothing about these
    for ours, theirs in (
        (found.r, "out_r"),
        (found.r2, "out_r2"),
        (found.training_r2, "out_r2_train"),
        (found.prediction_std, "out_y_pred_test_std"),
        (found.training_prediction_std, "out_y_pred_train_std"),
        (found.response_std, "out_y_test_std"),
        (found.training_response_std, "out_y_train_std"),
    ):
        np.testing.assert_allclose(ours, golden[theirs][:, number], rtol=0, atol=max(atol, 1e-14), err_msg=theirs)
    assert firm.sum() >= 5
    np.testing.assert_array_equal(ABSOLUTE_ALPHAS[found.alpha_index[0, firm]], golden["out_alpha"][firm, number])
    for ours, theirs in ((found.r_prior_zero, "out_r_prior_zero"), (found.r2_corrected, "out_r2_corrected")):
        np.testing.assert_allclose(ours[firm], golden[theirs][firm, number], rtol=0, atol=atol, err_msg=theirs)


@pytest.mark.parametrize(("name", "number"), CASES)
def test_published_fits_of_single_scans(name: str, number: int) -> None:
    golden, found, split, reliability, firm = golden_fit(name, number)
    np.testing.assert_array_equal(
        ABSOLUTE_ALPHAS[found.alpha_index[1:, firm]].T, golden["alpha_single_scan"][firm, number]
    )
    expected = golden["y_preds_test_single_scan"][split.test, number].transpose(2, 0, 1)
    np.testing.assert_allclose(found.scan_predictions, expected, rtol=0, atol=PREDICTION_TOLERANCE[name])
    pairs = golden["rv_hat_pairs"][firm, number][:, PAIRS].T
    np.testing.assert_allclose(found.prediction_pairs[:, firm], pairs, rtol=0, atol=2 * TOLERANCE[name])
    rv_hat = golden["rv_hat"][firm, number]
    np.testing.assert_allclose(found.prediction_reliability[firm], rv_hat, rtol=0, atol=2 * TOLERANCE[name])
    scans = golden["Y"].transpose(2, 0, 1)[:, split.train]
    varies = np.arange(12) != CONSTANT  # there, correlations of the published code are those of rounding
    pairs = golden["rv_pairs"][varies, number][:, PAIRS].T
    np.testing.assert_allclose(response_pairs(scans)[:, varies], pairs, rtol=0, atol=1e-14)
    np.testing.assert_allclose(reliability[varies], golden["rv"][varies, number], rtol=0, atol=1e-14)
    assert reliability[CONSTANT] == RESPONSE_FLOOR


@pytest.mark.parametrize(("name", "number"), CASES)
def test_published_predictions_and_warnings(name: str, number: int) -> None:
    golden, found, split, _, firm = golden_fit(name, number)
    atol = PREDICTION_TOLERANCE[name]
    np.testing.assert_allclose(found.prediction, golden["y_preds_test"][split.test, number], rtol=0, atol=atol)
    rescaled = golden["y_preds_test_rescaled"][split.test, number]
    np.testing.assert_allclose(found.prediction + found.training_mean, rescaled, rtol=0, atol=atol)
    # what is constant there is null here; here some more is, whose variation there is rounding
    assert (found.null >= golden["out_warning_constant_mean"][:, number]).all()
    assert (found.null_scans >= golden["out_warning_constant_splits"][:, number]).all()
    np.testing.assert_array_equal(found.null[firm], golden["out_warning_constant_mean"][firm, number])
    np.testing.assert_array_equal(found.null_scans[firm], golden["out_warning_constant_splits"][firm, number])
    at_bound = (found.alpha_index[0] == len(ABSOLUTE_ALPHAS) - 1) + 2 * (found.alpha_index[0] == 0)
    np.testing.assert_array_equal(at_bound[firm], golden["out_warning_alpha"][firm, number])
    assert found.null[CONSTANT]
    assert found.r2_corrected[CONSTANT] == 0


def test_published_scores_through_the_metric_whatever_the_order_of_rows() -> None:
    golden = golden_of("ridge_p300")
    ids = [f"sound{number}" for number in range(165)]
    responses = make_responses(golden["Y"].transpose(2, 0, 1), ids)
    # stimuli keep their order of appearance, their scans come in any order
    first, rest = np.arange(165), np.random.default_rng(0).permutation(np.arange(165, 495))
    order = np.random.default_rng(1).permutation(165)
    activations = xr.DataArray(
        golden["X"][order], dims=("stimulus", "unit"), coords={"stimulus_id": ("stimulus", np.array(ids)[order])}
    )
    comparison = isocortex.load_metric("tuckute2023-ridge").against(
        responses.isel(presentation=np.concatenate([first, rest])), settings={}, seed=0
    )
    scores = comparison.score(activations)
    for number in (0, 1):  # the first two of the ten splits
        firm = ~golden["rounding_sensitive"][:, number]
        part = scores.isel(split=number)
        assert part["test_stimulus"].values.tolist() == np.flatnonzero(golden["test"][:, number]).tolist()
        np.testing.assert_allclose(part["r2"].values, golden["out_r2"][:, number], atol=1e-13)
        np.testing.assert_allclose(part["training_r2"].values, golden["out_r2_train"][:, number], atol=1e-13)
        np.testing.assert_allclose(
            part["r2_corrected"].values[firm], golden["out_r2_corrected"][firm, number], atol=1e-12
        )
        np.testing.assert_allclose(part["alpha"].values[firm], np.log10(golden["out_alpha"][firm, number]), atol=1e-12)
        predicted = golden["y_preds_test_rescaled"][part["test_stimulus"].values, number]
        np.testing.assert_allclose(part["prediction"].values, predicted, atol=1e-12)


def test_published_scores_of_components_through_the_metric() -> None:
    golden, splits = golden_of("components"), golden_of("splits")
    ids = [f"sound{number}" for number in range(165)]
    regions = ["lowfreq", "highfreq", "envsounds", "pitch", "speech", "music"]
    target = make_responses(golden["R_in_stim_order"], ids, neuroid={"region": regions})
    comparison = isocortex.load_metric("tuckute2023-components").against(target, settings={}, seed=0)
    scores = comparison.score(Activations("layer", ids, [golden["X"]]))
    np.testing.assert_allclose(scores["r2"].values.T, golden["r2_test"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(scores["r"].values.T, golden["r_test"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(scores["training_r2"].values.T, golden["r2_train"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(scores["alpha"].values.T, np.log10(golden["alphas"]), atol=1e-12)
    for number in range(10):
        test = np.flatnonzero(splits["test"][:, number])
        assert scores["test_stimulus"].values[number].tolist() == test.tolist()
        predicted, expected = scores["prediction"].values[number], golden["y_preds_test_rescaled"][test, number]
        np.testing.assert_allclose(predicted, expected, rtol=0, atol=1e-9)
        train = np.flatnonzero(splits["train"][:, number])
        without_mean = predicted - golden["R_in_stim_order"][train].mean(axis=0)
        np.testing.assert_allclose(without_mean, golden["y_preds_test"][test, number], rtol=0, atol=1e-9)
    assert not scores["null"].values.any()
    assert "r2_corrected" not in scores
    rows = by_region(with_rules(comparison, summary_by=("region",)), scores)
    assert list(rows) == regions


# --- made-up data -----------------------------------------------------------------------------------------------------

N_STIMULI = 40
IDS = [f"stimulus{number:02d}" for number in range(N_STIMULI)]


def related(n_scans: int = 3, n_neuroids: int = 8, noise: float = 1.0, seed: int = 0):
    """Features (40, 30) and responses with two regions and three participants that depend on them."""
    generator = np.random.default_rng(seed)
    features = generator.standard_normal((N_STIMULI, 30)) * 10 ** generator.uniform(-1, 1, 30)
    signal = features @ generator.standard_normal((30, n_neuroids)) / np.linalg.norm(features, axis=1).mean()
    values = signal + noise * generator.standard_normal((n_scans, N_STIMULI, n_neuroids))
    subjects = [f"s{number % 3}" for number in range(n_neuroids)]
    regions = ["A" if number < n_neuroids // 2 else "B" for number in range(n_neuroids)]
    return features, make_responses(values, IDS, neuroid={"subject": subjects, "region": regions})


def against(responses, metric: str = "tuckute2023-ridge", **given):
    """The comparison with some responses."""
    return isocortex.load_metric(metric).against(responses, **{"settings": {}, "seed": 0, **given})


def with_rules(comparison, **rules):
    """The comparison with other rules."""
    comparison.rules = Rules(**rules)
    return comparison


def layer_of(features: np.ndarray, name: str = "layer") -> Activations:
    """Features as activations."""
    return Activations(name, IDS, [features])


def three_layers(features: np.ndarray) -> dict[str, Activations]:
    """The features, a noisy copy of them, and noise."""
    generator = np.random.default_rng(5)
    noise = generator.standard_normal((2, *features.shape))
    return {
        "whole": layer_of(features, "whole"),
        "noisy": layer_of(features + 3 * noise[0], "noisy"),
        "noise": layer_of(noise[1], "noise"),
    }


def test_scores_equal_a_search_by_refitting() -> None:
    features, responses = related()
    scores = against(responses).score(layer_of(features))
    values = responses.values.reshape(3, N_STIMULI, -1).mean(axis=0)
    grid = 10.0 ** np.arange(-6, 9)
    for split in (0, 7):
        test = scores["test_stimulus"].values[split]
        train = np.setdiff1d(np.arange(N_STIMULI), test)
        errors = np.zeros((len(grid), values.shape[1]))
        for place, alpha in enumerate(grid):
            for left_out in train:
                rest = np.setdiff1d(train, [left_out])
                fitted = SklearnRidge(alpha, solver="svd").fit(features[rest], values[rest])
                errors[place] += (values[left_out] - fitted.predict(features[[left_out]])[0]) ** 2
        best = len(grid) - 1 - errors[::-1].argmin(axis=0)
        inside = (best > 0) & (best < len(grid) - 1)
        assert inside.sum() >= 5
        for neuroid in np.flatnonzero(inside):
            alpha = grid[best[neuroid]]
            assert float(scores["alpha"][split, neuroid]) == pytest.approx(np.log10(alpha))
            fitted = SklearnRidge(alpha, solver="svd").fit(features[train], values[train, neuroid])
            r = np.corrcoef(fitted.predict(features[test]), values[test, neuroid])[0, 1]
            assert float(scores["r_prior_zero"][split, neuroid]) == pytest.approx(r, abs=1e-10)
            assert float(scores["r2"][split, neuroid]) == pytest.approx(max(r, 0) ** 2, abs=1e-10)


def test_leave_one_out_of_labels_with_single_members_equals_refitting() -> None:
    generator = np.random.default_rng(0)
    labels = np.array([0] * 8 + [1] * 8 + [2] * 6 + [3, 4])  # nothing is known about a label whose one member is out
    features, responses = np.eye(5)[labels], generator.standard_normal((24, 3))
    basis = split_basis(gram_matrix([features], 24), np.arange(24), np.arange(2))
    found = leave_one_out_errors(basis, basis.vectors.T @ responses, ABSOLUTE_ALPHAS)
    for place in (0, 20, 35, 45, 50, 55):
        expected = np.zeros(3)
        for left_out in range(24):
            rest = np.setdiff1d(np.arange(24), [left_out])
            fitted = SklearnRidge(max(ABSOLUTE_ALPHAS[place], 1e-12), solver="svd").fit(features[rest], responses[rest])
            expected += (responses[left_out] - fitted.predict(features[[left_out]])[0]) ** 2
        np.testing.assert_allclose(found[place], expected, rtol=1e-8)


@pytest.mark.parametrize("n_scans", [2, 3, 5])
def test_reliability_is_spearman_brown_of_the_median_pair(n_scans: int) -> None:
    scans = np.random.default_rng(0).standard_normal((n_scans, 30, 6)) + np.arange(30)[:, None] / 15
    pairs = [
        [np.corrcoef(scans[a, :, v], scans[b, :, v])[0, 1] for v in range(6)]
        for a, b in combinations(range(n_scans), 2)
    ]
    np.testing.assert_allclose(response_pairs(scans), pairs, atol=1e-13)
    m = np.median(pairs, axis=0)
    expected = np.maximum(n_scans * m / (1 + (n_scans - 1) * m), 0.182)
    np.testing.assert_allclose(reliability_of_mean(np.array(pairs), n_scans, 0.182), expected, atol=1e-13)


def test_pairs_without_a_correlation_are_left_out_of_the_median() -> None:
    pairs = np.array([[0.2, np.nan, np.nan], [0.6, 0.5, np.nan], [np.nan, np.nan, np.nan]])
    expected = [1.2 / 1.8, 1.5 / 2, 0.183]
    np.testing.assert_allclose(reliability_of_mean(pairs, 3, 0.183), expected, atol=1e-13)


def test_null_predictions_are_counted_and_score_nothing() -> None:
    features, responses = related(noise=0.3)
    responses[:, 0] = 2.5
    responses[N_STIMULI : 2 * N_STIMULI, 1] = -1.0  # one scan of it is constant
    comparison = against(responses)
    scores = comparison.score(layer_of(features))
    assert scores["null"].values[:, 0].all()
    assert not scores["null"].values[:, 1:].any()
    assert np.isnan(scores["r_prior_zero"].values[:, 0]).all()
    assert (scores["r2"].values[:, 0] == 0).all()
    assert (scores["r2_corrected"].values[:, 0] == 0).all()
    assert (scores["null_scans"].values[:, 0] == 3).all()
    assert (scores["null_scans"].values[:, 1] >= 1).all()
    assert np.isfinite(scores["r2_corrected"].values).all()
    summary = comparison.summarise(scores)
    assert summary.n_null == 10
    assert summary.also["n_null_scans"] == scores["null_scans"].values.sum()


def test_features_that_do_not_vary_are_null() -> None:
    _, responses = related()
    scores = against(responses).score(layer_of(np.full((N_STIMULI, 4), 0.3)))
    assert scores["null"].values.all()
    assert not scores["r2"].values.any()
    assert (scores["alpha_at_bound"].values == 1).all()


def test_rescaled_responses_and_order_of_neuroids_change_nothing() -> None:
    features, responses = related(n_neuroids=500)
    expected = against(responses).score(layer_of(features))
    order = np.random.default_rng(2).permutation(500)
    found = against((1000 * responses + 7).isel(neuroid=order)).score(layer_of(features))
    for name in ("r2", "r2_corrected"):
        np.testing.assert_allclose(found[name].values, expected[name].values[:, order], atol=1e-8)


def test_repetitions_are_told_apart_by_their_labels() -> None:
    _, responses = related(n_scans=3)
    expected = responses.values.reshape(3, N_STIMULI, -1)
    np.testing.assert_array_equal(scans_of(responses, "m"), expected)
    first = np.arange(N_STIMULI)
    turned = np.concatenate([first + 2 * N_STIMULI, first + N_STIMULI, first])
    np.testing.assert_array_equal(scans_of(responses.isel(presentation=turned), "m"), expected)


# --- layers and summary -----------------------------------------------------------------------------------------------


def test_value_is_aggregated_as_published() -> None:
    features, responses = related(n_neuroids=9)
    comparison = against(responses)
    scores = comparison.score_all(three_layers(features))
    assert scores["chosen"].dims == ("iteration", "neuroid")
    summary = comparison.summarise(scores)
    per_iteration = scores["readout"].values
    of_subjects = np.array([np.median(per_iteration[:, start::3], axis=1).mean() for start in range(3)])
    assert summary.value == pytest.approx(of_subjects.mean(), abs=1e-14)
    assert summary.error == pytest.approx(of_subjects.std() / np.sqrt(2), abs=1e-14)
    assert summary.error_kind == "standard error over participants"
    corrected = np.array([np.median(scores["readout_corrected"].values[:, start::3], axis=1) for start in range(3)])
    assert summary.ceiled == pytest.approx(corrected.mean(), abs=1e-14)
    assert summary.ceiling is None
    assert (summary.statistic, summary.target, summary.layer_rule) == ("r2", "participant", "overlapping")
    assert (summary.n_layers_searched, summary.n_subjects, summary.n_neuroids, summary.n_splits) == (3, 3, 9, 10)
    assert summary.best_layer == "whole"
    assert sum(layer.read_out for layer in summary.layers) == pytest.approx(1)
    noisy = np.median(scores["r2"].sel(layer="noisy").values, axis=0)
    expected = np.mean([np.median(noisy[start::3]) for start in range(3)])
    assert summary.layers[1].value == pytest.approx(expected, abs=1e-14)


def test_regions_are_read_out_with_the_halves_of_the_whole() -> None:
    features, responses = related()
    for layers in (three_layers(features), {"whole": layer_of(features)}):
        comparison = with_rules(against(responses), summary_by=("region",))
        scores = comparison.score_all(layers)
        rows = by_region(comparison, scores)
        for number, region in enumerate("AB"):
            inside = slice(4 * number, 4 * number + 4)
            values = scores["readout"].values[:, inside]
            subjects = responses["subject"].values[inside]
            expected = np.mean([np.median(values[:, subjects == name], axis=1).mean() for name in np.unique(subjects)])
            assert rows[region].value == pytest.approx(expected, abs=1e-14)
            assert rows[region].n_neuroids == 4
    # scores of a single layer, restricted before they are summarised
    comparison = against(responses)
    alone = comparison.summarise(comparison.score(layer_of(features)).isel(neuroid=slice(4, 8)))
    assert alone.value == pytest.approx(rows["B"].value, abs=1e-14)
    assert alone.layer_rule == "single layer"


def test_corrected_r2_as_measure_is_clipped_and_equals_the_ceiled_value() -> None:
    features, responses = related(noise=6.0, n_neuroids=30)
    plain = against(responses)
    ceiled = plain.summarise(plain.score_all(three_layers(features))).ceiled
    comparison = with_rules(against(responses), measure="r2_corrected", ceiling_mode="r2_over_rv_rvhat")
    scores = comparison.score_all(three_layers(features))
    assert scores["r2_corrected"].max() > 1
    assert scores["readout"].max() <= 1
    summary = comparison.summarise(scores)
    assert summary.statistic == "r2_corrected"
    assert summary.value == pytest.approx(ceiled)
    assert summary.ceiled == pytest.approx(ceiled)


def test_prediction_is_that_of_the_layer_that_is_chosen_most_often() -> None:
    features, responses = related(n_neuroids=20)
    comparison = against(responses)
    layers = three_layers(features)
    scores = comparison.score_all(layers)
    assert len(np.unique(scores["prediction_layer"])) > 1
    each = np.stack([comparison.score(layer)["prediction"].values for layer in layers.values()])
    expected = each[scores["prediction_layer"].values, :, :, np.arange(20)].transpose(1, 2, 0)
    np.testing.assert_allclose(scores["prediction"].values, expected, atol=1e-12)


def test_layers_of_equal_content_count_once() -> None:
    features, responses = related()
    comparison = against(responses)
    layers = {**three_layers(features), "twin": layer_of(features, "twin")}
    scores = comparison.score_all(layers)
    assert scores.attrs["n_layers_searched"] == 3
    np.testing.assert_array_equal(scores["r2"].sel(layer="twin"), scores["r2"].sel(layer="whole"))
    assert comparison.summarise(scores).n_layers_searched == 3


def test_only_what_is_kept_is_there() -> None:
    features, responses = related()
    comparison = against(responses)
    comparison.keep = ()
    for scores in (comparison.score(layer_of(features)), comparison.score_all(three_layers(features))):
        assert not {"prediction", "alpha", "alpha_at_bound", "training_r2"} & set(scores.data_vars)
    assert comparison.summarise(scores).value > 0


def test_pooled_components_have_an_error_over_iterations() -> None:
    features, responses = related(n_scans=1)
    comparison = against(responses.drop_vars("subject"), "tuckute2023-components")
    scores = comparison.score_all({"layer": layer_of(features)})
    summary = comparison.summarise(scores)
    medians = np.median(scores["readout"].values, axis=1)
    assert summary.value == pytest.approx(medians.mean(), abs=1e-14)
    assert summary.error == pytest.approx(medians.std(ddof=1) / np.sqrt(10), abs=1e-14)
    assert summary.error_kind == "standard error over iterations of the layer choice"
    assert (summary.target, summary.ceiled) == ("pooled", None)


# --- what is refused --------------------------------------------------------------------------------------------------


def test_bad_input_is_refused() -> None:
    features, responses = related()
    with pytest.raises(DataError, match=r"found one\. Use tuckute2023-components"):
        against(responses.isel(presentation=slice(0, N_STIMULI)))
    with pytest.raises(DataError, match=r"same number of repetitions .* stimulus39 \(2\)"):
        against(responses.isel(presentation=slice(0, 3 * N_STIMULI - 1)))
    with pytest.raises(DataError, match="1 of 8 lack some: neuroid0"):
        against(responses.where(responses != responses[0, 0]))
    with pytest.raises(DataError, match="at least 6 stimuli"):
        against(responses.isel(presentation=[0, 1, 2, 3, 4, 40, 41, 42, 43, 44]))
    with pytest.raises(AlignmentError, match="lack 1 of 40"):
        against(responses).score(Activations("layer", IDS[1:], [features[1:]]))
    broken = features.copy()
    broken[7, 3] = np.nan
    with pytest.raises(DataError, match="stimulus07"):
        against(responses).score(layer_of(broken))
    for metric in ("tuckute2023-ridge", "tuckute2023-components"):
        with pytest.raises(SettingsError, match="seed 1"):
            against(responses, metric, seed=1)
        with pytest.raises(SettingsError, match="n_folds"):
            against(responses, metric, settings={"n_folds": 3})


def test_rules_that_do_not_fit_are_refused() -> None:
    features, responses = related()
    components = against(responses, "tuckute2023-components")
    with pytest.raises(SettingsError, match="no measure 'r2_corrected'"):
        with_rules(components, measure="r2_corrected").score_all({"layer": layer_of(features)})
    comparison = with_rules(against(responses), ceiling_mode="r_over_sqrt_c")
    scores = comparison.score(layer_of(features))
    with pytest.raises(SettingsError, match="r_over_sqrt_c"):
        comparison.summarise(scores)
    with pytest.raises(SettingsError, match="chooses no layer"):
        with_rules(against(responses), layer_rule=LayerRule(choose="none")).score_all(three_layers(features))
    with pytest.raises(LayerError, match="no layer"):
        against(responses).score_all({})


def test_memory_beyond_the_result_is_that_of_one_piece_of_the_neuroids() -> None:
    import tracemalloc

    def beyond(n_neuroids: int) -> int:
        features, responses = related(n_neuroids=n_neuroids)
        comparison = against(responses)
        gram = gram_matrix([features], N_STIMULI)
        tracemalloc.start()
        found = tuckute_fits.score_halves(
            gram, comparison.splits, comparison.scans, comparison.reliability, 30, ["r2", "prediction"]
        )
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak - sum(array.nbytes for array in found.values())

    # two whole pieces: what one left behind is there while the next is worked on
    assert beyond(2400) <= 1.1 * beyond(800) + 1e5
