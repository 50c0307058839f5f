"""Ends a command that cannot hear signals, because a library computes for long and lets no Python run meanwhile.

``guard`` starts a small process that looks at the pipe into which the interpreter writes signals. What lies there
unread for ``PATIENCE_S`` was read by no thread of the command; it is then ended by the same signal, whose action has
become the system's own when it came first. What is left half made then is swept by the next run.

    python -S last_resort.py PIPE PROCESS
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

PATIENCE_S = 4.3


def guard(reading: int) -> None:
    """Watch this process from another one; without effect where that cannot be had."""
    import contextlib
    import subprocess

    with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
        for number in (signal.SIGINT, signal.SIGTERM):
            _let_the_system_act_next(number)
        process = subprocess.Popen(  # noqa: S603 - this interpreter with this module
            [sys.executable, "-S", "-E", __file__, str(reading), str(os.getpid())],
            pass_fds=[reading],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        process.returncode = 0  # it ends after this process: nobody waits for it, and Python need not warn of that


def _let_the_system_act_next(number: int) -> None:
    """After the first signal its action is the default, until Python code runs and sets its handler anew."""
    import ctypes

    mask = ctypes.c_uint32 if sys.platform == "darwin" else ctypes.c_byte * 128
    fields = [("handler", ctypes.c_void_p), ("mask", mask), ("flags", ctypes.c_int), ("restorer", ctypes.c_void_p)]
    action = type("Action", (ctypes.Structure,), {"_fields_": fields})()
    library = ctypes.CDLL(None, use_errno=True)
    if library.sigaction(int(number), None, ctypes.byref(action)) == 0:
        once = 0x4 if sys.platform == "darwin" else 0x80000000
        action.flags = ctypes.c_int(action.flags | once).value
        library.sigaction(int(number), ctypes.byref(action), None)


def main() -> None:
    """Wait for a signal that nobody reads, or for the end of the process."""
    reading, process = map(int, sys.argv[1:])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    while True:
        select.select([reading], [], [])
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if not select.select([reading], [], [], 0)[0]:
                break  # a thread of the process has read it
            if os.getppid() != process:
                return
            time.sleep(0.1)
        else:
            told = os.read(reading, 64)
            numbers = [number for number in told if number in (signal.SIGINT, signal.SIGTERM)]
            if not numbers:
                return
            word = "Terminated" if numbers[0] == signal.SIGTERM else "Interrupted"
            os.write(2, f"{word}. What is finished is kept; the same command goes on from there.\n".encode())
            os.kill(process, numbers[0])
            time.sleep(0.2)
            os.kill(process, signal.SIGKILL)  # where the system has no such action


if __name__ == "__main__":
    main()
