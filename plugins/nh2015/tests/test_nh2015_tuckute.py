"""The published R² of the SpectroTemporal model on the six components, from the real sounds; skipped without them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

import isocortex
from isocortex.activations.layer import Activations
from isocortex.data.dataset import make_responses
from tests.command_line import run_in_process

#: one worker makes what these tests share with those of tests/test_realdata.py
pytestmark = pytest.mark.xdist_group("realdata")

BENCHMARK = "NH2015comp.tuckute2023"
COMPONENTS = ["lowfreq", "highfreq", "envsounds", "pitch", "speech", "music"]
#: Tuckute et al. 2023, Fig. 4, as printed
PUBLISHED = [0.71, 0.55, 0.45, 0.53, 0.66, 0.34]
#: an independent implementation of the features and of the regression on the same sounds
INDEPENDENT = [0.709, 0.556, 0.450, 0.535, 0.657, 0.340]
COCHLEAGRAM_AT_MOST = [0.52, 0.35, 0.24, 0.11, 0.06, 0.13]


def run(base: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with folders below ``base``."""
    return run_in_process(
        arguments, base, {"ISOCORTEX_DATA": str(base / "data"), "ISOCORTEX_CACHE": str(base / "cache")}
    )


@pytest.fixture(scope="module")
def base(realdata, tmp_path_factory) -> Path:
    """Folder with the data and, where other tests of this worker have filled it, with the features."""
    filled = tmp_path_factory.getbasetemp() / "nh20150"
    folder = filled if (filled / "cache").is_dir() else tmp_path_factory.mktemp("nh2015")
    fetched = run(folder, "fetch", "-b", BENCHMARK, "--from", str(realdata / "nh2015"))
    assert fetched.returncode == 0, fetched.stderr
    return folder


def scores(base: Path, *models: str) -> dict[tuple[str, str | None], dict]:
    """(model, component) → row of the table."""
    named = [text for model in models for text in ("-m", model)]
    done = run(base, "score", *named, "-b", BENCHMARK, "--offline", "--json")
    assert done.returncode == 0, done.stderr
    return {(row["model"], row["region"]): row for row in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def scored(base) -> dict[tuple[str, str | None], dict]:
    """Rows of three models; the first two are the documented command. Features of sounds take a minute."""
    return scores(base, "spectrotemporal", "category", "cochleagram-cochcnn9")


def values(scored, model: str) -> np.ndarray:
    """R² of the six components."""
    return np.array([scored[model, component]["value"] for component in COMPONENTS])


@pytest.mark.long
def test_published_r2_of_the_spectrotemporal_model(scored) -> None:
    found = values(scored, "spectrotemporal")
    np.testing.assert_allclose(found, INDEPENDENT, atol=0.002)
    np.testing.assert_allclose(found, PUBLISHED, atol=0.01)
    speech = scored["spectrotemporal", "speech"]
    assert (speech["statistic"], speech["layer_rule"], speech["n_neuroids"]) == ("r2", "single layer", 1)
    assert speech["error_kind"] == "standard error over iterations of the layer choice"


@pytest.mark.long
def test_cochleagram_explains_less(scored) -> None:
    assert (values(scored, "cochleagram-cochcnn9") <= COCHLEAGRAM_AT_MOST).all()


def test_labels_explain_what_labels_can(base) -> None:
    found = values(scores(base, "category"), "category")
    np.testing.assert_allclose(found, [0.48, 0.19, 0.21, 0.55, 0.85, 0.60], atol=0.05)


@pytest.mark.long
def test_shuffled_responses_are_not_predicted(base, realdata) -> None:
    from scipy.io import loadmat

    done = run(
        base, "extract", "-m", "spectrotemporal", "--stimuli", "natsound165", "--reduction", "time-mean",
        "--out", str(base / "features"), "--offline",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [about] = (base / "features").rglob("activations.json")
    names = json.loads(about.read_text())["stimulus_id"]
    features = np.concatenate([np.load(chunk) for chunk in sorted((about.parent / "avgpool").glob("*.npy"))])
    assert features.shape == (165, 111 * 211)
    content = loadmat(realdata / "nh2015" / "components.mat")
    known = {str(cell[0]): row for cell, row in zip(content["stim_names"][0], content["R"], strict=True)}
    profiles = np.stack([known[name] for name in names])
    shuffled = np.concatenate([np.random.default_rng(seed).permutation(profiles) for seed in range(10)], axis=1)
    comparison = isocortex.load_metric("tuckute2023-components").against(
        make_responses(shuffled, names), settings={}, seed=0
    )
    scores = comparison.score_all({"avgpool": Activations("avgpool", names, [features])})
    of_each = scores["readout"].mean("iteration").values
    assert len(of_each) == 60
    assert of_each.max() <= 0.05
