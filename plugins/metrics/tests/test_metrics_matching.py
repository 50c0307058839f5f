"""``one-to-one`` and ``soft-matching``: scipy's assignment and linear programme, known pairs, rotations, noise."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment, linprog

import isocortex
from isocortex.activations.layer import Activations
from isocortex.data.dataset import make_responses
from isocortex.errors import SettingsError
from isocortex.scoring.contract import Preparation, Rules
from isocortex_metrics.encoding import matching, unit_matching
from isocortex_metrics.encoding.unit_matching import one_to_one, transport

BOTH = ("one-to-one", "soft-matching")


@cache
def metric(name: str):
    """The metric, found once."""
    return isocortex.load_metric(name)


def names(n_stimuli: int) -> list[str]:
    """Stimulus IDs."""
    return [f"s{number:03d}" for number in range(n_stimuli)]


def layer(features: np.ndarray) -> Activations:
    """Features as a layer."""
    return Activations("layer", names(len(features)), [features])


def against(name: str, responses: np.ndarray, neuroid=None, aggregate="median-mean", **settings):
    """The comparison with responses given as an array."""
    target = make_responses(responses, names(responses.shape[-2]), neuroid=neuroid)
    return metric(name).against(target, settings=settings, preparation=Preparation(Rules(aggregate=aggregate)))


def correlation(features: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """Correlations of columns, (n_units, n_neuroids), by numpy."""
    return np.corrcoef(features.T, responses.T)[: features.shape[1], features.shape[1] :]


def in_blocks(values: np.ndarray, width: int = 7):
    """What hands out rows of a matrix block by block, as often as it is asked."""
    return lambda: (values[first : first + width] for first in range(0, len(values), width))


def programme(values: np.ndarray) -> float:
    """The largest mean correlation of a plan of transport, by scipy's linear programme over all pairs."""
    n_units, n_neuroids = values.shape
    sums = np.zeros((n_units + n_neuroids, values.size))
    for unit in range(n_units):
        sums[unit, unit * n_neuroids : (unit + 1) * n_neuroids] = 1
    for neuroid in range(n_neuroids):
        sums[n_units + neuroid, neuroid::n_neuroids] = 1
    masses = np.concatenate([np.full(n_units, 1 / n_units), np.full(n_neuroids, 1 / n_neuroids)])
    return -linprog(-values.ravel(), A_eq=sums, b_eq=masses).fun


# --- the matches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 2), (7, 7), (30, 12), (12, 30), (1, 5), (400, 20)])
def test_one_to_one_is_scipys_assignment(shape: tuple[int, int]) -> None:
    """The same sum; every unit and every neuroid once at most; ties and blocks change nothing."""
    values = np.random.default_rng(0).uniform(-1, 1, shape).round(1)
    found = one_to_one(in_blocks(values), *shape).toarray()
    expected = values[linear_sum_assignment(values, maximize=True)].sum()
    assert abs((found * values).sum() - expected) < 1e-12
    assert found.sum() == min(shape)
    assert found.sum(axis=0).max() == found.sum(axis=1).max() == 1


@pytest.mark.parametrize("shape", [(3, 2), (30, 12), (12, 30), (40, 39), (61, 1), (1, 5), (113, 10), (17, 60)])
def test_soft_matching_is_the_linear_programme(shape: tuple[int, int]) -> None:
    """The value is that of the programme over all pairs, and the plan moves all that it must."""
    values = np.random.default_rng(1).uniform(-1, 1, shape)
    found = transport(in_blocks(values), *shape).toarray()
    assert abs((found * values).sum() / shape[1] - programme(values)) < 1e-9
    assert found.min() >= 0
    assert np.abs(found.sum(axis=0) - 1).max() < 1e-9
    assert np.abs(found.sum(axis=1) - shape[1] / shape[0]).max() < 1e-9


