"""Cochleagrams: power in narrow bands over time, compressed, as two published auditory networks hear it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isocortex_baselines.envelopes import EnvelopePlan
from isocortex_baselines.erb import BankSettings, erb_filter_bank
from isocortex_baselines.sounds import checked_waveform

COMPRESSION = 0.3
"""Exponent of the compression of both cochleagrams."""
COCHCNN9_RATE = 20_000
"""Sampling rate that `cochleagram_cochcnn9` expects, in Hz."""
KELL2018_RATE = 16_000
"""Sampling rate that `cochleagram_kell2018` expects, in Hz."""
FRAME_RATE = 200
"""Frames per second of both cochleagrams."""
DURATION_S = 2
"""Length of sound that both cochleagrams expect, in seconds."""
FLOOR = 1e-8
"""Smallest envelope of `cochleagram_cochcnn9`, before and after it is brought to the frame rate."""
KELL2018_PADDING = 2
"""Zero samples that `cochleagram_kell2018` appends before filtering, as the published code does."""


@dataclass(frozen=True)
class FrameFilter:
    """A finite filter that is evaluated once per frame: frame ``t`` sees samples from ``t * hop - start``.

    Parameters
    ----------
    taps
        (n_taps,), weights, in the order of the samples they meet.
    hop
        Samples from one frame to the next.
    start
        Zero samples that stand before the first sample of the sound.
    n_frames
        Number of frames; the sound is padded with zeros as far as the last one reaches.
    """

    taps: NDArray[np.float64]
    hop: int
    start: int
    n_frames: int

    def apply(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        """Filter one band, shape (n_samples,), to its frames, shape (n_frames,)."""
        n_segments = -(-self.taps.size // self.hop)
        taps = np.zeros(n_segments * self.hop)
        taps[: self.taps.size] = self.taps
        padded = np.zeros((self.n_frames + n_segments - 1) * self.hop)
        stop = min(samples.size, padded.size - self.start)
        padded[self.start : self.start + stop] = samples[:stop]
        # (n_rows, hop) @ (hop, n_segments): what each stretch gives to each of the frames that see it
        parts = padded.reshape(-1, self.hop) @ taps.reshape(n_segments, self.hop).T
        return np.sum([parts[k : k + self.n_frames, k] for k in range(n_segments)], axis=0)


@lru_cache(maxsize=8)
def _envelope_plan(settings: BankSettings, analytic: bool) -> EnvelopePlan:
    """Make the plan for a bank, once per length and rate; `analytic` doubles all but DC and Nyquist."""
    filters = erb_filter_bank(settings)
    if analytic:
        filters[:, 1 : (settings.n_samples + 1) // 2] *= 2.0
    return EnvelopePlan(filters, settings.n_samples)


@lru_cache(maxsize=1)
def cochcnn9_frames() -> FrameFilter:
    """Give the windowed sinc that brings 20 kHz envelopes to 200 Hz: half a sample off centre, no padding."""
    hop, n_taps = COCHCNN9_RATE // FRAME_RATE, 1001
    time = np.arange(n_taps) - n_taps / 2
    taps = np.sinc(time / hop) / hop * np.kaiser(n_taps, 5.0)
    n_frames = (DURATION_S * COCHCNN9_RATE - n_taps) // hop + 1
    return FrameFilter(taps, hop, 0, n_frames)


@lru_cache(maxsize=1)
def kell2018_frames() -> FrameFilter:
    """Give the filter by which `scipy.signal.resample_poly` brings 16 kHz envelopes to 200 Hz."""
    hop = KELL2018_RATE // FRAME_RATE
    half = 10 * hop
    taps = np.sinc(np.arange(-half, half + 1) / hop) * np.kaiser(2 * half + 1, 5.0)
    return FrameFilter(taps / taps.sum(), hop, half, DURATION_S * KELL2018_RATE // hop)


def cochleagram_cochcnn9(waveform: ArrayLike) -> NDArray[np.float64]:
    r"""Give the cochleagram that CochCNN9 and CochResNet50 take as input.

    211 half-cosine filters from 50 to 10,000 Hz (`isocortex_baselines.erb.erb_filter_bank`);
    envelope ``e = max(|z|, 1e-8)``, ``z`` the inverse transform of the positive frequencies, which is
    half of the Hilbert envelope; brought to 200 Hz by a sinc in a Kaiser window (1001 taps, beta 5,
    half a sample off centre) without padding; then ``(max(e, 0) + 1e-8) ** 0.3``. Silence gives
    ``1e-8 ** 0.3``, about 0.004, to the accuracy of the sinc's sum.

    Parameters
    ----------
    waveform
        (40000,), 2 s at 20 kHz; the networks were trained on sounds of mean 0 and rms 0.1.

    Returns
    -------
    (211, 390), frequency (low to high) by time (frames of 5 ms).

    Raises
    ------
    DataError
        If the waveform does not hold 40,000 samples.

    References
    ----------
    Feather, Leclerc, Madry & McDermott (2023), Nature Neuroscience 26:2017-2034, and the published
    code of its front end, chcochleagram ("cochleagram_1").

    Examples
    --------
    >>> tone = 0.1 * np.sqrt(2) * np.sin(2 * np.pi * 1000 * np.arange(40_000) / 20_000)
    >>> image = cochleagram_cochcnn9(tone)
    >>> image.shape, int(image.mean(axis=1).argmax())
    ((211, 390), 87)
    """
    sound = checked_waveform(waveform, DURATION_S * COCHCNN9_RATE)
    plan = _envelope_plan(BankSettings(sound.size, COCHCNN9_RATE, low=50.0, high=10_000.0), analytic=False)
    frames = cochcnn9_frames()
    image = np.empty((plan.n_filters, frames.n_frames))
    for row, envelope in plan.envelopes(sound):
        image[row] = frames.apply(np.maximum(envelope, FLOOR, out=envelope))
    return (np.maximum(image, 0.0) + FLOOR) ** COMPRESSION


def cochleagram_kell2018(waveform: ArrayLike) -> NDArray[np.float64]:
    r"""Give the cochleagram of Kell et al. (2018), before it is rescaled and resized for their network.

    211 half-cosine filters from 20 to 8000 Hz on the sound with two zeros appended; Hilbert envelope
    ``|z|``, ``z`` the analytic signal; brought to 200 Hz as `scipy.signal.resample_poly` does; then
    ``max(e, 0) ** 0.3``. Silence gives 0.

    Parameters
    ----------
    waveform
        (32000,), 2 s at 16 kHz **on the scale of 16-bit integers** (-32768 to 32767), integers or floats:
        multiply samples in [-1, 1) by 32768.

    Returns
    -------
    (211, 400), frequency (low to high) by time (frames of 5 ms).

    Raises
    ------
    DataError
        If the waveform does not hold 32,000 samples.

    References
    ----------
    Kell, Yamins, Shook, Norman-Haignere & McDermott (2018), Neuron 98:630-644, and the published code
    of its front end, pycochleagram.

    Examples
    --------
    >>> tone = 3000 * np.sin(2 * np.pi * 1000 * np.arange(32_000) / 16_000)
    >>> image = cochleagram_kell2018(tone)
    >>> image.shape, int(image.mean(axis=1).argmax())
    ((211, 400), 96)
    """
    sound = checked_waveform(waveform, DURATION_S * KELL2018_RATE)
    n_samples = sound.size + KELL2018_PADDING
    plan = _envelope_plan(BankSettings(n_samples, KELL2018_RATE, low=20.0, high=8000.0), analytic=True)
    frames = kell2018_frames()
    image = np.empty((plan.n_filters, frames.n_frames))
    for row, envelope in plan.envelopes(np.append(sound, np.zeros(KELL2018_PADDING))):
        image[row] = frames.apply(envelope[: sound.size])
    return np.maximum(image, 0.0) ** COMPRESSION
