"""Archives in the layout of CIFAR-10 and CIFAR-100 with few images, pickled as Python 2 did or by this Python."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

Files = dict[str, dict[str, Any]]
FOLDERS = {10: "cifar-10-batches-py", 100: "cifar-100-python"}


class Python2Pickler(pickle._Pickler):
    """Writes texts as Python 2 did: as bytes, by the instructions STRING of protocol 2; numpy under its old name."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)

    def save_text(self, value: str | bytes) -> None:
        data = value.encode("latin-1") if isinstance(value, str) else value
        head = b"U" + bytes([len(data)]) if len(data) < 256 else b"T" + struct.pack("<i", len(data))
        self.write(head + data)

    dispatch[str] = save_text
    dispatch[bytes] = save_text

    def save_global(self, obj: Any, name: str | None = None) -> None:
        module = obj.__module__.replace("numpy._core", "numpy.core")
        self.write(f"c{module}\n{name or obj.__qualname__}\n".encode())

    dispatch[type(lambda: 0)] = save_global
    dispatch[type] = save_global
    dispatch[type(len)] = save_global


def as_python2(content: Any) -> bytes:
    """A pickle as cPickle of Python 2 wrote it."""
    stream = io.BytesIO()
    Python2Pickler(stream, protocol=2).dump(content)
    return stream.getvalue()


def as_python3(content: Any) -> bytes:
    """A pickle of protocol 2, as this Python writes it."""
    return pickle.dumps(content, protocol=2)


def cifar10(n_images: int = 12, seed: int = 0) -> Files:
    """Six batches, and names of ten classes."""
    stream = np.random.default_rng(seed)
    names = {f"data_batch_{number}": f"training batch {number} of 5" for number in range(1, 6)}
    names["test_batch"] = "testing batch 1 of 1"
    files: Files = {
        name: {
            "batch_label": label,
            "labels": [int(one) for one in stream.integers(0, 10, n_images)],
            "data": stream.integers(0, 256, (n_images, 3072)).astype(np.uint8),
            "filenames": [f"{name}_{number:06}.png" for number in range(n_images)],
        }
        for name, label in names.items()
    }
    words = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    files["batches.meta"] = {"num_cases_per_batch": n_images, "label_names": words, "num_vis": 3072}
    return files


def cifar100(
    images: Mapping[str, tuple[np.ndarray, np.ndarray]], coarse_of: np.ndarray, names: Callable[[int], str] = str
) -> Files:
    """A training and a test part of images ``(n, 3, 32, 32)`` with their classes, and names of classes."""
    files: Files = {
        part: {
            "filenames": [f"{part}_s_{number:06}.png" for number in range(len(pixels))],
            "batch_label": f"{part}ing batch 1 of 1",
            "fine_labels": [int(one) for one in classes],
            "coarse_labels": [int(coarse_of[one]) for one in classes],
            "data": np.ascontiguousarray(pixels.reshape(len(pixels), -1)),
        }
        for part, (pixels, classes) in images.items()
    }
    files["meta"] = {
        "fine_label_names": [f"thing {names(number)}" for number in range(len(coarse_of))],
        "coarse_label_names": [f"kind {names(number)}" for number in range(int(coarse_of.max()) + 1)],
    }
    return files


def small_cifar100(n_images: int = 60, n_coarse: int = 3, n_fine: int = 6, seed: int = 0) -> Files:
    """As many images of each part, of squares whose place is their class."""
    stream = np.random.default_rng(seed)
    coarse_of = np.arange(n_fine) % n_coarse
    images: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for part in ("train", "test"):
        classes = np.arange(n_images) % n_fine
        pixels = stream.integers(0, 100, (n_images, 3, 32, 32)).astype(np.uint8)
        for image, number in zip(pixels, classes, strict=True):
            image[number % 3, 5 * number : 5 * number + 6] += 150
        images[part] = (pixels, classes)
    return cifar100(images, coarse_of)


def write_folder(folder: Path, files: Mapping[str, Any], pickled: Callable[[Any], bytes] = as_python2) -> Path:
    """The unpacked folder; a file that is given as bytes is written as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else pickled(content))
    return folder


def write_archive(path: Path, files: Mapping[str, Any], pickled: Callable[[Any], bytes] = as_python2) -> Path:
    """The archive, with the folder of the published one in it."""
    inside = FOLDERS[10 if "batches.meta" in files or "data_batch_1" in files else 100]
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            data = content if isinstance(content, bytes) else pickled(content)
            member = tarfile.TarInfo(f"{inside}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path
