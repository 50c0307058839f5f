"""Reliability and running as published, and that selection does not see what is scored."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr, ttest_ind

from isocortex.errors import DataError
from isocortex_allen2p.cells import CellTable, coordinates_of, seeded_subset, warnings_of
from isocortex_allen2p.nwb import Recording
from isocortex_allen2p.reliability import presentations, running_p, split_half_reliability
from isocortex_allen2p.trials import Selection, halves_of


def published_reliability(trials: np.ndarray, n_splits: int, stream: np.random.Generator) -> float:
    """Of one cell, (n_trials, n_stimuli), split by split, as the published function does it."""
    found = []
    for _ in range(n_splits):
        order = stream.permutation(len(trials))
        first, second = trials[order[: len(trials) // 2]], trials[order[len(trials) // 2 :]]
        r = pearsonr(first.mean(axis=0), second.mean(axis=0))[0]
        found.append(2 * r / (1 + r))
    return float(np.mean(found))


def test_reliability_is_that_of_the_paper() -> None:
    stream = np.random.default_rng(0)
    signal = stream.standard_normal((30, 5))
    trials = signal + stream.uniform(0.5, 3, 5) * stream.standard_normal((11, 30, 5))
    found = split_half_reliability(trials, n_splits=40, seed=3)
    draws = [np.random.default_rng(3) for _ in range(5)]
    expected = [published_reliability(trials[:, :, cell], 40, draws[cell]) for cell in range(5)]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert found.max() > 0.9 > 0.6 > found.min()


def test_a_cell_that_does_not_vary_has_no_reliability(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isocortex_allen2p.reliability._BLOCK_VALUES", 1)  # one cell at a time
    trials = np.random.default_rng(0).standard_normal((6, 9, 3))
    trials[:, :, 1] = 0.1
    assert np.isnan(split_half_reliability(trials)).tolist() == [False, True, False]


def test_presentations_are_counted_in_the_order_of_time() -> None:
    scene = np.array([0, 1, -1, 1, 0, 0, 1, -1, 1, 0, 0])
    assert presentations(scene, 2).T.tolist() == [[0, 4, 5, 9], [1, 3, 6, 8]]
    with pytest.raises(DataError, match="scene 1 was shown 3 times"):
        presentations(np.delete(scene, 1), 2)


def test_running_is_tested_at_the_preferred_scene() -> None:
    stream = np.random.default_rng(0)
    scene = np.tile(np.arange(-1, 3), 40)
    speed = stream.choice([0.0, 0.9, 1.0, 20.0], len(scene)).astype(np.float32)
    responses = stream.standard_normal((len(scene), 6)) + 2 * (scene[:, None] == np.arange(6) % 3)
    responses[:, 0] += 5 * (speed >= 1) * (scene == 0)
    found = running_p(responses, scene, speed, 3)
    for cell in range(6):
        preferred = scene == np.argmax([responses[scene == number, cell].mean() for number in range(3)])
        runs, rests = (responses[preferred & moves, cell] for moves in (speed >= 1, speed < 1))
        assert min(len(runs), len(rests)) >= 5
        assert found[cell] == pytest.approx(ttest_ind(runs, rests, equal_var=False).pvalue, rel=1e-9)
    assert found[0] < 0.01
    assert np.isnan(running_p(responses, scene, np.full(len(scene), np.nan), 3)).all()


def recording_of(responses: np.ndarray, scene: np.ndarray) -> Recording:
    """A recording that nobody ran in."""
    cells = tuple(str(number) for number in range(responses.shape[1]))
    speed = np.zeros(len(scene), np.float32)
    return Recording("1", "mouse", "VISp", 175, "Cux2", cells, scene.astype(np.int16), speed, responses)


def noise(n_cells: int, n_presentations: int = 8, n_scenes: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Cells that know nothing of the scenes."""
    stream = np.random.default_rng(0)
    scene = stream.permutation(np.repeat(np.arange(-1, n_scenes), n_presentations))
    return stream.standard_normal((len(scene), n_cells)).astype(np.float32), scene


def ceiling_of(halves: np.ndarray) -> np.ndarray:
    """Spearman-Brown reliability of the mean of both halves, per cell."""
    r = np.array([np.corrcoef(halves[0][:, cell], halves[1][:, cell])[0, 1] for cell in range(halves.shape[2])])
    return 2 * r / (1 + r)


def test_selection_on_the_scored_trials_makes_noise_reliable_and_on_others_does_not() -> None:
    responses, scene = noise(n_cells=4000)
    inflated, clean = (
        halves_of(recording_of(responses, scene), 20, Selection(of_all=of_all)) for of_all in (True, False)
    )
    cut = 0.4  # noise hardly reaches .75 on 20 scenes; the effect is the same
    kept = {name: ceiling_of(part.halves[:, :, part.cells.kept(cut)])
            for name, part in (("all", inflated), ("split", clean))}  # fmt: skip
    assert min(map(len, kept.values())) > 50
    assert np.median(kept["all"]) > cut, "cells of pure noise look reliable on the trials that they were chosen by"
    assert abs(np.median(kept["split"])) < 0.1, "and know nothing on others"


