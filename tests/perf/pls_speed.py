"""Partial least squares at the size of MajajHong2015: 2,560 images → 168 sites, 25 components, ten 90/10 splits.

    python tests/perf/pls_speed.py [--units 1000 9216] [--threads 1 2] [--repeats 3]

Compared on made-up data: ``brainscore-pls`` through its public calls, which iterates and stops as scikit-learn does;
scikit-learn's PLSRegression; ikpls, which iterates to the end (another result, 1e-2 of the responses' standard
deviation away). The rivals fit one split and are scaled up; of a wide layer scikit-learn fits the first two
components, which need the fewest iterations, so that its time is understated. Look at CPU seconds with one thread; at
wall seconds with two, on a quiet machine.

The floor: the matrix products of the method (XᵀY of all images, what each split leaves out of it, scores and loadings
of every component, the squares of the cross-products, and for wide layers the Gram matrix and its factor), at the
measured speed of a large matrix product. The power iterations, which read small matrices over and over, are not in it.
Of every case the agreement with scikit-learn is printed too, and peak memory above the inputs.
"""

from __future__ import annotations

import argparse
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measuring import alternating, gemm_peak, machine, peak_memory, print_ratios, with_threads

N_IMAGES, N_SITES, N_COMPONENTS, N_SPLITS = 2560, 168, 25, 10
OURS = "brainscore-pls"
BOUNDS = {OURS: 4.0, "scikit-learn PLSRegression": 15.0, "ikpls algorithm 1": 1.5, "ikpls algorithm 2": 1.5}
#: layers that are too wide for a rival's matrix of units × units, or for its patience
WIDE = 4000
#: scikit-learn fits so many components of a wide layer, in one split; time goes with them
FEW_COMPONENTS = 2
#: peak memory above the inputs, bytes; all images of the public set
MEMORY_BOUND, MEMORY_IMAGES = 500e6, 3200

Array = np.ndarray[Any, Any]


def made_up(n_images: int, n_units: int) -> tuple[Array, Array]:
    """Features (float32) and responses that share sixty sources of falling variance, with noise of their own."""
    generator = np.random.default_rng(0)
    sources = generator.standard_normal((n_images, 60)) * np.arange(1, 61) ** -0.5
    own = generator.standard_normal((n_images, n_units), dtype=np.float32)
    features = (sources @ generator.standard_normal((60, n_units))).astype(np.float32) + 0.5 * own
    responses = sources @ generator.standard_normal((60, N_SITES))
    return features, responses + 2 * generator.standard_normal((n_images, N_SITES))


class Problem:
    """Features and responses, prepared for every case."""

    def __init__(self, n_images: int, n_units: int) -> None:
        import isocortex
        from isocortex.activations.layer import Activations
        from isocortex.data.dataset import make_responses

        self.features, self.responses = made_up(n_images, n_units)
        ids = [f"image{number}" for number in range(n_images)]
        self.activations = Activations("layer", ids, [self.features])
        responses = make_responses(self.responses, ids)
        self.comparison: Any = isocortex.load_metric(OURS).against(responses, settings={}, seed=0)
        self.train, self.test = self.comparison.splits[0]
        self.rows = self.features[self.train].astype(np.float64), self.features[self.test].astype(np.float64)

    def ours(self) -> Any:
        """All splits, the layer read from its blocks."""
        return self.comparison.score(self.activations)

    def scikit_learn(self, n_components: int = N_COMPONENTS) -> Array:
        """One split."""
        from sklearn.cross_decomposition import PLSRegression

        model = PLSRegression(n_components, scale=False).fit(self.rows[0], self.responses[self.train])
        return model.predict(self.rows[1])

    def ikpls(self, algorithm: int) -> Array:
        """One split."""
        from ikpls.numpy import PLS

        model = PLS(algorithm=algorithm, center_X=True, center_Y=True, scale_X=False, scale_Y=False)
        model.fit(self.rows[0], self.responses[self.train], N_COMPONENTS)
        return model.predict(self.rows[1], N_COMPONENTS)

    def operations(self) -> float:
        """Floating-point operations of the floor."""
        n_units = self.features.shape[1]
        n_columns, total = min(n_units, N_IMAGES), 0.0
        if n_units > N_IMAGES:  # symmetric product, and Cholesky factorisation
            total += N_IMAGES**2 * n_units + N_IMAGES**3 / 3
        total += 2.0 * (N_IMAGES + N_SPLITS * len(self.test)) * n_columns * N_SITES
        total += N_SPLITS * N_SITES**2 * n_columns
        return total + N_SPLITS * N_COMPONENTS * 2 * 2.0 * N_IMAGES * n_columns


def compare(n_units: list[int], n_threads: int, repeats: int) -> None:
    """Print the tables of one process."""
    print(machine())
    clock = "cpu" if n_threads == 1 else "wall"
    for number in n_units:
        problem = Problem(N_IMAGES, number)
        n_components = N_COMPONENTS if number <= WIDE else FEW_COMPONENTS
        cases: dict[str, Any] = {
            OURS: problem.ours,
            "scikit-learn PLSRegression": partial(problem.scikit_learn, n_components),
            "ikpls algorithm 1": partial(problem.ikpls, 1),
        }
        if number <= WIDE:
            cases["ikpls algorithm 2"] = partial(problem.ikpls, 2)
        scale = dict.fromkeys(cases, float(N_SPLITS)) | {OURS: 1.0}
        scale["scikit-learn PLSRegression"] *= N_COMPONENTS / n_components
        times = alternating(cases, repeats=repeats, scale=scale, warm_up=number <= WIDE)
        print(f"\n{number} units, {n_threads} thread(s)")
        floor = problem.operations() / gemm_peak("float64", clock=clock)
        print_ratios(times, reference=OURS, clock=clock, floor=floor, bounds=BOUNDS)
        if number <= WIDE:
            agreement(problem)


def agreement(problem: Problem) -> None:
    """Largest differences from scikit-learn over one split, as shares of a standard deviation."""
    expected = problem.scikit_learn()
    found = problem.ours()["prediction"].values[0]
    print(
        f"largest difference of predictions from scikit-learn's: {np.abs(found - expected).max() / expected.std():.1e}"
    )
    other = np.abs(problem.ikpls(1) - expected).max() / expected.std()
    print(f"of ikpls', which iterates to the end:                  {other:.1e}")


def memory(n_units: list[int]) -> None:
    """Print peak memory above the inputs, predictions included."""
    for number in n_units:
        peak = peak_memory(Problem(MEMORY_IMAGES, number).ours)
        verdict = f"≤ {MEMORY_BOUND / 1e6:g}: {'met' if peak <= MEMORY_BOUND else 'NOT MET'}"
        print(f"peak memory, {MEMORY_IMAGES} images × {number} units: {peak / 1e6:.0f} MB  {verdict}")


def main() -> None:
    """One process per number of threads."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--units", type=int, nargs="+", default=[1000, 9216])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--inside", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    units = [str(number) for number in chosen.units]
    if chosen.inside is None:
        for n_threads in chosen.threads:
            arguments = ["--inside", str(n_threads), "--repeats", str(chosen.repeats), "--units", *units]
            with_threads(Path(__file__), arguments, n_threads)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the longest run of iterations is reached
        compare(chosen.units, chosen.inside, chosen.repeats)
    if chosen.inside == 1:
        memory(chosen.units)


if __name__ == "__main__":
    main()
