"""Ctrl-C and SIGTERM end the command at any moment within five seconds, and nothing half done stays behind.

The command line alone calls ``obey_signals``; in Python no handler is installed, and KeyboardInterrupt passes on. The
first signal raises ``Interrupted`` in the main thread, so that every ``finally`` is run. A thread watches meanwhile:
what has not ended after ``PATIENCE_S``, because a library waits or computes, is ended by force, after what was
registered with ``removed_after`` and ``ended_with`` is gone. A second signal does that at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

#: seconds from the first signal to the end by force
PATIENCE_S = 4.0
#: seconds that the end by force may take to clean up
_CLEANING_S = 0.7
#: what the thread that watches is told by this module; signals tell it their number
_BEGUN, _LOST = 0, 255
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_Value = TypeVar("_Value")


class Interrupted(KeyboardInterrupt):
    """The command was asked to end.

    Parameters
    ----------
    number
        The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """130 of Ctrl-C, 143 of SIGTERM."""
        return 128 + self.number


class _State:
    """What is known of signals in this process."""

    def __init__(self) -> None:
        self.number: int | None = None  # of the first signal, once its handler ran in the main thread
        self.asked: list[int] = []  # signals that the thread that watches has seen
        self.quiet = False
        self.said = False
        self.finishing = False
        self.guarded = False
        self.resent = 0  # signals that this module sends to itself, because an exception was lost
        self.pipe: tuple[int, int] | None = None


_state = _State()
_removed: dict[int, Path] = {}
_ended: dict[int, Callable[[], object]] = {}


# --- what is left behind nowhere --------------------------------------------------------------------------------------


@contextlib.contextmanager
def removed_after(path: Path) -> Generator[Path]:
    """A file or folder that is made inside and gone afterwards, also where this process is ended by force.

    Examples
    --------
    >>> with removed_after(Path("a file of a moment")) as path:
    ...     _ = path.write_bytes(b"half")
    >>> path.exists()
    False
    """
    key = id(path)
    _removed[key] = path
    try:
        yield path
    finally:
        _remove(path)
        _removed.pop(key, None)


def _remove(path: Path) -> None:
    from isocortex.files.leftovers import remove  # loaded already where there is something to remove

    remove(path)


@contextlib.contextmanager
def ended_with(end: Callable[[], object]) -> Generator[None]:
    """What is begun inside and has to be ended with this process, by ``end`` where it is ended by force."""
    key = id(end)
    _ended[key] = end
    try:
        yield
    finally:
        _ended.pop(key, None)


def undisturbed(work: Callable[[], _Value]) -> _Value:
    """Do work in a thread of its own, where no interrupt reaches it, so that no lock of a library stays taken.

    The interrupt is raised here when the work is done; a second one does not wait for it.

    Examples
    --------
    >>> undisturbed(lambda: 6 * 7)
    42
    """
    import contextvars

    context, done = contextvars.copy_context(), threading.Lock()
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append((True, context.run(work)))
        except BaseException as error:  # raised again where it was asked for
            outcome.append((False, error))
        finally:
            done.release()

    def wait() -> None:
        while not outcome:  # asked anew: an interrupt may come right after the lock was had
            done.acquire(timeout=0.1)

    done.acquire()
    threading.Thread(target=run, daemon=True, name="undisturbed").start()
    try:
        wait()
    except BaseException:
        wait()
        raise
    worked, found = outcome[0]
    if not worked:
        raise found
    return found


# --- signals of the command line --------------------------------------------------------------------------------------


def obey_signals() -> None:
    """From now on, SIGINT and SIGTERM end this process as the head of this module says; also where SIGINT was ignored.

    Without effect where it was called before, and outside the main thread.
    """
    if _state.pipe is not None or threading.current_thread() is not threading.main_thread():
        return
    reading, writing = _state.pipe = os.pipe()
    with contextlib.suppress(AttributeError, OSError, ValueError):  # where there is no such thing, handlers do it alone
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in _SIGNALS:
        signal.signal(number, _on_signal)
    sys.unraisablehook = _on_unraisable
    threading.Thread(target=_watch, args=(reading,), daemon=True, name="watches for signals").start()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_leave_to_the_parent)


