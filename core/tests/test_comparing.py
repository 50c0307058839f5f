"""Models against each other: pairs whose draws are paired, p and q, and what is listed as not comparable."""

from __future__ import annotations

import json
import math
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import isocortex
from isocortex.errors import StoreError, UsageError
from isocortex.results.pair_tables import print_pairs, print_pairs_csv, print_pairs_json
from isocortex.results.paired import compare_results
from isocortex.results.records import write_record
from isocortex.results.result import Failure, Result
from isocortex.results.scores_file import write_netcdf, write_scores
from isocortex.results.selection import Selection
from isocortex.scoring.summary import Summary
from tests.folders import image_folder

N_DRAWS = 500
DIGESTS = {"model": "m", "dataset": "d", "stimuli": "s", "metric": "k", "benchmark": "b", "run": "r", "splits": None}


def draws_of(value: float, own: int = 0) -> list[float]:
    """Draws around a value: noise that models share, and less that is their own."""
    shared = np.random.default_rng(0).standard_normal(N_DRAWS)
    noise = np.random.default_rng([1, own]).standard_normal(N_DRAWS) if own else np.zeros(N_DRAWS)
    return list(value + 0.2 * shared + 0.02 * noise)


def summary(value: float | None, draws: list[float] | None = None, **fields: Any) -> Summary:
    known = {"statistic": "r", "target": "pooled", "layer_rule": "single layer", "n_layers_searched": 1}
    known |= {"best_layer": "l", "n_stimuli": 24, "resampled": "stimuli" if draws else "none"}
    if draws:
        known |= {"interval_low": min(draws), "interval_high": max(draws)}
    return Summary(value=value, draws=draws, **{**known, **fields})


def result(model: str, value: float | None = 0.5, *, own: int = 0, benchmark: str = "b", **fields: Any) -> Result:
    """A scored result with draws."""
    parts = {"summary": summary(value, None if value is None else draws_of(value, own)), **fields}
    known = {"variant": "fixed", "benchmark_version": 1, "dataset": "d", "stimuli": "s", "metric": "k"}
    digest = f"{model}-{benchmark}-{fields.get('seed', 0)}".ljust(64, "0")
    return Result(
        status="scored", model=model, benchmark=benchmark, **{"digest": digest, "digests": DIGESTS, **known, **parts}
    )


THREE = [result("good", 0.7, own=1), result("fair", 0.5, own=2), result("same", 0.5, own=3)]


def pairs(table: pd.DataFrame) -> list[tuple[str, str]]:
    tested = table[table["p"].notna()]
    return [
        (a.removesuffix("@fixed"), b.removesuffix("@fixed"))
        for a, b in zip(tested["model_a"], tested["model_b"], strict=True)
    ]


def test_every_pair_is_compared_best_model_first() -> None:
    table = compare_results([THREE[1], THREE[0], THREE[2]])
    assert pairs(table) == [("good", "fair"), ("good", "same"), ("fair", "same")]
    assert table["difference"].tolist() == pytest.approx([0.2, 0.2, 0.0])
    assert table["reason"].isna().all()
    assert set(table["n_draws"]) == {N_DRAWS}
    assert table["p"].iloc[:2].tolist() == pytest.approx([2 / (N_DRAWS + 1)] * 2)
    assert table["p"].iloc[2] == 1.0


def test_numbers_against_the_draws_themselves() -> None:
    """Interval, p by a loop, q by scipy; the spread of a difference is that of what the models do not share."""
    stats = pytest.importorskip("scipy.stats")
    values = {"a": 0.50, "b": 0.46, "c": 0.44, "d": 0.30}
    results = [result(name, value, own=place + 1) for place, (name, value) in enumerate(values.items())]
    table = compare_results(results)
    stored = {f"{item.model}@fixed": np.float32(item.summary.draws) for item in results if item.summary}  # type: ignore[arg-type]
    for row in table.itertuples():
        difference = stored[row.model_a].astype(float) - stored[row.model_b].astype(float)
        assert (row.interval_low, row.interval_high) == pytest.approx(tuple(np.percentile(difference, [2.5, 97.5])))
        assert row.interval_high - row.interval_low == pytest.approx(2 * 1.96 * 0.02 * math.sqrt(2), rel=0.15)
        assert row.p == pytest.approx(min(1, 2 * (1 + sum(drawn <= 0 for drawn in difference)) / (N_DRAWS + 1)))
    np.testing.assert_allclose(table["q"], stats.false_discovery_control(table["p"]), rtol=1e-12)
    assert (table["q"] > table["p"]).any()


