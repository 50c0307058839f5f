"""What a result was made with: versions, revision, machine, threads and times."""

from __future__ import annotations

import contextlib
import platform
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

from isocortex.progress import Stopwatch, now
from isocortex.results.result import Provenance


def provenance(watch: Stopwatch, *, plugins: dict[str, str], device: str, dtype: str = "float32") -> Provenance:
    """Collect what is needed to make a result again."""
    return Provenance(
        started=watch.started,
        finished=now(),
        seconds=watch.seconds,
        command=[Path(sys.argv[0]).name, *sys.argv[1:]],
        revision=_revision(),
        python=platform.python_version(),
        platform=platform.platform(),
        distributions=_distributions(),
        plugins=plugins,
        device=device,
        dtype=dtype,
        n_threads=_n_threads(),
    )


@cache
def _distributions() -> dict[str, str]:
    found: dict[str, str] = {}
    for item in metadata.distributions():
        with contextlib.suppress(Exception):  # metadata that cannot be read, of whatever package, are no reason to stop
            found[str(item.metadata["Name"])] = str(item.version)
    return dict(sorted(found.items()))


@cache
def _revision() -> dict[str, str | bool | None] | None:
    """Commit of the checkout that the code runs from, where it runs from one."""
    here = Path(__file__).parent
    if not any((parent / ".git").exists() for parent in here.parents):
        return None
    commit = _git(here, "rev-parse", "HEAD")
    return {"commit": commit, "dirty": bool(_git(here, "status", "--porcelain", "-uno"))} if commit else None


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10)  # noqa: S603, S607
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _n_threads() -> int | None:
    """Threads of the BLAS in use, where threadpoolctl can tell."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    return max((int(pool["num_threads"]) for pool in threadpool_info()), default=1)
