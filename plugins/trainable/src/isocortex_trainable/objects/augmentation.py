"""Every image twice in an epoch: as it is, and mirrored and turned; both moved by a few pixels that are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: pixels of zeros on every side: 32 become 40
PADDING: Final = 4


def cropped(images: NDArray[np.float32], stream: np.random.Generator, padding: int = PADDING) -> NDArray[np.float32]:
    """Images moved by up to ``padding`` pixels: padded with zeros on all sides, and cropped to their size again.

    Parameters
    ----------
    images
        ``(n_images, n_channels, height, width)``.
    stream
        Draws the place of each.
    padding
        In pixels.

    Examples
    --------
    >>> images = np.ones((2, 3, 32, 32), np.float32)
    >>> cropped(images, np.random.default_rng(0)).shape
    (2, 3, 32, 32)
    """
    height, width = images.shape[2:]
    padded = np.pad(images, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    places = stream.integers(0, 2 * padding + 1, (len(images), 2))
    return np.stack([image[:, y : y + height, x : x + width] for image, (y, x) in zip(padded, places, strict=True)])


def mirrored_and_turned(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images mirrored left to right, then turned by 90° against the clock; they are square.

    Examples
    --------
    >>> mirrored_and_turned(np.array([[[[1, 2], [3, 4]]]], np.float32))[0, 0].tolist()
    [[1.0, 3.0], [2.0, 4.0]]
    """
    return np.rot90(images[..., ::-1], axes=(2, 3))


def augmented(
    images: NDArray[np.float32], changed: NDArray[np.bool_], stream: np.random.Generator
) -> NDArray[np.float32]:
    """A batch of images, some of them mirrored and turned, all moved by up to four pixels.

    Parameters
    ----------
    images
        ``(n_images, n_channels, size, size)``.
    changed
        ``(n_images,)``: those to be mirrored and turned.
    stream
        Draws how far each is moved.
    """
    made = images.copy()
    made[changed] = mirrored_and_turned(images[changed])
    return cropped(made, stream)
