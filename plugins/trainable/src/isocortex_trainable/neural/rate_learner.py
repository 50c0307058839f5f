"""How rates are learned from pictures, as ``grid_search`` asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.data import averaged, stimulus_order
from isocortex.errors import DataError
from isocortex_trainable.learning.determinism import seeded_order
from isocortex_trainable.learning.epochs import Loss, Training, moved
from isocortex_trainable.learning.optimisers import optimiser
from isocortex_trainable.learning.rates import cosine
from isocortex_trainable.neural.pictures import blocks, channel_statistics
from isocortex_trainable.neural.rate_network import (
    Architecture,
    mean_correlation,
    rate_network,
    set_scale,
    standardised,
)

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from isocortex.data import StimulusSet
    from isocortex.typing import Array
    from isocortex_trainable.neural.grid_search import Grid

#: pictures that run at a time outside of training
_BLOCK = 256


class RateLearner:
    """How rates are learned from pictures: mean squared error of standardised rates, AdamW along half a cosine.

    Parameters
    ----------
    architecture
        Of the network.
    images
        (n_stimuli, 3, side, side) uint8.
    rates
        (n_stimuli, n_neuroids).
    """

    def __init__(self, architecture: Architecture, images: NDArray[np.uint8], rates: Array) -> None:
        self.architecture, self.images, self.rates = architecture, images, rates

    def build(self, rows: Array) -> nn.Module:
        """A network that has not learned yet, scaled for these training stimuli."""
        side = self.images.shape[-1]
        colours = channel_statistics(self.images[rows])
        network = rate_network(self.architecture, side, self.rates.shape[1], colours)
        _, mean, deviation = standardised(self.rates[rows])
        set_scale(network.output, mean, deviation)
        return network

    def targets(self, rows: Array) -> tuple[Array, ...]:
        """What the loss is told of these training stimuli, an array for each thing: standardised rates."""
        return (standardised(self.rates[rows])[0],)

    def loss(self, point: Mapping[str, float]) -> Loss:
        """Mean squared error over stimuli and neuroids."""
        del point
        return lambda output, wanted: ((output - wanted[0]) ** 2).mean()

    def rates_in(self, output: Any) -> Tensor:
        """The rates in what the network gives."""
        return output

    def training(self, rows: Array, point: Mapping[str, float], grid: Grid, *, seed: int, device: str) -> Training:
        """How it learns from these training stimuli at a point of the grid."""
        targets = self.targets(rows)

        def batches(epoch: int, seed: int) -> Iterator[tuple[Tensor, tuple[Tensor, ...]]]:
            order = seeded_order(len(rows), seed, epoch)
            for block in blocks(len(rows), grid.batch):
                chosen = order[block]
                if len(chosen) > 1:  # batch normalisation needs two
                    yield as_tensor(self.images[rows[chosen]]), tuple(as_tensor(one[chosen]) for one in targets)

        return Training(
            batches=batches,
            loss=self.loss(point),
            optimiser=optimiser("adamw", weight_decay=point["decay"]),
            rate=cosine(point["rate"], grid.n_epochs),
            n_epochs=grid.n_epochs,
            seed=seed,
            device=device,
        )

    def score(self, network: nn.Module, rows: Array) -> float:
        """Mean over neuroids of the correlation of predicted and measured rates."""
        return mean_correlation(self.predicted(network, rows), self.rates[rows])

    def predicted(self, network: nn.Module, rows: Array) -> Array:
        """Rates that a network in evaluation mode gives, (n_rows, n_neuroids) float64."""
        device = str(next(network.parameters()).device)
        given = [
            self.rates_in(network(moved(as_tensor(self.images[rows[block]]), device)))
            for block in blocks(len(rows), _BLOCK)
        ]
        return np.concatenate([values.cpu().numpy().astype(np.float64) for values in given])


def rates_of(stimuli: StimulusSet, responses: xr.DataArray) -> Array:
    """Responses averaged over repetitions, (n_stimuli, n_neuroids) float64 in the order of the stimuli.

    Raises
    ------
    DataError
        A stimulus without responses.
    """
    place = {name: number for number, name in enumerate(stimulus_order(responses))}
    absent = [name for name in stimuli.ids if name not in place]
    if absent:
        raise DataError(f"{len(absent)} of {len(stimuli)} training stimuli have no responses: {absent[:3]}.")
    return averaged(responses)[[place[name] for name in stimuli.ids]]


def arrays_of(network: Any) -> dict[str, Array]:
    """Tensors of a network by name, as numpy arrays."""
    return {name: value.detach().cpu().numpy() for name, value in network.state_dict().items()}


def as_state(tensors: Mapping[str, Array]) -> dict[str, Any]:
    """Arrays by name, as torch tensors."""
    return {name: as_tensor(values) for name, values in tensors.items()}


def as_tensor(values: Array) -> Any:
    """An array as a torch tensor, copied."""
    import torch

    return torch.from_numpy(np.array(values))
