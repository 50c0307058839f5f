"""What is searched: which settings a stack may have, and how one is drawn so that its maps never get too small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Protocol, cast

from pydantic import BaseModel, ConfigDict, Field

from isocortex.errors import SettingsError
from isocortex_trainable.hmo.configuration import Configuration, ImageSettings, LayerSettings, Order, StackSettings
from isocortex_trainable.hmo.steps import pooled_size

Choice = int | float | str
Chosen = dict[str, Choice]
Range = tuple[float, float]
#: stacks side by side in a configuration that is drawn, from and to
N_STACKS = (1, 2, 3)


class Chooser(Protocol):
    """Who decides: chance, a search, or what was decided before."""

    def one_of(self, name: str, options: Sequence[Choice]) -> Choice:
        """Choose one of at least two options."""
        ...

    def between(self, name: str, low: float, high: float) -> float:
        """Choose a number from a range."""
        ...


class SearchSpace(BaseModel):
    """Settings among which a search chooses. Each field but ``depth`` is one of `LayerSettings`, by the same name.

    Fields that hold a pair of floats are ranges, the others lists of values.

    Examples
    --------
    >>> space = SearchSpace()
    >>> stack = space.draw_stack(RandomChooser(3), size=64, seed=3)
    >>> stack == space.draw_stack(RandomChooser(3), size=64, seed=3), len(stack.layers) in space.depth
    (True, True)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    depth: Annotated[tuple[int, ...], Field(min_length=1)] = (1, 2, 3)
    channels: Annotated[tuple[int, ...], Field(min_length=1)] = (8, 16, 24, 32, 40, 48, 56, 64)
    kernel: Annotated[tuple[int, ...], Field(min_length=1)] = (3, 5, 7)
    std: Range = (0.5, 1.5)
    threshold: Range = (0.0, 0.2)
    pool_size: Annotated[tuple[int, ...], Field(min_length=1)] = (2, 3)
    pool_stride: Annotated[tuple[int, ...], Field(min_length=1)] = (1, 2)
    pooling: Annotated[tuple[str, ...], Field(min_length=1)] = ("max", "average")
    order: Annotated[tuple[Order, ...], Field(min_length=1)] = (
        "filter-activate-pool-normalise",
        "filter-activate-normalise-pool",
    )

    def draw_stack(self, chooser: Chooser, size: int, seed: int, depth: int | None = None) -> StackSettings:
        """Have a stack chosen for maps of a size.

        Of kernels only those are offered that fit the maps that the layer is given, and of strides only those that
        leave maps on which the smallest kernel fits, so that every stack that is chosen can run.

        Parameters
        ----------
        chooser
            Decides, under names such as "depth" and "layer2.kernel".
        size
            Height and width of the maps that the stack is given.
        seed
            Of the stack's filters.
        depth
            Number of layers; default: chosen as well.

        Raises
        ------
        SettingsError
            The smallest kernel is larger than the maps.
        """
        if size < min(self.kernel):
            raise SettingsError(f"Maps of {size} pixels are smaller than the smallest kernel, {min(self.kernel)}.")
        n_layers = depth if depth is not None else int(_one_of(chooser, "depth", self.depth))
        layers: list[LayerSettings] = []
        for number in range(1, n_layers + 1):
            layers.append(self._draw_layer(chooser, f"layer{number}", size))
            size = pooled_size(size, layers[-1].pool_stride)
        return StackSettings(seed=seed, layers=tuple(layers))

    def _draw_layer(self, chooser: Chooser, place: str, size: int) -> LayerSettings:
        fitting: dict[str, list[Choice]] = {
            "kernel": [kernel for kernel in self.kernel if kernel <= size],
            "pool_stride": [s for s in self.pool_stride if pooled_size(size, s) >= min(self.kernel)] or [1],
        }
        chosen: dict[str, Any] = {}
        for setting in SEARCHED:
            name, offered = f"{place}.{setting}", getattr(self, setting)
            if setting in RANGES:
                chosen[setting] = chooser.between(name, *cast("Range", offered))
            else:
                chosen[setting] = _one_of(chooser, name, fitting.get(setting) or offered)
        return LayerSettings(**chosen)

    def draw_configuration(
        self, seed: int, image: ImageSettings, depths: Sequence[Sequence[int]] | None = None
    ) -> Configuration:
        """Draw a whole configuration by a seed.

        Parameters
        ----------
        seed
            Draws all settings, and the filters.
        image
            What the network is given.
        depths
            Number of layers of every stack, level by level; default: one level of one to three stacks, drawn as well.
        """
        chooser = RandomChooser(seed)
        if depths is None:
            depths = [[int(chooser.one_of("depth", self.depth)) for _ in range(int(chooser.one_of("n", N_STACKS)))]]
        size, levels = image.size, list[tuple[StackSettings, ...]]()
        for level, stacks in enumerate(depths):
            drawn = [
                self.draw_stack(chooser, size, seed_of(seed, level, number), depth)
                for number, depth in enumerate(stacks)
            ]
            levels.append(tuple(drawn))
            size = Configuration(image=image, levels=tuple(levels)).map_size
        return Configuration(image=image, levels=tuple(levels))


#: settings of a layer that are searched, in the order in which they are chosen
SEARCHED = tuple(name for name in SearchSpace.model_fields if name != "depth")
RANGES = ("std", "threshold")


def _one_of(chooser: Chooser, name: str, options: Sequence[Choice]) -> Choice:
    """What stands alone is no choice."""
    return options[0] if len(options) == 1 else chooser.one_of(name, options)


def seed_of(*numbers: int) -> int:
    """One seed of several numbers.

    Examples
    --------
    >>> seed_of(1, 2) == seed_of(1, 2), seed_of(1, 2) == seed_of(2, 1)
    (True, False)
    """
    import numpy as np

    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


class RandomChooser:
    """Chance, by a seed: each option as likely as the others, ranges uniform."""

    def __init__(self, seed: int) -> None:
        import numpy as np

        self._generator = np.random.default_rng(seed)

    def one_of(self, name: str, options: Sequence[Choice]) -> Choice:
        """Draw an option."""
        del name
        return options[int(self._generator.integers(len(options)))]

    def between(self, name: str, low: float, high: float) -> float:
        """Draw a number."""
        del name
        return float(self._generator.uniform(low, high))
