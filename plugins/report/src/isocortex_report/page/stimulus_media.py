"""Stimuli as a browser shows and plays them: pictures of bounded size as PNG or JPEG, sounds as 16-bit WAV."""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from isocortex.data import Stimulus
    from isocortex.typing import Array

#: of a picture on the page, pixels of the longer side
MOST_PIXELS = 480
#: of a sound on the page, seconds
MOST_SECONDS = 30.0
#: bars of a drawn waveform
_N_BARS = 72


@dataclass(frozen=True)
class Medium:
    """One stimulus as bytes of a file.

    Attributes
    ----------
    kind
        "image" or "audio".
    ending
        Of a file name.
    text
        What it is: size, or duration and rate.
    wave
        Path of SVG that draws a sound, in a box of 72 by 2; empty for a picture.
    """

    kind: str
    mime: str
    ending: str
    content: bytes
    text: str
    wave: str = ""


def medium_of(stimulus: Stimulus) -> Medium | None:
    """The stimulus for a page; None where a browser could neither show nor play it."""
    if stimulus.modality == "image":
        return picture(stimulus.array)
    if stimulus.modality == "audio" and stimulus.sample_rate:
        return sound(stimulus.array, stimulus.sample_rate)
    return None


def picture(pixels: Array) -> Medium:
    """A picture (height, width, 3), uint8, made smaller where it is large; the smaller one of PNG and JPEG.

    Examples
    --------
    >>> picture(np.zeros((2, 3, 3), dtype=np.uint8)).text
    '3 × 2 pixels'
    """
    from PIL import Image

    height, width = pixels.shape[:2]
    image = Image.fromarray(np.asarray(pixels, dtype=np.uint8))
    image.thumbnail((MOST_PIXELS, MOST_PIXELS))
    made: list[tuple[str, str, bytes]] = []
    for kind, ending, options in (("PNG", "png", {"optimize": True}), ("JPEG", "jpg", {"quality": 90})):
        file = io.BytesIO()
        image.save(file, kind, **options)
        made.append((f"image/{kind.lower()}", ending, file.getvalue()))
    mime, ending, content = min(made, key=lambda one: len(one[2]))
    return Medium("image", mime, ending, content, f"{width} × {height} pixels")


def sound(samples: Array, rate: float) -> Medium:
    """A sound (n_samples,) or (n_samples, n_channels) in [-1, 1), its first 30 seconds; louder values are cut off.

    Examples
    --------
    >>> sound(np.zeros(8000, dtype=np.float32), 16000.0).text
    '0.50 s, 16 kHz'
    """
    wanted = np.asarray(samples, dtype=np.float64)[: int(MOST_SECONDS * rate)]
    whole = np.clip(np.round(np.nan_to_num(wanted) * 32768), -32768, 32767).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1 if whole.ndim == 1 else whole.shape[1])
        written.setsampwidth(2)
        written.setframerate(round(rate))
        written.writeframes(whole.tobytes())
    seconds = len(samples) / rate
    text = f"{seconds:.2f} s, {rate / 1000:g} kHz" + (", first 30 s" if seconds > MOST_SECONDS else "")
    return Medium("audio", "audio/wav", "wav", file.getvalue(), text, waveform(wanted))


def waveform(samples: Array) -> str:
    """The outline of a sound as a path of SVG: one bar per part, as high as its largest value.

    Examples
    --------
    >>> waveform(np.ones(720)).startswith("M0 0V2M1 0V2")
    True
    """
    mono = np.abs(samples if samples.ndim == 1 else samples.mean(axis=1))
    peaks = [float(part.max()) if len(part) else 0.0 for part in np.array_split(mono, _N_BARS)]
    loudest = max(max(peaks), 1e-9)
    heights = [max(0.02, peak / loudest) for peak in peaks]
    return "".join(f"M{place} {1 - height:.2g}V{1 + height:.3g}" for place, height in enumerate(heights))
