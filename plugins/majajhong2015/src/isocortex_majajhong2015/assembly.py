"""Brain-Score's assemblies in netCDF: one variable over presentations, sites and bins of time, all read by name.

The package that writes them keeps all coordinates of a dimension in one index and takes it apart for the file, so that
each is a variable of its own along ``presentation``, ``neuroid`` or ``time_bin``: plain xarray reads them as they are.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from isocortex.errors import DataError, shorten
from isocortex.files import check_netcdf
from isocortex.typing import Array

if TYPE_CHECKING:
    import xarray as xr

PRESENTATION, NEUROID, TIME_BIN = "presentation", "neuroid", "time_bin"
#: what each dimension must be named by; older files say image_id
NAMED_BY: Final = {PRESENTATION: ("stimulus_id", "image_id"), NEUROID: ("neuroid_id",)}


@contextmanager
def opened(path: Path, dims: tuple[str, ...], *, in_parts: bool = False) -> Generator[xr.DataArray]:
    """The data variable of an assembly, not yet read, with its coordinates in memory and its dimensions in order.

    Parameters
    ----------
    path
        netCDF4 or classic netCDF.
    dims
        Dimensions that it must have, in the order in which they are wanted; ``time_bin`` may come behind them.
    in_parts
        It is read in parts, so that it may be larger than the free memory.

    Raises
    ------
    DataError
        The file is damaged, has another layout, or is transposed: a dimension is called by the name of another.
    """
    import xarray as xr

    check_netcdf(path, in_parts=in_parts)
    try:
        dataset = xr.open_dataset(path, decode_times=False, cache=False)
    except Exception as error:  # whatever the library raises on a damaged file
        raise DataError(f"{path.name} cannot be read as netCDF ({error}). Copy or download it again.") from error
    with dataset:
        yield _in_order(path, _data_variable(path, dataset, dims), dims)


def _data_variable(path: Path, dataset: xr.Dataset, dims: tuple[str, ...]) -> xr.DataArray:
    """The one variable that has all of the dimensions and is no coordinate; the others become coordinates."""
    marked = [str(name) for name in dataset.data_vars]
    candidates = [name for name in marked if set(dims) <= set(dataset[name].dims)]
    if len(dims) == 1:  # all variables are along presentations: the data are what is not named as a coordinate
        candidates = [
            name for name in candidates if len(marked) == 1 or name in ("data", "__xarray_dataarray_variable__")
        ]
    if len(candidates) != 1:
        raise DataError(
            f"{path.name}: expected one variable over {' × '.join(dims)}, found "
            f"{shorten(candidates) or 'none'} among {shorten(marked)} with dimensions {dict(dataset.sizes)}."
        )
    rest = [name for name in marked if name != candidates[0]]
    return dataset.set_coords(rest)[candidates[0]]


def _in_order(path: Path, data: xr.DataArray, dims: tuple[str, ...]) -> xr.DataArray:
    data = data.transpose(*dims, ...)
    _refuse_transposed(path, data, dims)
    if "stimulus_id" not in data.coords and "image_id" in data.coords:
        data = data.rename(image_id="stimulus_id")
    known = {name: coordinate for name, coordinate in data.coords.items() if len(coordinate.dims) == 1}
    read = {name: (coordinate.dims, as_text(coordinate.values)) for name, coordinate in known.items()}
    return data.drop_vars(list(data.coords)).assign_coords(read)


def _refuse_transposed(path: Path, data: xr.DataArray, dims: tuple[str, ...]) -> None:
    for dim in dims:
        found = [name for name in NAMED_BY[dim] if name in data.coords]
        if not found:
            raise DataError(
                f"{path.name}: expected coordinate {NAMED_BY[dim][0]!r} along {dim!r}, found {shorten(data.coords)}."
            )
        along = data[found[0]].dims
        if along != (dim,):
            raise DataError(
                f"{path.name} is transposed: {found[0]!r} names what lies along {shorten(along)}, expected {dim!r}. "
                f"Its dimensions are {dict(data.sizes)}. Rename them, or get the published file again."
            )


def as_text(values: Array) -> Array:
    """Texts as Python has them, whatever type the file has for them; numbers as they are.

    Examples
    --------
    >>> as_text(np.array([b"IT", b"V4"])).tolist(), as_text(np.array([0, 3])).tolist()
    (['IT', 'V4'], [0, 3])
    """
    if values.dtype.kind not in "SO":
        return values
    return np.array([item.decode("utf-8", "replace") if isinstance(item, bytes) else item for item in values], object)


def read_recordings(path: Path) -> xr.DataArray:
    """Read recordings of one bin of time, every presentation by itself.

    Parameters
    ----------
    path
        As Brain-Score publishes MajajHong2015: presentation × neuroid × time_bin (1), in any order.

    Returns
    -------
    Dims ("presentation", "neuroid"), in the type of the file (float32, 152 MB as published), with all coordinates of
    these dimensions.

    Raises
    ------
    DataError
        The file is damaged, has another layout, is transposed, or has several bins of time.
    """
    with opened(path, (PRESENTATION, NEUROID)) as data:
        bins = [str(dim) for dim in data.dims[2:]]
        if bins and (bins != [TIME_BIN] or data.sizes[TIME_BIN] != 1):
            raise DataError(
                f"{path.name}: expected one bin of time, found {dict(data.sizes)}. Recordings over time are those of "
                "MajajHong2015public.temporal."
            )
        flat = data.isel({TIME_BIN: 0}, drop=True) if bins else data
        return flat.load()


def texts_along(path: Path, dim: str, wanted: tuple[str, ...]) -> dict[str, Array]:
    """Coordinates along one dimension, by name, as they are in a file whose data are words.

    Raises
    ------
    DataError
        The file is damaged, or lacks one of the wanted coordinates.
    """
    with opened(path, (dim,)) as data:
        found: dict[str, Any] = {str(name): coordinate.values for name, coordinate in data.coords.items()}
        if "choice" not in found:
            found["choice"] = as_text(data.values)
    absent = [name for name in wanted if name not in found]
    if absent:
        raise DataError(f"{path.name} lacks {shorten(absent)} along {dim!r}; it has {shorten(found, 30)}.")
    return found
