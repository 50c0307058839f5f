"""What a pickle holds, as inert records, and arrays of numpy, made from the dtype, shape and bytes of records."""

from __future__ import annotations

import contextlib
import math
import re
import reprlib
from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import numpy as np

from isocortex.errors import DataError
from isocortex.typing import Array

#: how deep values may be nested, and how many there may be; those that stand in many places count in each
MAX_DEPTH: Final = 100
MAX_ITEMS: Final = 50_000_000

#: what arrays of numpy and their numbers are pickled with, "module name" to what it stands for
ARRAYS: Final[Mapping[str, str]] = {
    "numpy ndarray": "ndarray", "numpy dtype": "dtype", "_codecs encode": "encode",
    "builtins bytes": "bytes", "__builtin__ bytes": "bytes",
    "numpy.core.multiarray _reconstruct": "reconstruct", "numpy._core.multiarray _reconstruct": "reconstruct",
    "numpy.core.numeric _frombuffer": "frombuffer", "numpy._core.numeric _frombuffer": "frombuffer",
    "numpy.core.multiarray scalar": "scalar", "numpy._core.multiarray scalar": "scalar",
}  # fmt: skip
_DTYPE = re.compile(r"[|<>=]?(b1|[iu][1248]|f[248]|[SU][1-9]\d{0,5}|O8?)")
_CELLS = (str, int, float, bool, type(None))
#: what values of another form than expected lead to
_DAMAGED = (ValueError, TypeError, LookupError, OverflowError, AttributeError)


@dataclass(slots=True, eq=False, repr=False)
class Record:
    """A global of a pickle with the arguments and the state that it is given, all inert; ``args`` is None if uncalled.

    Examples
    --------
    >>> str(Record("numpy", "dtype"))
    'numpy.dtype'
    """

    module: str
    name: str
    args: tuple[Any, ...] | None = None
    state: Any = None

    @property
    def place(self) -> str:
        """Module and name, as lists of what is allowed have them."""
        return f"{self.module} {self.name}"

    def __str__(self) -> str:
        return f"{self.module:.80}.{self.name:.80}"


_NESTED: Final = (list, tuple, dict, Record)


