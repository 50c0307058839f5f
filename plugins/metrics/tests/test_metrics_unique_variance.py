"""``unique-variance``: brute force with scikit-learn, shares that are known, copies, noise, and what is refused."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.metrics import r2_score

import isocortex
from isocortex.activations.layer import Activations
from isocortex.data.dataset import make_responses
from isocortex.errors import AlignmentError, DataError, SettingsError
from isocortex.scoring.contract import Rules
from isocortex_metrics.encoding.banded import baseline_mixtures, best_mixture, joint_mixtures, training_traces
from isocortex_metrics.encoding.unique_variance import MODEL_SHARES
from isocortex_metrics.numerics.dual_ridge import ALPHA_GRID
from isocortex_metrics.numerics.explained import out_of_sample_r2
from isocortex_metrics.numerics.gram import gram_matrix


@cache
def metric():
    """The metric, found once."""
    return isocortex.load_metric("unique-variance")


def names(n_stimuli: int) -> list[str]:
    """Stimulus IDs."""
    return [f"s{number:03d}" for number in range(n_stimuli)]


def layer(features: np.ndarray, name: str = "layer") -> Activations:
    """Features as a layer."""
    return Activations(name, names(len(features)), [features])


def against(
    responses: np.ndarray, baselines: dict[str, np.ndarray] | None = None, neuroid=None, device="cpu", **settings
):
    """The comparison with responses and baselines given as arrays."""
    target = make_responses(responses, names(responses.shape[-2]), neuroid=neuroid)
    comparison = metric().against(target, settings=settings, seed=0, device=device)
    comparison.baselines = {name: layer(features, name) for name, features in (baselines or {}).items()}
    return comparison


def mixture(n_stimuli: int, shares: tuple[float, float], seed: int = 0, n_neuroids: int = 30, n_dims: int = 6):
    """Baseline, model, and responses to which both contribute known shares of the variance; the rest is noise."""
    generator = np.random.default_rng(seed)
    features = [generator.standard_normal((n_stimuli, n_dims)) for _ in shares]
    parts = [x @ generator.standard_normal((n_dims, n_neuroids)) for x in features]
    responses = np.sqrt(1 - sum(shares)) * generator.standard_normal((n_stimuli, n_neuroids))
    for share, part in zip(shares, parts, strict=True):
        responses += np.sqrt(share) * part / part.std(axis=0)
    return *features, responses


# --- brute force ------------------------------------------------------------------------------------------------------


def scaled(features: list[np.ndarray], shares: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Features side by side, each divided by the root of its variance in training, times the root of its share."""
    parts = []
    for x, share in zip(features, shares, strict=True):
        centred = x - x[train].mean(axis=0)
        parts.append(np.sqrt(share / (centred[train] ** 2).sum()) * centred)
    return np.concatenate(parts, axis=1)


def best_by_refitting(features, candidates, y: np.ndarray, train: np.ndarray, test: np.ndarray):
    """Shares and alpha that scikit-learn finds; their leave-one-out error by refitting; the prediction; the shares."""
    best = (np.inf, 0.0, np.empty(0))
    for shares in candidates:
        x = scaled(features, shares, train)
        alphas = ALPHA_GRID / (len(train) - 1)  # the kernels have trace 1
        errors = RidgeCV(alphas, store_cv_results=True).fit(x[train], y[train]).cv_results_.sum(axis=0)
        if errors.min() < best[0] * (1 - 1e-9):
            best = (errors.min(), alphas[errors.argmin()], shares)
    ridge, x = Ridge(best[1], solver="svd"), scaled(features, best[2], train)
    rest = [train[train != left_out] for left_out in train]
    left_out = [ridge.fit(x[r], y[r]).predict(x[[i]])[0] for i, r in zip(train, rest, strict=True)]
    return ((y[train] - left_out) ** 2).sum(), ridge.fit(x[train], y[train]).predict(x[test]), best[2]


