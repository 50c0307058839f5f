"""Optimisers by name, and what one of them remembers, as plain values that a journal keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from isocortex.errors import SettingsError, suggest

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

#: parameters → what updates them; the learning rate is set before every update
MakeOptimiser = Callable[[Iterable["nn.Parameter"]], "Optimizer"]

#: name → class of ``torch.optim``
_NAMED = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}


def optimiser(name: str, **settings: Any) -> MakeOptimiser:
    """An optimiser by name with its settings but the learning rate: ``optimiser("sgd", momentum=0.9, nesterov=True)``.

    Raises
    ------
    SettingsError
        There is none of that name.

    Examples
    --------
    >>> optimiser("sdg")
    Traceback (most recent call last):
    isocortex.errors.SettingsError: There is no optimiser 'sdg'. Did you mean sgd? Expected one of adam, adamw, sgd.
    """
    if name not in _NAMED:
        raise SettingsError(
            f"There is no optimiser {name!r}.{suggest(name, _NAMED)} Expected one of {', '.join(_NAMED)}."
        )

    def make(parameters: Iterable[nn.Parameter]) -> Optimizer:
        import torch

        return getattr(torch.optim, _NAMED[name])(parameters, **settings)

    return make


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def remembered(optimizer: Optimizer) -> dict[str, dict[str, Any]]:
    """What an optimiser remembers of each parameter: number of the parameter → name → tensor or number.

    Settings are left out: whoever makes the optimiser again knows them.
    """
    known: Mapping[int, Mapping[str, Any]] = optimizer.state_dict()["state"]
    return {
        str(number): {name: _copied(value) for name, value in values.items() if value is not None}
        for number, values in known.items()
    }


def remind(optimizer: Optimizer, memory: Mapping[str, Mapping[str, Any]]) -> None:
    """Give an optimiser back what it remembered."""
    groups = optimizer.state_dict()["param_groups"]
    state = {int(number): dict(values) for number, values in memory.items()}
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _copied(value: Any) -> Any:
    return value.detach().cpu().clone() if hasattr(value, "detach") else value
