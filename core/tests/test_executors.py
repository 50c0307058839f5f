"""Where tasks are done: how they are shared among processes, what a dead process means, and executors of plugins."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import isocortex
from isocortex.errors import ModalityError, PluginError, StoreError, UnknownIDError, UsageError
from isocortex.files import children
from isocortex.run.executors import Processes, executor_of, shares
from isocortex.run.plan import Plan, RunConfig, plan
from isocortex.run.tasks import Score, read_tasks, tasks_of
from tests.lab import Lab, Typed


class Started:
    """Stands for ``subprocess.Popen``: writes down each command with its tasks, and ends with the codes given."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.commands: list[list[str]] = []
        self.tasks: list[list[str]] = []
        self.environments: list[dict[str, str]] = []
        self.waited = 0
        self.stdin = None

    def __call__(self, command: list[str], *, env: dict[str, str], stdin: int, stdout: int, **_: bool) -> Started:
        assert stdin == subprocess.PIPE, "what a process waits for is held by this one"
        assert stdout == subprocess.DEVNULL, "only the parent prints a table"
        assert self.waited == 0, "all are started before one is waited for"
        self.commands.append(command)
        self.tasks.append([task.name for task in read_tasks(Path(command[-1]))])
        self.environments.append(env)
        return self

    def wait(self, seconds: float | None = None) -> int:
        if seconds is not None:
            return 0
        self.waited += 1
        return self.codes.pop(0) if self.codes else 0


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Started]:
    """Start no true process."""

    def stub(*codes: int) -> Started:
        made = Started(*codes)
        monkeypatch.setattr(children.subprocess, "Popen", made)
        return made

    return stub


def planned(lab: Lab, config: RunConfig | None = None, n_models: int = 12) -> Plan:
    """Models on three benchmarks, two of which share an extraction."""
    models = [f"lab-net@random:{number}" for number in range(n_models)]
    return plan(lab.resolver(), models, ["lab.fit", "lab.again", "lab.mean"], config or RunConfig())


def processes(lab: Lab, n_jobs: int) -> Processes:
    """The executor."""
    found = executor_of(lab.resolver(), "processes", n_jobs)
    assert isinstance(found, Processes)
    return found


# --- shares of the cells ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shard", [None, (1, 4), (2, 3)])
@pytest.mark.parametrize("n_jobs", [1, 2, 3, 50])
def test_shares_are_a_partition_of_the_shard_and_keep_extractions_together(
    lab: Lab, shard: tuple[int, int] | None, n_jobs: int
) -> None:
    tasks = tasks_of(planned(lab, RunConfig(shard=shard)), RunConfig())
    parts = shares(tasks, n_jobs)
    names = [task.name for part in parts for task in part]
    assert sorted(names) == sorted(task.name for task in tasks)
    assert all(parts)
    assert len(parts) == min(n_jobs, len({task.group for task in tasks}))
    places = [{task.group for task in part} for part in parts]
    assert sum(map(len, places)) == len(set[str]().union(*places)), "no extraction is in two shares"
    whole = len(tasks_of(planned(lab), RunConfig()))
    assert (len(tasks) < whole) == (shard is not None)


def test_a_share_without_cells_is_no_failure(lab: Lab, typed: Typed) -> None:
    for more in ((), ("--jobs", "2")):
        done = typed("score", "-m", "lab-net", "-b", "lab.fit", "--shard", "2/2", "--json", *more)
        assert (done.code, done.out.strip()) == (0, "[]")
        assert "0 cells" in done.err
    done = typed("score", "-m", "lab-net", "-b", "lab.fit", "--shard", "1/2", "--json")
    assert (done.code, "1 cells: 1 computed" in done.err) == (0, True)


