"""Ridge from a Gram matrix against brute force and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from isocortex_metrics.numerics.dual_ridge import ALPHA_GRID, fit_split, largest_of_the_best
from isocortex_metrics.numerics.gram import gram_matrix, split_basis
from isocortex_metrics.numerics.leave_one_out import BLOCK, leave_one_out_errors
from isocortex_metrics.target.splits import stack_tests

N_TRAIN, N_TEST = 24, 9
TRAIN, TEST = np.arange(N_TRAIN), np.arange(N_TRAIN, N_TRAIN + N_TEST)


def problem(n_units: int, n_neuroids: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features with an offset and responses that depend on them, (n_stimuli, n_units) and (n_stimuli, n_neuroids)."""
    generator = np.random.default_rng(seed)
    features = generator.standard_normal((N_TRAIN + N_TEST, n_units)) + 3.0
    weights = generator.standard_normal((n_units, n_neuroids)) / np.sqrt(n_units)
    return features, features @ weights + generator.standard_normal((len(features), n_neuroids)) - 7.0


def basis_of(features: np.ndarray):
    """The decomposed split of features."""
    return split_basis(gram_matrix([features], len(features)), TRAIN, TEST)


def leave_one_out_error(basis, responses: np.ndarray, alpha: float) -> np.ndarray:
    """Of centred responses at one alpha."""
    return leave_one_out_errors(basis, basis.vectors.T @ responses, np.array([alpha]))[0]


@pytest.mark.parametrize("n_units", [4, 23, 200])
@pytest.mark.parametrize("multiple", [1e-5, 1e-2, 1.0, 1e5])
def test_leave_one_out_error_equals_refitting(n_units: int, multiple: float) -> None:
    features, responses = problem(n_units)
    basis = basis_of(features)
    alpha = multiple * basis.mean_eigenvalue
    expected = np.zeros(responses.shape[1])
    for left_out in TRAIN:
        others = np.delete(TRAIN, left_out)
        fitted = Ridge(alpha, solver="svd").fit(features[others], responses[others])
        expected += (responses[left_out] - fitted.predict(features[[left_out]])[0]) ** 2
    found = leave_one_out_error(basis, responses[TRAIN] - responses[TRAIN].mean(axis=0), alpha)
    # refitting centres by the mean of the others, the closed form by that of all: both are exact
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_infinite_alpha_is_the_mean_of_the_others() -> None:
    features, responses = problem(10)
    expected = sum(
        (responses[left_out] - np.delete(responses[TRAIN], left_out, axis=0).mean(axis=0)) ** 2 for left_out in TRAIN
    )
    found = leave_one_out_error(basis_of(features), responses[TRAIN] - responses[TRAIN].mean(axis=0), np.inf)
    np.testing.assert_allclose(found, expected, rtol=1e-11)


@pytest.mark.parametrize("n_units", [4, 200])
def test_predictions_equal_scikit_learn_at_the_chosen_alpha(n_units: int) -> None:
    features, responses = problem(n_units)
    basis = basis_of(features)
    fit = fit_split(basis, responses[TRAIN])
    for neuroid, place in enumerate(fit.alpha_index):
        alpha = ALPHA_GRID[place] * basis.mean_eigenvalue
        oracle = Ridge(alpha, solver="svd").fit(features[TRAIN], responses[TRAIN, neuroid])
        np.testing.assert_allclose(fit.prediction[:, neuroid], oracle.predict(features[TEST]), atol=1e-9)


def test_alpha_and_selection_equal_a_search_by_refitting() -> None:
    features, responses = problem(40)
    basis = basis_of(features)
    fit = fit_split(basis, responses[TRAIN])
    centred = responses[TRAIN] - responses[TRAIN].mean(axis=0)
    errors = np.stack([leave_one_out_error(basis, centred, alpha * basis.mean_eigenvalue) for alpha in ALPHA_GRID])
    assert fit.alpha_index.tolist() == errors.argmin(axis=0).tolist()
    without = leave_one_out_error(basis, centred, np.inf)
    np.testing.assert_allclose(fit.selection, 1 - errors.min(axis=0) / without, rtol=1e-12)


