"""``data-driven-cnn``: a network from pictures to firing rates that learns from the recording itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from isocortex.interfaces import LoadedModel, TrainableModel, Variant
from isocortex.models import TorchModel, TorchRecipe
from isocortex.training import Fitted
from isocortex_trainable.neural.grid_search import Grid, search
from isocortex_trainable.neural.pictures import pictures, said_of_size, side_of
from isocortex_trainable.neural.rate_learner import RateLearner, arrays_of, as_state, as_tensor, rates_of
from isocortex_trainable.neural.rate_network import Architecture, rate_network, stages_of

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.data import StimulusSet
    from isocortex.training import Journal

#: largest side of pictures, where a row names none
SIDE = 64


class DataDrivenCNN(TrainableModel):
    """Convolutions and a linear readout with one output for each neuroid, named after it.

    ``options`` of the row: ``side``, the largest side of its pictures in pixels; ``architecture`` and ``grid``, as
    ``Architecture`` and ``Grid`` have them.
    """

    accelerated = True

    @property
    def architecture(self) -> Architecture:
        """What the network is made of."""
        return Architecture.model_validate(self.card.options.get("architecture", {}))

    @property
    def grid(self) -> Grid:
        """What is tried inside the training part."""
        return Grid.model_validate(self.card.options.get("grid", {}))

    def fit(self, stimuli: StimulusSet, responses: xr.DataArray, *, seed: int, device: str, journal: Journal) -> Fitted:
        """Learn the responses to the training pictures; rate, decay and epoch are chosen among them.

        Memory: the training pictures in 8 bits, the network with what the optimiser remembers, one batch.

        Raises
        ------
        DataError
            Every point of the grid diverged, or pictures that are none.
        """
        side = side_of(stimuli, int(self.card.options.get("side", SIDE)))
        images = pictures(stimuli, side)
        learner = RateLearner(self.architecture, images, rates_of(stimuli, responses))
        found = search(learner, self.grid, stimuli.contents, seed=seed, device=device, journal=journal)
        settings = {
            "architecture": self.architecture.model_dump(),
            "side": side,
            "neuroid_ids": [str(name) for name in responses["neuroid_id"].values],
            "seed": seed,
            "grid": self.grid.model_dump(),
            "chosen": found.chosen,
            "tried": found.tried,
        }
        return Fitted(arrays_of(found.network), settings, found.curves)

    def open(self, fitted: Fitted, *, device: str) -> LoadedModel:
        """The network that was fitted; its layer ``output`` is in the units of the recording."""
        settings = fitted.settings
        architecture, side = Architecture.model_validate(settings["architecture"]), int(settings["side"])
        names = list(settings["neuroid_ids"])
        recipe = TorchRecipe(
            build=lambda: rate_network(architecture, side, len(names)),
            preprocess=lambda batch: as_tensor(pictures(batch, side)),
            layers=("output",),
            axes={"stage*": ("channel", "height", "width"), "output": ("unit",)},
            units={"output": names},
            weights=as_state(fitted.tensors),
            batching="any",
        )
        return TorchModel(recipe, Variant(kind="pretrained"), device=device)

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Open a fit (``file:FOLDER``), or an untrained network (``random:SEED``), which has stages and no outputs."""
        if variant.kind != "random":
            return super().load(variant, device=device)
        side = int(self.card.options.get("side", SIDE))
        recipe = TorchRecipe(
            build=lambda: rate_network(self.architecture, side, None),
            preprocess=lambda batch: as_tensor(pictures(batch, side)),
            layers=stages_of(self.architecture),
            axes={"stage*": ("channel", "height", "width")},
            batching="any",
        )
        return TorchModel(recipe, variant, device=device)

    def fits(self, stimuli: StimulusSet, reduction: str) -> Sequence[str]:
        """Say so where pictures are brought to another size."""
        del reduction
        most = int(self.card.options.get("side", SIDE))
        said = said_of_size(stimuli, side_of(stimuli, most))
        return [] if said is None else [said]
