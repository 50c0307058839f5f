"""A copy of a user's torch module that can run: the user's own stays as it is, in training or not.

A module that was compiled or put on several devices is unwrapped. Results of the last run that a module keeps (its
features, a weight that is computed from others) are copied as values; what cannot be copied (a lock, an open file) is
shared. What cannot run as layers is refused by name: scripted modules, weights on the meta device, lazy ones.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from isocortex.errors import PluginError, UsageError, shorten

if TYPE_CHECKING:
    from torch import nn

#: class → the attribute that holds the module which it wraps
_WRAPPERS = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}
#: torch's own that compute something else in training
_CHANGES_IN_TRAINING = (
    *("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout", "RReLU"),
    *("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm"),
)
#: containers inside containers that are searched for tensors
_DEPTH = 6


def unwrapped(module: Any) -> Any:
    """The module inside wrappers of torch: of ``torch.compile``, ``DataParallel``, ``DistributedDataParallel``.

    Examples
    --------
    >>> from torch import nn
    >>> type(unwrapped(nn.DataParallel(nn.Identity()))).__name__
    'Identity'
    """
    while (inside := _inside(module)) is not None:
        module = inside
    return module


def _inside(module: Any) -> Any:
    kind = type(module)
    wraps = kind.__module__.startswith("torch.") and kind.__name__ in _WRAPPERS
    return getattr(module, _WRAPPERS[kind.__name__]) if wraps else None


def plain_name(module: Any, name: str) -> str:
    """Name of a layer in the unwrapped module, for a name or pattern as the wrapped one spells it.

    Examples
    --------
    >>> from torch import nn
    >>> plain_name(nn.DataParallel(nn.Sequential(nn.Identity())), "module.0")
    '0'
    """
    outer = module
    while (inside := _inside(outer)) is not None:
        name = name.removeprefix(f"{_WRAPPERS[type(outer).__name__]}.")
        outer = inside
    return ".".join(part for part in name.split(".") if part != "_orig_mod")


def copy_of_module(module: nn.Module, name: str) -> nn.Module:
    """A copy that runs like the module.

    Parameters
    ----------
    name
        What the user calls it, for messages.

    Raises
    ------
    UsageError, PluginError
        It cannot run here, or not be copied; the message says what to pass instead.

    Examples
    --------
    >>> from torch import nn
    >>> copy_of_module(nn.Identity(), "same").training
    True
    """
    plain = unwrapped(module)
    _refuse_what_cannot_run(plain, name)
    memo: dict[int, Any] = {}
    for part in plain.modules():
        for value in vars(part).values():
            memo |= {id(tensor): tensor.detach().clone() for tensor in _computed_tensors(value, _DEPTH)}
    for part in plain.modules():
        if part is not plain and unwrapped(part) is not part:
            memo[id(part)] = copy.deepcopy(unwrapped(part), memo)
    return _copied(plain, memo, name)


def _copied(module: nn.Module, memo: dict[int, Any], name: str) -> nn.Module:
    try:
        return copy.deepcopy(module, dict(memo))
    except Exception:  # whatever an attribute answers that was not meant to be copied
        for part in module.modules():
            memo |= {id(value): value for value in _not_copied(part, memo)}
    try:
        return copy.deepcopy(module, dict(memo))
    except Exception as error:
        raise PluginError(
            f"{name} is run as a copy, and it cannot be copied ({type(error).__name__}: {error}). Make it anew and "
            "load its state_dict, or wrap a function that calls it."
        ) from error


def _not_copied(part: nn.Module, memo: dict[int, Any]) -> Iterator[Any]:
    """Attributes of one module, beside its modules and tensors, that cannot be copied."""
    for name, value in vars(part).items():
        if name in ("_modules", "_parameters", "_buffers"):
            continue
        try:
            copy.deepcopy(value, dict(memo))
        except Exception:  # whatever it answers
            yield value


def _computed_tensors(value: Any, depth: int) -> Iterator[Any]:
    """Tensors that follow from others, which torch does not copy."""
    import torch

    if isinstance(value, torch.Tensor):
        if not value.is_leaf:
            yield value
    elif depth and isinstance(value, dict):
        for one in value.values():
            yield from _computed_tensors(one, depth - 1)
    elif depth and isinstance(value, list | tuple | set):
        for one in value:
            yield from _computed_tensors(one, depth - 1)
    elif depth and hasattr(value, "__dict__") and not isinstance(value, torch.nn.Module | type):
        yield from _computed_tensors(vars(value), depth - 1)


def _refuse_what_cannot_run(module: nn.Module, name: str) -> None:
    import torch

    if isinstance(module, torch.jit.ScriptModule):
        raise UsageError(
            f"{name} is a module of TorchScript, which does not show what its layers give. Wrap the module that was "
            "scripted or traced, or a function that returns its output."
        )
    tensors = dict([*module.named_parameters(), *module.named_buffers()])
    lazy = [key for key, tensor in tensors.items() if torch.nn.parameter.is_lazy(tensor)]
    if lazy:
        raise UsageError(
            f"{name} has lazy modules without weights ({shorten(lazy, 3)}), which would be drawn anew in each run. Run "
            "it once on a batch before it is wrapped."
        )
    meta = [key for key, tensor in tensors.items() if tensor.device.type == "meta"]
    if meta:
        raise UsageError(
            f"{name} has weights on the meta device, which hold no values ({shorten(meta, 3)}). Load them first: "
            "module.to_empty(device='cpu'), then load_state_dict."
        )


def said_of_training(module: nn.Module, name: str) -> str | None:
    """What is said of a module that is in training mode, where that changes what it computes.

    Examples
    --------
    >>> from torch import nn
    >>> said_of_training(nn.Linear(2, 2), "net") is None
    True
    """
    kinds = [type(part) for part in module.modules() if part.training]
    changing = sorted({kind.__name__ for kind in kinds if _looks_at_training(kind)})
    if not changing:
        return None
    return (
        f"In training mode {shorten(changing)} of {name} would compute something else; a copy ran in evaluation mode, "
        "as after eval()."
    )


def _looks_at_training(kind: type) -> bool:
    if kind.__module__.startswith("torch.nn.modules."):
        return kind.__name__ in _CHANGES_IN_TRAINING
    own = [one for one in kind.__mro__ if not one.__module__.startswith("torch.nn.modules.")]
    codes = [getattr(method, "__code__", None) for one in own for method in vars(one).values()]
    return any(code is not None and "training" in code.co_names for code in codes)
