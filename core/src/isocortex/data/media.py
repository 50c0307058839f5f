"""Sounds and images: which files hold them, what reads them, and resampling."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.data.pictures import read_image
from isocortex.data.sounds import read_audio
from isocortex.errors import DataError, PluginError

if TYPE_CHECKING:
    from isocortex.typing import Array

#: modality → file name endings that a folder of stimuli is searched for
SUFFIXES: dict[str, tuple[str, ...]] = {
    "audio": (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".w64"),
    "image": (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"),
}

READERS: dict[str, Callable[[Path], tuple[Any, float | None]]] = {"audio": read_audio, "image": read_image}


def resample(waveform: Array, rate: float, wanted: float, how: str = "soxr") -> Array:
    """Bring a sound to another sampling rate; unchanged where the rates are equal.

    Parameters
    ----------
    waveform
        (n_samples,) or (n_samples, n_channels), floating; channels stay apart.
    rate, wanted
        Hz, of the sound and of the result.
    how
        "soxr": its high quality, ``floor(n_samples * wanted / rate + 0.5)`` samples. "polyphase":
        ``scipy.signal.resample_poly`` by the reduced ratio of the rates, in double precision,
        ``ceil(n_samples * wanted / rate)`` samples.

    Returns
    -------
    (n_samples,) or (n_samples, n_channels); float64 stays float64, other types become float32.

    Raises
    ------
    DataError
        Samples that are no floating point numbers: their scale is not known.
    PluginError
        Another word than these, or scipy is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> resample(np.zeros(8000, dtype=np.float32), 8000, 16000).shape
    (16000,)
    """
    if rate == wanted:
        return waveform
    import numpy as np

    if how not in RESAMPLERS:
        raise PluginError(f"{how!r} is no resampler. Expected one of {', '.join(RESAMPLERS)}.")
    samples = np.asarray(waveform)
    if samples.dtype.kind != "f":
        raise DataError(f"Only sounds of floating point numbers in [-1, 1) are resampled; found {samples.dtype}.")
    kind = np.float64 if samples.dtype.itemsize > 4 else np.float32
    return RESAMPLERS[how](np.ascontiguousarray(samples, dtype=kind), rate, wanted)


def _soxr(samples: Array, rate: float, wanted: float) -> Array:
    import soxr

    return soxr.resample(samples, rate, wanted, quality="HQ")


def _polyphase(samples: Array, rate: float, wanted: float) -> Array:
    try:
        from scipy.signal import resample_poly
    except ImportError as error:
        raise PluginError(
            'resampler = "polyphase" needs scipy, which is not installed: pip install scipy. '
            "A package whose row says so should require it."
        ) from error
    ratio = Fraction(wanted).limit_denominator(1000) / Fraction(rate).limit_denominator(1000)
    found = resample_poly(samples.astype("float64"), ratio.numerator, ratio.denominator)
    return found.astype(samples.dtype)


#: word of a row (``resampler``) → how core resamples
RESAMPLERS: dict[str, Callable[[Array, float, float], Array]] = {"soxr": _soxr, "polyphase": _polyphase}
