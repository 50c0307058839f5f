"""Reading the pickles of the Tuckute et al. 2023 release: tables of pandas, dictionaries of arrays; nothing runs.

`read_records` turns a pickle into inert records, of the constructors in `CONSTRUCTORS` only. Arrays are then made from
their bytes, and tables from their arrays, by the functions below: neither numpy nor pandas is handed anything but
bytes, sizes and names that were checked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from isocortex.errors import DataError
from isocortex.typing import Array
from isocortex_nh2015.pickle_machine import Made, Name, read_records

if TYPE_CHECKING:
    import pandas as pd


#: larger files are not read; the tables of the release have a few megabytes and some forty columns
MAX_BYTES: Final = 1 << 30
MAX_COLUMNS: Final = 100_000

#: what each constructor stands for, under its present name and those that it had
CONSTRUCTORS: Final[dict[Name, str]] = {
    Name(module, name): meaning
    for meaning, places in {
        "ndarray": ("numpy ndarray",),
        "dtype": ("numpy dtype",),
        "reconstruct": ("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"),
        "frombuffer": ("numpy.core.numeric _frombuffer", "numpy._core.numeric _frombuffer"),
        "scalar": ("numpy.core.multiarray scalar", "numpy._core.multiarray scalar"),
        "encode": ("_codecs encode",),
        "bytes": ("builtins bytes", "__builtin__ bytes"),
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
    for module, name in (place.split() for place in places)
}  # fmt: skip

_DTYPE = re.compile(r"[|<>=]?(b1|[iu][1248]|f[248]|[SU][1-9]\d{0,5}|O8?)")
#: what an array of objects may hold
_CELLS = (str, int, float, bool, type(None))


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
    >>> pd.DataFrame({"voxel_id": [3, 5], "hemi": ["lh", "rh"]}).to_pickle(path)
    >>> read_frame(path).to_dict("list")
    {'voxel_id': [3, 5], 'hemi': ['lh', 'rh']}
    """
    import pandas as pd

    record = _read(path)
    try:
        (names, rows), blocks = _manager(_expect(record, "frame"))
        index = pd.RangeIndex(rows) if isinstance(rows, range) else pd.Index(rows, dtype=_kept(rows))
        columns = {
            name: pd.Series(values, index=index, dtype=_kept(values))
            for name, values in zip(_column_names(names), _columns(blocks, len(names), len(rows)), strict=True)
        }
        return pd.DataFrame(columns, index=index)
    except _DAMAGED as error:
        raise _not_read(path, "a table of pandas", error) from error


def read_arrays(path: Path) -> dict[str, Array]:
    """Read a pickled dictionary of arrays, of numbers or of lists of texts, without unpickling it.

    Parameters
    ----------
    path
        Written by pickle or cPickle of Python 2 or 3, in any protocol.

    Returns
    -------
    In the order of the file.

    Raises
    ------
    DataError
        If the file cannot be read, is damaged, holds anything else, or names a constructor that is not in
        `CONSTRUCTORS`; the message names it.

    Examples
    --------
    >>> import pickle, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "stim5_alarm_clock_activations.pkl"
    >>> _ = path.write_bytes(pickle.dumps({"ReLU()--0": np.arange(3.0)}))
    >>> read_arrays(path)
    {'ReLU()--0': array([0., 1., 2.])}
    """
    record = _read(path)
    try:
        if not isinstance(record, dict):
            raise ValueError(f"it holds {_described(record)} instead of a dictionary")
        return {_text(key): _values(value) for key, value in cast("dict[object, Any]", record).items()}
    except _DAMAGED as error:
        raise _not_read(path, "a dictionary of arrays", error) from error


def _read(path: Path) -> Any:
    try:
        n_bytes = path.stat().st_size
        if n_bytes > MAX_BYTES:
            raise DataError(f"{path} has {n_bytes} bytes, more than the {MAX_BYTES} that a table can have.")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error
    return read_records(data, CONSTRUCTORS.keys(), str(path))


#: what records of another form than expected lead to
_DAMAGED = (ValueError, TypeError, LookupError, OverflowError, AttributeError)


def _not_read(path: Path, what: str, error: Exception) -> DataError:
    return DataError(f"{path} cannot be read as {what}: {error}. Copy or unpack it again.")


def _described(record: object) -> str:
    return str(record.name) if isinstance(record, Made) else f"a {type(record).__name__}"


def _meaning(record: object) -> str:
    name = record.name if isinstance(record, Made) else record if isinstance(record, Name) else None
    return CONSTRUCTORS[name] if name is not None else ""


