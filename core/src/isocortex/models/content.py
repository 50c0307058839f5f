"""What a Python object computes, as one digest: code, what it closes over, the globals it reads, state and weights.

Code of the user counts by what it says, with everything that it refers to; code of installed libraries by name and
version. Where something cannot be read as values (a lock, a session, a generator), or where code that runs reads what
is no part of it (a file, the clock, the network), there is no digest. Arrays and weights are read once.

Equal content gives an equal digest in every process of one version of Python. Unequal digests of equal content happen
(the same code in two spellings); equal digests of unequal content do not.
"""

from __future__ import annotations

import functools
import sys
import types
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from isocortex.models.code_reach import References, global_names, imported_names, names_of
from isocortex.models.content_parts import (
    UnreadableError,
    contents_of,
    has_slots,
    hashed,
    held_by_class,
    held_by_module,
    held_by_object,
    imported_module,
    name_of,
    sha256_of,
    tensor_content,
)
from isocortex.models.installed import library_version, version_of_code

#: objects that are looked at before the content counts as unreadable: a bound on time and memory
MOST_OBJECTS = 1_000_000

_SCALARS = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), type(NotImplemented))
#: what is code, or holds just that
_CODE = (
    types.CodeType,
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    functools.partial,
    property,
    classmethod,
    staticmethod,
    tuple,
)


def digest_content(value: object, *, known_as: str | None = None) -> str | None:
    """Digest over what an object computes.

    Parameters
    ----------
    value
        A function, an object that can be called, a torch module, or containers of such.
    known_as
        A text that stands for values: arrays, containers, what objects hold. Then code and single numbers and texts
        alone are looked at, and there always is a digest.

    Returns
    -------
    None where something that counts cannot be read.

    Examples
    --------
    >>> digest_content(lambda x: x + 1) == digest_content(lambda x: x + 2)
    False
    >>> import threading
    >>> digest_content(threading.Lock()) is None
    True
    """
    walk = _Walk(stands_for=known_as)
    try:
        found = walk.of(value)
    except (UnreadableError, RecursionError):
        return None
    if known_as is None and walk.references.read_elsewhere(id(value)):
        return None
    return hashed("content", sys.version_info[:2], known_as, found.hex()).hex()


