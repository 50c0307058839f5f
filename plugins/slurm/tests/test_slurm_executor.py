"""A run from the command line to the table, through submitit, on commands that look like Slurm's and run jobs here."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from isocortex.errors import StoreError
from isocortex_slurm import job
from isocortex_slurm.executor import made_folder
from isocortex_slurm.job import RunTask, environment_of_a_task
from plugins.slurm.tests.made_up import write_made_up

Command = Callable[..., subprocess.CompletedProcess[str]]
POPEN = subprocess.Popen
NAMES = ("sbatch", "srun", "squeue", "sacct", "scontrol", "scancel")


@dataclass(frozen=True)
class Fake:
    """Where the commands keep what they know, and the variables by which they are found."""

    folder: Path
    state: Path
    env: dict[str, str]

    def scripts(self) -> list[str]:
        """What sbatch was given, in order."""
        return [path.read_text() for path in sorted(self.state.glob("*.sh"))]


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """The commands on PATH, the made-up packages, and a look at the queue every tenth of a second."""
    script, state = Path(__file__).with_name("fake_slurm.sh"), tmp_path / "state"
    state.mkdir()
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in NAMES:
        shutil.copy(script, commands / name)
        (commands / name).chmod(0o755)
    write_made_up(tmp_path / "site")
    (tmp_path / "isocortex-slurm.toml").write_text("poll_s = 0.1\n")
    env = {
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "FAKE_SLURM": str(state),
        "PYTHONPATH": str(tmp_path / "site"),
        "ISOCORTEX_CACHE": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    return Fake(tmp_path, state, env)


def test_a_run_on_two_arrays_of_which_one_waits_for_the_other(isocortex: Command, fake: Fake) -> None:
    more = 'account = "lab"\ntime = "1:30"\ntasks_per_job = 2\n[extract]\ngpus = 1\nmemory = "2G"\ncpus = 3\n'
    with (fake.folder / "isocortex-slurm.toml").open("a") as file:
        file.write(more + 'options = { constraint = "a100" }\nsetup = ["echo set up"]\n')
    asked = ("score", "-m", "lab-net", "-m", "fault-run", "-b", "lab.fit", "--executor", "slurm", "--json")
    done = isocortex(*asked, env=fake.env)
    assert done.returncode == 1, done.stderr
    rows = json.loads(done.stdout)
    assert [(row["model"], row["status"]) for row in rows] == [("lab-net", "scored"), ("fault-run", "failed")]
    assert rows[1]["failure"] == "ZeroDivisionError: the tape is torn"
    assert re.search(r"1 jobs that extract and 1 that score are submitted in \d+\.\d s as 101, 102; C", done.stderr)
    assert re.search(r"\[1/2\] extract iso-lab::lab-net@fixed on lab-images and 1 more: failed after 1 s", done.stderr)
    assert "[2/2] score lab-net@fixed × lab.fit and 1 more: failed after 1 s on here" in done.stderr

    extract, score = fake.scripts()
    for option in ("account=lab", "gpus-per-node=1", "mem=2G", "cpus-per-task=3", "constraint=a100", "time=2"):
        assert f"#SBATCH --{option}\n" in extract, option
    assert "#SBATCH --requeue\n" in extract
    assert "echo set up\n" in extract
    assert " --cpus-per-task=3 " in extract, "a step has one core otherwise"
    assert "#SBATCH --dependency=afterany:101\n" in score
    assert ("gpus" in score, "--mem" in score, "dependency" in extract) == (False, False, False)
    (logs,) = (fake.folder / "isocortex-slurm").iterdir()
    assert stat.S_IMODE(logs.stat().st_mode) == 0o700
    assert f"what they wrote is in {logs}" in done.stderr


def test_arrays_are_as_large_as_the_cluster_allows_and_are_cancelled_where_one_is_refused(
    isocortex: Command, fake: Fake
) -> None:
    (fake.state / "hold").touch()
    models = ("-m", "lab-net@random:0..4", "-b", "lab.fit", "--executor", "slurm", "--jobs", "4")
    (fake.state / "most").write_text("104")
    done = isocortex("score", *models, env={**fake.env, "MAX_ARRAY": "2"})
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert "Slurm does not take the jobs: Batch job submission failed: too many. Look at isocortex-slurm.toml" in last
    scripts = fake.scripts()
    sizes = [re.findall(r"--array=(\S+)", script) for script in scripts]
    assert sizes == [["0-1%1"], ["0-1%1"], [], ["0-1%1"]], "2, 2 and 1 extractions; 4 at once among 3"
    assert "--dependency=afterany:101:102:103\n" in scripts[3]
    assert "Cancelled 101, 102, 103, 104." in done.stderr
    assert (fake.state / "cancelled").read_text() == "101 102 103 104\n"


def test_without_slurm_nothing_is_begun(isocortex: Command, fake: Fake) -> None:
    asked = ("score", "-m", "lab-net", "-b", "lab.fit", "--executor", "slurm")
    (fake.folder / "isocortex-slurm.toml").write_text("cpu = 3\n")
    done = isocortex(*asked, env=fake.env)
    assert (done.returncode, "has no key 'cpu'. Did you mean cpus" in done.stderr) == (2, True)
    assert not (fake.folder / "isocortex-slurm").exists()
    (fake.folder / "bin" / "sbatch").unlink()
    done = isocortex(*asked, env={**fake.env, "PATH": str(fake.folder / "bin")})
    assert done.returncode == 2
    assert "There is no Slurm here (sbatch is not found). Run this on a login node" in done.stderr


def test_an_interrupt_cancels_the_arrays(fake: Fake) -> None:
    (fake.state / "hold").touch()
    command = [sys.executable, "-m", "isocortex", "score", "-m", "lab-net", "-b", "lab.fit", "--executor", "slurm"]
    process = subprocess.Popen(
        command, cwd=fake.folder, env={**os.environ, **fake.env}, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "are submitted" in line:
            break
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said.startswith("Cancelled 101, 102.\nInterrupted.")
    assert (fake.state / "cancelled").read_text() == "101 102\n"


def test_the_folder_of_jobs_is_for_nobody_else(tmp_path: Path, monkeypatch) -> None:
    before = os.umask(0)
    try:
        assert stat.S_IMODE(made_folder(tmp_path / "jobs").stat().st_mode) == 0o700
    finally:
        os.umask(before)
    with pytest.raises(StoreError, match=r"cannot be made .* as folder = … in isocortex-slurm\.toml"):
        made_folder(Path("/dev/null/jobs"))
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(StoreError, match="Others can write to"):
        made_folder(tmp_path / "others")


# --- inside a job -----------------------------------------------------------------------------------------------------


def test_a_task_has_the_cores_and_the_disk_of_its_job_unless_the_user_has_decided(tmp_path: Path) -> None:
    given = {"SLURM_CPUS_PER_TASK": "6", "SLURM_TMPDIR": str(tmp_path), "MKL_NUM_THREADS": "2", "HOME": "/me"}
    assert environment_of_a_task(given) == {
        **given,
        "OMP_NUM_THREADS": "6",
        "OPENBLAS_NUM_THREADS": "6",
        "TMPDIR": str(tmp_path),
        "ISOCORTEX_SCRATCH": str(tmp_path),
    }
    assert environment_of_a_task({**given, "ISOCORTEX_SCRATCH": "/mine"})["ISOCORTEX_SCRATCH"] == "/mine"
    assert "TMPDIR" not in environment_of_a_task({"SLURM_TMPDIR": str(tmp_path / "gone")})


@pytest.fixture
def stands_for_isocortex(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[subprocess.Popen[bytes]]]:
    """A process that runs this Python code in place of a task; what was started is returned."""

    def stub(code: str) -> list[subprocess.Popen[bytes]]:
        started: list[subprocess.Popen[bytes]] = []

        def start(_: list[str], **more: object) -> subprocess.Popen[bytes]:
            started.append(POPEN([sys.executable, "-S", "-c", code], **more))  # type: ignore[call-overload]
            return started[0]

        monkeypatch.setattr(job.subprocess, "Popen", start)
        return started

    return stub


@pytest.mark.parametrize(
    ("code", "expected"), [("import os; os._exit(1)", 1), ("import os; os.kill(os.getpid(), 9)", 137)]
)
def test_a_job_ends_as_its_task_does(stands_for_isocortex, code: str, expected: int) -> None:
    stands_for_isocortex(code)
    with pytest.raises(SystemExit) as ended:
        RunTask("tasks.json")()
    assert ended.value.code == expected
    stands_for_isocortex("pass")
    RunTask("tasks.json")()


def test_before_a_job_starts_again_its_task_is_ended_and_nothing_but_a_path_is_kept(stands_for_isocortex) -> None:
    import pickle

    started = stands_for_isocortex("import time; print('on', flush=True); time.sleep(60)")
    task = RunTask("tasks.json")
    task._process = job.subprocess.Popen([], stdin=subprocess.PIPE)
    again = task.checkpoint()
    assert started[0].poll() == -signal.SIGTERM
    assert pickle.loads(pickle.dumps(again.function)).__dict__ == {"path": "tasks.json", "_process": None}


def test_a_job_that_may_not_start_again_ends_as_out_of_time(stands_for_isocortex) -> None:
    from submitit.core.utils import UncompletedJobError

    started = stands_for_isocortex("import time; time.sleep(60)")

    def raised(*_: object) -> None:
        raise UncompletedJobError("Job not requeued because: timed-out too many times.")

    before = signal.signal(signal.SIGUSR2, raised)
    try:
        POPEN([sys.executable, "-S", "-c", f"import os, time; time.sleep(.3); os.kill({os.getpid()}, 12)"])
        with pytest.raises(SystemExit) as ended:
            RunTask("tasks.json")()
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert ended.value.code == job.OUT_OF_TIME
    assert started[0].poll() is not None


def test_a_task_that_somebody_else_ends_leaves_its_job_to_slurm(stands_for_isocortex, monkeypatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(job.time, "sleep", waited.append)
    stands_for_isocortex("import os; os.kill(os.getpid(), 15)")
    with pytest.raises(SystemExit) as ended:
        RunTask("tasks.json")()
    assert (ended.value.code, waited) == (143, [300.0])
