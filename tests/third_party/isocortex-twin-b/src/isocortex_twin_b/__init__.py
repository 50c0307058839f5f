"""Mean and spread of the values of a stimulus, for stimuli of any modality."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isocortex.data import StimulusBatch
from isocortex.interfaces import Emit, LayerOutput, LoadedModel, ModelPlugin, Variant


class LoadedTwin(LoadedModel):
    """Mean and spread of the values of a stimulus."""

    layers: Sequence[str] = ("values",)

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        """Emit two numbers per stimulus."""
        rows = [[stimulus.array.mean(dtype=np.float64), stimulus.array.std(dtype=np.float64)] for stimulus in batch]
        for layer in layers:
            emit(layer, LayerOutput(np.array(rows, dtype=np.float32), ("unit",)))


class Twin(ModelPlugin):
    """A model that another package offers under the same ID."""

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Make the model."""
        del variant, device
        return LoadedTwin()
