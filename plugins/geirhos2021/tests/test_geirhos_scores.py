"""From files to scores, in both layouts: fetched, imported and scored, against loops of numpy."""

from __future__ import annotations

import shutil
import zipfile
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import isocortex as package
from isocortex.errors import DataError, FilesError
from isocortex.results import read_results
from isocortex.testing import run_checks
from isocortex_geirhos2021 import DATA_SETS, LEFT_OUT
from isocortex_geirhos2021.source_files import DECISIONS, present
from plugins.geirhos2021.tests import synthetic

MEASURES = {
    "error-consistency": "kappa",
    "observed-consistency": "observed_consistency",
    "ood-accuracy": "accuracy",
    "accuracy-difference": "accuracy_difference",
}
PEOPLE, ROBOT = slice(0, 3), 3


def four(first: np.ndarray, second: np.ndarray) -> list[float]:
    p, q, observed = first.mean(), second.mean(), (first == second).mean()
    expected = p * q + (1 - p) * (1 - q)
    return [(observed - expected) / (1 - expected), observed, q, (p - q) ** 2]


def blocks(data_set: str) -> list[np.ndarray]:
    """Right and wrong (5, n) under each condition that counts."""
    one = synthetic.decided(data_set)
    right, conditions = one.response == one.category, np.array(one.condition)
    kept = [name for name in dict.fromkeys(one.condition) if name not in LEFT_OUT[data_set]]
    return [right[:, conditions == name] for name in kept]


def of_robot(data_sets: tuple[str, ...] = DATA_SETS) -> np.ndarray:
    """Its four numbers: means over people and conditions, then data sets."""
    found = [[[four(person, block[ROBOT]) for person in block[PEOPLE]] for block in blocks(name)] for name in data_sets]
    return np.mean([np.mean(np.mean(one, axis=0), axis=0) for one in found], axis=0)


def of_people(data_sets: tuple[str, ...] = DATA_SETS) -> np.ndarray:
    """Theirs among themselves: pairs, then conditions, then data sets."""
    by_set = []
    for name in data_sets:
        by_condition = []
        for block in blocks(name):
            mean = np.mean([four(block[a], block[b]) for a, b in combinations(range(3), 2)], axis=0)
            mean[2] = block[PEOPLE].mean()
            by_condition.append(mean)
        by_set.append(np.mean(by_condition, axis=0))
    return np.mean(by_set, axis=0)


def bias_of(number: int | slice) -> tuple[float, float]:
    """Shape bias of observers, and the share of decisions for either."""
    one, texture = synthetic.decided("cue-conflict"), synthetic.textures()
    kept = one.category != texture
    decisions = np.atleast_2d(one.response[number])[:, kept]
    by_shape, by_texture = (decisions == one.category[kept]).sum(), (decisions == texture[kept]).sum()
    return by_shape / (by_shape + by_texture), (by_shape + by_texture) / decisions.size


@pytest.fixture(params=["clones", "copies"])
def source(request, tmp_path) -> Path:
    """A folder with all data, as the repositories are or as compact copies."""
    folder = tmp_path / "source"
    folder.mkdir()
    if request.param == "clones":
        return synthetic.repositories(folder)
    synthetic.compact(folder / "geirhos2021_model_vs_human.npz")
    for name, data_set in (("silhouettes", "silhouette"), ("edges", "edge"), ("cue_conflict", "cue-conflict")):
        synthetic.pictures_zip(folder / f"geirhos2019_{name}.zip", data_set)
    return folder


