"""From pixels to what a network sees: scaled, centred or whitened, as it was when the network learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from isocortex.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isocortex.data import StimulusBatch

EPSILON: Final = 1e-5
#: images of which products are made at a time
_BLOCK: Final = 1000


@dataclass(frozen=True, eq=False)
class Inputs:
    """How pixels become the input of a network.

    Without a mean they are divided by 255; with a mean it is subtracted first; with a matrix the rest is multiplied by
    that instead of being divided.

    Attributes
    ----------
    mean
        ``(n_values,)`` float32 on the scale 0 to 255, or None.
    matrix
        ``(n_values, n_values)`` float32, symmetric, or None.
    """

    mean: NDArray[np.float32] | None = None
    matrix: NDArray[np.float32] | None = None

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The input of images, ``(n_images, 3, height, width)`` uint8 → the same shape, float32."""
        made = np.empty(pixels.shape, np.float32)
        for start in range(0, len(pixels), _BLOCK):
            rows = pixels[start : start + _BLOCK].reshape(len(pixels[start : start + _BLOCK]), -1).astype(np.float32)
            if self.mean is not None:
                rows -= self.mean
            rows = rows / np.float32(255) if self.matrix is None else rows @ self.matrix
            made[start : start + _BLOCK] = rows.reshape(-1, *pixels.shape[1:])
        return made

    def of_stimuli(self, batch: StimulusBatch, size: int) -> NDArray[np.float32]:
        """The input of stimuli, each squashed to size × size pixels (bilinear filter of Pillow) where it has another.

        Its aspect ratio is not kept.
        """
        from PIL import Image

        planes: list[NDArray[np.uint8]] = []
        for stimulus in batch:
            picture = Image.fromarray(np.ascontiguousarray(stimulus.array))
            if picture.size != (size, size):
                picture = picture.resize((size, size), Image.Resampling.BILINEAR)
            planes.append(np.asarray(picture).transpose(2, 0, 1))
        return self(np.stack(planes))

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """What has to be kept with the weights of a network."""
        named = {"inputs.mean": self.mean, "inputs.matrix": self.matrix}
        return {name: values for name, values in named.items() if values is not None}


def inputs_of(tensors: Mapping[str, Any], n_values: int) -> Inputs:
    """The inputs of a network from what was kept.

    Raises
    ------
    DataError
        Shapes do not fit.
    """
    mean, matrix = (None if name not in tensors else np.asarray(tensors[name], np.float32) for name in _NAMES)
    shapes = [None if values is None else values.shape for values in (mean, matrix)]
    if shapes[0] not in (None, (n_values,)) or shapes[1] not in (None, (n_values, n_values)):
        raise DataError(f"Expected a mean of {n_values} values and a matrix of their square; found shapes {shapes}.")
    return Inputs(mean, matrix)


_NAMES = ("inputs.mean", "inputs.matrix")


def centred(pixels: NDArray[np.uint8]) -> Inputs:
    """The mean of the images is subtracted."""
    return Inputs(_mean(pixels).astype(np.float32))


def whitened(pixels: NDArray[np.uint8], epsilon: float = EPSILON) -> Inputs:
    """Whitening that changes images least (ZCA), fitted on images of the training part.

    ``W = U diag(1 / √(λ + ε)) Uᵀ`` with the covariance ``XᵀX / n = U diag(λ) Uᵀ`` of centred pixels on the scale 0 to
    255. With fewer images than pixels, ``λ`` of the directions that they do not span is 0.

    Parameters
    ----------
    pixels
        ``(n_images, 3, height, width)`` uint8.
    epsilon
        ``ε``.

    Raises
    ------
    DataError
        There are fewer than two images.
    """
    if len(pixels) < 2:
        raise DataError(f"Whitening is fitted on at least two images; found {len(pixels)}.")
    mean = _mean(pixels)
    n_values = len(mean)
    if len(pixels) < n_values:
        rows = pixels.reshape(len(pixels), -1).astype(np.float64) - mean
        gram, right = np.linalg.eigh(rows @ rows.T / len(rows))
        spanned = gram > gram[-1] * len(rows) * np.finfo(float).eps
        values = gram[spanned]
        vectors = rows.T @ right[:, spanned] / np.sqrt(values * len(rows))
        outside = 1 / np.sqrt(epsilon)
        matrix = np.eye(n_values) * outside + vectors * (1 / np.sqrt(values + epsilon) - outside) @ vectors.T
    else:
        values, vectors = np.linalg.eigh(_covariance(pixels, mean))
        matrix = vectors / np.sqrt(np.maximum(values, 0) + epsilon) @ vectors.T
    return Inputs(mean.astype(np.float32), matrix.astype(np.float32))


def said_of_whitening(n_images: int, n_values: int, epsilon: float = EPSILON) -> str | None:
    """A warning where whitening is fitted on too few images to be one for others."""
    if n_images > n_values:
        return None
    return (
        f"Whitening was fitted on {n_images:,} images of {n_values:,} values each: what other images have in "
        f"directions that these do not span is multiplied by {1 / np.sqrt(epsilon):.0f}. Take more images, or "
        "--no-whiten."
    )


def _mean(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    return pixels.reshape(len(pixels), -1).mean(axis=0, dtype=np.float64)


def _covariance(pixels: NDArray[np.uint8], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.zeros((len(mean), len(mean)))
    for start in range(0, len(pixels), _BLOCK):
        block = pixels[start : start + _BLOCK]
        rows = block.reshape(len(block), -1).astype(np.float64) - mean
        total += rows.T @ rows
    return total / len(pixels)
