"""Splits against scikit-learn's splitters, and the properties that scores rest on."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, KFold, LeaveOneGroupOut, StratifiedKFold

from isocortex.data import make_responses
from isocortex.errors import DataError, SettingsError
from isocortex_metrics.target.splits import SplitSettings, draw_splits, fixed_split, folds, leave_one_group_out


def expected_folds(splitter, n_folds, n_repeats, seed, *labels):
    """Train and test of scikit-learn's splitter, one generator per repeat."""
    for repeat in range(n_repeats):
        made = splitter(n_folds, shuffle=True, random_state=np.random.RandomState([seed, repeat]))
        yield from made.split(np.zeros((len(labels[0]), 1)), *labels)


def same(splits, expected) -> None:
    expected = list(expected)
    assert len(splits) == len(expected)
    for split, (train, test) in zip(splits, expected, strict=True):
        np.testing.assert_array_equal(split.train, train)
        np.testing.assert_array_equal(split.test, test)


@pytest.mark.parametrize(("n_stimuli", "n_folds", "n_repeats", "seed"), [(165, 5, 2, 0), (23, 4, 3, 7), (9, 3, 1, 1)])
def test_plain_folds_are_those_of_scikit_learn(n_stimuli, n_folds, n_repeats, seed) -> None:
    found = folds(n_stimuli, n_folds=n_folds, n_repeats=n_repeats, seed=seed)
    same(found, expected_folds(KFold, n_folds, n_repeats, seed, np.zeros(n_stimuli)))


@pytest.mark.parametrize("seed", [0, 3])
def test_stratified_folds_are_those_of_scikit_learn(seed) -> None:
    labels = np.random.default_rng(seed).choice(["speech", "music", "dog", "rain"], 60, p=[0.5, 0.3, 0.15, 0.05])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the rarest label has fewer stimuli than folds
        same(folds(60, seed=seed, strata=labels), expected_folds(StratifiedKFold, 5, 2, seed, labels))


def test_grouped_folds_are_those_of_scikit_learn() -> None:
    groups = np.random.default_rng(1).choice([f"speaker{number}" for number in range(12)], 70)
    same(folds(70, seed=4, groups=groups), expected_folds(GroupKFold, 5, 2, 4, np.zeros(70), groups))


def test_groups_never_straddle_and_every_stimulus_is_tested_once_per_repeat() -> None:
    groups = np.repeat(np.arange(9), 4)
    splits = folds(36, n_folds=3, n_repeats=4, seed=2, groups=groups)
    assert len(splits) == 12
    for split in splits:
        assert not set(groups[split.train]) & set(groups[split.test])
        np.testing.assert_array_equal(np.sort(np.concatenate([split.train, split.test])), np.arange(36))
    np.testing.assert_array_equal(np.bincount(np.concatenate([split.test for split in splits])), 4)


def test_labels_are_spread_evenly() -> None:
    labels = np.repeat(["a", "b", "c"], [50, 30, 20])
    for split in folds(100, strata=labels, seed=1):
        assert [np.sum(labels[split.test] == name) for name in "abc"] == [10, 6, 4]


def test_seed_decides() -> None:
    first, again, other = (folds(40, seed=seed) for seed in (0, 0, 1))
    same(first, again)
    assert any(not np.array_equal(one.test, two.test) for one, two in zip(first, other, strict=True))


def test_one_group_out() -> None:
    groups = list("dcdbcbdcb")
    splits = leave_one_group_out(groups)
    expected = {tuple(test): tuple(train) for train, test in LeaveOneGroupOut().split(groups, groups=groups)}
    assert {tuple(split.test): tuple(split.train) for split in splits} == expected
    assert [groups[split.test[0]] for split in splits] == ["d", "c", "b"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n_stimuli": 4}, ("at least 15 stimuli", "found 4", "n_folds")),
        ({"n_stimuli": 20, "groups": ["a"] * 16 + list("bcde")}, ("at least 3 stimuli", "has 1")),
        ({"n_stimuli": 10, "n_folds": 1}, ("at least 2 folds",)),
        ({"n_stimuli": 20, "groups": ["a"] * 15 + ["b"] * 5}, ("groups", "found 2")),
        ({"n_stimuli": 20, "strata": ["a"] * 19}, ("expected 20, found 19",)),
        ({"n_stimuli": 20, "strata": ["a"] * 20, "groups": ["a"] * 20}, ("not both",)),
    ],
)
def test_what_cannot_be_split_is_named(arguments, words) -> None:
    with pytest.raises(DataError) as caught:
        folds(**arguments)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("groups", ["aaaa", "aaabb"])
def test_groups_that_cannot_be_left_out_are_named(groups) -> None:
    with pytest.raises(DataError, match=r"found 1|has 2"):
        leave_one_group_out(list(groups))


# --- declared splits --------------------------------------------------------------------------------------------------


def test_a_declared_split_is_taken_as_it_is_by_name() -> None:
    ids = [f"s{number}" for number in range(9)]
    words = ["test", "train", "train", "test", "train", "test", "train", "train", "train"]
    responses = make_responses(np.ones((9, 2)), ids).assign_coords(part=("presentation", words))
    settings = SplitSettings(scheme="fixed", split_column="part")
    (split,) = draw_splits(responses, responses, settings, seed=7)
    assert split.train.tolist() == [1, 2, 4, 6, 7, 8]
    assert split.test.tolist() == [0, 3, 5]
    with pytest.raises(SettingsError, match="no column 'split'"):
        draw_splits(responses, responses, SplitSettings(scheme="fixed"), seed=0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train"] * 5 + ["val"] * 4, "'split' must say train or test; found val"),
        (["train"] * 7 + ["test"] * 2, "at least 3 training and test stimuli; the column 'split' has 7 and 2"),
    ],
)
def test_a_declared_split_of_other_words_or_too_few_stimuli_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        fixed_split(words, "split")
