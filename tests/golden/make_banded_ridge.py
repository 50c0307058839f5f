"""Make ``banded_ridge_himalaya.npz``: what himalaya predicts with given penalties, on three problems.

    python tests/golden/make_banded_ridge.py        # needs himalaya (the dependency group perf)

himalaya 0.4.11, ``WeightedKernelRidge`` with precomputed linear kernels: K = Σ_b exp(δ_b) K_b and alpha 1, so that
δ_b = −log λ_b. Features and responses are centred by the training mean before. Weights of the training stimuli are
searched by conjugate gradients until nothing changes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

#: stimuli, training stimuli, units of each space, neuroids, penalties, seed
PROBLEMS = (
    (40, 30, (5, 60), 4, (3.0, 40.0), 0),
    (60, 45, (8, 20, 100), 3, (0.5, 25.0, 900.0), 1),
    (50, 40, (30, 30, 10, 200), 5, (10.0, 1000.0, 0.1, 200.0), 2),
)
WHERE = Path(__file__).with_name("banded_ridge_himalaya.npz")


def problem(number: int):
    """Features of each space, responses, places of training and test stimuli, penalties."""
    n_stimuli, n_train, widths, n_neuroids, penalties, seed = PROBLEMS[number]
    generator = np.random.default_rng(seed)
    spaces = [generator.standard_normal((n_stimuli, width)) + generator.uniform(-1, 1) for width in widths]
    responses = sum(x @ generator.standard_normal((x.shape[1], n_neuroids)) for x in spaces)
    responses = responses + 3 * generator.standard_normal(responses.shape) + 5
    order = generator.permutation(n_stimuli)
    return spaces, responses, np.sort(order[:n_train]), np.sort(order[n_train:]), penalties


def by_himalaya(number: int) -> np.ndarray:
    """(n_spaces, n_test, n_neuroids) what each space adds to the prediction, less the training mean."""
    from himalaya.kernel_ridge import WeightedKernelRidge

    spaces, responses, train, test, penalties = problem(number)
    centred = [x - x[train].mean(axis=0) for x in spaces]
    inner = np.stack([x[train] @ x[train].T for x in centred])
    outer = np.stack([x[test] @ x[train].T for x in centred])
    model = WeightedKernelRidge(
        alpha=1.0,
        deltas=-np.log(penalties),
        kernels="precomputed",
        solver_params={"max_iter": 20_000, "tol": 1e-14},
        random_state=0,
    )
    model.fit(inner, responses[train] - responses[train].mean(axis=0))
    return np.asarray(model.predict(outer, split=True))


if __name__ == "__main__":
    np.savez_compressed(WHERE, **{f"problem_{number}": by_himalaya(number) for number in range(len(PROBLEMS))})
