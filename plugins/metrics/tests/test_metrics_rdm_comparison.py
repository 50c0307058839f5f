"""Ranks, ties and bootstrap samples of dissimilarity matrices against scipy and explicit samples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.stats import kendalltau, rankdata, spearmanr

from isocortex_metrics.geometry import pair_statistics as rdm_comparison
from isocortex_metrics.geometry.dissimilarity import (
    FlatPatternError,
    correlation_distance,
    cosine_distance,
    euclidean_distance,
    upper_triangle,
)
from isocortex_metrics.geometry.pair_statistics import (
    COMPARISONS,
    pair_sums,
    scaled_ranks,
    unit_ranks,
    unit_values,
    varies,
    weighted_rho,
)
from isocortex_metrics.geometry.rdm_ceilings import brainscore_upper_bound, leave_one_out, pairwise_agreement
from isocortex_metrics.numerics.draws import crossed_draws
from isocortex_metrics.numerics.ranks import (
    average_ranks,
    broken_ranks,
    concordance,
    stable_order,
    tau_a,
)


def one(patterns: np.ndarray, width: int | None = None):
    """The patterns as column blocks."""
    step = width or patterns.shape[1]
    return lambda: (patterns[:, start : start + step] for start in range(0, patterns.shape[1], step))


@pytest.mark.parametrize(
    ("distance", "name"),
    [(correlation_distance, "correlation"), (cosine_distance, "cosine"), (euclidean_distance, "euclidean")],
)
@pytest.mark.parametrize("width", [None, 7])
def test_distances_equal_scipy_however_the_units_are_cut(distance, name, width) -> None:
    generator = np.random.default_rng(0)
    patterns = generator.standard_normal((15, 60)) * 10.0 ** generator.integers(-3, 3, 60)
    patterns[:, :7] += 50
    np.testing.assert_allclose(distance(one(patterns, width), 15), pdist(patterns, name), rtol=1e-12, atol=1e-13)


def test_units_far_from_zero_keep_their_digits() -> None:
    patterns = np.random.default_rng(0).standard_normal((12, 40))
    far = patterns + 1e6 * np.arange(1, 13)[:, None]
    np.testing.assert_allclose(correlation_distance(one(far, 9), 12), pdist(patterns, "correlation"), atol=1e-8)


@pytest.mark.parametrize(
    ("distance", "value"), [(correlation_distance, 0.1), (correlation_distance, 0.0), (cosine_distance, 0.0)]
)
def test_flat_patterns_are_named(distance, value) -> None:
    patterns = np.random.default_rng(0).standard_normal((9, 30)).astype(np.float32)
    patterns[[2, 7]] = value
    with pytest.raises(FlatPatternError, match=r"2 of 9 stimuli.*first: number 2") as caught:
        distance(one(patterns, 8), 9)
    assert caught.value.stimuli == (2, 7)


def test_equal_patterns_have_no_distance() -> None:
    patterns = np.random.default_rng(0).standard_normal((5, 400)) * 1e3
    patterns[3] = patterns[1]
    assert squareform(euclidean_distance(one(patterns), 5))[1, 3] == 0.0


def test_upper_triangle_goes_row_by_row() -> None:
    matrix = np.random.default_rng(0).random((8, 8))
    np.testing.assert_array_equal(upper_triangle(matrix), matrix[np.triu_indices(8, 1)])


def test_ranks_equal_scipy_with_and_without_ties() -> None:
    generator = np.random.default_rng(0)
    for values in (generator.random(500), generator.integers(0, 20, 500).astype(float), np.zeros(4), np.ones(1)):
        np.testing.assert_array_equal(average_ranks(values), rankdata(values))


def test_what_differs_by_rounding_ties() -> None:
    generator = np.random.default_rng(0)
    exact = generator.integers(0, 5, 300) / 7
    blurred = exact + generator.uniform(-1e-14, 1e-14, 300)
    brain = generator.random(300) + exact
    assert unit_ranks(blurred) @ unit_ranks(brain) == pytest.approx(spearmanr(exact, brain).statistic, abs=1e-12)
    assert unit_ranks(blurred, 0.0) @ unit_ranks(brain) != pytest.approx(spearmanr(exact, brain).statistic, abs=1e-6)


def test_labels_tie_within_and_between_categories() -> None:
    generator = np.random.default_rng(3)
    labels = generator.integers(0, 11, 120)
    patterns = np.eye(11, dtype=np.float32)[labels]
    differ = (labels[:, None] != labels).astype(float)[np.triu_indices(120, 1)]
    brain = generator.random(len(differ)) + 0.3 * differ
    found = unit_ranks(correlation_distance(one(patterns, 3), 120)) @ unit_ranks(brain)
    assert found == pytest.approx(spearmanr(differ, brain).statistic, abs=1e-12)


def test_product_of_unit_values_is_pearson() -> None:
    a, b = np.random.default_rng(0).random((2, 80))
    assert unit_values(a) @ unit_values(b) == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-13)


@pytest.mark.parametrize(("rdm", "expected"), [([0.1, 0.1, 0.1 + 1e-13], False), ([0, 0, 0], False), ([0, 0, 1], True)])
def test_what_varies(rdm, expected) -> None:
    assert varies(np.array(rdm, dtype=float)) is expected


def test_pearson_noise_ceiling_equals_a_loop() -> None:
    rdms = np.random.default_rng(0).random((5, 66)) + np.linspace(0, 1, 66)
    scored = (rdms - rdms.mean(axis=1, keepdims=True)) / rdms.std(axis=1, keepdims=True)
    lower = [np.corrcoef(rdms[i], np.delete(scored, i, axis=0).mean(axis=0))[0, 1] for i in range(5)]
    upper = [np.corrcoef(row, scored.mean(axis=0))[0, 1] for row in rdms]
    assert leave_one_out(rdms, COMPARISONS["pearson"]) == pytest.approx((np.mean(lower), np.mean(upper)), abs=1e-12)


@pytest.mark.parametrize("n_stimuli", [3, 17])
def test_sums_over_pairs_equal_explicit_weights(n_stimuli, monkeypatch) -> None:
    monkeypatch.setattr(rdm_comparison, "_BLOCK_VALUES", 4 * 20)  # several blocks of rows
    generator = np.random.default_rng(0)
    first, second = np.triu_indices(n_stimuli, 1)
    vector, counts = generator.random(len(first)), generator.integers(0, 4, (20, n_stimuli)).astype(float)
    np.testing.assert_allclose(pair_sums(vector, counts), (counts[:, first] * counts[:, second]) @ vector, rtol=1e-12)


def test_bootstrap_equals_correlation_over_weighted_pairs() -> None:
    generator = np.random.default_rng(0)
    first, second = np.triu_indices(14, 1)
    model = unit_ranks(generator.random(len(first)))
    brains = unit_ranks(generator.random((3, len(first))) + model)
    counts = generator.multinomial(14, np.full(14, 1 / 14), size=30).astype(float)
    found = weighted_rho(model, brains, counts)
    for draw, row in zip(counts, found, strict=True):
        pairs = np.repeat(np.arange(len(first)), (draw[first] * draw[second]).astype(int))
        expected = [np.corrcoef(model[pairs], brain[pairs])[0, 1] for brain in brains]
        np.testing.assert_allclose(row, expected, atol=1e-12)


def test_sample_of_one_or_two_stimuli_is_not_a_number() -> None:
    rdm = unit_ranks(np.random.default_rng(0).random(10))
    counts = np.array([[5.0, 0, 0, 0, 0], [3.0, 2, 0, 0, 0]])
    assert np.isnan(weighted_rho(rdm, rdm[None], counts)).all()


# --- rank correlations ------------------------------------------------------------------------------------------------


def tied(generator: np.random.Generator, n: int, n_values: int) -> np.ndarray:
    """Integers with ties."""
    return generator.integers(0, n_values, n).astype(float)


@pytest.mark.parametrize("n", [2, 3, 5, 16, 17, 200])
@pytest.mark.parametrize("n_values", [1, 2, 7, 10_000])
def test_concordance_and_tau_equal_brute_force(n, n_values) -> None:
    generator = np.random.default_rng(n)
    for other in (2, 5, 10_000):
        x, y = tied(generator, n, n_values), tied(generator, n, other)
        signs = np.sign(x[:, None] - x) * np.sign(y[:, None] - y)
        np.testing.assert_array_equal(concordance(x, y), signs.sum(axis=1))
        assert tau_a(x, y) == pytest.approx(signs.sum() / (n * (n - 1)), abs=1e-15)
        if n > 2:  # the count of the bootstrap and that of the value are different algorithms
            assert tau_a(x, y) == pytest.approx(concordance(x, y).sum() / (n * (n - 1)), abs=1e-15)


def test_tau_without_ties_equals_scipy() -> None:
    x = np.random.default_rng(0).random(3000)
    y = x + np.random.default_rng(1).random(3000)
    assert tau_a(x, y) == pytest.approx(kendalltau(x, y).statistic, abs=1e-14)
    assert concordance(x, y).sum() / (3000 * 2999) == pytest.approx(kendalltau(x, y).statistic, abs=1e-14)


def rho_a(x: np.ndarray, y: np.ndarray) -> float:
    """As the metric compares."""
    return float(scaled_ranks(x) @ scaled_ranks(y))


def test_rho_a_is_the_mean_over_random_orders_of_ties() -> None:
    generator = np.random.default_rng(0)
    x, y = tied(generator, 30, 4), tied(generator, 30, 9) + 2 * tied(generator, 30, 2)
    y += 3 * x

    def taken_apart(values: np.ndarray) -> np.ndarray:
        order, ranks = generator.permutation(30), np.empty(30)
        ranks[order[np.argsort(values[order], kind="stable")]] = np.arange(30)
        return ranks

    drawn = [np.corrcoef(taken_apart(x), taken_apart(y))[0, 1] for _ in range(2500)]
    error = np.std(drawn) / np.sqrt(len(drawn))
    assert rho_a(x, y) == pytest.approx(np.mean(drawn), abs=4 * error)
    assert rho_a(x, y) == pytest.approx(12 / (30**3 - 30) * (rankdata(x) - 15.5) @ (rankdata(y) - 15.5), abs=1e-13)
    assert abs(spearmanr(x, y).statistic - np.mean(drawn)) > 8 * error, "rho itself is something else"
    a, b = generator.random((2, 40))
    assert rho_a(a, b) == pytest.approx(spearmanr(a, b).statistic, abs=1e-13)


def test_long_and_awkward_vectors_are_ranked_as_scipy_ranks() -> None:
    generator = np.random.default_rng(0)
    n = 210_000  # sorted bucket by bucket
    for values in (
        generator.random(n),
        generator.standard_cauchy(n),
        generator.integers(0, 12, n) / 7,
        np.concatenate([[1e308, -1e308], generator.random(20)]),  # its span overflows
        np.concatenate([[1e200], generator.random(500)]),  # all others share one key
        np.array([0.0, 5e-324, 0.0]),
    ):
        np.testing.assert_array_equal(average_ranks(values), rankdata(values))
        np.testing.assert_array_equal(stable_order(values), np.argsort(values, kind="stable"))


def test_broken_ranks_order_what_differs() -> None:
    ranks = rankdata(tied(np.random.default_rng(0), 50, 6))
    broken = broken_ranks(ranks)
    assert sorted(broken.tolist()) == list(range(1, 51))
    assert (np.diff(ranks[np.argsort(broken)]) >= 0).all()


# --- bootstrap of the other statistics --------------------------------------------------------------------------------


def brute_draws(kind, model, brain, counts) -> np.ndarray:
    """The statistic over explicit samples of pairs, ranked anew."""
    first, second = np.triu_indices(counts.shape[1], 1)
    found = []
    for draw in counts:
        pairs = np.repeat(np.arange(len(first)), (draw[first] * draw[second]).astype(int))
        found.append(kind(model[pairs], brain[pairs]))
    return np.array(found)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of two vectors."""
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize(("name", "function"), [("kendall", tau_a), ("rho-a", rho_a), ("cosine", cosine)])
@pytest.mark.parametrize("n_values", [4, 100_000])
def test_bootstrap_is_close_to_samples_that_are_ranked_anew(name, function, n_values) -> None:
    generator = np.random.default_rng(0)
    n_stimuli = 24
    patterns = generator.standard_normal((n_stimuli, 6))
    model = np.floor(n_values * pdist(patterns, "correlation")) / n_values
    brain = pdist(patterns + 0.7 * generator.standard_normal((n_stimuli, 6)), "correlation")
    counts = generator.multinomial(n_stimuli, np.full(n_stimuli, 1 / n_stimuli), size=300).astype(float)
    kind = COMPARISONS[name]
    found = kind.draws(kind.transform(model), kind.transform(brain[None]), counts)[:, 0]
    expected = brute_draws(function, model, brain, counts)
    if name == "cosine":
        np.testing.assert_allclose(found, expected, atol=1e-12)
        return
    assert np.corrcoef(found, expected)[0, 1] > 0.9
    assert found.std() == pytest.approx(expected.std(), rel=0.12)
    assert found.mean() == pytest.approx(expected.mean(), abs=0.25 * expected.std())


