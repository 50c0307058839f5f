"""Recovery: the decision by itself, and on simulated visual cortices of several seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import isocortex
from isocortex_simulated import truth
from isocortex_simulated.datasets import simulate, simulation_of
from isocortex_simulated.demo import findings
from isocortex_simulated.recovery import Candidate, recover
from isocortex_simulated.stages import Stage

SEEDS = range(5)
GABOR = ("sigma.2", "sigma.4", "sigma.8", "sigma.16")
VISUAL = {
    "pixels": ("pixels",),
    "gabor-pyramid": GABOR,
    "threshold-units": ("units",),
    "category": ("category",),
    "noise": ("layer.0",),
}


def candidate(model: str, value: float, spread: float = 0.02, ceiling: float | None = 0.9, seed: int = 0) -> Candidate:
    """A candidate whose draws are normal around its value; equal seeds are perfectly paired."""
    draws = value + spread * np.random.default_rng(seed).standard_normal(1000)
    low, high = np.quantile(draws, [0.025, 0.975])
    return Candidate(model, "layer", value, float(low), float(high), ceiling, draws)


def test_the_best_is_named_where_it_wins_and_suffices() -> None:
    verdict = recover([candidate("near", 0.7), candidate("true", 0.88), candidate("far", 0.1)])
    assert (verdict.model, verdict.layer) == ("true", "layer")
    assert "ahead of near by 0.180 … 0.180" in verdict.reason


def test_a_neighbour_that_wins_is_not_named() -> None:
    verdict = recover([candidate("near", 0.7), candidate("far", 0.1)])
    assert verdict.model is None
    assert verdict.best.model == "near"
    # (0.7 + 1.96 * 0.02)^2 / 0.9^2 = 0.67
    assert "at most 67 %" in verdict.reason


def test_two_that_cannot_be_told_apart_are_not_named() -> None:
    verdict = recover([candidate("one", 0.880, seed=1), candidate("other", 0.875, seed=2)])
    assert verdict.model is None
    assert "not surely better than other" in verdict.reason
    # the same difference, but on paired draws
    assert recover([candidate("one", 0.880, seed=1), candidate("other", 0.875, seed=1)]).model == "one"


@pytest.mark.parametrize(("ceiling", "named"), [(0.9, "only"), (None, None), (0.0, None), (-0.2, None)])
def test_there_must_be_a_ceiling(ceiling: float | None, named: str | None) -> None:
    assert recover([candidate("only", 0.88, ceiling=ceiling)]).model == named


def test_nothing_is_named_where_the_interval_covers_zero() -> None:
    verdict = recover([candidate("noise", 0.05, spread=0.05, ceiling=0.1), candidate("other", -0.2)])
    assert verdict.model is None
    assert "does not lie above 0" in verdict.reason


def test_a_candidate_without_a_value_comes_last() -> None:
    empty = replace(candidate("empty", 0.0), value=float("nan"))
    assert recover([empty, candidate("true", 0.88)]).best.model == "true"


def test_findings_fail_where_they_should() -> None:
    stages = {"V": Stage("true", "layer"), "noise": None}
    true, near, far = candidate("true", 0.88), candidate("near", 0.5), candidate("far", 0.0, spread=0.05)
    assert [item.right for item in findings(stages, {"V": [true, near], "noise": [far]})] == [True, True, True]
    wrong_layer = replace(true, layer="other")
    assert not findings(stages, {"V": [wrong_layer, near], "noise": [far]})[0].right
    # a neighbour as good as the truth: neither is the truth named, nor does leaving it out give nothing
    twin = replace(true, model="twin")
    assert [item.right for item in findings(stages, {"V": [true, twin], "noise": [far]})] == [False, False, True]
    for signal in (candidate("far", 0.3), candidate("far", -0.3)):
        assert not findings(stages, {"V": [true, near], "noise": [signal]})[2].right


def test_a_visual_cortex_gives_its_truth_away(score) -> None:
    expect_truth(score, SEEDS[:1])


@pytest.mark.long
def test_visual_cortices_of_five_seeds_give_their_truth_away(score) -> None:
    n_covering = expect_truth(score, SEEDS)
    # 25 intervals of 95 % on pure noise, five by five on the same responses
    assert n_covering >= 22


def expect_truth(score: Callable[..., Any], seeds: range) -> int:
    """Model and layer are named, never without the model or the layer, and never for noise.

    Returns
    -------
    How many of the intervals on pure noise, one for each model and seed, cover 0.
    """
    name = "simulated-visual"
    stages = truth(name)
    stimuli_id, simulation = simulation_of(name)
    stimuli = isocortex.load_stimuli(stimuli_id)
    n_covering = 0
    for seed in seeds:
        dataset = simulate(name, stimuli, simulation.model_copy(update={"seed": seed}))
        regions = score(dataset, VISUAL)
        for region, stage in stages.items():
            verdict = recover(regions[region])
            if stage is None:
                assert verdict.model is None, (seed, verdict)
                n_covering += sum(item.low <= 0 <= item.high for item in regions[region])
                continue
            assert (verdict.model, verdict.layer) == tuple(stage), (seed, region, verdict)
            others = [item for item in regions[region] if item.model != stage.model]
            assert recover(others).model is None, (seed, region)
        neighbours = score(dataset, {"gabor-pyramid": [layer for layer in GABOR if layer != "sigma.8"]})["orientation"]
        others = [item for item in regions["orientation"] if item.model != "gabor-pyramid"]
        assert recover([*neighbours, *others]).model is None, (seed, recover([*neighbours, *others]))
    return n_covering
