"""The store of activations.

Activations lie as ``<key>/<layer>/<chunk>.npy``; the key is a digest of contents, so that processes that work on the
same key at once write the same bytes. A chunk that exists is never computed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from isocortex.errors import DataError
from isocortex.files.disk import folder_name, read_json, write_atomic, write_json

if TYPE_CHECKING:
    from isocortex.activations.layer import Activations
    from isocortex.typing import Array


def varying_units(layer: str, n_units: int, others: int) -> DataError:
    """The error of a layer whose number of units depends on the stimulus."""
    return DataError(
        f"Layer {layer!r} has {n_units} units for some, {others} for others of the stimuli. "
        "The reduction keeps an axis that varies; 'time-mean' removes time."
    )


@dataclass(frozen=True)
class ActivationFolder:
    """The activations of one model variant for one set of stimuli under one reduction.

    Parameters
    ----------
    folder
        ``<key>``: layers lie below it.
    stimulus_id
        All stimuli, in canonical order.
    chunk_size
        Stimuli per chunk.
    """

    folder: Path
    stimulus_id: tuple[str, ...]
    chunk_size: int

    @property
    def n_chunks(self) -> int:
        """Number of chunks of every layer."""
        return -(-len(self.stimulus_id) // self.chunk_size)

    def members(self, chunk: int) -> range:
        """Places of the stimuli of a chunk."""
        return range(chunk * self.chunk_size, min((chunk + 1) * self.chunk_size, len(self.stimulus_id)))

    def path(self, layer: str, chunk: int) -> Path:
        """Where a chunk of a layer lies."""
        return self.folder / folder_name(layer) / f"{chunk:05d}.npy"

    def missing(self, layers: Sequence[str], chunk: int) -> list[str]:
        """Layers whose chunk is not there; a damaged file counts as missing."""
        return [layer for layer in layers if not self._whole(layer, chunk)]

    def _whole(self, layer: str, chunk: int) -> bool:
        import numpy as np

        try:
            values = np.load(self.path(layer, chunk), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError, BadZipFile):
            return False
        return getattr(values, "ndim", 0) == 2 and len(values) == len(self.members(chunk))

    def write(self, layer: str, chunk: int, values: Array, units: Sequence[str] | None) -> None:
        """Store (n_members, n_units) of a chunk; names of units go into a sidecar before the first chunk.

        Raises
        ------
        DataError
            Another chunk has another number of units.
        StoreError
            The chunk cannot be written.
        """
        import numpy as np

        self.note_units(layer, int(values.shape[1]), units)
        write_atomic(self.path(layer, chunk), lambda file: np.save(file, values, allow_pickle=False))

    def note_units(self, layer: str, n_units: int, units: Sequence[str] | None) -> None:
        """Write number and names of a layer's units, before its first chunk.

        Raises
        ------
        DataError
            Another chunk has another number of units.
        """
        sidecar = self.folder / folder_name(layer) / "layer.json"
        known = (read_json(sidecar) or {}).get("n_units")
        if known is None:
            write_json(sidecar, {"layer": layer, "n_units": n_units, "units": units})
        elif known != n_units:
            raise varying_units(layer, n_units, int(known))

    @property
    def batch_size(self) -> int | None:
        """Stimuli per batch that the extraction began with; it goes on with them, so that equal bytes come out."""
        known = read_json(self.folder / "batching.json")
        size = known.get("batch_size") if isinstance(known, dict) else None
        return size if isinstance(size, int) and size > 0 else None

    def note_batch_size(self, batch_size: int) -> None:
        """Remember the number of stimuli per batch."""
        if batch_size != self.batch_size:
            write_json(self.folder / "batching.json", {"batch_size": batch_size})

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was dropped, guessed or found odd while the model ran."""
        known = read_json(self.folder / "warnings.json")
        return tuple(map(str, known)) if isinstance(known, list) else ()

    def warn(self, text: str) -> None:
        """Keep a warning with the activations, so that every result that is made of them says it."""
        if text not in self.warnings:
            write_json(self.folder / "warnings.json", [*self.warnings, text])

    def describe(self, about: dict[str, Any], layers: Sequence[str]) -> None:
        """Write what the folder holds into ``activations.json``, so that it can be scored by itself."""
        path = self.folder / "activations.json"
        known: list[str] = (read_json(path) or {}).get("layers", [])
        if set(layers) <= set(known):
            return
        listed = [*known, *(layer for layer in layers if layer not in known)]
        ids = list(self.stimulus_id)
        write_json(path, {**about, "layers": listed, "stimulus_id": ids, "chunk_size": self.chunk_size})

    def open(self, layer: str) -> Activations:
        """The finished layer, memory-mapped."""
        from isocortex.activations.layer import Activations

        sidecar = read_json(self.folder / folder_name(layer) / "layer.json") or {}
        chunks = [self.path(layer, chunk) for chunk in range(self.n_chunks)]
        return Activations(layer, self.stimulus_id, chunks, units=sidecar.get("units"), warnings=self.warnings)
