"""Unequally many trials, and trials that some neuroids lack: every number against numpy in loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import xarray as xr

import isocortex
from isocortex.activations import Activations
from isocortex.data import make_responses
from isocortex.errors import DataError
from isocortex.scoring.contract import Preparation, Rules
from isocortex_metrics.brainscore.ceiling import internal_consistency
from isocortex_metrics.ceilings.estimators import from_halves, from_repetitions
from isocortex_metrics.ceilings.reliability import reliability_of_trials
from isocortex_metrics.ceilings.split_half import half_correlations
from isocortex_metrics.geometry.dissimilarity import crossvalidated_distance

N_TRIALS, N_STIMULI, N_NEUROIDS = 7, 40, 6
#: what metrics call what they find
VALUES = {"r", "rho", "score", "cka"}
IDS = [f"s{place:02d}" for place in range(N_STIMULI)]


def features() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(N_STIMULI, 8))


def trials(fewest: int = 2, *, alike: bool = False) -> np.ndarray:
    """Signal and noise, each neuroid with its own number of trials of each stimulus; alike: all with the same."""
    stream = np.random.default_rng(11)
    signal = features() @ stream.normal(size=(8, N_NEUROIDS)) + 50.0
    values = signal + 2.0 * stream.normal(size=(N_TRIALS, N_STIMULI, N_NEUROIDS))
    counts = stream.integers(fewest, N_TRIALS + 1, size=(N_STIMULI, 1 if alike else N_NEUROIDS))
    keys = stream.random((N_TRIALS, *counts.shape)).argsort(axis=0)  # the gaps are anywhere
    return np.where(keys < counts, values, np.nan)


def own(values: np.ndarray) -> list[list[np.ndarray]]:
    """neuroid → stimulus → its trials."""
    return [[one[~np.isnan(one)] for one in values[:, :, j].T] for j in range(values.shape[2])]


def expected_reliability(values: np.ndarray) -> list[float]:
    found = []
    for of_neuroid in own(values):
        means = np.array([one.mean() for one in of_neuroid])
        pooled = np.mean([one.var(ddof=1) for one in of_neuroid if len(one) >= 2])
        found.append(1 - np.mean([pooled / len(one) for one in of_neuroid]) / means.var(ddof=1))
    return found


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("fewest", [1, 2, 5])
def test_reliability_uses_every_trial(fewest: int, *, alike: bool) -> None:
    values = trials(fewest, alike=alike)
    expected = expected_reliability(values)
    assert 0.3 < np.median(expected) < 0.95
    np.testing.assert_allclose(reliability_of_trials(values), expected, rtol=0, atol=1e-9)
    found = from_repetitions(make_responses(values, IDS))
    np.testing.assert_allclose(found.reliability, expected, rtol=0, atol=1e-9)
    assert found.name == f"reliability of means over {fewest} to 7 trials, by variances"
    fewer = values.copy()
    last = 6 - np.argmax(~np.isnan(values[::-1, 0, 0]))
    fewer[last, 0, 0] += 1.0
    assert from_repetitions(make_responses(fewer, IDS)).reliability[0] != found.reliability[0], "the last counts too"


def test_reliability_is_that_of_the_truth() -> None:
    """Signal variance over that of means, with 2,000 stimuli."""
    stream = np.random.default_rng(2)
    counts = stream.integers(1, 6, size=(2000, 30))
    noisy = 1.5 * stream.normal(size=(5, 2000, 30)) + stream.normal(size=(2000, 30))
    values = np.where(np.arange(5)[:, None, None] < counts, noisy, np.nan)
    truth = 1 / (1 + 2.25 * np.mean(1 / counts))
    assert reliability_of_trials(values).mean() == pytest.approx(truth, abs=0.01)


def test_neuroids_of_which_nothing_can_be_said_are_nan() -> None:
    values = trials(2)
    values[:, :, 0] = 0.1  # does not vary
    values[3:, 5, 0] = np.nan
    once = np.where(np.arange(N_TRIALS)[:, None] == 0, 1.0 + np.arange(N_STIMULI), np.nan)
    values[:, :, 1] = once
    found = reliability_of_trials(values)
    assert np.isnan(found[:2]).all()
    assert np.isfinite(found[2:]).all()
    assert from_repetitions(make_responses(once[:, :, None], IDS)) is None, "no stimulus was shown twice"


def halves_in_loops(values: np.ndarray, stream: np.random.Generator) -> np.ndarray:
    """r of two halves of each neuroid's own trials, in an order that is drawn anew for each neuroid and stimulus."""
    found = []
    for of_neuroid in own(values):
        halves = []
        for one in of_neuroid:
            mixed, half = stream.permutation(one), len(one) // 2
            halves.append((mixed[:half].mean(), mixed[half : 2 * half].mean()))
        found.append(np.corrcoef(np.array(halves).T)[0, 1])
    return np.array(found)


