"""``rsa`` as a metric: against scipy, for responses and for matrices of participants."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
import xarray as xr
from scipy.spatial.distance import pdist
from scipy.stats import kendalltau, pearsonr, rankdata, spearmanr

import isocortex
from isocortex.activations.layer import Activations
from isocortex.data.dataset import Dataset, make_responses
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.errors import DataError, SettingsError
from isocortex.scoring.contract import Preparation, Rules
from isocortex_metrics.geometry.dissimilarity import crossvalidated_distance

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


@pytest.mark.parametrize("n_layers", [1, 3])
def test_the_mean_matrix_may_be_the_measure_and_says_what_it_stands_for(n_layers) -> None:
    data, metric = participants(4), isocortex.load_metric("rsa")
    comparison = metric.against(data, preparation=Preparation(Rules(measure="group_rho", n_draws=20)))
    layers = {f"layer{seed}": Activations(f"layer{seed}", IDS, [patterns(seed)]) for seed in range(n_layers)}
    summary = comparison.summarise(comparison.score_all(layers))
    group = data.rdm.mean(("session", "subject")).values
    found = [spearmanr(pdist(patterns(seed), "correlation"), group).statistic for seed in range(n_layers)]
    assert summary.value == pytest.approx(max(found), abs=1e-12)
    assert (summary.statistic, summary.target, summary.n_subjects) == ("group_rho", "group-mean", 4)
    assert summary.ceiling is None
    assert summary.ceiling_lower is None, "the band is that of participants"


@pytest.mark.parametrize(
    ("comparison", "statistic", "function"),
    [
        ("spearman", "rho", lambda a, b: spearmanr(a, b).statistic),
        ("pearson", "r", lambda a, b: pearsonr(a, b).statistic),
        ("kendall", "tau_a", lambda a, b: kendalltau(a, b).statistic),
        ("rho-a", "rho_a", lambda a, b: spearmanr(a, b).statistic),
        ("cosine", "cosine", lambda a, b: a @ b / np.linalg.norm(a) / np.linalg.norm(b)),
    ],
)
def test_every_comparison_equals_scipy_and_has_an_interval(comparison, statistic, function) -> None:
    data = participants(3)
    prepared = against(data, comparison=comparison)
    scores = prepared.score(Activations("layer", IDS, [patterns(0)]))
    model, brains = pdist(patterns(0), "correlation"), data.rdm.mean("session").values
    np.testing.assert_allclose(scores[statistic].values, [function(model, brain) for brain in brains], atol=1e-12)
    group = function(model, brains.mean(axis=0))
    assert float(scores[f"group_{statistic}"]) == pytest.approx(group, abs=1e-12)
    summary = prepared.summarise(scores)
    assert summary.statistic == statistic
    assert summary.also == {f"group_{statistic}": pytest.approx(group, abs=1e-12)}
    assert summary.interval_low < summary.value < summary.interval_high
    assert summary.error_kind == "bootstrap standard deviation"
    assert summary.ceiling_lower < summary.ceiling_upper


def test_ties_of_the_model_count_as_the_statistic_says() -> None:
    """Labels tie nearly all pairs: tau-a and rho-a pay for it, Spearman's rho does not."""
    data, labels = participants(2), np.eye(4)[np.arange(N_STIMULI) % 4]
    layer = Activations("labels", IDS, [labels])
    model, brains = pdist(labels, "correlation"), data.rdm.mean("session").values
    pairs = np.sign(model[:, None] - model) * np.sign(brains[:, :, None] - brains[:, None, :])
    n_pairs = len(model)
    found = against(data, comparison="kendall").score(layer)["tau_a"].values
    np.testing.assert_allclose(found, pairs.sum(axis=(1, 2)) / (n_pairs * (n_pairs - 1)), atol=1e-15)
    rho_a = against(data, comparison="rho-a").score(layer)["rho_a"].values
    rho = against(data).score(layer)["rho"].values
    np.testing.assert_allclose(rho_a, rho * rankdata(model).std() / np.arange(n_pairs).std(), atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "estimator"),
    [
        ({}, "leave-one-participant-out, rank-averaged (Nili et al. 2014)"),
        ({"ceiling_average": "raw"}, "leave-one-participant-out, averaged as they are (Nili et al. 2014)"),
        ({"comparison": "pearson"}, "leave-one-participant-out, averaged after standardising (Nili et al. 2014)"),
        ({"ceiling": "inter-subject"}, "mean over pairs of participants"),
        ({"ceiling": "brainscore"}, "each participant against the mean of all (Brain-Score)"),
    ],
)
def test_ceilings_are_named(settings, estimator) -> None:
    data = participants(3)
    comparison = against(data, **settings)
    summary = comparison.summarise(comparison.score(Activations("layer", IDS, [patterns(0)])))
    assert summary.ceiling_estimator == estimator
    assert (summary.ceiling is None) == ("ceiling" not in settings)
    assert (summary.ceiling_lower is None) == ("ceiling" in settings)