@dataclass(frozen=True, eq=False, repr=False)
class Pickled:
    """What a pickle holds, and its arrays as they are asked for; one that stands in many places is made once.

    Attributes
    ----------
    value
        Lists, tuples, dictionaries, texts, bytes, numbers, `Record`.
    where
        The name of the file.
    n_bytes
        The size of the file.
    """

    value: Any
    where: str
    n_bytes: int
    _made: dict[int, tuple[object, Any]] = field(default_factory=dict[int, tuple[object, Any]])

    @contextlib.contextmanager
    def read_as(self, what: str) -> Generator[None]:
        """Turn errors about values of another form into a `DataError` that names the file and what it should be."""
        try:
            yield
        except _DAMAGED as error:
            raise DataError(
                one_line(f"{self.where} cannot be read as {what}: {error}. Copy or unpack it again.")
            ) from error

    def arrays(self) -> dict[str, Array]:
        """A dictionary of arrays, of numbers or of lists of texts, in its order, each as an array.

        Raises
        ------
        DataError
            It is anything else.
        """
        with self.read_as("a dictionary of arrays"):
            if not isinstance(self.value, dict):
                raise ValueError(f"it holds {described(self.value)} instead of a dictionary")
            return {as_text(key): self._values(value) for key, value in cast("dict[Any, Any]", self.value).items()}

    def array(self, record: object) -> Array:
        """The array of a record; `ValueError` and its like, for `read_as`, if it is none."""
        return self._once(record, self._array)

    def objects(self, record: object) -> list[Any]:
        """What an array of objects holds, as a list in the order of the file; errors as of `array`."""
        content, dtype, shape, _ = self._parts(record)
        if not dtype.hasobject or not isinstance(content, list):
            raise ValueError(f"an array of objects is filled with {described(content)}")
        items = cast("list[Any]", content)
        if len(items) != math.prod(_sizes(shape)):
            raise ValueError(f"{len(items)} values are given for an array of shape {_sizes(shape)}")
        return items

    def _once(self, part: object, make: Callable[[Any], Any]) -> Any:
        if id(part) not in self._made:
            self._made[id(part)] = (part, make(part))  # the part is kept, so that no other gets its id
        return self._made[id(part)][1]

    def _values(self, value: object) -> Array:
        if isinstance(value, (list, tuple)):
            return self._once(cast("object", value), self._cells)
        return np.array(value) if isinstance(value, _CELLS) else self.array(value)

    def _array(self, record: object) -> Array:
        content, dtype, shape, order = self._parts(record)
        if order not in ("C", "F"):
            raise ValueError(f"an array has the order {described(order)}")
        if dtype.hasobject:
            values: Array = self._once(self.objects(record), self._cells)
        else:
            values = _of_bytes(self._bytes(content), dtype, math.prod(_sizes(shape)))
        return values.reshape(_sizes(shape), order=cast("Any", order))

    def _parts(self, record: object) -> tuple[object, np.dtype[Any], object, object]:
        """Content, dtype, shape and order of an array, from whichever way in which numpy pickled it."""
        kind = ARRAYS.get(record.place) if isinstance(record, Record) else None
        if not isinstance(record, Record) or kind not in ("reconstruct", "frombuffer", "scalar"):
            raise ValueError(f"expected an array, found {described(record)}")
        parts: Any = record.args
        if kind == "frombuffer":
            content, dtype, shape, order = parts
        elif kind == "scalar":
            (dtype, content), shape, order = parts, (), "C"
        else:
            made, first, _ = parts
            if not isinstance(made, Record) or made.place != "numpy ndarray" or first != (0,):
                raise ValueError(f"an array is made of {described(made)} and {described(first)}")
            _, shape, dtype, by_columns, content = record.state
            order = "F" if by_columns is True or by_columns == 1 else "C"
        plain = self._once(dtype, _dtype)
        if kind == "scalar" and plain.hasobject:
            raise ValueError("a number is an object")
        return content, plain, shape, order

    def _cells(self, content: list[object]) -> Array:
        """Texts and numbers of 64 bits, as an array of objects."""
        values = np.empty(len(content), dtype=object)
        for place, item in enumerate(content):
            number = isinstance(item, Record) and ARRAYS.get(item.place) == "scalar"
            cell = self._array(item)[()] if number else item
            if not isinstance(cell, (*_CELLS, np.generic)) or (type(cell) is int and cell.bit_length() > 64):
                raise ValueError(f"an array holds {described(cell)}")
            values[place] = cell
        return values

    def _bytes(self, content: object) -> bytes:
        return content if isinstance(content, bytes) else self._once(content, self._raw)

    def _raw(self, content: object) -> bytes:
        """Bytes, which Python 2 wrote as a text, and Python 3 into its old protocols as an encoded text."""
        kind = ARRAYS.get(content.place) if isinstance(content, Record) else None
        if isinstance(content, Record) and kind == "bytes" and content.args == ():
            return b""
        if isinstance(content, Record) and kind == "encode":
            parts: Any = content.args
            content, encoding = parts
            if encoding != "latin1":
                raise ValueError(f"bytes are encoded as {described(encoding)}")
        if isinstance(content, str):
            return content.encode("latin-1")
        if not isinstance(content, bytes):
            raise ValueError(f"expected bytes, found {described(content)}")
        return content


def as_text(value: object) -> str:
    """A text; `ValueError` if it is anything else."""
    if not isinstance(value, str):
        raise ValueError(f"expected a text, found {described(value)}")
    return value


def as_size(value: object) -> int:
    """A whole number that is not negative; `ValueError` if it is anything else."""
    if type(value) is not int or value < 0:
        raise ValueError(f"expected a size, found {described(value)}")
    return value


