"""Job arrays: files of tasks, submitted through submitit, and the job that does each."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from isocortex.errors import StoreError, UsageError
from isocortex.interfaces import Task
from isocortex_slurm.job import RunTask
from isocortex_slurm.queue import most_in_one_array

if TYPE_CHECKING:
    from isocortex_slurm.settings import Resources, Settings

Kind = Literal["extract", "score"]
#: by which submitit is told what it logs
_LOGGING = "SUBMITIT_LOG_LEVEL"


@dataclass(frozen=True)
class Job:
    """One job of an array.

    Parameters
    ----------
    id
        As Slurm writes it: ``12_3``, or ``12`` of an array of one.
    kind
        What its tasks are.
    tasks
        One after the other.
    log
        What they write.
    """

    id: str
    kind: Kind
    tasks: Sequence[Task]
    log: Path

    @property
    def name(self) -> str:
        """What a person calls it."""
        more = f" and {len(self.tasks) - 1} more" if len(self.tasks) > 1 else ""
        return f"{self.kind} {self.tasks[0].name}{more}"


def extractions_of(tasks: Iterable[Task]) -> list[Task]:
    """What tasks need, each once, in their order."""
    return list(dict.fromkeys(task.needs for task in tasks if task.needs is not None))


class Arrays:
    """Submits arrays into one folder.

    Parameters
    ----------
    settings
        Of this cluster.
    folder
        For files of tasks and logs, seen by all nodes.
    parallel
        At most so many jobs of an array at once; None: as the settings say.
    """

    def __init__(self, settings: Settings, folder: Path, parallel: int | None = None) -> None:
        self.settings, self.folder, self.parallel = settings, folder, parallel
        self._n_files = 0
        #: IDs of arrays, as soon as Slurm has taken them
        self.submitted: list[str] = []

    def submit(self, kind: Kind, tasks: Sequence[Task], after: Sequence[Job] = ()) -> list[Job]:
        """Submit tasks as one array, or as several where the cluster allows no array of that size.

        Parameters
        ----------
        after
            Jobs that have to be over before, however they end.

        Raises
        ------
        StoreError
            Files of tasks cannot be written.
        UsageError
            Slurm does not take them; the message holds what it says.
        """
        resources: Resources = getattr(self.settings, kind)
        parts = cut(tasks, resources.tasks_per_job)
        arrays = cut(parts, most_in_one_array())
        jobs: list[Job] = []
        for array in arrays:
            at_once = max(1, (self.parallel or resources.parallel) // len(arrays))
            parameters = self._parameters(kind, resources, at_once, after)
            jobs += self._submit(kind, array, parameters)
        return jobs

    def _submit(self, kind: Kind, parts: Sequence[Sequence[Task]], parameters: dict[str, Any]) -> list[Job]:
        with _own_logging():
            import submitit
            from submitit.core.utils import FailedJobError, FailedSubmissionError

        paths = [self._write(part) for part in parts]
        try:
            executor = submitit.AutoExecutor(self.folder, cluster="slurm", slurm_max_num_timeout=self.settings.requeues)
            executor.update_parameters(**parameters)
            with contextlib.redirect_stderr(io.StringIO()):  # what sbatch says is in the error
                submitted = executor.submit_array([RunTask(str(path)) for path in paths])
        except (FailedSubmissionError, FailedJobError, RuntimeError, OSError) as error:
            raise UsageError(
                f"Slurm does not take the jobs: {_last_line(error)}. Look at isocortex-slurm.toml, at 'sinfo' and at "
                "'sacctmgr show assoc'."
            ) from error
        self.submitted.append(submitted[0].job_id.partition("_")[0])
        return [
            Job(one.job_id, kind, tuple(part), one.paths.stdout) for one, part in zip(submitted, parts, strict=True)
        ]

    def _write(self, tasks: Sequence[Task]) -> Path:
        self._n_files += 1
        path = self.folder / f"tasks-{self._n_files}.json"
        try:
            path.write_text(json.dumps([task.to_json() for task in tasks], indent=1), encoding="utf-8")
        except OSError as error:
            raise StoreError(f"{path} cannot be written ({error.strerror}).") from error
        return path

    def _parameters(self, kind: Kind, resources: Resources, at_once: int, after: Sequence[Job]) -> dict[str, Any]:
        """Parameters of submitit for jobs of one kind; None: not set."""
        arrays = dict.fromkeys(job.id.partition("_")[0] for job in after)
        return {
            "name": f"isocortex-{kind}",
            "timeout_min": resources.minutes,
            "cpus_per_task": resources.cpus,
            "gpus_per_node": resources.gpus or None,
            "stderr_to_stdout": True,
            "slurm_mem": resources.memory,
            "slurm_partition": resources.partition,
            "slurm_account": resources.account,
            "slurm_array_parallelism": at_once,
            "slurm_dependency": ":".join(["afterany", *arrays]) if arrays else None,
            "slurm_setup": resources.setup or None,
            "slurm_signal_delay_s": self.settings.warning_s,
            # since Slurm 22.05 a step has one core, however many the job has, unless it is told
            "slurm_srun_args": [f"--cpus-per-task={resources.cpus}"],
            "slurm_additional_parameters": {"requeue": True, **resources.options},
        }


def cut(items: Sequence[Any], most: int) -> list[list[Any]]:
    """Cut a list into parts of at most so many, in their order.

    Examples
    --------
    >>> cut([1, 2, 3], 2)
    [[1, 2], [3]]
    """
    return [list(items[start : start + most]) for start in range(0, len(items), most)]


@contextlib.contextmanager
def _own_logging() -> Generator[None]:
    """Import submitit without its settings of logging, which would close the log handlers of whoever imports it."""
    before = os.environ.get(_LOGGING)
    os.environ[_LOGGING] = "NOCONFIG"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_LOGGING]
        else:
            os.environ[_LOGGING] = before


def _last_line(error: BaseException) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1].removeprefix("sbatch: error: ").rstrip(".") if lines else type(error).__name__
