"""Banded ridge at the size of NH2015: 165 sounds, 7,694 voxels, 4 feature spaces, one split of 132 and 33 sounds.

    OMP_NUM_THREADS=1 python tests/perf/banded_ridge_speed.py [--voxels 7694] [--repeats 3]

Compared on made-up data, one thread, double precision: ``searched_fit`` (65 mixtures × 21 alphas), and himalaya's
random search with as many mixtures, all alphas and its default of five folds. Both are told on what they reach: the
mean R² of the voxels over the sounds that were left out.
"""

from __future__ import annotations

import argparse

import numpy as np
from measuring import alternating, machine, peak_memory, print_ratios

from isocortex_metrics.encoding.feature_spaces import searched_fit, space_mixtures
from isocortex_metrics.numerics.dual_ridge import ALPHA_GRID
from isocortex_metrics.numerics.gram import gram_matrix

N_STIMULI, N_TRAIN, WIDTHS, SHARES = 165, 132, (40, 200, 1000, 512), (0.3, 0.2, 0.1, 0.0)
OURS, THEIRS = "searched_fit", "himalaya, random search"
BOUND = 5.0


class Problem:
    """Four feature spaces of which three explain a part of the responses."""

    def __init__(self, n_voxels: int) -> None:
        generator = np.random.default_rng(0)
        spaces = [generator.standard_normal((N_STIMULI, width)) for width in WIDTHS]
        self.responses = generator.standard_normal((N_STIMULI, n_voxels))
        for share, x in zip(SHARES, spaces, strict=True):
            part = x @ generator.standard_normal((x.shape[1], n_voxels))
            self.responses += np.sqrt(share) * part / part.std(axis=0)
        order = generator.permutation(N_STIMULI)
        self.train, self.test = np.sort(order[:N_TRAIN]), np.sort(order[N_TRAIN:])
        self.kernels = [gram_matrix([x], N_STIMULI) for x in spaces]
        self.mean = self.responses[self.train].mean(axis=0)
        centred = [x - x[self.train].mean(axis=0) for x in spaces]
        traces = [float((x[self.train] ** 2).sum()) for x in centred]
        self.inner = np.stack([x[self.train] @ x[self.train].T / t for x, t in zip(centred, traces, strict=True)])
        self.outer = np.stack([x[self.test] @ x[self.train].T / t for x, t in zip(centred, traces, strict=True)])

    def ours(self) -> np.ndarray:
        """(n_test, n_voxels) predictions less the training mean."""
        fit = searched_fit(self.kernels, self.train, self.test, self.responses[self.train])
        return fit.deviations.sum(axis=0)

    def theirs(self) -> np.ndarray:
        """The same by himalaya."""
        from himalaya.kernel_ridge import predict_weighted_kernel_ridge, solve_multiple_kernel_ridge_random_search

        deltas, dual, _ = solve_multiple_kernel_ridge_random_search(
            self.inner,
            self.responses[self.train] - self.mean,
            n_iter=len(space_mixtures(len(WIDTHS))),
            alphas=ALPHA_GRID / (N_TRAIN - 1),
            cv=5,
            return_weights="dual",
            progress_bar=False,
            random_state=0,
        )
        return predict_weighted_kernel_ridge(self.outer, dual, deltas)

    def r2(self, deviation: np.ndarray) -> float:
        """Mean R² over the voxels, about the training mean."""
        y = self.responses[self.test] - self.mean
        return float(np.mean(1 - ((y - deviation) ** 2).sum(axis=0) / (y**2).sum(axis=0)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voxels", type=int, default=7694)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    print(machine())
    problem = Problem(given.voxels)
    times = alternating({OURS: problem.ours, THEIRS: problem.theirs}, repeats=given.repeats, warm_up=False)
    print_ratios(times, reference=OURS, bounds={THEIRS: BOUND})
    print(f"mean R² left out: {OURS} {problem.r2(problem.ours()):.4f}, {THEIRS} {problem.r2(problem.theirs()):.4f}")
    print(f"peak memory above the inputs: {peak_memory(problem.ours) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
