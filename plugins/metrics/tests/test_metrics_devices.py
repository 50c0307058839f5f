"""Ridge on torch tensors equals ridge on numpy arrays, and does not depend on the kernels and threads of BLAS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import isocortex
from isocortex.activations.layer import Activations
from isocortex.data.dataset import make_responses
from isocortex_metrics.numerics import threads
from isocortex_metrics.numerics.arrays import on_device, to_numpy
from isocortex_metrics.numerics.dual_ridge import ALPHA_GRID, fit_split
from isocortex_metrics.numerics.gram import gram_matrix, split_basis
from isocortex_metrics.numerics.leave_one_out import BLOCK, Operators, leave_one_out_errors
from isocortex_metrics.numerics.threads import in_threads
from isocortex_metrics.tuckute2023.fits import reliabilities, score_halves
from isocortex_metrics.tuckute2023.splits import tuckute_splits

TOLERANCE = {"rtol": 0, "atol": 1e-6}
N_STIMULI = 40
IDS = [f"s{number}" for number in range(N_STIMULI)]


def problem(n_units: int = 60, n_scans: int = 3, n_neuroids: int = 7, seed: int = 0):
    """Features (40, n_units) in float32 and scans (n_scans, 40, n_neuroids) that depend on them."""
    generator = np.random.default_rng(seed)
    features = (generator.standard_normal((N_STIMULI, n_units)) * 10 ** generator.uniform(-1, 1, n_units)).astype("f4")
    signal = features @ generator.standard_normal((n_units, n_neuroids)) / np.linalg.norm(features, axis=1).mean()
    return features, signal + 0.7 * generator.standard_normal((n_scans, N_STIMULI, n_neuroids))


@pytest.mark.parametrize("n_units", [9, 60])
def test_fits_on_torch_equal_those_on_numpy(n_units: int) -> None:
    pytest.importorskip("torch")
    features, scans = problem(n_units)
    train, test = np.arange(28), np.arange(28, N_STIMULI)
    responses = scans[0].copy()
    responses[:, 2] = 1.5
    blocks = [features[:, :5], features[:, 5:]]
    expected = fit_split(split_basis(gram_matrix(blocks, N_STIMULI), train, test), responses[train])
    gram = gram_matrix(blocks, N_STIMULI, "torch")
    assert type(gram).__module__ == "torch"
    basis = split_basis(gram, train, test)
    found = fit_split(basis, on_device(responses, "torch")[train])
    for name in ("prediction", "mean", "selection"):
        np.testing.assert_allclose(to_numpy(getattr(found, name)), getattr(expected, name), **TOLERANCE)
    assert to_numpy(found.alpha_index).tolist() == expected.alpha_index.tolist()
    rotated = basis.vectors.T @ on_device(responses, "torch")[train]
    errors = leave_one_out_errors(basis, rotated, ALPHA_GRID * basis.mean_eigenvalue)
    assert tuple(errors.shape) == (len(ALPHA_GRID), 7)


@pytest.mark.parametrize("n_units", [9, 60])
def test_errors_of_many_neuroids_by_triangles_equal_those_of_few(n_units: int) -> None:
    features, scans = problem(n_units, n_neuroids=2 * BLOCK + 5)
    basis = split_basis(gram_matrix([features], N_STIMULI), np.arange(28), np.arange(28, N_STIMULI))
    rotated = np.stack([basis.vectors.T @ scan[:28] for scan in scans], axis=1)  # (27, 3, n_neuroids)
    alphas = 10.0 ** np.arange(-50, 50)
    assert Operators.at(basis, alphas, rotated[0].size).triangular
    assert not Operators.at(basis, alphas, 2).triangular
    found = leave_one_out_errors(basis, rotated, alphas)
    for neuroid in (0, BLOCK - 1, BLOCK, 2 * BLOCK + 4):
        alone = np.concatenate([rotated[:, :, neuroid].mean(axis=1, keepdims=True), rotated[:, :, neuroid]], axis=1)
        np.testing.assert_allclose(found[:, :, neuroid], leave_one_out_errors(basis, alone, alphas), rtol=1e-11)


def test_constant_features_on_torch_predict_the_mean() -> None:
    pytest.importorskip("torch")
    _, scans = problem()
    gram = gram_matrix([np.full((N_STIMULI, 3), 0.1)], N_STIMULI, "torch")
    found = fit_split(split_basis(gram, np.arange(28), np.arange(28, 40)), on_device(scans[0], "torch")[:28])
    assert not to_numpy(found.selection).any()
    assert set(to_numpy(found.alpha_index).tolist()) == {len(ALPHA_GRID) - 1}


@pytest.mark.parametrize(
    ("metric", "n_scans"),
    [
        ("tuckute2023-ridge", 3),
        ("tuckute2023-ridge", 2),
        ("tuckute2023-components", 1),
        ("conwell-ridge", 1),
        ("conwell-ridge-searched", 1),
    ],
)
def test_metrics_on_torch_equal_those_on_numpy(metric: str, n_scans: int) -> None:
    pytest.importorskip("torch")
    features, scans = problem(n_scans=n_scans)
    scans[:, :, 4] = 0.7
    layers = {
        "all": Activations("all", IDS, [features]),
        "few": Activations("few", IDS, [features[:, :12] + np.float32(0.3)]),
    }
    expected, found = (
        isocortex.load_metric(metric)
        .against(make_responses(scans, IDS), settings={}, seed=0, device=device)
        .score_all(layers)
        for device in ("cpu", "torch")
    )
    assert set(found.data_vars) == set(expected.data_vars)
    for name, variable in expected.data_vars.items():
        assert found[name].dtype == variable.dtype
        np.testing.assert_allclose(found[name].values, variable.values, err_msg=str(name), **TOLERANCE)


def test_splits_in_threads_give_the_same_numbers(monkeypatch) -> None:
    features, scans = problem(n_neuroids=BLOCK + 20)
    splits = tuckute_splits(N_STIMULI)
    gram, reliability = gram_matrix([features], N_STIMULI), reliabilities(splits, scans)
    names = ["r2_corrected", "alpha_index", "prediction"]
    found = []
    for n_threads in (1, 3):
        monkeypatch.setattr(threads, "blas_threads", lambda n=n_threads: n)
        found.append(score_halves(gram, splits, scans, reliability, 60, names))
    for name in names:
        np.testing.assert_array_equal(found[1][name], found[0][name])


def test_threads_end_with_as_many_blas_threads_as_before() -> None:
    from threadpoolctl import threadpool_info

    def counts() -> list[int]:
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    before = counts()
    inside = in_threads(lambda _: counts(), range(4), n_threads=4)
    assert all(set(found) == {1} for found in inside)
    assert counts() == before
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda number: 1 // number, [1, 0, 2], n_threads=2)
    assert counts() == before


SCRIPT = """
import json
import numpy as np
from threadpoolctl import threadpool_info
from isocortex_metrics.numerics.correlation import pearson
from isocortex_metrics.numerics.dual_ridge import fit_split
from isocortex_metrics.numerics.gram import gram_matrix, split_basis
from isocortex_metrics.target.splits import folds
from isocortex_metrics.tuckute2023.fits import reliabilities, score_halves
from isocortex_metrics.tuckute2023.splits import tuckute_splits

