"""Layer choice and aggregation of Tuckute et al. (2023) against outputs of the published code."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from isocortex.scoring import relative_depth
from isocortex_metrics.tuckute2023.aggregation import (
    best_layers,
    half_masks,
    half_medians,
    layer_medians,
    most_frequent,
    participant_medians,
    read_halves,
    standard_error,
)
from isocortex_metrics.tuckute2023.stages import ALL_SPLITS, stage_of_neuroids

GOLDEN = Path(os.environ.get("ISOCORTEX_GOLDEN", Path(__file__).parents[3] / "tests" / "golden"))
TOLERANCE = {"rtol": 0, "atol": 1e-15}


@pytest.fixture(scope="module")
def golden():
    return np.load(GOLDEN / "tuckute_bestlayer.npz", allow_pickle=False)


@pytest.fixture(scope="module")
def codes(golden) -> np.ndarray:
    """Participant of each voxel, in order of appearance."""
    names = list(dict.fromkeys(golden["subj"]))
    return np.array([names.index(name) for name in golden["subj"]])


@pytest.fixture(scope="module")
def found(golden):
    return read_halves(golden["ds_r2_test_c"], limit=1.0)


def test_published_halves(golden) -> None:
    assert (half_masks(9, 46, 0) == golden["all_masks_iter0"]).all()


def test_halves_are_those_of_the_global_generator_and_a_list() -> None:
    np.random.seed(3)  # as the published code does
    expected = []
    for _ in range(2 * 5):
        mask = [0, 1] * 5
        np.random.shuffle(mask)
        expected.append(mask)
    assert half_masks(2, 5, 3).astype(int).reshape(10, 10).tolist() == expected


def test_published_readout_per_iteration_and_participant(golden, codes, found) -> None:
    medians = participant_medians(found.value, codes)
    np.testing.assert_allclose(medians, golden["best_layer_per_iter_subject"], **TOLERANCE)
    np.testing.assert_allclose(medians.mean(axis=0), golden["best_layer_subject_mean"], **TOLERANCE)
    errors = [standard_error(values) for values in medians.T]
    np.testing.assert_allclose(errors, golden["best_layer_subject_sem"], **TOLERANCE)


def test_published_positions_of_chosen_layers(golden, codes, found) -> None:
    for ours, theirs in ((found.chosen + 1, "pos"), (relative_depth(found.chosen, 9), "relpos")):
        expected = golden[f"best_layer_per_iter_subject_{theirs}"]
        np.testing.assert_allclose(participant_medians(ours, codes), expected, **TOLERANCE)


def test_published_table_of_voxels_and_layers(golden, codes) -> None:
    table = layer_medians(golden["ds_r2_test_c"], limit=1.0)
    np.testing.assert_allclose(table.T, golden["vox_by_layer_median_r2c_clipped"], **TOLERANCE)
    chosen, tied = best_layers(table)
    assert (chosen + 1).tolist() == golden["argmax_pos"].tolist()
    np.testing.assert_allclose(relative_depth(chosen, 9), golden["argmax_rel_pos"], **TOLERANCE)
    assert tied.tolist() == golden["argmax_tie"].astype(bool).tolist()
    assert tied.any()
    of_subjects = participant_medians(table, codes).T
    np.testing.assert_allclose(of_subjects, golden["subject_by_layer_median"], **TOLERANCE)


def test_ties_are_drawn_one_neuroid_after_the_other() -> None:
    values = np.random.default_rng(0).integers(0, 3, (9, 300)).astype(float)
    random = np.random.RandomState(0)
    expected = [random.choice(np.flatnonzero(column == column.max())) for column in values.T]
    chosen, tied = best_layers(values)
    assert chosen.tolist() == [int(place) for place in expected]
    assert 0 < tied.sum() < 300


def test_halves_share_no_split() -> None:
    values = np.arange(10.0)[None, None]
    masks = half_masks(1, 1, 0)
    choosing, scoring = half_medians(values, masks)
    assert choosing[0, 0] == np.median(values[0, 0][masks[0, 0]])
    assert scoring[0, 0] == np.median(values[0, 0][~masks[0, 0]])
    assert masks.sum() == 5


def test_one_layer_has_the_halves_of_its_place_among_all_neuroids() -> None:
    values = np.random.default_rng(0).random((1, 20, 10))
    whole = read_halves(values)
    places = np.array([3, 17])
    part = read_halves(values[:, places], places=places, n_neuroids=20)
    np.testing.assert_array_equal(part.value, whole.value[:, places])


def test_limit_applies_after_the_median() -> None:
    values = np.array([[[0.2, 5.0] * 5]])
    assert layer_medians(values, limit=1.0).tolist() == [[1.0]]
    assert layer_medians(values).tolist() == [[2.6]]


def test_most_frequent_layer_is_the_first_of_equals() -> None:
    chosen = np.array([[0, 2, 1], [1, 2, 0], [1, 0, 2]])
    assert most_frequent(chosen).tolist() == [1, 2, 0]


def test_the_published_choice_leaks_which_is_why_it_is_marked() -> None:
    """Splits share stimuli: the layer that chance favours on half of them is favoured on the others, too."""
    generator = np.random.default_rng(0)
    per_layer = generator.standard_normal((20, 200, 1)) + 0.5 * generator.standard_normal((20, 200, 10))
    found = read_halves(per_layer)
    assert abs(layer_medians(per_layer).mean()) < 0.05
    assert found.value.mean() > 1


def test_pooled_neuroids_have_a_stage_and_a_single_layer_has_none() -> None:
    of_pooled = stage_of_neuroids(np.array([0, 2, 2]), np.array([False, True, True]), None, 3)
    assert of_pooled is not None
    assert (of_pooled.value, of_pooled.tied, of_pooled.procedure) == (1.0, pytest.approx(2 / 3), ALL_SPLITS)
    assert stage_of_neuroids(np.array([0]), np.array([False]), None, 1) is None
