"""Marks that say which activations of the cache a process uses, so that nobody removes them meanwhile.

A mark is an empty file ``locks/<key>.used-<owner>``. It lasts as long as the process; that of a process that was killed
is swept. Whoever removes activations takes their lock first and looks for marks then; whoever uses them makes the mark
before it waits for the lock.
"""

from __future__ import annotations

import atexit
import contextlib
import os
from pathlib import Path

from isocortex.files.digests import short
from isocortex.files.disk import cache_folder
from isocortex.files.leftovers import owner, owner_of, sweep

_MARKS: dict[tuple[int, Path], Path] = {}


def _folder() -> Path:
    return cache_folder() / "locks"


def mark(key: str) -> None:
    """Say that this process uses the activations of a key, for as long as it lives."""
    place = (os.getpid(), _folder() / short(key))
    if place in _MARKS and _MARKS[place].exists():
        return
    path = _folder() / f"{short(key)}.used-{owner()}"
    with contextlib.suppress(OSError):  # a cache that cannot be written to is none that anyone prunes
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        if not _MARKS:
            atexit.register(_forget)
        _MARKS[place] = path


def _forget() -> None:
    for (process, _), path in _MARKS.items():
        if process == os.getpid():
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def is_used(key: str) -> bool:
    """Whether a living process, or one of another machine that may be, uses the activations of a key."""
    sweep(_folder())
    found = _folder().glob(f"{short(key)}.used-*")
    return any(owner_of(path.name) is not None for path in found)
