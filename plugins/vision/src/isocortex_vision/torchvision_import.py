"""Importing torchvision, also where its compiled operators do not fit the installed torch.

The registry's torchvision is compiled for CUDA. Beside a torch for CPUs its operators cannot be loaded, and the import
ends with an error, although networks that classify or segment use none of them: only boxes of detectors do. Declaring
the two operators that the import asks for is all that it takes; whoever calls one is told that it does not exist.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from isocortex.errors import PluginError

#: operators that importing torchvision asks for
_DECLARED = ("nms", "qnms")
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def import_torchvision() -> Any:
    """The package ``torchvision``, with ``torchvision.models``.

    Libraries that import it themselves (timm, transformers) can do so afterwards.

    Raises
    ------
    PluginError
        It is not installed, or does not import for another reason.
    """
    import torch

    try:
        return _imported()
    except ImportError as error:
        raise PluginError(f"torchvision cannot be imported ({error}). Expected: pip install torchvision.") from error
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise PluginError(f"torchvision does not fit torch {torch.__version__}: {error}") from error
    _declare_operators()
    return _imported()


def _imported() -> Any:
    import_module("torchvision.models")
    return import_module("torchvision")


def _declare_operators() -> None:
    import torch

    for name in _DECLARED:
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f"torchvision::{name}", _SIGNATURE)


def describe_torchvision() -> str:
    """Which torchvision is used, beside which torch, and whether its compiled operators are there: one line.

    Examples
    --------
    >>> describe_torchvision().startswith("torchvision ")
    True
    """
    import torch

    torchvision = import_torchvision()
    both = f"torchvision {torchvision.__version__} beside torch {torch.__version__}"
    if torchvision.extension._has_ops():
        return f"{both}, with its compiled operators"
    return f"{both}, without its compiled operators, which the networks of isocortex-vision do not use"
