"""A finished chunk or score survives anything: kills, eight processes at once, no network, no space.

What is killed or runs beside others is a true process; the rest runs in this one.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.command_line import run_in_process
from tests.folders import image_folder
from tests.third_party.install import write_package

#: one worker makes what these tests share
pytestmark = pytest.mark.xdist_group("survival")

MODELS = ("pixels", "gabor-pyramid", "threshold-units", "noise/3")
METRICS = ("ridge", "rsa")


def command(folder: Path, *more: str) -> list[str]:
    """Score four models with two metrics: eight cells, five chunks each."""
    models = [text for model in MODELS for text in ("-m", model)]
    benchmarks = [text for metric in METRICS for text in ("-b", f"folder:{folder}:{metric}")]
    return [sys.executable, "-m", "isocortex", "score", *models, *benchmarks, *more]


def environment(base: Path) -> dict[str, str]:
    """Folders of one run."""
    return {**os.environ, "ISOCORTEX_CACHE": str(base / "cache"), "ISOCORTEX_DATA": str(base / "data")}


def files(base: Path, pattern: str) -> dict[str, int]:
    """Path → time of last change of what matches below a folder."""
    return {str(path.relative_to(base)): path.stat().st_mtime_ns for path in base.rglob(pattern)}


def values(base: Path) -> dict[tuple[str, str], float]:
    """Value of every cell on disk."""
    records = [json.loads(path.read_text()) for path in base.rglob("result.json")]
    return {(record["model"], record["metric"]): record["summary"]["value"] for record in records}


def here(folder: Path, base: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """The same command in this process, where nobody disturbs it."""
    done = run_in_process(tuple(command(folder, *more)[3:]), base, environment(base))
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of 150 images."""
    return image_folder(tmp_path_factory.mktemp("data") / "mine", n_images=150)


@pytest.fixture(scope="module")
def undisturbed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, float]:
    """Values of a run that nothing disturbs, and how long it takes."""
    base = tmp_path_factory.mktemp("undisturbed")
    start = time.perf_counter()
    subprocess.run(command(folder), cwd=base, env=environment(base), check=True, capture_output=True)
    found = values(base)
    assert len(found) == len(MODELS) * len(METRICS)
    return found, time.perf_counter() - start


