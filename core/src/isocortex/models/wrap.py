"""Making a model of the user's own code: a function from waveforms or images to features, or a torch module."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.activations.output import Emit, LayerOutput
from isocortex.catalogue.cards import ModelCard, Variant
from isocortex.errors import PluginError, UsageError
from isocortex.interfaces import LoadedModel, ModelPlugin
from isocortex.typing import Array

if TYPE_CHECKING:
    from isocortex.data.stimuli import Stimulus, StimulusBatch

Function = Callable[[Array], Any]
Axes = Sequence[str] | Mapping[str, Sequence[str]]
#: layer → names of its units
Units = Mapping[str, Sequence[str]]

_SINGLE_LAYER = "output"


class WrappedFunction(ModelPlugin):
    """A function as a model; made by ``isocortex.wrap``."""

    def __init__(
        self, card: ModelCard, function: Function, axes: tuple[str, ...], units: Units, known: str | None
    ) -> None:
        super().__init__(card)
        self._function = function
        self._axes = axes
        self._units = units
        self._known = known

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """The function, ready to run."""
        del variant, device
        return _LoadedFunction(self.card, self._function, self._axes, self._units)

    def digest(self, variant: Variant) -> str | None:
        """The digest that the user gave; None: computed anew in each run."""
        del variant
        return self._known


class WrappedModule(ModelPlugin):
    """A torch module as a model; made by ``isocortex.wrap``. What runs is a copy: the user's module stays as it is."""

    accelerated = True

    def __init__(
        self, card: ModelCard, module: Any, axes: Axes, units: Units, preprocess: Function | None, known: str | None
    ) -> None:
        super().__init__(card)
        self._module = module
        self._axes = axes
        self._units = units
        self._preprocess = preprocess or (_as_channels if card.modality == "image" else _as_it_is)
        self._known = known

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """A copy of the module on the device, in evaluation mode."""
        from isocortex.models.torch_model import TorchModel, TorchRecipe

        axes = self._axes if isinstance(self._axes, Mapping) else {"**": self._axes} if self._axes else {}
        recipe = TorchRecipe(
            build=lambda: copy.deepcopy(self._module),
            preprocess=lambda batch: self._preprocess(_stacked(self.card, batch)),
            layers=self.card.layers,
            axes=axes,
            units=self._units,
        )
        return TorchModel(recipe, variant, device=device)

    def digest(self, variant: Variant) -> str | None:
        """The digest that the user gave; None: computed anew in each run."""
        del variant
        return self._known


def wrap(
    function: Function | Any,
    *,
    modality: str,
    sample_rate: float | None = None,
    axes: Axes = (),
    layers: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    preprocess: Function | None = None,
    name: str | None = None,
    digest: str | None = None,
    random: bool = False,
) -> ModelPlugin:
    """Make a model of a function or a torch module, for ``isocortex.score``.

    Parameters
    ----------
    function
        A torch module, or a function that takes a batch and returns features (n_stimuli, …), or a mapping layer →
        features. For audio a batch is (n_stimuli, n_samples) float32 in [-1, 1), mono, stimuli of equal length
        together; for images it is (n_stimuli, height, width, 3) uint8, images of equal size together.
    modality
        "audio" or "image".
    sample_rate
        Hz; sounds are resampled to it with soxr, channels are averaged then. Required for audio.
    axes
        Names of the axes after the first ("time", "channel", …), so that a benchmark's reduction can find time;
        default: all are units. For a module also layer or pattern → names; its defaults are those of
        ``isocortex.models.torch_model``.
    layers
        Names of the layers that a mapping holds; default: the single layer "output". Of a module: names of its modules,
        or patterns over them (``*`` stays inside one dotted segment); required. A mapping layer → names of its units
        (labels, neuroid_id) names them for metrics that compare units by name; each layer then has the one axis "unit".
    preprocess
        For a module: from a batch as above to its input. Default: sounds as they are, images as (n_stimuli, 3, height,
        width) in [0, 1].
    name
        Shown in tables; default: the function's name.
    digest
        A text that changes whenever the function does; with it activations and results are kept, without it they are
        computed anew in each run.
    random
        It draws numbers: each stimulus then runs alone, under a seed that is made of it. Without this, what gives other
        values when it runs again is refused.

    Raises
    ------
    UsageError
        An audio function without a sample rate, a module without layers.

    Examples
    --------
    >>> import numpy as np
    >>> loudness = wrap(lambda sounds: np.sqrt((sounds**2).mean(1, keepdims=True)), modality="audio",
    ...                 sample_rate=16000, name="loudness")
    >>> loudness.card.id
    'loudness'
    """
    if modality == "audio" and sample_rate is None:
        raise UsageError(
            "wrap(modality='audio') needs sample_rate=, the rate in Hz at which the function takes sounds."
        )
    is_module = hasattr(function, "named_modules") and hasattr(function, "state_dict")
    if is_module and not layers:
        raise UsageError('wrap of a module needs layers=, for example ["layer*"]; named_modules() lists its modules.')
    if preprocess is not None and not is_module:
        raise UsageError("wrap takes preprocess= for torch modules; a function does its own.")
    units = layers if isinstance(layers, Mapping) else {}
    card = ModelCard(
        id=name or getattr(function, "__name__", type(function).__name__),
        object="isocortex.models.wrap:WrappedFunction",
        modality=modality,
        sample_rate=sample_rate,
        layers=tuple(layers or (_SINGLE_LAYER,)),
        package="python",
        random=random,
    )
    if is_module:
        return WrappedModule(card, function, axes, units, preprocess, digest)
    return WrappedFunction(card, function, tuple(axes), units, digest)


class _LoadedFunction(LoadedModel):
    batching = "equal-length"

    def __init__(self, card: ModelCard, function: Function, axes: tuple[str, ...], units: Units) -> None:
        self.layers = list(card.layers)
        self._units = units
        self._card = card
        self._function = function
        self._axes = axes

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        found = self._function(_stacked(self._card, batch))
        outputs: Mapping[str, Any] = found if isinstance(found, Mapping) else {_SINGLE_LAYER: found}
        for layer in layers:
            if layer not in outputs:
                raise PluginError(
                    f"{self._card.id} returned the layers {list(outputs)}; expected {layer!r} among them."
                )
            array = np.asarray(outputs[layer])
            if array.ndim == 1:
                array = array[:, None]
            units = tuple(self._units[layer]) if layer in self._units else None
            axes = ("unit",) if units else self._axes or ("unit",) * (array.ndim - 1)
            emit(layer, LayerOutput(array, axes, units=units))


def _stacked(card: ModelCard, batch: StimulusBatch) -> Array:
    return np.stack([_prepared(card, stimulus) for stimulus in batch])


def _prepared(card: ModelCard, stimulus: Stimulus) -> Array:
    if card.modality != "audio":
        return stimulus.array
    if stimulus.sample_rate != card.sample_rate:
        raise PluginError(
            f"{card.id} takes sounds at {card.sample_rate:g} Hz; found {stimulus.id!r} at {stimulus.sample_rate:g} Hz. "
            "Run it through isocortex.extract or isocortex.score, which resample."
        )
    mono = stimulus.array if stimulus.array.ndim == 1 else stimulus.array.mean(axis=1)
    return np.ascontiguousarray(mono, dtype=np.float32)


def _as_it_is(sounds: Array) -> Array:
    return sounds


def _as_channels(images: Array) -> Array:
    """(n_stimuli, height, width, 3) uint8 → (n_stimuli, 3, height, width) float32 in [0, 1]."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32) / 255
