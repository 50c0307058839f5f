"""Signals end a command within seconds, and nothing of it stays behind; in Python an interrupt passes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from isocortex.errors import StoreError
from isocortex.files.disk import write_atomic
from isocortex.files.interruption import Interrupted, removed_after, undisturbed

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

#: how a process begins: it obeys signals, and says when it is where the test wants it
BEGIN = """
import os, signal, sys, threading, time
from pathlib import Path
from isocortex.files.interruption import Interrupted, ended_with, obey_signals, removed_after
obey_signals()
def ready():
    print("ready", flush=True)
"""


def started(code: str, folder: Path) -> subprocess.Popen[str]:
    """A process that runs code, and has come to ``ready()``."""
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN + textwrap.dedent(code)],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def gone(process: int) -> bool:
    """Whether a process ends within seconds."""
    for _ in range(100):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def ended(process: subprocess.Popen[str], *signals: int, seconds: float = 5.0) -> tuple[int, str, str]:
    """Exit code and what was said after signals, within the time that is allowed."""
    time.sleep(0.3)  # into what comes after ready()
    for number in signals:
        process.send_signal(number)
        time.sleep(0.1)
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, out, err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_runs_every_finally(tmp_path: Path, number: int, code: int) -> None:
    process = started(
        """
        try:
            with removed_after(Path("half")) as path:
                path.write_text("half of it")
                ready()
                time.sleep(60)
        except Interrupted as interrupted:
            assert isinstance(interrupted, KeyboardInterrupt)
            print("finally", flush=True)
            sys.exit(interrupted.exit_code)
        """,
        tmp_path,
    )
    assert ended(process, number) == (code, "finally\n", "")
    assert list(tmp_path.iterdir()) == []


#: where an interrupt alone ends nothing
STUCK = {
    "a lock": "lock = threading.Lock(); lock.acquire()\nwhile True:\n    try:\n        lock.acquire()\n"
    "    except KeyboardInterrupt:\n        pass",
    "a library that computes": "while True:\n    try:\n        numpy.linalg.svd(numpy.ones((2500, 2500)))\n"
    "    except KeyboardInterrupt:\n        pass",
    "a library that swallows it": "while True:\n    try:\n        time.sleep(60)\n"
    "    except BaseException:\n        pass",
}


@pytest.mark.parametrize("where", [pytest.param(name, marks=[pytest.mark.long] * (name != "a lock")) for name in STUCK])
def test_what_does_not_end_by_itself_is_ended_with_all_that_it_began(tmp_path: Path, where: str) -> None:
    code = """
        import numpy, subprocess
        child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(9)"])
        folder = Path("half-made")
        with removed_after(Path("half")) as path, removed_after(folder), ended_with(child.kill):
            path.write_text("half of it")
            folder.mkdir()
            (folder / "inner").touch()
            print(child.pid, file=sys.stderr, flush=True)
            ready()
    """
    process = started(textwrap.dedent(code) + textwrap.indent(STUCK[where], "    "), tmp_path)
    begun = time.monotonic()
    number, out, err = ended(process, signal.SIGTERM, seconds=7)
    assert 3.5 < time.monotonic() - begun < 5.8
    child, line = err.splitlines()
    assert (number, out) == (143, "")
    assert line == "Terminated. What is finished is kept; the same command goes on from there."
    assert list(tmp_path.iterdir()) == []
    assert gone(int(child))


@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, "Interrupted"), (signal.SIGTERM, "Terminated")])
def test_a_library_that_lets_no_python_run_is_ended_from_outside(tmp_path: Path, number: int, word: str) -> None:
    process = started(
        """
        from isocortex.files.interruption import guard_once
        guard_once()
        ready()
        sum(range(4_000_000_000))  # lets no other Python run
        """,
        tmp_path,
    )
    begun = time.monotonic()
    code, _, err = ended(process, number, seconds=7)
    assert 3.5 < time.monotonic() - begun < 6
    assert (code, err) == (-number, f"{word}. What is finished is kept; the same command goes on from there.\n")


def test_a_second_signal_to_such_a_library_ends_at_once(tmp_path: Path) -> None:
    code = "from isocortex.files.interruption import guard_once\nguard_once()\nready()\nsum(range(4_000_000_000))\n"
    process = started(code, tmp_path)
    assert ended(process, signal.SIGINT, signal.SIGINT, seconds=2)[0] == -signal.SIGINT


def test_who_is_guarded_ends_in_order_where_python_runs(tmp_path: Path) -> None:
    code = (
        "from isocortex.files.interruption import guard_once\nguard_once()\nwith removed_after(Path('half')) as path:\n"
    )
    code += "    path.touch()\n    ready()\n" + textwrap.indent(STUCK["a lock"], "    ")
    number, _, err = ended(started(code, tmp_path), signal.SIGINT, signal.SIGINT, seconds=2)
    assert (number, err.count("Interrupted.")) == (130, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    code = "with removed_after(Path('half')) as path:\n    path.touch()\n    ready()\n"
    process = started(code + textwrap.indent(STUCK["a lock"], "    "), tmp_path)
    number, _, err = ended(process, signal.SIGINT, signal.SIGINT, seconds=1.5)
    assert (number, err.count("Interrupted.")) == (130, 1)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_that_python_drops_is_raised_once_more(tmp_path: Path) -> None:
    process = started(
        """
        class Slow:
            def __del__(self):
                ready()
                time.sleep(1)
        try:
            Slow()
            time.sleep(60)
        except Interrupted:
            sys.exit(7)
        """,
        tmp_path,
    )
    assert ended(process, signal.SIGINT, seconds=3) == (7, "", "")


@needs_fork
def test_a_copy_of_the_process_is_its_own(tmp_path: Path) -> None:
    process = started(
        """
        child = os.fork()
        if child == 0:
            time.sleep(60)
        time.sleep(0.2)
        os.kill(child, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
        ready()
        time.sleep(1)
        print("unharmed", flush=True)
        """,
        tmp_path,
    )
    assert ended(process) == (0, "unharmed\n", "")


def test_signals_of_others_are_theirs(tmp_path: Path) -> None:
    process = started(
        """
        signal.signal(signal.SIGUSR1, lambda *_: print("heard", flush=True))
        ready()
        time.sleep(5.5)
        """,
        tmp_path,
    )
    assert ended(process, signal.SIGUSR1, seconds=8) == (0, "heard\n", "")


def test_in_python_no_handler_is_installed() -> None:
    code = "import signal, isocortex; isocortex.score; import isocortex.api, isocortex.run.runner\n"
    code += "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, signal.getsignal(signal.SIGTERM))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] in ("True", "False")  # False: whoever started it ignores SIGINT
    assert "0" in done.stdout or "SIG_DFL" in done.stdout


# --- what an interrupt does not disturb -------------------------------------------------------------------------------


def interrupt_after(seconds: float, times: int = 1) -> None:
    """Ctrl-C in this process, a little later."""

    def send() -> None:
        for _ in range(times):
            time.sleep(seconds)
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=send, daemon=True).start()


@pytest.fixture
def _default_handler() -> object:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_default_handler")
def test_undisturbed_work_is_done_before_the_interrupt_is_raised() -> None:
    steps: list[int] = []

    def work() -> None:
        for step in range(20):
            time.sleep(0.02)
            steps.append(step)

    interrupt_after(0.1)
    with pytest.raises(KeyboardInterrupt):
        undisturbed(work)
    assert steps == list(range(20))


@pytest.mark.usefixtures("_default_handler")
def test_a_second_interrupt_does_not_wait_for_undisturbed_work() -> None:
    interrupt_after(0.1, times=2)
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        undisturbed(lambda: time.sleep(5))
    assert time.monotonic() - begun < 2


def test_what_undisturbed_work_raises_is_raised_here() -> None:
    def work() -> None:
        raise ZeroDivisionError("in a thread")

    with pytest.raises(ZeroDivisionError, match="in a thread"):
        undisturbed(work)
    assert undisturbed(lambda: threading.current_thread().name) == "undisturbed"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted(15), ValueError("no"), OSError(28, "full")])
def test_nothing_half_made_stays_whatever_is_raised(tmp_path: Path, error: BaseException) -> None:
    def fails(file: object) -> None:
        raise error

    with pytest.raises((type(error), StoreError)):
        write_atomic(tmp_path / "whole", fails)
    assert list(tmp_path.iterdir()) == []

    def make() -> None:
        with removed_after(tmp_path / "folder") as folder:
            (folder / "inner").mkdir(parents=True)
            raise error

    with pytest.raises(type(error)):
        make()
    assert list(tmp_path.iterdir()) == []
