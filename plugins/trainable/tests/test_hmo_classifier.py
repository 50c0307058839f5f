"""The maximum-correlation classifier and the weights of boosting, against loops and numbers computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr

from isocortex.errors import DataError
from isocortex_trainable.hmo.boosting import reweighted, weighted_accuracy
from isocortex_trainable.hmo.correlation_classifier import classify, held_out_correct, stratified_folds


def brute_force(training: np.ndarray, labels: np.ndarray, test: np.ndarray, weights: np.ndarray) -> list[int]:
    classes = sorted(set(labels.tolist()))
    means = [np.average(training[labels == label], axis=0, weights=weights[labels == label]) for label in classes]
    return [classes[int(np.argmax([pearsonr(row, mean)[0] for mean in means]))] for row in test]


@pytest.fixture
def samples() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = np.repeat([2, 5, 7], 20)
    centres = generator.standard_normal((3, 12))
    features = np.repeat(centres, 20, axis=0) + 1.5 * generator.standard_normal((60, 12)) + 3
    return features, labels, generator.uniform(0, 2, 60)


def test_classes_are_those_of_brute_force(samples: tuple[np.ndarray, np.ndarray, np.ndarray]):
    features, labels, weights = samples
    test = features[::3] + 0.1
    equal = brute_force(features, labels, test, np.ones(60))
    weighted = brute_force(features, labels, test, weights)
    assert classify(features, labels, test).tolist() == equal
    assert classify(features, labels, test, weights).tolist() == weighted
    assert equal != weighted


def test_held_out_samples_take_no_part_in_the_means(samples: tuple[np.ndarray, np.ndarray, np.ndarray]):
    features, labels, weights = samples
    folds = stratified_folds(labels, 3, seed=1)
    found = held_out_correct(features, labels, folds, weights)
    for fold in range(3):
        out = folds == fold
        expected = brute_force(features[~out], labels[~out], features[out], weights[~out])
        assert np.array_equal(found[out], np.array(expected) == labels[out])
    assert 0.5 < found.mean() < 1


def test_features_that_know_nothing_are_at_chance():
    generator = np.random.default_rng(3)
    labels = np.repeat(np.arange(4), 250)
    found = held_out_correct(generator.standard_normal((1000, 5)), labels, stratified_folds(labels, 3, 0))
    assert abs(found.mean() - 0.25) < 0.05


def test_what_does_not_vary_is_no_error_and_knows_nothing():
    labels = np.repeat(np.arange(4), 5)
    values = np.random.default_rng(0).uniform(0, 1, (20, 1))
    features = np.repeat(values, 37, axis=1)
    assert np.ptp(features - features.mean(axis=1, keepdims=True)) != 0  # rounding alone
    assert held_out_correct(features, labels, stratified_folds(labels, 3, 0)).mean() == 0.25


def test_folds_are_stratified_and_drawn_by_the_seed():
    labels = np.repeat([0, 1, 2], [10, 11, 12])
    folds = stratified_folds(labels, 3, seed=4)
    for label in range(3):
        sizes = np.bincount(folds[labels == label], minlength=3)
        assert sizes.max() - sizes.min() <= 1
    assert np.array_equal(folds, stratified_folds(labels, 3, seed=4))
    assert not np.array_equal(folds, stratified_folds(labels, 3, seed=5))
    with pytest.raises(DataError, match="Class 0 has 10 samples"):
        stratified_folds(labels, 11, seed=0)


def test_a_class_without_weight_is_refused():
    with pytest.raises(DataError, match="Class 1 has no weight"):
        classify(np.eye(3), np.array([0, 0, 1]), np.eye(3), np.array([1.0, 1.0, 0.0]))


def test_errors_weigh_more_in_the_next_round_as_samme_says():
    weights, correct = np.array([1.0, 2.0, 0.5, 0.5]), np.array([True, False, True, True])
    error = 2.0 / 4.0
    alpha = np.log((1 - error) / error) + np.log(8 - 1)
    expected = weights * np.exp(alpha * ~correct)
    expected *= 4 / expected.sum()
    assert np.abs(reweighted(weights, correct, 8) - expected).max() < 1e-12
    # what was wrong now has (K - 1) / K of the weight: the same network would be at chance
    assert weighted_accuracy(correct, reweighted(weights, correct, 8)) == pytest.approx(1 / 8)


def test_weights_stay_where_nothing_is_wrong_or_nothing_better_than_chance():
    weights = np.array([1.0, 0.5, 1.5, 1.0])
    for correct in (np.ones(4, bool), np.array([True, False, False, False])):
        assert np.array_equal(reweighted(weights, correct, 4), weights)