def test_a_draw_of_one_stimulus_is_not_a_number_for_any_statistic() -> None:
    rdms = np.random.default_rng(0).random((3, 10))
    counts = np.array([[5.0, 0, 0, 0, 0]])
    for kind in COMPARISONS.values():
        assert np.isnan(kind.draws(kind.transform(rdms[0]), kind.transform(rdms[1:]), counts)).all()


def test_crossed_draws_have_the_variance_that_was_put_in() -> None:
    """Additive effects of stimuli and participants, and their interaction, as in Schütt et al. 2023."""
    generator = np.random.default_rng(0)
    n_stimuli, n_participants, truth, estimates = 40, 20, [], []
    for _ in range(60):
        effects = 0.3 * generator.standard_normal(n_stimuli)[:, None] + 0.2 * generator.standard_normal(n_participants)
        table = effects + 1.5 * generator.standard_normal((n_stimuli, n_participants))
        counts = generator.multinomial(n_stimuli, np.full(n_stimuli, 1 / n_stimuli), size=300)
        weights = generator.multinomial(n_participants, np.full(n_participants, 1 / n_participants), size=300)
        # small, so that Fisher's z is straight
        drawn, value = 1e-3 * counts @ table / n_stimuli, 1e-3 * table.mean(axis=0)
        truth.append(value.mean())
        estimates.append(crossed_draws(drawn, value, weights.astype(float), n_stimuli).draws.var())
    assert np.mean(estimates) == pytest.approx(np.var(truth), rel=0.35)
    plain = 0.3**2 / n_stimuli + 0.2**2 / n_participants + 3 * 1.5**2 / (n_stimuli * n_participants)
    assert np.mean(estimates) < 0.75e-6 * plain, "draws as they are would be too wide"


