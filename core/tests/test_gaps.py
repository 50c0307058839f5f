"""Gaps: trials that are missing for some neuroids, and stimuli of which a neuroid has no trial at all."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from isocortex.data.dataset import Dataset, averaged, make_responses, repetitions, stimulus_order
from isocortex.data.gaps import close_gaps
from isocortex.data.response_checks import check_responses
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.errors import AlignmentError, DataError, SettingsError

N_TRIALS, N_STIMULI, N_NEUROIDS = 4, 6, 5
IDS = [f"s{place}" for place in range(N_STIMULI)]
ALL = slice(None)


def stimuli() -> StimulusSet:
    sounds = {name: Stimulus(name, "audio", np.full(9, place, "f4"), 8000.0) for place, name in enumerate(IDS)}
    return StimulusSet("sounds", "audio", sounds)


def trials(*gone: tuple[object, object, object]) -> np.ndarray:
    """Numbers that are all different, without those at (trial, stimulus, neuroid)."""
    values = np.random.default_rng(1).normal(size=(N_TRIALS, N_STIMULI, N_NEUROIDS))
    for place in gone:
        values[place] = np.nan
    return values


def dataset(values: np.ndarray, **about: str) -> Dataset:
    return Dataset("demo", stimuli(), responses=make_responses(values, IDS), **about)  # pyright: ignore[reportArgumentType]


def responses_in(data: Dataset) -> xr.DataArray:
    assert data.responses is not None
    return data.responses


def test_trials_may_be_missing_for_some_neuroids_and_a_mean_is_over_those_that_are_there() -> None:
    values = trials((0, 1, 2), (3, 1, 2), (2, 4, 0), (ALL, 5, 3), (3, ALL, ALL))
    values[1, 5, 3] = 7.0  # one trial is enough
    data = dataset(values)
    found = responses_in(data)
    assert found.sizes["presentation"] == 3 * N_STIMULI, "what no neuroid has is no presentation"
    expected = np.array([[one[~np.isnan(one)].mean() for one in row] for row in values.transpose(1, 2, 0)])
    np.testing.assert_allclose(averaged(found), expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(repetitions(found), values[:3])
    [said] = data.warnings
    assert (
        "Of 18 presentations of 'demo', 4 are missing for some neuroids (3 of 5: neuroid0, neuroid2, neuroid3)" in said
    )


def test_a_gap_is_neither_zero_nor_nothing_to_the_digest() -> None:
    gap, zero = trials((0, 1, 2)), trials()
    zero[0, 1, 2] = 0.0
    digests = {dataset(values).digest for values in (gap, zero, trials(), trials((1, 1, 2)))}
    assert len(digests) == 4
    assert dataset(gap).digest == dataset(trials((0, 1, 2))).digest


@pytest.mark.parametrize("gone", [(ALL, 1, 2), (ALL, 1, ALL)])
def test_a_stimulus_without_a_trial_is_refused_in_one_line_with_the_choice(gone: tuple[object, object, object]) -> None:
    n_gone = 1 if gone[2] == 2 else N_NEUROIDS
    words = rf"no trial of 1 of 6 stimuli \(s1\) for {n_gone} of 5 neuroids .*'drop-stimuli' or gaps = 'drop-neuroids'"
    for make in (dataset, lambda values: check_responses("demo", make_responses(values, IDS))):
        with pytest.raises(DataError, match=words) as caught:
            make(trials(gone))
        assert "\n" not in str(caught.value)


def test_stimuli_are_dropped_for_all_neuroids_and_counted() -> None:
    values = trials((ALL, 1, 2), (ALL, 4, ALL), (0, 0, 0))
    data = dataset(values, gaps="drop-stimuli")
    assert data.stimuli.ids == ("s0", "s2", "s3", "s5")
    assert "2 of 6 stimuli of 'demo' have no trial for some neuroids and were dropped: s1, s4." in data.warnings
    np.testing.assert_array_equal(repetitions(responses_in(data)), values[:, [0, 2, 3, 5]])
    assert data.select(neuroid_id="neuroid0").warnings[0] == data.warnings[0], "what was dropped stays said"
    absent = make_responses(values[:, [0, 2]], ["s0", "s2"])
    assert Dataset("demo", stimuli(), responses=absent, gaps="drop-stimuli").stimuli.ids == ("s0", "s2")
    with pytest.raises(
        AlignmentError, match=r"4 of 6 stimuli of 'demo' have no responses: s1, s3, s4, s5.*drop-stimul"
    ):
        Dataset("demo", stimuli(), responses=absent)


def test_neuroids_are_dropped_and_counted() -> None:
    values = trials((ALL, 1, 2), (ALL, 4, 2), (ALL, 3, 0))
    data = dataset(values, gaps="drop-neuroids")
    assert responses_in(data)["neuroid_id"].values.tolist() == ["neuroid1", "neuroid3", "neuroid4"]
    assert data.stimuli.ids == tuple(IDS)
    [said] = data.warnings
    assert said == "2 of 5 neuroids of 'demo' have no trial of some stimuli and were dropped: neuroid0, neuroid2."


def test_trials_that_some_neuroids_lack_are_dropped_and_counted() -> None:
    values = trials((0, 1, 2), (3, 1, 0))
    data = dataset(values, gaps="drop-trials")
    found = repetitions(responses_in(data))
    np.testing.assert_array_equal(found[:2, 1], values[1:3, 1])
    assert np.isnan(found[2:, 1]).all()
    assert data.warnings[0].startswith("2 of 24 trials of 'demo' are not there for all neuroids and were dropped")
    with pytest.raises(DataError, match="no trial of 1 of 6 stimuli"):
        dataset(trials(*((place, 1, place) for place in range(N_TRIALS))), gaps="drop-trials")


@pytest.mark.parametrize(("gaps", "other"), [("drop-stimuli", "drop-neuroids"), ("drop-neuroids", "drop-stimuli")])
def test_nothing_left_is_refused(gaps: str, other: str) -> None:
    gone = (ALL, ALL, 2) if gaps == "drop-stimuli" else (ALL, 3, ALL)
    with pytest.raises(DataError, match=f"so that none is left.*{other}"):
        dataset(trials(gone), gaps=gaps)


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"gaps = 'drop-neuroid' is unknown. Did you mean drop-neuroids"):
        dataset(trials(), gaps="drop-neuroid")


def test_gaps_of_arrays_in_a_notebook_are_closed_and_warned_of() -> None:
    responses = make_responses(trials((ALL, 1, 2)), IDS)
    with pytest.warns(UserWarning, match="1 of 6 stimuli of 'the responses' have no trial"):
        found = close_gaps(responses, "drop-stimuli")
    assert found.sizes == {"presentation": N_TRIALS * (N_STIMULI - 1), "neuroid": N_NEUROIDS}
    check_responses("demo", found)


def test_a_constant_neuroid_with_gaps_is_still_said_to_be_constant() -> None:
    values = trials()
    values[:, :, 1] = 3.0
    values[0, 0, 1] = np.nan
    assert any("have one value for all rows" in said and "neuroid1" in said for said in dataset(values).warnings)


def test_stimuli_keep_their_order_where_the_first_trial_of_some_is_gone() -> None:
    values = trials((0, 0, ALL), (slice(0, 2), 3, ALL))
    found = check_responses("demo", make_responses(values, IDS))
    assert stimulus_order(found) == tuple(IDS)
    expected = np.array([[one[~np.isnan(one)].mean() for one in row] for row in values.transpose(1, 2, 0)])
    np.testing.assert_allclose(averaged(found), expected, rtol=0, atol=1e-12)


def test_of_selected_neuroids_only_their_own_gaps_are_said() -> None:
    values = trials((1, 0, 1))[..., :3]
    made = make_responses(values, IDS, neuroid={"neuroid_id": ["n0", "n1", "n2"], "region": ["A", "B", "B"]})
    data = Dataset("demo", stimuli(), responses=made)
    assert any("missing for some neuroids (1 of 3: n1)" in text for text in data.warnings)
    assert data.select(region="A").warnings == ()
    [said] = data.select(region="B").warnings
    assert "missing for some neuroids (1 of 2: n1)" in said
