"""Bringing an image to the size, colours and range that a model expects."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isocortex.errors import DataError

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R Recommendation BT.601)."""


def as_rgb(image: ArrayLike) -> NDArray[np.float64]:
    """Give an image as RGB in [0, 1].

    Parameters
    ----------
    image
        (height, width, 3) or (height, width), uint8 (divided by 255), or floats that lie in [0, 1] already; two
        dimensions are grey.

    Returns
    -------
    (height, width, 3).

    Raises
    ------
    DataError
        If the shape is another, the image is empty, or floats lie outside [0, 1].

    Examples
    --------
    >>> as_rgb(np.full((1, 1), 255, dtype=np.uint8))
    array([[[1., 1., 1.]]])
    """
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise DataError(
            f"Expected an image of shape (height, width, 3) or (height, width), found {np.shape(image)}. "
            "Convert it to RGB first."
        )
    if pixels.dtype == np.uint8:
        return pixels / 255.0
    pixels = pixels.astype(np.float64)
    if not (np.isfinite(pixels).all() and pixels.min() >= 0.0 and pixels.max() <= 1.0):
        raise DataError(
            f"Expected an image of uint8, or of floats in [0, 1]; found {np.asarray(image).dtype} with values from "
            f"{pixels.min():g} to {pixels.max():g}. Rescale it first."
        )
    return pixels


def grey(image: ArrayLike) -> NDArray[np.float64]:
    """Give the luma of an image in [0, 1]: ``0.299 R + 0.587 G + 0.114 B``.

    Parameters
    ----------
    image
        (height, width, 3) or (height, width), as for `as_rgb`.

    Returns
    -------
    (height, width).

    Raises
    ------
    DataError
        As `as_rgb`.

    Examples
    --------
    >>> grey(np.ones((2, 2, 3))).round(12)
    array([[1., 1.],
           [1., 1.]])
    """
    return as_rgb(image) @ np.array(LUMA)


def resize(channel: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Resize one channel bilinearly, the filter widened to the output's pixels where the image gets smaller.

    Computed by Pillow in single precision; the aspect ratio is not kept.

    Parameters
    ----------
    channel
        (height_before, width_before), one channel.
    height, width
        Size wanted, in pixels.

    Returns
    -------
    (height, width).

    Examples
    --------
    >>> resize(np.array([[0.0, 1.0]]), height=1, width=4)
    array([[0.  , 0.25, 0.75, 1.  ]])
    """
    from PIL import Image

    picture = Image.fromarray(channel.astype(np.float32))
    resized = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float64)
