"""Bringing a sound to the length, rate and level that a cochleagram expects."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isocortex.errors import DataError

INT16_SCALE = 32_768.0
"""Factor from samples in [-1, 1) to the values of 16-bit integers."""
RELATIVE_SILENCE = 1e-9
"""A sound whose rms, mean removed, is below this fraction of its peak is constant up to rounding."""


def checked_waveform(waveform: ArrayLike, n_samples: int | None = None) -> NDArray[np.float64]:
    """Give a waveform as float64 after checking its shape and values.

    Parameters
    ----------
    waveform
        (n_samples,), one channel.
    n_samples
        Length that is required.

    Returns
    -------
    (n_samples,).

    Raises
    ------
    DataError
        If there is more than one dimension, no sample, another length than required, or a value that
        is not finite.

    Examples
    --------
    >>> checked_waveform([0, 1, -1])
    array([ 0.,  1., -1.])
    """
    sound = np.asarray(waveform, dtype=np.float64)
    if sound.ndim != 1 or sound.size == 0 or (n_samples is not None and sound.size != n_samples):
        wanted = f"({n_samples},)" if n_samples is not None else "(n_samples,) with at least one sample"
        raise DataError(
            f"Expected a waveform of shape {wanted}, found {sound.shape}. "
            "Cut, pad and resample it first, for example with isocortex_baselines.sounds.excerpt."
        )
    if not np.isfinite(sound).all():
        raise DataError(
            f"Expected finite samples, found {int((~np.isfinite(sound)).sum())} of {sound.size} that are NaN "
            "or infinite. Replace the sound file."
        )
    return sound


def excerpt(samples: ArrayLike, rate: float, target_rate: int, duration_s: float = 2.0) -> NDArray[np.float64]:
    """Take the beginning of a sound as one channel at another sampling rate.

    Channels are averaged, the first `duration_s` seconds are cut out at the sound's own rate, and these
    are resampled by `scipy.signal.resample_poly`, in double precision.

    Parameters
    ----------
    samples
        (n_samples,) or (n_samples, n_channels), the sound.
    rate
        Its sampling rate in Hz.
    target_rate
        Sampling rate wanted, in Hz.
    duration_s
        Longest excerpt, in seconds.

    Returns
    -------
    (n,), ``n`` is at most ``round(duration_s * target_rate)``; a shorter sound stays shorter.

    Raises
    ------
    DataError
        If the shape is another, or a sample is not finite.

    Examples
    --------
    >>> excerpt(np.zeros((88_200, 2)), 44_100, 20_000).shape
    (40000,)
    """
    sound = np.asarray(samples, dtype=np.float64)
    sound = checked_waveform(sound.mean(axis=1) if sound.ndim == 2 and sound.shape[1] else sound)
    sound = sound[: round(duration_s * rate)]
    ratio = Fraction(target_rate) / Fraction(rate).limit_denominator(1000)
    if ratio != 1:
        from scipy.signal import resample_poly

        sound = resample_poly(sound, ratio.numerator, ratio.denominator)
    return sound[: round(duration_s * target_rate)]


def pad_end(sound: NDArray[np.float64], n_samples: int) -> NDArray[np.float64]:
    """Append zeros to a sound until it has `n_samples` samples.

    Examples
    --------
    >>> pad_end(np.ones(2), 4)
    array([1., 1., 0., 0.])
    """
    return np.concatenate([sound, np.zeros(max(0, n_samples - sound.size))])


def set_level(sound: NDArray[np.float64], rms: float) -> NDArray[np.float64]:
    """Remove the mean of a sound and scale it to a root mean square; silence stays silence.

    ``(x - mean(x)) * rms / sqrt(mean((x - mean(x))^2))``; all zeros where the sound is constant.

    Parameters
    ----------
    sound
        (n_samples,), one channel.
    rms
        Root mean square wanted.

    Returns
    -------
    (n_samples,).

    Examples
    --------
    >>> set_level(np.array([1.0, 3.0]), rms=0.1)
    array([-0.1,  0.1])
    >>> set_level(np.array([2.0, 2.0]), rms=0.1)
    array([0., 0.])
    """
    centred = sound - sound.mean()
    found = float(np.sqrt(np.mean(np.square(centred))))
    if found <= RELATIVE_SILENCE * float(np.abs(sound).max()):
        return np.zeros_like(centred)
    return centred * (rms / found)


def prepare_cochcnn9(samples: ArrayLike, rate: float) -> NDArray[np.float64]:
    """Prepare a sound for `isocortex_baselines.cochleagram.cochleagram_cochcnn9`.

    First 2 s of the mean of the channels at 20 kHz, mean removed, rms 0.1. A sound shorter than 2 s is
    padded with zeros at its end, after mean and level are set, so that the padding is silence.

    Parameters
    ----------
    samples
        (n_samples,) or (n_samples, n_channels), the sound, on any scale.
    rate
        Its sampling rate in Hz.

    Returns
    -------
    (40000,).

    Raises
    ------
    DataError
        If the shape is another, or a sample is not finite.

    References
    ----------
    Tuckute, Feather, Boebinger & McDermott (2023), PLoS Biology 21:e3002366, Methods.

    Examples
    --------
    >>> sound = prepare_cochcnn9(np.sin(np.arange(44_100) / 10), 44_100)
    >>> sound.shape, bool(sound[20_000:].any())
    ((40000,), False)
    """
    return pad_end(set_level(excerpt(samples, rate, 20_000), rms=0.1), 40_000)


def prepare_kell2018(samples: ArrayLike, rate: float) -> NDArray[np.float64]:
    """Prepare a sound for `isocortex_baselines.cochleagram.cochleagram_kell2018`.

    First 2 s of the mean of the channels at 16 kHz, times 32768: the scale of 16-bit integers that the
    published code reads from its files. Neither mean nor level is changed, nothing is rounded. A sound
    shorter than 2 s is padded with zeros at its end.

    Parameters
    ----------
    samples
        (n_samples,) or (n_samples, n_channels), the sound in [-1, 1).
    rate
        Its sampling rate in Hz.

    Returns
    -------
    (32000,).

    Raises
    ------
    DataError
        If the shape is another, or a sample is not finite.

    References
    ----------
    Kell, Yamins, Shook, Norman-Haignere & McDermott (2018), Neuron 98:630-644.

    Examples
    --------
    >>> prepare_kell2018(np.full(16_000, 0.5), 16_000)[[0, -1]]
    array([16384.,     0.])
    """
    return pad_end(INT16_SCALE * excerpt(samples, rate, 16_000), 32_000)
