"""Folders, atomic writes, and the store of activations.

A file is written under a temporary name and then moved, so that no reader ever sees half of one. Activations lie as
``<key>/<layer>/<chunk>.npy``; the key is a digest of contents, so that processes that work on the same key at once
write the same bytes. A chunk that exists is never computed again.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import uuid
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote
from zipfile import BadZipFile

from isocortex.errors import DataError, StoreError

if TYPE_CHECKING:
    import numpy as np

    from isocortex.activations.layer import Activations

    Array = np.ndarray[Any, Any]


def cache_folder() -> Path:
    """Where activations, digests of files and locks lie: ``ISOCORTEX_CACHE``, or the user's cache folder."""
    return _folder("ISOCORTEX_CACHE", "user_cache_path")


def data_folder() -> Path:
    """Where data sets and weights lie: ``ISOCORTEX_DATA``, or the user's data folder."""
    return _folder("ISOCORTEX_DATA", "user_data_path")


def _folder(variable: str, default: str) -> Path:
    import platformdirs

    return Path(os.environ.get(variable) or getattr(platformdirs, default)("isocortex"))


def folder_name(name: str) -> str:
    """A name as one folder name on any file system; different names stay different.

    Examples
    --------
    >>> folder_name("nvidia/parakeet")
    'nvidia%2Fparakeet'
    """
    quoted = quote(name, safe="@=+, ", errors="surrogatepass")
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted or "%"


@contextlib.contextmanager
def locked(path: Path) -> Generator[None]:
    """Let one process at a time into what a lock file stands for; where none can be had, all go on unlocked."""
    from filelock import FileLock

    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, NotImplementedError):
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(path))
        yield


def write_atomic(path: Path, write: Callable[[BinaryIO], object], *, durable: bool = False) -> None:
    """Write a file so that it is there whole or not at all.

    Raises
    ------
    StoreError
        No space, or no right to write; the message names the folder and the free space.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            write(file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise StoreError(why_not_written(path, error)) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def why_not_written(path: Path, error: OSError) -> str:
    """What a user is told where a file cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(_existing(path)).free / 1e9
        return (
            f"No space left to write {path} ({free:.2f} GB free). Free some space or point ISOCORTEX_CACHE "
            "(activations), ISOCORTEX_DATA (data, weights) or --out (results) to another disk. What is finished is "
            "kept; a rerun goes on from there."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"{path.parent} cannot be written to ({error.strerror}). "
            "Choose another folder with --out (results), ISOCORTEX_CACHE (activations) or ISOCORTEX_DATA (data)."
        )
    return f"{path} cannot be written ({error.strerror or error})."


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())


def check_writable(folder: Path) -> None:
    """Fail early where results could not be written at the end.

    Raises
    ------
    StoreError
        The folder cannot be made or written to.
    """
    probe = folder / f".write-test-{uuid.uuid4().hex}"
    write_atomic(probe, lambda file: file.write(b""))
    probe.unlink(missing_ok=True)


def check_space(folder: Path, n_bytes: int, what: str, advice: str = "") -> None:
    """Fail before the work where its outcome would not fit.

    Parameters
    ----------
    advice
        What to do beside freeing some space.

    Raises
    ------
    StoreError
        Less than ``n_bytes`` are free.
    """
    free = shutil.disk_usage(_existing(folder)).free
    if n_bytes > free:
        raise StoreError(
            f"{what} needs {n_bytes / 1e9:.2f} GB in {folder}, but only {free / 1e9:.2f} GB are free. Free some space"
            f"{f', {advice}' if advice else ', or choose a folder on another disk'}."
        )


def read_json(path: Path) -> Any:
    """The content of a JSON file, or None where it is absent or unreadable."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def write_json(path: Path, content: object, *, durable: bool = False) -> None:
    """Write JSON atomically."""
    text = json.dumps(content, indent=1)
    write_atomic(path, lambda file: file.write(text.encode()), durable=durable)


def write_json_if_possible(path: Path, content: object) -> None:
    """Write what only saves work; a cache that cannot be written is no error."""
    with contextlib.suppress(StoreError):
        write_json(path, content)


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
        return Activations(layer, self.stimulus_id, chunks, units=sidecar.get("units"))
