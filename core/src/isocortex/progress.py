"""Progress and log lines on stderr: a bar on a terminal, plain lines otherwise."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from isocortex.errors import printable

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
        Write nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
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
        if self.quiet:
            return
        self.close()
        _print(text)

    def step(self, what: str, done: int, total: int) -> None:
        """Show how far something is; on a terminal as a bar, otherwise one line per tenth."""
        if self.quiet or total == 0:
            return
        if sys.stderr is None or not sys.stderr.isatty():  # pyright: ignore[reportUnnecessaryComparison]
            if done == total or done * 10 // total > (done - 1) * 10 // total:
                _print(f"{what} {done}/{total}")
            return
        if self._bar is None:
            self._open_bar()
        if self._bar is not None:
            known = {task.description: task.id for task in self._bar.tasks}
            task = known.get(what)
            self._bar.update(self._bar.add_task(what, total=total) if task is None else task, completed=done)
        if done == total:
            self.close()

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
