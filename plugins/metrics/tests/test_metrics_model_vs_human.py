"""``model-vs-human``: against loops over data sets, observers and conditions, trial by trial."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

import isocortex
from isocortex.activations.layer import Activations
from isocortex.errors import AlignmentError, DataError, SettingsError
from isocortex.interfaces import Preparation, Rules
from isocortex.scoring.stats import draw_counts

LABELS = ["ape", "bee", "cat", "dog"]
MEASURES = ["kappa", "observed_consistency", "accuracy", "accuracy_difference"]
#: data set → observers, conditions, stimuli
SETS = {"blur": (4, ("0.5", "3.0", "10"), 60), "noise": (3, ("low", "high"), 40), "sketch": (5, ("-",), 30)}


def trials(seed: int = 0) -> pd.DataFrame:
    """Every observer of a data set sees all of its pictures once, each under its condition; some answer nothing."""
    rng = np.random.default_rng(seed)
    rows = []
    for data_set, (n_subjects, conditions, n_stimuli) in SETS.items():
        difficulty = rng.uniform(0.1, 0.9, n_stimuli)
        for subject in range(n_subjects):
            for place in rng.permutation(n_stimuli):
                truth = LABELS[place % 4]
                right = rng.random() > difficulty[place]
                choice = truth if right else str(rng.choice([*LABELS, "na"]))
                condition = conditions[place // 4 % len(conditions)]
                rows.append((f"{data_set}/{place:02d}", truth, data_set, f"subject-{subject}", condition, choice))
    names = ["stimulus_id", "truth", "data_set", "subject", "condition", "choice"]
    return pd.DataFrame(rows, columns=names).sample(frac=1, random_state=seed, ignore_index=True)


TABLE = trials()
IDS = sorted(set(TABLE["stimulus_id"]))
TRUTH = dict(zip(TABLE["stimulus_id"], TABLE["truth"], strict=True))


def outputs(seed: int = 1) -> np.ndarray:
    """Outputs (n_stimuli, 4) of a model that is right now and then."""
    rng = np.random.default_rng(seed)
    right = np.eye(4)[[LABELS.index(TRUTH[name]) for name in IDS]]
    return right * 1.2 + rng.standard_normal((len(IDS), 4))


def layer(values: np.ndarray, name: str = "logits") -> Activations:
    return Activations(name, IDS, [values], units=LABELS)


def against(target: pd.DataFrame = TABLE, measure: str | None = None, **settings: object):
    """The comparison with some trials."""
    preparation = Preparation(Rules(measure=measure))
    return isocortex.load_metric("model-vs-human").against(target, settings=settings, preparation=preparation)


def four(first: np.ndarray, second: np.ndarray) -> list[float]:
    """The published formulas on two lists of right and wrong; the second is the model's."""
    p, q, observed = first.mean(), second.mean(), (first == second).mean()
    expected = p * q + (1 - p) * (1 - q)
    return [(observed - expected) / (1 - expected), observed, q, (p - q) ** 2]


def of_model(table: pd.DataFrame, chosen: dict[str, str]) -> np.ndarray:
    """Four numbers of a model, by nothing but loops."""
    table = table.assign(right=table["choice"] == table["truth"])
    table["model"] = [chosen[name] == truth for name, truth in zip(table["stimulus_id"], table["truth"], strict=True)]
    by_set = []
    for _, one in table.groupby("data_set"):
        by_subject = [
            np.mean([four(*part[["right", "model"]].to_numpy().T) for _, part in own.groupby("condition")], axis=0)
            for _, own in one.groupby("subject")
        ]
        by_set.append(np.mean(by_subject, axis=0))
    return np.mean(by_set, axis=0)


