"""Raw scores and bootstrap draws of a result as netCDF4, written whole or not at all.

The rows of the draws are named after regions; which of them is the whole result is told by ``whole``, as a region may
have any name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.errors import StoreError
from isocortex.files.disk import write_atomic
from isocortex.files.hdf5_times import without_times
from isocortex.files.interruption import undisturbed
from isocortex.results.records import open_scores
from isocortex.results.result import Result

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.typing import Array

#: what the row of the whole result is called, beside regions
WHOLE = "all"


def write_scores(path: Path, scores: xr.Dataset, result: Result) -> str:
    """Write raw scores as netCDF4, float32, with the draws of every row of the result; returns the file's SHA-256.

    Raises
    ------
    StoreError
        It cannot be written; a full disk is called that.
    """
    import numpy as np

    parts = [(WHOLE, True, result.summary), *((name, False, part) for name, part in result.regions.items())]
    drawn = [(name, whole, part.draws) for name, whole, part in parts if part is not None and part.draws is not None]
    if drawn:
        names, wholes, draws = zip(*drawn, strict=True)
        scores = scores.assign_coords(row=("row", list(names)), whole=("row", list(wholes)))
        scores = scores.assign(draws=(("row", "draw"), np.array(draws)))
    return write_netcdf(path, scores)


def write_netcdf(path: Path, content: xr.Dataset) -> str:
    """Write a data set as netCDF4, floats as float32, whole or not at all; returns the SHA-256 of the file.

    The file is made in memory, which takes at most as much again as the data set does.

    Raises
    ------
    StoreError
        It cannot be written; a full disk is called that.
    """
    import numpy as np

    floats = {name: "float32" for name, item in content.data_vars.items() if np.issubdtype(item.dtype, np.floating)}
    encoding = {name: {"zlib": True, "dtype": dtype} for name, dtype in floats.items()}
    made = undisturbed(lambda: _as_netcdf(content, encoding))  # xarray has a lock that an interrupt would leave taken
    write_atomic(path, lambda file: file.write(made))
    return hashlib.sha256(made).hexdigest()


def _as_netcdf(scores: xr.Dataset, encoding: Mapping[Hashable, Mapping[str, object]]) -> bytearray:
    import netCDF4
    from xarray.backends import NetCDF4DataStore

    made = netCDF4.Dataset("scores.nc", mode="w", memory=1 << 16)
    try:
        for name, how in encoding.items():
            scores[name].encoding = dict(how)
        scores.dump_to_store(NetCDF4DataStore(made))
    except BaseException:
        made.close()
        raise
    return without_times(made.close())  # equal scores are equal bytes, whenever they were written


def stored_draws(path: Path, result: Result) -> dict[str | None, Array]:
    """Draws of each row of a result, the whole under None.

    Raises
    ------
    StoreError
        The scores are absent, damaged, or cannot be read.
    """
    return undisturbed(lambda: _draws(path, result))


def _draws(path: Path, result: Result) -> dict[str | None, Array]:
    import numpy as np

    scores = open_scores(path, result)
    if "draws" not in scores:
        return {}
    try:
        draws = scores["draws"].transpose("row", "draw")
        rows: list[str | None] = [str(name) for name in draws["row"].values]
        if "whole" in scores:
            wholes = scores["whole"].values.astype(bool)
            rows = [None if whole else name for name, whole in zip(rows, wholes, strict=True)]
        else:  # written before a region could have that name, too
            rows = [None if name == WHOLE else name for name in rows]
        return dict(zip(rows, draws.values.astype(np.float64), strict=True))
    except (ValueError, KeyError) as error:
        raise StoreError(f"{path} holds no draws by row ({error}). Score again, and it is replaced.") from error
