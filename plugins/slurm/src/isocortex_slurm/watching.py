"""Waiting for jobs: one line for each that ends, what the others wait for, and how much time is left."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from isocortex.errors import StoreError
from isocortex_slurm.queue import Ending, Waiting, cancel, endings, in_the_queue
from isocortex_slurm.reasons import reason_of

if TYPE_CHECKING:
    from isocortex_slurm.arrays import Job
    from isocortex_slurm.settings import Settings

#: seconds after which a job of which Slurm knows nothing is given up, and after which Slurm itself is
_UNKNOWN_S, _SILENT_S = 60.0, 1800.0
#: what a job waits for that will not come
_HOPELESS = ("DependencyNeverSatisfied", "launch failed requeued held")
#: what a job waits for in the ordinary course of things
_ORDINARY = ("", "None", "Priority", "Resources", "Dependency", "JobArrayTaskLimit", "BeginTime", "Cleaning")
#: exit codes with which a task says that cells have failed
_SAID_BY_TASKS = (1, 2)


class Watch:
    """Follows jobs until all are over.

    Parameters
    ----------
    jobs
        What was submitted.
    settings
        Of the cluster.
    say
        Told each line.
    """

    def __init__(self, jobs: Sequence[Job], settings: Settings, say: Callable[[str], object]) -> None:
        self.open = {job.id: job for job in jobs}
        self.settings, self.say = settings, say
        self.n_jobs = len(self.open)
        #: why jobs ended that have not done all
        self.reasons: dict[Job, str] = {}
        self._began = self._heard = time.monotonic()
        self._absent: dict[str, float] = {}
        self._told: set[str] = set()
        self._hopeless: dict[str, str] = {}

    def run(self) -> dict[Job, str]:
        """Wait until all jobs are over.

        Returns
        -------
        Why jobs have ended without having done all.

        Raises
        ------
        StoreError
            Slurm does not answer for half an hour; the jobs go on.
        """
        while self.open:
            queue = in_the_queue()
            if queue is None:
                self._not_heard()
            else:
                self._heard = time.monotonic()
                self._look(queue)
            if self.open:
                time.sleep(self.settings.poll_s)
        return self.reasons

    def _not_heard(self) -> None:
        silent = time.monotonic() - self._heard
        if silent > _SILENT_S:
            raise StoreError(
                f"squeue has not answered for {_clock(silent)}. The {len(self.open)} jobs that are left go on, as far "
                "as is known. Run again when Slurm answers: what is finished then is found."
            )
        self._once("squeue does not answer; the jobs go on, and it is asked again")

    def _look(self, queue: dict[str, Waiting]) -> None:
        self._tell_waiting(queue)
        gone = [job for job in self.open if job not in queue]
        found = endings(gone) if gone else {}
        for job in queue:
            self._absent.pop(job, None)
        for job in gone:
            since = self._absent.setdefault(job, time.monotonic())
            ending = found.get(job)
            # a job that did not complete may only be on its way back into the queue: it is looked at twice
            seen_twice = since < self._heard
            if ending is not None and (ending.state == "COMPLETED" or seen_twice):
                self._over(job, ending, queue)
            elif ending is None and time.monotonic() - since > _UNKNOWN_S:
                self._over(job, None, queue)

    def _tell_waiting(self, queue: dict[str, Waiting]) -> None:
        mine = {job: waiting for job, waiting in queue.items() if job in self.open}
        hopeless = [job for job, waiting in mine.items() if waiting.reason.strip("()") in _HOPELESS]
        for job in hopeless:
            self._hopeless[job] = (
                f"its job would never have started ({mine[job].reason.strip('()')}), and was cancelled"
            )
        if hopeless:
            cancel(hopeless, whole_arrays=False)
        why = Counter(w.reason.strip("()") for w in mine.values() if w.state == "PENDING")
        for reason, count in why.items():
            if reason not in _ORDINARY and reason not in _HOPELESS:
                self._once(f"jobs wait because of {reason} ({count} now); 'squeue --me' shows them", key=reason)

    def _over(self, job_id: str, ending: Ending | None, queue: dict[str, Waiting]) -> None:
        job = self.open.pop(job_id)
        resources = self.settings.extract if job.kind == "extract" else self.settings.score
        reason = self._hopeless.get(job_id) or reason_of(ending, resources, job.kind, job.log)
        if reason is not None:
            self.reasons[job] = reason
        running = sum(queue[other].state == "RUNNING" for other in self.open if other in queue)
        n_done = self.n_jobs - len(self.open)
        left = (time.monotonic() - self._began) / n_done * len(self.open)
        rest = f"{running} running, {len(self.open) - running} waiting, about {_clock(left)} left" if self.open else ""
        self.say(f"[{n_done}/{self.n_jobs}] {job.name}: {_word(ending, reason)}{f' ({rest})' if rest else ''}")

    def _once(self, text: str, key: str | None = None) -> None:
        if (key or text) not in self._told:
            self._told.add(key or text)
            self.say(text)


def _word(ending: Ending | None, reason: str | None) -> str:
    if ending is not None and ending.state == "FAILED" and ending.exit_code in _SAID_BY_TASKS:
        return f"failed after {_clock(ending.seconds)} on {ending.node}"
    if reason is not None or ending is None:
        return reason or ""
    return f"done in {_clock(ending.seconds)} on {ending.node}"


def _clock(seconds: float) -> str:
    """A time in words.

    Examples
    --------
    >>> _clock(8), _clock(75), _clock(7300)
    ('8 s', '1 min', '2.0 h')
    """
    return (
        f"{seconds:.0f} s"
        if seconds < 60
        else f"{seconds / 60:.0f} min"
        if seconds < 3600
        else f"{seconds / 3600:.1f} h"
    )