def test_the_family_is_what_is_shown() -> None:
    everything = compare_results([*THREE, *(result(item.model, 0.5, own=9, benchmark="other") for item in THREE)])
    only = compare_results(THREE)
    assert len(everything) == 6
    assert everything["q"].iloc[0] == pytest.approx(2 * only["q"].iloc[0])


def test_one_model_against_all() -> None:
    table = compare_results(THREE, Selection(against="fair"))
    assert pairs(table) == [("good", "fair"), ("same", "fair")]
    assert table["difference"].tolist() == pytest.approx([0.2, 0.0])
    worse = compare_results(THREE, Selection(against="good@fixed"))
    assert pairs(worse) == [("fair", "good"), ("same", "good")]
    assert worse["difference"].tolist() == pytest.approx([-0.2, -0.2])
    np.testing.assert_allclose(worse["interval_low"].iloc[0], -table["interval_high"].iloc[0])


def test_globs_choose_models_benchmarks_and_regions() -> None:
    parts = {"V4": summary(0.3, draws_of(0.3)), "IT": summary(0.6, draws_of(0.6))}
    results = [result(name, regions=parts, benchmark=where) for name in ("a1", "a2", "b1") for where in ("x.r", "y.r")]
    assert len(compare_results(results)) == 3 * 3 * 2
    chosen = compare_results(results, Selection(benchmarks=("x*",), models=("a*",), regions=("IT", "all")))
    assert chosen["benchmark"].tolist() == ["x.r", "x.r"]
    assert chosen["region"].fillna("all").tolist() == ["all", "IT"]
    assert pairs(chosen) == [("a1", "a2")] * 2
    assert pairs(compare_results(results, Selection(("x.r",), ("a1",), ("V4",), against="b1"))) == [("a1", "b1")]


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(models=("gode",)), "No result has the model 'gode'.*Did you mean good"),
        (Selection(against="nothing"), "No result has the model 'nothing'"),
        (Selection(benchmarks=("c",)), "No result has the benchmark 'c'.*There are b"),
        (Selection(regions=("V1",)), "No result has the region 'V1'.*There are all"),
        (Selection(models=("good",)), "b: there is no other model to compare with"),
    ],
)
def test_what_is_not_there_is_refused(selection: Selection, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        compare_results(THREE, selection)


# --- not comparable ---------------------------------------------------------------------------------------------------


def changed(part: str, value: Any) -> dict[str, Any]:
    return {"digests": {**DIGESTS, part: value}}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"seed": 1}, r"seed \(0 and 1\)"),
        ({"summary": summary(0.4, draws_of(0.4), n_stimuli=23)}, r"number of stimuli \(24 and 23\)"),
        ({"summary": summary(0.4, draws_of(0.4), n_subjects=3)}, r"number of participants \(None and 3\)"),
        ({"summary": summary(0.4, draws_of(0.4), statistic="rho")}, r"statistic \(r and rho\)"),
        ({"summary": summary(0.4, draws_of(0.4), target="participant")}, r"target \(pooled and participant\)"),
        ({"summary": summary(0.4, draws_of(0.4), resampled="both")}, r"what was resampled \(stimuli and both\)"),
        (changed("dataset", "d2"), "version of the dataset"),
        (changed("stimuli", "s2"), "version of the stimuli"),
        (changed("metric", "k2"), "version of the metric"),
        (changed("benchmark", "b2"), "version of the benchmark"),
        (changed("baseline pixels", "p"), "version of the baseline pixels"),
    ],
)
def test_draws_of_other_samples_are_not_compared(fields: dict[str, Any], reason: str) -> None:
    other = result("other", 0.4, **fields)
    table = compare_results([*THREE[:2], other])
    assert pairs(table) == [("good", "fair")]
    refused = table[table["p"].isna()]
    assert set(refused["model_a"]) | set(refused["model_b"]) == {"good@fixed", "fair@fixed", "other@fixed"}
    assert refused["reason"].str.contains(reason, regex=True).tolist() == [True, True]
    assert refused["difference"].isna().all()
    with pytest.raises(UsageError, match=f"Nothing can be compared.*{reason}"):
        compare_results([THREE[0], other])


def test_models_may_differ_in_what_belongs_to_them() -> None:
    own = {**DIGESTS, "model": "m2", "run": "r2", "splits": "x"}
    assert pairs(compare_results([THREE[0], result("other", 0.4, digests=own)])) == [("good", "other")]