def of_people(table: pd.DataFrame) -> np.ndarray:
    """Four numbers of observers among themselves: over pairs, conditions and data sets."""
    table = table.assign(right=table["choice"] == table["truth"])
    by_set = []
    for _, one in table.groupby("data_set"):
        by_condition = []
        for _, part in one.groupby("condition"):
            right = part.pivot_table(index="stimulus_id", columns="subject", values="right", aggfunc="first")
            right = right.to_numpy(dtype=bool)
            pairs = [four(right[:, a], right[:, b]) for a, b in combinations(range(right.shape[1]), 2)]
            found = np.mean(pairs, axis=0)
            found[2] = right.mean()  # accuracy is everyone's own
            by_condition.append(found)
        by_set.append(np.mean(by_condition, axis=0))
    return np.mean(by_set, axis=0)


def chosen_by(values: np.ndarray) -> dict[str, str]:
    return dict(zip(IDS, np.array(LABELS)[values.argmax(axis=1)], strict=True))


def test_four_numbers_equal_loops_over_data_sets_observers_and_conditions() -> None:
    expected, people = of_model(TABLE, chosen_by(outputs())), of_people(TABLE)
    for place, measure in enumerate(MEASURES):
        comparison = against(measure=measure)
        scores = comparison.score_all({"logits": layer(outputs())})
        summary = comparison.summarise(scores)
        assert (summary.statistic, summary.target) == (measure, "participant")
        assert summary.value == pytest.approx(expected[place], abs=1e-9)
        assert summary.ceiling == pytest.approx(people[place], abs=1e-9)
        assert summary.ceiled is None, "people among themselves are a reference and no divisor"
        assert (summary.n_stimuli, summary.n_subjects, summary.n_null) == (130, 12, 0)
        others = [name for name in MEASURES if name != measure]
        assert set(summary.also) == {*others, *(f"human_{name}" for name in others)}
        assert [summary.also[name] for name in others] == pytest.approx(
            [expected[MEASURES.index(name)] for name in others], abs=1e-9
        )
        assert scores["data_set"].values.tolist() == list(SETS)
        by_set = scores[f"{measure}_by_data_set"].isel(layer=0)
        assert float(by_set.mean()) == pytest.approx(expected[place], abs=1e-9)


def test_neither_conditions_nor_data_sets_nor_observers_are_pooled() -> None:
    """Each of the ways to pool gives another number, so that the tests can tell them apart."""
    chosen = chosen_by(outputs())
    expected, pooled_conditions = of_model(TABLE, chosen), of_model(TABLE.assign(condition="all"), chosen)
    one_set = TABLE.assign(subject=TABLE["data_set"] + TABLE["subject"], data_set="all")
    pooled_sets = of_model(one_set, chosen)
    assert abs(expected[0] - pooled_conditions[0]) > 1e-3
    assert abs(expected[0] - pooled_sets[0]) > 1e-3
    together = against(condition="").score(layer(outputs()))
    assert float(against().collapse(together["kappa"], "kappa")) == pytest.approx(pooled_conditions[0], abs=1e-9)
    together = against(TABLE.drop(columns="data_set").assign(subject=one_set["subject"]))
    assert together.subjects == sorted(set(one_set["subject"]))
    found = together.summarise(together.score(layer(outputs())))
    assert found.value == pytest.approx(pooled_sets[0], abs=1e-9)


