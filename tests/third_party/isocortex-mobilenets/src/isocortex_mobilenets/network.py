"""The networks, with batch normalisation folded into the convolutions, as in the published files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

#: stride and channels of the blocks of version 1 at full width
V1 = (
    (1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), (1, 512), (1, 512), (1, 512), (1, 512), (1, 512),
    (2, 1024), (1, 1024),
)  # fmt: skip
#: expansion, channels, repetitions and stride of the blocks of version 2
V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
#: one of them is the background
N_CLASSES = 1001


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """How many rows go before and after, so that ceil(size / stride) positions come out: the odd one goes after.

    Examples
    --------
    >>> same_padding(160, 3, 2), same_padding(80, 3, 1)
    ((0, 1), (1, 1))
    """
    needed = max(0, (-(-size // stride) - 1) * stride + kernel - size)
    return needed // 2, needed - needed // 2


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's padding "same" and its bias; rectified between 0 and 6 where it says so."""

    def __init__(
        self, n_in: int, n_out: int, kernel: int, stride: int = 1, groups: int = 1, act: str = "relu6"
    ) -> None:
        super().__init__(n_in, n_out, kernel, stride=stride, groups=groups)
        self.act = act

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that torch gives it
        """(n, channels, height, width) → (n, channels, ceil(height / stride), ceil(width / stride))."""
        top, bottom = same_padding(input.shape[2], self.kernel_size[0], self.stride[0])
        left, right = same_padding(input.shape[3], self.kernel_size[1], self.stride[1])
        maps = super().forward(nn.functional.pad(input, (left, right, top, bottom)))
        return maps.clamp(0, 6) if self.act == "relu6" else maps


class Inverted(nn.Sequential):
    """A block of version 2: more channels, a convolution within each, fewer channels; added where the shape stays."""

    def __init__(self, n_in: int, n_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        n_wide = n_in * expansion
        if expansion > 1:
            self.expand = SameConv(n_in, n_wide, 1)
        self.depthwise = SameConv(n_wide, n_wide, 3, stride, groups=n_wide)
        self.project = SameConv(n_wide, n_out, 1, act="none")
        self.adds = stride == 1 and n_in == n_out

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """(n, n_in, height, width) → (n, n_out, height / stride, width / stride)."""
        maps = super().forward(input)
        return input + maps if self.adds else maps


class Pool(nn.Module):
    """Mean over the map."""

    def forward(self, maps: Tensor) -> Tensor:
        """(n, channels, height, width) → (n, channels, 1, 1)."""
        return maps.mean((2, 3), keepdim=True)


class MobileNetV1(nn.Sequential):
    """From images in [-1, 1), (n, 3, height, width), to 1001 logits as (n, 1001, 1, 1).

    Untrained weights are He-normal, w ~ N(0, 2 / fan_in), and biases 0.

    Parameters
    ----------
    width
        Share of the channels.
    """

    def __init__(self, width: float = 0.5) -> None:
        super().__init__()
        n_channels = int(32 * width)
        self.conv = SameConv(3, n_channels, 3, 2)
        for number, (stride, n_full) in enumerate(V1, start=1):
            block, n_out = nn.Sequential(), int(n_full * width)
            block.depthwise = SameConv(n_channels, n_channels, 3, stride, groups=n_channels)
            block.pointwise = SameConv(n_channels, n_out, 1)
            self.add_module(f"block{number}", block)
            n_channels = n_out
        self.pool = Pool()
        self.logits = SameConv(n_channels, N_CLASSES, 1, act="none")
        self.apply(_draw)


class MobileNetV2(nn.Sequential):
    """From images in [-1, 1), (n, 3, height, width), to 1001 logits as (n, 1001, 1, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = SameConv(3, 32, 3, 2)
        n_channels, number = 32, 0
        for expansion, n_out, times, first in V2:
            for time in range(times):
                block = Inverted(n_channels, n_out, first if time == 0 else 1, expansion)
                self.add_module(f"block{number}", block)
                n_channels, number = n_out, number + 1
        self.last = SameConv(n_channels, 1280, 1)
        self.pool = Pool()
        self.logits = SameConv(1280, N_CLASSES, 1, act="none")
        self.apply(_draw)


NETWORKS: dict[str, Any] = {"v1": MobileNetV1, "v2": MobileNetV2}


def convolutions(network: nn.Module) -> Iterator[tuple[str, SameConv]]:
    """Convolutions in the order in which they are computed."""
    yield from ((name, module) for name, module in network.named_modules() if isinstance(module, SameConv))


def _draw(module: nn.Module) -> None:
    if isinstance(module, SameConv):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        assert module.bias is not None
        nn.init.zeros_(module.bias)
