"""Reading sounds and images from files, and refusing damaged ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

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
    missing = _missing_bytes(path)
    if len(samples) < promised or missing:
        raise DataError(
            f"{path.name} is truncated: its header promises {missing or promised - len(samples)} "
            f"{'bytes' if missing else 'frames'} more than the file holds. Copy or download it again."
        )
    if not np.isfinite(samples).all():
        raise DataError(f"{path.name} holds samples that are not finite numbers.")
    return samples, rate


def _missing_bytes(path: Path) -> int:
    """Bytes by which a RIFF file is shorter than its chunks say; libsndfile reads such files without a word."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(4) != b"RIFF":
            return 0
        file.seek(12)
        while len(header := file.read(8)) == 8:
            length = int.from_bytes(header[4:], "little")
            # streaming writers leave the length open with all bits set
            if header[:4] == b"data":
                return 0 if length == 0xFFFFFFFF else max(0, file.tell() + length - size)
            file.seek(length + length % 2, 1)
    return 0


def read_image(path: Path) -> tuple[Array, None]:
    """Read an image as (height, width, 3) uint8 RGB; transparency is laid on mid-grey.

    Raises
    ------
    DataError
        The file is no image, or is truncated.
    """
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            image.load()
            if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                opaque = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", opaque.size, (128, 128, 128, 255)), opaque)
            return np.asarray(image.convert("RGB")), None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path.name} cannot be read as an image ({error}). Copy or download it again.") from error


READERS: dict[str, Callable[[Path], tuple[Any, float | None]]] = {"audio": read_audio, "image": read_image}


def resample(waveform: Array, rate: float, wanted: float) -> Array:
    """Resample (n_samples[, n_channels]) with soxr's high quality; unchanged where the rates are equal.

    Examples
    --------
    >>> import numpy as np
    >>> resample(np.zeros(8000, dtype=np.float32), 8000, 16000).shape
    (16000,)
    """
    if rate == wanted:
        return waveform
    import soxr

    return soxr.resample(waveform, rate, wanted, quality="HQ")
