"""Which layers a network has, and what each gives for one image: found by running it on tensors without contents.

A network is run on two and on three images. What grows with the number of images is the axis of images, wherever it
lies; what does not grow is no layer, and neither is what gives several rows for one image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from math import isqrt
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

#: makes what a network is called with, for a number of images and on a device
Inputs = Callable[[int, str], Any]


@dataclass(frozen=True)
class LayerShape:
    """What a layer gives for one image.

    Attributes
    ----------
    shape
        Without the axis of images.
    image_axis
        Where that lies in what the module gives.
    """

    shape: tuple[int, ...]
    image_axis: int = 0


@dataclass(frozen=True)
class Layers:
    """Layers of a network, in the order in which they are computed.

    Attributes
    ----------
    shapes
        Layer → what it gives for one image. ``name#1`` is the second call of a module that runs several times,
        ``name[0]`` and ``name[out]`` an item of what a module gives.
    calls
        Module → how often it runs for one batch.
    others
        What modules give that is no layer, and why.
    """

    shapes: Mapping[str, LayerShape]
    calls: Mapping[str, int]
    others: Mapping[str, str]


def find_layers(network: nn.Module, inputs: Inputs) -> Layers:
    """Find the layers of a network in evaluation mode; its weights are neither used nor changed.

    It runs on tensors without contents, or, where it has code that needs contents, on images of noise.

    Parameters
    ----------
    network
        In evaluation mode, on any device.
    inputs
        (n_images, device) → what it is called with: a tensor, or a mapping by keyword.
    """
    try:
        two, three = (_run_empty(network, inputs(n_images, "meta")) for n_images in (2, 3))
    except Exception:  # whatever a library's code raises for tensors without contents
        device = str(next(network.parameters()).device)
        two, three = (_run(network, inputs(n_images, device)) for n_images in (2, 3))
    calls = {module: call + 1 for module, call, _ in two}  # the last call of a module comes last
    shapes: dict[str, LayerShape] = {}
    others: dict[str, str] = {}
    for (module, call, item), of_two in two.items():
        name = f"{module}#{call}{item}" if calls[module] > 1 else f"{module}{item}"
        found = _per_image(of_two, three.get((module, call, item)))
        if isinstance(found, str):
            others[name] = found
        else:
            shapes[name] = found
    return Layers(shapes, calls, others)


def square_side(n_tokens: int) -> int | None:
    """Side of the square that so many places make; None where they make none.

    Examples
    --------
    >>> square_side(196), square_side(197)
    (14, None)
    """
    side = isqrt(n_tokens)
    return side if side * side == n_tokens else None


def axes_of(shape: tuple[int, ...]) -> tuple[str, ...]:
    """Names of a layer's axes, without that of images; images are square, so that height and width are equal.

    Examples
    --------
    >>> axes_of((64, 7, 7)), axes_of((7, 7, 64)), axes_of((196, 768)), axes_of((1000,))
    (('channel', 'height', 'width'), ('height', 'width', 'channel'), ('token', 'channel'), ('unit',))
    """
    if len(shape) == 3:
        last = shape[0] == shape[1] != shape[2]
        return ("height", "width", "channel") if last else ("channel", "height", "width")
    return {0: (), 1: ("unit",), 2: ("token", "channel")}.get(
        len(shape), tuple(f"axis{place}" for place in range(len(shape)))
    )


_Found = dict[tuple[str, int, str], tuple[int, ...]]


def _run_empty(network: nn.Module, fed: Any) -> _Found:
    """As ``_run``, with parameters and buffers without contents in the place of the network's own."""
    import torch
    from torch.func import functional_call

    own = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    empty = {name: torch.empty_like(tensor, device="meta") for name, tensor in own.items()}
    keywords = fed if isinstance(fed, Mapping) else None
    arguments = () if keywords is not None else (fed,)
    return _recorded(network, lambda: functional_call(network, empty, arguments, dict(keywords or {})))


def _run(network: nn.Module, fed: Any) -> _Found:
    return _recorded(network, lambda: network(**fed) if isinstance(fed, Mapping) else network(fed))


def _recorded(network: nn.Module, run: Callable[[], Any]) -> _Found:
    """(module, call, item) → shape of every tensor that modules give, in the order in which they give them."""
    import torch

    found: _Found = {}
    counts: Counter[str] = Counter()

    def hook_of(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: Any, output: Any) -> None:
            del module, arguments
            call = counts[name]
            counts[name] += 1
            found.update({(name, call, item): tuple(tensor.shape) for item, tensor in _tensors(output).items()})

        return hook

    handles = [module.register_forward_hook(hook_of(name)) for name, module in network.named_modules() if name]
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    return found


def _tensors(output: Any) -> dict[str, Tensor]:
    """Item, as a layer's name has it, → tensor; an output that holds just one tensor needs no item."""
    if hasattr(output, "detach"):
        return {"": output}
    values = _values(output)
    own = [key for key, value in values.items() if hasattr(value, "detach")]
    found: dict[str, Tensor] = {}
    for key, value in values.items():
        prefix = "" if own == [key] else f"[{key}]"
        found.update({f"{prefix}{item}": tensor for item, tensor in _tensors(value).items()})
    return found


def _values(output: Any) -> dict[str, Any]:
    if isinstance(output, Mapping):
        return {str(key): value for key, value in output.items()}
    if is_dataclass(output):
        return {item.name: getattr(output, item.name) for item in fields(output)}
    if isinstance(output, list | tuple):
        return {str(key): value for key, value in enumerate(output)}
    return {}


def _per_image(of_two: tuple[int, ...], of_three: tuple[int, ...] | None) -> LayerShape | str:
    """What a layer gives for one image, or why it is none."""
    if of_three is None or len(of_two) != len(of_three):
        return "its shape depends on how many images run together"
    different = [axis for axis, sizes in enumerate(zip(of_two, of_three, strict=True)) if sizes[0] != sizes[1]]
    if not different:
        return "it gives the same whatever the images are"
    if len(different) > 1 or (of_two[different[0]], of_three[different[0]]) != (2, 3):
        return "it does not give one row for each image"
    axis = different[0]
    return LayerShape((*of_two[:axis], *of_two[axis + 1 :]), axis)
