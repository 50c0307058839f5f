"""Pickles as inert data: nothing that a file names is imported, called or built.

A pickle is a program. Here `pickletools.genops` takes it apart, in memory, and a machine of lists and dictionaries
follows it: a global becomes a `Record`, and only if the caller allows it.
"""

from __future__ import annotations

import codecs
import io
import pickletools
import struct
import warnings
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Final, cast

from isocortex.errors import DataError
from isocortex.files.pickled_arrays import MAX_DEPTH, Pickled, Record, described, one_line, refuse_knots

#: what one pickle may have
MAX_INSTRUCTIONS: Final = 4_000_000
#: numbers as keys of all dictionaries; many with one hash would take for ever
MAX_NUMBER_KEYS: Final = 1000
#: digits of a number, and bytes of a long one; converting them takes the square of their number
_MAX_DIGITS: Final = 400
_MAX_LONG: Final = 255
_PROTOCOLS: Final = 5


def read_pickle(path: Path, allowed: Collection[str], max_bytes: int = 1 << 30) -> Pickled:
    """Read a pickle of protocol 0 to 5, written by Python 2 or 3, without running any of it.

    Texts of Python 2 are read as Latin-1, so that their bytes can be had back.

    Parameters
    ----------
    path
    allowed
        Globals that it may name, each as "module name"; `ARRAYS` for arrays.
    max_bytes
        Larger files are not read.

    Raises
    ------
    DataError
        The file cannot be read or is larger, names another global, uses an instruction that data do not need, is
        damaged, holds itself, or more or deeper than the limits of this module.

    Examples
    --------
    >>> import pickle, tempfile
    >>> import numpy as np
    >>> path = Path(tempfile.mkdtemp()) / "a.pkl"
    >>> _ = path.write_bytes(pickle.dumps({"a": [1, 2.5, None], "b": np.arange(3)}))
    >>> from isocortex.files import ARRAYS
    >>> pickled = read_pickle(path, ARRAYS)
    >>> pickled.value["a"], pickled.array(pickled.value["b"])
    ([1, 2.5, None], array([0, 1, 2]))
    """
    return read_records(read_bounded(path, max_bytes), allowed, str(path))


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """The bytes of a file; `DataError` if it cannot be read or has more than these."""
    try:
        with path.open("rb") as file:
            n_bytes = path.stat().st_size
            data = file.read(max_bytes + 1) if n_bytes <= max_bytes else b""
    except OSError as error:
        raise DataError(one_line(f"{path} cannot be read ({error.strerror}).")) from error
    if max(n_bytes, len(data)) > max_bytes:
        raise DataError(one_line(f"{path} has {n_bytes} bytes, more than the {max_bytes} that such a file can have."))
    return data


