"""Stages: against outputs of the published code, brute force with numpy and scipy, and by recovery of a known depth."""

from __future__ import annotations

import csv
import io
import json
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.stats import rankdata, spearmanr, wilcoxon

import isocortex
from isocortex.activations.layer import Activations
from isocortex.data.dataset import make_responses
from isocortex.errors import UsageError
from isocortex.results.result import Result
from isocortex.scoring.contract import Rules
from isocortex.scoring.stages import NESTED, Stage
from isocortex.scoring.summary import Summary, by_region
from isocortex_metrics.signed_rank import signed_rank
from isocortex_metrics.stage_rows import entries_of, rows_of
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


def test_participants_without_a_region_are_left_out_of_it(caplog, tmp_path) -> None:
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
    assert "no row for the region 'B'" in caplog.text
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


# --- Wilcoxon ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_signed_ranks_against_scipy_and_enumeration(seed: int) -> None:
    stream = np.random.default_rng(seed)
    n = 6 + seed
    differences = stream.standard_normal(n) + 0.4 if seed % 2 else stream.integers(-3, 5, n) / 4
    found = signed_rank(differences)
    kept = differences[differences != 0]
    ranks = rankdata(np.abs(kept))
    sums = np.array([np.dot(ranks, signs) for signs in product([0, 1], repeat=len(kept))])
    low = min(ranks[kept > 0].sum(), ranks[kept < 0].sum())
    assert found.statistic == low
    assert found.n == len(kept)
    assert found.p == pytest.approx(min(1, 2 * np.mean(sums <= low)), abs=1e-12)
    approximate = wilcoxon(differences, method="approx", correction=False)
    assert found.statistic == approximate.statistic
    assert found.p_normal == pytest.approx(approximate.pvalue, abs=1e-12)
    if seed % 2:  # without ties scipy has the exact distribution, too
        assert found.p == pytest.approx(wilcoxon(differences, method="exact").pvalue, abs=1e-12)


@pytest.mark.parametrize(
    ("n", "statistic", "p"), [(15, 0, 0.00065), (14, 6, 0.0035), (13, 2, 0.0024), (15, 1, 0.00081), (15, 12, 0.0064)]
)
def test_published_p_values_are_those_of_the_normal_approximation(n, statistic, p) -> None:
    """Fig. 7: made-up differences with the printed W; two of the tests left out zeros."""
    sizes = np.arange(1.0, n + 1)
    negative = {0: [], 1: [1], 2: [2], 6: [6], 12: [12]}[statistic]
    found = signed_rank(np.where(np.isin(sizes, negative), -sizes, sizes))
    assert found.statistic == statistic
    assert found.p_normal == pytest.approx(p, rel=0.02)


def test_rounding_makes_neither_a_difference_nor_a_tie() -> None:
    """0.1 + 0.2 - 0.3 is no difference, and 0.3 and 0.1 + 0.2 are one size."""
    noisy = np.array([0.1 + 0.2 - 0.3, 0.3, -(0.1 + 0.2), 0.5, 0.6, 0.7, 0.8])
    clean = np.array([0.0, 0.3, -0.3, 0.5, 0.6, 0.7, 0.8])
    assert signed_rank(noisy) == signed_rank(clean)
    assert signed_rank(noisy).n == 6
    assert signed_rank(np.zeros(9)) is None


# --- tables -----------------------------------------------------------------------------------------------------------


def row_of(people: dict[str, float], procedure: str = ALL_SOUNDS, low: float | None = None) -> Summary:
    values = np.array(list(people.values()))
    stage = Stage(
        value=values.mean(), error=values.std(ddof=1) / len(values) ** 0.5, procedure=procedure, n_layers=9,
        n_subjects=len(values), participants=people,
    )  # fmt: skip
    return Summary(
        statistic="rho", target="participant", value=0.5, interval_low=low, layer_rule="nested by participant",
        n_layers_searched=9, best_layer="a", n_stimuli=165, stage=stage,
    )  # fmt: skip


