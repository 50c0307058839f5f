"""Making a model of the user's own code: a function from waveforms or images to features, or a torch module."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.activations.axes import UNKNOWN_AXIS
from isocortex.activations.layer_names import match_layers
from isocortex.activations.output import Emit, LayerOutput
from isocortex.catalogue.cards import DESCRIBES, ModelCard, Variant
from isocortex.errors import LayerError, PluginError, shorten
from isocortex.files.digests import digest_of
from isocortex.interfaces import LoadedModel, ModelPlugin
from isocortex.models.content import digest_content
from isocortex.models.function_output import blamed, features_of
from isocortex.models.module_copy import copy_of_module, plain_name, said_of_training, unwrapped
from isocortex.models.wrapped_card import (
    SINGLE_LAYER,
    Axes,
    Layers,
    Units,
    is_module,
    named_axes,
    named_units,
    wrapped_card,
)
from isocortex.typing import Array

if TYPE_CHECKING:
    from isocortex.data.stimuli import Stimulus, StimulusBatch

Function = Callable[[Array], Any]


class Wrapped(ModelPlugin):
    """The user's own code as a model; made by ``isocortex.wrap``."""

    def __init__(self, card: ModelCard, computes: Any, axes: Axes, units: Units, known_as: str | None) -> None:
        super().__init__(card)
        self._computes = computes
        self._axes = axes
        self._units = units
        self._known_as = known_as
        self._of_run: list[str | None] | None = None

    def digest(self, variant: Variant) -> str | None:
        """Digest over code, what it refers to, weights, layers, axes and name; None where something cannot be read."""
        if self._of_run is None:
            return self._digest(variant)
        if not self._of_run:
            self._of_run.append(self._digest(variant))
        return self._of_run[0]

    def for_one_run(self) -> Wrapped:
        """The same model, of which code and weights are read once: until a run ends they do not change."""
        same = copy.copy(self)
        same._of_run = []
        return same

    def _digest(self, variant: Variant) -> str | None:
        content = digest_content(self._content(), known_as=self._known_as)
        card = self.card.model_dump(mode="json", exclude=set(DESCRIBES))
        axes = dict(self._axes) if isinstance(self._axes, Mapping) else {"**": self._axes}
        asked = [str(variant), card, list(axes.items()), [[layer, list(names)] for layer, names in self._units.items()]]
        return None if content is None else digest_of([content, *asked])

    def _content(self) -> Any:
        return self._computes


class WrappedFunction(Wrapped):
    """A function as a model; made by ``isocortex.wrap``."""

    def changed_by_running(self) -> bool:
        """Whether the function holds something else now than when this run began, such as a number of its calls."""
        return bool(self._of_run) and self._digest(Variant.parse("fixed")) != self._of_run[0]

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """The function, ready to run."""
        del variant, device
        return _LoadedFunction(self.card, self._computes, self._axes, self._units)


class WrappedModule(Wrapped):
    """A torch module as a model; made by ``isocortex.wrap``. What runs is a copy: the user's module stays as it is."""

    accelerated = True

    def __init__(
        self, card: ModelCard, module: Any, axes: Axes, units: Units, preprocess: Function | None, known_as: str | None
    ) -> None:
        super().__init__(card, module, axes, units, known_as)
        self._preprocess = preprocess or (_as_channels if card.modality == "image" else _as_it_is)

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """A copy of the module on the device, in evaluation mode and in its own precision."""
        from isocortex.models.torch_model import TorchRecipe
        from isocortex.models.wrapped_module import LoadedModule

        def plain(name: str) -> str:
            return plain_name(self._computes, name)

        axes = self._axes if isinstance(self._axes, Mapping) else {"**": self._axes} if self._axes else {}
        units = {plain(layer): names for layer, names in self._units.items()}
        recipe = TorchRecipe(
            build=lambda: copy_of_module(self._computes, self.card.id),
            preprocess=lambda batch: self._preprocess(_stacked(self.card, batch)),
            layers=[plain(layer) for layer in self.card.layers],
            axes={**dict.fromkeys(units, ("unit",)), **{plain(layer): names for layer, names in axes.items()}},
            units=units,
            modality=self.card.modality,
        )
        loaded = LoadedModule(recipe, variant, device=device, name=self.card.id, plain=plain)
        loaded.say(said_of_training(unwrapped(self._computes), self.card.id))
        return loaded

    def _content(self) -> Any:
        return (unwrapped(self._computes), self._preprocess)


