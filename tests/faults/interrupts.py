"""Interrupts and kills at moments spread over every phase of every command, each compared with an undisturbed twin.

    python tests/faults/interrupts.py --n 300 --seed 0 [--json FILE]

A forked child runs the true command line, gets SIGINT, SIGTERM or SIGKILL, and is run again to its end. Counted are:
  hung        alive 5 s after an interrupt
  lost        a result that was finished before, and is gone or computed once more
  wrong       a file of values that differs from the twin's in a single bit, or that is absent
  tracebacks  of an interrupted or of a second run, and an interrupted one that says more or less than its one line
  left        half-made files after an interrupt, or after the second run
  waited      a second run that waits for a lock
The phase is the one in which the signal was sent, from time stamps of the child. Exit code 1 where anything is counted.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.faults.phases import phase_at, run_child  # noqa: E402
from tests.faults.twins import finished, leftovers, values  # noqa: E402

LIMIT_S = 5.0
COUNTS = ("hung", "lost", "wrong", "tracebacks", "left", "waited")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)

MAKE = """
import sys
from pathlib import Path
from tests.folders import image_folder
from plugins.nh2015.tests.release import write_external
base = Path(sys.argv[1])
image_folder(base / "images", n_images=70)
write_external(base / "release" / "mynet", {"early": 40, "late": 80})
"""
PACKAGE = """
[plugin]
api = 1
[[stimuli]]
id = "parts"
modality = "image"
object = "iso_parts:Parts"
files = "files.csv"
[[dataset]]
id = "Parts"
stimuli = "parts"
object = "iso_parts:Parts"
[[metric]]
id = "parts-metric"
object = "iso_parts:Parts"
[[benchmark]]
id = "parts"
dataset = "Parts"
metric = "parts-metric"
"""
CODE = """
from isocortex.interfaces import StimuliPlugin, DatasetPlugin
class Parts(StimuliPlugin, DatasetPlugin):
    def load(self, files, stimuli=None):
        raise NotImplementedError
    def fetch(self, source=None):
        return ()
