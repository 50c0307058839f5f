"""A model: level of a sound in octave bands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from isocortex.data import StimulusBatch
from isocortex.interfaces import Emit, LayerOutput, LoadedModel, ModelPlugin, Variant

OCTAVES_HZ = 62.5 * 2.0 ** np.arange(9)
FLOOR = 1e-8


def band_levels(sound: NDArray[np.float32], sample_rate: float, edges_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the level in dB of a sound between neighbouring edges, shape (n_edges - 1,)."""
    mono = sound.reshape(len(sound), -1).mean(axis=1, dtype=np.float64)  # (n_samples,)
    power = np.abs(np.fft.rfft(mono)) ** 2 / len(mono)
    frequency_hz = np.fft.rfftfreq(len(mono), 1 / sample_rate)
    return 10 * np.log10(np.histogram(frequency_hz, edges_hz, weights=power)[0] + FLOOR)


def centroid(level: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the band at which the levels above the floor balance, shape (1,)."""
    weights = level - 10 * np.log10(FLOOR)
    return np.array([np.arange(len(level)) @ weights / max(weights.sum(), FLOOR)])


class LoadedBands(LoadedModel):
    """Octave bands between given edges."""

    layers: Sequence[str] = ("bands.level", "bands.centroid")

    def __init__(self, edges_hz: NDArray[np.float64]) -> None:
        self.edges_hz = edges_hz

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        """Emit levels (n_stimuli, n_bands) in dB, and the centroid (n_stimuli, 1) in bands."""
        levels = [band_levels(sound.array, sound.sample_rate or 16000.0, self.edges_hz) for sound in batch]
        outputs = {"bands.level": levels, "bands.centroid": [centroid(level) for level in levels]}
        for layer in layers:
            emit(layer, LayerOutput(np.array(outputs[layer], dtype=np.float32), ("unit",)))


class Bands(ModelPlugin):
    """Octave bands ("fixed"), or bands whose edges are drawn by a seed ("random")."""

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Make the model; it has no weights and runs on the CPU."""
        del device
        if variant.kind == "fixed":
            return LoadedBands(OCTAVES_HZ)
        exponents = np.random.default_rng(variant.seed).uniform(0, 8, len(OCTAVES_HZ) - 2)
        return LoadedBands(62.5 * 2.0 ** np.sort([0.0, *exponents, 8.0]))