def test_jobs_of_a_shard_are_given_its_cells_alone(lab: Lab, typed: Typed, started) -> None:
    made = started()
    models = [text for number in range(8) for text in ("-m", f"lab-net@random:{number}")]
    command = ("score", *models, "-b", "lab.fit", "-b", "lab.mean", "--shard", "1/4")
    cells = json.loads(typed(*command, "--dry-run", "--json").out)["cells"]
    assert len(cells) == 4
    done = typed(*command, "--jobs", "2")
    assert done.code == 0, done.err
    given = [name for part in made.tasks for name in part]
    assert sorted(given) == sorted(f"{cell['model']}@{cell['variant']} × {cell['benchmark']}" for cell in cells)
    assert len(made.tasks) == 2
    assert len(lab.records("result.json")) == len(cells)


# --- what a process is told -------------------------------------------------------------------------------------------


def test_a_process_is_told_by_a_file_of_tasks_and_ends_with_its_input(lab: Lab, started) -> None:
    made = started()
    config = RunConfig(layers=("net.*",), device="cpu", batch_size=7, seed=3, keep=("alpha",), out=Path("my results"))
    isocortex.score(["lab-net", "lab-second"], "lab.fit", config=config, jobs=2, quiet=True)
    expected = [sys.executable, "-m", "isocortex", "run-task", "--while-input-is-open"]
    assert [command[:-1] for command in made.commands] == [expected] * 2
    assert made.tasks == [["lab-net@fixed × lab.fit"], ["lab-second@fixed × lab.fit"]]
    assert made.waited == 2
    assert not Path(made.commands[0][-1]).parent.exists(), "the files go at the end"


def test_processes_share_the_cores_unless_the_user_has_decided(lab: Lab, started, monkeypatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "5")
    made = started()
    processes(lab, 3).run(tasks_of(planned(lab), RunConfig()))
    assert len(made.environments) == 3
    for environment in made.environments:
        assert (environment["OMP_NUM_THREADS"], environment["OPENBLAS_NUM_THREADS"]) == ("2", "5")
        assert "PATH" in environment


@pytest.mark.parametrize(
    ("models", "benchmarks", "error"),
    [
        (["lab-nett"], ["lab.fit"], UnknownIDError),
        (["lab-net"], ["lab.fitt"], UnknownIDError),
        (["lab-ear"], ["lab.fit"], ModalityError),
    ],
)
def test_a_wrong_name_starts_no_process(lab: Lab, started, models, benchmarks, error) -> None:
    made = started()
    with pytest.raises(error):
        isocortex.score(models, benchmarks, jobs=2, quiet=True)
    with pytest.raises(StoreError, match="null"):
        isocortex.score("lab-net", "lab.fit", jobs=2, quiet=True, out="/dev/null/results")
    assert made.commands == []


@pytest.mark.parametrize("codes", [(0, -9), (137, 0), (1, 3)])
def test_a_process_that_dies_is_told_after_all_have_ended(lab: Lab, started, codes: tuple[int, int]) -> None:
    made = started(*codes)
    with pytest.raises(StoreError, match=rf"exit code {max(codes, key=abs)}; what it finished is kept\. Run again"):
        processes(lab, 2).run(tasks_of(planned(lab), RunConfig()))
    assert made.waited == 2


@pytest.mark.parametrize("codes", [(0, 0), (1, 0), (2, 1)])
def test_cells_that_fail_in_a_process_are_no_dead_process(lab: Lab, started, codes: tuple[int, int]) -> None:
    made = started(*codes)
    processes(lab, 2).run(tasks_of(planned(lab), RunConfig()))
    assert made.waited == 2


def test_after_the_processes_the_whole_table_is_printed_and_what_failed_is_tried_here(
    lab: Lab, typed: Typed, started
) -> None:
    made = started(1, 0)
    done = typed("score", "-m", "lab-net", "-m", "fault-run", "-b", "lab.fit", "--jobs", "2", "--json")
    assert len(made.commands) == 2
    assert done.code == 1
    assert "2 cells: 1 computed, 0 cached, 1 failed" in done.err


