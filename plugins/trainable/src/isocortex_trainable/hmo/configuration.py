"""What a network of the family is, as data: layers in stacks, stacks side by side in levels; JSON in and out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from isocortex.errors import SettingsError, shorten
from isocortex_trainable.hmo.steps import pooled_size

Order = Literal["filter-activate-pool-normalise", "filter-activate-normalise-pool"]
Odd = Annotated[int, Field(ge=1, le=31)]
MOST_UNITS = 1250
"""Units of the output in Yamins et al. (2014)."""


class _Strict(BaseModel):
    """Unknown keys are refused, and nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LayerSettings(_Strict):
    """One layer; see ``isocortex_trainable.hmo.steps`` for what each number does."""

    channels: int = Field(ge=1, le=512, description="number of filters")
    kernel: Odd = Field(description="height and width of the filters, in pixels, odd")
    std: float = Field(default=1.0, gt=0, description="norm of the filters")
    threshold: float = Field(default=0.0, ge=0, description="lower bound of the activation")
    saturation: float | None = Field(default=1.0, description="its upper bound")
    pool_size: int = Field(default=2, ge=1, le=16)
    pool_stride: int = Field(default=2, ge=1, le=16)
    pooling: Literal["max", "average"] | Annotated[float, Field(ge=1, le=100)] = "max"
    box: Odd = Field(default=5, description="height and width of the box that is normalised over, odd")
    floor: float = Field(default=0.1, gt=0, description="smallest divisor")
    order: Order = "filter-activate-pool-normalise"

    @model_validator(mode="after")
    def _can_be(self) -> LayerSettings:
        if self.kernel % 2 == 0 or self.box % 2 == 0:
            raise ValueError(f"kernel and box are odd; found {self.kernel} and {self.box}")
        if self.saturation is not None and self.saturation <= self.threshold:
            raise ValueError(f"saturation lies above threshold; found {self.saturation} and {self.threshold}")
        if self.pool_stride > self.pool_size:
            raise ValueError(
                f"boxes leave no pixel out; found pool_stride {self.pool_stride} over pool_size {self.pool_size}"
            )
        return self


class StackSettings(_Strict):
    """Layers on top of each other, and the seed of their filters."""

    seed: int = Field(ge=0, lt=2**63)
    layers: tuple[LayerSettings, ...] = Field(min_length=1, max_length=3)


class ImageSettings(_Strict):
    """What the network is given: an image of this size and these colours, normalised over a box, its mean removed."""

    size: int = Field(default=64, ge=8, le=1024, description="height and width to which images are resized, in pixels")
    colours: Literal["grey", "rgb"] = "grey"
    box: Odd = Field(default=9, description="height and width of the box that is normalised over, odd")
    floor: float = Field(default=0.05, gt=0, description="smallest divisor; images lie in [0, 1]")

    @model_validator(mode="after")
    def _is_odd(self) -> ImageSettings:
        if self.box % 2 == 0:
            raise ValueError(f"box is odd; found {self.box}")
        return self

    @property
    def n_channels(self) -> int:
        """1 or 3."""
        return 1 if self.colours == "grey" else 3


class Configuration(_Strict):
    """A network: one level of stacks side by side, or a second one on top of it.

    Attributes
    ----------
    levels
        Stacks of each level, each given all maps of the level below.
    most_units
        The output has the finest square grid of places with at most so many numbers.
    made_by
        What found the configuration; decides nothing.
    """

    image: ImageSettings = ImageSettings()
    levels: tuple[Annotated[tuple[StackSettings, ...], Field(min_length=1, max_length=12)], ...] = Field(
        min_length=1, max_length=2
    )
    most_units: int = Field(default=MOST_UNITS, ge=1)
    made_by: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _has_room(self) -> Configuration:
        size = self.image.size
        for number, stacks in enumerate(self.levels, start=1):
            size = min(
                final_size(stack.layers, size, f"level {number}, stack {n}") for n, stack in enumerate(stacks, start=1)
            )
        if self.most_units < self.n_channels:
            raise ValueError(f"most_units is {self.most_units}, below the {self.n_channels} channels of the output")
        return self

    @property
    def n_channels(self) -> int:
        """Channels of the last level."""
        return sum(stack.layers[-1].channels for stack in self.levels[-1])

    @property
    def map_size(self) -> int:
        """Height and width of the maps of the last level."""
        size = self.image.size
        for stacks in self.levels:
            size = min(final_size(stack.layers, size) for stack in stacks)
        return size

    @property
    def grid(self) -> int:
        """Places along one side of the output, so that ``channels × grid²`` is at most ``most_units``."""
        return max(side for side in range(1, self.map_size + 1) if side == 1 or self._units(side) <= self.most_units)

    def _units(self, side: int) -> int:
        return self.n_channels * side * side

    @property
    def n_units(self) -> int:
        """Numbers in the output."""
        return self._units(self.grid)

    @property
    def depths(self) -> tuple[tuple[int, ...], ...]:
        """Number of layers of every stack, level by level."""
        return tuple(tuple(len(stack.layers) for stack in stacks) for stacks in self.levels)

    def to_json(self) -> dict[str, Any]:
        """The configuration as plain dictionaries, lists, texts and numbers."""
        return self.model_dump(mode="json", exclude_none=False)


def final_size(layers: Sequence[LayerSettings], size: int, where: str = "a stack") -> int:
    """Height and width of the maps that layers leave of maps of ``size``.

    Raises
    ------
    ValueError
        A layer is given maps that are smaller than its kernel.

    Examples
    --------
    >>> final_size([LayerSettings(channels=16, kernel=3), LayerSettings(channels=32, kernel=3)], 64)
    16
    """
    for number, layer in enumerate(layers, start=1):
        if layer.kernel > size:
            raise ValueError(
                f"{where}, layer {number} has a kernel of {layer.kernel} pixels and is given maps of {size}; "
                "use larger images, smaller kernels or strides of 1"
            )
        size = pooled_size(size, layer.pool_stride)
    return size


def configuration_of(content: object, named: str = "The configuration") -> Configuration:
    """Check what JSON gave.

    Raises
    ------
    SettingsError
        It is no configuration: unknown or missing keys, values out of range, maps that shrink below a kernel.

    Examples
    --------
    >>> configuration_of({"levels": [[{"seed": 0, "layers": [{"channels": 8, "kernel": 3, "Kernel": 5}]}]]})
    Traceback (most recent call last):
    isocortex.errors.SettingsError: The configuration: levels.0.0.layers.0.Kernel: Extra inputs are not permitted.
    """
    try:
        return Configuration.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        raise SettingsError(f"{named}: {_reasons(error)}.") from error


def _reasons(error: ValidationError) -> str:
    """What is wrong, without what follows of it: a tuple whose only item is refused is said to have none."""
    found = [(item["loc"], item["msg"]) for item in error.errors()]
    first = [
        f"{'.'.join(map(str, place))}: {text}".lstrip(": ")
        for place, text in found
        if not any(len(place) < len(other) and other[: len(place)] == place for other, _ in found)
    ]
    return shorten(first)


def read_configuration(path: Path) -> Configuration:
    """Read a configuration from a JSON file.

    Raises
    ------
    SettingsError
        The file is absent, no JSON, or no configuration.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_each_once)
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(
            f"{path} is no configuration ({reason}). Expected JSON, as 'isocortex hmo search' writes it."
        ) from error
    return configuration_of(content, str(path))


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, of which json would keep the last of two equal keys."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it has {shorten(sorted(name for name in found if names.count(name) > 1))} twice")
    return found
