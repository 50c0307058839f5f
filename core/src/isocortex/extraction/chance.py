"""Models that draw numbers while they run: each stimulus is run under a seed that is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from isocortex.activations.output import Emit
from isocortex.data.stimuli import StimulusBatch
from isocortex.files.digests import digest_array, digest_of
from isocortex.interfaces import LoadedModel
from isocortex.models.variants import forked_seed

if TYPE_CHECKING:
    from isocortex.catalogue.cards import ModelCard, Variant
    from isocortex.data.stimuli import Stimulus


class Seeded(LoadedModel):
    """A model whose row says ``random = true``: one stimulus at a time, each under its own seed.

    The generators of Python, numpy and torch are seeded before a stimulus runs, and put back afterwards. The seed
    depends on the stimulus as the model gets it and on the variant's seed, so that neither order nor batches matter.
    """

    batching = "single"

    def __init__(self, model: LoadedModel, seed: int) -> None:
        self.model, self.seed = model, seed
        self.layers = model.layers
        self.device, self.dtype = getattr(model, "device", "cpu"), getattr(model, "dtype", "float32")

    @property
    def warnings(self) -> Sequence[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What the model says of itself."""
        return self.model.warnings

    def find(self, pattern: str) -> Sequence[str]:
        """As the model finds them."""
        return self.model.find(pattern)

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        """Run one stimulus under its seed."""
        [stimulus] = batch
        with forked_seed(seed_of(stimulus, self.seed)):
            self.model.run(batch, layers, emit)

    def close(self) -> None:
        """Free the model's memory."""
        self.model.close()


def seed_of(stimulus: Stimulus, seed: int) -> int:
    """A seed, below 2^32, of what a stimulus holds and of another seed.

    Examples
    --------
    >>> import numpy as np
    >>> from isocortex.data.stimuli import Stimulus
    >>> sound = np.zeros(3, dtype=np.float32)
    >>> seed_of(Stimulus("a", "audio", sound, 8000.0), 0) == seed_of(Stimulus("b", "audio", sound, 8000.0), 0)
    True
    """
    return int(digest_of([digest_array(stimulus.array), stimulus.sample_rate, seed])[:8], 16)


def seeded(model: LoadedModel, card: ModelCard, variant: Variant) -> LoadedModel:
    """The model, under seeds where its card says that it is random."""
    return Seeded(model, variant.seed or 0) if card.random else model
