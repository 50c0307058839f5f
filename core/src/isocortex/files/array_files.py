"""netCDF, HDF5 and npy files that others wrote: whole, all their bytes inside, and no larger than a file can hold.

Libraries read other files that such a file names, fill with zeros what a file lacks, and allocate what it promises.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

import numpy as np

from isocortex.errors import DataError

if TYPE_CHECKING:
    import h5py

    from isocortex.typing import Array

_CLASSIC: Final = (b"CDF\1", b"CDF\2", b"CDF\5")
_HDF5: Final = b"\x89HDF\r\n\x1a\n"
#: bytes that one byte of a file can stand for (deflate), and what a file of any size may hold as fill values
_MOST_TIMES: Final = 1032
_ALWAYS: Final = 64 << 20
_MOST_LINKS: Final = 1_000_000
_MOST_DIMS: Final = 64
#: bytes of the types of classic netCDF
_CLASSIC_TYPES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}


def check_netcdf(path: Path, *, in_parts: bool = False) -> None:
    """Refuse a netCDF file that is truncated, promises more than it holds, or has bytes in other files.

    Parameters
    ----------
    path
        Classic netCDF, or netCDF4, which is HDF5 (see `check_hdf5`).
    in_parts
        It is read in parts, so that it may hold more than the memory has free.

    Raises
    ------
    DataError
        It is such a file, or none at all.
    """
    with _reading(path) as file:
        begins = file.read(8)
        if begins[:4] in _CLASSIC:
            _check_classic(path, file)
            return
    if begins != _HDF5:
        raise DataError(f"{path} begins with {begins!r}, as neither netCDF nor HDF5 does. Copy or download it again.")
    check_hdf5(path, in_parts=in_parts)


@contextlib.contextmanager
def _reading(path: Path) -> Generator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error
    with file:
        yield file


def load_npy(path: Path) -> Array:
    """Read the array of a ``.npy`` file that holds what its header says, no less and no more; nothing pickled.

    Raises
    ------
    DataError
        The file is no such file, is truncated, holds objects, or something behind the array.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.npy"
    >>> np.save(path, np.arange(3))
    >>> load_npy(path).tolist()
    [0, 1, 2]
    """
    with _reading(path) as file:
        _check_npy(path, file)
        file.seek(0)
        return cast("Array", np.lib.format.read_array(file, allow_pickle=False))


def check_npy(path: Path) -> None:
    """Refuse a ``.npy`` file that ``load_npy`` refuses, without reading its values.

    Raises
    ------
    DataError
        As for ``load_npy``.
    """
    with _reading(path) as file:
        _check_npy(path, file)


def _check_npy(path: Path, file: BinaryIO) -> None:
    try:
        version = np.lib.format.read_magic(file)
        read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}[version[0]]
        shape, _, dtype = read(file)
    except (ValueError, KeyError, SyntaxError, TypeError, EOFError) as error:
        raise DataError(
            f"{path} cannot be read as an array of numpy ({error}). Expected what numpy.save writes."
        ) from error
    promised, held = math.prod(shape) * dtype.itemsize, path.stat().st_size - file.tell()
    if dtype.hasobject:
        raise DataError(f"{path} holds Python objects, which are not read. Save numbers: array.astype(float).")
    if promised != held:
        raise DataError(
            f"{path} promises {promised:,} bytes of values and holds {held:,}. "
            + ("It is truncated; copy it again." if promised > held else "Save one array in it.")
        )


def check_hdf5(path: Path, *, in_parts: bool = False) -> None:
    """Refuse an HDF5 file with bytes in other files, or that promises more than it can hold or the memory has free.

    External links, external storage and virtual data sets lead into other files. Soft links are fine. What is read in
    parts may hold more than the memory has free.

    Raises
    ------
    DataError
        It is such a file, or cannot be read.
    """
    import h5py

    from isocortex.devices import free_memory

    n_bytes, size, seen = 0, path.stat().st_size if path.exists() else 0, set[tuple[int, int]]()
    try:
        with h5py.File(path, "r") as file:
            for place, found in _datasets(file, path, seen):
                n_bytes += _check_dataset(found, f"{path}: {place}")
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise DataError(f"{path} cannot be read as HDF5 ({error}). Copy or download it again.") from error
    if n_bytes > max(_MOST_TIMES * size, _ALWAYS):
        raise DataError(
            f"{path} promises {n_bytes / 1e9:,.2f} GB of values, more than its {size:,} bytes can hold. Write it again."
        )
    free = free_memory("cpu") if n_bytes > _ALWAYS and not in_parts else None
    if free is not None and n_bytes > free:
        raise DataError(f"{path} holds {n_bytes / 1e9:,.2f} GB of values, and {free / 1e9:.2f} GB of memory are free.")


def _datasets(file: h5py.File, path: Path, seen: set[tuple[int, int]]) -> Iterator[tuple[str, h5py.Dataset]]:
    """Every data set that hard links lead to, once; other links are looked at, and not followed."""
    import h5py
    from h5py import h5o  # pyright: ignore[reportAttributeAccessIssue] - its stubs lack it

    groups: list[tuple[str, h5py.Group]] = [("", file)]
    n_links = 0
    while groups:
        where, group = groups.pop()
        for name in map(str, group):
            n_links += 1
            place, link = f"{where}/{name}", _link(group, name)
            if n_links > _MOST_LINKS:
                raise DataError(f"{path} has more than {_MOST_LINKS:,} links, as no file of data has.")
            if isinstance(link, h5py.SoftLink):
                continue
            if not isinstance(link, h5py.HardLink):
                target = f" {link.filename!r}" if isinstance(link, h5py.ExternalLink) else ""
                raise DataError(f"{path}: {place} is a link into another file{target}. {_PUT_INTO_ONE}")
            found: Any = group[name]
            about = h5o.get_info(found.id)
            if (about.fileno, about.addr) in seen:
                continue
            seen.add((about.fileno, about.addr))
            if isinstance(found, h5py.Group):
                groups.append((place, found))
            elif isinstance(found, h5py.Dataset):
                yield place, found


_PUT_INTO_ONE: Final = "Only bytes of the file itself are read; put all data into one file (h5repack does)."


def _link(group: h5py.Group, name: str) -> object:
    try:
        return group.get(name, getlink=True)
    except TypeError:  # of a kind that a program defined for itself
        return None


def _check_dataset(found: h5py.Dataset, where: str) -> int:
    """Refuse bytes elsewhere, and fewer bytes than a data set has; returns how many it has in memory."""
    import h5py

    created = found.id.get_create_plist()
    if created.get_layout() == h5py.h5d.VIRTUAL:
        raise DataError(f"{where} is made of parts of other data sets (virtual). {_PUT_INTO_ONE}")
    if created.get_external_count():
        raise DataError(f"{where} has its values in another file (external storage). {_PUT_INTO_ONE}")
    n_bytes = math.prod(found.shape or (0,)) * max(found.dtype.itemsize, found.id.get_type().get_size())
    stored = found.id.get_storage_size()
    if created.get_layout() == h5py.h5d.CONTIGUOUS and 0 < stored < n_bytes:
        raise DataError(f"{where} promises {n_bytes:,} bytes and holds {stored:,}. Copy or download it again.")
    # one that was never written has no bytes: a dimension of netCDF without a variable of its own
    return n_bytes if stored else 0


# --- classic netCDF ---------------------------------------------------------------------------------------------------


class _Header:
    """Reads a header of classic netCDF number by number."""

    def __init__(self, file: BinaryIO, version: int, size: int) -> None:
        self.file, self.size = file, size
        self.n_count, self.n_offset = (8 if version == 5 else 4), (4 if version == 1 else 8)

    def number(self, n_bytes: int) -> int:
        content = self.file.read(n_bytes)
        if len(content) < n_bytes:
            raise ValueError("its header is truncated")
        return int.from_bytes(content, "big")

    def count(self) -> int:
        return self.number(self.n_count)

    def items(self) -> range:
        """A list: its tag, and how many items follow; each has at least one byte."""
        self.number(4)
        n_items = self.count()
        if n_items > self.size:
            raise ValueError(f"its header promises a list of {n_items:,}")
        return range(n_items)

    def skip(self, n_bytes: int) -> None:
        if n_bytes > self.size:
            raise ValueError("its header is truncated")
        self.file.seek(n_bytes + -n_bytes % 4, os.SEEK_CUR)

    def skip_attributes(self) -> None:
        for _ in self.items():
            self.skip(self.count())
            width = _CLASSIC_TYPES[self.number(4)]
            self.skip(width * self.count())


def _check_classic(path: Path, file: BinaryIO) -> None:
    """Every variable must end inside of the file: the library gives zeros for what is not there."""
    size = path.stat().st_size
    file.seek(3)
    try:
        header = _Header(file, file.read(1)[0], size)
        end = _end_of_classic(header)
    except (ValueError, KeyError, IndexError) as error:
        raise DataError(f"{path} cannot be read as netCDF ({error}). Copy or download it again.") from error
    if end > size:
        raise DataError(f"{path} is truncated: its variables end at byte {end:,}, and it has {size:,}. Copy it again.")


def _end_of_classic(header: _Header) -> int:
    n_records, sizes = header.count(), list[int]()
    for _ in header.items():
        header.skip(header.count())
        sizes.append(header.count())
    header.skip_attributes()
    fixed, records = [0], list[tuple[int, int]]()
    for _ in header.items():
        header.skip(header.count())
        n_dims = header.count()
        if n_dims > len(sizes) + _MOST_DIMS:
            raise ValueError(f"a variable has {n_dims:,} dimensions")
        shape = [sizes[header.count()] for _ in range(n_dims)]
        header.skip_attributes()
        width = _CLASSIC_TYPES[header.number(4)]
        header.count()  # a size of its own, which may be too small for it
        start = header.number(header.n_offset)
        is_record = bool(shape) and shape[0] == 0
        n_bytes = math.prod(shape[1:] if is_record else shape) * width
        (records.append((start, n_bytes)) if is_record else fixed.append(start + n_bytes))
    padded = sum(n_bytes if len(records) == 1 else n_bytes + -n_bytes % 4 for _, n_bytes in records)
    return max([*fixed, *(start + (n_records - 1) * padded + n for start, n in records if n_records)])
