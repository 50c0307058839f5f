"""A compact letter display: models that share a letter are not told apart by any test of a family."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isocortex.typing import Array

#: as many letters as there are; a family that needs more has no display
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def letter_display(different: Array) -> list[str] | None:
    """Letters of each model: two models share one exactly where they are not different; by insertion and absorption.

    All models begin in one set. For each pair that is different, every set that holds both becomes two, one without
    each, and sets inside others are absorbed. What is left are the largest sets of models none of which differ.

    Parameters
    ----------
    different
        (n_models, n_models), symmetric, true where two models were found different; best model first.

    Returns
    -------
    One text per model, the letters in the order of the models; None where 26 letters are too few.

    References
    ----------
    Piepho 2004, *J. Comput. Graph. Stat.* 13.

    Examples
    --------
    >>> far = np.array([[False, False, True], [False, False, False], [True, False, False]])
    >>> letter_display(far)
    ['a', 'ab', 'b']
    """
    sets = sorted(alike_sets(different), key=sorted)
    if len(sets) > len(LETTERS):
        return None
    return [
        "".join(letter for letter, inside in zip(LETTERS, sets, strict=False) if model in inside)
        for model in range(len(different))
    ]


def alike_sets(different: Array) -> list[frozenset[int]]:
    """The largest sets of models none of which differ; see ``letter_display``."""
    n_models = len(different)
    sets = [frozenset(range(n_models))] if n_models else []
    for one, other in zip(*np.nonzero(np.triu(different, 1)), strict=True):
        split: list[frozenset[int]] = []
        for inside in sets:
            both = one in inside and other in inside
            split += [inside - {int(one)}, inside - {int(other)}] if both else [inside]
        sets = absorbed(split)
    return sets


def absorbed(sets: Sequence[frozenset[int]]) -> list[frozenset[int]]:
    """Sets that lie in no other one."""
    distinct = list(dict.fromkeys(sets))
    return [one for one in distinct if not any(one < other for other in distinct)]
