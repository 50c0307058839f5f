"""Features as a thesis made them: every layer flattened over time, with the length of the sound appended as a unit.

Its features of a sound were 128 × 201 + 1 numbers: the length that a network returns beside its values went in as one
more feature. The models of this module do the same, for ``isocortex reproduce thesis`` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import isocortex
from isocortex.interfaces import Emit, LayerOutput, LoadedModel, ModelCard, ModelPlugin, Variant, digest_plugin

if TYPE_CHECKING:
    from isocortex.data import StimulusBatch
    from isocortex.typing import Array

#: behind the ID of the model whose layers these are
ENDING = "+length"


class WithLength(ModelPlugin):
    """Another model, each of whose layers is flattened and has the valid length of the sound as its last unit.

    Parameters
    ----------
    name
        ``ID@variant`` of that model.
    """

    accelerated = True

    def __init__(self, name: str) -> None:
        card = isocortex.load_card("model", name.partition("@")[0])
        assert isinstance(card, ModelCard)
        spelled = name.replace("@", ".").replace(":", "-")  # an ID holds no variant
        own = {
            "id": f"{spelled}{ENDING}",
            "object": "isocortex_nh2015.thesis_features:WithLength",
            "variants": ("fixed",),
        }
        super().__init__(card.model_copy(update=own))
        self.name = name

    def digest(self, variant: Variant) -> str | None:
        """Digest over that of the other model and this module."""
        of_other = isocortex.model_digest(self.name)
        return None if of_other is None else digest_plugin(self, str(variant), of_other)

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Load the other model."""
        del variant
        return _Flattened(isocortex.load_model(self.name, device=device))


class _Flattened(LoadedModel):
    """A loaded model whose layers are flattened, with the length appended."""

    def __init__(self, other: LoadedModel) -> None:
        self.other = other
        self.layers = other.layers
        self.batching = other.batching

    @property
    def warnings(self) -> Sequence[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What the other model says."""
        return self.other.warnings

    def find(self, pattern: str) -> Sequence[str]:
        """Layers of the other model."""
        return self.other.find(pattern)

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        """Run the other model and append lengths."""
        self.other.run(batch, layers, lambda layer, output: emit(layer, with_lengths(output)))

    def close(self) -> None:
        """Free the memory of the other model."""
        self.other.close()


def with_lengths(output: LayerOutput) -> LayerOutput:
    """A layer's output as units, the number of valid steps along "time" behind them; without time as it is.

    Examples
    --------
    >>> output = LayerOutput(np.arange(6.0).reshape(1, 2, 3), ("channel", "time"), lengths=[2])
    >>> with_lengths(output).array.tolist()
    [[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 2.0]]
    """
    if "time" not in output.axes:
        return output
    values = _numpy(output.array)
    n_steps = values.shape[1 + output.axes.index("time")]
    lengths = np.full(len(values), n_steps) if output.lengths is None else np.asarray(output.lengths)
    flat = np.concatenate([values.reshape(len(values), -1), lengths[:, None]], axis=1)
    return LayerOutput(flat.astype(values.dtype), ("unit",))


def _numpy(values: Any) -> Array:
    return values.detach().cpu().float().numpy() if hasattr(values, "detach") else np.asarray(values)


def with_length(name: str) -> ModelPlugin:
    """The model of this name, ``ID[@variant]``, with lengths among its features."""
    return WithLength(name)
