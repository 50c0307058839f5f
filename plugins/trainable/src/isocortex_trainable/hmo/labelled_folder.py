"""Images of the user as a screening task: a folder with one folder of images for each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from isocortex.errors import DataError, shorten
from isocortex_trainable.hmo.configuration import ImageSettings
from isocortex_trainable.hmo.correlation_classifier import stratified_folds
from isocortex_trainable.hmo.preprocessing import prepare
from isocortex_trainable.hmo.screening import LabelledImages

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
#: one of so many parts of each class is kept from the search
N_PARTS = 4


def read_labelled_folder(folder: Path, settings: ImageSettings) -> LabelledImages:
    """Read ``FOLDER/CLASS/*.png`` (or JPEG, BMP, TIFF, WebP), classes and files in alphabetic order.

    Parameters
    ----------
    folder
        Holds one folder for each class, and nothing else; what is hidden (its name begins with a dot) does not count.
    settings
        Size and colours.

    Raises
    ------
    DataError
        Fewer than two classes, something beside them, fewer than eight images in one, files of another kind, or two
        equal images: one could be searched on and the other tested on.
    """
    from isocortex.data import read_image

    found = {path.name: _images_in(path) for path in _classes_in(folder)}
    few = [name for name, paths in found.items() if len(paths) < 2 * N_PARTS]
    if len(found) < 2 or few:
        reason = f"{shorten(few)} with fewer than {2 * N_PARTS} images" if few else f"{len(found)} folders"
        raise DataError(
            f"{folder} is no screening task: it has {reason}. Expected a folder for each of at least two classes, with "
            f"at least {2 * N_PARTS} images each."
        )
    paths = [path for paths in found.values() for path in paths]
    images = np.stack([prepare(np.asarray(read_image(path)[0]), settings) for path in paths])
    _refuse_equal(images, paths)
    labels = np.repeat(np.arange(len(found)), [len(paths) for paths in found.values()])
    return LabelledImages(images, labels, tuple(found))


def _classes_in(folder: Path) -> list[Path]:
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []
    if others := [path.name for path in paths if not path.is_dir()]:
        raise DataError(f"{folder} holds more than a folder for each class: {shorten(others)}. Move it elsewhere.")
    return paths


def _images_in(folder: Path) -> list[Path]:
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    others = [path.name for path in paths if path.suffix.lower() not in ENDINGS or not path.is_file()]
    if others:
        raise DataError(f"{folder} holds what is no image: {shorten(others)}. Expected {', '.join(ENDINGS)} alone.")
    return paths


def _refuse_equal(images: np.ndarray, paths: list[Path]) -> None:
    seen: dict[bytes, Path] = {}
    for image, path in zip(images, paths, strict=True):
        other = seen.setdefault(image.tobytes(), path)
        if other is not path:
            raise DataError(f"{other} and {path} are the same image. Remove one of them.")


def parted(whole: LabelledImages, seed: int) -> tuple[LabelledImages, LabelledImages]:
    """Part images into three quarters of each class, to search on, and one quarter that the search never sees.

    Examples
    --------
    >>> whole = LabelledImages(np.zeros((16, 1, 8, 8), np.float32), np.repeat([0, 1], 8), ("a", "b"))
    >>> [len(part.labels) for part in parted(whole, seed=0)]
    [12, 4]
    """
    out = stratified_folds(whole.labels, N_PARTS, seed) == 0
    return whole.among(~out), whole.among(out)
