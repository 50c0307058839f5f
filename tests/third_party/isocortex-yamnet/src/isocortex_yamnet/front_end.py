"""From a sound to log-mel patches, as the published network was trained on: 96 frames × 64 bands, one every 0.48 s."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isocortex.errors import DataError

SAMPLE_RATE = 16_000
FRAME, HOP, FFT = 400, 160, 512  # 25 ms every 10 ms
N_BANDS, LOWEST_HZ, HIGHEST_HZ = 64, 125.0, 7500.0
LOG_OFFSET = 1e-3
PATCH_FRAMES, PATCH_HOP = 96, 48
#: what one patch needs: 0.975 s
PATCH_SAMPLES = (PATCH_FRAMES - 1) * HOP + FRAME


def waveform(samples: ArrayLike, rate: float | None) -> NDArray[np.float64]:
    """Bring a sound to one channel at 16 kHz; its level stays as it is, because the network was trained on levels.

    Parameters
    ----------
    samples
        (n_samples,) or (n_samples, n_channels) in [-1, 1).
    rate
        Hz.

    Returns
    -------
    (n,) float64.

    Raises
    ------
    DataError
        No rate, no samples, another shape, or samples that are not finite.

    Examples
    --------
    >>> waveform(np.zeros((88_200, 2)), 44_100).shape
    (32000,)
    """
    sound = np.asarray(samples, dtype=np.float64)
    if rate is None or not rate > 0:
        raise DataError(f"Expected a sound with its sampling rate in Hz, found {rate}. Set sample_rate.")
    if sound.ndim not in (1, 2) or sound.size == 0:
        raise DataError(f"Expected samples of shape (n_samples[, n_channels]), found {sound.shape}.")
    if not np.isfinite(sound).all():
        raise DataError("Expected finite samples, found NaN or infinite values. Replace the sound file.")
    mono = sound.mean(axis=1) if sound.ndim == 2 else sound
    if rate == SAMPLE_RATE:
        return mono
    import soxr

    return soxr.resample(mono, rate, SAMPLE_RATE, quality="HQ")


@cache
def hann() -> NDArray[np.float64]:
    """The periodic Hann window, (400,).

    Examples
    --------
    >>> hann()[[0, 200]].tolist()
    [0.0, 1.0]
    """
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)


@cache
def mel_weights() -> NDArray[np.float64]:
    """Weights of 257 bins in 64 triangular bands, (257, 64).

    The triangles are linear in mel, m(f) = 1127 ln(1 + f / 700), equally wide there and with a peak of 1. The bin at
    0 Hz belongs to no band.

    Examples
    --------
    >>> mel_weights().shape, float(mel_weights()[0].sum())
    ((257, 64), 0.0)
    """
    edges = np.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), N_BANDS + 2)
    bins = _mel(np.linspace(0, SAMPLE_RATE / 2, FFT // 2 + 1))[1:, None]
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((bins - lower) / (centre - lower), (upper - bins) / (upper - centre))
    return np.vstack([np.zeros(N_BANDS), np.maximum(triangles, 0)])


def _mel(frequency_hz: ArrayLike) -> NDArray[np.float64]:
    return 1127.0 * np.log1p(np.asarray(frequency_hz, dtype=np.float64) / 700.0)


def log_mel(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-mel spectrogram of a waveform at 16 kHz, (n_frames, 64): log(|STFT| M + 0.001).

    Only frames that lie within the sound.

    Examples
    --------
    >>> log_mel(np.zeros(PATCH_SAMPLES)).shape
    (96, 64)
    """
    frames = np.lib.stride_tricks.sliding_window_view(sound, FRAME)[::HOP]  # (n_frames, 400)
    magnitude = np.abs(np.fft.rfft(frames * hann(), FFT))
    return np.log(magnitude @ mel_weights() + LOG_OFFSET)


def patches(sound: NDArray[np.float64]) -> tuple[NDArray[np.float32], int]:
    """Cut a waveform at 16 kHz into the whole patches that fit into it.

    A sound shorter than one patch is padded with silence at its end.

    Returns
    -------
    (n_patches, 1, 96, 64) float32, and how many frames of a patch hold sound: 96, or fewer where it was padded.

    Examples
    --------
    >>> found, n_frames = patches(np.zeros(32_000))
    >>> found.shape, n_frames
    ((3, 1, 96, 64), 96)
    >>> patches(np.zeros(8_000))[1]
    50
    """
    n_frames = min(PATCH_FRAMES, max(1, -(-len(sound) // HOP)))  # a frame whose hop begins in the sound
    padded = np.concatenate([sound, np.zeros(max(0, PATCH_SAMPLES - len(sound)))])
    spectrogram = log_mel(padded)
    windows = np.lib.stride_tricks.sliding_window_view(spectrogram, PATCH_FRAMES, axis=0)[::PATCH_HOP]
    return np.moveaxis(windows, 2, 1)[:, None].astype(np.float32), n_frames
