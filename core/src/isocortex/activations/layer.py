"""One layer's activations for a set of stimuli, read in column blocks and never reindexed as a whole."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from isocortex.data.labels import label, labels
from isocortex.data.numbers import real_numbers, refuse_range, refuse_unreal
from isocortex.data.response_checks import refuse_other_types, twice
from isocortex.display import Displayed, Shown, counted, listed
from isocortex.errors import AlignmentError, DataError, shorten

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.typing import Array

#: values of one column block, so that a block of float32 takes 32 MB
BLOCK_VALUES = 8_000_000
#: bytes of a number in double precision
_DOUBLE = 8


class Activations(Displayed):
    """Activations (n_stimuli, n_units) of one layer, in row chunks that may lie in memory or in ``.npy`` files.

    Parameters
    ----------
    layer
        Name of the layer.
    stimulus_id
        The stimulus of each row, over all chunks.
    chunks
        Arrays (n_rows, n_units), or paths of ``.npy`` files that hold such; they are memory-mapped when read.
    units
        Optional names of the units.
    warnings
        What was dropped, guessed or found odd when they were made; results keep it.

    Raises
    ------
    DataError
        Chunks that do not fit the IDs, duplicated IDs, values that are not finite (found while reading).

    Examples
    --------
    >>> activations = Activations("layer", ["a", "b"], [np.arange(6.0).reshape(2, 3)])
    >>> [block.tolist() for block in activations.blocks(["b", "a"], width=2)]
    [[[3.0, 4.0], [0.0, 1.0]], [[5.0], [2.0]]]
    """

    def __init__(
        self,
        layer: str,
        stimulus_id: Sequence[str],
        chunks: Sequence[Array | Path],
        *,
        units: Sequence[str] | None = None,
        warnings: Sequence[str] = (),
    ) -> None:
        self.layer, self.warnings = layer, tuple(warnings)
        #: name of the feature space that the layer belongs to, where several models are fitted together
        self.space = ""
        self.stimulus_id: tuple[str, ...] = tuple(labels(stimulus_id, "stimulus_id", f"Activations of {layer!r}"))
        self._chunks = tuple(chunks)
        self.units = None if units is None else tuple(map(label, units))
        self._row = {name: row for row, name in enumerate(self.stimulus_id)}
        if len(self._row) != len(self.stimulus_id):
            raise DataError(f"Activations of {layer!r} have a stimulus_id twice: {shorten(twice(self.stimulus_id))}.")
        self._check_shapes()

    @classmethod
    def from_xarray(cls, data: xr.DataArray, layer: str | None = None) -> Activations:
        """Take a DataArray whose first dimension carries ``stimulus_id``; the others become units.

        Units are named by the coordinate ``neuroid_id`` or ``choice`` of a single second dimension, or by the
        coordinate that has the dimension's name.

        Examples
        --------
        >>> import xarray as xr
        >>> data = xr.DataArray(np.zeros((2, 3)), dims=("presentation", "unit"),
        ...                     coords={"stimulus_id": ("presentation", ["a", "b"])})
        >>> Activations.from_xarray(data).shape
        (2, 3)

        Raises
        ------
        DataError
            Something else than a DataArray, or one without ``stimulus_id``.
        """
        how = "xarray.DataArray(values, dims=('presentation', 'unit'), coords={'stimulus_id': ('presentation', ids)})"
        refuse_other_types(data, "Activations", how)
        if "stimulus_id" not in data.coords or data["stimulus_id"].dims != data.dims[:1]:
            raise DataError(
                f"Activations need the coordinate 'stimulus_id' on their first dimension; found dims {data.dims} "
                f"and coordinates {list(data.coords)}."
            )
        values = np.asarray(data.values).reshape(data.shape[0], -1)  # (n_stimuli, n_units)
        name = layer or str(data.attrs.get("layer", data.name or "layer"))
        return cls(name, data["stimulus_id"].values.tolist(), [values], units=_unit_names(data))

    def in_space(self, space: str) -> Activations:
        """The same activations as a layer of one of several feature spaces, named after both.

        Examples
        --------
        >>> found = Activations("conv", ["a"], [np.zeros((1, 2))]).in_space("vgg")
        >>> found.layer, found.space
        ('vgg conv', 'vgg')
        """
        found = copy.copy(self)
        found.layer, found.space = f"{space} {self.layer}", space
        return found

    def _check_shapes(self) -> None:
        shapes = [chunk.shape for chunk in self._opened]
        if not shapes or any(len(shape) != 2 for shape in shapes) or len({shape[1] for shape in shapes}) != 1:
            raise DataError(f"Activations of {self.layer!r} need (n_stimuli, n_units) chunks; found {shapes}.")
        if sum(shape[0] for shape in shapes) != len(self.stimulus_id):
            raise DataError(
                f"Activations of {self.layer!r} have {sum(shape[0] for shape in shapes)} rows for "
                f"{len(self.stimulus_id)} stimulus IDs."
            )

    @cached_property
    def _opened(self) -> tuple[Array, ...]:
        what = f"Activations of {self.layer!r}"
        return tuple(refuse_unreal(_open(chunk) if isinstance(chunk, Path) else chunk, what) for chunk in self._chunks)

    @property
    def shape(self) -> tuple[int, int]:
        """(n_stimuli, n_units)."""
        return len(self.stimulus_id), int(self._opened[0].shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that holds the values of every chunk."""
        return np.result_type(*self._opened)

    @property
    def n_units(self) -> int:
        """Number of units of the layer."""
        return self.shape[1]

    def _shown(self) -> Shown:
        sizes = f"{counted(self.shape[0], 'stimulus', 'stimuli')} × {counted(self.shape[1], 'unit')}"
        facts = {
            "stimuli": listed(self.stimulus_id),
            "units": listed(self.units or ()),
            "held": "in files, mapped" if any(isinstance(chunk, Path) for chunk in self._chunks) else "in memory",
            "warnings": str(len(self.warnings) or ""),
        }
        return Shown(f"Activations {self.layer!r}: {sizes}, {self.dtype}", facts)

    def rows(self, order: Sequence[str] | None = None) -> Array:
        """Places of the given stimuli among the rows.

        Raises
        ------
        AlignmentError
            A stimulus has no activations.
        """
        if order is None:
            return np.arange(len(self.stimulus_id))
        order = [label(name) for name in order]
        absent = [name for name in order if name not in self._row]
        if absent:
            raise AlignmentError(
                f"Activations of {self.layer!r} lack {len(absent)} of {len(order)} stimuli: {shorten(absent)}. "
                f"They have {shorten(self.stimulus_id, 3)}."
            )
        return np.array([self._row[name] for name in order], dtype=np.intp)

    def blocks(
        self, order: Sequence[str] | None = None, width: int | None = None, *, any_scale: bool = False
    ) -> Iterator[Array]:
        """Yield (n_order, at most ``width``) column blocks, rows in the given order of stimuli.

        Who brings units to a scale of its own takes them at ``any_scale``: others square them.

        Memory: one block, by default at most ``BLOCK_VALUES`` values.

        Raises
        ------
        AlignmentError
            A stimulus has no activations.
        DataError
            Values that are not finite, or whose squares or digits double precision does not hold.
        """
        rows = self.rows(order)
        width = width or max(1, BLOCK_VALUES // max(1, len(rows)))
        starts = np.cumsum([0, *(len(chunk) for chunk in self._opened)])
        for first in range(0, self.n_units, width):
            columns = slice(first, min(first + width, self.n_units))
            block = np.empty((len(rows), columns.stop - first), dtype=self.dtype)
            for chunk, start, stop in zip(self._opened, starts[:-1], starts[1:], strict=True):
                inside = (rows >= start) & (rows < stop)
                block[inside] = chunk[rows[inside] - start, columns]
            self._refuse_not_finite(block, rows)
            if not any_scale:
                self._refuse_range(block, first)
            yield block

    def array(self, order: Sequence[str] | None = None) -> Array:
        """The whole layer (n_order, n_units); for layers known to be small."""
        return (
            np.concatenate(list(self.blocks(order)), axis=1) if self.n_units else np.empty((len(self.rows(order)), 0))
        )

    def _refuse_not_finite(self, block: Array, rows: Array) -> None:
        if np.isfinite(block).all():
            return
        bad = [self.stimulus_id[row] for row in rows[~np.isfinite(block).all(axis=1)]]
        raise DataError(
            f"Activations of {self.layer!r} are not finite (NaN or infinite) for {len(bad)} stimuli: {shorten(bad)}. "
            "Check the model's preprocessing; a sound of silence or a layer that overflows are common causes."
        )

    def _refuse_range(self, block: Array, first: int) -> None:
        """Refuse what double precision holds, and its square or neighbour not; that of single precision it does."""
        if block.dtype.itemsize < _DOUBLE:
            return
        what = f"Activations of {self.layer!r}"
        names = self.units and self.units[first : first + block.shape[1]]
        refuse_range(real_numbers(block, what), names or list(range(first, first + block.shape[1])), what, "unit")

    @cached_property
    def digest(self) -> str:
        """SHA-256 over stimuli and values in row order; layers with equal digests are one layer."""
        sha = hashlib.sha256(repr((self.dtype.str, self.shape, self.stimulus_id)).encode())
        for chunk in self._opened:
            for start in range(0, len(chunk), 64):
                sha.update(np.ascontiguousarray(chunk[start : start + 64]).tobytes())
        return sha.hexdigest()


def _unit_names(data: xr.DataArray) -> list[str] | None:
    if data.ndim != 2:
        return None
    unit = data.dims[1]
    named = [name for name in ("neuroid_id", "choice", unit) if name in data.coords and data[name].dims == (unit,)]
    return labels(data[named[0]].values.tolist(), str(named[0]), "Activations") if named else None


def _open(path: Path) -> Array:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read as a .npy array ({error}). Delete it; it will be made again."
        ) from error
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path} holds several arrays; expected one array as numpy.save writes it.")
    return array
