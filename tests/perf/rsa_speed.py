"""Time of ``rsa`` against rsatoolbox, scipy's pdist and numpy with scipy, in turn in one process.

    python tests/perf/rsa_speed.py [--threads 1 2] [--repeats 5] [--large]

Small: 165 stimuli, 6 layers of 25,000 units against 8 participants of 1,000 neuroids. At least 7 times faster than
rsatoolbox, and at most twice its floor. Large (``--large``, 2 GB): 3,200 stimuli, one layer of 25,000 units against one
participant of 168 neuroids. At least twice as fast as numpy's corrcoef with scipy's spearmanr; ranks of all pairs at
least 3 times as fast as scipy's rankdata. The brain side is prepared beforehand for us and for rsatoolbox.

The floor is the time of the products of patterns alone, at the measured speed of a square product: half of the matrix,
in the precision that is used (double for the small case, single for the large one). Look at CPU time with one thread,
and at wall time with several, when nothing else runs.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measuring import alternating, gemm_peak, machine, print_ratios, with_threads
from scipy.spatial.distance import pdist
from scipy.stats import rankdata, spearmanr

import isocortex
from isocortex.activations.layer import Activations
from isocortex.data.dataset import make_responses
from isocortex_metrics.numerics.ranks import average_ranks

Array = np.ndarray[Any, Any]

N_UNITS = 25_000


def patterns(n_stimuli: int, n_units: int, seed: int) -> Array:
    """Rectified sums of 40 factors and noise, (n_stimuli, n_units) float32."""
    stream = np.random.default_rng(seed)
    factors = stream.standard_normal((n_stimuli, 40), dtype=np.float32)
    mixed = factors @ stream.standard_normal((40, n_units), dtype=np.float32)
    return np.maximum(mixed + 3 * stream.standard_normal((n_stimuli, n_units), dtype=np.float32), 0)


def prepared(responses: Array, subjects: list[str]) -> Any:
    """Our comparison with the participants."""
    ids = [f"s{number}" for number in range(len(responses))]
    target = make_responses(responses, ids, neuroid={"subject": subjects})
    return isocortex.load_metric("rsa").against(target, settings={}, seed=0)


def numpy_rdm(values: Array) -> Array:
    """1 − corrcoef, above the diagonal."""
    return 1 - np.corrcoef(values)[np.triu_indices(len(values), 1)]


def small_cases() -> dict[str, Callable[[], Array]]:
    """Each gives rho (n_layers, n_participants)."""
    import rsatoolbox

    layers = [patterns(165, N_UNITS, seed) for seed in range(6)]
    brains = [patterns(165, 1_000, seed).astype(np.float64) for seed in range(100, 108)]
    subjects = [f"p{number}" for number in range(8)]
    comparison = prepared(np.concatenate(brains, axis=1), np.repeat(subjects, 1_000).tolist())
    ids = list(comparison.stimulus_id)
    rdms = [numpy_rdm(values) for values in brains]

    def toolbox_rdms(values: list[Array]) -> Any:
        data = [rsatoolbox.data.Dataset(one) for one in values]
        return rsatoolbox.rdm.calc_rdm(data, method="correlation")

    theirs = toolbox_rdms(brains)

    def ours() -> Array:
        scored = [comparison.score(Activations(f"l{place}", ids, [layer])) for place, layer in enumerate(layers)]
        return np.stack([scores["rho"].values for scores in scored])

    def once_per_layer(rdm: Callable[[Array], Array]) -> Callable[[], Array]:
        def run() -> Array:
            made = [rdm(layer) for layer in layers]
            return np.array([[spearmanr(own, brain).statistic for brain in rdms] for own in made])

        return run

    return {
        "rsa": ours,
        "rsatoolbox": lambda: rsatoolbox.rdm.compare(toolbox_rdms(layers), theirs, method="spearman"),
        "scipy pdist + spearmanr": once_per_layer(lambda layer: pdist(layer, "correlation")),
        "numpy corrcoef + spearmanr": once_per_layer(numpy_rdm),
    }


def large_cases() -> tuple[dict[str, Callable[[], Array]], Array]:
    """Each gives one rho; and a matrix of 5.1 million pairs to rank."""
    layer, brain = patterns(3_200, N_UNITS, 0), patterns(3_200, 168, 1).astype(np.float64)
    comparison = prepared(brain, ["p"] * 168)
    activations = Activations("layer", list(comparison.stimulus_id), [layer])
    rdm = numpy_rdm(brain)
    return {
        "rsa": lambda: comparison.score(activations)["rho"].values,
        "numpy corrcoef + spearmanr": lambda: np.array([spearmanr(numpy_rdm(layer), rdm).statistic]),
    }, rdm


def compared(cases: dict[str, Callable[[], Array]], repeats: int, floor: float, bounds: dict[str, float]) -> None:
    """Check that all give the same, and print the table."""
    values = {name: run() for name, run in cases.items()}
    for name, found in values.items():
        print(f"largest difference of {name} to rsa: {np.abs(found - values['rsa']).max():.1e}")
    times = alternating(cases, repeats=repeats, warm_up=False)
    for clock in ("cpu", "wall"):
        print(f"ratios of {clock} time, medians of {repeats}")
        print_ratios(times, reference="rsa", clock=clock, floor=floor, bounds=bounds)


def main() -> None:
    """Run in processes of their own, one per number of threads, or here."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="*", default=[])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--large", action="store_true")
    chosen = parser.parse_args()
    if chosen.threads:
        for number in chosen.threads:
            rest = ["--repeats", str(chosen.repeats), *(["--large"] if chosen.large else [])]
            with_threads(Path(__file__), rest, number)
        return
    warnings.filterwarnings("ignore", module="rsatoolbox")
    print(f"\n{machine()}\n\n165 stimuli, 6 layers × 8 participants, {N_UNITS} units")
    floor = 6 * 165 * 165 * N_UNITS / gemm_peak("float64")
    compared(small_cases(), chosen.repeats, floor, {"rsa": 2, "rsatoolbox": 7})
    if not chosen.large:
        return
    print(f"\n3,200 stimuli, 1 layer × 1 participant, {N_UNITS} units")
    cases, rdm = large_cases()
    compared(
        cases, min(chosen.repeats, 3), 3_200**2 * N_UNITS / gemm_peak("float32"), {"numpy corrcoef + spearmanr": 2}
    )
    print("\nranks of 5.1 million pairs")
    ranks = {"ours": lambda: average_ranks(rdm), "scipy rankdata": lambda: rankdata(rdm)}
    print_ratios(alternating(ranks, repeats=chosen.repeats), reference="ours", bounds={"scipy rankdata": 3})


if __name__ == "__main__":
    main()