def guard_once() -> None:
    """Before a command computes: end it also where a library lets no Python run; only where signals are obeyed."""
    if _state.pipe is not None and not _state.guarded:
        from isocortex.files.last_resort import guard

        _state.guarded = True
        guard(_state.pipe[0])


def _leave_to_the_parent() -> None:
    """A copy of this process has handlers as any other, and nothing of this one to clean up."""
    if _state.pipe is None:
        return
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.unraisablehook = sys.__unraisablehook__
    for end in _state.pipe:
        with contextlib.suppress(OSError):
            os.close(end)
    _removed.clear()
    _ended.clear()
    _state.__init__()


def _on_signal(number: int, _: FrameType | None) -> None:
    """In the main thread, as soon as it runs Python code."""
    if _state.resent:
        _state.resent -= 1
    elif _state.number is not None or _state.finishing:
        _state.number = _state.number or number
        end_now()
    _state.number = _state.number or number
    if _state.guarded:
        for one in _SIGNALS:  # a second signal ends in order, now that Python runs
            signal.signal(one, _on_signal)
    _tell(_BEGUN)
    raise Interrupted(_state.number)


def _on_unraisable(lost: sys.UnraisableHookArgs) -> None:
    """An interrupt that was raised where Python drops exceptions, as in ``__del__``, is raised once more."""
    if isinstance(lost.exc_value, Interrupted):
        _tell(_LOST)
    else:
        sys.__unraisablehook__(lost)


def _tell(what: int) -> None:
    if _state.pipe is not None:
        with contextlib.suppress(OSError):
            os.write(_state.pipe[1], bytes([what]))


def _watch(reading: int) -> None:
    """Wait for a signal, then for the end, whatever the main thread does meanwhile."""
    import select

    until: float | None = None
    n_own = 0
    while True:
        left = None if until is None else max(0.0, until - time.monotonic())
        if not select.select([reading], [], [], left)[0]:
            end_now()
        for told in os.read(reading, 64):
            if told == _LOST:
                n_own += 1
                _send_again()
            elif told in _SIGNALS and n_own:
                n_own -= 1
            elif told in _SIGNALS:
                _state.asked.append(told)
            elif told != _BEGUN:
                continue  # a signal of somebody else's handler
            until = time.monotonic() + PATIENCE_S if until is None else until
        if len(_state.asked) > 1:
            time.sleep(0.05)  # the handler in the main thread comes first, where it can
            end_now()


def _send_again() -> None:
    time.sleep(0.01)  # out of where it was lost
    _state.resent += 1
    signal.pthread_kill(threading.main_thread().ident or 0, _state.number or signal.SIGINT)  # also out of a system call


def end_now(exit_code: int | None = None) -> None:
    """End this process without waiting for anybody: its half-made files go, and what it began is ended."""
    number = _state.number or next(iter(_state.asked), signal.SIGTERM)
    code = 128 + number if exit_code is None else exit_code

    def end_in_any_case() -> None:
        time.sleep(_CLEANING_S)
        os._exit(code)

    with contextlib.suppress(BaseException):
        threading.Thread(target=end_in_any_case, daemon=True).start()
    for end in list(_ended.values()):
        with contextlib.suppress(BaseException):
            end()
    for path in list(_removed.values()):
        with contextlib.suppress(BaseException):
            _remove(path)
    say_so(number)
    os._exit(code)


def say_so(number: int) -> None:
    """One line on stderr, once: what ended the command, and what is kept."""
    if _state.said or _state.quiet:
        return
    _state.said = _state.pipe is not None
    word = "Terminated" if number == signal.SIGTERM else "Interrupted"
    line = f"{word}. What is finished is kept; the same command goes on from there.\n"
    with contextlib.suppress(OSError, ValueError, AttributeError):
        shown_again = "\x1b[?25h" if os.isatty(2) else ""  # a progress bar hides the cursor
        sys.stderr.write(shown_again + line)
        sys.stderr.flush()


def keep_quiet() -> None:
    """Say nothing when this process is ended; its parent does."""
    _state.quiet = True


def finish() -> None:
    """All is done and printed: a signal that comes now ends the process at once, and raises nothing."""
    _state.finishing = True
