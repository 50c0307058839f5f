"""``brainscore-rdm`` and ``brainscore-rdm-cv`` against outputs of the published package, bs_rdm*.npz."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.stats import spearmanr

import isocortex
from isocortex.activations.layer import Activations
from isocortex.data.dataset import make_responses
from isocortex.errors import AlignmentError, DataError, SettingsError
from isocortex_metrics.brainscore.rdm import rdm_similarity
from isocortex_metrics.geometry.dissimilarity import correlation_distance, upper_triangle

GOLDEN = Path(__file__).parents[3] / "tests" / "golden"


@cache
def golden(name: str) -> dict[str, np.ndarray]:
    """Arrays of a file."""
    with np.load(GOLDEN / f"bs_{name}.npz") as arrays:
        return dict(arrays)


def target() -> xr.DataArray:
    """Three repetitions, rows and neuroids as in the file."""
    inputs = golden("inputs")
    n_repetitions, n_stimuli, n_neuroids = inputs["target_reps"].shape
    return xr.DataArray(
        inputs["target_reps"].reshape(-1, n_neuroids),
        dims=("presentation", "neuroid"),
        coords={
            "stimulus_id": ("presentation", np.tile(inputs["stimulus_id"], n_repetitions)),
            "object_name": ("presentation", np.tile(inputs["object_name"], n_repetitions)),
            "repetition": ("presentation", np.repeat(np.arange(n_repetitions), n_stimuli)),
            "neuroid_id": ("neuroid", inputs["neuroid_id"]),
            "subject": ("neuroid", np.repeat(["one", "two"], [n_neuroids // 2, n_neuroids - n_neuroids // 2])),
        },
    )


def source() -> Activations:
    """The model features, rows turned around."""
    inputs = golden("inputs")
    return Activations("layer", list(inputs["stimulus_id"][::-1]), [inputs["source"][::-1]])


def against(metric: str, responses: xr.DataArray | None = None, seed: int = 0, device: str = "cpu", **settings):
    """The comparison with the golden target, or another."""
    responses = target() if responses is None else responses
    return isocortex.load_metric(metric).against(responses, settings=settings, seed=seed, device=device)


@pytest.mark.parametrize("device", ["cpu", "torch"])
def test_rdm_is_the_published_one(device) -> None:
    comparison = against("brainscore-rdm", device=device)
    scores = comparison.score(source())
    assert scores["score"].dims == ()
    summary = comparison.summarise(scores)
    assert summary.value == pytest.approx(float(golden("rdm")["center"]), rel=1e-9)
    assert (summary.statistic, summary.target, summary.error_kind) == ("rho", "pooled", "none")
    assert (summary.n_neuroids, summary.n_neuroids_total, summary.n_stimuli) == (40, 40, 60)
    assert summary.ceiled is None


def test_rdm_cv_is_the_published_one() -> None:
    comparison, expected = against("brainscore-rdm-cv"), golden("rdm_cv")
    scores = comparison.score(source())
    np.testing.assert_allclose(scores["score"].values, expected["raw"], rtol=1e-9)
    summary = comparison.summarise(scores)
    assert summary.value == pytest.approx(float(expected["center"]), rel=1e-9)
    assert summary.error == pytest.approx(float(expected["error"]), rel=1e-9)
    assert (summary.error_kind, summary.n_splits) == ("standard error over splits", 10)


def test_splits_are_the_published_ones() -> None:
    expected, comparison = golden("splits"), against("brainscore-rdm-cv")
    assert comparison.stimulus_id == tuple(expected["row_stimulus_id"])
    for members, tested in zip(comparison.subsets, expected["rdmcv_test"], strict=True):
        np.testing.assert_array_equal(members, np.sort(tested))


def test_both_matrices_are_the_published_ones() -> None:
    inputs, expected = golden("inputs"), golden("rdm_matrices")
    for patterns, matrix in ((inputs["source"], "source"), (inputs["target_avg"], "target")):
        found = correlation_distance(lambda patterns=patterns: iter([patterns]), 60)
        np.testing.assert_allclose(found, upper_triangle(expected[matrix]), rtol=1e-9)
    np.testing.assert_allclose(against("brainscore-rdm").rdm, upper_triangle(expected["target"]), rtol=1e-9)


def test_participants_are_pooled() -> None:
    alone = against("brainscore-rdm", target().drop_vars("subject")).score(source())
    assert float(alone["score"]) == float(against("brainscore-rdm").score(source())["score"])


def test_subsets_equal_scipy() -> None:
    generator = np.random.default_rng(0)
    model, brain = generator.random((2, 45))
    brain[:20] = 0.5
    members = np.array([0, 2, 3, 5, 9])
    matrices = np.zeros((2, 10, 10))
    for matrix, pairs in zip(matrices, (model, brain), strict=True):
        matrix[np.triu_indices(10, 1)] = pairs
    part = [matrix[np.ix_(members, members)][np.triu_indices(5, 1)] for matrix in matrices]
    found = rdm_similarity(model, brain, [np.arange(10), members], 10)
    expected = [spearmanr(model, brain).statistic, spearmanr(*part).statistic]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_splits_without_object_names_are_not_stratified() -> None:
    from sklearn.model_selection import ShuffleSplit

    comparison = against("brainscore-rdm-cv", target().drop_vars("object_name"))
    drawn = ShuffleSplit(10, test_size=0.9, random_state=1).split(np.empty(60))
    for members, (_, tested) in zip(comparison.subsets, drawn, strict=True):
        np.testing.assert_array_equal(members, np.sort(tested))


def test_the_best_of_several_layers_is_optimistic() -> None:
    layers = {
        "noise": Activations(
            "noise", list(golden("inputs")["stimulus_id"]), [np.random.default_rng(0).random((60, 50))]
        ),
        "source": source(),
    }
    for metric in ("brainscore-rdm", "brainscore-rdm-cv"):
        comparison = against(metric)
        summary = comparison.summarise(comparison.score_all(layers))
        alone = comparison.summarise(comparison.score(source()))
        assert (summary.layer_rule, summary.best_layer) == ("optimistic", "source")
        assert (summary.value, summary.error) == (alone.value, alone.error)


@pytest.mark.parametrize("metric", ["brainscore-rdm", "brainscore-rdm-cv"])
def test_a_layer_without_correlations_is_null(metric, caplog) -> None:
    comparison = against(metric)
    features = golden("inputs")["source"].copy()
    features[[3, 5]] = 1.0
    layer = Activations("layer", list(golden("inputs")["stimulus_id"]), [features])
    scores = comparison.score(layer)
    assert scores["null"].all()
    assert scores["score"].isnull().all()
    summary = comparison.summarise(scores)
    assert (summary.value, summary.error) == (None, None)
    assert summary.n_null == scores["null"].size
    assert str(golden("inputs")["stimulus_id"][3]) in caplog.text
    both = comparison.summarise(comparison.score_all({"null": layer, "source": source()}))
    assert both.best_layer == "source"


def test_bad_input_is_refused() -> None:
    with pytest.raises(SettingsError, match="no other seed"):
        against("brainscore-rdm", seed=3)
    with pytest.raises(SettingsError, match="no setting 'stratify'"):
        against("brainscore-rdm", stratify="object_name")
    with pytest.raises(SettingsError, match="no column 'objct_name'"):
        against("brainscore-rdm-cv", stratify="objct_name")
    ids = [f"s{number}" for number in range(6)]
    responses = np.random.default_rng(0).random((6, 5))
    with pytest.raises(DataError, match="at least 4 stimuli"):
        against("brainscore-rdm", make_responses(responses[:3], ids[:3]))
    with pytest.raises(DataError, match=r"Responses to s2: .*a constant pattern of 5 units"):
        against("brainscore-rdm", make_responses(np.where(np.arange(6)[:, None] == 2, 1.0, responses), ids))
    with pytest.raises(DataError, match="Use more neuroids"):
        against("brainscore-rdm", make_responses(np.arange(12.0).reshape(6, 2), ids))
    with pytest.raises(AlignmentError, match="lack 54 of 60 stimuli"):
        against("brainscore-rdm").score(Activations("layer", list(golden("inputs")["stimulus_id"][:6]), [responses]))
