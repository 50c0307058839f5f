"""Reading sounds: whole, in the documented range, or refused."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from isocortex.data.sound_containers import Stated, TruncatedError, read_aiff, read_nist, read_w64, read_wav
from isocortex.data.sound_streams import read_flac, read_mp3, read_ogg
from isocortex.errors import DataError, shorten

if TYPE_CHECKING:
    from isocortex.typing import Array

#: the largest absolute value of a sample that is stored as a float, or decoded to one; 1 is full scale
LOUDEST: Final = 2.0
#: sounds above this size are held against the memory that is free
_LARGE: Final = 256 << 20
#: how a file begins → what tells its length
_CONTAINERS: Final[dict[bytes, Callable[[BinaryIO, int], Stated]]] = {
    b"RIFF": read_wav,
    b"RF64": read_wav,
    b"RIFX": partial(read_wav, order="big"),
    b"riff": read_w64,
    b"FORM": read_aiff,
    b"fLaC": read_flac,
    b"OggS": read_ogg,
    b"NIST": read_nist,
    b"ID3": read_mp3,
    b"\xff": read_mp3,
}
_FLOATS: Final = ("FLOAT", "DOUBLE", "VORBIS", "OPUS", "MPEG_LAYER_III")


def read_audio(path: Path) -> tuple[Array, float]:
    """Read a sound as (n_samples,) or (n_samples, n_channels) float32, and its rate in Hz; 1 is full scale.

    Integers of n bits are divided by 2^(n-1), so that they lie in [-1, 1). Floats are as they are in the file; they may
    exceed 1 a little, as after resampling or lossy coding, up to 2.

    Raises
    ------
    DataError
        The file is not audio, is empty, holds less sound than its header promises, holds several sounds, promises more
        than the memory holds, or has floats that are not finite or far outside [-1, 1].
    """
    import soundfile

    try:
        stated = _stated(path)
        with soundfile.SoundFile(path if stated.content is None else io.BytesIO(stated.content)) as file:
            n_samples = _n_samples(file, stated, path)
            samples: Array = file.read(frames=n_samples, dtype="float32")
            rate, subtype = float(file.samplerate), str(file.subtype)
    except TruncatedError as error:
        raise DataError(_TRUNCATED.format(path.name)) from error
    except (soundfile.LibsndfileError, OSError, ValueError, MemoryError) as error:
        raise DataError(f"{path.name} cannot be read as audio ({error}). Expected a sound file such as WAV.") from error
    if len(samples) < n_samples:
        raise DataError(_TRUNCATED.format(path.name))
    if subtype in _FLOATS:
        _check_range(samples, path)
    return samples, rate


_TRUNCATED: Final = "{} is truncated: it ends before the sound does. Copy or download it again."


def _stated(path: Path) -> Stated:
    """What the container states of the length."""
    size = path.stat().st_size
    with path.open("rb") as file:
        begins = file.read(4)
        read = next((_CONTAINERS[begins[:n]] for n in (4, 3, 1) if begins[:n] in _CONTAINERS), None)
        if read is None or size < 12:
            found = "it is empty" if not begins else f"it begins with {begins!r}"
            raise ValueError(f"{found}: no WAV, FLAC, Ogg, MP3, AIFF, W64 or NIST SPHERE")
        file.seek(0)
        try:
            return read(file, size)
        except DataError as error:
            raise DataError(f"{path.name} cannot be used: {error}. Save it again as WAV or FLAC.") from error


def _n_samples(file: object, stated: Stated, path: Path) -> int:
    """Samples per channel that must come out."""
    from isocortex.devices import free_memory

    decoded, n_channels = int(getattr(file, "frames")), int(getattr(file, "channels"))  # noqa: B009
    n_samples = decoded if stated.n_samples is None else stated.n_samples
    if n_samples == 0:
        raise DataError(f"{path.name} holds no samples. Replace the file or remove the stimulus.")
    if n_samples > decoded:
        raise TruncatedError
    if decoded - n_samples > stated.may_exceed:
        raise DataError(f"{path.name} cannot be used: it announces {n_samples} samples and holds {decoded}.")
    n_bytes = 4 * n_samples * n_channels
    if n_bytes > _LARGE and n_bytes > (free_memory("cpu") or n_bytes) // 2:
        raise DataError(
            f"{path.name} promises {n_bytes / 1e9:,.1f} GB of samples, more than half of the memory that is free. "
            "Cut it into shorter stimuli."
        )
    return n_samples


def _check_range(samples: Array, path: Path) -> None:
    """Refuse floats that are not finite, or so large that they were written on another scale."""
    import numpy as np

    peak = float(max(samples.max(), -samples.min()))
    if not np.isfinite(peak):
        raise DataError(f"{path.name} holds samples that are not finite numbers.")
    if peak <= LOUDEST:
        return
    bits = next((bits for bits in (16, 24, 32) if peak <= 2 ** (bits - 1)), None)
    if bits is None or (peak < 64 and (samples != np.rint(samples)).any()):
        cure = f"divide the samples of all sounds by one number, at least {peak:.6g}"
    else:
        cure = f"they seem to be integers of {bits} bits: divide the samples of all sounds by {2 ** (bits - 1)}"
    raise DataError(f"{path.name} holds float samples up to {peak:.6g}; full scale is 1. Most likely {cure}.")


def notes_on_sounds(paths: Iterable[Path]) -> list[str]:
    """What is odd about the headers of sounds that are read nevertheless: a sentence for each kind of oddity.

    Only headers are read (of MP3 all frames); files that cannot be read are passed over, since reading them says so.

    Examples
    --------
    >>> notes_on_sounds([])
    []
    """
    is_open: list[str] = []
    trailing: list[str] = []
    n_sounds = 0
    for path in paths:
        n_sounds += 1
        try:
            stated = _stated(path)
        except (DataError, TruncatedError, OSError, ValueError):
            continue
        is_open += [path.name] if stated.is_open else []
        trailing += [path.name] if stated.n_trailing else []
    notes: list[str] = []
    if is_open:
        notes.append(
            f"{len(is_open)} of {n_sounds} sounds state no length in their header, as programs do that write into a "
            f"pipe ({shorten(is_open, 3)}): they were read to the end of the file, and whether that is the end of the "
            "sound is not known. Write them again into files."
        )
    if trailing:
        notes.append(
            f"{len(trailing)} of {n_sounds} sounds have bytes behind their end that belong to nothing "
            f"({shorten(trailing, 3)}); these bytes were passed over."
        )
    return notes
