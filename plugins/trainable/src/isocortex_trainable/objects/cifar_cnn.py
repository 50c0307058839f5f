"""The small CNN for CIFAR-10: three convolutions of stride 2, one dense layer, ten classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class CifarCNNArchitecture:
    """Widths of the network; the default is the published one.

    Attributes
    ----------
    channels
        Of the convolutions, each 3 × 3 with stride 2 and no padding.
    n_units
        Of the dense layer.
    dropout
        Before and after the dense layer.
    n_classes
        How many classes there are.
    size
        Height and width of the input in pixels.
    """

    channels: Sequence[int] = (32, 64, 128)
    n_units: int = 1024
    dropout: float = 0.2
    n_classes: int = 10
    size: int = 32

    def scaled(self, width: float) -> CifarCNNArchitecture:
        """As many layers, each of a multiple of the width, at least one channel.

        Examples
        --------
        >>> CifarCNNArchitecture().scaled(0.125).channels
        (4, 8, 16)
        """
        channels = tuple(max(1, round(count * width)) for count in self.channels)
        return CifarCNNArchitecture(
            channels=channels,
            n_units=max(1, round(self.n_units * width)),
            dropout=self.dropout,
            n_classes=self.n_classes,
            size=self.size,
        )

    def as_settings(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "channels": list(self.channels)}

    @classmethod
    def of_settings(cls, settings: Mapping[str, Any]) -> CifarCNNArchitecture:
        """From JSON."""
        given: dict[str, Any] = {**settings, "channels": tuple(settings["channels"])}
        return cls(**given)


class CifarCNN(nn.Module):
    """The network; it gives logits ``(n_images, n_classes)``.

    Layers are ``conv1`` …, each after rectification, ``dense`` and ``logits``. Dropout belongs to ``dense``: outside of
    training it changes nothing, and would be a layer that is another one.
    """

    def __init__(self, architecture: CifarCNNArchitecture) -> None:
        super().__init__()
        self.names = [f"conv{place + 1}" for place in range(len(architecture.channels))]
        n_before, size = 3, architecture.size
        for name, n_channels in zip(self.names, architecture.channels, strict=True):
            self.add_module(name, nn.Sequential(nn.Conv2d(n_before, n_channels, 3, stride=2), nn.ReLU()))
            n_before, size = n_channels, (size - 3) // 2 + 1
        dropout = architecture.dropout
        self.dense = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(n_before * size * size, architecture.n_units),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.logits = nn.Linear(architecture.n_units, architecture.n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images ``(n_images, 3, size, size)``."""
        values = images
        for name in self.names:
            values = self.get_submodule(name)(values)
        return self.logits(self.dense(values))


def negative_log_likelihood(logits: Tensor, classes: Tensor) -> Tensor:
    """The mean over images of minus the logarithm of the softmax of the right class."""
    return nn.functional.cross_entropy(logits, classes)


def n_parameters(module: nn.Module) -> int:
    """Numbers that are learned.

    Examples
    --------
    >>> import torch
    >>> with torch.device("meta"):
    ...     n_parameters(CifarCNN(CifarCNNArchitecture()))
    1284170
    """
    return sum(parameter.numel() for parameter in module.parameters())
