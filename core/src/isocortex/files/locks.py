"""Locks between processes: one at a time does what a lock file stands for, and who waits says so.

The kernel frees a lock when its process dies, however it dies; a process that is stopped holds on. Beside each lock
lies a note of who holds it. Locks only save work and never guard what is right: where none can be had, all go on.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from filelock import BaseFileLock

#: seconds until one who waits says so, and from then on
FIRST_WORD_S, NEXT_WORD_S = 5.0, 60.0


class locked:  # noqa: N801 - it is used as a function
    """Let one process at a time into what a lock file stands for; where no lock can be had, all go on unlocked.

    Parameters
    ----------
    path
        The lock file.
    what
        What is done meanwhile, for whoever waits: "the extraction of noise@fixed on natsound165"; "": the lock.
    say
        Told after 5 s, and then every minute, what is waited for; None: printed on stderr.

    Examples
    --------
    >>> with locked(Path(os.devnull) / "nowhere.lock", "nothing"):
    ...     pass
    """

    def __init__(self, path: Path, what: str = "", say: Callable[[str], None] | None = None) -> None:
        self.path, self.what, self.say = path, what or f"the lock {path}", say
        self._lock: BaseFileLock | None = None

    def __enter__(self) -> None:
        # a class, and all within one try: an interrupt may come between any two lines, and must not keep the lock
        try:
            self._acquire()
        except BaseException:
            self._release()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _acquire(self) -> None:
        from filelock import FileLock, Timeout

        with contextlib.suppress(OSError, NotImplementedError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _free_what_was_left(self.path)
            lock = self._lock = FileLock(self.path, thread_local=False)
            patience = FIRST_WORD_S
            while not lock.is_locked:
                try:
                    lock.acquire(timeout=patience)
                except Timeout:
                    self._say(f"Waiting for {self.what}: {holder(self.path)} is at it. Ctrl-C ends the waiting.")
                    patience = NEXT_WORD_S
            _held[str(self.path)] = (threading.get_ident(), os.getpid(), self)
            _note(self.path, self.what)

    def _say(self, text: str) -> None:
        from isocortex.progress import Reporter

        (self.say or Reporter().line)(text)

    def _release(self) -> None:
        lock = self._lock
        if lock is None:
            return
        try:
            if lock.is_locked:
                with contextlib.suppress(OSError):
                    note_of(self.path).unlink(missing_ok=True)
                _held.pop(str(self.path), None)
        finally:
            lock.release(force=True)
            self._lock = None


#: lock file → thread, process and holder, of this process
_held: dict[str, tuple[int, int, locked]] = {}


def _free_what_was_left(path: Path) -> None:
    """A lock that this very thread holds was left by an interrupt: nobody locks the same thing twice."""
    thread, process, holding = _held.get(str(path), (0, 0, None))
    if holding is not None and (thread, process) == (threading.get_ident(), os.getpid()):
        holding._release()  # pyright: ignore[reportPrivateUsage]


# --- who holds it -----------------------------------------------------------------------------------------------------


def note_of(path: Path) -> Path:
    """Where the note of who holds a lock lies."""
    return path.with_name(f"{path.name}.holder")


def _note(path: Path, what: str) -> None:
    from isocortex.progress import now

    about = {"pid": os.getpid(), "host": socket.gethostname(), "since": now(), "what": what}
    with contextlib.suppress(OSError):  # who reads half of it knows less, and that is all
        note_of(path).write_text(json.dumps(about), encoding="utf-8")


def holder(path: Path) -> str:
    """Who holds a lock, as far as its note tells: a process of this machine, a stopped or dead one, or another machine.

    Examples
    --------
    >>> holder(Path("no such.lock"))
    'another process'
    """
    try:
        about: Any = json.loads(note_of(path).read_bytes())
        process, host, since = int(about["pid"]), str(about["host"]), str(about["since"])
    except (OSError, ValueError, TypeError, KeyError):
        return "another process"
    at = f"since {since}"
    if host != socket.gethostname():
        return f"process {process} on the machine {host} ({at})"
    if process == os.getpid():
        return f"another thread of this process ({at})"
    state = _state_of(process)
    if state is None:
        return (
            f"process {process} ({at}) has ended, but its lock {path} is still held, perhaps by a process that it "
            "started, or by a network disk: whatever holds it"
        )
    if state in "Tt":
        return (
            f"process {process} ({at}), which is stopped ('kill -CONT {process}' lets it go on, 'kill {process}' and "
            "that end it),"
        )
    return f"process {process} ({at})"


def _state_of(process: int) -> str | None:
    """The letter of a process's state where /proc tells it, "?" elsewhere; None: there is no such process."""
    if os.name == "posix":
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return None
        except OSError:
            return "?"  # somebody else's
    try:
        return Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return "?"
