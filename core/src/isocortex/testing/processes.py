"""Fresh interpreters in which plugins are imported, run and measured, so that nothing of this process shows through."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from isocortex.testing.forking import Line, Request, can_fork
from isocortex.testing.outcomes import CheckFailed

TIMEOUT_S = 900
_PATIENCE_S = 5.0
#: the folder that holds the package isocortex
_CORE = Path(__file__).parents[2]


def run_probe(task: str, *, ahead: Sequence[str] = (), **arguments: Any) -> dict[str, Any]:
    """Run a task of ``isocortex.testing.probe`` in a fresh interpreter that sees the same packages as this one.

    Where processes can be forked, it is a child of one interpreter that this process keeps for all tasks.

    Parameters
    ----------
    ahead
        Modules that the interpreter may import once for several tasks; none of a plugin.

    Returns
    -------
    What the task found; ``{"error": message}`` where the plugin raised.

    Raises
    ------
    CheckFailed
        The process died or took longer than ``TIMEOUT_S``.
    """
    with tempfile.TemporaryDirectory(prefix="isocortex-check-") as name:
        answer, errors = Path(name) / "answer.json", Path(name) / "errors.txt"
        errors.touch()
        run = partial(_in_a_fork, ahead=ahead) if can_fork() else _in_a_new_interpreter
        try:
            code = run(task, arguments, answer, errors)
        except (subprocess.TimeoutExpired, TimeoutError) as error:
            raise CheckFailed(
                f"Expected an answer from a fresh interpreter within {TIMEOUT_S} s, found none."
            ) from error
        if not answer.exists():
            said = errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            last = (said or ["nothing on stderr"])[-1]
            raise CheckFailed(f"Expected an answer from a fresh interpreter; it ended with {code}: {last}")
        return dict(json.loads(answer.read_text(encoding="utf-8")))


# -P: the folder that this process was started in must not shadow an installed package
_COMMAND = (sys.executable, "-P", "-m", "isocortex.testing")


def _in_a_new_interpreter(task: str, arguments: dict[str, Any], answer: Path, errors: Path) -> int:
    command = [*_COMMAND, task, json.dumps(arguments), str(answer)]
    with errors.open("wb") as file:
        return subprocess.run(  # noqa: S603 - the command is this interpreter with a module of our own
            command, env=_environment(), stdout=subprocess.DEVNULL, stderr=file, timeout=TIMEOUT_S, check=False
        ).returncode


def _in_a_fork(task: str, arguments: dict[str, Any], answer: Path, errors: Path, *, ahead: Sequence[str]) -> int:
    request = Request(task, arguments, str(answer), str(errors), _path(), _environment(), str(Path.cwd()), [*ahead])
    return forking_interpreter().ask(request)


class Interpreter:
    """An interpreter that has imported core only and forks a child for every task; it ends with this process."""

    def __init__(self) -> None:
        requests, writing = os.pipe()
        reading, codes = os.pipe()
        # what was put on sys.path for a while is that of a task: here it could shadow what is imported for all tasks
        path = [*os.environ.get("PYTHONPATH", "").split(os.pathsep), str(_CORE)]
        environment = {**_environment(), "PYTHONPATH": os.pathsep.join(filter(None, path))}
        self._process = subprocess.Popen(  # noqa: S603 - as above
            _COMMAND, env=environment, stdin=requests, stdout=codes, start_new_session=True
        )
        os.close(requests)
        os.close(codes)
        self._owner = os.getpid()
        self._line = Line(reading, writing)
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def lives(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def ask(self, request: Request) -> int:
        """Have a task done; the exit code of the child that did it.

        Raises
        ------
        TimeoutError
            It takes longer than ``TIMEOUT_S``; the child and the interpreter are ended.
        """
        with self._lock:
            try:
                self._line.write(vars(request))
                code = self._line.read(timeout_s=TIMEOUT_S)
            except BrokenPipeError:
                code = None
            except BaseException:  # also an interrupt: what it would say next is an answer to something else
                self.end()
                raise
            if code is None:
                self.end()
            return int(self._process.returncode if code is None else code)

    def end(self) -> None:
        """End it with all of its children; a copy of the process that started it leaves it alone."""
        if os.getpid() != self._owner:
            return
        self._line.close()
        try:
            self._process.wait(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()


#: process → its interpreter; a copy of this process must not speak on the same pipes
_interpreters: dict[int, Interpreter] = {}


def forking_interpreter() -> Interpreter:
    """The interpreter of this process, started where there is none yet or where it has died."""
    found = _interpreters.get(os.getpid())
    if found is not None and not found.lives():
        found.end()
        found = None
    if found is None:
        found = _interpreters[os.getpid()] = Interpreter()
        atexit.register(found.end)
    return found


#: what every run needs of core, and libraries that take seconds to import
RUNNING = ("isocortex.extraction.extractor", "isocortex.testing.synthetic")
LIBRARIES = ("torch", "transformers")


def imported_ahead(package: str, requires: Sequence[str] = ()) -> list[str]:
    """What runs of a package's plugins import in any case: a part of core, and large libraries that they require.

    Examples
    --------
    >>> imported_ahead("no-such-package", ["torch>=2.4"])
    ['isocortex.extraction.extractor', 'isocortex.testing.synthetic', 'torch']
    """
    try:
        declared = metadata.requires(package) or []
    except Exception:  # not installed, or with metadata that cannot be read
        declared = []
    named = [*requires, *(requirement for requirement in declared if "extra ==" not in requirement)]
    names = {re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0] for requirement in named}
    return [*RUNNING, *(name for name in LIBRARIES if name in names)]


def _path() -> list[str]:
    return [entry or str(Path.cwd()) for entry in sys.path]


def _environment() -> dict[str, str]:
    # what was put on sys.path while this process ran (by pytest, by a notebook) is not inherited by itself;
    # a seed that somebody has fixed would hide what depends on the order of sets
    return {**os.environ, "PYTHONPATH": os.pathsep.join(_path()), "PYTHONHASHSEED": "random"}
