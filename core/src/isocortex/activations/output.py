"""What a layer gives for a batch, and how a model hands it over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
        Names of the axes after the first: "time", "channel", "frequency", "height", "width", "unit", …; "?"
        (``axes.UNKNOWN_AXIS``) for one of which the model does not know what it is.
    lengths
        Valid steps along "time" for each stimulus; None: all steps are valid.
    units
        Names of the units of a layer with the single axis "unit" (class labels, neuroid_id).
    step_ms
        Start and stop of each time step in ms, (n_steps, 2); for responses that go on in time.
    inferred_from
        What the axes were inferred from, where nobody named them; a result whose reduction needs them says so.
    """

    array: Any
    axes: tuple[str, ...]
    lengths: Sequence[int] | None = None
    units: tuple[str, ...] | None = None
    step_ms: Array | None = None
    inferred_from: str | None = None


Emit = Callable[[str, LayerOutput], None]
