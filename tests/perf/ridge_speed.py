"""Voxelwise ridge at the size of NH2015: 165 sounds, 7,694 voxels × 3 scans, 10 half splits, 100 alphas.

    python tests/perf/ridge_speed.py [--units 4096 25729] [--threads 1 2] [--repeats 3]

Compared on made-up data: ``tuckute2023-ridge`` through its public calls; scikit-learn's RidgeCV per voxel, as the
published code has it; RidgeCV for many voxels at once on the exact 83 × 82 rotation of the problem; himalaya's
KernelRidgeCV with as many folds as training sounds. The rivals run on a share of the voxels of one split and are scaled
up. Look at CPU seconds with one thread; at wall seconds with two, on a quiet machine.

The floor: the matrix products of leave-one-out for the alphas whose weights differ, for three scans (the mean over
scans follows from them), and those of the predictions, at the measured speed of a large matrix product. The products
that are computed are of triangles and take three fifths of it. Peak memory includes the predictions that are returned.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measuring import Times, alternating, gemm_peak, machine, peak_memory, print_ratios, with_threads

N_STIMULI, N_VOXELS, N_SCANS, N_SPLITS, N_TRAIN = 165, 7694, 3, 10, 83
FITS = 1 + N_SCANS
OURS = "tuckute2023-ridge"
#: at most so many times the floor, by the number of threads
FLOOR_BOUND = {1: 1.7, 2: 1.7}
#: voxels of one split that a rival fits
SHARES = {"RidgeCV, per voxel": 1, "RidgeCV, many voxels, rotated": 128, "himalaya KernelRidgeCV, KFold(83)": 128}
BOUNDS = {"RidgeCV, per voxel": 500.0, "RidgeCV, many voxels, rotated": 4.0, "himalaya KernelRidgeCV, KFold(83)": 30.0}
#: units of a wide layer
WIDE = 20_000
#: peak memory above the inputs, bytes
MEMORY_BOUND = 200e6

Array = np.ndarray[Any, Any]


def made_up(n_units: int) -> tuple[Array, Array]:
    """Features like rectified units of many scales, and scans whose signal-to-noise ratio goes from 0 to 1.5."""
    generator = np.random.default_rng(0)
    scale = 10 ** generator.uniform(-1.5, 1.5, n_units)
    sources = generator.standard_normal((N_STIMULI, 50))
    own = generator.standard_normal((N_STIMULI, n_units))
    units = np.maximum(sources @ generator.standard_normal((50, n_units)) + 0.3 * own, 0)
    signal = units @ generator.standard_normal((n_units, N_VOXELS))
    signal *= generator.uniform(0, 1.5, N_VOXELS) / signal.std(axis=0)
    scans = signal + generator.standard_normal((N_SCANS, N_STIMULI, N_VOXELS))
    return (units * scale).astype(np.float32), scans


class Problem:
    """Features and scans, prepared for every case."""

    def __init__(self, n_units: int) -> None:
        import isocortex
        from isocortex.activations.layer import Activations
        from isocortex.data.dataset import make_responses
        from isocortex_metrics.tuckute2023.fits import ABSOLUTE_ALPHAS

        self.features, self.scans = made_up(n_units)
        ids = [f"sound{number}" for number in range(N_STIMULI)]
        self.activations = Activations("layer", ids, [self.features])
        responses = make_responses(self.scans, ids)
        self.comparison: Any = isocortex.load_metric(OURS).against(responses, settings={}, seed=0)
        self.alphas = ABSOLUTE_ALPHAS[::-1].copy()  # descending, as published
        self.train, self.test = self.comparison.splits[0]

    def ours(self) -> Any:
        """All voxels, scans and splits."""
        return self.comparison.score(self.activations)

    def targets(self, n_voxels: int) -> tuple[Array, Array]:
        """Features, and mean and single scans of some voxels, over the training sounds of the first split."""
        scans = self.scans[:, self.train, :n_voxels]
        return self.features[self.train].astype(np.float64), np.concatenate([scans.mean(axis=0), *scans], axis=1)

    def rotated(self) -> tuple[Array, Array]:
        """Training (83, 82) and test (82, 82) features with the Gram matrix of the first split."""
        from isocortex_metrics.numerics.gram import gram_matrix, split_basis

        basis = split_basis(gram_matrix([self.features], N_STIMULI), self.train, self.test)
        root = np.sqrt(basis.values)
        return basis.vectors * root, basis.cross / root

    def per_voxel(self, n_voxels: int) -> None:
        """The published way: one RidgeCV for the mean and for every scan of every voxel."""
        from sklearn.linear_model import RidgeCV

        features, targets = self.targets(n_voxels)
        test = self.features[self.test].astype(np.float64)
        for column in targets.T:
            RidgeCV(alphas=self.alphas).fit(features, column).predict(test)

    def many_voxels(self, n_voxels: int) -> None:
        """One RidgeCV with an alpha per target."""
        from sklearn.linear_model import RidgeCV

        train, test = self.rotated()
        RidgeCV(alphas=self.alphas, alpha_per_target=True).fit(train, self.targets(n_voxels)[1]).predict(test)

    def himalaya(self, n_voxels: int) -> None:
        """Kernel ridge with leave-one-out as folds."""
        from himalaya.kernel_ridge import KernelRidgeCV
        from sklearn.model_selection import KFold

        train, test = self.rotated()
        folds: Any = KFold(N_TRAIN)
        model = KernelRidgeCV(alphas=self.alphas, kernel="precomputed", cv=folds)
        targets = self.targets(n_voxels)[1]
        model.fit(train @ train.T, targets - targets.mean(axis=0)).predict(test @ train.T)

    def operations(self) -> float:
        """Floating-point operations of the floor."""
        from isocortex_metrics.numerics.leave_one_out import distinct_alphas
        from isocortex_metrics.tuckute2023.fits import basis_of

        gram = self.features.astype(np.float64)
        gram = gram - gram.mean(axis=0)
        gram = gram @ gram.T
        n_test, rank, total = N_STIMULI - N_TRAIN, N_TRAIN - 1, 2.0 * N_STIMULI**2 * self.features.shape[1]
        for split in self.comparison.splits:
            values = basis_of(gram, split, self.features.shape[1]).values
            n_alphas = len(distinct_alphas(values, self.alphas[::-1])[0])
            rotation = 2.0 * rank * N_TRAIN * N_SCANS * N_VOXELS
            predictions = 2.0 * rank * (n_test * FITS + N_TRAIN) * N_VOXELS
            total += n_alphas * rotation + rotation + predictions
        return total


def compare(n_units: list[int], n_threads: int, repeats: int) -> None:
    """Print the table of one process."""
    print(machine())
    clock = "cpu" if n_threads == 1 else "wall"
    ours: dict[int, float] = {}
    for number in n_units:
        problem = Problem(number)
        rivals: dict[str, Callable[[int], None]] = dict(
            zip(SHARES, (problem.per_voxel, problem.many_voxels, problem.himalaya), strict=True)
        )
        cases = {OURS: problem.ours, **{name: partial(call, SHARES[name]) for name, call in rivals.items()}}
        scale = {name: N_SPLITS * N_VOXELS / share for name, share in SHARES.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # singular matrices at the smallest alphas
            times: dict[str, Times] = alternating(cases, repeats=repeats, scale=scale)
        peak = gemm_peak("float64", clock=clock)
        floor = problem.operations() / peak
        print(f"\n{number} units, {n_threads} thread(s); products {peak / 1e9:.0f} GFLOP/s; compared by {clock} time")
        bounds = {**BOUNDS, OURS: FLOOR_BOUND[n_threads]}
        if number >= WIDE:
            bounds["RidgeCV, per voxel"] = 3000.0  # its time grows with the units, ours does not
        print_ratios(times, reference=OURS, clock=clock, floor=floor, bounds=bounds)
        held = peak_memory(problem.ours)
        verdict = "met" if held <= MEMORY_BOUND else "NOT MET"
        print(f"peak memory above the inputs {held / 1e6:.0f} MB (≤ {MEMORY_BOUND / 1e6:.0f}: {verdict})")
        ours[number] = times[OURS].median(clock)
    if len(ours) > 1:
        growth = max(ours.values()) / min(ours.values()) - 1
        print(f"\ntime over {n_units} units: +{100 * growth:.0f} % (≤ 10: {'met' if growth <= 0.1 else 'NOT MET'})")


def main() -> None:
    """Run the comparison once per number of threads, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, nargs="+", default=[4096])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], choices=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--here", action="store_true", help="compare in this process, whatever its threads are")
    given = parser.parse_args()
    if given.here:
        compare(given.units, given.threads[0], given.repeats)
        return
    for n_threads in given.threads:
        units = [str(number) for number in given.units]
        arguments = ["--here", "--threads", str(n_threads), "--repeats", str(given.repeats), "--units", *units]
        with_threads(Path(__file__), arguments, n_threads)


if __name__ == "__main__":
    main()
