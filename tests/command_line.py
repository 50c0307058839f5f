"""The command line as tests run it: in this process, as if it were one of its own, or in a true process."""

from __future__ import annotations

import contextlib
import importlib
import os
import subprocess
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from click.testing import CliRunner


def run_in_process(
    arguments: tuple[str, ...], folder: Path, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run the command line through click's runner and leave this process as it was.

    Parameters
    ----------
    arguments
        What follows ``isocortex``.
    folder
        Working directory.
    env
        Variables on top of those of this process. Folders in ``PYTHONPATH`` are put first on ``sys.path``, and what
        is imported from there is forgotten afterwards.
    """
    from isocortex.cli.commands import cli

    with _variables(env), contextlib.chdir(folder), _path_of(env), _warnings_of_a_process(), _argv(arguments):
        done = CliRunner().invoke(cli, list(arguments), prog_name="isocortex")
    raised = "" if done.exception is None or isinstance(done.exception, SystemExit) else _shown(done.exc_info)
    return subprocess.CompletedProcess(["isocortex", *arguments], done.exit_code, done.stdout, done.stderr + raised)


def run_process(arguments: tuple[str, ...], folder: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "isocortex", *arguments],
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=300,
    )


def _shown(raised: Any) -> str:
    return "".join(traceback.format_exception(*raised))


@contextlib.contextmanager
def _variables(env: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(env)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _path_of(env: Mapping[str, str]) -> Iterator[None]:
    before = list(sys.path)
    added = [entry for entry in env.get("PYTHONPATH", "").split(os.pathsep) if entry and entry not in before]
    sys.path[:0] = added
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before
        for name, module in list(sys.modules.items()):
            if any(_comes_from(module, Path(entry)) for entry in added):
                del sys.modules[name]
        importlib.invalidate_caches()


def _comes_from(module: ModuleType | None, folder: Path) -> bool:
    spec = None if module is None else vars(module).get("__spec__")
    places = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or ())]
    return any(Path(place).is_relative_to(folder) for place in places if place)


@contextlib.contextmanager
def _warnings_of_a_process() -> Iterator[None]:
    """Python's own filters, and warnings on stderr; pytest has filters of its own, and collects them."""
    with warnings.catch_warnings():
        warnings.resetwarnings()
        for unseen in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", unseen)
        warnings.showwarning = _to_stderr
        yield


def _to_stderr(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    print(warnings.formatwarning(message, category, filename, lineno, line), end="", file=file or sys.stderr)


@contextlib.contextmanager
def _argv(arguments: tuple[str, ...]) -> Iterator[None]:
    before = sys.argv
    sys.argv = ["isocortex", *arguments]
    try:
        yield
    finally:
        sys.argv = before
