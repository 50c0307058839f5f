"""The four steps of a layer, as functions of tensors: filter, activate, pool, normalise. Nothing in them is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

Pooling = Literal["max", "average"] | float
#: a root mean square below this is no signal
_SILENCE = 1e-12


def draw_filters(n_filters: int, n_channels: int, size: int, std: float, seed: int) -> NDArray[np.float32]:
    """Draw filters: uniform values, of which each filter's mean is taken away and whose norm is made ``std``.

    A filter's response to white noise of variance 1 has the standard deviation ``std``.

    Parameters
    ----------
    n_filters, n_channels, size
        Filters, channels that each reads, and its height and width.
    std
        Norm of each filter.
    seed
        Of numpy's generator: the same on every machine.

    Returns
    -------
    (n_filters, n_channels, size, size), float32.

    Examples
    --------
    >>> filters = draw_filters(4, 2, 3, std=0.5, seed=1)
    >>> filters.shape, round(float((filters[0] ** 2).sum()), 6), bool(abs(filters[0].sum()) < 1e-6)
    ((4, 2, 3, 3), 0.25, True)
    """
    import numpy as np

    drawn = np.random.default_rng(seed).uniform(-1.0, 1.0, (n_filters, n_channels, size, size))
    drawn -= drawn.mean(axis=(1, 2, 3), keepdims=True)
    drawn *= std / np.sqrt(np.square(drawn).sum(axis=(1, 2, 3), keepdims=True))
    return drawn.astype(np.float32)


def filter_maps(maps: Tensor, filters: Tensor) -> Tensor:
    """Correlate maps with filters, with zeros around the maps, so that their size stays.

    Parameters
    ----------
    maps
        (n_images, n_channels, height, width).
    filters
        (n_filters, n_channels, size, size), of odd size.

    Returns
    -------
    (n_images, n_filters, height, width).
    """
    import torch

    return torch.nn.functional.conv2d(maps, filters, padding=filters.shape[-1] // 2)


def activate(maps: Tensor, threshold: float, saturation: float | None) -> Tensor:
    """Clip to ``[threshold, saturation]``; a saturation of None is no upper bound."""
    return maps.clamp(min=threshold, max=saturation)


def pooled_size(size: int, stride: int) -> int:
    """How many boxes lie along an axis: ``ceil(size / stride)``.

    Examples
    --------
    >>> pooled_size(64, 2), pooled_size(7, 2), pooled_size(7, 1)
    (32, 4, 7)
    """
    return -(-size // stride)


def pool(maps: Tensor, size: int, stride: int, pooling: Pooling) -> Tensor:
    r"""Pool boxes: their maximum, their mean, or :math:`(\frac1n \sum x^p)^{1/p}` with p = ``pooling``.

    There are ``ceil(height / stride)`` boxes along an axis; where they reach beyond the map, one pixel more at the end
    than at the beginning if it is uneven, they hold fewer values, and zeros are not put in their place.

    Parameters
    ----------
    maps
        (n_images, n_channels, height, width); not below 0 where ``pooling`` is a number.
    size, stride
        Width of a box, and from one to the next, in pixels.
    pooling
        "max", "average", or the order p, at least 1.

    Returns
    -------
    (n_images, n_channels, ceil(height / stride), ceil(width / stride)).
    """
    import torch

    around = [*_around(maps.shape[3], size, stride), *_around(maps.shape[2], size, stride)]
    if pooling == "max":
        padded = torch.nn.functional.pad(maps, around, value=-torch.inf)
        return torch.nn.functional.max_pool2d(padded, size, stride)
    order = 1.0 if pooling == "average" else float(pooling)
    # relative to the largest value of the image, so that no power leaves the range of single precision
    largest = maps.amax(dim=(1, 2, 3), keepdim=True).clamp_min(_SILENCE)
    powers = maps if order == 1.0 else (maps / largest) ** order
    inside = torch.nn.functional.pad(torch.ones_like(maps[:1, :1]), around)
    sums = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(powers, around), size, stride)
    means = sums / torch.nn.functional.avg_pool2d(inside, size, stride)
    return means if order == 1.0 else means ** (1.0 / order) * largest


def _around(length: int, size: int, stride: int) -> tuple[int, int]:
    """Pixels that boxes reach beyond both ends of an axis."""
    total = max((pooled_size(length, stride) - 1) * stride + size - length, 0)
    return total // 2, total - total // 2


def normalise(maps: Tensor, box: int, floor: float, *, subtract_mean: bool = False) -> Tensor:
    r"""Divide by the root mean square over all channels of a box around each pixel, or by ``floor`` if that is larger.

    .. math:: y_{cij} = x_{cij} / \max(f, \sqrt{\langle x_{dkl}^2 \rangle_{d,\,(k,l) \in B(i,j)}})

    Pixels beyond the map are left out of the mean.

    Parameters
    ----------
    maps
        (n_images, n_channels, height, width).
    box
        Height and width of the box, odd.
    floor
        Smallest divisor, above 0.
    subtract_mean
        First take away the mean over channels and box.
    """
    if subtract_mean:
        maps = maps - _box_mean(maps, box)
    return maps / _box_mean(maps.square(), box).sqrt().clamp_min(floor)


def _box_mean(maps: Tensor, box: int) -> Tensor:
    """Mean over channels and a box, (n_images, 1, height, width)."""
    import torch

    over_channels = maps.mean(dim=1, keepdim=True)
    return torch.nn.functional.avg_pool2d(over_channels, box, 1, box // 2, count_include_pad=False)
