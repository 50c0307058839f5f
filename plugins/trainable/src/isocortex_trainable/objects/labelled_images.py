"""Images with the objects that they show: labels, coarse labels, the hierarchy between them, and the part held out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from isocortex.errors import DataError, shorten

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: of the training part, on which epochs are chosen; and the seed by which it is drawn, whatever that of the training
HELD_OUT: Final = 0.1
SPLIT_SEED: Final = 0


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images and what they show.

    Attributes
    ----------
    pixels
        ``(n_images, 3, height, width)`` uint8, red, green and blue planes.
    fine
        ``(n_images,)`` int64, numbers of classes.
    coarse
        ``(n_images,)`` int64, numbers of coarse classes, or None.
    """

    pixels: NDArray[np.uint8]
    fine: NDArray[np.int64]
    coarse: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def at(self, places: NDArray[np.intp]) -> LabelledImages:
        """Some of the images."""
        coarse = None if self.coarse is None else self.coarse[places]
        return LabelledImages(self.pixels[places], self.fine[places], coarse)

    @property
    def digest(self) -> str:
        """A digest of all pixels and labels in their order."""
        sha = hashlib.sha256()
        for values in (self.pixels, self.fine, self.coarse):
            if values is not None:
                sha.update(f"{values.dtype.str}{values.shape}".encode() + np.ascontiguousarray(values).data)
        return sha.hexdigest()

    @property
    def contents(self) -> tuple[str, ...]:
        """A digest of the pixels of each image, as ``isocortex.data.StimulusSet.contents`` has it."""
        from isocortex.data import Stimulus, StimulusSet

        ids = [str(number) for number in range(len(self))]
        planes = (image.transpose(1, 2, 0) for image in self.pixels)
        sources = {name: Stimulus(name, "image", image) for name, image in zip(ids, planes, strict=True)}
        return StimulusSet("images", "image", sources).contents


def joined(parts: Sequence[LabelledImages]) -> LabelledImages:
    """Parts of one set, one behind the other."""
    coarse = [part.coarse for part in parts if part.coarse is not None]
    return LabelledImages(
        np.concatenate([part.pixels for part in parts]),
        np.concatenate([part.fine for part in parts]),
        np.concatenate(coarse) if coarse else None,
    )


def held_out(images: LabelledImages) -> tuple[LabelledImages, LabelledImages]:
    """The nine tenths that are learned from, and the tenth of the training part on which epochs are chosen.

    The tenth is drawn by seed 0 from all images alike, and kept in the order of the set, as the rest is.

    Raises
    ------
    DataError
        There are fewer than ten images.

    Examples
    --------
    >>> images = LabelledImages(np.zeros((20, 3, 2, 2), "u1"), np.arange(20))
    >>> [len(part) for part in held_out(images)]
    [18, 2]
    """
    n_held_out = int(len(images) * HELD_OUT)
    if not n_held_out:
        raise DataError(f"The training part has {len(images)} images; a tenth is held out, so that ten are the least.")
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    return images.at(np.sort(order[n_held_out:])), images.at(np.sort(order[:n_held_out]))


def hierarchy(fine: NDArray[np.int64], coarse: NDArray[np.int64], n_fine: int) -> NDArray[np.int64]:
    """The coarse class of every class, ``(n_fine,)`` int64, as the labels of images have it.

    Raises
    ------
    DataError
        A class has images of several coarse classes, or no image.

    Examples
    --------
    >>> hierarchy(np.array([0, 1, 2, 0]), np.array([1, 0, 1, 1]), 3)
    array([1, 0, 1])
    """
    pairs = np.unique(np.stack([fine, coarse], axis=1), axis=0)
    found, counts = np.unique(pairs[:, 0], return_counts=True)
    if (counts > 1).any():
        several = shorten(found[counts > 1])
        raise DataError(f"Expected one coarse class for every class; images of class {several} have several.")
    absent = sorted(set(range(n_fine)) - set(found.tolist()))
    if absent:
        raise DataError(f"No image shows class {shorten(absent)}, so that its coarse class is not known.")
    return pairs[:, 1]
