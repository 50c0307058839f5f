"""A file of the layout of the course's ``IT_data.h5`` that holds no recording: pictures and rates are made up.

For trying what reads the file, and for tests. It says in itself that it is synthetic, and every result says so.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isocortex.errors import DataError
from isocortex.typing import Array
from isocortex_majajhong2015.nx414 import DEVIATION, MEAN, SPEC, SYNTHETIC, reading, said_of_synthetic

OBJECTS: Final = ("bear", "car_alfa", "face0001", "apple", "ship_a", "table4", "chair3", "plane0")
#: patches along a side of a picture; the rates depend on their colours
PATCHES: Final = 8
#: rectified sums of patches that the neurons read
N_HIDDEN: Final = 48
#: share of the variance of a neuron's rates that the picture decides, and their deviation
RELIABILITY, RATE_DEVIATION = 0.6, 0.35
#: share of pictures to learn from, and pictures without responses for each hundred
TRAIN_SHARE, TEST_SHARE = 0.8, 0.05


def write_synthetic(folder: Path, *, n_images: int = 400, side: int = 64, n_neurons: int = 168, seed: int = 0) -> Path:
    """Write ``IT_data.h5`` with made-up pictures of eight objects and made-up rates; equal arguments, equal contents.

    Four fifths are ``train``, one fifth ``val``; a picture more for every twenty is ``test``, without rates. A picture
    is a grid of 8 × 8 patches whose colours are of its object and of its own, with a grain of noise. A neuron reads 48
    rectified sums of patches; three fifths of its variance are the picture's.

    Parameters
    ----------
    folder
        Made where it is not there.
    n_images
        With rates, at least 30.
    side
        Height and width in pixels, a multiple of 8.

    Raises
    ------
    DataError
        Too few pictures, or another side.
    """
    import h5py

    if n_images < 30 or side < PATCHES or side % PATCHES:
        raise DataError(f"Expected 30 images or more, of a side that 8 divides; found {n_images} of {side} pixels.")
    n_train, n_test = round(TRAIN_SHARE * n_images), max(1, round(TEST_SHARE * n_images))
    generator = np.random.default_rng([seed, n_images, side, n_neurons])
    numbers = generator.integers(0, len(OBJECTS), n_images + n_test)
    patches = _patches(numbers, generator)
    images = _pictures(patches, side, generator)
    rates = _rates(patches, n_neurons, generator)
    parts = {"train": slice(0, n_train), "val": slice(n_train, n_images), "test": slice(n_images, None)}
    names = np.array([OBJECTS[number].encode("latin-1") for number in numbers])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SPEC.name
    with h5py.File(path, "w") as file:
        file.attrs[SYNTHETIC] = f"n_images={n_images}, side={side}, n_neurons={n_neurons}, seed={seed}"
        for part, rows in parts.items():
            file[f"stimulus_{part}"] = ((images[rows] / np.float32(255) - MEAN) / DEVIATION).astype(np.float32)
            file[f"object_{part}"] = names[rows]
            if part != "test":
                file[f"spikes_{part}"] = rates[rows].astype(np.float32)
    return path


def _patches(numbers: Array, generator: np.random.Generator) -> Array:
    """Colours (n_images, 3, 8, 8) of patches: those of the object, and as much of the picture's own."""
    of_object = generator.normal(0, 40, (len(OBJECTS), 3, PATCHES, PATCHES))
    return of_object[numbers] + generator.normal(0, 40, (len(numbers), 3, PATCHES, PATCHES))


def _pictures(patches: Array, side: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    large = np.kron(patches, np.ones((side // PATCHES, side // PATCHES)))
    return np.clip(128 + large + generator.normal(0, 4, large.shape), 0, 255).astype(np.uint8)


def _rates(patches: Array, n_neurons: int, generator: np.random.Generator) -> Array:
    flat = patches.reshape(len(patches), -1)
    hidden = np.maximum(flat @ generator.standard_normal((flat.shape[1], N_HIDDEN)), 0)
    signal = hidden @ generator.standard_normal((N_HIDDEN, n_neurons))
    signal = (signal - signal.mean(axis=0)) / signal.std(axis=0)
    noise = generator.standard_normal(signal.shape)
    return RATE_DEVIATION * (np.sqrt(RELIABILITY) * signal + np.sqrt(1 - RELIABILITY) * noise) + 0.3


@contextmanager
def synthetic(folder: Path) -> Generator[str]:
    """Within, the data set of the course is read from the synthetic file of a folder, written where it is not there.

    Yields
    ------
    What the file is, in one sentence.

    Raises
    ------
    DataError
        The folder holds a file of that name that does not say that it is synthetic.
    """
    import h5py

    path = folder / SPEC.name
    if not path.is_file():
        write_synthetic(folder)
    with h5py.File(path, "r") as file:
        said = said_of_synthetic(file)
    if said is None:
        raise DataError(
            f"{path} does not say that it is synthetic: bring a recording in by 'isocortex fetch -b "
            f"MajajHong2015.nx414 --from {folder}', and name another folder here."
        )
    with reading(path):
        yield said
