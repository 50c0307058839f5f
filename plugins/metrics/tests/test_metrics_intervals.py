"""What stimuli do to a correlation, against refits by scikit-learn, and draws whose spread is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student
from sklearn.linear_model import LinearRegression, Ridge

from isocortex.scoring import draw_counts
from isocortex_metrics.numerics.correlation import weighted_pearson
from isocortex_metrics.numerics.draws import crossed_draws, first_order_share, leaving_one_out, moved, of_pairs
from isocortex_metrics.numerics.gram import gram_matrix, split_basis
from isocortex_metrics.numerics.influence import role_in_test, role_in_training, role_of_smoother
from isocortex_metrics.numerics.primal_ridge import Units, primal_basis

N_TRAIN, N_TEST = 30, 12


def problem(n_units: int, n_columns: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Features and responses that depend on them, with a mean."""
    stream = np.random.default_rng(n_units)
    features = stream.standard_normal((N_TRAIN + N_TEST, n_units)) + 2.0
    readout = stream.standard_normal((n_units, n_columns)) / np.sqrt(n_units)
    return features, features @ readout + stream.standard_normal((N_TRAIN + N_TEST, n_columns)) + 5.0


def test_a_test_stimulus_bears_on_r_as_a_change_of_its_weight_does() -> None:
    features, responses = problem(3)
    prediction, response = features[:N_TEST], responses[:N_TEST]
    step = 1e-6
    weights = np.ones((N_TEST, N_TEST)) + step * np.eye(N_TEST)
    plain = weighted_pearson(prediction, response, np.ones((1, N_TEST)))
    derivative = (weighted_pearson(prediction, response, weights) - plain) / step
    centred = [part - part.mean(axis=0) for part in (prediction, response)]
    p, y = (part / np.linalg.norm(part, axis=0) for part in centred)
    left = 1 - 1 / N_TEST - (p**2 + y**2) / 2
    np.testing.assert_allclose(role_in_test(prediction, response).influence, derivative / left, atol=1e-5)


def test_the_gradient_is_the_change_of_r_with_a_prediction() -> None:
    features, responses = problem(3)
    prediction, response = features[:N_TEST], responses[:N_TEST]
    found, ones = role_in_test(prediction, response).gradient, np.ones((1, N_TEST))
    for place in range(N_TEST):
        step = np.zeros_like(prediction)
        step[place] = 1e-6
        upper, lower = (weighted_pearson(prediction + sign * step, response, ones) for sign in (1, -1))
        np.testing.assert_allclose(found[place], (upper - lower)[0] / 2e-6, atol=1e-7)


@pytest.mark.parametrize("n_units", [5, 14, 60])
@pytest.mark.parametrize("alpha", [1e-6, 0.3, 40.0])
def test_training_stimuli_move_predictions_as_refits_without_them_do(n_units: int, alpha: float) -> None:
    features, responses = problem(n_units)
    train, test = np.arange(N_TRAIN), np.arange(N_TRAIN, N_TRAIN + N_TEST)
    gradient = np.random.default_rng(0).standard_normal((N_TEST, 3))
    gradient -= gradient.mean(axis=0)  # r does not change with a constant
    whole = Ridge(alpha).fit(features[train], responses[train]).predict(features[test])
    expected = np.empty((N_TRAIN, 3))
    for left_out in train:
        rest = np.delete(train, left_out)
        without = Ridge(alpha, solver="svd").fit(features[rest], responses[rest]).predict(features[test])
        expected[left_out] = (gradient * (whole - without)).sum(axis=0)
    bases = [split_basis(gram_matrix([features], len(features)), train, test)]
    bases += [primal_basis(Units(features.__getitem__, n_units), train, test)] if n_units < N_TRAIN - 1 else []
    centred = responses[train] - responses[train].mean(axis=0)
    for basis in bases:
        found = role_in_training(basis, centred, np.full(3, alpha), gradient)
        np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


def test_a_smoother_moves_predictions_as_refits_of_its_components_do() -> None:
    features, responses = problem(5)
    features, responses = features - features[:N_TRAIN].mean(axis=0), responses - responses[:N_TRAIN].mean(axis=0)
    rotation = np.linalg.svd(features[:N_TRAIN], full_matrices=False)[2].T
    components = features @ rotation
    train, test = components[:N_TRAIN], components[N_TRAIN:]
    gradient = np.random.default_rng(0).standard_normal((N_TEST, 3))
    gradient -= gradient.mean(axis=0)
    whole = LinearRegression().fit(train, responses[:N_TRAIN]).predict(test)
    found = role_of_smoother(test, train, (train**2).sum(axis=0), responses[:N_TRAIN], gradient)
    for left_out in range(N_TRAIN):
        rest = np.delete(np.arange(N_TRAIN), left_out)
        without = LinearRegression().fit(train[rest], responses[rest]).predict(test)
        np.testing.assert_allclose(found[left_out], (gradient * (whole - without)).sum(axis=0), atol=1e-9)