generator = np.random.default_rng(0)
features = generator.standard_normal((40, 300)) * 10 ** generator.uniform(-1, 1, 300)
signal = features @ generator.standard_normal((300, 30)) / 300
scans = signal * np.repeat([0.0, 0.3, 3.0], 10) + generator.standard_normal((3, 40, 30))
gram, mean = gram_matrix([features], 40), scans.mean(axis=0)
fits = [fit_split(split_basis(gram, *split), mean[split.train]) for split in folds(40)]
halves = tuckute_splits(40)
found = {
    "kernels": [pool["architecture"] for pool in threadpool_info() if pool["internal_api"] == "openblas"],
    "r": [pearson(fit.deviation, mean[split.test])[0].tolist() for fit, split in zip(fits, folds(40))],
    "alpha": [fit.alpha_index.tolist() for fit in fits],
    "published": score_halves(gram, halves, scans, reliabilities(halves, scans), 300, ["r2_corrected"])[
        "r2_corrected"
    ].tolist(),
}
"""


@pytest.mark.parametrize(("kernel", "n_threads"), [("Haswell", 2), ("Prescott", 1), ("SkylakeX", 1)])
def test_scores_do_not_depend_on_kernels_and_threads(kernel: str, n_threads: int) -> None:
    if kernel == "SkylakeX" and "avx512f" not in _processor():
        pytest.skip("this processor has no AVX-512")
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(n_threads))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT + "print(json.dumps(found))"],
        env={**os.environ, **threads, "OPENBLAS_CORETYPE": kernel},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    here: dict = {}
    exec(SCRIPT, here)
    found, expected = json.loads(done.stdout), here["found"]
    # names of kernels differ between builds of OpenBLAS; what counts is that another one was at work
    if kernel not in expected["kernels"]:
        assert found["kernels"] != expected["kernels"] or not expected["kernels"]
    assert found["alpha"] == expected["alpha"]
    for name in ("r", "published"):
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-9)


def _processor() -> str:
    about = Path("/proc/cpuinfo")
    return about.read_text() if about.exists() else ""


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_scale_of_features_and_order_of_neuroids_do_not_matter_for_ridge(scale: float) -> None:
    features, scans = problem(n_units=300, n_neuroids=30)
    responses = make_responses(scans, IDS)
    order = np.random.default_rng(3).permutation(30)
    ridge = isocortex.load_metric("ridge")
    expected = ridge.against(responses, settings={}, seed=0).score(Activations("layer", IDS, [features]))
    scaled = Activations("layer", IDS, [np.float32(scale) * features])
    found = ridge.against(responses.isel(neuroid=order), settings={}, seed=0).score(scaled)
    np.testing.assert_allclose(found["r"].values, expected["r"].values[:, order], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(found["alpha"].values, expected["alpha"].values[:, order])
