"""Synthesised sounds of two seconds in eight categories."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from isocortex_simulated.draws import Floats, Stream

SAMPLE_RATE = 20_000
"""Hz."""
N_SAMPLES = 2 * SAMPLE_RATE
LOWEST_HZ, HIGHEST_HZ = 80.0, 9_000.0
LEVELS_DB = (-60.0, -15.0)
"""Range of the root mean square, relative to full scale."""
DURATIONS_S = (0.15, 2.0)
"""Range of the time for which something is heard."""
RAMP_S = 0.01
"""Duration of the fade at either end."""

_TIME = np.arange(N_SAMPLES) / SAMPLE_RATE
_BINS_HZ = np.fft.rfftfreq(N_SAMPLES, 1 / SAMPLE_RATE)


def _from_spectrum(amplitude: Floats, stream: Stream) -> Floats:
    """Give the sound (40000,) with these amplitudes on the half spectrum (20001,) and random phases."""
    phase = stream.uniform(amplitude.size, 0.0, 2 * np.pi)
    return np.fft.irfft(amplitude * np.exp(1j * phase), N_SAMPLES)


def _bump(frequency: float, octaves: float) -> Floats:
    """Give a Gaussian of log frequency on the half spectrum, 1 at its centre, 0 at 0 Hz."""
    distance = np.log2(np.maximum(_BINS_HZ, 1.0) / frequency)
    return np.exp(-0.5 * np.square(distance / octaves)) * (_BINS_HZ > 0)


def _noise(stream: Stream) -> Floats:
    """Give a band of Gaussian noise, for the categories that modulate one."""
    band = _bump(stream.log_between(100, 9000), stream.log_between(0.1, 1.5))
    return _from_spectrum(band * np.abs(stream.normal(band.size)), stream)


def harmonic_complex(stream: Stream) -> Floats:
    """Harmonics of 80 to 800 Hz that fall by 0 to 12 dB per octave, with one resonance."""
    fundamental = stream.log_between(80, 800)
    harmonics = fundamental * np.arange(1, int(HIGHEST_HZ / fundamental) + 1)
    amplitude = np.zeros_like(_BINS_HZ)
    slope = stream.between(0, 12)
    resonance = 1 + stream.between(0, 10) * _bump(stream.log_between(300, 4000), 0.3)
    amplitude[np.round(harmonics * N_SAMPLES / SAMPLE_RATE).astype(int)] = 10 ** (
        -slope * np.log2(harmonics / fundamental) / 20
    )
    return _from_spectrum(amplitude * resonance, stream)


def noise_band(stream: Stream) -> Floats:
    """Gaussian noise in a band of 0.1 to 1.5 octaves."""
    return _noise(stream)


def amplitude_modulation(stream: Stream) -> Floats:
    """A band of noise that waxes and wanes 1 to 64 times a second."""
    rate, depth = stream.log_between(1, 64), stream.between(0.5, 1)
    return _noise(stream) * (1 + depth * np.sin(2 * np.pi * rate * _TIME))


def frequency_modulation(stream: Stream) -> Floats:
    """A tone whose frequency swings by up to an octave either way, 1 to 32 times a second."""
    carrier, rate = stream.log_between(200, 4000), stream.log_between(1, 32)
    octaves = stream.between(0.05, 1) * np.sin(2 * np.pi * rate * _TIME)
    return _glide(carrier * 2**octaves)


def sweep(stream: Stream) -> Floats:
    """A tone that climbs or falls over and over, at 1 to 16 octaves per second."""
    low, width = stream.log_between(100, 1500), stream.between(0.5, 2.5)
    period = width / stream.log_between(1, 16)
    place = np.mod(_TIME / period, 1.0)
    return _glide(low * 2 ** (width * (place if stream.integer(0, 1) else 1 - place)))


def click_train(stream: Stream) -> Floats:
    """Clicks 2 to 100 times a second, through one resonance."""
    clicks = np.zeros(N_SAMPLES)
    interval = SAMPLE_RATE / stream.log_between(2, 100)
    clicks[np.arange(0, N_SAMPLES, interval).astype(int)] = 1.0
    resonance = _bump(stream.log_between(150, 8000), stream.between(0.2, 2))
    return np.fft.irfft(np.fft.rfft(clicks) * resonance, N_SAMPLES)


def ripple(stream: Stream) -> Floats:
    """Noise over six octaves whose envelope moves up or down: up to 2 cycles per octave, 1 to 32 Hz."""
    rate, scale, depth = stream.log_between(1, 32), stream.between(-2, 2), stream.between(0.5, 1)
    carriers = (_BINS_HZ > LOWEST_HZ) & (_BINS_HZ < HIGHEST_HZ)
    amplitude = carriers / np.sqrt(np.maximum(_BINS_HZ, 1.0))
    phase = stream.uniform(amplitude.size, 0.0, 2 * np.pi)
    octave = 2 * np.pi * scale * np.log2(np.maximum(_BINS_HZ, 1.0))
    # sin(rate + octave) = sin(rate) cos(octave) + cos(rate) sin(octave): three sounds instead of one per carrier
    flat, even, odd = (
        np.fft.irfft(amplitude * weight * np.exp(1j * phase), N_SAMPLES)
        for weight in (1.0, np.cos(octave), np.sin(octave))
    )
    angle = 2 * np.pi * rate * _TIME
    return flat + depth * (np.sin(angle) * even + np.cos(angle) * odd)


def tone_cloud(stream: Stream) -> Floats:
    """Short tones at random times and frequencies: 5 to 60 of them, 30 to 300 ms long."""
    sound = np.zeros(N_SAMPLES)
    centre, width = stream.log_between(300, 4000), stream.between(0.2, 1.5)
    length = int(stream.log_between(0.03, 0.3) * SAMPLE_RATE)
    window = np.hanning(length)
    for _ in range(stream.integer(5, 60)):
        frequency = np.clip(centre * 2 ** stream.between(-width, width), LOWEST_HZ, HIGHEST_HZ)
        start = stream.integer(0, N_SAMPLES - length)
        sound[start : start + length] += window * np.sin(2 * np.pi * frequency * _TIME[:length])
    return sound


def _glide(frequency: Floats) -> Floats:
    """Give the tone with this instantaneous frequency in Hz."""
    return np.sin(2 * np.pi * np.cumsum(frequency) / SAMPLE_RATE)


def _stretch(sound: Floats, stream: Stream) -> Floats:
    """Give the weights (40000,) of a stretch of a sound that is heard, around a moment at which there is some."""
    energy = np.cumsum(np.square(sound))
    moment = _TIME[np.searchsorted(energy, stream.between(0, energy[-1]))]
    duration = stream.log_between(*DURATIONS_S)
    start = np.clip(moment - duration / 2, 0, N_SAMPLES / SAMPLE_RATE - duration)
    return np.clip(np.minimum(_TIME - start, start + duration - _TIME) / RAMP_S, 0.0, 1.0)


SOUNDS: dict[str, Callable[[Stream], Floats]] = {
    "harmonic complex": harmonic_complex,
    "noise band": noise_band,
    "amplitude modulation": amplitude_modulation,
    "frequency modulation": frequency_modulation,
    "sweep": sweep,
    "click train": click_train,
    "ripple": ripple,
    "tone cloud": tone_cloud,
}
"""Category to the function that synthesises one of its members."""


def synthesise_sound(category: str, stream: Stream) -> NDArray[np.float32]:
    """Synthesise a sound: two seconds at 20 kHz with 16 bits, heard for 0.15 to 2 s of them, at a random level.

    Parameters
    ----------
    category
        One of `SOUNDS`.
    stream
        Decides everything about the sound, its level (-60 to -15 dB relative to full scale) included.

    Returns
    -------
    (40000,), samples in [-1, 1), multiples of 2^-15.

    Examples
    --------
    >>> sound = synthesise_sound("sweep", Stream(0, "sweep.0"))
    >>> sound.shape, bool(np.abs(sound).max() < 1)
    ((40000,), True)
    """
    sound = SOUNDS[category](stream)
    sound = sound * _stretch(sound, stream)
    level = 10 ** (stream.between(*LEVELS_DB) / 20) / np.sqrt(np.mean(np.square(sound)))
    loudest = 0.99 / np.abs(sound).max()
    return (np.round(sound * min(level, loudest) * 2**15) / 2**15).astype(np.float32)
