"""An interpreter that is started once and forks a child for every task: no task sees what another one has imported."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

#: how often a child is looked after
POLL_S = 0.01
#: the part of core that the interpreter has imported before any task
BASE = "isocortex.loading.resolver"


def can_fork() -> bool:
    """Whether a process can be copied safely; the system libraries of macOS do not allow it, and Windows cannot."""
    return hasattr(os, "fork") and sys.platform != "darwin"


@dataclass
class Line:
    """Two pipes between an interpreter that asks and one that forks: requests one way, exit codes the other."""

    reading: int
    writing: int

    def write(self, content: Any) -> None:
        """Send one message."""
        data = json.dumps(content).encode() + b"\n"
        while data:
            data = data[os.write(self.writing, data) :]

    def read(self, *, ends_with: int | None = None, timeout_s: float | None = None) -> Any:
        """Wait for one message; None where the other side has ended.

        Parameters
        ----------
        ends_with
            A pipe on which nothing is to be read meanwhile: once it ends, so does this process group.

        Raises
        ------
        TimeoutError
            There is no message in time.
        """
        until, found = None if timeout_s is None else time.monotonic() + timeout_s, b""
        pipes = [self.reading] if ends_with is None else [self.reading, ends_with]
        while not found.endswith(b"\n"):
            left = None if until is None else max(0.0, until - time.monotonic())
            ready = select.select(pipes, [], [], left)[0]
            if not ready:
                raise TimeoutError(f"Nothing came within {timeout_s} s.")
            if ends_with in ready:
                _end_group()
            read = os.read(self.reading, 65536)
            if not read:
                return None
            found += read
        return json.loads(found)

    def close(self) -> None:
        """Close both pipes."""
        for pipe in (self.reading, self.writing):
            with contextlib.suppress(OSError):
                os.close(pipe)
        self.reading = self.writing = -1  # the numbers may soon be those of other files


@dataclass
class Request:
    """A task for a child.

    Attributes
    ----------
    task, arguments, answer
        As for ``python -m isocortex.testing``.
    errors
        File for what the child writes to stderr.
    path, environment, folder
        ``sys.path``, variables and working directory of the process that asks.
    ahead
        Modules that are imported once, before the children that need them are forked; no plugins.
    """

    task: str
    arguments: dict[str, Any]
    answer: str
    errors: str
    path: list[str]
    environment: dict[str, str]
    folder: str
    ahead: Sequence[str] = ()


def main() -> None:
    """Serve requests from stdin; what children print does not get among the exit codes on stdout."""
    line = Line(os.dup(0), os.dup(1))
    _nothing_on(0, 1)
    importlib.import_module(BASE)
    Server(line).serve()


class Server:
    """Forks a child for every request, until the pipe of the requests ends.

    Requests that name modules to import ahead are handed to a fork of this process which has imported them.
    """

    def __init__(self, line: Line) -> None:
        self.line = line
        self._warm: dict[tuple[str, ...], tuple[int, Line]] = {}

    def serve(self) -> None:
        """Answer requests with the exit codes of their children."""
        while (content := self.line.read()) is not None:
            request = Request(**content)
            self.line.write(self._handed_on(request) if request.ahead else self._in_a_child(request))
        for child, line in self._warm.values():
            line.close()
            os.waitpid(child, 0)

    def _in_a_child(self, request: Request) -> int:
        child = self._fork(lambda: _do(request))
        while True:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            # nobody asks for something else before the answer: what can be read is the end of the one who asks
            if select.select([self.line.reading], [], [], POLL_S)[0]:
                _end_group()

    def _handed_on(self, request: Request) -> int:
        ahead = tuple(request.ahead)
        if ahead not in self._warm:
            self._warm[ahead] = self._start_warm(ahead)
        child, line = self._warm[ahead]
        with contextlib.suppress(BrokenPipeError):
            line.write({**vars(request), "ahead": []})
        code = line.read(ends_with=self.line.reading)
        if code is not None:
            return code
        del self._warm[ahead]
        line.close()
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def _start_warm(self, ahead: Sequence[str]) -> tuple[int, Line]:
        to_read, from_here = os.pipe()
        to_here, from_there = os.pipe()

        def serve() -> None:
            os.close(from_here)
            os.close(to_here)
            for name in ahead:
                with contextlib.suppress(Exception):  # the task itself says what cannot be imported
                    importlib.import_module(name)
            Server(Line(to_read, from_there)).serve()

        child = self._fork(serve)
        os.close(to_read)
        os.close(from_there)
        return child, Line(to_here, from_here)

    def _fork(self, action: Callable[[], None]) -> int:
        """Do something in a copy of this process which has none of its pipes."""
        child = os.fork()
        if child == 0:
            self.line.close()
            for _, line in self._warm.values():
                line.close()
            _end_with(action)
        return child


def _end_with(action: Callable[[], None]) -> NoReturn:
    code = 1
    try:
        action()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if not isinstance(error.code, int):
            print(error, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code & 255)


def _do(request: Request) -> None:
    """Become a process as if started by the one that asks, and do the task."""
    from isocortex.testing.probe import main as do

    errors = os.open(request.errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(errors, 2)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    tempfile.tempdir = None  # another one, where TMPDIR says so
    sys.path[:] = request.path
    importlib.invalidate_caches()
    do(request.task, request.arguments, Path(request.answer))


def _nothing_on(*descriptors: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(null, descriptor)
    os.close(null)


def _end_group() -> NoReturn:
    """End with all that was forked: the process that asked is gone."""
    os.killpg(0, signal.SIGKILL)
    raise SystemExit(1)
