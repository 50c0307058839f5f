"""Folders are replaced in one step: whoever looks sees one of them, whole."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from isocortex.files import whole_folders
from isocortex.files.whole_folders import whole_folder


def write(target: Path, text: str) -> None:
    with whole_folder(target) as folder:
        for name in ("a", "b", "c"):
            (folder / name).write_text(text)


@pytest.fixture(params=["in one step", "one after the other"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """As the system does it, and where it cannot exchange folders."""
    if request.param == "one after the other":
        monkeypatch.setattr(whole_folders, "_exchanged", lambda *_: False)
    elif sys.platform not in ("linux", "darwin"):
        pytest.skip("this system cannot exchange folders")
    return request.param


def test_many_writers_at_once_leave_one_of_their_folders(tmp_path: Path, way: str) -> None:
    target = tmp_path / "features"
    write(target, "first")
    broken = 0
    with ThreadPoolExecutor(6) as pool:
        writing = [pool.submit(write, target, f"writer {number % 3}") for number in range(18)]
        while not all(job.done() for job in writing):
            try:
                texts = {(target / name).read_text() for name in ("a", "b", "c")}
                broken += not texts <= {"first", *(f"writer {number}" for number in range(3))}
            except OSError:
                broken += 1
        assert [job.result() for job in writing] == [None] * 18
    assert {(target / name).read_text() for name in ("a", "b", "c")}.issubset(
        {f"writer {number}" for number in range(3)}
    )
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [target]
    if way == "in one step":
        assert broken == 0, "a file was absent at a look"


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "features"
    write(target, "first")
    with pytest.raises(IsADirectoryError), whole_folder(target) as folder:
        folder.write_text("half")
    assert (target / "a").read_text() == "first"
    assert list(tmp_path.iterdir()) == [target]


def test_a_kill_leaves_what_was_there_and_the_next_writer_sweeps(tmp_path: Path) -> None:
    target = tmp_path / "features"
    write(target, "first")
    script = (
        "import os, signal, sys, pathlib\n"
        "from isocortex.files.whole_folders import whole_folder\n"
        "with whole_folder(pathlib.Path(sys.argv[1])) as folder:\n"
        "    (folder / 'a').write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(target)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (target / "a").read_text() == "first"
    assert len(list(tmp_path.iterdir())) == 2, "the writer must have been killed on its way"
    write(target, "second")
    assert (target / "a").read_text() == "second"
    assert list(tmp_path.iterdir()) == [target]


def test_an_equal_folder_is_left_as_it_is(tmp_path: Path) -> None:
    target = tmp_path / "features"
    write(target, "same")
    before = target.stat().st_ino
    write(target, "same")
    assert target.stat().st_ino == before
    write(target, "other")
    assert target.stat().st_ino != before


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "features").symlink_to(tmp_path / "disk")
    write(tmp_path / "features", "text")
    assert (tmp_path / "features").is_symlink()
    assert (tmp_path / "disk" / "a").read_text() == "text"
