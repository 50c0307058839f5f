"""``error-consistency``: against scikit-learn's kappa, trial by trial."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.metrics import cohen_kappa_score

import isocortex
from isocortex.activations.layer import Activations
from isocortex.data.dataset import Dataset
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.errors import AlignmentError, DataError, SettingsError
from isocortex.scoring.stats import draw_counts
from isocortex_metrics.behaviour.observers import cohen_kappa, kappa_between, kappa_with_model

LABELS = ["ape", "bee", "cat", "dog"]
N_STIMULI = 60
IDS = [f"picture{place:02d}" for place in range(N_STIMULI)]
TRUTH = {name: LABELS[place % 4] for place, name in enumerate(IDS)}
EXACT = {"rtol": 0, "atol": 1e-12}


def against(target, **settings):
    """The comparison with some target."""
    return isocortex.load_metric("error-consistency").against(target, settings=settings, seed=0)


def observers(seed: int, *, n_subjects: int = 3, conditions: tuple[str, ...] = ("loud", "quiet")) -> pd.DataFrame:
    """Every subject sees most pictures once, under one condition each, and errs on the difficult ones."""
    rng = np.random.default_rng(seed)
    difficulty = rng.uniform(0.1, 0.9, N_STIMULI)
    rows = []
    for subject in range(n_subjects):
        for place in rng.permutation(N_STIMULI)[: N_STIMULI - 5 * subject]:
            name = IDS[place]
            choice = TRUTH[name] if rng.random() > difficulty[place] else rng.choice([*LABELS, "none"])
            rows.append((name, TRUTH[name], f"s{subject}", conditions[place // 4 % len(conditions)], choice))
    return pd.DataFrame(rows, columns=["stimulus_id", "truth", "subject", "condition", "choice"])


def outputs(seed: int) -> np.ndarray:
    """Outputs (60, 4) of a model that is right now and then."""
    rng = np.random.default_rng(seed)
    return np.eye(4)[np.arange(N_STIMULI) % 4] * 1.2 + rng.standard_normal((N_STIMULI, 4))


def layer(values: np.ndarray, ids=IDS, units=LABELS, name: str = "logits") -> Activations:
    """Named outputs."""
    return Activations(name, list(ids), [values], units=units)


def sklearn_kappa(first, second) -> float:
    """Kappa of two lists of right and wrong; NaN where both are always right or always wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(cohen_kappa_score(first, second, labels=[False, True]))


# --- scores -----------------------------------------------------------------------------------------------------------


def test_kappa_equals_scikit_learn_per_observer_and_condition() -> None:
    table, values = observers(0), outputs(1)
    order = np.random.default_rng(2).permutation(N_STIMULI)
    comparison = against(table)
    scores = comparison.score(layer(values[order], [IDS[place] for place in order]))
    chosen = dict(zip(IDS, np.array(LABELS)[values.argmax(axis=1)], strict=True))
    per_subject = []
    for subject in ("s0", "s1", "s2"):
        for condition in ("loud", "quiet"):
            part = table[(table["subject"] == subject) & (table["condition"] == condition)]
            model = [chosen[name] == TRUTH[name] for name in part["stimulus_id"]]
            expected = sklearn_kappa(model, part["choice"] == part["truth"])
            found = float(scores["kappa_by_condition"].sel(subject=subject, condition=condition))
            assert found == pytest.approx(expected, abs=1e-12)
        per_subject.append(float(scores["kappa_by_condition"].sel(subject=subject).mean()))
    np.testing.assert_allclose(scores["kappa"], per_subject, **EXACT)
    summary = comparison.summarise(scores)
    assert summary.value == pytest.approx(np.mean(per_subject), abs=1e-12)
    assert (summary.statistic, summary.target, summary.n_subjects, summary.n_stimuli) == ("kappa", "participant", 3, 60)
    assert summary.n_null == 0
    right = [chosen[name] == TRUTH[name] for name in table[table["subject"] == "s0"]["stimulus_id"]]
    assert set(summary.also) == {"accuracy", "human_accuracy"}
    assert 0.4 < np.mean(right) < 0.9


def test_formula_of_the_paper() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        first, second = rng.random(30) < 0.7, rng.random(30) < 0.4
        observed = np.mean(first == second)
        by_chance = first.mean() * second.mean() + (1 - first.mean()) * (1 - second.mean())
        found = cohen_kappa(first.mean(), second.mean(), (first & second).mean())
        assert float(found) == pytest.approx((observed - by_chance) / (1 - by_chance), abs=1e-12)
        assert float(found) == pytest.approx(sklearn_kappa(first, second), abs=1e-12)


