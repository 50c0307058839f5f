"""``accuracy``: against scikit-learn, and ties against the mean over all orders of the units."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, confusion_matrix, top_k_accuracy_score

import isocortex
from isocortex.activations.layer import Activations
from isocortex.data.dataset import Dataset
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.errors import AlignmentError, DataError, SettingsError
from isocortex.scoring.stats import draw_counts
from isocortex_metrics.behaviour import readout
from isocortex_metrics.behaviour.accuracy import confusion, top_k_credit, wilson

LABELS = [f"word{number}" for number in range(8)]
N_STIMULI = 50
IDS = [f"sound{place:02d}" for place in range(N_STIMULI)]
TRUTH = np.array(LABELS)[np.random.default_rng(8).integers(0, 8, N_STIMULI)]
EXACT = {"rtol": 0, "atol": 1e-12}


def against(target, **settings):
    """The comparison with some target."""
    return isocortex.load_metric("accuracy").against(target, settings=settings, seed=0)


def table() -> pd.DataFrame:
    """Labels alone."""
    return pd.DataFrame({"stimulus_id": IDS, "truth": TRUTH})


def numbers() -> list[int]:
    """Column of each stimulus's label."""
    return [LABELS.index(label) for label in TRUTH]


def one_hot() -> np.ndarray:
    """Outputs (50, 8) of a model that is always right."""
    return np.eye(8)[numbers()]


def outputs(seed: int = 0) -> np.ndarray:
    """Outputs (50, 8) that favour the true label."""
    return one_hot() + np.random.default_rng(seed).standard_normal((N_STIMULI, 8))


def layer(values: np.ndarray, ids=IDS, units=LABELS, name: str = "logits") -> Activations:
    """Named outputs."""
    return Activations(name, list(ids), [values], units=units)


# --- scores -----------------------------------------------------------------------------------------------------------


def test_scores_equal_scikit_learn() -> None:
    values = outputs()
    rows, columns = np.random.default_rng(1).permutation(N_STIMULI), np.random.default_rng(1).permutation(8)
    model = xr.DataArray(
        values[np.ix_(rows, columns)],
        dims=("stimulus", "choice"),
        coords={"stimulus_id": ("stimulus", np.array(IDS)[rows]), "choice": np.array(LABELS)[columns]},
    )
    comparison = against(table(), top=3)
    scores = comparison.score(model)
    chosen = np.array(LABELS)[values.argmax(axis=1)]
    assert float(scores["accuracy"]) == pytest.approx(accuracy_score(TRUTH, chosen), abs=1e-12)
    assert float(scores["top3"]) == pytest.approx(top_k_accuracy_score(numbers(), values, k=3), abs=1e-12)
    np.testing.assert_array_equal(scores["confusion"], confusion_matrix(TRUTH, chosen, labels=LABELS))
    assert scores["confusion"].dims == ("truth", "choice")
    assert scores["choice"].values.tolist() == LABELS
    summary = comparison.summarise(scores)
    assert (summary.statistic, summary.value) == ("accuracy", accuracy_score(TRUTH, chosen))
    assert summary.also == {"top3": pytest.approx(float(scores["top3"]), abs=1e-12)}
    assert (summary.n_stimuli, summary.n_splits, summary.ceiling) == (50, None, None)


def test_labels_that_do_not_occur_have_no_row_of_the_matrix() -> None:
    few = table()[:10]
    scores = against(few).score(layer(outputs()))
    occurring = sorted(set(TRUTH[:10]))
    chosen = np.array(LABELS)[outputs()[:10].argmax(axis=1)]
    expected = confusion_matrix(TRUTH[:10], chosen, labels=LABELS)[[LABELS.index(label) for label in occurring]]
    assert len(occurring) < 8
    np.testing.assert_array_equal(scores["confusion"], expected)
    assert scores["truth"].values.tolist() == occurring