def test_without_digests_nothing_says_that_the_draws_are_paired() -> None:
    nowhere = {**DIGESTS, "metric": None}
    with pytest.raises(UsageError, match="the metric has no digest"):
        compare_results([result("one", digests=nowhere), result("two", digests=nowhere)])


def test_runs_with_two_seeds_are_compared_each_by_itself() -> None:
    results = [result(name, 0.5, own=place, seed=seed) for seed in (0, 1) for place, name in enumerate(("one", "two"))]
    table = compare_results(results)
    compared = table[table["reason"].isna()]
    assert compared["seed"].tolist() == [0, 1]
    dropped = table[table["reason"].notna()]
    assert dropped["p"].isna().all()
    assert [{row.model_a, row.model_b} for row in dropped.itertuples()] == [
        {"one@fixed"},
        {"one@fixed", "two@fixed"},
        {"two@fixed"},
    ]
    assert all("they differ in seed (0 and 1)" in reason for reason in dropped["reason"])
    assert "(and 1 more pairs of these models)" in dropped["reason"].tolist()[1]


def test_what_cannot_be_compared_is_listed(tmp_path: Path) -> None:
    failure = Failure(kind="DataError", message="the sound is silent")
    odd = [
        result("bare", summary=summary(0.6)),
        result("void", None),
        result("broken", 0.5).model_copy(update={"status": "failed", "summary": None, "failure": failure}),
        result("lost", summary=summary(0.5, None, interval_low=0.4, interval_high=0.6)),
    ]
    table = compare_results([*THREE, *odd], out=tmp_path)
    assert len(pairs(table)) == 3
    reasons = dict(zip(table["model_a"], table["reason"], strict=True))
    assert reasons["bare@fixed"] == "the metric 'k' gives no draws of its value that could be compared"
    assert reasons["void@fixed"] == "it has no value"
    assert reasons["broken@fixed"] == "failed: the sound is silent"
    assert reasons["lost@fixed"].startswith(f"its draws are not in {tmp_path}")
    with pytest.raises(UsageError, match="gives no draws"):
        compare_results([odd[0], result("bare2", summary=summary(0.4))])


def test_a_model_that_the_named_one_has_no_result_with_is_listed() -> None:
    table = compare_results([*THREE, result("far", 0.5, benchmark="c")], Selection(against="fair"))
    assert pairs(table) == [("good", "fair"), ("same", "fair")]
    assert table["reason"].dropna().tolist() == ["fair has no result here"]


def test_draws_that_share_no_valid_sample_give_no_p() -> None:
    half = np.arange(N_DRAWS) % 2 == 0
    first = np.where(half, np.nan, 0.5).tolist()
    second = np.where(half, 0.4, np.nan).tolist()
    one = result("one", summary=summary(0.5, first, interval_low=0.4, interval_high=0.6))
    other = result("two", summary=summary(0.4, second, interval_low=0.3, interval_high=0.5))
    table = compare_results([*THREE, one, other])
    row = table[(table["model_a"] == "one@fixed") & (table["model_b"] == "two@fixed")].iloc[0]
    assert (row["n_draws"], row["reason"]) == (0, "no draw has a value in both")
    assert math.isnan(row["p"])
    assert int(table["p"].notna().sum()) == 9


# --- from disk --------------------------------------------------------------------------------------------------------


def stored(folder: Path, one: Result) -> Result:
    """Write a result as a run does; returns what reading it back gives."""
    home = folder / one.benchmark / f"{one.model}@{one.variant}" / one.digest[:16]
    digest = write_scores(home / "scores.nc", xr.Dataset({"r": 0.5}), one)
    write_record(home / "result.json", one.model_copy(update={"scores_sha256": digest}))
    return Result.model_validate_json((home / "result.json").read_bytes())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A results folder of three models with two regions."""
    for place, item in enumerate(THREE, start=4):
        parts = {name: summary(0.2, draws_of(0.2, own=place + 10 * k)) for k, name in enumerate(("V4", "IT"))}
        stored(tmp_path / "results", item.model_copy(update={"regions": parts}))
    return tmp_path / "results"


def test_a_folder_and_results_in_memory_give_the_same_table(folder: Path) -> None:
    table = compare_results(folder)
    assert len(table) == 9
    whole = compare_results(folder, Selection(regions=("all",)))
    memory = compare_results(THREE)
    pd.testing.assert_frame_equal(whole, memory)
    read = [Result.model_validate_json(path.read_bytes()) for path in folder.rglob("result.json")]
    pd.testing.assert_frame_equal(compare_results(read, out=folder), table)
    pd.testing.assert_frame_equal(isocortex.compare(folder, regions="all"), whole)
    mixed = compare_results(
        [THREE[0], *(item for item in read if item.model == "fair")], Selection((), (), ("all",)), folder
    )
    assert mixed["p"].tolist() == memory["p"].tolist()[:1]


def test_neuroids_without_a_region_are_not_the_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Outside every region the coordinate may be an empty string; its draws are its own."""
    for name, value in (("one", 0.5), ("two", 0.4)):
        stored(tmp_path, result(name, 0.9, regions={"": summary(value, draws_of(value))}))
    table = compare_results(tmp_path)
    assert table["p"].tolist() == [1.0, pytest.approx(2 / (N_DRAWS + 1))]
    assert table["region"].tolist()[1] == ""
    assert len(compare_results(tmp_path, Selection(regions=("",)))) == 1
    print_pairs(table)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:6] == [
        "all: less two .900", "  one   .900        .000  [.000, .000]  1.000  1.000",
        "(no region): less two .400", "  one   .500        .100  [.100, .100]   .004   .008",
    ]  # fmt: skip


