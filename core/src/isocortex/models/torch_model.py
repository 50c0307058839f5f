"""Any ``torch.nn.Module`` as a model: layers are modules by name, and what they give is reduced inside their hooks.

A layer's output is handed on the moment it exists, before a later in-place operation can change it, so that one layer
at a time gives what all at once give, and nothing is kept but what the reduction leaves.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal

from isocortex.activations.layer_names import match_layers
from isocortex.activations.output import Emit, LayerOutput
from isocortex.devices import release_memory
from isocortex.errors import LayerError, PluginError, SettingsError, shorten
from isocortex.interfaces import LoadedModel
from isocortex.models.variants import State, Weights, build_variant

if TYPE_CHECKING:
    from torch import Tensor, nn

    from isocortex.catalogue.cards import Variant
    from isocortex.data.stimuli import Stimulus, StimulusBatch

#: axes after the first, by their number, where a recipe names none
DEFAULT_AXES: dict[int, tuple[str, ...]] = {
    0: (),
    1: ("unit",),
    2: ("time", "channel"),
    3: ("channel", "height", "width"),
    4: ("channel", "time", "height", "width"),
}
DTYPES = ("float32", "bfloat16", "float16", "float64")
_NAME = re.compile(r"(?P<module>[^#\[]*)(?:#(?P<call>\d+))?(?P<items>(?:\[[^\]]+\])*)")


@dataclass(frozen=True, kw_only=True)
class TorchRecipe:
    """How a module is built and fed, and which of its modules are layers.

    Attributes
    ----------
    build
        Constructs the module.
    preprocess
        Turns a batch of stimuli into the module's input: a tensor, a tuple (positional) or a mapping (by keyword).
    layers
        Default layers in processing order: names of modules, or patterns over them (``*`` stays inside one dotted
        segment). ``name#1`` is the second call of a module that runs several times, ``name[0]`` and ``name[hidden]``
        an item of an output that is a tuple or a mapping.
    axes
        Layer or pattern → names of the axes after the first; others have ``DEFAULT_AXES``. An axis "batch" says that
        the batch is not the first axis: ``("time", "batch", "channel")`` names all of them.
    weights, rename, front_end
        As for ``isocortex.models.variants.build_variant``.
    lengths
        (input, layer, n_steps) → valid steps along "time" for each stimulus, where a batch is padded.
    batching
        "any" only where padding leaks nowhere; "equal-length" groups stimuli of one length.
    example
        A stimulus by which the calls of every module are counted, so that patterns find ``name#call``.
    names
        Name of a module → name of its layer, None where it is none; for libraries whose versions name modules
        differently.
    output
        (layer, what its module gave) → the activations, where these are only a part of it: the first item of a tuple,
        tokens without the class token. Not asked where a name picks an item itself. ``first_tensor`` is one, for a
        library that gives a tensor in one version and a tuple in another.
    units
        Layer with the single axis "unit" → names of its units, such as the labels of classes.
    """

    build: Callable[[], nn.Module]
    preprocess: Callable[[StimulusBatch], Any]
    layers: Sequence[str]
    axes: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    weights: Weights | None = None
    rename: Callable[[State], State] | None = None
    front_end: Sequence[str] = ()
    lengths: Callable[[Any, str, int], Sequence[int]] | None = None
    batching: Literal["any", "equal-length", "single"] = "equal-length"
    example: Stimulus | None = None
    names: Callable[[str], str | None] | None = None
    output: Callable[[str, Any], Any] | None = None
    units: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])


class TorchModel(LoadedModel):
    """A module in memory, in evaluation mode.

    Parameters
    ----------
    recipe
        How it is built and fed.
    variant
        Which weights it gets.
    device
        "cpu", "cuda", "cuda:1", "mps".
    dtype
        "float32"; "bfloat16" or "float16" for half the memory; "float64" to see what rounding does. A plugin takes it
        from its card, ``self.card.options.get("dtype", "float32")``, so that it is part of every key. Reductions of
        half precision are in float32, and so is what is stored.

    Raises
    ------
    SettingsError
        Another dtype.
    UsageError, DataError
        Weights that are absent or do not fit.
    LayerError
        A default layer is no module.
    """

    def __init__(self, recipe: TorchRecipe, variant: Variant, *, device: str = "cpu", dtype: str = "float32") -> None:
        import torch

        if dtype not in DTYPES:
            raise SettingsError(f"Expected a dtype among {', '.join(DTYPES)}; found {dtype!r}.")
        self.recipe = recipe
        self.batching = recipe.batching
        self.device, self.dtype = torch.device(device), getattr(torch, dtype)
        module = build_variant(
            recipe.build, variant, weights=recipe.weights, front_end=recipe.front_end, rename=recipe.rename
        )
        self.module: nn.Module | None = module.to(device=self.device, dtype=self.dtype).eval()
        _refuse_training(module)
        self._names = list(self._calls(recipe.example)) if recipe.example else list(self._modules())
        self.layers = [name for pattern in recipe.layers for name in self._default(pattern)]

    def _default(self, pattern: str) -> Sequence[str]:
        found = self.find(pattern)
        if not found:
            raise LayerError(f"{type(self.module).__name__} has no module {pattern!r}; it has {shorten(self._names)}.")
        return found

    def find(self, pattern: str) -> Sequence[str]:
        """Modules that match, sub-modules included; a name with ``#call`` or ``[item]`` stands for itself."""
        found = match_layers(pattern, self._names)
        if found or "*" in pattern:
            return found
        parts = _NAME.fullmatch(pattern)
        known = {name.partition("#")[0] for name in self._names}
        return [pattern] if parts is not None and parts["module"] in known else []

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        """Run a batch and hand on every layer's output as soon as it exists.

        Raises
        ------
        LayerError
            A module that runs several times was named without ``#call``, or runs less often.
        """
        fed = self._input(batch)
        seen = self._forward(fed, layers, emit)
        for layer in layers:
            self._refuse_calls(layer, seen)

    def _forward(self, fed: Any, layers: Sequence[str], emit: Emit | None) -> dict[str, int]:
        """Module → number of its calls, for the modules of the layers."""
        import torch

        modules, module = self._modules(), self.module
        assert module is not None
        wanted: dict[str, list[tuple[str, re.Match[str]]]] = {}
        for layer in layers:
            parts = _NAME.fullmatch(layer)
            if parts is None or parts["module"] not in modules:
                raise LayerError(f"{type(self.module).__name__} has no module {layer!r}.")
            wanted.setdefault(parts["module"], []).append((layer, parts))
        counts = dict.fromkeys(wanted, 0)

        def hook_of(name: str) -> Callable[..., None]:
            def hook(module: nn.Module, arguments: Any, output: Any) -> None:
                del module, arguments
                call, counts[name] = counts[name], counts[name] + 1
                for layer, parts in wanted[name] if emit is not None else ():
                    if int(parts["call"] or 0) == call:
                        found = _item(self._given(layer, output, parts["items"]), parts["items"], layer)
                        emit(layer, self._layer_output(layer, found, fed))  # pyright: ignore[reportOptionalCall]

            return hook

        handles = [modules[name].register_forward_hook(hook_of(name)) for name in wanted]
        try:
            with torch.inference_mode(), _exact():
                _call(module, fed)
        finally:
            for handle in handles:
                handle.remove()
        return counts

    def _calls(self, example: Stimulus) -> list[str]:
        """Names of the modules that run on an example, with ``#call`` where they run several times."""
        from isocortex.data.stimuli import StimulusSet

        one = StimulusSet("example", example.modality, {example.id: example})
        counts = self._forward(self._input(one.batch([0])), list(self._modules()), None)
        return [
            name if n_calls == 1 else f"{name}#{call}" for name, n_calls in counts.items() for call in range(n_calls)
        ]

    def _modules(self) -> dict[str, nn.Module]:
        """Layer → its module."""
        assert self.module is not None, "the model was closed"
        named = {name: module for name, module in self.module.named_modules() if name}
        if self.recipe.names is None:
            return named
        return {layer: module for name, module in named.items() if (layer := self.recipe.names(name)) is not None}

    def _given(self, layer: str, output: Any, items: str) -> Any:
        return output if self.recipe.output is None or items else self.recipe.output(layer, output)

    def _input(self, batch: StimulusBatch) -> Any:
        return _moved(self.recipe.preprocess(batch), self.device, self.dtype)

    def _layer_output(self, layer: str, tensor: Tensor, fed: Any) -> LayerOutput:
        axes = self._axes(layer, tensor.ndim)
        if "batch" in axes:
            tensor = tensor.movedim(axes.index("batch"), 0)
            axes = tuple(name for name in axes if name != "batch")
        lengths = None
        if self.recipe.lengths is not None and "time" in axes:
            lengths = self.recipe.lengths(fed, layer, tensor.shape[axes.index("time") + 1])
        units = self.recipe.units.get(layer)
        return LayerOutput(tensor, axes, lengths, units if units is None else tuple(units))

    def _axes(self, layer: str, n_dims: int) -> tuple[str, ...]:
        for pattern, axes in self.recipe.axes.items():
            if match_layers(pattern, [layer]) or match_layers(pattern, [layer.partition("#")[0].partition("[")[0]]):
                return tuple(axes)
        return DEFAULT_AXES.get(n_dims - 1, ("unit",) * (n_dims - 1))

    def _refuse_calls(self, layer: str, counts: Mapping[str, int]) -> None:
        parts = _NAME.fullmatch(layer)
        assert parts is not None
        n_calls = counts[parts["module"]]
        if n_calls == 0 or int(parts["call"] or 0) >= n_calls:
            raise LayerError(f"The module {parts['module']!r} runs {n_calls} times, so that there is no {layer!r}.")
        if n_calls > 1 and parts["call"] is None:
            raise LayerError(
                f"The module {layer!r} runs {n_calls} times for one stimulus; say which call is meant: "
                f"{shorten(f'{layer}#{call}' for call in range(n_calls))}."
            )

    def close(self) -> None:
        """Free the module's memory, also on the accelerator."""
        self.module = None
        release_memory(str(self.device))


