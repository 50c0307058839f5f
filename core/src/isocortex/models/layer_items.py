"""The tensor that a layer means, where its module gives a tuple, a mapping or a dataclass."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from isocortex.errors import LayerError, shorten

if TYPE_CHECKING:
    from torch import Tensor


def first_tensor(layer: str, output: Any) -> Any:
    """The output itself, or the first tensor of one that is a tuple, list, mapping or dataclass.

    For ``TorchRecipe.output``: a layer keeps its name where a library changes what it returns.

    Raises
    ------
    LayerError
        It holds no tensor.

    Examples
    --------
    >>> import torch
    >>> first_tensor("block", (torch.ones(1, 2), None)).shape
    torch.Size([1, 2])
    """
    if hasattr(output, "detach"):
        return output
    found = next((value for value in _values(output).values() if hasattr(value, "detach")), None)
    if found is None:
        raise LayerError(f"The output of {layer!r} is {described(output)}, without a tensor.")
    return found


def item_of(output: Any, items: str, layer: str) -> tuple[Tensor, str | None]:
    """The tensor that a name's [items] pick from an output; without items an output must be, or hold just, a tensor.

    Returns
    -------
    The tensor, and the item that was taken though none was named and there were several; None: there was no choice.

    Raises
    ------
    LayerError
        There is no such item, or it is not said which one is meant.

    Examples
    --------
    >>> import torch
    >>> item_of((torch.ones(1, 2), None), "", "block")[1], item_of((torch.ones(1, 2), (torch.ones(1),)), "", "lstm")[1]
    (None, '0')
    """
    for key in re.findall(r"\[([^\]]+)\]", items):
        if hasattr(output, "detach"):
            raise LayerError(f"The output of {layer!r} is a tensor already; it has no item {key!r}.")
        values = _values(output)
        by_place = list(values.values())
        by_name = {str(place): value for place, value in enumerate(by_place)}
        by_name |= {str(place - len(by_place)): value for place, value in enumerate(by_place)} | values
        if key not in by_name:
            raise LayerError(f"The output of {layer!r} is {described(output)}; it has no item {key!r}.")
        output = by_name[key]
    if hasattr(output, "detach"):
        return output, None
    values = _values(output)
    tensors = {name: value for name, value in values.items() if hasattr(value, "detach")}
    if len(tensors) == 1:
        [(name, tensor)] = tensors.items()
        return tensor, name if sum(value is not None for value in values.values()) > 1 else None
    if not values:
        raise LayerError(f"The output of {layer!r} is {described(output)}; expected a tensor.")
    example = next(iter(values))
    raise LayerError(
        f"The output of {layer!r} is {described(output)}; say which item is meant, as in '{layer}[{example}]'."
    )


def _values(output: Any) -> dict[str, Any]:
    """What an output holds, in order, by name where there are names."""
    if isinstance(output, Mapping):
        return {str(name): value for name, value in output.items()}
    if is_dataclass(output):
        return {item.name: getattr(output, item.name) for item in fields(output)}
    if isinstance(output, list | tuple):
        names = getattr(output, "_fields", range(len(output)))
        return {str(name): value for name, value in zip(names, output, strict=True)}
    return {}


def described(output: Any) -> str:
    """What an output is, for messages: ``tuple of 2``.

    Examples
    --------
    >>> described((1, 2))
    'tuple of 2'
    """
    values = _values(output)
    if not values or (isinstance(output, list | tuple) and not hasattr(output, "_fields")):
        return f"{type(output).__name__} of {len(values)}" if values else type(output).__name__
    return f"a {type(output).__name__} with {shorten(values)}"