def test_ties_are_broken_at_random() -> None:
    rng = np.random.default_rng(0)
    values, label = rng.integers(0, 3, (12, 5)).astype(float), rng.integers(0, 5, 12)
    firsts, among, matrix = np.zeros(12), np.zeros(12), np.zeros((5, 5))
    orders = list(permutations(range(5)))
    for order in orders:
        ranked = np.array(order)[np.argsort(-values[:, order], axis=1, kind="stable")]  # first wins
        firsts += ranked[:, 0] == label
        among += (ranked[:, :3] == label[:, None]).any(axis=1)
        matrix += confusion_matrix(label, ranked[:, 0], labels=range(5))
    np.testing.assert_allclose(top_k_credit(values, label), firsts / len(orders), **EXACT)
    np.testing.assert_allclose(top_k_credit(values, label, 3), among / len(orders), **EXACT)
    np.testing.assert_allclose(confusion(values, label, 5), matrix / len(orders), **EXACT)


def test_a_model_without_preferences_is_at_chance() -> None:
    summary = against(table()).summarise(against(table()).score(layer(np.zeros((N_STIMULI, 8)))))
    assert summary.value == pytest.approx(1 / 8, abs=1e-12)
    assert summary.also["top5"] == pytest.approx(5 / 8, abs=1e-12)


def test_no_more_choices_than_places_is_null() -> None:
    keep = np.isin(TRUTH, LABELS[:4])
    comparison = against(table()[keep])
    scores = comparison.score(layer(outputs()[:, :4], units=LABELS[:4]))
    assert np.isnan(scores["top5"])
    assert comparison.summarise(scores).also == {"top5": None}


def test_rows_come_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = against(table()).score(layer(outputs()))
    monkeypatch.setattr(readout, "_BLOCK_VALUES", 56)
    xr.testing.assert_allclose(against(table()).score(layer(outputs())), whole, rtol=1e-12)


# --- people -----------------------------------------------------------------------------------------------------------


def test_human_accuracy_is_a_mean_over_participants() -> None:
    rng = np.random.default_rng(0)
    n_trials = {"a": 50, "b": 20, "c": 7}
    parts = [table()[:n].assign(subject=name, choice=rng.choice(LABELS[:2], n)) for name, n in n_trials.items()]
    people = pd.concat(parts, ignore_index=True)
    expected = np.mean([accuracy_score(part["truth"], part["choice"]) for part in parts])
    for target, value in (
        (people, expected),
        (people.drop(columns="subject"), accuracy_score(people["truth"], people["choice"])),
    ):
        comparison = against(target)
        summary = comparison.summarise(comparison.score(layer(outputs())))
        assert summary.also["human_accuracy"] == pytest.approx(value, abs=1e-12)
        assert summary.value == pytest.approx(accuracy_score(TRUTH, np.array(LABELS)[outputs().argmax(axis=1)]))
    with pytest.raises(DataError, match=r"1 of 77 trials .* have no 'choice'"):
        against(people.assign(choice=[None, *people["choice"][1:]]))


# --- interval and layers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("right", "n"), [(0, 20), (7, 20), (20, 20), (1, 1), (431, 1000)])
def test_wilson_equals_scipy(right, n) -> None:
    expected = binomtest(right, n).proportion_ci(method="wilson")
    np.testing.assert_allclose(wilson(right / n, n), (expected.low, expected.high), **EXACT)


def test_interval_of_a_perfect_model_has_a_width() -> None:
    comparison = against(table())
    summary = comparison.summarise(comparison.score(layer(one_hot())))
    assert summary.value == 1.0
    expected = binomtest(50, 50).proportion_ci(method="wilson")
    np.testing.assert_allclose((summary.interval_low, summary.interval_high), (expected.low, expected.high), **EXACT)
    assert (summary.resampled, summary.error) == ("stimuli", 0.0)


def test_draws_equal_resampled_stimuli() -> None:
    comparison = against(table())
    draws, resampled, *_ = comparison.resample(comparison.score(layer(outputs())), 5, 3)
    right = outputs().argmax(axis=1) == numbers()
    counts = draw_counts(N_STIMULI, 5, 3, "stimuli").astype(int)
    np.testing.assert_allclose(draws, [np.repeat(right, count).mean() for count in counts], **EXACT)
    assert resampled == "stimuli"


