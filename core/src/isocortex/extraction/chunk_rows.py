"""Rows of a chunk on their way to the store, in whatever order batches give them."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.activations.precision import as_stored, refuse_extreme, single_suffices
from isocortex.errors import StoreError
from isocortex.files.disk import why_not_written
from isocortex.files.leftovers import partial_of
from isocortex.typing import Array

if TYPE_CHECKING:
    from isocortex.activations.folder import ActivationFolder


#: Rows of one chunk that are held in memory; layers beyond that are written row by row. Needed where wide layers are
#: kept whole: flattened, 32 images of 224 × 224 in all 60 leaf modules of resnet18 are 957 MB. The process of
#: tests/perf/extraction_cost.py peaks 0.19 GB above one that takes means of these layers; without the bound, 0.80 GB.
#: Nothing else bounds a chunk: it grows with the number and the width of the layers.
HELD_BYTES = 256_000_000


class Rows:
    """(n_members, n_units) float32 or, as the model gives them, float64 for each of some layers, in memory.

    Parameters
    ----------
    n_members
        Stimuli of the chunk.

    Examples
    --------
    >>> rows = Rows(2)
    >>> rows.put("conv", [1, 0], np.array([[1.0], [2.0]]))
    >>> rows.held["conv"].tolist()
    [[2.0], [1.0]]
    """

    def __init__(self, n_members: int) -> None:
        self.n_members = n_members
        self.held: dict[str, Array] = {}

    def put(self, layer: str, places: Sequence[int], values: Array) -> None:
        """Take the rows of some places; rows that come again replace the first."""
        if layer not in self.held:
            self.held[layer] = np.empty((self.n_members, values.shape[1]), dtype=values.dtype)
        elif values.dtype.itemsize > self.held[layer].itemsize:
            self.held[layer] = self.held[layer].astype(values.dtype)
        self.held[layer][list(places)] = values

    def clear(self) -> None:
        """Forget all rows; others come instead."""
        self.held.clear()


class NoRows(Rows):
    """For a run that is only looked at."""

    def put(self, layer: str, places: Sequence[int], values: Array) -> None:
        """Keep nothing."""


class StoredRows(Rows):
    """Rows of a chunk of a folder of activations; a context manager that leaves no half file behind.

    At most ``HELD_BYTES`` are held in memory. What is beyond goes into files that appear under their names in
    ``finish``, in the precision in which the model gives it.
    """

    def __init__(self, kept: ActivationFolder, chunk: int) -> None:
        super().__init__(len(kept.members(chunk)))
        self.kept, self.chunk = kept, chunk
        self._n_held = 0
        self._parts: dict[str, _Part] = {}

    def put(self, layer: str, places: Sequence[int], values: Array) -> None:
        """Take the rows of some places; rows that come again replace the first.

        Raises
        ------
        StoreError
            They cannot be written.
        """
        if layer not in self.held and layer not in self._parts:
            n_bytes = values.itemsize * self.n_members * values.shape[1]
            if self._n_held + n_bytes > HELD_BYTES:
                path = self.kept.path(layer, self.chunk)
                self._parts[layer] = _Part(path, (self.n_members, values.shape[1]), values.dtype)
            else:
                self._n_held += n_bytes
        if layer in self._parts:
            part = self._parts[layer]
            if values.dtype.itemsize > part.dtype.itemsize:
                part = self._parts[layer] = part.in_precision(np.float64)
            part.put(places, values)
        else:
            super().put(layer, places, values)

    def clear(self) -> None:
        """Forget all rows, also those in files; others come instead."""
        super().clear()
        self._n_held = 0
        self._remove_parts()

    def _remove_parts(self) -> None:
        for part in self._parts.values():
            part.path.unlink(missing_ok=True)
        self._parts.clear()

    def finish(self, units: Mapping[str, Sequence[str] | None]) -> None:
        """Store the chunk of every layer, in single precision where that holds its values.

        Raises
        ------
        DataError
            Another chunk has another number of units, or values are too large or too small for any metric.
        StoreError
            A chunk cannot be written.
        """
        for layer, names in units.items():
            if layer in self._parts:
                part = self._parts[layer] = self._parts[layer].as_stored()
                self.kept.note_units(layer, part.shape[1], names)
                part.move()
                self.kept.note_written(layer, self.chunk)
            else:
                self.kept.write(layer, self.chunk, as_stored(self.held[layer], layer), names)

    def __enter__(self) -> StoredRows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove_parts()


class _Part:
    """A ``.npy`` file under a temporary name, written row by row.

    It has its whole length from the start, because rows come in any order and may come again. Where the file system
    allows, that takes no space before rows are written: whether there is space was looked at before the work
    (``extract``), and a disk that fills up all the same is an error that names the file.
    """

    def __init__(self, target: Path, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self.target, self.shape, self.dtype = target, shape, dtype.newbyteorder("<")
        self.path = partial_of(target)
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": shape}
        with _named_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("wb") as file:
                np.lib.format.write_array_header_1_0(file, header)
                self._start = file.tell()
                file.truncate(self._start + self.dtype.itemsize * shape[0] * shape[1])

    def put(self, places: Sequence[int], values: Array) -> None:
        if values.dtype == np.float64:
            refuse_extreme(values, self.target.parent.name)
        with _named_errors(self.target), self.path.open("r+b") as file:
            for place, row in zip(places, values, strict=True):
                file.seek(self._start + self.dtype.itemsize * self.shape[1] * place)
                file.write(np.ascontiguousarray(row, dtype=self.dtype).data)

    def as_stored(self) -> _Part:
        """The part in single precision, where that suffices."""
        if self.dtype == np.float64:
            with _named_errors(self.target):
                rows = np.load(self.path, mmap_mode="r", allow_pickle=False)
            return self.in_precision(np.float32) if single_suffices(rows) else self
        return self

    def in_precision(self, dtype: type[np.floating[Any]]) -> _Part:
        """The same rows in a file of their own."""
        other = _Part(self.target, self.shape, np.dtype(dtype))
        with _named_errors(self.target):
            rows = np.load(self.path, mmap_mode="r", allow_pickle=False)
            for place in range(self.shape[0]):
                other.put([place], rows[place : place + 1])
            self.path.unlink()
        return other

    def move(self) -> None:
        with _named_errors(self.target):
            self.path.replace(self.target)


@contextmanager
def _named_errors(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(why_not_written(path, error)) from error
