"""Any ``torch.nn.Module`` as a model: layers are modules by name, and what they give is reduced inside their hooks.

A layer's output is handed on the moment it exists, before a later in-place operation can change it, so that one layer
at a time gives what all at once give, and nothing is kept but what the reduction leaves.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from isocortex.activations.layer_names import match_layers
from isocortex.activations.output import Emit, LayerOutput
from isocortex.devices import release_memory
from isocortex.errors import LayerError, PluginError, SettingsError, shorten
from isocortex.interfaces import LoadedModel
from isocortex.models.layer_items import described, first_tensor as first_tensor, item_of
from isocortex.models.module_axes import axes_by_kind, unknown_axes
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
        Layer or pattern → names of the axes after the first. An axis "batch" says that the batch is not the first axis:
        ``("time", "batch", "channel")`` names all of them. Others are inferred from the kind of the module
        (``module_axes``) or, where that says nothing, have ``DEFAULT_AXES``; a result whose reduction needs them says
        so.
    modality
        "audio" or "image", for a module of which nothing but its kind is known: an axis that the kind does not name
        stays without a name then, and a reduction that needs it is refused.
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
    modality: str | None = None


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
        "float32"; "bfloat16" or "float16" for half the memory; "float64" to see what rounding does; None: each tensor
        as it is. A plugin takes it from its card, ``self.card.options.get("dtype", "float32")``, so that it is part of
        every key. Reductions of half precision are in float32, and so is what is stored. Complex tensors stay complex.

    Raises
    ------
    SettingsError
        Another dtype.
    UsageError, DataError
        Weights that are absent or do not fit.
    LayerError
        A default layer is no module.
    """

    def __init__(
        self, recipe: TorchRecipe, variant: Variant, *, device: str = "cpu", dtype: str | None = "float32"
    ) -> None:
        import torch

        if dtype is not None and dtype not in DTYPES:
            raise SettingsError(f"Expected a dtype among {', '.join(DTYPES)}; found {dtype!r}.")
        self.recipe = recipe
        self.batching = recipe.batching
        self.device = torch.device(device)
        module = build_variant(
            recipe.build, variant, weights=recipe.weights, front_end=recipe.front_end, rename=recipe.rename
        )
        self.dtype = _own_dtype(module) if dtype is None else getattr(torch, dtype)
        self.module: nn.Module | None = (module if dtype is None else _cast(module, self.dtype)).to(self.device).eval()
        _refuse_training(module)
        self._said: dict[str, None] = {}
        self._needs_gradients = False
        self._known_axes: dict[tuple[str, int], tuple[tuple[str, ...], str | None]] = {}
        self._paths = self._find_paths(self.module)
        self._names = list(self._calls(recipe.example)) if recipe.example else list(self._modules())
        self.layers = [name for pattern in recipe.layers for name in self._default(pattern)]

    def _default(self, pattern: str) -> Sequence[str]:
        found = self.find(pattern)
        if not found:
            raise LayerError(f"{type(self.module).__name__} has no module {pattern!r}; it has {shorten(self._names)}.")
        return found

    @property
    def warnings(self) -> Sequence[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What was taken for granted while the module ran."""
        return list(self._said)

    def say(self, text: str | None) -> None:
        """Keep a warning, for every result that is made of the model."""
        if text is not None:
            self._said[text] = None

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
        try:
            seen = self._forward(fed, layers, emit)
        except RuntimeError as error:
            if self._needs_gradients or "does not require grad" not in str(error):
                raise
            self._needs_gradients = True  # a module that follows a gradient of its own while it runs
            seen = self._forward(self._input(batch), layers, emit)
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
                        found, taken = item_of(self._given(layer, output, parts["items"]), parts["items"], layer)
                        self._say_taken(layer, taken, output)
                        emit(layer, self._layer_output(layer, parts, found, fed))  # pyright: ignore[reportOptionalCall]

            return hook

        scripted = [name for name in wanted if isinstance(modules[name], torch.jit.ScriptModule)]
        if scripted:
            raise LayerError(f"Layers {shorten(scripted)} are of TorchScript, which does not show what they give.")
        handles = [modules[name].register_forward_hook(hook_of(name)) for name in wanted]
        try:
            # not inference_mode: its tensors take no part in gradients that a module computes for itself
            with torch.set_grad_enabled(self._needs_gradients), _exact():
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
        named = dict(self.module.named_modules())
        return {layer: named[path] for layer, path in self._paths.items()}

    def _find_paths(self, module: nn.Module) -> dict[str, str]:
        """Layer → the name of its module."""
        paths = [name for name, _ in module.named_modules() if name]
        if self.recipe.names is None:
            return {name: name for name in paths}
        return {layer: name for name in paths if (layer := self.recipe.names(name)) is not None}

    def _given(self, layer: str, output: Any, items: str) -> Any:
        return output if self.recipe.output is None or items else self.recipe.output(layer, output)

    def _input(self, batch: StimulusBatch) -> Any:
        return _moved(self.recipe.preprocess(batch), self.device, self.dtype)

    def _say_taken(self, layer: str, taken: str | None, output: Any) -> None:
        if taken is not None:
            self.say(
                f"Of what layer {layer} gives, {described(output)}, {layer}[{taken}] was taken; name another one so."
            )

    def _layer_output(self, layer: str, parts: re.Match[str], tensor: Tensor, fed: Any) -> LayerOutput:
        tensor = _dense(tensor.detach())
        if not tensor.ndim:
            raise PluginError(f"Layer {layer!r} gave one number for a batch; expected (n_stimuli, …).")
        known = layer, tensor.ndim
        if known not in self._known_axes:
            self._known_axes[known] = self._axes(layer, parts, tensor.ndim)
        axes, inferred_from = self._known_axes[known]
        if "batch" in axes:
            if len(axes) != tensor.ndim:
                raise PluginError(f"Layer {layer!r} gave shape {tuple(tensor.shape)}, but its axes are named {axes}.")
            tensor = tensor.movedim(axes.index("batch"), 0)
            axes = tuple(name for name in axes if name != "batch")
        lengths = None
        if self.recipe.lengths is not None and "time" in axes:
            lengths = self.recipe.lengths(fed, layer, tensor.shape[axes.index("time") + 1])
        units = self.recipe.units.get(layer)
        named = units if units is None else tuple(units)
        return LayerOutput(tensor, axes, lengths, named, inferred_from=inferred_from)

    def _axes(self, layer: str, parts: re.Match[str], n_dims: int) -> tuple[tuple[str, ...], str | None]:
        """Axes of a layer, and what they were inferred from where the recipe does not name them."""
        for pattern, axes in self.recipe.axes.items():
            if match_layers(pattern, [layer]) or match_layers(pattern, [layer.partition("#")[0].partition("[")[0]]):
                return tuple(axes), None
        assert self.module is not None
        path = self._paths[parts["module"]]
        known = axes_by_kind(self.module, path, parts["items"], n_dims, self.recipe.modality)
        if known is not None:
            return known if n_dims > 2 else (known[0], None)
        if self.recipe.modality is not None or n_dims == 2:
            return unknown_axes(n_dims - 1), None
        default = DEFAULT_AXES.get(n_dims - 1, ("unit",) * (n_dims - 1))
        return default, f"an output of {n_dims - 1} axes beside the stimuli"

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


def _own_dtype(module: nn.Module) -> Any:
    """Precision of the first float tensor of a module: what it is fed has it too."""
    import torch

    tensors = [*module.parameters(), *module.buffers()]
    return next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), torch.float32)


def _cast(module: nn.Module, dtype: Any) -> nn.Module:
    """A module with its float tensors in one precision; complex ones keep their imaginary part."""
    import torch

    wide = torch.complex128 if dtype == torch.float64 else torch.complex64

    def as_wanted(tensor: Tensor) -> Tensor:
        if tensor.is_complex():
            return tensor.to(wide)
        return tensor.to(dtype) if tensor.is_floating_point() else tensor

    return module._apply(as_wanted)  # pyright: ignore[reportPrivateUsage]


def _dense(tensor: Tensor) -> Tensor:
    """The values of a tensor that is sparse or quantised."""
    import torch

    if tensor.is_quantized:
        return tensor.dequantize()
    return tensor if tensor.layout == torch.strided else tensor.to_dense()


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
