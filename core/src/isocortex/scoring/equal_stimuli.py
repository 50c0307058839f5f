"""What equal stimuli under several IDs do to a score: said wherever a data set has some, whichever metric it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from isocortex.data.stimulus_contents import said_of_equal

if TYPE_CHECKING:
    from isocortex.scoring.contract import Contract, Split


def said_of_equal_stimuli(comparison: Contract, equal: Sequence[Sequence[str]], ids: Sequence[str]) -> list[str]:
    """A warning of equal stimuli, with what the comparison makes of them; none where there are none.

    Parameters
    ----------
    comparison
        Its ``splits`` are places in ``split_ids``, or in the canonical order.
    equal
        IDs that hold the same (``StimulusSet.equal``).
    ids
        All stimuli, in canonical order.
    """
    if not equal:
        return []
    beginning = said_of_equal(equal)
    splits = [split for split in comparison.splits if len(split.train)]
    if not splits:
        return [
            f"{beginning}. No model tells them apart: the distance between them is 0, and where stimuli are left out "
            "one by one, their likes are trained on. Leave the repeats out, or give them as repetitions of one."
        ]
    n_bad = splits_with_both_sides(splits, equal, comparison.split_ids or ids)
    if not n_bad:
        return [f"{beginning}. They were kept together, on one side of every split."]
    return [
        f"{beginning}. In {n_bad} of {len(splits)} splits, which are drawn as published or declared, some lie on both "
        "sides: what is tested was trained on, and the score is too high. Leave the repeats out, or give them as "
        "repetitions of one stimulus."
    ]


def splits_with_both_sides(splits: Sequence[Split], equal: Sequence[Sequence[str]], ids: Sequence[str]) -> int:
    """Number of splits that have equal stimuli among those to train on and those to test on.

    Examples
    --------
    >>> from isocortex.scoring.contract import Split
    >>> split = Split(np.array([0, 1]), np.array([2]))
    >>> splits_with_both_sides([split], [["a", "c"]], ["a", "b", "c"])
    1
    """
    group = {name: number for number, names in enumerate(equal) for name in names}
    codes = np.array([group.get(str(name), -1) for name in ids])

    def mixed(split: Split) -> bool:
        train, test = codes[np.asarray(split.train)], codes[np.asarray(split.test)]
        return bool(np.isin(test[test >= 0], train).any())

    return sum(map(mixed, splits))