def _refuse_training(module: nn.Module) -> None:
    training = [name or type(module).__name__ for name, part in module.named_modules() if part.training]
    if training:
        raise PluginError(f"After eval(), these modules are still in training mode: {shorten(training)}.")


def _call(module: nn.Module, fed: Any) -> Any:
    if isinstance(fed, Mapping):
        return module(**fed)
    return module(*fed) if isinstance(fed, tuple) else module(fed)


def _moved(fed: Any, device: Any, dtype: Any) -> Any:
    """Tensors (and arrays) on the device, floats in the module's precision; other values as they are."""
    import numpy as np
    import torch

    if isinstance(fed, Mapping):
        return {name: _moved(value, device, dtype) for name, value in fed.items()}
    if isinstance(fed, tuple):
        return tuple(_moved(value, device, dtype) for value in fed)
    if isinstance(fed, np.ndarray):
        fed = torch.from_numpy(np.ascontiguousarray(fed, dtype=np.float32 if fed.dtype == np.float64 else None))
    if not isinstance(fed, torch.Tensor):
        return fed
    # contiguous: images that were permuted would make every layer channels-last, and flattening it costly
    fed = fed.contiguous()
    # first the precision: not every device knows double
    return (fed.to(dtype) if fed.is_floating_point() else fed).to(device)