def described(value: object) -> str:
    """A value in a message: short, whatever it is.

    Examples
    --------
    >>> described(-1), described([1, 2]), described(Record("os", "system"))
    ('-1', 'a list', 'os.system')
    """
    if isinstance(value, Record):
        return str(value)
    plain = isinstance(value, (str, int, float))
    return reprlib.repr(value) if plain else "None" if value is None else f"a {type(value).__name__}"


def one_line(message: str) -> str:
    """A message without control characters, and without halves of characters, which no terminal can show.

    Examples
    --------
    >>> one_line("names os.sys\\ntem")
    'names os.sys\\\\ntem'
    """
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in message)


def _sizes(shape: object) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or len(cast("tuple[object, ...]", shape)) > 8:
        raise ValueError(f"an array has the shape {described(shape)}")
    return tuple(as_size(size) for size in cast("tuple[object, ...]", shape))


def _of_bytes(content: bytes, dtype: np.dtype[Any], count: int) -> Array:
    if len(content) != count * dtype.itemsize:
        raise ValueError(f"{len(content)} bytes are given for {count} values of {dtype}")
    if dtype.kind == "b" and content.translate(None, b"\0\1"):
        raise ValueError("a boolean is neither 0 nor 1")
    if dtype.kind == "U" and (np.frombuffer(content, f"{dtype.byteorder}u4") > 0x10FFFF).any():
        raise ValueError("a text holds a character that there is not")
    return np.frombuffer(content, dtype)


def _dtype(record: object) -> np.dtype[Any]:
    """``dtype(text, align, copy)`` with the state (version, byte order, …); plain types only."""
    if not isinstance(record, Record) or record.place != "numpy dtype":
        raise ValueError(f"expected a dtype, found {described(record)}")
    args: Any = record.args
    code = as_text(args[0])
    if _DTYPE.fullmatch(code) is None:
        raise ValueError(f"an array is of dtype {described(code)}")
    dtype = np.dtype(object if "O" in code else code)
    if record.state is None:
        return dtype
    order, inside = as_text(record.state[1]), record.state[2:5]
    if order not in ("<", ">", "|", "=") or any(part is not None for part in inside):
        raise ValueError(f"an array is of a dtype with fields or a sub-array: {described(code)}")
    return dtype.newbyteorder(cast("Any", order))


def refuse_knots(value: object) -> None:
    """Refuse what holds itself, is nested too deeply, or is too much once shared parts count wherever they stand.

    Raises
    ------
    ValueError
        It is one of these.

    Examples
    --------
    >>> refuse_knots([1, (2, {"a": [3]})])
    """
    extents: dict[int, tuple[int, int]] = {}  # of each container: levels and items
    path: set[int] = set()
    ahead: list[tuple[object, bool]] = [(value, False)]
    while ahead:
        part, inside_seen = ahead.pop()
        if inside_seen:
            path.discard(id(part))
            extents[id(part)] = _extent(_inside(part), extents)
        elif id(part) in path:
            raise ValueError("it holds something that contains itself")
        elif id(part) not in extents:
            path.add(id(part))
            ahead.append((part, True))
            ahead += [(inner, False) for inner in _inside(part) if isinstance(inner, _NESTED)]


def _inside(value: object) -> Collection[object]:
    if isinstance(value, Record):
        return (value.args, value.state)
    if isinstance(value, dict):
        return cast("dict[object, object]", value).values()
    return cast("tuple[object, ...]", value) if isinstance(value, (list, tuple)) else ()


def _extent(parts: Collection[object], extents: Mapping[int, tuple[int, int]]) -> tuple[int, int]:
    levels, items = 1, 1 + len(parts)
    for part in parts:
        if isinstance(part, _NESTED):
            inner = extents[id(part)]
            levels, items = max(levels, 1 + inner[0]), items + inner[1]
    if levels > MAX_DEPTH:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
    if items > MAX_ITEMS:
        raise ValueError(f"it holds more than {MAX_ITEMS} items, as what is shared counts wherever it stands")
    return levels, items
