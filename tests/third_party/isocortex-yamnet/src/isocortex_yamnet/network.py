"""The network: a convolution, thirteen blocks of a depthwise and a pointwise convolution, mean, 521 classes.

Batch normalisation is folded into the convolutions, as in the published file. A convolution that halves the map pads
as TensorFlow does: the odd row and column come last.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

#: stride and channels of layer2 … layer14
BLOCKS = (
    (1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), (1, 512), (1, 512), (1, 512), (1, 512), (1, 512),
    (2, 1024), (1, 1024),
)  # fmt: skip
N_CLASSES = 521


def strides_by_name() -> dict[str, int]:
    """Convolution → its stride.

    Examples
    --------
    >>> sorted(name for name, stride in strides_by_name().items() if stride == 2)
    ['layer1', 'layer13.depthwise', 'layer3.depthwise', 'layer5.depthwise', 'layer7.depthwise']
    """
    names = {f"layer{number}": stride for number, (stride, _) in enumerate(BLOCKS, start=2)}
    depthwise = {f"{name}.depthwise": stride for name, stride in names.items()}
    return {"layer1": 2, **depthwise, **{f"{name}.pointwise": 1 for name in names}}


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """How many rows go before and after, so that ceil(size / stride) positions come out: the odd one goes after.

    Examples
    --------
    >>> same_padding(96, 3, 2), same_padding(48, 3, 1), same_padding(5, 3, 2)
    ((0, 1), (1, 1), (1, 1))
    """
    needed = max(0, (-(-size // stride) - 1) * stride + kernel - size)
    return needed // 2, needed - needed // 2


class ConvRelu(nn.Conv2d):
    """A convolution with TensorFlow's padding "same", its bias, and rectification."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that torch gives it
        """(n, channels, time, frequency) → (n, channels, ceil(time / stride), ceil(frequency / stride))."""
        top, bottom = same_padding(input.shape[2], self.kernel_size[0], self.stride[0])
        left, right = same_padding(input.shape[3], self.kernel_size[1], self.stride[1])
        return super().forward(nn.functional.pad(input, (left, right, top, bottom))).relu()


class Block(nn.Sequential):
    """A depthwise convolution, which mixes places, and a pointwise one, which mixes channels."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.depthwise = ConvRelu(n_in, n_in, 3, stride=stride, groups=n_in)
        self.pointwise = ConvRelu(n_in, n_out, 1)


class Mean(nn.Module):
    """Mean over time and frequency."""

    def forward(self, maps: Tensor) -> Tensor:
        """(n, channels, time, frequency) → (n, channels)."""
        return maps.mean((2, 3))


class Yamnet(nn.Sequential):
    """From log-mel patches (n, 1, 96, 64) to 521 logits.

    Untrained weights are He-normal, w ~ N(0, 2 / fan_in), and biases 0 (He et al. 2015, ICCV).

    Examples
    --------
    >>> import torch
    >>> Yamnet()(torch.zeros(2, 1, 96, 64)).shape
    torch.Size([2, 521])
    """

    def __init__(self) -> None:
        super().__init__()
        self.layer1 = ConvRelu(1, 32, 3, stride=2)
        n_channels = 32
        for number, (stride, n_out) in enumerate(BLOCKS, start=2):
            self.add_module(f"layer{number}", Block(n_channels, n_out, stride))
            n_channels = n_out
        self.pool = Mean()
        self.logits = nn.Linear(n_channels, N_CLASSES)
        self.apply(_draw)


def _draw(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(_bias(module))


def _bias(module: Any) -> Tensor:
    return module.bias
