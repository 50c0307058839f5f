"""What Slurm knows of jobs: which are in the queue, and how the others have ended.

Only the controller knows what is in the queue: accounting lags behind, is switched off on some clusters, and calls a
task ended whose node failed and which runs again. So a job is over when it has left the queue; how it has ended is
asked of ``sacct``, and where that knows nothing, of ``scontrol``, which remembers for some minutes.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

_TIMEOUT_S = 60.0
#: states in which a job can be that has left the queue for good
_OVER = (
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
)
_PAIRS = re.compile(r"(\w+)=(\S*)")


@dataclass(frozen=True)
class Waiting:
    """A job that is in the queue: its state, and why it waits."""

    state: str
    reason: str


@dataclass(frozen=True)
class Ending:
    """How a job has ended.

    Parameters
    ----------
    state
        COMPLETED, FAILED, OUT_OF_MEMORY, …
    exit_code
        Of its command; 128 and more: a signal.
    node
        Where it ran; empty: nowhere.
    seconds
        How long.
    """

    state: str
    exit_code: int = 0
    node: str = ""
    seconds: int = 0


def in_the_queue() -> dict[str, Waiting] | None:
    """Jobs of this user that wait or run, by ID (``12_3``); None where Slurm does not answer."""
    text = _said_by(["squeue", "-h", "-r", "-u", str(os.getuid()), "-o", "%i|%T|%r"])
    if text is None:
        return None
    rows = [line.split("|", 2) for line in text.splitlines() if line.count("|") >= 2]
    return {job: Waiting(state, reason) for job, state, reason in rows}


def endings(jobs: Iterable[str]) -> dict[str, Ending]:
    """How jobs have ended, as far as Slurm knows; those that it takes for unfinished are left out."""
    wanted = set(jobs)
    arrays = sorted({job.partition("_")[0] for job in wanted})
    found = _of_sacct(arrays)
    if not wanted <= found.keys():
        found = {**_of_scontrol(arrays), **found}
    return {job: ending for job, ending in found.items() if job in wanted}


def _of_sacct(arrays: Sequence[str]) -> dict[str, Ending]:
    form = "JobID,State,ExitCode,NodeList,ElapsedRaw"
    text = _said_by(["sacct", "-n", "-P", "-j", ",".join(arrays), "-o", form])
    found: dict[str, Ending] = {}
    for line in (text or "").splitlines():
        job, state, code, node, seconds = (line.split("|") + [""] * 5)[:5]
        whole, dot, _ = job.partition(".")
        if not dot and _over(state):
            found[job] = Ending(_over(state), _exit_code(code), node.replace("None assigned", ""), int(seconds or 0))
        elif dot and state.startswith("OUT_OF_MEMORY") and whole in found:
            # the job itself is called FAILED, as its script has only seen that a step failed
            found[whole] = replace(found[whole], state="OUT_OF_MEMORY")
    return found


def _of_scontrol(arrays: Sequence[str]) -> dict[str, Ending]:
    found: dict[str, Ending] = {}
    for array in arrays:
        for line in (_said_by(["scontrol", "show", "job", "-o", array]) or "").splitlines():
            told = dict(_PAIRS.findall(line))
            number = told.get("ArrayTaskId")
            job = f"{told['ArrayJobId']}_{number}" if number else told.get("JobId", "")
            if _over(told.get("JobState", "")):
                node = told.get("NodeList", "").replace("(null)", "")
                ending = Ending(told["JobState"], _exit_code(told.get("ExitCode", "")), node, _seconds(told))
                found[job] = ending
    return found


def cancel(jobs: Iterable[str], *, whole_arrays: bool = True) -> bool:
    """Take jobs out of the queue, running ones too; whether Slurm has taken the order."""
    named = sorted({job.partition("_")[0] if whole_arrays else job for job in jobs})
    return not named or _said_by(["scancel", *named], timeout_s=4.0) is not None


def most_in_one_array() -> int:
    """How many jobs an array may have on this cluster."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _said_by(["scontrol", "show", "config"]) or "", re.MULTILINE)
    return max(1, int(found[1])) if found else 1001


def _over(state: str) -> str:
    """A state in which nothing more happens, without what Slurm adds ("CANCELLED by 0"); empty where more may."""
    word = state.split(" ")[0].rstrip("+")
    return word if word in _OVER else ""


def _exit_code(text: str) -> int:
    """``1:0`` is the exit code 1, ``0:9`` the signal 9."""
    code, _, signal = text.partition(":")
    return int(code or 0) or (128 + int(signal) if signal.isdigit() and int(signal) else 0)


def _seconds(told: dict[str, str]) -> int:
    days, _, clock = told.get("RunTime", "0:0:0").rpartition("-")
    hours, minutes, seconds = (int(part) for part in clock.split(":"))
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


def _said_by(command: list[str], timeout_s: float = _TIMEOUT_S) -> str | None:
    """What a command of Slurm prints; None where it fails, is not there, or does not answer."""
    try:
        done = subprocess.run(  # noqa: S603 - commands of Slurm with IDs of our own
            command, capture_output=True, text=True, timeout=timeout_s, check=False, start_new_session=True
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