def test_equal_to_refitting_on_features_side_by_side() -> None:
    generator = np.random.default_rng(3)
    n_stimuli = 18
    baseline, model = generator.standard_normal((n_stimuli, 3)), 9 * generator.standard_normal((n_stimuli, 40))
    responses = baseline[:, :1] + 0.1 * model[:, :2] + 0.5 * generator.standard_normal((n_stimuli, 2))
    shares = (0.0, 0.1, 0.9, 1.0)
    comparison = against(responses, {"known": baseline}, n_folds=3, n_repeats=1, model_shares=shares)
    scores = comparison.score(layer(model))
    chosen = set()
    for split, (train, test) in enumerate(comparison.splits):
        for neuroid in range(2):
            y = responses[:, neuroid]
            total = ((y[test] - y[train].mean()) ** 2).sum()
            alone = best_by_refitting([baseline], [np.ones(1)], y, train, test)
            joint = best_by_refitting([baseline, model], [np.array([1 - g, g]) for g in shares], y, train, test)
            r2 = [1 - ((y[test] - predicted) ** 2).sum() / total for _, predicted, _ in (alone, joint)]
            found = scores.isel(split=split, neuroid=neuroid)
            assert float(found["baseline_r2"]) == pytest.approx(r2[0], abs=1e-9)
            assert float(found["joint_r2"]) == pytest.approx(r2[1], abs=1e-9)
            assert float(found["unique_r2"]) == pytest.approx(r2[1] - r2[0], abs=1e-9)
            assert float(found["model_share"]) == pytest.approx(joint[2][1])
            of_mean = ((y[train] - y[train].mean()) ** 2).sum() * (len(train) / (len(train) - 1)) ** 2
            assert float(found["selection"]) == pytest.approx((alone[0] - joint[0]) / of_mean, abs=1e-9)
            chosen.add(float(joint[2][1]))
    assert len(chosen) > 1, "the problem should make use of several shares"


def test_mixtures_of_kernels_equal_kernel_ridge() -> None:
    generator = np.random.default_rng(0)
    features = [generator.standard_normal((40, n_units)) * scale for n_units, scale in ((5, 1), (200, 30), (9, 0.1))]
    responses = generator.standard_normal((40, 3)) + features[0][:, :3]
    train, test = np.arange(30), np.arange(30, 40)
    kernels = [gram_matrix([x], 40) for x in features]
    shares = np.array([0.2, 0.5, 0.3])
    fit = best_mixture(kernels, shares[None], train, test, responses[train])
    x = scaled(features, shares, train)
    for neuroid in range(3):
        alpha = ALPHA_GRID[fit.alpha_index[neuroid]] / 29
        y = responses[train, neuroid] - responses[train, neuroid].mean()
        expected = KernelRidge(alpha=alpha, kernel="linear").fit(x[train], y).predict(x[test])
        np.testing.assert_allclose(fit.deviation[:, neuroid], expected, rtol=0, atol=1e-9)


def test_grids_of_shares() -> None:
    for n_baselines, n_mixtures in ((0, 1), (1, 1), (2, 5), (3, 19)):
        rows = baseline_mixtures(n_baselines)
        assert rows.shape == (n_mixtures, n_baselines)
        assert len({tuple(row) for row in rows.round(9)}) == n_mixtures
        if n_baselines:
            np.testing.assert_allclose(rows.sum(axis=1), 1)
    assert joint_mixtures([0.5, 1.0], baseline_mixtures(0)).tolist() == [[1.0]]
    joint = joint_mixtures([0.5, 1.0], baseline_mixtures(2))
    assert joint.shape == (6, 3)  # five with half of the model, one of the model alone
    np.testing.assert_allclose(joint.sum(axis=1), 1)
    generator = np.random.default_rng(0)
    x = generator.standard_normal((20, 7)) + 50
    flat = np.ones((20, 2)) + np.arange(20)[:, None] * (np.arange(20)[:, None] >= 15)
    traces = training_traces([gram_matrix([x], 20), gram_matrix([flat], 20)], np.arange(15))
    np.testing.assert_allclose(traces, [14 * x[:15].var(axis=0, ddof=1).sum(), 0], rtol=1e-10)


def test_r2_about_the_training_mean() -> None:
    generator = np.random.default_rng(0)
    y, predicted = generator.standard_normal((2, 12, 3))
    total = (y - y.mean(axis=0)) ** 2  # about the test mean it is that of scikit-learn
    found = out_of_sample_r2((y - predicted) ** 2, total)
    np.testing.assert_allclose(found, r2_score(y, predicted, multioutput="raw_values"), atol=1e-12)
    counts = generator.multinomial(12, np.full(12, 1 / 12), size=4).astype(float)
    for draw, row in zip(counts, out_of_sample_r2((y - predicted) ** 2, total, counts), strict=True):
        weighted = 1 - (draw @ (y - predicted) ** 2) / (draw @ total)
        np.testing.assert_allclose(row, weighted, atol=1e-12)


# --- known answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.15, 0.4])
def test_the_share_of_an_independent_model_is_recovered(share: float) -> None:
    baseline, model, responses = mixture(200, (0.3, share), n_neuroids=60, n_dims=3)
    comparison = against(responses, {"known": baseline}, n_repeats=1)
    scores = comparison.score(layer(model))
    # fitting three dimensions on 160 stimuli costs 3/160 of the noise
    assert float(scores["unique_r2"].mean()) == pytest.approx(share, abs=0.025)
    assert float(scores["baseline_r2"].mean()) == pytest.approx(0.3, abs=0.04)
    assert float(scores["joint_r2"].mean()) == pytest.approx(0.3 + share, abs=0.04)


