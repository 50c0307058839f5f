"""A convolutional network from pictures to firing rates, and its parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from isocortex.typing import Array

if TYPE_CHECKING:
    from torch import nn


class Architecture(BaseModel):
    """Convolutions with stride 2, each with batch normalisation and ReLU, a mean over 2 × 2, and a linear readout.

    Examples
    --------
    >>> Architecture(widths=(12, 24), kernels=(7, 3)).side_after(32)
    4
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    widths: tuple[int, ...] = Field(default=(32, 64), min_length=1, description="channels of each convolution")
    kernels: tuple[int, ...] = Field(default=(7, 3), min_length=1, description="their sizes in pixels, odd")

    @model_validator(mode="after")
    def _fits(self) -> Architecture:
        if len(self.widths) != len(self.kernels) or any(kernel % 2 == 0 for kernel in self.kernels):
            raise ValueError(f"expected as many odd kernels as widths, found {self.kernels} and {self.widths}")
        return self

    def side_after(self, side: int) -> int:
        """Side of the maps before the readout, for pictures of a side."""
        for _ in self.widths:
            side = (side + 1) // 2
        return max(1, side // 2)


def rate_network(
    architecture: Architecture, side: int, n_outputs: int | None, colours: tuple[Array, Array] | None = None
) -> nn.Module:
    """The network with modules ``stage1``, ``stage2``, … and, where it has outputs, ``readout`` and ``output``.

    Parameters
    ----------
    architecture, side
        What it is made of, and the side of its pictures.
    n_outputs
        Number of neuroids; None: none, for a network of which the stages alone are looked at.
    colours
        Mean and standard deviation of each channel, kept as buffers.
    """
    import torch
    from torch import nn

    class Network(nn.Module):
        """Takes pictures (n, 3, side, side) uint8 and gives rates (n, n_outputs)."""

        colour_mean: torch.Tensor
        colour_std: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            mean, deviation = colours if colours is not None else (np.full(3, 0.5), np.full(3, 0.25))
            self.register_buffer("colour_mean", torch.as_tensor(mean, dtype=torch.float32).reshape(1, 3, 1, 1))
            self.register_buffer("colour_std", torch.as_tensor(deviation, dtype=torch.float32).reshape(1, 3, 1, 1))
            self.stages = stages_of(architecture)
            n_before = 3
            for name, width, kernel in zip(self.stages, architecture.widths, architecture.kernels, strict=True):
                convolution = nn.Conv2d(n_before, width, kernel, stride=2, padding=kernel // 2, bias=False)
                self.add_module(name, nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU()))
                n_before = width
            self.pool = nn.AdaptiveAvgPool2d(architecture.side_after(side))
            self.readout = None if n_outputs is None else nn.Linear(_n_features(architecture, side), n_outputs)
            self.output = None if n_outputs is None else scale_of_rates(n_outputs)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            values = (images.float() / 255 - self.colour_mean) / self.colour_std
            for name in self.stages:
                values = getattr(self, name)(values)
            if self.readout is None or self.output is None:
                return values
            return self.output(self.readout(self.pool(values).flatten(1)))

    return Network()


def _n_features(architecture: Architecture, side: int) -> int:
    return architecture.widths[-1] * architecture.side_after(side) ** 2


def scale_of_rates(n_outputs: int) -> nn.Module:
    """What turns standardised rates into those of the recording: times ``std`` plus ``mean``, in evaluation alone.

    While the network learns, its outputs stay standardised, so that every neuroid weighs the same in the loss.
    """
    import torch
    from torch import nn

    class Scale(nn.Module):
        """y = std · x + mean, for each neuroid."""

        mean: torch.Tensor
        std: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.zeros(n_outputs))
            self.register_buffer("std", torch.ones(n_outputs))

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return values if self.training else values * self.std + self.mean

    return Scale()


def set_scale(module: Any, mean: Array, deviation: Array) -> None:
    """Set the mean and the standard deviation of each neuroid over the training stimuli."""
    import torch

    module.mean.copy_(torch.as_tensor(mean, dtype=torch.float32))
    module.std.copy_(torch.as_tensor(deviation, dtype=torch.float32))


def standardised(rates: Array) -> tuple[Array, Array, Array]:
    """Rates (n_stimuli, n_neuroids) with mean 0 and deviation 1, float32; the means; the deviations.

    A neuroid that never varies has 0 everywhere, and deviation 0: its output is its mean.

    Examples
    --------
    >>> values, mean, deviation = standardised(np.array([[1.0, 5.0], [3.0, 5.0]]))
    >>> values.tolist(), mean.tolist(), deviation.tolist()
    ([[-1.0, 0.0], [1.0, 0.0]], [2.0, 5.0], [1.0, 0.0])
    """
    mean, deviation = rates.mean(axis=0), rates.std(axis=0)
    flat = deviation < 1e-12 * np.maximum(1.0, np.abs(mean))
    deviation = np.where(flat, 0.0, deviation)
    values = (rates - mean) / np.where(flat, 1.0, deviation)
    return np.where(flat, 0.0, values).astype(np.float32), mean, deviation


def mean_correlation(predicted: Array, measured: Array) -> float:
    """Mean over neuroids of Pearson's r over stimuli; a column that does not vary counts 0.

    Examples
    --------
    >>> mean_correlation(np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[2.0, 0.0], [4.0, 1.0]]))
    0.5
    """
    x, y = predicted - predicted.mean(axis=0), measured - measured.mean(axis=0)
    scale = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    products = (x * y).sum(axis=0)
    return float(np.divide(products, scale, out=np.zeros_like(products), where=scale > 1e-12).mean())


def stages_of(architecture: Architecture) -> Sequence[str]:
    """Names of the stages.

    Examples
    --------
    >>> stages_of(Architecture())
    ['stage1', 'stage2']
    """
    return [f"stage{number}" for number in range(1, len(architecture.widths) + 1)]
