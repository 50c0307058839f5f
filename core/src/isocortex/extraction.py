"""Stimuli → batches → model → reductions → chunks, once per model variant, stimuli and reduction.

Stimuli run in canonical order in chunks of ``CHUNK_SIZE``; what a layer gives is reduced inside ``emit`` and nothing
else is kept. Memory: one chunk of reduced layers and one batch of the model, whatever the number of stimuli.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.errors import DataError, PluginError, shorten
from isocortex.reductions import reduce_output
from isocortex.store import ActivationFolder, check_space, varying_units

if TYPE_CHECKING:
    from isocortex.activations import Activations
    from isocortex.interfaces import LayerOutput, LoadedModel
    from isocortex.stimuli import StimulusBatch, StimulusSet

Array = np.ndarray[Any, Any]

#: part of every key: raised when extraction gives other bytes than before
VERSION = 2
CHUNK_SIZE = 32
BATCH_SIZE = 16

Progress = Callable[[int, int, bool], None]


def extract(
    model: LoadedModel,
    stimuli: StimulusSet,
    layers: Sequence[str],
    *,
    reduction: str,
    folder: Path,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Activations]:
    """Run a model on stimuli and store the reduced layers; chunks that exist are not computed again.

    Parameters
    ----------
    folder
        Where the layers go (see ``isocortex.store.ActivationFolder``).
    progress
        Called as (chunk, n_chunks, computed) after each chunk.

    Returns
    -------
    layer → activations, memory-mapped.

    Raises
    ------
    PluginError
        The model does not give what it declared.
    DataError
        A stimulus cannot be read, or an activation is not finite.
    StoreError
        The activations do not fit on the disk.
    """
    kept = ActivationFolder(folder, stimuli.ids, CHUNK_SIZE)
    for chunk in range(kept.n_chunks):
        missing = kept.missing(layers, chunk)
        if missing:
            members = kept.members(chunk)
            rows = _run_chunk(model, stimuli, members, missing, reduction, batch_size)
            if chunk == 0:
                per_stimulus = sum(values.nbytes for values, _ in rows.values()) // len(members)
                check_space(folder, per_stimulus * len(stimuli), f"Storing {len(missing)} layers of {stimuli.id!r}")
            for layer, (values, units) in rows.items():
                kept.write(layer, chunk, values, units)
        if progress is not None:
            progress(chunk + 1, kept.n_chunks, bool(missing))
    return {layer: kept.open(layer) for layer in layers}


def activations_in_memory(
    model: LoadedModel,
    stimuli: StimulusSet,
    layers: Sequence[str],
    *,
    reduction: str = "flatten",
    batch_size: int | None = None,
) -> dict[str, Activations]:
    """As ``extract``, but for few stimuli and kept in memory."""
    from isocortex.activations import Activations

    rows = _run_chunk(model, stimuli, range(len(stimuli)), list(layers), reduction, batch_size)
    return {layer: Activations(layer, stimuli.ids, [values], units=units) for layer, (values, units) in rows.items()}


class _Collector:
    """Takes what a model emits for one chunk and reduces it at once."""

    def __init__(self, n_members: int, layers: Sequence[str], reduction: str) -> None:
        self.n_members = n_members
        self.reduction = reduction
        self.expected = tuple(layers)
        self.rows: dict[str, Array] = {}
        self.units: dict[str, tuple[str, ...] | None] = {}
        self.seen: set[str] = set()
        self.places: Sequence[int] = ()

    def start(self, places: Sequence[int]) -> None:
        """Begin a batch whose stimuli have these places in the chunk."""
        self.places = places
        self.seen = set()

    def emit(self, layer: str, output: LayerOutput) -> None:
        """Reduce one layer's output for the current batch."""
        if layer not in self.expected:
            raise PluginError(
                f"The model emitted the layer {layer!r}, but only {shorten(self.expected)} were asked for."
            )
        if len(output.array) != len(self.places):
            raise PluginError(
                f"Layer {layer!r} gave {len(output.array)} rows for a batch of {len(self.places)} stimuli."
            )
        values = reduce_output(output, self.reduction, layer)
        if layer not in self.rows:
            self.rows[layer] = np.empty((self.n_members, values.shape[1]), dtype=np.float32)
            self.units[layer] = output.units if output.axes == ("unit",) else None
        if values.shape[1] != self.rows[layer].shape[1]:
            raise varying_units(layer, values.shape[1], self.rows[layer].shape[1])
        self.rows[layer][list(self.places)] = values
        self.seen.add(layer)

    def finish(self) -> None:
        """End a batch: every layer must have come."""
        absent = [layer for layer in self.expected if layer not in self.seen]
        if absent:
            raise PluginError(f"The model declared but did not emit the layers {shorten(absent)}.")


def _run_chunk(
    model: LoadedModel,
    stimuli: StimulusSet,
    members: range,
    layers: Sequence[str],
    reduction: str,
    batch_size: int | None,
) -> dict[str, tuple[Array, tuple[str, ...] | None]]:
    collector = _Collector(len(members), layers, reduction)
    for batch in _batches(model, stimuli, members, batch_size or BATCH_SIZE):
        _run_with_back_off(model, batch, collector, members.start)
    for layer, values in collector.rows.items():
        _refuse_not_finite(layer, values, [stimuli.ids[place] for place in members])
    return {layer: (collector.rows[layer], collector.units[layer]) for layer in layers}


def _batches(model: LoadedModel, stimuli: StimulusSet, members: range, size: int) -> Iterator[StimulusBatch]:
    if model.batching == "single":
        groups = [[place] for place in members]
    elif model.batching == "equal-length":
        by_shape: dict[object, list[int]] = {}
        for place in members:
            stimulus = stimuli.load(place)
            by_shape.setdefault((stimulus.array.shape, stimulus.sample_rate), []).append(place)
        groups = list(by_shape.values())
    else:
        groups = [list(members)]
    for group in groups:
        for start in range(0, len(group), size):
            yield stimuli.batch(group[start : start + size])


def _run_with_back_off(model: LoadedModel, batch: StimulusBatch, collector: _Collector, first: int) -> None:
    """Run a batch; where memory does not suffice, run its halves."""
    collector.start([place - first for place in batch.index])
    try:
        model.run(batch, collector.expected, collector.emit)
    except (MemoryError, RuntimeError) as error:
        if len(batch) == 1 or not _is_out_of_memory(error):
            raise
        half = len(batch) // 2
        for index in (batch.index[:half], batch.index[half:]):
            _run_with_back_off(model, batch.whole.batch(index), collector, first)
        return
    collector.finish()


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__ or "out of memory" in str(error)


def _refuse_not_finite(layer: str, values: Array, ids: Sequence[str]) -> None:
    bad = [name for name, row in zip(ids, values, strict=True) if not np.isfinite(row).all()]
    if bad:
        raise DataError(
            f"Layer {layer!r} is not finite (NaN or infinite) for {len(bad)} stimuli: {shorten(bad)}. "
            "Check the model's preprocessing; silence and overflow are common causes."
        )
