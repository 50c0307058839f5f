"""The baselines as model plugins: thin adapters from stimuli to the functions of this package."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from isocortex.data import Stimulus, StimulusBatch
from isocortex.errors import DataError, UnknownIDError
from isocortex.interfaces import Emit, LayerOutput, LoadedModel, ModelPlugin, Variant

MAX_NOISE_LAYERS = 10_000
"""Most layers that ``noise/N`` may have."""

LayerFunction = Callable[[Stimulus], NDArray[np.float64]]


class StimulusFunctions(LoadedModel):
    """A model whose layers are functions of one stimulus, each giving arrays of one shape.

    Parameters
    ----------
    functions
        Layer to function, in processing order.
    axes
        Names of the axes of what the functions give.
    """

    def __init__(self, functions: Mapping[str, LayerFunction], axes: tuple[str, ...]) -> None:
        self.functions = dict(functions)
        self.layers: Sequence[str] = tuple(functions)
        self.axes = axes

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        """Compute the layers for each stimulus by itself, in double precision, and emit them as float32.

        Raises
        ------
        DataError
            If a stimulus cannot be used; the message names it.
        """
        rows: dict[str, list[NDArray[np.float32]]] = {layer: [] for layer in layers}
        for stimulus in batch:
            for layer in layers:
                try:
                    rows[layer].append(self.functions[layer](stimulus).astype(np.float32))
                except DataError as error:
                    raise DataError(f"Stimulus {stimulus.id!r}: {error}") from error
        for layer in layers:
            emit(layer, LayerOutput(np.stack(rows[layer]), self.axes))


class FixedModel(ModelPlugin):
    """A model without weights: there is one variant, and it runs on the CPU."""

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Make the model."""
        del variant, device
        return self.build()

    @abstractmethod
    def build(self) -> LoadedModel:
        """Make the model."""


class Pixels(FixedModel):
    """Colours of an image at 64 x 64 pixels, or at ``options.size``; as networks get them if ``normalise`` is set."""

    def build(self) -> LoadedModel:
        """Make the model."""
        from isocortex_baselines.pixels import SIZE, normalised, pixels

        size, normalise = int(self.card.options.get("size", SIZE)), bool(self.card.options.get("normalise", False))

        def colours(stimulus: Stimulus) -> NDArray[np.float64]:
            found = pixels(stimulus.array, size)
            return normalised(found) if normalise else found

        functions: dict[str, LayerFunction] = {"pixels": colours}
        return StimulusFunctions(functions, ("channel", "height", "width"))


class GaborPyramid(FixedModel):
    """Gabor energy of an image at four sizes, a layer each."""

    def build(self) -> LoadedModel:
        """Make the model."""
        from isocortex_baselines.gabor import SIGMAS, gabor_energy, prepare_image

        def energy_at(sigma: int) -> LayerFunction:
            return lambda stimulus: gabor_energy(prepare_image(stimulus.array), sigma)

        layers = {f"sigma.{sigma}": energy_at(sigma) for sigma in SIGMAS}
        return StimulusFunctions(layers, ("orientation", "height", "width"))


def _cochcnn9(stimulus: Stimulus) -> NDArray[np.float64]:
    """Give the cochleagram (211, 390) of CochCNN9 for a sound as it was read from its file."""
    from isocortex_baselines.cochleagram import cochleagram_cochcnn9
    from isocortex_baselines.sounds import prepare_cochcnn9

    return cochleagram_cochcnn9(prepare_cochcnn9(stimulus.array, _rate(stimulus)))


def _kell2018(stimulus: Stimulus) -> NDArray[np.float64]:
    """Give the cochleagram (211, 400) of Kell et al. (2018) for a sound as it was read from its file."""
    from isocortex_baselines.cochleagram import cochleagram_kell2018
    from isocortex_baselines.sounds import prepare_kell2018

    return cochleagram_kell2018(prepare_kell2018(stimulus.array, _rate(stimulus)))


def _rate(stimulus: Stimulus) -> float:
    """Give the sampling rate of a sound in Hz."""
    if stimulus.sample_rate is None:
        raise DataError("Expected a sound with its sampling rate in Hz, found none. Set sample_rate.")
    return stimulus.sample_rate


class CochCNN9Cochleagram(FixedModel):
    """The cochleagram that CochCNN9 and CochResNet50 take as input."""

    def build(self) -> LoadedModel:
        """Make the model."""
        return StimulusFunctions({"cochleagram": _cochcnn9}, ("frequency", "time"))


class Kell2018Cochleagram(FixedModel):
    """The cochleagram of Kell et al. (2018), before it is rescaled and resized."""

    def build(self) -> LoadedModel:
        """Make the model."""
        return StimulusFunctions({"cochleagram": _kell2018}, ("frequency", "time"))


