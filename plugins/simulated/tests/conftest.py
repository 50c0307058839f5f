"""Scores on simulated cortices of any seed, through the metric and the summaries of a real run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import isocortex
from isocortex.data.dataset import Dataset
from isocortex.loading.resolver import resolver
from isocortex.scoring.contract import Preparation, Rules
from isocortex.scoring.summary import by_region
from isocortex_simulated.recovery import Candidate
from isocortex_simulated.stages import Stage, stage_activations

Score = Callable[[Dataset, Mapping[str, Sequence[str]]], dict[str, list[Candidate]]]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tests run side by side; threads of small matrices only get into each other's way."""
    with threadpool_limits(1):
        yield


@pytest.fixture(autouse=True)
def one_cache(kept_cache: Path) -> Path:
    """Cortices are made of the activations of slow models, which are computed once for all tests of a worker."""
    return kept_cache


@pytest.fixture
def score() -> Score:
    """Score models (name to layers) on a simulated cortex by ridge: region to candidates."""

    def on(dataset: Dataset, models: Mapping[str, Sequence[str]]) -> dict[str, list[Candidate]]:
        card = resolver(offline=True).benchmark_card(f"{dataset.id}.ridge")
        comparison = isocortex.load_metric("ridge").against(
            dataset, settings={}, seed=0, preparation=Preparation(Rules.of(card, 0))
        )
        regions: dict[str, list[Candidate]] = {}
        for model, layers in models.items():
            activations = {
                layer: stage_activations(dataset.stimuli, Stage(model, layer), card.reduction) for layer in layers
            }
            scores = comparison.score_all(activations)
            for region, summary in by_region(comparison, scores).items():
                candidate = Candidate.of(model, summary, np.array(summary.draws))
                regions.setdefault(region, []).append(candidate)
        return regions

    return on
