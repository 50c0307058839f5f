"""How brains of a known model are made, and how answers are counted: on arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from isocortex.data import Dataset, Stimulus, StimulusSet, make_responses
from isocortex.errors import DataError
from isocortex_simulated.cortex import standardised_gram
from isocortex_simulated.draws import Stream
from isocortex_simulated.identification import tables
from isocortex_simulated.identification.answers import Answered, References, Share
from isocortex_simulated.identification.brains import Template, as_dataset, brain_of
from isocortex_simulated.identification.comparing import largest_p
from isocortex_simulated.identification.contenders import seeds_of
from isocortex_simulated.identification.spectrum import exponent_of, left_vectors, power_law, split_half_spectrum
from isocortex_simulated.identification.typical import Typical

N = 60
STIMULI = StimulusSet(
    "sounds", "audio", {f"s{k}": Stimulus(f"s{k}", "audio", np.full(8, k / N, np.float32), 8000.0) for k in range(N)}
)


def template(n_neuroids: int = 6, n_repetitions: int = 1, subjects: int = 2) -> Template:
    values = Stream(0, "recorded").normal(n_repetitions, N, n_neuroids)
    names = {"subject": [f"S{k % subjects}" for k in range(n_neuroids)], "region": ["a"] * n_neuroids}
    return Template.of(Dataset("own", STIMULI, responses=make_responses(values, STIMULI.ids, neuroid=names)))


def layer(n_units: int = 40, seed: int = 0) -> np.ndarray:
    spread = np.arange(1.0, n_units + 1) ** -0.5
    return Stream(seed, "layer").normal(N, n_units) * spread


# --- components and their weights -------------------------------------------------------------------------------------


def test_components_are_the_left_singular_vectors_of_standardised_units_but_for_the_last() -> None:
    features = layer(12)
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    expected = np.linalg.svd(standard, full_matrices=False)[0]
    found = left_vectors(standardised_gram([np.c_[features, np.full(N, 7.0)]], N))
    assert found.shape == (N, 11), "rank 12, less one; the constant unit is none"
    np.testing.assert_allclose(np.abs((found * expected[:, :11]).sum(axis=0)), 1, atol=1e-9)


def test_a_layer_that_does_not_vary_is_refused() -> None:
    with pytest.raises(DataError, match="no unit of the layer varies"):
        left_vectors(standardised_gram([np.ones((N, 3))], N))


@pytest.mark.parametrize("exponent", [0.5, 1.5])
def test_the_exponent_of_recorded_responses_is_found_through_noise_as_strong_as_the_signal(exponent: float) -> None:
    """In-sample weights would give an exponent that noise flattens; halves of the repetitions do not."""
    u = left_vectors(standardised_gram([layer(50)], N))
    stream = Stream(1, "brain")
    signal = u @ (np.sqrt(np.arange(1.0, u.shape[1] + 1) ** -exponent)[:, None] * stream.normal(u.shape[1], 400))
    signal /= signal.std(axis=0)
    trials = signal + stream.normal(6, N, 400)
    found = exponent_of(split_half_spectrum(u, trials, Stream(1, "halves")))
    flattened = exponent_of(np.square(u.T @ trials.mean(axis=0)).mean(axis=1))
    assert abs(found - exponent) < 0.25
    assert flattened < found


def test_the_spectrum_is_the_mean_product_of_halves_by_brute_force() -> None:
    u = left_vectors(standardised_gram([layer(9)], N))
    trials = Stream(2, "trials").normal(4, N, 3) + layer(3, 5)
    scaled = trials / trials.mean(axis=0).std(axis=0)
    order, total, stream = [], np.zeros(u.shape[1]), Stream(0, "halves")
    for _ in range(2):
        order = np.argsort(stream.uniform(4))
        first, second = scaled[order[:2]].mean(axis=0), scaled[order[2:]].mean(axis=0)
        for k in range(u.shape[1]):
            total[k] += np.mean([(u[:, k] @ first[:, j]) * (u[:, k] @ second[:, j]) for j in range(3)])
    np.testing.assert_allclose(
        split_half_spectrum(u, trials, Stream(0, "halves"), n_halvings=2), np.maximum(total / 2, 0), atol=1e-9
    )


def test_a_power_law_is_cut_where_99_percent_are_reached() -> None:
    law = power_law(2.0, 100)
    whole = np.arange(1.0, 101) ** -2
    assert law.sum() / whole.sum() >= 0.99 > law[:-1].sum() / whole.sum()


# --- brains -----------------------------------------------------------------------------------------------------------


def test_the_reliability_of_a_brain_is_what_was_asked_for() -> None:
    own = template(n_neuroids=400)
    u = left_vectors(standardised_gram([layer()], N))
    brain = brain_of(u, power_law(1.0, u.shape[1]), own, 0, "draw")
    np.testing.assert_allclose(brain.signal.std(axis=0), 1)
    for c in (0.2, 0.75):
        values = brain.at(own.levels(c))
        r = [np.corrcoef(values[:, j], brain.signal[:, j])[0, 1] for j in range(400)]
        assert abs(np.mean(r) - np.sqrt(c)) < 0.01


def test_participants_have_weights_of_their_own_and_the_seed_repeats_them() -> None:
    own, u = template(), left_vectors(standardised_gram([layer()], N))
    draws = [brain_of(u, power_law(1.0, u.shape[1]), own, seed, "draw").signal for seed in (0, 0, 1)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert np.abs(draws[0] - draws[2]).max() > 0.1
    assert abs(np.corrcoef(draws[0][:, 0], draws[0][:, 1])[0, 1]) < 0.99, "neuroids of two participants"


def test_a_simulated_data_set_has_the_neuroids_of_the_recorded_one_and_one_presentation() -> None:
    own = template(n_repetitions=3)
    made = as_dataset(own, np.zeros((N, 6)))
    assert made.responses is not None
    assert made.responses.sizes == {"presentation": N, "neuroid": 6}
    assert made.responses["subject"].values.tolist() == ["S0", "S1"] * 3


def test_recorded_reliability_is_unbiased_and_within_0_and_1() -> None:
    assert template().reliability is None
    known = template(n_neuroids=300, n_repetitions=4).reliability
    assert known is not None
    assert known.min() == 0, "noise alone"
    assert known.max() < 0.7


# --- answers ----------------------------------------------------------------------------------------------------------


def test_intervals_of_shares_are_those_of_scipy() -> None:
    for n_right, n in ((0, 20), (13, 21), (200, 200)):
        expected = binomtest(n_right, n).proportion_ci(method="wilson")
        np.testing.assert_allclose(Share.of(n_right, n)[2:], (expected.low, expected.high), atol=1e-12)


def answered(values: np.ndarray, truth: list[int], p: float = 0.01) -> Answered:
    surely = np.full(len(truth), p)
    return Answered(["a", "a'", "b"], ["A", "A", "B"], np.array(truth), values, surely, surely)


def test_the_largest_value_is_the_closed_answer_and_seeds_are_one_family() -> None:
    values = np.array([[0.3, 0.2, 0.1], [0.3, 0.2, 0.1], [0.1, np.nan, 0.2]])
    found = answered(values, [0, 1, 2])
    assert (found.right.n_right, found.right_family.n_right) == (2, 3)
    assert found.confusion.tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 1]]
    assert found.told_apart == ["a", "b"]
    assert found.families_told_apart == ["A", "B"]


def test_a_brain_on_which_no_candidate_has_a_value_is_taken_for_none() -> None:
    found = answered(np.array([[np.nan] * 3, [0.3, 0.2, 0.1], [np.nan] * 3]), [0, 0, 2])
    assert found.closed.tolist() == [-1, 0, -1]
    assert (found.right.n_right, found.right_family.n_right, found.right.n) == (1, 1, 3)
    assert found.confusion.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert found.told_apart == [], "one of two brains of a, and none of b"
    assert found.families_told_apart == []


def test_families_that_the_confusion_has_no_room_for_are_counted() -> None:
    names = [f"m{k:02}" for k in range(15)]
    found = Answered(names, names, np.arange(15), np.eye(15), np.full(15, np.nan), np.full(15, np.nan))
    shown = tables.confusion_text("ridge", 0.75, found)
    assert "3 further families are not shown" in shown
    assert "m11" in shown
    assert "m12" not in shown


def made_of(truth: np.ndarray, name: str) -> np.ndarray:
    """Values of brains: truths reach .50 to .55, neighbours a tenth less."""
    reached = Stream(0, name).uniform(len(truth), 0.5, 0.55)[:, None]
    noise = 0.005 * Stream(0, f"{name}/noise").normal(len(truth), 3)
    return reached - 0.1 * (np.arange(3) != truth[:, None]) + noise


def many(p: float = 0.01) -> Answered:
    """25 brains of each, and 60 references."""
    truth, known = np.repeat(np.arange(3), 25), np.repeat(np.arange(3), 60)
    references = References(known, np.zeros(180), made_of(known, "references"))
    surely = np.full(75, p)
    return Answered(["a", "a'", "b"], ["A", "A", "B"], truth, made_of(truth, "brains"), surely, surely, references)


def test_a_model_is_named_where_all_values_are_as_where_it_is_the_truth() -> None:
    named = many().named()
    assert named is not None
    assert (named == many().truth).sum() >= 0.8 * 75, "but for the tails"
    left_out = many().named_left_out()
    assert left_out is not None
    assert left_out.n_right == 0, "no neighbour reaches what it would reach as the truth"
    typical = many().typical_of_truth()
    assert typical is not None
    assert typical.value >= 0.85


def test_a_model_whose_own_value_is_usual_is_not_named_where_those_of_others_are_not() -> None:
    usual = many()
    values = usual.values.copy()
    values[0] = [0.52, 0.50, 0.30]  # its sister is a tenth behind in every brain that is made of it
    unusual = replace(usual, values=values)
    named, expected = unusual.named(), usual.named()
    assert named is not None
    assert expected is not None
    assert named[0] == -1
    np.testing.assert_array_equal(named[1:], expected[1:])


def by_hand(values: np.ndarray, layers: np.ndarray, brain: np.ndarray) -> float:
    """D² of a brain to references, layer by layer."""
    kept = [values[layers == layer] for layer in np.unique(layers) if (layers == layer).sum() >= 3]
    within = np.concatenate([part - part.mean(axis=0) for part in kept])
    covariance = within.T @ within / (len(within) - len(kept))
    covariance = 0.9 * covariance + 0.1 * np.diag(np.diag(covariance))
    return min((brain - part.mean(axis=0)) @ np.linalg.solve(covariance, brain - part.mean(axis=0)) for part in kept)


def test_the_distance_and_its_limit_are_those_of_numpy_with_each_reference_left_out() -> None:
    layers = np.array(["a"] * 30 + ["b"] * 29 + ["c"] * 2)
    values = Stream(0, "values").normal(61, 4) @ Stream(0, "mixing").normal(4, 4) + (layers == "b")[:, None] * 3.0
    own = [
        by_hand(np.delete(values, k, axis=0)[:58], np.delete(layers, k)[:58], values[k]) for k in range(59)
    ]  # c has too few to have a mean
    expected = np.sort(own)[57 - 1]
    typical = Typical(values, layers)
    assert typical.limit == pytest.approx(expected)
    brains = 3 * Stream(0, "brains").normal(200, 4)
    near = np.array([by_hand(values, layers, brain) for brain in brains])
    np.testing.assert_array_equal(typical(brains), near <= expected)
    assert 20 < typical(brains).sum() < 180


def test_brains_of_the_candidate_itself_are_typical_in_95_percent() -> None:
    hits = []
    for number in range(60):
        drawn = Stream(number, "drawn").normal(60 + 40, 6) @ Stream(number, "mixing").normal(6, 6)
        layers = np.arange(100) % 3
        drawn += 5.0 * Stream(number, "means").normal(3, 6)[layers]
        hits.append(Typical(drawn[:60], layers[:60])(drawn[60:]).mean())
    assert abs(np.mean(hits) - 0.95) < 0.02


def test_values_that_never_vary_say_nothing_and_those_that_are_not_there_are_not_typical() -> None:
    values = np.c_[Stream(0, "values").normal(30, 2), np.zeros(30)]
    typical = Typical(values, np.zeros(30))
    assert typical(np.array([[0.0, 0.0, 9.0], [0.0, np.nan, 0.0]])).tolist() == [True, False]


def test_nothing_is_named_where_it_does_not_surely_beat_other_families() -> None:
    unsure = many(p=0.2)
    right, wrong = unsure.named_right(), unsure.named_wrong()
    assert right is not None
    assert wrong is not None
    assert right.n_right == wrong.n_right == 0


def test_the_open_set_has_no_answer_without_comparisons_or_with_few_brains() -> None:
    assert many(p=np.nan).named() is None
    assert answered(np.array([[0.3, 0.2, 0.1]] * 3), [0, 1, 2]).named() is None


def test_the_family_of_the_truth_and_those_of_the_best_are_no_rivals() -> None:
    drawn = np.random.default_rng(0).normal(size=(3, 199)) * 0.01
    values = np.array([0.50, 0.51, 0.30])

    def samples(k: int) -> np.ndarray:
        return values[k] + drawn[k]

    assert largest_p(values, samples, ["A", "A", "B"]) == pytest.approx(0.01)
    assert largest_p(values, samples, ["A", "C", "B"]) > 0.05
    assert np.isnan(largest_p(values, samples, ["A", "A", "B"], without="A")), "nobody is left to beat"
    assert np.isnan(largest_p(values, lambda _: None, ["A", "C", "B"]))


def test_seeds_are_spelled_out_and_globs_refused() -> None:
    from isocortex.errors import UsageError

    assert seeds_of("net@random:3..4") == ["net@random:3", "net@random:4"]
    with pytest.raises(UsageError, match="names no seed"):
        seeds_of("net@random:4..3")
    with pytest.raises(UsageError, match="glob"):
        seeds_of("noise*")