class _Walk:
    """A walk over what an object refers to; every object is looked at once."""

    def __init__(self, stands_for: str | None) -> None:
        self.stands_for = stands_for
        self.references = References()
        # the objects are held, so that nothing else is given the place of what has been read
        self._done: dict[int, tuple[object, bytes]] = {}
        self._open: dict[int, int] = {}

    def of(self, value: Any) -> bytes:
        """Digest of one object."""
        if isinstance(value, _SCALARS) and type(value) in _SCALARS:
            return hashed(type(value).__name__, value)
        place = id(value)
        if self._open:
            self.references.edges.setdefault(next(reversed(self._open)), []).append(place)
        if place in self._done:
            return self._done[place][1]
        if place in self._open:  # it holds itself: said by how far above
            return hashed("above", len(self._open) - self._open[place])
        if len(self._done) > MOST_OBJECTS:
            raise UnreadableError("more objects than are looked at")
        self._open[place] = len(self._open)
        try:
            found = self._content(value) if self.stands_for is None else self._outline(value)
        except UnreadableError:
            raise
        except Exception as error:  # whatever another's object answers when it is looked at
            raise UnreadableError(name_of(type(value))) from error
        finally:
            del self._open[place]
        self._done[place] = (value, found)
        return found

    def all_of(self, kind: str, *values: object) -> bytes:
        """Digest over several objects in their order."""
        return hashed(kind, *map(self.of, values))

    def _outline(self, value: Any) -> bytes:
        """What is looked at where a text stands for values: code, and what an object holds as one number or text."""
        if type(value) in _CODE or isinstance(value, type):
            try:
                return self._content(value)
            except UnreadableError:
                return hashed("stands for", name_of(type(value)))
        held = getattr(value, "__dict__", {})
        shown = {name: one for name, one in sorted(held.items()) if type(one) in _SCALARS}
        parts = [part for name, one in shown.items() for part in (name, one)]
        parts += (held.get("_modules") or {}).values()
        return self.all_of("stands for", type(value), *parts)

    def _content(self, value: Any) -> bytes:
        reader = _READERS.get(type(value))
        if reader is not None:
            return reader(self, value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, types.ModuleType):
            return self._module(value, frozenset())
        torch = sys.modules.get("torch")
        if torch is not None:
            if isinstance(value, torch.Tensor):
                return self._tensor(value)
            if type(value).__name__ == "OptimizedModule" and hasattr(value, "_orig_mod"):
                return self.all_of("compiled", value._orig_mod)
            if isinstance(value, torch.nn.Module) and not isinstance(value, torch.jit.ScriptModule):
                return self._torch_module(value)
            if isinstance(value, (torch.dtype, torch.device, torch.layout, torch.memory_format)):
                return hashed("torch", repr(value))
        if isinstance(value, np.memmap | np.generic):
            return self.array(np.asarray(value))
        return self._instance(value)

    # --- containers and arrays

    def listed(self, value: Iterable[Any]) -> bytes:
        return self.all_of(type(value).__name__, *value)

    def unordered(self, value: Iterable[Any]) -> bytes:
        return hashed("set", *sorted(map(self.of, value)))

    def mapping(self, value: Mapping[Any, Any]) -> bytes:
        return self.all_of("mapping", *(part for pair in value.items() for part in pair))

    def array(self, value: np.ndarray[Any, Any]) -> bytes:
        if value.dtype == object:
            return self.all_of("objects", value.shape, *value.ravel().tolist())
        if value.dtype.hasobject:
            raise UnreadableError(str(value.dtype))
        plain = np.ascontiguousarray(value).reshape(-1).view(np.uint8) if value.size else b""
        return hashed("array", value.dtype.descr, value.shape, sha256_of(plain))

    def _tensor(self, value: Any) -> bytes:
        return hashed("tensor", *tensor_content(value), self.of(dict(vars(value))))

    # --- code

    def code(self, code: types.CodeType) -> bytes:
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        return hashed("code", code.co_code, code.co_exceptiontable, counts, names, self._constants(code.co_consts))

    def _constants(self, value: Any) -> bytes:
        """What code holds: numbers, texts, code, and tuples and sets of them."""
        if isinstance(value, tuple):
            return hashed("tuple", *map(self._constants, value))
        if isinstance(value, frozenset):
            return hashed("set", *sorted(map(self._constants, value)))
        return self.of(value)

    def function(self, function: types.FunctionType) -> bytes:
        module = str(function.__globals__.get("__name__", ""))
        version = version_of_code(function)
        cells = [contents_of(cell) for cell in function.__closure__ or ()]
        held = (function.__defaults__, function.__kwdefaults__, *cells)
        if version is not None:
            self.references.names[id(function)] = frozenset({function.__name__})
            inner = held if "<locals>" in function.__qualname__ else ()
            return hashed(
                "library", module, function.__qualname__, version, self.all_of("held", *inner, vars(function))
            )
        self.references.names[id(function)] = names_of(function.__code__)
        return hashed(
            "function", self.of(function.__code__), self.all_of("held", *held, vars(function)), self._globals(function)
        )

    def _globals(self, function: types.FunctionType) -> bytes:
        """What the names stand for that code takes from its module; names that it alone finds when it runs are none."""
        known, names, parts = function.__globals__, names_of(function.__code__), list[bytes]()
        for name in sorted(global_names(function.__code__)):
            if name in known:
                value = known[name]
                found = self._module(value, names) if isinstance(value, types.ModuleType) else self.of(value)
                parts += [name.encode(), found]
        for name in sorted(imported_names(function.__code__)):
            parts += [name.encode(), self._module(imported_module(name, known), names)]
        return hashed("globals", *parts)

    def _module(self, module: types.ModuleType, used: frozenset[str]) -> bytes:
        """A library by its version; a module of the user's by all that it holds: what is not used may be unreadable."""
        version = library_version(module.__name__)
        if version is not None:
            return hashed("library", module.__name__, version)
        if id(module) in self._open:
            return hashed("above", module.__name__)
        self._open[id(module)] = len(self._open)
        try:
            return hashed("module", *(part for name in sorted(vars(module)) for part in self._held(module, name, used)))
        finally:
            del self._open[id(module)]

    def _held(self, module: types.ModuleType, name: str, used: frozenset[str]) -> tuple[bytes, ...]:
        if name.startswith("__"):
            return ()
        try:
            return name.encode(), self.of(vars(module)[name])
        except UnreadableError:
            if name in used:
                raise
            return name.encode(), b"unreadable"

    def _class(self, kind: type) -> bytes:
        version = library_version(kind.__module__)
        if version is not None:
            return hashed("library", name_of(kind), version)
        held = held_by_class(kind)
        self.references.add_class(kind, dict(held))
        parts = [part for name, value in held for part in (name, value)]
        return self.all_of("class", kind.__qualname__, type(kind), *kind.__bases__, *parts)

    def method(self, value: types.MethodType) -> bytes:
        return self.all_of("method", value.__func__, value.__self__)

    def builtin(self, value: types.BuiltinFunctionType) -> bytes:
        owner = value.__self__
        torch = sys.modules.get("torch")
        if torch is not None and getattr(torch, value.__name__, None) is value:
            return self._by_name(value, "torch", value.__name__)
        if isinstance(owner, type):
            return self._by_name(value, owner.__module__, value.__qualname__)
        if isinstance(owner, types.ModuleType) or owner is None:
            return self._by_name(value, value.__module__ or getattr(owner, "__name__", ""), value.__qualname__)
        return self.all_of("bound", value.__name__, owner)

    def _by_name(self, value: Any, module: str, name: str) -> bytes:
        """What a library holds under a name."""
        version = library_version(module)
        found: Any = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        if version is None or (found is not value and found != value):
            raise UnreadableError(name)
        self.references.names[id(value)] = frozenset({name.rpartition(".")[2]})
        return hashed("library", module, name, version)

    def partial(self, value: functools.partial[Any]) -> bytes:
        self.references.names[id(value)] = frozenset({getattr(value.func, "__name__", "")})
        return self.all_of("partial", value.func, value.args, value.keywords, vars(value))

    def property_of(self, value: property) -> bytes:
        return self.all_of("property", value.fget, value.fset, value.fdel)

    def of_class(self, value: Any) -> bytes:
        return self.all_of(type(value).__name__, value.__func__)

    def weak(self, value: weakref.ref[Any]) -> bytes:
        return self.all_of("weak", value())

    def ufunc(self, value: np.ufunc) -> bytes:
        places = [sys.modules[name] for name in ("numpy", "scipy.special") if name in sys.modules]
        if not any(getattr(place, value.__name__, None) is value for place in places):
            raise UnreadableError("a ufunc of the user's")
        return hashed("ufunc", value.__name__, library_version("numpy"), library_version("scipy"))

    # --- objects

    def _torch_module(self, module: Any) -> bytes:
        """A module by its class and all that it holds; hooks in their order, as their numbers differ by process."""
        held = [part for name, value in held_by_module(module) for part in (name, value)]
        return self.all_of("torch module", type(module), *held)

    def _instance(self, value: Any) -> bytes:
        """Any other object: what it holds by name, and what pickle would keep of it; nothing is pickled."""
        wrapped = getattr(value, "__wrapped__", None)
        if isinstance(value, functools._lru_cache_wrapper) and wrapped is not None:  # pyright: ignore[reportPrivateUsage]
            return self.all_of("cached", wrapped)
        if isinstance(value, functools.cached_property):
            return self.all_of("cached property", value.func)
        try:
            reduced = value.__reduce_ex__(4)
        except Exception as error:  # whatever an object answers that is not meant to be kept
            raise UnreadableError(name_of(type(value))) from error
        if isinstance(reduced, str):
            return self._by_name(value, str(getattr(value, "__module__", None) or type(value).__module__), reduced)
        made, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        kind = type(value)
        held = held_by_object(value)
        plain = kind.__getstate__ is object.__getstate__ and not has_slots(kind)
        if library_version(kind.__module__) is not None and not (plain and kind.__reduce__ is object.__reduce__):
            held = []  # a library's class says what is kept of it; beside that it may hold what it can make anew
        return self.all_of(
            "instance",
            type(value),
            made,
            arguments,
            held,
            None if plain and state is getattr(value, "__dict__", None) else state,
            None if items is None else list(items),
            None if pairs is None else list(pairs),
        )


#: type → how an object of it is read; subclasses may hold more, and are read as objects
_READERS: dict[type, Callable[[Any, Any], bytes]] = {
    tuple: _Walk.listed,
    list: _Walk.listed,
    set: _Walk.unordered,
    frozenset: _Walk.unordered,
    dict: _Walk.mapping,
    types.MappingProxyType: _Walk.mapping,
    np.ndarray: _Walk.array,
    np.ufunc: _Walk.ufunc,
    types.CodeType: _Walk.code,
    types.FunctionType: _Walk.function,
    types.MethodType: _Walk.method,
    types.BuiltinFunctionType: _Walk.builtin,
    functools.partial: _Walk.partial,
    weakref.ref: _Walk.weak,
    property: _Walk.property_of,
    classmethod: _Walk.of_class,
    staticmethod: _Walk.of_class,
}
