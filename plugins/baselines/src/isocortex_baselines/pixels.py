"""Pixels: the image itself as features, the floor for every model of vision."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isocortex_baselines.images import as_rgb, resize

SIZE = 64
"""Height and width to which images are resized, in pixels."""
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
"""Of red, green and blue in [0, 1], over ImageNet."""


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


def normalised(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Colours (3, height, width) in [0, 1], less the means of ImageNet, over their deviations.

    Examples
    --------
    >>> normalised(np.full((3, 1, 1), 0.485)).ravel().round(3).tolist()
    [0.0, 0.129, 0.351]
    """
    return (colours - MEAN[:, None, None]) / DEVIATION[:, None, None]
