"""What a run would need: disk, memory and time of its extractions, found by running a few stimuli."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from isocortex.catalogue.cards import Variant
from isocortex.devices import device_of, memory_taken
from isocortex.errors import FilesError, IsocortexError
from isocortex.extraction import extractor as extraction
from isocortex.extraction.chunk_rows import HELD_BYTES
from isocortex.extraction.hearing import heard
from isocortex.loading.model_sum import ModelSum
from isocortex.loading.resolver import Resolver, split_model_name
from isocortex.run.comparisons import array_bytes
from isocortex.run.plan import Cell, RunConfig
from isocortex.run.speed import seconds_per_stimulus
from isocortex.run.tested_stimuli import for_trial

if TYPE_CHECKING:
    from isocortex.data.stimuli import StimulusSet


def extraction_need(resolver: Resolver, cell: Cell, config: RunConfig) -> dict[str, Any]:
    """Disk, memory and seconds of an extraction, the memory of the model included, or why they are not known.

    ``units`` holds the number of units of each layer, ``spaces`` the number of models that are fitted together.
    """
    summands = resolver.summands(cell.model)
    if summands:
        return _of_sum(resolver, cell, config, summands)
    about: dict[str, Any] = {
        "model": f"{cell.model}@{cell.variant}",
        "stimuli": cell.stimuli,
        "disk_bytes": None,
        "memory_bytes": None,
    }
    from isocortex.run.fetch import first_line

    absent = _absent(resolver, cell)
    if absent:
        return {**about, "unknown_because": f"not known before {' and '.join(absent)}"}
    try:
        stimuli = resolver.stimuli(cell.stimuli)
        if cell.limit is not None:
            stimuli = for_trial(resolver.dataset(cell.dataset), cell.limit).stimuli
        found = _found_by_running(resolver, cell, stimuli, config)
    except IsocortexError as error:
        return {**about, "unknown_because": f"not known ({first_line(error)})"}
    except (Exception, SystemExit) as error:  # whatever a third party's plugin raises
        return {**about, "unknown_because": f"not known ({type(error).__name__}: {first_line(error)})"}
    per_stimulus = found.n_bytes
    chunk = min(HELD_BYTES, per_stimulus * min(extraction.CHUNK_SIZE, len(stimuli)))
    return {
        **about,
        "disk_bytes": per_stimulus * len(stimuli),
        "memory_bytes": chunk,
        "model_bytes": found.model_bytes,
        "seconds": found.loading + found.per_stimulus * len(stimuli),
        "units": found.units,
    }


def _of_sum(resolver: Resolver, cell: Cell, config: RunConfig, summands: Sequence[str]) -> dict[str, Any]:
    """What several models need, which are extracted one after the other; unknown where that of one is."""
    model = resolver.model(cell.model)
    assert isinstance(model, ModelSum)
    needs: list[dict[str, Any]] = []
    for summand, (space, (_, variant)) in zip(summands, model.parts.items(), strict=True):
        own = {"model": split_model_name(summand)[0], "variant": str(variant)}
        part = replace(cell, **own, layers=model.layers_of(space, cell.layers))
        needs.append(extraction_need(resolver, part, config))
    about = {"model": f"{cell.model}@{cell.variant}", "stimuli": cell.stimuli, "spaces": len(needs)}
    unknown = [need for need in needs if "unknown_because" in need]
    if unknown:
        nothing = {"disk_bytes": None, "memory_bytes": None}
        return {**about, **nothing, "unknown_because": f"{unknown[0]['model']}: {unknown[0]['unknown_because']}"}
    return {
        **about,
        **{name: sum(need[name] for need in needs) for name in ("disk_bytes", "seconds")},
        **{name: max(need[name] for need in needs) for name in ("memory_bytes", "model_bytes")},
        "units": [n_units for need in needs for n_units in need["units"]],
    }


def _absent(resolver: Resolver, cell: Cell) -> list[str]:
    """The data or weights of a cell that are not here, and what was found instead."""
    from isocortex.run.fetch import fetch_model, first_line

    needed: dict[str, Callable[[], object]] = {
        "the data are here": lambda: resolver.stimuli(cell.stimuli),
        "the weights are here": lambda: fetch_model(resolver, cell.model, Variant.parse(cell.variant)),
    }
    absent: list[str] = []
    for what, bring in needed.items():
        try:
            bring()
        except FilesError as error:
            absent.append(f"{what} ({first_line(error)})")
        except (Exception, SystemExit):  # noqa: S112 - whatever else is wrong is said where it is used
            continue
    return absent


class _Found(NamedTuple):
    """Of one stimulus bytes and seconds, of the model bytes and seconds of its loading, of each layer its units."""

    n_bytes: int
    per_stimulus: float
    model_bytes: int
    loading: float
    units: list[int]


def _found_by_running(resolver: Resolver, cell: Cell, stimuli: StimulusSet, config: RunConfig) -> _Found:
    from isocortex.activations.layer_names import choose_layers
    from isocortex.activations.reductions import reduce_output

    reduced: dict[str, Any] = {}
    plugin = resolver.model(cell.model)
    device = device_of(config.device, accelerated=plugin.accelerated)
    start = time.perf_counter()
    with memory_taken(device) as taken:
        loaded = plugin.load(Variant.parse(cell.variant), device=device)
    with loaded as model:
        layers = choose_layers(cell.layers, model.layers, model.find, cell.model)
        model.run(
            heard(stimuli, plugin.card).batch([0]),
            layers,
            lambda layer, output: reduced.__setitem__(layer, reduce_output(output, cell.reduction, layer)),
        )
        loading = time.perf_counter() - start
        n_bytes = sum(array.nbytes for array in reduced.values())
        seconds = seconds_per_stimulus(model, plugin, stimuli, layers, cell.reduction, n_bytes)
        held = max(taken.n_bytes or 0, array_bytes(model))
    units = [int(np.prod(array.shape[1:])) for array in reduced.values()]
    return _Found(n_bytes, seconds, held, loading, units)
