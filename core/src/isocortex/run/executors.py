"""Where the tasks of a run are done: here, in several processes of this machine, or where a plugin does them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.catalogue.cards import ExecutorCard
from isocortex.errors import EXIT_FAILED, EXIT_USAGE, IsocortexError, PluginError, StoreError
from isocortex.files.children import side_by_side
from isocortex.interfaces import Executor, Task
from isocortex.run.tasks import run_tasks, write_tasks

if TYPE_CHECKING:
    from isocortex.loading.resolver import Resolver


class Local(Executor):
    """Tasks are done in this process, one after the other."""

    def run(self, tasks: Sequence[Task]) -> None:
        """Do all tasks here."""
        run_tasks(tasks)


class Processes(Executor):
    """Tasks are shared among processes of this machine, which end when this one does."""

    def run(self, tasks: Sequence[Task]) -> None:
        """Do all tasks in ``n_jobs`` processes.

        Raises
        ------
        StoreError
            A process died; what it finished is kept.
        """
        parts = shares(tasks, self.n_jobs or os.cpu_count() or 1)
        noted = [] if self.log is None else ["--log", str(self.log)]
        with tempfile.TemporaryDirectory(prefix="isocortex-tasks-") as folder:
            paths = [Path(folder) / f"{number}.json" for number in range(len(parts))]
            for path, part in zip(paths, parts, strict=True):
                write_tasks(path, part)
            codes = side_by_side([["run-task", "--while-input-is-open", *noted, str(path)] for path in paths])
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