@pytest.mark.parametrize("alike", [True, False])
def test_halves_are_of_each_neuroids_own_trials(*, alike: bool) -> None:
    values = trials(2, alike=alike)
    responses = make_responses(values, IDS)
    stimuli = responses["stimulus_id"].values
    flat = responses.values
    if alike:  # the gaps are the same for all: without these rows the usual way is taken
        there = ~np.isnan(flat).any(axis=1)
        flat, stimuli = flat[there], stimuli[there]
    found = half_correlations(flat, stimuli, n_halvings=250, seed=1).mean(axis=0)
    stream = np.random.default_rng(0)
    expected = np.mean([halves_in_loops(values, stream) for _ in range(250)], axis=0)
    np.testing.assert_allclose(found, expected, atol=0.02)
    counts = (~np.isnan(values)).sum(axis=0)
    n = np.mean(1 / (counts // 2), axis=0) / np.mean(1 / counts, axis=0)
    mean_r = half_correlations(flat, stimuli, n_halvings=100).mean(axis=0)
    from_own = from_halves(responses).reliability
    if not alike:
        np.testing.assert_allclose(from_own, n * mean_r / (1 + (n - 1) * mean_r), rtol=0, atol=1e-9)
    np.testing.assert_allclose(from_own, reliability_of_trials(values), atol=0.12)


def test_halves_of_gaps_that_all_share_are_those_without_the_gaps_in_distribution() -> None:
    """The two ways of halving meet: one takes rows, the other each neuroid's own trials."""
    values = trials(2, alike=True)
    responses = make_responses(values, IDS)
    there = ~np.isnan(responses.values).any(axis=1)
    stimuli = responses["stimulus_id"].values
    rows = half_correlations(responses.values[there], stimuli[there], 600, seed=3)
    own_trials = half_correlations(responses.values, stimuli, 600, seed=4)
    np.testing.assert_allclose(rows.mean(axis=0), own_trials.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(rows.std(axis=0), own_trials.std(axis=0), rtol=0.15)


@pytest.mark.parametrize("standardise", [True, False])
def test_crossvalidated_distances_average_products_of_different_trials(*, standardise: bool) -> None:
    values = trials(2)[:, :8]
    centred = values - _means(values).mean(axis=0)
    if standardise:
        for j, of_neuroid in enumerate(own(centred)):
            centred[:, :, j] /= np.sqrt(np.mean([np.mean(one**2) for one in of_neuroid]))
    by_neuroid = own(centred)
    expected = []
    for first, second in itertools.combinations(range(8), 2):
        total = 0.0
        for of_neuroid in by_neuroid:
            a, b = of_neuroid[first], of_neuroid[second]
            total += _of_different(a) + _of_different(b) - 2 * np.mean([x * y for x in a for y in b])
        expected.append(total / N_NEUROIDS)
    found = crossvalidated_distance(values, standardise=standardise)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())
    with pytest.raises(DataError, match="1 of 8 stimuli have fewer"):
        crossvalidated_distance(
            np.where(np.arange(8)[:, None] + 9 * (np.arange(7) > 0)[:, None, None] == 9, np.nan, values)
        )


def _means(values: np.ndarray) -> np.ndarray:
    return np.array([[one.mean() for one in of_neuroid] for of_neuroid in own(values)]).T


def _of_different(one: np.ndarray) -> float:
    return float(np.mean([x * y for x, y in itertools.permutations(one, 2)]))


def test_brain_scores_ceiling_skips_trials_that_are_not_there_as_xarray_does() -> None:
    from sklearn.model_selection import ShuffleSplit

    values = trials(6)
    responses = make_responses(values, IDS)
    found = internal_consistency(responses)
    assert found is not None
    for row, parts in zip(
        found.raw.values, ShuffleSplit(10, train_size=0.5, random_state=1).split(np.empty(N_TRIALS)), strict=True
    ):
        halves = [responses[np.isin(responses["repetition"].values, part)] for part in parts]
        first, second = (half.groupby("stimulus_id").mean("presentation").values for half in halves)
        r = np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(first.T, second.T, strict=True)])
        np.testing.assert_allclose(row, 2 * r / (1 + r), rtol=0, atol=1e-9)
    assert internal_consistency(make_responses(trials(1), IDS)) is None, "some stimulus is absent from a half"


