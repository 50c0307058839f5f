"""Processes that this one starts, and that end when it does, whatever ends it.

Each of them reads from a pipe that this process alone can write to: when it is closed, by whatever ends this process,
they end themselves.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence

from isocortex.files.interruption import end_now, ended_with, keep_quiet, obey_signals

#: seconds that processes have to end by themselves when this one is stopped
_PATIENCE_S = 5.0


def side_by_side(commands: Sequence[Sequence[str]]) -> list[int]:
    """Run commands of isocortex at the same time, each in a process of its own, and wait for all of them.

    Each has to call ``end_with_the_input`` before anything else. Threads of BLAS are shared among them, unless the user
    has decided; their standard output goes nowhere.

    Parameters
    ----------
    commands
        Arguments of ``isocortex``.

    Returns
    -------
    Exit codes, in their order.
    """
    running: list[subprocess.Popen[bytes]] = []
    with ended_with(lambda: _kill(running)):
        try:
            for command in commands:
                running.append(_started(command, len(commands)))  # noqa: PERF401 - one that fails ends the earlier
            return [process.wait() for process in running]
        finally:
            for process in running:
                _close_input(process)
            for process in running:
                _see_ended(process)


def _started(command: Sequence[str], n_processes: int) -> subprocess.Popen[bytes]:
    """A process that holds the reading end of a pipe as its standard input."""
    return subprocess.Popen(  # noqa: S603 - this interpreter with a command of our own
        [sys.executable, "-m", "isocortex", *command],
        env={**os.environ, **_threads(n_processes)},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C reaches this process alone, and the others through their input
    )


def _close_input(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()


def _kill(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        with contextlib.suppress(OSError):
            process.kill()


def _see_ended(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        _kill([process])
        process.wait()


def _threads(n_processes: int) -> dict[str, str]:
    """Share the cores among the processes, unless the user has decided."""
    share = str(max(1, (os.cpu_count() or 1) // n_processes))
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {name: os.environ.get(name, share) for name in names}


# --- inside such a process --------------------------------------------------------------------------------------------


def end_with_the_input(seconds: float = 1.0) -> None:
    """From now on, end this process when its standard input is closed: its parent is gone.

    It is interrupted, so that temporary folders go; what does not stop within ``seconds`` is ended.
    """
    import signal
    import threading
    import time

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        keep_quiet()  # the parent says what there is to say
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(seconds)
        end_now(128 + signal.SIGTERM)

    obey_signals()
    threading.Thread(target=watch, daemon=True, name="watches the parent").start()
