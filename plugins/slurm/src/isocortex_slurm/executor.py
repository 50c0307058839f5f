"""The executor ``slurm``: extractions as one array, scores as one that waits for it, and what became of them."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from isocortex.errors import StoreError, UsageError
from isocortex.interfaces import Executor, Task
from isocortex_slurm.arrays import Arrays, Job, extractions_of
from isocortex_slurm.queue import cancel
from isocortex_slurm.settings import FILE, read_settings
from isocortex_slurm.watching import Watch

_COMMANDS = ("sbatch", "srun", "squeue", "scancel", "scontrol")


class SlurmExecutor(Executor):
    """Submits tasks to Slurm, waits for them, and says why those have ended that could not say it themselves."""

    remote = True

    def run(self, tasks: Sequence[Task]) -> Mapping[Task, str]:
        """Have all tasks run; each extraction that several need runs once, before them.

        Scores wait until all extractions are over, however these end: one whose extraction failed extracts itself, or
        fails by itself. On an interrupt the jobs are cancelled; what they have finished is kept.

        Raises
        ------
        UsageError
            No Slurm here, or it does not take the jobs.
        SettingsError
            ``isocortex-slurm.toml`` is not valid.
        StoreError
            The folder of jobs cannot be used, or Slurm does not answer for half an hour.
        """
        absent = [command for command in _COMMANDS if shutil.which(command) is None]
        if absent:
            raise UsageError(
                f"There is no Slurm here ({absent[0]} is not found). Run this on a login node of the cluster."
            )
        settings, path = read_settings()
        if path is None:
            self.say(f"There is no {FILE} here: jobs get 1 core, 4 hours, and what the cluster gives by itself")
        folder = made_folder(Path(settings.folder))
        arrays = Arrays(settings, folder, self.n_jobs)
        jobs: list[Job] = []
        try:
            jobs += self._submitted(arrays, tasks)
            reasons = Watch(jobs, settings, self.say).run()
        except (KeyboardInterrupt, UsageError):
            self._cancel(arrays)
            raise
        if not reasons:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            self.say(f"{len(reasons)} of {len(jobs)} jobs have not done all; what they wrote is in {folder}")
        return {task: reason for job, reason in reasons.items() for task in job.tasks}

    def _submitted(self, arrays: Arrays, tasks: Sequence[Task]) -> list[Job]:
        began = time.perf_counter()
        extracting = arrays.submit("extract", extractions_of(tasks))
        scoring = arrays.submit("score", tasks, after=extracting)
        names = ", ".join(arrays.submitted)
        seconds = time.perf_counter() - began
        self.say(
            f"{len(extracting)} jobs that extract and {len(scoring)} that score are submitted in {seconds:.1f} s as "
            f"{names}; Ctrl-C cancels them"
        )
        return [*extracting, *scoring]

    def _cancel(self, arrays: Arrays) -> None:
        names = ", ".join(arrays.submitted)
        if not names:
            return
        taken = cancel(arrays.submitted)
        self.say(
            f"Cancelled {names}." if taken else f"{names} may go on: Slurm has not answered. 'scancel --me' ends all."
        )


def made_folder(parent: Path) -> Path:
    """A new folder for the jobs of one run, to which nobody else can write: submitit keeps pickles there.

    Raises
    ------
    StoreError
        It cannot be made, or others could put files into it.
    """
    folder = parent.absolute() / f"{time.strftime('%Y-%m-%dT%H%M%S')}-{os.getpid()}"
    try:
        folder.mkdir(parents=True, mode=0o700)
        state = folder.stat()
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be made ({error.strerror}). Name another folder, which all nodes see, as folder = … in "
            f"{FILE}."
        ) from error
    if state.st_uid != os.getuid() or state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StoreError(
            f"Others can write to {folder}, and so run code in your jobs. Name another as folder = … in {FILE}."
        )
    return folder
