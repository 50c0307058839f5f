"""What a model emits for the stimuli of one chunk: checked against what was asked for, and reduced at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from isocortex.activations.axes import needs_names
from isocortex.activations.folder import varying_units
from isocortex.activations.reductions import reduce_output, unit_names
from isocortex.errors import DataError, PluginError, shorten

if TYPE_CHECKING:
    from isocortex.activations.output import LayerOutput
    from isocortex.extraction.chunk_rows import Rows
    from isocortex.extraction.steadiness import Watch

#: layer → names of its units, where they have some
Units = dict[str, tuple[str, ...] | None]


class Collector:
    """Takes what a model emits for one chunk and reduces it at once."""

    def __init__(
        self, ids: Sequence[str], layers: Sequence[str], reduction: str, rows: Rows, watch: Watch | None = None
    ) -> None:
        self.ids, self.reduction, self.rows, self.watch = ids, reduction, rows, watch
        self.expected = tuple(layers)
        self.units: Units = {}
        self.n_units: dict[str, int] = {}
        self.not_finite: dict[str, dict[str, None]] = {}
        #: layers whose axes nobody named, where the reduction needs them
        self.inferred: dict[str, tuple[tuple[str, ...], str]] = {}
        self.seen: set[str] = set()
        self.places: Sequence[int] = ()
        self.first = 0

    def start(self, places: Sequence[int], first: int) -> None:
        """Begin a batch of stimuli of these places in the set; the chunk begins at ``first``."""
        self.places, self.first = places, first
        self.seen = set()

    def emit(self, layer: str, output: LayerOutput) -> None:
        """Reduce one layer's output for the current batch."""
        if layer not in self.expected:
            raise PluginError(
                f"The model emitted the layer {layer!r}, but only {shorten(self.expected)} were asked for."
            )
        if len(output.array) != len(self.places):
            raise PluginError(
                f"Layer {layer!r} gave {len(output.array)} rows for a batch of {len(self.places)} stimuli."
            )
        if 0 in output.array.shape[1:]:
            raise DataError(
                f"Layer {layer!r} has no units, only the shape {tuple(output.array.shape)}: there is nothing to score. "
                "Leave it out with --layers."
            )
        values = reduce_output(output, self.reduction, layer)
        if output.inferred_from is not None and needs_names(self.reduction.split("+")):
            self.inferred[layer] = (output.axes, output.inferred_from)
        if layer not in self.n_units:
            self.n_units[layer] = values.shape[1]
            self.units[layer] = unit_names(output, self.reduction, layer, values.shape[1])
        if values.shape[1] != self.n_units[layer]:
            raise varying_units(layer, values.shape[1], self.n_units[layer])
        if not (finite := np.isfinite(values)).all():
            bad = [self.ids[place] for place, row in zip(self.places, finite, strict=True) if not row.all()]
            self.not_finite.setdefault(layer, {}).update(dict.fromkeys(bad))
        if self.watch is not None:
            self.watch.see(layer, self.places, values, output.array.dtype)
        self.rows.put(layer, [place - self.first for place in self.places], values)
        self.seen.add(layer)

    def finish(self) -> None:
        """End a batch: every layer must have come."""
        absent = [layer for layer in self.expected if layer not in self.seen]
        if absent:
            raise PluginError(f"The model declared but did not emit the layers {shorten(absent)}.")

    def refuse_not_finite(self) -> None:
        """End a chunk: what is NaN or infinite is not stored."""
        for layer, bad in self.not_finite.items():
            raise DataError(
                f"Layer {layer!r} is not finite (NaN or infinite) for {len(bad)} stimuli: {shorten(bad)}. "
                "Check the model's preprocessing; silence and overflow are common causes."
            )
