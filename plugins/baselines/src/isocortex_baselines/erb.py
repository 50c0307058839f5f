"""Half-cosine filters, evenly spaced on the scale of equivalent rectangular bandwidths (ERB)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

EAR_Q = 9.265
"""Quality factor of the auditory filters (Glasberg & Moore 1990)."""
MIN_BANDWIDTH_HZ = 24.7
"""Bandwidth of the auditory filter at 0 Hz, in Hz (Glasberg & Moore 1990)."""


@dataclass(frozen=True)
class BankSettings:
    """What defines a bank of half-cosine filters.

    A bank of ``n`` filters sampled ``sample_factor`` times as densely holds
    ``sample_factor * (n + 1) - 1`` band-pass filters, and ``sample_factor`` low-pass and
    ``sample_factor`` high-pass filters that make the squared filters sum to one.

    Parameters
    ----------
    n_samples
        Length of the sound (padding included) in samples: it sets the grid of frequencies.
    rate
        Sampling rate in Hz.
    low, high
        Edges of the bank in Hz.
    n
        Number of band-pass filters before the denser sampling.
    sample_factor
        How many times as densely the filters are laid out.

    Examples
    --------
    >>> BankSettings(n_samples=40_000, rate=20_000, low=50.0, high=10_000.0).n_filters
    211
    """

    n_samples: int
    rate: int
    low: float
    high: float
    n: int = 50
    sample_factor: int = 4

    @property
    def n_filters(self) -> int:
        """Number of filters, low-pass and high-pass ones included."""
        return self.sample_factor * (self.n + 1) - 1 + 2 * self.sample_factor


def hz_to_erb(frequency: ArrayLike) -> NDArray[np.float64]:
    """Give the number of equivalent rectangular bandwidths below a frequency.

    ``erb(f) = Q ln(1 + f / (B Q))`` with ``Q`` = 9.265 and ``B`` = 24.7 Hz.

    Parameters
    ----------
    frequency
        In Hz, any shape.

    Returns
    -------
    Same shape, in ERB units.

    References
    ----------
    Glasberg & Moore (1990), Hearing Research 47:103-138.

    Examples
    --------
    >>> round(float(hz_to_erb(1000.0)), 3)
    15.572
    """
    return EAR_Q * np.log1p(np.asarray(frequency, dtype=np.float64) / (MIN_BANDWIDTH_HZ * EAR_Q))


def erb_filter_bank(settings: BankSettings) -> NDArray[np.float64]:
    """Make the transfer functions of a bank of half-cosine filters.

    With ``e`` the ERB position of a frequency, ``c_i`` the centre of filter ``i``, ``d`` the step
    between centres and ``s`` the sample factor, band-pass filter ``i`` is
    ``cos(pi (e - c_i) / (2 s d))`` where ``|e - c_i| < s d`` and 0 elsewhere. The ``s`` low-pass
    filters are ``sqrt(1 - band_i^2)`` below ``c_i``, the ``s`` high-pass filters the mirror image of
    that at the upper end. All are divided by ``sqrt(s)``, so that their squares sum to 1 at every
    frequency.

    Parameters
    ----------
    settings
        Length, rate, edges and density of the bank.

    Returns
    -------
    (n_filters, n_samples // 2 + 1), rows from low to high frequency, columns on the grid of ``numpy.fft.rfftfreq``.

    References
    ----------
    McDermott & Simoncelli (2011), Neuron 71:926-940, Experimental Procedures.

    Examples
    --------
    >>> bank = erb_filter_bank(BankSettings(n_samples=2000, rate=20_000, low=50.0, high=10_000.0))
    >>> bank.shape, bool(np.allclose(np.square(bank).sum(axis=0), 1.0))
    ((211, 1001), True)
    """
    s = settings.sample_factor
    low, high = hz_to_erb([settings.low, settings.high])
    edges = np.linspace(low, high, s * (settings.n + 1) + 1)
    centres, step = edges[1:-1], edges[1] - edges[0]
    erb = hz_to_erb(np.fft.rfftfreq(settings.n_samples, 1.0 / settings.rate))
    distance = erb - centres[:, None]  # (n_band, n_frequencies)
    inside = np.abs(distance) < s * step
    bands = np.where(inside, np.cos(np.pi * distance / (2 * s * step)), 0.0)
    rest = np.sqrt(np.clip(1.0 - np.square(bands), 0.0, None))
    lows = np.where(erb < centres[:s, None], rest[:s], 0.0)
    highs = np.where(erb > centres[-s:, None], rest[-s:], 0.0)
    return np.concatenate([lows, bands, highs]) / np.sqrt(s)
