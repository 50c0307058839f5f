"""Pixels: the image itself as features, the floor for every model of vision."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isocortex_baselines.images import as_rgb, resize

SIZE = 64
"""Height and width to which images are resized, in pixels."""


def pixels(image: ArrayLike, size: int = SIZE) -> NDArray[np.float64]:
    """Give an image's colours at a fixed size.

    Parameters
    ----------
    image
        (height, width, 3) or (height, width), uint8, or floats in [0, 1].
    size
        Height and width wanted; the aspect ratio is not kept.

    Returns
    -------
    (3, size, size), red, green and blue in [0, 1], resized bilinearly.

    Raises
    ------
    DataError
        If the shape is another, or floats lie outside [0, 1].

    Examples
    --------
    >>> pixels(np.zeros((10, 20, 3), dtype=np.uint8)).shape
    (3, 64, 64)
    """
    rgb = as_rgb(image)
    return np.stack([resize(rgb[:, :, channel], size, size) for channel in range(3)])