def _expect(record: object, meaning: str) -> Made:
    if not isinstance(record, Made) or _meaning(record) != meaning:
        raise ValueError(f"expected a {meaning}, found {_described(record)}")
    return record


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a text, found {_described(value)}")
    return value


def _size(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"expected a size, found {_described(value) if type(value) is not int else value}")
    return value


# --- numpy ------------------------------------------------------------------------------------------------------------


def _values(record: object) -> Array:
    """An array, a number, or a list of texts or numbers, as an array."""
    if isinstance(record, (list, tuple)):
        return _of_objects(list(cast("tuple[object, ...]", record)))
    return np.array(record) if isinstance(record, _CELLS) else _array(record)


def _array(record: object) -> Array:
    """The array of a record, made from its bytes."""
    maker = _ARRAYS.get(_meaning(record))
    if maker is None or not isinstance(record, Made):
        raise ValueError(f"expected an array, found {_described(record)}")
    if record.value is None:
        record.value = maker(record)
    return record.value


def _reconstructed(record: Made) -> Array:
    """``_reconstruct(ndarray, (0,), b"b")`` with the state (version, shape, dtype, by columns, bytes or objects)."""
    kind, shape, _ = record.args
    if _meaning(kind) != "ndarray" or shape != (0,):
        raise ValueError(f"an array is made of {_described(kind)} and {shape!r:.40}")
    _, shape, dtype, by_columns, content = record.state
    return _filled(content, _dtype(dtype), shape, "F" if by_columns else "C")


def _from_buffer(record: Made) -> Array:
    """``_frombuffer(bytes, dtype, shape, order)``."""
    content, dtype, shape, order = record.args
    return _filled(content, _dtype(dtype), shape, _text(order))


def _scalar(record: Made) -> Array:
    """``scalar(dtype, bytes)``."""
    dtype, content = record.args
    plain = _dtype(dtype)
    if plain.hasobject:
        raise ValueError("a number is an object")
    return _filled(content, plain, (), "C")


def _filled(content: object, dtype: np.dtype[Any], shape: object, order: str) -> Array:
    if not isinstance(shape, tuple) or len(cast("tuple[object, ...]", shape)) > 8 or order not in ("C", "F"):
        raise ValueError(f"an array has the shape {shape!r:.40} and the order {order!r:.10}")
    sizes = tuple(_size(size) for size in cast("tuple[object, ...]", shape))
    if dtype.hasobject:
        if not isinstance(content, list):
            raise ValueError(f"an array of objects is filled with {_described(content)}")
        values = _of_objects(cast("list[object]", content))
    else:
        values = _of_bytes(_raw(content), dtype, math.prod(sizes))
    if values.size != math.prod(sizes):
        raise ValueError(f"{values.size} values are given for an array of shape {sizes}")
    return values.reshape(sizes, order=cast("Any", order))


def _of_bytes(content: bytes, dtype: np.dtype[Any], count: int) -> Array:
    if len(content) != count * dtype.itemsize:
        raise ValueError(f"{len(content)} bytes are given for {count} values of {dtype}")
    if dtype.kind == "b" and set(content) - {0, 1}:
        raise ValueError("a boolean is neither 0 nor 1")
    return np.frombuffer(content, dtype)


def _of_objects(content: list[object]) -> Array:
    values = np.empty(len(content), dtype=object)
    values[:] = _cells(content)
    return values


def _raw(content: object) -> bytes:
    """Bytes, which Python 2 wrote as a text, and Python 3 into its old protocols as an encoded text."""
    if isinstance(content, Made) and _meaning(content) == "bytes" and content.args == ():
        return b""
    if isinstance(content, Made) and _meaning(content) == "encode":
        text, encoding = content.args
        if encoding != "latin1":
            raise ValueError(f"bytes are encoded as {encoding!r:.20}")
        content = text
    if isinstance(content, str):
        return content.encode("latin-1")
    if not isinstance(content, bytes):
        raise ValueError(f"expected bytes, found {_described(content)}")
    return content


def _dtype(record: object) -> np.dtype[Any]:
    """``dtype(text, align, copy)`` with the state (version, byte order, …); plain types only."""
    made = _expect(record, "dtype")
    code = _text(made.args[0])
    if _DTYPE.fullmatch(code) is None:
        raise ValueError(f"an array is of dtype {code!r:.40}")
    dtype = np.dtype(object if "O" in code else code)
    if made.state is None:
        return dtype
    order, inside = _text(made.state[1]), made.state[2:5]
    if order not in ("<", ">", "|", "=") or any(part is not None for part in inside):
        raise ValueError(f"an array is of a dtype with fields or a sub-array: {code!r}")
    return dtype.newbyteorder(cast("Any", order))


