"""Ridge where numbers are at their limits: extreme alphas, constant features, published fits, and its memory."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr

from isocortex_metrics.numerics.correlation import pearson
from isocortex_metrics.numerics.dual_ridge import ALPHA_GRID, fit_split, largest_of_the_best
from isocortex_metrics.numerics.gram import gram_matrix, split_basis
from isocortex_metrics.numerics.leave_one_out import leave_one_out_errors
from isocortex_metrics.target.splits import folds

GOLDEN = Path(os.environ.get("ISOCORTEX_GOLDEN", Path(__file__).parents[3] / "tests" / "golden"))
ALPHAS = 10.0 ** np.arange(-50, 50)


def predicted_by_svd(features: np.ndarray, responses: np.ndarray, alpha: float, test: np.ndarray) -> np.ndarray:
    """Ridge with an intercept by the singular values of the features, well defined for every alpha."""
    mean = features.mean(axis=0)
    left, singular, right = np.linalg.svd(features - mean, full_matrices=False)
    kept = singular > 1e-10 * singular[0]
    left, singular, right = left[:, kept], singular[kept], right[kept]
    gain = singular / (singular**2 + alpha)
    centred = responses - responses.mean(axis=0)
    return (test - mean) @ right.T @ (gain[:, None] * (left.T @ centred)) + responses.mean(axis=0)


@pytest.mark.parametrize("n_units", [5, 60])
def test_leave_one_out_from_1e_minus_50_to_1e49_equals_refitting(n_units: int) -> None:
    generator = np.random.default_rng(n_units)
    n_train = 26
    features = generator.standard_normal((n_train, n_units)) + 2.0
    responses = features @ generator.standard_normal((n_units, 3)) + generator.standard_normal((n_train, 3))
    responses = np.column_stack([responses, np.full(n_train, 0.7)])  # the last neuroid is constant
    basis = split_basis(gram_matrix([features], n_train), np.arange(n_train), np.arange(2))
    found = leave_one_out_errors(basis, basis.vectors.T @ (responses - responses.mean(axis=0)), ALPHAS)
    for place in range(0, len(ALPHAS), 7):
        expected = np.zeros(4)
        for left_out in range(n_train):
            rest = np.delete(np.arange(n_train), left_out)
            predicted = predicted_by_svd(features[rest], responses[rest], ALPHAS[place], features[[left_out]])
            expected += (responses[left_out] - predicted[0]) ** 2
        np.testing.assert_allclose(found[place, :3], expected[:3], rtol=1e-9)
        assert found[place, 3] < 1e-25


@pytest.mark.parametrize("name", ["tuckute_ridge_p60", "tuckute_ridge_p300"])
def test_published_fits_of_voxels(name: str) -> None:
    """Outputs of the published code of Tuckute et al. (2023) in its own environment."""
    golden = np.load(GOLDEN / f"{name}.npz", allow_pickle=False)
    features, responses = golden["X"].astype(float), golden["Y"].astype(float).mean(axis=2)
    gram = gram_matrix([features], len(features))
    grid = golden["alphas"][::-1]  # ascending
    compared = 0
    for split in range(golden["train"].shape[1]):
        train, test = np.flatnonzero(golden["train"][:, split]), np.flatnonzero(golden["test"][:, split])
        basis = split_basis(gram, train, test)
        fit = fit_split(basis, responses[train], grid / basis.mean_eigenvalue)
        firm = ~golden["rounding_sensitive"][:, split].astype(bool)
        np.testing.assert_array_equal(grid[fit.alpha_index[firm]], golden["out_alpha"][firm, split])
        expected = golden["y_preds_test"][test, split]
        np.testing.assert_allclose(fit.deviation[:, firm], expected[:, firm], atol=1e-8)
        r, null = pearson(fit.deviation, responses[test])
        np.testing.assert_allclose(r[firm], golden["out_r_prior_zero"][firm, split], atol=1e-9)
        assert not null[firm].any()
        compared += int(firm.sum())
    assert compared >= 10


def test_published_fits_of_components() -> None:
    golden = np.load(GOLDEN / "tuckute_components.npz", allow_pickle=False)
    splits = np.load(GOLDEN / "tuckute_splits.npz", allow_pickle=False)
    features, responses = golden["X"].astype(float), golden["R_in_stim_order"].astype(float)
    gram = gram_matrix([features], len(features))
    for split in range(10):
        train, test = (np.flatnonzero(splits[name][:, split]) for name in ("train", "test"))
        basis = split_basis(gram, train, test)
        fit = fit_split(basis, responses[train], 10.0 ** np.arange(-50, 50) / basis.mean_eigenvalue)
        r, _ = pearson(fit.deviation, responses[test])
        np.testing.assert_allclose(r, golden["r_test"][:, split], atol=1e-9)


def test_leave_one_out_of_deep_mouse_trap() -> None:
    golden = np.load(GOLDEN / "models_dmt_ridge_loo.npz", allow_pickle=False)
    features, responses = golden["X"], golden["Y"]
    predicted = np.empty_like(responses)
    gram = gram_matrix([features], len(features))
    for left_out in range(len(features)):
        rest = np.delete(np.arange(len(features)), left_out)
        basis = split_basis(gram, rest, np.array([left_out]))
        predicted[left_out] = fit_split(basis, responses[rest], np.array([1.0]) / basis.mean_eigenvalue).prediction[0]
    np.testing.assert_allclose(predicted, golden["loo_predictions"], atol=1e-9)
    np.testing.assert_allclose(pearson(predicted, responses)[0], golden["pearson_r"], atol=1e-9)


def fitted(features: np.ndarray, responses: np.ndarray, n_train: int = 48):
    """Fit, r and null of the stimuli after the first 48."""
    train, test = np.arange(n_train), np.arange(n_train, len(features))
    fit = fit_split(split_basis(gram_matrix([features], len(features)), train, test), responses[train])
    return fit, *pearson(fit.deviation, responses[test])


@pytest.mark.parametrize("varies_in_test", [False, True])
def test_features_that_do_not_vary_in_training_predict_nothing(varies_in_test: bool) -> None:
    generator = np.random.default_rng(0)
    for value in generator.random(20):
        features = np.full((60, 30), value)
        if varies_in_test:
            features[48:] = generator.standard_normal((12, 30))
        fit, r, null = fitted(features, generator.standard_normal((60, 7)) + 100)
        assert null.all()
        assert not r.any()
        assert not fit.selection.any()
        assert (fit.alpha_index == len(ALPHA_GRID) - 1).all()


def test_constant_responses_of_any_value_are_null() -> None:
    generator = np.random.default_rng(0)
    constants = np.tile(generator.random(300) * 1000, (60, 1))
    fit, r, null = fitted(generator.standard_normal((60, 9)), constants)
    assert null.all()
    assert not r.any()
    assert not fit.selection.any()
    assert (fit.alpha_index == len(ALPHA_GRID) - 1).all()


def test_a_large_mean_of_the_responses_costs_no_digit_of_small_predictions() -> None:
    generator = np.random.default_rng(0)
    features, responses = generator.standard_normal((60, 90)), generator.standard_normal((60, 20))
    _, expected, _ = fitted(features, responses)
    _, r, _ = fitted(features, responses + 1e4)
    np.testing.assert_allclose(r, expected, atol=1e-8)


def test_shift_of_features_and_order_of_stimuli_change_nothing() -> None:
    generator = np.random.default_rng(0)
    features = generator.standard_normal((60, 90)).astype(np.float32)
    responses = generator.standard_normal((60, 20)) + features[:, :20]
    fit, r, _ = fitted(features, responses)
    order = np.concatenate([generator.permutation(48), 48 + generator.permutation(12)])
    shifted = features[order].astype(np.float64) + generator.standard_normal(90) * 100
    other, other_r, _ = fitted(shifted, responses[order])
    np.testing.assert_allclose(other_r, r, atol=1e-9)
    np.testing.assert_array_equal(other.alpha_index, fit.alpha_index)


def test_ties_within_a_billionth_go_to_the_largest_alpha() -> None:
    errors = np.array([[1.0, 5.0, 0.0], [1.0 + 5e-10, 4.0, 0.0], [1.0 + 2e-9, 4.0 + 3e-9, 0.0], [2.0, 4.0 + 5e-9, 0.0]])
    assert largest_of_the_best(errors).tolist() == [1, 2, 3]


def test_memory_does_not_grow_with_the_number_of_units() -> None:
    generator = np.random.default_rng(0)
    responses = generator.standard_normal((80, 40))

    def peak(n_blocks: int) -> int:
        blocks = (
            np.random.default_rng(number).standard_normal((80, 500)).astype(np.float32) for number in range(n_blocks)
        )
        tracemalloc.start()
        gram = gram_matrix(blocks, 80)
        for train, test in folds(80):
            fit_split(split_basis(gram, train, test), responses[train])
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    assert peak(40) <= 1.05 * peak(4)


def test_signed_correlations_are_those_of_scipy() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((2, 25, 6))
    r, _ = pearson(x, y)
    assert (r < 0).any()
    np.testing.assert_allclose(r, [pearsonr(a, b).statistic for a, b in zip(x.T, y.T, strict=True)], atol=1e-13)