def test_what_model_and_baseline_share_is_not_the_models_own() -> None:
    baseline, own, responses = mixture(200, (0.4, 0.2), n_neuroids=60, n_dims=3)
    comparison = against(responses, {"known": baseline}, n_repeats=1)
    both = np.concatenate([3 * baseline, own], axis=1)
    scores = comparison.score(layer(both))
    assert float(scores["unique_r2"].mean()) == pytest.approx(0.2, abs=0.025)


def test_a_copy_of_a_baseline_adds_nothing_at_all() -> None:
    baseline, _, responses = mixture(80, (0.4, 0.2))
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))[0]
    for copy in (baseline, 100 * baseline + 3, baseline @ rotation):
        scores = against(responses, {"known": baseline}, n_repeats=1).score(layer(copy))
        np.testing.assert_array_equal(scores["unique_r2"], 0.0)
        np.testing.assert_array_equal(scores["model_share"], 0.0)
        np.testing.assert_array_equal(scores["selection"], 0.0)
        assert float(scores["joint_r2"].mean()) > 0.25
    comparison = against(responses, {"known": baseline})
    summary = comparison.summarise(comparison.score(layer(baseline)))
    assert (summary.value, summary.interval_low, summary.interval_high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("n_units", [5, 200])
def test_noise_adds_nothing_on_average(n_units: int) -> None:
    values = []
    for seed in range(8):
        baseline, _, responses = mixture(80, (0.4, 0.1), seed, n_neuroids=20)
        noise = np.random.default_rng([1, seed]).standard_normal((80, n_units))
        scores = against(responses, {"known": baseline}, n_repeats=1).score(layer(noise))
        values.append(float(scores["unique_r2"].mean()))
    standard_error = np.std(values, ddof=1) / np.sqrt(len(values))
    assert np.mean(values) <= 2 * standard_error
    assert np.mean(values) == pytest.approx(0, abs=0.03)


def test_the_best_of_many_layers_of_noise_adds_nothing() -> None:
    values = []
    for seed in range(3):
        baseline, _, responses = mixture(60, (0.4, 0.1), seed, n_neuroids=20)
        comparison = against(responses, {"known": baseline}, n_repeats=1)
        comparison.rules, comparison.keep = Rules(n_draws=10), ()
        generator = np.random.default_rng([2, seed])
        layers = {f"l{number}": layer(generator.standard_normal((60, 30)), f"l{number}") for number in range(5)}
        summary = comparison.summarise(comparison.score_all(layers))
        assert (summary.layer_rule, summary.n_layers_searched) == ("nested by region", 5)
        values.append(summary.value)
    assert np.mean(values) <= 2 * np.std(values, ddof=1) / np.sqrt(len(values))


def test_several_baselines_have_shares_of_their_own() -> None:
    generator = np.random.default_rng(0)
    first, second, responses = mixture(120, (0.3, 0.3), n_neuroids=12)
    loud = 1000 * np.concatenate([second, 0.3 * generator.standard_normal((120, 300))], axis=1)
    model = generator.standard_normal((120, 6))
    both = against(responses, {"first": first, "loud": loud}, n_repeats=1).score(layer(model))
    assert both.attrs["baselines"] == "first, loud"
    joined = np.concatenate([first, loud], axis=1)
    one = against(responses, {"joined": joined}, n_repeats=1).score(layer(model))
    # side by side, the loud one drowns the other
    assert float(both["baseline_r2"].mean()) > float(one["baseline_r2"].mean()) + 0.15
    assert float(both["unique_r2"].mean()) == pytest.approx(0, abs=0.02)


def test_without_baselines_it_is_r2_against_the_training_mean() -> None:
    _, model, responses = mixture(80, (0.0, 0.5))
    comparison = against(responses)
    scores = comparison.score(layer(model))
    assert scores.attrs["baselines"] == "none: the training mean"
    assert not scores["baseline_r2"].values.any()
    np.testing.assert_array_equal(scores["unique_r2"], scores["joint_r2"])
    train, test = comparison.splits[0]
    scale = ((model[train] - model[train].mean(axis=0)) ** 2).sum() / (len(train) - 1)
    for neuroid in range(5):
        y = responses[:, neuroid]
        alpha = 10 ** float(scores["alpha"][0, neuroid]) * scale
        predicted = Ridge(alpha, solver="svd").fit(model[train], y[train]).predict(model[test])
        expected = 1 - ((y[test] - predicted) ** 2).sum() / ((y[test] - y[train].mean()) ** 2).sum()
        assert float(scores["unique_r2"][0, neuroid]) == pytest.approx(expected, abs=1e-9)


# --- the value, its interval, and what takes part in a choice ---------------------------------------------------------


def test_the_row_and_its_interval() -> None:
    baseline, model, responses = mixture(100, (0.3, 0.3), n_neuroids=8)
    people = {"subject": ["a"] * 5 + ["b"] * 3, "region": ["x", "y"] * 4}
    comparison = against(responses, {"known": baseline}, neuroid=people)
    comparison.rules = Rules(n_draws=400)
    scores = comparison.score(layer(model))
    summary = comparison.summarise(scores)
    per_neuroid = scores["unique_r2"].values.mean(axis=0)
    assert summary.value == pytest.approx(np.mean([np.median(per_neuroid[:5]), np.median(per_neuroid[5:])]))
    assert (summary.statistic, summary.resampled, summary.ceiling) == ("unique_r2", "stimuli × participants", None)
    assert summary.interval_low < summary.value < summary.interval_high
    assert {"joint_r2", "baseline_r2"} <= set(summary.also)
    region = comparison.summarise(scores.isel(neuroid=[0, 2, 4]))
    assert region.interval_low < region.value < region.interval_high


def test_draws_are_those_of_repeated_stimuli_and_both_fits_meet_the_same() -> None:
    baseline, model, responses = mixture(60, (0.3, 0.3), n_neuroids=3)
    comparison = against(responses, {"known": baseline}, n_repeats=1)
    scores = comparison.score(layer(model))
    train, test = comparison.splits[2]
    prediction, columns = scores["prediction"].values[2, : len(test)], np.arange(3)
    counts = np.random.default_rng(0).multinomial(60, np.full(60, 1 / 60), size=6).astype(float)[:, test]
    found = {
        name: comparison._split_draws(2, prediction, columns, counts, name)
        for name in ("unique_r2", "joint_r2", "baseline_r2")
    }
    for draw in range(6):
        rows = np.repeat(np.arange(len(test)), counts[draw].astype(int))
        y = responses[test][rows]
        total = ((y - responses[train].mean(axis=0)) ** 2).sum(axis=0)
        joint = 1 - ((y - prediction[rows]) ** 2).sum(axis=0) / total
        np.testing.assert_allclose(found["joint_r2"][draw], joint, atol=1e-10)
    np.testing.assert_allclose(found["unique_r2"], found["joint_r2"] - found["baseline_r2"], atol=1e-15)
    whole = comparison._split_draws(2, prediction, columns, np.ones((1, len(test))), "unique_r2")
    np.testing.assert_allclose(whole[0], scores["unique_r2"].values[2], atol=1e-12)


def test_intervals_of_noise_cover_zero() -> None:
    covered = []
    for seed in range(8):
        baseline, _, responses = mixture(80, (0.3, 0.0), [3, seed], n_neuroids=4)
        noise = np.random.default_rng([4, seed]).standard_normal((80, 10))
        comparison = against(responses, {"known": baseline}, n_repeats=1)
        comparison.rules = Rules(n_draws=200)
        scores = comparison.score(layer(noise))
        for neuroid in range(4):
            summary = comparison.summarise(scores.isel(neuroid=[neuroid]))
            covered.append(summary.interval_low <= 0 <= summary.interval_high)
    assert np.mean(covered) >= 0.85


def test_test_responses_take_no_part_in_any_choice() -> None:
    baseline, model, responses = mixture(60, (0.3, 0.3), n_neuroids=5)
    comparison = against(responses, {"known": baseline}, n_repeats=1)
    before = comparison.score(layer(model)).isel(split=0)
    test = comparison.splits[0].test
    other = responses.copy()
    other[test] = np.random.default_rng(0).standard_normal((len(test), 5))
    after = against(other, {"known": baseline}, n_repeats=1).score(layer(model)).isel(split=0)
    for name in ("model_share", "alpha", "selection", "training_r2", "prediction"):
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    assert not np.allclose(after["unique_r2"], before["unique_r2"])


def test_repetitions_give_the_share_of_the_explainable_variance() -> None:
    baseline, model, signal = mixture(200, (0.5, 0.5), n_neuroids=30, n_dims=3)
    noisy = signal + 2 * np.random.default_rng(0).standard_normal((4, 200, 30))  # reliability of the mean: 1/2
    comparison = against(noisy, {"known": baseline}, n_repeats=1)
    scores = comparison.score(layer(model))
    summary = comparison.summarise(scores)
    assert summary.value == pytest.approx(0.25, abs=0.03)
    assert summary.also["unique_r2_corrected"] == pytest.approx(0.5, abs=0.05)
    comparison.rules = Rules(measure="joint_r2", n_draws=50)
    joint = comparison.summarise(scores)
    assert joint.value == pytest.approx(0.5, abs=0.04)
    assert joint.ceiling == pytest.approx(0.5, abs=0.03)
    assert joint.interval_low < joint.value < joint.interval_high


def test_rows_of_model_and_baselines_may_come_in_any_order() -> None:
    baseline, model, responses = mixture(60, (0.3, 0.3), n_neuroids=4)
    expected = against(responses, {"known": baseline}).score(layer(model))
    order = np.random.default_rng(0).permutation(60)
    shuffled = [names(60)[place] for place in order]
    comparison = against(responses)
    comparison.baselines = {"known": Activations("known", shuffled, [baseline[order]])}
    found = comparison.score(Activations("layer", shuffled, [model[order]]))
    np.testing.assert_array_equal(found["unique_r2"], expected["unique_r2"])


def test_torch_gives_what_numpy_gives() -> None:
    pytest.importorskip("torch")
    baseline, model, responses = mixture(60, (0.3, 0.3), n_neuroids=4)
    found, expected = (
        against(responses, {"known": baseline}, n_repeats=1, device=device).score(layer(model))
        for device in ("torch", "cpu")
    )
    for name in ("unique_r2", "joint_r2", "selection", "model_share", "alpha", "training_r2", "prediction"):
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-9, err_msg=name)


