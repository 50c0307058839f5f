"""MATLAB's files of version 5 to 7: arrays of numbers, cells of text, and matrices of letters.

Read here, byte by byte within bounds, because scipy's reader ends the process on some damaged files. The layout is that
of "MAT-File Format" (MathWorks), level 5: elements, each a type, a number of bytes, and these bytes; the elements of a
file may be compressed. What a file expands to is counted against the free memory before any of it is kept.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from isocortex.errors import DataError

if TYPE_CHECKING:
    from isocortex.typing import Array

_HEADER: Final = 128
_COMPRESSED, _MATRIX, _FLAGS, _DIMS, _NAME = 15, 14, 6, 5, 1
_CELL, _CHAR = 1, 4
_COMPLEX, _LOGICAL = 0x800, 0x200
#: class of an array of numbers → type of its values; they may be stored in a smaller one
_CLASSES: Final = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_STORED: Final = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_SPARSE: Final = 5
#: type of letters → how they are decoded
_LETTERS: Final = {1: "utf-8", 2: "utf-8", 16: "utf-8", 4: "utf-16", 17: "utf-16", 18: "utf-32"}
#: what is expanded of an array to read its name, and at a time to count what there is
_BEGINNING, _STEP = 4096, 1 << 20
_AGAIN: Final = "Copy or save the file again."


class Element(NamedTuple):
    """A part of a file: its type, and where its bytes begin and end."""

    kind: int
    start: int
    stop: int


class Matrix(NamedTuple):
    """An array: its class and flags, shape and name, and the elements that hold it."""

    kind: int
    flags: int
    shape: tuple[int, ...]
    name: str
    parts: list[Element]


def arrays_in(path: Path) -> dict[str, tuple[int, ...]]:
    """Name → shape of the arrays of numbers, sparse ones among them.

    Raises
    ------
    DataError
        The file is of another kind, is cut or damaged, or expands to more than the memory has free.
    """
    found: dict[str, tuple[int, ...]] = {}
    for array, _ in _arrays(path, None):
        if (array.kind in _CLASSES and not array.flags & _LOGICAL) or array.kind == _SPARSE:
            found[array.name] = array.shape
    return found


def read_array(path: Path, name: str) -> Array:
    """An array of numbers, complex ones as they are.

    Raises
    ------
    DataError
        As for ``arrays_in``; or there is no such array, it is sparse, or no numbers.
    """
    order = _order(path)
    for array, content in _arrays(path, name):
        if array.kind == _SPARSE:
            raise DataError(f"{name!r} is sparse. Save it with full().")
        if array.kind not in _CLASSES or len(array.parts) != (2 if array.flags & _COMPLEX else 1):
            raise DataError(f"{name!r} holds no numbers, or is damaged. {_AGAIN}")
        parts = [_numbers(content[part.start : part.stop], part.kind, array, order) for part in array.parts]
        values = parts[0] if len(parts) == 1 else parts[0] + 1j * parts[1]
        return values.reshape(array.shape, order="F")
    raise DataError(f"There is no array {name!r}.")


def _numbers(stored: bytes, kind: int, array: Matrix, order: str) -> Array:
    dtype = np.dtype(order + _STORED[kind]) if kind in _STORED else None
    if dtype is None or len(stored) != math.prod(array.shape) * dtype.itemsize or min(array.shape, default=0) < 0:
        raise DataError(
            f"{array.name!r} is damaged: its shape is {array.shape}, and it has {len(stored):,} bytes. {_AGAIN}"
        )
    return np.frombuffer(stored, dtype).astype(_CLASSES[array.kind])


def read_text(path: Path, name: str) -> list[str] | None:
    """The texts of an array, in MATLAB's order; None: the file has none of that name.

    Raises
    ------
    DataError
        As for ``arrays_in``; or the array holds something else.
    """
    order = _order(path)
    for array, content in _arrays(path, name):
        return _texts(array, content, order)
    return None


# --- elements ---------------------------------------------------------------------------------------------------------


def _order(path: Path) -> str:
    with path.open("rb") as file:
        header = file.read(_HEADER)
    order = {b"IM": "<", b"MI": ">"}.get(header[126:128]) if header.startswith(b"MATLAB") else None
    if order is None:
        raise DataError(
            f"{path} cannot be read as a MATLAB file: it is cut, of version 4, or of another kind. Save it with -v7.3."
        )
    return order


def _arrays(path: Path, name: str | None) -> Iterator[tuple[Matrix, bytes]]:
    """Arrays of a file and their bytes; only those called ``name`` are read whole, of others the head alone."""
    from isocortex.devices import free_memory

    order, free, size = _order(path), free_memory("cpu") or math.inf, path.stat().st_size
    n_bytes = 0
    with path.open("rb") as file:
        file.seek(_HEADER)
        while tag := file.read(8):
            kind, length = struct.unpack(f"{order}II", tag) if len(tag) == 8 else (0, size)
            if file.tell() + length > size:
                raise DataError(f"{path} is cut: {size:,} bytes, and its parts go on. Copy it again.")
            content = file.read(length)
            n_bytes += sum(_sizes(content, free - n_bytes)) if kind == _COMPRESSED else length
            if n_bytes > free:
                raise DataError(f"{path} holds {n_bytes / 1e9:.2f} GB of values, and {free / 1e9:.2f} GB are free.")
            if kind == _COMPRESSED:
                kind, content = _within(content, order, name)
            if kind != _MATRIX:
                continue
            head = _matrix(content[:_BEGINNING], order, whole=False)
            if name is None:
                yield head, b""
            elif head.name == name:
                yield _matrix(content, order), content


def _sizes(content: bytes, most: float) -> Iterator[int]:
    """Sizes of what a compressed element expands to, a step at a time, none of which is kept."""
    made, expander = 0, zlib.decompressobj()
    while not expander.eof and made <= most:
        try:
            part = expander.decompress(content, _STEP)
        except zlib.error as error:
            raise DataError(f"An array is damaged ({error}). {_AGAIN}") from error
        content = expander.unconsumed_tail
        if not part and not content:
            raise DataError(f"An array is damaged: a compressed part has no end. {_AGAIN}")
        made += len(part)
        yield len(part)


def _within(content: bytes, order: str, name: str | None) -> tuple[int, bytes]:
    """Type and bytes of the element that is compressed: its beginning, or all of it where it has the name."""
    beginning = zlib.decompressobj().decompress(content, _BEGINNING)
    if len(beginning) < 8:
        raise DataError(f"An array is damaged: {len(beginning)} bytes. {_AGAIN}")
    [kind] = struct.unpack(f"{order}I", beginning[:4])
    wanted = kind == _MATRIX and name is not None and _matrix(beginning[8:], order, whole=False).name == name
    return kind, (zlib.decompress(content) if wanted else beginning)[8:]


def _elements(content: bytes, order: str, *, whole: bool) -> Iterator[Element]:
    at = 0
    while at + 8 <= len(content):
        kind, length = struct.unpack_from(f"{order}II", content, at)
        start, after = at + 8, at + 8 + length + -length % 8
        if kind >> 16:  # up to four bytes lie within the tag
            kind, length, start, after = kind & 0xFFFF, kind >> 16, at + 4, at + 8
            if length > 4:
                raise DataError(f"An array is damaged: a part is longer than it can be. {_AGAIN}")
        if start + length > len(content) and whole:
            raise DataError(f"An array is damaged: a part goes on beyond its end. {_AGAIN}")
        yield Element(kind, start, start + length)
        at = after


def _matrix(content: bytes, order: str, *, whole: bool = True) -> Matrix:
    found = _elements(content, order, whole=whole)
    head = [next(found, Element(0, 0, 0)) for _ in range(3)]
    flags, dims, name = (content[part.start : part.stop] for part in head)
    if [part.kind for part in head] != [_FLAGS, _DIMS, _NAME] or len(flags) != 8 or len(dims) % 4:
        raise DataError(f"An array is damaged, or of a kind that is not read. {_AGAIN}")
    shape = struct.unpack(f"{order}{len(dims) // 4}i", dims)
    [about] = struct.unpack(f"{order}I", flags[:4])
    return Matrix(about & 0xFF, about & ~0xFF, shape, name.decode("latin-1"), list(found) if whole else [])


# --- text -------------------------------------------------------------------------------------------------------------


def _texts(array: Matrix, content: bytes, order: str) -> list[str]:
    name = array.name
    if array.kind == _CHAR:
        return _rows(array, content, order)
    if array.kind != _CELL:
        raise DataError(f"{name!r} holds no text. Save a cell array of text.")
    if math.prod(array.shape) != len(array.parts) or {part.kind for part in array.parts} - {_MATRIX}:
        raise DataError(f"{name!r} is damaged: {array.shape} cells, and {len(array.parts)} are there. Save it again.")
    found: list[str] = []
    for part in array.parts:
        inside = content[part.start : part.stop]
        cell = _matrix(inside, order)
        rows = _rows(cell, inside, order) if cell.kind == _CHAR else []
        if len(rows) > 1 or (cell.kind != _CHAR and 0 not in cell.shape):
            raise DataError(f"A cell of {name!r} holds something else than one text. Save a cell array of text.")
        found.append(rows[0] if rows else "")
    return found


def _rows(array: Matrix, content: bytes, order: str) -> list[str]:
    """The rows of a matrix of letters, which are stored column by column."""
    if 0 in array.shape:
        return []
    part = array.parts[0] if array.parts else Element(0, 0, 0)
    codec = _LETTERS.get(part.kind)
    if codec is None:
        raise DataError(f"Text of the type {part.kind} is not read. Save the file again with -v7.3.")
    codec += "" if codec == "utf-8" else "-le" if order == "<" else "-be"
    try:
        text = content[part.start : part.stop].decode(codec)
    except UnicodeDecodeError as error:
        raise DataError(f"A text is damaged ({error}). {_AGAIN}") from error
    n_rows = array.shape[0]
    if n_rows > 1 and math.prod(array.shape) != len(text):
        raise DataError(f"A text is damaged: {array.shape} letters, and {len(text)} are there. {_AGAIN}")
    return [text[row::n_rows].rstrip() for row in range(n_rows)] if n_rows > 1 else [text.rstrip()]
