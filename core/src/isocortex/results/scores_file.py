"""Raw scores and bootstrap draws of a result as netCDF4, written whole or not at all."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.results.result import Result

if TYPE_CHECKING:
    import xarray as xr


def write_scores(path: Path, scores: xr.Dataset, result: Result) -> None:
    """Write raw scores as netCDF4, float32, with the bootstrap draws of every row of the result."""
    import numpy as np

    parts = {"all": result.summary, **result.regions}
    draws = {name: part.draws for name, part in parts.items() if part is not None and part.draws is not None}
    if draws:
        scores = scores.assign_coords(row=("row", list(draws))).assign(
            draws=(("row", "draw"), np.array(list(draws.values())))
        )
    floats = {name: "float32" for name, item in scores.data_vars.items() if np.issubdtype(item.dtype, np.floating)}
    encoding = {name: {"zlib": True, "dtype": dtype} for name, dtype in floats.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".scores-", dir=path.parent) as partial:
        written = Path(partial) / path.name
        scores.to_netcdf(written, engine="netcdf4", encoding=encoding)
        written.replace(path)
