"""Names of what is on its way, and the sweeping of what killed processes left of it.

A partial file or folder has its owner in its name: machine, process and the time at which that started. What a dead
process of this machine left goes when the next run needs the folder; what a living one is at work on is never touched.
Of other machines on a shared disk, and of versions that named no owner, nobody here can tell whether they live: such
goes when nothing in it has changed for ``FOREIGN_DAYS``.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Literal

FOREIGN_DAYS = 14

_OWNER = r"(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-(?P<started>\d+)-[0-9a-f]{8}"
#: with an owner; the second form is what versions before wrote, or other libraries in our place
_KINDS = (r"\.unpacked-", r"\.scores-", r"uncached-", r"\.write-test-", r"[0-9a-f]{16}\.used-", r"\..+\.")
_OWNED = re.compile(rf"^(?:{'|'.join(_KINDS)}){_OWNER}(?:\.part)?$")
_OLDER = re.compile(
    r"^(?:\.unpacked-[0-9a-f]{32}|\.scores-\w{8}|uncached-\w{8}|\.\.?write-test-[0-9a-f.]+(?:\.part)?"
    r"|\..+\.[0-9a-f]{32}\.part)$"
)

Owner = Literal["alive", "dead", "unknown"]


def owner() -> str:
    """This process as a part of a name, different at each call."""
    return f"{_machine()}-{os.getpid()}-{_started(os.getpid())}-{uuid.uuid4().hex[:8]}"


def partial_of(target: Path) -> Path:
    """A new name beside a file or folder, for what is going to take its place."""
    return target.with_name(f".{target.name}.{owner()}.part")


def owner_of(name: str) -> Owner | None:
    """What has become of the owner of a partial file or folder; None: the name is not that of one.

    Examples
    --------
    >>> owner_of(partial_of(Path("scores.nc")).name), owner_of("scores.nc")
    ('alive', None)
    """
    found = _OWNED.match(name)
    if found is None:
        return "unknown" if _OLDER.match(name) else None
    if found["machine"] != _machine():
        return "unknown"
    return "alive" if _lives(int(found["process"]), int(found["started"])) else "dead"


def sweep(folder: Path, *, deep: bool = False) -> list[Path]:
    """Remove what killed processes left in a folder (``deep``: and below it); returns what went.

    Examples
    --------
    >>> sweep(Path("no such folder"))
    []
    """
    gone: list[Path] = []
    for path in _leftovers(folder, deep=deep):
        remove(path)
        gone.append(path)
    return gone


def _leftovers(folder: Path, *, deep: bool) -> Iterator[Path]:
    inside: list[Path] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                state = owner_of(entry.name)
                if state == "dead" or (state == "unknown" and _untouched(Path(entry.path))):
                    yield Path(entry.path)
                elif state is None and deep and entry.is_dir(follow_symlinks=False):
                    inside.append(Path(entry.path))
    except OSError:
        return
    for path in inside:
        yield from _leftovers(path, deep=True)


def _untouched(path: Path) -> bool:
    """Whether nothing has changed for so long that its owner can be given up."""
    bound = time.time() - FOREIGN_DAYS * 86_400
    try:
        below = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
        return all(one.lstat().st_mtime < bound for one in (path, *below))
    except OSError:
        return False


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with all that is in it, as far as that can be done."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


# --- who is who -------------------------------------------------------------------------------------------------------


@cache
def _machine() -> str:
    """Where process numbers mean what they mean here: this boot of this machine, and this container."""
    import platform

    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


@cache
def _started(process: int) -> int:
    """When a process of this machine started, in ticks since boot; 0 where the system does not say."""
    return _ticks(process) or 0


def _ticks(process: int) -> int | None:
    """As above; None: there is no such process, or it has ended and only waits to be asked after."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def _lives(process: int, started: int) -> bool:
    if started:
        return _ticks(process) == started
    if os.name != "posix":  # a signal would end the process there
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
