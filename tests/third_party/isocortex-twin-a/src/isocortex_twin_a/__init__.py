"""Quantiles of the values of a stimulus, for stimuli of any modality."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isocortex.data import StimulusBatch
from isocortex.interfaces import Emit, LayerOutput, LoadedModel, ModelPlugin, Variant


class LoadedTwin(LoadedModel):
    """Quantiles of the values of a stimulus."""

    layers: Sequence[str] = ("values",)

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        """Emit five numbers per stimulus."""
        rows = [np.quantile(stimulus.array, [0.05, 0.25, 0.5, 0.75, 0.95]) for stimulus in batch]
        for layer in layers:
            emit(layer, LayerOutput(np.array(rows, dtype=np.float32), ("unit",)))


class Twin(ModelPlugin):
    """A model that another package offers under the same ID."""

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Make the model."""
        del variant, device
        return LoadedTwin()
