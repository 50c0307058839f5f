"""The first bootstrap draws are the same to the last bit, however many are drawn."""

from __future__ import annotations

import numpy as np
import pytest

import isocortex
from isocortex.activations import Activations
from isocortex.data import Dataset, Stimulus, StimulusSet, make_responses
from isocortex.interfaces import Comparison

N_STIMULI, N_NEUROIDS = 40, 60


def dataset(n_subjects: int) -> tuple[Dataset, dict[str, Activations]]:
    stream = np.random.default_rng(0)
    features = stream.standard_normal((N_STIMULI, 30))
    ids = [f"s{number}" for number in range(N_STIMULI)]
    noise = stream.standard_normal((2, N_STIMULI, N_NEUROIDS))
    subject = [f"p{number % n_subjects}" for number in range(N_NEUROIDS)]
    responses = make_responses(
        features @ stream.standard_normal((30, N_NEUROIDS)) + 3 * noise, ids, neuroid={"subject": subject}
    )
    sounds = {name: Stimulus(name, "audio", stream.standard_normal(9).astype("float32"), 8000.0) for name in ids}
    layers = {
        name: Activations(name, ids, [features + scale * stream.standard_normal(features.shape)])
        for name, scale in (("first", 0.5), ("second", 1.0))
    }
    return Dataset("made", StimulusSet("made", "audio", sounds), responses=responses), layers


def prepared(metric: str, n_subjects: int) -> tuple[Comparison, dict[str, Activations]]:
    given, layers = dataset(n_subjects)
    return isocortex.load_metric(metric).against(given), layers


@pytest.mark.parametrize("n_subjects", [1, 5])
@pytest.mark.parametrize("metric", ["ridge", "rsa", "weighted-rsa", "cka", "procrustes"])
def test_more_draws_leave_the_first_as_they_are(metric: str, n_subjects: int) -> None:
    comparison, layers = prepared(metric, n_subjects)
    scores = comparison.score_all(layers)
    found = [comparison.resample(scores, n_draws, 0) for n_draws in (1000, 2300)]
    if found[0] is None:
        pytest.skip(f"{metric} draws nothing")
    (few, what, *_), (many, also, *_) = (item for item in found if item is not None)
    assert what == also == ("stimuli" if n_subjects == 1 else "stimuli × participants")
    assert many.shape == (2300,)
    np.testing.assert_array_equal(many[:1000], few)
    assert len(np.unique(many)) > 2000, "further draws are new ones"
    assert np.std(many[1000:]) == pytest.approx(np.std(few), rel=0.15)
    assert np.mean(many[1000:]) == pytest.approx(np.mean(few), abs=4 * np.std(few) / np.sqrt(1000))
