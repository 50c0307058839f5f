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
        self._close_bar()
        print(printable(text), file=sys.stderr, flush=True)

    def step(self, what: str, done: int, total: int) -> None:
        """Show how far something is; on a terminal as a bar, otherwise one line per tenth."""
        if self.quiet or total == 0:
            return
        what = printable(what)
        if not sys.stderr.isatty():
            if done == total or done * 10 // total > (done - 1) * 10 // total:
                print(f"{what} {done}/{total}", file=sys.stderr, flush=True)
            return
        if self._bar is None:
            self._open_bar()
        if self._bar is not None:
            known = {task.description: task.id for task in self._bar.tasks}
            task = known.get(what)
            self._bar.update(self._bar.add_task(what, total=total) if task is None else task, completed=done)
        if done == total:
            self._close_bar()

    def _open_bar(self) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self._bar = Progress(console=Console(stderr=True), transient=True)
        self._bar.start()

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


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
