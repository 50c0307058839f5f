"""Tables as files: CSV, Parquet, netCDF and MATLAB, whole or not at all, numbers to the last digit."""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.errors import UsageError
from isocortex.files import write_atomic
from isocortex.results import csv_frame

if TYPE_CHECKING:
    import pandas as pd

#: of a name in MATLAB
_MOST_LETTERS = 63
_MATLAB_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_NETCDF_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.+-]*")


def write_table(frame: pd.DataFrame, path: Path, kind: str) -> None:
    """Write a table as "csv", "parquet", "nc" or "mat".

    In CSV a text that a spreadsheet would take for a formula begins with an apostrophe; in the other forms texts are as
    they are. Counts that are missing are NaN in netCDF and MATLAB, where they have no whole number for it.

    Raises
    ------
    UsageError
        Another form, or Parquet without pyarrow.
    StoreError
        It cannot be written.
    """
    if kind not in WRITERS:
        raise UsageError(f"{kind!r} is no form of a table. Expected one of {', '.join(WRITERS)}.")
    made = WRITERS[kind](frame)
    write_atomic(path, lambda file: file.write(made))


def _csv(frame: pd.DataFrame) -> bytes:
    texts = {str(name): frame[name].map(_plain) for name in frame if _is_text(frame[name])}
    return csv_frame(frame.assign(**texts)).to_csv(index=False, lineterminator="\n").encode("utf-8", "surrogatepass")


def _parquet(frame: pd.DataFrame) -> bytes:
    try:
        import pyarrow  # noqa: F401 # pyright: ignore[reportUnusedImport] - only to say that it is not here
    except ImportError as error:
        raise UsageError(
            "Parquet needs pyarrow, which is not installed: pip install 'isocortex-report[parquet]', or take csv."
        ) from error
    buffer = io.BytesIO()
    texts = {str(name): frame[name].map(_plain) for name in frame if _is_text(frame[name])}
    frame.assign(**texts).to_parquet(buffer, engine="pyarrow", index=False)
    return buffer.getvalue()


def _netcdf(frame: pd.DataFrame) -> bytes:
    import xarray as xr

    names = _plain_names(frame, _NETCDF_NAME)
    columns = {name: ("row", _array(frame[column])) for column, name in names.items()}
    made = xr.Dataset(columns, attrs={"title": "Results of isocortex as a table: one entry along 'row' is a row."})
    with tempfile.TemporaryDirectory(prefix="isocortex-export-") as folder:
        path = Path(folder) / "table.nc"
        made.to_netcdf(path, engine="netcdf4")
        return path.read_bytes()


def _matlab(frame: pd.DataFrame) -> bytes:
    from scipy.io import savemat

    buffer = io.BytesIO()
    columns = {name: _array(frame[column]) for column, name in _plain_names(frame, _MATLAB_NAME).items()}
    savemat(buffer, {"results": columns}, long_field_names=True, oned_as="column", do_compression=True)
    return buffer.getvalue()


def _plain_names(frame: pd.DataFrame, pattern: re.Pattern[str]) -> dict[str, str]:
    """Columns to names that a form takes, each its own; what it does not take is an underscore."""
    found: dict[str, str] = {}
    for column in map(str, frame):
        name = column if pattern.fullmatch(column) else re.sub(r"[^A-Za-z0-9_]", "_", f"x{column}")[:_MOST_LETTERS]
        number, plain = 2, name
        while name in found.values():
            name, number = f"{plain[: _MOST_LETTERS - 4]}_{number}", number + 1
        found[column] = name
    return found


def _array(column: pd.Series[Any]) -> Any:
    """A column without types of pandas: texts as objects, numbers as float64 or int64, truths as bool."""
    if _is_text(column):
        return np.array([_plain(value) for value in column], dtype=object)
    if column.isna().any() or column.dtype == "float64":
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return column.to_numpy(dtype=bool if column.dtype == bool else np.int64)


def _is_text(column: pd.Series[Any]) -> bool:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return not (is_numeric_dtype(column) or is_bool_dtype(column))


def _plain(value: object) -> str:
    """A text, empty where there is none."""
    return "" if value is None or value != value else str(value)


WRITERS: Mapping[str, Callable[[pd.DataFrame], bytes]] = {
    "csv": _csv,
    "parquet": _parquet,
    "nc": _netcdf,
    "mat": _matlab,
}
