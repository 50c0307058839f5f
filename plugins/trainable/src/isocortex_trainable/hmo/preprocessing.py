"""Bringing an image to the size and the colours that a network of the family is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isocortex.errors import DataError
from isocortex_trainable.hmo.configuration import ImageSettings

if TYPE_CHECKING:
    from isocortex.data import StimulusBatch

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R Recommendation BT.601)."""


def prepare(image: NDArray[np.uint8], settings: ImageSettings) -> NDArray[np.float32]:
    """Make an image grey (luma) or leave it RGB, resize it to a square and bring it to [0, 1].

    Resized bilinearly by Pillow in single precision, the filter widened where the image gets smaller; the aspect ratio
    is not kept.

    Parameters
    ----------
    image
        (height, width, 3), uint8 RGB.
    settings
        Size and colours.

    Returns
    -------
    (1 or 3, size, size), in [0, 1].

    Raises
    ------
    DataError
        Another shape or dtype.

    Examples
    --------
    >>> prepare(np.full((10, 20, 3), 255, dtype=np.uint8), ImageSettings(size=8)).shape
    (1, 8, 8)
    """
    from PIL import Image

    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise DataError(f"Expected an image (height, width, 3) of uint8, found {image.shape} of {image.dtype}.")
    colours = image.astype(np.float32) / np.float32(255)
    channels = (
        [colours @ np.array(LUMA, dtype=np.float32)] if settings.colours == "grey" else np.moveaxis(colours, 2, 0)
    )
    side = (settings.size, settings.size)
    resized = [Image.fromarray(channel).resize(side, Image.Resampling.BILINEAR) for channel in channels]
    return np.stack([np.asarray(channel, dtype=np.float32) for channel in resized])


def prepare_batch(batch: StimulusBatch, settings: ImageSettings) -> NDArray[np.float32]:
    """Prepare the stimuli of a batch, (n_stimuli, 1 or 3, size, size).

    Raises
    ------
    DataError
        An image that cannot be used; the message names it.
    """
    prepared: list[NDArray[np.float32]] = []
    for stimulus in batch:
        try:
            prepared.append(prepare(np.asarray(stimulus.array), settings))
        except DataError as error:
            raise DataError(f"Stimulus {stimulus.id!r}: {error}") from error
    return np.stack(prepared)
