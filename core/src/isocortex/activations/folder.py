"""The store of activations.

Activations lie as ``<key>/<layer>/<chunk>.npy``; the key is a digest of contents, so that processes that work on the
same key at once write the same bytes. A chunk that is there and whole is never computed again. Every record and every
chunk carries a checksum and says what it belongs to: what does not match counts as not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from isocortex.activations.chunk_files import fault_of_chunk, record_chunk, write_chunk
from isocortex.errors import DataError, shorten
from isocortex.files.digests import digest_of
from isocortex.files.disk import folder_name
from isocortex.files.sealed import believed, read_sealed, write_sealed

if TYPE_CHECKING:
    from isocortex.activations.layer import Activations
    from isocortex.typing import Array


#: records of a folder, beside those of its layers
RECORDS = ("activations.json", "batching.json", "steadiness.json", "warnings.json")

OLDER = (
    "{} was written by an older version of isocortex, without checksums: whether its activations are as they were "
    "written cannot be checked. Extract them again to have that checked."
)


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
    key
        What tells these activations from all others; every record in the folder holds it.
    older
        The folder is of a version that wrote no checksums: it is read, and its warnings say that it was not checked.
    """

    folder: Path
    stimulus_id: tuple[str, ...]
    chunk_size: int
    key: str = ""
    older: bool = False

    @classmethod
    def at(cls, folder: Path) -> ActivationFolder:
        """A folder as its own ``activations.json`` describes it.

        Raises
        ------
        DataError
            The description is damaged, or lacks something.
        """
        path = folder / "activations.json"
        state, about = read_sealed(path)
        ids, size, layers = (about.get(name) for name in ("stimulus_id", "chunk_size", "layers"))
        if state == "damaged":
            raise DataError(
                f"{path} is not what 'isocortex extract' writes: it is damaged or was edited. Extract the activations "
                "again."
            )
        if not (_is_texts(ids) and _is_texts(layers) and type(size) is int and size > 0):
            raise DataError(
                f"{path} is not what 'isocortex extract' writes: lists of names 'stimulus_id' and 'layers', and a "
                f"'chunk_size' of 1 or more; found {shorten(about) or 'nothing of it'}. Extract the activations again, "
                "or remove it to read one file per layer."
            )
        return cls(folder, tuple(ids), size, str(about.get("key", "")), older=state == "older")

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
        """Layers whose chunk is not there; what is damaged or of another place counts as missing."""
        if self._state("warnings.json") == "damaged":
            return list(layers)
        return [layer for layer in layers if self._fault(layer, chunk) is not None]

    def damaged(self, layers: Sequence[str]) -> list[str]:
        """Names of files that are there and cannot be believed: chunks of these layers, and records of the folder."""
        found = [name for name in RECORDS if self._is_damaged(name)]
        found += [name for name in map(_sidecar, layers) if self._is_damaged(name)]
        chunks = [(layer, chunk) for layer in layers for chunk in range(self.n_chunks)]
        for layer, chunk in chunks:
            path = self.path(layer, chunk)
            if path.exists() and fault_of_chunk(path, self._identity(layer, chunk)) is not None:
                found.append(path.relative_to(self.folder).as_posix())
        return found

    def _fault(self, layer: str, chunk: int) -> str | None:
        """Why a chunk cannot be believed; one of a layer whose own record is damaged cannot."""
        if self.older:
            return None if self.path(layer, chunk).is_file() else "is not there"
        if self._state(_sidecar(layer)) != "whole":
            return "lies beside a layer.json that is absent or damaged"
        return fault_of_chunk(self.path(layer, chunk), self._identity(layer, chunk))

    def _identity(self, layer: str, chunk: int) -> dict[str, Any]:
        ids = [self.stimulus_id[place] for place in self.members(chunk)]
        return {"key": self.key, "layer": layer, "chunk": chunk, "stimuli": digest_of(ids)}

    def _read(self, name: str) -> tuple[str, dict[str, Any]]:
        """State of a record, "absent", "whole" or "damaged", and what it holds; one of another folder is damaged."""
        state, content = read_sealed(self.folder / name)
        if state == "absent" or (state == "older" and self.older):
            return ("absent" if state == "absent" else "whole"), content
        own = {**content, **self._of(name)} == content
        return ("whole", content) if state == "whole" and own else ("damaged", {})

    def _of(self, name: str) -> dict[str, Any]:
        """What a record says of where it belongs."""
        return {"key": self.key, "file": name}

    def _state(self, name: str) -> str:
        return self._read(name)[0]

    def _is_damaged(self, name: str) -> bool:
        return self._state(name) == "damaged"

    def record(self, name: str) -> dict[str, Any]:
        """What a record of the folder holds; nothing where it is absent or cannot be believed."""
        return self._read(name)[1]

    def note(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a record of the folder, with what it belongs to."""
        write_sealed(self.folder / name, {**content, **self._of(name)})

    def write(self, layer: str, chunk: int, values: Array, units: Sequence[str] | None) -> None:
        """Store (n_members, n_units) of a chunk; names of units go into a sidecar before the first chunk.

        Raises
        ------
        DataError
            Another chunk has another number of units.
        StoreError
            The chunk cannot be written.
        """
        self.note_units(layer, int(values.shape[1]), units)
        write_chunk(self.path(layer, chunk), values, self._identity(layer, chunk))

    def note_written(self, layer: str, chunk: int) -> None:
        """Write the checksum of a chunk that was put in place row by row.

        Raises
        ------
        StoreError
            It cannot be written.
        """
        record_chunk(self.path(layer, chunk), self._identity(layer, chunk))

    def note_units(self, layer: str, n_units: int, units: Sequence[str] | None) -> None:
        """Write number and names of a layer's units, before its first chunk.

        Raises
        ------
        DataError
            Another chunk has another number of units.
        """
        known = self.record(_sidecar(layer)).get("n_units")
        if known is None:
            self.note(_sidecar(layer), {"layer": layer, "n_units": n_units, "units": units})
        elif known != n_units:
            raise varying_units(layer, n_units, int(known))

    @property
    def batch_size(self) -> int | None:
        """Stimuli per batch that the extraction began with; it goes on with them, so that equal bytes come out."""
        size = self.record("batching.json").get("batch_size")
        return size if isinstance(size, int) and size > 0 else None

    def note_batch_size(self, batch_size: int) -> None:
        """Remember the number of stimuli per batch."""
        if batch_size != self.batch_size:
            self.note("batching.json", {"batch_size": batch_size})

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was dropped, guessed or found odd while the model ran."""
        known = tuple(map(str, self.record("warnings.json").get("warnings", ())))
        return (OLDER.format(self.folder), *known) if self.older else known

    def warn(self, text: str) -> None:
        """Keep a warning with the activations, so that every result that is made of them says it."""
        if text not in self.warnings:
            self.note("warnings.json", {"warnings": [*self.warnings, text]})

    def forget_damaged_warnings(self) -> None:
        """Where warnings cannot be read any more: let all chunks be made again, so that they are said again."""
        if not self._is_damaged("warnings.json"):
            return
        for record in self.folder.glob("*/[0-9]*.json"):  # first, so that a kill in between changes nothing
            record.unlink(missing_ok=True)
        for name in ("steadiness.json", "warnings.json"):  # what is known of a model is not looked at, and said, again
            (self.folder / name).unlink(missing_ok=True)

    def describe(self, about: dict[str, Any], layers: Sequence[str]) -> None:
        """Write what the folder holds into ``activations.json``, so that it can be scored by itself."""
        path = self.folder / "activations.json"
        known = self.listed
        if self.described and set(layers) <= set(known):
            return
        first, then = (known, layers) if self.described else (list(layers), known)
        listed = [*first, *(layer for layer in then if layer not in first)]
        ids = list(self.stimulus_id)
        content = {**about, "layers": listed, "stimulus_id": ids, "chunk_size": self.chunk_size}
        self.note(path.name, content)

    @property
    def described(self) -> bool:
        """Whether ``activations.json`` is there and whole."""
        return self._state("activations.json") == "whole"

    @property
    def listed(self) -> list[str]:
        """Layers that the folder says to hold; where it cannot say any more, those whose own records are whole."""
        if self._state("activations.json") != "damaged":
            return [str(layer) for layer in self.record("activations.json").get("layers", ())]
        records = (believed(path) for path in sorted(self.folder.glob("*/layer.json")))
        return [str(record["layer"]) for record in records if record.get("key") == self.key]

    def open(self, layer: str) -> Activations:
        """The finished layer, memory-mapped; every chunk of it is compared with its checksum first.

        Raises
        ------
        DataError
            A chunk is absent, damaged or of another place.
        """
        from isocortex.activations.layer import Activations

        for chunk in range(self.n_chunks):
            fault = self._fault(layer, chunk)
            if fault is not None:
                raise DataError(
                    f"{self.path(layer, chunk)}: this chunk of activations {fault}, so that nothing of it is used. "
                    "Extract them again; in the cache, the next run does."
                )
        chunks = [self.path(layer, chunk) for chunk in range(self.n_chunks)]
        units = self.record(_sidecar(layer)).get("units")
        return Activations(layer, self.stimulus_id, chunks, units=units, warnings=self.warnings)


def _sidecar(layer: str) -> str:
    """The record of a layer, below the folder."""
    return f"{folder_name(layer)}/layer.json"


def _is_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) and item for item in value)
