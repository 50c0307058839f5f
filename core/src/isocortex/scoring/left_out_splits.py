"""Splits that leave a kind of stimuli out of training, and their counterparts that have as many of all kinds.

Both test the same stimuli, in the same sets, after training on as many. What differs is one thing: whether others of
the kind that is tested are among the training stimuli. So the difference between the two is the loss of prediction
where a kind is new. Values over other test sets would also differ because stimuli of one kind vary less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isocortex.errors import DataError, shorten
from isocortex.scoring.contract import Split
from isocortex.typing import Array

#: a correlation over fewer stimuli means nothing: two points always give 1 or -1
MIN_TEST = 3


@dataclass(frozen=True)
class LeftOutSplits:
    """Splits by kind, their counterparts in the same order, and kinds that are too small to be tested.

    Attributes
    ----------
    stricter
        Two splits for each kind that is tested: a half of it is tested, nothing of it is trained on.
    ordinary
        Their counterparts: the same test stimuli and as many training stimuli, drawn from all others.
    untested
        Kind → its number of stimuli.
    """

    stricter: tuple[Split, ...]
    ordinary: tuple[Split, ...]
    untested: dict[str, int]

    @property
    def warnings(self) -> list[str]:
        """A sentence on kinds that are never tested."""
        if not self.untested:
            return []
        named = shorten([f"{name} ({count})" for name, count in self.untested.items()])
        total = sum(self.untested.values())
        return [
            f"{total} stimuli of {len(self.untested)} kinds are never tested, because a kind is tested in two halves "
            f"of {MIN_TEST} stimuli or more: {named}. They are trained on."
        ]


def left_out_splits(
    kinds: Sequence[str], blocks: Sequence[str], *, only: str | None = None, seed: int = 0
) -> LeftOutSplits:
    """Leave each kind of stimuli out in turn, or one of them, and test it in two halves.

    Stimuli of one block, such as those that hold the same, are in one half, and are never on both sides of a split.

    Parameters
    ----------
    kinds
        Kind of each stimulus, in canonical order.
    blocks
        Block of each stimulus; a name of its own where it belongs to no other.
    only
        The one kind that is left out; None: each in turn, in order of first appearance.
    seed
        Draws halves and training stimuli.

    Raises
    ------
    DataError
        One kind alone, none of that name, none that can be tested, or too few stimuli of other kinds.

    Examples
    --------
    >>> kinds = ["cat"] * 6 + ["dog"] * 6
    >>> found = left_out_splits(kinds, list(map(str, range(12))))
    >>> [split.train.tolist() for split in found.stricter[:2]]
    [[6, 7, 8, 9, 10, 11], [6, 7, 8, 9, 10, 11]]
    >>> [len(split.train) for split in found.ordinary], [len(split.test) for split in found.ordinary]
    ([6, 6, 6, 6], [3, 3, 3, 3])
    """
    kind, block = np.asarray(kinds, dtype=str), np.asarray(blocks, dtype=str)
    names = list(dict.fromkeys(kind.tolist()))
    if only is not None and only not in names:
        raise DataError(f"No stimulus is of the kind {only!r}. There are {shorten(names)}.")
    if len(names) < 2:
        raise DataError(f"All {len(kind)} stimuli are of one kind ({shorten(names)}), so that none can be left out.")
    stricter, ordinary, untested = list[Split](), list[Split](), dict[str, int]()
    for number, name in enumerate(names):
        if only is not None and name != only:
            continue
        # the stream of RandomState is frozen, so that splits outlive versions of numpy
        stream = np.random.RandomState([seed, number, *b"left out"])
        halves = _halves(np.flatnonzero(kind == name), block, stream)
        if min(map(len, halves)) < MIN_TEST:
            untested[name] = int((kind == name).sum())
            continue
        others = np.flatnonzero(~np.isin(block, block[kind == name]))
        if len(others) < MIN_TEST:
            raise DataError(f"Without the kind {name!r}, {len(others)} of {len(kind)} stimuli are left to train on.")
        for half in halves:
            rest = np.flatnonzero(~np.isin(block, block[half]))
            stricter.append(Split(others, half))
            ordinary.append(Split(np.sort(stream.permutation(rest)[: len(others)]), half))
    if not stricter:
        sizes = shorten([f"{name} ({count})" for name, count in untested.items()])
        raise DataError(
            f"No kind has {2 * MIN_TEST} stimuli or more, so that it could be tested in two halves of {MIN_TEST}; "
            f"there are {sizes}. Take larger kinds, or fewer clusters."
        )
    return LeftOutSplits(tuple(stricter), tuple(ordinary), untested)


def _halves(members: Array, block: Array, stream: np.random.RandomState) -> tuple[Array, Array]:
    """Two halves of the members, ascending; blocks are dealt out whole, large ones first, each to the smaller half."""
    of_block: dict[str, list[int]] = {}
    for place in members.tolist():
        of_block.setdefault(str(block[place]), []).append(place)
    drawn = list(of_block.values())
    drawn = sorted((drawn[place] for place in stream.permutation(len(drawn))), key=len, reverse=True)
    halves: tuple[list[int], list[int]] = ([], [])
    for own in drawn:
        min(halves, key=len).extend(own)
    first, second = (np.array(sorted(half), dtype=np.intp) for half in halves)
    return first, second
