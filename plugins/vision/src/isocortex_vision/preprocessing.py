"""From images to a network's input: squashed, as they are, or as the library that trained the network evaluates it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from isocortex.errors import DataError, PluginError, suggest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isocortex.data import StimulusBatch

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
#: height and width to which Conwell et al. bring every image
CONWELL_SIZE = 224


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How an image becomes the input of a network.

    Attributes
    ----------
    height, width
        Of the input, in pixels.
    shorter
        Length in pixels to which the shorter side is brought before the centre is cropped; None: the whole image is
        squashed to height × width, and its aspect ratio is not kept.
    as_is
        Images are neither resized nor cropped: one of another size is refused.
    interpolation
        Of Pillow, whose filters widen where an image gets smaller.
    mean, std
        Of red, green and blue in [0, 1]; subtracted and divided by.

    Examples
    --------
    >>> Preprocessing(height=2, width=2, mean=(0, 0, 0), std=(1, 1, 1)).of_image(np.full((4, 6, 3), 255, "u1")).shape
    (3, 2, 2)
    """

    height: int
    width: int
    shorter: int | None = None
    as_is: bool = False
    interpolation: Interpolation = "bilinear"
    mean: Sequence[float] = IMAGENET_MEAN
    std: Sequence[float] = IMAGENET_STD

    def __call__(self, batch: StimulusBatch) -> NDArray[np.float32]:
        """The input of a batch, (n_images, 3, height, width).

        Raises
        ------
        DataError
            An image has another size than the input, and is to be taken as it is.
        """
        return np.stack([self.of_image(stimulus.array, stimulus.id) for stimulus in batch])

    def of_image(self, image: NDArray[np.uint8], name: str = "the image") -> NDArray[np.float32]:
        """The input of one image, (height, width, 3) uint8 → (3, height, width); ``name`` is for messages.

        Raises
        ------
        DataError
            It has another size than the input, and is to be taken as it is.
        """
        from PIL import Image

        if self.as_is and image.shape[:2] != (self.height, self.width):
            raise DataError(
                f"{name!r} has {image.shape[0]} × {image.shape[1]} pixels, and the preprocessing 'as-is' takes "
                f"{self.height} × {self.width} alone. Resize the images, or choose a preprocessing that does."
            )
        picture = Image.fromarray(np.ascontiguousarray(image))
        if not self.as_is:
            picture = self._squashed(picture) if self.shorter is None else self._cropped(picture, self.shorter)
        values = np.asarray(picture).astype(np.float32) / np.float32(255)
        values = (values - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        return np.ascontiguousarray(values.transpose(2, 0, 1))

    def _squashed(self, picture: Any) -> Any:
        return self._resized(picture, self.width, self.height)

    def _cropped(self, picture: Any, shorter: int) -> Any:
        width, height = picture.size
        least = min(width, height)
        if least != shorter:
            width, height = (shorter if side == least else int(shorter * side / least) for side in (width, height))
            picture = self._resized(picture, width, height)
        left, top = round((width - self.width) / 2), round((height - self.height) / 2)
        # beyond the image Pillow puts black, as torchvision does
        return picture.crop((left, top, left + self.width, top + self.height))

    def _resized(self, picture: Any, width: int, height: int) -> Any:
        from PIL import Image

        return picture.resize((width, height), getattr(Image.Resampling, self.interpolation.upper()))


@dataclass(frozen=True, kw_only=True)
class Published:
    """What a network was trained for: its input, and how its library evaluates it.

    Attributes
    ----------
    own
        The library's own preprocessing; None where that has no fixed size.
    height, width
        Of the input, in pixels.
    one_size
        The network runs at no other size.
    interpolation
        With which Brain-Score squashes images for it.
    """

    own: Callable[[StimulusBatch], Any] | None
    height: int
    width: int
    one_size: bool = False
    interpolation: Interpolation = "bilinear"
    mean: Sequence[float] = IMAGENET_MEAN
    std: Sequence[float] = IMAGENET_STD


def at_size(published: Published, size: int, model: str) -> Published:
    """What a network was trained for, with an input of another height and width in pixels.

    Raises
    ------
    PluginError
        It runs at one size only.

    Examples
    --------
    >>> at_size(Published(own=None, height=224, width=224), 64, "resnet50").height
    64
    """
    if published.one_size and size != published.height:
        raise PluginError(f"{model} runs at {published.height} × {published.width} pixels alone; found size = {size}.")
    return replace(published, own=None, height=size, width=size)


def _brainscore(published: Published) -> Preprocessing:
    return Preprocessing(
        height=published.height,
        width=published.width,
        interpolation=published.interpolation,
        mean=published.mean,
        std=published.std,
    )


def _conwell(published: Published) -> Preprocessing:
    height, width = published.height, published.width
    if not published.one_size:
        height = width = CONWELL_SIZE
    return Preprocessing(height=height, width=width, mean=published.mean, std=published.std)


def _as_is(published: Published) -> Preprocessing:
    return replace(_brainscore(published), as_is=True)


#: name → what makes it of a network's published numbers; "torchvision" is the library's own
NAMED: dict[str, Callable[[Published], Preprocessing]] = {
    "brainscore": _brainscore,
    "conwell": _conwell,
    "as-is": _as_is,
}
NAMES = (*NAMED, "torchvision")


@dataclass(frozen=True)
class Chosen:
    """A preprocessing, and the height and width of what it gives."""

    make: Callable[[StimulusBatch], Any]
    height: int
    width: int


def choose_preprocessing(name: str, published: Published, model: str) -> Chosen:
    """The preprocessing of that name for a network.

    Parameters
    ----------
    name
        "brainscore": the whole image, squashed to the size of the network's input. "conwell": the whole image, squashed
        to 224 × 224 whatever the network, or to the one size that it takes. "as-is": images that have the size of the
        network's input already, neither resized nor cropped; others are refused. "torchvision": as the network's
        library evaluates it, mostly the shorter side resized and the centre cropped. Means and standard deviations are
        always those of the network.
    published
        What the network was trained for.
    model
        The model's ID, for messages.

    Raises
    ------
    PluginError
        An unknown name, or the library's own where its size is not fixed.
    """
    if name in NAMED:
        made = NAMED[name](published)
        return Chosen(made, made.height, made.width)
    if name != "torchvision":
        raise PluginError(
            f"The row of {model} has preprocessing = {name!r}.{suggest(name, NAMES)} "
            f"Expected one of {', '.join(NAMES)}."
        )
    if published.own is None:
        raise PluginError(
            f"{model} has no preprocessing 'torchvision' here: it keeps the shape of every image, so that layers have "
            f"as many units as the image has pixels. Expected one of {', '.join(NAMED)}."
        )
    return Chosen(published.own, published.height, published.width)