"""


@dataclass(frozen=True)
class Job:
    """A command, the phases in which it is disturbed, and how often each."""

    name: str
    arguments: tuple[str, ...]
    phases: dict[str, int]


def jobs(base: Path) -> list[Job]:
    """Commands that write: their numbers are how often each phase is drawn."""
    benchmark = ("-b", f"folder:{base / 'images'}:ridge")
    models = ("-m", "pixels", "-m", "noise/2")
    return [
        Job("score", ("score", *models, *benchmark),
            {"start": 2, "planning": 2, "extraction": 4, "scoring": 4, "scores.nc": 8, "printing": 3}),
        Job("extract", ("extract", *models, "--stimuli", str(base / "images"), "--out", "features"),
            {"start": 1, "extraction": 3, "copying": 2}),
        Job("fetch", ("fetch", "-b", "parts", "--from", str(base / "parts")), {"start": 1, "copying": 3}),
        Job("import", ("import", "tuckute", str(base / "release"), "--out", "tuckute"), {"start": 1, "importing": 4}),
    ]  # fmt: skip


# --- one trial --------------------------------------------------------------------------------------------------------


@dataclass
class Trial:
    """What was done and what came of it."""

    job: Job
    wanted: str
    number: signal.Signals
    phase: str = ""
    counted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    said: str = ""

    def count(self, what: str, why: str) -> None:
        self.counted[what] += 1
        self.said += f"\n  {what}: {self.job.name}, {self.phase}, {self.number.name}: {why}"


class Child:
    """A forked child and what it tells."""

    def __init__(self, job: Job, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.code = folder, None
        self.reading, writing = os.pipe()
        self.told = b""
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.reading)
            run_child(job.arguments, folder, writing)
        os.close(writing)

    def marks(self, seconds: float) -> list[tuple[str, str, int]]:
        """What was told until now, after waiting for more."""
        if select.select([self.reading], [], [], seconds)[0]:
            self.told += os.read(self.reading, 65536)
        lines = [line.split("\t") for line in self.told.decode().split("\n")[:-1]]
        return [(phase, what, int(at)) for phase, what, at in lines]

    def ended(self, seconds: float) -> bool:
        """Wait for its end."""
        until = time.monotonic() + seconds
        while self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > until:
                return False
            else:
                time.sleep(0.002)
        return True

    def text(self) -> str:
        return (self.folder / "said.txt").read_text(errors="replace")

    def close(self) -> list[tuple[str, str, int]]:
        """All that was told."""
        found = self.marks(0)
        os.close(self.reading)
        return found


def to_the_end(job: Job, folder: Path) -> tuple[Child, dict[str, float]]:
    """Run a command undisturbed; how long each of its phases takes, in seconds."""
    begun = time.monotonic_ns()
    child = Child(job, folder)
    child.ended(120)
    took: dict[str, float] = {}
    first = time.monotonic_ns()
    open_: dict[str, int] = {}
    for phase, what, at in child.close():
        if what == "begins":
            open_[phase] = at
            first = min(first, at) if phase != "start" else first
        else:
            took[phase] = max(took.get(phase, 0.0), (at - open_[phase]) / 1e9)
    took["start"] = (first - begun) / 1e9
    return child, took


def disturb(trial: Trial, folder: Path, took: dict[str, float], fraction: float, nth: int) -> bool:
    """Send the signal within the phase that is wanted; False: the command was done before."""
    child = Child(trial.job, folder)
    begins: list[tuple[str, str, int]] = []
    until = time.monotonic() + 60
    while len(begins) < nth and time.monotonic() < until:
        begins = [mark for mark in child.marks(0.05) if mark[:2] == (trial.wanted, "begins")]
        if not begins and child.ended(0):
            break
    time.sleep(fraction * took.get(trial.wanted, 0.0))
    sent = time.monotonic_ns()
    if child.ended(0):
        child.close()
        return False
    os.kill(child.pid, trial.number)
    hung = not child.ended(LIMIT_S)
    if hung:
        os.kill(child.pid, signal.SIGKILL)
        child.ended(10)
    trial.phase = phase_at(child.close(), sent)
    judge_end(trial, child, folder, hung=hung)
    return True


def judge_end(trial: Trial, child: Child, folder: Path, *, hung: bool) -> None:
    """What an interrupted command says, its exit code, and what it leaves."""
    text = child.text()
    if hung:
        trial.count("hung", f"alive after {LIMIT_S} s")
        return
    if trial.number == signal.SIGKILL:
        return
    word = "Terminated." if trial.number == signal.SIGTERM else "Interrupted."
    lines = [line for line in text.splitlines() if word in line]
    stopped = child.code == 128 + trial.number
    done = child.code == 0  # all was done before the signal was looked at
    if "Traceback" in text or "Exception ignored" in text or not (done or (stopped and len(lines) == 1)):
        trial.count("tracebacks", f"exit {child.code}: {text[-600:]!r}")
    left = leftovers(folder)
    if left:
        trial.count("left", ", ".join(left[:3]))


# --- compared with the twin -------------------------------------------------------------------------------------------


def judge_again(trial: Trial, folder: Path, before: dict[str, int], twin: dict[str, Any]) -> None:
    """Run the command again to its end, and compare."""
    child, _ = to_the_end(trial.job, folder)
    text = child.text()
    if child.code != 0 or "Traceback" in text:
        trial.count("tracebacks", f"second run, exit {child.code}: {text[-600:]!r}")
    if "Waiting for" in text:
        trial.count("waited", text[-300:])
    after = finished(folder)
    gone = [name for name, at in before.items() if after.get(name) != at]
    if gone:
        trial.count("lost", ", ".join(gone))
    found = values(folder)
    differ = [name for name in twin.keys() | found.keys() if twin.get(name) != found.get(name)]
    if differ:
        trial.count("wrong", ", ".join(sorted(differ)[:4]))
    left = leftovers(folder)
    if left:
        trial.count("left", f"after the second run: {', '.join(left[:3])}")


# --- the campaign -----------------------------------------------------------------------------------------------------


def prepare(base: Path) -> list[Job]:
    """Data, a package of files, and the environment of all children."""
    made = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", MAKE, str(base)], check=True, cwd=ROOT, env=made)
    from hashlib import sha256

    draw = random.Random(0)
    (base / "parts").mkdir()
    rows = ["name,url,sha256,bytes"]
    for number in range(12):
        content = draw.randbytes(300_000)
        (base / "parts" / f"part{number}.bin").write_bytes(content)
        rows.append(f"part{number}.bin,http://127.0.0.1:9/{number},{sha256(content).hexdigest()},{len(content)}")
    package = base / "site" / "iso_parts"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(CODE)
    (package / "isocortex.toml").write_text(PACKAGE)
    (package / "files.csv").write_text("\n".join(rows) + "\n")
    about = base / "site" / "iso_parts-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: iso-parts\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[isocortex]\nparts = iso_parts\n")
    sys.path.insert(0, str(base / "site"))
    os.environ["OMP_NUM_THREADS"] = "1"
    return jobs(base)


def schedule(every: Sequence[Job], n: int, draw: random.Random) -> Iterator[Trial]:
    """Trials in turn over commands, phases and signals, the rarer ones not forgotten in a short campaign."""
    slots = [(job, phase) for job in every for phase, times in job.phases.items() for _ in range(times)]
    draw.shuffle(slots)
    for number in range(n):
        job, phase = slots[number % len(slots)]
        yield Trial(job, phase, SIGNALS[(number + number // len(slots)) % 3])


def warm(every: Sequence[Job]) -> None:
    """Import once what every child needs."""
    for name in ("isocortex.cli.score", "isocortex.api", "isocortex.run.runner", "isocortex.run.hook_caller",
                 "isocortex.loading.folder_dataset", "isocortex.run.fetch", "isocortex_metrics.encoding.ridge",
                 "isocortex_baselines", "isocortex_nh2015.import_command", "isocortex_nh2015.tuckute_activations",
                 "isocortex_nh2015.tuckute_results", "netCDF4", "xarray", "scipy.linalg", "sklearn", "filelock",
                 "threadpoolctl", "soundfile", "PIL.Image"):  # fmt: skip
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def campaign(base: Path, n: int, seed: int, n_cold: int) -> list[Trial]:
    """All trials; the first ones in children that import everything themselves."""
    draw = random.Random(seed)
    every = prepare(base)
    trials: list[Trial] = []
    cold = [Trial(every[number % 2], "start", SIGNALS[number % 3]) for number in range(n_cold)]
    for number, trial in enumerate(cold):
        if disturb(trial, base / f"cold{number}", {"start": 1.0}, draw.random(), 1):
            trial.phase = "imports" if trial.phase == "start" else trial.phase
            trials.append(trial)
    warm(every)
    twins = {job.name: to_the_end(job, base / f"twin {job.name}") for job in every}
    for name, (child, _) in twins.items():
        if child.code != 0:
            raise SystemExit(f"the undisturbed {name} fails: {child.text()[-2000:]}")
    expected = {job.name: values(base / f"twin {job.name}") for job in every}
    for trial in trials:
        folder = base / f"cold{cold.index(trial)}"
        judge_again(trial, folder, finished(folder), expected[trial.job.name])
    for number, trial in enumerate(schedule(every, n - len(trials), draw)):
        folder = base / f"trial{number}"
        took = twins[trial.job.name][1]
        nth = 1 + (number // 7) % 2 if trial.wanted in ("extraction", "scoring", "scores.nc") else 1
        if disturb(trial, folder, took, draw.random(), nth):
            judge_again(trial, folder, finished(folder), expected[trial.job.name])
            trials.append(trial)
        shutil.rmtree(folder, ignore_errors=True)
    return trials


def table(trials: Sequence[Trial]) -> dict[str, dict[str, int]]:
    """Phase × signal → tried, and what was counted."""
    found: dict[str, dict[str, int]] = {}
    for trial in trials:
        key = f"{trial.phase} × {trial.number.name}"
        row = found.setdefault(key, {"tried": 0, **dict.fromkeys(COUNTS, 0)})
        row["tried"] += 1
        for name in COUNTS:
            row[name] += trial.counted[name]
    return dict(sorted(found.items()))


def main() -> int:
    """Run the campaign and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cold", type=int, default=None, help="of these, in processes that import everything")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="isocortex-interrupts-"))
    try:
        trials = campaign(base, chosen.n, chosen.seed, chosen.n // 10 if chosen.cold is None else chosen.cold)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    rows = table(trials)
    print(f"{'phase × signal':28}" + "".join(f"{name:>11}" for name in ("tried", *COUNTS)))
    total = {name: sum(row[name] for row in rows.values()) for name in ("tried", *COUNTS)}
    for key, row in {**rows, "all": total}.items():
        print(f"{key:28}" + "".join(f"{row[name]:>11}" for name in ("tried", *COUNTS)))
    print("".join(trial.said for trial in trials).lstrip("\n"))
    if chosen.json:
        chosen.json.write_text(json.dumps({"n": len(trials), "rows": rows}, indent=1))
    return 1 if any(row[name] for row in rows.values() for name in COUNTS) else 0


if __name__ == "__main__":
    sys.exit(main())
