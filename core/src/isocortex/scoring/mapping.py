"""A fitted linear map from layers to neuroids, which predicts responses to other stimuli."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isocortex.errors import DataError, LayerError, shorten
from isocortex.typing import Array

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.activations.layer import Activations


@dataclass(frozen=True)
class LayerMap:
    """The linear map of one layer to the neuroids that are predicted from it.

    Attributes
    ----------
    neuroids
        (n_columns,) places of these neuroids among all.
    mean
        (n_units,) training mean of the units.
    weights
        (n_units, n_columns) float64, on the scale of the units.
    """

    neuroids: Array
    mean: Array
    weights: Array


@dataclass(frozen=True)
class LinearMapping:
    """A linear map of layers to neuroids: ŷ = ȳ + (x − x̄) W, each neuroid from the layer that was chosen for it.

    Of several feature spaces each neuroid has a layer of each, whose maps add up.

    Attributes
    ----------
    layers
        Layer → its map; layers that were chosen for no neuroid have none.
    intercept
        (n_neuroids,) ȳ, training mean of the responses.
    alpha
        (n_neuroids,) penalty, as scikit-learn's ``Ridge(alpha)``; of several feature spaces (n_spaces, n_neuroids).
    neuroid
        Coordinates of the neuroids, in order.
    """

    layers: Mapping[str, LayerMap]
    intercept: Array
    alpha: Array
    neuroid: xr.Dataset

    def predict(self, layers: Mapping[str, Activations]) -> xr.DataArray:
        """Responses to the stimuli of some activations.

        Parameters
        ----------
        layers
            Activations of the layers of the map, of the same stimuli; others are left alone.

        Returns
        -------
        Dims ("stimulus", "neuroid") float64, with ``stimulus_id`` and the coordinates of the neuroids, in the units of
        the responses. Memory: a block of a layer beside it.

        Raises
        ------
        LayerError
            A layer is not among the activations.
        DataError
            A layer has another number of units, as where stimuli of another size are flattened, or values that are not
            finite.
        """
        import xarray as xr

        absent = [name for name in self.layers if name not in layers]
        if absent:
            raise LayerError(f"The map is one of {shorten(self.layers)}; found no activations of {shorten(absent)}.")
        order = layers[next(iter(self.layers))].stimulus_id
        values = np.tile(self.intercept, (len(order), 1))
        for name, own in self.layers.items():
            values[:, own.neuroids] += _deviation(layers[name], own, order)
        coordinates = {str(name): ("neuroid", item.values) for name, item in self.neuroid.coords.items()}
        return xr.DataArray(
            values,
            dims=("stimulus", "neuroid"),
            coords={"stimulus_id": ("stimulus", list(order)), **coordinates},
            name="prediction",
        )


def _deviation(layer: Activations, own: LayerMap, order: tuple[str, ...]) -> Array:
    """(x − x̄) W (n_stimuli, n_columns), a block of units at a time."""
    if layer.n_units != len(own.mean):
        raise DataError(
            f"The map of layer {layer.layer!r} takes {len(own.mean)} units; these activations have {layer.n_units}. "
            "Flattened, stimuli of another size or length have others: give them the size of those that were fitted."
        )
    found, first = np.zeros((len(order), own.weights.shape[1])), 0
    for block in layer.blocks(order):
        part = slice(first, first + block.shape[1])
        found += (block - own.mean[part]) @ own.weights[part]
        first += block.shape[1]
    return found
