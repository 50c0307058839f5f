"""Many stimuli: what would not fit into memory is refused before it is formed, and the rest stays bounded."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

import isocortex
from isocortex.activations import Activations
from isocortex.data import make_responses
from isocortex.errors import DataError
from isocortex.interfaces import Comparison
from isocortex_metrics.encoding import ridge
from isocortex_metrics.encoding.linear_comparison import REFITTED, WIDENED
from isocortex_metrics.numerics import arrays, influence, primal_ridge

#: metrics that compare stimuli with stimuli
SQUARE = ["rsa", "cka", "brainscore-cka", "brainscore-rdm", "ridge", "pca-ridge", "procrustes"]


def problem(n_stimuli: int, n_units: int) -> tuple[Activations, Any]:
    """A layer, and responses of three neuroids to it."""
    stream = np.random.default_rng(0)
    features = stream.standard_normal((n_stimuli, n_units), dtype=np.float32)
    responses = features[:, :3] + stream.standard_normal((n_stimuli, 3))
    ids = [f"s{number:05d}" for number in range(n_stimuli)]
    return Activations("layer", ids, [features]), make_responses(responses, ids)


def against(metric: str, responses: Any) -> Comparison:
    return isocortex.load_metric(metric).against(responses, settings={}, seed=0)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which a matrix of 60 × 60 stimuli cannot be worked on."""
    monkeypatch.setattr(arrays, "_ALWAYS_BYTES", 0)
    monkeypatch.setattr(arrays, "free_memory", lambda _: 5 * 8 * 60**2 - 1)


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize(
    "metric", ["rsa", "cka", "brainscore-cka", "brainscore-rdm", "ridge", "pca-ridge", "procrustes"]
)
def test_a_matrix_of_stimuli_that_memory_does_not_hold_is_refused(metric: str) -> None:
    activations, responses = problem(60, 50)
    with pytest.raises(DataError, match=r"60 × 60 stimuli takes .* GB are free\. Use fewer stimuli, or a metric"):
        against(metric, responses).score(activations)


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("metric", ["ridge", "pls"])
def test_few_units_need_no_such_matrix(metric: str) -> None:
    activations, responses = problem(60, 20)
    comparison = against(metric, responses)
    scores = comparison.score(activations)
    assert np.isfinite(scores["r" if metric == "ridge" else "score"].values).all()


def test_what_stimuli_do_is_left_out_where_it_is_too_much_to_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    activations, responses = problem(60, 20)
    comparison = against("ridge", responses).keeping("prediction")
    scores = comparison.score(activations)
    drawn = comparison.resample(scores.assign_attrs(measure="r"), 100, 0)
    assert "influence" in scores
    assert drawn is not None
    assert drawn.error_kind == REFITTED
    monkeypatch.setattr(influence, "_HELD_BYTES", 4 * 10 * 60 * 3 - 1)
    scores = comparison.score(activations)
    drawn = comparison.resample(scores.assign_attrs(measure="r"), 100, 0)
    assert "influence" not in scores
    assert drawn is not None
    assert (drawn.error_kind or comparison.error_kind) == WIDENED


def test_pls_has_no_interval_where_what_stimuli_do_is_too_much_to_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    activations, responses = problem(60, 20)
    comparison = against("pls", responses).keeping("prediction")
    for holds in (True, False):
        monkeypatch.setattr(influence, "_HELD_BYTES", 4 * len(comparison.splits) * 60 * 3 - (not holds))
        scores = comparison.score(activations).assign_attrs(measure="r")
        assert ("influence" in scores) == holds
        assert (comparison.resample(scores, 100, 0) is not None) == holds


def test_memory_of_ridge_does_not_grow_with_stimuli_times_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(primal_ridge, "HELD_BYTES", 200_000)
    monkeypatch.setattr(primal_ridge, "_BLOCK_BYTES", 100_000)
    monkeypatch.setattr(ridge, "_MANY_STIMULI", 0)  # one split at a time, however many cores there are
    most: list[int] = []
    for n_stimuli in (1_000, 4_000):
        activations, responses = problem(n_stimuli, 100)
        comparison = against("ridge", responses)
        comparison.score(activations)
        tracemalloc.start()
        comparison.score(activations)
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    beside = 3_000 * 8 * 100  # what the features themselves grow by, in double precision
    assert most[1] - most[0] < beside / 2, most


def test_splits_that_are_scored_one_after_the_other_score_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    activations, responses = problem(60, 50)
    together = against("ridge", responses).score(activations)
    monkeypatch.setattr(ridge, "_MANY_STIMULI", 0)
    np.testing.assert_allclose(against("ridge", responses).score(activations)["r"], together["r"], atol=1e-12)
