"""``ridge`` with a fixed penalty and without one, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import explained_variance_score, mean_squared_error, r2_score

import isocortex
from isocortex.activations.layer import Activations
from isocortex.data.dataset import make_responses
from isocortex.interfaces import Preparation, Rules


@pytest.mark.parametrize("alpha", [0.0, 2.5])
@pytest.mark.parametrize("n_units", [9, 200])
def test_a_fixed_penalty_and_least_squares_equal_scikit_learn(alpha: float, n_units: int) -> None:
    generator = np.random.default_rng(3)
    features = generator.standard_normal((60, n_units)) * np.geomspace(5, 0.2, n_units) + 30
    values = features[:, :6] @ generator.standard_normal((6, 5)) + generator.standard_normal((60, 5)) + 4
    ids = [f"s{number:02d}" for number in range(60)]
    preparation = Preparation(Rules(measure="mse", aggregate="mean-mean"), keep=("prediction",))
    comparison = isocortex.load_metric("ridge").against(
        make_responses(values, ids), settings={"alpha": alpha}, preparation=preparation
    )
    scores = comparison.score(Activations("layer", ids, [features]))
    oracle = LinearRegression() if alpha == 0 else Ridge(alpha, solver="svd")
    for split, (train, test) in enumerate(comparison.splits):
        predicted = oracle.fit(features[train], values[train]).predict(features[test])
        expected = {
            "explained_variance": explained_variance_score(values[test], predicted, multioutput="raw_values"),
            "r2_score": r2_score(values[test], predicted, multioutput="raw_values"),
            "mse": mean_squared_error(values[test], predicted, multioutput="raw_values"),
            "r": [np.corrcoef(predicted[:, v], values[test, v])[0, 1] for v in range(5)],
        }
        np.testing.assert_allclose(scores["prediction"][split, : len(test)], predicted, rtol=0, atol=1e-9)
        for name, found in expected.items():
            np.testing.assert_allclose(scores[name][split], found, rtol=0, atol=1e-9, err_msg=name)


def test_errors_are_scored_only_where_a_benchmark_measures_one() -> None:
    generator = np.random.default_rng(4)
    ids = [f"s{number:02d}" for number in range(30)]
    responses = make_responses(generator.standard_normal((30, 2)), ids)
    layer = Activations("layer", ids, [generator.standard_normal((30, 4))])
    assert "mse" not in isocortex.load_metric("ridge").against(responses).score(layer)