def test_one_result_on_disk_and_in_memory_is_no_difference(folder: Path) -> None:
    """Draws are stored in single precision: what was scored now and what was read are alike to the last bit."""
    [read] = [Result.model_validate_json(path.read_bytes()) for path in folder.rglob("fair*/*/result.json")]
    twin = THREE[1].model_copy(update={"model": "twin"})
    table = compare_results([read, twin], Selection(regions=("all",)), folder)
    assert table["p"].tolist() == [1.0]
    assert table[["interval_low", "interval_high"]].values.tolist() == [[0.0, 0.0]]


def test_a_damaged_file_of_scores_is_listed(folder: Path) -> None:
    next(folder.rglob("fair*/*/scores.nc")).write_bytes(b"damaged")
    table = compare_results(folder)
    assert pairs(table) == [("good", "same")] * 3
    [reason] = table["reason"].dropna()
    assert "scores.nc is not what was written" in reason


def test_an_interval_without_draws_is_listed(folder: Path) -> None:
    """An interval may come from a formula; the file of scores then holds no draws."""
    path = next(folder.rglob("fair*/*/result.json"))
    fair = Result.model_validate_json(path.read_bytes())
    digest = write_netcdf(path.with_name("scores.nc"), xr.Dataset({"r": 0.5}))
    write_record(path, fair.model_copy(update={"scores_sha256": digest}))
    table = compare_results(folder)
    assert table["reason"].dropna().str.contains("'k' gives no draws").tolist() == [True] * 3


