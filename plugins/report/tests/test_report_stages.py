"""Tables of stages over models and regions, Wilcoxon's test, and the command ``stages``."""

from __future__ import annotations

import csv
import io
import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm, rankdata, wilcoxon

from isocortex.errors import UsageError
from isocortex.results import Result, cell_folder, record_path, write_record
from isocortex.scoring.stages import NESTED, Stage
from isocortex.scoring.summary import Summary
from isocortex_metrics.tuckute2023.stages import ALL_SOUNDS
from isocortex_report.signed_ranks import wilcoxon_columns
from isocortex_report.stage_rows import entries_of, rows_of

# --- Wilcoxon ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_signed_ranks_against_scipy_and_enumeration(seed: int) -> None:
    stream = np.random.default_rng(seed)
    n = 6 + seed
    differences = stream.standard_normal(n) + 0.4 if seed % 2 else stream.integers(-3, 5, n) / 4
    found = wilcoxon_columns(differences)
    kept = differences[differences != 0]
    ranks = rankdata(np.abs(kept))
    sums = np.array([np.dot(ranks, signs) for signs in product([0, 1], repeat=len(kept))])
    low = min(ranks[kept > 0].sum(), ranks[kept < 0].sum())
    assert found.keys() == {"w", "p", "p_normal"}
    assert found["w"] == low
    assert found["p"] == pytest.approx(min(1, 2 * np.mean(sums <= low)), abs=1e-12)
    middle, spread = ranks.sum() / 2, np.sqrt(np.sum(ranks**2)) / 2  # mean and deviation over all signs
    assert found["p_normal"] == pytest.approx(2 * norm.cdf((low - middle) / spread), abs=1e-12)
    if seed % 2:  # without ties scipy has the exact distribution, too
        assert found["p"] == pytest.approx(wilcoxon(differences, method="exact").pvalue, abs=1e-12)


@pytest.mark.parametrize(
    ("n", "statistic", "p"), [(15, 0, 0.00065), (14, 6, 0.0035), (13, 2, 0.0024), (15, 1, 0.00081), (15, 12, 0.0064)]
)
def test_published_p_values_are_those_of_the_normal_approximation(n, statistic, p) -> None:
    """Fig. 7: made-up differences with the printed W; two of the tests left out zeros."""
    sizes = np.arange(1.0, n + 1)
    negative = {0: [], 1: [1], 2: [2], 6: [6], 12: [12]}[statistic]
    found = wilcoxon_columns(np.where(np.isin(sizes, negative), -sizes, sizes))
    assert found["w"] == statistic
    assert found["p_normal"] == pytest.approx(p, rel=0.02)


def test_rounding_makes_neither_a_difference_nor_a_tie() -> None:
    """0.1 + 0.2 - 0.3 is no difference, and 0.3 and 0.1 + 0.2 are one size."""
    noisy = np.array([0.1 + 0.2 - 0.3, 0.3, -(0.1 + 0.2), 0.5, 0.6, 0.7, 0.8])
    clean = np.array([0.0, 0.3, -0.3, 0.5, 0.6, 0.7, 0.8])
    assert wilcoxon_columns(noisy) == wilcoxon_columns(clean)
    assert wilcoxon_columns(noisy)["w"] == 1.5  # of six: both 0.3 have the rank 1.5
    assert wilcoxon_columns(np.zeros(9)) is None


def test_many_tied_differences_are_tested_by_random_signs_and_say_so() -> None:
    sizes = np.repeat([0.125, 0.25, 0.5], 8)
    differences = np.where(np.arange(24) % 4 == 0, -sizes, sizes)
    ranks = rankdata(sizes)
    low = ranks[differences < 0].sum()
    chances = np.zeros(int(2 * ranks.sum()) + 1)  # of the sum of positive ranks, by halves, one rank after the other
    chances[0] = 1
    for rank in (2 * ranks).astype(int):
        chances = (chances + np.concatenate([np.zeros(rank), chances[: len(chances) - rank]])) / 2
    found = wilcoxon_columns(differences)
    assert found == wilcoxon_columns(differences), "drawn by a fixed seed"
    assert found["p"] == pytest.approx(2 * chances[: int(2 * low) + 1].sum(), rel=0.05)
    assert found["reason"] == "p over 262,144 random signs, because sizes of differences tie"


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


def test_an_error_above_zero_says_nothing_of_what_is_predicted() -> None:
    error = row_of({"a": 0.1, "b": 0.2}, NESTED, low=0.1).model_copy(update={"statistic": "mse", "better": "lower"})
    (rows,) = all_rows([made("m", summary=error, regions={"Primary": error})]).values()
    assert [row["predicted"] for row in rows] == [None, None]


# --- the command ------------------------------------------------------------------------------------------------------


def write(folder: Path, results) -> None:
    for number, result in enumerate(results):
        digest = f"{number:064x}"[::-1]
        cell = cell_folder(folder / "results", result.benchmark, result.model, result.variant)
        write_record(record_path(cell, digest), result.model_copy(update={"digest": digest}))


def run(folder: Path, *arguments: str) -> str:
    from click.testing import CliRunner

    from isocortex_report.stages_command import stages

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


# --- in Python --------------------------------------------------------------------------------------------------------


def test_stages_in_python_are_those_of_the_command(tmp_path) -> None:
    import isocortex_report

    single = row_of({"a": 0.1, "b": 0.2}).model_copy(update={"stage": None, "n_layers_searched": 1})
    write(tmp_path, [made("m"), made("s", seed=1, summary=single, regions={})])
    frame = isocortex_report.stages(tmp_path)
    shown = json.loads(run(tmp_path, "--json"))
    assert frame["kind"].tolist() == [*(row["kind"] for row in shown), "none"]
    assert "a single layer" in frame["reason"].iloc[-1]
    assert frame.dtypes[["stage", "n_models", "p"]].astype(str).tolist() == ["float64", "Int64", "float64"]
    for row, (_, own) in zip(shown, frame.iterrows(), strict=False):
        assert [row[name] for name in ("kind", "model", "region", "stage")] == [
            *own[["kind", "model", "region", "stage"]]
        ]
    own = isocortex_report.stages(tmp_path, models="m").query("kind == 'model'")
    assert own["model"].unique().tolist() == ["m@pretrained"]