def read_records(data: bytes, allowed: Collection[str], where: str, start: int = 0) -> Pickled:
    """Read a pickle that lies in memory from a place on; as `read_pickle`.

    Examples
    --------
    >>> import pickle
    >>> read_records(pickle.dumps(print), (), "b.pkl")
    Traceback (most recent call last):
    ...
    isocortex.errors.DataError: b.pkl names builtins.print, which these data never need. ...
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # escapes that are none stay as they are
            value = _Machine(data, frozenset(allowed)).run(start)
        refuse_knots(value)
    except _ForeignError as error:
        raise DataError(
            one_line(f"{where} {error}, which these data never need. Nothing of it was run. ")
            + "Do not open it with pickle, numpy or pandas; get the file anew from its authors."
        ) from None
    except (ValueError, LookupError, OverflowError, struct.error) as error:
        raise DataError(one_line(f"{where} is damaged: {error!s:.300}. Copy or unpack it again.")) from error
    return Pickled(value, where, len(data))


class _ForeignError(Exception):
    """The pickle asks for what data do not need; never leaves this module."""


_NUMBERS: Final = (int, float, bool)
#: a partial of one global and nothing else is that global: pandas 1.3 wrote blocks so
_PARTIAL: Final = "functools partial"


class _Machine:
    """Stack, marks and memo of one reading."""

    def __init__(self, data: bytes, allowed: frozenset[str]) -> None:
        self.data = data
        self.allowed = allowed
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.place = 0
        self.frame_end: int | None = None
        self.n_number_keys = 0

    def run(self, start: int) -> Any:
        """Follow the instructions up to STOP, and return what is then on the stack."""
        for count, (name, arg, place) in enumerate(_instructions(self.data, start)):
            if count >= MAX_INSTRUCTIONS:
                raise ValueError(f"it has more than {MAX_INSTRUCTIONS} instructions")
            if self.frame_end is not None and place >= self.frame_end:
                self.end_frame(place)
            if name == "STOP":
                return self.result(place + 1)
            instruction = _INSTRUCTIONS.get(name)
            if instruction is None:
                raise _ForeignError(f"uses the instruction {name}")
            self.place = place
            instruction(self, arg)
        raise ValueError("it ends before its last instruction")

    def result(self, end: int) -> Any:
        """What was read."""
        if self.frame_end is not None:
            self.end_frame(end)
        if self.marks or len(self.stack) != 1:
            raise ValueError(f"it ends with {len(self.stack)} values instead of one")
        return self.stack[0]

    def begin_frame(self, n_bytes: int) -> None:
        """Bytes that are announced as one piece, behind the nine of the announcement."""
        left = len(self.data) - self.place - 9
        if self.frame_end is not None or n_bytes > left:
            raise ValueError(f"{n_bytes} bytes are announced where {left} are left")
        self.frame_end = self.place + 9 + n_bytes

    def end_frame(self, place: int) -> None:
        """A piece must end where an instruction does."""
        if place != self.frame_end:
            raise ValueError("a frame does not end where its instructions end")
        self.frame_end = None

    def push(self, value: object) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def top(self) -> Any:
        """Look at the last value, which must be after the last mark."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ValueError("an instruction lacks a value")
        return self.stack[-1]

    def pop(self) -> Any:
        """Take the last value."""
        self.top()
        return self.stack.pop()

    def mark(self) -> None:
        """Begin something that has many parts."""
        if len(self.marks) >= MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
        self.marks.append(len(self.stack))

    def since_mark(self) -> list[Any]:
        """Take everything after the last mark, and the mark."""
        if not self.marks:
            raise ValueError("an instruction lacks its mark")
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def tuple_of(self, count: int) -> None:
        """Put the last values into a tuple."""
        self.push(tuple([self.pop() for _ in range(count)][::-1]))

    def remember(self, place: int) -> None:
        """Keep the last value under a number."""
        if not 0 <= place <= MAX_INSTRUCTIONS:
            raise ValueError(f"a value is kept as number {described(place)}")
        self.memo[place] = self.top()

    def recall(self, place: int) -> None:
        """Push what was kept under a number."""
        if place not in self.memo:
            raise ValueError(f"value {described(place)} was never kept")
        self.push(self.memo[place])

    def name(self, module: object, name: object) -> None:
        """Push a global, if the caller allows it."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError(f"a global is named by {described(module)} and {described(name)}")
        named = Record(module, name)
        if named.place not in self.allowed:
            raise _ForeignError(f"names {named}")
        self.push(named)

    def call(self) -> None:
        """Record a global with its arguments."""
        args, called = self.pop(), self.pop()
        if isinstance(called, Record) and called.args is not None and called.place == _PARTIAL:
            called = called.args[0]
        if not isinstance(called, Record) or called.args is not None:
            raise _ForeignError(f"calls {_meant(called)}")
        if not isinstance(args, tuple):
            raise ValueError(f"arguments are {described(args)} instead of a tuple")
        parts = cast("tuple[Any, ...]", args)
        if called.place == _PARTIAL and not (len(parts) == 1 and isinstance(parts[0], Record)):
            raise _ForeignError(f"names {called}")
        self.push(Record(called.module, called.name, parts))

    def build(self) -> None:
        """Record the state of what was called."""
        state, made = self.pop(), self.top()
        if not isinstance(made, Record) or made.args is None:
            raise _ForeignError(f"sets the state of {_meant(made)}")
        if made.state is not None:
            raise ValueError(f"{made} gets its state twice")
        made.state = state

    def extend(self, items: list[Any]) -> None:
        """Append to the list that is the last value."""
        target = self.top()
        if not isinstance(target, list):
            raise _ForeignError(f"appends to {_meant(target)}")
        cast("list[Any]", target).extend(items)

    def update(self, items: list[Any]) -> None:
        """Add keys and values, in turn, to the dictionary that is the last value."""
        target = self.top()
        if not isinstance(target, dict):
            raise _ForeignError(f"sets items of {_meant(target)}")
        if len(items) % 2:
            raise ValueError("a key lacks its value")
        content = cast("dict[Any, Any]", target)
        for key, value in zip(items[::2], items[1::2], strict=True):
            self.n_number_keys += isinstance(key, _NUMBERS)
            if not isinstance(key, (str, bytes, *_NUMBERS)) or self.n_number_keys > MAX_NUMBER_KEYS:
                raise ValueError(f"a key is {described(key)}; keys are texts, or at most {MAX_NUMBER_KEYS} numbers")
            if key in content:
                raise ValueError(f"the key {described(key)} stands twice")
            content[key] = value


def _meant(value: object) -> str:
    return f"what {value} stands for" if isinstance(value, Record) else f"a {type(value).__name__}"


def _instructions(data: bytes, start: int) -> Iterator[tuple[str, Any, int]]:
    """Names, arguments and places of the instructions; what takes `pickletools` long to convert is refused before."""
    stream = io.BytesIO(data)
    stream.seek(start)
    instructions = pickletools.genops(stream)
    while True:
        place = stream.tell()
        code = data[place : place + 1]
        if code in (b"I", b"L", b"F", b"p", b"g") and data.find(b"\n", place, place + _MAX_DIGITS) < 0:
            raise ValueError("a number has too many digits, or does not end")
        if code == b"\x8b" and int.from_bytes(data[place + 1 : place + 5], "little") > _MAX_LONG:
            raise ValueError(f"a number has more than {_MAX_LONG} bytes")
        if code == b"S":  # of which `pickletools` reads ASCII alone
            end = data.find(b"\n", place)
            yield "STRING", _quoted(data[place + 1 : max(end, 0)]), place
            stream.seek(end + 1)
            continue
        try:
            found, arg, _ = next(instructions)
        except StopIteration:
            return
        yield found.name, arg, place


def _quoted(line: bytes) -> str:
    if len(line) < 2 or line[0] != line[-1] or line[:1] not in (b"'", b'"'):
        raise ValueError("a text has no quotes, or does not end")
    return codecs.escape_decode(line[1:-1])[0].decode("latin-1")


_Instruction = Callable[[_Machine, Any], None]


def _protocol(_: _Machine, version: int) -> None:
    if version > _PROTOCOLS:
        raise ValueError(f"it is of protocol {version}; known are 0 to {_PROTOCOLS}")


def _dictionary(machine: _Machine, _: None) -> None:
    items = machine.since_mark()
    machine.push({})
    machine.update(items)


def _pair(machine: _Machine) -> list[Any]:
    return [machine.pop() for _ in range(2)][::-1]


#: what the arguments of these instructions are is what they push
_PUSHED: Final = """INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT NONE STRING BINSTRING SHORT_BINSTRING
UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8"""
#: every instruction that is understood: none for persistent ids, extension codes, classes, sets, buffers
_INSTRUCTIONS: Final[dict[str, _Instruction]] = {
    **dict.fromkeys(_PUSHED.split(), _Machine.push),
    "PROTO": _protocol,
    "FRAME": _Machine.begin_frame,
    "BYTEARRAY8": lambda machine, data: machine.push(bytes(data)),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "MARK": lambda machine, _: machine.mark(),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "LIST": lambda machine, _: machine.push(machine.since_mark()),
    "APPEND": lambda machine, _: machine.extend([machine.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.since_mark()),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "DICT": _dictionary,
    "SETITEM": lambda machine, _: machine.update(_pair(machine)),
    "SETITEMS": lambda machine, _: machine.update(machine.since_mark()),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.remember),
    "MEMOIZE": lambda machine, _: machine.remember(len(machine.memo)),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.recall),
    "GLOBAL": lambda machine, named: machine.name(*named.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: machine.name(*_pair(machine)),
    "REDUCE": lambda machine, _: machine.call(),
    "NEWOBJ": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.build(),
}
