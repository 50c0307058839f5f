"""Progress and log lines on stderr: a bar on a terminal, plain lines otherwise, also in a notebook; and in a file."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from isocortex.errors import StoreError, printable

if TYPE_CHECKING:
    from rich.progress import Progress


#: bars that are shown now
_open: set[Progress] = set()


def close_bars() -> None:
    """Take away what an interrupt has left on the terminal, and give the cursor back."""
    while _open:
        _open.pop().stop()


class Reporter:
    """Writes what happens to stderr.

    Parameters
    ----------
    quiet
        Write nothing to stderr.
    log
        A file to which every line is added, with the time; what is in it stays.

    Raises
    ------
    StoreError
        The file cannot be written to.
    """

    def __init__(self, *, quiet: bool = False, log: Path | None = None) -> None:
        self.quiet, self.log = quiet, log
        self._file = None if log is None else _opened(log)
        self._overall: tuple[str, int, int] | None = None
        self._bar: Progress | None = None
        self._warned: set[str] = set()

    def warn(self, texts: Sequence[str]) -> None:
        """Write warnings, each one once."""
        for text in dict.fromkeys(texts):
            if text not in self._warned:
                self._warned.add(text)
                self.line(f"warning: {text}")

    def line(self, text: str) -> None:
        """Write one line."""
        self._note(text)
        if self.quiet:
            return
        self.close()
        _print(text)

    def overall(self, what: str, done: int, total: int) -> None:
        """Show how far the whole is, above the steps: on a terminal alone, where lines say it otherwise."""
        self._overall = (what, done, total)
        if not self.quiet and _on_terminal():
            self._show(*self._overall)

    def _note(self, text: str) -> None:
        """Add a line to the file; one that cannot be written to any more is left alone, which is said once."""
        if self._file is None:
            return
        try:
            self._file.write(f"{now()} {printable(text)}\n")
            self._file.flush()
        except (OSError, ValueError) as error:
            self._file = None
            _print(f"warning: {self.log} cannot be written to any more ({error}); what follows is not in it.")

    def step(self, what: str, done: int, total: int) -> None:
        """Show how far something is; on a terminal as a bar, otherwise one line per tenth."""
        tenth = total > 0 and (done == total or done * 10 // total > (done - 1) * 10 // total)
        if tenth:
            self._note(f"{what} {done}/{total}")
        if self.quiet or total == 0:
            return
        if not _on_terminal():
            if tenth:
                _print(f"{what} {done}/{total}")
            return
        if self._overall is not None:
            self._show(*self._overall)
        self._show(what, done, total)
        if done == total:
            self.close()

    def _show(self, what: str, done: int, total: int) -> None:
        from rich.markup import escape

        if self._bar is None:
            self._open_bar()
        if self._bar is not None:
            name = escape(printable(what))
            task = {task.description: task.id for task in self._bar.tasks}.get(name)
            self._bar.update(self._bar.add_task(name, total=total) if task is None else task, completed=done)

    def _open_bar(self) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self._bar = Progress(console=Console(stderr=True), transient=True)
        _open.add(self._bar)
        self._bar.start()

    def close(self) -> None:
        """Take the bar away, and give the cursor back, whatever ended the work."""
        if self._bar is not None:
            self._bar.stop()
            _open.discard(self._bar)
            self._bar = None


def _opened(log: Path) -> TextIO:
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        return log.open("a", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{log} cannot be written to ({error.strerror}). Give another file to --log.") from error


def _on_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()  # pyright: ignore[reportUnnecessaryComparison]


def lasting(seconds: float) -> str:
    """A time as a person says it.

    Examples
    --------
    >>> lasting(0.04), lasting(12.3), lasting(150), lasting(7500)
    ('0.0 s', '12 s', '2.5 min', '2 h 5 min')
    """
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min" if seconds < 600 else f"{seconds / 60:.0f} min"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def _print(text: str) -> None:
    """A line on stderr; nobody's work ends because nobody reads it, as in ``2>&1 | head``, or where it was closed."""
    if sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison] - print would take stdout
        with contextlib.suppress(OSError, ValueError):
            print(printable(text), file=sys.stderr, flush=True)


class Stopwatch:
    """Wall time of the phases of a cell."""

    def __init__(self) -> None:
        self.started = now()
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def phase(self, name: str) -> Generator[None]:
        """Add what happens inside to a phase."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - start, 4)


def now() -> str:
    """The present time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")