def test_leaving_out_without_the_intercept_would_always_take_the_smallest_alpha() -> None:
    """The trap: on a centred Gram matrix y − ŷ vanishes with alpha, but 1 − H does not unless H holds the intercept."""
    n_neuroids = 50
    features, responses = problem(200, n_neuroids)
    centred = features[TRAIN] - features[TRAIN].mean(axis=0)
    gram, target = centred @ centred.T, responses[TRAIN] - responses[TRAIN].mean(axis=0)
    found = {}
    for intercept in (0.0, 1 / N_TRAIN):
        errors = []
        for alpha in ALPHA_GRID * np.trace(gram) / (N_TRAIN - 1):
            hat = gram @ np.linalg.inv(gram + alpha * np.eye(N_TRAIN))
            errors.append((((target - hat @ target) / (1 - hat.diagonal() - intercept)[:, None]) ** 2).sum(axis=0))
        found[intercept] = np.argmin(errors, axis=0)
    assert (found[0.0] == 0).sum() == n_neuroids, "the trap is there"
    chosen = fit_split(basis_of(features), responses[TRAIN]).alpha_index
    assert chosen.tolist() == found[1 / N_TRAIN].tolist(), "and ours does not fall into it"
    assert np.median(chosen) > 5


def test_gram_over_blocks_equals_the_product() -> None:
    features, _ = problem(50)
    centred = features - features.mean(axis=0)
    blocks = [features[:, :7], features[:, 7:31], features[:, 31:]]
    np.testing.assert_allclose(gram_matrix(blocks, len(features)), centred @ centred.T, atol=1e-11)


def test_mean_eigenvalue_is_the_mean_variance_of_the_training_stimuli() -> None:
    features, _ = problem(6)
    centred = features[TRAIN] - features[TRAIN].mean(axis=0)
    assert basis_of(features).mean_eigenvalue == pytest.approx((centred**2).sum() / (N_TRAIN - 1), rel=1e-12)


@pytest.mark.parametrize("scale", [0.5, 2.0, 1e-6, 1e6])
def test_rescaled_features_change_nothing(scale: float) -> None:
    features, responses = problem(60)
    plain, scaled = (fit_split(basis_of(factor * features), responses[TRAIN]) for factor in (1.0, scale))
    assert plain.alpha_index.tolist() == scaled.alpha_index.tolist()
    np.testing.assert_allclose(plain.prediction, scaled.prediction, atol=1e-9)


def test_order_and_number_of_neuroids_do_not_matter() -> None:
    features, responses = problem(60, n_neuroids=2 * BLOCK + 3)
    whole = fit_split(basis_of(features), responses[TRAIN])
    order = np.random.default_rng(1).permutation(responses.shape[1])[: BLOCK + 1]
    part = fit_split(basis_of(features), responses[TRAIN][:, order])
    assert part.alpha_index.tolist() == whole.alpha_index[order].tolist()
    np.testing.assert_allclose(part.prediction, whole.prediction[:, order], atol=1e-12)


def test_constant_features_predict_the_training_mean() -> None:
    _, responses = problem(5)
    fit = fit_split(basis_of(np.full((N_TRAIN + N_TEST, 3), 2.5)), responses[TRAIN])
    np.testing.assert_allclose(fit.prediction, np.tile(responses[TRAIN].mean(axis=0), (N_TEST, 1)))
    assert fit.selection.tolist() == [0.0] * responses.shape[1]
    assert set(fit.alpha_index.tolist()) == {len(ALPHA_GRID) - 1}


def test_constant_responses_are_predicted_by_their_value() -> None:
    features, responses = problem(5)
    responses[:, 0] = 4.0
    fit = fit_split(basis_of(features), responses[TRAIN])
    np.testing.assert_allclose(fit.prediction[:, 0], 4.0, atol=1e-12)
    assert fit.selection[0] == 0.0


def test_ties_go_to_the_largest_alpha() -> None:
    errors = np.array([[1.0 + 5e-10, 3.0], [1.0, 2.0], [1.0 + 9e-10, 2.0 + 1e-8], [1.0 + 2e-9, 9.0]])
    assert largest_of_the_best(errors).tolist() == [2, 1]


@pytest.mark.parametrize("n", [2, 3, 50])
def test_directions_of_a_split_are_orthonormal_and_off_the_constant(n: int) -> None:
    features = np.random.default_rng(n).standard_normal((n + 1, 2 * n))
    basis = split_basis(gram_matrix([features], n + 1), np.arange(n), np.array([n]))
    assert basis.vectors.shape == (n, n - 1)
    np.testing.assert_allclose(basis.vectors.T @ basis.vectors, np.eye(n - 1), atol=1e-13)
    np.testing.assert_allclose(basis.vectors.sum(axis=0), 0, atol=1e-13)
    centred = features[:n] - features[:n].mean(axis=0)
    rebuilt = (basis.vectors * basis.values) @ basis.vectors.T
    np.testing.assert_allclose(rebuilt, centred @ centred.T, atol=1e-12 * basis.values[-1])


def test_unequal_tests_are_filled() -> None:
    stacked = stack_tests([np.ones((3, 2)), np.zeros((1, 2))])
    assert stacked.shape == (2, 3, 2)
    assert np.isnan(stacked[1, 1:]).all()
