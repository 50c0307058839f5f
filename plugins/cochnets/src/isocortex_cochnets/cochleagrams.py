"""The cochleagrams of ``isocortex_baselines`` as torch modules: batched, differentiable, on any device.

They equal the numpy functions and have neither parameters nor buffers. Inside they work in double precision whatever
the network's is (where the device has it): the compression by a power of 0.3 would raise the rounding noise of single
precision in quiet stretches far above 1e-5.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from isocortex.errors import DataError
from isocortex.typing import Array
from isocortex_baselines.cochleagram import (
    COCHCNN9_RATE,
    COMPRESSION,
    FLOOR,
    KELL2018_PADDING,
    KELL2018_RATE,
    FrameFilter,
    cochcnn9_frames,
    kell2018_frames,
)
from isocortex_baselines.erb import BankSettings
from isocortex_cochnets.bands import BandGroup, band_plan

#: samples, all blocks of all bands counted, that are worked on at once: on a CPU as many as a core's cache holds
POINTS_PER_THREAD, POINTS_ELSEWHERE = 200_000, 16_000_000
#: edge of the input of Kell et al. (2018)
KELL2018_EDGE = 256


class Cochleagram(nn.Module, ABC):
    """Envelopes in 211 bands, brought to 200 frames per second and compressed.

    Parameters
    ----------
    rate
        Sampling rate in Hz.
    low, high
        Edges of the filter bank in Hz.
    frames
        Brings envelopes to the frame rate.
    analytic
        Whether the envelope is the Hilbert envelope or half of it.
    padding
        Zero samples that are appended before filtering.
    """

    def __init__(
        self, rate: int, low: float, high: float, frames: FrameFilter, *, analytic: bool, padding: int = 0
    ) -> None:
        super().__init__()
        self.rate, self.low, self.high = rate, low, high
        self.frames, self.analytic, self.padding = frames, analytic, padding

    def forward(self, waveforms: Tensor) -> Tensor:
        """(n_sounds, n_samples) → (n_sounds, 1, n_frequencies, n_frames), frequencies from low to high.

        Raises
        ------
        DataError
            The waveforms have another shape, or are too short for one frame.
        """
        return self.compressed(waveforms)[:, None].to(waveforms.dtype)

    def compressed(self, waveforms: Tensor) -> Tensor:
        """(n_sounds, n_samples) → (n_sounds, n_frequencies, n_frames), in the precision of the computation."""
        if waveforms.ndim != 2 or self.n_frames(waveforms.shape[-1]) < 1:
            raise DataError(
                f"Expected waveforms (n_sounds, n_samples) at {self.rate} Hz, long enough for one frame; found shape "
                f"{tuple(waveforms.shape)}."
            )
        exact = torch.float32 if waveforms.device.type == "mps" else torch.float64
        at_once = 1 if waveforms.device.type == "cpu" else 16
        sounds = waveforms.to(exact).split(at_once)
        return torch.cat([self.compress(self._in_bands(part)) for part in sounds])

    def _in_bands(self, sounds: Tensor) -> Tensor:
        """(n_sounds, n_samples) → (n_sounds, n_frequencies, n_frames), before compression."""
        n_samples = sounds.shape[-1]
        settings = BankSettings(n_samples + self.padding, self.rate, low=self.low, high=self.high)
        spectra = torch.fft.rfft(functional.pad(sounds, (0, self.padding)))
        plan = band_plan(settings, analytic=self.analytic).to(sounds.device, spectra.dtype)
        taps = torch.from_numpy(_segments(self.frames)).to(sounds)
        on_cpu = sounds.device.type == "cpu"
        points = POINTS_PER_THREAD * torch.get_num_threads() if on_cpu else POINTS_ELSEWHERE
        # computed again where gradients are wanted, for which 270 MB per sound would be kept otherwise
        again = partial(checkpoint, self._some_bands, use_reentrant=False)
        run: Callable[..., Any] = again if spectra.requires_grad else self._some_bands
        found: list[Tensor] = []
        for group in plan.groups:
            step = max(1, points // (len(sounds) * group.chirp.numel()))
            some = (slice(start, start + step) for start in range(0, len(group), step))
            found.extend(run(spectra, group, bands, n_samples, taps) for bands in some)
        return torch.cat(found, dim=1)[:, plan.order]

    def _some_bands(self, spectra: Tensor, group: BandGroup, bands: slice, n_samples: int, taps: Tensor) -> Tensor:
        envelopes = self.floored(group.envelopes(spectra, bands, n_samples))
        n_frames, hop = self.n_frames(n_samples), self.frames.hop
        n_needed = (n_frames + len(taps) - 1) * hop
        start = self.frames.start
        envelopes = envelopes[..., : n_needed - start]
        after = n_needed - start - envelopes.shape[-1]
        if start or after:
            envelopes = functional.pad(envelopes, (start, after))
        stretches = envelopes.unflatten(-1, (-1, hop)).transpose(-1, -2)  # (n_sounds, n_bands, hop, n_stretches)
        parts = taps @ stretches  # what each stretch gives to each of the frames that see it
        diagonals = (*parts.shape[:2], len(taps), n_frames), (*parts.stride()[:2], parts.shape[-1] + 1, 1)
        return parts.as_strided(*diagonals).sum(dim=-2)  # frame t is the sum of parts[k, t + k]

    def n_frames(self, n_samples: int) -> int:
        """Frames of a sound of that length."""
        return (n_samples + 2 * self.frames.start - self.frames.taps.size) // self.frames.hop + 1

    def floored(self, envelopes: Tensor) -> Tensor:
        """Envelopes before they are brought to the frame rate."""
        return envelopes

    @abstractmethod
    def compress(self, frames: Tensor) -> Tensor:
        """The loudness in each frame."""


class CochCNN9Cochleagram(Cochleagram):
    r"""Input of CochCNN9 and CochResNet50: 211 bands from 50 to 10,000 Hz, 390 frames of a sound of 2 s at 20 kHz.

    ``(max(e, 0) + 1e-8) ** 0.3`` of half the Hilbert envelope, as
    `isocortex_baselines.cochleagram.cochleagram_cochcnn9`, which names the sources.

    Examples
    --------
    >>> CochCNN9Cochleagram()(torch.zeros(2, 40_000)).shape
    torch.Size([2, 1, 211, 390])
    """

    def __init__(self) -> None:
        super().__init__(COCHCNN9_RATE, 50.0, 10_000.0, cochcnn9_frames(), analytic=False)

    def floored(self, envelopes: Tensor) -> Tensor:
        """At least 1e-8."""
        return envelopes.clamp_min(FLOOR) if envelopes.requires_grad else envelopes.clamp_min_(FLOOR)

    def compress(self, frames: Tensor) -> Tensor:
        """``(max(e, 0) + 1e-8) ** 0.3``."""
        return (frames.clamp_min(0.0) + FLOOR) ** COMPRESSION


class Kell2018Cochleagram(Cochleagram):
    r"""Input of the network of Kell et al. (2018): 211 bands from 20 to 8000 Hz of 2 s at 16 kHz, as a square image.

    ``max(e, 0) ** 0.3`` of the Hilbert envelope (`isocortex_baselines.cochleagram.cochleagram_kell2018`), stretched to
    0 … 255 for each sound by itself, so that its level does not matter, and resized to 256 × 256 by a Lanczos filter.
    Waveforms are on the scale of 16-bit integers.

    Examples
    --------
    >>> Kell2018Cochleagram()(torch.zeros(2, 32_000)).shape
    torch.Size([2, 1, 256, 256])
    """

    def __init__(self) -> None:
        super().__init__(KELL2018_RATE, 20.0, 8000.0, kell2018_frames(), analytic=True, padding=KELL2018_PADDING)

    def forward(self, waveforms: Tensor) -> Tensor:
        """(n_sounds, n_samples) → (n_sounds, 1, 256, 256), about 0 … 255; silence is 0 everywhere.

        Raises
        ------
        DataError
            The waveforms have another shape, or are too short for one frame.
        """
        images = stretch_to_255(self.compressed(waveforms))
        height, width = (torch.from_numpy(lanczos(n, KELL2018_EDGE)).to(images) for n in images.shape[-2:])
        return (height @ images @ width.T)[:, None].to(waveforms.dtype)

    def n_frames(self, n_samples: int) -> int:
        """Frames of a sound of that length, as many as begin within it."""
        return -(-n_samples // self.frames.hop)

    def compress(self, frames: Tensor) -> Tensor:
        """``max(e, 0) ** 0.3``."""
        loud = frames > 0
        # the power of 1 stands in where there is nothing, so that gradients stay finite
        return torch.where(loud, torch.where(loud, frames, 1.0) ** COMPRESSION, 0.0)


def stretch_to_255(images: Tensor) -> Tensor:
    """Stretch each image to 0 … 255; all zeros where it is constant.

    Parameters
    ----------
    images
        (n, height, width).

    Examples
    --------
    >>> stretch_to_255(torch.tensor([[[1.0, 2.0, 3.0]], [[5.0, 5.0, 5.0]]])).tolist()
    [[[0.0, 127.5, 255.0]], [[0.0, 0.0, 0.0]]]
    """
    low, high = images.amin(dim=(1, 2), keepdim=True), images.amax(dim=(1, 2), keepdim=True)
    varies = high > low
    return torch.where(varies, 255.0 * (images - low) / torch.where(varies, high - low, 1.0), 0.0)


@lru_cache(maxsize=8)
def lanczos(n_in: int, n_out: int) -> Array:
    r"""Matrix that resizes an axis by a Lanczos filter of three lobes, as Pillow does.

    Output ``i`` is centred on input ``c = (i + 1/2) n_in / n_out`` and sums the inputs ``j`` with weights proportional
    to ``L((j + 1/2 - c) / s)``, ``L(x) = sinc(x) sinc(x / 3)`` for ``|x| < 3``, ``s = max(n_in / n_out, 1)``.

    Parameters
    ----------
    n_in, n_out
        Lengths of the axis.

    Returns
    -------
    (n_out, n_in) float64; rows sum to 1.

    Examples
    --------
    >>> bool(np.allclose(lanczos(4, 4), np.eye(4)))
    True
    """
    scale = n_in / n_out
    centre = (np.arange(n_out)[:, None] + 0.5) * scale
    position = (np.arange(n_in) + 0.5 - centre) / max(scale, 1.0)  # (n_out, n_in)
    weights = np.where(np.abs(position) < 3, np.sinc(position) * np.sinc(position / 3), 0.0)
    return weights / weights.sum(axis=1, keepdims=True)


def _segments(frames: FrameFilter) -> Array:
    """Taps in stretches as long as the hop, (n_segments, hop)."""
    n_segments = -(-frames.taps.size // frames.hop)
    return np.pad(frames.taps, (0, n_segments * frames.hop - frames.taps.size)).reshape(n_segments, frames.hop)
