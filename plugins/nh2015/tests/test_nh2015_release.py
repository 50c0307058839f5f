"""A release of full size, and a release brought in and scored by the command line, with the real sounds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from isocortex.testing import CheckOutcome, checks_of
from isocortex_nh2015 import read_frame
from isocortex_nh2015.release import bring_components
from plugins.nh2015.tests import release as synthetic
from plugins.nh2015.tests.test_nh2015_voxels import expect_encoded, load
from tests.command_line import run_in_process

REALDATA = Path(os.environ.get("ISOCORTEX_REALDATA") or Path(__file__).parents[4] / "shared" / "realdata") / "nh2015"
BENCHMARKS = ("NH2015.ridge", "NH2015.rsa", "NH2015.tuckute2023", "NH2015.tuckute2023-rsa", "B2021.tuckute2023")
LAYERS = ("relu0", "relufc")


def test_a_release_of_full_size_lands_value_by_value(tmp_path, monkeypatch):
    monkeypatch.setenv("ISOCORTEX_CACHE", str(tmp_path / "cache"))
    root = synthetic.write_data(tmp_path, synthetic.Sizes(**synthetic.FULL))
    for name, n_voxels, n_written, n_subjects in (("NH2015", 7694, 11_065, 8), ("B2021", 26_792, 26_792, 20)):
        dataset = load(root, name)
        expect_encoded(dataset, n_written)
        assert dataset.responses.sizes == {"presentation": 495, "neuroid": n_voxels}
        assert len(set(dataset.responses["subject"].values)) == n_subjects
        assert dataset.responses.nbytes == 3 * 165 * n_voxels * 8


# --- with the sounds --------------------------------------------------------------------------------------------------


def run(base: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_in_process(
        arguments, base, {"ISOCORTEX_DATA": str(base / "data"), "ISOCORTEX_CACHE": str(base / "cache")}
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """The real sounds, and no release yet."""
    if not REALDATA.is_dir():
        pytest.skip("the sounds and components are absent (ISOCORTEX_REALDATA)")
    folder = tmp_path_factory.mktemp("base")
    done = run(folder, "fetch", "-b", "NH2015comp.ridge", "--from", str(REALDATA))
    assert done.returncode == 0, done.stderr
    return folder


def signal(dataset: str, ids, voxels: np.ndarray) -> np.ndarray:
    """Responses of voxels that all read the layer ``signal``."""
    draw = np.random.default_rng(len(ids) + len(voxels))
    clean = synthetic.features("signalFalse", 9, ids)[:, 1:] @ draw.normal(size=(8, len(voxels)))
    return clean[:, :, None] + draw.normal(size=(len(ids), len(voxels), 3))


@pytest.fixture(scope="module")
def brought(base) -> Path:
    """A synthetic release, with responses that one network made, brought in by the command."""
    root = synthetic.write_data(base / "release", responses=signal)
    features = dict.fromkeys([*LAYERS, "maxpool0", "relu1", "maxpool1", "relu2", "relu3", "relu4", "avgpool"], 9)
    synthetic.write_in_house(root / "model_actv/Kell2018word", {**features, "signal": 9})
    synthetic.write_in_house(root / "model_actv/true", {"signal": 9, "noise": 9})
    described = read_frame(root / "data/neural/NH2015/df_roi_meta.pkl")
    for layer in LAYERS:
        synthetic.write_result(root, synthetic.result_table(described, "Kell2018word", layer, "NH2015"))
    done = run(base, "import", "tuckute", str(root))
    assert done.returncode == 0, done.stderr
    return base


def outcomes(name: str, kind: str) -> list[CheckOutcome]:
    """How the checks of one row end; those of the manifest are made elsewhere."""
    return [check.outcome() for check in checks_of(name) if check.id.startswith(f"{kind}:")]


def test_without_the_release_its_checks_are_skipped_in_one_line_each(base, monkeypatch, tmp_path):
    monkeypatch.setenv("ISOCORTEX_DATA", str(base / "data"))
    monkeypatch.setenv("ISOCORTEX_CACHE", str(base / "cache"))
    monkeypatch.setattr("isocortex_nh2015.release.release_folder", lambda: tmp_path / "nothing")
    for name in ("NH2015", "B2021"):
        found = outcomes(name, "dataset")
        assert {item.status for item in found} == {"skipped"}
        assert all("isocortex import tuckute" in item.message and "\n" not in item.message for item in found)
    assert [item.status for item in outcomes("B2021.tuckute2023", "benchmark")] == ["skipped", "passed"]


def test_the_conformance_kit_passes_on_the_data_that_were_brought_in(brought, monkeypatch):
    monkeypatch.setenv("ISOCORTEX_DATA", str(brought / "data"))
    monkeypatch.setenv("ISOCORTEX_CACHE", str(brought / "cache"))
    for name in ("NH2015", "B2021"):
        assert [item for item in outcomes(name, "dataset") if item.status != "passed"] == []
    for name in ("NH2015.ridge", "B2021.tuckute2023-rsa"):
        assert [item for item in outcomes(name, "benchmark") if item.status != "passed"] == []


def test_activations_of_the_release_are_scored_beside_its_results(brought):
    true, other = (f"activations:tuckute2023/activations/{name}" for name in ("true", "CochCNN9-Word"))
    benchmarks = [word for name in BENCHMARKS for word in ("-b", name)]
    command = ("score", "-m", true, "-m", other, *benchmarks, "--offline", "--out", "tuckute2023/results", "--json")
    done = run(brought, *command)
    assert done.returncode == 0, done.stderr
    rows = {(row["model"], row["benchmark"], row["region"]): row for row in json.loads(done.stdout)}
    for benchmark in BENCHMARKS:
        right, wrong = (rows[name, benchmark, None] for name in (true, other))
        assert right["best_layer"] == "signal"
        assert right["value"] > wrong["value"] + 0.2
        assert (right["n_stimuli"], right["n_subjects"]) == (165, 4 if benchmark.startswith("B2021") else 3)
    primary = rows[true, "NH2015.tuckute2023", "region=Primary"]
    assert 0 < primary["n_neuroids"] < 24
    assert primary["ceiled"] is not None
    shown = json.loads(run(brought, "show", "tuckute2023/results", "--json").stdout)
    beside = {row["model"] for row in shown if row["benchmark"] == "NH2015.tuckute2023" and row["region"] is None}
    assert beside == {true, other, "tuckute2023/CochCNN9-Word"}
    assert "CochResNet50-MultiTask" in run(brought, "info", "NH2015.tuckute2023", "--published").stdout


def test_components_are_taken_from_a_release_by_their_checksum(tmp_path, monkeypatch):
    if not REALDATA.is_dir():
        pytest.skip("the sounds and components are absent (ISOCORTEX_REALDATA)")
    monkeypatch.setenv("ISOCORTEX_CACHE", str(tmp_path / "cache"))
    (tmp_path / "release/data/neural/NH2015comp").mkdir(parents=True)
    shutil.copy(REALDATA / "components.mat", tmp_path / "release/data/neural/NH2015comp")
    monkeypatch.setenv("ISOCORTEX_DATA", str(tmp_path / "store"))
    assert bring_components(tmp_path / "release") is True
    assert (tmp_path / "store/isocortex-nh2015/components.mat").is_file()
    assert bring_components(tmp_path / "store") is None
