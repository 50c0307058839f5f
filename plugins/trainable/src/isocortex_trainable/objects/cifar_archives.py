"""The published archives of CIFAR-10 and CIFAR-100, or their unpacked folders, read without running any code.

Their batches are dictionaries that Python 2 pickled. They are read as inert records, of which arrays are made, and
nothing else: a pickle that names anything but arrays is refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from isocortex.errors import DataError, FilesError, shorten
from isocortex.files import (
    ARRAYS,
    Pickled,
    as_text,
    described,
    digest_file,
    opened_source,
    read_bounded,
    read_records,
)
from isocortex_trainable.objects.labelled_images import LabelledImages, hierarchy, joined

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: height and width of the images; a row has the planes of red, green and blue one behind the other
SIZE: Final = 32
_N_VALUES: Final = 3 * SIZE * SIZE
#: larger batches are not read; the training part of CIFAR-100 has 155 MB
_MAX_BYTES: Final = 1 << 28
_ENDINGS: Final = (".tar.gz", ".tgz", ".tar", ".zip")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How one of the two sets is published: names of files with their MD5, and keys of their dictionaries."""

    id: str
    archive: str
    archive_md5: str
    training: Mapping[str, str]
    test: Mapping[str, str]
    meta: Mapping[str, str]
    fine: str
    fine_names: str
    coarse: str | None = None
    coarse_names: str | None = None

    @property
    def md5(self) -> dict[str, str]:
        """MD5 of every file."""
        return {**self.training, **self.test, **self.meta}