def test_ceilings_that_are_numbers_equal_scipy_and_can_be_divided_by() -> None:
    data = participants(3)
    brains = data.rdm.mean("session").values
    pairs = [spearmanr(brains[one], brains[other]).statistic for one, other in ((0, 1), (0, 2), (1, 2))]
    of_mean = [spearmanr(brain, brains.mean(axis=0)).statistic for brain in brains]
    for ceiling, expected in (("inter-subject", np.mean(pairs)), ("brainscore", np.mean(of_mean))):
        comparison = against(data, ceiling=ceiling)
        comparison.rules = Rules(ceiling_mode="r_over_sqrt_c")
        summary = comparison.summarise(comparison.score(Activations("layer", IDS, [patterns(0)])))
        assert summary.ceiling == pytest.approx(expected, abs=1e-12)
        assert summary.ceiled == pytest.approx(summary.value / expected, abs=1e-12)


def test_the_best_of_a_few_stimuli_is_marked_optimistic() -> None:
    ids = IDS[:7]
    target = make_responses(patterns(0)[:7], ids)
    layers = {f"layer{seed}": Activations(f"layer{seed}", ids, [patterns(seed)[:7]]) for seed in (3, 0, 4)}
    comparison = against(target)
    summary = comparison.summarise(comparison.score_all(layers))
    assert (summary.layer_rule, summary.best_layer, summary.n_layers_searched) == ("optimistic", "layer0", 3)
    assert [layer.name for layer in summary.layers] == ["layer3", "layer0", "layer4"]
    alone = comparison.summarise(comparison.score(layers["layer0"]))
    assert summary.value == alone.value
    np.testing.assert_array_equal(summary.draws, alone.draws, "the draws are those of the layer that is reported")


# --- cross-validated distances ----------------------------------------------------------------------------------------


def repeated(n_repetitions: int = 3, signal: float = 1.0) -> xr.DataArray:
    """Responses of two participants to 20 stimuli, (n_repetitions × 20, 9)."""
    noise = np.random.default_rng(8).standard_normal((n_repetitions, N_STIMULI, 9))
    return make_responses(signal * patterns(0)[:, :9] + noise, IDS, neuroid={"subject": ["a"] * 4 + ["b"] * 5})


@pytest.mark.parametrize("standardise", [False, True])
def test_cross_validated_distances_equal_a_loop_over_repetitions(standardise) -> None:
    responses = repeated()
    comparison = against(responses, dissimilarity="cross-validated-euclidean", standardise=standardise)
    features = patterns(5)
    found = comparison.score(Activations("layer", IDS, [features]))["rho"].values
    shown = responses.values.reshape(3, N_STIMULI, 9)
    if standardise:
        shown = shown / np.sqrt(shown.var(axis=1).mean(axis=0))
        features = (features - features.mean(axis=0)) / features.std(axis=0)
    for participant, part in enumerate((slice(0, 4), slice(4, 9))):
        rdm = [
            np.mean([(x[i] - x[j]) @ (y[i] - y[j]) for x, y in permutations(shown[:, :, part], 2)])
            for i, j in combinations(range(N_STIMULI), 2)
        ]
        expected = spearmanr(pdist(features, "sqeuclidean"), rdm).statistic
        assert found[participant] == pytest.approx(expected, abs=1e-12)


def test_cross_validated_distances_need_repetitions() -> None:
    with pytest.raises(DataError, match=r"needs at least 2; found 1"):
        against(repeated(1), dissimilarity="cross-validated-euclidean")


def test_cross_validated_distances_of_noise_average_zero() -> None:
    noise = [np.random.default_rng(seed).standard_normal((3, N_STIMULI, 9)) for seed in range(40)]
    crossed = [crossvalidated_distance(one, standardise=how).mean() for one in noise for how in (False, True)]
    plain = [pdist(one.mean(axis=0), "sqeuclidean").mean() / 9 for one in noise]
    assert abs(np.mean(crossed)) < 3 * np.std(crossed) / np.sqrt(80)
    assert np.mean(plain) > 0.5, "without cross-validation noise makes distances"


# --- devices and input ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dissimilarity", ["correlation", "cosine", "euclidean", "cross-validated-euclidean"])
@pytest.mark.parametrize("standardise", [False, True])
def test_torch_equals_numpy(dissimilarity, standardise) -> None:
    settings = {"dissimilarity": dissimilarity, "standardise": standardise}
    layer = Activations("layer", IDS, [patterns(5).astype(np.float32)])
    found = [
        isocortex.load_metric("rsa").against(repeated(), settings=settings, seed=0, device=device).score(layer)
        for device in ("cpu", "torch")
    ]
    np.testing.assert_allclose(found[0]["rho"].values, found[1]["rho"].values, atol=1e-12)
    np.testing.assert_allclose(found[0]["prediction"].values, found[1]["prediction"].values, rtol=1e-12, atol=1e-13)


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
