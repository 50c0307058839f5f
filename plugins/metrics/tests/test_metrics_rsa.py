"""``rsa`` as a metric: against scipy, for responses and for matrices of participants."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

import isocortex
from isocortex.activations import Activations
from isocortex.dataset import Dataset, make_responses
from isocortex.errors import DataError, SettingsError
from isocortex.stimuli import Stimulus, StimulusSet

N_STIMULI = 20
IDS = [f"stimulus{number:02d}" for number in range(N_STIMULI)]
STIMULI = StimulusSet("noise", "image", {name: Stimulus(name, "image", np.zeros((2, 2, 3), np.uint8)) for name in IDS})


def patterns(seed: int, n_units: int = 30) -> np.ndarray:
    """Random patterns (20, n_units)."""
    return np.random.default_rng(seed).standard_normal((N_STIMULI, n_units))


def against(target, **settings):
    """The comparison with some target."""
    return isocortex.load_metric("rsa").against(target, settings=settings, seed=0)


def participants(n: int) -> Dataset:
    """Matrices of n participants in two sessions."""
    first, second = np.triu_indices(N_STIMULI, 1)
    common = pdist(patterns(0), "correlation")
    values = common + np.random.default_rng(1).standard_normal((n, 2, len(first))) * 0.2
    names = np.array(IDS, dtype=object)
    rdm = xr.DataArray(
        values,
        dims=("subject", "session", "pair"),
        coords={
            "subject": [f"s{i}" for i in range(n)],
            "stimulus_a": ("pair", names[first]),
            "stimulus_b": ("pair", names[second]),
        },
    )
    return Dataset("brains", STIMULI, rdm=rdm)


@pytest.mark.parametrize("dissimilarity", ["correlation", "euclidean"])
def test_rho_equals_scipy_for_each_participant(dissimilarity) -> None:
    features = patterns(5)
    responses = patterns(6, 12) + features[:, :12]
    target = make_responses(responses, IDS, neuroid={"subject": ["a"] * 7 + ["b"] * 5})
    scores = against(target, dissimilarity=dissimilarity).score(Activations("layer", IDS, [features]))
    model = pdist(features, dissimilarity)
    brains = [pdist(part, dissimilarity) for part in (responses[:, :7], responses[:, 7:])]
    expected = [spearmanr(model, brain).statistic for brain in brains]
    np.testing.assert_allclose(scores["rho"].values, expected, atol=1e-12)
    group = spearmanr(model, np.mean(brains, axis=0)).statistic
    assert float(scores["group_rho"]) == pytest.approx(group, abs=1e-12)


def test_value_is_the_mean_over_participants_with_a_band() -> None:
    data = participants(4)
    comparison = against(data)
    scores = comparison.score(Activations("layer", IDS, [patterns(0)]))
    summary = comparison.summarise(scores)
    brains = data.rdm.mean("session").values
    expected = np.mean([spearmanr(pdist(patterns(0), "correlation"), brain).statistic for brain in brains])
    assert summary.value == pytest.approx(expected, abs=1e-12)
    assert summary.also["group_rho"] > summary.value
    assert summary.ceiling_lower < summary.ceiling_upper
    assert summary.ceiled is None
    assert (summary.statistic, summary.target, summary.n_subjects) == ("rho", "participant", 4)
    assert summary.interval_low < summary.value < summary.interval_high


def test_the_best_of_several_layers_is_marked_optimistic() -> None:
    comparison = against(participants(2))
    layers = {f"layer{seed}": Activations(f"layer{seed}", IDS, [patterns(seed)]) for seed in (3, 0, 4)}
    summary = comparison.summarise(comparison.score_all(layers))
    assert (summary.layer_rule, summary.best_layer, summary.n_layers_searched) == ("optimistic", "layer0", 3)
    assert [layer.name for layer in summary.layers] == ["layer3", "layer0", "layer4"]
    alone = comparison.summarise(comparison.score(layers["layer0"]))
    assert summary.value == alone.value
    assert summary.draws == alone.draws, "the draws are those of the layer that is reported"


def test_unrelated_patterns_give_nothing() -> None:
    comparison = against(participants(3))
    layers = [Activations("layer", IDS, [patterns(seed)]) for seed in range(100, 140)]
    values = [comparison.summarise(comparison.score(layer)).value for layer in layers]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(40)


def test_pooled_responses_are_named_so() -> None:
    comparison = against(make_responses(patterns(0, 8), IDS))
    summary = comparison.summarise(comparison.score(Activations("layer", IDS, [patterns(1)])))
    assert (summary.target, summary.n_subjects, summary.resampled) == ("pooled", None, "stimuli")
    assert summary.ceiling_lower is None


def test_bad_input_is_refused() -> None:
    with pytest.raises(SettingsError, match="Did you mean dissimilarity"):
        against(participants(2), disimilarity="correlation")
    with pytest.raises(DataError, match="at least 4 stimuli"):
        against(make_responses(patterns(0)[:3], IDS[:3]))
    with pytest.raises(DataError, match="responses, but the data set 'brains' holds rdm"):
        isocortex.load_metric("ridge").against(participants(2), settings={}, seed=0)


def test_standardised_units_equal_z_scores_by_hand() -> None:
    scales = np.geomspace(1, 1e4, 30)
    features = (patterns(5) * scales + 50 * scales).astype(np.float32)
    features[:, 7] = 3.0
    responses = patterns(6, 12) * np.arange(1, 13)
    comparison = against(make_responses(responses, IDS), standardise=True)
    found = float(comparison.score(Activations("layer", IDS, [features]))["rho"][0])
    varying = np.delete(features.astype(np.float64), 7, axis=1)
    z_scored = np.insert((varying - varying.mean(axis=0)) / varying.std(axis=0), 7, 0.0, axis=1)
    brain = (responses - responses.mean(axis=0)) / responses.std(axis=0)
    expected = spearmanr(pdist(z_scored, "correlation"), pdist(brain, "correlation")).statistic
    assert found == pytest.approx(expected, abs=1e-9)
    plain = float(against(make_responses(responses, IDS)).score(Activations("layer", IDS, [features]))["rho"][0])
    assert abs(plain - found) > 0.02
