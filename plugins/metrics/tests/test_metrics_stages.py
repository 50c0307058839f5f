"""Stages: against outputs of the published code, brute force with numpy and scipy, and by recovery of a known depth."""

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
from isocortex.scoring.contract import Rules
from isocortex.scoring.stages import NESTED
from isocortex.scoring.summary import by_region
from isocortex_metrics.tuckute2023.rdms import category_order
from isocortex_metrics.tuckute2023.stages import (
    ALL_SOUNDS,
    ALL_SPLITS,
    stage_over_sounds,
    stage_over_splits,
    with_best_layers,
)

GOLDEN = Path(__file__).parents[3] / "tests" / "golden"
EXACT = {"rtol": 0, "atol": 1e-12}


@cache
def golden(name: str) -> dict[str, np.ndarray]:
    """Arrays of a file."""
    with np.load(GOLDEN / f"tuckute_{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def means_of_medians(values: np.ndarray, subjects: np.ndarray) -> float:
    return float(np.mean([np.median(values[subjects == name]) for name in dict.fromkeys(subjects)]))


# --- regressions of Tuckute et al. 2023 -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published_scores() -> xr.Dataset:
    """Scores of nine layers as the published code computed them."""
    found = golden("bestlayer")
    dims = ("layer", "neuroid", "split")
    scores = xr.Dataset(
        {"r2": (dims, found["ds_r2_test"]), "r2_corrected": (dims, found["ds_r2_test_c"])},
        coords={
            "layer": found["layers"],
            "neuroid_id": ("neuroid", found["voxel_id"].astype(str)),
            "subject": ("neuroid", found["subj"].astype(str)),
            "region": ("neuroid", found["roi"]),
        },
        attrs={"n_layers_searched": 9},
    )
    return with_best_layers(scores)


def test_published_layers_of_voxels(published_scores) -> None:
    found = golden("bestlayer")
    assert (published_scores["stage_layer"].values + 1).tolist() == found["argmax_pos"].tolist()
    assert published_scores["stage_tied"].values.tolist() == found["argmax_tie"].astype(bool).tolist()


def test_published_stages_of_all_voxels_and_of_regions(published_scores) -> None:
    found = golden("bestlayer")
    everything = np.full(46, True)
    regions = [name for name in dict.fromkeys(found["roi"].tolist()) if name]
    assert len(regions) > 1
    for inside in (everything, *(found["roi"] == name for name in regions)):
        stage = stage_over_splits(published_scores.isel(neuroid=np.flatnonzero(inside)))
        assert stage is not None
        depth, subjects = found["argmax_rel_pos"][inside], found["subj"][inside]
        assert stage.value == pytest.approx(means_of_medians(depth, subjects), abs=1e-15)
        people = {str(name): float(np.median(depth[subjects == name])) for name in dict.fromkeys(subjects.tolist())}
        assert stage.participants == pytest.approx(people, abs=1e-15)
        assert stage.tied == pytest.approx(found["argmax_tie"][inside].mean(), abs=1e-15)
        assert (stage.procedure, stage.n_layers, stage.spread) == (ALL_SPLITS, 9, None)


@pytest.fixture(scope="module")
def recorded() -> xr.DataArray:
    """Responses of the golden inputs, scans as repetitions."""
    inputs = golden("rsa_inputs")
    n_stimuli = len(inputs["ids"])
    return xr.DataArray(
        inputs["fmri"].transpose(2, 0, 1).reshape(3 * n_stimuli, -1),
        dims=("presentation", "neuroid"),
        coords={
            "stimulus_id": ("presentation", np.tile(inputs["ids"], 3)),
            "repetition": ("presentation", np.repeat(np.arange(3), n_stimuli)),
            "category": ("presentation", np.tile(inputs["categories"], 3)),
            "neuroid_id": ("neuroid", inputs["voxel_id"].astype(str)),
            "subject": ("neuroid", inputs["subj"].astype(str)),
            "region": ("neuroid", inputs["roi"]),
        },
    )


@pytest.fixture(scope="module")
def layers() -> dict[str, Activations]:
    inputs = golden("rsa_inputs")
    ids = list(inputs["ids"])
    return {name: Activations(name, ids, [inputs[f"act_{name}"]]) for name in golden("rsa")["layers"].tolist()}


def test_the_regression_reports_the_stage_of_its_own_scores(recorded, layers) -> None:
    """From activations to the row: brute force on the scores, and the published layer of nearly all voxels."""
    comparison = isocortex.load_metric("tuckute2023-ridge").against(recorded, settings={}, seed=0)
    comparison.rules = Rules(summary_by=("region",))
    scores = comparison.score_all({name: layers[name] for name in ("relu0", "relu2", "relufc")})
    table = np.minimum(np.median(scores["r2_corrected"].transpose("layer", "neuroid", "split").values, axis=2), 1)
    clear = (table == table.max(axis=0)).sum(axis=0) == 1
    assert clear.mean() > 0.8
    np.testing.assert_array_equal(scores["stage_layer"].values[clear], table.argmax(axis=0)[clear])
    depth, subjects = scores["stage_layer"].values / 2, recorded["subject"].values
    summary, regions = comparison.summarise(scores), by_region(comparison, scores)
    assert summary.stage is not None
    assert summary.stage.value == pytest.approx(means_of_medians(depth, subjects), abs=1e-15)
    for name, part in regions.items():
        inside = recorded["region"].values == name
        assert part.stage is not None
        assert part.stage.value == pytest.approx(means_of_medians(depth[inside], subjects[inside]), abs=1e-15)
    assert comparison.summarise(comparison.score_all({"relu0": layers["relu0"]})).stage is None
    assert comparison.summarise(comparison.score(layers["relu0"])).stage is None


# --- RSA of Tuckute et al. 2023 ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def similar(recorded, layers):
    """Comparison and scores of nine layers, regions among them."""
    comparison = isocortex.load_metric("tuckute2023-rsa").against(recorded, settings={}, seed=0)
    comparison.rules = Rules(summary_by=("region",))
    return comparison, comparison.score_all(layers)


def test_published_similarity_over_all_sounds_gives_the_stage(similar) -> None:
    comparison, scores = similar
    expected = golden("rsa")["all_data_rsa_for_best_layer"]
    np.testing.assert_allclose(scores["whole_rho"].transpose("subject", "layer").values, expected, **EXACT)
    stage = comparison.summarise(scores).stage
    depth = expected.argmax(axis=1) / 8
    assert stage.procedure == ALL_SOUNDS
    assert list(stage.participants.values()) == depth.tolist()
    assert stage.value == pytest.approx(depth.mean(), abs=1e-15)
    assert stage.error == pytest.approx(depth.std(ddof=1) / 2, abs=1e-15)


def zscored(values: np.ndarray) -> np.ndarray:
    return (values - values.mean(axis=0)) / values.std(axis=0)


def test_stages_of_regions_equal_numpy_and_scipy(similar, layers) -> None:
    comparison, scores = similar
    inputs = golden("rsa_inputs")
    upper = np.triu_indices(165, 1)
    models = [1 - np.corrcoef(zscored(inputs[f"act_{name}"].astype(float)))[upper] for name in layers]
    mean = inputs["fmri"].mean(axis=2)
    found = by_region(comparison, scores)
    assert len(found) > 1
    n_compared = 0
    for region, part in found.items():
        depths = {}
        for subject in dict.fromkeys(inputs["subj"].tolist()):
            inside = (inputs["subj"] == subject) & (inputs["roi"] == region)
            if inside.sum() < 3:
                continue
            brain = 1 - np.corrcoef(zscored(mean[:, inside]))[upper]
            rho = [spearmanr(brain, model).statistic for model in models]
            own = scores["part_whole_rho"].sel(part=region, subject=str(subject)).values
            np.testing.assert_allclose(own, rho, **EXACT)
            depths[str(subject)] = int(np.argmax(rho)) / 8
            n_compared += 1
        assert part.stage.participants == depths
        assert part.stage.value == pytest.approx(np.mean(list(depths.values())), abs=1e-15)
    assert n_compared > len(found)


def test_the_row_of_a_region_is_the_score_of_its_voxels_alone(recorded, layers, similar) -> None:
    comparison, scores = similar
    found = by_region(comparison, scores)
    assert set(found) <= set(recorded["region"].values) - {""}
    for region, part in found.items():
        people = recorded["subject"].values[recorded["region"].values == region]
        enough = [name for name in dict.fromkeys(people) if (people == name).sum() >= 3]
        inside = (recorded["region"].values == region) & np.isin(recorded["subject"].values, enough)
        alone = isocortex.load_metric("tuckute2023-rsa").against(
            recorded.isel(neuroid=np.flatnonzero(inside)), settings={}, seed=0
        )
        expected = alone.summarise(alone.score_all(layers))
        assert part == expected, region
        assert part.n_subjects == len(enough)
    whole = isocortex.load_metric("tuckute2023-rsa").against(recorded, settings={}, seed=0)
    assert comparison.summarise(scores) == whole.summarise(whole.score_all(layers)), "regions do not change the whole"


def few_voxels(regions: list[str]) -> xr.DataArray:
    subjects = ["a"] * 6 + ["b"] * 6
    values = np.random.default_rng(0).standard_normal((12, 12))
    ids = [f"s{number}" for number in range(12)]
    return make_responses(values, ids, neuroid={"subject": subjects, "region": regions})


def test_participants_without_a_region_are_left_out_of_it(tmp_path) -> None:
    """Region A: six voxels of a, none of b. Region B: two voxels of b, too few."""
    responses = few_voxels(["A"] * 6 + ["B"] * 2 + [""] * 4)
    comparison = isocortex.load_metric("tuckute2023-rsa").against(responses, settings={}, seed=0)
    comparison.rules = Rules(summary_by=("region",))
    stream = np.random.default_rng(1)
    ids = [f"s{number}" for number in range(12)]
    made = {f"l{number}": Activations(f"l{number}", ids, [stream.standard_normal((12, 9))]) for number in range(3)}
    scores = comparison.score_all(made)
    found = by_region(comparison, scores)
    assert list(found) == ["A"]
    assert list(found["A"].stage.participants) == ["a"]
    assert (found["A"].n_subjects, found["A"].error) == (1, None)
    said = "\n".join(comparison.warnings)
    assert "no row for the region 'B'" in said
    scores.to_netcdf(tmp_path / "scores.nc", engine="netcdf4")
    single = comparison.score_all({"l0": made["l0"]})
    rows = by_region(comparison, single)
    assert rows["A"].stage is None
    assert rows["A"].value == pytest.approx(
        float(np.median(single["part_rho"].isel(layer=0).sel(part="A", subject="a").values)), abs=1e-15
    )


def test_a_constant_layer_is_never_the_stage() -> None:
    ids = [f"s{number}" for number in range(12)]
    comparison = isocortex.load_metric("tuckute2023-rsa").against(few_voxels(["A"] * 12), settings={}, seed=0)
    constant = {name: Activations(name, ids, [np.full((12, 4), value)]) for name, value in (("a", 1.0), ("b", 2.0))}
    assert comparison.summarise(comparison.score_all(constant)).stage is None
    scores = xr.Dataset({"whole_rho": (("layer", "subject"), [[np.nan], [0.1], [0.3]])}, {"subject": ["pooled"]})
    stage = stage_over_sounds(scores.assign_attrs(n_layers_searched=3, target="pooled"))
    assert stage is not None
    assert (stage.value, stage.participants) == (1.0, {})


def test_sounds_are_in_the_order_of_the_paper_for_layers_and_brains(similar) -> None:
    comparison, _ = similar
    order = category_order(golden("rsa_inputs")["categories"].tolist())
    assert list(comparison.stimulus_id) == golden("rsa_inputs")["ids"][order].tolist()


# --- nested: a known depth is recovered, and noise is seen ------------------------------------------------------------


def deep(n_stimuli: int, seed: int, n_layers: int = 9):
    """Layers that change gradually with depth, and a cortex: A reads layer 1, B layer 7, C nothing."""
    stream = np.random.default_rng(seed)
    ids = [f"s{number}" for number in range(n_stimuli)]
    values = [stream.standard_normal((n_stimuli, 8))]
    for _ in range(n_layers - 1):
        values.append(0.6 * values[-1] + 0.8 * stream.standard_normal((n_stimuli, 8)))
    columns = {
        "region": [name for name in "ABC" for _ in range(40)],
        "subject": [f"p{number % 4}" for number in range(120)],
    }
    read = [values[1], values[7], np.zeros((n_stimuli, 8))]
    signal = np.concatenate([layer @ stream.standard_normal((8, 40)) / 8**0.5 for layer in read], axis=1)
    responses = make_responses(signal + stream.standard_normal(signal.shape), ids, neuroid=columns)
    return responses, {f"l{number}": Activations(f"l{number}", ids, [layer]) for number, layer in enumerate(values)}


@pytest.mark.parametrize("metric", ["ridge", "pca-ridge"])
def test_regions_have_the_depth_that_they_were_made_of_and_noise_has_none(metric) -> None:
    spreads, stages = [], []
    for seed in range(2):
        responses, made = deep(60, seed)
        comparison = isocortex.load_metric(metric).against(responses, settings={}, seed=0)
        comparison.rules = Rules(summary_by=("region",), n_draws=100)
        rows = by_region(comparison, comparison.score_all(made))
        assert rows["A"].stage.value == pytest.approx(1 / 8, abs=0.03)
        assert rows["B"].stage.value == pytest.approx(7 / 8, abs=0.03)
        for name in "AB":
            assert rows[name].stage.procedure == NESTED
            assert rows[name].stage.spread < 0.06
            assert rows[name].stage.agreement > 0.8
            assert rows[name].interval_low > 0.3
        assert rows["C"].interval_low < 0, "its value says that nothing is predicted"
        spreads.append((rows["C"].stage.spread, rows["C"].stage.agreement))
        stages.append(rows["C"].stage.value)
    spread, agreement = np.mean(spreads, axis=0)
    assert spread > 0.2  # uniform choices of nine layers: 0.32; folds share training stimuli
    assert agreement < 0.5
    assert 0.15 < np.mean(stages) < 0.85


@pytest.mark.parametrize("metric", ["rsa", "cka"])
def test_metrics_that_choose_on_halves_recover_the_depth(metric) -> None:
    responses, made = deep(60, 3)
    for region, depth in (("A", 1 / 8), ("B", 7 / 8)):
        part = responses.isel(neuroid=np.flatnonzero(responses["region"].values == region))
        comparison = isocortex.load_metric(metric).against(part, settings={}, seed=0)
        stage = comparison.summarise(comparison.score_all(made)).stage
        assert stage.value == pytest.approx(depth, abs=0.05)
        assert stage.n_subjects == 4
        assert stage.spread is not None
    comparison = isocortex.load_metric("weighted-rsa").against(responses, settings={}, seed=0)
    assert comparison.summarise(comparison.score_all(dict(list(made.items())[:2]))).stage is None
