"""How a command ends: whatever ends it is one message and an exit code, never a traceback of something expected."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import click

from isocortex.errors import EXIT_FAILED, EXIT_USAGE, IsocortexError, UsageError
from isocortex.files.interruption import Interrupted, finish, say_so

#: what a full disk, a broken pipe or a closed terminal give
_OF_OUTPUT = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF, errno.EFBIG)


def exit_code_of(command: Callable[[], Any]) -> int:
    """Run a command to its end, its output included; what it raises on purpose is printed.

    Returns
    -------
    0 or what the command returned; 1 failed, also where its output could not be written; 2 usage; 130 and 143:
    Ctrl-C and SIGTERM.
    """
    try:
        return _printed(command)
    except click.exceptions.Abort as error:
        return _stopped(error.__cause__)
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except IsocortexError as error:
        print(f"Error: {error}", file=sys.stderr)
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED
    except OSError as error:
        problem = _problem_of_stdout(error)
        if problem is None:
            raise
        if not isinstance(problem, BrokenPipeError):  # who reads a pipe may stop when he has seen enough
            print(f"Error: the output could not be written ({error.strerror or error}).", file=sys.stderr)
        return EXIT_FAILED
    finally:
        finish()


def _printed(command: Callable[[], Any]) -> int:
    try:
        code = command()
    except SystemExit as ended:
        code = ended.code
    if isinstance(code, str):  # what sys.exit prints
        print(code, file=sys.stderr)
        code = EXIT_FAILED
    if sys.stdout is not None:  # pyright: ignore[reportUnnecessaryComparison] - it is where it was closed
        sys.stdout.flush()
    return code if isinstance(code, int) else 0


def _stopped(cause: BaseException | None) -> int:
    """An interrupt: what was not yet printed is nobody's, and a reader who has stopped is not waited for."""
    number = cause.number if isinstance(cause, Interrupted) else signal.SIGINT
    _drop_output()
    if "isocortex.progress" in sys.modules:
        sys.modules["isocortex.progress"].close_bars()
    say_so(number)
    return 128 + number


def _problem_of_stdout(error: OSError) -> OSError | None:
    """Why what is printed cannot be written, or None; what is left of it is dropped, not to be tried again."""
    if error.errno not in _OF_OUTPUT:
        return None
    try:
        print(flush=True)  # the text that was refused is gone; whether anything can be written is seen by writing
    except OSError as problem:
        _drop_output()
        return problem
    return None


def _drop_output() -> None:
    if sys.stdout is sys.__stdout__ and sys.stdout is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
