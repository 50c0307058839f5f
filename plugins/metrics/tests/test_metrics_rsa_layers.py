"""``rsa`` with several layers: chosen on one half of the stimuli, read out on the other, and its interval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr

import isocortex
from isocortex.activations.layer import Activations
from isocortex.catalogue.cards import LayerRule
from isocortex.data.dataset import make_responses
from isocortex.errors import DataError, LayerError, SettingsError
from isocortex.scoring.contract import Rules
from isocortex.scoring.stats import draw_counts, interval
from isocortex_metrics.geometry.pair_statistics import COMPARISONS, unit_ranks, weighted_rho
from isocortex_metrics.numerics.draws import crossed_draws, of_pairs

N_STIMULI = 24
IDS = [f"s{number}" for number in range(N_STIMULI)]


def features(seed: int, n_stimuli: int = N_STIMULI, n_units: int = 15) -> np.ndarray:
    """Noise (n_stimuli, n_units)."""
    return np.random.default_rng(seed).standard_normal((n_stimuli, n_units))


def layers_of(arrays: dict[str, np.ndarray]) -> dict[str, Activations]:
    """Layers with the stimuli in order."""
    return {name: Activations(name, [f"s{n}" for n in range(len(one))], [one]) for name, one in arrays.items()}


def against(*patterns: np.ndarray, seed: int = 0, **settings):
    """The comparison with one participant per array of responses."""
    responses = np.concatenate(patterns, axis=1)
    subjects = np.repeat([f"p{number}" for number in range(len(patterns))], [part.shape[1] for part in patterns])
    target = make_responses(
        responses,
        [f"s{number}" for number in range(len(responses))],
        neuroid={"subject": subjects.tolist()} if len(patterns) > 1 else None,
    )
    return isocortex.load_metric("rsa").against(target, settings=settings, seed=seed)


def related() -> tuple:
    """Two participants, and three layers of which two have to do with them."""
    brains = [features(0) + features(seed) for seed in (1, 2)]
    return brains, layers_of(
        {"close": features(0) + 0.9 * features(3), "near": features(0) + features(4), "far": features(5)}
    )


def test_choice_and_readout_equal_scipy() -> None:
    brains, layers = related()
    comparison = against(*brains, n_halvings=6)
    scores = comparison.score_all(layers)
    tested = scores["test_stimulus"].values
    assert tested.shape == (12, N_STIMULI)
    np.testing.assert_array_equal(tested[:6], ~tested[6:])
    np.testing.assert_array_equal(tested.sum(axis=1), N_STIMULI // 2)
    models = [squareform(pdist(layer.array(), "correlation")) for layer in layers.values()]
    rdms = [squareform(pdist(brain, "correlation")) for brain in brains]
    for split, inside in enumerate(tested):
        for name, part in (("test", inside), ("selection", ~inside)):
            pairs = np.ix_(part, part)
            expected = [
                [spearmanr(squareform(model[pairs]), squareform(rdm[pairs])).statistic for rdm in rdms]
                for model in models
            ]
            np.testing.assert_allclose(scores[name].isel(split=split).values, expected, atol=1e-12)
        chosen = int(scores["selection"].isel(split=split).mean("subject").values.argmax())
        assert int(scores["chosen"][split]) == chosen
        np.testing.assert_array_equal(scores["readout"][split], scores["test"].isel(layer=chosen, split=split))
    assert len(set(scores["chosen"].values.tolist())) > 1, "both close layers are chosen somewhere"


def test_value_is_the_mean_readout_and_the_curve_is_over_all_pairs() -> None:
    brains, layers = related()
    comparison = against(*brains)
    scores = comparison.score_all(layers)
    summary = comparison.summarise(scores)
    assert summary.value == pytest.approx(float(scores["readout"].mean()), abs=1e-12)
    assert (summary.layer_rule, summary.n_layers_searched, summary.n_splits) == ("nested by model", 3, 20)
    for layer in summary.layers:
        alone = comparison.summarise(comparison.score(layers[layer.name]))
        assert layer.value == pytest.approx(alone.value, abs=1e-12)
        assert alone.layer_rule == "single layer"
    assert sum(layer.read_out for layer in summary.layers) == pytest.approx(1)
    group = scores["group_test"].isel(layer=scores["chosen"]).mean()
    assert summary.also == {"group_rho": pytest.approx(float(group), abs=1e-12)}


def test_group_mean_is_read_out_as_the_value_is() -> None:
    brains, layers = related()
    scores = against(*brains).score_all(layers)
    rdm = np.mean([squareform(pdist(brain, "correlation")) for brain in brains], axis=0)
    model, inside = squareform(pdist(layers["near"].array(), "correlation")), scores["test_stimulus"].values[3]
    pairs = np.ix_(inside, inside)
    expected = spearmanr(squareform(model[pairs]), squareform(rdm[pairs])).statistic
    assert float(scores["group_test"].sel(layer="near")[3]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("comparison", list(COMPARISONS))
def test_every_comparison_chooses_the_true_layer(comparison) -> None:
    truth = features(0)
    arrays = {f"noise{seed}": features(seed) for seed in range(10, 16)} | {"true": truth + 0.5 * features(7)}
    prepared = against(truth + 0.5 * features(1), truth + 0.5 * features(2), comparison=comparison)
    summary = prepared.summarise(prepared.score_all(layers_of(arrays)))
    assert summary.best_layer == "true"
    assert summary.layers[-1].read_out == 1.0
    assert summary.interval_low < summary.value < summary.interval_high


def test_seeds_draw_other_halves() -> None:
    brains, layers = related()
    one, same, other = (against(*brains, seed=seed).score_all(layers) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one["test_stimulus"], same["test_stimulus"])
    assert (one["test_stimulus"] != other["test_stimulus"]).any()
    np.testing.assert_array_equal(one["rho"], other["rho"])


def test_rows_in_another_order_change_nothing() -> None:
    brains, layers = related()
    order = np.random.default_rng(0).permutation(N_STIMULI)
    names = [IDS[place] for place in order]
    turned = {name: Activations(name, names, [layer.array()[order]]) for name, layer in layers.items()}
    first, second = (against(*brains).score_all(given) for given in (layers, turned))
    for name in ("rho", "test", "readout"):
        np.testing.assert_allclose(first[name], second[name], atol=1e-12)


# --- nothing is chosen on what it is tested on ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def noise() -> tuple[list[float], list[float]]:
    """Values and the best layer's rho of 43 layers of noise against three participants of noise, 10 seeds."""
    values, best = [], []
    for seed in range(10):
        brains = [features(1000 * seed + place, 50, 10) for place in range(3)]
        arrays = {f"l{place}": features(1000 * seed + 100 + place, 50, 10) for place in range(43)}
        comparison = against(*brains, seed=seed)
        scores = comparison.score_all(layers_of(arrays))
        values.append(float(scores["readout"].mean()))
        best.append(float(scores["rho"].mean("subject").max()))
    return values, best


