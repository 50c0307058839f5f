"""A machine that reads pickles into inert records: nothing that a file names is imported, called or built.

A pickle is a program. This one is interpreted by own code over plain lists, dictionaries, texts and numbers. A name is
a `Name`, never what it stands for; a call is a `Made`, a record of name, arguments and state. Names that are not in the
table of the caller, and instructions that data do not need, end the reading.
"""

from __future__ import annotations

import codecs
import struct
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final, cast

from isocortex.errors import DataError

#: instructions of one pickle; the largest table of the release has less than a million
MAX_INSTRUCTIONS: Final = 20_000_000
_PROTOCOLS: Final = 5


@dataclass(frozen=True, slots=True)
class Name:
    """What a pickle calls a constructor; never looked up.

    Examples
    --------
    >>> str(Name("numpy", "dtype"))
    'numpy.dtype'
    """

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


#: pandas 1.3 wrote blocks as calls of ``partial(new_block, ndim=2)``; of anything else a partial is foreign
_PARTIAL: Final = Name("functools", "partial")
_BLOCK: Final = Name("pandas.core.internals.blocks", "new_block")


class Made:
    """A constructor with the arguments and the state that a pickle gives it; never called.

    ``value`` is what a reader has made of it, so that a record that stands in many places is worked on once.
    """

    __slots__ = ("args", "name", "state", "value")

    def __init__(self, name: Name, args: tuple[Any, ...]) -> None:
        self.name = name
        self.args = args
        self.state: Any = None
        self.value: Any = None


def read_records(data: bytes, allowed: Collection[Name], where: str) -> Any:
    """Interpret a pickle of protocol 0 to 5, written by Python 2 or 3, without running any of it.

    Texts of Python 2 are read as Latin-1, so that their bytes can be had back.

    Parameters
    ----------
    data
    allowed
    where
        Name of the file, for the message of an error.

    Returns
    -------
    Numbers, texts, bytes, lists, tuples and dictionaries as they are, `Name` and `Made` for the rest.

    Raises
    ------
    DataError
        If the pickle names another constructor, uses an instruction that data do not need, or is damaged.

    Examples
    --------
    >>> import pickle
    >>> read_records(pickle.dumps({"a": [1, 2.5, None]}), (), "a.pkl")
    {'a': [1, 2.5, None]}
    >>> read_records(pickle.dumps(print), (), "b.pkl")
    Traceback (most recent call last):
    ...
    isocortex.errors.DataError: b.pkl names builtins.print, which these data never need. ...
    """
    try:
        return _Machine(data, frozenset(allowed)).run()
    except _ForeignError as error:
        raise DataError(
            f"{where} {error}, which these data never need. Nothing of it was run. Do not open it with pickle or "
            "pandas; get the file anew from its authors."
        ) from None
    except (ValueError, LookupError, OverflowError, struct.error) as error:
        raise DataError(f"{where} is damaged: {error}. Copy or unpack it again.") from error


class _ForeignError(Exception):
    """The pickle asks for what data do not need; never leaves this module."""


