"""Devices, precision and batch sizes through a whole run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isocortex
from isocortex.catalogue.cards import ModelCard, Variant
from isocortex.errors import UsageError
from isocortex.interfaces import LoadedModel, ModelPlugin
from isocortex.run.plan import RunConfig
from tests.folders import image_folder

torch = pytest.importorskip("torch")


class Network(ModelPlugin):
    """A small network, in the precision that its card asks for."""

    accelerated = True

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        from isocortex.models.torch_model import TorchModel, TorchRecipe

        recipe = TorchRecipe(
            build=lambda: torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(3)),
            preprocess=lambda batch: np.stack([item.array for item in batch]).transpose(0, 3, 1, 2) / 255.0,
            layers=["*"],
        )
        return TorchModel(recipe, variant, device=device, dtype=self.card.options.get("dtype", "float32"))


def network(**options: Any) -> Network:
    return Network(
        ModelCard(id="network", object="x:y", modality="image", layers=("*",), variants=("random",), options=options)
    )


@pytest.fixture
def benchmark(tmp_path: Path) -> str:
    return f"folder:{image_folder(tmp_path / 'images')}:ridge"


def scored(model: ModelPlugin, benchmark: str, out: Path, **config: Any) -> Any:
    [result] = isocortex.score(model, benchmark, config=RunConfig(**config), out=out, quiet=True)
    assert result.failure is None, result.failure
    return result


def test_half_precision_is_part_of_digest_and_provenance(benchmark: str, tmp_path: Path) -> None:
    full = scored(network(), benchmark, tmp_path / "out")
    half = scored(network(dtype="bfloat16"), benchmark, tmp_path / "out")
    assert (full.provenance.dtype, half.provenance.dtype) == ("float32", "bfloat16")
    assert full.digest != half.digest
    assert full.digests["model"] != half.digests["model"]
    assert half.summary.value == pytest.approx(full.summary.value, abs=0.05)
    assert half.summary.value != full.summary.value


def test_the_batch_size_changes_no_score_and_no_digest(
    benchmark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = scored(network(), benchmark, tmp_path / "one", batch_size=1)
    monkeypatch.setenv("ISOCORTEX_CACHE", str(tmp_path / "another"))
    together = scored(network(), benchmark, tmp_path / "all")
    assert alone.digest == together.digest
    assert together.summary.value == pytest.approx(alone.summary.value, abs=1e-5)


def test_a_device_that_is_not_here_leaves_nothing_behind(benchmark: str, tmp_path: Path) -> None:
    absent = next(device for device in ("cuda:77", "mps") if device != "mps" or not torch.backends.mps.is_available())
    with pytest.raises(UsageError, match=f"There is no device '{absent}' here. Use --device cpu"):
        isocortex.score(network(), benchmark, config=RunConfig(device=absent), out=tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()


def test_the_command_line_names_the_devices(isocortex: Any, tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "images")
    dry_run = ("score", "--dry-run", "-b", f"folder:{folder}:ridge")
    for command in (dry_run, ("extract", "--stimuli", str(folder / "stimuli"))):
        done = isocortex(command[0], "-m", "pixels", *command[1:], "--device", "tpu")
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "There is no device 'tpu' here. Use --device cpu" in done.stderr
