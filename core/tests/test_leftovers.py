"""What killed processes leave is swept by the next run that needs the folder, and never while its owner lives."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from isocortex.files.archives import opened_source
from isocortex.files.disk import cache_folder, data_folder, write_atomic
from isocortex.files.leftovers import FOREIGN_DAYS, owner, owner_of, partial_of, sweep
from tests.lab import Lab

#: prints an owner's part of a name, and stays until its input is closed
LIVING = "import sys; from isocortex.files.leftovers import owner; print(owner(), flush=True); sys.stdin.read()"


def dead_owner() -> str:
    """The part of a name of a process that has ended."""
    done = subprocess.run([sys.executable, "-c", LIVING], capture_output=True, text=True, check=True, input="")
    return done.stdout.strip()


@pytest.fixture(scope="module")
def dead() -> str:
    return dead_owner()


def made(path: Path) -> Path:
    """A folder with a file in it, or a file that ends with .part."""
    if path.suffix == ".part":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    else:
        path.mkdir(parents=True)
        (path / "half.bin").write_bytes(b"half")
    return path


def test_what_a_living_process_is_at_work_on_stays_and_goes_with_its_end(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", LIVING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    living = process.stdout.readline().strip()
    paths = [made(tmp_path / f".unpacked-{living}"), made(tmp_path / f".result.json.{living}.part")]
    mine = made(tmp_path / f"uncached-{owner()}")
    assert sweep(tmp_path) == []
    process.kill()
    process.wait()
    assert sorted(sweep(tmp_path)) == sorted(paths)
    assert list(tmp_path.iterdir()) == [mine]


def test_a_process_that_was_given_the_number_of_a_dead_one_is_another(tmp_path: Path) -> None:
    machine, process, started, rest = owner().split("-")
    made(tmp_path / f".unpacked-{machine}-{process}-{int(started) + 1}-{rest}")
    assert len(sweep(tmp_path)) == 1


@pytest.mark.parametrize("name", [".unpacked-{}", ".scores-{}", "uncached-{}", ".a.npy.{}.part"])
def test_what_is_of_another_machine_goes_when_nothing_in_it_changed_for_long(tmp_path: Path, name: str) -> None:
    _, process, started, rest = owner().split("-")
    path = made(tmp_path / name.format(f"00000000-{process}-{started}-{rest}"))
    old = time.time() - (FOREIGN_DAYS + 1) * 86_400
    inside = path / "half.bin" if path.is_dir() else path
    os.utime(path, (old, old))
    if inside != path:
        assert sweep(tmp_path) == [], "something in it is new"
    os.utime(inside, (old, old))
    assert sweep(tmp_path) == [path]


def test_what_versions_before_left_goes_when_it_is_old(tmp_path: Path) -> None:
    names = [f".unpacked-{'0a' * 16}", f".c.bin.{'0a' * 16}.part", ".scores-ab12cd_3", "uncached-ab12cd_3"]
    paths = [made(tmp_path / name) for name in names]
    assert sweep(tmp_path) == []
    old = time.time() - (FOREIGN_DAYS + 1) * 86_400
    for path in paths:
        for one in (*path.rglob("*"), path):
            os.utime(one, (old, old))
    assert sorted(sweep(tmp_path)) == sorted(paths)


@pytest.mark.parametrize(
    "name", ["scores.nc", "uncached-notes", ".part", "a.part", ".git", "archive.zip.0123456789abcdef"]
)
def test_nothing_else_is_taken_for_a_leftover(tmp_path: Path, name: str) -> None:
    assert owner_of(name) is None
    (tmp_path / name).mkdir()
    os.utime(tmp_path / name, (0, 0))
    assert sweep(tmp_path, deep=True) == []


def test_a_write_names_its_owner(tmp_path: Path) -> None:
    seen: list[str] = []
    write_atomic(tmp_path / "c.bin", lambda _: seen.extend(path.name for path in tmp_path.iterdir()))
    assert [owner_of(name) for name in seen] == ["alive"]
    assert partial_of(tmp_path / "c.bin").parent == tmp_path


def test_a_run_sweeps_the_folders_that_it_needs(lab: Lab, dead: str) -> None:
    (result,) = lab.score("lab-net", "lab.fit")
    (layer,) = cache_folder().glob("activations/*/net.mean")
    cell = lab.folder / "results" / "lab.fit" / "lab-net@fixed"
    paths = [
        made(cache_folder() / f"uncached-{dead}"),
        made(layer / f".00001.npy.{dead}.part"),
        made(layer.parent.parent / f".{layer.parent.name}.{dead}.part"),
        made(cell / result.digest[:16] / f".scores-{dead}"),
        made(cell / "failures" / f".0.json.{dead}.part"),
        made(lab.folder / "results" / f".write-test-{dead}"),
    ]
    mine = made(layer / f".00001.npy.{owner()}.part")
    lab.records("result.json")[0].unlink()  # so that it is scored again
    lab.score("lab-net", "lab.fit")
    assert [path for path in paths if path.exists()] == []
    assert mine.exists()


def test_unpacking_sweeps_what_was_unpacked_before(tmp_path: Path, dead: str) -> None:
    left = made(data_folder() / f".unpacked-{dead}")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", "content")
    with opened_source(tmp_path / "a.zip") as folder:
        assert not left.exists()
        assert (folder / "a").read_text() == "content"
    assert list(data_folder().iterdir()) == []
