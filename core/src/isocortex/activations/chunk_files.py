"""Chunks of activations on disk: ``00000.npy``, and ``00000.json`` beside it with checksum and identity.

The record holds the CRC-32 and the size of the array's file, and what it is a chunk of: layer, place, stimuli, and the
key of the activations. It is written after the array. A chunk without a record, one whose record is damaged or of
another chunk, and one whose bytes are not those of its record count as not there.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from isocortex.files.digests import is_settled, reads_every_byte, stamp_of
from isocortex.files.disk import write_atomic
from isocortex.files.sealed import read_sealed, write_sealed

if TYPE_CHECKING:
    from isocortex.typing import Array

_BLOCK = 1 << 20
#: chunks that this process has read and found whole, by what the file system says of array and record
_WHOLE: dict[tuple[Path, str], list[int]] = {}


class _Summed:
    """A file that sums up what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.crc32, self.n_bytes = file, 0, 0

    def write(self, content: Any) -> int:
        self.crc32 = zlib.crc32(content, self.crc32)
        self.n_bytes += memoryview(content).nbytes
        return self.file.write(content)


def record_of(path: Path) -> Path:
    """Where the checksum of a chunk lies.

    Examples
    --------
    >>> record_of(Path("conv1/00000.npy")).name
    '00000.json'
    """
    return path.with_suffix(".json")


def write_chunk(path: Path, values: Array, identity: Mapping[str, Any]) -> None:
    """Write an array (n_rows, n_units) and then its record.

    Parameters
    ----------
    identity
        What the chunk is; asked for again by ``fault_of_chunk``.

    Raises
    ------
    StoreError
        One of them cannot be written.
    """
    import numpy as np

    sums: dict[str, int] = {}

    def write(file: BinaryIO) -> None:
        summed = _Summed(file)
        np.save(summed, values, allow_pickle=False)  # pyright: ignore[reportArgumentType]
        sums.update(crc32=summed.crc32, n_bytes=summed.n_bytes)

    write_atomic(path, write)
    write_sealed(record_of(path), {**identity, **sums})


def record_chunk(path: Path, identity: Mapping[str, Any]) -> None:
    """Write the record of an array that was put in place before, row by row; it is read once.

    Raises
    ------
    StoreError
        The record cannot be written.
    OSError
        The array cannot be read.
    """
    write_sealed(record_of(path), {**identity, **_sums(path)})


def fault_of_chunk(path: Path, identity: Mapping[str, Any]) -> str | None:
    """Why a chunk cannot be believed, or None where it is what was written.

    What was found whole is not read again by this process, as long as the file system says that it has not changed.

    Returns
    -------
    "is not there", "has no checksum", "is damaged", "is of another place", or None.
    """
    place = (path, repr(sorted(identity.items())))
    try:
        now, stamp = time.time_ns(), [*stamp_of(path), *stamp_of(record_of(path))]
        if _WHOLE.get(place) == stamp and not reads_every_byte():
            return None
        fault = _fault(path, identity)
    except OSError:
        return "has no checksum" if path.exists() else "is not there"
    if fault is None and is_settled(stamp[:5], now) and is_settled(stamp[5:], now):
        _WHOLE[place] = stamp
    return fault


def _fault(path: Path, identity: Mapping[str, Any]) -> str | None:
    record = read_sealed(record_of(path))
    if record.state != "whole":
        return "has no checksum" if record.state == "absent" else "has a damaged checksum"
    if any(record.content.get(name) != value for name, value in identity.items()):
        return "is of another place"
    sums = {name: record.content.get(name) for name in ("crc32", "n_bytes")}
    return None if _sums(path) == sums else "is damaged"


def _sums(path: Path) -> dict[str, int]:
    crc32, n_bytes = 0, 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            crc32, n_bytes = zlib.crc32(block, crc32), n_bytes + len(block)
    return {"crc32": crc32, "n_bytes": n_bytes}
