"""The network of a configuration in torch: modules are named by level, stack and layer."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from isocortex_trainable.hmo import steps
from isocortex_trainable.hmo.configuration import Configuration, ImageSettings, LayerSettings, StackSettings
from isocortex_trainable.hmo.search_space import seed_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: images at a time: maps of 64 channels and 64 pixels are 34 MB then, and a few stand in memory
BATCH = 32


class Filter(nn.Module):
    """Fixed filters; a buffer, as nothing trains them."""

    def __init__(self, n_channels: int, layer: LayerSettings, seed: int) -> None:
        super().__init__()
        drawn = steps.draw_filters(layer.channels, n_channels, layer.kernel, layer.std, seed)
        self.filters: Tensor
        self.register_buffer("filters", torch.from_numpy(drawn))

    def forward(self, maps: Tensor) -> Tensor:
        """See `steps.filter_maps`."""
        return steps.filter_maps(maps, self.filters)


class Activate(nn.Module):
    """A threshold and a saturation."""

    def __init__(self, layer: LayerSettings) -> None:
        super().__init__()
        self.threshold, self.saturation = layer.threshold, layer.saturation

    def forward(self, maps: Tensor) -> Tensor:
        """See `steps.activate`."""
        return steps.activate(maps, self.threshold, self.saturation)


class Pool(nn.Module):
    """Boxes."""

    def __init__(self, layer: LayerSettings) -> None:
        super().__init__()
        self.size, self.stride = layer.pool_size, layer.pool_stride
        self.pooling: steps.Pooling = layer.pooling

    def forward(self, maps: Tensor) -> Tensor:
        """See `steps.pool`."""
        return steps.pool(maps, self.size, self.stride, self.pooling)


class Normalise(nn.Module):
    """Division by what is near."""

    def __init__(self, settings: LayerSettings | ImageSettings) -> None:
        super().__init__()
        self.box, self.floor = settings.box, settings.floor
        self.subtract_mean = isinstance(settings, ImageSettings)

    def forward(self, maps: Tensor) -> Tensor:
        """See `steps.normalise`."""
        return steps.normalise(maps, self.box, self.floor, subtract_mean=self.subtract_mean)


def hmo_layer(n_channels: int, layer: LayerSettings, seed: int) -> nn.Sequential:
    """A layer, its steps in the order that its settings name."""
    modules: dict[str, nn.Module] = {
        "filter": Filter(n_channels, layer, seed),
        "activate": Activate(layer),
        "pool": Pool(layer),
        "normalise": Normalise(layer),
    }
    return nn.Sequential(OrderedDict((step, modules[step]) for step in layer.order.split("-")))


class Join(nn.Module):
    """Stacks side by side: maps are averaged to the smallest size among them, and put together along channels.

    Averages are torch's ``adaptive_avg_pool2d``: output i covers the pixels from ``floor(i n / m)`` to
    ``ceil((i + 1) n / m)`` of n.
    """

    def forward(self, maps: list[Tensor]) -> Tensor:
        """(n_images, sum of channels, smallest height, smallest width)."""
        size = min(part.shape[-1] for part in maps)
        return torch.cat([nn.functional.adaptive_avg_pool2d(part, size) for part in maps], dim=1)


class Level(nn.Module):
    """Stacks of layers, all given the same maps."""

    def __init__(self, n_channels: int, stacks: tuple[StackSettings, ...]) -> None:
        super().__init__()
        self.n_stacks = len(stacks)
        for number, stack in enumerate(stacks, start=1):
            channels = [n_channels, *(layer.channels for layer in stack.layers)]
            layers = [
                (f"layer{place + 1}", hmo_layer(channels[place], layer, seed_of(stack.seed, place)))
                for place, layer in enumerate(stack.layers)
            ]
            self.add_module(f"stack{number}", nn.Sequential(OrderedDict(layers)))
        self.joined = Join()

    def forward(self, maps: Tensor) -> Tensor:
        """Maps of all stacks."""
        return self.joined([self.get_submodule(f"stack{number + 1}")(maps) for number in range(self.n_stacks)])


class HmoNetwork(nn.Module):
    """A network of fixed random filters.

    Parameters
    ----------
    configuration
        What it is.

    Examples
    --------
    >>> def layer(channels, kernel):
    ...     return LayerSettings(channels=channels, kernel=kernel, std=0.5, threshold=0.1)
    >>> stacks = [
    ...     StackSettings(seed=0, layers=[layer(16, 3), layer(32, 3)]),
    ...     StackSettings(seed=1, layers=[layer(8, 5), layer(16, 5)]),
    ... ]
    >>> network = HmoNetwork(Configuration(levels=[stacks]))
    >>> network.maps(torch.rand(1, 1, 64, 64)).shape
    torch.Size([1, 48, 16, 16])
    >>> network(torch.rand(1, 1, 64, 64)).shape
    torch.Size([1, 48, 5, 5])
    """

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        self.image = Normalise(configuration.image)
        self.n_levels, n_channels = len(configuration.levels), configuration.image.n_channels
        for number, stacks in enumerate(configuration.levels, start=1):
            self.add_module(f"level{number}", Level(n_channels, stacks))
            n_channels = sum(stack.layers[-1].channels for stack in stacks)
        self.output = nn.AdaptiveAvgPool2d(configuration.grid)

    def maps(self, images: Tensor) -> Tensor:
        """Maps of the last level.

        Parameters
        ----------
        images
            (n_images, 1 or 3, size, size), in [0, 1].
        """
        maps = self.image(images)
        for number in range(self.n_levels):
            maps = self.get_submodule(f"level{number + 1}")(maps)
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """The output, (n_images, channels, grid, grid)."""
        return self.output(self.maps(images))


def layer_names(configuration: Configuration) -> list[str]:
    """Layers in processing order: those of each stack, the stacks of a level together, and the output."""
    names: list[str] = []
    for number, stacks in enumerate(configuration.levels, start=1):
        for place, stack in enumerate(stacks, start=1):
            names += [f"level{number}.stack{place}.layer{layer + 1}" for layer in range(len(stack.layers))]
        names.append(f"level{number}.joined")
    return [*names, "output"]


def features(configuration: Configuration, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run a network on images, `BATCH` at a time.

    Parameters
    ----------
    configuration
        What it is.
    images
        (n_images, 1 or 3, size, size), in [0, 1].

    Returns
    -------
    (n_images, ``configuration.n_units``), the output.
    """
    network = HmoNetwork(configuration).eval()
    with torch.no_grad():
        parts = [
            network(torch.from_numpy(images[start : start + BATCH])).flatten(1)
            for start in range(0, len(images), BATCH)
        ]
    return torch.cat(parts).numpy()
