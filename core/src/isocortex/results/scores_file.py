"""Raw scores and bootstrap draws of a result as netCDF4, written whole or not at all.

``scores.nc`` holds the first draws; where there are more, ``draws-N.nc`` holds all of them.

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
from isocortex.results.records import draws_path, open_scores
from isocortex.scoring.stats import DRAWS

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.results.result import Result
    from isocortex.typing import Array

#: what the row of the whole result is called, beside regions
WHOLE = "all"


def write_scores(path: Path, scores: xr.Dataset, result: Result) -> str:
    """Write raw scores as netCDF4, float32, with the first draws of every row; returns the file's SHA-256.

    At most ``DRAWS`` draws of a row are in it, so that it does not depend on how many there are.

    Raises
    ------
    StoreError
        It cannot be written; a full disk is called that.
    """
    drawn = _rows_of_draws(result)
    if drawn is not None:
        scores = scores.drop_dims("row", errors="ignore").assign(drawn.isel(draw=slice(DRAWS)))
    return write_netcdf(path, scores)


def write_draws(record: Path, result: Result) -> Result:
    """Write all draws of a result that has more than its scores hold, beside the record; returns the result with both.

    A file of another number of draws stays until the record is written: it belongs to the record that is there.

    Raises
    ------
    StoreError
        They cannot be written.
    """
    drawn = _rows_of_draws(result)
    n_draws = 0 if drawn is None else drawn.sizes["draw"]
    digest = write_netcdf(draws_path(record, n_draws), drawn) if drawn is not None and n_draws > DRAWS else None
    return result.model_copy(update={"n_draws": n_draws, "draws_sha256": digest})


def _rows_of_draws(result: Result) -> xr.Dataset | None:
    """Draws (row, draw) of every row of a result that has some; None where none has."""
    import numpy as np
    import xarray as xr

    parts = [(WHOLE, True, result.summary), *((name, False, part) for name, part in result.regions.items())]
    drawn = [(name, whole, part.draws) for name, whole, part in parts if part is not None and part.draws is not None]
    if not drawn:
        return None
    names, wholes, draws = zip(*drawn, strict=True)
    coords = {"row": ("row", list(names)), "whole": ("row", list(wholes))}
    return xr.Dataset({"draws": (("row", "draw"), np.array(draws))}, coords)


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
    if result.draws_sha256 is not None:
        scores = open_scores(draws_path(path, result.n_draws or 0), result)
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