def made(model: str, variant: str = "pretrained", seed: int = 0, names=("Primary", "Anterior"), **more) -> Result:
    stream = np.random.default_rng(seed)
    regions = {name: row_of({f"p{i}": float(v) for i, v in enumerate(stream.random(4))}) for name in names}
    fields = {
        "status": "scored", "digest": f"{seed:064d}", "model": model, "variant": variant,
        "benchmark": "NH2015.tuckute2023-rsa", "benchmark_version": 1, "dataset": "NH2015", "stimuli": "natsound165",
        "metric": "tuckute2023-rsa", "summary": row_of({"p0": 0.1, "p1": 0.3}), "regions": regions, **more,
    }  # fmt: skip
    return Result.model_validate(fields)


def all_rows(results, reference="Primary"):
    return {group: rows_of(group, entries, reference) for group, entries in entries_of(results).items()}


def test_differences_are_paired_over_participants_and_tested_over_models() -> None:
    results = [made(f"m{seed}", seed=seed) for seed in range(8)]
    (rows,) = all_rows(results).values()
    differences = []
    for result in results:
        row = next(row for row in rows if row["model"] == f"{result.model}@pretrained" and row["region"] == "Anterior")
        people = [result.regions[name].stage.participants for name in ("Anterior", "Primary")]
        each = np.array([people[0][name] - people[1][name] for name in people[1]])
        assert row["difference"] == pytest.approx(each.mean(), abs=1e-12)
        assert row["difference_error"] == pytest.approx(each.std(ddof=1) / 2, abs=1e-12)
        assert (row["n_paired"], row["reference"]) == (4, "Primary")
        differences.append(row["difference"])
    mean = next(row for row in rows if row["kind"] == "mean" and row["region"] == "Anterior")
    expected = wilcoxon(differences, method="exact")
    assert (mean["w"], mean["p"]) == (expected.statistic, pytest.approx(expected.pvalue, abs=1e-12))
    assert (mean["n_models"], mean["difference"]) == (8, pytest.approx(np.mean(differences), abs=1e-12))
    whole = next(row for row in rows if row["kind"] == "mean" and row["region"] == "all")
    assert whole["difference"] is None, "the whole holds the reference"


def test_participants_who_lack_a_region_are_in_no_pair() -> None:
    first, second = row_of({"a": 0.2, "b": 0.4, "c": 0.9}), row_of({"b": 0.5, "c": 0.8, "d": 0.0})
    regions = {"region=Primary": first, "region=Lateral": second, "hemisphere=lh": first}
    result = made("m").model_copy(update={"regions": regions})
    (rows,) = all_rows([result]).values()
    found = {row["region"]: (row["difference"], row["n_paired"]) for row in rows}
    assert found["region=Lateral"] == (pytest.approx(0.0, abs=1e-12), 2)  # b: .5 - .4, c: .8 - .9
    assert [found[name] for name in ("all", "region=Primary", "hemisphere=lh")] == [(None, None)] * 3


def test_kinds_of_weights_and_procedures_are_never_mixed() -> None:
    nested = made("n", regions={"Primary": row_of({"a": 0.1, "b": 0.2}, NESTED, low=0.1)}, summary=row_of({"a": 0.1, "b": 0.3}, NESTED))  # noqa: E501  # fmt: skip
    results = [
        made("m1"), made("m2"), made("m1", "permuted:0"), made("m1", "random:0"), made("noise", "fixed"), nested,
        made("m3", "file:mine"), made("activations:AST-permuted", "fixed"),
    ]  # fmt: skip
    groups = entries_of(results)
    found = {
        (procedure, weights): [entry.result.model for entry in entries]
        for (_, procedure, weights), entries in groups.items()
    }
    assert found == {
        (ALL_SOUNDS, "trained"): ["m1", "m2", "m3"],
        (ALL_SOUNDS, "permuted"): ["m1", "activations:AST-permuted"],
        (ALL_SOUNDS, "random"): ["m1"],
        (ALL_SOUNDS, "fixed"): ["noise"],
        (NESTED, "trained"): ["n"],
    }


