"""Constructing a network whose tensors have shapes and no contents: quick, whatever its size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


def construct_empty(build: Callable[[], nn.Module]) -> nn.Module:
    """Construct a network on the meta device.

    Other than under ``torch.device("meta")``, constructors may compute with numbers that they keep in tensors, as those
    of RegNet do with their widths.

    Parameters
    ----------
    build
        Constructs the network.

    Examples
    --------
    >>> from torch import nn
    >>> construct_empty(lambda: nn.Linear(3, 2)).weight.device.type
    'meta'
    """
    import torch
    from torch.overrides import TorchFunctionMode

    makers = {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full}

    class Empty(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
        ) -> Any:
            del types
            given = dict(kwargs or {})
            if func in makers and given.get("device") is None:
                given["device"] = "meta"
            return func(*args, **given)

    with Empty():
        return build()
