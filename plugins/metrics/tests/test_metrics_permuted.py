"""What chance gives: every permutation equals scoring data that were permuted by hand, and p is uniform under H0."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import isocortex
from isocortex.activations.layer import Activations
from isocortex.catalogue.cards import LayerRule
from isocortex.data.dataset import make_responses
from isocortex.interfaces import Preparation, Rules
from isocortex.scoring import Exchangeable, values_of
from isocortex_metrics.geometry.permuted_rdms import RanksWithin

N_STIMULI = 40
IDS = [f"stimulus{number:02d}" for number in range(N_STIMULI)]
ORDERS = Exchangeable.of(IDS).orders(22, seed=3)


def brain(n_repetitions: int = 2) -> tuple[xr.DataArray, dict[str, Activations]]:
    """Responses of two participants in two regions, and four layers: some signal, noise, and one layer twice."""
    generator = np.random.default_rng(5)
    features = generator.standard_normal((N_STIMULI, 12))
    signal = features @ generator.standard_normal((12, 8)) / 4
    values = signal + generator.standard_normal((n_repetitions, N_STIMULI, 8))
    named = {"region": ["A", "B"] * 4, "subject": ["s1"] * 5 + ["s2"] * 3}
    others = [generator.standard_normal((N_STIMULI, width)) for width in (3, 60)]
    layers = [features, *others, features]
    return make_responses(values, IDS, neuroid=named), {
        f"layer{number}": Activations(f"layer{number}", IDS, [values]) for number, values in enumerate(layers)
    }


def by_hand(responses: xr.DataArray, order: np.ndarray) -> xr.DataArray:
    """Each stimulus with all presentations of another."""
    rows = {name: np.flatnonzero(responses["stimulus_id"].values == name) for name in IDS}
    moved = responses.copy(deep=True)
    for name, source in zip(IDS, order, strict=True):
        moved.values[rows[name]] = responses.values[rows[IDS[source]]]
    return moved


def oracle(metric: str, order: np.ndarray, preparation: Preparation, settings: dict[str, object]) -> dict[str, float]:
    """Values of the whole and of the regions, through the ordinary path, of data that were permuted by hand."""
    from isocortex.scoring.summary import by_region

    responses, layers = brain()
    comparison = isocortex.load_metric(metric).against(
        by_hand(responses, order), settings=settings, preparation=preparation
    )
    scores = comparison.score_all(layers)
    return {
        None: comparison.summarise(scores).value,
        **{name: part.value for name, part in by_region(comparison, scores).items()},
    }


CASES = {
    "ridge": ("ridge", {}, {}),
    "ridge by neuroid": ("ridge", {}, {"layer_rule": LayerRule(unit="neuroid")}),
    "ridge by model, corrected": ("ridge", {}, {"layer_rule": LayerRule(unit="model"), "measure": "r2_corrected"}),
    "pca-ridge": ("pca-ridge", {"n_components": [2, 6]}, {}),
    "rsa": ("rsa", {}, {}),
    "rsa by Pearson's r": ("rsa", {"comparison": "pearson", "dissimilarity": "euclidean", "n_halvings": 2}, {}),
    "rsa by tau-a": ("rsa", {"comparison": "kendall", "n_halvings": 2}, {}),
    "rsa by rho-a": ("rsa", {"comparison": "rho-a", "n_halvings": 2}, {}),
    "rsa with the mean matrix": ("rsa", {}, {"measure": "group_rho"}),
    "cka": ("cka", {}, {}),
    "procrustes": ("procrustes", {}, {}),
    "procrustes, a distance": ("procrustes", {}, {"measure": "angle"}),
    "pls": ("pls", {"n_components": 3}, {}),
    "brainscore-neuron-to-neuron": ("brainscore-neuron-to-neuron", {}, {}),
    "brainscore-cka": ("brainscore-cka", {}, {}),
    "brainscore-cka-biased": ("brainscore-cka-biased", {}, {}),
    "brainscore-cka-cv": ("brainscore-cka-cv", {}, {}),
    "pca-ridge on the test": ("pca-ridge", {"n_components": 4, "layer": "on-test"}, {}),
    "pca-ridge on the test, an error": ("pca-ridge", {"n_components": 4, "layer": "on-test"}, {"measure": "mse"}),
}


@pytest.mark.parametrize("case", CASES)
def test_every_permutation_equals_scoring_data_that_were_permuted_by_hand(case: str) -> None:
    metric, settings, rules = CASES[case]
    by = ("region",) if metric.endswith("ridge") else ()
    preparation = Preparation(Rules(n_draws=50, summary_by=by, **rules))
    responses, layers = brain()
    comparison = isocortex.load_metric(metric).against(responses, settings=settings, preparation=preparation)
    blocks = [values_of(comparison, found) for found in comparison.permuted_readouts(layers, ORDERS)]
    found = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    assert len(found[None]) == len(ORDERS)
    for place in (0, 1, 19, 20, 21):
        for name, value in oracle(metric, ORDERS[place], preparation, settings).items():
            assert found[name][place] == pytest.approx(value, abs=1e-9), (name, place)


def test_feature_spaces_are_searched_for_each_permutation() -> None:
    responses, layers = brain()
    spaces = {name: layers[name].in_space(space) for name, space in (("layer0", "one"), ("layer1", "two"))}
    settings = {"n_folds": 2, "n_repeats": 1}
    preparation = Preparation(Rules(n_draws=50))
    metric = isocortex.load_metric("banded-ridge")
    comparison = metric.against(responses, settings=settings, preparation=preparation)
    found = [values_of(comparison, one)[None][0] for one in comparison.permuted_readouts(spaces, ORDERS[:2])]
    for value, order in zip(found, ORDERS, strict=False):
        moved = metric.against(by_hand(responses, order), settings=settings, preparation=preparation)
        assert value == pytest.approx(moved.summarise(moved.score_all(spaces)).value, abs=1e-9)


def test_more_neuroids_than_stimuli_and_one_that_is_constant_are_fitted_for_each_permutation() -> None:
    """Partial least squares on a factor of the responses' Gram matrix; the iteration starts from the second neuroid."""
    generator = np.random.default_rng(8)
    values = np.concatenate([np.ones((N_STIMULI, 1)), generator.standard_normal((N_STIMULI, 60))], axis=1)
    layers = {f"layer{width}": Activations(f"layer{width}", IDS, [values[:, 1:width]]) for width in (9, 20)}
    metric, settings = isocortex.load_metric("pls"), {"n_components": 3}
    preparation = Preparation(Rules(n_draws=2), keep=())
    comparison = metric.against(make_responses(values, IDS), settings=settings, preparation=preparation)
    found = [values_of(comparison, part)[None] for part in comparison.permuted_readouts(layers, ORDERS[:2])]
    for value, order in zip(np.concatenate(found), ORDERS, strict=False):
        moved = metric.against(make_responses(values[order], IDS), settings=settings, preparation=preparation)
        assert value == pytest.approx(moved.summarise(moved.score_all(layers)).value, abs=1e-9)


