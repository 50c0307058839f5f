"""Stimuli → batches → model → reductions → chunks, once per model variant, stimuli and reduction.

Stimuli run in canonical order in chunks of ``CHUNK_SIZE``; what a layer gives is reduced inside ``emit`` and nothing
else is kept. Memory: one batch of the model, and at most ``chunk_rows.HELD_BYTES`` of reduced layers, whatever the
number of stimuli and of units. One stimulus is run before all others, so that a disk that is too small and a batch
that is too large are found before the work (``batch_size``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from isocortex.activations.folder import ActivationFolder, varying_units
from isocortex.activations.reductions import reduce_output, unit_names
from isocortex.devices import is_out_of_memory, memory_taken, release_memory
from isocortex.errors import DataError, PluginError, shorten
from isocortex.extraction.batch_size import BatchSize
from isocortex.extraction.chunk_rows import Rows, StoredRows
from isocortex.files.disk import check_space

if TYPE_CHECKING:
    from isocortex.activations.layer import Activations
    from isocortex.activations.output import LayerOutput
    from isocortex.data.stimuli import StimulusSet
    from isocortex.interfaces import LoadedModel

#: layer → names of its units, where they have some
Units = dict[str, tuple[str, ...] | None]

CHUNK_SIZE = 32

ADVICE = (
    "point ISOCORTEX_CACHE to another disk, take fewer --layers, or a benchmark with a smaller reduction "
    "(spatial-mean, time-mean, projection-4096)"
)

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
        Where the layers go (see ``isocortex.activations.ActivationFolder``).
    batch_size
        Stimuli per batch; None: the number that the folder began with, or else chosen (``BatchSize``).
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
        A stimulus cannot be read, an activation is not finite, or memory does not suffice for one stimulus.
    StoreError
        The activations do not fit on the disk.
    """
    kept = ActivationFolder(folder, stimuli.ids, CHUNK_SIZE)
    todo = {chunk: kept.missing(layers, chunk) for chunk in range(kept.n_chunks)}
    work = _Work(model, stimuli, reduction, BatchSize.first(_device(model), batch_size or kept.batch_size))
    if any(todo.values()):
        n_bytes, taken = work.try_one(kept, layers, todo)
        check_space(folder, n_bytes, f"Storing {len(layers)} layers of {stimuli.id!r} ({reduction})", ADVICE)
        if batch_size is None:
            work.size.fit(taken)
    for chunk, missing in todo.items():
        if missing:
            with StoredRows(kept, chunk) as rows:
                rows.finish(work.run(kept.members(chunk), missing, rows))
            kept.note_batch_size(work.size.now)
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
    from isocortex.activations.layer import Activations

    rows = Rows(len(stimuli))
    work = _Work(model, stimuli, reduction, BatchSize.first(_device(model), batch_size))
    units = work.run(range(len(stimuli)), list(layers), rows)
    return {layer: Activations(layer, stimuli.ids, [rows.held[layer]], units=units[layer]) for layer in layers}


def _device(model: LoadedModel) -> str:
    return str(getattr(model, "device", "cpu"))


