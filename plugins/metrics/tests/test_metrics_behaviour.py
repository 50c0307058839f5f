"""``brainscore-i2n`` and ``brainscore-i1``: against published outputs, and against the definition in plain loops."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from scipy.stats import norm, pearsonr
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import isocortex
from isocortex.activations.layer import Activations
from isocortex.catalogue.cards import Variant
from isocortex.data.dataset import Dataset, make_responses
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.errors import AlignmentError, DataError, SettingsError
from isocortex.extraction.extractor import activations_in_memory
from isocortex_metrics.behaviour import readout
from isocortex_metrics.behaviour.readout import ReadoutSettings, choice_outputs, divide, logistic_readout
from isocortex_metrics.behaviour.trials import Trials, trials_of
from isocortex_metrics.brainscore.behaviour_patterns import dprime, normalised, rates_of_probabilities

GOLDEN = dict(np.load(Path(__file__).parents[3] / "tests" / "golden" / "bs_i2n.npz"))
COLUMNS = ("stimulus_id", "truth", "sample_obj", "dist_obj", "choice")
EXACT = {"rtol": 0, "atol": 1e-12}


def golden_table() -> pd.DataFrame:
    """The 2,880 trials in the order that is shuffled."""
    return pd.DataFrame({name: GOLDEN[f"trial_{name}"] for name in COLUMNS})


def golden_model(seed: int = 0) -> xr.DataArray:
    """Probabilities with stimuli and choices in another order than the trials'."""
    rows, columns = (np.random.default_rng(seed).permutation(n) for n in GOLDEN["prob"].shape)
    return xr.DataArray(
        GOLDEN["prob"][np.ix_(rows, columns)],
        dims=("presentation", "choice"),
        coords={"stimulus_id": ("presentation", GOLDEN["stimulus_id"][rows]), "choice": GOLDEN["choices"][columns]},
    )


def choices_of(table: pd.DataFrame) -> xr.DataArray:
    """Choices as an array, the other columns as coordinates."""
    return xr.DataArray(
        table["choice"].to_numpy(),
        dims="presentation",
        coords={name: ("presentation", table[name].to_numpy()) for name in table.columns if name != "choice"},
    )


def images(ids, table: pd.DataFrame | None = None) -> StimulusSet:
    """Empty images."""
    return StimulusSet(
        "images", "image", {name: Stimulus(name, "image", np.zeros((2, 2, 3), np.uint8)) for name in ids}, table=table
    )


def against(target, metric="brainscore-i2n", *, seed=0, **settings):
    """The comparison with some target."""
    return isocortex.load_metric(metric).against(target, settings=settings, seed=seed)


# --- the published numbers --------------------------------------------------------------------------------------------


def test_i2n_equals_the_published_implementation() -> None:
    comparison = against(choices_of(golden_table()))
    comparison.rules = replace(comparison.rules, ceiling_mode="r_over_sqrt_c")
    scores = comparison.score(golden_model())
    np.testing.assert_allclose(scores["score"], GOLDEN["i2n_splits"], **EXACT)
    np.testing.assert_allclose(scores["ceiling"], GOLDEN["ceiling_splits"], **EXACT)
    np.testing.assert_allclose(scores["ceiled"], GOLDEN["ceiled_splits"], **EXACT)
    summary = comparison.summarise(scores)
    found = [summary.value, summary.error, summary.ceiling, summary.ceiled]
    expected = [GOLDEN[name] for name in ("i2n", "i2n_error", "ceiling", "ceiled")]
    np.testing.assert_allclose(found, expected, **EXACT)
    np.testing.assert_allclose(scores["ceiling"].std(), GOLDEN["ceiling_error"], **EXACT)
    np.testing.assert_allclose(scores["ceiled"].std(), GOLDEN["ceiled_error"], **EXACT)
    assert (summary.statistic, summary.target, summary.n_stimuli, summary.n_splits) == ("r", "pooled", 24, 2)
    assert summary.error_kind.startswith("population standard deviation over 2 halvings")
    assert summary.also == {}


