"""Reading the pickles of the Tuckute et al. 2023 release: tables of pandas, dictionaries of arrays; nothing runs.

`isocortex.files` turns a pickle into inert records, of the globals in `CONSTRUCTORS` only, and records into arrays.
Tables are then made from their arrays: pandas is handed nothing but arrays and names that were checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from isocortex.files import ARRAYS, Pickled, Record, as_size, described, read_pickle
from isocortex.typing import Array

if TYPE_CHECKING:
    import pandas as pd

#: larger files are not read; the tables of the release have a few megabytes and some forty columns
MAX_BYTES: Final = 1 << 30
#: columns, and those with a number for a name, of which many with one hash would take for ever
MAX_COLUMNS, _MAX_NUMBERS = 100_000, 1000

#: what each constructor stands for, under its present name and those that it had
CONSTRUCTORS: Final[dict[str, str]] = {
    place: meaning
    for meaning, places in {
        "slice": ("builtins slice", "__builtin__ slice"),
        "frame": ("pandas.core.frame DataFrame", "pandas DataFrame"),
        "manager": ("pandas.core.internals.managers BlockManager", "pandas.core.internals BlockManager"),
        "block": ("pandas._libs.internals _unpickle_block", "pandas.core.internals.blocks new_block"),
        "partial": ("functools partial",),
        "new index": ("pandas.core.indexes.base _new_Index",),
        "index": (
            "pandas.core.indexes.base Index", "pandas Index", "pandas.core.indexes.numeric Int64Index",
            "pandas.core.indexes.numeric UInt64Index", "pandas.core.indexes.numeric Float64Index",
        ),
        "range index": ("pandas.core.indexes.range RangeIndex", "pandas RangeIndex"),
        "backed array": ("pandas._libs.arrays __pyx_unpickle_NDArrayBacked",),
        "string array": ("pandas.core.arrays.string_ StringArray", "pandas.arrays StringArray"),
        "string dtype": ("pandas.core.arrays.string_ StringDtype", "pandas StringDtype"),
    }.items()
    for place in places
} | dict(ARRAYS)  # fmt: skip

_Axis = range | Array
_Block = tuple[object, object]


def read_frame(path: Path) -> pd.DataFrame:
    """Read a pickled ``pandas.DataFrame``, of pandas 1.0 or newer, without unpickling it.

    Parameters
    ----------
    path
        Written by ``DataFrame.to_pickle`` without compression. Columns of numbers, booleans and texts, but not of texts
        that pyarrow keeps; plain indices.

    Returns
    -------
    Columns in their order; texts and whatever else an array of objects held are of dtype object.

    Raises
    ------
    DataError
        If the file cannot be read, is damaged, holds anything else, or names a constructor that is not in
        `CONSTRUCTORS`; the message names it.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> path = Path(tempfile.mkdtemp()) / "table.pkl"
    >>> with pd.option_context("mode.string_storage", "python"):
    ...     pd.DataFrame({"voxel_id": [3, 5], "hemi": ["lh", "rh"]}).to_pickle(path)
    >>> read_frame(path).to_dict("list")
    {'voxel_id': [3, 5], 'hemi': ['lh', 'rh']}
    """
    import pandas as pd

    pickled = read_pickle(path, CONSTRUCTORS, MAX_BYTES)
    with pickled.read_as("a table of pandas"):
        (names, rows), blocks = _manager(pickled)
        index = pd.RangeIndex(rows) if isinstance(rows, range) else pd.Index(rows, dtype=_kept(rows))
        if len(names) * len(rows) > 8 * pickled.n_bytes + 1_000_000:
            raise ValueError(f"it has {len(names)} columns of {len(rows)} rows in {pickled.n_bytes} bytes")
        columns = {
            name: pd.Series(values, index=index, dtype=_kept(values))
            for name, values in zip(_column_names(names), _columns(pickled, blocks, names, rows), strict=True)
        }
        return pd.DataFrame(columns, index=index)


def read_arrays(path: Path) -> dict[str, Array]:
    """Read a pickled dictionary of arrays, of numbers or of lists of texts, in its order, without unpickling it.

    It was written by pickle or cPickle of Python 2 or 3, in any protocol; a `DataError` is raised as by `read_frame`.

    Examples
    --------
    >>> import pickle, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "stim5_alarm_clock_activations.pkl"
    >>> _ = path.write_bytes(pickle.dumps({"ReLU()--0": np.arange(3.0)}))
    >>> read_arrays(path)
    {'ReLU()--0': array([0., 1., 2.])}
    """
    return read_pickle(path, CONSTRUCTORS, MAX_BYTES).arrays()


def _meaning(record: object) -> str:
    return CONSTRUCTORS[record.place] if isinstance(record, Record) else ""


def _expect(record: object, meaning: str) -> tuple[Any, Any]:
    """Arguments and state of a record."""
    if not isinstance(record, Record) or record.args is None or _meaning(record) != meaning:
        raise ValueError(f"expected a {meaning}, found {described(record)}")
    return record.args, record.state


def _manager(pickled: Pickled) -> tuple[list[_Axis], list[_Block]]:
    """The axes (columns, rows) of a table, and its blocks as (values, places among the columns)."""
    _, content = _expect(pickled.value, "frame")
    args, state = _expect(content.get("_mgr", content.get("_data")), "manager")
    if args:  # since pandas 1.3: (blocks, axes)
        blocks, axes = args
        parts = [_expect(block, "block")[0][:2] for block in blocks]
    else:  # before: (axes, values, items, {"0.14.1": {"axes": …, "blocks": …}})
        kept = state[3]["0.14.1"]
        axes = kept["axes"]
        parts = [(block["values"], block["mgr_locs"]) for block in kept["blocks"]]
    if not isinstance(axes, list) or len(cast("list[object]", axes)) != 2:
        raise ValueError("a table has other than two axes")
    return [_axis(pickled, axis) for axis in cast("list[object]", axes)], cast("list[_Block]", parts)


def _axis(pickled: Pickled, record: object) -> _Axis:
    """``_new_Index(kind, {"data": …} or {"start": …, "stop": …, "step": …})``."""
    (kind, content), _ = _expect(record, "new index")
    if _meaning(kind) == "range index":
        start, stop, step = (content[name] for name in ("start", "stop", "step"))
        if not all(type(part) is int for part in (start, stop, step)):
            raise ValueError("a range is not of whole numbers")
        return range(start, stop, step)
    values = _column(pickled, content["data"])
    if _meaning(kind) != "index" or values.ndim != 1:
        raise ValueError(f"an index is {described(kind)} of {values.ndim} dimensions")
    return values


def _column_names(axis: _Axis) -> list[Any]:
    n_numbers = sum(not isinstance(name, str) for name in axis) if len(axis) <= MAX_COLUMNS else 0
    if len(axis) > MAX_COLUMNS or n_numbers > _MAX_NUMBERS or len(set(axis)) != len(axis):
        raise ValueError(f"it has a column twice, or too many of them: {len(axis)}")
    return list(axis)


def _kept(values: Array) -> np.dtype[Any]:
    """The dtype of a column: texts stay objects, whatever this version of pandas would make of them."""
    return values.dtype if values.dtype.kind in "biuf" else np.dtype(object)


def _column(pickled: Pickled, record: object) -> Array:
    """An array of pandas or numpy."""
    if _meaning(record) == "backed array":
        args, state = _expect(record, "backed array")
        if _meaning(args[0]) != "string array":
            raise ValueError(f"an array is {described(args[0])}")
        record = next((part for part in state if _meaning(part) in ("reconstruct", "frombuffer")), None)
    return pickled.array(record)


def _columns(pickled: Pickled, blocks: list[_Block], names: _Axis, rows: _Axis) -> Iterator[Array]:
    """The columns of a table in their order."""
    n_columns, n_rows = len(names), len(rows)
    found: list[tuple[int, Array]] = []
    for record, where in blocks:
        values, places = _column(pickled, record), _places(pickled, where, n_columns)
        table = values.reshape(1, -1) if values.ndim == 1 else values  # (n_columns of the block, n_rows)
        if table.shape != (len(places), n_rows) or len(found) + len(places) > n_columns:
            raise ValueError(f"a block is of shape {table.shape} for {len(places)} columns and {n_rows} rows")
        found += zip(places, table, strict=True)
    by_place = dict(found)
    if by_place.keys() != set(range(n_columns)):
        raise ValueError(f"{n_columns} columns are announced, {len(found)} have values")
    return (by_place[place] for place in range(n_columns))


def _places(pickled: Pickled, record: object, n_columns: int) -> list[int]:
    """Which columns a block holds: a slice, or an array of places."""
    if _meaning(record) == "slice":
        parts, _ = _expect(record, "slice")
        if not all(part is None or type(part) is int for part in parts):
            raise ValueError("a slice is not of whole numbers")
        return list(range(*slice(*parts).indices(n_columns)))
    places = pickled.array(record)
    if places.dtype.kind not in "iu":
        raise ValueError(f"places of columns are of {places.dtype}")
    return [as_size(place) for place in places.ravel().tolist()]
