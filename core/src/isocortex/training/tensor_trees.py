"""Nested lists and dictionaries of arrays, numbers and texts, as arrays by name and JSON, and back.

Optimisers and generators keep their state in such trees; they lie in a safetensors file, which runs no code, and JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isocortex.errors import DataError
from isocortex.typing import Array

#: stands in the JSON for an array; its value is the array's name
ARRAY = "array"
#: stands for a dictionary whose keys are not all texts, as a list of pairs
PAIRS = "pairs"


def taken_apart(tree: Any) -> tuple[dict[str, Array], Any]:
    """Arrays of a tree by number, and the rest as JSON in which ``{"array": NUMBER}`` stands for each.

    Torch tensors become numpy arrays (bfloat16 ones are refused).

    Raises
    ------
    DataError
        Something that is neither an array nor a number, text, list or dictionary.

    Examples
    --------
    >>> import numpy as np
    >>> arrays, rest = taken_apart({"step": 3, "state": {0: np.zeros(2)}})
    >>> list(arrays), rest
    (['0'], {'step': 3, 'state': {'pairs': [[0, {'array': '0'}]]}})
    """
    arrays: dict[str, Array] = {}
    return arrays, _apart(tree, arrays, "state")


def _apart(tree: Any, arrays: dict[str, Array], where: str) -> Any:
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    if isinstance(tree, Mapping):
        plain = all(isinstance(key, str) and key not in (ARRAY, PAIRS) for key in tree)
        inside = {key: _apart(value, arrays, f"{where}[{key!r}]") for key, value in tree.items()}
        return inside if plain else {PAIRS: [[key, value] for key, value in inside.items()]}
    if isinstance(tree, (list, tuple)):
        return [_apart(value, arrays, f"{where}[{place}]") for place, value in enumerate(tree)]
    if hasattr(tree, "detach"):
        tree = tree.detach().cpu().numpy()
    if not hasattr(tree, "dtype") or not hasattr(tree, "shape"):
        raise DataError(f"{where} is a {type(tree).__name__}. Expected arrays, numbers, texts, lists or dictionaries.")
    name = str(len(arrays))
    arrays[name] = tree
    return {ARRAY: name}


def put_together(arrays: Mapping[str, Array], rest: Any) -> Any:
    """The tree that ``taken_apart`` took apart; tuples come back as lists.

    Raises
    ------
    DataError
        An array that is not there.

    Examples
    --------
    >>> import numpy as np
    >>> put_together(*taken_apart({"step": 3, "state": {0: [np.zeros(2)]}}))
    {'step': 3, 'state': {0: [array([0., 0.])]}}
    """
    if isinstance(rest, list):
        return [put_together(arrays, value) for value in rest]
    if not isinstance(rest, Mapping):
        return rest
    if set(rest) == {ARRAY}:
        if rest[ARRAY] not in arrays:
            raise DataError(f"The state lacks its array {rest[ARRAY]!r}.")
        return arrays[rest[ARRAY]]
    if set(rest) == {PAIRS}:
        return {key: put_together(arrays, value) for key, value in rest[PAIRS]}
    return {key: put_together(arrays, value) for key, value in rest.items()}
