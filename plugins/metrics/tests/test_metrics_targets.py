"""What the metrics take beyond the plain case: labels, unequal repetitions, RDMs in any order, null layers."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

import isocortex
from isocortex.activations.layer import Activations
from isocortex.data.dataset import Dataset, make_responses
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.errors import DataError, SettingsError
from isocortex.scoring.contract import Rules
from isocortex_metrics.ceilings.reliability import noise_corrected, reliability
from isocortex_metrics.numerics.correlation import pearson

N_STIMULI = 40
IDS = [f"stimulus{number:02d}" for number in range(N_STIMULI)]
CATEGORIES = [["dog", "cat", "bird", "fish", "song"][number % 5] for number in range(N_STIMULI)]


def dataset(responses: xr.DataArray, categories: list[str | None], **attrs: str) -> Dataset:
    """A data set of 40 images with a category each."""
    sources = {name: Stimulus(name, "image", np.full((2, 2, 3), place, np.uint8)) for place, name in enumerate(IDS)}
    table = pd.DataFrame({"category": categories}, index=IDS)
    return Dataset("images", StimulusSet("images", "image", sources, table=table), responses=responses, attrs=attrs)


def responses(n_repetitions: int = 1) -> xr.DataArray:
    """Random responses of 4 neuroids."""
    return make_responses(np.random.default_rng(0).standard_normal((n_repetitions, N_STIMULI, 4)), IDS)


def features(seed: int = 1, n_units: int = 12) -> np.ndarray:
    """Random features."""
    return np.random.default_rng(seed).standard_normal((N_STIMULI, n_units))


def against(metric: str, target, **settings):
    """The comparison with some target."""
    return isocortex.load_metric(metric).against(target, settings=settings, seed=0)


@pytest.mark.parametrize("settings", [{"group": "category"}, {"scheme": "leave-one-group-out", "group": "category"}])
@pytest.mark.parametrize("kind", ["data set", "array"])
def test_groups_are_never_on_both_sides(settings, kind) -> None:
    target = responses().assign_coords(category=("presentation", CATEGORIES))
    if kind == "data set":
        target = dataset(responses(), CATEGORIES)
    splits = against("ridge", target, **settings).splits
    assert len(splits) == (5 if "scheme" in settings else 10)
    for train, test in splits:
        assert not {CATEGORIES[place] for place in train} & {CATEGORIES[place] for place in test}


def test_a_data_set_may_ask_for_strata_and_settings_come_first() -> None:
    target = dataset(responses(), CATEGORIES, stratify="category")
    for _, test in against("ridge", target).splits:
        counted = [sum(CATEGORIES[place] == name for place in test) for name in set(CATEGORIES)]
        assert set(counted) <= {1, 2}
    for train, test in against("ridge", target, group="category").splits:
        assert not {CATEGORIES[place] for place in train} & {CATEGORIES[place] for place in test}


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"stratify": "categry"}, SettingsError, "Did you mean category"),
        ({"stratify": "category", "group": "category"}, SettingsError, "not both"),
        ({"scheme": "leave-one-group-out"}, SettingsError, "needs 'group'"),
        ({"scheme": "leave-one-out"}, SettingsError, "scheme"),
    ],
)
def test_labels_that_cannot_be_used_are_named(settings, error, words) -> None:
    with pytest.raises(error, match=words):
        against("ridge", dataset(responses(), CATEGORIES), **settings)


def test_stimuli_without_or_with_two_labels_are_named() -> None:
    with pytest.raises(DataError, match="1 stimuli have no 'category': stimulus03"):
        against("ridge", dataset(responses(), [*CATEGORIES[:3], None, *CATEGORIES[4:]]), group="category")
    twice = responses(2).assign_coords(category=("presentation", [*CATEGORIES, "odd", *CATEGORIES[1:]]))
    with pytest.raises(DataError, match="'stimulus00' has two values of 'category': 'dog', 'odd'"):
        against("ridge", twice, group="category")


def test_unequal_repetitions_count_by_their_harmonic_mean() -> None:
    generator = np.random.default_rng(0)
    signal = generator.standard_normal((5000, 3)) * np.array([0.5, 1.0, 2.0])
    counts = np.where(np.arange(5000) % 2, 2, 6)
    shown = np.repeat(np.arange(5000), counts)
    noisy = signal[shown] + generator.standard_normal((len(shown), 3))
    target = xr.DataArray(
        noisy,
        dims=("presentation", "neuroid"),
        coords={
            "stimulus_id": ("presentation", [f"s{number:04d}" for number in shown]),
            "repetition": ("presentation", np.concatenate([np.arange(count) for count in counts])),
            "neuroid_id": ("neuroid", ["a", "b", "c"]),
        },
    )
    comparison = against("ridge", target)
    best, _ = pearson(signal, comparison.responses)  # the signal is the best prediction of the mean responses
    np.testing.assert_allclose(comparison.ceiling.value.values, best, atol=0.02)


def test_opposite_repetitions_have_no_ceiling() -> None:
    values = np.random.default_rng(0).standard_normal((50, 20))
    c = reliability(np.stack([values, -values]))
    assert (c < 0).all()
    assert (reliability(np.stack([values, -values, values]), n_averaged=5) < 0).all()
    assert np.isnan(noise_corrected(np.full(20, 0.5), c)).all()


def test_draws_of_corrected_r2_are_of_corrected_r2() -> None:
    x = features(n_units=4)
    generator = np.random.default_rng(0)
    target = make_responses(x + 0.3 * generator.standard_normal((3, N_STIMULI, 4)), IDS)
    comparison = against("ridge", target)
    comparison.rules = Rules(measure="r2_corrected")
    summary = comparison.summarise(comparison.score(Activations("layer", IDS, [x])))
    assert summary.statistic == "r2_corrected"
    assert summary.value == pytest.approx(1.0, abs=0.15)
    assert summary.interval_low < summary.value < summary.interval_high
    assert np.mean(summary.draws) == pytest.approx(summary.value, abs=0.02)


def rdm_array(values: np.ndarray, order: np.ndarray) -> xr.DataArray:
    """RDMs (n_subjects, n_pairs) as an array whose pairs come in some order, half of them with their sides swapped."""
    first, second = (side[order] for side in np.triu_indices(N_STIMULI, 1))
    swap = order % 2 == 0
    names = np.array(IDS, dtype=object)
    return xr.DataArray(
        values[:, order],
        dims=("subject", "pair"),
        coords={
            "subject": ["a", "b"],
            "stimulus_a": ("pair", names[np.where(swap, second, first)]),
            "stimulus_b": ("pair", names[np.where(swap, first, second)]),
        },
    )


@pytest.mark.parametrize("shuffled", [False, True])
def test_rdms_of_a_notebook_are_aligned_by_name(shuffled) -> None:
    brains = np.stack([pdist(features(seed, 30), "correlation") for seed in (1, 2)])
    order = np.arange(brains.shape[1])
    target = rdm_array(brains, np.random.default_rng(0).permutation(order) if shuffled else order)
    scores = against("rsa", target).score(Activations("layer", IDS, [features(1, 30)]))
    expected = [spearmanr(brains[0], brain).statistic for brain in brains]
    np.testing.assert_allclose(scores["rho"].values, expected, atol=1e-12)


def test_rdms_of_a_notebook_need_every_pair_once() -> None:
    brains = np.stack([pdist(features(seed, 30), "correlation") for seed in (1, 2)])
    target = rdm_array(brains, np.arange(brains.shape[1]))
    with pytest.raises(DataError, match=r"each pair of 40 stimuli once \(780 pairs\); found 779"):
        against("rsa", target.isel(pair=slice(1, None)))
    with pytest.raises(DataError, match="stimulus_b"):
        against("rsa", target.drop_vars("stimulus_b"))
    with pytest.raises(DataError, match="not finite"):
        against("rsa", target.where(target > target.min()))


@pytest.mark.parametrize("comparison", ["spearman", "pearson"])
@pytest.mark.parametrize("dissimilarity", ["correlation", "cosine", "euclidean"])
def test_every_dissimilarity_and_comparison_equals_scipy(comparison, dissimilarity) -> None:
    target = make_responses(features(3, 9), IDS, neuroid={"subject": ["a"] * 5 + ["b"] * 4})
    scores = against("rsa", target, comparison=comparison, dissimilarity=dissimilarity).score(
        Activations("layer", IDS, [features(1)])
    )
    brains = [pdist(features(3, 9)[:, part], dissimilarity) for part in (slice(0, 5), slice(5, 9))]
    model = pdist(features(1), dissimilarity)
    name, correlate = {
        "spearman": ("rho", lambda a, b: spearmanr(a, b).statistic),
        "pearson": ("r", lambda a, b: np.corrcoef(a, b)[0, 1]),
    }[comparison]
    np.testing.assert_allclose(scores[name].values, [correlate(model, brain) for brain in brains], atol=1e-12)
    assert float(scores[f"group_{name}"]) == pytest.approx(correlate(model, np.mean(brains, axis=0)), abs=1e-12)


@pytest.mark.parametrize("what", ["one stimulus is flat", "all are equal"])
def test_layers_without_dissimilarities_are_null_and_do_not_stop_the_others(what, caplog) -> None:
    good = features(3, 9)
    flat = features(4, 9) if what == "one stimulus is flat" else np.tile(features(4, 9)[0], (N_STIMULI, 1))
    if what == "one stimulus is flat":
        flat[5] = 0.25
    comparison = against("rsa", make_responses(good, IDS))
    layers = {name: Activations(name, IDS, [values]) for name, values in (("flat", flat), ("good", good))}
    with caplog.at_level(logging.WARNING):
        summary = comparison.summarise(comparison.score_all(layers))
    assert (summary.best_layer, summary.n_null) == ("good", 0)
    assert summary.value == pytest.approx(1.0)
    assert summary.layers[0].value == 0.0
    assert ("stimulus05" in caplog.text) == (what == "one stimulus is flat")
    alone = comparison.summarise(comparison.score(layers["flat"]))
    assert (alone.value, alone.n_null, alone.interval_low, alone.interval_high) == (0.0, 1, 0.0, 0.0)


def test_flat_responses_are_refused_by_name() -> None:
    flat = features(3, 9)
    flat[7, :5] = 1.0
    target = make_responses(flat, IDS, neuroid={"subject": ["a"] * 5 + ["b"] * 4})
    with pytest.raises(DataError, match="Participant 'a', stimuli stimulus07"):
        against("rsa", target)
