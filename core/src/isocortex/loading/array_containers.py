"""HDF5 and MATLAB files: arrays of numbers by name, and the labels beside them.

Values come as the program shows them that wrote the file: MATLAB's newer files are HDF5 with the axes the other way
round, and are turned back. What a file promises is bounded before anything of it is read, and no byte of another file
is. Structures, tables and objects of MATLAB are not looked into.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.data.labels import label
from isocortex.data.numbers import refuse_unreal
from isocortex.errors import DataError, shorten
from isocortex.files.array_files import check_hdf5
from isocortex.loading.folder_arrays import about, refuse_absent

if TYPE_CHECKING:
    from isocortex.typing import Array

#: endings of the files that are read here
ENDINGS = (".h5", ".hdf5", ".mat")
#: names of the arrays of text that are read
LABEL_ARRAYS = ("stimulus_id", "neuroid_id")

_HDF5 = b"\x89HDF\r\n\x1a\n"
_HEADER, _COMPRESSED, _STEP = 128, 15, 1 << 20
#: MATLAB's classes of numbers
_NUMBERS = frozenset(
    ["double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "sparse"]
)


def arrays_in(path: Path) -> dict[str, tuple[int, ...]]:
    """Name → shape of the arrays of numbers with two or three axes; single numbers and vectors are none of these.

    Raises
    ------
    DataError
        The file is absent, was not fetched, is cut, has bytes in other files, or promises more than the memory holds.
    """
    refuse_absent(path)
    with about(path):
        found = dict(_shapes_in_hdf5(path) if is_hdf5(path) else _shapes_in_matlab(path))
    return {name: shape for name, shape in found.items() if _is_a_table(shape)}


def _is_a_table(shape: tuple[int, ...]) -> bool:
    return len(shape) in (2, 3) and sum(length > 1 for length in shape) > 1


def read_array(path: Path, name: str) -> Array:
    """An array of numbers, whole in memory, its axes as the program shows them that wrote it.

    Raises
    ------
    DataError
        As for ``arrays_in``; or it is complex, sparse, or no numbers.
    """
    with about(path):
        values = _from_hdf5(path, name) if is_hdf5(path) else _from_matlab(path, name)
        return refuse_unreal(values, f"Values of {name!r}")


def read_labels(path: Path, name: str) -> list[str] | None:
    """An array of text, such as ``stimulus_id``; None: the file has none of that name.

    Raises
    ------
    DataError
        As for ``arrays_in``; or it is no text.
    """
    with about(path):
        found = _text_in_hdf5(path, name) if is_hdf5(path) else _text_in_matlab(path, name)
    return None if found is None else [label(text) for text in found]


def the_one_array(path: Path, wanted: str | None, usual: str) -> str:
    """Name of the array that is meant: the one that is wanted, the one with the usual name, or the only one.

    Raises
    ------
    DataError
        There is none, or several and none of these names.
    """
    found = arrays_in(path)
    if wanted is not None and wanted not in found:
        raise DataError(f"{path} has no array of numbers {wanted!r} with two or three axes; found {_listed(found)}.")
    if wanted is None and usual not in found and len(found) != 1:
        advice = f'Call the one that is meant {usual!r}, or name it in dataset.toml: variable = "…".' if found else ""
        raise DataError(
            f"{path} needs one array of numbers with two or three axes; found {_listed(found)}. {advice}".rstrip()
        )
    return wanted or (usual if usual in found else next(iter(found)))


def _listed(found: dict[str, tuple[int, ...]]) -> str:
    return shorten(f"{name} {shape}" for name, shape in found.items()) or "none"


def is_hdf5(path: Path) -> bool:
    """Whether the file is HDF5, as MATLAB's are since version 7.3, behind a header of their own."""
    with path.open("rb") as file:
        if file.read(8) == _HDF5:
            return True
        file.seek(512)
        return file.read(8) == _HDF5


# --- HDF5 -------------------------------------------------------------------------------------------------------------


