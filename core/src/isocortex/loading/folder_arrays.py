"""Arrays that people save: ``.npy`` of numpy and netCDF with one variable, and what else goes by these names."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.data.numbers import refuse_unreal
from isocortex.errors import DataError, IsocortexError
from isocortex.files.array_files import check_netcdf, check_npy
from isocortex.files.not_fetched import why_not_fetched

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.typing import Array

_NPY, _ZIP, _PICKLE = b"\x93NUMPY", b"PK\x03\x04", b"\x80"
_NETCDF = (b"CDF", b"\x89HDF\r\n\x1a\n")


@contextmanager
def about(path: Path) -> Generator[None]:
    """Name the file in errors of data that were read from it.

    Raises
    ------
    DataError
        What was raised, with the path before it.
    """
    try:
        yield
    except DataError as error:
        raise error if str(path) in str(error) else type(error)(f"{path}: {error}") from error


def read_npy(path: Path) -> Array:
    """One array of real numbers, memory-mapped: nothing that its header promises is allocated.

    Raises
    ------
    DataError
        The file is absent, was not fetched, is cut, or holds something else.
    """
    import numpy as np

    refuse_absent(path)
    try:
        with path.open("rb") as file:
            beginning = file.read(6)
        if beginning != _NPY:
            raise DataError(f"{path} {_what_else(beginning)} Save one array of numbers with numpy.save.")
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except DataError:
        raise
    except Exception as error:  # numpy raises whatever a damaged header leads it to
        if "Object arrays" in str(error) or "object" in str(error):
            raise DataError(
                f"{path} holds Python objects, such as the dictionaries of Suite2p and Facemap, which are not read: "
                "they could run code. Save the one array of numbers in it with numpy.save."
            ) from error
        raise DataError(f"{path} cannot be read as an array of numpy ({error}). Save or copy it again.") from error
    check_npy(path)
    with about(path):
        return refuse_unreal(array, "Its values")


def _what_else(beginning: bytes) -> str:
    if beginning.startswith(_ZIP):
        return "is an .npz archive, of several arrays perhaps."
    if beginning.startswith(_PICKLE):
        return "is a pickle, which is not read: it could run code."
    return "is no array of numpy." if beginning else "is empty."


def refuse_absent(path: Path) -> None:
    why = why_not_fetched(path)
    if why is not None:
        raise DataError(f"{path} is {why}. Get its content, for example with 'datalad get' or 'git lfs pull'.")
    if not path.is_file():
        raise DataError(f"{path} is {'a folder' if path.is_dir() else 'not there'}. Expected a file.")


def read_netcdf(path: Path) -> xr.DataArray:
    """The one variable of a netCDF file; no unit is taken for a time.

    Raises
    ------
    DataError
        The file is absent, was not fetched, is truncated, has bytes in other files, or holds several variables.
    """
    import xarray as xr

    refuse_absent(path)
    with path.open("rb") as file:
        beginning = file.read(8)
    if not beginning.startswith(_NETCDF):
        raise DataError(f"{path} is no netCDF file. Save one variable with xarray's to_netcdf.")
    check_netcdf(path)
    try:
        return xr.load_dataarray(path, engine="netcdf4", decode_times=False, decode_timedelta=False)
    except IsocortexError:
        raise
    except Exception as error:  # the libraries raise whatever a damaged file leads them to
        if "more than one data variable" in str(error):
            raise DataError(f"{path} holds several variables. Save the one that is meant alone.") from error
        raise DataError(
            f"{path} cannot be read as netCDF with one variable: it is cut or damaged. Copy or save it again."
        ) from error
