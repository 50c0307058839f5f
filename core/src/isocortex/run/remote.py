"""A run whose tasks are done on other machines: what is finished is not handed over, and nothing is computed here.

This process may be one of a login node, on which nobody should compute. So results are found, failures are read, and of
a task that was killed the executor says why.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.errors import StoreError, TaskError
from isocortex.files.leftovers import sweep
from isocortex.progress import Stopwatch
from isocortex.results.result import Result, read_result
from isocortex.run.executors import run_on
from isocortex.run.plan import Plan
from isocortex.run.runner import failure_path
from isocortex.run.tasks import Score, tasks_of

if TYPE_CHECKING:
    from isocortex.interfaces import Executor
    from isocortex.run.plan import Cell
    from isocortex.run.runner import Runner

#: seconds within which a file that another machine has written is seen here, and between two looks
PATIENCE_S, _BETWEEN_LOOKS_S = 60.0, 2.0

#: of a file: when and how it was written, or None where it is not there
_Stamp = tuple[int, int, int] | None


@dataclass(frozen=True)
class _Before:
    """What lay in the folder of a cell before the run."""

    results: frozenset[Path]
    failure: _Stamp


def run_remotely(executor: Executor, runner: Runner, plan: Plan) -> list[Result]:
    """Hand the unfinished cells of a plan to an executor, and find what has become of them.

    Returns
    -------
    One result per cell, in the order of the plan; a cell that has neither result nor failure gets a failure record.

    Raises
    ------
    IsocortexError
        What the executor raises; what its tasks have finished is kept.
    """
    sweep(runner.config.folder)
    runner.call("isocortex_before_run", plan=plan)
    done: dict[Cell, Result] = {}
    for cell in plan.cells:
        found = runner.find(cell)
        if found is not None:
            done[cell] = found.model_copy(update={"suites": list(dict.fromkeys([*found.suites, *cell.suites]))})
    left = [cell for cell in plan.cells if cell not in done]
    if left:
        before = {cell: _before(runner, cell) for cell in left}
        tasks = tasks_of(Plan(tuple(left)), runner.config)
        given = run_on(executor, tasks)
        reasons = {task.cell: reason for task, reason in given.items() if isinstance(task, Score)}
        done |= _ended(runner, before, reasons)
    for number, cell in enumerate(plan.cells, start=1):
        runner.tell(f"[{number}/{len(plan.cells)}]", cell, done[cell])
    results = [done[cell] for cell in plan.cells]
    runner.call("isocortex_after_run", results=results)
    return results


def _ended(runner: Runner, before: Mapping[Cell, _Before], reasons: Mapping[Cell, str]) -> dict[Cell, Result]:
    """What has become of cells. One without a reason must have left something: it is waited for a while."""
    ended: dict[Cell, Result] = {}
    until = time.monotonic() + PATIENCE_S
    while True:
        for cell in [cell for cell in before if cell not in ended]:
            found = runner.find(cell, with_kept=False) or _new(runner, cell, before[cell])
            if found is not None:
                ended[cell] = found.model_copy(update={"cached": False})
        if all(cell in ended or cell in reasons for cell in before) or time.monotonic() > until:
            break
        time.sleep(_BETWEEN_LOOKS_S)
    for cell in before:
        if cell not in ended:
            why = reasons.get(cell, "its task has ended without a result and without a reason")
            error = TaskError(f"{why}. What is finished is kept. Run again, and it is tried again.")
            ended[cell] = runner.fail(cell, error, Stopwatch())
    return ended


def _before(runner: Runner, cell: Cell) -> _Before:
    folder = runner.folder(cell)
    return _Before(frozenset(folder.glob("*/result.json")), _stamp(failure_path(folder, cell)))


def _new(runner: Runner, cell: Cell, before: _Before) -> Result | None:
    """A failure, or the result of a model without digest, that was not there before the run."""
    folder = runner.folder(cell)
    made = [path for path in folder.glob("*/result.json") if path not in before.results]
    if _stamp(failure_path(folder, cell)) not in (before.failure, None):
        made = [failure_path(folder, cell)]
    for path in made:
        with contextlib.suppress(StoreError):
            found = read_result(path)
            if found.seed == cell.seed:
                return found
    return None


def _stamp(path: Path) -> _Stamp:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_ino, state.st_size