def test_top_k_as_the_measure() -> None:
    comparison = against(table(), top=2)
    comparison.rules = replace(comparison.rules, measure="top2")
    summary = comparison.summarise(comparison.score_all({"logits": layer(outputs())}))
    expected = top_k_accuracy_score(numbers(), outputs(), k=2)
    assert (summary.statistic, summary.value) == ("top2", pytest.approx(expected))
    bounds = binomtest(round(expected * 50), 50).proportion_ci(method="wilson")
    assert (summary.interval_low, summary.interval_high) == (pytest.approx(bounds.low), pytest.approx(bounds.high))


def test_the_best_of_several_layers_is_marked_optimistic() -> None:
    comparison = against(table())
    layers = {name: layer(outputs() + share * one_hot(), name=name) for name, share in (("early", 0), ("late", 2))}
    summary = comparison.summarise(comparison.score_all(layers))
    alone = comparison.summarise(comparison.score(layers["late"]))
    assert (summary.layer_rule, summary.best_layer, summary.value) == ("optimistic", "late", alone.value)
    assert summary.draws == alone.draws
    other = layer(outputs(), units=[f"{name}s" for name in LABELS], name="other")
    with pytest.raises(DataError, match="early, late, other have units of different names"):
        comparison.score_all({**layers, "other": other})


# --- targets, settings and what is refused ----------------------------------------------------------------------------


def sounds(**columns) -> StimulusSet:
    """Short silences with a table."""
    silence = {name: Stimulus(name, "audio", np.zeros(8, np.float32), 8000.0) for name in IDS}
    return StimulusSet("sounds", "audio", silence, table=pd.DataFrame(columns, index=IDS))


def test_labels_come_from_trials_or_from_the_table_of_the_stimuli() -> None:
    expected = against(table()).score(layer(outputs()))["accuracy"]
    shown = pd.DataFrame({"stimulus_id": IDS[::-1]})
    array = xr.DataArray(
        np.zeros(N_STIMULI),
        dims="presentation",
        coords={
            "stimulus_id": ("presentation", IDS),
            "truth": ("presentation", TRUTH),
            "choice": ("presentation", TRUTH),
        },
    )
    targets = [
        (Dataset("words", sounds(), trials=table()[::-1]), {}),
        (Dataset("words", sounds(word=TRUTH), trials=shown), {"label": "word"}),
        (array, {}),
    ]
    for target, settings in targets:
        assert float(against(target, **settings).score(layer(outputs()))["accuracy"]) == float(expected)
    assert against(array).human_accuracy == 1.0


def test_features_are_read_out() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((8, 20))[numbers()] + rng.standard_normal((N_STIMULI, 20)) * 0.3
    split = np.where(np.arange(N_STIMULI) < 30, "fit", "test")
    comparison = against(table().assign(split=split), readout={"c": 1.0})
    scores = comparison.score(Activations("features", IDS, [features]))
    assert (comparison.n_stimuli, float(scores["confusion"].sum())) == (20, 20.0)
    assert scores["accuracy"] > 0.8


def test_bad_input_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"Neither stimuli nor trials .* 'thruth'. Did you mean truth\?"):
        against(table(), label="thruth")
    with pytest.raises(SettingsError, match="top: Input should be greater than or equal to 2"):
        against(table(), top=1)
    gaps = np.where(np.isin(np.arange(N_STIMULI), [0, 7]), None, TRUTH)
    unlabelled = Dataset("words", sounds(word=gaps), trials=pd.DataFrame({"stimulus_id": IDS}))
    with pytest.raises(DataError, match="2 stimuli of 'words' have no 'word': sound00, sound07"):
        against(unlabelled, label="word")
    with pytest.raises(DataError, match="1 of 50 trials of the table have no 'truth'"):
        against(table().assign(truth=[None, *TRUTH[1:]]))
    comparison = against(table())
    with pytest.raises(DataError, match=r"2 of 8 choices have no unit .* word6, word7. Did you mean"):
        comparison.score(layer(outputs()[:, :6], units=LABELS[:6]))
    with pytest.raises(DataError, match="have no names"):
        comparison.score(layer(outputs(), units=None))
    with pytest.raises(AlignmentError, match="lack 50 of 50 stimuli"):
        comparison.score(layer(outputs(), [f"other{name}" for name in IDS]))
    broken = outputs()
    broken[3, 2] = np.inf
    with pytest.raises(DataError, match=r"not finite .* sound03"):
        comparison.score(layer(broken))
