"""Making a model of the user's own code: a function from waveforms or images to features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.errors import PluginError, UsageError
from isocortex.interfaces import Emit, LayerOutput, LoadedModel, ModelPlugin
from isocortex.manifest import ModelCard, Variant
from isocortex.media import resample

if TYPE_CHECKING:
    from isocortex.stimuli import Stimulus, StimulusBatch

Array = np.ndarray[Any, Any]
Function = Callable[[Array], Any]

_SINGLE_LAYER = "output"


class WrappedFunction(ModelPlugin):
    """A function as a model; made by ``isocortex.wrap``."""

    def __init__(self, card: ModelCard, function: Function, axes: tuple[str, ...], known: str | None) -> None:
        super().__init__(card)
        self._function = function
        self._axes = axes
        self._known = known

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """The function, ready to run."""
        del variant, device
        return _LoadedFunction(self.card, self._function, self._axes)

    def digest(self, variant: Variant) -> str | None:
        """The digest that the user gave; None: computed anew in each run."""
        del variant
        return self._known


def wrap(
    function: Function,
    *,
    modality: str,
    sample_rate: float | None = None,
    axes: Sequence[str] | None = None,
    layers: Sequence[str] | None = None,
    name: str | None = None,
    digest: str | None = None,
) -> WrappedFunction:
    """Make a model of a function, for ``isocortex.score``.

    Parameters
    ----------
    function
        Takes a batch and returns features (n_stimuli, …), or a mapping layer → features. For audio a batch is
        (n_stimuli, n_samples) float32 in [-1, 1), mono, stimuli of equal length together; for images it is
        (n_stimuli, height, width, 3) uint8, images of equal size together.
    modality
        "audio" or "image".
    sample_rate
        Hz; sounds are resampled to it. Required for audio.
    axes
        Names of the axes after the first ("time", "channel", …), so that a benchmark's reduction can find time;
        default: all are units.
    layers
        Names of the layers that a mapping holds; default: the single layer "output".
    name
        Shown in tables; default: the function's name.
    digest
        A text that changes whenever the function does; with it activations and results are kept, without it they are
        computed anew in each run.

    Raises
    ------
    UsageError
        An audio function without a sample rate.

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
    if type(function).__module__.startswith("torch."):
        raise UsageError("wrap takes a function from arrays to arrays; give one that calls the module.")
    card = ModelCard(
        id=name or getattr(function, "__name__", type(function).__name__),
        object="isocortex.wrapping:WrappedFunction",
        modality=modality,
        sample_rate=sample_rate,
        layers=tuple(layers or (_SINGLE_LAYER,)),
        package="python",
    )
    return WrappedFunction(card, function, tuple(axes or ()), digest)


class _LoadedFunction(LoadedModel):
    batching = "equal-length"

    def __init__(self, card: ModelCard, function: Function, axes: tuple[str, ...]) -> None:
        self.layers = list(card.layers)
        self._card = card
        self._function = function
        self._axes = axes

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        found = self._function(np.stack([self._prepared(stimulus) for stimulus in batch]))
        outputs: Mapping[str, Any] = found if isinstance(found, Mapping) else {_SINGLE_LAYER: found}
        for layer in layers:
            if layer not in outputs:
                raise PluginError(
                    f"{self._card.id} returned the layers {list(outputs)}; expected {layer!r} among them."
                )
            array = np.asarray(outputs[layer])
            if array.ndim == 1:
                array = array[:, None]
            emit(layer, LayerOutput(array, self._axes or ("unit",) * (array.ndim - 1)))

    def _prepared(self, stimulus: Stimulus) -> Array:
        if self._card.modality != "audio" or stimulus.sample_rate is None or self._card.sample_rate is None:
            return stimulus.array
        mono = stimulus.array if stimulus.array.ndim == 1 else stimulus.array.mean(axis=1)
        return resample(np.ascontiguousarray(mono, dtype=np.float32), stimulus.sample_rate, self._card.sample_rate)
