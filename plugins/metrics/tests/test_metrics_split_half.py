"""Split halves and inter-subject correlation: enumeration, simulations of known reliability, golden values."""

from __future__ import annotations

from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import isocortex
from isocortex.data.dataset import make_responses
from isocortex.errors import DataError, SettingsError
from isocortex.interfaces import Preparation, Rules
from isocortex_metrics.ceilings.estimators import from_halves, from_participants
from isocortex_metrics.ceilings.inter_subject import inter_subject, shared_neuroids
from isocortex_metrics.ceilings.reliability import reliability
from isocortex_metrics.ceilings.split_half import (
    column_correlation,
    half_correlations,
    spearman_brown,
    split_half_reliability,
)

GOLDEN = Path(__file__).parents[3] / "tests" / "golden"


def measured(n_repetitions: int, n_stimuli: int = 400, noise: float = 2.0, n_neuroids: int = 60) -> np.ndarray:
    """Signal of variance 1 in noise of the given variance, (n_repetitions, n_stimuli, n_neuroids)."""
    stream = np.random.default_rng(n_repetitions)
    signal = stream.standard_normal((n_stimuli, n_neuroids))
    return signal + np.sqrt(noise) * stream.standard_normal((n_repetitions, n_stimuli, n_neuroids))


def flat(repetitions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n_repetitions, n_stimuli, n_neuroids = repetitions.shape
    return repetitions.reshape(-1, n_neuroids), np.tile(np.arange(n_stimuli), n_repetitions)


# --- formulas ---------------------------------------------------------------------------------------------------------


def test_spearman_brown_of_published_halves() -> None:
    """Brain-Score's internal consistency: its halves of the repetitions, per neuroid and halving."""
    inputs, published = np.load(GOLDEN / "bs_inputs.npz"), np.load(GOLDEN / "bs_internal_consistency.npz")
    splits = np.load(GOLDEN / "bs_splits.npz")
    assert splits["repetition_values"].tolist() == ["0", "1", "2"]
    for number in range(10):
        halves = [splits[f"ceiling_half{side}"][number] for side in (1, 2)]
        first, second = (inputs["target_reps"][half].mean(axis=0) for half in halves)
        found = spearman_brown(column_correlation(first, second), 2)
        np.testing.assert_allclose(found, published["raw"][number], rtol=1e-12, atol=1e-12)


def test_spearman_brown_is_the_variance_it_stands_for() -> None:
    """One measurement with reliability 1/(1 + σ²); the mean of n has 1/(1 + σ²/n)."""
    for noise, n in product((0.1, 1.0, 7.0), (0.5, 1, 2, 3, 8)):
        assert spearman_brown(1 / (1 + noise), n) == pytest.approx(1 / (1 + noise / n), rel=1e-12)


def test_spearman_brown_gives_no_plausible_number_for_opposite_halves() -> None:
    assert spearman_brown(-0.49, 3) < -60
    assert np.isnan(spearman_brown(np.array([-0.5, -0.6, -1.0, np.nan]), 3)).all()
    assert np.isnan(spearman_brown(-1.0, 2))
    with pytest.raises(SettingsError, match="n = 0"):
        spearman_brown(0.5, 0)


def test_column_correlation_against_numpy() -> None:
    stream = np.random.default_rng(0)
    first, second = stream.standard_normal((2, 30, 5)) + 1e5
    expected = [np.corrcoef(first[:, unit], second[:, unit])[0, 1] for unit in range(5)]
    np.testing.assert_allclose(column_correlation(first, second), expected, atol=1e-9)
    first[:, 2] = 0.1
    assert np.isnan(column_correlation(first, second)).tolist() == [False, False, True, False, False]


# --- halves -----------------------------------------------------------------------------------------------------------


def every_halving(values: np.ndarray, counts: list[int]) -> list[np.ndarray]:
    """Correlations of all pairs of halves that can be drawn, stimulus by stimulus."""
    starts = np.cumsum([0, *counts[:-1]])
    choices = []
    for start, count in zip(starts, counts, strict=True):
        half = count // 2
        rows = range(start, start + count)
        choices.append(
            [
                (first, second)
                for first in combinations(rows, half)
                for second in combinations([row for row in rows if row not in first], half)
            ]
        )
    return [
        column_correlation(
            np.array([values[list(first)].mean(axis=0) for first, _ in chosen]),
            np.array([values[list(second)].mean(axis=0) for _, second in chosen]),
        )
        for chosen in product(*choices)
    ]


@pytest.mark.parametrize("counts", [[2, 2, 2, 2], [4, 2, 3], [5, 3, 2]])
def test_random_halves_are_drawn_from_all_halves_alike(counts: list[int]) -> None:
    values = np.random.default_rng(3).standard_normal((sum(counts), 3))
    possible = np.array(every_halving(values, counts))
    stimuli = np.repeat(np.arange(len(counts)), counts)
    found = half_correlations(values, stimuli, n_halvings=6000, seed=1)
    assert {tuple(row) for row in found.round(9)} == {tuple(row) for row in possible.round(9)}
    standard_error = possible.std(axis=0) / np.sqrt(len(found))
    assert (np.abs(found.mean(axis=0) - possible.mean(axis=0)) < 4 * standard_error).all()
    expected = spearman_brown(found.mean(axis=0), np.mean(1 / (np.array(counts) // 2)) / np.mean(1 / np.array(counts)))
    np.testing.assert_allclose(split_half_reliability(values, stimuli, 6000, 1), expected, rtol=1e-12)


@pytest.mark.parametrize("n_repetitions", [2, 3, 5, 6])
def test_the_true_reliability_is_found(n_repetitions: int) -> None:
    repetitions = measured(n_repetitions)
    truth = 1 / (1 + 2.0 / n_repetitions)
    found = split_half_reliability(*flat(repetitions))
    assert found.mean() == pytest.approx(truth, abs=0.02)
    np.testing.assert_allclose(found, reliability(repetitions), atol=0.02)


def test_the_true_reliability_is_found_where_stimuli_were_shown_unequally_often() -> None:
    """Every presentation counts; the truth is that of the mean over all of them."""
    stream = np.random.default_rng(9)
    counts = np.array([2, 3, 9, 4] * 150)
    stimuli = stream.permutation(np.repeat(np.arange(600), counts))
    signal = stream.standard_normal((600, 10))
    values = signal[stimuli] + np.sqrt(2.0) * stream.standard_normal((len(stimuli), 10))
    truth = 1 / (1 + 2.0 * np.mean(1 / counts))
    assert split_half_reliability(values, stimuli, n_halvings=20).mean() == pytest.approx(truth, abs=0.015)


def test_more_halvings_say_more() -> None:
    """Estimates from other seeds differ less, the more halvings there are."""
    values, stimuli = flat(measured(4, n_stimuli=30))
    spread = [
        np.std([split_half_reliability(values, stimuli, n, seed) for seed in range(8)], axis=0).mean()
        for n in (1, 10, 100)
    ]
    assert spread[0] > 2 * spread[1] > 4 * spread[2]


def test_seeds_draw_and_names_do_not_matter() -> None:
    values, stimuli = flat(measured(4, n_stimuli=10))
    first = half_correlations(values, stimuli, 3, seed=5)
    np.testing.assert_array_equal(first, half_correlations(values, stimuli, 3, seed=5))
    assert not np.allclose(first, half_correlations(values, stimuli, 3, seed=6))
    names = np.array([f"s{number:02d}" for number in stimuli])
    np.testing.assert_array_equal(first, half_correlations(values, names, 3, seed=5))


def test_a_neuroid_of_noise_is_around_zero_and_one_that_does_not_vary_is_null() -> None:
    noise = np.random.default_rng(0).standard_normal((4, 300, 40))
    noise[..., 0] = 0.1
    found = split_half_reliability(*flat(noise), n_halvings=10)
    assert np.isnan(found[0])
    assert abs(found[1:].mean()) < 0.05
    assert (found[1:] < 0).any(), "nothing is clipped"


def test_the_ceiling_is_what_a_perfect_model_reaches() -> None:
    repetitions = measured(4)
    stream = np.random.default_rng(4)
    signal = stream.standard_normal((400, 60))  # the first numbers of measured(4)
    responses = make_responses(repetitions, [f"s{number}" for number in range(400)])
    halves = Preparation(Rules(ceiling="split-half"))
    ceiling = isocortex.load_metric("ridge").against(responses, preparation=halves).ceiling
    assert (ceiling.statistic, ceiling.lower, ceiling.upper) == ("r", None, None)
    assert ceiling.estimator == "square root of the split-half reliability, 100 random halvings"
    assert isinstance(ceiling.value, xr.DataArray)
    assert ceiling.value["neuroid_id"].values.tolist() == responses["neuroid_id"].values.tolist()
    perfect = column_correlation(signal, repetitions.mean(axis=0))
    assert ceiling.value.values.mean() == pytest.approx(perfect.mean(), abs=0.015)


def test_halves_that_cannot_be_are_refused() -> None:
    values, stimuli = flat(measured(2, n_stimuli=4))
    with pytest.raises(DataError, match=r"found 4 stimuli, of which 1 were shown less often: 3. Without rep"):
        half_correlations(values[:-1], stimuli[:-1])
    with pytest.raises(DataError, match="found 1 stimuli"):
        half_correlations(values[:2], np.array([0, 0]))
    with pytest.raises(DataError, match=r"found \(8, 60\) and 7"):
        half_correlations(values, stimuli[:-1])
    with pytest.raises(DataError, match="infinite"):
        half_correlations(np.where(values > 1, np.inf, values), stimuli)
    gone = values.copy()
    gone[5, 7] = np.nan
    with pytest.raises(DataError, match="of which 1 were shown less often: 1"):
        half_correlations(gone, stimuli)
    with pytest.raises(SettingsError, match="at least 1; found 0"):
        half_correlations(values, stimuli, n_halvings=0)
    with pytest.raises(DataError, match="shown less often"):
        from_halves(make_responses(np.ones((3, 2)), ["a", "b", "c"]))


# --- other participants -----------------------------------------------------------------------------------------------


def people(n_people: int = 5, n_stimuli: int = 40, n_neuroids: int = 3) -> np.ndarray:
    stream = np.random.default_rng(0)
    common = stream.standard_normal((n_stimuli, n_neuroids))
    gains = stream.uniform(0.1, 10, (n_people, 1, 1))
    return gains * (common + stream.standard_normal((n_people, n_stimuli, n_neuroids))) + gains


def test_inter_subject_against_loops() -> None:
    values = people()
    found = inter_subject(values)
    for unit in range(3):
        one = values[:, :, unit]
        parts = (one - one.mean(axis=1, keepdims=True)) / one.std(axis=1, keepdims=True)
        for person in range(5):
            others = np.delete(parts, person, axis=0)
            expected = np.corrcoef(one[person], others.mean(axis=0))[0, 1]
            assert found.lower[person, unit] == pytest.approx(expected, abs=1e-12)
            expected = np.corrcoef(one[person], parts.mean(axis=0))[0, 1]
            assert found.upper[person, unit] == pytest.approx(expected, abs=1e-12)
            expected = np.mean([np.corrcoef(one[person], one[k])[0, 1] for k in range(5) if k != person])
            assert found.pairwise[person, unit] == pytest.approx(expected, abs=1e-12)


def test_no_pattern_exceeds_the_upper_bound_of_standardised_averages() -> None:
    values = people(4, 20, 1)
    bound = inter_subject(values).upper.mean()
    raw = np.mean([np.corrcoef(person[:, 0], values.mean(axis=0)[:, 0])[0, 1] for person in values])
    stream = np.random.default_rng(0)
    average = ((values - values.mean(axis=1, keepdims=True)) / values.std(axis=1, keepdims=True)).mean(axis=0)
    reached = [
        np.mean([np.corrcoef(person[:, 0], pattern)[0, 1] for person in values])
        for pattern in (
            average[:, 0] + size * stream.standard_normal(20) for size in (0, 1e-3, 0.05, 1) for _ in range(50)
        )
    ]
    assert max(reached) <= bound + 1e-12
    assert max(reached) > raw, "raw averages are no bound"


def test_the_band_is_aggregated_as_values_are() -> None:
    values = people()
    values[:, :, 1] = 0.1
    found = inter_subject(values)
    expected = [np.mean([np.median(row[[0, 2]]) for row in part]) for part in (found.lower, found.upper)]
    assert found.band() == pytest.approx(tuple(expected))
    assert np.isnan(found.lower[:, 1]).all()


def responses_of(values: np.ndarray) -> xr.DataArray:
    """Two neuroids per region and person that average to the values, the last person's in another order."""
    n_people, n_stimuli, n_regions = values.shape
    columns, about = [], {"subject": [], "region": []}
    for person in range(n_people):
        for region in sorted(range(n_regions), reverse=person == n_people - 1):
            for step in (-1.0, 1.0):
                columns.append(values[person, :, region] + step * np.arange(n_stimuli))
                about["subject"].append(f"p{person}")
                about["region"].append(f"r{region}")
    return make_responses(np.stack(columns, axis=1), [f"s{k}" for k in range(n_stimuli)], neuroid=about)


def test_regions_are_averaged_and_meet_by_name() -> None:
    values = people()
    found, names, regions = shared_neuroids(responses_of(values))
    np.testing.assert_allclose(found, values, atol=1e-12)
    assert (names, regions) == (("p0", "p1", "p2", "p3", "p4"), ("r0", "r1", "r2"))
    estimate = from_participants(responses_of(values))
    assert estimate.band == pytest.approx(inter_subject(values).band())
    assert (estimate.reliability, estimate.name) == (None, "inter-subject correlation by region, standardised averages")


def test_what_somebody_lacks_is_left_out() -> None:
    responses = responses_of(people())
    part = responses.isel(neuroid=np.flatnonzero((responses["subject"] != "p2") | (responses["region"] != "r1")))
    assert shared_neuroids(part)[2] == ("r0", "r2")
    unnamed = responses.assign_coords(
        region=("neuroid", np.where(responses["region"] == "r2", "", responses["region"]))
    )
    assert shared_neuroids(unnamed)[2] == ("r0", "r1")


def test_what_cannot_be_shared_is_refused() -> None:
    responses = responses_of(people())
    about = {"subject": ["p0", "p1"], "region": ["r0", "r0"]}
    flat_line = make_responses(np.ones((4, 2)), list("abcd"), neuroid=about)
    with pytest.raises(DataError, match=r"no coordinate 'regions'\. Did you mean region"):
        shared_neuroids(responses, "regions")
    with pytest.raises(DataError, match="no 'neuroid_id' that all of p0, p1"):
        shared_neuroids(responses, "neuroid_id")
    with pytest.raises(DataError, match="at least two participants; found p0"):
        shared_neuroids(responses.isel(neuroid=slice(0, 6)))
    with pytest.raises(DataError, match="no coordinate 'subject'"):
        shared_neuroids(responses.drop_vars("subject"))
    with pytest.raises(DataError, match="varies over the stimuli in all"):
        from_participants(flat_line)
    with pytest.raises(DataError, match=r"found \(1, 40, 3\)"):
        inter_subject(people(1))
    with pytest.raises(DataError, match="finite"):
        inter_subject(np.full((2, 3, 1), np.nan))