class SpectroTemporal(FixedModel):
    """Power of the cochleagram in filters for rate, scale and direction of sweeps, averaged over time."""

    def build(self) -> LoadedModel:
        """Make the model."""
        from isocortex_baselines.spectrotemporal import spectrotemporal

        layers = {"avgpool": lambda stimulus: spectrotemporal(_cochcnn9(stimulus))}
        return StimulusFunctions(layers, ("filter", "frequency"))


class SpectroTemporalSqrt(FixedModel):
    """The square root of `SpectroTemporal`."""

    def build(self) -> LoadedModel:
        """Make the model."""
        from isocortex_baselines.spectrotemporal import spectrotemporal_sqrt

        layers = {"avgpool": lambda stimulus: spectrotemporal_sqrt(_cochcnn9(stimulus))}
        return StimulusFunctions(layers, ("filter", "frequency"))


class LogMel(FixedModel):
    """The log-mel spectrogram that speech recognisers are given."""

    def build(self) -> LoadedModel:
        """Make the model."""
        return LoadedLogMel()


class LoadedLogMel(LoadedModel):
    """Log power in mel bands, as many steps as a sound has."""

    layers: Sequence[str] = ("log_mel",)

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        """Compute each sound by itself, in double precision, and emit (n_sounds, n_steps, 80) as float32.

        Raises
        ------
        DataError
            If a sound cannot be used; the message names it.
        """
        from isocortex_baselines.log_mel import RATE, log_mel

        found: list[NDArray[np.float32]] = []
        for stimulus in batch:
            try:
                if _rate(stimulus) != RATE:
                    raise DataError(f"Expected {RATE} Hz, found {stimulus.sample_rate}.")
                sound = stimulus.array.mean(axis=1) if stimulus.array.ndim == 2 else stimulus.array
                found.append(log_mel(sound).astype(np.float32))
            except DataError as error:
                raise DataError(f"Stimulus {stimulus.id!r}: {error}") from error
        lengths = [len(steps) for steps in found]
        padded = np.zeros((len(found), max(lengths), found[0].shape[1]), dtype=np.float32)
        for row, steps in zip(padded, found, strict=True):
            row[: len(steps)] = steps
        for layer in layers:
            emit(layer, LayerOutput(padded, ("time", "frequency"), lengths=lengths))


class LoadedCategory(LoadedModel):
    """One-hot labels; the categories are those of the whole stimulus set, sorted."""

    layers: Sequence[str] = ("category",)

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        """Look the labels up in the stimulus table.

        Raises
        ------
        DataError
            If the table has no column 'category', or a stimulus has no label.
        """
        from isocortex_baselines.category import one_hot

        table = batch.whole.table
        if "category" not in table.columns or bool(table["category"].isna().any()):
            found = ", ".join(map(str, table.columns)) or "no column"
            raise DataError(
                f"The model 'category' needs a label for every stimulus of {batch.whole.id!r} in the column "
                f"'category' of its table; found {found}, or labels missing. Leave the model out or add the labels."
            )
        categories = sorted({str(label) for label in table["category"]})
        coded = one_hot(list(batch.table["category"]), categories).astype(np.float32)
        for layer in layers:
            emit(layer, LayerOutput(coded, ("unit",), units=tuple(categories)))


class Category(FixedModel):
    """What the labels of a data set explain without hearing or seeing the stimuli."""

    def build(self) -> LoadedModel:
        """Make the model."""
        return LoadedCategory()


class LoadedNoise(LoadedModel):
    """Standard normal features that depend on seed, layer and stimulus ID alone.

    Parameters
    ----------
    seed
        Seed of the features.
    n_layers
        Number of layers.
    n_units
        Units per layer.
    """

    def __init__(self, seed: int, n_layers: int, n_units: int) -> None:
        from isocortex_baselines.noise import layer_names

        self.seed, self.n_units = seed, n_units
        self.layers: Sequence[str] = layer_names(n_layers)

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        """Draw the features of the batch's stimuli, layer by layer; no stimulus is read."""
        from isocortex_baselines.noise import noise_features

        for layer in layers:
            rows = [noise_features(self.seed, layer, name, self.n_units) for name in batch.ids]
            emit(layer, LayerOutput(np.array(rows, dtype=np.float32), ("unit",)))


class Noise(ModelPlugin):
    """Random features, any number of layers: ``noise`` has one, ``noise/43`` has 43."""

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Make the model for the seed of the variant.

        Raises
        ------
        UnknownIDError
            If what follows ``noise/`` is no number of layers.
        """
        del device
        count = self.card.id.partition("/")[2] if self.card.family else "1"
        if not (count.isascii() and count.isdigit() and 1 <= int(count) <= MAX_NOISE_LAYERS):
            raise UnknownIDError(
                f"Expected noise/N with N layers, 1 to {MAX_NOISE_LAYERS}, found {self.card.id!r}. "
                "Ask for noise/43, for example."
            )
        return LoadedNoise(variant.seed or 0, int(count), int(self.card.options.get("n_units", 128)))
