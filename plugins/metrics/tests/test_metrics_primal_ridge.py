"""Ridge from few units is ridge from their Gram matrix, and scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from isocortex.interfaces import Split
from isocortex_metrics.encoding import split_fits
from isocortex_metrics.encoding.split_fits import FitPlan, score_split
from isocortex_metrics.numerics import primal_ridge
from isocortex_metrics.numerics.dual_ridge import ALPHA_GRID, fit_split
from isocortex_metrics.numerics.gram import gram_matrix, split_basis
from isocortex_metrics.numerics.primal_ridge import Units, fit_primal, primal_basis

TRAIN, TEST = np.arange(0, 60), np.arange(60, 80)


def problem(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Features (80, n_units) and responses of 9 neuroids, one of noise, one of a constant."""
    stream = np.random.default_rng(3)
    X = stream.standard_normal((80, 12)) * 10.0 ** stream.uniform(-2, 2, 12)
    if kind == "dependent":
        X[:, 3] = X[:, 1] + X[:, 2]
    if kind == "constant unit":
        X[:, 5] = 7.3
    if kind == "far from zero":
        X += 1e5
    if kind == "constant while training":
        X = np.full((80, 3), 0.1)
        X[TEST] += stream.standard_normal((20, 3))
    if kind == "one stimulus alone":
        X[:, 4] = 0.0
        X[7, 4] = 1.0
    Y = X @ stream.standard_normal((X.shape[1], 9)) + stream.standard_normal((80, 9)) * 10
    Y[:, 7], Y[:, 8] = stream.standard_normal(80), 0.3
    return X, Y


def units_of(X: np.ndarray) -> Units:
    """As a comparison hands them over."""
    return Units((X - X[:1]).__getitem__, X.shape[1])


KINDS = ["plain", "dependent", "constant unit", "far from zero", "constant while training", "one stimulus alone"]


@pytest.mark.parametrize("kind", KINDS)
def test_few_units_give_what_their_gram_matrix_gives(kind: str) -> None:
    X, Y = problem(kind)
    dual = fit_split(split_basis(gram_matrix([X], 80), TRAIN, TEST), Y[TRAIN])
    primal = fit_primal(primal_basis(units_of(X), TRAIN, TEST), Y[TRAIN])
    np.testing.assert_array_equal(primal.alpha_index, dual.alpha_index)
    scale = Y[TRAIN].std(axis=0).max()
    np.testing.assert_allclose(primal.deviation, dual.deviation, atol=1e-9 * scale, rtol=0)
    np.testing.assert_allclose(primal.selection, dual.selection, atol=1e-9, rtol=0)
    np.testing.assert_array_equal(primal.mean, dual.mean)


def test_the_error_of_every_alpha_is_that_of_leaving_stimuli_out_one_by_one() -> None:
    X, Y = problem("plain")
    fit = fit_primal(primal_basis(units_of(X), TRAIN, TEST), Y[TRAIN])
    basis = primal_basis(units_of(X), TRAIN, TEST)
    alphas = ALPHA_GRID * basis.mean_eigenvalue
    errors = np.zeros((len(alphas), 9))
    for left_out in TRAIN:
        rest = TRAIN[left_out != TRAIN]
        for place, alpha in enumerate(alphas):
            predicted = Ridge(alpha, solver="svd").fit(X[rest], Y[rest]).predict(X[[left_out]])[0]
            errors[place] += (predicted - Y[left_out]) ** 2
    ours = errors[fit.alpha_index[:8], np.arange(8)]
    np.testing.assert_allclose(ours, errors[:, :8].min(axis=0), rtol=1e-8)
    mean = np.array([Ridge(alphas[place]).fit(X[TRAIN], Y[TRAIN, number]).predict(X[TEST])
                     for number, place in enumerate(fit.alpha_index)]).T  # fmt: skip
    np.testing.assert_allclose(fit.prediction, mean, atol=1e-8)


@pytest.mark.parametrize("keep", [("prediction", "influence", "alpha", "training_r2"), ()])
@pytest.mark.parametrize("n_units", [12, 70])
def test_rows_and_neuroids_that_come_in_blocks_give_what_they_give_at_once(
    monkeypatch: pytest.MonkeyPatch, n_units: int, keep: tuple[str, ...]
) -> None:
    stream = np.random.default_rng(1)
    X, Y = stream.standard_normal((80, n_units)), problem("plain")[1]
    features = units_of(X) if n_units < len(TRAIN) else gram_matrix([X], 80)
    plan = FitPlan(keep=keep)
    whole = score_split(features, Y, Split(TRAIN, TEST), plan)
    monkeypatch.setattr(primal_ridge, "HELD_BYTES", 8 * 12 * 30)  # fewer rows than there are to test or to train
    monkeypatch.setattr(primal_ridge, "_BLOCK_BYTES", 8 * 12 * 7)
    monkeypatch.setattr(split_fits, "_RESPONSE_BYTES", 8 * 80 * 4)
    monkeypatch.setattr(split_fits, "_STREAMED_BYTES", 8 * 80 * 4)
    parts = score_split(features, Y, Split(TRAIN, TEST), plan)
    assert parts.keys() == whole.keys()
    for name, found in parts.items():
        np.testing.assert_allclose(found, whole[name], rtol=1e-9, atol=1e-9, err_msg=name)


def test_rows_that_are_too_many_are_never_formed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(primal_ridge, "HELD_BYTES", 8 * 12 * 19)
    monkeypatch.setattr(primal_ridge, "_BLOCK_BYTES", 8 * 12 * 7)
    X, Y = problem("plain")
    asked: list[int] = []

    def read(places: np.ndarray) -> np.ndarray:
        asked.append(len(places))
        return (X - X[:1])[places]

    fit_primal(primal_basis(Units(read, 12), TRAIN, TEST), Y[TRAIN])
    assert max(asked) == 7
