"""Prepared brain sides of a run, kept within a quarter of the free memory."""

from __future__ import annotations

import types
from collections.abc import Callable, Hashable, Iterator
from typing import TYPE_CHECKING, Any

from isocortex.devices import free_memory

if TYPE_CHECKING:
    from isocortex.scoring.comparison import Comparison

#: part of the free memory that comparisons may take
SHARE = 0.25
#: taken for a quarter of the free memory where that is not known
UNKNOWN = 1 << 30

_NO_DATA = (str, bytes, int, float, complex, bool, type(None), type, types.ModuleType, types.FunctionType)


class Comparisons:
    """Comparisons by benchmark and seed; where they do not fit, those that were used longest ago go.

    Memory: at most ``most`` bytes, and beside them the one that was made last. Sizes are those of the arrays that a
    comparison holds now, so that what it remembers while it scores counts too.

    Parameters
    ----------
    device
        Where the metrics run; a quarter of what is free there, and of this machine's memory, when the first one is
        made.
    most
        Bytes; None: that quarter.
    """

    def __init__(self, device: str = "cpu", most: int | None = None) -> None:
        self._device = device
        self._most = most
        self._kept: dict[Hashable, Comparison] = {}

    def get(self, key: Hashable, make: Callable[[], Comparison]) -> Comparison:
        """The comparison of this key, made where it is not kept."""
        if key in self._kept:
            self._kept[key] = self._kept.pop(key)  # the one that was used last is the last
            return self._kept[key]
        while self._kept and self.full:
            self._kept.pop(next(iter(self._kept)))
        self._kept[key] = make()
        return self._kept[key]

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    @property
    def most(self) -> int:
        """Bytes that may be kept, beside the comparison that was made last."""
        if self._most is None:
            free = [free_memory(device) for device in dict.fromkeys(("cpu", self._device))]
            known = [n_bytes for n_bytes in free if n_bytes is not None]
            self._most = int(SHARE * min(known)) if known else UNKNOWN
        return self._most

    @property
    def full(self) -> bool:
        """Whether one more would not be kept beside all others."""
        return bool(self._kept) and array_bytes(self._kept) > self.most

    def forget(self) -> None:
        """Let all of them go."""
        self._kept.clear()


def array_bytes(held: object) -> int:
    """Bytes of all arrays and tensors that can be reached from an object; memory that two share counts once.

    Files that are mapped into memory do not count: the system takes their pages back when it needs them.

    Examples
    --------
    >>> import numpy as np
    >>> values = np.zeros(10)
    >>> array_bytes({"whole": values, "part": values[:5]})
    80
    """
    seen: dict[int, object] = {}  # held, so that nothing else is given the place of what has been counted
    waiting, n_bytes = [held], 0
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, _NO_DATA):
            continue
        seen[id(item)] = item
        found = _own_bytes(item)
        if found is None:
            waiting.extend(_parts(item))
        elif isinstance(found, int):
            n_bytes += found
        else:
            waiting.append(found)
    return n_bytes


def _own_bytes(item: Any) -> Any:
    """Bytes of an array, or what holds the memory of a view; None: no array."""
    import numpy as np

    if isinstance(item, np.memmap):
        return 0
    if isinstance(item, np.ndarray):
        if isinstance(item.base, np.ndarray):
            return item.base
        return item.nbytes
    package = type(item).__module__.partition(".")[0]
    if package in ("torch", "pandas") and isinstance(n_bytes := getattr(item, "nbytes", None), int):
        return n_bytes
    return int(item.memory_usage().sum()) if package == "pandas" and hasattr(item, "memory_usage") else None


def _parts(item: Any) -> Iterator[object]:
    """What an object holds; a mapping of another kind could make its values when it is asked."""
    if isinstance(item, (dict, types.MappingProxyType)):
        yield from item.values()
    elif isinstance(item, (list, tuple, set, frozenset)):
        yield from item
    yield from getattr(item, "__dict__", {}).values()
    for kind in type(item).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        yield from (getattr(item, name, None) for name in ([slots] if isinstance(slots, str) else slots))