def test_all_of_it_equals_loops_of_numpy(source, tmp_path, isocortex) -> None:
    fetched = isocortex("fetch", "-b", "Geirhos2021*", "--from", str(source))
    assert fetched.returncode == 0, fetched.stderr
    clones = (source / "model-vs-human").is_dir()
    assert len(present(DECISIONS)) == (17 * 3 if clones else 17 * 6 + 1)
    trials = source / ("model-vs-human/raw-data" if clones else "geirhos2021_model_vs_human.npz")
    imported = isocortex("import", "decisions", str(trials), "--out", "models")
    assert imported.returncode == 0, imported.stderr
    assert "robot: 544 decisions about 17 data sets, score with -m activations:models/robot" in imported.stdout
    assert "3 of 5 observers are left out" in imported.stderr

    stored = [f"Geirhos2021.{name}" for name in MEASURES] + ["Geirhos2021.shape-bias"]
    seen = ["Geirhos2021.edge.error-consistency", "Geirhos2021.cue-conflict.shape-bias"]
    options = [word for name in (*stored, *seen) for word in ("-b", name)]
    scored = isocortex("score", "-m", "activations:models/robot", *options)
    assert scored.returncode == 0, scored.stderr
    results = {result.benchmark: result for result in read_results(tmp_path / "results")}
    assert set(results) == {*stored, *seen}
    n_counted = sum(block.shape[1] for name in DATA_SETS for block in blocks(name))
    for place, (name, measure) in enumerate(MEASURES.items()):
        summary = results[f"Geirhos2021.{name}"].summary
        assert summary.statistic == measure
        assert summary.value == pytest.approx(of_robot()[place], abs=1e-9)
        assert summary.ceiling == pytest.approx(of_people()[place], abs=1e-9)
        assert (summary.n_stimuli, summary.n_subjects, summary.ceiled) == (n_counted, 51, None)
    n_left_out = 3 * (17 * 32 - n_counted)
    said = results["Geirhos2021.ood-accuracy"].warnings
    assert any(f"{n_left_out:,} of 1,632 trials of people are left out by the benchmark's own" in one for one in said)
    edges = results["Geirhos2021.edge.error-consistency"].summary
    assert edges.value == pytest.approx(of_robot(("edge",))[0], abs=1e-9)
    assert edges.ceiling == pytest.approx(of_people(("edge",))[0], abs=1e-9)
    bias, decided = bias_of(ROBOT)
    for name in ("Geirhos2021.shape-bias", "Geirhos2021.cue-conflict.shape-bias"):
        summary = results[name].summary
        assert summary.value == pytest.approx(bias, abs=1e-9)
        assert summary.also["decided"] == pytest.approx(decided, abs=1e-9)
        assert summary.also["human_shape_bias_pooled"] == pytest.approx(bias_of(PEOPLE)[0], abs=1e-9)
        assert summary.also["human_shape_bias"] == pytest.approx(
            np.mean([bias_of(one)[0] for one in range(3)]), abs=1e-9
        )
        assert summary.n_stimuli == 24


@pytest.mark.long
def test_the_kit_passes_where_the_data_are(source, isocortex) -> None:
    assert isocortex("fetch", "-b", "Geirhos2021*", "--from", str(source)).returncode == 0
    ended = {outcome.id: outcome for outcome in run_checks("isocortex-geirhos2021")}
    assert [outcome for outcome in ended.values() if outcome.status != "passed"] == []
    assert {"stimuli:geirhos2021-edge:contents", "benchmark:Geirhos2021.shape-bias:settings"} <= ended.keys()


def test_pictures_come_with_what_is_known_of_them(source, isocortex) -> None:
    assert isocortex("fetch", "-b", "Geirhos2021.silhouette.*", "--from", str(source)).returncode == 0
    stimuli = package.load_stimuli("geirhos2021-silhouette")
    one = synthetic.decided("silhouette")
    assert list(stimuli.ids) == sorted(f"silhouette/{name}" for name in one.image)
    place = stimuli.ids.index("silhouette/bear2")
    np.testing.assert_array_equal(stimuli.load(place).array, np.full((24, 24, 3), (3, 0, 0)))
    row = stimuli.table.loc["silhouette/bear2"]
    assert row.to_dict() == {"data_set": "silhouette", "condition": "-", "truth": "bear"}
    assert stimuli.warnings == ()
    with pytest.raises(FilesError, match=r"The edges are not in .*texture-vs-shape and run isocortex fetch"):
        package.load_stimuli("geirhos2021-edge")


@pytest.fixture
def copies(tmp_path) -> Path:
    folder = tmp_path / "copies"
    folder.mkdir()
    synthetic.compact(folder / "geirhos2021_model_vs_human.npz")
    return folder


def test_where_pictures_are_absent_the_set_is_smaller_and_says_so(copies, isocortex) -> None:
    synthetic.pictures_zip(copies / "geirhos2019_cue_conflict_320_q92.zip", "cue-conflict", n=20)
    assert isocortex("fetch", "-b", "Geirhos2021.cue-conflict.*", "--from", str(copies)).returncode == 0
    dataset = package.load_dataset("Geirhos2021.cue-conflict")
    assert (len(dataset.stimuli), len(dataset.trials)) == (20, 60)
    [said] = dataset.stimuli.warnings
    assert "12 of 32 pictures of the cue conflict are not here" in said
    assert "scores are over the other 20" in said