def test_repeated_trials_and_ties_are_all_pairs_of_trials() -> None:
    rng = np.random.default_rng(3)
    weights = rng.integers(0, 4, (3, 12)).astype(float)
    n_right = np.array([[rng.integers(0, count + 1) for count in row] for row in weights])
    correct = n_right / np.maximum(weights, 1)
    credit = rng.choice([0.0, 1 / 3, 0.5, 1.0], 12)  # of ties between outputs

    def trials(observer: int, stimulus: int) -> list[bool]:
        count, right = int(weights[observer, stimulus]), int(n_right[observer, stimulus])
        return [True] * right + [False] * (count - right)

    for observer in range(3):
        answers, model, shares = [], [], []
        for stimulus in range(12):
            for answer in trials(observer, stimulus):
                answers += [answer, answer]
                model += [True, False]
                shares += [credit[stimulus], 1 - credit[stimulus]]
        expected = cohen_kappa_score(model, answers, sample_weight=shares)
        assert kappa_with_model(weights, correct, credit)[observer] == pytest.approx(expected, abs=1e-12)
    between = kappa_between(weights, correct)
    for first, second in combinations(range(3), 2):
        pairs = [(a, b) for place in range(12) for a in trials(first, place) for b in trials(second, place)]
        expected = cohen_kappa_score(*zip(*pairs, strict=True))
        assert between[first, second] == pytest.approx(expected, abs=1e-12)
        assert between[first, second] == between[second, first]


def test_trials_of_a_stimulus_that_was_shown_again_all_count() -> None:
    again = observers(5)[:25].assign(subject="s0")
    table = pd.concat([observers(0), again, again[:9]], ignore_index=True)
    values = outputs(1)
    scores = against(table, condition="").score(layer(values))
    chosen = dict(zip(IDS, np.array(LABELS)[values.argmax(axis=1)], strict=True))
    part = table[table["subject"] == "s0"]
    model = [chosen[name] == TRUTH[name] for name in part["stimulus_id"]]
    assert len(part) > part["stimulus_id"].nunique()
    expected = sklearn_kappa(model, part["choice"] == part["truth"])
    assert float(scores["kappa"].sel(subject="s0")) == pytest.approx(expected, abs=1e-12)
    assert float(scores["human_accuracy"].sel(subject="s0")) == pytest.approx((part.choice == part.truth).mean())
    assert float(scores["accuracy"].sel(subject="s0")) == pytest.approx(np.mean(model))


def test_ties_do_not_depend_on_the_order_of_the_units() -> None:
    values = np.round(outputs(1))
    comparison = against(observers(0))
    found = comparison.score(layer(values))["kappa"].values
    turned = comparison.score(layer(values[:, ::-1], units=LABELS[::-1]))["kappa"].values
    np.testing.assert_allclose(found, turned, **EXACT)
    assert ((values == values.max(axis=1, keepdims=True)).sum(axis=1) > 1).any()


def test_an_accurate_model_that_errs_elsewhere_gains_nothing() -> None:
    rng = np.random.default_rng(0)
    kappas = []
    for seed in range(40):
        right = np.eye(4)[np.arange(N_STIMULI) % 4]
        wrong = np.roll(right, 1, axis=1)
        values = np.where(rng.random((N_STIMULI, 1)) < 0.8, right, wrong)
        comparison = against(observers(seed, n_subjects=1, conditions=("all",)))
        kappas.append(float(comparison.score(layer(values))["kappa"][0]))
    assert abs(np.mean(kappas)) < 3 * np.std(kappas, ddof=1) / np.sqrt(40)


# --- the ceiling ------------------------------------------------------------------------------------------------------


def test_ceiling_is_the_kappa_of_observers_with_each_other() -> None:
    table = observers(4, n_subjects=4)
    comparison = against(table)
    comparison.rules = replace(comparison.rules, ceiling_mode="r_over_sqrt_c")
    answers = {key: part.set_index("stimulus_id") for key, part in table.groupby(["subject", "condition"])}
    subjects, expected = [f"s{number}" for number in range(4)], []
    for subject in subjects:
        by_condition = []
        for condition in ("loud", "quiet"):
            own, kappas = answers[subject, condition], []
            for other in (answers[name, condition] for name in subjects if name != subject):
                common = own.index.intersection(other.index)
                assert 2 < len(common) < 31
                first, second = ((rows.loc[common].choice == rows.loc[common].truth) for rows in (own, other))
                kappas.append(sklearn_kappa(first, second))
            by_condition.append(np.mean(kappas))
        expected.append(np.mean(by_condition))
    scores = comparison.score(layer(outputs(0)))
    np.testing.assert_allclose(scores["ceiling"], expected, **EXACT)
    summary = comparison.summarise(scores)
    assert summary.ceiling == pytest.approx(np.mean(expected), abs=1e-12)
    assert summary.ceiled == pytest.approx(summary.value / summary.ceiling, abs=1e-12)
    assert summary.ceiling_estimator == "mean Cohen's kappa of each observer with the others"