# --- ceilings ---------------------------------------------------------------------------------------------------------


def tau_by_signs(a: np.ndarray, b: np.ndarray) -> float:
    """Tau-a as a sum over pairs of pairs."""
    return float((np.sign(a[:, None] - a) * np.sign(b[:, None] - b)).sum()) / (len(a) * (len(a) - 1))


def rho_by_ranks(a: np.ndarray, b: np.ndarray) -> float:
    """Rho-a from scipy's ranks."""
    n = len(a)
    return float((rankdata(a) - (n + 1) / 2) @ (rankdata(b) - (n + 1) / 2)) * 12 / (n**3 - n)


FUNCTIONS = {
    "spearman": lambda a, b: spearmanr(a, b).statistic,
    "pearson": lambda a, b: np.corrcoef(a, b)[0, 1],
    "kendall": tau_by_signs,
    "rho-a": rho_by_ranks,
    "cosine": cosine,
}
AVERAGED = {
    "pearson": lambda rdms: (rdms - rdms.mean(axis=1, keepdims=True)) / rdms.std(axis=1, keepdims=True),
    "cosine": lambda rdms: rdms / np.linalg.norm(rdms, axis=1, keepdims=True),
}


@pytest.mark.parametrize("name", list(FUNCTIONS))
@pytest.mark.parametrize("average", ["rank", "raw"])
def test_ceilings_equal_a_loop(name, average) -> None:
    scales = np.array([[1.0], [3.0], [0.2], [1.0]])
    rdms = scales * (np.random.default_rng(0).random((4, 66)) + np.linspace(0, 1, 66))
    function = FUNCTIONS[name]
    made = rdms if average == "raw" else AVERAGED.get(name, lambda rows: rankdata(rows, axis=1))(rdms)
    # means of ranks that are equal but for rounding are ties
    others = [np.delete(made, place, axis=0).mean(axis=0).round(9 if made.max() > 9 else 15) for place in range(4)]
    lower = np.mean([function(own, other) for own, other in zip(rdms, others, strict=True)])
    upper = np.mean([function(own, made.mean(axis=0).round(9 if made.max() > 9 else 15)) for own in rdms])
    assert leave_one_out(rdms, COMPARISONS[name], average) == pytest.approx((lower, upper), abs=1e-12)
    if average == "raw":
        assert brainscore_upper_bound(rdms, COMPARISONS[name]) == pytest.approx(upper, abs=1e-12)
    pairs = [function(rdms[one], rdms[other]) for one in range(4) for other in range(one)]
    assert pairwise_agreement(rdms, COMPARISONS[name]) == pytest.approx(np.mean(pairs), abs=1e-12)


def test_no_model_exceeds_the_rank_averaged_bound() -> None:
    rdms = np.random.default_rng(0).random((4, 45)) + np.linspace(0, 1, 45)
    for name in ("spearman", "pearson", "rho-a", "cosine"):
        kind = COMPARISONS[name]
        upper = leave_one_out(rdms, kind)[1]
        own, generator = kind.transform(rdms), np.random.default_rng(1)
        for scale in (0.01, 0.1, 0.5):
            models = rdms.mean(axis=0) + scale * generator.standard_normal((200, 45))
            assert max(kind.compare(own, kind.transform(model)).mean() for model in models) <= upper + 1e-12
