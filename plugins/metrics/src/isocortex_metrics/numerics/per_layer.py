"""What is made of each layer once and used again for every block of permutations, as far as memory allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

_Layer = TypeVar("_Layer")
_Found = TypeVar("_Found")

#: bytes that are kept
KEPT_BYTES = 256 * 1024**2


class PerLayer(Generic[_Layer, _Found]):
    """Iterates over what a function makes of each layer; the first ones are kept, the others made anew each time.

    Parameters
    ----------
    function
        Called on a layer.
    layers
        In order.
    size_of
        Bytes of what the function gave.

    Examples
    --------
    >>> squares = PerLayer(lambda number: number**2, [2, 3], lambda found: 8)
    >>> list(squares), list(squares)
    ([4, 9], [4, 9])
    """

    def __init__(
        self, function: Callable[[_Layer], _Found], layers: Sequence[_Layer], size_of: Callable[[_Found], int]
    ) -> None:
        self.function, self.layers, self.size_of = function, layers, size_of
        self._kept: dict[int, _Found] = {}
        self._bytes = 0

    def __iter__(self) -> Iterator[_Found]:
        """What is made of each layer."""
        for place, layer in enumerate(self.layers):
            if place in self._kept:
                yield self._kept[place]
                continue
            found = self.function(layer)
            size = self.size_of(found)
            if self._bytes + size <= KEPT_BYTES:
                self._kept[place] = found
                self._bytes += size
            yield found