def test_the_order_of_trials_stimuli_and_units_does_not_matter() -> None:
    expected = against().score(layer(outputs()))["kappa"].values
    turned = Activations("logits", IDS[::-1], [outputs()[::-1, ::-1]], units=LABELS[::-1])
    found = against(TABLE.iloc[::-1].reset_index(drop=True)).score(turned)["kappa"].values
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_draws_equal_resampled_trials_of_each_data_set() -> None:
    values = outputs()
    for measure in ("kappa", "accuracy_difference"):
        comparison = against(measure=measure)
        scores = comparison.score_all({"logits": layer(values)})
        draws, resampled, *_ = comparison.resample(scores, 3, 7)
        assert resampled == "stimuli × participants"
        for draw in range(3):
            by_set = []
            for data_set, (n_subjects, _, n_stimuli) in SETS.items():
                one = TABLE[TABLE["data_set"] == data_set]
                ids = list(dict.fromkeys(name for name in comparison.division.test if name.startswith(f"{data_set}/")))
                counts = draw_counts(n_stimuli, 3, 7, f"stimuli {data_set}")[draw]
                repeats = one["stimulus_id"].map(dict(zip(ids, counts, strict=True))).astype(int)
                drawn = one.loc[one.index.repeat(repeats)]
                weights = draw_counts(n_subjects, 3, 7, f"participants {data_set}")[draw]
                of_subjects = []
                for subject in sorted(set(one["subject"])):
                    own = drawn[drawn["subject"] == subject]
                    found = [
                        four(
                            (part["choice"] == part["truth"]).to_numpy(),
                            np.array([chosen_by(values)[name] == TRUTH[name] for name in part["stimulus_id"]]),
                        )[MEASURES.index(measure)]
                        for _, part in own.groupby("condition")
                    ]
                    of_subjects.append(np.mean(found))
                by_set.append(np.average(of_subjects, weights=weights))
            assert draws[draw] == pytest.approx(np.mean(by_set), abs=1e-9)
    summary = against().summarise(against().score(layer(values)))
    assert summary.interval_low < summary.value < summary.interval_high


def test_where_kappa_is_not_defined_it_is_left_out_and_counted() -> None:
    table = TABLE.copy()
    easy = (table["data_set"] == "sketch") & (table["subject"] == "subject-1")
    table.loc[easy, "choice"] = table.loc[easy, "truth"]
    values = outputs()
    sketch = np.array([name.startswith("sketch") for name in IDS])
    values[sketch] = np.eye(4)[[LABELS.index(TRUTH[name]) for name in np.array(IDS)[sketch]]]
    comparison = against(table)
    scores = comparison.score(layer(values))
    assert scores["subject"].values[scores["null"].values].tolist() == ["sketch/subject-1"]
    summary = comparison.summarise(scores)
    assert summary.n_null == 1
    assert summary.value == pytest.approx(float(scores["kappa_by_data_set"].mean()), abs=1e-12)
    assert not np.isnan(scores["observed_consistency"]).any()


def test_ties_count_by_their_expectation() -> None:
    flat = against().score(layer(np.zeros((len(IDS), 4))))
    np.testing.assert_allclose(flat["accuracy"], 0.25, rtol=0, atol=1e-12)
    np.testing.assert_allclose(flat["kappa"], 0, rtol=0, atol=1e-12)


def test_a_measure_of_which_less_is_better_chooses_no_layer() -> None:
    layers = {name: layer(outputs(seed), name) for seed, name in enumerate(("first", "second"))}
    best = against().summarise(against().score_all(layers))
    assert best.layer_rule == "optimistic"
    with pytest.raises(SettingsError, match=r"a smaller value is the better one.*2 were given. Pick one with --layers"):
        against(measure="accuracy_difference").score_all(layers)


def test_bad_input_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"no measure 'kapa'. It has kappa, observed_consistency"):
        against(measure="kapa")
    with pytest.raises(SettingsError, match="have a column 'dataset'"):
        against(data_set="dataset")
    with pytest.raises(DataError, match="have no column 'subject'"):
        against(TABLE.drop(columns="subject"))
    with pytest.raises(DataError, match="has two values of 'data_set'"):
        against(TABLE.assign(data_set=["other", *TABLE["data_set"][1:]]))
    with pytest.raises(AlignmentError, match="lack 1 of 130 stimuli"):
        against().score(Activations("logits", IDS[1:], [outputs()[1:]], units=LABELS))
    comparison = against()
    comparison.rules = replace(comparison.rules, ceiling_mode="r_over_sqrt_c")
    with pytest.raises(SettingsError, match="not offered"):
        comparison.summarise(comparison.score(layer(outputs())))


def test_a_readout_of_the_tested_stimuli_is_said() -> None:
    assert not any("Overlapping" in text for text in against(readout={"fit": "folds", "n_folds": 2}).warnings)
    assert any("Overlapping" in text for text in against(readout={"fit": "same"}).warnings)
