"""The images that mice saw: those of the published tutorial, the blank among them, and those inside the recordings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from isocortex.errors import DataError, shorten
from isocortex.interfaces import DataFiles, StimuliPlugin
from isocortex.typing import Array
from isocortex_allen2p import placed_files, trial_files

if TYPE_CHECKING:
    from isocortex.data import StimulusSet

#: natural scenes that the Allen Institute shows; the grey screen between them is the blank
N_SCENES: Final = 118


def read_images(path: Path) -> Array:
    """Read images of a ``.npy`` file: mapped into memory where they are uint8 already.

    Returns
    -------
    (n_images, height, width) or (n_images, height, width, 3), uint8.

    Raises
    ------
    DataError
        The file is damaged, or holds no images: another shape, or values that are no whole numbers from 0 to 255.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "stimulus_set.npy"
    >>> np.save(path, np.zeros((3, 8, 8)))
    >>> read_images(path).dtype.name
    'uint8'
    """
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise DataError(f"{path} cannot be read as an array ({error}). Copy it again.") from error
    shape = getattr(images, "shape", ())
    if len(shape) not in (3, 4) or shape[3:] not in ((), (3,)) or 0 in shape:
        raise DataError(
            f"{path.name}: expected images (n_images, height, width) or (n_images, height, width, 3), found {shape}."
        )
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind not in "iuf" or any(_not_whole(image) for image in images):
        raise DataError(f"{path.name}: expected whole numbers from 0 to 255, found others, as {images.dtype}.")
    return images.astype(np.uint8)


def _not_whole(image: Array) -> bool:
    return not ((image >= 0) & (image <= 255) & (image == np.floor(image))).all()


def blanks_among(images: Array) -> list[int]:
    """Places of images that are one grey throughout.

    Examples
    --------
    >>> blanks_among(np.array([[[0, 1]], [[7, 7]]], dtype=np.uint8))
    [1]
    """
    return [place for place, image in enumerate(images) if image.min() == image.max()]


def stimulus_set(identifier: str, images: Array, names: list[str], warnings: list[str]) -> StimulusSet:
    """Images as stimuli; grey ones are shown as three equal channels without copying them."""
    import pandas as pd

    from isocortex.data import Stimulus, StimulusSet

    colour = [image if image.ndim == 3 else np.broadcast_to(image[:, :, None], (*image.shape, 3)) for image in images]
    sources = {name: Stimulus(name, "image", array) for name, array in zip(names, colour, strict=True)}
    blank = set(blanks_among(images))
    words = ["yes" if place in blank else "no" for place in range(len(images))]
    table = pd.DataFrame({"blank": words}, index=pd.Index(names, name="stimulus_id"))
    return StimulusSet(identifier, "image", sources, table=table, warnings=warnings)


class TableScenes(StimuliPlugin):
    """The images of the published tutorial: ``stimulus_set.npy``."""

    def load(self, files: DataFiles) -> StimulusSet:
        """Make the stimulus set in the order of the file; its table says which image is the blank.

        Parameters
        ----------
        files
            ``stimulus_set.npy``; without any, what was brought in before.

        Raises
        ------
        DataError
            The file holds something else.
        FilesError
            It was not brought in yet, or has changed since.
        """
        path = (files or placed_files.tables()).named(placed_files.IMAGES)
        images = read_images(path)
        names = [f"image{place:03d}" for place in range(len(images))]
        return stimulus_set(self.card.id, images, names, self._warnings(path, images, names))

    def _warnings(self, path: Path, images: Array, names: list[str]) -> list[str]:
        blank = [names[place] for place in blanks_among(images)]
        n_scenes = len(images) - len(blank)
        if len(blank) == 1:
            said = [f"{path.name} holds {len(images)} images; {blank[0]} is one grey throughout: the blank, no scene."]
        elif blank:
            said = [f"{path.name}: {len(blank)} images are one grey throughout, where one blank is known: "
                    f"{shorten(blank)}."]  # fmt: skip
        elif len(images) > N_SCENES:
            said = [f"{path.name} holds {len(images)} images, and none is one grey throughout: which one stands for "
                    "the blank, if any, is not known, and all are scored."]  # fmt: skip
        else:
            said = []
        if n_scenes != N_SCENES and not (not blank and n_scenes == N_SCENES + 1):
            said.append(f"{path.name} holds {n_scenes} natural scenes, where {N_SCENES} are known.")
        return said


class TrialScenes(StimuliPlugin):
    """The natural scenes inside the recordings that were brought in; the blank has no image there."""

    def load(self, files: DataFiles) -> StimulusSet:
        """Make the stimulus set in the order in which the recordings number the scenes.

        Raises
        ------
        FilesError
            No recordings were brought in yet, or what was made of them has changed since.
        """
        del files
        images = read_images(trial_files.scenes_file())
        names = [trial_files.scene_name(place) for place in range(len(images))]
        said = [] if len(images) == N_SCENES else [f"The recordings hold {len(images)} scenes, not {N_SCENES}."]
        return stimulus_set(self.card.id, images, names, said)
