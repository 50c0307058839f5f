"""Rank correlations between benchmarks over models: against scipy, and what is left out."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from isocortex.errors import UsageError
from isocortex_report import agreement
from isocortex_report.figures.families import drawn_counts, family_draws, kendall
from isocortex_report.rank_agreement import OTHER_DATA, SAME_BENCHMARK, SAME_DATA, correlations
from plugins.report.tests.results_for_figures import failed, result, summary, write
from tests.command_line import run_in_process

NAMES = [f"{'abcdef'[n // 2] * 3}{n}" for n in range(12)]  # six families of two


def made(values: dict[str, dict[str, float | None]], **fields) -> list:
    """Results of benchmarks "DATA.METRIC" → model → value."""
    return [
        result(model, benchmark=name, dataset=name.partition(".")[0], summary=summary(value, 1), **fields)
        for name, own in values.items()
        for model, value in own.items()
    ]


def numbers(seed: int, names=NAMES, digits: int = 1) -> dict[str, float]:
    """Values with ties."""
    return dict(zip(names, np.random.default_rng(seed).standard_normal(len(names)).round(digits).tolist(), strict=True))


def pair(found, a: str, b: str):
    return next(row for row in found.frame.itertuples() if (row.benchmark_a, row.benchmark_b) == (a, b))


@pytest.mark.parametrize("seed", range(6))
def test_tau_b_and_rho_are_those_of_scipy_with_ties(seed: int) -> None:
    first, second = numbers(seed), numbers(seed + 100, digits=seed % 2)
    row = pair(agreement(made({"a.ridge": first, "b.ridge": second})), "a.ridge", "b.ridge")
    x, y = list(first.values()), list(second.values())
    assert len(set(y)) < len(y), "there are ties"
    assert row.tau_b == pytest.approx(kendalltau(x, y, variant="b").statistic, abs=1e-12)
    assert row.rho == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    assert (row.n_models, row.n_families, row.relation) == (12, 6, OTHER_DATA)


def test_tau_of_samples_is_that_of_scipy_on_models_that_are_there_twice() -> None:
    stream = np.random.default_rng(3)
    x, y = stream.standard_normal(10).round(1), stream.standard_normal(10).round(1)
    families = list("aabbccddee")
    found = kendall(x, y, drawn_counts(families, 50))
    expected = [kendalltau(x[places], y[places]).statistic for places in family_draws(families, 50)]
    assert found == pytest.approx(np.array(expected), abs=1e-12, nan_ok=True)
    drawn = [kendalltau(x[places], y[places]).statistic for places in family_draws(families)]
    row = correlations(x, y, families)
    assert (row["tau_b_low"], row["tau_b_high"]) == pytest.approx(np.nanquantile(drawn, [0.025, 0.975]), abs=1e-12)


def test_errors_are_turned_and_ceilings_change_nothing() -> None:
    values = numbers(0, digits=6)
    results = made({"a.ridge": values})
    errors = [
        result(name, benchmark="b.ridge", summary=summary(-value, 1, statistic="mse", better="lower", ceiling=0.3, ceiled=-value / 0.3))  # noqa: E501
        for name, value in values.items()
    ]  # fmt: skip
    row = pair(agreement([*results, *errors]), "a.ridge", "b.ridge")
    assert (row.tau_b, row.rho) == (1.0, pytest.approx(1.0))
    assert np.isnan(row.tau_b_low)
    assert "same in every draw" in row.interval


def test_a_pair_counts_the_models_that_both_have_and_none_below_five() -> None:
    first, second = numbers(0), numbers(1)
    few = {name: second[name] for name in NAMES[8:]}
    some = {name: value for name, value in second.items() if name != NAMES[0]} | {NAMES[1]: None, "zzz": 0.3}
    found = agreement([*made({"a.ridge": first, "a.rsa": some, "c.few": few}), failed("aaa0", benchmark="a.rsa")])
    both = pair(found, "a.ridge", "a.rsa")
    shared = NAMES[2:]
    expected = kendalltau([first[name] for name in shared], [some[name] for name in shared]).statistic
    assert (both.n_models, both.n_models_a, both.n_models_b, both.relation) == (10, 12, 11, SAME_DATA)
    assert both.tau_b == pytest.approx(expected, abs=1e-12)
    none = pair(found, "a.ridge", "c.few")
    assert (none.n_models, none.reason) == (4, "4 models in common, and 5 are needed")
    assert np.isnan(none.tau_b)
    assert np.isnan(none.rho)
    assert found.averages["all"].n_models == 4
    assert not found.averages["all"].rows, "no mean over models that differ from pair to pair"
    assert found.said == (f"a.rsa: {NAMES[1]} have no value and are left out of it.",)


def test_a_mean_is_over_the_models_that_all_have() -> None:
    values = {name: numbers(seed) for seed, name in enumerate(("a.ridge", "b.ridge", "c.ridge"))}
    values["c.ridge"] = {name: value for name, value in values["c.ridge"].items() if name not in NAMES[:3]}
    found = agreement(made(values)).averages["all"]
    sides = [[own[name] for name in NAMES[3:]] for own in values.values()]
    expected = np.mean([kendalltau(sides[0], side).statistic for side in sides[1:]])
    assert (found.n_models, found.n_rankings) == (9, 3)
    assert found.rows[0][:2] == ("a.ridge, r", pytest.approx(expected, abs=1e-12))


def test_controls_and_other_versions_are_left_out_and_named() -> None:
    first, second = numbers(0), numbers(1)
    results = made({"a.ridge": first, "b.ridge": second})
    old = made({"b.ridge": {"old-net": 0.9}}, digests={"dataset": "before", "stimuli": "s", "metric": "m", "benchmark": "b"})  # noqa: E501  # fmt: skip
    here_too = made({"a.ridge": {"old-net": -0.9}})
    noise = [result("noise", 0.99, f"random:{seed}", benchmark=name) for name in ("a.ridge", "b.ridge") for seed in range(3)]  # noqa: E501  # fmt: skip
    found = agreement([*results, *old, *here_too, *noise])
    row = pair(found, "a.ridge", "b.ridge")
    assert row.tau_b == pytest.approx(kendalltau([*first.values()], [*second.values()]).statistic, abs=1e-12)
    assert (row.n_models, row.n_models_a) == (12, 13)
    assert [text.split(" ")[0] for text in found.said] == ["Controls", "b.ridge:"]
    assert "old-net" in found.said[1]
    with_noise = pair(agreement([*results, *noise], controls=True), "a.ridge", "b.ridge")
    assert with_noise.n_models == 13, "three seeds of a control are one model"


def test_measures_of_one_benchmark_and_flat_ones() -> None:
    values = numbers(0, digits=6)
    results = [
        result(name, summary=summary(value, 1, also={"mse": value, "cka": 0.5})) for name, value in values.items()
    ]  # fmt: skip
    found = agreement(results, also=True).frame
    assert found["relation"].tolist() == [SAME_BENCHMARK] * 3
    assert found["tau_b"].tolist()[0] == -1.0, "an error that grows with r"
    assert found["reason"].tolist()[1:] == ["all 12 models have the same value of made.ridge, cka"] * 2
    with pytest.raises(UsageError, match="no two rankings"):
        agreement(results)


def test_the_command_prints_tables_csv_and_json(tmp_path: Path) -> None:
    values = {name: numbers(seed, digits=6) for seed, name in enumerate(("a.ridge", "b.ridge", "c.rsa"))}
    values["c.rsa"] = dict(list(values["c.rsa"].items())[:4])
    folder = write(tmp_path / "results", made(values))
    frame = agreement(folder).frame
    as_csv = run_in_process(("agreement", str(folder), "--csv"), tmp_path, {})
    rows = list(csv.DictReader(io.StringIO(as_csv.stdout)))
    assert [float(row["tau_b"] or "nan") for row in rows] == pytest.approx(frame["tau_b"].tolist(), nan_ok=True)
    as_json = json.loads(run_in_process(("agreement", str(folder), "--json"), tmp_path, {}).stdout)
    assert [row["rho"] for row in as_json] == [pytest.approx(frame["rho"][0]), None, None]
    assert as_json[1]["reason"] == "4 models in common, and 5 are needed"
    shown = run_in_process(("agreement", str(folder)), tmp_path, {}).stdout
    assert f"{frame['tau_b'][0]:.2f} [" in shown
    assert "12 of 6 families" in shown
    assert "No mean over pairs" in shown
    refused = run_in_process(("agreement", str(folder), "-b", "a.ridge"), tmp_path, {})
    assert refused.returncode == 2
    assert "score a second benchmark" in refused.stderr


@pytest.mark.long
def test_intervals_over_ten_families_hold_the_truth() -> None:
    """A cell of the table in docs/methods/agreement.md: 10 families of 3, correlation .6, 60 samples of 400."""
    stream = np.random.default_rng([10, 3, 60])
    families = [f"f{place}" for place in range(10) for _ in range(3)]
    root = np.linalg.cholesky(np.array([[1.0, 0.6], [0.6, 1.0]]))

    def sample() -> tuple[np.ndarray, np.ndarray]:
        of_families, of_models = stream.standard_normal((10, 2)) @ root.T, stream.standard_normal((30, 2)) @ root.T
        values = np.sqrt(0.7) * np.repeat(of_families, 3, axis=0) + np.sqrt(0.3) * of_models
        return values[:, 0], values[:, 1]

    truth = np.mean([kendalltau(*sample()).statistic for _ in range(1000)])
    found = [correlations(*sample(), families) for _ in range(60)]
    held = np.mean([row["tau_b_low"] <= truth <= row["tau_b_high"] for row in found])
    assert 0.87 <= held <= 1.0
