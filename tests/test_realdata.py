"""Real recordings, sounds and images through the whole path; skipped where they are not at hand."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.command_line import run_in_process

#: one worker makes what these tests share
pytestmark = pytest.mark.xdist_group("realdata")

MODELS = ("spectrotemporal", "cochleagram-*", "category", "threshold-units", "noise")
COMPONENTS = ["lowfreq", "highfreq", "envsounds", "pitch", "speech", "music"]


def run(base: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with folders below ``base``."""
    return run_in_process(
        arguments, base, {"ISOCORTEX_DATA": str(base / "data"), "ISOCORTEX_CACHE": str(base / "cache")}
    )


Rows = dict[tuple[str, str, str | None], dict]


@pytest.fixture(scope="module")
def base(realdata, tmp_path_factory) -> Path:
    """Folder with the sounds and responses."""
    folder = tmp_path_factory.mktemp("nh2015")
    fetched = run(folder, "fetch", "-b", "NH2015comp.ridge", "--from", str(realdata / "nh2015"))
    assert fetched.returncode == 0, fetched.stderr
    return folder


def scores(base: Path, *models: str) -> Rows:
    """(model, benchmark, region) → row of the table of models on NH2015comp."""
    named = [text for model in models for text in ("-m", model)]
    done = run(base, "score", *named, "-b", "NH2015comp.*", "--offline", "--json")
    assert done.returncode == 0, done.stderr
    return {(row["model"], row["benchmark"], row["region"]): row for row in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def scored(base) -> Rows:
    """Rows of six models; those of sounds take a minute."""
    return scores(base, *MODELS)


def test_labels_predict_and_noise_does_not(base) -> None:
    rows = scores(base, "category", "noise")
    for benchmark in ("NH2015comp.ridge", "NH2015comp.rsa"):
        noise = rows["noise", benchmark, None]
        assert noise["interval_low"] < 0 < noise["interval_high"]
        assert rows["category", benchmark, None]["interval_low"] > noise["value"]
    expect_components(rows)


@pytest.mark.long
@pytest.mark.parametrize("benchmark", ["NH2015comp.ridge", "NH2015comp.rsa"])
def test_spectrotemporal_beats_cochleagrams_and_all_beat_noise(scored, benchmark) -> None:
    value = {model: row["value"] for (model, name, part), row in scored.items() if (name, part) == (benchmark, None)}
    assert len(value) == 6
    assert value["spectrotemporal"] > max(value["cochleagram-kell2018"], value["cochleagram-cochcnn9"])
    assert all(value[model] > value["noise"] for model in value if model != "noise")
    noise = scored["noise", benchmark, None]
    assert noise["interval_low"] < 0 < noise["interval_high"]


@pytest.mark.long
def test_every_component_has_its_row(scored) -> None:
    expect_components(scored)


def expect_components(rows: Rows) -> None:
    """Every component has its row, and labels explain speech."""
    for model in {model for model, _, _ in rows}:
        regions = [region for name, benchmark, region in rows if (name, benchmark) == (model, "NH2015comp.ridge")]
        assert regions == [None, *COMPONENTS]
    speech = rows["category", "NH2015comp.ridge", "speech"]
    assert speech["n_neuroids"] == 1
    assert speech["value"] > 0.8, "labels alone explain speech: R2 of about .85"


def test_images_are_scored_on_both_monkey_and_human(realdata, tmp_path) -> None:
    fetched = run(tmp_path, "fetch", "-b", "Kriegeskorte2008.*", "--from", str(realdata / "kriegeskorte2008"))
    assert fetched.returncode == 0, fetched.stderr
    models = ("-m", "pixels", "-m", "gabor-pyramid", "-m", "category")
    done = run(tmp_path, "score", *models, "-b", "Kriegeskorte2008.*", "--json")
    assert done.returncode == 0, done.stderr
    rows = {(row["model"], row["benchmark"]): row for row in json.loads(done.stdout)}
    assert len(rows) == 9
    human = rows["category", "Kriegeskorte2008.human-IT.rsa"]
    assert human["statistic"] == "rho"
    assert human["n_subjects"] == 4
    assert human["ceiling_lower"] == pytest.approx(0.3723, abs=5e-4)
    assert human["ceiling_upper"] == pytest.approx(0.6657, abs=5e-4)
    assert human["ceiled"] is None, "a band is drawn, not divided by"
    assert human["value"] < human["also"]["group_rho"]
    printed = run(tmp_path, "info", "Kriegeskorte2008.human-IT.rsa").stdout
    assert "0.3723" in printed
    assert "0.6657" in printed


def test_own_function_on_real_sounds(realdata, tmp_path, monkeypatch) -> None:
    import isocortex
    from isocortex.run.fetch import fetch_all

    fetch_all([], ["NH2015comp.ridge"], realdata / "nh2015", verify_only=False)

    def loudness(sounds: np.ndarray) -> np.ndarray:
        return np.log(np.abs(np.fft.rfft(sounds[:, :40_000])) ** 2 + 1e-9).reshape(len(sounds), -1)[:, :20_000:50]

    model = isocortex.wrap(loudness, modality="audio", sample_rate=20_000)
    [result] = isocortex.score(model, "NH2015comp.ridge", out=tmp_path / "results", quiet=True)
    assert result.status == "scored", result.failure
    assert result.model == "loudness"
    assert result.summary is not None
    assert 0.1 < result.summary.value < 0.9
