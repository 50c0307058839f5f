"""The arguments of ``isocortex.wrap``, checked, and the card that they make."""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from isocortex.activations.axes import check_axis_names
from isocortex.catalogue.cards import OWN_PACKAGE, ModelCard
from isocortex.errors import UsageError, suggest
from isocortex.files.disk import folder_name

#: names of axes for all layers, or layer or pattern → names
Axes = Sequence[str] | Mapping[str, Sequence[str]]
#: layer → names of its units
Units = Mapping[str, Sequence[str]]
Layers = Sequence[str] | Units | None

SINGLE_LAYER = "output"
MODALITIES = ("audio", "image")
#: what names of models may not hold, as it has a meaning where models are named
_SPECIAL = ("@", "::", "*", "?", "[", "]")
_PREFIXES = ("activations:", "folder:", "file:")
#: bytes of a name as the name of a folder
_LONGEST = 200


def wrapped_card(
    function: Any,
    modality: str,
    sample_rate: Any,
    layers: Layers,
    *,
    name: str | None,
    random: bool,
    preprocess: Any,
    digest: Any,
) -> ModelCard:
    """The card of a wrapped model.

    Raises
    ------
    UsageError
        An argument that cannot be meant.
    """
    _check_function(function, layers, preprocess)
    if digest is not None and (not isinstance(digest, str) or not digest):
        raise UsageError(f"digest= is a text that stands for what cannot be read; found {digest!r}.")
    return ModelCard(
        id=_checked_name(_own_name(function) if name is None else name),
        object="isocortex.models.wrap:WrappedFunction",
        modality=_checked_modality(modality),
        sample_rate=_checked_rate(modality, sample_rate),
        layers=_checked_layers(layers),
        package=OWN_PACKAGE,
        random=bool(random),
    )


def is_module(function: Any) -> bool:
    """Whether something is a torch module."""
    torch = sys.modules.get("torch")  # whoever has a module has imported it
    return torch is not None and isinstance(function, torch.nn.Module)


def named_axes(axes: Any) -> Axes:
    """Names of axes, of which none is misspelled; one text is one name.

    Raises
    ------
    UsageError
        No names, or misspelled ones.

    Examples
    --------
    >>> named_axes("time")
    ('time',)
    """
    if isinstance(axes, Mapping):
        return {
            str(layer): check_axis_names(_listed(names, "axes"), f"axes of {layer!r}") for layer, names in axes.items()
        }
    return check_axis_names(_listed(axes, "axes"), "axes")


def named_units(layers: Layers) -> Units:
    """Layer → names of its units, where they are given.

    Raises
    ------
    UsageError
        Names that are no list of texts.

    Examples
    --------
    >>> named_units({"output": ["cat", "dog"]}), named_units(["output"])
    ({'output': ('cat', 'dog')}, {})
    """
    if not isinstance(layers, Mapping):
        return {}
    for layer, names in layers.items():
        if isinstance(names, str) or not _is_listable(names):
            raise UsageError(f"layers= maps {layer!r} to {names!r}; expected a list of the names of its units.")
    return {str(layer): tuple(map(str, names)) for layer, names in layers.items()}


def _check_function(function: Any, layers: Layers, preprocess: Any) -> None:
    if isinstance(function, type):
        raise UsageError(
            f"wrap takes a function or a module; found the class {function.__name__}. Make an instance of it."
        )
    if not callable(function):
        raise UsageError(f"wrap takes a function or a module; found {type(function).__name__}.")
    if is_module(function):
        if not layers:
            raise UsageError(
                'wrap of a module needs layers=, for example ["layer*"]; named_modules() lists its modules.'
            )
    elif preprocess is not None:
        raise UsageError("wrap takes preprocess= for torch modules; a function does its own.")
    if preprocess is not None and not callable(preprocess):
        raise UsageError(f"preprocess= is a function of a batch; found {type(preprocess).__name__}.")


def _own_name(function: Any) -> str:
    """The name of a function, or of the function inside a partial one; of other objects that of their class."""
    inner = function
    while not hasattr(inner, "__name__") and callable(getattr(inner, "func", None)):
        inner = inner.func
    return str(getattr(inner, "__name__", type(inner).__name__))


def _checked_name(name: Any) -> str:
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise UsageError(f"name= is a text that can be shown; found {name!r}.")
    name = name.strip()
    special = [part for part in _SPECIAL if part in name] + [part for part in _PREFIXES if name.startswith(part)]
    if special:
        raise UsageError(
            f"The name {name!r} holds {special[0]!r}, which has a meaning in names of models. Give another."
        )
    if len(folder_name(name).encode()) > _LONGEST:
        raise UsageError(f"The name {name[:20]!r}… is too long for a folder of results. Give a shorter one with name=.")
    return name


def _checked_modality(modality: Any) -> str:
    if not isinstance(modality, str) or not modality:
        raise UsageError(f"modality= is 'audio' or 'image'; found {modality!r}.")
    close = suggest(modality.casefold(), MODALITIES)
    if modality not in MODALITIES and close:
        raise UsageError(f"There is no modality {modality!r}.{close}")
    return modality


def _checked_rate(modality: str, sample_rate: Any) -> float | None:
    if modality != "audio":
        if sample_rate is not None:
            raise UsageError(f"sample_rate= is for sounds; the modality is {modality!r}.")
        return None
    if sample_rate is None:
        raise UsageError(
            "wrap(modality='audio') needs sample_rate=, the rate in Hz at which the function takes sounds."
        )
    is_number = isinstance(sample_rate, numbers.Real) and not isinstance(sample_rate, bool)
    if not is_number or not math.isfinite(sample_rate) or sample_rate <= 0:
        raise UsageError(f"sample_rate= is a number of Hz above 0; found {sample_rate!r}.")
    return float(sample_rate)


def _checked_layers(layers: Layers) -> tuple[str, ...]:
    listed = _listed(layers or (SINGLE_LAYER,), "layers")
    other = [layer for layer in listed if not isinstance(layer, str) or not layer]
    if other:
        raise UsageError(f"layers= are names, which are texts; found {other[0]!r}.")
    return tuple(dict.fromkeys(listed))


def _is_listable(names: Any) -> bool:
    return hasattr(names, "__iter__") and not isinstance(names, bytes)


def _listed(names: Any, what: str) -> tuple[Any, ...]:
    """Names as they were given; one text is one name."""
    if isinstance(names, str):
        return (names,)
    if not _is_listable(names):
        raise UsageError(f"{what}= are names; found {names!r}.")
    return tuple(names)