@pytest.mark.parametrize("case", ["twins", "alike", "silent"])
def test_units_that_are_alike_do_not_lead_astray(case: str) -> None:
    """Twins, units and neuroids that all do the same, and units that correlate with nothing."""
    generator = np.random.default_rng(2)
    features, responses = generator.standard_normal((40, 101)), generator.standard_normal((40, 20))
    if case == "twins":
        features[:, 50:100] = features[:, :50]
    if case == "alike":
        shared = generator.standard_normal((40, 1))
        features, responses = shared + 0.3 * features, shared + 0.01 * responses
    values = correlation(features, responses)
    if case == "silent":
        values[:70] = 0.0
    found = transport(in_blocks(values), *values.shape)
    assert abs(found.multiply(values).sum() / 20 - programme(values)) < 1e-9


def test_with_as_many_units_as_neuroids_both_are_one() -> None:
    """The best plan of transport between equal numbers is a permutation."""
    values = np.random.default_rng(3).uniform(-1, 1, (300, 300))
    found = [match(in_blocks(values, 64), 300, 300).multiply(values).sum() for match in (one_to_one, transport)]
    assert abs(found[0] - found[1]) < 1e-9


# --- the scores -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("held", [True, False], ids=["held", "formed again"])
def test_scores_are_those_of_brute_force(name: str, held: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Matched by numpy's correlations and scipy on training stimuli, correlated on the test stimuli."""
    monkeypatch.setattr(matching, "HELD_VALUES", 1 << 24 if held else 0)
    monkeypatch.setattr(matching, "_BLOCK_VALUES", 1 << 24 if held else 200)
    generator = np.random.default_rng(4)
    features = generator.standard_normal((60, 23))
    responses = features[:, :8] + generator.standard_normal((60, 8))
    comparison = against(name, responses)
    scores = comparison.score(layer(features))
    for number, (train, test) in enumerate(comparison.splits):
        values = correlation(features[train], responses[train])
        if name == "one-to-one":
            weights = np.zeros(values.shape)
            weights[linear_sum_assignment(values, maximize=True)] = 1
        else:
            copies = np.repeat(np.repeat(values, 8, axis=0), 23, axis=1)
            weights = np.zeros(values.shape)
            units, neuroids = linear_sum_assignment(copies, maximize=True)
            np.add.at(weights, (units // 8, neuroids // 23), 1 / 23)
        expected = (weights * correlation(features[test], responses[test])).sum(axis=0)
        assert np.abs(scores["r"].values[number] - expected).max() < 1e-9


def test_a_rotation_costs_what_a_linear_map_does_not_see() -> None:
    """Units that are the neuroids are found, whatever their order, scale and sign; a rotation of them is not."""
    generator = np.random.default_rng(5)
    responses = generator.standard_normal((80, 12))
    shuffled = layer(3 * responses[:, generator.permutation(12)] + 1)
    rotated = layer(responses @ np.linalg.qr(generator.standard_normal((12, 12)))[0])
    for name in BOTH:
        comparison = against(name, responses)
        assert comparison.score(shuffled)["r"].values.min() > 1 - 1e-9
        assert float(comparison.score(rotated)["r"].mean()) < 0.7
    ridge = isocortex.load_metric("ridge").against(make_responses(responses, names(80)))
    assert float(ridge.score(rotated)["r"].mean()) > 0.999


def test_soft_matching_with_the_mean_is_the_published_score() -> None:
    """With aggregate = "mean-mean" the value is n_neuroids Σ T C / n_neuroids = Σ T C over the test stimuli."""
    generator = np.random.default_rng(6)
    features, responses = generator.standard_normal((50, 9)), generator.standard_normal((50, 6))
    comparison = against("soft-matching", responses, aggregate="mean-mean")
    scores = comparison.score(layer(features))
    of_splits = [
        (transport(in_blocks(correlation(features[train], responses[train])), 9, 6).toarray() / 6
         * correlation(features[test], responses[test])).sum()
        for train, test in comparison.splits
    ]  # fmt: skip
    assert abs(comparison.summarise(scores).value - np.mean(of_splits)) < 1e-9


def test_neuroids_without_a_unit_are_null_and_counted() -> None:
    """Two units, five neuroids: three have none, are 0 and are counted; soft matching gives all of them a share."""
    generator = np.random.default_rng(7)
    features = generator.standard_normal((40, 2))
    responses = np.concatenate([features, generator.standard_normal((40, 3))], axis=1)
    scores = against("one-to-one", responses).score(layer(features))
    assert scores["null"].values.sum(axis=1).tolist() == [3] * 10
    assert (scores["r"].values[scores["null"].values] == 0).all()
    assert not against("soft-matching", responses).score(layer(features))["null"].values.any()


def test_participants_do_not_compete_for_units() -> None:
    """Each participant is matched with all units; 'within' names other columns."""
    responses = np.random.default_rng(8).standard_normal((40, 3))
    twice = np.concatenate([responses, responses], axis=1)
    neuroid = {"subject": ["a"] * 3 + ["b"] * 3, "region": ["x", "y", "z"] * 2}
    found = against("one-to-one", twice, neuroid).score(layer(responses))
    assert not found["null"].values.any()
    pooled = against("one-to-one", twice, neuroid, within=()).score(layer(responses))
    assert pooled["null"].values.sum(axis=1).tolist() == [3] * 10
    with pytest.raises(SettingsError, match="no depth to be matched within"):
        against("one-to-one", twice, neuroid, within=("depth",))


def test_a_wide_layer_of_noise_is_not_chosen() -> None:
    """Many units always correlate on the stimuli that they are matched on; the choice of layers does not see these."""
    generator = np.random.default_rng(9)
    responses = generator.standard_normal((60, 6))
    narrow = layer(responses + 1.6 * generator.standard_normal((60, 6)))
    wide = Activations("wide", names(60), [generator.standard_normal((60, 3000))])
    for name in BOTH:
        scores = against(name, responses).score_all({"layer": narrow, "wide": wide})
        assert (scores["chosen"].values == 0).all()


@pytest.mark.parametrize("name", BOTH)
def test_draws_lie_about_the_value(name: str) -> None:
    """The interval holds the value, and the measures made of r are those of r."""
    generator = np.random.default_rng(10)
    features = generator.standard_normal((100, 30))
    responses = np.stack([features[:, :10] + generator.standard_normal((100, 10)) for _ in range(2)])
    comparison = against(name, responses, aggregate="mean-mean")
    scores = comparison.score(layer(features))
    summary = comparison.summarise(scores)
    assert summary.interval_low is not None
    assert summary.interval_high is not None
    assert summary.interval_low < summary.value < summary.interval_high
    assert abs(np.mean(summary.draws) - summary.value) < 0.02
    assert np.abs(scores["r2"].values - np.sign(scores["r"].values) * scores["r"].values ** 2).max() < 1e-12


def test_a_draw_of_every_stimulus_once_is_the_value() -> None:
    """What is drawn is the value that is scored, also where a neuroid has several units."""
    generator = np.random.default_rng(11)
    features, responses = generator.standard_normal((60, 20)), generator.standard_normal((60, 6))
    comparison = against("soft-matching", responses + features[:, :6])
    scores = comparison.score(layer(features))
    for split, (_, test) in enumerate(comparison.splits):
        prediction = scores["prediction"].values[split, : len(test)]
        once = comparison._split_draws(split, prediction, np.arange(6), np.ones((1, len(test))), "r")
        assert np.abs(once[0] - scores["r"].values[split]).max() < 1e-9


def test_pairs_that_were_not_looked_at_first_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """From prices that know nothing the programme still ends at the best plan of all pairs."""
    monkeypatch.setattr(unit_matching, "_smooth_prices", lambda *of: np.zeros(len(of[2])))
    values = np.random.default_rng(12).uniform(-1, 1, (59, 31))
    found = transport(in_blocks(values), *values.shape)
    assert abs(found.multiply(values).sum() / 31 - programme(values)) < 1e-9
