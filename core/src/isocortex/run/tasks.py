"""A run as tasks: JSON that any process can do by itself, twice without doing the work twice.

A task names everything that it needs; only the folders of data and cache come from the environment. Relative paths
within names are read from the working folder that the task names.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from isocortex.errors import FilesError, IsocortexError, UsageError, said_of_a_plugin, shorten
from isocortex.files.digests import digest_of
from isocortex.interfaces import Task
from isocortex.loading.brain_model import BRAIN_PREFIX
from isocortex.progress import Reporter, Stopwatch
from isocortex.run.plan import Cell, Plan, RunConfig

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from isocortex.results.result import Result

#: of a task file; raised when the fields of a task change
FORMAT = 3

_EXACTLY = {"extra": "forbid"}


@dataclass(frozen=True)
class Conditions:
    """How a task runs.

    Parameters
    ----------
    device, batch_size, offline
        As in ``RunConfig``.
    folder
        The working folder: relative paths within names start there.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = _EXACTLY

    device: str = "auto"
    batch_size: int | None = None
    offline: bool = False
    folder: str = field(default_factory=lambda: str(Path.cwd()))

    @classmethod
    def of(cls, config: RunConfig) -> Conditions:
        """Those of a run that is asked for here."""
        return cls(config.device, config.batch_size, config.offline)


@dataclass(frozen=True)
class Extract(Task):
    """Run a model on stimuli and keep its activations in the cache.

    Parameters
    ----------
    model, variant
        ``package::ID`` or ``activations:FOLDER``, and the variant.
    stimuli
        ID or ``folder:PATH``.
    reduction, layers
        As in a benchmark and in ``RunConfig``.
    how
        Device, batch size and so on.
    dataset, limit
        Of a trial: the data set of which so many stimuli are taken.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = _EXACTLY

    model: str
    variant: str
    stimuli: str
    reduction: str
    layers: tuple[str, ...]
    how: Conditions
    dataset: str | None = None
    limit: int | None = None

    @property
    def name(self) -> str:
        """``model@variant on stimuli``."""
        return f"{self.model}@{self.variant} on {self.stimuli}"

    @property
    def group(self) -> str:
        """The extraction."""
        return digest_of([self.model, self.variant, self.stimuli, self.reduction, self.dataset, self.limit])

    def to_json(self) -> dict[str, Any]:
        """The task as plain lists and dictionaries."""
        return {"format": FORMAT, "task": "extract", **asdict(self)}


@dataclass(frozen=True)
class Score(Task):
    """Score one cell and put its result into the results folder; what is not yet extracted is extracted.

    Parameters
    ----------
    cell
        What is scored.
    how
        Device, batch size and so on.
    out
        Results folder, an absolute path.
    keep, draws, null
        As in ``RunConfig``.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = _EXACTLY

    cell: Cell
    how: Conditions
    out: str
    keep: tuple[str, ...] = ()
    draws: int | None = None
    null: str | None = None

    @property
    def name(self) -> str:
        """``model@variant × benchmark``."""
        return self.cell.name

    @property
    def group(self) -> str:
        """The extraction."""
        return self._extraction.group

    @property
    def needs(self) -> Extract | None:
        """The extraction of its model; equal for all cells that share it.

        None of a model that learns here, of several models as one, and of a brain, which the score extracts.
        """
        asked = self.cell.asked
        own = asked.variant.startswith("trained") or self.cell.summed or asked.model.startswith(BRAIN_PREFIX)
        return None if own else self._extraction

    @property
    def _extraction(self) -> Extract:
        cell, asked = self.cell, self.cell.asked
        trial = (None, None) if cell.limit is None else (cell.dataset, cell.limit)
        return Extract(asked.model, asked.variant, cell.stimuli, cell.reduction, cell.layers, self.how, *trial)

    def to_json(self) -> dict[str, Any]:
        """The task as plain lists and dictionaries."""
        return {"format": FORMAT, "task": "score", **asdict(self)}


#: the word in a task file → the task
TASKS: dict[str, type[Extract] | type[Score]] = {"extract": Extract, "score": Score}


def tasks_of(plan: Plan, config: RunConfig) -> list[Score]:
    """One task for each cell of a plan, in its order."""
    how, out = Conditions.of(config), str(config.folder.absolute())
    return [Score(cell, how, out, config.keep, config.draws, config.null) for cell in plan.cells]


def extractions_of(plan: Plan, config: RunConfig) -> list[Extract]:
    """One task for each extraction that the cells of a plan share."""
    return list(dict.fromkeys(task.needs for task in tasks_of(plan, config) if task.needs is not None))


# --- files of tasks ---------------------------------------------------------------------------------------------------


def task_from_json(content: Any) -> Extract | Score:
    """The task that plain lists and dictionaries stand for.

    Raises
    ------
    FilesError
        They are no task, or one of another version.
    """
    from pydantic import ValidationError

    if not isinstance(content, dict) or str(content.get("task")) not in TASKS:
        raise FilesError(f'Expected a task with "task": {" or ".join(TASKS)}; found none. Write it again.')
    if content.get("format") != FORMAT:
        raise FilesError(
            f"Expected a task of format {FORMAT}, found {content.get('format')!r}: another version of isocortex wrote "
            "it. Write it again with this one."
        )
    fields = {name: value for name, value in content.items() if name not in ("format", "task")}
    try:
        return _reader(content["task"]).validate_python(fields)
    except ValidationError as error:
        problems = shorten((f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()), 2)
        raise FilesError(f"The task is damaged ({problems}). Write it again.") from error