CIFAR10: Final = Layout(
    id="cifar-10",
    archive="cifar-10-python.tar.gz",
    archive_md5="c58f30108f718f92721af3b95e74349a",
    training={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    },
    test={"test_batch": "40351d587109b95175f43aff81a1287e"},
    meta={"batches.meta": "5ff9c542aee3614f3951f8cda6e48888"},
    fine="labels",
    fine_names="label_names",
)
CIFAR100: Final = Layout(
    id="cifar-100",
    archive="cifar-100-python.tar.gz",
    archive_md5="eb9058c3a382ffc7106e4002c42a8d85",
    training={"train": "16019d7e3df5f24257cddd939b257f8d"},
    test={"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    meta={"meta": "7973b15100ade9c7d40fb424638fde48"},
    fine="fine_labels",
    fine_names="fine_label_names",
    coarse="coarse_labels",
    coarse_names="coarse_label_names",
)
LAYOUTS: Final = (CIFAR10, CIFAR100)


@contextlib.contextmanager
def opened_cifar(source: Path) -> Generator[Cifar]:
    """Open a published archive of CIFAR-10 or CIFAR-100, or the folder that it becomes; unpacked as long as it is open.

    Raises
    ------
    FilesError
        There is no such archive or folder, it is damaged or unsafe to unpack, or a file of the set is absent.
    DataError
        It is damaged, or holds more than arrays, numbers and texts.
    StoreError
        There is no room to unpack it.
    """
    if not source.is_dir() and not (source.is_file() and source.name.lower().endswith(_ENDINGS)):
        found = "is neither an archive nor a folder" if source.exists() else "does not exist"
        raise FilesError(f"{source} {found}. Expected {_PUBLISHED}, or the folder that one of them becomes.")
    with opened_source(source) as folder:
        yield _found_in(folder, source)


_PUBLISHED: Final = " or ".join(layout.archive for layout in LAYOUTS)


def _found_in(folder: Path, source: Path) -> Cifar:
    """The set of which a folder, or one right below it, holds most files."""
    folders = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    places = [(layout, place) for layout in LAYOUTS for place in folders]
    layout, place = max(places, key=lambda found: sum((found[1] / name).is_file() for name in found[0].md5))
    absent = [name for name in layout.md5 if not (place / name).is_file()]
    if len(absent) == len(layout.md5):
        raise FilesError(f"{source} holds neither CIFAR-10 nor CIFAR-100. Expected {_PUBLISHED}, or what it becomes.")
    if absent:
        raise FilesError(f"{source} lacks {shorten(absent)} of {layout.id}. Get {layout.archive} again.")
    return Cifar(layout, place, source)


class Cifar:
    """One of the two sets; a part is read when it is asked for.

    In memory, a part takes about three times the bytes of its largest file while that is read.
    """

    def __init__(self, layout: Layout, folder: Path, source: Path) -> None:
        self.layout, self._folder, self.source = layout, folder, source

    @cached_property
    def warnings(self) -> Sequence[str]:
        """That it is not the published one, where it is not."""
        if self.source.is_file():
            is_published = digest_file(self.source, "md5") == self.layout.archive_md5
            what = f"{self.source.name} has another MD5 than the published {self.layout.archive}"
        else:
            other = [name for name, md5 in self.layout.md5.items() if digest_file(self._folder / name, "md5") != md5]
            is_published = not other
            what = f"{shorten(other)} in {self.source} have another MD5 than those of the published {self.layout.id}"
        return () if is_published else (f"{what}: what was learned of it is not of the published images.",)

    @cached_property
    def fine_names(self) -> tuple[str, ...]:
        """Names of the classes, by their numbers."""
        return self._names(self.layout.fine_names)

    @cached_property
    def coarse_names(self) -> tuple[str, ...]:
        """Names of the coarse classes, by their numbers; none where there are none."""
        return () if self.layout.coarse_names is None else self._names(self.layout.coarse_names)

    @cached_property
    def training(self) -> LabelledImages:
        """The training part."""
        return joined([self._read(name) for name in self.layout.training])

    @cached_property
    def coarse_of(self) -> NDArray[np.int64]:
        """The coarse class of every class, from the training part.

        Raises
        ------
        DataError
            The set has no coarse classes, or a class several.
        """
        if self.training.coarse is None:
            raise DataError(f"{self.layout.id} has no coarse classes. Take {CIFAR100.archive}.")
        return hierarchy(self.training.fine, self.training.coarse, len(self.fine_names))

    def test(self) -> LabelledImages:
        """The test part; read once, when everything is learned and chosen.

        Raises
        ------
        DataError
            It is damaged, or its classes belong to other coarse classes than those of the training part.
        """
        images = joined([self._read(name) for name in self.layout.test])
        if images.coarse is not None and (self.coarse_of[images.fine] != images.coarse).any():
            raise DataError(f"The test part of {self.source} has other coarse classes than its training part.")
        return images

    def _names(self, key: str) -> tuple[str, ...]:
        (name,) = self.layout.meta
        pickled = self._pickled(name)
        with pickled.read_as(f"names of classes of {self.layout.id}"):
            names = [as_text(text) for text in _listed(_entry(pickled, key), key)]
            if not names or len(set(names)) < len(names):
                raise ValueError(f"{key!r} has {len(names)} names, {len(set(names))} of them different")
        return tuple(names)

    def _pickled(self, name: str) -> Pickled:
        return read_records(read_bounded(self._folder / name, _MAX_BYTES), ARRAYS, f"{name} in {self.source}")

    def _read(self, name: str) -> LabelledImages:
        pickled, layout = self._pickled(name), self.layout
        with pickled.read_as(f"a batch of {layout.id}"):
            rows = pickled.array(_entry(pickled, "data"))
            if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != _N_VALUES or not len(rows):
                raise ValueError(f"'data' has shape {rows.shape} and dtype {rows.dtype}, not (n_images, 3072) of uint8")
            fine = _labels(pickled, layout.fine, len(rows), len(self.fine_names))
            coarse = layout.coarse and _labels(pickled, layout.coarse, len(rows), len(self.coarse_names))
            n_files = len(_listed(_entry(pickled, "filenames"), "filenames"))
            if n_files != len(rows):
                raise ValueError(f"'filenames' has {n_files} entries for {len(rows)} images")
        pixels = np.ascontiguousarray(rows).reshape(-1, 3, SIZE, SIZE)
        return LabelledImages(pixels, fine, None if coarse is None else cast("NDArray[np.int64]", coarse))


def _entry(pickled: Pickled, key: str) -> object:
    """The value of a key, which Python 3 may have written as bytes."""
    if not isinstance(pickled.value, dict):
        raise ValueError(f"it holds {described(pickled.value)} instead of a dictionary")
    content = cast("dict[Any, object]", pickled.value)
    for name in (key, key.encode()):
        if name in content:
            return content[name]
    raise ValueError(f"it has no {key!r}, only {shorten(map(repr, content))}")


def _listed(value: object, key: str) -> list[object]:
    if not isinstance(value, list):
        raise ValueError(f"{key!r} is {described(value)} instead of a list")
    return cast("list[object]", value)


def _labels(pickled: Pickled, key: str, n_images: int, n_classes: int) -> NDArray[np.int64]:
    values = _listed(_entry(pickled, key), key)
    if len(values) != n_images:
        raise ValueError(f"{key!r} has {len(values)} entries for {n_images} images")
    other = [value for value in values if type(value) is not int or not 0 <= value < n_classes]
    if other:
        raise ValueError(f"{key!r} has {described(other[0])}, which is none of the {n_classes} classes")
    return np.array(values, dtype=np.int64)