def wrap(
    function: Function | Any,
    *,
    modality: str,
    sample_rate: float | None = None,
    axes: Axes = (),
    layers: Layers = None,
    preprocess: Function | None = None,
    name: str | None = None,
    digest: str | None = None,
    random: bool = False,
) -> ModelPlugin:
    """Make a model of a function or a torch module, for ``isocortex.score``.

    Activations and results are found again as long as nothing changes that decides them: code and what it closes over,
    the globals that it reads, defaults, the object that it is bound to, weights and all else that a module holds, and
    the arguments below. Where something of it cannot be read (an open session, a file that the code reads), everything
    is computed anew in each run.

    Parameters
    ----------
    function
        A torch module, or a function that takes a batch and returns features (n_stimuli, …), or a mapping layer →
        features. For audio a batch is (n_stimuli, n_samples) float32 in [-1, 1), mono, stimuli of equal length
        together; for images it is (n_stimuli, height, width, 3) uint8, images of equal size together. Of a module a
        copy runs, in evaluation mode and in its own precision; the module itself stays as it is.
    modality
        "audio" or "image".
    sample_rate
        Hz; sounds are resampled to it with soxr, channels are averaged then. Required for audio.
    axes
        Names of the axes after the first ("time", "channel", "height", …), for all layers, or layer or pattern → names.
        One axis holds units unless it is named. Of a module whose kind says what its axes are they are inferred, which
        the result says; other axes stay without a name, and a reduction that needs one is refused with the question.
    layers
        Names of the layers that a mapping holds; default: the single layer "output". Of a module: names of its modules,
        or patterns over them (``*`` stays inside one dotted segment); required. A mapping layer → names of its units
        (labels, neuroid_id) names them for metrics that compare units by name; each layer then has the one axis "unit".
    preprocess
        For a module: from a batch as above to its input. Default: sounds as they are, images as (n_stimuli, 3, height,
        width) in [0, 1].
    name
        Shown in tables; default: the function's name. Two models that are scored together need two names.
    digest
        A text that changes whenever the function or the module does; with it activations and results are kept also
        where something cannot be read. Arrays, weights and containers are not looked at then, code is.
    random
        It draws numbers: each stimulus then runs alone, under a seed that is made of it. Without this, what gives other
        values when it runs again is refused.

    Raises
    ------
    UsageError
        An argument that cannot be meant: an audio function without a sample rate, a module without layers, axes that
        are misspelled, and so on.

    Examples
    --------
    >>> import numpy as np
    >>> loudness = wrap(lambda sounds: np.sqrt((sounds**2).mean(1, keepdims=True)), modality="audio",
    ...                 sample_rate=16000, name="loudness")
    >>> loudness.card.id
    'loudness'
    """
    card = wrapped_card(
        function, modality, sample_rate, layers, name=name, random=random, preprocess=preprocess, digest=digest
    )
    units, axes = named_units(layers), named_axes(axes)
    if is_module(function):
        return WrappedModule(card, function, axes, units, preprocess, digest)
    if isinstance(axes, Mapping):
        absent = [pattern for pattern in axes if not match_layers(pattern, card.layers)]
        if absent:
            raise LayerError(f"axes= names {shorten(absent)}, but the layers are {shorten(card.layers)}.")
    return WrappedFunction(card, function, axes, units, digest)


class _LoadedFunction(LoadedModel):
    batching = "equal-length"

    def __init__(self, card: ModelCard, function: Function, axes: Axes, units: Units) -> None:
        self.layers = list(card.layers)
        self._units = units
        self._card = card
        self._function = function
        self._axes = axes

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        given = _stacked(self._card, batch)
        with blamed(self._card.id):
            found = self._function(given)
        outputs: Mapping[Any, Any] = found if isinstance(found, Mapping) else {SINGLE_LAYER: found}
        for layer in layers:
            if layer not in outputs:
                raise PluginError(
                    f"{self._card.id} returned the layers {list(outputs)}; expected {layer!r} among them."
                )
            with blamed(self._card.id):
                array = features_of(outputs[layer], layer, self._card.id)
            units = tuple(self._units[layer]) if layer in self._units else None
            emit(layer, LayerOutput(array, self._axes_of(layer, array.ndim - 1), units=units))

    def _axes_of(self, layer: str, n_axes: int) -> tuple[str, ...]:
        if layer in self._units:
            return ("unit",)
        if isinstance(self._axes, Mapping):
            named = next((names for pattern, names in self._axes.items() if match_layers(pattern, [layer])), ())
        else:
            named = self._axes
        return tuple(named) or (("unit",) if n_axes == 1 else (UNKNOWN_AXIS,) * n_axes)


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
