"""What single kinds of figures draw, against scipy, simulation and enumeration."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

import isocortex
from isocortex.results import Result
from isocortex.scoring import NESTED, Stage, by_participant, subject_codes
from isocortex_report.figures import KINDS, Figure, Material, figures_of
from isocortex_report.figures.families import family_draws, with_interval
from isocortex_report.figures.neuroids import equal_quantiles
from isocortex_report.figures.stages import shuffled_depths
from plugins.report.tests.results_for_figures import curve, neuroid_scores, result, summary, write_with_scores

SUBJECTS = [f"S{n % 4}" for n in range(40)]


def one(results: list[Result], kind: str, folder: Path | None = None) -> Figure:
    (figure,) = figures_of(results, folder, [kind])
    figure.svg()
    return figure


def scored(folder: Path, model: str, readout: np.ndarray, reliability: float = 0.64, **more) -> Result:
    """A result whose value is that of its raw scores, and its ceiling √reliability."""
    values = by_participant(readout.mean(axis=0), subject_codes(SUBJECTS, 40))
    row = summary(float(values.mean()), len(model), ceiling=reliability**0.5, **more)
    scores = neuroid_scores(readout, reliability=np.full(40, reliability))
    return write_with_scores(folder, result(model, summary=row), scores)


# --- neuroids ---------------------------------------------------------------------------------------------------------


def test_participants_of_a_ranking_are_those_whose_mean_is_the_value(tmp_path: Path) -> None:
    readout = np.random.default_rng(0).normal(0.4, 0.1, (6, 40)).astype(np.float32)
    kept = scored(tmp_path, "net-a", readout)
    people = one([kept], "ranking", tmp_path).frame.query("mark == 'participant'")
    expected = [np.median(readout.mean(axis=0)[np.arange(40) % 4 == n]) for n in range(4)]
    assert people["participant"].tolist() == ["S0", "S1", "S2", "S3"]
    assert people["value"].tolist() == pytest.approx(expected, abs=1e-6)
    other = kept.model_copy(update={"summary": summary(0.9)})
    assert not (one([other], "ranking", tmp_path).frame["mark"] == "participant").any(), (
        "another aggregate is not guessed"
    )


def test_paired_dots_are_the_means_over_splits_of_both_models(tmp_path: Path) -> None:
    stream = np.random.default_rng(1)
    readouts = {name: stream.normal(at, 0.1, (6, 40)).astype(np.float32) for name, at in (("best", 0.6), ("next", 0.3))}
    figure = one([scored(tmp_path, name, values) for name, values in readouts.items()], "paired", tmp_path)
    assert figure.frame["label_a"].unique().tolist() == ["best"]
    for side, name in (("a", "best"), ("b", "next")):
        assert figure.frame[f"value_{side}"].tolist() == pytest.approx(readouts[name].mean(axis=0).tolist(), abs=1e-6)
    n_above = int((readouts["best"].mean(axis=0) > readouts["next"].mean(axis=0)).sum())
    assert f"best is better: {n_above} of 40" in figure.note


def test_the_spread_of_equal_neuroids_is_that_of_simulated_ones() -> None:
    """Neuroids of different reliability, all predicted with ρ = .7; five disjoint test sets of 33 stimuli."""
    stream = np.random.default_rng(2)
    roots, n_sets, n_test = np.sqrt(stream.uniform(0.2, 0.95, 4000)), 5, 33
    rho = 0.7 * roots
    prediction = stream.standard_normal((n_sets, n_test, 4000))
    noise = stream.standard_normal((n_sets, n_test, 4000))
    response = rho * prediction + np.sqrt(1 - rho**2) * noise
    centred = [values - values.mean(axis=1, keepdims=True) for values in (prediction, response)]
    norms = [np.sqrt((values**2).sum(axis=1)) for values in centred]
    drawn = ((centred[0] * centred[1]).sum(axis=1) / norms[0] / norms[1]).mean(axis=0)
    expected = equal_quantiles(0.7, roots, n_test, n_sets * n_test).ravel()
    levels = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    np.testing.assert_allclose(np.quantile(expected, levels), np.quantile(drawn, levels), atol=0.012)


def test_equal_neuroids_have_no_line_where_the_reliability_is_not_that_of_the_ceiling(tmp_path: Path) -> None:
    readout = np.random.default_rng(3).normal(0.4, 0.1, (6, 40)).astype(np.float32)
    kept = scored(tmp_path / "a", "net-a", readout)
    figure = one([kept], "neuroids", tmp_path / "a")
    assert "line: neuroids that are all predicted equally well" in figure.note
    bins, line = (figure.frame[figure.frame["mark"] == mark] for mark in ("bin", "equal neuroids"))
    assert bins["value"].sum() == 40
    width = (bins["high"] - bins["low"]).iloc[0]
    assert (line["value"] * (line["high"] - line["low"]) / width).sum() == pytest.approx(40, rel=1e-6)
    other = scored(tmp_path / "b", "net-a", readout)
    other = other.model_copy(update={"summary": other.summary.model_copy(update={"ceiling": 0.7})})
    figure = one([other], "neuroids", tmp_path / "b")
    assert "the reliability in the scores is not that of the ceiling" in figure.note
    assert not (figure.frame["mark"] == "equal neuroids").any()


# --- stages -----------------------------------------------------------------------------------------------------------


def test_shuffled_layers_against_all_orders() -> None:
    best = np.zeros((4, 3, 2))
    best[[0, 1, 1, 3, 1, 2], [0, 1, 2, 0, 1, 2], [0, 0, 0, 1, 1, 1]] = 1
    shares = best.mean(axis=(1, 2))
    every = np.array([np.dot(np.array(order) / 3, shares) for order in permutations(range(4))])
    drawn = shuffled_depths(best, 20_000)
    assert drawn.mean() == pytest.approx(0.5, abs=0.01)
    places = [np.unique(np.round(values, 9), return_counts=True) for values in (drawn, every)]
    assert places[0][0].tolist() == places[1][0].tolist()
    np.testing.assert_allclose(places[0][1] / 20_000, places[1][1] / 24, atol=0.012)


def test_a_stage_map_has_the_shares_that_give_the_stage(tmp_path: Path) -> None:
    selection = np.random.default_rng(4).normal(0, 1, (5, 6, 40)).astype(np.float32)
    regions = np.array(["V1"] * 20 + ["IT"] * 20)
    scores = neuroid_scores(selection[0], selection, region=regions)

    def row(inside: np.ndarray) -> tuple[np.ndarray, Stage]:
        codes = subject_codes(np.array(SUBJECTS)[inside].tolist(), int(inside.sum()))
        best = np.stack([by_participant(layer[:, inside].astype(float), codes) for layer in selection]).argmax(axis=0)
        return best, Stage(value=float(best.mean() / 4), procedure=NESTED, n_layers=5)

    places = {"V1": regions == "V1", "IT": regions == "IT"}
    parts = {name: summary(0.4, 1, stage=row(inside)[1], **curve([0.1] * 5)) for name, inside in places.items()}
    whole = summary(0.4, 1, stage=row(regions != "")[1], **curve([0.1] * 5))
    kept = write_with_scores(tmp_path, result("net-a", summary=whole, regions=parts), scores)
    frame = one([kept], "stages", tmp_path).frame
    for name, inside in places.items():
        found = frame[(frame["region"] == name) & (frame["mark"] == "share")]
        counts = np.bincount(row(inside)[0].ravel(), minlength=5) / row(inside)[0].size
        assert dict(zip(found["place"], found["share"], strict=True)) == pytest.approx({n: c for n, c in enumerate(counts) if c})  # noqa: E501  # fmt: skip
        stage = frame[(frame["region"] == name) & (frame["mark"] == "stage")]["value"].item()
        assert stage == parts[name].stage.value
        assert (found["depth"] * found["share"]).sum() == pytest.approx(stage)
    moved = kept.model_copy(update={"regions": {"V1": parts["V1"].model_copy(update={"stage": Stage(value=0.9, procedure=NESTED, n_layers=5)})}})  # noqa: E501  # fmt: skip
    marks = one([moved], "stages", tmp_path).frame.query("region == 'V1'")["mark"].tolist()
    assert marks == ["stage"], "choices that do not give the stage are not drawn"


# --- models -----------------------------------------------------------------------------------------------------------


def family(name: str, n_models: int, offset: float = 0.0) -> list[tuple[str, float]]:
    return [(f"{name}-{n}", offset + 0.02 * n) for n in range(n_models)]


def test_intervals_are_over_families_and_not_over_models() -> None:
    stream = np.random.default_rng(5)
    families = [f"f{n // 5}" for n in range(30)]
    level = np.repeat(stream.standard_normal(6), 5)
    x, y = level + 0.01 * stream.standard_normal(30), np.repeat(stream.standard_normal(6), 5) + 0.01 * stream.standard_normal(30)  # noqa: E501  # fmt: skip
    rho, low, high = with_interval(x, y, families)
    assert rho == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    drawn = [spearmanr(x[places], y[places]).statistic for places in family_draws(families)[:200]]
    assert (low, high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.12)
    as_models = with_interval(x, y, [f"m{n}" for n in range(30)])
    assert high - low > 1.3 * (as_models[2] - as_models[1]), "models of one family are no replicates"
    assert np.isnan(with_interval(x[:10], y[:10], families[:10])[1]), "two families have no interval"
    assert {len(set(np.array(families)[places])) <= 6 for places in family_draws(families)} == {True}


def tagged(n_families: int, monkeypatch: pytest.MonkeyPatch) -> Figure:
    models = [model for n in range(n_families) for model in family(f"fam{chr(97 + n)}", 2, 0.03 * n)]
    numbers = {name: {"top1": 0.5 + 0.01 * place} for place, (name, _) in enumerate(models)}
    monkeypatch.setattr(Material, "numbers", numbers)
    return one([result(name, value) for name, value in models] + [result("noise", 0.9, "random:0")], "tags")


def test_a_tag_has_a_line_from_ten_families_on_and_no_controls(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = tagged(9, monkeypatch), tagged(10, monkeypatch)
    assert few.frame["mark"].tolist() == ["model"] * 18
    assert "no line below 10 families" in few.note
    assert many.frame["mark"].tolist() == ["model"] * 20 + ["line"] * 2
    models, line = (many.frame[many.frame["mark"] == mark] for mark in ("model", "line"))
    slope, offset = np.polyfit(models["x"], models["value"], 1)
    assert line["value"].tolist() == pytest.approx((slope * line["x"] + offset).tolist())
    rho = spearmanr(models["x"], models["value"]).statistic
    assert f"Spearman's ρ {rho:.2f}".replace(" 0.", " .").replace(" 1.00", " 1.00") in many.note
    assert "20 models of 10 families" in many.note


def test_benchmarks_agree_over_the_models_that_both_have() -> None:
    stream = np.random.default_rng(6)
    names = [name for n in range(4) for name, _ in family(f"fam{chr(97 + n)}", 3)]
    values = {bench: stream.random(12) for bench in ("a.ridge", "b.rsa", "c.few")}
    results = [
        result(name, benchmark=bench, summary=summary(float(values[bench][place]), place, statistic="mse" if bench == "b.rsa" else "r"))  # noqa: E501
        for bench in values
        for place, name in enumerate(names)
        if (bench, place) not in {("b.rsa", 0), ("b.rsa", 1)} and (bench != "c.few" or place < 9)
    ]  # fmt: skip
    figure = one([*results, *(result("noise", 0.99, "random:0", benchmark=bench) for bench in values)], "agreement")
    cells = {(row.benchmark_a, row.benchmark_b): row for row in figure.frame.itertuples()}
    both = cells["a.ridge", "b.rsa"]
    expected = -spearmanr(values["a.ridge"][2:], values["b.rsa"][2:]).statistic  # less is better in one of them
    assert (both.n_models, both.n_families, both.rho) == (10, 4, pytest.approx(expected, abs=1e-12))
    assert cells["a.ridge", "c.few"].n_models == 9
    few = cells["b.rsa", "c.few"]
    assert few.n_models == 7
    assert np.isnan(few.rho), "no cell below eight models"


def test_the_triangle_has_the_q_of_compare() -> None:
    results = [result(f"net-{n:02}", 0.2 + 0.03 * n) for n in range(14)]
    frame = one(results, "pairs").frame
    table = isocortex.compare(results)
    assert len(frame) == len(table) == 91
    names = table["model_a"].str.removesuffix("@pretrained"), table["model_b"].str.removesuffix("@pretrained")
    expected = {frozenset(pair): q for *pair, q in zip(*names, table["q"], strict=True)}
    assert {frozenset((row.label_a, row.label_b)): row.q for row in frame.itertuples()} == pytest.approx(expected)
    assert not list(figures_of(results[:12], None, ["pairs"]))
    assert not list(figures_of([result(f"net-{n:02}") for n in range(41)], None, ["pairs"])), "too many to find any"


def test_regions_share_one_axis_and_coordinates_are_apart() -> None:
    parts = {"region=V1": 0.3, "region=IT": 0.5, "hemisphere=lh": 0.4, "hemisphere=rh": 0.41}
    kept = result("net-a", regions={name: summary(value, 2) for name, value in parts.items()})
    figures = list(figures_of([kept], None, ["regions"]))
    assert [figure.frame["region"].tolist() for figure in figures] == [list(parts)[:2], list(parts)[2:]]
    assert [figure.frame["value"].tolist() for figure in figures] == [[0.3, 0.5], [0.4, 0.41]]
    assert [figure.title.split()[4] for figure in figures] == ["region", "hemisphere"]


def test_every_kind_has_a_plot_and_says_what_it_needs() -> None:
    from isocortex_report import plot

    assert sorted(KINDS) == sorted(plot.__all__)
    assert all(kind.needs.endswith(".") and kind.question.endswith("?") for kind in KINDS.values())


# --- beside rsatoolbox ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "metric", "settings"), [("spearman", "rsa", {}), ("corr", "rsa", {"comparison": "pearson", "ceiling_average": "rank"})])  # noqa: E501  # fmt: skip
def test_the_ranking_has_the_dots_and_the_ceiling_of_rsatoolbox(method, metric, settings) -> None:
    """Its ``plot_model_comparison`` drew the same patterns; the heights were read off its axes."""
    import xarray as xr

    from isocortex.data import make_responses

    golden = json.loads(Path(__file__).with_name("rsatoolbox_plot.json").read_text(encoding="utf-8"))
    ids = [f"s{n:02}" for n in range(14)]
    patterns = np.concatenate([np.array(values) for values in golden["participants"]], axis=1)
    subjects = [f"P{n}" for n, values in enumerate(golden["participants"]) for _ in values[0]]
    responses = make_responses(patterns, ids, neuroid={"subject": subjects})
    comparison = isocortex.load_metric(metric).against(responses, settings=settings)
    results = []
    for name, values in golden["models"].items():
        layer = xr.DataArray(np.array(values), dims=("stimulus_id", "unit"), coords={"stimulus_id": ids})
        results.append(result(name, summary=comparison.summarise(comparison.score(layer))))
    figure = one(results, "ranking")
    drawn = dict(zip(golden["models"], golden["drawn"][method]["heights"], strict=True))
    ax = figure.draw()
    heights = {text.get_text(): line.get_xdata()[0] for text, line in zip(ax.get_yticklabels(), [line for line in ax.lines if line.get_gid()], strict=False)}  # noqa: E501  # fmt: skip
    assert heights == pytest.approx(drawn, abs=1e-6)
    (band,) = ax.patches
    assert [band.get_x(), band.get_x() + band.get_width()] == pytest.approx(
        golden["drawn"][method]["ceiling"], abs=1e-6
    )
