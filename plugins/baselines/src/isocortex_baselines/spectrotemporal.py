"""SpectroTemporal: power of a cochleagram in a bank of filters for rate, scale and direction of sweeps."""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isocortex.errors import DataError

N_FREQUENCIES, N_FRAMES = 211, 390
"""Shape of the cochleagram that the filters are made for."""
N_PADDED_FREQUENCIES, N_PADDED_FRAMES = 422, 1170
"""Its shape with the zeros that are appended to both axes."""
N_TRANSFORM = 432
"""Length of the transforms along frequency: at least 421, see `_kernel_spectrum`, and without large prime factors."""
FRAME_RATE = 200.0
"""Frames per second."""
ROWS_PER_UNIT = 6.0
"""Rows of the cochleagram per unit of spectral scale: nearly, not exactly, one ERB."""
RATES_HZ = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Temporal rates; 0 keeps the mean over padded time, the last is a high-pass filter."""
SCALES = (0.0, 0.0625, 0.125, 0.25, 0.5, 1.0, 2.0)
"""Spectral scales in cycles per unit; 0 keeps the mean over padded frequency, the last is a high-pass filter."""
COCHLEAGRAM_FACTOR = 100.0
"""Factor on the cochleagram before filtering."""
POWER_FLOOR = 1e-8
"""Smallest power of a filtered cochleagram at one frequency and frame."""


class SweepFilter(NamedTuple):
    """One filter of the bank: sign of the sweep (-1 or +1), spectral scale in cycles per unit, rate in Hz."""

    sign: int
    scale: float
    rate: float


def sweep_filters() -> tuple[SweepFilter, ...]:
    """List the 111 filters in the order of the rows of the features.

    Signs -1 and +1, then scales, then rates, all ascending; scale 0 and rate 0 have no direction and stand
    under sign -1 alone.

    Returns
    -------
    111 filters.

    Examples
    --------
    >>> len(sweep_filters()), sweep_filters()[10]
    (111, SweepFilter(sign=-1, scale=0.0625, rate=0.5))
    """
    return tuple(
        SweepFilter(sign, scale, rate)
        for sign in (-1, 1)
        for scale in SCALES
        for rate in RATES_HZ
        if sign == -1 or (scale and rate)
    )


def temporal_transfer(rate: float) -> NDArray[np.complex128]:
    """Give the temporal transfer function of a rate on the half spectrum of the padded time axis.

    The discrete Fourier transform over 1170 frames of ``h(t) = sin(2 pi t) t^2 exp(-3.5 t)``, ``t = n rate /
    200`` for frames ``n = 0 .. 389``, less its mean over these 390 frames, zeros after; the amplitude divided
    by its maximum. 64 Hz: amplitude 1 from the maximum up. 0 Hz: 1 at 0 Hz, 0 elsewhere.

    Parameters
    ----------
    rate
        One of `RATES_HZ`.

    Returns
    -------
    (586,).

    References
    ----------
    Chi, Ru & Shamma (2005), Journal of the Acoustical Society of America 118:887-906; constants of
    Tuckute et al. (2023), PLoS Biology 21:e3002366.

    Examples
    --------
    >>> transfer = temporal_transfer(4.0)
    >>> transfer.shape, round(float(abs(transfer).max()), 12)
    ((586,), 1.0)
    """
    if rate == 0:
        return np.eye(1, N_PADDED_FRAMES // 2 + 1, dtype=np.complex128)[0]
    time = np.arange(N_FRAMES) * (rate / FRAME_RATE)
    response = np.sin(2 * np.pi * time) * np.square(time) * np.exp(-3.5 * time)
    transfer = np.fft.rfft(response - response.mean(), N_PADDED_FRAMES)
    amplitude = np.abs(transfer)
    peak = int(amplitude.argmax())
    wanted = amplitude / amplitude[peak]
    if rate == RATES_HZ[-1]:
        wanted[peak:] = 1.0
    return wanted * np.exp(1j * np.angle(transfer))


def spectral_transfer(scale: float) -> NDArray[np.float64]:
    """Give the spectral transfer function of a scale at the non-negative frequencies of the padded axis.

    ``r exp(-r)`` with ``r = (f / scale)^2`` and ``f = 6 k / 422`` cycles per unit, ``k = 0 .. 211``, divided
    by its maximum; real, the same for negative frequencies. Scale 2: 1 from the maximum up. Scale 0: 1 at 0,
    0 elsewhere.

    Parameters
    ----------
    scale
        One of `SCALES`.

    Returns
    -------
    (212,).

    References
    ----------
    Chi, Ru & Shamma (2005), Journal of the Acoustical Society of America 118:887-906; constants of
    Tuckute et al. (2023), PLoS Biology 21:e3002366.

    Examples
    --------
    >>> transfer = spectral_transfer(0.5)
    >>> transfer.shape, float(transfer.max())
    ((212,), 1.0)
    """
    if scale == 0:
        return np.eye(1, N_PADDED_FREQUENCIES // 2 + 1)[0]
    frequency = np.arange(N_PADDED_FREQUENCIES // 2 + 1) * (ROWS_PER_UNIT / N_PADDED_FREQUENCIES)
    ratio = np.square(frequency / scale)
    transfer = ratio * np.exp(-ratio)
    peak = int(transfer.argmax())
    transfer /= transfer[peak]
    if scale == SCALES[-1]:
        transfer[peak:] = 1.0
    return transfer


class Bank(NamedTuple):
    """The bank in the form in which it is applied: 0.2 MB in all.

    Attributes
    ----------
    temporal
        Rate to transfer function, complex, shape (586,); without rate 0.
    whole
        Scale to kernel spectrum, complex, shape (432,): all spectral frequencies.
    sweeps
        (Sign, scale) to kernel spectrum, complex, shape (432,): those that the sign keeps beside positive
        temporal frequencies.
    """

    temporal: dict[float, NDArray[np.complex128]]
    whole: dict[float, NDArray[np.complex128]]
    sweeps: dict[tuple[int, float], NDArray[np.complex128]]


def _kernel_spectrum(transfer: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Take a transfer function, shape (422,), to transforms of length `N_TRANSFORM`.

    Only the lags -210 .. 210 of the circular kernel reach from the 211 rows of the cochleagram to themselves,
    so they give the same 211 rows in any transform of 421 or more; 422 is twice a prime and slow.
    """
    kernel = np.fft.ifft(transfer)
    lags = np.arange(1 - N_FREQUENCIES, N_FREQUENCIES)
    moved = np.zeros(N_TRANSFORM, dtype=np.complex128)
    moved[lags] = kernel[lags]
    return np.fft.fft(moved)