def test_patterns_equal_the_published_matrices() -> None:
    comparison = against(golden_table())
    rows = [comparison.trials.stimulus_id.index(name) for name in GOLDEN["model_matrix_ids"]]
    prediction = comparison.score(golden_model())["prediction"].sel(choice=GOLDEN["model_matrix_choice"])
    np.testing.assert_allclose(prediction.values[rows], GOLDEN["model_matrix"], **EXACT)
    np.testing.assert_allclose(comparison.human_pattern()[rows], GOLDEN["human_matrix_all_trials"], **EXACT)
    truth = np.searchsorted(GOLDEN["choices"], GOLDEN["truth"])
    pure = normalised(dprime(rates_of_probabilities(GOLDEN["prob"], truth), truth), truth)
    np.testing.assert_allclose(pure, GOLDEN["model_matrix"], **EXACT)


def test_i1_equals_the_published_implementation() -> None:
    comparison = against(choices_of(golden_table()), "brainscore-i1")
    scores = comparison.score(golden_model())
    np.testing.assert_allclose(scores["score"], GOLDEN["i1_splits"], **EXACT)
    summary = comparison.summarise(scores)
    assert summary.value == pytest.approx(float(GOLDEN["i1"]), abs=1e-12)
    assert scores["prediction"].dims == ("stimulus",)
    assert summary.ceiled is None, "no ceiling mode was asked for"


def test_every_form_of_the_trials_gives_the_same() -> None:
    table = golden_table()
    numbered = table.assign(trial=np.arange(len(table)))
    shuffled = numbered.sample(frac=1, random_state=3)
    ids = sorted(set(table["stimulus_id"]), reverse=True)
    coded = choices_of(table).assign_coords(choice=("presentation", table["choice"].to_numpy()))
    targets = [
        table.set_index(np.arange(len(table))[::-1]),
        coded.copy(data=np.zeros(len(table))),
        shuffled,
        Dataset("behaviour", images(ids), trials=table),
        Dataset("behaviour", images(ids), trials=numbered),
        Dataset("behaviour", images(ids), trials=shuffled),
        Dataset(
            "behaviour",
            images(ids, table.groupby("stimulus_id")[["truth"]].first()),
            trials=numbered.drop(columns=["truth", "sample_obj"]),
        ),
        numbered.drop(columns="truth"),
    ]
    for target in targets:
        found = against(target).score(golden_model(seed=1))["score"]
        np.testing.assert_allclose(found, GOLDEN["i2n_splits"], **EXACT)
    backwards = Dataset("behaviour", images(ids), trials=table[::-1])
    other = against(backwards).score(golden_model())["score"]
    assert np.abs(other.values - GOLDEN["i2n_splits"]).min() > 1e-3, "the order of the trials matters"


# --- the definition in plain loops ------------------------------------------------------------------------------------


def loops(rates: dict, truth: dict, objects: list, *, normalise: bool) -> dict:
    """Pattern {(stimulus, choice): d'} of rates {(stimulus, choice): rate}, written as the definition is."""
    found = {}
    for (name, choice), rate in rates.items():
        false_alarms = [rates[other, truth[name]] for other in truth if truth[other] == choice]
        false_alarms = [value for value in false_alarms if not np.isnan(value)]
        if np.isnan(rate) or not false_alarms:
            found[name, choice] = np.nan
            continue
        with np.errstate(invalid="ignore"):
            found[name, choice] = np.clip(norm.ppf(1 - rate) - norm.ppf(np.mean(false_alarms)), -5, 5)
    if not normalise:
        return found
    for label in objects:
        for choice in objects:
            group = [(name, choice) for name in truth if truth[name] == label and choice != label]
            mean = np.nanmean([found[key] for key in group]) if group else np.nan
            found.update({key: found[key] - mean for key in group})
    return found