class _Machine:
    """Stack, memo and position of one reading."""

    def __init__(self, data: bytes, allowed: frozenset[Name]) -> None:
        self.data = data
        self.allowed = allowed
        self.position = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Follow the instructions up to STOP, and return what is then on the stack."""
        data, table = self.data, _INSTRUCTIONS
        for _ in range(MAX_INSTRUCTIONS):
            if self.position >= len(data):
                raise ValueError("it ends before its last instruction")
            code = data[self.position]
            self.position += 1
            if code == _STOP:
                return self._result()
            instruction = table.get(code)
            if instruction is None:
                raise _ForeignError(_described(code))
            instruction(self)
        raise ValueError(f"it has more than {MAX_INSTRUCTIONS} instructions")

    def _result(self) -> Any:
        if self.marks or len(self.stack) != 1:
            raise ValueError(f"it ends with {len(self.stack)} values instead of one")
        return self.stack[0]

    def take(self, count: int) -> bytes:
        """The next bytes."""
        start, end = self.position, self.position + count
        if count < 0 or end > len(self.data):
            raise ValueError(f"{count} bytes are announced where {len(self.data) - start} are left")
        self.position = end
        return self.data[start:end]

    def number(self, layout: str) -> Any:
        """The next number, as ``struct`` lays it out."""
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def line(self) -> bytes:
        """Everything up to the end of the line."""
        end = self.data.find(b"\n", self.position)
        if end < 0:
            raise ValueError("a line does not end")
        start, self.position = self.position, end + 1
        return self.data[start:end]

    # --- stack and memo -----------------------------------------------------------------------------------------------

    def pop(self) -> Any:
        """Take the last value."""
        self.top()
        return self.stack.pop()

    def top(self) -> Any:
        """Look at the last value, which must be after the last mark."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ValueError("an instruction lacks a value")
        return self.stack[-1]

    def since_mark(self) -> list[Any]:
        """Take everything after the last mark, and the mark."""
        if not self.marks:
            raise ValueError("an instruction lacks its mark")
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def remember(self, place: int) -> None:
        """Keep the last value under a number."""
        self.memo[place] = self.top()

    def recall(self, place: int) -> None:
        """Push what was kept under a number."""
        if place not in self.memo:
            raise ValueError(f"value {place} was never kept")
        self.stack.append(self.memo[place])

    # --- names and calls ----------------------------------------------------------------------------------------------

    def name(self, module: object, name: object) -> None:
        """Push a name, if it is in the table."""
        if type(module) is not str or type(name) is not str:
            raise ValueError(f"a constructor is named by {type(module).__name__} and {type(name).__name__}")
        named = Name(module, name)
        if named not in self.allowed:
            raise _ForeignError(f"names {named}")
        self.stack.append(named)

    def call(self) -> None:
        """Record a constructor with its arguments."""
        args, constructor = self.pop(), self.pop()
        if type(constructor) is Made and constructor.name == _PARTIAL:
            constructor = constructor.args[0]
        if type(constructor) is not Name:
            raise _ForeignError(f"calls {_kind(constructor)}")
        if constructor == _PARTIAL and args != (_BLOCK,):
            raise _ForeignError(f"names {_PARTIAL}")
        if type(args) is not tuple:
            raise ValueError(f"arguments are {_kind(args)} instead of a tuple")
        self.stack.append(Made(constructor, cast("tuple[Any, ...]", args)))

    def build(self) -> None:
        """Record the state of what was made."""
        state, made = self.pop(), self.top()
        if type(made) is not Made:
            raise _ForeignError(f"sets the state of {_kind(made)}")
        if made.state is not None:
            raise ValueError(f"{made.name} gets its state twice")
        made.state = state

    # --- containers ---------------------------------------------------------------------------------------------------

    def extend(self, items: list[Any]) -> None:
        """Append to the list that is the last value."""
        target = self.top()
        if type(target) is not list:
            raise _ForeignError(f"appends to {_kind(target)}")
        cast("list[Any]", target).extend(items)

    def update(self, items: list[Any]) -> None:
        """Add keys and values, in turn, to the dictionary that is the last value."""
        target = self.top()
        if type(target) is not dict:
            raise _ForeignError(f"sets items of {_kind(target)}")
        if len(items) % 2:
            raise ValueError("a key lacks its value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in _KEYS:  # hashing a deep tuple would exhaust the interpreter's own stack
                raise ValueError(f"a key is {_kind(key)} instead of a text or number")
            cast("dict[Any, Any]", target)[key] = value


_KEYS: Final = (str, int, float, bytes, bool)


def _kind(value: object) -> str:
    name = value.name if type(value) is Made else value if type(value) is Name else None
    return f"a {type(value).__name__}" if name is None else f"what {name} stands for"


def _described(code: int) -> str:
    import pickletools

    known: Any = getattr(pickletools, "code2op").get(chr(code))  # noqa: B009 - the stubs lack it
    if known is None:
        return f"is no pickle: it uses the instruction 0x{code:02x}"
    return f"uses the instruction {known.name}"


# --- instructions -----------------------------------------------------------------------------------------------------

_Instruction = Callable[[_Machine], None]


def _constant(value: object) -> _Instruction:
    return lambda machine: machine.stack.append(value)


def _fixed(layout: str) -> _Instruction:
    return lambda machine: machine.stack.append(machine.number(layout))


def _counted(layout: str, decode: Callable[[bytes], object]) -> _Instruction:
    return lambda machine: machine.stack.append(decode(machine.take(machine.number(layout))))


def _line(decode: Callable[[bytes], object]) -> _Instruction:
    return lambda machine: machine.stack.append(decode(machine.line()))


def _utf8(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _latin1(data: bytes) -> str:
    return data.decode("latin-1")


def _quoted(data: bytes) -> str:
    if len(data) < 2 or data[0] != data[-1] or data[:1] not in (b"'", b'"'):
        raise ValueError("a text has no quotes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # escapes that are none stay as they are
        return _latin1(codecs.escape_decode(data[1:-1])[0])


def _integer(data: bytes) -> int | bool:
    return data == b"01" if data in (b"00", b"01") else int(data)


def _protocol(machine: _Machine) -> None:
    version = machine.number("<B")
    if version > _PROTOCOLS:
        raise ValueError(f"it is of protocol {version}; known are 0 to {_PROTOCOLS}")


def _frame(machine: _Machine) -> None:
    announced, left = machine.number("<Q"), len(machine.data) - machine.position
    if announced > left:
        raise ValueError(f"{announced} bytes are announced where {left} are left")


def _dictionary(machine: _Machine) -> None:
    items = machine.since_mark()
    machine.stack.append({})
    machine.update(items)


def _tuple_of(count: int) -> _Instruction:
    def instruction(machine: _Machine) -> None:
        items = [machine.pop() for _ in range(count)]
        machine.stack.append(tuple(items[::-1]))

    return instruction


def _set_item(machine: _Machine) -> None:
    value, key = machine.pop(), machine.pop()
    machine.update([key, value])


def _stack_global(machine: _Machine) -> None:
    name, module = machine.pop(), machine.pop()
    machine.name(module, name)


_STOP: Final = ord(".")
#: every instruction that is understood: none for persistent ids, extension codes, classes, sets, buffers
_INSTRUCTIONS: Final[dict[int, _Instruction]] = {
    0x80: _protocol,
    0x95: _frame,
    ord("("): lambda machine: machine.marks.append(len(machine.stack)),
    # constants and numbers
    ord("N"): _constant(None),
    0x88: _constant(True),
    0x89: _constant(False),
    ord("I"): _line(_integer),
    ord("J"): _fixed("<i"),
    ord("K"): _fixed("<B"),
    ord("M"): _fixed("<H"),
    ord("L"): _line(lambda data: int(data.removesuffix(b"L"))),
    0x8A: _counted("<B", lambda data: int.from_bytes(data, "little", signed=True)),
    ord("F"): _line(float),
    ord("G"): _fixed(">d"),
    # texts and bytes
    ord("S"): _line(_quoted),
    ord("T"): _counted("<i", _latin1),
    ord("U"): _counted("<B", _latin1),
    ord("V"): _line(lambda data: data.decode("raw-unicode-escape")),
    ord("X"): _counted("<I", _utf8),
    0x8C: _counted("<B", _utf8),
    0x8D: _counted("<Q", _utf8),
    ord("B"): _counted("<I", bytes),
    ord("C"): _counted("<B", bytes),
    0x8E: _counted("<Q", bytes),
    0x96: _counted("<Q", bytes),
    # containers
    ord("]"): lambda machine: machine.stack.append([]),
    ord("l"): lambda machine: machine.stack.append(machine.since_mark()),
    ord("a"): lambda machine: machine.extend([machine.pop()]),
    ord("e"): lambda machine: machine.extend(machine.since_mark()),
    ord(")"): _constant(()),
    ord("t"): lambda machine: machine.stack.append(tuple(machine.since_mark())),
    0x85: _tuple_of(1),
    0x86: _tuple_of(2),
    0x87: _tuple_of(3),
    ord("}"): lambda machine: machine.stack.append({}),
    ord("d"): _dictionary,
    ord("s"): _set_item,
    ord("u"): lambda machine: machine.update(machine.since_mark()),
    # memo
    ord("p"): lambda machine: machine.remember(int(machine.line())),
    ord("q"): lambda machine: machine.remember(machine.number("<B")),
    ord("r"): lambda machine: machine.remember(machine.number("<I")),
    0x94: lambda machine: machine.remember(len(machine.memo)),
    ord("g"): lambda machine: machine.recall(int(machine.line())),
    ord("h"): lambda machine: machine.recall(machine.number("<B")),
    ord("j"): lambda machine: machine.recall(machine.number("<I")),
    # names and calls
    ord("c"): lambda machine: machine.name(_utf8(machine.line()), _utf8(machine.line())),
    0x93: _stack_global,
    ord("R"): _Machine.call,
    0x81: _Machine.call,
    ord("b"): _Machine.build,
}
