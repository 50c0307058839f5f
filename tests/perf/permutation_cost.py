"""What permutations cost beside a score: CPU time, in turn in one process.

    python tests/perf/permutation_cost.py [--threads 1 2] [--repeats 3] [--case NAME …]

165 stimuli, 6 layers of 2,000 units. A score is that of all layers and its summary with 1,000 bootstrap draws, from
activations in memory; the permutations are all made, none ends early. A run is what ``isocortex score`` does with one
cell whose activations are there: it reads data and activations, scores, and writes the result. ``ridge`` is related to
the score of (B + 1) · N neuroids, too.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measuring import alternating, machine, with_threads
from PIL import Image

import isocortex
from isocortex.activations.layer import Activations
from isocortex.data.dataset import make_responses
from isocortex.interfaces import Preparation, Rules
from isocortex.scoring import Exchangeable, calibrated

N_STIMULI, N_LAYERS, N_UNITS = 165, 6, 2000
IDS = [f"s{number:03d}" for number in range(N_STIMULI)]
#: name → metric, settings, participants, neuroids of each, permutations
CASES: dict[str, tuple[str, dict[str, Any], int, int, int]] = {
    "rsa": ("rsa", {}, 8, 500, 999),
    "rsa, one participant": ("rsa", {}, 1, 500, 999),
    "cka": ("cka", {}, 8, 500, 999),
    "procrustes, 6 components": ("procrustes", {}, 1, 6, 999),
    "procrustes, 8 × 20": ("procrustes", {}, 8, 20, 999),
    "procrustes, 500 neuroids": ("procrustes", {}, 1, 500, 999),
    "brainscore-cka": ("brainscore-cka", {}, 1, 500, 999),
    "brainscore-cka-cv": ("brainscore-cka-cv", {}, 1, 500, 999),
    "ridge, 3 neuroids": ("ridge", {}, 1, 3, 199),
    "ridge, 6 components": ("ridge", {}, 1, 6, 199),
    "ridge, 100 neuroids": ("ridge", {}, 1, 100, 199),
    "pls, 6 components": ("pls", {}, 1, 6, 99),
    "pls, 100 neuroids": ("pls", {}, 1, 100, 99),
}


def layers() -> dict[str, Activations]:
    """Rectified sums of 40 factors and noise."""
    found: dict[str, Activations] = {}
    for number in range(N_LAYERS):
        stream = np.random.default_rng(number)
        factors = stream.standard_normal((N_STIMULI, 40)) @ stream.standard_normal((40, N_UNITS))
        values = np.maximum(factors + 3 * stream.standard_normal((N_STIMULI, N_UNITS)), 0).astype(np.float32)
        found[f"layer{number}"] = Activations(f"layer{number}", IDS, [values])
    return found


def responses(given: dict[str, Activations], n_participants: int, n_neuroids: int) -> tuple[np.ndarray, list[str]]:
    """Values (n_stimuli, n_neuroids) that have to do with the first layer, and the participant of each neuroid."""
    stream = np.random.default_rng(99)
    values = given["layer0"].array()[:, : n_participants * n_neuroids].astype(np.float64)
    values = np.resize(values, (N_STIMULI, n_participants * n_neuroids))
    subjects = np.repeat([f"p{number}" for number in range(n_participants)], n_neuroids).tolist()
    return values + 3 * stream.standard_normal(values.shape), subjects


def scoring(metric: str, settings: dict[str, Any], n_participants: int, n_neuroids: int, n_draws: int = 1000) -> Any:
    """The comparison, the layers, and a call that scores."""
    given = layers()
    values, subjects = responses(given, n_participants, n_neuroids)
    comparison = isocortex.load_metric(metric).against(
        make_responses(values, IDS, neuroid={"subject": subjects}),
        settings=settings,
        preparation=Preparation(Rules(n_draws=n_draws), keep=("prediction",)),
    )
    return comparison, given, lambda: comparison.summarise(comparison.score_all(given))


def permuting(comparison: Any, given: dict[str, Activations], summary: Any, n: int) -> Callable[[], object]:
    """A call that makes all permutations."""
    free = Exchangeable.of(IDS)
    return lambda: calibrated(comparison, given, {None: summary}, free, n_permutations=n, stop_after=None)


def on_disk(folder: Path, n_participants: int, n_neuroids: int) -> None:
    """Write the same activations, and a data set of the same responses, as a laboratory keeps them."""
    given = layers()
    values, subjects = responses(given, n_participants, n_neuroids)
    for made in ("model", "brain/stimuli"):
        (folder / made).mkdir(parents=True)
    for name, layer in given.items():
        np.save(folder / "model" / f"{name}.npy", layer.array())
    (folder / "model" / "stimulus_id.txt").write_text("\n".join(IDS) + "\n")
    for number, name in enumerate(IDS):
        Image.fromarray(np.full((4, 4, 3), number, dtype=np.uint8)).save(folder / "brain" / "stimuli" / f"{name}.png")
    (folder / "brain" / "stimuli.csv").write_text("\n".join(["stimulus_id", *IDS]) + "\n")
    np.save(folder / "brain" / "responses.npy", values)
    rows = [f"neuroid{number},{subject}" for number, subject in enumerate(subjects)]
    (folder / "brain" / "neuroids.csv").write_text("\n".join(["neuroid_id,subject", *rows]) + "\n")


def running(folder: Path, metric: str, null: str | None) -> None:
    """One cell of ``isocortex score``, anew."""
    out = folder / "results"
    shutil.rmtree(out, ignore_errors=True)
    [result] = isocortex.score(
        f"activations:{folder / 'model'}",
        f"folder:{folder / 'brain'}:{metric}",
        config=isocortex.RunConfig(out=out, null=null),
        quiet=True,
    )
    assert result.status == "scored", result.failure


def measure(name: str, repeats: int) -> None:
    """Print one line."""
    metric, settings, n_participants, n_neuroids, n = CASES[name]
    comparison, given, score = scoring(metric, settings, n_participants, n_neuroids)
    calls = {"score": score, "permutations": permuting(comparison, given, score(), n)}
    if metric == "ridge":
        calls["many"] = scoring(metric, settings, n_participants, n_neuroids * (n + 1), n_draws=2)[2]
    with tempfile.TemporaryDirectory() as made:
        on_disk(Path(made), n_participants, n_neuroids)
        calls["run"] = partial(running, Path(made), metric, None)
        calls["run"]()  # the scores are warm by now; permutations are too long for a round in vain
        times = {case: found.median() for case, found in alternating(calls, repeats=repeats, warm_up=False).items()}
    of_many = f"{times['permutations'] / times['many']:8.2f} × (B + 1) · N neuroids" if "many" in times else ""
    ratio = times["permutations"] / times["score"]
    of_run = times["permutations"] / times["run"]
    seconds = " ".join(f"{times[case]:9.2f} s" for case in ("score", "run", "permutations"))
    print(f"{name:26} {n:5} {seconds} {ratio:8.2f} × score {of_run:8.2f} × run {of_many}", flush=True)


def main() -> None:
    """Measure the cases that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--case", nargs="+", default=list(CASES), choices=list(CASES))
    chosen = parser.parse_args()
    if chosen.threads:
        for n_threads in chosen.threads:
            with_threads(Path(__file__), ["--repeats", str(chosen.repeats), "--case", *chosen.case], n_threads)
        return
    print(machine())
    print(f"{'case':26} {'B':>5} {'score':>11} {'run':>11} {'permutations':>13}")
    for name in chosen.case:
        measure(name, chosen.repeats)


if __name__ == "__main__":
    main()
