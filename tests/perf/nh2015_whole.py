"""How long a network takes to be scored on voxels of a whole release, in which memory, and what a kill costs.

    python tests/perf/nh2015_whole.py [MODEL] [BENCHMARK …]

A synthetic release of Tuckute et al. 2023 of full size (NH2015: 7,694 voxels, B2021: 26,792), whose voxels read the
real sounds' features at random, and the real sounds (ISOCORTEX_REALDATA). Each command runs in a process of its own,
with two threads. One model with all its layers on NH2015.ridge may take five minutes and 2 GB.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

from measuring import machine  # noqa: E402

from plugins.nh2015.tests import release as synthetic  # noqa: E402

REALDATA = Path(os.environ.get("ISOCORTEX_REALDATA", Path(__file__).parents[3] / "shared" / "realdata")) / "nh2015"
MODEL = "cochcnn9-word@random:0"
BENCHMARKS = ("NH2015.ridge", "B2021.ridge", "NH2015comp.ridge")
#: how long the first chunk of an extraction may take
PATIENCE_S = 120.0


def responses(_: str, ids: Any, voxels: np.ndarray) -> np.ndarray:
    """Thirty hidden features of the sounds, mixed at random, with as much noise in every scan."""
    draw = np.random.default_rng(len(voxels))
    clean = draw.normal(size=(len(ids), 30)) @ draw.normal(size=(30, len(voxels))) / np.sqrt(30)
    values = draw.normal(size=(len(ids), len(voxels), 3))
    values += clean[:, :, None]
    return values


class Command:
    """The command line in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "2")
        self.env = {**os.environ, **threads}
        self.env |= {"ISOCORTEX_DATA": str(folder / "store"), "ISOCORTEX_CACHE": str(folder / "cache")}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it."""
        command = [sys.executable, "-m", "isocortex", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.folder, env=self.env, text=True, stdout=pipe, stderr=pipe)

    def run(self, *arguments: str) -> str:
        """Run it, print wall time, CPU time and peak memory, and return what it printed."""
        started = time.perf_counter()
        process = self.start(*arguments)
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        cpu, peak = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
        print(f"{wall:7.1f} s, {cpu:7.1f} s CPU, {peak:6.0f} MB   isocortex {' '.join(arguments)}", flush=True)
        if status:
            raise SystemExit(process.stderr.read() if process.stderr else f"exit status {status}")
        return printed


def score_after_a_kill(command: Command, *arguments: str) -> str:
    """Kill the first attempt once a chunk is stored, and run it again."""
    started, cache = time.perf_counter(), command.folder / "cache" / "activations"
    process = command.start(*arguments)
    while not list(cache.rglob("*.npy")) and time.perf_counter() - started < PATIENCE_S:
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    print(
        f"killed after {time.perf_counter() - started:.1f} s; stored: {len(list(cache.rglob('*.npy')))} files of layers"
    )
    return command.run(*arguments)


def main(model: str, benchmarks: tuple[str, ...]) -> None:
    """Print a line for each command, and what was scored."""
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        synthetic.write_data(folder / "release", synthetic.Sizes(**synthetic.FULL), responses)
        command = Command(folder)
        command.run("fetch", "-b", "NH2015comp.ridge", "--from", str(REALDATA))
        command.run("import", "tuckute", str(folder / "release"))
        for number, benchmark in enumerate(benchmarks):
            arguments = ("score", "-m", model, "-b", benchmark, "--json")
            printed = command.run(*arguments) if number else score_after_a_kill(command, *arguments)
            for row in json.loads(printed):
                if row["region"] is None:
                    layers = [layer["name"] for layer in row["layers"]]
                    print(f"  {row['statistic']} {row['value']:.3f}, {row['n_neuroids']} neuroids, layers {layers}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else MODEL, tuple(sys.argv[2:]) or BENCHMARKS)