@cache
def _reader(task: str) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(TASKS[task])


def write_tasks(path: Path, tasks: Sequence[Task]) -> None:
    """Write tasks into one file, for ``isocortex run-task``."""
    path.write_text(json.dumps([task.to_json() for task in tasks], indent=1), encoding="utf-8")


def read_tasks(path: Path) -> list[Extract | Score]:
    """Read a file that holds one task, or a list of them.

    Raises
    ------
    FilesError
        It cannot be read, or holds what is no task of this version.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise FilesError(f"{path} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise FilesError(f"{path} is no task file: it holds no JSON ({error}). Write it again.") from error
    try:
        return [task_from_json(item) for item in (content if isinstance(content, list) else [content])]
    except FilesError as error:
        raise FilesError(f"{path}: {error}") from error


# --- running them -----------------------------------------------------------------------------------------------------


def run_task(task: Task, reporter: Reporter | None = None) -> Result | None:
    """Do one task here: the result of a score, None of an extraction.

    Raises
    ------
    IsocortexError
        An extraction failed; a score that fails is a result, and a record on disk.
    """
    results = run_tasks([task], reporter)
    return results[0] if results else None


def run_tasks(tasks: Sequence[Task], reporter: Reporter | None = None) -> list[Result]:
    """Do tasks here, one after the other; scores that follow each other share what is prepared and extracted.

    Returns
    -------
    The results of the scores, in order.

    Raises
    ------
    UsageError
        A task that core did not make.
    IsocortexError
        An extraction failed, raised when all other tasks are done; a score that fails is a result, and a record on
        disk.
    """
    foreign = [task for task in tasks if not isinstance(task, (Extract, Score))]
    if foreign:
        raise UsageError(f"Expected tasks that core made, found {type(foreign[0]).__name__}.")
    told, results, errors = reporter or Reporter(), list[Any](), list[IsocortexError]()
    for one, together in itertools.groupby(tasks, key=_asked_alike):
        if isinstance(one, Extract):
            try:
                _extract(one, told)
            except IsocortexError as error:
                errors.append(error)
        else:
            results += _score([task for task in together if isinstance(task, Score)], told)
    for error in errors[1:]:
        told.line(f"error: {error}")
    if errors:
        raise errors[0]
    return results


def _asked_alike(task: Task) -> object:
    """What scores that one runner can do have in common; extractions run one by one."""
    return (task.how, task.out, task.keep, task.draws, task.null) if isinstance(task, Score) else task


def _score(tasks: Sequence[Score], reporter: Reporter) -> list[Result]:
    from isocortex.loading.resolver import resolver
    from isocortex.run.hook_caller import HookCaller
    from isocortex.run.runner import Runner

    first, how = tasks[0], tasks[0].how
    config = RunConfig(
        device=how.device,
        batch_size=how.batch_size,
        keep=first.keep,
        draws=first.draws,
        null=first.null,
        offline=how.offline,
        out=Path(first.out),
    )
    with _working_in(how.folder):
        found = resolver(offline=how.offline)
        hooks = HookCaller(found.catalogue.plugins, reporter.line)
        cells = dict.fromkeys(task.cell for task in tasks)
        return Runner(found, config, reporter, hooks).run(Plan(tuple(cells)))


def _extract(task: Extract, reporter: Reporter) -> None:
    from isocortex.catalogue.cards import Variant
    from isocortex.devices import device_of
    from isocortex.extraction.cached import Extraction, check_modality
    from isocortex.loading.resolver import resolver
    from isocortex.run.tested_stimuli import for_trial

    how = task.how
    with _working_in(how.folder):
        found = resolver(offline=how.offline)
        model = found.model(task.model)
        limited = None if task.dataset is None else for_trial(found.dataset(task.dataset), task.limit)
        stimuli = found.stimuli(task.stimuli) if limited is None else limited.stimuli
        check_modality(task.model, model.card, stimuli)
        variant, device = Variant.parse(task.variant), device_of(how.device, accelerated=model.accelerated)
        wanted = Extraction(
            model, variant, stimuli, task.reduction, device, reporter, Stopwatch(), batch_size=how.batch_size
        )
        if wanted.folder is None:
            reporter.line(f"{task.name}: not extracted: the model has no digest, so that each score extracts it")
        else:
            with said_of_a_plugin(f"{task.name} cannot be extracted"):
                wanted.kept_layers(task.layers, wanted.folder)


@contextlib.contextmanager
def _working_in(folder: str) -> Any:
    """Work in a folder, as where the task was written.

    Raises
    ------
    FilesError
        It is not there.
    """
    before = Path.cwd()
    try:
        os.chdir(folder)
    except OSError as error:
        raise FilesError(f"The working folder {folder} of the task cannot be used ({error.strerror}).") from error
    try:
        yield
    finally:
        os.chdir(before)