@dataclass
class _Work:
    """A model on its way through a set of stimuli."""

    model: LoadedModel
    stimuli: StimulusSet
    reduction: str
    size: BatchSize

    def try_one(
        self, kept: ActivationFolder, layers: Sequence[str], todo: Mapping[int, Sequence[str]]
    ) -> tuple[int, int | None]:
        """Run one stimulus: bytes that the missing layers of all chunks will take on the disk, and the memory it took.

        It is the longest of the first chunk to do. What it gives is not kept: a batch of one may have other last bits.
        """
        first = kept.members(next(chunk for chunk, missing in todo.items() if missing))
        longest = max(first, key=self._n_samples)
        rows = Rows(1)
        wanted = [layer for layer in layers if any(layer in missing for missing in todo.values())]
        with memory_taken(self.size.device) as taken:
            self.run(range(longest, longest + 1), wanted, rows)
        per_stimulus = {layer: values.nbytes for layer, values in rows.held.items()}
        chunks = ((len(kept.members(chunk)), missing) for chunk, missing in todo.items())
        return sum(n_members * per_stimulus[layer] for n_members, missing in chunks for layer in missing), taken.n_bytes

    def _n_samples(self, place: int) -> int:
        try:
            return self.stimuli.load(place).array.size
        except DataError:
            return 0  # said where it is used: some models read no stimuli

    def run(self, members: range, layers: Sequence[str], rows: Rows) -> Units:
        """Run the stimuli of a chunk, and put what the layers give into ``rows``."""
        collector = _Collector(self.stimuli.ids, layers, self.reduction, rows)
        for group in _groups(self.model, self.stimuli, members):
            while group:
                places = group[: 1 if self.model.batching == "single" else self.size.now]
                if self._fits(places, collector, members.start):
                    group = group[len(places) :]
                else:
                    self.size.failed(len(places))
                    release_memory(self.size.device)
        collector.refuse_not_finite()
        return {layer: collector.units[layer] for layer in layers}

    def _fits(self, places: Sequence[int], collector: _Collector, first: int) -> bool:
        """Run a batch; False: memory did not suffice. The error is gone then, and with it the tensors that it held."""
        collector.start(places, first)
        try:
            self.model.run(self.stimuli.batch(places), collector.expected, collector.emit)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if len(places) == 1:
                raise DataError(
                    f"The memory of {self.size.device!r} does not suffice for one stimulus "
                    f"({self.stimuli.ids[places[0]]!r} of {self.stimuli.id!r}): {_first_line(error)}. "
                    "Take fewer --layers, another --device, or end what else runs there."
                ) from error
            return False
        collector.finish()
        return True


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


class _Collector:
    """Takes what a model emits for one chunk and reduces it at once."""

    def __init__(self, ids: Sequence[str], layers: Sequence[str], reduction: str, rows: Rows) -> None:
        self.ids, self.reduction, self.rows = ids, reduction, rows
        self.expected = tuple(layers)
        self.units: Units = {}
        self.n_units: dict[str, int] = {}
        self.not_finite: dict[str, dict[str, None]] = {}
        self.seen: set[str] = set()
        self.places: Sequence[int] = ()
        self.first = 0

    def start(self, places: Sequence[int], first: int) -> None:
        """Begin a batch of stimuli of these places in the set; the chunk begins at ``first``."""
        self.places, self.first = places, first
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
        if layer not in self.n_units:
            self.n_units[layer] = values.shape[1]
            self.units[layer] = unit_names(output, self.reduction, layer, values.shape[1])
        if values.shape[1] != self.n_units[layer]:
            raise varying_units(layer, values.shape[1], self.n_units[layer])
        bad = [self.ids[place] for place, row in zip(self.places, values, strict=True) if not np.isfinite(row).all()]
        if bad:
            self.not_finite.setdefault(layer, {}).update(dict.fromkeys(bad))
        self.rows.put(layer, [place - self.first for place in self.places], values)
        self.seen.add(layer)

    def finish(self) -> None:
        """End a batch: every layer must have come."""
        absent = [layer for layer in self.expected if layer not in self.seen]
        if absent:
            raise PluginError(f"The model declared but did not emit the layers {shorten(absent)}.")

    def refuse_not_finite(self) -> None:
        """End a chunk: what is NaN or infinite is not stored."""
        for layer, bad in self.not_finite.items():
            raise DataError(
                f"Layer {layer!r} is not finite (NaN or infinite) for {len(bad)} stimuli: {shorten(bad)}. "
                "Check the model's preprocessing; silence and overflow are common causes."
            )


def _groups(model: LoadedModel, stimuli: StimulusSet, members: range) -> Iterator[list[int]]:
    """Stimuli that may share a batch."""
    if model.batching != "equal-length":
        yield list(members)
        return
    by_shape: dict[object, list[int]] = {}
    for place in members:
        stimulus = stimuli.load(place)
        by_shape.setdefault((stimulus.array.shape, stimulus.sample_rate), []).append(place)
    yield from by_shape.values()
