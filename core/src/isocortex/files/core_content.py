"""What of core decides numbers, by content: the rooms through which activations and results go, and their readers."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from isocortex.files.digests import digest_files, digest_of
from isocortex.files.libraries import public_version

_ACTIVATIONS = (
    "data/**/*.py",
    "activations/**/*.py",
    "extraction/**/*.py",
    "models/**/*.py",
    "files/unpickle.py",
    "files/pickled_arrays.py",
    "loading/folder_*.py",
)
#: what is made → the files of core that decide its values; no other file counts
DECIDES = {
    "activations": _ACTIVATIONS,
    "results": (*_ACTIVATIONS, "scoring/**/*.py"),
    "training": ("data/**/*.py", "training/**/*.py"),
}

#: libraries by which core computes and reads sounds and images
_LIBRARIES = ("numpy", "soundfile", "soxr", "Pillow")


def digest_core(what: Literal["activations", "results", "training"], folder: Path | None = None) -> str:
    """Digest over the files of core that decide activations, results or training, and the versions of the readers.

    Parameters
    ----------
    folder
        Core's package; default: the one that runs.

    Examples
    --------
    >>> digest_core("activations") == digest_core("results")
    False
    """
    root = Path(__file__).parents[1] if folder is None else folder
    files = sorted({path for pattern in DECIDES[what] for path in root.glob(pattern)})
    digests = digest_files(files)
    contents = {path.relative_to(root).as_posix(): digests[path] for path in files}
    libraries = {name: public_version(name) for name in _LIBRARIES}
    return digest_of([contents, libraries, _libsndfile()])


def _libsndfile() -> str | None:
    try:
        import soundfile
    except (ImportError, OSError):  # without its shared library no sound is read
        return None
    return str(soundfile.__libsndfile_version__)
