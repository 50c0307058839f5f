"""Reading sounds and images from files, and refusing damaged ones."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from isocortex.errors import DataError, PluginError

if TYPE_CHECKING:
    from PIL.Image import Image

    from isocortex.typing import Array

#: modality → file name endings that a folder of stimuli is searched for
SUFFIXES: dict[str, tuple[str, ...]] = {
    "audio": (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif"),
    "image": (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"),
}


def read_audio(path: Path) -> tuple[Array, float]:
    """Read a sound as (n_samples,) or (n_samples, n_channels) float32 in [-1, 1), and its rate in Hz.

    Raises
    ------
    DataError
        The file is not audio, is empty, or holds less sound than its header promises.
    """
    import numpy as np
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            rate, promised = float(file.samplerate), file.frames
            samples: Array = file.read(dtype="float32")
    except (soundfile.LibsndfileError, OSError) as error:
        raise DataError(f"{path.name} cannot be read as audio ({error}). Expected a sound file such as WAV.") from error
    if len(samples) == 0:
        raise DataError(f"{path.name} holds no samples. Replace the file or remove the stimulus.")
    if len(samples) < promised or _is_truncated(path):
        raise DataError(f"{path.name} is truncated: it ends before the sound does. Copy or download it again.")
    if not np.isfinite(samples).all():
        raise DataError(f"{path.name} holds samples that are not finite numbers.")
    return samples, rate


def _is_truncated(path: Path) -> bool:
    """Whether a file is shorter than its own chunks or pages say; libsndfile reads such files without a word."""
    size = path.stat().st_size
    with path.open("rb") as file:
        return _CONTAINERS.get(file.read(4), lambda *_: False)(file, size)


def _chunks_end_early(file: BinaryIO, size: int, order: Literal["little", "big"], data: bytes) -> bool:
    """Walk the chunks of a RIFF (WAV) or FORM (AIFF) file up to the one that holds the samples."""
    file.seek(12)
    while len(header := file.read(8)) == 8:
        length = int.from_bytes(header[4:], order)
        if header[:4] == data:
            # streaming writers leave the length open with all bits set
            return length != 0xFFFFFFFF and file.tell() + length > size
        file.seek(length + length % 2, 1)
    return True


def _last_page_is_absent(file: BinaryIO, size: int) -> bool:
    """The last page of an Ogg stream is marked as such in the sixth byte of its header (RFC 3533, section 6)."""
    file.seek(max(0, size - 66_000))  # a page has at most 65,307 bytes
    last = file.read().rpartition(b"OggS")[2]
    return len(last) < 2 or not last[1] & 4


_CONTAINERS: dict[bytes, Callable[[BinaryIO, int], bool]] = {
    b"RIFF": lambda file, size: _chunks_end_early(file, size, "little", b"data"),
    b"FORM": lambda file, size: _chunks_end_early(file, size, "big", b"SSND"),
    b"OggS": _last_page_is_absent,
}


def read_image(path: Path) -> tuple[Array, None]:
    """Read an image as (height, width, 3) uint8 RGB; transparency is laid on mid-grey, 16-bit grey scaled to 8 bits.

    Raises
    ------
    DataError
        The file is no image, is truncated, is too large to be true, or has values of an unknown range.
    """
    import warnings

    import numpy as np
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.load()
                return np.asarray(_as_rgb(image)), None
    except DataError as error:
        raise DataError(f"{path.name} cannot be used: {error}") from error
    except Exception as error:  # Pillow's decoders raise whatever a damaged file leads them to
        raise DataError(f"{path.name} cannot be read as an image ({error}). Copy or download it again.") from error


def _as_rgb(image: Image) -> Image:
    import numpy as np
    from PIL import Image as PillowImage

    if image.mode in ("I", "F"):
        raise DataError(
            f"The image has 32-bit values ({image.mode}), whose range is unknown. Save it with 8 or 16 bits."
        )
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.float64) / 257
        return PillowImage.fromarray(np.rint(grey).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        opaque = image.convert("RGBA")
        image = PillowImage.alpha_composite(PillowImage.new("RGBA", opaque.size, (128, 128, 128, 255)), opaque)
    return image.convert("RGB")


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
