"""What Slurm says of jobs, in its own words (22.05), and what is made of it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from isocortex.errors import StoreError
from isocortex_slurm import queue, watching
from isocortex_slurm.arrays import Job
from isocortex_slurm.queue import Ending, endings, in_the_queue
from isocortex_slurm.reasons import reason_of
from isocortex_slurm.settings import Resources, Settings
from isocortex_slurm.watching import Watch

SCONTROL = (
    "JobId=14 ArrayJobId=12 ArrayTaskId=1 JobName=isocortex-score UserId=me(7) JobState=FAILED Reason=NonZeroExitCode "
    "ExitCode=137:0 RunTime=1-00:00:05 NodeList=n2 BatchHost=n2\n"
    "JobId=12 ArrayJobId=12 ArrayTaskId=2 JobState=PENDING Reason=None ExitCode=0:0 RunTime=00:00:00\n"
)


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[str]]]:
    """Slurm's commands say this; what they are asked is returned."""

    def stub(**texts: str | None) -> list[list[str]]:
        asked: list[list[str]] = []

        def say(command: list[str], **_: Any) -> str | None:
            asked.append(command)
            return texts.get(command[0])

        monkeypatch.setattr(queue, "_said_by", say)
        return asked

    return stub


def test_the_queue_is_read_task_by_task(says) -> None:
    says(squeue="12_0|RUNNING|None\n12_1|PENDING|Priority\n13|PENDING|(launch failed requeued held)\n")
    found = in_the_queue()
    assert found is not None
    assert {job: (one.state, one.reason) for job, one in found.items()} == {
        "12_0": ("RUNNING", "None"),
        "12_1": ("PENDING", "Priority"),
        "13": ("PENDING", "(launch failed requeued held)"),
    }
    says(squeue=None)
    assert in_the_queue() is None


def test_endings_come_from_accounting_and_a_step_says_that_memory_did_not_suffice(says) -> None:
    asked = says(
        sacct="12_0|COMPLETED|0:0|n1|7\n12_0.0|COMPLETED|0:0|n1|7\n12_1|FAILED|137:0|n2|3\n12_1.batch|FAILED|1:0|n2|3\n"
        "12_1.0|OUT_OF_MEMORY|0:125|n2|3\n12_2|CANCELLED by 0|0:15|None assigned|0\n12_3|RUNNING|0:0|n1|9\n"
        "12_[4-7]|PENDING|0:0|None assigned|0\n"
    )
    assert endings(["12_0", "12_1", "12_2"]) == {
        "12_0": Ending("COMPLETED", 0, "n1", 7),
        "12_1": Ending("OUT_OF_MEMORY", 137, "n2", 3),
        "12_2": Ending("CANCELLED", 128 + 15, "", 0),
    }
    assert [command[0] for command in asked] == ["sacct"]
    assert endings(["12_3", "12_4"]) == {}


def test_without_accounting_the_controller_is_asked(says) -> None:
    says(sacct=None, scontrol=SCONTROL)
    assert endings(["12_1", "12_2"]) == {"12_1": Ending("FAILED", 137, "n2", 86405)}


@pytest.mark.parametrize("text", ["MaxArraySize            = 64\nMaxJobCount = 9\n", None])
def test_the_size_of_an_array_is_that_of_the_cluster(says, text: str | None) -> None:
    says(scontrol=text)
    assert queue.most_in_one_array() == (64 if text else 1001)


# --- reasons ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "log", "words"),
    [
        (Ending("COMPLETED", 0, "n1"), "", None),
        (
            Ending("OUT_OF_MEMORY", 125, "n1"),
            "",
            r'out of memory on n1: it took more than memory = "2G"\. Raise.*\[score\]',
        ),
        (
            Ending("FAILED", 9, "n1"),
            "slurmstepd: error: StepId=2.0 exceeded memory limit (9 > 3)",
            "out of memory on n1",
        ),
        (Ending("CANCELLED", 9, "n1"), "Detected 1 oom-kill event(s) in StepId=1.0", "out of memory on n1"),
        (
            Ending("TIMEOUT", 0, "n1"),
            "",
            r"out of time on n1: not done within time = '1:00:00'\. Raise.*\[score\]",
        ),
        (Ending("FAILED", 124, "n1"), "", "out of time on n1"),
        (Ending("NODE_FAIL", 0, "n1"), "", "its node failed on n1"),
        (Ending("PREEMPTED", 0, "n1"), "", "taken away for other jobs on n1"),
        (Ending("CANCELLED", 15, ""), "", "^cancelled$"),
        (Ending("FAILED", 137, "n1"), "", r"killed on n1 by signal 9 SIGKILL; often for want of memory\. Its log is"),
        (Ending("FAILED", 139, "n1"), "", r"killed on n1 by signal 11 SIGSEGV\. Its log is"),
        (Ending("FAILED", 1, "n1"), "", r"ended on n1 with exit code 1\. Its log is .*log\.out"),
        (None, "", "Slurm knows nothing of its job"),
    ],
)
def test_a_reason_says_what_to_do(tmp_path: Path, ending: Ending | None, log: str, words: str | None) -> None:
    path = tmp_path / "log.out"
    path.write_text(log)
    found = reason_of(ending, Resources(memory="2G", time="1:00:00"), "score", path)
    if words is None:
        assert found is None
    else:
        assert found is not None
        assert re.search(words, found), found