def test_one_observer_has_no_ceiling() -> None:
    comparison = against(observers(0, n_subjects=1))
    summary = comparison.summarise(comparison.score(layer(outputs(0))))
    assert comparison.ceiling is None
    assert (summary.ceiling, summary.ceiling_estimator, summary.resampled) == (None, "none", "stimuli")


# --- undefined values -------------------------------------------------------------------------------------------------


def test_undefined_kappa_is_null_and_left_out() -> None:
    table = observers(0)
    table["choice"] = np.where(table["subject"] == "s1", table["truth"], table["choice"])
    comparison = against(table)
    perfect = np.eye(4)[np.arange(N_STIMULI) % 4]
    scores = comparison.score(layer(perfect))
    summary = comparison.summarise(scores)
    np.testing.assert_array_equal(scores["null"], [False, True, False])
    assert np.isnan(scores["kappa"][1])
    assert (summary.n_null, summary.value) == (1, 0.0), "no errors in common with those who err"
    always = against(table[table["subject"] == "s1"])
    nothing = always.summarise(always.score(layer(perfect)))
    assert (nothing.value, nothing.interval_low, nothing.n_null) == (None, None, 1)
    # a condition in which kappa is undefined is left out of the observer's mean
    partly = observers(0)
    loud = partly["condition"] == "loud"
    partly["choice"] = np.where(loud, partly["truth"], partly["choice"])
    model = np.where(np.array([place // 4 % 2 == 0 for place in range(N_STIMULI)])[:, None], perfect, outputs(1))
    scores = against(partly).score(layer(model))
    assert np.isnan(scores["kappa_by_condition"].sel(condition="loud")).all()
    np.testing.assert_array_equal(scores["kappa"], scores["kappa_by_condition"].sel(condition="quiet"))


def test_undefined_kappa_is_not_computed() -> None:
    accuracies = np.array([0.0, 1.0, 1 - 1e-16, 0.5])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(np.isnan(cohen_kappa(accuracies, accuracies, accuracies)), [1, 1, 1, 0])


def test_a_single_stimulus_says_nothing() -> None:
    drawn = np.array([[3.0, 0, 0], [2, 1, 0]])
    found = kappa_with_model(np.ones((1, 3)), np.array([[1.0, 0, 0]]), np.array([0.0, 1, 1]), drawn)
    np.testing.assert_array_equal(np.isnan(found), [[True], [False]])
    table = observers(0)
    alone = against(table[table["stimulus_id"] == IDS[0]])
    assert alone.ceiling is None
    assert alone.summarise(alone.score(layer(outputs(0)))).value is None


# --- the interval -----------------------------------------------------------------------------------------------------


def test_draws_equal_resampled_trials() -> None:
    table, values = observers(0), outputs(1)
    comparison = against(table)
    scores = comparison.score(layer(values))
    draws, resampled, *_ = comparison.resample(scores, 6, 9)
    assert resampled == "stimuli × participants"
    chosen = np.array(LABELS)[values.argmax(axis=1)]
    counts, weights = draw_counts(N_STIMULI, 6, 9, "stimuli"), draw_counts(3, 6, 9, "participants")
    ids = list(comparison.division.test)
    for draw in range(6):
        kappas = []
        for subject in ("s0", "s1", "s2"):
            part = table[table["subject"] == subject]
            repeats = np.array([counts[draw, ids.index(name)] for name in part["stimulus_id"]]).astype(int)
            drawn = part.loc[part.index.repeat(repeats)]
            model = np.array([chosen[IDS.index(name)] == TRUTH[name] for name in drawn["stimulus_id"]])
            by_condition = [
                sklearn_kappa(
                    model[drawn["condition"] == name], (drawn["choice"] == drawn["truth"])[drawn.condition == name]
                )
                for name in ("loud", "quiet")
            ]
            kappas.append(np.mean(by_condition))
        assert draws[draw] == pytest.approx(np.average(kappas, weights=weights[draw]), abs=1e-12)


def test_interval_covers_the_value() -> None:
    comparison = against(observers(0))
    summary = comparison.summarise(comparison.score(layer(outputs(1))))
    assert summary.interval_low < summary.value < summary.interval_high
    assert (summary.error_kind, len(summary.draws)) == ("bootstrap standard deviation", 1000)


# --- targets, layers and settings -------------------------------------------------------------------------------------


def test_arrays_and_data_sets_give_what_the_table_gives() -> None:
    table = observers(0)
    expected = against(table).score(layer(outputs(1)))["kappa"].values
    array = xr.DataArray(
        table["choice"].to_numpy(),
        dims="presentation",
        coords={name: ("presentation", table[name].to_numpy()) for name in table.columns if name != "choice"},
    )
    pictures = {name: Stimulus(name, "image", np.zeros((2, 2, 3), np.uint8)) for name in IDS}
    labels = pd.DataFrame({"object": [TRUTH[name] for name in IDS]}, index=IDS)
    dataset = Dataset("pictures", StimulusSet("pictures", "image", pictures, table=labels), trials=table)
    unlabelled = replace(dataset, trials=table.drop(columns="truth"))
    for target, settings in ((array, {}), (dataset, {}), (unlabelled, {"label": "object"})):
        found = against(target, **settings).score(layer(outputs(1)))["kappa"].values
        np.testing.assert_allclose(found, expected, **EXACT)


def test_conditions_are_a_column_of_any_name_or_none() -> None:
    table = observers(0)
    renamed = table.rename(columns={"condition": "noise"})
    expected = against(table).score(layer(outputs(1)))
    found = against(renamed, condition="noise").score(layer(outputs(1)))
    xr.testing.assert_allclose(found, expected)
    pooled = against(table, condition="").score(layer(outputs(1)))
    without = against(renamed).score(layer(outputs(1)))
    assert pooled["condition"].values.tolist() == ["all"]
    xr.testing.assert_identical(pooled, without)
    assert (np.abs(pooled["kappa"].values - expected["kappa"].values) > 1e-6).any()
    pictures = {name: Stimulus(name, "image", np.zeros((2, 2, 3), np.uint8)) for name in IDS}
    of_stimuli = pd.DataFrame(
        {"condition": [("loud", "quiet")[place // 4 % 2] for place in range(N_STIMULI)]}, index=IDS
    )
    stimuli = StimulusSet("pictures", "image", pictures, table=of_stimuli)
    dataset = Dataset("pictures", stimuli, trials=table.drop(columns="condition"))
    np.testing.assert_array_equal(against(dataset).score(layer(outputs(1)))["kappa"], expected["kappa"])
    with pytest.raises(SettingsError, match=r"have a column 'nose' of conditions. Did you mean noise\?"):
        against(renamed, condition="nose")


def test_the_best_of_several_layers_is_marked_optimistic() -> None:
    comparison = against(observers(0))
    layers = {name: layer(outputs(seed), name=name) for seed, name in enumerate(("first", "second", "third"))}
    summary = comparison.summarise(comparison.score_all(layers))
    values = {name: comparison.summarise(comparison.score(item)) for name, item in layers.items()}
    best = max(values, key=lambda name: values[name].value)
    assert (summary.layer_rule, summary.best_layer) == ("optimistic", best)
    assert (summary.value, summary.draws) == (values[best].value, values[best].draws)


def test_features_are_read_out() -> None:
    rng = np.random.default_rng(0)
    fit = [f"fit{place:02d}" for place in range(40)]
    labels = [*(LABELS[place % 4] for place in range(40)), *(TRUTH[name] for name in IDS)]
    features = rng.standard_normal((4, 12))[[LABELS.index(label) for label in labels]]
    features = features + rng.standard_normal(features.shape) * 1.5
    extra = pd.DataFrame({"stimulus_id": fit, "truth": labels[:40], "split": "fit"})
    table = pd.concat([observers(0).assign(split="test"), extra], ignore_index=True)
    comparison = against(table, readout={"c": 1.0})
    scores = comparison.score(Activations("features", [*fit, *IDS], [features]))
    assert (comparison.n_stimuli, scores["accuracy"].min() > 0.5) == (60, True)
    with pytest.raises(DataError, match=r"40 of .* trials .* have no 'choice'"):
        against(table)


def test_bad_input_is_refused() -> None:
    table = observers(0)
    for column in ("subject", "choice"):
        with pytest.raises(DataError, match=f"have no column '{column}'"):
            against(table.drop(columns=column))
    with pytest.raises(SettingsError, match="Neither stimuli nor trials of the table have a column 'label'"):
        against(table, label="label")
    with pytest.raises(DataError, match=r"1 of 165 trials of the table have no 'choice'.*a word such as 'none'"):
        against(table.assign(choice=[None, *table["choice"][1:]]))
    with pytest.raises(DataError, match=r"No choice of the trials is a label .* not whether it was right"):
        against(table.assign(choice=(table["choice"] == table["truth"]).astype(int)))
    comparison = against(table)
    with pytest.raises(DataError, match="1 of 4 choices have no unit of 'logits' named after them: dog"):
        comparison.score(layer(outputs(0)[:, :3], units=LABELS[:3]))
    with pytest.raises(DataError, match="have no names"):
        comparison.score(layer(outputs(0), units=None))
    with pytest.raises(AlignmentError, match="lack 1 of 60 stimuli"):
        comparison.score(layer(outputs(0)[1:], IDS[1:]))
    comparison.rules = replace(comparison.rules, ceiling_mode="r2_over_c")
    with pytest.raises(SettingsError, match="not offered"):
        comparison.summarise(comparison.score(layer(outputs(0))))
