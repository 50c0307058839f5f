"""Fresh interpreters in which plugins are imported, run and measured, so that nothing of this process shows through."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from isocortex.testing.outcomes import CheckFailed

TIMEOUT_S = 900


def run_probe(task: str, **arguments: Any) -> dict[str, Any]:
    """Run a task of ``isocortex.testing.probe`` in a fresh interpreter that sees the same packages as this one.

    Returns
    -------
    What the task found; ``{"error": message}`` where the plugin raised.

    Raises
    ------
    CheckFailed
        The process died or took longer than ``TIMEOUT_S``.
    """
    with tempfile.TemporaryDirectory(prefix="isocortex-check-") as name:
        answer = Path(name) / "answer.json"
        # -P: the folder that this process was started in must not shadow an installed package
        command = [sys.executable, "-P", "-m", "isocortex.testing", task, json.dumps(arguments), str(answer)]
        try:
            done = subprocess.run(  # noqa: S603 - the command is this interpreter with a module of our own
                command, env=_environment(), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise CheckFailed(
                f"Expected an answer from a fresh interpreter within {TIMEOUT_S} s, found none."
            ) from error
        if not answer.exists():
            last = (done.stderr.strip().splitlines() or ["nothing on stderr"])[-1]
            raise CheckFailed(f"Expected an answer from a fresh interpreter; it ended with {done.returncode}: {last}")
        return dict(json.loads(answer.read_text(encoding="utf-8")))


def _environment() -> dict[str, str]:
    # what was put on sys.path while this process ran (by pytest, by a notebook) is not inherited by itself
    path = [entry or str(Path.cwd()) for entry in sys.path]
    # a seed that somebody has fixed would hide what depends on the order of sets
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONHASHSEED": "random"}


def bytes_in_use() -> int:
    """Memory of this process that only it has, without files and without what is free inside it, in bytes.

    The peak is no measure of what a program keeps: the C library puts large blocks now into holes, now at the end of
    what it has, and the same work peaks tens of megabytes apart. Where the system tells no more (outside Linux), it is
    the peak all the same.
    """
    _return_free_memory()
    private = [_status_bytes(field) for field in ("RssAnon", "RssShmem")]
    return sum(found or 0 for found in private) or _maximum_resident()


def _return_free_memory() -> None:
    """Give what is free inside the process back to the system, where the C library can: nobody keeps it."""
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _status_bytes(field: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return int(found[0]) * 1024 if found else None


def _maximum_resident() -> int:
    import resource

    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024