def test_layer_choice_does_not_leak(noise) -> None:
    values, _ = noise
    assert abs(np.mean(values)) <= 0.02
    assert abs(np.mean(values)) <= 3 * np.std(values, ddof=1) / np.sqrt(len(values))
    assert np.std(values) > 0


def test_choosing_on_what_is_tested_would_leak(noise) -> None:
    values, best = noise
    assert np.mean(best) > 0.025
    assert np.mean(best) > np.mean(values) + 8 * np.std(values, ddof=1) / np.sqrt(len(values))


# --- interval ---------------------------------------------------------------------------------------------------------


def ranks(layer, brains, inside) -> tuple[np.ndarray, np.ndarray]:
    """Ranks of a layer and of the participants among some stimuli."""
    model = unit_ranks(pdist(layer.array()[inside], "correlation"))
    return model, unit_ranks(np.stack([pdist(brain[inside], "correlation") for brain in brains]))


def test_draws_are_those_of_the_halves_that_test() -> None:
    brains, layers = related()
    comparison = against(*brains, n_halvings=3)
    comparison.rules = replace(comparison.rules, n_draws=40)
    scores = comparison.score_all(layers)
    counts = draw_counts(N_STIMULI, 40, 0, "stimuli")
    everything = np.ones((1, N_STIMULI)) - np.eye(N_STIMULI)
    parts: dict[str, list[np.ndarray]] = {"drawn": [], "without": [], "anew": []}
    n_halves = len(scores["test_stimulus"])
    ranked = [[ranks(layers[name], brains, inside) for name in layers] for inside in scores["test_stimulus"].values]
    for split, inside in enumerate(scores["test_stimulus"].values):
        own, other = ranked[split], ranked[(split + n_halves // 2) % n_halves]
        chosen = int(scores["chosen"][split])
        parts["drawn"].append(weighted_rho(*own[chosen], counts[:, inside]))
        parts["without"].append(weighted_rho(*own[chosen], everything[:, inside]))
        choosing = scores["test_stimulus"].values[(split + n_halves // 2) % n_halves]
        kept = sorted(set(scores["chosen"].values.tolist()))
        best = np.stack([weighted_rho(*other[place], counts[:, choosing]).mean(axis=1) for place in kept]).argmax(
            axis=0
        )
        tested = np.stack([weighted_rho(*own[place], counts[:, inside]) for place in kept])
        parts["anew"].append(tested[best, np.arange(len(counts))])
    values = scores["readout"].values.mean(axis=0)
    drawn, without, anew = (np.mean(part, axis=0) for part in parts.values())
    draws = of_pairs(drawn, values, without, anew)
    expected = crossed_draws(draws, values, draw_counts(2, 40, 0, "participants"), N_STIMULI)
    summary = comparison.summarise(scores)
    np.testing.assert_allclose(summary.draws, expected.draws, atol=1e-12)
    np.testing.assert_allclose((summary.interval_low, summary.interval_high), interval(expected.reaching), atol=1e-12)


@pytest.mark.parametrize(("n_participants", "signal"), [(1, 0.0), (4, 0.0), (4, 1.0)])
def test_intervals_cover(n_participants, signal) -> None:
    """In 25 experiments, of noise and with something to find; the interval is not much too wide either."""
    found = []
    for seed in range(25):
        stimuli = features(500 * seed, 40, 6)
        brains = [signal * stimuli + 1.5 * features(500 * seed + 1 + place, 40, 6) for place in range(n_participants)]
        arrays = {f"l{place}": signal * stimuli + features(500 * seed + 50 + place, 40, 6) for place in range(4)}
        comparison = against(*brains, seed=seed, n_halvings=4)
        comparison.rules = replace(comparison.rules, n_draws=100)
        summary = comparison.summarise(comparison.score_all(layers_of(arrays)))
        found.append((summary.value, summary.interval_low, summary.interval_high, summary.error))
    value, low, high, error = np.array(found).T
    truth = value.mean() if signal else 0.0
    assert np.mean((low <= truth) & (truth <= high)) >= 0.85
    assert 0.75 < error.mean() / value.std(ddof=1) < 2.2


def test_without_predictions_there_is_no_interval() -> None:
    brains, layers = related()
    comparison = against(*brains)
    comparison.keep = ()
    scores = comparison.score_all(layers)
    assert "prediction" not in scores
    assert "prediction" not in comparison.score(layers["far"])
    assert comparison.summarise(scores).error_kind == "none"


def test_scores_that_were_written_give_the_same_summary(tmp_path) -> None:
    import xarray as xr

    brains, layers = related()
    comparison = against(*brains)
    scores = comparison.score_all(layers)
    scores.to_netcdf(tmp_path / "scores.nc")
    with xr.open_dataset(tmp_path / "scores.nc") as read:
        again = against(*brains).summarise(read.load())
    assert again == comparison.summarise(scores)


# --- what cannot be chosen --------------------------------------------------------------------------------------------


def test_equal_layers_count_once() -> None:
    brains, layers = related()
    twins = {"first": layers["far"], "second": Activations("second", IDS, [layers["far"].array()])}
    scores = against(*brains).score_all(twins)
    assert scores.attrs["layer_rule"] == "single layer"
    assert "split" not in scores["readout"].dims
    scores = against(*brains).score_all({**twins, "close": layers["close"]})
    assert scores.attrs["n_layers_searched"] == 2
    np.testing.assert_array_equal(scores["group_test"].sel(layer="first"), scores["group_test"].sel(layer="second"))


def test_a_null_layer_is_never_chosen(caplog) -> None:
    brains, layers = related()
    constant = Activations("constant", IDS, [np.ones((N_STIMULI, 3))])
    comparison = against(*[-brain for brain in brains])
    scores = comparison.score_all({"constant": constant, "far": layers["far"]})
    assert scores["null"].sel(layer="constant").all()
    assert (scores["test"].sel(layer="constant") == 0).all()
    assert (scores["chosen"] == 1).all()
    assert "'constant' counts as null" in caplog.text
    ones = Activations("ones", IDS, [np.ones((N_STIMULI, 4))])
    nothing = comparison.score_all({"constant": constant, "ones": ones})
    assert comparison.summarise(nothing).value == 0.0
    assert float(nothing["null"].mean()) == 1.0


def test_refusals() -> None:
    brains, layers = related()
    comparison = against(*brains)
    comparison.rules = Rules(layer_rule=LayerRule(choose="none"))
    with pytest.raises(SettingsError, match="chooses no layer"):
        comparison.score_all(layers)
    with pytest.raises(LayerError, match="no layer to score"):
        against(*brains).score_all({})
    with pytest.raises(SettingsError, match="n_halvings"):
        against(*brains, n_halvings=0)


def test_a_half_of_equal_dissimilarities_is_refused() -> None:
    """One stimulus differs from all others: a half without it has nothing to rank."""
    brain = np.zeros((N_STIMULI, 5))
    brain[0] = 1.0
    with pytest.raises(DataError, match=r"dissimilarities of pooled.*equal among a half of the 24 stimuli"):
        against(brain, dissimilarity="euclidean").score_all(related()[1])
