"""What a layer gives for a batch, and how a model hands it over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from isocortex.typing import Array


@dataclass(frozen=True, slots=True)
class LayerOutput:
    """What one layer gives for a batch.

    Attributes
    ----------
    array
        (n_stimuli, …), numpy or torch.
    axes
        Names of the axes after the first: "time", "channel", "frequency", "height", "width", "unit", …
    lengths
        Valid steps along "time" for each stimulus; None: all steps are valid.
    units
        Names of the units of a layer with the single axis "unit" (class labels, neuroid_id).
    step_ms
        Start and stop of each time step in ms, (n_steps, 2); for responses that go on in time.
    dtype
        What its units are kept in: "float32", or "float64" for values whose digits that would lose, such as those
        with a large offset. A layer has the same for all batches.
    """

    array: Any
    axes: tuple[str, ...]
    lengths: Sequence[int] | None = None
    units: tuple[str, ...] | None = None
    step_ms: Array | None = None
    dtype: Literal["float32", "float64"] = "float32"


Emit = Callable[[str, LayerOutput], None]
