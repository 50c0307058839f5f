"""Which axes a torch module gives, as far as its kind says so.

A convolution over time gives (channel, time), a transformer's block (time, channel), a recurrent network with
``batch_first=False`` (time, batch, channel). A linear layer, an activation function and a module of one's own say
nothing by themselves. Inside ``nn.Sequential`` those that keep axes as they are have the axes of what runs before them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isocortex.activations.axes import UNKNOWN_AXIS
from isocortex.errors import PluginError

if TYPE_CHECKING:
    from torch import nn

#: axes after the first, and the name of the kind that says so
Known = tuple[tuple[str, ...], str]

_OVER_TIME = (
    *("Conv1d", "ConvTranspose1d", "MaxPool1d", "AvgPool1d", "AdaptiveAvgPool1d", "AdaptiveMaxPool1d", "LPPool1d"),
    "BatchNorm1d",
)
_OVER_SPACE = (
    *("Conv2d", "ConvTranspose2d", "MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "LPPool2d"),
    "BatchNorm2d",
)
#: they give the axes that they are given
_KEEPS = (
    *("ReLU", "ReLU6", "LeakyReLU", "PReLU", "RReLU", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish", "Sigmoid", "Tanh"),
    *("Softplus", "Softsign", "Hardtanh", "Hardswish", "Hardsigmoid", "LogSigmoid", "Tanhshrink", "Softshrink"),
    *("Hardshrink", "Threshold", "Identity", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout"),
    *("FeatureAlphaDropout", "GroupNorm", "LayerNorm", "RMSNorm", "LocalResponseNorm", "InstanceNorm1d"),
    *("InstanceNorm2d", "BatchNorm1d", "BatchNorm2d"),
)
_RECURRENT = ("RNN", "LSTM", "GRU")
_TRANSFORMERS = (
    *("TransformerEncoderLayer", "TransformerDecoderLayer", "TransformerEncoder", "TransformerDecoder"),
    *("Transformer", "MultiheadAttention"),
)


def unknown_axes(n_axes: int) -> tuple[str, ...]:
    """Axes of an output of which nothing is known: one axis holds units.

    Examples
    --------
    >>> unknown_axes(1), unknown_axes(2)
    (('unit',), ('?', '?'))
    """
    return ("unit",) if n_axes == 1 else (UNKNOWN_AXIS,) * n_axes


def axes_by_kind(root: nn.Module, name: str, item: str, n_dims: int, modality: str | None) -> Known | None:
    """The axes of what a module gives, if the kind of the module says so.

    Parameters
    ----------
    root
        The whole module.
    name
        Of the module in it.
    item
        Of an output that is a tuple: "[0]", "[1][0]"; empty where the output is a tensor.
    n_dims
        Of the tensor, its first included.
    modality
        "audio" or "image": only what is heard has time, and only what is seen height and width; None: not known.

    Returns
    -------
    Axes, with "batch" where that is not the first, and the kind that says so; None where none does.

    Raises
    ------
    PluginError
        The module took the stimuli of a batch for channels or for time steps of one stimulus.

    Examples
    --------
    >>> from torch import nn
    >>> axes_by_kind(nn.Sequential(nn.Conv1d(1, 4, 3), nn.ReLU()), "1", "", 3, "audio")
    (('channel', 'time'), 'Conv1d')
    """
    module = root.get_submodule(name)
    kind = _kind_of(module)
    _refuse_unbatched(kind, name, n_dims)
    if kind in _RECURRENT:
        return _recurrent(module, item, n_dims, modality)
    if kind in _TRANSFORMERS:
        return _transformer(module, item, n_dims, modality) if item in ("", "[0]") else None
    if item:
        return None
    if kind in _OVER_TIME and n_dims == 3 and modality != "image":
        return ("channel", "time"), kind
    if kind in _OVER_SPACE and n_dims == 4 and modality != "audio":
        return ("channel", "height", "width"), kind
    if kind == "Embedding" and n_dims == 3 and modality != "image":
        return ("time", "channel"), kind
    before = _before(root, name)
    return None if before is None else axes_by_kind(root, before, "", n_dims, modality)


def _refuse_unbatched(kind: str, name: str, n_dims: int) -> None:
    n_wanted = 4 if kind in _OVER_SPACE else 3 if kind in (*_OVER_TIME, *_RECURRENT) else 0
    if n_dims == n_wanted - 1 and not kind.startswith("BatchNorm"):
        raise PluginError(
            f"Layer {name!r} ({kind}) gave {n_dims} axes, of which the first are no stimuli: it was given a batch "
            "without an axis of channels and took the stimuli for one. Add the axis, for example with "
            "isocortex.wrap(…, preprocess=lambda sounds: sounds[:, None])."
        )


def _kind_of(module: nn.Module) -> str:
    """The kind among torch's own that a module is, also where a library or a parametrization made a class of it."""
    for kind in type(module).__mro__:
        if kind.__module__.startswith("torch.nn.modules."):
            return kind.__name__ if kind.__name__ != "Module" else ""
        if "forward" in vars(kind):
            return ""
    return ""


def _recurrent(module: Any, item: str, n_dims: int, modality: str | None) -> Known | None:
    time = UNKNOWN_AXIS if modality == "image" else "time"
    kind = f"{type(module).__name__}(batch_first={module.batch_first})"
    if n_dims != 3:
        return None
    if item in ("", "[0]"):
        return ((time, "channel") if module.batch_first else (time, "batch", "channel")), kind
    return ("layer", "batch", "channel"), kind


def _transformer(module: Any, item: str, n_dims: int, modality: str | None) -> Known | None:
    del item
    if n_dims != 3:
        return None
    first = _batch_first(module)
    time = UNKNOWN_AXIS if modality == "image" else "time"
    axes = (time, "channel") if first else (time, "batch", "channel")
    return axes, f"{type(module).__name__}(batch_first={first})"


def _batch_first(module: Any) -> bool:
    """Of a block, or of the first block inside."""
    for part in module.modules():
        if hasattr(part, "batch_first"):
            return bool(part.batch_first)
    return False


def _before(root: nn.Module, name: str) -> str | None:
    """What runs before a module that keeps axes, or last in a sequence, inside ``nn.Sequential``."""
    from torch import nn

    module = root.get_submodule(name)
    if type(module) is nn.Sequential and len(module):
        return f"{name}.{[child for child, _ in module.named_children()][-1]}"
    return _previous(root, name) if _kind_of(module) in _KEEPS else None


def _previous(root: nn.Module, name: str) -> str | None:
    """The module before another in ``nn.Sequential``, or before the sequence that it is the first of."""
    from torch import nn

    parent_name, _, own = name.rpartition(".")
    parent = root.get_submodule(parent_name)
    if type(parent) is not nn.Sequential:
        return None
    names = [child for child, _ in parent.named_children()]
    place = names.index(own)
    if place:
        return f"{parent_name}.{names[place - 1]}".lstrip(".")
    return _previous(root, parent_name) if parent_name else None
