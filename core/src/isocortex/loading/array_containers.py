"""HDF5 and MATLAB files: arrays of numbers by name, and the labels beside them.

Values come as the program shows them that wrote the file: MATLAB's newer files are HDF5 with the axes the other way
round, and are turned back. What a file promises is bounded before anything of it is read, and no byte of another file
is. Structures, tables and objects of MATLAB are not looked into.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.data.labels import label
from isocortex.data.numbers import refuse_unreal
from isocortex.errors import DataError, shorten
from isocortex.files.array_files import check_hdf5
from isocortex.loading import matlab_files
from isocortex.loading.folder_arrays import about, refuse_absent

if TYPE_CHECKING:
    import h5py

    from isocortex.typing import Array

#: endings of the files that are read here
ENDINGS = (".h5", ".hdf5", ".mat")
_HDF5 = b"\x89HDF\r\n\x1a\n"
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
        found = dict(_shapes_in_hdf5(path)) if is_hdf5(path) else matlab_files.arrays_in(path)
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
        values = _from_hdf5(path, name) if is_hdf5(path) else matlab_files.read_array(path, name)
        return refuse_unreal(values, f"Values of {name!r}")


def read_labels(path: Path, name: str) -> list[str] | None:
    """An array of text, such as ``stimulus_id``; None: the file has none of that name.

    Raises
    ------
    DataError
        As for ``arrays_in``; or it is no text.
    """
    with about(path):
        found = _text_in_hdf5(path, name) if is_hdf5(path) else matlab_files.read_text(path, name)
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


@contextmanager
def _opened(path: Path) -> Generator[h5py.File]:
    """A file that was looked into before it is read; what the library raises on a damaged one is said in our words."""
    import h5py

    check_hdf5(path)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except DataError:
        raise
    except Exception as error:  # whatever the library raises on damaged values, references and letters
        raise DataError(f"{path} cannot be read as HDF5 ({error}). Copy or save it again.") from error


def _shapes_in_hdf5(path: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    import h5py

    found: list[tuple[str, tuple[int, ...]]] = []

    def look(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("#") and _is_numbers(item):
            found.append((name, item.shape[::-1] if _is_of_matlab(item) else item.shape))

    with _opened(path) as file:
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
    with _opened(path) as file:
        item: Any = file[name]
        values = item[...]
        return values.T if _is_of_matlab(item) else values


def _text_in_hdf5(path: Path, name: str) -> list[Any] | None:
    import h5py

    with _opened(path) as file:
        if name not in file:
            return None
        item: Any = file[name]
        if not isinstance(item, h5py.Dataset):
            raise DataError(f"{name!r} is a group; expected an array of text.")
        if _class_of_matlab(item) == "cell":
            return [_characters(file[reference]) for reference in item[...].T.ravel()]
        if _class_of_matlab(item) == "char":
            return [_letters(row).rstrip() for row in item[...].T]
        if h5py.check_string_dtype(item.dtype) is None and item.dtype.kind not in "SUiu":
            raise DataError(f"{name!r} holds {item.dtype}; expected text.")
        return list(item[...].ravel().tolist())


def _characters(item: Any) -> str:
    if _class_of_matlab(item) != "char":
        raise DataError(f"A cell holds {_class_of_matlab(item) or item.dtype} where text belongs.")
    if "MATLAB_empty" in item.attrs:
        return ""
    return _letters(item[...].T.ravel())


def _letters(codes: Array) -> str:
    return codes.astype("<u2").tobytes().decode("utf-16-le")
