"""Names of layers: matching patterns, and putting layers in processing order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from isocortex.errors import LayerError, shorten, suggest

if TYPE_CHECKING:
    pass


_WILDCARDS = {"**": ".*", "*": "[^.]*", "?": "[^.]"}


def match_layers(pattern: str, names: Iterable[str]) -> list[str]:
    """Names that match: ``*`` stays inside one dotted segment, ``**`` crosses segments.

    Examples
    --------
    >>> match_layers("encoder.*", ["encoder.0", "encoder.0.norm", "head"])
    ['encoder.0']
    >>> match_layers("encoder.**", ["encoder.0", "encoder.0.norm", "head"])
    ['encoder.0', 'encoder.0.norm']
    """
    parts = re.split(r"(\*\*|\*|\?)", pattern)
    expression = re.compile("".join(_WILDCARDS.get(part, re.escape(part)) for part in parts))
    return [name for name in names if expression.fullmatch(name)]


def choose_layers(patterns: Sequence[str], default: Sequence[str], find: Any, model: str) -> list[str]:
    """Layers of a loaded model that the patterns ask for, in processing order; no patterns: the default layers.

    Raises
    ------
    LayerError
        A pattern matches nothing.
    """
    if not patterns:
        return list(default)
    found: dict[str, None] = {}
    for pattern in patterns:
        matched = list(find(pattern))
        if not matched:
            raise LayerError(
                f"{model} has no layer that matches {pattern!r}.{suggest(pattern, default)} "
                f"Its layers are {shorten(default, 8)}; '*' stays inside one dotted segment, '**' crosses."
            )
        found.update(dict.fromkeys(matched))
    return processing_order(list(found), default, list(find("**")))


def processing_order(names: Sequence[str], default: Sequence[str], known: Sequence[str]) -> list[str]:
    """Put layers in processing order: default layers as the model lists them, others before the next that follows.

    Parameters
    ----------
    names
        The layers; ``name#call`` and ``name[item]`` stand where ``name`` does.
    default
        The model's default layers in processing order.
    known
        All layers, in the order in which the model knows them.

    Examples
    --------
    >>> processing_order(["pool", "relu", "conv", "head"], ["relu", "pool"], ["conv", "relu", "pool", "head"])
    ['conv', 'relu', 'pool', 'head']
    """
    rank = {name: place for place, name in enumerate(default)}
    places: dict[str, tuple[int, int]] = {}
    following = len(rank)
    for index in range(len(known) - 1, -1, -1):
        places[known[index]] = (following, index)
        following = rank.get(known[index], following)
    places.update({name: (place, len(known)) for name, place in rank.items()})
    last = (len(rank), len(known))
    return sorted(names, key=lambda name: places.get(name, places.get(re.split(r"[#\[]", name)[0], last)))
