from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from hypothesis import given, strategies as st

from isocortex.activations.folder import ActivationFolder
from isocortex.errors import DataError, StoreError
from isocortex.files import disk as store
from isocortex.files.disk import (
    cache_folder,
    check_space,
    check_writable,
    data_folder,
    folder_name,
    read_json,
    write_atomic,
    write_json,
    write_json_if_possible,
)
from isocortex.files.sealed import believed


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# --- folders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("variable", "folder"), [("ISOCORTEX_CACHE", cache_folder), ("ISOCORTEX_DATA", data_folder)])
def test_folders_come_from_the_environment_or_the_user(
    variable: str, folder: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "x"))
    assert folder() == tmp_path / "x"
    for home in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(home, str(tmp_path / "home"))
    monkeypatch.setenv(variable, "")
    assert folder().name == "isocortex"
    if sys.platform == "linux":
        assert folder() == tmp_path / "home" / "isocortex"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("noise", "noise"),
        ("nvidia/parakeet", "nvidia%2Fparakeet"),
        ("encoder.layers.0", "encoder.layers.0"),
        ("random:3", "random%3A3"),
        ("noise/*", "noise%2F%2A"),
        ("a\\b", "a%5Cb"),
        ("ridge@x=1, y", "ridge@x=1, y"),
    ],
)
def test_names_of_folders(name: str, expected: str) -> None:
    assert folder_name(name) == expected


@given(st.text(max_size=8), st.text(max_size=8))
def test_different_names_stay_different_and_inside(one: str, other: str) -> None:
    named = folder_name(one)
    assert "/" not in named
    assert "\\" not in named
    assert named not in ("", ".", "..")
    assert not named.startswith(".")
    assert (one == other) == (named == folder_name(other))


@pytest.mark.parametrize(("one", "other"), [("a", ".a"), ("..", "."), ("", "."), (".", "%2E"), ("a/b", "a%2Fb")])
def test_names_that_are_near_stay_different(one: str, other: str) -> None:
    assert folder_name(one) != folder_name(other)


# --- atomic writes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_written_with_its_folders_and_replaced(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "a" / "b" / "c.bin"
    write_atomic(path, lambda file: file.write(b"one"), durable=durable)
    write_atomic(path, lambda file: file.write(b"two"), durable=durable)
    assert path.read_bytes() == b"two"
    assert files_below(tmp_path) == ["a/b/c.bin"]


@pytest.mark.parametrize("problem", [ValueError("no"), KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, problem: BaseException) -> None:
    path = tmp_path / "c.bin"
    path.write_bytes(b"old")

    def fail(file: BinaryIO) -> None:
        file.write(b"half of the new")
        raise problem

    with pytest.raises((type(problem), StoreError)):
        write_atomic(path, fail)
    assert path.read_bytes() == b"old"
    assert files_below(tmp_path) == ["c.bin"]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (
            errno.ENOSPC,
            r"No space left to write .*c\.bin \(\d+\.\d\d GB free\)\. Free some space or point ISOCORTEX_CACHE",
        ),
        (errno.EDQUOT, "No space left to write"),
        (errno.EACCES, "cannot be written to .*Choose another folder with --out"),
        (errno.EROFS, "cannot be written to"),
        (errno.EIO, r"c\.bin cannot be written \(Input/output error\)"),
    ],
)
def test_why_a_file_was_not_written(tmp_path: Path, number: int, message: str) -> None:
    def fail(file: BinaryIO) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(StoreError, match=message):
        write_atomic(tmp_path / "not" / "yet" / "c.bin", fail)


def test_a_full_disk_for_real() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full here")

    def fill(file: BinaryIO) -> None:
        with full.open("wb", buffering=0) as target:
            target.write(b"x")

    with pytest.raises(StoreError, match="No space left"):
        write_atomic(cache_folder() / "c.bin", fill)