def _cells(content: list[object]) -> list[object]:
    """Objects of an array: numbers, texts and nothing else."""
    cells = [_array(cell)[()] if isinstance(cell, Made) and _meaning(cell) == "scalar" else cell for cell in content]
    for cell in cells:
        if not isinstance(cell, (*_CELLS, np.generic)):
            raise ValueError(f"an array holds {_described(cell)}")
    return cells


_ARRAYS: Final[Mapping[str, Callable[[Made], Array]]] = {
    "reconstruct": _reconstructed,
    "frombuffer": _from_buffer,
    "scalar": _scalar,
}


# --- pandas -----------------------------------------------------------------------------------------------------------

_Axis = range | Array
_Block = tuple[object, object]


def _manager(frame: Made) -> tuple[list[_Axis], list[_Block]]:
    """The axes (columns, rows) of a table, and its blocks as (values, places among the columns)."""
    state = frame.state
    if not isinstance(state, dict):
        raise ValueError("a table has no content")
    content = cast("dict[str, object]", state)
    manager = _expect(content.get("_mgr", content.get("_data")), "manager")
    if manager.args:  # since pandas 1.3: (blocks, axes)
        blocks, axes = manager.args
        parts = [_expect(block, "block").args[:2] for block in blocks]
    else:  # before: (axes, values, items, {"0.14.1": {"axes": …, "blocks": …}})
        kept = manager.state[3]["0.14.1"]
        axes = kept["axes"]
        parts = [(block["values"], block["mgr_locs"]) for block in kept["blocks"]]
    if not isinstance(axes, list) or len(cast("list[object]", axes)) != 2:
        raise ValueError("a table has other than two axes")
    return [_axis(axis) for axis in cast("list[object]", axes)], cast("list[_Block]", parts)


def _axis(record: object) -> _Axis:
    """``_new_Index(kind, {"data": …} or {"start": …, "stop": …, "step": …})``."""
    kind, content = _expect(record, "new index").args
    if _meaning(kind) == "range index":
        start, stop, step = (content[name] for name in ("start", "stop", "step"))
        if not all(type(part) is int for part in (start, stop, step)):
            raise ValueError("a range is not of whole numbers")
        return range(start, stop, step)
    if _meaning(kind) != "index":
        raise ValueError(f"an index is {_described(kind)}")
    return _column(content["data"])


def _column_names(axis: _Axis) -> list[Any]:
    if len(axis) > MAX_COLUMNS or len(set(axis)) != len(axis):
        raise ValueError(f"it has a column twice, or too many of them: {len(axis)}")
    return list(axis)


def _kept(values: Array) -> np.dtype[Any]:
    """The dtype of a column: texts stay objects, whatever this version of pandas would make of them."""
    return values.dtype if values.dtype.kind in "biuf" else np.dtype(object)


def _column(record: object) -> Array:
    """An array of pandas or numpy."""
    if _meaning(record) == "backed array":
        made = _expect(record, "backed array")
        if _meaning(made.args[0]) != "string array":
            raise ValueError(f"an array is {_described(made.args[0])}")
        return _array(next(part for part in made.state if _meaning(part) in _ARRAYS))
    return _array(record)


def _columns(blocks: list[_Block], n_columns: int, n_rows: int) -> Iterator[Array]:
    """The columns of a table in their order."""
    found: list[tuple[int, Array]] = []
    for record, where in blocks:
        values, places = _column(record), _places(where, n_columns)
        rows = values.reshape(1, -1) if values.ndim == 1 else values  # (n_columns of the block, n_rows)
        if rows.shape != (len(places), n_rows):
            raise ValueError(f"a block is of shape {rows.shape} for {len(places)} columns and {n_rows} rows")
        found += zip(places, rows, strict=True)
    if sorted(place for place, _ in found) != list(range(n_columns)):
        raise ValueError(f"{n_columns} columns are announced, {len(found)} have values")
    by_place = dict(found)
    return (by_place[place] for place in range(n_columns))


def _places(record: object, n_columns: int) -> list[int]:
    """Which columns a block holds: a slice, or an array of places."""
    if _meaning(record) == "slice":
        parts = _expect(record, "slice").args
        if not all(part is None or type(part) is int for part in parts):
            raise ValueError("a slice is not of whole numbers")
        return list(range(*slice(*parts).indices(n_columns)))
    places = _array(record)
    if places.dtype.kind not in "iu":
        raise ValueError(f"places of columns are of {places.dtype}")
    return [_size(place) for place in places.ravel().tolist()]