def test_selection_on_the_scored_trials_raises_r_and_on_others_does_not() -> None:
    """Weak cells: what they share with a model is the same in all of them, and selection may not add to it."""
    stream = np.random.default_rng(1)
    model = stream.standard_normal(20)
    responses, scene = noise(n_cells=6000)
    responses += np.where(scene[:, None] < 0, 0.0, 0.35 * model[scene][:, None]).astype(np.float32)
    r: dict[bool, tuple[float, float]] = {}
    for of_all in (True, False):
        part = halves_of(recording_of(responses, scene), 20, Selection(of_all=of_all))
        mean = part.halves.mean(axis=0)
        with_model = np.array([np.corrcoef(model, mean[:, cell])[0, 1] for cell in range(mean.shape[1])])
        r[of_all] = float(with_model[part.cells.kept(0.6)].mean()), float(with_model.mean())
    assert r[True][0] > r[True][1] + 0.05, "as published, chosen cells look better than cells are"
    assert r[False][0] == pytest.approx(r[False][1], abs=0.02), "chosen on other trials, they are what cells are"


def test_odd_trials_select_and_even_ones_are_scored() -> None:
    responses, scene = noise(n_cells=3)
    before = halves_of(recording_of(responses, scene), 20, Selection())
    shown = presentations(scene, 20)
    odd, even = responses.copy(), responses.copy()
    odd[shown[::2].ravel()] += 1 + np.random.default_rng(5).standard_normal((shown[::2].size, 3)).astype(np.float32)
    even[shown[1::2].ravel()] *= 3
    after_odd, after_even = (halves_of(recording_of(changed, scene), 20, Selection()) for changed in (odd, even))
    np.testing.assert_array_equal(after_odd.halves, before.halves)
    assert (after_odd.cells.reliability != before.cells.reliability).all()
    np.testing.assert_array_equal(after_even.cells.reliability, before.cells.reliability)
    np.testing.assert_allclose(after_even.halves, 3 * before.halves, rtol=1e-5)
    np.testing.assert_allclose(before.halves[0], responses[shown[[1, 5]]].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(before.halves[1], responses[shown[[3, 7]]].mean(axis=0), rtol=1e-5)


def test_subsets_are_seeded_nested_and_of_kept_cells() -> None:
    n_cells = 700
    table = CellTable(
        tuple(str(number) for number in range(n_cells)), ("VISp",) * n_cells, ("",) * n_cells,
        np.linspace(0.7, 0.8, n_cells), ("no",) * n_cells,
    )  # fmt: skip
    found = coordinates_of(table)
    few, more, most = ({name for name, word in zip(found["neuroid_id"], found[f"subset_{size}"], strict=True)
                        if word == "kept"} for size in (250, 500, 6000))  # fmt: skip
    kept = {name for name, word in zip(found["neuroid_id"], found["cut_75"], strict=True) if word == "kept"}
    assert (len(few), len(more), len(most)) == (250, 350, 350)
    assert few < more == most == kept
    other = {name for name, word in zip(found["neuroid_id"], coordinates_of(table, 1)["subset_250"], strict=True)
             if word == "kept"}  # fmt: skip
    assert other != few
    assert few == set(seeded_subset(sorted(kept, reverse=True), 250))


def test_what_is_kept_is_counted_by_area_depth_and_animal_and_small_areas_are_named() -> None:
    n_cells = 60
    table = CellTable(
        tuple(map(str, range(n_cells))), ("VISp",) * 30 + ("VISl",) * 30, ("L4",) * 30 + ("",) * 10 + ("L5",) * 20,
        np.array([0.9] * 25 + [0.1] * 5 + [0.8] * 10 + [np.nan] * 20), ("no",) * 59 + ("",),
        {"animal": ["a"] * 40 + ["b"] * 20},
    )  # fmt: skip
    counted, few, short, *missing = warnings_of(table, "all trials")
    assert counted.startswith("35 of 60 cells have a split-half reliability of at least 0.75 on all trials")
    assert "By area: VISl 10 of 30, VISp 25 of 30. By area and depth: VISl L5 0 of 20, VISp L4 25 of 30." in counted
    assert "By animal: 2 animals, 0 to 35 cells each, 35 in the middle, 1 without any." in counted
    assert few == "Fewer than 20 cells are kept in VISl (10): what is said of these areas rests on few."
    assert short == "Fewer cells are kept than subset_250 and subset_500 would hold: they hold all of them."
    assert [text.partition(":")[0] for text in missing] == [
        "10 of 60 cells have no depth", "20 of 60 cells have no reliability", "1 of 60 cells have no test of running"
    ]  # fmt: skip