def human_rates(table: pd.DataFrame, truth: dict, objects: list) -> dict:
    """Rates of picking each distractor, counted trial by trial."""
    chosen = Counter(zip(table["stimulus_id"], table["choice"], strict=True))
    offered = Counter(zip(table["stimulus_id"], table["dist_obj"], strict=True))
    offered.update(zip(table["stimulus_id"], table["sample_obj"], strict=True))
    return {
        (name, choice): chosen[name, choice] / offered[name, choice]
        if truth[name] != choice and offered[name, choice]
        else np.nan
        for name in truth
        for choice in objects
    }


def few_trials(seed: int, n_trials: int = 260) -> tuple[pd.DataFrame, dict, np.ndarray]:
    """A table in which many stimuli never met some distractors, and a model."""
    rng = np.random.default_rng(seed)
    objects = ["cat", "dog", "owl", "yak"]
    truth = {f"im{place}": objects[place % 4] for place in range(20)}
    rows = []
    for name in [*truth, *rng.choice(list(truth), n_trials - len(truth))]:
        distractor = rng.choice([item for item in objects if item != truth[name]])
        rows.append((name, truth[name], distractor, rng.choice([truth[name], distractor], p=[0.7, 0.3])))
    table = pd.DataFrame(rows, columns=["stimulus_id", "sample_obj", "dist_obj", "choice"]).sample(
        frac=1, random_state=seed, ignore_index=True
    )
    return table, truth, rng.dirichlet(np.ones(4), 20)


