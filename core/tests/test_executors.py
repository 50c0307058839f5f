"""Several processes of one machine: what each is told, how the cells are shared, and what a dead one means."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from isocortex.cli.commands import cli
from isocortex.errors import ModalityError, StoreError, UnknownIDError
from isocortex.run import executors
from isocortex.run.executors import run_processes, shards
from isocortex.run.plan import RunConfig, parse_shard, plan
from tests.lab import Lab, Typed


class Processes:
    """Stands for ``subprocess.Popen``: writes down each command and ends with the exit codes that are given."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.commands: list[list[str]] = []
        self.environments: list[dict[str, str]] = []
        self.waited = 0

    def __call__(self, command: list[str], *, env: dict[str, str], stdout: int) -> Processes:
        assert stdout == executors.subprocess.DEVNULL, "only the parent prints a table"
        assert self.waited == 0, "all are started before one is waited for"
        self.commands.append(command)
        self.environments.append(env)
        return self

    def wait(self) -> int:
        self.waited += 1
        return self.codes.pop(0) if self.codes else 0


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Processes]:
    """Start no true process."""

    def stub(*codes: int) -> Processes:
        made = Processes(*codes)
        monkeypatch.setattr(executors.subprocess, "Popen", made)
        return made

    return stub


def options(command: list[str]) -> dict[str, object]:
    """What the command line understands of a command."""
    context = cli.get_command(None, "score").make_context("score", list(command[4:]))  # type: ignore[arg-type, union-attr]
    return context.params


# --- shares of the cells ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("n_jobs", [1, 2, 3, 5])
def test_shares_of_a_share_are_a_partition_of_it(count: int, n_jobs: int) -> None:
    cells = range(2 * count * n_jobs + 3)

    def share(number: int, of: int) -> set[int]:
        return {cell for cell in cells if cell % of == number - 1}

    everything: list[int] = []
    for number in range(1, count + 1):
        parts = [share(*parse_shard(text)) for text in shards((number, count), n_jobs)]
        assert len(parts) == n_jobs
        joined = [cell for part in parts for cell in part]
        assert sorted(joined) == sorted(share(number, count))
        everything += joined
    assert sorted(everything) == list(cells)


@pytest.mark.parametrize(("shard", "n_jobs"), [(None, 3), ((2, 3), 2), ((1, 2), 3)])
def test_each_cell_is_in_one_process_and_those_of_one_extraction_together(
    lab: Lab, shard: tuple[int, int] | None, n_jobs: int
) -> None:
    models = [f"lab-net@random:{number}" for number in range(12)]
    benchmarks = ["lab.fit", "lab.again", "lab.mean"]

    def names(of: tuple[int, int] | None) -> list[str]:
        return [cell.name for cell in plan(lab.resolver(), models, benchmarks, RunConfig(shard=of)).cells]

    parts = [names(parse_shard(text)) for text in shards(shard or (1, 1), n_jobs)]
    assert sorted(name for part in parts for name in part) == sorted(names(shard))
    for part in parts:
        assert {name for name in part if name.endswith("lab.again")} == {
            name.replace("lab.fit", "lab.again") for name in part if name.endswith("lab.fit")
        }
    assert sum(bool(part) for part in parts) > 1


def test_a_share_without_cells_is_no_failure(lab: Lab, typed: Typed) -> None:
    whole = plan(lab.resolver(), ["lab-net"], ["lab.fit"], RunConfig()).cells[0]
    empty = 2 - int(whole.extraction, 16) % 2
    done = typed("score", "-m", "lab-net", "-b", "lab.fit", "--shard", f"{empty}/2", "--json")
    assert (done.code, done.out.strip()) == (0, "[]")
    assert "0 cells" in done.err
    done = typed("score", "-m", "lab-net", "-b", "lab.fit", "--shard", f"{3 - empty}/2", "--json")
    assert (done.code, "1 cells: 1 computed" in done.err) == (0, True)


# --- what a process is told -------------------------------------------------------------------------------------------


def test_every_option_arrives_in_every_process(lab: Lab, started) -> None:
    processes = started()
    config = RunConfig(
        layers=("net.*", "net.mean"),
        device="cpu",
        batch_size=7,
        seed=3,
        keep=("alpha", "prediction"),
        offline=True,
        out=Path("my results"),
        shard=(2, 3),
    )
    run_processes(["lab-net", "lab-net@random:1"], ["lab.fit", "lab.mean"], config, 2)
    assert [command[:4] for command in processes.commands] == [[sys.executable, "-m", "isocortex", "score"]] * 2
    for command, shard in zip(processes.commands, ("2/6", "5/6"), strict=True):
        assert options(command) == {
            "models": ("lab-net", "lab-net@random:1"),
            "benchmarks": ("lab.fit", "lab.mean"),
            "layers": config.layers,
            "device": "cpu",
            "batch_size": 7,
            "seed": 3,
            "keep": config.keep,
            "offline": True,
            "out": config.out,
            "shard": shard,
            "jobs": 1,
            "dry_run": False,
            "as_json": False,
        }
    assert processes.waited == 2


def test_what_was_not_asked_is_not_told(lab: Lab, started) -> None:
    processes = started()
    run_processes(["lab-net"], ["lab.fit"], RunConfig(), 3)
    told = [options(command) for command in processes.commands]
    assert [one.pop("shard") for one in told] == ["1/3", "2/3", "3/3"]
    assert told[0] == told[1] == told[2]
    assert (told[0]["batch_size"], told[0]["offline"], told[0]["layers"], told[0]["keep"]) == (None, False, (), ())
    assert (told[0]["seed"], told[0]["device"], told[0]["out"]) == (0, "auto", Path("results"))


def test_processes_share_the_cores_unless_the_user_has_decided(lab: Lab, started, monkeypatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "5")
    processes = started()
    run_processes(["lab-net"], ["lab.fit"], RunConfig(), 3)
    for environment in processes.environments:
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
    processes = started()
    with pytest.raises(error):
        run_processes(models, benchmarks, RunConfig(), 2)
    assert processes.commands == []


@pytest.mark.parametrize("codes", [(0, -9), (137, 0), (1, 3)])
def test_a_process_that_dies_is_told_after_all_have_ended(lab: Lab, started, codes: tuple[int, int]) -> None:
    processes = started(*codes)
    with pytest.raises(StoreError, match=rf"exit code {max(codes, key=abs)}; what it finished is kept\. Run again"):
        run_processes(["lab-net"], ["lab.fit"], RunConfig(), 2)
    assert processes.waited == 2


@pytest.mark.parametrize("codes", [(0, 0), (1, 0), (2, 1)])
def test_cells_that_fail_in_a_process_are_no_dead_process(lab: Lab, started, codes: tuple[int, int]) -> None:
    processes = started(*codes)
    run_processes(["lab-net"], ["lab.fit"], RunConfig(), 2)
    assert processes.waited == 2


def test_after_the_processes_the_whole_table_is_printed_and_what_failed_is_tried_here(
    lab: Lab, typed: Typed, started
) -> None:
    processes = started(1, 0)
    done = typed("score", "-m", "lab-net", "-m", "fault-run", "-b", "lab.fit", "--jobs", "2", "--json")
    assert len(processes.commands) == 2
    assert done.code == 1
    assert "2 cells: 1 computed, 0 cached, 1 failed" in done.err
