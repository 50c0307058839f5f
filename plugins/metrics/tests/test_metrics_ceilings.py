"""The key ``ceiling`` of a row: which estimator a benchmark's row picks, and that it changes nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import isocortex
from isocortex.activations import Activations
from isocortex.data import make_responses
from isocortex.errors import DataError, SettingsError
from isocortex.scoring.contract import Preparation, Rules
from isocortex.scoring.summary import by_region
from isocortex_metrics.ceilings.reliability import reliability
from isocortex_metrics.ceilings.split_half import split_half_reliability
from tests.third_party.install import write_package

N_STIMULI, N_PEOPLE = 30, 3
REGIONS = ("A", "A", "B", "B")
PEOPLE = [f"p{person}" for person in range(N_PEOPLE)]


def recorded(n_repetitions: int = 4) -> tuple[xr.DataArray, Activations]:
    """Three people with two neuroids in A and two in B; the last has no B."""
    stream = np.random.default_rng(5)
    features = stream.standard_normal((N_STIMULI, 6))
    signal = np.concatenate([features @ stream.standard_normal((6, 4)) for _ in range(N_PEOPLE)], axis=1)[:, :-2]
    values = signal + stream.standard_normal((n_repetitions, *signal.shape))
    about = {
        "subject": [f"p{person}" for person in range(N_PEOPLE) for _ in REGIONS][:-2],
        "region": [*(N_PEOPLE * REGIONS)][:-2],
    }
    ids = [f"s{number}" for number in range(N_STIMULI)]
    return make_responses(values, ids, neuroid=about), Activations("layer", ids, [features])


def compared(metric: str, responses: xr.DataArray, **rules: str):
    asked = Rules(ceiling_mode="r_over_sqrt_c", summary_by=("region",), n_draws=20, **rules)
    return isocortex.load_metric(metric).against(responses, preparation=Preparation(asked))


def halves_of(responses: xr.DataArray) -> np.ndarray:
    return split_half_reliability(responses.values, responses["stimulus_id"].values.astype(str))


@pytest.mark.parametrize("metric", ["ridge", "pca-ridge"])
def test_halves_give_the_ceiling_and_change_no_score(metric: str) -> None:
    responses, layer = recorded()
    default, halves = compared(metric, responses), compared(metric, responses, ceiling="split-half")
    xr.testing.assert_identical(default.score(layer), halves.score(layer))
    c = halves_of(responses)
    np.testing.assert_allclose(halves.ceiling.value, np.sign(c) * np.sqrt(np.abs(c)), atol=1e-12)
    of_pairs = reliability(responses.values.reshape(4, N_STIMULI, -1))
    np.testing.assert_allclose(default.ceiling.value, np.sqrt(of_pairs), atol=1e-12)
    assert np.abs(halves.ceiling.value - default.ceiling.value).max() > 0
    summary, plain = (one.summarise(one.score(layer)) for one in (halves, default))
    assert summary.ceiling_estimator == "square root of the split-half reliability, 100 random halvings"
    assert summary.ceiled == pytest.approx(summary.value / summary.ceiling)
    assert (summary.value, summary.also) == (plain.value, plain.also), "noise correction stays as it was"


def test_outputs_and_added_variance_have_it_too() -> None:
    responses, _ = recorded()
    c = halves_of(responses)
    found = compared("identity", responses, ceiling="split-half").ceiling
    np.testing.assert_allclose(found.value, np.sign(c) * np.sqrt(np.abs(c)), atol=1e-12)
    found = compared("unique-variance", responses, ceiling="split-half").ceiling
    assert (found.statistic, found.estimator) == ("joint_r2", "split-half reliability, 100 random halvings")
    np.testing.assert_allclose(found.value, c, atol=1e-12)
    with pytest.raises(
        SettingsError, match=r"ceiling = 'inter-subject' is not offered .* It has 'repetitions', 'split-half'"
    ):
        compared("unique-variance", responses, ceiling="inter-subject")


def band(responses: xr.DataArray, regions: tuple[str, ...]) -> tuple[float, float]:
    """Leave-one-participant-out and whole-group correlations of region means, by numpy in loops."""
    people = list(dict.fromkeys(responses["subject"].values))
    lower, upper = [], []
    for region in regions:
        of_region = responses.isel(neuroid=np.flatnonzero(responses["region"].values == region))
        means = []
        for person in people:
            own = of_region.values[:, of_region["subject"].values == person]
            mean = own.reshape(-1, N_STIMULI, own.shape[1]).mean(axis=(0, 2))
            means.append((mean - mean.mean()) / mean.std())
        for place, mean in enumerate(means):
            others = np.mean([one for number, one in enumerate(means) if number != place], axis=0)
            lower.append(np.corrcoef(mean, others)[0, 1])
            upper.append(np.corrcoef(mean, np.mean(means, axis=0))[0, 1])
    return float(np.mean(lower)), float(np.mean(upper))


@pytest.mark.parametrize("n_repetitions", [1, 3])
def test_participants_give_a_band_to_the_whole_and_to_each_region(n_repetitions: int) -> None:
    responses, layer = recorded(n_repetitions)
    comparison = compared("ridge", responses, ceiling="inter-subject")
    scores = comparison.score_all({"layer": layer})
    whole, rows = comparison.summarise(scores), by_region(comparison, scores)
    assert (whole.ceiling, whole.ceiled) == (None, None), "a band is no divisor"
    assert whole.ceiling_estimator == "inter-subject correlation by region, standardised averages"
    expected = band(responses, ("A",))  # the one region that all have
    assert (whole.ceiling_lower, whole.ceiling_upper) == pytest.approx(expected, abs=1e-12)
    assert (rows["A"].ceiling_lower, rows["A"].ceiling_upper) == pytest.approx(expected, abs=1e-12)
    of_two = responses.isel(neuroid=np.flatnonzero(responses["subject"].values != "p2"))
    expected = band(of_two, ("B",))
    assert (rows["B"].ceiling_lower, rows["B"].ceiling_upper) == pytest.approx(expected, abs=1e-12)
    assert (whole.also.get("r2_corrected") is None) == (n_repetitions == 1)


def test_a_region_of_one_participant_has_no_band() -> None:
    responses, layer = recorded()
    alone = responses.isel(neuroid=np.flatnonzero((responses["region"] == "A") | (responses["subject"] == "p0")))
    comparison = compared("ridge", alone, ceiling="inter-subject")
    row = by_region(comparison, comparison.score_all({"layer": layer}))["B"]
    assert (row.ceiling_lower, row.ceiling_upper, row.ceiling_estimator) == (None, None, "none")


@pytest.mark.parametrize("metric", ["ridge", "pca-ridge", "identity"])
def test_what_cannot_be_estimated_is_refused_in_one_line(metric: str) -> None:
    once, _ = recorded(1)
    one_person = once.isel(neuroid=np.flatnonzero(once["subject"].values == "p0"))
    assert compared(metric, once).ceiling is None
    for responses, name, message in (
        (once, "split-half", "Without repetitions there is no such ceiling"),
        (one_person, "inter-subject", "at least two participants; found p0"),
        (once.drop_vars("subject"), "inter-subject", "Neuroids have no coordinate 'subject'"),
    ):
        with pytest.raises(DataError, match=message) as refused:
            compared(metric, responses, ceiling=name)
        assert "\n" not in str(refused.value)
    with pytest.raises(SettingsError, match="It has 'repetitions', 'split-half', 'inter-subject'"):
        compared(metric, once, ceiling="halves")


def test_a_row_of_a_benchmark_picks_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept_cache: Path) -> None:
    pytest.importorskip("isocortex_baselines")
    pytest.importorskip("isocortex_simulated")
    rows = "".join(
        f'[[benchmark]]\nid = "lab.{name}"\ndataset = "simulated-auditory"\nmetric = "ridge"\nreduction = "time-mean"\n'
        f'ceiling = "{name}"\n'
        for name in ("repetitions", "split-half")
    )
    write_package(tmp_path / "site", "isocortex-lab", {"isocortex.toml": "[plugin]\napi = 1\n" + rows})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    names = ["lab.repetitions", "lab.split-half"]
    first, second = isocortex.score("noise", names, out=tmp_path / "results", quiet=True)
    assert first.summary.ceiling_estimator == "square root of the Spearman-Brown reliability over repetitions"
    assert second.summary.ceiling_estimator == "square root of the split-half reliability, 100 random halvings"
    assert second.summary.ceiling == pytest.approx(first.summary.ceiling, abs=0.02)
    assert second.summary.value == first.summary.value


@pytest.mark.parametrize("metric", ["rsa", "cka", "conwell-ridge", "brainscore-ridge", "tuckute2023-rsa"])
def test_a_metric_with_one_way_of_its_own_refuses_another(metric: str) -> None:
    responses, _ = recorded()
    for asked, message in (
        ({"ceiling": "split-half"}, "ceiling = 'split-half' is not offered by this metric. It has 'repetitions'."),
        ({"aggregate": "mean-mean"}, "aggregate = 'mean-mean' is not offered by this metric. It has 'median-mean'."),
    ):
        with pytest.raises(SettingsError) as refused:
            isocortex.load_metric(metric).against(responses, preparation=Preparation(Rules(**asked)))
        assert str(refused.value) == message


def test_the_interval_of_the_ceiled_value_is_that_of_the_draws_over_the_ceiling() -> None:
    responses, layer = recorded()
    comparison = compared("ridge", responses)
    scores = comparison.score(layer)
    summary = comparison.summarise(scores)
    reaching = comparison.resample(scores, comparison.rules.n_draws, comparison.rules.seed).reaching
    expected = np.quantile(reaching / summary.ceiling, [0.025, 0.975])
    np.testing.assert_allclose([summary.ceiled_low, summary.ceiled_high], expected, atol=1e-12)
    band = compared("ridge", responses, ceiling="inter-subject")
    summary = band.summarise(band.score(layer))
    assert (summary.ceiled_low, summary.ceiled_high) == (None, None), "a band is no divisor"


@pytest.mark.parametrize("measure", ["r", "r2"])
def test_means_in_place_of_medians_reach_value_curve_ceiling_and_draws(measure: str) -> None:
    """Against loops over participants."""
    responses, layer = recorded()
    noise = Activations("noise", layer.stimulus_id, [np.random.default_rng(9).standard_normal((N_STIMULI, 6))])
    rules = Rules(measure=measure, ceiling_mode="none", aggregate="mean-mean", n_draws=50)
    comparison = isocortex.load_metric("ridge").against(responses, preparation=Preparation(rules))
    scores = comparison.score_all({"layer": layer, "noise": noise})
    summary = comparison.summarise(scores)
    subject = responses["subject"].values

    def mean_of_means(values: np.ndarray) -> float:
        raised = np.sign(values) * values**2 if measure == "r2" else values
        return float(np.mean([np.mean([v for v, s in zip(raised, subject, strict=True) if s == p]) for p in PEOPLE]))

    of_layer = scores["r"].mean("split").values
    assert [point.value for point in summary.layers] == pytest.approx(
        [mean_of_means(row) for row in of_layer], abs=1e-12
    )
    assert summary.value == pytest.approx(mean_of_means(of_layer[0]), abs=1e-12), "the layer is chosen in every split"
    if measure == "r":
        own = comparison.ceiling.value.values
        assert summary.ceiling == pytest.approx(mean_of_means(own), abs=1e-12)
    assert abs(np.mean(summary.draws) - summary.value) < 3 * summary.error
    medians = comparison_of(responses, Rules(measure=measure, n_draws=50))
    assert medians.summarise(medians.score_all({"layer": layer, "noise": noise})).value != summary.value


def comparison_of(responses: xr.DataArray, rules: Rules):
    return isocortex.load_metric("ridge").against(responses, preparation=Preparation(rules))
