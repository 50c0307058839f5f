"""Threshold units: a whole model plugin in one file, to read before writing your own.

A unit of McCulloch & Pitts (1943) fires when enough of its excitatory inputs are on and no inhibitory one is.
Here 256 of them look at 256 bits of a sound or an image through random
connections, which nothing has trained.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from isocortex.data import Stimulus, StimulusBatch
from isocortex.errors import ModalityError
from isocortex.interfaces import Emit, LayerOutput, LoadedModel, ModelPlugin, Variant

GRID = 16  # the inputs are a grid of 16 x 16 bits
N_UNITS = 256
N_EXCITATORY = 16  # inputs that excite a unit
THRESHOLD = 8  # of them must be on
BAND_EDGES_HZ = np.geomspace(50, 8000, GRID + 1)


def sound_bits(stimulus: Stimulus) -> NDArray[np.bool_]:
    """Cut a sound into 16 stretches and 16 bands: on where energy is above the grid's median, (16, 16)."""
    sound = stimulus.array.reshape(len(stimulus.array), -1).mean(axis=1)
    stretches = [np.abs(np.fft.rfft(part)) ** 2 for part in np.array_split(sound, GRID) if part.size]
    energy = np.zeros((GRID, GRID))
    for row, power in enumerate(stretches):
        frequency = np.linspace(0, (stimulus.sample_rate or 0) / 2, power.size)
        energy[row] = np.histogram(frequency, BAND_EDGES_HZ, weights=power)[0]
    return energy > np.median(energy)


def image_bits(stimulus: Stimulus) -> NDArray[np.bool_]:
    """Cut an image into 16 rows and 16 columns: on where it is brighter than on average, (16, 16)."""
    from isocortex_baselines.images import grey, resize

    brightness = resize(grey(stimulus.array), GRID, GRID)
    return brightness > brightness.mean()


INPUTS = {"audio": sound_bits, "image": image_bits}


class Units(LoadedModel):
    """The bank in memory: who listens to which inputs is drawn from the seed."""

    layers: Sequence[str] = ("units",)

    def __init__(self, seed: int) -> None:
        order = np.random.default_rng(seed).random((N_UNITS, GRID * GRID)).argsort(axis=1)
        self.excitatory, self.inhibitory = order[:, :N_EXCITATORY], order[:, N_EXCITATORY]

    def fire(self, bits: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Give the outputs ``[sum of excitatory inputs >= 8 and inhibitory input off]``, shape (256,)."""
        inputs = bits.reshape(-1)  # (256,)
        return (inputs[self.excitatory].sum(axis=1) >= THRESHOLD) & ~inputs[self.inhibitory]

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        """Look at every stimulus of the batch and hand the outputs on."""
        if batch.whole.modality not in INPUTS:
            raise ModalityError(f"threshold-units takes {' or '.join(INPUTS)}, found {batch.whole.modality}.")
        outputs = [self.fire(INPUTS[stimulus.modality](stimulus)) for stimulus in batch]
        for layer in layers:
            emit(layer, LayerOutput(np.array(outputs, dtype=np.float32), axes=("unit",)))


class ThresholdUnits(ModelPlugin):
    """What ``isocortex.toml`` names; made from its row there, and does nothing until it is loaded."""

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Draw the bank; there are no weights to read, and it runs on the CPU."""
        del device
        return Units(seed=variant.seed or 0)
