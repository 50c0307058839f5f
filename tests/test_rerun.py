"""A cell again from its record: equal digits, or what differs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import isocortex as package
from isocortex.errors import StoreError, UsageError
from isocortex.results import Result, read_results, write_record
from isocortex.run.rerun import compared
from isocortex_report import methods, methods_text
from tests.folders import edit_responses, image_folder

METRICS = ("ridge", "rsa", "cka", "brainscore-pls", "tuckute2023-components")


def record_of(folder: Path, metric: str) -> tuple[Path, Result]:
    """The record of a metric in a results folder."""
    paths = {json.loads(path.read_text())["metric"]: path for path in folder.rglob("result.json")}
    return paths[metric], next(result for result in read_results(folder) if result.metric == metric)


@pytest.fixture
def folder(isocortex, tmp_path: Path) -> Path:
    """Results of noise on images with five metrics."""
    images = image_folder(tmp_path / "images", n_images=30)
    named = [text for metric in METRICS for text in ("-b", f"folder:{images}:{metric}")]
    done = isocortex("score", "-m", "noise/3@random:5", *named, "--seed", "0", "--out", "results")
    assert done.returncode == 0, done.stderr
    return tmp_path / "results"


def test_five_results_of_different_metrics_have_equal_digits(isocortex, folder: Path) -> None:
    for metric in METRICS:
        path, result = record_of(folder, metric)
        before = path.read_bytes()
        done = isocortex("rerun", str(path))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "values: equal in every digit" in done.stdout
        assert f"digest: the same ({result.digest[:8]}), so" in done.stdout
        assert "versions that decide numbers: the same" in done.stdout
        assert path.read_bytes() == before


def test_layers_and_seed_are_those_of_the_record(isocortex, tmp_path: Path) -> None:
    images = image_folder(tmp_path / "images")
    asked = (
        "score",
        "-m",
        "noise/3",
        "-b",
        f"folder:{images}:ridge",
        "--layers",
        "layer.1",
        "--layers",
        "layer.2",
        "--seed",
        "7",
    )
    assert isocortex(*asked, "--out", "results").returncode == 0
    path, result = record_of(tmp_path / "results", "ridge")
    assert result.layers == ["layer.1", "layer.2"]
    done = isocortex("rerun", str(path.parent), "--out", "again", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["equal"]
    assert said["exact"]
    again = read_results(tmp_path / "again")[0]
    assert (again.layers, again.seed) == (result.layers, 7)
    assert again.summary == result.summary
    twice = isocortex("rerun", str(path.parent), "--out", "again")
    assert twice.returncode == 2
    assert "holds this result already" in twice.stderr


def test_one_that_was_made_with_another_scikit_learn_says_so(isocortex, folder: Path) -> None:
    path, result = record_of(folder, "rsa")
    versions = {**result.provenance.distributions, "scikit-learn": "0.24.1", "Markdown": "1.0"}
    made = result.provenance.model_copy(update={"distributions": versions, "python": "3.6.15"})
    write_record(path, result.model_copy(update={"provenance": made}))
    here = result.provenance.distributions["scikit-learn"]
    done = isocortex("rerun", str(path))
    assert done.returncode == 0, "its digits are equal"
    assert f"versions that decide numbers: scikit-learn 0.24.1 then, {here} now" in done.stdout
    assert "other packages of another version: Markdown" in done.stdout
    assert f"python: 3.6.15 then, {result.provenance.python} now" in done.stdout


def test_other_values_are_named_and_fail(isocortex, folder: Path) -> None:
    path, result = record_of(folder, "ridge")
    for change, code, said in (
        (1e-9, 0, "equal to 1e-6 (1 row), not in every digit: summary.value"),
        (1e-3, 1, "different: summary.value"),
    ):
        other = result.summary.model_copy(update={"value": result.summary.value + change})
        write_record(path, result.model_copy(update={"summary": other}))
        done = isocortex("rerun", str(path))
        assert done.returncode == code, done.stderr
        assert said in done.stdout


def test_data_that_changed_are_named(isocortex, folder: Path, tmp_path: Path) -> None:
    path, _ = record_of(folder, "ridge")
    edit_responses(tmp_path / "images", 3, "image02,1.0,2.0,3.0,4.0")
    done = isocortex("rerun", str(path))
    assert done.returncode == 1
    assert "it differs in: data" in done.stdout


def test_a_trial_and_more_draws_are_computed_as_such(isocortex, tmp_path: Path) -> None:
    images = image_folder(tmp_path / "images", n_images=30)
    asked = ("score", "-m", "noise/2", "-b", f"folder:{images}:ridge", "--out", "results")
    for more, place in ((("--limit", "24"), "results-trial"), (("--draws", "1500"), "results")):
        assert isocortex(*asked, *more).returncode == 0
        path, result = record_of(tmp_path / place, "ridge")
        done = isocortex("rerun", str(path))
        assert done.returncode == 0, done.stderr
        assert "values: equal in every digit" in done.stdout
        assert f"digest: the same ({result.digest[:8]})" in done.stdout
    again = package.rerun(path, out=tmp_path / "again").again
    assert again.n_draws == 1500
    assert result.limit is None
    assert "1,500 bootstrap draws" in methods_text(tmp_path / "results")
    trial = methods(tmp_path / "results-trial")
    assert trial.paragraphs == []
    assert "one cell of trials on some of the stimuli" in trial.unsaid[0]


def test_what_cannot_be_computed_again_says_why(isocortex, folder: Path, tmp_path: Path) -> None:
    path, result = record_of(folder, "ridge")
    with pytest.raises(StoreError, match="no record"):
        package.rerun(tmp_path / "nowhere.json")
    made = {"python::mine": "", **result.provenance.plugins}
    write_record(path, result.model_copy(update={"provenance": result.provenance.model_copy(update={"plugins": made})}))
    with pytest.raises(UsageError, match="Python object"):
        package.rerun(path)
    path.write_bytes(path.read_bytes().replace(b'"seed"', b'"sead"'))
    damaged = isocortex("rerun", str(path))
    assert damaged.returncode == 1
    assert "not what was written" in damaged.stderr


def test_a_value_that_is_not_defined_is_equal_to_itself() -> None:
    names = ("digest", "model", "variant", "benchmark", "dataset", "stimuli", "metric")
    summary = {"statistic": "r", "target": "pooled", "value": None, "layer_rule": "single layer", "best_layer": "a"}
    made = Result.model_validate({
        **dict.fromkeys(names, "x"), "status": "scored", "benchmark_version": 1,
        "summary": {**summary, "n_layers_searched": 1, "n_stimuli": 3, "also": {"r2": float("nan")}},
    })  # fmt: skip
    assert compared(made, made.model_copy()).equal
    assert np.isnan(made.summary.also["r2"])
