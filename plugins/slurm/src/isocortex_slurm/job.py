"""What runs inside a job: ``isocortex run-task FILE``, and what happens when Slurm takes the job away."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from submitit.core.utils import DelayedSubmission

#: exit code of a job that has reached its time limit more often than is allowed, as of ``timeout``
OUT_OF_TIME = 124
#: seconds that a task has to end by itself, and that a job waits for Slurm to take it away
_PATIENCE_S, _TAKEN_AWAY_S = 15.0, 300.0
_TERMINATED = (143, -15)


class RunTask:
    """Do the tasks of a file in a process of its own; submitit calls it in the job.

    submitit keeps an object of this class in a pickle, which holds the name of the class and a path, and nothing else.

    Parameters
    ----------
    path
        The file of tasks.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> None:
        """Run until the process has ended; the job ends with its exit code."""
        from submitit.core.utils import UncompletedJobError

        command = [sys.executable, "-m", "isocortex", "run-task", "--while-input-is-open", self.path]
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter with a command of our own
            command, env=environment_of_a_task(os.environ), stdin=subprocess.PIPE
        )
        try:
            code = self._process.wait()
        except UncompletedJobError:  # raised by submitit where the job may not start again
            self.end()
            sys.exit(OUT_OF_TIME)
        if code in _TERMINATED:  # Slurm is taking the job away, and says to nobody but the task why
            time.sleep(_TAKEN_AWAY_S)
        if code != 0:
            sys.exit(code if code > 0 else 128 - code)

    def checkpoint(self) -> DelayedSubmission:
        """End the process; the job starts again with the same tasks, and goes on from what is finished."""
        from submitit.core.utils import DelayedSubmission

        self.end()
        return DelayedSubmission(RunTask(self.path))

    def end(self) -> None:
        """End the process: it is asked to, and killed where it does not."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                process.kill()


def environment_of_a_task(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables of a task: as many threads as the job has cores, temporary files on the disk that the job was given.

    Whatever the user has set is left alone.

    Examples
    --------
    >>> environment_of_a_task({"SLURM_CPUS_PER_TASK": "4"})["OMP_NUM_THREADS"]
    '4'
    """
    own = dict(environment)
    n_cores = own.get("SLURM_CPUS_PER_TASK", "1")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        own.setdefault(name, n_cores)
    scratch = own.get("SLURM_TMPDIR", "")
    if scratch and Path(scratch).is_dir():
        own["TMPDIR"] = scratch
        own.setdefault("ISOCORTEX_SCRATCH", scratch)
    return own
