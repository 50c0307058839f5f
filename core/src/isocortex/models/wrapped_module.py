"""A user's torch module in memory: it runs as a plugin's does, and what goes wrong in it is one sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from isocortex.errors import LayerError, shorten
from isocortex.models.function_output import blamed
from isocortex.models.torch_model import TorchModel, TorchRecipe

if TYPE_CHECKING:
    from isocortex.activations.output import Emit
    from isocortex.catalogue.cards import Variant
    from isocortex.data.stimuli import StimulusBatch


class LoadedModule(TorchModel):
    """A copy of a user's module, in its own precision.

    Parameters
    ----------
    recipe, variant, device
        As of ``TorchModel``.
    name
        What the user calls it.
    plain
        Name of a layer as the user's module spells it → its name in the copy.

    Raises
    ------
    UsageError, PluginError
        It cannot be copied or put on the device, or has no such layer.
    """

    def __init__(
        self, recipe: TorchRecipe, variant: Variant, *, device: str, name: str, plain: Callable[[str], str]
    ) -> None:
        self._name, self._plain = name, plain
        with blamed(name):
            super().__init__(recipe, variant, device=device, dtype=None)
        absent = [pattern for pattern in recipe.axes if pattern != "**" and not self.find(pattern)]
        if absent:
            raise LayerError(f"axes= names {shorten(absent)}, which are no modules of {name}.")

    def find(self, pattern: str) -> Sequence[str]:
        """Modules that match, in the spelling of the user's module or of the copy."""
        return super().find(self._plain(pattern))

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        """Run a batch; an error in the module is one sentence that says where."""
        with blamed(self._name):
            super().run(batch, layers, emit)
