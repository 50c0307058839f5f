"""Stages of a simulated cortex: regions that read one size of Gabor filters have its depth, noise has none."""

from __future__ import annotations

import pytest

import isocortex
from isocortex.loading.resolver import resolver
from isocortex.scoring.contract import Preparation, Rules
from isocortex.scoring.summary import by_region
from isocortex_simulated.datasets import Region, simulate, simulation_of
from isocortex_simulated.stages import Stage, stage_activations

GABOR = ("sigma.4", "sigma.8", "sigma.16")


def test_early_and_late_regions_have_early_and_late_stages() -> None:
    name = "simulated-visual"
    stimuli_id, simulation = simulation_of(name)
    stimuli = isocortex.load_stimuli(stimuli_id)
    regions = {
        "early": Region(model="gabor-pyramid", layer="sigma.4"),
        "late": Region(model="gabor-pyramid", layer="sigma.16"),
        "noise": Region(),
    }
    dataset = simulate(name, stimuli, simulation.model_copy(update={"regions": regions}))
    card = resolver(offline=True).benchmark_card(f"{name}.ridge")
    comparison = isocortex.load_metric("ridge").against(
        dataset, settings={}, seed=0, preparation=Preparation(Rules.of(card, 0))
    )
    layers = {layer: stage_activations(stimuli, Stage("gabor-pyramid", layer), card.reduction) for layer in GABOR}
    rows = by_region(comparison, comparison.score_all(layers))
    for region, depth in (("early", 0.0), ("late", 1.0)):
        found = rows[region].stage
        assert found is not None
        assert found.value == pytest.approx(depth, abs=0.1)
        assert found.spread is not None
        assert found.agreement is not None
        assert found.spread < 0.1
        assert found.agreement > 0.9
        assert (found.n_layers, found.n_subjects) == (3, 4)
        assert rows[region].interval_low is not None
        assert rows[region].interval_low > 0.3
    noise = rows["noise"].stage
    assert noise is not None
    assert noise.spread is not None
    assert noise.agreement is not None
    # chance: a spread of 0.41 and an agreement of 0.33; folds share most of their training stimuli
    assert noise.spread > 0.15
    assert noise.agreement < 0.75
    assert rows["noise"].interval_low is not None
    assert rows["noise"].interval_low < 0