def test_null_columns_and_features_that_do_not_vary_bear_on_nothing() -> None:
    role = role_in_test(np.ones((5, 1)), np.arange(5.0)[:, None])
    assert not role.influence.any()
    assert not role.gradient.any()
    basis = split_basis(np.zeros((8, 8)), np.arange(5), np.arange(5, 8))
    assert not role_in_training(basis, np.ones((5, 2)), np.ones(2), np.ones((3, 2))).any()


def test_draws_by_influence_have_the_variance_of_the_jackknife() -> None:
    influence = 0.01 * np.random.default_rng(0).standard_normal((50, 2))
    influence -= influence.mean(axis=0)
    r = np.array([0.0, 0.6])
    found = moved(r, influence, draw_counts(50, 4000, 0, "stimuli"))
    np.testing.assert_allclose(found.std(axis=0), np.sqrt((influence**2).sum(axis=0)), rtol=0.05)
    assert moved(np.array([1.0]), np.zeros((50, 1)), np.ones((1, 50)))[0, 0] == pytest.approx(1.0)


def test_pairs_are_counted_once() -> None:
    """The mean over pairs of u_i u_j: with a mean of u above zero stimuli matter one by one, else pairs alone."""
    for mean, plain, expected in ((1.0, 1.0, 1.0), (0.0, 3.0, 1.6)):
        variances, values = [], []
        for seed in range(150):
            u = np.random.default_rng(seed).standard_normal(40) + mean
            counts = draw_counts(40, 400, 0, "stimuli")

            def statistic(weights: np.ndarray, u: np.ndarray = u) -> np.ndarray:
                total, squares = weights @ u, weights**2 @ u**2
                return 1e-4 * (total**2 - squares) / (weights.sum(axis=1) ** 2 - (weights**2).sum(axis=1))

            drawn, value = statistic(counts), statistic(np.ones((1, 40)))
            draws = of_pairs(drawn[:, None], value, statistic(leaving_one_out(40))[:, None])
            variances.append((drawn.var(), draws.var()))
            values.append(value[0])
        bootstrap, found = np.mean(variances, axis=0) / np.var(values)
        assert bootstrap == pytest.approx(plain, rel=0.3)
        # of noise the share is often at its bounds, and its mean therefore above 1
        assert found == pytest.approx(expected, rel=0.3)


def test_half_of_what_is_doubled_goes_where_nothing_is_seen() -> None:
    draws = np.array([[-1.0, 9.0, np.nan], [1.0, 11.0, np.nan]])
    found = first_order_share(draws[:, :2], np.array([0.0, 10.0]))
    np.testing.assert_allclose(found**2, [3 / 4, (3 + 100 / 101) / 4])


def test_intervals_of_few_participants_reach_as_far_as_student_says() -> None:
    n_people, generator = 5, np.random.default_rng(0)
    values = np.array([0.1, 0.2, 0.3, 0.25, 0.15])
    draws = values + 1e-9 * generator.standard_normal((4000, n_people))
    found = crossed_draws(draws, values, draw_counts(n_people, 4000, 0, "participants"), 100)
    error = values.std(ddof=1) / np.sqrt(n_people)
    assert found.draws.std() == pytest.approx(error, rel=0.05)
    ratio = found.reaching.std() / found.draws.std()
    assert ratio == pytest.approx(student.ppf(0.975, n_people - 1) / 1.959964, rel=0.03)
    same = crossed_draws(draws + 0.1 * generator.standard_normal((4000, 1)), values, np.ones((4000, 5)), 10_000)
    assert same.reaching.std() / same.draws.std() < 1.1, "where stimuli matter most there are many of them"


def test_first_draws_stay_where_later_ones_leave_the_range_of_a_correlation() -> None:
    """An r² over its reliability may exceed 1, in a later draw first."""
    generator = np.random.default_rng(0)
    values = np.array([0.97, 0.95, 0.96])
    draws = values + 0.01 * generator.standard_normal((2000, 3))
    draws[1500] = 1.2
    weights = draw_counts(3, 2000, 0, "participants")
    many = crossed_draws(draws, values, weights, 50, bounded=False)
    few = crossed_draws(draws[:1000], values, weights[:1000], 50, bounded=False)
    np.testing.assert_array_equal(many.draws[:1000], few.draws)
    np.testing.assert_array_equal(many.reaching[:1000], few.reaching)
    assert many.draws.max() > 1
