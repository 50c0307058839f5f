"""How long a run will take, from what a few stimuli and made-up activations take on this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.activations.layer import Activations
from isocortex.devices import device_of
from isocortex.errors import IsocortexError
from isocortex.extraction import extractor as extraction
from isocortex.extraction.hearing import heard
from isocortex.extraction.steadiness import Steadiness
from isocortex.run.asked_splits import StricterSplits, splits_of_card
from isocortex.run.tested_stimuli import for_trial
from isocortex.scoring.contract import Preparation, Rules
from isocortex.scoring.stats import DRAWS
from isocortex.scoring.summary import by_region

if TYPE_CHECKING:
    from isocortex.data.dataset import Dataset
    from isocortex.data.stimuli import StimulusSet
    from isocortex.interfaces import LoadedModel, ModelPlugin
    from isocortex.loading.resolver import Resolver
    from isocortex.run.plan import Cell, RunConfig
    from isocortex.scoring.comparison import Comparison

#: stimuli that are run to find the speed of a model, and bytes of activations that they may take
_FEW, _FEW_BYTES = 8, 256 << 20
#: times that one stimulus runs beside all others, to see whether the model is steady
_TRIED = 3
#: units of made-up activations; the time of larger layers is extrapolated
_MOST_UNITS = 20_000


def seconds_per_stimulus(
    model: LoadedModel, plugin: ModelPlugin, stimuli: StimulusSet, layers: Sequence[str], reduction: str, n_bytes: int
) -> float:
    """Time that one stimulus takes, in batches as core makes them.

    Parameters
    ----------
    n_bytes
        Of the activations of one stimulus.
    """
    n_stimuli = int(min(len(stimuli), _FEW, max(1, _FEW_BYTES // max(1, n_bytes))))
    few = stimuli.only([stimuli.ids[place * len(stimuli) // n_stimuli] for place in range(n_stimuli)])
    start = time.perf_counter()
    extraction.activations_in_memory(
        model,
        heard(few, plugin.card),
        layers,
        reduction=reduction,
        batch_size=None,
        steadiness=Steadiness(plugin.card.id),
    )
    return (time.perf_counter() - start) / (n_stimuli + _TRIED)


@dataclass(frozen=True)
class ScoringSpeed:
    """Seconds of a benchmark: once, per cell, per layer as a line over its number of units, and for models together.

    ``together`` are those that so many models take beyond their layers one by one.
    """

    once: float
    per_cell: float
    per_layer: float
    per_unit: float
    together: Mapping[int, float] = field(default_factory=dict[int, float])

    def of_cell(self, units: Sequence[int], n_spaces: int = 1) -> float:
        """Seconds of one cell of which the layers have so many units, and are of so many models."""
        alone = sum(self.per_layer + self.per_unit * n_units for n_units in units)
        return self.per_cell + alone + self.together.get(n_spaces, 0.0)


def scoring_speed(
    resolver: Resolver, cell: Cell, config: RunConfig, units: Sequence[int], n_spaces: Sequence[int] = ()
) -> ScoringSpeed | str:
    """How long a benchmark takes, found by scoring made-up activations twice; or why that is not known.

    Parameters
    ----------
    cell
        One of the benchmark.
    units
        Numbers of units of the layers that will be scored.
    n_spaces
        Numbers of models that will be fitted together.
    """
    from isocortex.run.fetch import first_line

    try:
        few = sorted({min(n, _MOST_UNITS) for n in units if n})
        return _measured(resolver, cell, config, few, sorted({n for n in n_spaces if n > 1}))
    except IsocortexError as error:
        return first_line(error)
    except (Exception, SystemExit) as error:  # whatever a third party's metric raises on what is made up
        return f"{type(error).__name__}: {first_line(error)}"


def _measured(
    resolver: Resolver, cell: Cell, config: RunConfig, units: Sequence[int], n_spaces: Sequence[int]
) -> ScoringSpeed | str:
    card, metric = resolver.benchmark_card(cell.benchmark), resolver.metric(cell.metric)
    if card.baselines or not units:
        return "it has baselines" if card.baselines else "no layer has units"
    splits = cell.splits or card.splits
    if splits and StricterSplits.parse(splits).model:
        return "its splits are found by clustering"
    start = time.perf_counter()
    dataset = for_trial(resolver.dataset(cell.dataset), cell.limit)
    chosen = dataset.select(**card.select)
    stricter = splits_of_card(StricterSplits.parse(splits), card, chosen, cell.seed).stricter if splits else ()
    comparison = metric.against(
        chosen,
        settings=card.settings,
        seed=cell.seed,
        device=device_of(config.device),
        preparation=Preparation(
            Rules.of(card, cell.seed, config.draws or DRAWS), keep=("prediction", *config.keep), splits=stricter
        ),
    )
    once = time.perf_counter() - start
    stream, timed = np.random.default_rng(0), dict[int, float]()
    scores = None
    for n_units in dict.fromkeys((units[0], units[0], units[-1])):  # the first time of all is longer
        made = stream.standard_normal((len(dataset.stimuli), n_units)).astype(np.float32)
        layer = Activations("made up", dataset.stimuli.ids, [made])
        start = time.perf_counter()
        scores = comparison.score_all({"made up": layer})
        timed[n_units] = time.perf_counter() - start
    start = time.perf_counter()
    assert scores is not None
    comparison.summarise(scores)
    by_region(comparison, scores)
    per_cell = time.perf_counter() - start
    low, high = units[0], units[-1]
    slope = max(0.0, (timed[high] - timed[low]) / (high - low)) if high > low else 0.0
    times = 2 if splits else 1  # the counterparts of stricter splits are scored, too
    together = {n: times * _seconds_together(comparison, dataset, n, low, timed[low]) for n in n_spaces}
    return ScoringSpeed(once, times * per_cell, times * max(0.0, timed[low] - slope * low), times * slope, together)


def _seconds_together(comparison: Comparison, dataset: Dataset, n_spaces: int, n_units: int, alone: float) -> float:
    """Seconds that so many made-up models of a layer each take together, beyond what each takes ``alone``."""
    stream = np.random.default_rng(0)
    made = [
        Activations("made up", dataset.stimuli.ids, [stream.standard_normal((len(dataset.stimuli), n_units))])
        for _ in range(n_spaces)
    ]
    layers = [layer.in_space(f"space {number}") for number, layer in enumerate(made)]
    start = time.perf_counter()
    comparison.score_all({layer.layer: layer for layer in layers})
    return max(0.0, time.perf_counter() - start - n_spaces * alone)


def seconds_of_run(
    cells: Sequence[Cell], needs: Mapping[str, Mapping[str, Any]], speeds: Mapping[str, ScoringSpeed | str]
) -> float | None:
    """Seconds of all cells, none of which is finished; None where some are not known.

    Parameters
    ----------
    needs
        Of each extraction, by its key.
    speeds
        Of each benchmark, by its name.
    """
    found = [need.get("seconds") for need in needs.values()]
    for name, speed in speeds.items():
        known = [needs[cell.extraction] for cell in cells if cell.benchmark == name]
        of_cells = [
            None
            if isinstance(speed, str) or not need.get("units")
            else speed.of_cell(need["units"], need.get("spaces", 1))
            for need in known
        ]
        found += [None if isinstance(speed, str) else speed.once, *of_cells]
    return None if None in found else sum(seconds for seconds in found if seconds is not None)
