"""Any ``torch.nn.Module`` as a model: layers are modules by name, and what they give is reduced inside their hooks.

A layer's output is handed on the moment it exists, before a later in-place operation can change it, so that one layer
at a time gives what all at once give, and nothing is kept but what the reduction leaves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from isocortex.errors import LayerError, PluginError, shorten
from isocortex.interfaces import Emit, LayerOutput, LoadedModel
from isocortex.layers import match_layers
from isocortex.torch_variants import State, Weights, build_variant

if TYPE_CHECKING:
    from torch import Tensor, nn

    from isocortex.manifest import Variant
    from isocortex.stimuli import Stimulus, StimulusBatch

#: axes after the first, by their number, where a recipe names none
DEFAULT_AXES: dict[int, tuple[str, ...]] = {
    0: (),
    1: ("unit",),
    2: ("time", "channel"),
    3: ("channel", "height", "width"),
    4: ("channel", "time", "height", "width"),
}
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
        As for ``isocortex.torch_variants.build_variant``.
    lengths
        (input, layer, n_steps) → valid steps along "time" for each stimulus, where a batch is padded.
    batching
        "any" only where padding leaks nowhere; "equal-length" groups stimuli of one length.
    example
        A stimulus by which the calls of every module are counted, so that patterns find ``name#call``.
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
        "float32", or "bfloat16" for half the memory.

    Raises
    ------
    UsageError, DataError
        Weights that are absent or do not fit.
    LayerError
        A default layer is no module.
    """

    def __init__(self, recipe: TorchRecipe, variant: Variant, *, device: str = "cpu", dtype: str = "float32") -> None:
        import torch

        self.recipe = recipe
        self.batching = recipe.batching
        self.device, self.dtype = torch.device(device), getattr(torch, dtype)
        module = build_variant(
            recipe.build, variant, weights=recipe.weights, front_end=recipe.front_end, rename=recipe.rename
        )
        self.module: nn.Module | None = module.to(device=self.device, dtype=self.dtype).eval()
        _refuse_training(module)
        self._names = list(self._calls(recipe.example)) if recipe.example else _module_names(module)
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

        assert self.module is not None, "the model was closed"
        modules = dict(self.module.named_modules())
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
                        emit(layer, self._layer_output(layer, _item(output, parts["items"], layer), fed))  # pyright: ignore[reportOptionalCall]

            return hook

        handles = [modules[name].register_forward_hook(hook_of(name)) for name in wanted]
        try:
            # cuDNN's default rounds the factors of convolutions to ten bits, which is seen in the fourth digit
            with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                _call(self.module, fed)
        finally:
            for handle in handles:
                handle.remove()
        return counts

    def _calls(self, example: Stimulus) -> list[str]:
        """Names of the modules that run on an example, with ``#call`` where they run several times."""
        from isocortex.stimuli import StimulusSet

        assert self.module is not None
        one = StimulusSet("example", example.modality, {example.id: example})
        names = _module_names(self.module)
        counts = self._forward(self._input(one.batch([0])), names, None)
        return [
            name if n_calls == 1 else f"{name}#{call}" for name, n_calls in counts.items() for call in range(n_calls)
        ]

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
        return LayerOutput(tensor, axes, lengths)

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
        import gc

        import torch

        self.module = None
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def _module_names(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_modules() if name]


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
        fed = torch.from_numpy(np.ascontiguousarray(fed))
    if not isinstance(fed, torch.Tensor):
        return fed
    # contiguous: images that were permuted would make every layer channels-last, and flattening it costly
    return fed.contiguous().to(device=device, dtype=dtype if fed.is_floating_point() else fed.dtype)


def _item(output: Any, items: str, layer: str) -> Tensor:
    """The tensor that a name's [items] pick from an output; without items an output must be, or hold just, a tensor."""
    for key in re.findall(r"\[([^\]]+)\]", items):
        if hasattr(output, "detach"):
            raise LayerError(f"The output of {layer!r} is a tensor already; it has no item {key!r}.")
        try:
            output = output[int(key)] if key.lstrip("-").isdigit() else output[key]
        except (KeyError, IndexError, TypeError) as error:
            raise LayerError(f"The output of {layer!r} is {_described(output)}; it has no item {key!r}.") from error
    if hasattr(output, "detach"):
        return output.detach()
    values = list(output.values()) if isinstance(output, Mapping) else list(output) if _is_sequence(output) else []
    tensors = [value for value in values if hasattr(value, "detach")]
    if len(tensors) == 1:
        return tensors[0].detach()
    raise LayerError(f"The output of {layer!r} is {_described(output)}; say which item is meant, as in '{layer}[0]'.")


def _is_sequence(output: Any) -> bool:
    return isinstance(output, list | tuple)


def _described(output: Any) -> str:
    if isinstance(output, Mapping):
        return f"a mapping with {shorten(map(str, output))}"
    return f"{type(output).__name__} of {len(output)}" if _is_sequence(output) else f"{type(output).__name__}"
