"""Envelopes of narrow bands of sounds in torch: the filters of ``isocortex_baselines``, many sounds at once.

The analytic signal of band ``i`` is ``z_i[t] = 1/N sum_k H_i[k] X[k] exp(2 pi j k t / N)``, the envelope ``|z_i|``. A
band covers few bins, so that the sum is a convolution of these with a chirp, done block by block
(``isocortex_baselines.envelopes.EnvelopePlan`` has the derivation): exact, and as fast for a length with a large prime
factor (32,002 = 2 × 16,001 in Kell et al. 2018) as for any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from isocortex.typing import Array
from isocortex_baselines.erb import BankSettings, erb_filter_bank

#: a block is at least so many times as long as the widest band in it; measured: fastest on one core
BLOCK_PER_BAND = 4
SMALLEST_BLOCK = 512


@dataclass(frozen=True)
class BandGroup:
    """Bands that share the length of a block.

    Attributes
    ----------
    bins
        (n_bands, widest) int64: the bins that each band covers; those beyond its width have weight 0.
    weights
        (n_bands, widest) complex: filter times the chirp's phase, over the number of samples.
    chirp
        (n_blocks, block) complex: transforms of the stretches of the chirp.
    overlap
        Leading samples of each block that the circular convolution spoils.
    """

    bins: Tensor
    weights: Tensor
    chirp: Tensor
    overlap: int

    def __len__(self) -> int:
        return len(self.bins)

    def to(self, device: torch.device, dtype: torch.dtype) -> BandGroup:
        """On a device, in complex precision ``dtype``."""
        weights, chirp = (part.to(device=device, dtype=dtype) for part in (self.weights, self.chirp))
        return BandGroup(self.bins.to(device), weights, chirp, self.overlap)

    def envelopes(self, spectra: Tensor, bands: slice, n_samples: int) -> Tensor:
        """Envelopes of some of the bands.

        Parameters
        ----------
        spectra
            (n_sounds, n_frequencies) complex, as ``torch.fft.rfft`` gives them.
        bands
            Which bands of the group.
        n_samples
            How many samples, from the first.

        Returns
        -------
        (n_sounds, n_bands, n_samples), half of the Hilbert envelope unless the weights were doubled.
        """
        bins = spectra[:, self.bins[bands]] * self.weights[bands]
        transformed = torch.fft.fft(bins, n=self.chirp.shape[-1])
        analytic = torch.fft.ifft(transformed[:, :, None] * self.chirp)  # (n_sounds, n_bands, n_blocks, block)
        return _modulus(analytic[..., self.overlap :]).flatten(2)[..., :n_samples]


def _modulus(values: Tensor) -> Tensor:
    if values.requires_grad:
        return values.abs()  # its derivative at 0 is 0, that of a root is infinite
    squares = torch.view_as_real(values).square_()  # twice as fast as abs()
    return (squares[..., 0] + squares[..., 1]).sqrt_()


@dataclass(frozen=True)
class BandPlan:
    """All bands of a filter bank for sounds of one length.

    Attributes
    ----------
    groups
        The bands, by length of block.
    order
        (n_filters,) int64: where the rows of the bank, from low to high, stand in the groups one after the other.
    """

    groups: tuple[BandGroup, ...]
    order: Tensor

    def to(self, device: torch.device, dtype: torch.dtype) -> BandPlan:
        """On a device, in complex precision ``dtype``."""
        return BandPlan(tuple(group.to(device, dtype) for group in self.groups), self.order.to(device))


@lru_cache(maxsize=8)
def band_plan(settings: BankSettings, *, analytic: bool) -> BandPlan:
    """Lay out a filter bank, once per length and rate (about 7 MB for 2 s).

    Parameters
    ----------
    settings
        Length, rate and edges of the bank.
    analytic
        Double all bins but the first and the Nyquist bin, so that envelopes are Hilbert envelopes.

    Examples
    --------
    >>> settings = BankSettings(1000, 1000, low=20.0, high=500.0, n=5, sample_factor=2)
    >>> plan = band_plan(settings, analytic=True)
    >>> sound = torch.cos(2 * torch.pi * 100 * torch.arange(1000, dtype=torch.float64) / 1000)
    >>> found = [group.envelopes(torch.fft.rfft(sound)[None], slice(None), 1000) for group in plan.groups]
    >>> power = torch.cat(found, dim=1).square().sum(dim=1)  # the squared filters sum to 1 at every frequency
    >>> bool(torch.allclose(power, torch.ones_like(power)))
    True
    """
    filters = erb_filter_bank(settings)
    if analytic:
        filters[:, 1 : (settings.n_samples + 1) // 2] *= 2.0
    first = (filters != 0).argmax(axis=1)
    width = filters.shape[1] - (filters[:, ::-1] != 0).argmax(axis=1) - first
    block = np.array([_block_length(int(n_bins)) for n_bins in width])
    rows = [np.flatnonzero(block == length) for length in np.unique(block)]
    groups = [
        _group(filters[members], first[members], width[members], settings.n_samples, int(block[members[0]]))
        for members in rows
    ]
    return BandPlan(tuple(groups), torch.from_numpy(np.argsort(np.concatenate(rows))))


def _block_length(n_bins: int) -> int:
    return 1 << (max(SMALLEST_BLOCK, BLOCK_PER_BAND * n_bins) - 1).bit_length()


def _group(filters: Array, first: Array, width: Array, n_samples: int, block: int) -> BandGroup:
    widest = int(width.max())
    offset = np.arange(widest)
    bins = np.minimum(first[:, None] + offset, filters.shape[1] - 1)  # (n_bands, widest)
    transfer = np.take_along_axis(filters, bins, axis=1) * (offset < width[:, None])
    starts = np.arange(0, n_samples, block - (widest - 1))[:, None] - (widest - 1)
    chirp = np.fft.fft(np.exp(-1j * _phase(starts + np.arange(block), n_samples)), axis=1)  # (n_blocks, block)
    weights = transfer * np.exp(1j * _phase(offset, n_samples)) / n_samples
    return BandGroup(torch.from_numpy(bins), torch.from_numpy(weights), torch.from_numpy(chirp), widest - 1)


def _phase(positions: Array, n_samples: int) -> Array:
    """``pi p^2 / n_samples``, the squares reduced as integers so that no digit is lost."""
    return np.pi * (np.square(positions) % (2 * n_samples)) / n_samples
