"""Why a job has ended, in words, and what to do about it."""

from __future__ import annotations

import signal
from pathlib import Path

from isocortex_slurm.job import OUT_OF_TIME
from isocortex_slurm.queue import Ending
from isocortex_slurm.settings import Resources

#: what slurmstepd and srun write where memory did not suffice; the job itself may be called FAILED or CANCELLED then
_OF_MEMORY = ("oom-kill event", "oom_kill event", "Out Of Memory", "exceeded memory limit", "Exceeded job memory limit")
_END_OF_LOG = 20_000


def reason_of(ending: Ending | None, resources: Resources, section: str, log: Path) -> str | None:
    """Why a job has ended without having done all; None: it has done all that it could, and its tasks say what failed.

    Parameters
    ----------
    ending
        None: Slurm knows nothing of the job.
    resources, section
        What it was given, and in which section of the settings that stands.
    log
        What it has written.
    """
    if ending is None:
        return "Slurm knows nothing of its job: it was cancelled before it began, or the controller forgot it"
    where = f" on {ending.node}" if ending.node else ""
    if ending.state == "OUT_OF_MEMORY" or (ending.state != "COMPLETED" and _out_of_memory(log)):
        given = f'more than memory = "{resources.memory}"' if resources.memory else "more than the cluster gives a job"
        return f"out of memory{where}: it took {given}. Raise memory in [{section}]"
    if ending.state in ("TIMEOUT", "DEADLINE") or ending.exit_code == OUT_OF_TIME:
        return f"out of time{where}: not done within time = {resources.time!r}. Raise time in [{section}]"
    if ending.state == "CANCELLED":
        return f"cancelled{where}"
    if ending.state in ("NODE_FAIL", "BOOT_FAIL"):
        return f"its node failed{where}, and Slurm did not start it again"
    if ending.state in ("PREEMPTED", "REVOKED"):
        return f"taken away for other jobs{where}, and Slurm did not start it again"
    if ending.state == "FAILED":
        return _failed(ending.exit_code, where, log)
    return None


def _failed(code: int, where: str, log: Path) -> str:
    if code > 128:
        name = next((one.name for one in signal.Signals if one == code - 128), "")
        more = "; often for want of memory" if code - 128 == signal.SIGKILL else ""
        return f"killed{where} by signal {code - 128} {name}{more}. Its log is {log}".replace("  ", " ")
    return f"ended{where} with exit code {code}. Its log is {log}"


def _out_of_memory(log: Path) -> bool:
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _END_OF_LOG))
            text = file.read().decode(errors="replace")
    except OSError:
        return False
    return any(words in text for words in _OF_MEMORY)
