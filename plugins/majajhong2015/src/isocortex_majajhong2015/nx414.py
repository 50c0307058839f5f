"""The data set ``MajajHong2015.nx414``: the file ``IT_data.h5`` of the course NX-414, with its own split.

No address or checksum of the file is published: it is brought in from a folder, and its SHA-256 is recorded then.
Images lie in it as floating point numbers, normalised for a network; they become 8-bit colours again.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import numpy as np
from numpy.typing import NDArray

from isocortex.errors import DataError, FilesError, shorten
from isocortex.files import FileSpec, FileStore, check_hdf5, data_folder
from isocortex.interfaces import DataFiles, DatasetPlugin, StimuliPlugin
from isocortex.testing import CheckSkipped
from isocortex.typing import Array

if TYPE_CHECKING:
    import h5py

    from isocortex.data import Dataset, StimulusSet

#: where the file lies, below the data folder
PLACE: Final = "isocortex-majajhong2015/nx414"
SPEC: Final = FileSpec("IT_data.h5", "", None, None)
#: part of the file → word in the column ``split``; ``test`` has images and no responses
PARTS: Final = {"train": "train", "val": "test"}
#: what was subtracted from red, green and blue in [0, 1], and divided by
MEAN: Final = np.array([0.485, 0.456, 0.406], dtype=np.float32)[:, None, None]
DEVIATION: Final = np.array([0.229, 0.224, 0.225], dtype=np.float32)[:, None, None]
#: levels of 255 by which a colour may miss a whole number and still be rounding of float32
_WHOLE: Final = 0.01
#: images that are read at a time: 39 MB
_BLOCK: Final = 64
#: attribute of a file in which nobody was recorded; it says how the file was made
SYNTHETIC: Final = "isocortex_synthetic"
_READING: ContextVar[Path | None] = ContextVar("_READING", default=None)


class FileAbsentError(FilesError, CheckSkipped):
    """The file is not here; the conformance kit skips what needs it."""


def bring(source: Path | None) -> Path:
    """Bring the file in from a folder that holds it at any depth, and say where it is.

    Raises
    ------
    FilesError
        It is neither here nor in the folder, or differs from the one that was recorded.
    """
    if source is not None:
        FileStore().adopt(PLACE, [SPEC], source)
    return present()


def present() -> Path:
    """The file, compared with the checksum that was recorded when it was brought in.

    Raises
    ------
    FilesError
        It was not brought in yet, or has changed since.
    """
    elsewhere = _READING.get()
    if elsewhere is not None:
        return elsewhere
    path = data_folder() / PLACE / SPEC.name
    if not path.is_file():
        raise FileAbsentError(
            f"{SPEC.name} of the course NX-414 is not in {path.parent}. It has no public address: get it from the "
            "course and run 'isocortex fetch -b MajajHong2015.nx414 --from FOLDER'."
        )
    FileStore().verify(PLACE, [SPEC])
    return path


@contextmanager
def reading(path: Path) -> Generator[None]:
    """Within, the data set is read from this file, which is not compared with any checksum."""
    token = _READING.set(path)
    try:
        yield
    finally:
        _READING.reset(token)


def said_of_synthetic(file: h5py.File) -> str | None:
    """A sentence about a file in which nobody was recorded, None for any other."""
    made = file.attrs.get(SYNTHETIC)
    return None if made is None else f"{SPEC.name} is synthetic ({made}): nobody was recorded, no number is published."


@contextmanager
def opened(path: Path) -> Generator[h5py.File]:
    """The file, if it has the layout of the course.

    Raises
    ------
    DataError
        It is damaged, or lacks a part.
    """
    import h5py

    check_hdf5(path, in_parts=True)
    wanted = [f"{what}_{part}" for part in PARTS for what in ("stimulus", "object", "spikes")]
    with h5py.File(path, "r") as file:
        absent = [name for name in wanted if name not in file]
        if absent:
            raise DataError(f"{path.name} lacks {shorten(absent)}; it has {shorten(file, 30)}. It is another file.")
        for part in PARTS:
            sizes = {f"{what}_{part}": _data(file, f"{what}_{part}").shape for what in ("stimulus", "object", "spikes")}
            if len({shape[0] for shape in sizes.values()}) != 1:
                raise DataError(f"{path.name}: expected as many images as objects and responses, found {sizes}.")
        yield file


def _data(file: h5py.File, name: str) -> h5py.Dataset:
    return cast("h5py.Dataset", file[name])


def names_of(file: h5py.File) -> list[str]:
    """IDs of the images that have responses, in the order of the file: train0001, …, val0001, …"""
    return [f"{part}{number:04d}" for part in PARTS for number in range(1, len(_data(file, f"spikes_{part}")) + 1)]


def colours(normalised: Array) -> tuple[NDArray[np.uint8], float]:
    """8-bit colours of normalised images, and by how much a colour missed a whole number at most.

    Parameters
    ----------
    normalised
        (n_images, 3, height, width): red, green and blue in [0, 1], less ``MEAN``, over ``DEVIATION``.

    Returns
    -------
    (n_images, height, width, 3).

    Raises
    ------
    DataError
        Another shape, or colours that lie outside 0 to 255.

    Examples
    --------
    >>> image = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)
    >>> found, missed = colours((image / 255 - MEAN) / DEVIATION)
    >>> found[0, 0, 0].tolist(), missed < 0.01
    ([0, 4, 8], True)
    """
    if normalised.ndim != 4 or normalised.shape[1] != 3:
        raise DataError(f"Expected images of shape (n, 3, height, width), found {normalised.shape}.")
    levels = (np.asarray(normalised, dtype=np.float32) * DEVIATION + MEAN) * 255
    whole = np.rint(levels)
    if not (np.isfinite(levels).all() and whole.min() >= 0 and whole.max() <= 255):
        raise DataError(
            f"Expected images that were normalised by the means and deviations of ImageNet; undone, their colours go "
            f"from {np.nanmin(levels):.1f} to {np.nanmax(levels):.1f}, and not from 0 to 255."
        )
    missed = float(np.abs(levels - whole).max()) if levels.size else 0.0
    return np.ascontiguousarray(whole.astype(np.uint8).transpose(0, 2, 3, 1)), missed


def read_images(file: h5py.File) -> tuple[NDArray[np.uint8], float]:
    """Images with responses, (n_images, height, width, 3), a block at a time; and what rounding took at most."""
    parts: list[NDArray[np.uint8]] = []
    most = 0.0
    for part in PARTS:
        stored = _data(file, f"stimulus_{part}")
        for start in range(0, len(stored), _BLOCK):
            block, missed = colours(np.asarray(stored[start : start + _BLOCK]))
            parts.append(block)
            most = max(most, missed)
    return np.concatenate(parts), most


class CourseImages(StimuliPlugin):
    """The images of the course that have responses, 224 × 224."""

    def load(self, files: DataFiles) -> StimulusSet:
        """Make the stimulus set in the order of the file, training images first.

        Its table has ``object_name``, ``category`` (the same) and ``split``. Memory: the images in 8 bits, 0.15 MB
        each, and 39 MB of the file.

        Raises
        ------
        FilesError
            The file was not brought in.
        DataError
            It has another layout.
        """
        import pandas as pd

        from isocortex.data import Stimulus, StimulusSet

        del files
        with opened(present()) as file:
            ids, (images, missed) = names_of(file), read_images(file)
            objects = [_word(item) for part in PARTS for item in _data(file, f"object_{part}")[()]]
            n_left_out = len(_data(file, "stimulus_test")) if "stimulus_test" in file else 0
            made_up = said_of_synthetic(file)
        words = [word for part, word in PARTS.items() for _ in range(sum(name.startswith(part) for name in ids))]
        table = pd.DataFrame(
            {"object_name": objects, "category": objects, "split": words}, index=pd.Index(ids, name="stimulus_id")
        )
        sources = {name: Stimulus(name, self.card.modality, image) for name, image in zip(ids, images, strict=True)}
        warnings = [f"{n_left_out} images of stimulus_test have no published responses and were left out."]
        rounded = f"Colours were rounded to 8 bits, by at most {missed:.2f} of 255: the images were resized as numbers."
        said = [
            *(warnings if n_left_out else []),
            *([rounded] if missed > _WHOLE else []),
            *([made_up] if made_up else []),
        ]
        return StimulusSet(self.card.id, self.card.modality, sources, table=table, warnings=said)


def _word(item: object) -> str:
    return item.decode("latin-1") if isinstance(item, bytes) else str(item)


class CourseRecordings(DatasetPlugin):
    """Mean rates of IT neurons from 70 to 170 ms, averaged over repetitions by the course."""

    def load(self, files: DataFiles, stimuli: StimulusSet) -> Dataset:
        """Make the data set; neurons have no names in the file and are numbered.

        Raises
        ------
        FilesError
            The file was not brought in.
        DataError
            It has another layout.
        """
        from isocortex.data import Dataset, make_responses

        del files
        with opened(present()) as file:
            ids = names_of(file)
            values = np.concatenate([_data(file, f"spikes_{part}")[()] for part in PARTS])
        n_neurons = values.shape[1]
        neuroid = {
            "neuroid_id": [f"neuron{number:03d}" for number in range(1, n_neurons + 1)],
            "region": ["IT"] * n_neurons,
        }
        responses = make_responses(values, ids, neuroid=neuroid, units="mean rate, 70 to 170 ms, as the course has it")
        attrs = {"licence": self.card.licence, "reference": self.card.reference}
        return Dataset(self.card.id, stimuli, responses=responses, attrs=attrs)

    def fetch(self, source: Path | None = None) -> list[Path]:
        """Bring ``IT_data.h5`` in from a folder.

        Raises
        ------
        FilesError
            It is neither here nor there.
        """
        return [bring(source)]