@pytest.mark.parametrize("metric", ["brainscore-i2n", "brainscore-i1"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_gaps_are_left_out_as_in_plain_loops(metric, seed) -> None:
    table, truth, probabilities = few_trials(seed)
    objects = sorted(set(truth.values()))
    model = {
        (name, choice): row[place] / (row[place] + row[objects.index(truth[name])]) if choice != truth[name] else np.nan
        for name, row in zip(truth, probabilities, strict=True)
        for place, choice in enumerate(objects)
    }

    def pattern(rates: dict) -> np.ndarray:
        found = loops(rates, truth, objects, normalise=metric == "brainscore-i2n")
        values = np.array([[found[name, choice] for choice in objects] for name in truth])
        if metric == "brainscore-i2n":
            return values
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return np.nanmean(values, axis=1)

    stream, expected, bounds, n_gaps = np.random.RandomState(0), [], [], 0
    for _ in range(2):
        order = list(range(len(table)))
        stream.shuffle(order)
        halves = [table.iloc[order[: len(order) // 2]], table.iloc[order[len(order) // 2 :]]]
        first, second = (pattern(human_rates(half, truth, objects)).ravel() for half in halves)
        there, both = ~np.isnan(first), ~np.isnan(first) & ~np.isnan(second)
        n_gaps += int((~there).sum())
        expected.append(pearsonr(pattern(model).ravel()[there], first[there]).statistic)
        bounds.append(pearsonr(first[both], second[both]).statistic)
    comparison = against(table, metric)
    scores = comparison.score(Activations("softmax", list(truth), [probabilities], units=objects))
    np.testing.assert_allclose(scores["score"], expected, **EXACT)
    np.testing.assert_allclose(scores["ceiling"], bounds, **EXACT)
    if metric == "brainscore-i2n":
        assert n_gaps > 2 * 20, "beyond the diagonal there must be gaps, or the test is of the plain case"
        assert scores["n_entries"].sum() == 2 * 80 - n_gaps


def test_a_distractor_without_stimuli_of_its_own_is_left_out() -> None:
    table, truth, probabilities = few_trials(0)
    kept = [name for name in truth if truth[name] != "yak"]
    table = table[table["stimulus_id"].isin(kept)]
    comparison = against(table)
    assert comparison.trials.choices == ("cat", "dog", "owl", "yak")
    assert np.isnan(comparison.human_pattern()[:, 3]).all()
    units = Activations("softmax", list(truth), [probabilities], units=["cat", "dog", "owl", "yak"])
    assert np.isfinite(comparison.score(units)["score"]).all()


# --- ceilings and layers ----------------------------------------------------------------------------------------------


def test_a_ceiling_that_is_not_above_zero_gives_no_ceiled_value() -> None:
    for seed in range(20):
        table, truth, probabilities = few_trials(seed, n_trials=300)
        comparison = against(table)
        if comparison.ceilings.min() < 0 < comparison.ceilings.max():
            break
    comparison.rules = replace(comparison.rules, ceiling_mode="r_over_sqrt_c")
    scores = comparison.score(Activations("softmax", list(truth), [probabilities], units=["cat", "dog", "owl", "yak"]))
    assert np.isnan(scores["ceiled"]).sum() == 1
    summary = comparison.summarise(scores)
    assert summary.ceiled is None, "a mean over the other halving alone would be a plausible number"
    assert summary.value == pytest.approx(float(scores["score"].mean()))
    comparison.rules = replace(comparison.rules, ceiling_mode="r2_over_c")
    with pytest.raises(SettingsError, match=r"not offered by this metric. Known: none, r_over_sqrt_c"):
        comparison.summarise(scores)


def test_the_best_of_several_layers_is_marked_optimistic() -> None:
    comparison = against(golden_table())
    comparison.rules = replace(comparison.rules, ceiling_mode="r_over_sqrt_c")
    ids, units = list(GOLDEN["stimulus_id"]), list(GOLDEN["choices"])
    noise = np.random.default_rng(5).dirichlet(np.ones(4), 24)
    people = np.exp(-GOLDEN["human_matrix_all_trials"] / 2)
    people = np.where(np.isnan(people), 3.0, people)
    layers = {
        "noise": Activations("noise", ids, [noise], units=units),
        "people": Activations("people", ids, [people / people.sum(axis=1, keepdims=True)], units=units),
    }
    summary = comparison.summarise(comparison.score_all(layers))
    alone = comparison.summarise(comparison.score(layers["people"]))
    assert (summary.layer_rule, summary.best_layer, summary.n_layers_searched) == ("optimistic", "people", 2)
    assert (summary.value, summary.ceiled, summary.error) == (alone.value, alone.ceiled, alone.error)
    assert summary.value > 0.5
    assert [layer.name for layer in summary.layers] == ["noise", "people"]


def test_a_model_without_preferences_is_null() -> None:
    comparison = against(golden_table())
    uniform = golden_model().copy(data=np.full((24, 4), 0.25))
    scores = comparison.score(uniform)
    summary = comparison.summarise(scores)
    assert np.isnan(scores["score"]).all()
    assert (summary.value, summary.error, summary.ceiled, summary.n_null) == (None, None, None, 2)


# --- what is refused --------------------------------------------------------------------------------------------------


def test_published_halves_take_no_other_seed() -> None:
    with pytest.raises(SettingsError, match="takes no other seed; found seed 1"):
        against(golden_table(), seed=1)
    with pytest.raises(SettingsError, match="brainscore-i1 has no setting 'readuot'"):
        against(golden_table(), "brainscore-i1", readuot={})


def changed(**columns) -> pd.DataFrame:
    """The trials with the first values of some columns replaced."""
    table = golden_table().astype(object)
    for name, value in columns.items():
        table.loc[0, name] = value
    return table


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (changed(choice="o1"), "1 of 2880 trials have a choice that is neither sample_obj nor dist_obj: .*im2_4"),
        (changed(choice=None), "1 of 2880 trials of the table have no 'choice': .*im2_4"),
        (changed(dist_obj=np.nan), "have no 'dist_obj'"),
        (changed(dist_obj=" "), "have no 'dist_obj'"),
        (changed(stimulus_id=None), "1 of 2880 trials have no stimulus_id"),
        (changed(truth="o0"), "'im2_4' of the table has two values of 'truth': 'o0' and 'o2'"),
        (changed(sample_obj="o0"), "another sample_obj than the object"),
        (changed(dist_obj="o2", choice="o2"), "the same object as sample_obj and dist_obj"),
        (golden_table().drop(columns="dist_obj"), "no column 'dist_obj'"),
        (golden_table().drop(columns=["truth", "sample_obj"]), "no column 'sample_obj'"),
        (golden_table().drop(columns="stimulus_id"), "rows and a column 'stimulus_id'"),
        (golden_table()[:0], "rows and a column 'stimulus_id'; found 0 rows"),
        (golden_table().assign(trial=1), "must number all 2880 trials, each once; found 1 numbers"),
        (golden_table().assign(trial="first"), "must number all 2880 trials, each once; found 0 numbers"),
        (golden_table()[:1], "1 trials of 1 stimuli are too few"),
        (golden_table()[:9], "9 trials of 7 stimuli are too few"),
        (golden_table().query("stimulus_id in ('im0_0', 'im1_0', 'im2_0', 'im3_0')"), "480 trials .* too few"),
        (make_responses(np.ones((3, 2)), list("abc")), r"found dims \('presentation', 'neuroid'\)"),
        (GOLDEN["prob"], "found ndarray"),
    ],
)
def test_trials_that_cannot_be_compared_are_refused(target, message) -> None:
    with pytest.raises(DataError, match=message):
        against(target)


def test_responses_are_refused() -> None:
    ids = list("abcdef")
    target = Dataset("cells", images(ids), responses=make_responses(np.ones((6, 2)), ids))
    for metric in ("brainscore-i2n", "brainscore-i1", "error-consistency", "accuracy"):
        with pytest.raises(DataError, match=f"{metric}' takes trials, but the data set 'cells' holds responses"):
            against(target, metric)


def named(values: np.ndarray, units, ids=None) -> Activations:
    """A layer over the published stimuli."""
    return Activations("softmax", list(GOLDEN["stimulus_id"] if ids is None else ids), [values], units=units)


def test_outputs_that_are_no_probabilities_are_refused() -> None:
    comparison, units = against(golden_table()), list(GOLDEN["choices"])
    probabilities = GOLDEN["prob"]
    with pytest.raises(DataError, match=r"no probabilities for 24 stimuli.*sums from.*readout = \{\}"):
        comparison.score(named(np.log(probabilities), units))
    for factor in (1.01, 0.99):
        with pytest.raises(DataError, match=rf"no probabilities for 24 stimuli.*sums from {factor} to {factor}"):
            comparison.score(named(probabilities * factor, units))
    negative = probabilities + np.array([[-1.5, 0.5, 0.5, 0.5]])
    with pytest.raises(DataError, match=r"no probabilities for 24 stimuli .*im2_4.*a minimum of -1"):
        comparison.score(named(negative, units))
    with pytest.raises(DataError, match="4 units of 'softmax' have no names"):
        comparison.score(named(probabilities, None))
    with pytest.raises(DataError, match=r"2 of 4 choices have no unit .*: o0, o3"):
        comparison.score(named(probabilities, ["o1", "o2", "o5", "o6"]))
    with pytest.raises(DataError, match="needs a name of its own; found 4 names, 3 of them different"):
        comparison.score(named(probabilities, ["o0", "o1", "o2", "o2"]))
    sure = np.where(probabilities == probabilities.max(axis=1, keepdims=True), 1.0, 0.0)
    with pytest.raises(DataError, match=r"pattern of 'softmax' is undefined in .* entries"):
        comparison.score(named(sure, units))
    with pytest.raises(DataError, match="not finite"):
        comparison.score(named(np.where(probabilities == probabilities.max(), np.nan, probabilities), units))
    with pytest.raises(AlignmentError, match="lack 1 of 24 stimuli: im0_0"):
        comparison.score(named(probabilities[1:], units, GOLDEN["stimulus_id"][1:]))


def test_further_units_and_stimuli_do_not_matter() -> None:
    comparison = against(golden_table())
    wider = np.concatenate([GOLDEN["prob"] * 0.5, np.full((24, 1), 0.5)], axis=1)
    longer = np.concatenate([wider, [[0.2, 0.2, 0.2, 0.2, 0.2]]])
    units = named(longer, [*GOLDEN["choices"], "background"], [*GOLDEN["stimulus_id"], "other"])
    np.testing.assert_allclose(comparison.score(units)["score"], GOLDEN["i2n_splits"], **EXACT)
    single = named(GOLDEN["prob"].astype(np.float32), list(GOLDEN["choices"]))
    np.testing.assert_allclose(comparison.score(single)["score"], GOLDEN["i2n_splits"], atol=1e-6)


# --- readout ----------------------------------------------------------------------------------------------------------


def clusters(n_units: int, n_labels: int = 5, n_stimuli: int = 90) -> tuple[np.ndarray, np.ndarray]:
    """Features whose labels can be told, with very different scales and a constant unit."""
    rng = np.random.default_rng(n_units)
    labels = np.arange(n_stimuli) % n_labels
    features = rng.standard_normal((n_labels, n_units))[labels] * 0.6 + rng.standard_normal((n_stimuli, n_units))
    features = features * np.geomspace(0.01, 100, n_units) + 5
    features[:, 1] = 3.0
    return features, np.array(["ape", "bee", "cat", "dog", "elk"])[labels]


def labelled(labels: np.ndarray) -> Trials:
    """A trial for each of some labelled stimuli."""
    ids = [f"stimulus{number:02d}" for number in range(len(labels))]
    return trials_of(pd.DataFrame({"stimulus_id": ids, "truth": labels}), "accuracy")


def test_folds_test_every_stimulus_by_a_readout_of_others_with_its_share_of_labels() -> None:
    features, labels = clusters(12)
    trials = labelled(labels)
    division = divide(trials, ReadoutSettings(fit="folds", n_folds=6))
    assert sorted(name for part in division.parts for name in part.test) == sorted(trials.ids)
    for part in division.parts:
        assert not set(part.test) & set(part.fit)
        assert len(part.test) == 15
        assert Counter(part.labels) == dict.fromkeys(set(labels), 15)
    assert division.warnings == ()
    layer = Activations("layer", list(trials.ids), [features])
    ((_, found),) = choice_outputs(layer, division, ReadoutSettings(fit="folds")).blocks()
    place = {name: row for row, name in enumerate(trials.ids)}
    part = division.parts[2]
    fit, test = ([place[name] for name in names] for names in (part.fit, part.test))
    expected = pipeline().fit(features[fit], labels[fit]).predict_proba(features[test])
    np.testing.assert_allclose(found[test], expected, rtol=0, atol=1e-12)


def test_a_readout_of_the_tested_stimuli_is_said_to_overlap() -> None:
    features, labels = clusters(12)
    trials = labelled(labels)
    settings = ReadoutSettings(fit="same")
    division = divide(trials, settings)
    assert "fitted on 90 of the 90 stimuli that it is tested on" in division.warnings[0]
    ((_, found),) = choice_outputs(Activations("layer", list(trials.ids), [features]), division, settings).blocks()
    expected = pipeline().fit(features, labels).predict_proba(features)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def pipeline():
    """scikit-learn's readout with Brain-Score's constants."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, solver="newton-cg"))


@pytest.mark.parametrize(
    ("n_units", "whole", "atol"), [(8, True, 1e-12), (40, True, 1e-12), (700, True, 1e-12), (700, False, 5e-5)]
)
def test_readout_equals_scikit_learn(n_units, whole, atol, monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = clusters(n_units)
    blocks = (features[:, start : start + 64] for start in range(0, n_units, 64))
    if not whole:
        monkeypatch.setattr(readout, "_WHOLE_VALUES", 0)
    found, names = logistic_readout(blocks, list(labels[:60]), n_units)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, solver="newton-cg"))
    expected = pipeline.fit(features[:60], labels[:60]).predict_proba(features[60:])
    assert names == tuple(pipeline.classes_)
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)
    assert np.ptp(found) > 0.01


def test_readout_of_two_labels_is_the_multinomial_one() -> None:
    features, _ = clusters(6, n_labels=2, n_stimuli=40)
    labels = np.arange(40) % 2
    z = (features - features[:30].mean(axis=0)) / np.where(features[:30].std(axis=0) > 0, features[:30].std(axis=0), 1)

    def loss(flat: np.ndarray) -> float:
        weights, bias = flat[:-2].reshape(6, 2), flat[-2:]
        cross_entropy = -log_softmax(z[:30] @ weights + bias, axis=1)[np.arange(30), labels[:30]].sum()
        return 0.05 * cross_entropy + 0.5 * (weights**2).sum()

    best = minimize(loss, np.zeros(14), method="BFGS", options={"gtol": 1e-10}).x
    expected = softmax(z[30:] @ best[:-2].reshape(6, 2) + best[-2:], axis=1)
    found, _ = logistic_readout([features], ["ab"[label] for label in labels[:30]], 6, c=0.05)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_readout_of_a_layer_that_does_not_vary_is_the_share_of_the_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readout, "_WHOLE_VALUES", 0)
    for n_units in (2, 9):
        found, _ = logistic_readout([np.ones((6, n_units))], ["a", "b", "b", "c"], n_units)
        np.testing.assert_allclose(found, [[0.25, 0.5, 0.25]] * 2, atol=1e-4)


OBJECTS = ("cat", "dog", "owl", "yak")


def experiment(seed: int = 0) -> tuple[Dataset, dict[str, np.ndarray]]:
    """Photographs of four objects: people were shown the second half of them, and judge by their pixels."""
    rng = np.random.default_rng(seed)
    templates = rng.uniform(60, 190, (4, 5, 5, 3))
    ids = [f"photo{place:03d}" for place in range(160)]
    truth = [OBJECTS[place % 4] for place in range(160)]
    split = ["fit" if place < 80 else "test" for place in range(160)]
    pixels = {
        name: np.clip(templates[OBJECTS.index(label)] + rng.normal(0, 90, (5, 5, 3)), 0, 255).astype(np.uint8)
        for name, label in zip(ids, truth, strict=True)
    }
    rows = [(name, label, None, None) for name, label in zip(ids[:80], truth[:80], strict=True)]
    for name, label in zip(ids[80:], truth[80:], strict=True):
        distance = ((pixels[name] - templates) ** 2).mean(axis=(1, 2, 3))
        p = softmax(-distance / 900)
        for distractor in (item for item in OBJECTS if item != label):
            chance = p[OBJECTS.index(distractor)] / (p[OBJECTS.index(distractor)] + p[OBJECTS.index(label)])
            rows += [(name, label, distractor, distractor if rng.random() < chance else label) for _ in range(12)]
    trials = pd.DataFrame(rows, columns=["stimulus_id", "truth", "dist_obj", "choice"])
    trials = trials.sample(frac=1, random_state=seed, ignore_index=True).rename_axis("trial").reset_index()
    table = pd.DataFrame({"split": split}, index=ids)
    sources = {name: Stimulus(name, "image", pixels[name]) for name in ids}
    return Dataset("photographs", StimulusSet("photographs", "image", sources, table=table), trials=trials), pixels


def test_a_wrapped_model_is_read_out_and_scored_end_to_end() -> None:
    dataset, _ = experiment()
    noise = np.random.default_rng(1)
    model = isocortex.wrap(
        lambda batch: {
            "pixels": batch.reshape(len(batch), -1).astype(float),
            "noise": noise.standard_normal((len(batch), 30)),
        },
        modality="image",
        layers=["pixels", "noise"],
    )
    with model.load(Variant.parse("fixed"), device="cpu") as loaded:
        layers = activations_in_memory(loaded, dataset.stimuli, ["noise", "pixels"])
    comparison = against(dataset, readout={})
    comparison.rules = replace(comparison.rules, ceiling_mode="r_over_sqrt_c")
    summary = comparison.summarise(comparison.score_all(layers))
    assert (summary.best_layer, summary.n_stimuli) == ("pixels", 80)
    assert summary.value > 0.3, "people judge by pixels"
    assert summary.value < summary.ceiled < 1.1
    assert abs(summary.layers[0].value) < 0.2, "noise knows nothing of what people see"
    # the same with scikit-learn outside, given to the metric as named outputs
    order = dataset.stimuli.ids
    pixels, truth = layers["pixels"].array(order), dataset.trials.groupby("stimulus_id")["truth"].first()
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, solver="newton-cg"))
    pipeline.fit(pixels[:80].astype(float), truth.loc[list(order[:80])])
    probabilities = pipeline.predict_proba(pixels[80:].astype(float))
    tested = Activations("readout", order[80:], [probabilities], units=list(pipeline.classes_))
    shown = against(dataset.trials.dropna(subset="choice"))
    assert float(shown.score(tested)["score"].mean()) == pytest.approx(summary.value, abs=1e-9)


def test_tested_stimuli_do_not_take_part_in_the_fit() -> None:
    dataset, pixels = experiment()
    features = np.stack([pixels[name].ravel().astype(float) for name in dataset.stimuli.ids])
    for metric in ("brainscore-i2n", "accuracy"):
        comparison = against(dataset, metric, readout={})
        before = comparison.score(Activations("pixels", dataset.stimuli.ids, [features]))["prediction"]
        changed_features = features.copy()
        changed_features[-1] += 1000
        after = comparison.score(Activations("pixels", dataset.stimuli.ids, [changed_features]))["prediction"]
        other_objects = np.array([int(name[-3:]) % 4 != 3 for name in before["stimulus_id"].values])
        kept = np.arange(79) if metric == "accuracy" else np.flatnonzero(other_objects)
        # i2n: rates of an object's stimuli enter F of others, so that only entries without the changed object stay
        expected, found = before.values[kept], after.values[kept]
        if metric == "brainscore-i2n":
            expected, found = expected[:, :3], found[:, :3]
        np.testing.assert_array_equal(found, expected)


def test_a_readout_needs_stimuli_to_fit_and_to_test() -> None:
    dataset, _ = experiment()
    split = ["fit" if int(name[-3:]) < 80 else "test" for name in dataset.trials["stimulus_id"]]
    table = dataset.trials.assign(split=split)
    with pytest.raises(SettingsError, match=r"Neither stimuli nor trials .* column 'part'"):
        against(table, readout={"fit_column": "part"})
    with pytest.raises(DataError, match=r"must hold 'fit' and 'test'; found \{'fit': 160\}"):
        against(table.assign(split="fit"), readout={})
    with pytest.raises(DataError, match=r"must hold 'fit' and 'test'; found .*'train'"):
        against(table.replace({"split": {"fit": "train"}}), readout={})
    with pytest.raises(DataError, match="has two values of 'split'"):
        against(table.assign(split=np.where(np.arange(len(table)) % 2, "fit", "test")), readout={})
    with pytest.raises(DataError, match="at least 2 labels"):
        against(table.assign(label="all"), readout={"label": "label"})
    with pytest.raises(DataError, match=r"80 of .* trials of the table have no 'dist_obj'"):
        against(table)
    with pytest.raises(SettingsError, match=r"readout.c: Input should be greater than 0"):
        against(table, readout={"c": 0})
    without = table[(table["split"] == "test") | (table["truth"] != "owl")]
    comparison = against(without, readout={})
    features = np.random.default_rng(0).standard_normal((160, 12))
    with pytest.raises(DataError, match=r"1 of 4 choices have no unit .*: owl"):
        comparison.score(Activations("features", dataset.stimuli.ids, [features]))
    with pytest.raises(AlignmentError, match="lack 10 of 140 stimuli"):
        comparison.score(Activations("features", dataset.stimuli.ids[:150], [features[:150]]))