def test_what_stops_the_parent_ends_the_processes(lab: Lab, monkeypatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    true, sleep = subprocess.Popen, "import os, time; os.read(0, 1)"

    def start(_: list[str], **more) -> subprocess.Popen[bytes]:
        if started:
            raise KeyboardInterrupt
        started.append(true([sys.executable, "-S", "-c", sleep], **more))
        return started[0]

    monkeypatch.setattr(children.subprocess, "Popen", start)
    with pytest.raises(KeyboardInterrupt):
        processes(lab, 2).run(tasks_of(planned(lab), RunConfig()))
    assert started[0].poll() == 0, "its input was closed, and it was waited for"


# --- other executors --------------------------------------------------------------------------------------------------


def test_local_does_all_tasks_here(lab: Lab, typed: Typed) -> None:
    done = typed("score", "-m", "lab-net", "-b", "lab.fit", "--executor", "local")
    assert (done.code, "1 computed" in done.err) == (0, True)
    executor_of(lab.resolver(), "local").run(tasks_of(planned(lab, n_models=1), RunConfig()))
    assert len(lab.records("result.json")) == 4
    refused = typed("score", "-m", "lab-net", "-b", "lab.fit", "--executor", "local", "--jobs", "2")
    assert (refused.code, len(refused.err.splitlines())) == (2, 1)
    assert "'local' is one process, but 2 jobs" in refused.err


def test_an_executor_of_a_plugin_is_handed_the_tasks_and_what_it_did_is_found(lab: Lab, typed: Typed) -> None:
    from isocortex.interfaces import Executor, Task

    command = ("score", "-m", "lab-net", "-m", "lab-second", "-b", "lab.fit", "--executor", "lab-post", "--jobs", "7")
    assert typed(*command).code == 0
    assert lab.seen("post") == [("post", 7, ["lab-net@fixed × lab.fit", "lab-second@fixed × lab.fit"])]
    assert isinstance(lab.resolver().executor("lab-post"), Executor)
    (posted,) = read_tasks(Path("posted/0.json"))
    assert isinstance(posted, Score)
    assert isinstance(posted, Task)
    for path in lab.records("result.json"):
        path.unlink()
    assert typed("run-task", "posted/0.json").code == 0
    lab.seen()
    assert [result.cached for result in lab.score("lab-net", "lab.fit")] == [True]


def test_without_jobs_an_executor_is_told_none(lab: Lab) -> None:
    isocortex.score("lab-net", "lab.fit", executor="lab-post", quiet=True)
    assert lab.seen("post") == [("post", None, ["lab-net@fixed × lab.fit"])]


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("lab-pots", UnknownIDError, r"the executor 'lab-pots'\. Did you mean lab-post.*isocortex list executors"),
        (
            "fault-post",
            PluginError,
            r"'fault-post' failed with ZeroDivisionError: the stamp is torn\. What it",
        ),
        ("fault-no-post", PluginError, "no subclass of Executor"),
    ],
)
def test_an_executor_that_cannot_be_used_is_one_message(lab: Lab, name: str, error, words: str) -> None:
    with pytest.raises(error, match=words):
        isocortex.score("lab-net", "lab.fit", executor=name, quiet=True)
    assert lab.records("result.json") == []


@pytest.mark.parametrize(("where", "word"), [({"jobs": 2}, "jobs"), ({"executor": "lab-post"}, "executor")])
def test_a_python_object_cannot_travel(lab: Lab, started, where: dict, word: str) -> None:
    made = started()
    model = isocortex.wrap(lambda images: images.mean(axis=(1, 2)), modality="image", name="mine")
    with pytest.raises(UsageError, match=rf"^mine is a Python object.*score it without {word}") as raised:
        isocortex.score([model, "lab-net"], "lab.fit", quiet=True, **where)
    assert "\n" not in str(raised.value)
    assert made.commands == []
    assert isocortex.score(model, "lab.fit", quiet=True, executor="local")[0].status == "scored"