def test_a_file_in_the_place_of_a_folder_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"c\.bin cannot be written"):
        write_atomic(tmp_path / "file" / "c.bin", lambda file: file.write(b"x"))
    with pytest.raises(StoreError):
        check_writable(tmp_path / "file" / "deeper")
    write_json_if_possible(tmp_path / "file" / "c.json", {})


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="cannot be written to"):
            check_writable(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_a_writable_folder_is_made_and_left_clean(tmp_path: Path) -> None:
    check_writable(tmp_path / "new")
    assert (tmp_path / "new").is_dir()
    assert files_below(tmp_path) == []


def test_readers_never_see_half_of_a_file(tmp_path: Path) -> None:
    """Eight writers and a reader at once: the file always holds one writer's content as a whole."""
    path = tmp_path / "c.bin"
    contents = [bytes([number]) * 50_000 for number in range(8)]
    write_atomic(path, lambda file: file.write(contents[0]))

    def write(content: bytes) -> None:
        for _ in range(10):
            write_atomic(path, lambda file: [file.write(content[at : at + 5000]) for at in range(0, 50_000, 5000)])

    with ThreadPoolExecutor(8) as pool:
        writing = [pool.submit(write, content) for content in contents]
        seen = set()
        while not all(job.done() for job in writing):
            seen.add(path.read_bytes())
        assert all(job.result() is None for job in writing)
    assert seen <= set(contents)
    assert files_below(tmp_path) == ["c.bin"]


def test_a_killed_writer_leaves_no_file_under_the_final_name(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys, pathlib\n"
        "from isocortex.files.disk import write_atomic\n"
        "def die(file):\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_atomic(pathlib.Path(sys.argv[1]) / 'c.bin', die)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert done.returncode == -9
    assert not (tmp_path / "c.bin").exists()
    assert len(files_below(tmp_path)) == 1, "the writer must have been killed on its way"


def test_space_is_checked_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 2_000_000_000

    asked: list[Path] = []
    monkeypatch.setattr(store.shutil, "disk_usage", lambda path: (asked.append(path), Usage)[1])
    check_space(tmp_path / "not" / "yet", 2_000_000_000, "Storing")
    assert asked == [tmp_path], "the space is that of the folder that is there"
    with pytest.raises(StoreError, match=r"Storing needs 2\.00 GB in .*yet, but only 2\.00 GB are free"):
        check_space(tmp_path / "not" / "yet", 2_000_000_001, "Storing")


# --- JSON -------------------------------------------------------------------------------------------------------------


@given(st.dictionaries(st.text(max_size=4), st.text(max_size=4) | st.integers() | st.none(), max_size=4))
def test_json_comes_back(tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("json") / "c.json"
    write_json(path, content, durable=True)
    assert read_json(path) == content
    assert json.loads(path.read_text(encoding="utf-8")) == content


def test_names_of_files_that_are_no_text_can_be_written(tmp_path: Path) -> None:
    """A file name that is not UTF-8 reaches Python with lone surrogates, and may be a stimulus_id."""
    name = os.fsdecode(b"t\xfcr.wav")
    write_json(tmp_path / "c.json", {"stimulus_id": [name]})
    assert read_json(tmp_path / "c.json") == {"stimulus_id": [name]}


def test_absent_and_damaged_json_is_none(tmp_path: Path) -> None:
    assert read_json(tmp_path / "absent.json") is None
    assert read_json(tmp_path) is None
    for content in (b"", b"{", b"\xff\xfe", b'{"a": 1'):
        (tmp_path / "c.json").write_bytes(content)
        assert read_json(tmp_path / "c.json") is None


# --- activations ------------------------------------------------------------------------------------------------------


def ids(n_stimuli: int) -> tuple[str, ...]:
    return tuple(f"s{number}" for number in range(n_stimuli))


@given(st.integers(1, 40), st.integers(1, 12))
def test_chunks_are_a_partition_in_order(n_stimuli: int, chunk_size: int) -> None:
    folder = ActivationFolder(Path("x"), ids(n_stimuli), chunk_size)
    members = [list(folder.members(chunk)) for chunk in range(folder.n_chunks)]
    assert [place for chunk in members for place in chunk] == list(range(n_stimuli))
    assert all(len(chunk) == chunk_size for chunk in members[:-1])
    assert 1 <= len(members[-1]) <= chunk_size


def test_layers_come_back(tmp_path: Path) -> None:
    folder = ActivationFolder(tmp_path / "key", ids(5), 2)
    values = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    assert folder.missing(["a/b", "c"], 0) == ["a/b", "c"]
    for chunk in range(3):
        folder.write("a/b", chunk, values[list(folder.members(chunk))], ["x", "y", "z"])
    assert folder.missing(["a/b", "c"], 2) == ["c"]
    opened = folder.open("a/b")
    assert (opened.layer, opened.shape, opened.units) == ("a/b", (5, 3), ("x", "y", "z"))
    np.testing.assert_array_equal(opened.array(ids(5)[::-1]), values[::-1])
    chunks = [f"key/a%2Fb/{number:05d}{ending}" for number in range(3) for ending in (".json", ".npy")]
    assert files_below(tmp_path) == [*chunks, "key/a%2Fb/layer.json"]
    sidecar = read_json(tmp_path / "key" / "a%2Fb" / "layer.json")
    assert {name: sidecar[name] for name in ("layer", "n_units", "units")} == {
        "layer": "a/b",
        "n_units": 3,
        "units": ["x", "y", "z"],
    }


def test_a_layer_without_names_of_units(tmp_path: Path) -> None:
    folder = ActivationFolder(tmp_path, ids(1), 4)
    folder.write("a", 0, np.ones((1, 2), dtype=np.float32), None)
    assert folder.open("a").units is None
    (tmp_path / "a" / "layer.json").unlink()
    with pytest.raises(DataError, match=r"beside a layer\.json that is absent"):
        folder.open("a")


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no array"),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: np.save(path, np.zeros((1, 3), dtype=np.float32)),
        lambda path: np.save(path, np.float32(0)),
        lambda path: path.write_bytes(b"PK\x03\x04 no archive"),
        lambda path: np.savez(path.open("wb"), a=np.zeros(2), b=np.zeros(2)),
    ],
    ids=["absent", "empty", "no array", "torn", "too few rows", "one number", "half a zip", "a zip"],
)
def test_a_damaged_chunk_counts_as_missing(tmp_path: Path, damage: Any) -> None:
    folder = ActivationFolder(tmp_path, ids(4), 2)
    for chunk in range(2):
        folder.write("a", chunk, np.ones((2, 3), dtype=np.float32), None)
    damage(folder.path("a", 1))
    assert folder.missing(["a"], 0) == []
    assert folder.missing(["a"], 1) == ["a"]


def test_a_folder_of_activations_says_what_it_holds(tmp_path: Path) -> None:
    folder = ActivationFolder(tmp_path, ids(3), 2)
    about = {"model": "noise", "reduction": "flatten"}
    folder.describe(about, ["conv2"])
    expected = {**about, "layers": ["conv2"], "stimulus_id": ["s0", "s1", "s2"], "chunk_size": 2}
    expected |= {"key": "", "file": "activations.json"}
    assert believed(tmp_path / "activations.json") == expected
    folder.describe(about, ["conv1", "conv2"])
    assert believed(tmp_path / "activations.json") == {**expected, "layers": ["conv2", "conv1"]}
    written = (tmp_path / "activations.json").stat().st_mtime_ns
    folder.describe(about, ["conv1"])
    assert (tmp_path / "activations.json").stat().st_mtime_ns == written, "nothing new, nothing written"
