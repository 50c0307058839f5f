"""A screening task of our own: name the shape, at varying places, sizes and angles, lighter or darker than a texture.

Eight shapes, grey, drawn by a seed: no picture is shipped. Images for the search and for tests of what it found come
from streams of their own, so that one is never the other whatever the seeds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Purpose = Literal["search", "test"]
_STREAMS: dict[Purpose, int] = {"search": 1, "test": 2}
#: rays per pixel and axis
_FINENESS = 2


@dataclass(frozen=True)
class LabelledImages:
    """Images and what is on them.

    Attributes
    ----------
    images
        (n_images, 1 or 3, size, size) float32 in [0, 1].
    labels
        (n_images,), places in ``classes``.
    classes
        Names.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    def among(self, chosen: NDArray[np.bool_]) -> LabelledImages:
        """Some of the images."""
        return LabelledImages(self.images[chosen], self.labels[chosen], self.classes)


def _star(u: Array, v: Array) -> NDArray[np.bool_]:
    return np.hypot(u, v) <= 0.62 + 0.38 * np.cos(5 * np.arctan2(v, u))


def _crescent(u: Array, v: Array) -> NDArray[np.bool_]:
    return (np.hypot(u, v) <= 1.0) & (np.hypot(u - 0.5, v) > 0.8)


def _triangle(u: Array, v: Array) -> NDArray[np.bool_]:
    return (v >= -0.6) & (v <= 1.0 - 1.75 * np.abs(u))


#: shape → whether a point lies on it; all fit the circle of radius 1.3 around the origin
SHAPES: dict[str, Callable[[Array, Array], NDArray[np.bool_]]] = {
    "bar": lambda u, v: (np.abs(u) <= 1.2) & (np.abs(v) <= 0.35),
    "crescent": _crescent,
    "disc": lambda u, v: np.hypot(u, v) <= 0.9,
    "frame": lambda u, v: (np.maximum(np.abs(u), np.abs(v)) <= 0.9) & (np.maximum(np.abs(u), np.abs(v)) >= 0.55),
    "plus": lambda u, v: (np.minimum(np.abs(u), np.abs(v)) <= 0.3) & (np.maximum(np.abs(u), np.abs(v)) <= 1.0),
    "ring": lambda u, v: np.abs(np.hypot(u, v) - 0.8) <= 0.2,
    "star": _star,
    "triangle": _triangle,
}
CLASSES = tuple(SHAPES)


def shapes_on_textures(n_per_class: int, seed: int, purpose: Purpose, size: int = 64) -> LabelledImages:
    """Draw images of eight shapes.

    A shape lies within 12 % of the image around its middle, has 22 to 34 % of it as its radius and is turned by up to
    30 degrees either way. Background and shape are textures of their own; the shape's mean is .25 to .4 lighter or
    darker, one as often as the other, so that the mean of a class shows next to nothing and pixels do not suffice.

    Parameters
    ----------
    n_per_class
        Images of each shape.
    seed
        Draws everything; image i of a shape is the same whatever ``n_per_class`` is.
    purpose
        Images for the search are never those of a test, under any seeds.
    size
        Height and width in pixels.

    Examples
    --------
    >>> drawn = shapes_on_textures(2, seed=0, purpose="test", size=32)
    >>> drawn.images.shape, drawn.labels.tolist()[:4], drawn.classes[0]
    ((16, 1, 32, 32), [0, 0, 1, 1], 'bar')
    """
    labels = np.repeat(np.arange(len(CLASSES)), n_per_class)
    images = [
        _image(CLASSES[label], np.random.default_rng([_STREAMS[purpose], seed, int(label), number]), size)
        for label in range(len(CLASSES))
        for number in range(n_per_class)
    ]
    return LabelledImages(np.stack(images)[:, None].astype(np.float32), labels, CLASSES)


def _image(shape: str, generator: np.random.Generator, size: int) -> Array:
    cover = _cover(shape, generator, size)
    contrast = generator.uniform(0.25, 0.4) * generator.choice([-1.0, 1.0])
    ground = 0.5 - contrast / 2 + _texture(generator, size)
    figure = 0.5 + contrast / 2 + _texture(generator, size)
    return np.clip(ground * (1 - cover) + figure * cover, 0.0, 1.0)


def _cover(shape: str, generator: np.random.Generator, size: int) -> Array:
    """How much of each pixel a shape covers, (size, size)."""
    radius = generator.uniform(0.22, 0.34)
    x, y = generator.uniform(0.38, 0.62, 2)
    angle = generator.uniform(-np.pi / 6, np.pi / 6)
    n_rays = size * _FINENESS
    places = (np.arange(n_rays) + 0.5) / n_rays
    across, down = (places[None, :] - x) / radius, (places[:, None] - y) / radius
    u = across * np.cos(angle) + down * np.sin(angle)
    v = down * np.cos(angle) - across * np.sin(angle)
    return SHAPES[shape](u, v).reshape(size, _FINENESS, size, _FINENESS).mean(axis=(1, 3))


def _texture(generator: np.random.Generator, size: int) -> Array:
    """Noise whose amplitude falls with a power of frequency between 1 and 1.5, standard deviation .03 to .07."""
    noise = np.fft.rfft2(generator.standard_normal((size, size)))
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    frequency[0, 0] = np.inf
    texture = np.fft.irfft2(noise * frequency ** -generator.uniform(1.0, 1.5), s=(size, size))
    return texture * (generator.uniform(0.03, 0.07) / texture.std())
