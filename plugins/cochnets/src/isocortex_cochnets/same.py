"""Convolution and pooling with the padding that TensorFlow calls SAME: as many outputs as strides fit into the input.

Along each axis there are ``ceil(n / stride)`` outputs. What the windows need beyond the input is padded, half of it
before (rounded down) and the rest after: an odd amount is asymmetric, which torch's own padding cannot be.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

Pair = tuple[int, int]


def same_padding(size: int, kernel: int, stride: int) -> Pair:
    """Elements to pad before and after an axis.

    Parameters
    ----------
    size
        Length of the axis.
    kernel, stride
        Of the window along it.

    Examples
    --------
    >>> same_padding(211, kernel=7, stride=3), same_padding(390, kernel=14, stride=3)
    ((3, 3), (5, 6))
    """
    n_outputs = -(-size // stride)
    total = max((n_outputs - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def pad_same(maps: Tensor, kernel: Pair, stride: Pair, value: float = 0.0) -> Tensor:
    """Pad the last two axes of (…, height, width) for windows that then need no padding.

    Examples
    --------
    >>> pad_same(torch.ones(1, 1, 4, 5), kernel=(2, 5), stride=(2, 2)).shape
    torch.Size([1, 1, 4, 9])
    """
    height, width = maps.shape[-2:]
    sides = (*same_padding(width, kernel[1], stride[1]), *same_padding(height, kernel[0], stride[0]))
    return functional.pad(maps, sides, value=value) if any(sides) else maps


class SameConv2d(nn.Conv2d):
    """A convolution with SAME padding by zeros.

    Parameters
    ----------
    n_in, n_out
        Channels.
    kernel, stride
        (height, width).
    bias
        Whether each channel has an offset.

    Examples
    --------
    >>> SameConv2d(1, 96, (7, 14), (3, 3))(torch.zeros(2, 1, 211, 390)).shape
    torch.Size([2, 96, 71, 130])
    """

    def __init__(self, n_in: int, n_out: int, kernel: Pair, stride: Pair = (1, 1), *, bias: bool = False) -> None:
        super().__init__(n_in, n_out, kernel, stride, bias=bias)
        self._window = kernel, stride

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """(n, n_in, height, width) → (n, n_out, ceil(height / stride), ceil(width / stride))."""
        return super().forward(pad_same(input, *self._window))


class RectifiedConv2d(SameConv2d):
    """A convolution with SAME padding, an offset per channel, and rectification: one layer of Kell et al. (2018)."""

    def __init__(self, n_in: int, n_out: int, edge: int, stride: int = 1) -> None:
        super().__init__(n_in, n_out, (edge, edge), (stride, stride), bias=True)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """As ``SameConv2d``, negative values set to 0."""
        return functional.relu(super().forward(input))


class SameMaxPool2d(nn.Module):
    """The largest value in each window; padding never is the largest.

    Examples
    --------
    >>> SameMaxPool2d((1, 3), (1, 2))(torch.tensor([[[[-1.0, -2.0, -3.0, -4.0]]]])).tolist()
    [[[[-1.0, -3.0]]]]
    """

    def __init__(self, kernel: Pair, stride: Pair) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, maps: Tensor) -> Tensor:
        """(n, n_channels, height, width) → (n, n_channels, ceil(height / stride), ceil(width / stride))."""
        padded = pad_same(maps, self.kernel, self.stride, value=-torch.inf)
        return functional.max_pool2d(padded, self.kernel, self.stride)


class SameAvgPool2d(nn.Module):
    """The mean of each window.

    Parameters
    ----------
    kernel, stride
        (height, width).
    count_padding
        Whether padded zeros take part in the mean. TensorFlow leaves them out, the networks of the cochdnn family
        count them.

    Examples
    --------
    >>> row = torch.tensor([[[[2.0, 4.0, 6.0, 8.0]]]])
    >>> SameAvgPool2d((1, 3), (1, 2), count_padding=False)(row).tolist()
    [[[[4.0, 7.0]]]]
    >>> SameAvgPool2d((1, 3), (1, 2), count_padding=True)(row)[0, 0, 0, 1].item()
    4.666666507720947
    """

    def __init__(self, kernel: Pair, stride: Pair, *, count_padding: bool) -> None:
        super().__init__()
        self.kernel, self.stride, self.count_padding = kernel, stride, count_padding

    def forward(self, maps: Tensor) -> Tensor:
        """(n, n_channels, height, width) → (n, n_channels, ceil(height / stride), ceil(width / stride))."""
        if self.count_padding:
            return self._pooled(maps, None)
        return self._pooled(maps, 1) / self._pooled(torch.ones_like(maps[:1, :1]), 1)

    def _pooled(self, maps: Tensor, divisor: int | None) -> Tensor:
        padded = pad_same(maps, self.kernel, self.stride)
        return functional.avg_pool2d(padded, self.kernel, self.stride, divisor_override=divisor)
