"""CKA: kernels against brute force and published scores, the metric against its definition."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import isocortex
from isocortex.activations.layer import Activations
from isocortex.catalogue.cards import LayerRule
from isocortex.data.dataset import make_responses
from isocortex.errors import AlignmentError, DataError, SettingsError
from isocortex.scoring.contract import Rules
from isocortex.scoring.stats import draw_counts
from isocortex.scoring.summary import by_region
from isocortex_metrics.geometry.kernels import (
    alignment,
    biased_cka,
    centre,
    linear_kernel,
    participant_band,
    unbiased_cka,
    unbiased_hsic,
)
from isocortex_metrics.geometry.layer_halves import halves
from isocortex_metrics.numerics.arrays import on_device, to_numpy
from isocortex_metrics.numerics.draws import of_pairs

GOLDEN = Path(__file__).parents[3] / "tests" / "golden"
NEEDS_TORCH = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
DEVICES = ["cpu", pytest.param("torch", marks=NEEDS_TORCH)]
N_STIMULI = 24
IDS = [f"stimulus{number:02d}" for number in range(N_STIMULI)]


def features(seed: int, n_units: int = 30, n_stimuli: int = N_STIMULI) -> np.ndarray:
    """Independent normal features."""
    return np.random.default_rng(seed).standard_normal((n_stimuli, n_units))


def kernels(n_stimuli: int = N_STIMULI) -> tuple[np.ndarray, np.ndarray]:
    """Kernels of features that share a part."""
    first = features(0, 6, n_stimuli)
    second = first[:, :3] + features(1, 3, n_stimuli)
    return linear_kernel([first], n_stimuli), linear_kernel([second], n_stimuli)


def participants(seed: int = 0, n_subjects: int = 3) -> xr.DataArray:
    """Responses of participants that share a part with features(5), two repetitions."""
    noise = np.random.default_rng(seed).standard_normal((2, N_STIMULI, 6 * n_subjects))
    values = features(5)[:, : 6 * n_subjects] + noise
    subject = [f"s{number // 6}" for number in range(6 * n_subjects)]
    return make_responses(values, IDS, neuroid={"subject": subject})


def layer(seed: int, name: str = "layer") -> Activations:
    """A layer of independent normal units."""
    return Activations(name, IDS, [features(seed)])


def against(target, metric: str = "cka", seed: int = 0, device: str = "cpu", **settings):
    """The comparison with some target."""
    return isocortex.load_metric(metric).against(target, settings=settings, seed=seed, device=device)


# --- kernels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
@pytest.mark.parametrize("device", DEVICES)
def test_kernel_of_blocks_is_that_of_centred_features(dtype, device) -> None:
    values = (100 * features(0) + 7000).astype(dtype)
    found = to_numpy(linear_kernel(iter([values[:, :11], values[:, 11:]]), N_STIMULI, device=device))
    exact = values.astype(np.float64) - values.astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(found, exact @ exact.T, rtol=1e-10, atol=1e-6)


def test_features_that_do_not_vary_have_a_kernel_of_zeros() -> None:
    assert not linear_kernel([np.full((N_STIMULI, 5), 0.1, dtype=np.float32)], N_STIMULI).any()


def test_hsic_is_the_mean_over_four_different_stimuli() -> None:
    k, l = kernels(7)  # noqa: E741
    terms = [k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q]) for i, j, q, r in permutations(range(7), 4)]
    assert unbiased_hsic(k, l) == pytest.approx(np.mean(terms), rel=1e-12)


def test_weights_of_one_give_the_unbiased_cka_and_means_do_not_matter() -> None:
    k, l = kernels()  # noqa: E741
    ones = np.ones((1, N_STIMULI))
    found = alignment(centre(k, ones), centre(l, ones))[0]
    uncentred = features(0, 6) + 3.0
    published = unbiased_cka(uncentred @ uncentred.T, l)
    assert found == pytest.approx(published, rel=1e-9)


def test_weights_of_a_half_give_the_cka_of_its_submatrices() -> None:
    k, l = kernels()  # noqa: E741
    inside = halves(N_STIMULI, 3, seed=0)
    found = alignment(centre(k, inside.astype(float)), centre(l, inside.astype(float)))
    expected = [unbiased_cka(k[np.ix_(half, half)], l[np.ix_(half, half)]) for half in inside]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert (inside[:3] ^ inside[3:]).all()


def resampled_cka(k: np.ndarray, l: np.ndarray, drawn: np.ndarray) -> float:  # noqa: E741
    """CKA of a sample written out: pairs of different stimuli, effects of stimuli taken off by least squares."""
    first, second = np.triu_indices(len(drawn), 1)
    differ = drawn[first] != drawn[second]
    first, second = drawn[first[differ]], drawn[second[differ]]
    design = np.zeros((len(first), len(k)))
    rows = np.arange(len(first))
    design[rows, first], design[rows, second] = 1.0, 1.0
    rest = [
        pairs - design @ np.linalg.lstsq(design, pairs, rcond=None)[0] for pairs in (k[first, second], l[first, second])
    ]
    return float(rest[0] @ rest[1] / np.linalg.norm(rest[0]) / np.linalg.norm(rest[1]))


@pytest.mark.parametrize("device", DEVICES)
def test_weights_equal_a_sample_written_out(device) -> None:
    k, l = kernels()  # noqa: E741
    stream = np.random.default_rng(3)
    samples = [stream.integers(0, N_STIMULI, N_STIMULI) for _ in range(12)]
    weights = on_device(np.stack([np.bincount(drawn, minlength=N_STIMULI) for drawn in samples]).astype(float), device)
    found = alignment(centre(on_device(k, device), weights), centre(on_device(l, device), weights))
    np.testing.assert_allclose(to_numpy(found), [resampled_cka(k, l, drawn) for drawn in samples], atol=1e-12)


def test_samples_without_four_stimuli_or_with_half_of_one_have_no_cka() -> None:
    k, l = kernels()  # noqa: E741
    weights = np.zeros((3, N_STIMULI))
    weights[0, :3] = 8.0
    weights[1, :5] = [8.0, 2.0, 2.0, 2.0, 2.0]
    weights[2, :5] = [7.0, 2.0, 2.0, 2.0, 2.0]
    found = alignment(centre(k, weights), centre(l, weights))
    assert np.isnan(found).tolist() == [True, True, False]


def test_band_is_that_of_unit_vectors() -> None:
    k = [linear_kernel([features(seed, 4) + features(9, 4)], N_STIMULI) for seed in range(3)]
    ones = np.ones((1, N_STIMULI))
    centred = [centre(one, ones) for one in k]
    pairwise = np.array([[alignment(one, other)[0] for other in centred] for one in centred])
    units = []
    for one in centred:
        rest = one.kernel - np.add.outer(one.effects[0], one.effects[0])
        pairs = rest[np.triu_indices(N_STIMULI, 1)]
        units.append(pairs / np.linalg.norm(pairs))
    total = np.sum(units, axis=0)
    lower = np.mean([unit @ (total - unit) / np.linalg.norm(total - unit) for unit in units])
    upper = np.mean([unit @ total / np.linalg.norm(total) for unit in units])
    np.testing.assert_allclose(participant_band(pairwise), (lower, upper), rtol=1e-12)


# --- cka --------------------------------------------------------------------------------------------------------------


def test_value_is_the_mean_over_participants_of_the_unbiased_cka() -> None:
    target = participants()
    comparison = against(target)
    order = np.random.default_rng(0).permutation(N_STIMULI)
    scores = comparison.score(Activations("layer", [IDS[place] for place in order], [features(5)[order]]))
    x, means = features(5), target.values.reshape(2, N_STIMULI, 18).mean(axis=0)
    expected = [unbiased_cka(x @ x.T, y @ y.T) for y in (means[:, :6], means[:, 6:12], means[:, 12:])]
    np.testing.assert_allclose(scores["cka"].values, expected, rtol=1e-9)
    summary = comparison.summarise(scores)
    assert summary.value == pytest.approx(np.mean(expected), rel=1e-9)
    assert (summary.statistic, summary.target, summary.n_subjects, summary.layer_rule) == (
        "cka",
        "participant",
        3,
        "single layer",
    )
    assert summary.ceiling_lower < summary.ceiling_upper <= 1
    assert summary.interval_low < summary.value < summary.interval_high
    assert (summary.resampled, summary.n_null, summary.also) == ("stimuli × participants", 0, {})


def test_pooled_responses_have_no_band() -> None:
    comparison = against(make_responses(features(5)[:, :8], IDS))
    summary = comparison.summarise(comparison.score(layer(5)))
    assert (summary.target, summary.n_subjects, summary.resampled) == ("pooled", None, "stimuli")
    assert (summary.ceiling_lower, summary.ceiling_estimator) == (None, "none")


def test_noise_gives_nothing_where_the_biased_form_gives_much() -> None:
    values, biased = [], []
    for seed in range(40):
        x, y = features(2 * seed, 200), features(2 * seed + 1, 50)
        scores = against(make_responses(y, IDS)).score(Activations("layer", IDS, [x]))
        values.append(float(scores["cka"][0]))
        biased.append(biased_cka(linear_kernel([x], N_STIMULI), linear_kernel([y], N_STIMULI)))
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(40)
    assert np.mean(biased) > 0.6


def test_layers_are_chosen_on_one_half_and_read_out_on_the_other() -> None:
    target = make_responses(features(5)[:, :9] + features(6, 9), IDS)
    layers = {
        f"layer{seed}": Activations(f"layer{seed}", IDS, [features(5) * 0.4 + features(seed)]) for seed in (1, 2, 3)
    }
    comparison = against(target, n_halvings=4)
    scores = comparison.score_all(layers)
    inside = halves(N_STIMULI, 4, seed=0)
    brain = linear_kernel([target.values], N_STIMULI)
    models = [linear_kernel([one.array(IDS)], N_STIMULI) for one in layers.values()]

    def on(stimuli: np.ndarray) -> list[float]:
        return [unbiased_cka(one[np.ix_(stimuli, stimuli)], brain[np.ix_(stimuli, stimuli)]) for one in models]

    chosen = [int(np.argmax(on(half))) for half in inside]
    assert scores["chosen"].values.tolist() == chosen
    read_out = [on(~half)[best] for half, best in zip(inside, chosen, strict=True)]
    np.testing.assert_allclose(scores["readout"].values[:, 0], read_out, rtol=1e-9)
    summary = comparison.summarise(scores)
    assert summary.value == pytest.approx(np.mean(read_out), rel=1e-9)
    assert (summary.layer_rule, summary.n_layers_searched, summary.n_splits) == ("nested by model", 3, 8)
    np.testing.assert_allclose([one.value for one in summary.layers], on(np.ones(N_STIMULI, dtype=bool)), rtol=1e-9)
    assert [one.read_out for one in summary.layers] == [chosen.count(place) / 8 for place in range(3)]
    assert summary.interval_low < summary.value < summary.interval_high


def test_the_best_of_many_noise_layers_is_nothing() -> None:
    values, optimistic = [], []
    for seed in range(30):
        comparison = against(make_responses(features(1000 + seed, 8), IDS), seed=seed)
        comparison.rules = replace(comparison.rules, n_draws=2)
        layers = {f"l{number}": layer(2000 + 20 * seed + number, f"l{number}") for number in range(20)}
        summary = comparison.summarise(comparison.score_all(layers))
        values.append(summary.value)
        optimistic.append(max(one.value for one in summary.layers))
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(30)
    assert np.mean(optimistic) > 0.05


def test_layers_of_equal_content_count_once() -> None:
    comparison = against(participants())
    three = {"a": layer(5), "b": layer(1), "c": layer(5)}
    summary = comparison.summarise(comparison.score_all(three))
    two = comparison.summarise(comparison.score_all({name: three[name] for name in ("a", "b")}))
    assert (summary.n_layers_searched, summary.best_layer, summary.value) == (2, "a", two.value)
    assert summary.layers[0].value == summary.layers[2].value
    alone = comparison.summarise(comparison.score_all({"a": layer(5), "c": layer(5)}))
    assert (alone.layer_rule, alone.n_layers_searched) == ("single layer", 1)


def test_draws_are_weighted_by_how_often_a_layer_is_read_out() -> None:
    comparison = against(make_responses(features(5)[:, :9] + features(6, 9), IDS))
    layers = {name: Activations(name, IDS, [features(5) * 0.4 + features(seed)]) for seed, name in ((1, "a"), (2, "b"))}
    scores = comparison.score_all(layers)
    shares = dict(zip(scores["readout_layer"].values, scores["readout_share"].values, strict=True))
    assert set(shares) == {"a", "b"}
    counts = draw_counts(N_STIMULI, 30, 0, "stimuli")
    pairs, weights = scores["prediction"].values, scores["readout_share"].values
    expected = 0.0
    for name, one in layers.items():
        alone = comparison.score(one)["prediction"].values[None]
        expected = expected + shares[name] * comparison._moved(alone, np.ones(1), counts)
    np.testing.assert_allclose(comparison._moved(pairs, weights, counts), expected, atol=1e-12)
    draws, value = comparison.resample(scores, 30, seed=0).draws, float(scores["readout"].mean())
    assert np.corrcoef(draws, expected[:, 0])[0, 1] > 0.999
    assert abs(draws.mean() - value) < 1e-2


def test_draws_of_one_participant_equal_samples_written_out() -> None:
    y = features(5)[:, :8] + features(6, 8)
    comparison = against(make_responses(y, IDS))
    draws, resampled, *_ = comparison.resample(comparison.score(layer(5)), 10, seed=4)
    counts = draw_counts(N_STIMULI, 10, 4, "stimuli").astype(int)
    k, l = linear_kernel([features(5)], N_STIMULI), linear_kernel([y], N_STIMULI)  # noqa: E741
    everything = np.arange(N_STIMULI)
    drawn = [resampled_cka(k, l, np.repeat(everything, count)) for count in counts]
    without = [resampled_cka(k, l, np.delete(everything, place)) for place in everything]
    expected = of_pairs(*(np.array(part).reshape(-1, 1) for part in (drawn, resampled_cka(k, l, everything), without)))
    np.testing.assert_allclose(draws, expected[:, 0], atol=1e-12)
    assert resampled == "stimuli"


def test_the_bootstrap_is_as_wide_as_new_stimuli_make_it() -> None:
    stream = np.random.default_rng(0)
    readout, brain = stream.standard_normal((12, 40)), stream.standard_normal((12, 9))
    n, names = 60, [f"s{number}" for number in range(60)]
    values, errors = [], []
    for _ in range(60):
        latent = stream.standard_normal((n, 12)) * np.arange(1, 13) ** -0.5
        comparison = against(make_responses(latent @ brain + stream.standard_normal((n, 9)), names))
        comparison.rules = replace(comparison.rules, n_draws=60)
        summary = comparison.summarise(comparison.score(Activations("layer", names, [latent @ readout])))
        values.append(summary.value)
        errors.append(summary.error)
    assert 0.75 < np.mean(errors) / np.std(values) < 1.5


def test_a_layer_without_geometry_is_null() -> None:
    comparison = against(participants())
    one_hot = Activations("one-hot", IDS, [np.eye(N_STIMULI)])  # all pairs are equally unlike
    for flat in (Activations("flat", IDS, [np.full((N_STIMULI, 4), 0.3)]), one_hot):
        scores = comparison.score(flat)
        assert scores["null"].values.all()
        summary = comparison.summarise(scores)
        assert (summary.value, summary.n_null) == (None, 3)
    both = comparison.summarise(comparison.score_all({"flat": one_hot, "related": layer(5)}))
    assert (both.best_layer, both.layers[0].value, both.layers[1].read_out) == ("related", None, 1.0)


def test_a_participant_without_geometry_is_left_out_and_all_of_them_are_refused() -> None:
    target = participants()
    target.values[:, :6] = 1.5
    comparison = against(target)
    scores = comparison.score(layer(5))
    assert scores["null"].values.tolist() == [True, False, False]
    summary = comparison.summarise(scores)
    assert summary.value == pytest.approx(float(scores["cka"][1:].mean()))
    assert summary.interval_low < summary.value < summary.interval_high
    with pytest.raises(DataError, match="No response varies"):
        against(make_responses(np.ones((N_STIMULI, 4)), IDS))


def test_bad_input_is_refused() -> None:
    comparison = against(participants())
    with pytest.raises(SettingsError, match="Did you mean n_halvings"):
        against(participants(), n_halving=3)
    with pytest.raises(DataError, match="at least 4 stimuli; found 3"):
        against(make_responses(features(0)[:3], IDS[:3]))
    with pytest.raises(AlignmentError, match="lack 1 of 24 stimuli"):
        comparison.score(Activations("short", IDS[1:], [features(0)[1:]]))
    with pytest.raises(DataError, match="not finite"):
        comparison.score(Activations("nan", IDS, [np.where(np.eye(N_STIMULI) > 0, np.nan, 1.0)]))
    few = against(make_responses(features(0)[:7], IDS[:7]))
    scores = few.score_all({"a": layer(1, "a"), "b": layer(2, "b")})
    assert few.summarise(scores).layer_rule == "optimistic"
    with pytest.raises(DataError, match="at least 8 of them, 4 in each half; found 7"):
        halves(7, 1, seed=0)
    comparison.rules = Rules(layer_rule=LayerRule(choose="none"))
    with pytest.raises(SettingsError, match="chooses no layer"):
        comparison.score_all({"a": layer(1), "b": layer(2)})


def test_without_predictions_there_is_no_interval() -> None:
    comparison = against(participants())
    comparison.keep = ()
    scores = comparison.score_all({"a": layer(1), "b": layer(2)})
    assert "prediction" not in scores
    assert comparison.summarise(scores).interval_low is None
    assert "prediction" not in comparison.score(layer(1))


@NEEDS_TORCH
def test_torch_gives_what_numpy_gives() -> None:
    layers = {"a": layer(1), "b": layer(5)}
    found = {device: against(participants(), device=device).score_all(layers) for device in ("cpu", "torch")}
    for name in ("cka", "selection", "readout", "prediction"):
        np.testing.assert_allclose(found["torch"][name].values, found["cpu"][name].values, atol=1e-9)
    draws = [against(participants(), device=device).resample(found[device], 20, 0)[0] for device in found]
    np.testing.assert_allclose(draws[0], draws[1], atol=1e-9)


# --- Brain-Score ------------------------------------------------------------------------------------------------------


def golden(name: str):
    """One file of published outputs."""
    return np.load(GOLDEN / f"bs_{name}.npz")


def published_data(order: int = 0) -> tuple[xr.DataArray, Activations]:
    """Responses with three repetitions and labels, and activations, both in some order of rows."""
    inputs, stream = golden("inputs"), np.random.default_rng(order)
    n_repetitions, n_stimuli, n_neuroids = inputs["target_reps"].shape
    rows = stream.permutation(n_repetitions * n_stimuli)
    target = xr.DataArray(
        inputs["target_reps"].reshape(-1, n_neuroids),
        dims=("presentation", "neuroid"),
        coords={
            "stimulus_id": ("presentation", np.tile(inputs["stimulus_id"], n_repetitions)),
            "object_name": ("presentation", np.tile(inputs["object_name"], n_repetitions)),
            "repetition": ("presentation", np.repeat(np.arange(n_repetitions), n_stimuli)),
            "neuroid_id": ("neuroid", inputs["neuroid_id"]),
        },
    )
    mixed = stream.permutation(n_stimuli)
    source = Activations("layer", inputs["stimulus_id"][mixed].tolist(), [inputs["source"][mixed]])
    return target.isel(presentation=rows), source


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["cka", "cka_biased"])
def test_published_values_over_all_stimuli(name, device, order) -> None:
    target, source = published_data(order)
    comparison = against(target, f"brainscore-{name.replace('_', '-')}", device=device)
    scores = comparison.score(source)
    assert scores["score"].dims == ()
    summary = comparison.summarise(scores)
    assert summary.value == pytest.approx(float(golden(name)["center"]), rel=1e-9)
    assert (summary.statistic, summary.target, summary.error, summary.n_null) == ("cka", "pooled", None, 0)


@pytest.mark.parametrize("order", [0, 1])
def test_published_values_of_every_split(order) -> None:
    target, source = published_data(order)
    comparison = against(target, "brainscore-cka-cv")
    scores = comparison.score(source)
    expected = golden("cka_cv")
    np.testing.assert_allclose(scores["score"].values, expected["raw"], rtol=1e-9)
    assert scores["score"].dims == ("split",)
    for summary in (comparison.summarise(scores), comparison.summarise(comparison.score_all({"layer": source}))):
        assert summary.value == pytest.approx(float(expected["center"]), rel=1e-9)
        assert summary.error == pytest.approx(float(expected["error"]), rel=1e-9)
        assert (summary.error_kind, summary.n_splits) == ("standard error over splits", 10)
    plain = against(target.drop_vars("object_name"), "brainscore-cka-cv").score(source)
    assert abs(plain["score"].values - expected["raw"]).max() > 1e-4
    with pytest.raises(SettingsError, match="no column 'categry'"):
        against(target, "brainscore-cka-cv", stratify="categry")


@pytest.mark.parametrize("metric", ["brainscore-cka", "brainscore-cka-biased", "brainscore-cka-cv"])
def test_published_metrics_have_no_rows_by_region(metric) -> None:
    """As a run asks for them; what the metric evaluates on is no region."""
    target, source = published_data()
    comparison = against(target, metric)
    assert by_region(comparison, comparison.score_all({"layer": source})) == {}


def test_published_metrics_mark_what_they_set_to_0() -> None:
    target, _ = published_data()
    ids = golden("inputs")["stimulus_id"].tolist()
    flat = Activations("flat", ids, [np.full((60, 3), 0.1)])
    for metric, value, n_null in (
        ("brainscore-cka", 0.0, 1),
        ("brainscore-cka-cv", 0.0, 10),
        ("brainscore-cka-biased", None, 1),
    ):
        comparison = against(target, metric)
        summary = comparison.summarise(comparison.score(flat))
        assert (summary.value, summary.n_null) == (value, n_null)


@pytest.mark.parametrize("metric", ["brainscore-cka", "brainscore-cka-biased", "brainscore-cka-cv"])
def test_published_metrics_refuse_what_they_do_not_know(metric) -> None:
    target, source = published_data()
    with pytest.raises(SettingsError, match="no other seed"):
        against(target, metric, seed=1)
    with pytest.raises(SettingsError, match="no setting 'n_halvings'"):
        against(target, metric, n_halvings=2)
    with pytest.raises(DataError, match="stimuli"):
        against(make_responses(features(0)[:3], IDS[:3]), metric)
    with pytest.raises(AlignmentError, match="lack"):
        against(target, metric).score(layer(0))
    comparison = against(target, metric)
    twice = {"a": source, "b": Activations("b", source.stimulus_id, [np.random.default_rng(0).normal(size=(60, 4))])}
    summary = comparison.summarise(comparison.score_all(twice))
    assert (summary.layer_rule, summary.best_layer) == ("optimistic", "a")
