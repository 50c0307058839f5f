"""A true Slurm on this host: two nodes, accounting, memory held by control groups where they can be made."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from isocortex.results import read_results
from plugins.slurm.tests.made_up import write_made_up
from tests.folders import results_of

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("slurm")]

SCRIPT = Path(__file__).with_name("real_slurm.sh")
SETTINGS = 'poll_s = 0.5\ntime = "1:00:00"\nmemory = "{memory}"\n'


@pytest.fixture(scope="module")
def slurm() -> Iterator[dict[str, str]]:
    """Variables of a Slurm that is set up for this module and torn down after it."""
    can = subprocess.run(["bash", SCRIPT, "can"], capture_output=True, text=True)
    if can.returncode != 0:
        pytest.skip(can.stdout.strip() or can.stderr.strip())
    folder = Path(tempfile.mkdtemp(prefix="isocortex-slurm-"))  # other users' daemons cannot reach pytest's own
    made = subprocess.run(["bash", SCRIPT, "up", folder], capture_output=True, text=True, timeout=300)
    try:
        if "Slurm cannot be installed" in made.stderr:
            pytest.skip(made.stderr.strip().splitlines()[-1])
        assert made.returncode == 0, f"{made.stdout}\n{made.stderr}"
        yield {"SLURM_CONF": str(folder / "etc" / "slurm.conf"), "SLURM_FOLDER": str(folder)}
    finally:
        subprocess.run(["bash", SCRIPT, "down", folder], capture_output=True, timeout=120)
        shutil.rmtree(folder, ignore_errors=True)


class Cluster:
    """A folder from which runs are submitted."""

    def __init__(self, folder: Path, slurm: dict[str, str]) -> None:
        write_made_up(folder / "site")
        self.folder = folder
        self.slurm_folder = Path(slurm["SLURM_FOLDER"])
        self.env = {
            **os.environ,
            "SLURM_CONF": slurm["SLURM_CONF"],
            "PYTHONPATH": str(folder / "site"),
            "ISOCORTEX_CACHE": str(folder / "cache"),
            "ISOCORTEX_DATA": str(folder / "data"),
        }

    def settings(self, memory: str = "900M", more: str = "") -> None:
        """Write ``isocortex-slurm.toml``."""
        (self.folder / "isocortex-slurm.toml").write_text(SETTINGS.format(memory=memory) + more)

    def start(self, *arguments: str, **env: str) -> subprocess.Popen[str]:
        """Start a run."""
        return subprocess.Popen(
            [sys.executable, "-m", "isocortex", "score", *arguments, "--json"],
            cwd=self.folder,
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **env: str) -> tuple[int, str]:
        """Run to its end: exit code, and what it said."""
        process = self.start(*arguments, **env)
        try:
            _, said = process.communicate(timeout=600)
        finally:
            process.kill()
        return process.returncode, said

    def ask(self, *command: str) -> str:
        """What a command of Slurm prints."""
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=30).stdout

    def wait_for(self, test: Callable[[], object], seconds: float = 120) -> None:
        """Wait until something is so."""
        until = time.monotonic() + seconds
        while not test():
            assert time.monotonic() < until, "waited in vain"
            time.sleep(0.2)

    def release(self) -> None:
        """Let jobs begin now that Slurm holds back for two minutes after it has put them into the queue again."""
        for line in self.ask("squeue", "-h", "-r", "-t", "PENDING", "-o", "%i %r").splitlines():
            job, reason = line.split(" ", 1)
            if "BeginTime" in reason:
                self.ask("scontrol", "update", f"JobId={job}", "StartTime=now")

    def kill_node(self, name: str) -> list[str]:
        """Kill all that runs on a node, with its daemon, as when its power goes; returns the jobs that ran there."""
        jobs = self.ask("squeue", "-h", "-w", name, "-t", "RUNNING", "-o", "%A").split()
        own = {int((self.slurm_folder / "run" / f"slurmd-{name}.pid").read_text())}
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                variables = (entry / "environ").read_bytes().split(b"\0")
                of_job = re.match(r"slurmstepd: \[(\d+)\.", command)
                named = any(f"SLURM_JOB_ID={job}".encode() in variables for job in jobs)
                if named or (of_job and of_job[1] in jobs):
                    own.add(int(entry.name))
        for process in own:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        self.ask("scontrol", "update", f"NodeName={name}", "State=DOWN", "Reason=killed")
        return jobs

    def revive(self, name: str) -> None:
        """Start the daemon of a node again."""
        subprocess.run(["slurmd", "-N", name], env=self.env, check=True, timeout=30)
        self.wait_for(lambda: self.ask("sinfo", "-h", "-n", name, "-o", "%t").strip() == "idle", 30)


@pytest.fixture
def cluster(tmp_path: Path, slurm: dict[str, str]) -> Cluster:
    """A folder of its own on the one Slurm."""
    return Cluster(tmp_path, slurm)


def test_forty_cells_on_two_nodes_of_which_one_dies_and_a_model_that_takes_too_much_memory(cluster: Cluster) -> None:
    asked = ("-m", "lab-net@random:0..18", "-m", "hungry", "-b", "lab.fit", "-b", "lab.again")
    cluster.settings()
    process = cluster.start(*asked, "--executor", "slurm")
    said: list[str] = []
    killed: list[str] = []
    assert process.stderr is not None
    for line in process.stderr:
        print(line, end="")
        said.append(line)
        scored = sum("] score " in one for one in said)
        if scored >= 4 and not killed:
            killed = cluster.kill_node("n1")
            assert killed, "something ran there"
            assert cluster.ask("sinfo", "-h", "-n", "n1", "-o", "%t").startswith("down")
        if killed:
            cluster.release()
    process.communicate(timeout=60)
    assert process.returncode == 1
    text = "".join(said)
    assert "40 cells: 38 computed, 0 cached, 2 failed" in text
    assert re.search(r"20 jobs that extract and 40 that score are submitted in \d+\.\d s", text)
    assert len(re.findall(r"^\[\d+/60\] (?:extract|score) ", text, re.MULTILINE)) == 60, "a line for each job"
    runs = cluster.ask("sacct", "-n", "-X", "-D", "-P", "-o", "JobID,State,NodeList").splitlines()
    assert any("NODE_FAIL|n1" in run or "REQUEUED|n1" in run for run in runs), runs
    ends = {result.model: result for result in read_results(cluster.folder / "results") if result.failure}
    assert list(ends) == ["hungry"]
    assert 'out of memory on n2: it took more than memory = "900M"' in ends["hungry"].failure.message
    assert ends["hungry"].failure.kind == "TaskError"

    cluster.revive("n1")
    cluster.settings("2500M")
    code, again = cluster.run(*asked, "--executor", "slurm")
    assert code == 0, again
    assert "40 cells: 2 computed, 38 cached, 0 failed" in again
    assert "1 jobs that extract and 2 that score" in again

    code, here = cluster.run(*asked, "--jobs", "2", "--out", "here", ISOCORTEX_CACHE=str(cluster.folder / "cache-here"))
    assert code == 0, here
    assert results_of(cluster.folder / "results") == results_of(cluster.folder / "here")
    assert len(results_of(cluster.folder / "results")) == 80


def test_ctrl_c_cancels_the_arrays(cluster: Cluster) -> None:
    cluster.settings()
    process = cluster.start("-m", "slowest", "-b", "lab.fit", "--executor", "slurm")
    cluster.wait_for(lambda: "RUNNING" in cluster.ask("squeue", "-h", "-o", "%T"))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert re.search(r"^Cancelled \d+, \d+\.$", said, re.MULTILINE), said
    cluster.wait_for(lambda: not cluster.ask("squeue", "-h"), 30)
    arrays = ",".join(re.findall(r"\d+", said[said.index("Cancelled") :]))

    def states() -> set[str]:
        return set(cluster.ask("sacct", "-n", "-X", "-P", "-j", arrays, "-o", "State").split("\n")) - {""}

    cluster.wait_for(lambda: states() == {"CANCELLED by 0"}, 30)


def test_a_job_that_is_preempted_starts_again_and_goes_on_from_what_is_finished(cluster: Cluster) -> None:
    cluster.settings()
    process = cluster.start("-m", "slow", "-b", "lab.fit", "--executor", "slurm")
    chunks = cluster.folder / "cache" / "activations"
    cluster.wait_for(lambda: any(chunks.rglob("*.npy")))
    first = {path: path.stat().st_mtime_ns for path in chunks.rglob("*.npy")}
    (job,) = cluster.ask("squeue", "-h", "-r", "-t", "RUNNING", "-o", "%i").split()
    cluster.ask("scancel", "--signal=USR2", job)
    cluster.wait_for(lambda: "PENDING" in cluster.ask("squeue", "-h", "-j", job, "-o", "%T"), 40)
    cluster.wait_for(lambda: "BeginTime" in cluster.ask("squeue", "-h", "-j", job, "-o", "%r"), 20)
    cluster.release()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "1 cells: 1 computed" in said
    assert "Restarts=1" in cluster.ask("scontrol", "show", "job", job)
    assert {path: path.stat().st_mtime_ns for path in first} == first, "finished chunks are not written again"


def test_a_job_that_does_not_end_in_its_time_is_named(cluster: Cluster) -> None:
    cluster.settings(more="requeues = 0\nwarning_s = 50\n[extract]\ntime = 1\n[score]\ntime = 1\n")
    code, said = cluster.run("-m", "slowest", "-b", "lab.fit", "--executor", "slurm")
    assert code == 1
    assert re.search(r"extract iso-strain::slowest.*: out of time on n\d: not done within time = 1\. Raise", said), said
    assert re.search(r"slowest@random:0 × lab.fit: failed \(out of time on n\d.* in \[score\]\. What is", said), said
