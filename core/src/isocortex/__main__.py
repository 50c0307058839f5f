"""``isocortex`` and ``python -m isocortex``."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Run the command line."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end_at_once)  # for the few milliseconds until obey_signals is there
    for place in (0, 1, 2):  # what was closed would else be the first file that somebody opens
        try:
            os.fstat(place)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115 - None where it was closed
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    from isocortex.files.interruption import Interrupted, obey_signals, say_so

    try:
        obey_signals()
        from isocortex.cli.commands import main as run

        run()
    except Interrupted as interrupted:  # outside of any command
        say_so(interrupted.number)
        raise SystemExit(interrupted.exit_code) from None


def _end_at_once(number: int, _: object) -> None:
    os.write(2, b"Interrupted.\n" if number == signal.SIGINT else b"Terminated.\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main()
