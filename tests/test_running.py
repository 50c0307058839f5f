"""Around a run: dry run, what is kept, provenance, hooks, cards."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.folders import image_folder
from tests.third_party.install import environment, write_package

HOOKS = '''
"""Writes down what it is called with."""

import pathlib

from isocortex.hooks import hookimpl

LOG = pathlib.Path("hooks.log")


def note(text):
    with LOG.open("a") as file:
        file.write(text + "\\n")


@hookimpl
def isocortex_before_run(plan):
    note(f"before {len(plan.cells)}")


@hookimpl
def isocortex_after_cell(result):
    note(f"cell {result.model} {result.status}")


@hookimpl
def isocortex_after_run(results):
    note(f"after {len(results)}")
    raise RuntimeError("the disk of the hook is full")
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set folder of images."""
    return image_folder(tmp_path / "mine")


def test_dry_run_says_what_is_needed_and_computes_nothing(isocortex, folder, tmp_path, own_folders) -> None:
    command = ("score", "-m", "gabor-pyramid", "-m", "pixels", "-m", "spectro*", "-b", f"folder:{folder}:ridge")
    done = isocortex(*command, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    planned = json.loads(done.stdout)
    assert [cell["model"] for cell in planned["cells"]] == ["gabor-pyramid", "pixels"]
    assert len(planned["left_out"]) == 2
    assert not (tmp_path / "results").exists()
    assert not list(own_folders.rglob("*.npy"))
    assert "2 cells, 2 extractions, 2 pairs left out" in isocortex(*command, "--dry-run").stdout

    assert isocortex(*command).returncode == 0
    stored = sum(np.load(path).nbytes for path in own_folders.rglob("*.npy"))
    assert sum(need["disk_bytes"] for need in planned["extractions"]) == stored


def test_dry_run_without_the_data(isocortex) -> None:
    done = isocortex("score", "-m", "spectrotemporal", "-b", "NH2015comp.ridge", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "not known before the data are here" in done.stdout


def test_predictions_alphas_and_training_fits_are_kept_on_request(isocortex, folder, tmp_path) -> None:
    command = ("score", "-m", "pixels", "-b", f"folder:{folder}:ridge")
    plain, kept = tmp_path / "plain", tmp_path / "kept"
    assert isocortex(*command, "--out", str(plain)).returncode == 0
    keep = [word for name in ("prediction", "alpha", "training_r2") for word in ("--keep", name)]
    assert isocortex(*command, "--out", str(kept), *keep).returncode == 0
    raw = [xr.load_dataset(next(base.rglob("scores.nc"))) for base in (plain, kept)]
    beside = {"prediction", "alpha", "alpha_at_bound", "training_r2"}
    assert not beside & (set(raw[0]) | set(raw[1])), "what is kept lies in files of its own"
    for path in kept.rglob("kept/*.nc"):
        raw[1] = raw[1].assign(xr.load_dataset(path).data_vars)
    assert beside <= set(raw[1])
    assert raw[1]["training_r2"].dims == raw[1]["alpha_at_bound"].dims == ("layer", "split", "neuroid")
    assert set(np.unique(raw[1]["alpha_at_bound"])) <= {-1, 0, 1}
    assert raw[1]["prediction"].dims == ("split", "test", "neuroid")
    assert raw[0]["r"].dtype == np.float32
    assert raw[0]["draws"].sizes == {"row": 1, "draw": 1000}
    splits = raw[1]["test_stimulus"].values
    response = np.loadtxt(folder / "responses.csv", delimiter=",", skiprows=1, usecols=1)
    test = splits[0][splits[0] >= 0]
    expected = np.corrcoef(raw[1]["prediction"].values[0, : len(test), 0], response[test])[0, 1]
    assert float(raw[1]["r"][0, 0, 0]) == pytest.approx(expected, abs=1e-5)
    refused = isocortex(*command, "--keep", "predictions")
    assert refused.returncode == 2
    assert "--keep takes prediction" in refused.stderr


def test_a_benchmark_gives_its_baselines_to_the_metric(isocortex, folder, tmp_path) -> None:
    """What pixels add to the labels bright and dark, and what the labels add to pixels."""
    command = ("score", "-m", "pixels", "-m", "category", "-b", f"folder:{folder}:unique-variance", "--json")
    declared = folder / "dataset.toml"
    declared.write_text('[benchmark]\nbaselines = ["category"]\n')
    rows = {row["model"]: row for row in json.loads(isocortex(*command).stdout)}
    assert rows["pixels"]["statistic"] == "unique_r2"
    assert rows["pixels"]["value"] > 0.1
    assert abs(rows["category"]["value"]) < 1e-6, "labels add nothing to themselves"
    also = rows["pixels"]["also"]
    assert rows["category"]["also"]["baseline_r2"] == pytest.approx(also["baseline_r2"])
    assert also["joint_r2"] > also["baseline_r2"] > 0.3
    [record] = [json.loads(path.read_text()) for path in (tmp_path / "results").glob("*/pixels@*/*/result.json")]
    assert len(record["digests"]["baseline category"]) == 64
    declared.write_text('[benchmark]\nbaselines = ["pixels"]\n')
    rows = {row["model"]: row for row in json.loads(isocortex(*command).stdout)}
    assert abs(rows["pixels"]["value"]) < 1e-6
    declared.write_text('[benchmark]\nbaselines = ["spectrotemporal"]\n')
    refused = isocortex(*command)
    assert refused.returncode == 2
    assert "'spectrotemporal' takes audio, but the stimuli are image" in refused.stderr


def test_a_result_says_what_it_was_made_with(isocortex, folder, tmp_path) -> None:
    assert isocortex("score", "-m", "noise@random:5", "-b", f"folder:{folder}:ridge", "--seed", "3").returncode == 0
    [path] = (tmp_path / "results").rglob("result.json")
    record = json.loads(path.read_text())
    assert path.parent.name == record["digest"][:16]
    assert path.parent.parent.name == "noise@random%3A5"
    assert (record["seed"], record["variant"], record["layers"]) == (3, "random:5", ["layer.0"])
    assert all(len(record["digests"][key]) == 64 for key in ("model", "dataset", "stimuli", "metric", "splits"))
    provenance = record["provenance"]
    assert {"extract", "score", "summarise"} <= set(provenance["seconds"])
    assert {"numpy", "isocortex", "isocortex-metrics"} <= set(provenance["distributions"])
    assert provenance["plugins"]["isocortex-baselines::noise"] == "0.1.0"
    assert provenance["command"][1:3] == ["score", "-m"]
    assert provenance["device"] == "cpu"


def test_another_seed_or_edited_data_is_another_result(isocortex, folder, tmp_path) -> None:
    command = ("score", "-m", "pixels", "-b", f"folder:{folder}:ridge")
    assert isocortex(*command).returncode == 0
    assert "0 computed, 1 cached" in isocortex(*command).stderr
    assert "1 computed, 0 cached" in isocortex(*command, "--seed", "1").stderr
    lines = (folder / "responses.csv").read_text().splitlines()
    (folder / "responses.csv").write_text("\n".join([lines[0], lines[2], lines[1], *lines[3:]]) + "\n")
    assert "0 computed, 1 cached" in isocortex(*command).stderr, "the order of rows is not content"
    (folder / "responses.csv").write_text("\n".join([*lines[:-1], lines[-1] + "1"]) + "\n")
    edited = isocortex(*command)
    assert "1 computed, 0 cached" in edited.stderr
    assert "extracted" not in edited.stderr, "activations do not depend on responses"


def test_hooks_of_a_plugin_are_called_and_cannot_end_a_run(isocortex, folder, tmp_path) -> None:
    manifest = '[plugin]\napi = 1\nhooks = "iso_hooks.watching"\n'
    write_package(tmp_path / "site", "iso-hooks", {"isocortex.toml": manifest, "watching.py": HOOKS})
    env = environment(tmp_path / "site")
    command = ("score", "-m", "pixels", "-m", "category", "-b", f"folder:{folder}:ridge")
    done = isocortex(*command, env=env)
    assert done.returncode == 0, done.stderr
    assert (
        "hook isocortex_after_run of iso-hooks 0.1.0 failed: RuntimeError: the disk of the hook is full" in done.stderr
    )
    log = tmp_path / "hooks.log"
    assert log.read_text().splitlines() == ["before 2", "cell pixels scored", "cell category scored", "after 2"]
    log.unlink()
    assert isocortex(*command, env=env).returncode == 0
    assert log.read_text().splitlines() == ["before 2", "after 2"], "cached cells are not computed"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gabor-pyramid", ["model gabor-pyramid", "isocortex-baselines", "licence: BSD-3-Clause", "sigma.2, sigma.4"]),
        ("natsound165", ["stimuli natsound165", "166 files", "not here; isocortex fetch brings them"]),
        ("ridge", ["metric ridge", "accepts: responses"]),
        ("noise/7", ["model noise/7"]),
        ("NH2015comp.ridge", ["benchmark NH2015comp.ridge", "published scores", "isocortex fetch -b NH2015comp.ridge"]),
    ],
)
def test_info(isocortex, name, words) -> None:
    done = isocortex("info", name)
    assert done.returncode == 0, done.stderr
    for word in words:
        assert word in done.stdout


def test_info_of_nothing(isocortex) -> None:
    done = isocortex("info", "gabor-pyramids")
    assert done.returncode == 2
    assert "Did you mean gabor-pyramid" in done.stderr
