"""Stimuli → batches → model → reductions → chunks, once per model variant, stimuli and reduction.

Stimuli run in canonical order in chunks of ``CHUNK_SIZE``; what a layer gives is reduced inside ``emit`` and nothing
else is kept. Memory: one batch of the model, at most ``chunk_rows.HELD_BYTES`` of reduced layers, and what three
stimuli give alone, whatever the number of stimuli. One stimulus is run before all others, so that a disk that is
too small and a batch that is too large are found before the work (``batch_size``), and again, so that a model that
depends on chance or on its batch is found (``steadiness``): that takes two more runs of one stimulus.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from isocortex.activations.axes import inferred_axes
from isocortex.activations.folder import ActivationFolder
from isocortex.activations.precision import as_stored
from isocortex.devices import is_out_of_memory, memory_taken, release_memory
from isocortex.errors import DataError
from isocortex.extraction.batch_size import BatchSize
from isocortex.extraction.batches import Batches
from isocortex.extraction.chance import Seeded
from isocortex.extraction.chunk_rows import NoRows, Rows, StoredRows
from isocortex.extraction.collector import Collector, Units
from isocortex.extraction.steadiness import Alone, Steadiness, Watch, refuse_equal, refuse_other_model
from isocortex.files.disk import check_space
from isocortex.typing import Array

if TYPE_CHECKING:
    from isocortex.activations.layer import Activations
    from isocortex.data.stimuli import StimulusSet
    from isocortex.interfaces import LoadedModel

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
    folder: Path | ActivationFolder,
    batch_size: int | None = None,
    progress: Progress | None = None,
    name: str = "The model",
) -> dict[str, Activations]:
    """Run a model on stimuli and store the reduced layers; chunks that exist are not computed again.

    Parameters
    ----------
    stimuli
        As the model hears them (``hearing.heard``).
    folder
        Where the layers go (see ``isocortex.activations.ActivationFolder``).
    batch_size
        Stimuli per batch; None: the number that the folder began with, or else chosen (``BatchSize``).
    progress
        Called as (chunk, n_chunks, computed) after each chunk.
    name
        What a person calls the model, for messages.

    Returns
    -------
    layer → activations, memory-mapped; a warning where the model depends on its batch.

    Raises
    ------
    PluginError
        The model does not give what it declared, or depends on chance and does not say so.
    DataError
        A stimulus cannot be read, an activation is not finite, or memory does not suffice for one stimulus.
    StoreError
        The activations do not fit on the disk.
    """
    kept = folder if isinstance(folder, ActivationFolder) else ActivationFolder(folder, stimuli.ids, CHUNK_SIZE)
    todo = {chunk: kept.missing(layers, chunk) for chunk in range(kept.n_chunks)}
    size = BatchSize.first(_device(model), batch_size or kept.batch_size)
    work = _Work(model, stimuli, reduction, size, Steadiness.known_in(kept, name))
    if any(todo.values()):
        n_bytes, taken = work.try_one(kept, layers, todo)
        check_space(kept.folder, n_bytes, f"Storing {len(layers)} layers of {stimuli.id!r} ({reduction})", ADVICE)
        if batch_size is None:
            work.size.fit(taken)
        work.try_again(kept, layers, todo)
    for chunk, missing in todo.items():
        if missing:
            with StoredRows(kept, chunk) as rows:
                units = work.run(kept.members(chunk), missing, rows)
                work.note(kept)
                rows.finish(units)
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
    steadiness: Steadiness | None = None,
) -> dict[str, Activations]:
    """As ``extract``, for few stimuli and kept in memory; without ``steadiness`` nothing is run twice or compared."""
    from isocortex.activations.layer import Activations

    rows, members = Rows(len(stimuli)), range(len(stimuli))
    known = steadiness or Steadiness("The model", compared=set(layers))
    work = _Work(model, stimuli, reduction, BatchSize.first(_device(model), batch_size), known)
    if steadiness is not None:
        work.run_alone(work.batches.longest(members), layers)
        work.repeat(members, layers)
    units, said = work.run(members, list(layers), rows), work.said
    return {
        layer: Activations(layer, stimuli.ids, [as_stored(rows.held[layer], layer)], units=units[layer], warnings=said)
        for layer in layers
    }


def _device(model: LoadedModel) -> str:
    return str(getattr(model, "device", "cpu"))


@dataclass
class _Work:
    """A model on its way through a set of stimuli."""

    model: LoadedModel
    stimuli: StimulusSet
    reduction: str
    size: BatchSize
    steadiness: Steadiness
    #: what stimuli gave alone: three at most
    alone: dict[int, dict[str, Array]] = field(default_factory=dict[int, dict[str, Array]])
    #: layers whose axes were inferred
    inferred: dict[str, tuple[tuple[str, ...], str]] = field(default_factory=dict[str, tuple[tuple[str, ...], str]])

    def __post_init__(self) -> None:
        self.batches = Batches(self.model, self.stimuli)

    # --- before the work

    def try_one(
        self, kept: ActivationFolder, layers: Sequence[str], todo: Mapping[int, Sequence[str]]
    ) -> tuple[int, int | None]:
        """Run one stimulus: bytes that the missing layers of all chunks will take on the disk, and the memory it took.

        It is the longest of the first chunk to do. What it gives is not kept: a batch of one may have other last bits.
        """
        first, wanted = _first_to_do(kept, layers, todo)
        with memory_taken(self.size.device) as taken:
            rows = self.run_alone(self.batches.longest(first), wanted)
        per_stimulus = {layer: values.nbytes for layer, values in rows.items()}
        chunks = ((len(kept.members(chunk)), missing) for chunk, missing in todo.items())
        return sum(n_members * per_stimulus[layer] for n_members, missing in chunks for layer in missing), taken.n_bytes

    def try_again(self, kept: ActivationFolder, layers: Sequence[str], todo: Mapping[int, Sequence[str]]) -> None:
        """Run the stimulus of ``try_one`` again, and one of which another process has stored layers.

        Raises
        ------
        PluginError
            It gives something else.
        """
        first, wanted = _first_to_do(kept, layers, todo)
        self.repeat(first, wanted)
        for chunk, missing in todo.items():
            stored = [layer for layer in wanted if layer not in missing]
            if stored:
                place = self.batches.longest(kept.members(chunk))
                values = {layer: np.load(kept.path(layer, chunk), mmap_mode="r") for layer in stored}
                rows = {layer: np.array(found[place - kept.members(chunk).start]) for layer, found in values.items()}
                watch = self._watch({place: rows}, again=True)
                self._run_all(range(place, place + 1), stored, NoRows(1), watch)
                refuse_other_model(self.steadiness.name, watch, self.stimuli.ids[place], kept.folder)
                return

    def repeat(self, members: range, layers: Sequence[str]) -> None:
        """Run the longest stimulus of a chunk again, after another one.

        Raises
        ------
        PluginError
            It gives something else than the first time.
        """
        if set(layers) <= self.steadiness.repeated:
            return
        longest = self.batches.longest(members)
        others = [place for place in (*self._pair(members)[::-1], *members[::-1]) if place != longest]
        if others:
            self.run_alone(others[0], layers)
        self._repeat_one(longest, self.alone[longest], layers)

    def _repeat_one(self, place: int, before: Mapping[str, Array], layers: Sequence[str]) -> None:
        exact = self.size.device.partition(":")[0] == "cpu"
        watch = self._watch({place: before}, exact=exact, again=True)
        self._run_all(range(place, place + 1), layers, NoRows(1), watch)
        self.steadiness.repeats(watch, layers, self.stimuli.ids[place], seeded=isinstance(self.model, Seeded))

    def run_alone(self, place: int, layers: Sequence[str]) -> dict[str, Array]:
        """What one stimulus gives alone: layer → (n_units,)."""
        rows = Rows(1)
        self._run_all(range(place, place + 1), layers, rows).refuse_not_finite()
        self.alone[place] = {layer: values[0] for layer, values in rows.held.items()}
        return self.alone[place]

    def _watch(self, alone: Alone, *, exact: bool = False, again: bool = False) -> Watch:
        half = str(getattr(self.model, "dtype", "")).endswith("float16")
        return Watch(alone, exact=exact, again=again, half=half)

    def _pair(self, members: range) -> list[int]:
        return self.batches.pair(members, self._n_together)

    # --- the work

    def run(self, members: range, layers: Sequence[str], rows: Rows) -> Units:
        """Run the stimuli of a chunk, and put what the layers give into ``rows``.

        Two of them are compared with what they give alone, where that was not done before.
        """
        pair = [] if set(layers) <= self.steadiness.compared else self._pair(members)
        for place in pair:
            if not set(layers) <= set(self.alone.get(place, ())):
                self.run_alone(place, layers)
        watch = self._watch({place: self.alone[place] for place in pair})
        self.alone.clear()
        collector = self._run_all(members, layers, rows, watch)
        changed = watch.changed()
        if changed:
            if not self.batches.are_equal(*pair):
                refuse_equal(self.steadiness.name, watch, changed, [self.stimuli.ids[place] for place in pair])
            for place, before in watch.alone.items():
                self._repeat_one(place, before, layers)  # chance may have looked steady the first time
            self.steadiness.depends_on_batch(changed)
            rows.clear()
            collector = self._run_all(members, layers, rows)
        elif watch.seen:
            self.steadiness.compared.update(layers)
        collector.refuse_not_finite()
        self.batches.forget()
        return {layer: collector.units[layer] for layer in layers}

    @property
    def said(self) -> list[str]:
        """What was found of the model until now."""
        return [*self.model.warnings, *inferred_axes(self.inferred), *self.steadiness.warnings]

    def note(self, kept: ActivationFolder) -> None:
        """Remember with the activations what was found of the model, before what it gives is stored."""
        for text in self.said:
            kept.warn(text)
        self.steadiness.remember()
        kept.note_batch_size(self.size.now)

    @property
    def _n_together(self) -> int:
        """Stimuli per batch."""
        return 1 if self.model.batching == "single" or self.steadiness.one_by_one else self.size.now

    def _run_all(self, members: range, layers: Sequence[str], rows: Rows, watch: Watch | None = None) -> Collector:
        collector = Collector(self.stimuli.ids, layers, self.reduction, rows, watch)
        for group in self.batches.groups(members):
            while group:
                places = group[: self._n_together]
                if self._fits(places, collector, members.start):
                    group = group[len(places) :]
                else:
                    self.size.failed(len(places))
                    release_memory(self.size.device)
        self.inferred.update(collector.inferred)
        return collector

    def _fits(self, places: Sequence[int], collector: Collector, first: int) -> bool:
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


def _first_to_do(
    kept: ActivationFolder, layers: Sequence[str], todo: Mapping[int, Sequence[str]]
) -> tuple[range, list[str]]:
    """The stimuli of the first chunk to do, and all layers that are missing somewhere."""
    first = kept.members(next(chunk for chunk, missing in todo.items() if missing))
    return first, [layer for layer in layers if any(layer in missing for missing in todo.values())]


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