# --- what cannot be scored --------------------------------------------------------------------------------------------


def test_flat_features_and_flat_neuroids() -> None:
    baseline, model, responses = mixture(60, (0.3, 0.3), n_neuroids=4)
    responses[:, 2] = 0.7
    scores = against(responses, {"known": baseline}).score(layer(model))
    assert scores["null"].values[:, 2].all()
    assert not scores["unique_r2"].values[:, 2].any()
    assert not scores["null"].values[:, [0, 1, 3]].any()
    flat = np.full((60, 3), 0.1)
    adds_nothing = against(responses, {"known": baseline}).score(layer(flat))
    np.testing.assert_array_equal(adds_nothing["unique_r2"], 0.0)
    assert float(adds_nothing["joint_r2"].mean()) > 0.1
    of_nothing = against(responses, {"flat": flat}).score(layer(model))
    np.testing.assert_array_equal(of_nothing["unique_r2"], against(responses).score(layer(model))["unique_r2"])
    comparison = against(responses, {"flat": flat})
    assert comparison.summarise(comparison.score(layer(flat))).n_null == 40


def test_what_does_not_fit_is_refused() -> None:
    baseline, model, responses = mixture(40, (0.3, 0.3), n_neuroids=4)
    few = against(responses, {"known": baseline[:-1]})
    with pytest.raises(AlignmentError, match="'known' lack 1 of 40 stimuli: s039"):
        few.score(layer(model))
    broken = baseline.copy()
    broken[4, 1] = np.inf
    with pytest.raises(DataError, match=r"'known' are not finite.*s004"):
        against(responses, {"known": broken}).score(layer(model))
    with pytest.raises(DataError, match=r"at most 4 baselines.*found 5: b0"):
        against(responses, {f"b{number}": baseline for number in range(5)}).score(layer(model))
    for shares in ((0.5, 1.0), (0.0,), (0.0, 1.5), (0.0, -0.5)):
        with pytest.raises(SettingsError, match="must hold 0 and others"):
            against(responses, model_shares=shares)
    with pytest.raises(DataError, match="at least 15 stimuli"):
        against(responses[:14])


def test_scores_against_other_baselines_are_not_summarised_as_if_they_were_these() -> None:
    baseline, model, responses = mixture(40, (0.3, 0.3), n_neuroids=4)
    comparison = against(responses, {"known": baseline})
    scores = comparison.score(layer(model))
    value = comparison.summarise(scores).interval_low
    comparison.baselines = {}
    with pytest.raises(DataError, match="made against the baselines 'known', but the comparison has none now"):
        comparison.summarise(scores)
    comparison.baselines = {"known": layer(baseline, "known")}
    assert comparison.summarise(scores).interval_low == value


def test_the_grid_of_shares_spans_four_decades() -> None:
    assert MODEL_SHARES[0] == 0
    assert MODEL_SHARES[-1] == 1
    odds = [share / (1 - share) for share in MODEL_SHARES[1:-1]]
    assert max(odds) / min(odds) == pytest.approx(99**2)
