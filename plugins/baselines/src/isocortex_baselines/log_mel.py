"""The log-mel spectrogram that most speech recognisers are given: what they predict, they must predict better."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isocortex_baselines.sounds import checked_waveform

Sound = NDArray[np.float64]

RATE: Final = 16_000
N_BANDS: Final = 80
N_FFT: Final = 512
#: samples of a frame of 25 ms, and from one to the next, 10 ms
N_FRAME: Final = 400
N_STEP: Final = 160
EMPHASIS: Final = 0.97
#: what is added to the power, so that silence has a logarithm
GUARD: Final = 2.0**-24

#: Slaney's scale: linear below this frequency, 3 steps in 200 Hz, logarithmic above, 27 steps to 6.4 times it
_LINEAR_HZ, _LINEAR_STEPS, _LOG_STEP = 1000.0, 15.0, np.log(6.4) / 27


def log_mel(waveform: ArrayLike) -> Sound:
    """Give the logarithm of a sound's power in mel bands.

    x'[t] = x[t] − .97 x[t − 1]; frames of 25 ms under a symmetric Hann window, every 10 ms, the first centred on the
    first sample, zeros beyond both ends; ln(F |DFT|² + 2⁻²⁴) with the filters of ``mel_filters``. The front end of
    NVIDIA's NeMo without its normalisation and dither.

    Parameters
    ----------
    waveform
        (n_samples,) at 16 kHz, one channel.

    Returns
    -------
    (1 + ⌊n_samples / 160⌋, 80).

    Raises
    ------
    DataError
        If there are no samples, several channels, or values that are not finite.

    Examples
    --------
    >>> log_mel(np.zeros(32_000)).shape
    (201, 80)
    """
    sound = checked_waveform(waveform)
    emphasised = np.concatenate([sound[:1], sound[1:] - EMPHASIS * sound[:-1]])
    padded = np.pad(emphasised, N_FFT // 2)
    window = np.zeros(N_FFT)
    first = (N_FFT - N_FRAME) // 2
    window[first : first + N_FRAME] = np.hanning(N_FRAME)
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::N_STEP]
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2  # (n_frames, N_FFT // 2 + 1)
    return np.log(power @ mel_filters().T + GUARD)


@cache
def mel_filters() -> Sound:
    """Give triangles of equal area over frequency, their corners evenly spaced on Slaney's scale from 0 to 8 kHz.

    Returns
    -------
    (80, 257).

    Examples
    --------
    >>> mel_filters().shape, float(mel_filters().min())
    ((80, 257), 0.0)
    """
    highest = _LINEAR_STEPS + np.log(RATE / 2 / _LINEAR_HZ) / _LOG_STEP
    corners = _hz(np.linspace(0.0, highest, N_BANDS + 2))
    bins = np.linspace(0.0, RATE / 2, N_FFT // 2 + 1)
    low, middle, high = (corners[start : start + N_BANDS, None] for start in range(3))
    triangles = np.maximum(0.0, np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)))
    return triangles * 2 / (high - low)


def _hz(steps: Sound) -> Sound:
    above = _LINEAR_HZ * np.exp(_LOG_STEP * (steps - _LINEAR_STEPS))
    return np.where(steps < _LINEAR_STEPS, steps * _LINEAR_HZ / _LINEAR_STEPS, above)
