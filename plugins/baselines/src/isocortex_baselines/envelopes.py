"""Envelopes of narrow bands of a sound, exact and without one long transform per band."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SMALLEST_BLOCK = 512
"""Shortest transform, in samples: below this the overhead per transform takes over."""
BLOCK_PER_BAND = 8
"""A block is at least so many times as long as the band is wide, so that little of it is lost to overlap."""


@dataclass(frozen=True)
class Chirp:
    """The convolution with a chirp that evaluates a band's spectrum at every sample, in blocks.

    Parameters
    ----------
    block
        Length of the transforms in samples.
    overlap
        Leading samples of each block that the circular convolution spoils: widest band - 1.
    spectra
        (n_blocks, block), discrete Fourier transforms of the stretches of the chirp.
    """

    block: int
    overlap: int
    spectra: NDArray[np.complex128]


@dataclass(frozen=True)
class Band:
    """One filter where it is not zero.

    Parameters
    ----------
    row
        Row of the filter in its bank.
    first_bin
        First frequency bin at which the filter is not zero.
    weights
        (n_bins,), filter times the chirp's phase, divided by the number of samples.
    chirp
        What evaluates it, shared by bands of about one width.
    """

    row: int
    first_bin: int
    weights: NDArray[np.complex128]
    chirp: Chirp


class EnvelopePlan:
    r"""Envelopes of all bands of a filter bank, for sounds of one length.

    The analytic signal of band ``i`` is ``z_i[t] = 1/N sum_k H_i[k] X[k] exp(2 pi j k t / N)`` over
    the bins ``k = 0 .. N // 2``, and the envelope is ``|z_i|``. A band covers few bins, so the sum is
    computed as a chirp transform: with ``k t = (k^2 + t^2 - (t - k)^2) / 2`` it is a convolution of
    the few bins with a chirp, done block by block, and the factor that depends on ``t`` alone has modulus
    1 and drops out of the envelope. This is exact, costs the same for every length of sound (a direct
    transform is slow where the length has a large prime factor), and needs no array of length
    ``n_filters * n_samples``.

    Parameters
    ----------
    filters
        (n_filters, n_samples // 2 + 1), transfer functions on the grid of ``numpy.fft.rfftfreq``.
    n_samples
        Length of the sounds, ``N``.

    References
    ----------
    Rabiner, Schafer & Rader (1969), Bell System Technical Journal 48:1249-1292 (chirp transform).

    Examples
    --------
    >>> sound = np.cos(2 * np.pi * 50 * np.arange(1000) / 1000)
    >>> band = np.zeros((1, 501)); band[0, 40:60] = 1.0
    >>> plan = EnvelopePlan(band, n_samples=1000)
    >>> row, envelope = next(plan.envelopes(sound))
    >>> row, bool(np.allclose(envelope, 0.5))
    (0, True)
    """

    def __init__(self, filters: NDArray[np.float64], n_samples: int) -> None:
        self.n_samples = n_samples
        self.n_filters = filters.shape[0]
        widths = np.array([_width(row) for row in filters])
        blocks = np.array([_block_length(int(width)) for width in widths])
        chirps = {
            int(block): _make_chirp(int(block), int(widths[blocks == block].max()), n_samples)
            for block in np.unique(blocks)
        }
        self._bands = [
            _make_band(row, transfer, n_samples, chirps[int(block)])
            for row, (transfer, block) in enumerate(zip(filters, blocks, strict=True))
        ]

    def envelopes(self, sound: NDArray[np.float64]) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """Give the envelope of one band after the other.

        Parameters
        ----------
        sound
            (n_samples,), the waveform.

        Yields
        ------
        row
            Row of the filter in its bank.
        envelope
            (n_samples,), envelope of that band: half of the Hilbert envelope, because the negative frequencies
            are dropped and the positive ones not doubled.
        """
        spectrum = np.fft.rfft(sound)
        for band in self._bands:
            chirp = band.chirp
            bins = spectrum[band.first_bin : band.first_bin + band.weights.size] * band.weights
            product = np.fft.fft(bins, chirp.block) * chirp.spectra  # (n_blocks, block)
            analytic = np.fft.ifft(product, axis=1)[:, chirp.overlap :]
            power = np.square(analytic.real)
            power += np.square(analytic.imag)
            yield band.row, np.sqrt(power, out=power).reshape(-1)[: self.n_samples]


def _width(transfer: NDArray[np.float64]) -> int:
    """Give the number of bins from the first to the last that is not zero, at least 1."""
    support = np.flatnonzero(transfer)
    return int(support[-1] - support[0] + 1) if support.size else 1


def _block_length(width: int) -> int:
    """Give the power of two that suits a band of `width` bins."""
    wanted = max(SMALLEST_BLOCK, BLOCK_PER_BAND * width)
    return 1 << (wanted - 1).bit_length()


def _chirp_phase(positions: NDArray[np.int64], n_samples: int) -> NDArray[np.float64]:
    """Give ``pi p^2 / n_samples``, the squares reduced as integers so that no digit is lost."""
    return np.pi * (np.square(positions) % (2 * n_samples)) / n_samples


def _make_chirp(block: int, widest: int, n_samples: int) -> Chirp:
    """Transform the stretches of the chirp that cover a sound of `n_samples`."""
    overlap = widest - 1
    hop = block - overlap
    starts = np.arange(0, n_samples, hop)[:, None] - overlap
    positions = starts + np.arange(block)  # (n_blocks, block)
    return Chirp(block, overlap, np.fft.fft(np.exp(-1j * _chirp_phase(positions, n_samples)), axis=1))


def _make_band(row: int, transfer: NDArray[np.float64], n_samples: int, chirp: Chirp) -> Band:
    """Cut a filter down to the bins where it is not zero and give these the chirp's phase."""
    support = np.flatnonzero(transfer)
    first, last = (int(support[0]), int(support[-1])) if support.size else (0, 0)
    phase = _chirp_phase(np.arange(last - first + 1), n_samples)
    weights = np.exp(1j * phase)
    weights *= transfer[first : last + 1] / n_samples
    return Band(row, first, weights, chirp)
