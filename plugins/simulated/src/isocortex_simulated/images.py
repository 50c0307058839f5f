"""Synthesised colour images of 128 x 128 pixels in eight categories."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from isocortex_simulated.draws import Floats, Stream

SIZE = 128
"""Height and width in pixels."""

_Y, _X = np.mgrid[:SIZE, :SIZE].astype(np.float64)
_FREQUENCY_Y, _FREQUENCY_X = np.fft.fftfreq(SIZE)[:, None], np.fft.fftfreq(SIZE)[None, :]
_FREQUENCY = np.hypot(_FREQUENCY_Y, _FREQUENCY_X) * SIZE  # cycles per image


def _colours(stream: Stream, n: int) -> Floats:
    """Draw n colours, (n, 3) in [0, 1]."""
    return stream.uniform(3 * n).reshape(n, 3)


def _mix(weight: Floats, stream: Stream) -> Floats:
    """Paint weights (128, 128) in [0, 1] as a mixture of two colours: (128, 128, 3)."""
    first, second = _colours(stream, 2)
    return first + (second - first) * weight[:, :, None]


def _wave(stream: Stream) -> Floats:
    """Give a sinusoidal grating between -1 and 1 of 2 to 40 cycles per image."""
    angle, cycles = stream.between(0, np.pi), stream.log_between(2, 40)
    along = _X * np.cos(angle) + _Y * np.sin(angle)
    return np.sin(2 * np.pi * cycles * along / SIZE + stream.between(0, 2 * np.pi))


def _window(stream: Stream) -> Floats:
    """Give a Gaussian window somewhere in the image, with a standard deviation of 15 to 60 pixels."""
    return _blob(stream, 15, 60)


def _blob(stream: Stream, smallest: float, largest: float) -> Floats:
    x, y = stream.uniform(2, 0, SIZE)
    width = stream.log_between(smallest, largest)
    return np.exp(-(np.square(_X - x) + np.square(_Y - y)) / (2 * width**2))


def grating(stream: Stream) -> Floats:
    """A sinusoidal grating in a Gaussian window."""
    return _mix(0.5 + 0.5 * _wave(stream) * _window(stream), stream)


def plaid(stream: Stream) -> Floats:
    """Two gratings on top of each other."""
    return _mix(0.5 + 0.25 * (_wave(stream) + _wave(stream)), stream)


def checkerboard(stream: Stream) -> Floats:
    """A rotated checkerboard with squares of 3 to 32 pixels."""
    angle, side = stream.between(0, np.pi / 2), stream.log_between(3, 32)
    u = _X * np.cos(angle) + _Y * np.sin(angle) + stream.between(0, side)
    v = _Y * np.cos(angle) - _X * np.sin(angle) + stream.between(0, side)
    return _mix(np.mod(np.floor(u / side) + np.floor(v / side), 2.0), stream)


def blobs(stream: Stream) -> Floats:
    """Three to fifteen soft spots of colour."""
    image = np.broadcast_to(_colours(stream, 1)[0], (SIZE, SIZE, 3)).copy()
    for _ in range(stream.integer(3, 15)):
        weight = _blob(stream, 4, 25)[:, :, None]
        image += (_colours(stream, 1)[0] - image) * weight
    return image


def _filtered_noise(spectrum: Floats, stream: Stream) -> Floats:
    """Give noise with this amplitude spectrum (128, 128), squeezed into [0, 1]."""
    noise = np.fft.ifft2(np.fft.fft2(stream.normal(SIZE, SIZE)) * spectrum).real
    return 0.5 + 0.5 * np.tanh(noise / noise.std())


def texture(stream: Stream) -> Floats:
    """Noise whose amplitude falls with frequency, from white to cloudy."""
    return _mix(_filtered_noise(np.maximum(_FREQUENCY, 1.0) ** -stream.between(0, 2.5), stream), stream)


def oriented_texture(stream: Stream) -> Floats:
    """Noise in a band of frequencies and orientations."""
    angle = stream.between(0, np.pi)
    cosine = (_FREQUENCY_X * np.cos(angle) + _FREQUENCY_Y * np.sin(angle)) * SIZE / np.maximum(_FREQUENCY, 1e-9)
    octaves = np.log2(np.maximum(_FREQUENCY, 0.5) / stream.log_between(3, 40))
    tuning = np.exp(-0.5 * np.square(octaves / 0.4)) * np.abs(cosine) ** stream.log_between(2, 60)
    return _mix(_filtered_noise(tuning, stream), stream)


def shapes(stream: Stream) -> Floats:
    """Three to nine discs and rectangles over each other."""
    image = np.broadcast_to(_colours(stream, 1)[0], (SIZE, SIZE, 3)).copy()
    for _ in range(stream.integer(3, 9)):
        x, y = stream.uniform(2, 0, SIZE)
        width, height = stream.log_between(6, 40), stream.log_between(6, 40)
        angle = stream.between(0, np.pi)
        u = ((_X - x) * np.cos(angle) + (_Y - y) * np.sin(angle)) / width
        v = ((_Y - y) * np.cos(angle) - (_X - x) * np.sin(angle)) / height
        inside = np.hypot(u, v) < 1 if stream.integer(0, 1) else np.maximum(np.abs(u), np.abs(v)) < 1
        image[inside] = _colours(stream, 1)[0]
    return image


def lines(stream: Stream) -> Floats:
    """Five to thirty straight lines, 1 to 4 pixels wide."""
    image = np.broadcast_to(_colours(stream, 1)[0], (SIZE, SIZE, 3)).copy()
    preferred, spread = stream.between(0, np.pi), stream.between(0.1, np.pi / 2)
    for _ in range(stream.integer(5, 30)):
        x, y = stream.uniform(2, 0, SIZE)
        angle, width, half = preferred + stream.between(-spread, spread), stream.between(1, 4), stream.between(10, 60)
        u = (_X - x) * np.cos(angle) + (_Y - y) * np.sin(angle)
        v = (_Y - y) * np.cos(angle) - (_X - x) * np.sin(angle)
        image[(np.abs(v) < width / 2) & (np.abs(u) < half)] = _colours(stream, 1)[0]
    return image


IMAGES: dict[str, Callable[[Stream], Floats]] = {
    "grating": grating,
    "plaid": plaid,
    "checkerboard": checkerboard,
    "blobs": blobs,
    "texture": texture,
    "oriented texture": oriented_texture,
    "shapes": shapes,
    "lines": lines,
}
"""Category to the function that synthesises one of its members."""


def synthesise_image(category: str, stream: Stream) -> NDArray[np.uint8]:
    """Synthesise a colour image.

    Parameters
    ----------
    category
        One of `IMAGES`.
    stream
        Decides everything about the image.

    Returns
    -------
    (128, 128, 3), RGB.

    Examples
    --------
    >>> synthesise_image("blobs", Stream(0, "blobs.0")).shape
    (128, 128, 3)
    """
    return np.clip(np.round(IMAGES[category](stream) * 255), 0, 255).astype(np.uint8)