def _shapes_in_hdf5(path: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    import h5py

    check_hdf5(path)
    found: list[tuple[str, tuple[int, ...]]] = []

    def look(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("#") and _is_numbers(item):
            found.append((name, item.shape[::-1] if _is_of_matlab(item) else item.shape))

    with h5py.File(path, "r") as file:
        file.visititems(look)
    yield from found


def _is_numbers(item: Any) -> bool:
    kind = _class_of_matlab(item)
    return item.dtype.kind in "iufc" and item.shape is not None and (not kind or kind in _NUMBERS)


def _class_of_matlab(item: Any) -> str:
    found = item.attrs.get("MATLAB_class", b"")
    return found.decode(errors="replace") if isinstance(found, bytes) else str(found)


def _is_of_matlab(item: Any) -> bool:
    return bool(_class_of_matlab(item))


def _from_hdf5(path: Path, name: str) -> Array:
    import h5py

    check_hdf5(path)
    with h5py.File(path, "r") as file:
        item: Any = file[name]
        values = item[...]
        return values.T if _is_of_matlab(item) else values


def _text_in_hdf5(path: Path, name: str) -> list[Any] | None:
    import h5py

    check_hdf5(path)
    with h5py.File(path, "r") as file:
        if name not in file:
            return None
        item: Any = file[name]
        if not isinstance(item, h5py.Dataset):
            raise DataError(f"{name!r} is a group; expected an array of text.")
        if _class_of_matlab(item) == "cell":
            return [_characters(file[reference]) for reference in item[...].T.ravel()]
        if _class_of_matlab(item) == "char":
            rows = item[...].T
            return ["".join(map(chr, row)).rstrip() for row in rows]
        if h5py.check_string_dtype(item.dtype) is None and item.dtype.kind not in "SUiu":
            raise DataError(f"{name!r} holds {item.dtype}; expected text.")
        return list(item[...].ravel().tolist())


def _characters(item: Any) -> str:
    if _class_of_matlab(item) != "char":
        raise DataError(f"A cell holds {_class_of_matlab(item) or item.dtype} where text belongs.")
    if "MATLAB_empty" in item.attrs:
        return ""
    return "".join(map(chr, item[...].T.ravel().tolist()))


# --- MATLAB before 7.3 ------------------------------------------------------------------------------------------------


def _shapes_in_matlab(path: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    matlab = _scipy_io()
    _check_matlab(path)
    for name, shape, kind in _said(path, lambda: matlab.whosmat(str(path))):
        if kind in _NUMBERS:
            yield name, tuple(shape)


def _from_matlab(path: Path, name: str) -> Array:
    values = _variable(path, name)
    if hasattr(values, "todense"):
        raise DataError(f"{name!r} is sparse. Save it with full().")
    return values


def _text_in_matlab(path: Path, name: str) -> list[Any] | None:
    import numpy as np

    values = _variable(path, name)
    if values is None:
        return None
    found: list[Any] = []
    for item in np.asarray(values).ravel(order="F").tolist():
        text = item.ravel().tolist() if isinstance(item, np.ndarray) else [item]
        if len(text) > 1 or not all(isinstance(part, (str, int)) for part in text):
            raise DataError(f"{name!r} holds {type(item).__name__} where text belongs. Save a cell array of text.")
        found.append(text[0].rstrip() if text and isinstance(text[0], str) else text[0] if text else "")
    return found


def _variable(path: Path, name: str) -> Any:
    matlab = _scipy_io()
    _check_matlab(path)
    return _said(path, lambda: matlab.loadmat(str(path), variable_names=[name])).get(name)


def _scipy_io() -> Any:
    try:
        from scipy import io
    except ImportError as error:
        raise DataError("MATLAB files need scipy: pip install 'isocortex[matlab]'.") from error
    return io


def _said(path: Path, read: Any) -> Any:
    try:
        return read()
    except DataError:
        raise
    except Exception as error:  # scipy raises whatever a damaged file leads it to
        raise DataError(
            f"{path} cannot be read as a MATLAB file: it is cut, damaged or of another kind. Save it again with -v7.3."
        ) from error


def _check_matlab(path: Path) -> None:
    """Refuse a file whose compressed parts are cut, or expand to more than the memory has free."""
    from isocortex.devices import free_memory

    free = free_memory("cpu") or math.inf
    with path.open("rb") as file:
        header = file.read(_HEADER)
        if len(header) < _HEADER or not header.startswith(b"MATLAB"):
            return  # version 4, which compresses nothing, or no such file
        order = "<" if header[126:128] == b"IM" else ">"
        n_bytes, size = 0, path.stat().st_size
        while tag := file.read(8):
            kind, length = struct.unpack(f"{order}II", tag) if len(tag) == 8 else (0, size)
            if file.tell() + length > size:
                raise DataError(f"{path} is cut: {size:,} bytes, and its parts go on. Copy it again.")
            if kind == _COMPRESSED:
                n_bytes += sum(_expanded(file.read(length), free - n_bytes, path))
            else:
                n_bytes += length
                file.seek(length, 1)
            if n_bytes > free:
                raise DataError(f"{path} holds {n_bytes / 1e9:.2f} GB of values, and {free / 1e9:.2f} GB are free.")


def _expanded(content: bytes, most: float, path: Path) -> Iterator[int]:
    """Sizes of the parts that a compressed element expands to, none of which is kept."""
    made, expander = 0, zlib.decompressobj()
    while not expander.eof and made <= most:
        try:
            part = expander.decompress(content, _STEP)
        except zlib.error as error:
            raise DataError(f"{path} is damaged ({error}). Copy or save it again.") from error
        content = expander.unconsumed_tail
        if not part and not content:
            raise DataError(f"{path} is damaged: a compressed part has no end. Copy or save it again.")
        made += len(part)
        yield len(part)
