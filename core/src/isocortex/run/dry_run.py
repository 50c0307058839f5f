"""What a run would need: disk and memory of its extractions, found by running one stimulus."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from isocortex.catalogue.cards import Variant
from isocortex.devices import device_of
from isocortex.errors import FilesError, IsocortexError
from isocortex.extraction import extractor as extraction
from isocortex.extraction.chunk_rows import HELD_BYTES
from isocortex.extraction.hearing import heard
from isocortex.loading.resolver import Resolver
from isocortex.run.plan import Cell, RunConfig

if TYPE_CHECKING:
    from isocortex.data.stimuli import StimulusSet


def extraction_need(resolver: Resolver, cell: Cell, config: RunConfig) -> dict[str, Any]:
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
        per_stimulus = _bytes_per_stimulus(resolver, cell, stimuli, config)
    except IsocortexError as error:
        return {**about, "unknown_because": f"not known ({first_line(error)})"}
    except (Exception, SystemExit) as error:  # whatever a third party's plugin raises
        return {**about, "unknown_because": f"not known ({type(error).__name__}: {first_line(error)})"}
    chunk = min(HELD_BYTES, per_stimulus * min(extraction.CHUNK_SIZE, len(stimuli)))
    return {**about, "disk_bytes": per_stimulus * len(stimuli), "memory_bytes": chunk}


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


def _bytes_per_stimulus(resolver: Resolver, cell: Cell, stimuli: StimulusSet, config: RunConfig) -> int:
    from isocortex.activations.layer_names import choose_layers
    from isocortex.activations.reductions import reduce_output

    sizes: list[int] = []
    plugin = resolver.model(cell.model)
    with plugin.load(
        Variant.parse(cell.variant), device=device_of(config.device, accelerated=plugin.accelerated)
    ) as model:
        layers = choose_layers(cell.layers, model.layers, model.find, cell.model)
        model.run(
            heard(stimuli, plugin.card).batch([0]),
            layers,
            lambda layer, output: sizes.append(reduce_output(output, cell.reduction, layer).nbytes),
        )
    return sum(sizes)
