"""One small convolutional network for each neuron, as the authors of Cowley et al. 2023 trained them; in torch.

    image 112 × 112 less the mean colour → conv 5 × 5 → four separable 5 × 5 (strides 2, 2, 1, 1) → linear readout

with batch normalisation (eps 1e-3) and rectification after each convolution. Padding is TensorFlow's "same": at stride
2 one row and column before the image and two behind it. The readout runs over (row, column, channel).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from isocortex.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

N_LAYERS: Final = 5
STRIDES: Final = (1, 2, 2, 1, 1)
SIZE: Final = 112
#: side of the last maps
SIDE: Final = 28
EPS: Final = 1e-3
MEAN_COLOUR: Final = (116.222, 109.270, 100.381)


class CompactNetwork(nn.Module):
    """The network of one neuron; its tensors have the names of the authors' torch files.

    Parameters
    ----------
    n_filters
        Of the five convolutions.
    """

    def __init__(self, n_filters: Sequence[int]) -> None:
        super().__init__()
        layers: dict[str, nn.Module] = {}
        n_in = 3
        for number, (n_out, stride) in enumerate(zip(n_filters, STRIDES, strict=True)):
            if number == 0:
                layers["layer0_conv"] = nn.Conv2d(n_in, n_out, 5)
            else:
                layers[f"layer{number}_conv_depth"] = nn.Conv2d(n_in, n_in, 5, stride, groups=n_in, bias=False)
                layers[f"layer{number}_conv_point"] = nn.Conv2d(n_in, n_out, 1)
            layers[f"layer{number}_bn"] = nn.BatchNorm2d(n_out, eps=EPS)
            n_in = n_out
        layers["Beta"] = nn.Linear(n_in * SIDE * SIDE, 1)
        self.layers = nn.ModuleDict(layers)

    def forward(self, images: Tensor) -> Tensor:
        """(n_images, 3, 112, 112), less the mean colour → (n_images, 1)."""
        values = images
        for number, stride in enumerate(STRIDES):
            values = functional.pad(values, (2, 2, 2, 2) if stride == 1 else (1, 2, 1, 2))
            if number == 0:
                values = self.layers["layer0_conv"](values)
            else:
                values = self.layers[f"layer{number}_conv_point"](self.layers[f"layer{number}_conv_depth"](values))
            values = torch.relu_(self.layers[f"layer{number}_bn"](values))
        return self.layers["Beta"](values.permute(0, 2, 3, 1).flatten(1))


class CompactNetworks(nn.Module):
    """The networks of the neurons of a session.

    Parameters
    ----------
    n_filters
        (n_neurons, 5).
    """

    def __init__(self, n_filters: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(CompactNetwork(one) for one in n_filters)
        self.neurons = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """(n_images, 3, 112, 112) → (n_images, n_neurons)."""
        return self.neurons(torch.cat([network(images) for network in self.networks], dim=1))


State = dict[str, Any]


def filters_of(states: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Numbers of filters of each network, (n_neurons, 5), from its tensors.

    Raises
    ------
    DataError
        A network lacks a convolution.
    """
    try:
        return [
            [
                len(state["layers.layer0_conv.weight" if place == 0 else f"layers.layer{place}_conv_point.weight"])
                for place in range(N_LAYERS)
            ]
            for state in states
        ]
    except KeyError as error:
        raise DataError(
            f"The network of a neuron lacks the tensor {error}. It is another network than expected."
        ) from error


def joined(states: Sequence[Mapping[str, Any]]) -> State:
    """Tensors of ``CompactNetworks`` from those of each network."""
    return {f"networks.{place}.{name}": value for place, state in enumerate(states) for name, value in state.items()}


def states_of_arrays(arrays: Mapping[str, Any], n_neurons: int) -> list[State]:
    """Tensors of each network from plain arrays.

    Parameters
    ----------
    arrays
        ``N/L/w``, ``N/L/bias``, ``N/L/bn`` (gamma, beta, mean, variance), from L = 1 on ``N/L/pointwise``,
        ``N/readout`` and ``N/readout_bias`` for neuron N and layer L. Names without a slash are no tensors.

    Raises
    ------
    DataError
        An array is absent, or there are others.
    """
    used: set[str] = set()

    def taken(name: str) -> Tensor:
        if name not in arrays:
            raise DataError(f"The networks of {n_neurons} neurons need the array {name!r}, which is not there.")
        used.add(name)
        return torch.from_numpy(np.array(arrays[name], dtype=np.float32, order="C"))

    states = [_state(taken, number) for number in range(n_neurons)]
    surplus = sorted(name for name in set(arrays).difference(used) if "/" in name)
    if surplus:
        raise DataError(f"The networks of {n_neurons} neurons have {len(surplus)} arrays too many: {surplus[0]!r}, …")
    return states


def _state(taken: Any, number: int) -> State:
    state: State = {}
    for place in range(N_LAYERS):
        at, name = f"{number}/{place}", f"layers.layer{place}"
        if place == 0:
            state |= {f"{name}_conv.weight": taken(f"{at}/w"), f"{name}_conv.bias": taken(f"{at}/bias")}
        else:
            state[f"{name}_conv_depth.weight"] = taken(f"{at}/w")
            state[f"{name}_conv_point.weight"] = taken(f"{at}/pointwise")
            state[f"{name}_conv_point.bias"] = taken(f"{at}/bias")
        parts = ("weight", "bias", "running_mean", "running_var")
        state |= {f"{name}_bn.{part}": row for part, row in zip(parts, taken(f"{at}/bn"), strict=True)}
        state[f"{name}_bn.num_batches_tracked"] = torch.tensor(0)
    state["layers.Beta.weight"] = taken(f"{number}/readout").reshape(1, -1)
    state["layers.Beta.bias"] = taken(f"{number}/readout_bias").reshape(1)
    return state
