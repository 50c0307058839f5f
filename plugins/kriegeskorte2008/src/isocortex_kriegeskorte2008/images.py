"""The stimuli ``kriegeskorte92``: 92 images of isolated objects, kept in memory (8 MB)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isocortex.errors import DataError
from isocortex.interfaces import DataFiles, StimuliPlugin
from isocortex_kriegeskorte2008.reading import as_flag, as_text, read_structs

if TYPE_CHECKING:
    from isocortex.data import StimulusSet

IMAGE_FILE = "Kriegeskorte_Neuron2008_supplementalData.mat"
FLAGS = ("human", "face", "animal", "natural")
SHAPE = (175, 175, 3)


@dataclass(frozen=True)
class ImageTable:
    """Images and what is known about them, in the order of the file.

    Attributes
    ----------
    images
        (n_stimuli, 175, 175, 3), RGB.
    category
        (n_stimuli,).
    flags
        Name → (n_stimuli,): human, face, animal and natural as 0 or 1.
    """

    images: NDArray[np.uint8]
    category: tuple[str, ...]
    flags: dict[str, NDArray[np.int64]]

    @property
    def stimulus_id(self) -> tuple[str, ...]:
        """``stim01``, ``stim02``, …: the number is the place in the file, which is also the place in every RDM."""
        return tuple(f"stim{number:02d}" for number in range(1, len(self.category) + 1))


def read_images(path: Path) -> ImageTable:
    """Read the images and their categories.

    Parameters
    ----------
    path
        ``Kriegeskorte_Neuron2008_supplementalData.mat``, MATLAB 5, with the struct array stimuli_92objs.

    Returns
    -------
    ImageTable

    Raises
    ------
    DataError
        If the file cannot be read, or an image or a label has another form than expected.

    References
    ----------
    Kriegeskorte et al. (2008), Neuron 60(6): 1126-1141, supplemental data.

    Examples
    --------
    >>> # read_images(Path("Kriegeskorte_Neuron2008_supplementalData.mat")).images.shape == (92, 175, 175, 3)
    """
    structs = read_structs(path, "stimuli_92objs", ["image", "category", *FLAGS])
    where = [f"{path.name}: stimuli_92objs({number})" for number in range(1, len(structs) + 1)]
    return ImageTable(
        images=np.stack([_image(item["image"], place) for item, place in zip(structs, where, strict=True)]),
        category=tuple(as_text(item["category"], place) for item, place in zip(structs, where, strict=True)),
        flags={
            name: np.array([as_flag(item[name], place) for item, place in zip(structs, where, strict=True)])
            for name in FLAGS
        },
    )


def _image(values: NDArray[Any], where: str) -> NDArray[np.uint8]:
    if values.shape != SHAPE or values.dtype != np.uint8:
        raise DataError(f"{where}: expected an image, uint8 of shape {SHAPE}, found {values.dtype} of {values.shape}.")
    return np.ascontiguousarray(values)


class ObjectImages(StimuliPlugin):
    """92 images of bodies, faces, natural and artificial objects, each isolated on mid-grey."""

    def load(self, files: DataFiles) -> StimulusSet:
        """Make the stimulus set in the order of the file, which is the canonical order.

        Its table has the columns ``category``, ``human``, ``face``, ``animal`` and ``natural``.

        Raises
        ------
        DataError
            If the file has other contents than expected.
        """
        import pandas as pd

        from isocortex.data import Stimulus, StimulusSet

        known = read_images(files.named(IMAGE_FILE))
        ids = known.stimulus_id
        sources = {
            name: Stimulus(name, self.card.modality, image) for name, image in zip(ids, known.images, strict=True)
        }
        table = pd.DataFrame({"category": known.category, **known.flags}, index=pd.Index(ids, name="stimulus_id"))
        return StimulusSet(self.card.id, self.card.modality, sources, table=table)
