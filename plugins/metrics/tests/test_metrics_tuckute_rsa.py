"""``tuckute2023-rsa`` against the outputs of the published code: every array of tuckute_rsa.npz."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.stats import pearsonr, spearmanr

import isocortex
from isocortex.activations.layer import Activations
from isocortex.catalogue.cards import LayerRule
from isocortex.data.dataset import Dataset, make_responses
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.errors import DataError, SettingsError
from isocortex.scoring.contract import Rules
from isocortex_metrics.geometry.dissimilarity import upper_triangle
from isocortex_metrics.geometry.pair_statistics import unit_ranks, unit_values
from isocortex_metrics.target.splits import Split
from isocortex_metrics.tuckute2023.rdms import (
    category_order,
    half_rdms,
    median_over_splits,
    participant_ceiling,
)
from isocortex_metrics.tuckute2023.splits import tuckute_splits

GOLDEN = Path(__file__).parents[3] / "tests" / "golden"
N_STIMULI = 165


@cache
def golden(name: str) -> dict[str, np.ndarray]:
    """Arrays of a file."""
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        return dict(arrays)


def blocks_of(patterns: np.ndarray, width: int = 7):
    """Column blocks of patterns."""
    return lambda: (patterns[:, start : start + width] for start in range(0, patterns.shape[1], width))


@pytest.fixture(scope="module")
def comparison():
    """Participants of the golden inputs, scans as repetitions."""
    inputs = golden("tuckute_rsa_inputs")
    target = xr.DataArray(
        inputs["fmri"].transpose(2, 0, 1).reshape(3 * N_STIMULI, -1),  # (scans × sounds, voxels)
        dims=("presentation", "neuroid"),
        coords={
            "stimulus_id": ("presentation", np.tile(inputs["ids"], 3)),
            "repetition": ("presentation", np.repeat(np.arange(3), N_STIMULI)),
            "category": ("presentation", np.tile(inputs["categories"], 3)),
            "neuroid_id": ("neuroid", inputs["voxel_id"].astype(str)),
            "subject": ("neuroid", inputs["subj"].astype(str)),
        },
    )
    return isocortex.load_metric("tuckute2023-rsa").against(target, settings={}, seed=0)


@pytest.fixture(scope="module")
def scores(comparison):
    """Scores of the nine layers, whose rows come in another order."""
    inputs, order = golden("tuckute_rsa_inputs"), np.random.default_rng(0).permutation(N_STIMULI)
    names = golden("tuckute_rsa")["layers"]
    ids = list(inputs["ids"][order])
    return comparison.score_all({name: Activations(name, ids, [inputs[f"act_{name}"][order]]) for name in names})


@pytest.fixture(scope="module")
def brains() -> np.ndarray:
    """Dissimilarities of each participant among all sounds, in the order of the inputs."""
    inputs = golden("tuckute_rsa_inputs")
    mean, subject = inputs["fmri"].mean(axis=2), inputs["subj"]
    everything = Split(np.arange(N_STIMULI), np.arange(0))
    return np.stack([half_rdms(blocks_of(mean[:, subject == name]), [everything])[0][0] for name in range(4)])


# --- parity -----------------------------------------------------------------------------------------------------------


def test_splits_are_the_published_ones() -> None:
    for file in ("tuckute_splits", "tuckute_rsa"):
        for number, (train, test) in enumerate(tuckute_splits(N_STIMULI)):
            np.testing.assert_array_equal(train, np.flatnonzero(golden(file)["train"][:, number]))
            np.testing.assert_array_equal(test, np.flatnonzero(golden(file)["test"][:, number]))


def test_sounds_are_sorted_as_published(scores) -> None:
    order = golden("tuckute_rsa")["order"]
    np.testing.assert_array_equal(category_order(golden("tuckute_rsa_inputs")["categories"]), order)
    tested = golden("tuckute_rsa")["test"]
    expected = [order[tested[:, number]] for number in range(10)]
    np.testing.assert_array_equal(scores["test_stimulus"].values, expected)
    assert scores.attrs["sorted_by"] == "category"


def test_chosen_layers_are_the_published_ones(scores) -> None:
    chosen = scores["chosen"].values.T  # (participants, splits)
    np.testing.assert_array_equal(chosen, golden("tuckute_rsa")["best_layer_idx"])
    np.testing.assert_array_equal(np.median(chosen, axis=1), golden("tuckute_rsa")["splits_median_best_layer_idx"])
    assert scores.attrs["layer_rule"] == "nested by participant"


def test_correlations_of_every_layer_are_the_published_ones(scores) -> None:
    expected = golden("tuckute_rsa")
    found = scores["rho"].transpose("subject", "split", "layer").values
    np.testing.assert_allclose(found, expected["all_layer_test_correlations"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(scores["readout"].values.T, expected["best_layer_test_value"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        np.median(found, axis=1), expected["splits_median_distance_all_layers"], rtol=0, atol=1e-12
    )


def test_the_value_is_the_published_one(comparison, scores) -> None:
    expected = golden("tuckute_rsa")
    value, medians = median_over_splits(scores["readout"].values)
    np.testing.assert_allclose(medians, expected["best_layer_rsa_median_across_splits"], rtol=0, atol=1e-12)
    summary = comparison.summarise(scores)
    assert summary.value == pytest.approx(float(expected["agg_mean"][0]), abs=1e-12)
    assert summary.value == value
    curve = [layer.value for layer in summary.layers]
    np.testing.assert_allclose(curve, expected["splits_median_distance_all_layers"].mean(axis=0), rtol=0, atol=1e-12)
    assert sum(layer.read_out for layer in summary.layers) == pytest.approx(1)
    assert summary.error == pytest.approx(medians.std(ddof=1) / 2, abs=1e-12)
    assert (summary.statistic, summary.n_subjects, summary.n_splits, summary.n_stimuli) == ("rho", 4, 10, 165)


def test_published_ceiling_is_beside_the_one_that_fits(comparison, scores) -> None:
    expected = golden("tuckute_rsa")
    np.testing.assert_allclose(
        comparison.ceiling_r.T, expected["leave_one_out_neural_r_cv_test_splits"], rtol=0, atol=1e-12
    )
    value, medians = median_over_splits(comparison.ceiling_r)
    np.testing.assert_allclose(medians, expected["noise_ceiling_per_participant_cv"], rtol=0, atol=1e-12)
    summary = comparison.summarise(scores)
    assert summary.also == {"published_ceiling_r": pytest.approx(value, abs=1e-12)}
    assert summary.ceiling == pytest.approx(median_over_splits(comparison.ceiling_rho)[0], abs=1e-12)
    assert "Spearman" in summary.ceiling_estimator
    assert summary.ceiled is None, "scores are not corrected for noise"


def test_ceiling_on_the_statistic_of_the_models_equals_scipy(comparison) -> None:
    inputs, (train, test) = golden("tuckute_rsa_inputs"), tuckute_splits(N_STIMULI)[3]
    rows = inputs["fmri"].mean(axis=2)[golden("tuckute_rsa")["order"]]
    scaled = (rows[test] - rows[train].mean(axis=0)) / rows[train].std(axis=0)
    rdms = [1 - np.corrcoef(scaled[:, inputs["subj"] == name])[np.triu_indices(82, 1)] for name in range(4)]
    expected = [spearmanr(rdms[name], np.mean(np.delete(rdms, name, axis=0), axis=0)).statistic for name in range(4)]
    np.testing.assert_allclose(comparison.ceiling_rho[3], expected, rtol=0, atol=1e-12)


def test_versions_over_all_sounds_are_the_published_ones(comparison, scores, brains) -> None:
    inputs, expected = golden("tuckute_rsa_inputs"), golden("tuckute_rsa")
    found = scores["whole_rho"].transpose("subject", "layer").values
    np.testing.assert_allclose(found, expected["all_data_rsa_for_best_layer"], rtol=0, atol=1e-12)
    together = np.concatenate([inputs[f"act_{name}"] for name in expected["layers"]], axis=1)
    found = comparison.score(Activations("all layers", list(inputs["ids"]), [together]))["whole_rho"].values
    np.testing.assert_allclose(found, expected["all_model_features_rsa"], rtol=0, atol=1e-12)
    found = participant_ceiling(brains, unit_values)
    np.testing.assert_allclose(found, expected["noise_ceiling_per_participant_165"], rtol=0, atol=1e-12)


def test_correlation_matrices_are_the_published_ones(brains) -> None:
    expected = golden("tuckute_rsa")
    for name in range(4):
        matrix = np.eye(N_STIMULI)
        matrix[~np.tri(N_STIMULI, dtype=bool)] = 1 - brains[name]
        matrix += np.triu(matrix, 1).T
        found = matrix[np.ix_(expected["order"], expected["order"])]
        np.testing.assert_allclose(found, expected["fmri_corr_mat_all"][name], rtol=0, atol=1e-12)


def test_primitives_are_the_published_ones() -> None:
    expected = golden("tuckute_rsa")
    pairs = [upper_triangle(expected[f"prim_corr_{name}"]) for name in "ab"]
    for name, found in zip("ab", pairs, strict=True):
        np.testing.assert_allclose(upper_triangle(np.corrcoef(expected[f"prim_{name}"])), found, rtol=0, atol=1e-12)
    pearson, spearman = (float(transform(pairs[0]) @ transform(pairs[1])) for transform in (unit_values, unit_ranks))
    apart = float(unit_ranks(1 - pairs[0]) @ unit_ranks(1 - pairs[1]))
    assert pearson == pytest.approx(float(expected["prim_cmp_pearson"]), abs=1e-12)
    assert pearson == pytest.approx(float(expected["prim_cmp_default"]), abs=1e-12)
    assert spearman == pytest.approx(float(expected["prim_cmp_spearman"]), abs=1e-12)
    assert apart == pytest.approx(float(expected["prim_cmp_1minus_spearman"]), abs=1e-12)


# --- definitions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cpu", "torch"])
def test_half_matrices_equal_numpy(device) -> None:
    generator = np.random.default_rng(0)
    patterns = (generator.standard_normal((21, 40)) * np.geomspace(1e-3, 1e3, 40) + 5).astype(np.float32)
    patterns[:, 3] = 7.0
    splits = tuckute_splits(21)
    for (train, test), found in zip(splits, half_rdms(blocks_of(patterns), splits, device), strict=True):
        rows = patterns.astype(np.float64)
        spread = rows[train].std(axis=0)
        scaled = (rows - rows[train].mean(axis=0)) / np.where(spread == 0, 1, spread)
        for part, rdm in ((train, found[0]), (test, found[1])):
            np.testing.assert_allclose(rdm, 1 - upper_triangle(np.corrcoef(scaled[part])), rtol=0, atol=1e-12)


def test_general_numbers_of_stimuli() -> None:
    assert [(len(train), len(test)) for train, test in tuckute_splits(10)] == [(5, 5)] * 10
    assert [(len(train), len(test)) for train, test in tuckute_splits(7)] == [(4, 3)] * 10
    with pytest.raises(DataError, match=r"at least 6 stimuli.*found 5"):
        tuckute_splits(5)


def test_order_without_categories_is_the_canonical_one() -> None:
    generator = np.random.default_rng(0)
    ids = [f"s{number}" for number in range(12)]
    responses = generator.standard_normal((12, 6))
    comparison = isocortex.load_metric("tuckute2023-rsa").against(make_responses(responses, ids), settings={}, seed=0)
    features = generator.standard_normal((12, 9))
    scores = comparison.score(Activations("layer", ids, [features]))
    assert scores.attrs["sorted_by"] == "canonical"
    train, test = tuckute_splits(12)[0]
    scaled = [(rows - rows[train].mean(axis=0)) / rows[train].std(axis=0) for rows in (features, responses)]
    expected = spearmanr(*(upper_triangle(np.corrcoef(rows[test])) for rows in scaled)).statistic
    assert float(scores["rho"][0, 0]) == pytest.approx(expected, abs=1e-12)
    summary = comparison.summarise(scores)
    assert (summary.target, summary.layer_rule, summary.error, summary.ceiling) == (
        "pooled",
        "single layer",
        None,
        None,
    )


@pytest.mark.parametrize(("other", "sorted_by"), [("Nature", "category"), ("Machines", "canonical")])
def test_categories_of_a_data_set_are_found_and_unknown_ones_sort_nothing(other, sorted_by) -> None:
    import pandas as pd

    ids = [f"s{number}" for number in range(12)]
    sounds = {name: Stimulus(name, "audio", np.zeros(9, np.float32), 8000.0) for name in ids}
    table = pd.DataFrame({"category": [other, "Music"] * 6}, index=pd.Index(ids))
    responses = make_responses(np.random.default_rng(0).standard_normal((12, 6)), ids)
    data = Dataset("sounds", StimulusSet("sounds", "audio", sounds, table=table), responses=responses)
    comparison = isocortex.load_metric("tuckute2023-rsa").against(data, settings={}, seed=0)
    assert comparison.sorted_by == sorted_by
    assert comparison.stimulus_id == tuple(ids[1::2] + ids[::2] if sorted_by == "category" else ids)


def test_unknown_categories_have_no_order() -> None:
    with pytest.raises(DataError, match=r"sorted by Music, Song.*found Machines"):
        category_order(["Music", "Machines"])


def test_a_layer_that_knows_nothing_is_null_and_never_chosen(comparison, caplog) -> None:
    inputs = golden("tuckute_rsa_inputs")
    ids = list(inputs["ids"])
    constant = Activations("constant", ids, [np.ones((N_STIMULI, 5), np.float32)])
    related = Activations("related", ids, [-inputs["fmri"].mean(axis=2)])
    scores = comparison.score_all({"constant": constant, "related": related})
    assert scores["null"].sel(layer="constant").all()
    assert (scores["rho"].sel(layer="constant") == 0).all()
    assert (scores["chosen"] == 1).all()
    assert "'constant' counts as null" in caplog.text
    alone = comparison.summarise(comparison.score_all({"constant": constant}))
    assert (alone.value, alone.n_null, alone.layer_rule) == (0.0, 40, "single layer")


def test_equal_layers_count_once_and_a_choice_can_be_refused(comparison) -> None:
    inputs = golden("tuckute_rsa_inputs")
    ids = list(inputs["ids"])
    layers = {
        "a": Activations("a", ids, [inputs["act_relu0"]]),
        "b": Activations("b", ids, [inputs["act_relu0"]]),
        "c": Activations("c", ids, [inputs["act_relu4"]]),
    }
    scores = comparison.score_all(layers)
    assert scores.attrs["n_layers_searched"] == 2
    assert not (scores["chosen"] == 1).any()
    strict = isocortex.load_metric("tuckute2023-rsa").against(
        make_responses(inputs["fmri"].mean(axis=2), ids), settings={}, seed=0
    )
    strict.rules = Rules(layer_rule=LayerRule(choose="none"))
    with pytest.raises(SettingsError, match="chooses no layer"):
        strict.score_all(layers)


def test_bad_input_is_refused() -> None:
    metric = isocortex.load_metric("tuckute2023-rsa")
    ids = [f"s{number}" for number in range(12)]
    responses = np.random.default_rng(0).standard_normal((12, 6))
    with pytest.raises(SettingsError, match="no other seed"):
        metric.against(make_responses(responses, ids), settings={}, seed=1)
    with pytest.raises(SettingsError, match="no setting 'region'"):
        metric.against(make_responses(responses, ids), settings={"region": "A1"}, seed=0)
    with pytest.raises(DataError, match="at least 8 of them; found 7"):
        metric.against(make_responses(responses[:7], ids[:7]), settings={}, seed=0)
    one = make_responses(responses, ids, neuroid={"subject": ["s1"] + ["s2"] * 5})
    with pytest.raises(DataError, match=r"patterns of s1 have no correlations.*at least 3 neuroids"):
        metric.against(one, settings={}, seed=0)


def test_pearson_ceiling_equals_scipy() -> None:
    rdms = np.random.default_rng(0).random((3, 45))
    expected = [pearsonr(own, np.delete(rdms, place, axis=0).mean(axis=0)).statistic for place, own in enumerate(rdms)]
    np.testing.assert_allclose(participant_ceiling(rdms, unit_values), expected, rtol=0, atol=1e-13)


def test_a_flat_pattern_makes_its_half_undefined() -> None:
    patterns = np.random.default_rng(0).standard_normal((8, 5))
    # z-scored with the first four rows, the last row is the same number in every unit
    patterns[7] = patterns[:4].mean(axis=0) + 2 * patterns[:4].std(axis=0)
    train, test = half_rdms(blocks_of(patterns), [Split(np.arange(4), np.arange(4, 8))])[0]
    assert np.isfinite(train).all()
    assert np.isnan(test).all()