def test_pictures_of_something_else_are_refused(copies, isocortex) -> None:
    synthetic.pictures_zip(copies / "geirhos2019_edges.zip", "cue-conflict")
    assert isocortex("fetch", "-b", "Geirhos2021.edge.*", "--from", str(copies)).returncode == 0
    with pytest.raises(DataError, match=r"of the edges is a picture that no decision is about"):
        package.load_stimuli("geirhos2021-edge")


def test_a_clone_that_lacks_data_sets_is_refused_with_their_names(tmp_path, isocortex) -> None:
    clones = synthetic.repositories(tmp_path / "clones")
    for name in ("sketch", "rotation"):
        shutil.rmtree(clones / "model-vs-human/raw-data" / name)
    assert isocortex("fetch", "-b", "Geirhos2021*", "--from", str(clones)).returncode == 0
    with pytest.raises(DataError, match="no trials of 2 of 17 data sets: rotation, sketch"):
        package.load_dataset("Geirhos2021")
    assert len(package.load_dataset("Geirhos2021.edge").trials) == 96, "those that are there can be used"


def test_two_files_of_one_picture_are_refused(copies, isocortex) -> None:
    with zipfile.ZipFile(synthetic.pictures_zip(copies / "geirhos2019_edges.zip", "edge"), "a") as archive:
        archive.writestr("again/airplane1.jpg", archive.read("airplane1.png"))
    assert isocortex("fetch", "-b", "Geirhos2021.edge.*", "--from", str(copies)).returncode == 0
    with pytest.raises(DataError, match=r"airplane1\..* of the edges is there twice"):
        package.load_stimuli("geirhos2021-edge")


def test_what_cannot_be_looked_at_is_refused_in_one_line(copies, isocortex) -> None:
    assert isocortex("fetch", "-b", "Geirhos2021.ood-accuracy", "--from", str(copies)).returncode == 0
    refused = isocortex("score", "-m", "pixels", "-b", "Geirhos2021.ood-accuracy")
    assert refused.returncode == 2
    assert "'pixels' takes image, but the stimuli of 'Geirhos2021.ood-accuracy' are decision" in refused.stderr


def test_decisions_that_lack_pictures_are_refused_with_their_names(copies, tmp_path, isocortex) -> None:
    assert isocortex("fetch", "-b", "Geirhos2021.ood-accuracy", "--from", str(copies)).returncode == 0
    table = tmp_path / "edge_robot_session-1.csv"
    table.write_text("\n".join(synthetic.rows("edge", "robot")))
    assert isocortex("import", "decisions", str(table)).returncode == 0
    refused = isocortex("score", "-m", "activations:decisions/robot", "-b", "Geirhos2021.ood-accuracy")
    assert refused.returncode == 1
    assert "lack 298 of 330 stimuli: colour/n0" in refused.stderr


def test_people_are_models_only_where_they_are_named(copies, isocortex, tmp_path) -> None:
    npz = str(copies / "geirhos2021_model_vs_human.npz")
    named = isocortex("import", "decisions", npz, "--observer", "subject-02", "--out", "people")
    assert (named.returncode, [path.name for path in (tmp_path / "people").iterdir()]) == (0, ["subject-02"])
    unknown = isocortex("import", "decisions", npz, "--observer", "robbot")
    assert (unknown.returncode, "no observer 'robbot'. Did you mean robot" in unknown.stderr) == (1, True)
    table = tmp_path / "edge_subject-01.csv"
    table.write_text("\n".join(synthetic.rows("edge", "subject-01")))
    alone = isocortex("import", "decisions", str(table))
    assert "All 1 observers are people: subject-01" in alone.stderr


def test_without_the_data_every_command_says_how_to_get_them(isocortex, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    for command in (
        ("fetch", "-b", "Geirhos2021.ood-accuracy"),
        ("fetch", "-b", "Geirhos2021.edge.*", "--from", "empty"),
    ):
        refused = isocortex(*command)
        assert refused.returncode == 1
        assert (
            "get https://github.com/bethgelab/model-vs-human and run isocortex fetch -b 'Geirhos2021*'"
            in refused.stderr
        )


def test_files_that_have_changed_are_refused(copies, isocortex) -> None:
    assert isocortex("fetch", "-b", "Geirhos2021.ood-accuracy", "--from", str(copies)).returncode == 0
    response = synthetic.decided("edge").response[:, ::-1].astype(np.uint8)
    synthetic.compact(copies / "geirhos2021_model_vs_human.npz", edge__response=response)
    refused = isocortex("fetch", "-b", "Geirhos2021.ood-accuracy", "--from", str(copies))
    assert refused.returncode == 1
    assert len(present(DECISIONS)) == 103
