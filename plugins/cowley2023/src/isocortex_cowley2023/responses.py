"""Responses in files: the authors' .npy with NaN for trials that were not shown, or copies with 255 there."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from isocortex.errors import DataError
from isocortex.files import load_npy

#: bytes that the arrays of a file may have, unpacked
MOST_BYTES: Final = 256_000_000
NOT_SHOWN: Final = 255


def read_trials(path: Path, n_neurons: int, n_images: int) -> NDArray[np.float32]:
    """Read spike counts of single trials.

    Parameters
    ----------
    path
        ``.npy``: (n_neurons, n_images, n_trials) floats, NaN where an image was not shown that often. ``.npz``: the
        same as ``counts``, uint8, 255 there.
    n_neurons, n_images
        Expected.

    Returns
    -------
    (n_trials, n_images, n_neurons), NaN for trials that were not shown.

    Raises
    ------
    DataError
        The file cannot be read, has another shape, counts that are no whole numbers, or no trials at all.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "trials.npz"
    >>> np.savez(path, counts=np.array([[[1, 255], [3, 4]]], dtype=np.uint8))
    >>> read_trials(path, 1, 2)[:, :, 0].tolist()
    [[1.0, 3.0], [nan, 4.0]]
    """
    values = _array_of(path, "counts")
    if values.ndim != 3 or values.shape[:2] != (n_neurons, n_images) or not values.shape[2]:
        raise DataError(
            f"{path.name}: expected spike counts of {n_neurons} neurons × {n_images} images × trials, found shape "
            f"{values.shape}."
        )
    if values.dtype == np.uint8:
        trials = np.where(values == NOT_SHOWN, np.float32(np.nan), values.astype(np.float32))
    elif values.dtype.kind == "f":
        trials = values.astype(np.float32)
    else:
        raise DataError(f"{path.name}: expected counts as uint8, or as floats with NaN; found {values.dtype}.")
    there = trials[~np.isnan(trials)]
    if not there.size or (there < 0).any() or (there != np.rint(there)).any():
        raise DataError(f"{path.name}: expected spike counts, whole numbers from 0 on; found others, or none.")
    return np.ascontiguousarray(trials.transpose(2, 1, 0))


def read_means(path: Path, n_neurons: int, n_images: int) -> NDArray[np.float32]:
    """Read mean spike counts, (n_neurons, n_images) in a ``.npy``, or as ``mean`` in an ``.npz``.

    Returns
    -------
    (n_images, n_neurons).

    Raises
    ------
    DataError
        The file cannot be read, has another shape, or values that are no means of counts.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "mean.npy"
    >>> np.save(path, np.array([[0.5, 1.0, 2.0]]))
    >>> read_means(path, 1, 3).tolist()
    [[0.5], [1.0], [2.0]]
    """
    values = _array_of(path, "mean")
    if values.shape != (n_neurons, n_images) or values.dtype.kind != "f":
        raise DataError(
            f"{path.name}: expected means of {n_neurons} neurons × {n_images} images, found {values.dtype} of shape "
            f"{values.shape}."
        )
    if not np.isfinite(values).all() or (values < 0).any():
        raise DataError(f"{path.name}: expected means of counts, finite and not below 0; found others.")
    return np.ascontiguousarray(values.astype(np.float32).T)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of an ``.npz``; nothing pickled, and at most 256 MB.

    Raises
    ------
    DataError
        The file is damaged, too large, or holds objects.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.npz"
    >>> np.savez(path, a=np.arange(2))
    >>> {name: array.tolist() for name, array in read_arrays(path).items()}
    {'a': [0, 1]}
    """
    try:
        with zipfile.ZipFile(path) as archive:
            n_bytes = sum(info.file_size for info in archive.infolist())
        if n_bytes > MOST_BYTES:
            raise DataError(f"{path.name}: its arrays have {n_bytes:,} bytes; at most {MOST_BYTES:,} are read.")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except DataError:
        raise
    except Exception as error:  # zipfile and numpy raise whatever a damaged file leads them to
        raise DataError(f"{path.name} cannot be read as an archive of arrays ({error}). Get it again.") from error


def _array_of(path: Path, name: str) -> NDArray[Any]:
    if path.suffix == ".npy":
        return load_npy(path)
    arrays = read_arrays(path)
    if name not in arrays:
        raise DataError(f"{path.name}: expected the array {name!r}; found {', '.join(arrays) or 'none'}.")
    return arrays[name]
