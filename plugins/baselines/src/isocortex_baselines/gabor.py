"""Gabor wavelet pyramid: energy of an image at several sizes and orientations."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isocortex.errors import DataError
from isocortex_baselines.images import grey, resize

SIGMAS = (2, 4, 8, 16)
"""Standard deviations of the filters' windows, in pixels."""
SIZE = 256
"""Height and width to which images are resized, in pixels."""
N_ORIENTATIONS = 8
"""Orientations 0, 22.5, ... 157.5 degrees."""
CYCLES_PER_SIGMA = 0.5
"""Cycles of the wave in one standard deviation of its window."""
N_SIGMAS = 4
"""Standard deviations at which the window is cut off."""


@lru_cache(maxsize=16)
def gabor_bank(sigma: int, n_orientations: int = N_ORIENTATIONS) -> NDArray[np.float64]:
    r"""Give the pairs of Gabor filters of one size, each of norm 1.

    ``g = exp(-(x^2 + y^2) / (2 sigma^2)) cos(2 pi (0.5 / sigma) u + phase)`` with ``u = x cos(theta) + y
    sin(theta)``, ``theta = k pi / n_orientations``, phase 0 (even) and pi / 2 (odd), divided by ``sqrt(sum
    g^2)``. The support of an orientation is the square of half-width ``ceil(4 sigma max(|cos theta|, |sin
    theta|))``; smaller ones are padded with zeros to the largest.

    Parameters
    ----------
    sigma
        Standard deviation of the Gaussian window in pixels.
    n_orientations
        Number of orientations between 0 and 180 degrees.

    Returns
    -------
    (2, n_orientations, 8 sigma + 1, 8 sigma + 1), even filters, then odd ones.

    References
    ----------
    Kay, Naselaris, Prenger & Gallant (2008), Nature 452:352-355; filters as in
    `skimage.filters.gabor_kernel`.

    Examples
    --------
    >>> gabor_bank(2).shape, round(float(np.square(gabor_bank(2)[1, 3]).sum()), 12)
    ((2, 8, 17, 17), 1.0)
    """
    theta = (np.arange(n_orientations) * np.pi / n_orientations)[:, None, None]
    reach = N_SIGMAS * sigma * np.maximum(np.abs(np.cos(theta)), np.abs(np.sin(theta)))
    half_width = np.ceil(np.maximum(reach, 1.0))  # (n_orientations, 1, 1)
    axis = np.arange(-int(half_width.max()), int(half_width.max()) + 1)
    y, x = axis[:, None], axis[None, :]
    window = np.exp(-(np.square(x) + np.square(y)) / (2 * sigma**2))
    inside = (np.abs(x) <= half_width) & (np.abs(y) <= half_width)
    angle = 2 * np.pi * CYCLES_PER_SIGMA / sigma * (x * np.cos(theta) + y * np.sin(theta))
    filters = np.where(inside, window, 0.0) * np.stack([np.cos(angle), np.cos(angle + np.pi / 2)])
    filters /= np.sqrt(np.square(filters).sum(axis=(2, 3), keepdims=True))
    filters.flags.writeable = False
    return filters


def _padding(n_pixels: int, width: int, stride: int) -> tuple[int, int]:
    """Give the zeros before and after an axis so that it yields ``ceil(n_pixels / stride)`` outputs."""
    n_outputs = -(-n_pixels // stride)
    total = max((n_outputs - 1) * stride + width - n_pixels, 0)
    return total // 2, total - total // 2


def gabor_energy(image: ArrayLike, sigma: int, n_orientations: int = N_ORIENTATIONS) -> NDArray[np.float64]:
    """Give the Gabor energy of a grey image at one size: ``sqrt(even^2 + odd^2)``.

    The image is correlated with the pairs of `gabor_bank` at every ``2 sigma``-th pixel, padded with zeros so
    that there are ``ceil(n / (2 sigma))`` outputs along an axis, with the odd zero at the end. Nothing is
    subtracted from the image: even filters respond to a flat image, see `prepare_image`.

    Parameters
    ----------
    image
        (height, width), grey values on any scale.
    sigma
        Standard deviation of the filters' windows in pixels.
    n_orientations
        Number of orientations.

    Returns
    -------
    (n_orientations, ceil(height / (2 sigma)), ceil(width / (2 sigma))).

    Raises
    ------
    DataError
        If the image does not have two dimensions or holds values that are not finite.

    References
    ----------
    Kay, Naselaris, Prenger & Gallant (2008), Nature 452:352-355.

    Examples
    --------
    >>> y, x = np.mgrid[:64, :64]
    >>> energy = gabor_energy(np.cos(2 * np.pi * x / 8), sigma=4)
    >>> energy.shape, int(energy[:, 4, 4].argmax())
    ((8, 8, 8), 0)
    """
    picture = np.asarray(image, dtype=np.float64)
    if picture.ndim != 2 or picture.size == 0 or not np.isfinite(picture).all():
        raise DataError(
            f"Expected a grey image of shape (height, width) with finite values, found shape {picture.shape}. "
            "Convert it with isocortex_baselines.images.grey."
        )
    bank = gabor_bank(sigma, n_orientations)
    width, stride = bank.shape[-1], 2 * sigma
    padded = np.pad(picture, [_padding(n_pixels, width, stride) for n_pixels in picture.shape])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (width, width))[::stride, ::stride]
    height_out, width_out = windows.shape[:2]
    responses = windows.reshape(-1, width * width) @ bank.reshape(-1, width * width).T
    # (height * width, 2 * n_orientations) -> (2, n_orientations, height, width)
    even, odd = responses.T.reshape(2, n_orientations, height_out, width_out)
    return np.sqrt(np.square(even) + np.square(odd))


def prepare_image(image: ArrayLike, size: int = SIZE) -> NDArray[np.float64]:
    """Prepare an image for the pyramid: grey, resized bilinearly to a square, mean removed.

    The mean is subtracted because the even filters keep a constant term (their sums are .07, .14 and .29 at sigma 2, 4
    and 8): without it the energy would follow the brightness, and a photograph and its negative (1 - image) would
    differ.

    Parameters
    ----------
    image
        (height, width, 3) or (height, width), uint8, or floats in [0, 1].
    size
        Height and width wanted, in pixels; the aspect ratio is not kept.

    Returns
    -------
    (size, size).

    Raises
    ------
    DataError
        If the shape is another, or floats lie outside [0, 1].

    Examples
    --------
    >>> bool(prepare_image(np.ones((8, 8, 3))).any())
    False
    """
    picture = resize(grey(image), size, size)
    return picture - picture.mean()