# --- waiting ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Named:
    """Stands for a task."""

    name: str


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def watched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[dict[str, str], list[str], list[Any]]]:
    """Watch two jobs while the queue and the endings are these, look by look; the last goes on for ever."""

    def run(looks: list[Any], ends: list[dict[str, Ending]]) -> tuple[dict[str, str], list[str], list[Any]]:
        queues, known, cancelled = itertools.chain(looks, itertools.repeat(looks[-1])), list(ends), list[Any]()

        def endings_now(jobs: Any) -> dict[str, Ending]:
            found = known.pop(0) if len(known) > 1 else known[0]
            return {job: ending for job, ending in found.items() if job in jobs}

        def waiting() -> Any:
            now = next(queues)
            return None if now is None else {job: queue.Waiting(*told) for job, told in now.items()}

        monkeypatch.setattr(watching, "time", Clock())
        monkeypatch.setattr(watching, "in_the_queue", waiting)
        monkeypatch.setattr(watching, "endings", endings_now)
        monkeypatch.setattr(watching, "cancel", lambda jobs, **how: cancelled.append((list(jobs), how)))
        task = Named("a × b")
        jobs = [Job(f"12_{number}", "score", (task,), tmp_path / f"{number}.out") for number in (0, 1)]  # type: ignore[arg-type]
        said: list[str] = []
        reasons = Watch(jobs, Settings(), said.append).run()
        return {job.id: why for job, why in reasons.items()}, said, cancelled

    return run


DONE = Ending("COMPLETED", 0, "n1", 75)
RUNNING, PENDING = ("RUNNING", "None"), ("PENDING", "Priority")


def test_each_job_that_ends_is_a_line_with_what_is_left(watched) -> None:
    reasons, said, _ = watched(
        [{"12_0": RUNNING, "12_1": PENDING}, {"12_1": RUNNING}, {}], [{"12_0": DONE}, {"12_1": DONE}]
    )
    assert reasons == {}
    assert said == [
        "[1/2] score a × b: done in 1 min on n1 (1 running, 0 waiting, about 5 s left)",
        "[2/2] score a × b: done in 1 min on n1",
    ]


def test_a_job_whose_node_failed_is_not_over_while_slurm_starts_it_again(watched) -> None:
    failed = {"12_0": Ending("NODE_FAIL", 0, "n1"), "12_1": DONE}
    reasons, said, _ = watched([{}, {"12_0": PENDING}, {"12_0": RUNNING}, {}], [failed, {"12_0": DONE}])
    assert reasons == {}
    assert len(said) == 2


def test_a_job_that_stays_away_has_failed(watched) -> None:
    reasons, _, _ = watched([{}], [{"12_0": Ending("NODE_FAIL", 0, "n1"), "12_1": DONE}])
    assert reasons == {"12_0": "its node failed on n1, and Slurm did not start it again"}


def test_a_job_that_slurm_does_not_know_is_given_up_after_a_minute(watched) -> None:
    reasons, said, _ = watched([{}], [{"12_0": DONE}])
    assert list(reasons) == ["12_1"]
    assert "Slurm knows nothing of its job" in said[-1]


def test_a_job_that_will_never_start_is_cancelled_and_others_that_wait_are_told_once(watched) -> None:
    held = {"12_0": ("PENDING", "(launch failed requeued held)"), "12_1": ("PENDING", "AssocGrpCpuLimit")}
    ended = {"12_0": Ending("CANCELLED"), "12_1": DONE}
    reasons, said, cancelled = watched([held, held, {}], [ended])
    assert cancelled[0] == (["12_0"], {"whole_arrays": False})
    assert reasons == {"12_0": "its job would never have started (launch failed requeued held), and was cancelled"}
    assert sum("because of AssocGrpCpuLimit (1 now)" in line for line in said) == 1


def test_a_controller_that_is_silent_is_waited_for_and_then_told(watched) -> None:
    reasons, said, _ = watched([None, None, {}], [{"12_0": DONE, "12_1": DONE}])
    assert reasons == {}
    assert sum("squeue does not answer" in line for line in said) == 1
    with pytest.raises(StoreError, match=r"squeue has not answered for 30 min\. The 2 jobs that are left go on"):
        watched([None], [{}])