def means(results) -> list[dict]:
    (rows,) = all_rows(results).values()
    return [row for row in rows if row["kind"] == "mean" and row["region"] == "Anterior"]


def test_there_is_no_test_where_it_would_mean_nothing() -> None:
    (few,) = means([made(f"m{seed}", seed=seed) for seed in range(5)])
    assert few["p"] is None
    assert "fewer than 6 models" in few["reason"]
    assert means([made("m", seed=1)]) == []
    versions = [made(f"m{seed}", seed=seed, digests={"metric": str(seed // 4)}) for seed in range(8)]
    (mixed,) = means(versions)
    assert (mixed["p"], mixed["reason"]) == (
        None,
        "no test: results differ in the version of the metric; score them again",
    )
    same = {"a": 0.2, "b": 0.4}
    equal = [made(f"m{n}", regions={"Primary": row_of(same), "Anterior": row_of(same)}) for n in range(7)]
    (nothing,) = means(equal)
    assert (nothing["p"], nothing["reason"]) == (None, "no test: no model differs between the regions")


def test_variants_of_a_model_count_as_one_and_results_of_one_name_as_none() -> None:
    seeds = [made("m", f"random:{seed}", seed=seed) for seed in range(3)]
    others = [made(f"m{seed}", "random:0", seed=seed) for seed in range(10, 15)]
    (row,) = means([*seeds, *others])
    assert row["n_models"] == 6
    stages = [[item.regions["Anterior"].stage.value for item in group] for group in (seeds, others)]
    assert row["stage"] == pytest.approx(np.mean([np.mean(stages[0]), *stages[1]]), abs=1e-12)
    (twice,) = means([made("m", "random:0", seed=1), made("m", "random:0", seed=2), *others])
    assert twice["n_models"] == 5


def test_regions_that_are_not_predicted_are_in_no_mean_and_no_difference() -> None:
    good, bad = row_of({"a": 0.1, "b": 0.2}, NESTED, low=0.1), row_of({"a": 0.9, "b": 0.8}, NESTED, low=-0.01)
    results = [
        made(f"m{n}", summary=good, regions={"Primary": good, "Anterior": bad if n == 0 else good}) for n in range(8)
    ]
    (rows,) = all_rows(results).values()
    row = next(row for row in rows if row["region"] == "Anterior")
    assert (row["predicted"], row["difference"]) == (False, None)
    (mean,) = [row for row in rows if row["kind"] == "mean" and row["region"] == "Anterior"]
    assert (mean["n_models"], mean["stage"]) == (7, pytest.approx(0.15))


# --- the command ------------------------------------------------------------------------------------------------------


def write(folder: Path, results) -> None:
    for number, result in enumerate(results):
        path = folder / "results" / result.benchmark / f"{result.model}@{result.variant}" / str(number) / "result.json"
        path.parent.mkdir(parents=True)
        path.write_text(result.model_dump_json())


def run(folder: Path, *arguments: str) -> str:
    from click.testing import CliRunner

    from isocortex_metrics.stages_command import stages

    done = CliRunner().invoke(stages, [str(folder / "results"), *arguments], catch_exceptions=True)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_prints_tables_with_what_was_published(tmp_path) -> None:
    pytest.importorskip("isocortex_nh2015")
    names = ("Primary", "Anterior", "Lateral", "Posterior")
    results = [made(f"m{seed}", seed=seed, names=names) for seed in range(7)]
    results += [made("m1", "permuted:0", seed=20, names=names), made("m1", "random:0", seed=21, names=names)]
    write(tmp_path, results)
    text = run(tmp_path)
    assert text.count("NH2015.tuckute2023-rsa: stage, tuckute2023 all sounds") == 3
    assert text.count("published: mean of 15 models") == 2, "trained and permuted, not random"
    rows = json.loads(run(tmp_path, "--json"))
    published = {
        (row["weights"], row["region"]): (row["stage"], row["p_normal"]) for row in rows if row["kind"] == "published"
    }
    assert published == {
        ("trained", "Primary"): (0.374, None),
        ("trained", "Anterior"): (0.462, 0.0035),
        ("trained", "Lateral"): (0.494, 0.0024),
        ("trained", "Posterior"): (0.535, 0.00065),
        ("permuted", "Primary"): (0.228, None),
        ("permuted", "Anterior"): (0.279, 0.075),
        ("permuted", "Lateral"): (0.236, 0.755),
        ("permuted", "Posterior"): (0.284, 0.093),
    }
    mean = next(row for row in rows if (row["weights"], row["kind"], row["region"]) == ("trained", "mean", "Posterior"))
    assert mean["n_models"] == 7
    assert mean["p"] is not None
    listed = list(csv.DictReader(io.StringIO(run(tmp_path, "--csv"))))
    assert len(listed) == len(rows)
    assert [row["stage"] for row in listed] == [str(row["stage"]) for row in rows]
    other = json.loads(run(tmp_path, "--json", "--from", "Lateral", "-m", "m1@*"))
    assert {row["reference"] for row in other if row["kind"] == "model"} == {None, "Lateral"}
    assert {row["model"] for row in other if row["kind"] == "model"} == {"m1@pretrained", "m1@permuted:0", "m1@random:0"}  # noqa: E501  # fmt: skip


def test_nested_stages_are_not_put_beside_the_published_ones(tmp_path) -> None:
    pytest.importorskip("isocortex_nh2015")
    rows = {name: row_of({"a": 0.1, "b": 0.2}, NESTED, low=0.1) for name in ("Primary", "Anterior")}
    write(tmp_path, [made("m", benchmark="NH2015.rsa", summary=rows["Primary"], regions=rows)])
    assert "published" not in run(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--from", "Primry"), r"No result has the region 'Primry'\. Did you mean Primary\?"),
        (("-m", "nobody"), "No result has the model 'nobody'"),
        (("-b", "nothing"), "No result has the benchmark 'nothing'"),
    ],
)
def test_names_that_are_not_there_are_refused(tmp_path, arguments, message) -> None:
    write(tmp_path, [made("m")])
    with pytest.raises(UsageError, match=message):
        run(tmp_path, *arguments)


def test_results_without_a_stage_say_why(tmp_path) -> None:
    single = row_of({"a": 0.1, "b": 0.2}).model_copy(update={"stage": None, "n_layers_searched": 1})
    older = single.model_copy(update={"n_layers_searched": 9})
    failed = made("f", status="failed", summary=None, regions={}, failure={"kind": "DataError", "message": "Too short."})  # noqa: E501  # fmt: skip
    none = [made("s", summary=single, regions={}), made("o", summary=older, regions={}), failed]
    write(tmp_path, [*none, made("m")])
    text = run(tmp_path)
    assert "no stage: s@pretrained × NH2015.tuckute2023-rsa: a single layer" in text
    assert "gives none, or an older version scored it" in text
    assert "failed: Too short." in text
    write(tmp_path / "alone", none)
    with pytest.raises(UsageError, match="No result has a stage"):
        run(tmp_path / "alone")


def test_the_command_is_part_of_the_command_line(isocortex, tmp_path) -> None:
    write(tmp_path, [made("m", names=("Primary", "Anterior"))])
    done = isocortex("stages", "--csv")
    assert done.returncode == 0, done.stderr
    assert "Anterior" in done.stdout
    missing = isocortex("stages", "absent")
    assert missing.returncode != 0
    assert "Traceback" not in missing.stderr
    assert "There is no results folder absent" in missing.stderr
