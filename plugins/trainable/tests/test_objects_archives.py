"""Archives of CIFAR-10 and CIFAR-100: read as published, without running any code, or refused in one sentence."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isocortex.data import Stimulus, StimulusSet
from isocortex.errors import DataError, FilesError, IsocortexError
from isocortex_trainable.objects import cifar_archives
from isocortex_trainable.objects.cifar_archives import CIFAR10, opened_cifar
from isocortex_trainable.objects.labelled_images import hierarchy
from plugins.trainable.tests.synthetic_archives import (
    Files,
    as_python2,
    as_python3,
    cifar10,
    small_cifar100,
    write_archive,
    write_folder,
)


def read_whole(source: Path) -> tuple[Any, Any]:
    with opened_cifar(source) as data:
        return data.training, data.test()


@pytest.mark.parametrize("pickled", [as_python2, as_python3])
def test_an_archive_of_ten_classes_is_what_was_written(tmp_path: Path, pickled: Callable[[Any], bytes]) -> None:
    files = cifar10()
    with opened_cifar(write_archive(tmp_path / "cifar-10-python.tar.gz", files, pickled)) as data:
        assert data.layout.id == "cifar-10"
        assert data.fine_names[:2] == ("airplane", "automobile")
        assert data.coarse_names == ()
        images, test = data.training, data.test()
        with pytest.raises(DataError, match=r"cifar-10 has no coarse classes\. Take cifar-100-python\.tar\.gz"):
            _ = data.coarse_of
    batches = [files[f"data_batch_{number}"] for number in range(1, 6)]
    np.testing.assert_array_equal(images.fine, [label for batch in batches for label in batch["labels"]])
    np.testing.assert_array_equal(test.pixels.reshape(len(test), -1), files["test_batch"]["data"])
    row = batches[1]["data"][3]  # the fourth image of the second batch: planes of red, green and blue
    image = images.pixels[len(batches[0]["labels"]) + 3]
    assert image[0, 0, 1] == row[1]
    assert image[1, 2, 0] == row[1024 + 64]
    assert image[2, 31, 31] == row[3071]


def test_python_2_wrote_texts_as_bytes(tmp_path: Path) -> None:
    """The synthetic pickles are those of the published layout: Python reads them as bytes."""
    content = pickle.loads(as_python2(cifar10()["data_batch_1"]), encoding="bytes")
    assert set(content) == {b"data", b"labels", b"filenames", b"batch_label"}
    assert content[b"batch_label"] == b"training batch 1 of 5"
    assert content[b"data"].shape == (12, 3072)


@pytest.mark.parametrize("is_parent", [False, True])
def test_the_unpacked_folder_and_the_one_above_it_are_read_too(tmp_path: Path, is_parent: bool) -> None:
    files = small_cifar100()
    folder = write_folder(tmp_path / "some" / "cifar-100-python", files)
    with opened_cifar(folder.parent if is_parent else folder) as data:
        assert data.layout.id == "cifar-100"
        np.testing.assert_array_equal(data.training.coarse, files["train"]["coarse_labels"])
        np.testing.assert_array_equal(data.coarse_of, np.arange(6) % 3)
        assert data.coarse_names == ("kind 0", "kind 1", "kind 2")
        assert len(data.test()) == 60


def test_nothing_of_an_archive_stays_behind(tmp_path: Path, own_folders: Path) -> None:
    read_whole(write_archive(tmp_path / "a.tar.gz", cifar10()))
    assert not list((own_folders / "data").glob("*"))


def test_contents_are_those_of_a_stimulus_set(tmp_path: Path) -> None:
    images, _ = read_whole(write_folder(tmp_path / "a", cifar10()))
    pictures = [Stimulus(str(n), "image", image.transpose(1, 2, 0)) for n, image in enumerate(images.pixels)]
    assert images.contents == StimulusSet("x", "image", {one.id: one for one in pictures}).contents


def test_another_checksum_than_the_published_one_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_archive(tmp_path / "mine.tar.gz", cifar10())
    with opened_cifar(archive) as data:
        assert data.warnings == (
            "mine.tar.gz has another MD5 than the published cifar-10-python.tar.gz: "
            "what was learned of it is not of the published images.",
        )
    own = hashlib.md5(archive.read_bytes()).hexdigest()
    published = cifar_archives.Layout(**{**vars(CIFAR10), "archive_md5": own})
    monkeypatch.setattr(cifar_archives, "LAYOUTS", (published,))
    with opened_cifar(archive) as data:
        assert data.warnings == ()
    folder = write_folder(tmp_path / "folder", cifar10())
    with opened_cifar(folder) as data:
        assert "data_batch_1, data_batch_2, data_batch_3, data_batch_4, data_batch_5 and 2 more" in data.warnings[0]


class Payload:
    """What a pickle that runs code holds."""

    def __init__(self, function: Callable[..., Any], *arguments: str) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.arguments


@pytest.mark.parametrize(
    ("function", "name"), [(os.system, "posix.system"), (eval, r"(__builtin__|builtins)\.eval"), (open, r"io\.open")]
)
def test_a_pickle_that_holds_code_is_refused_by_name_and_never_run(
    tmp_path: Path, function: Callable[..., Any], name: str
) -> None:
    trace = tmp_path / "was-here"
    command = {os.system: f"touch {trace}", eval: f"open({str(trace)!r}, 'w')", open: str(trace)}[function]
    files = cifar10()
    files["data_batch_3"]["filenames"][2] = Payload(function, command, *(["w"] if function is open else []))
    archive = write_archive(tmp_path / "cifar-10-python.tar.gz", files, as_python3)
    with pytest.raises(DataError, match=rf"data_batch_3 in .*tar\.gz names {name}, which these data never need"):
        read_whole(archive)
    assert not trace.exists()
    pickle.loads(as_python3(files["data_batch_3"]))
    assert trace.exists()  # the pickle does run code where pickle reads it


def changed(key: str, change: Callable[[Any], Any], name: str = "data_batch_2") -> Files:
    files = cifar10()
    files[name][key] = change(files[name][key])
    return files


def without(name: str, key: str) -> Files:
    files = cifar10()
    del files[name][key]
    return files


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (changed("data", lambda rows: rows[:, :3000].copy()), r"e \(12, 3000\) and dtype uint8, not \(n_images, 307"),
        (changed("data", lambda rows: rows.astype(np.int64)), r"dtype int64, not \(n_images, 3072\) of uint8"),
        (changed("data", lambda rows: rows.reshape(-1, 3, 32, 32)), r"shape \(12, 3, 32, 32\)"),
        (changed("data", lambda rows: rows[:0]), r"shape \(0, 3072\)"),
        (changed("data", lambda rows: rows[:-1].copy()), r"'labels' has 12 entries for 11 images"),
        (changed("data", lambda rows: rows.tolist()), r"expected an array, found a list"),
        (changed("labels", lambda labels: labels[:-1]), r"'labels' has 11 entries for 12 images"),
        (changed("labels", lambda labels: [10, *labels[1:]]), r"'labels' has 10, which is none of the 10 classes"),
        (changed("labels", lambda labels: [-1, *labels[1:]]), r"'labels' has -1, which is none of the 10 classes"),
        (changed("labels", lambda labels: ["3", *labels[1:]]), r"'labels' has '3', which is none of the 10 classes"),
        (changed("labels", lambda labels: [True, *labels[1:]]), r"'labels' has True, which is none of the 10 classes"),
        (changed("labels", lambda _: "none"), r"'labels' is 'none' instead of a list"),
        (changed("filenames", lambda names: names[1:]), r"'filenames' has 11 entries for 12 images"),
        (without("data_batch_2", "labels"), r"it has no 'labels', only 'batch_label', 'data', 'filenames'"),
        ({**cifar10(), "data_batch_2": as_python2([1])}, r"it holds a list instead of a dictionary"),
        ({**cifar10(), "data_batch_2": b""}, r"data_batch_2 in .* is damaged"),
        (changed("label_names", lambda names: ["cat", *names[:-1]], "batches.meta"), r"10 names, 9 of them different"),
        (changed("label_names", lambda names: [3, *names], "batches.meta"), r"expected a text, found 3"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_sentence(tmp_path: Path, files: Files, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_whole(write_folder(tmp_path / "a", files))
    assert "\n" not in str(caught.value)


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    whole = as_python2(cifar10()["data_batch_2"])
    for n_bytes in (10, len(whole) // 2, len(whole) - 1):
        with pytest.raises(DataError, match=r"data_batch_2 in .* is damaged"):
            read_whole(write_folder(tmp_path / "a", {**cifar10(), "data_batch_2": whole[:n_bytes]}))
    archive = write_archive(tmp_path / "cifar-10-python.tar.gz", cifar10())
    archive.write_bytes(archive.read_bytes()[:-500])
    with pytest.raises(FilesError, match="cannot be unpacked"):
        read_whole(archive)


def test_absent_files_are_named(tmp_path: Path) -> None:
    files = cifar10()
    del files["data_batch_4"], files["batches.meta"]
    with pytest.raises(
        FilesError, match=r"lacks data_batch_4, batches\.meta of cifar-10\. Get cifar-10-python\.tar\.gz"
    ):
        read_whole(write_folder(tmp_path / "a", files))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FilesError, match="holds neither CIFAR-10 nor CIFAR-100"):
        read_whole(tmp_path / "empty")
    with pytest.raises(FilesError, match="does not exist"):
        read_whole(tmp_path / "nowhere.tar.gz")
    (tmp_path / "text.txt").write_text("no archive")
    with pytest.raises(FilesError, match="is neither an archive nor a folder"):
        read_whole(tmp_path / "text.txt")


def test_members_outside_of_the_folder_are_refused(tmp_path: Path) -> None:
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as opened:
        for name in ("cifar-10-batches-py/batches.meta", "../../outside"):
            opened.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(FilesError, match=r"holds '\.\./\.\./outside', which lies outside its folder"):
        read_whole(archive)


def test_coarse_classes_are_those_of_the_data_and_the_same_in_both_parts(tmp_path: Path) -> None:
    files = small_cifar100()
    files["test"]["coarse_labels"] = [(one + 1) % 3 for one in files["test"]["coarse_labels"]]
    with pytest.raises(DataError, match="has other coarse classes than its training part"):
        read_whole(write_folder(tmp_path / "a", files))
    files["train"]["coarse_labels"][0] = 1
    with (
        opened_cifar(write_folder(tmp_path / "a", files)) as data,
        pytest.raises(DataError, match="class 0 have several"),
    ):
        _ = data.coarse_of
    with pytest.raises(DataError, match="No image shows class 1"):
        hierarchy(np.array([0, 2]), np.array([0, 0]), 3)
    assert issubclass(DataError, IsocortexError)
