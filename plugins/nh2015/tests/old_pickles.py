"""Writes pickles as Python 2 and pandas 1.1 did, on any version; the writer knows opcodes, the reader is not used."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Opcodes = bytes


def write_old_frame(path: Path, table: pd.DataFrame) -> Path:
    """A table in the layout of pandas 1.1: a block manager whose state is (axes, values, items, {"0.14.1": …})."""
    columns = [table[name].to_numpy() for name in table.columns]
    axes = listed([index(list(table.columns)), index(table.index)])
    values = [array((column if column.dtype.kind in "biuf" else column.astype(object))[None]) for column in columns]
    places = [call("builtins slice", place, place + 1, 1) for place in range(len(columns))]
    parts = [mapped({"values": value, "mgr_locs": where}) for value, where in zip(values, places, strict=True)]
    extra = mapped({"0.14.1": mapped({"axes": axes, "blocks": listed(parts)})})
    content = tuple_of(axes, listed(values), listed([]), extra)
    manager = state(new("pandas.core.internals.managers BlockManager"), content)
    content = mapped({"_mgr": manager, "_typ": "dataframe", "_metadata": listed([]), "attrs": mapped({})})
    path.write_bytes(b"\x80\x02" + state(new("pandas.core.frame DataFrame"), content) + b".")
    return path


def write_python2(path: Path, content: Mapping[str, np.ndarray | Sequence[str]]) -> Path:
    """A dictionary of arrays and lists of texts as cPickle of Python 2 wrote it: texts and bytes are one kind."""
    parts = [
        text2(key) + (array2(value) if isinstance(value, np.ndarray) else listed([text2(name) for name in value]))
        for key, value in content.items()
    ]
    path.write_bytes(b"\x80\x02}(" + b"".join(parts) + b"u.")
    return path


# --- values -----------------------------------------------------------------------------------------------------------


def value(item: Any) -> Opcodes:
    """A plain value; opcodes pass through."""
    if isinstance(item, bytes):
        return item
    if isinstance(item, (bool, np.bool_)):
        return b"\x88" if item else b"\x89"
    if isinstance(item, (int, np.integer)):
        data = int(item).to_bytes(9, "little", signed=True)
        return b"\x8a" + bytes([len(data)]) + data
    if isinstance(item, (float, np.floating)):
        return b"G" + struct.pack(">d", item)
    if item is None:
        return b"N"
    data = str(item).encode()
    return b"X" + struct.pack("<I", len(data)) + data


def raw(data: bytes) -> Opcodes:
    """Bytes of Python 3."""
    return b"B" + struct.pack("<I", len(data)) + data


def text2(text: str | bytes) -> Opcodes:
    """A text of Python 2."""
    data = text.encode() if isinstance(text, str) else text
    return b"T" + struct.pack("<i", len(data)) + data


def tuple_of(*items: Any) -> Opcodes:
    """A tuple."""
    return b"(" + b"".join(map(value, items)) + b"t"


def listed(items: Sequence[Any]) -> Opcodes:
    """A list."""
    return b"](" + b"".join(map(value, items)) + b"e"


def mapped(items: Mapping[str, Any]) -> Opcodes:
    """A dictionary."""
    return b"}(" + b"".join(value(key) + value(item) for key, item in items.items()) + b"u"


def named(place: str) -> Opcodes:
    """A name, given as "module name"."""
    return b"c" + place.replace(" ", "\n").encode() + b"\n"


def call(place: str, *args: Any) -> Opcodes:
    """A name, called."""
    return named(place) + tuple_of(*args) + b"R"


def new(place: str) -> Opcodes:
    """An instance of a class, made without arguments."""
    return named(place) + b")\x81"


def state(made: Opcodes, content: Opcodes) -> Opcodes:
    """Something made, with its state."""
    return made + content + b"b"


def array(values: np.ndarray) -> Opcodes:
    """An array as numpy before 2 wrote it in Python 3."""
    content = listed(values.ravel().tolist()) if values.dtype == object else raw(values.tobytes())
    if values.dtype.kind == "U":
        return array(values.astype(object))
    made = call("numpy.core.multiarray _reconstruct", named("numpy ndarray"), tuple_of(0), raw(b"b"))
    return state(made, tuple_of(1, tuple_of(*values.shape), dtype(values.dtype), False, content))


def array2(values: np.ndarray) -> Opcodes:
    """An array as numpy wrote it in Python 2: its bytes are a text."""
    made = call("numpy.core.multiarray _reconstruct", named("numpy ndarray"), tuple_of(0), text2("b"))
    content = tuple_of(1, tuple_of(*values.shape), dtype(values.dtype, text2), False, text2(values.tobytes()))
    return state(made, content)


def dtype(of: np.dtype[Any], write: Any = value) -> Opcodes:
    """A dtype."""
    code, order, flags = ("O8", "|", 63) if of.hasobject else (of.str[1:], "|" if of.itemsize == 1 else "<", 0)
    made = call("numpy dtype", write(code), False, True)
    return state(made, tuple_of(3, write(order), None, None, None, -1, -1, flags))


def index(values: Any) -> Opcodes:
    """An index of pandas 1.1."""
    if isinstance(values, pd.RangeIndex):
        content = {"name": None, "start": values.start, "stop": values.stop, "step": values.step}
        return call(
            "pandas.core.indexes.base _new_Index", named("pandas.core.indexes.range RangeIndex"), mapped(content)
        )
    kept = np.asarray(values)
    whole = kept.dtype.kind == "i"
    kind = "pandas.core.indexes.numeric Int64Index" if whole else "pandas.core.indexes.base Index"
    content = {"data": array(kept if whole else kept.astype(object)), "name": None}
    return call("pandas.core.indexes.base _new_Index", named(kind), mapped(content))


def loads(data: bytes) -> Any:
    """What Python makes of a pickle that these tests wrote."""
    return pickle.loads(data, encoding="latin1")