def test_no_results(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no results folder"):
        compare_results(tmp_path / "absent")
    with pytest.raises(StoreError, match="no results to compare"):
        compare_results(tmp_path)


# --- more draws of one seed -------------------------------------------------------------------------------------------


def test_the_draws_that_both_have_are_used() -> None:
    """More draws of one seed begin with those of fewer, so that the pair is compared on the first ones alone."""
    more, fewer = draws_of(0.7, 1), draws_of(0.5, 2)[:200]
    one = result("one", summary=summary(0.7, more))
    table = compare_results([one, result("two", summary=summary(0.5, fewer))])
    difference = np.float32(more[:200]).astype(float) - np.float32(fewer)
    assert table["n_draws"].tolist() == [200]
    assert table[["interval_low", "interval_high"]].values[0] == pytest.approx(np.percentile(difference, [2.5, 97.5]))
    assert table["p"].tolist() == pytest.approx([2 / 201])
    swapped = compare_results([result("two", summary=summary(0.5, fewer)), one])
    assert swapped["interval_low"].tolist() == table["interval_low"].tolist()


def test_the_smallest_p_of_each_number_of_draws_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Thousands of draws can say a p that three digits cannot show."""
    n = 9999
    many = {name: list(value + 0.01 * np.random.default_rng(0).standard_normal(n)) for name, value in
            (("good", 0.7), ("fair", 0.5))}  # fmt: skip
    results = [result(name, summary=summary(draws[0], draws)) for name, draws in many.items()]
    print_pairs(compare_results([*results, result("few", summary=summary(0.1, draws_of(0.1)))]))
    text = in_a_line(capsys.readouterr().out)
    assert "smallest p: .0040 with 500 draws and .0002 with 9999 draws" in text
    assert re.search(r"fair \.\d+ \.200 \[\.200, \.200\] \.0002 ", text)


def test_an_error_is_listed_with_the_smallest_first() -> None:
    results = [result(name, summary=summary(value, draws_of(value), statistic="mse", better="lower"))
               for name, value in (("bad", 3.0), ("best", 0.5))]  # fmt: skip
    assert pairs(compare_results(results)) == [("best", "bad")]


def in_a_line(text: str) -> str:
    """A printed text without its ends of lines and indents."""
    return " ".join(text.split())


# --- printing ---------------------------------------------------------------------------------------------------------


def test_tables_say_what_the_numbers_rest_on(capsys: pytest.CaptureFixture[str]) -> None:
    many = [result(f"model{place}", 0.5 + place / 100, own=place) for place in range(12)]
    optimistic = result("deep", summary=summary(0.9, draws_of(0.9), layer_rule="optimistic", n_layers_searched=30))
    print_pairs(compare_results([*many, optimistic, result("bare", summary=summary(0.6))]))
    text = in_a_line(capsys.readouterr().out)
    assert text.startswith("b r, pooled, 24 stimuli")
    assert "interval over stimuli; smallest p: .004 with 500 draws; q: Benjamini-Hochberg over these 78 tests" in text
    assert "at least 7 tests at the smallest p" in text  # 78 × .00399 / 7 ≤ .05 < 78 × .00399 / 6
    assert "among different numbers of layers" in text
    assert "not comparable: bare@fixed × b: the metric 'k' gives no draws" in text
    print_pairs(compare_results(THREE))
    text = in_a_line(capsys.readouterr().out)
    assert "at least" not in text
    assert "participants" not in text
    few = {"target": "participant", "n_subjects": 8, "resampled": "stimuli × participants"}
    print_pairs(compare_results([result(name, summary=summary(0.5, draws_of(0.5), **few)) for name in ("one", "two")]))
    assert "8 participants are few" in in_a_line(capsys.readouterr().out)


def test_results_of_one_name_are_told_apart_by_their_digest(capsys: pytest.CaptureFixture[str]) -> None:
    again = result("good", 0.6, own=7).model_copy(update={"digest": "f" * 64})
    print_pairs(compare_results([*THREE, again]))
    text = capsys.readouterr().out
    assert "good [ffffffff]" in text
    assert "good [good-b-0]" in text
    assert "fair [" not in text


def test_json_and_csv_hold_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    table = compare_results([*THREE, result("bare", summary=summary(0.6))])
    print_pairs_json(table)
    rows = json.loads(capsys.readouterr().out)
    assert list(rows[0]) == list(table.columns)
    assert [row["q"] is None for row in rows] == [False, False, False, True]
    assert (rows[0]["n_draws"], rows[0]["n_subjects"], rows[3]["n_draws"]) == (N_DRAWS, None, None)
    assert rows[0]["difference"] == pytest.approx(0.2)
    print_pairs_csv(table)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == ",".join(table.columns)
    assert len(lines) == 5


# --- from the command line --------------------------------------------------------------------------------------------


def test_models_that_were_really_scored(isocortex: Any, tmp_path: Path) -> None:
    """Difference and interval of each pair from result.json and scores.nc, read without the code under test."""
    data = image_folder(tmp_path / "mine")
    names = ["pixels", "category", "noise@random:0"]
    arguments = [word for name in names for word in ("-m", name)]
    done = isocortex("score", *arguments, "-b", f"folder:{data}:ridge")
    assert done.returncode == 0, done.stderr
    done = isocortex("compare", "-b", "mine.ridge", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    values: dict[str, float] = {}
    draws: dict[str, np.ndarray] = {}
    for path in (tmp_path / "results").rglob("result.json"):
        record = json.loads(path.read_text())
        name = f"{record['model']}@{record['variant']}"
        values[name] = record["summary"]["value"]
        with xr.open_dataset(path.with_name("scores.nc")) as scores:
            draws[name] = scores["draws"].sel(row="all").values.astype(float)
    ordered = sorted(values, key=lambda name: -values[name])
    assert [(row["model_a"], row["model_b"]) for row in rows] == list(combinations(ordered, 2))
    for row in rows:
        assert row["difference"] == pytest.approx(values[row["model_a"]] - values[row["model_b"]], abs=1e-12)
        difference = draws[row["model_a"]] - draws[row["model_b"]]
        expected = np.quantile(difference, [0.025, 0.975])
        assert (row["interval_low"], row["interval_high"]) == pytest.approx(tuple(expected), abs=1e-9)
        assert row["p"] == pytest.approx(min(1, 2 * (1 + (difference <= 0).sum()) / 1001))
        assert row["q"] >= row["p"]
    again = compare_results(tmp_path / "results", Selection(against="pixels", benchmarks=("mine.*",)))
    assert set(again["model_b"]) == {"pixels@fixed"}
