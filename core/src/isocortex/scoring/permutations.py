"""Permutations of stimuli under the hypothesis that which stimulus has which response is unrelated to the features.

Stimuli that belong together move as one block, among blocks of the same size. The permutations are a function of the
seed, of the number of stimuli and of these blocks alone, so that models, layers, regions and participants share them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import lgamma, log

import numpy as np

from isocortex.errors import DataError
from isocortex.typing import Array

#: permutations of the first block that a metric makes at once; each further block has twice as many
FIRST_BLOCK = 20


def joined(labels: Sequence[str], also: Sequence[str]) -> list[str]:
    """Groups of stimuli that share a label or share what ``also`` says; named after the first label when sorted.

    Examples
    --------
    >>> joined(["cats", "dogs", "birds"], ["x", "x", "y"])
    ['cats', 'cats', 'birds']
    """
    leader: dict[str, str] = {}

    def found(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    seen: dict[str, str] = {}
    for name, other in zip(labels, also, strict=True):
        one, two = sorted((found(name), found(seen.setdefault(other, name))))
        leader[two] = one
    return [found(name) for name in labels]


@dataclass(frozen=True)
class Exchangeable:
    """Which stimuli may change places.

    Attributes
    ----------
    n_stimuli
        How many there are.
    classes
        Places of blocks that may change places with each other, (n_blocks, size) each; the stimuli of a block keep
        their order.

    Examples
    --------
    >>> pairs = Exchangeable.of(["a", "a", "b", "b", "c"])
    >>> pairs.orders(2, seed=0)[:, 4].tolist(), pairs.n_fixed, round(pairs.n_arrangements)
    ([4, 4], 1, 2)
    """

    n_stimuli: int
    classes: tuple[Array, ...]

    @classmethod
    def of(cls, blocks: Sequence[str], within: Sequence[str] | None = None) -> Exchangeable:
        """Blocks of the same size may change places; with ``within``, those with the same labels in the same order.

        Parameters
        ----------
        blocks
            Name of the block of each stimulus, in canonical order.
        within
            Label of each stimulus that its place keeps; None: none.
        """
        labels = [""] * len(blocks) if within is None else list(within)
        places: dict[str, list[int]] = {}
        for place, name in enumerate(blocks):
            places.setdefault(name, []).append(place)
        classes: dict[tuple[str, ...], list[list[int]]] = {}
        for own in places.values():
            classes.setdefault(tuple(labels[place] for place in own), []).append(own)
        return cls(len(blocks), tuple(np.array(own, dtype=np.intp) for own in classes.values()))

    @property
    def n_fixed(self) -> int:
        """Stimuli that no other can take the place of."""
        return sum(own.size for own in self.classes if len(own) == 1)

    @property
    def log_arrangements(self) -> float:
        """Natural logarithm of the number of arrangements."""
        return sum(lgamma(len(own) + 1) for own in self.classes)

    @property
    def n_arrangements(self) -> float:
        """Number of arrangements, infinite beyond 1e15."""
        return float(np.exp(self.log_arrangements)) if self.log_arrangements < log(1e15) else float("inf")

    def orders(self, n_permutations: int, seed: int) -> Array:
        """Permutations (n_permutations, n_stimuli): the stimulus whose response stands at each place.

        The first of many are those of few. Memory: 8 bytes per permutation and stimulus.

        Raises
        ------
        DataError
            No two blocks may change places.
        """
        if self.n_fixed == self.n_stimuli:
            raise DataError(
                f"No two of the {self.n_stimuli} stimuli may change places, because each belongs to a group that no "
                "other has the size (and the labels) of, so that nothing can be permuted."
            )
        # the stream of RandomState is frozen, so that permutations outlive versions of numpy
        stream = np.random.RandomState([seed, self.n_stimuli, *b"permutations"])
        orders = np.empty((n_permutations, self.n_stimuli), dtype=np.intp)
        for order in orders:
            for own in self.classes:
                order[own.ravel()] = own[stream.permutation(len(own))].ravel()
        return orders


def growing_blocks(orders: Array, most: int) -> Iterator[Array]:
    """Blocks of 20, 40, 80, … permutations, and at most ``most``, so that little is in vain where all end early.

    Examples
    --------
    >>> [len(block) for block in growing_blocks(np.zeros((199, 4)), most=100)]
    [20, 40, 80, 59]
    """
    start, size = 0, FIRST_BLOCK
    while start < len(orders):
        block = orders[start : start + max(1, min(size, most))]
        yield block
        start, size = start + len(block), 2 * size