@pytest.mark.parametrize("n_kills", [2, pytest.param(10, marks=pytest.mark.long)])
def test_kills_lose_nothing(folder, undisturbed, tmp_path, n_kills) -> None:
    expected, seconds = undisturbed
    generator = random.Random(0)
    chunks: dict[str, int] = {}
    results: dict[str, int] = {}
    for _ in range(n_kills):
        process = subprocess.Popen(
            command(folder), cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        time.sleep(generator.uniform(0.3, 1.0) * seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        for path in tmp_path.rglob("*.npy"):
            np.load(path, allow_pickle=False)
        for path in tmp_path.rglob("result.json"):
            assert json.loads(path.read_text())["status"] == "scored"
            xr.load_dataset(path.with_name("scores.nc")).close()
        # what was finished before this kill has not been touched since
        now_chunks, now_results = files(tmp_path, "*.npy"), files(tmp_path, "result.json")
        assert chunks.items() <= now_chunks.items()
        assert results.items() <= now_results.items()
        chunks, results = now_chunks, now_results
    last = here(folder, tmp_path)
    assert f"{len(expected) - len(results)} computed, {len(results)} cached, 0 failed" in last.stderr
    assert chunks.items() <= files(tmp_path, "*.npy").items()
    assert values(tmp_path) == expected
    again = here(folder, tmp_path)
    assert f"0 computed, {len(expected)} cached, 0 failed" in again.stderr
    assert "extracted" not in again.stderr


@pytest.mark.parametrize("n_processes", [2, pytest.param(12, marks=pytest.mark.long)])
def test_processes_at_once_give_one_set_of_results(folder, undisturbed, tmp_path, n_processes) -> None:
    expected, _ = undisturbed
    running = [
        subprocess.Popen(
            command(folder, "--json"),
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(n_processes)
    ]
    outputs = [process.communicate(timeout=500) for process in running]
    for process, (_, log) in zip(running, outputs, strict=True):
        assert process.returncode == 0, log
    computed = [int(log.rsplit(" cells: ", 1)[1].split(" ")[0]) for _, log in outputs]
    assert sum(computed) == len(expected), "a cell was computed twice"
    assert len(list(tmp_path.rglob("result.json"))) == len(expected)
    assert values(tmp_path) == expected
    tables = [json.loads(text) for text, _ in outputs]
    assert all(table == tables[0] for table in tables)


def test_shards_and_jobs_give_what_one_process_gives(folder, undisturbed, tmp_path) -> None:
    expected, _ = undisturbed
    shards, jobs = tmp_path / "shards", tmp_path / "jobs"
    shards.mkdir()
    jobs.mkdir()
    seen: list[str] = []
    for number in (1, 2, 3):
        done = here(folder, shards, "--shard", f"{number}/3", "--json")
        seen += [row["digest"] for row in json.loads(done.stdout)]
    assert len(seen) == len(set(seen)) == len(expected)
    assert values(shards) == expected
    done = subprocess.run(
        command(folder, "--jobs", "2"), cwd=jobs, env=environment(jobs), check=True, capture_output=True, text=True
    )
    assert f"0 computed, {len(expected)} cached" in done.stderr
    # processes that share the cores use fewer BLAS threads, which changes the last bit of a sum
    assert values(jobs) == pytest.approx(expected, abs=1e-12)


# --- processes that have lost their parent ----------------------------------------------------------------------------

SLEEPER = """
import os
import time
from pathlib import Path

from isocortex.interfaces import ModelPlugin


class Sleeper(ModelPlugin):
    def digest(self, variant):
        return None

    def load(self, variant, *, device):
        Path(os.environ["SLEEPERS"], str(os.getpid())).touch()
        time.sleep(100)
"""
SLEEPERS = """
[plugin]
api = 1

[[model]]
id = "sleeper/*"
object = "iso_sleeper:Sleeper"
modality = "image"
layers = ["none"]
"""


def alive(process: int) -> bool:
    """Whether a process is there and no mere entry that nobody has asked after."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(done: Callable[[], bool], seconds: float) -> bool:
    """Wait for something, and say whether it came in time."""
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.02)
    return done()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see processes that are no children")
def test_processes_end_with_the_parent_that_started_them(folder: Path, tmp_path: Path) -> None:
    write_package(tmp_path / "site", "iso-sleeper", {"__init__.py": SLEEPER, "isocortex.toml": SLEEPERS})
    models = [text for number in range(2) for text in ("-m", f"sleeper/{number}")]
    score = [sys.executable, "-m", "isocortex", "score", *models, "-b", f"folder:{folder}:ridge", "--jobs", "2"]
    parents: dict[signal.Signals, subprocess.Popen[bytes]] = {}
    for kind in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        base = tmp_path / kind.name
        base.mkdir()
        found = {**environment(base), "SLEEPERS": str(base), "PYTHONPATH": str(tmp_path / "site")}
        parents[kind] = subprocess.Popen(
            score,
            cwd=base,
            env=found,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def sleepers(kind: signal.Signals) -> list[int]:
        return [int(path.name) for path in (tmp_path / kind.name).iterdir() if path.name.isdigit()]

    try:
        assert until(lambda: all(len(sleepers(kind)) == 2 for kind in parents), 60), "two processes of each are at work"
        for kind, parent in parents.items():
            parent.send_signal(kind)
        assert until(lambda: not any(alive(one) for kind in parents for one in sleepers(kind)), 2)
        assert {kind: parent.wait(10) for kind, parent in parents.items()} == {
            signal.SIGKILL: -signal.SIGKILL,
            signal.SIGTERM: 143,
            signal.SIGINT: 130,
        }
        for kind in parents:
            assert not list((tmp_path / kind.name).rglob("uncached-*")), "they had the time to clean up"
    finally:
        for kind, parent in parents.items():
            parent.kill()
            for one in filter(alive, sleepers(kind)):
                os.kill(one, signal.SIGKILL)