def test_ranks_within_a_part_tie_as_those_of_the_part() -> None:
    from scipy.stats import rankdata

    generator = np.random.default_rng(2)
    for vector in (generator.standard_normal(50), generator.integers(0, 6, 50).astype(float)):
        places = generator.permutation(50)[:17]
        np.testing.assert_array_equal(RanksWithin(vector).of(places), rankdata(vector[places]))


@pytest.mark.parametrize("comparison", ["spearman", "rho-a"])
def test_dissimilarities_that_tie_are_ranked_within_the_halves_of_each_permutation(comparison: str) -> None:
    generator = np.random.default_rng(4)
    first, second = np.triu_indices(N_STIMULI, 1)
    square = np.triu(generator.integers(1, 5, (N_STIMULI, N_STIMULI)), 1).astype(float)
    square += square.T
    ids = np.array(IDS, dtype=object)
    coords = {"subject": ["s1"], "stimulus_a": ("pair", ids[first]), "stimulus_b": ("pair", ids[second])}
    metric, layers = isocortex.load_metric("rsa"), brain()[1]

    def against(matrix: np.ndarray):
        rdm = xr.DataArray(matrix[first, second][None], coords, ("subject", "pair"))
        return metric.against(rdm, settings={"comparison": comparison, "n_halvings": 2})

    [found] = [values_of(against(square), part)[None] for part in against(square).permuted_readouts(layers, ORDERS[:3])]
    for value, order in zip(found, ORDERS, strict=False):
        moved = against(square[np.ix_(order, order)])
        assert value == pytest.approx(moved.summarise(moved.score_all(layers)).value, abs=1e-9)
