"""200 models on six benchmarks: one process, two processes and Slurm leave the same results, byte for byte.

python tests/proof/many_models.py FOLDER                # one process and --jobs 2: about half an hour of one core
python tests/proof/many_models.py FOLDER --slurm        # and on the Slurm that SLURM_CONF names
python tests/proof/many_models.py FOLDER --models 10    # fewer models

The models are networks of random thresholds that differ in their seed; the benchmarks are six metrics on made-up
pictures and responses. Each way has its own results and its own cache below FOLDER. A way that was stopped goes on. All
of the results counts but the provenance of a result (times, command, process) and the seal over it. Exit code 1 where
something differs or fails. On Slurm, an isocortex-slurm.toml in FOLDER says how many scores a job does.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.folders import image_folder, results_of

METRICS = ("ridge", "rsa", "cka", "pls", "procrustes", "one-to-one")
N_IMAGES = 40
WAYS = {"one": ["--jobs", "1"], "two": ["--jobs", "2"], "slurm": ["--executor", "slurm"]}


def differences(one: dict[str, object], other: dict[str, object]) -> list[str]:
    """Names of files that only one has, or that differ."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def score(folder: Path, way: str, n_models: int) -> bool:
    """Score all models on all benchmarks in one of the ways, say what it took, and return whether all went well."""
    environment = {**os.environ, "ISOCORTEX_CACHE": str(folder / f"cache-{way}"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "isocortex", "score", "-m", f"threshold-units@random:0..{n_models - 1}"]
    for metric in METRICS:
        command += ["-b", f"folder:pictures:{metric}"]
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with (folder / f"{way}.log").open("a") as log:
        done = subprocess.run(
            [*command, "--out", way, *WAYS[way]], cwd=folder, env=environment, stdout=log, stderr=log, check=False
        )
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = spent.ru_utime + spent.ru_stime - before.ru_utime - before.ru_stime
    n_files = sum(path.is_file() for path in (folder / way).rglob("*"))
    print(
        f"{way}: exit code {done.returncode}, {time.perf_counter() - start:.0f} s, {cpu:.0f} s of CPU, "
        f"{spent.ru_maxrss / 1e6:.2f} GB in the largest process so far, {n_files:,} files",
        flush=True,
    )
    return done.returncode == 0


def main() -> int:
    """Score in each way, and compare the folders."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--slurm", action="store_true")
    chosen = parser.parse_args()
    folder: Path = chosen.folder
    if not (folder / "pictures").exists():
        image_folder(folder / "pictures", n_images=N_IMAGES)
    ways = ["one", "two", *(["slurm"] if chosen.slurm else [])]
    went_well = [score(folder, way, chosen.models) for way in ways]
    first, *others = (results_of(folder / way) for way in ways)
    n_results = sum(name.endswith(".json") for name in first)
    differing = [differences(first, other) for other in others]
    for way, names in zip(ways[1:], differing, strict=True):
        print(f"{way}: {len(names)} of {len(first):,} files differ from one process, {n_results:,} records", *names[:5])
    return int(not all(went_well) or any(differing) or n_results < chosen.models * len(METRICS))


if __name__ == "__main__":
    sys.exit(main())
