"""How time and memory of ``ridge``, ``pls``, ``rsa`` and ``cka`` grow with stimuli, units and neuroids, peers beside.

    python tests/perf/cost_curves.py [--metric ridge rsa] [--longest 60]

One layer of made-up activations against made-up responses of one participant, through the public calls, one thread, CPU
seconds. One size varies at a time, the others are 300 stimuli, 1,000 units and 100 neuroids. A case and its peer run in
turn; a peer that does one split is scaled up to all of them, and is left out where it would take longer than
``--longest`` seconds, to judge by the size before. The slope is that of the logarithm of the cost over that of the
size, from the two largest sizes: 1 is linear growth, 2 quadratic. Memory is the most that was held above the inputs.

Peers: scikit-learn's RidgeCV (leave-one-out, an alpha per neuroid, the same 21 alphas, the same splits) and
PLSRegression (the same components and splits); scipy's pdist and spearmanr; the unbiased CKA of two Gram matrices, in
numpy.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measuring import machine, peak_memory, timed, with_threads

SIZES = {
    "stimuli": (100, 300, 1_000, 3_000, 10_000),
    "units": (100, 1_000, 10_000, 100_000),
    "neuroids": (10, 100, 1_000, 10_000),
}
OTHERS = {"stimuli": 300, "units": 1_000, "neuroids": 100}
#: the default of ``pls``
N_COMPONENTS = 25
METRICS = ("ridge", "pls", "rsa", "cka")

Array = np.ndarray[Any, Any]


class Problem:
    """Activations and responses that share forty sources, prepared for our metric and for its peer."""

    def __init__(self, metric: str, n_stimuli: int, n_units: int, n_neuroids: int) -> None:
        import isocortex
        from isocortex.activations.layer import Activations
        from isocortex.data.dataset import make_responses

        stream = np.random.default_rng(0)
        sources = stream.standard_normal((n_stimuli, 40), dtype=np.float32)
        own = stream.standard_normal((n_stimuli, n_units), dtype=np.float32)
        self.features = sources @ stream.standard_normal((40, n_units), dtype=np.float32) + 3 * own
        noise = stream.standard_normal((n_stimuli, n_neuroids))
        self.responses = sources @ stream.standard_normal((40, n_neuroids)) + 6 * noise
        ids = [f"stimulus{number}" for number in range(n_stimuli)]
        self.comparison: Any = isocortex.load_metric(metric).against(
            make_responses(self.responses, ids), settings={}, seed=0
        )
        self.activations = Activations("layer", ids, [self.features])

    def ours(self) -> Any:
        """What a run asks of the metric for one layer, without predictions."""
        return self.comparison.score(self.activations)

    def first_split(self) -> tuple[Array, Array, Array, int]:
        """Training and test features, training responses, and how many splits there are."""
        splits = self.comparison.splits
        train, test = splits[0]
        return self.features[train].astype(np.float64), self.features[test], self.responses[train], len(splits)


def ridge_peer(problem: Problem) -> int:
    """scikit-learn's RidgeCV on one split; how many splits there are."""
    from sklearn.linear_model import RidgeCV

    from isocortex_metrics.numerics.dual_ridge import ALPHA_GRID

    train, test, responses, n_splits = problem.first_split()
    scale = float(np.square(train - train.mean(axis=0)).sum()) / (len(train) - 1)
    RidgeCV(ALPHA_GRID * scale, alpha_per_target=True).fit(train, responses).predict(test)
    return n_splits


def pls_peer(problem: Problem) -> int:
    """scikit-learn's PLSRegression on one split; how many splits there are."""
    from sklearn.cross_decomposition import PLSRegression

    train, test, responses, n_splits = problem.first_split()
    PLSRegression(N_COMPONENTS, scale=False).fit(train, responses).predict(test)
    return n_splits


def rsa_peer(problem: Problem) -> int:
    """scipy on both sides; the brain's matrix is made anew, as a script does that goes over layers."""
    from scipy.spatial.distance import pdist
    from scipy.stats import spearmanr

    spearmanr(pdist(problem.features, "correlation"), pdist(problem.responses, "correlation"))
    return 1


def cka_peer(problem: Problem) -> int:
    """Unbiased CKA (Song et al. 2012, equation 5) of two Gram matrices."""
    n = len(problem.features)
    K, L = (values @ values.T for values in (problem.features.astype(np.float64), problem.responses))
    for kernel in (K, L):
        np.fill_diagonal(kernel, 0.0)

    def hsic(one: Array, other: Array) -> float:
        whole = one.sum() * other.sum() / ((n - 1) * (n - 2))
        return float((one * other).sum() + whole - 2 * (one.sum(axis=0) @ other.sum(axis=0)) / (n - 2))

    assert np.isfinite(hsic(K, L) / math.sqrt(hsic(K, K) * hsic(L, L)))
    return 1


PEERS: dict[str, Callable[[Problem], int]] = {
    "ridge": ridge_peer,
    "pls": pls_peer,
    "rsa": rsa_peer,
    "cka": cka_peer,
}


def curve(metric: str, along: str, longest: float) -> list[tuple[int, float, float, float]]:
    """For each size: CPU seconds and bytes of ours, and CPU seconds of the peer, NaN where it is left out."""
    found: list[tuple[int, float, float, float]] = []
    expected = 0.0
    for size in SIZES[along]:
        sizes = {**OTHERS, along: size}
        problem = Problem(metric, sizes["stimuli"], sizes["units"], sizes["neuroids"])
        problem.ours()
        seconds, rival = [], []
        n_repeats = 3 if not found or found[-1][1] < 2 else 1
        for _ in range(n_repeats):
            seconds.append(timed(problem.ours)[0])
            if expected <= longest:
                scale = []
                spent, _ = timed(lambda scale=scale, problem=problem: scale.append(PEERS[metric](problem)))
                rival.append(spent * scale[0])
                expected = spent * 8  # of one split, of the next size, at least linear growth
        peer = float(np.median(rival)) if rival else math.nan
        found.append((size, float(np.median(seconds)), float(peak_memory(problem.ours)), peer))
    return found


def slope(sizes: list[int], costs: list[float]) -> float:
    """Of the logarithm, between the two largest sizes."""
    return math.log(costs[-1] / costs[-2]) / math.log(sizes[-1] / sizes[-2])


def print_curve(metric: str, along: str, found: list[tuple[int, float, float, float]]) -> None:
    """One line of a Markdown table."""
    sizes, seconds, memory, _ = (list(column) for column in zip(*found, strict=True))
    cells = [
        f"{size:,}: {own:.3g} s, {held / 1e6:.3g} MB" + (f", {other / own:.3g} ×" if math.isfinite(other) else "")
        for size, own, held, other in found
    ]
    of_memory = slope(sizes, memory)
    print(f"| `{metric}` | {along} | {'; '.join(cells)} | {slope(sizes, seconds):.1f} | {of_memory:.1f} |", flush=True)


def main() -> None:
    """One process of one thread."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--metric", nargs="+", default=METRICS, choices=METRICS)
    parser.add_argument("--longest", type=float, default=60.0)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if not chosen.inside:
        with_threads(Path(__file__), ["--inside", "--longest", str(chosen.longest), "--metric", *chosen.metric], 1)
        return
    warnings.simplefilter("ignore")
    print(machine())
    print("| metric | grows | size: CPU time, memory, peer | slope of time | slope of memory |\n|---|---|---|---|---|")
    for metric in chosen.metric:
        for along in SIZES:
            print_curve(metric, along, curve(metric, along, chosen.longest))


if __name__ == "__main__":
    main()