@contextlib.contextmanager
def _exact() -> Generator[None]:
    """Kernels whose results do not depend on what is asked for, or lose digits.

    cuDNN's default rounds the factors of convolutions to ten bits, which is seen in the fourth digit. The fused kernel
    of torch's transformer layers runs only where nothing is hooked, and then calls no sub-module.
    """
    import torch

    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


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
        raise LayerError(f"The output of {layer!r} is {_described(output)}, without a tensor.")
    return found


def _item(output: Any, items: str, layer: str) -> Tensor:
    """The tensor that a name's [items] pick from an output; without items an output must be, or hold just, a tensor."""
    for key in re.findall(r"\[([^\]]+)\]", items):
        if hasattr(output, "detach"):
            raise LayerError(f"The output of {layer!r} is a tensor already; it has no item {key!r}.")
        values = _values(output)
        by_place = list(values.values())
        by_name = {str(place): value for place, value in enumerate(by_place)}
        by_name |= {str(place - len(by_place)): value for place, value in enumerate(by_place)} | values
        if key not in by_name:
            raise LayerError(f"The output of {layer!r} is {_described(output)}; it has no item {key!r}.")
        output = by_name[key]
    if hasattr(output, "detach"):
        return output.detach()
    values = _values(output)
    tensors = {name: value for name, value in values.items() if hasattr(value, "detach")}
    if len(tensors) == 1:
        return next(iter(tensors.values())).detach()
    example = next(iter(values), "0")
    raise LayerError(
        f"The output of {layer!r} is {_described(output)}; say which item is meant, as in '{layer}[{example}]'."
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


def _described(output: Any) -> str:
    values = _values(output)
    if not values or (isinstance(output, list | tuple) and not hasattr(output, "_fields")):
        return f"{type(output).__name__} of {len(values)}" if values else type(output).__name__
    return f"a {type(output).__name__} with {shorten(values)}"
