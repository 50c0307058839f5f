"""Really trained networks, through the rows of the packages, on real brains: known answers, and the same untrained."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

from isocortex.models.convert_checkpoint import convert

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("trained networks")]


@pytest.fixture
def networks(realdata: Path) -> Path:
    """The folder of trained networks, or a skip."""
    folder = realdata / "networks"
    if not folder.is_dir():
        pytest.skip(f"trained networks are not in {realdata}; set ISOCORTEX_REALDATA")
    return folder


def rows(isocortex: Any, *arguments: str) -> dict[str, dict[str, Any]]:
    """The rows of whole results by their variant, "trained" for a file."""
    done = isocortex("score", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found = [row for row in json.loads(done.stdout) if row["region"] is None]
    return {"trained" if row["variant"].startswith("file:") else row["variant"]: row for row in found}


@pytest.mark.parametrize(
    ("model", "files", "layers", "expected", "untrained"),
    [
        ("squeezenet1_1", "squeezenet1_1_imagenet", "features.*", 0.323, (0.058, 0.119)),
        ("timm/tf_efficientnet_lite0", "tf_efficientnet_lite0_imagenet_fp16", "blocks.*", 0.387, (0.058, 0.155)),
        ("efficientnet_b0", "efficientnet_b0_body_fp16", "features.*", 0.194, (0.016, 0.068)),
    ],
)
def test_networks_that_see_on_human_it(
    isocortex: Any, realdata: Path, networks: Path, tmp_path: Path, model: str, files: str, layers: str,
    expected: float, untrained: tuple[float, float],
) -> None:  # fmt: skip
    """Layers nested in the other images; the correlation with the group-mean matrix."""
    pytest.importorskip("isocortex_vision")
    if model.startswith("timm/") and find_spec("timm") is None:
        pytest.skip("needs timm")
    benchmark = "Kriegeskorte2008.human-IT.rsa"
    weights = tmp_path / f"{files.removesuffix('_fp16')}.safetensors"
    convert([networks / f"{files}.npz"], weights)
    assert isocortex("fetch", "-b", benchmark, "--from", str(realdata / "kriegeskorte2008")).returncode == 0
    names = ("-m", f"{model}@file:{weights}=trained", "-m", f"{model}@random:0..1", "--layers", layers)
    found = {name: row["also"]["group_rho"] for name, row in rows(isocortex, *names, "-b", benchmark).items()}
    assert found.pop("trained") == pytest.approx(expected, abs=0.02)
    low, high = untrained
    assert all(low - 0.02 <= value <= high + 0.02 for value in found.values()), found


def test_whisper_on_human_auditory_cortex(isocortex: Any, realdata: Path, networks: Path, tmp_path: Path) -> None:
    """The encoder from two files of arrays, without its positions; an untrained one stays at the spectrogram."""
    pytest.importorskip("isocortex_wav2vec2")
    benchmark, model = "NH2015comp.ridge", "openai/whisper-tiny.en"
    weights = tmp_path / "whisper.safetensors"
    assert convert([networks / f"whisper_tiny_en_encoder_{part}_fp16.npz" for part in "ab"], weights) == 66
    assert isocortex("fetch", "-b", benchmark, "--from", str(realdata / "nh2015")).returncode == 0
    found = rows(isocortex, "-m", f"{model}@file:{weights}=trained", "-m", f"{model}@random:0", "-b", benchmark)
    trained, untrained = found["trained"], found["random:0"]
    assert trained["value"] == pytest.approx(0.898, abs=0.01)
    assert untrained["value"] <= 0.50
    assert untrained["interval_high"] < trained["interval_low"]
    [spectrogram] = rows(isocortex, "-m", "log-mel", "-b", benchmark).values()
    assert spectrogram["value"] == pytest.approx(0.398, abs=0.01)
