"""Which code runs when an object is called, and whether it reads what lies elsewhere: a file, the clock, the network.

What code names is taken from its bytecode. A method of a class counts where reached code names it, and where Python
calls it without naming it (``__call__``, ``__getitem__``, …); all else that an object refers to counts.
"""

from __future__ import annotations

import dis
import re
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

#: names by which code reaches what its own content does not show
_ELSEWHERE = re.compile(
    r"open|popen|Popen|fdopen|File|memmap|fromfile|genfromtxt|imread|urlopen|urlretrieve|from_pretrained|getenv|environ"
    r"|(un)?load(s|_.+|txt|mat)?|(safe_|torch_|wav)?(load|read|open|fetch|download)(_.+|lines?|all|s)?|read|recv|input"
    r"|eval|exec|globals|locals|__import__|import_module|run_module|run_path|system|socket|connect|glob|iglob|rglob"
    r"|iterdir|listdir|scandir|stat|getmtime|time|time_ns|monotonic|perf_counter|now|today|utcnow|argv"
    r"|os|io|subprocess|requests|urllib|httpx|sqlite3|shelve|ctypes|_getframe|stdin|uuid1|uuid4|urandom|secrets"
)
_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
#: methods that Python calls by itself, but not when an object is called or asked for an item
_AT_REST = frozenset(
    (
        *("__init__", "__new__", "__post_init__", "__init_subclass__", "__set_name__", "__del__"),
        *("__repr__", "__str__", "__format__", "__dir__", "__sizeof__", "__copy__", "__deepcopy__"),
        *("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__"),
        *("__class_getitem__", "__subclasshook__", "__instancecheck__"),
    )
)
_MADE = "__init__"
_CONDITIONAL = (types.FunctionType, classmethod, staticmethod, property)


@cache
def names_of(code: types.CodeType) -> frozenset[str]:
    """Every name that code uses, of globals and of attributes, with what is defined inside it.

    Examples
    --------
    >>> sorted(names_of((lambda x: x.mean() + offset).__code__))
    ['mean', 'offset']
    """
    return frozenset(code.co_names).union(*(names_of(part) for part in _inside(code)))


@cache
def global_names(code: types.CodeType) -> frozenset[str]:
    """Names that code takes from its module, with what is defined inside it.

    Examples
    --------
    >>> sorted(global_names((lambda x: x.mean() + offset).__code__))
    ['offset']
    """
    own = {str(one.argval) for one in dis.get_instructions(code) if one.opname in _LOADS}
    return frozenset(own).union(*(global_names(part) for part in _inside(code)))


def imported_names(code: types.CodeType) -> frozenset[str]:
    """Modules that code imports while it runs, with what is defined inside it; relative ones begin with dots."""
    own: set[str] = set()
    constants: list[object] = []
    for one in dis.get_instructions(code):
        if one.opname == "LOAD_CONST" or one.opname == "LOAD_SMALL_INT":
            constants.append(one.argval)
        if one.opname == "IMPORT_NAME":
            level = next((value for value in reversed(constants[-2:]) if isinstance(value, int)), 0)
            own.add("." * level + str(one.argval))
    return frozenset(own).union(*(imported_names(part) for part in _inside(code)))


def _inside(code: types.CodeType) -> Iterable[types.CodeType]:
    return (part for part in code.co_consts if isinstance(part, types.CodeType))


@dataclass
class References:
    """Which object refers to which, by their places in memory while all of them are held.

    Attributes
    ----------
    edges
        Object → the objects that it refers to.
    names
        Function → the names that its code uses.
    methods
        Class → (name, method) that count only where code names them.
    """

    edges: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    names: dict[int, frozenset[str]] = field(default_factory=dict[int, frozenset[str]])
    methods: dict[int, list[tuple[str, int]]] = field(default_factory=dict[int, list[tuple[str, int]]])

    def add_class(self, kind: type, held: Mapping[str, object]) -> None:
        """Note the methods of a class."""
        self.methods[id(kind)] = [(name, id(value)) for name, value in held.items() if isinstance(value, _CONDITIONAL)]

    def read_elsewhere(self, first: int) -> bool:
        """Whether code that runs when this object is called reads what its content does not show.

        Examples
        --------
        >>> References(names={1: frozenset({"open"})}).read_elsewhere(1)
        True
        """
        reached, names = set[int](), set[str]()
        waiting, methods = [first], list[tuple[str, int]]()
        while waiting:
            place = waiting.pop()
            if place in reached:
                continue
            reached.add(place)
            held = {method for _, method in self.methods.get(place, ())}
            methods += self.methods.get(place, ())
            waiting += [one for one in self.edges.get(place, ()) if one not in held]
            if place in self.names:
                names |= self.names[place]
                names |= {_MADE} if any(one in self.methods for one in self.edges.get(place, ())) else set()
            if not waiting:
                waiting = [method for name, method in methods if method not in reached and _runs(name, names)]
        return any(_ELSEWHERE.fullmatch(name) for name in names)


def _runs(name: str, named: set[str]) -> bool:
    by_python = name.startswith("__") and name.endswith("__") and name not in _AT_REST
    return by_python or name == "forward" or name in named