@lru_cache(maxsize=1)
def _bank() -> Bank:
    """Make the bank, once."""
    whole, sweeps = {}, {}
    for scale in SCALES[1:]:
        half = spectral_transfer(scale)
        upper = np.concatenate([half, np.zeros(half.size - 2)])  # frequencies 0 .. 211, -210 .. -1
        lower = np.roll(upper[::-1], 1)
        whole[scale] = _kernel_spectrum(np.concatenate([half, half[-2:0:-1]]))
        sweeps[1, scale] = _kernel_spectrum(upper)
        sweeps[-1, scale] = _kernel_spectrum(lower)
    return Bank({rate: temporal_transfer(rate) for rate in RATES_HZ[1:]}, whole, sweeps)


def _filtered_rows(
    rows: NDArray[np.complex128], spectrum: NDArray[np.complex128], sign: int, scale: float
) -> NDArray[np.complex128]:
    """Filter along frequency: half spectra over time (211, 586), or one row (1, 586) where all are the same.

    `rows` are the half spectra before, `spectrum` their transform along frequency.
    """
    if scale == 0:
        return rows.sum(axis=0, keepdims=True) / N_PADDED_FREQUENCIES
    bank = _bank()
    filtered = np.fft.ifft(spectrum * bank.sweeps[sign, scale][:, None], axis=0)[:N_FREQUENCIES]
    # the lowest and the highest temporal frequency have no direction
    undirected = np.fft.ifft(spectrum[:, [0, -1]] * bank.whole[scale][:, None], axis=0)[:N_FREQUENCIES]
    filtered[:, [0, -1]] = undirected
    return filtered


