"""Pictures as a network of this room gets them: one size, colours from 0 to 1 for each channel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from isocortex.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isocortex.data import Stimulus, StimulusSet
    from isocortex.typing import Array


def side_of(stimuli: StimulusSet, most: int) -> int:
    """Side in pixels to which pictures are brought: that of the smallest one, and at most ``most``.

    Nothing is enlarged but what is not square, which is squeezed.
    """
    return min(most, min(min(item.array.shape[:2]) for item in stimuli))


def pictures(stimuli: Iterable[Stimulus], side: int) -> NDArray[np.uint8]:
    """Pictures as (n_stimuli, 3, side, side) uint8, brought to the size by antialiased bicubic interpolation.

    Memory: 3 side² bytes for each.

    Examples
    --------
    >>> from isocortex.data import Stimulus
    >>> pictures([Stimulus("grey", "image", np.full((8, 6, 3), 128, np.uint8))], 4)[0, :, 0, 0].tolist()
    [128, 128, 128]
    """
    return np.stack([_sized(item.array, side, item.id) for item in stimuli])


def _sized(array: Array, side: int, name: str) -> NDArray[np.uint8]:
    from PIL import Image

    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        raise DataError(f"Expected a picture (height, width, 3) of uint8; {name!r} is {array.shape} of {array.dtype}.")
    if array.shape[:2] != (side, side):
        resized = Image.fromarray(np.ascontiguousarray(array)).resize((side, side), Image.Resampling.BICUBIC)
        array = np.asarray(resized)
    return np.ascontiguousarray(array.transpose(2, 0, 1))  # (3, side, side)


def said_of_size(stimuli: StimulusSet, side: int) -> str | None:
    """A sentence about pictures that are brought to another size, None where all have it."""
    other = {item.array.shape[:2] for item in stimuli} - {(side, side)}
    if not other:
        return None
    sizes = ", ".join(f"{height} × {width}" for height, width in sorted(other)[:3])
    return f"Pictures of {sizes}{' and more sizes' if len(other) > 3 else ''} pixels were brought to {side} × {side}."


def channel_statistics(images: NDArray[np.uint8]) -> tuple[Array, Array]:
    """Mean and standard deviation of each colour of training pictures on the scale from 0 to 1, (3,) float32 each.

    Examples
    --------
    >>> [round(float(mean), 3) for mean in channel_statistics(np.full((2, 3, 4, 4), 51, np.uint8))[0]]
    [0.2, 0.2, 0.2]
    """
    values = images.reshape(len(images), 3, -1)
    mean = values.mean(axis=(0, 2), dtype=np.float64) / 255
    variance = (values.astype(np.float32) ** 2).mean(axis=(0, 2), dtype=np.float64) / 255**2 - mean**2
    return mean.astype(np.float32), np.sqrt(np.maximum(variance, 1e-8)).astype(np.float32)


def blocks(n_items: int, size: int) -> Sequence[slice]:
    """Slices of so many items, one after the other.

    Examples
    --------
    >>> blocks(5, 2)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 6, None)]
    """
    return [slice(start, start + size) for start in range(0, n_items, size)]
