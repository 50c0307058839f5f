"""Where the tasks of a run are done: here, in several processes of this machine, or where a plugin does them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.catalogue.cards import ExecutorCard
from isocortex.errors import EXIT_FAILED, EXIT_USAGE, IsocortexError, PluginError, StoreError
from isocortex.files.interruption import end_now, ended_with, keep_quiet, obey_signals
from isocortex.interfaces import Executor, Task
from isocortex.run.tasks import run_tasks, write_tasks

if TYPE_CHECKING:
    from isocortex.loading.resolver import Resolver

#: seconds that processes have to end by themselves when this one is stopped
_PATIENCE_S = 5.0


class Local(Executor):
    """Tasks are done in this process, one after the other."""

    def run(self, tasks: Sequence[Task]) -> None:
        """Do all tasks here."""
        run_tasks(tasks)


class Processes(Executor):
    """Tasks are shared among processes of this machine, which end when this one does.

    Each of them reads from a pipe that this process alone can write to: when it is closed, by whatever ends this
    process, they end themselves.
    """

    def run(self, tasks: Sequence[Task]) -> None:
        """Do all tasks in ``n_jobs`` processes.

        Raises
        ------
        StoreError
            A process died; what it finished is kept.
        """
        parts = shares(tasks, self.n_jobs or os.cpu_count() or 1)
        with tempfile.TemporaryDirectory(prefix="isocortex-tasks-") as folder:
            running: list[subprocess.Popen[bytes]] = []
            with ended_with(lambda: _kill(running)):
                try:
                    for number, part in enumerate(parts):
                        path = Path(folder) / f"{number}.json"
                        write_tasks(path, part)
                        running.append(_started(path, len(parts), self.log))
                    codes = [process.wait() for process in running]
                finally:
                    for process in running:
                        _close_input(process)
                    for process in running:
                        _see_ended(process)
        if any(code not in (0, EXIT_FAILED, EXIT_USAGE) for code in codes):
            worst = max(codes, key=abs)
            raise StoreError(f"A process ended with exit code {worst}; what it finished is kept. Run again.")


#: core's own, by name
OWN: dict[str, type[Executor]] = {"local": Local, "processes": Processes}


def executor_of(resolver: Resolver, name: str, n_jobs: int | None = None) -> Executor:
    """The executor of that name: core's own, or that of a plugin.

    Raises
    ------
    UnknownIDError
        No installed package offers it.
    PluginError
        It cannot be made.
    """
    own = OWN.get(name)
    found = own(ExecutorCard(id=name, object=f"{own.__module__}:{own.__name__}")) if own else resolver.executor(name)
    found.n_jobs = n_jobs
    return found


def run_on(executor: Executor, tasks: Sequence[Task]) -> Mapping[Task, str]:
    """Hand tasks to an executor; whatever a third party's raises is one message.

    Returns
    -------
    Why tasks ended that could not say it themselves.

    Raises
    ------
    IsocortexError
        What the executor raises on purpose.
    PluginError
        Anything else that it raises.
    """
    try:
        return executor.run(tasks) or {}
    except IsocortexError:
        raise
    except (Exception, SystemExit) as error:  # whatever a third party's executor raises
        raise PluginError(
            f"The executor {executor.card.id!r} failed with {type(error).__name__}: {error}. What it finished is kept. "
            "Run again, or without --executor."
        ) from error


def shares(tasks: Sequence[Task], n_jobs: int) -> list[list[Task]]:
    """Tasks cut into at most ``n_jobs`` shares; those that share an extraction are in one, in their order.

    Examples
    --------
    >>> shares([], 2)
    []
    """
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.group, []).append(task)
    parts: list[list[Task]] = [[] for _ in range(min(n_jobs, len(groups)))]
    for group in groups.values():
        min(parts, key=len).extend(group)
    return parts


def _started(path: Path, n_jobs: int, log: Path | None) -> subprocess.Popen[bytes]:
    """A process that does the tasks of a file and holds the reading end of a pipe as its standard input."""
    noted = [] if log is None else ["--log", str(log)]
    command = [sys.executable, "-m", "isocortex", "run-task", "--while-input-is-open", *noted, str(path)]
    environment = {**os.environ, **_threads(n_jobs)}
    return subprocess.Popen(  # noqa: S603 - this interpreter with a command of our own
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C reaches this process alone, and the others through their input
    )


def _close_input(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()


def _kill(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        with contextlib.suppress(OSError):
            process.kill()


def _see_ended(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        _kill([process])
        process.wait()


def _threads(n_jobs: int) -> dict[str, str]:
    """Share the cores among the processes, unless the user has decided."""
    share = str(max(1, (os.cpu_count() or 1) // n_jobs))
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {name: os.environ.get(name, share) for name in names}


# --- inside such a process --------------------------------------------------------------------------------------------


def end_with_the_input(seconds: float = 1.0) -> None:
    """From now on, end this process when its standard input is closed: its parent is gone.

    It is interrupted, so that temporary folders go; what does not stop within ``seconds`` is ended.
    """
    import signal
    import threading
    import time

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        keep_quiet()  # the parent says what there is to say
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(seconds)
        end_now(128 + signal.SIGTERM)

    obey_signals()
    threading.Thread(target=watch, daemon=True, name="watches the parent").start()
