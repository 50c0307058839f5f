"""Who waits for a lock says so: for what, for whom, since when; no interrupt keeps a lock."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from isocortex.files import locks
from isocortex.files.locks import holder, locked, note_of

HOLD = """
import sys, time
from pathlib import Path
from isocortex.files.locks import locked
with locked(Path(sys.argv[1]), "the extraction of lab-net on lab-images"):
    print("held", flush=True)
    time.sleep(30)
"""

Holder = Callable[[], subprocess.Popen[str]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "locks" / "a.lock"


@pytest.fixture
def held(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is said while waiting, after moments instead of seconds."""
    monkeypatch.setattr(locks, "FIRST_WORD_S", 0.2)
    monkeypatch.setattr(locks, "NEXT_WORD_S", 0.3)
    return []


def wait_for(path: Path, said: list[str], until: Callable[[], object]) -> None:
    """Wait for the lock in a thread until something is so, and end the holder's hold by ``until``."""

    def wait() -> None:
        with locked(path, "the score of lab-net × lab.fit", said.append):
            said.append("had")

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(1.0)
    until()
    thread.join(10)
    assert not thread.is_alive()


def test_who_waits_says_for_what_and_for_whom_and_goes_on(
    path: Path, held: subprocess.Popen[str], said: list[str]
) -> None:
    since = json.loads(note_of(path).read_text())["since"]
    wait_for(path, said, held.kill)
    *words, last = said
    assert last == "had"
    assert len(words) >= 2, "it says so again"
    assert words[0] == (
        f"Waiting for the score of lab-net × lab.fit: process {held.pid} (since {since}) is at it. Ctrl-C ends the "
        "waiting."
    )
    assert not note_of(path).exists()


def test_nothing_is_said_where_nobody_holds_it(path: Path, said: list[str]) -> None:
    for _ in range(2):
        with locked(path, "the work", said.append):
            about = json.loads(note_of(path).read_text())
            assert (about["pid"], about["host"], about["what"]) == (os.getpid(), socket.gethostname(), "the work")
        assert not note_of(path).exists()
    assert said == []


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see that a process is stopped")
def test_a_stopped_holder_is_told_with_what_to_do(path: Path, held: subprocess.Popen[str], said: list[str]) -> None:
    held.send_signal(signal.SIGSTOP)
    wait_for(path, said, held.kill)
    assert f"which is stopped ('kill -CONT {held.pid}' lets it go on" in said[0]


def test_a_dead_holder_and_one_of_another_machine_are_told_apart(path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-S", "-c", ""])
    dead.wait()
    path.parent.mkdir()
    about = {"pid": dead.pid, "host": socket.gethostname(), "since": "2026-01-02T03:04:05+00:00", "what": "work"}
    note_of(path).write_text(json.dumps(about))
    assert f"process {dead.pid} (since 2026-01-02T03:04:05+00:00) has ended, but its lock" in holder(path)
    note_of(path).write_text(json.dumps({**about, "host": "node7"}))
    assert holder(path) == f"process {dead.pid} on the machine node7 (since 2026-01-02T03:04:05+00:00)"
    note_of(path).write_text(json.dumps({**about, "pid": os.getpid()}))
    assert holder(path).startswith("another thread of this process")


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff", b"null"])
def test_a_damaged_note_is_no_reason_to_stop(path: Path, note: bytes) -> None:
    path.parent.mkdir()
    note_of(path).write_bytes(note)
    assert holder(path) == "another process"


def test_a_reporter_that_nobody_named_speaks_on_stderr(
    path: Path, held: subprocess.Popen[str], said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    def wait() -> None:
        with locked(path):
            pass

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.7)
    held.kill()
    thread.join(10)
    assert f"Waiting for the lock {path}" in capsys.readouterr().err


@pytest.mark.parametrize("where", ["_note", "_say", "_free_what_was_left"])
def test_an_interrupt_anywhere_keeps_no_lock(path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def interrupts(*_: object) -> None:
        raise KeyboardInterrupt

    if where == "_say":
        monkeypatch.setattr(locks, "FIRST_WORD_S", 0.05)
    with monkeypatch.context() as patched:
        patched.setattr(locks.locked if where == "_say" else locks, where, interrupts)
        blocker = locked(path, "other work")
        if where == "_say":
            outside = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
            assert outside.stdout is not None
            outside.stdout.readline()
        with pytest.raises(KeyboardInterrupt):
            blocker.__enter__()
        if where == "_say":
            outside.kill()
            outside.communicate()
    done = subprocess.run(
        [sys.executable, "-c", HOLD.replace("time.sleep(30)", ""), str(path)], timeout=20, capture_output=True
    )
    assert done.stdout == b"held\n"


def test_what_an_interrupt_left_taken_is_freed_by_the_same_thread(path: Path, said: list[str]) -> None:
    left = locked(path, "what was interrupted")
    left.__enter__()  # and whoever was to leave it was never told
    with locked(path, "the next work", said.append):
        said.append("had")
    assert said == ["had"]


def test_where_no_lock_can_be_had_all_go_on(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    inside = []
    for _ in range(2):
        with locked(tmp_path / "file" / "a.lock"), locked(tmp_path / "file" / "a.lock"):
            inside.append("both are in, since neither has a lock")
    assert len(inside) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["file"], "and nothing is left"
