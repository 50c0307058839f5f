"""What permutations cost beside a score: CPU time, in turn in one process.

    python tests/perf/permutation_cost.py [--threads 1 2] [--repeats 3] [--case NAME …]

165 stimuli, 6 layers of 2,000 units. A score is that of all layers and its summary with 1,000 bootstrap draws; the
permutations are all made, none ends early. ``rsa``, ``cka`` and ``procrustes``: 999 permutations, at most 3 times a
score. ``ridge``: 199 permutations of N neuroids against the score of 200 · N neuroids, at most 1.2 times, and against
the score of N. ``pls``: 9 permutations; each takes as long as the score's fits.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measuring import alternating, machine, with_threads

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
    "procrustes, 500 neuroids": ("procrustes", {}, 1, 500, 99),
    "brainscore-cka": ("brainscore-cka", {}, 1, 500, 999),
    "ridge, 6 components": ("ridge", {}, 1, 6, 199),
    "ridge, 100 neuroids": ("ridge", {}, 1, 100, 199),
    "pls, 100 neuroids": ("pls", {}, 1, 100, 9),
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


def scoring(metric: str, settings: dict[str, Any], n_participants: int, n_neuroids: int, n_draws: int = 1000) -> Any:
    """The comparison, the layers, and a call that scores."""
    given = layers()
    stream = np.random.default_rng(99)
    values = given["layer0"].array()[:, : n_participants * n_neuroids].astype(np.float64)
    values = np.resize(values, (N_STIMULI, n_participants * n_neuroids))
    values = values + 3 * stream.standard_normal(values.shape)
    subjects = np.repeat([f"p{number}" for number in range(n_participants)], n_neuroids).tolist()
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


def measure(name: str, repeats: int) -> None:
    """Print one line."""
    metric, settings, n_participants, n_neuroids, n = CASES[name]
    comparison, given, score = scoring(metric, settings, n_participants, n_neuroids)
    calls = {"score": score, "permutations": permuting(comparison, given, score(), n)}
    if metric == "ridge":
        calls["many"] = scoring(metric, settings, n_participants, n_neuroids * (n + 1), n_draws=2)[2]
    times = {case: found.median() for case, found in alternating(calls, repeats=repeats).items()}
    of_many = f"{times['permutations'] / times['many']:8.2f} × (B + 1) · N neuroids" if "many" in times else ""
    ratio = times["permutations"] / times["score"]
    print(f"{name:26} {n:5} {times['score']:9.2f} s {times['permutations']:9.2f} s {ratio:8.2f} × score {of_many}")


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
    print(f"{'case':26} {'B':>5} {'score':>11} {'permutations':>11}")
    for name in chosen.case:
        measure(name, chosen.repeats)


if __name__ == "__main__":
    main()