@pytest.mark.parametrize("metric", ["ridge", "pca-ridge", "rsa", "identity", "brainscore-pls", "cka", "weighted-rsa"])
def test_metrics_score_each_neuroids_own_means(metric: str) -> None:
    values = trials(1)
    means = make_responses(_means(values), IDS)
    with_gaps = make_responses(values, IDS)
    names = means["neuroid_id"].values.tolist() if metric == "identity" else None
    layer = Activations("layer", IDS, [features()[:, :N_NEUROIDS] if names else features()], units=names)
    expected, found = (isocortex.load_metric(metric).against(one).score(layer) for one in (means, with_gaps))
    for name in VALUES & set(expected):
        np.testing.assert_allclose(found[name].values, expected[name].values, rtol=0, atol=1e-9)
    assert VALUES & set(expected), list(expected)


@pytest.mark.parametrize("metric", ["ridge", "identity"])
def test_all_neuroids_are_trained_on_the_same_stimuli(metric: str) -> None:
    values = trials(1)
    values[:, 3, 2] = np.nan
    with pytest.raises(DataError, match=r"no trial of 1 of 40 stimuli \(s03\) for 1 of 6 neuroids \(neuroid2\)"):
        isocortex.load_metric(metric).against(make_responses(values, IDS))


def test_the_ceiling_and_what_is_corrected_by_it_are_those_of_all_trials() -> None:
    values = trials(1)
    rules = Preparation(Rules(ceiling_mode="r_over_sqrt_c", n_draws=50))
    comparison = isocortex.load_metric("ridge").against(make_responses(values, IDS), preparation=rules)
    c = np.array(expected_reliability(values))
    np.testing.assert_allclose(comparison.ceiling.value, np.sqrt(c), rtol=0, atol=1e-9)
    scores = comparison.score(Activations("layer", IDS, [features()]))
    assert isinstance(scores, xr.Dataset)
    np.testing.assert_allclose(scores["reliability"], c, rtol=0, atol=1e-9)
    summary = comparison.summarise(scores)
    assert summary.ceiled == pytest.approx(summary.value / summary.ceiling)
    assert "over 1 to 7 trials" in summary.ceiling_estimator


def test_a_published_metric_that_needs_equal_scans_says_which_neuroids_lack_some() -> None:
    values = trials(7)
    values[2, 5, 4] = np.nan
    with pytest.raises(DataError, match=r"same repetitions .* 1 of 6 lack some: neuroid4.*drop-trials"):
        isocortex.load_metric("tuckute2023-ridge").against(make_responses(values, IDS))