def _mean_power(rows: NDArray[np.complex128], rate: float) -> NDArray[np.float64]:
    """Filter half spectra (n, 586) along time and average the power, floored, over 390 frames: (n,)."""
    if rate == 0:
        response = rows[:, :1].real / N_PADDED_FRAMES
    else:
        product = rows * _bank().temporal[rate]
        response = np.fft.irfft(product, N_PADDED_FRAMES, axis=1)[:, :N_FRAMES]
    return np.maximum(np.square(response), POWER_FLOOR).mean(axis=1)


def spectrotemporal(cochleagram: ArrayLike) -> NDArray[np.float64]:
    r"""Give the time-averaged power of a cochleagram in 111 spectrotemporal filters.

    With ``C`` the cochleagram times 100, padded with zeros at the end of both axes to 422 rows and 1170
    frames, ``Y = Re ifft2(fft2(C) T(rate) S(scale) Q(sign))`` is cut to its first 211 rows and 390 frames,
    and the feature is ``mean over frames of max(Y^2, 1e-8)``. ``Q`` keeps the quadrants where temporal and
    spectral frequency have the same sign (sign +1) or opposite ones (sign -1), and the lines of frequency 0
    and of the highest frequency.

    ``T`` and ``S`` are separable, so each of the 12 pairs of sign and scale is filtered along frequency once
    and then along time for each rate; this is the same as filtering in two dimensions, to rounding. Peak
    memory stays under 30 MB.

    Parameters
    ----------
    cochleagram
        (211, 390), as `isocortex_baselines.cochleagram.cochleagram_cochcnn9` gives it: frequency by time.

    Returns
    -------
    (111, 211), filters (in the order of `sweep_filters`) by frequency.

    Raises
    ------
    DataError
        If the cochleagram has another shape or holds values that are not finite.

    References
    ----------
    Tuckute, Feather, Boebinger & McDermott (2023), PLoS Biology 21:e3002366 (SpectroTemporal);
    Norman-Haignere & McDermott (2018), PLoS Biology 16:e2005127; Chi, Ru & Shamma (2005), JASA 118:887-906.

    Examples
    --------
    >>> features = spectrotemporal(np.ones((211, 390)))
    >>> features.shape, round(float(features[0, 0]), 4)
    ((111, 211), 277.7778)
    """
    image = np.asarray(cochleagram, dtype=np.float64)
    if image.shape != (N_FREQUENCIES, N_FRAMES) or not np.isfinite(image).all():
        raise DataError(
            f"Expected a finite cochleagram of shape {(N_FREQUENCIES, N_FRAMES)} (frequency, time), found shape "
            f"{image.shape}. Make it with isocortex_baselines.cochleagram.cochleagram_cochcnn9."
        )
    rows = np.fft.rfft(COCHLEAGRAM_FACTOR * image, N_PADDED_FRAMES, axis=1)  # (211, 586)
    spectrum = np.fft.fft(rows, N_TRANSFORM, axis=0)
    power = np.empty((len(sweep_filters()), N_FREQUENCIES))
    for (sign, scale), sweeps in groupby(enumerate(sweep_filters()), key=lambda item: item[1][:2]):
        filtered = _filtered_rows(rows, spectrum, sign, scale)
        for place, sweep in sweeps:
            power[place] = _mean_power(filtered, sweep.rate)
    return power


def spectrotemporal_sqrt(cochleagram: ArrayLike) -> NDArray[np.float64]:
    """Give the square root of `spectrotemporal`: the same filters with compressed power.

    Power spans many orders of magnitude between filters; its root lets all of them take part in a regression
    with one penalty. Not part of the published model.

    Parameters
    ----------
    cochleagram
        (211, 390), frequency by time.

    Returns
    -------
    (111, 211).

    Raises
    ------
    DataError
        If the cochleagram has another shape or holds values that are not finite.

    Examples
    --------
    >>> round(float(spectrotemporal_sqrt(np.ones((211, 390)))[0, 0]), 4)
    16.6667
    """
    return np.sqrt(spectrotemporal(cochleagram))
