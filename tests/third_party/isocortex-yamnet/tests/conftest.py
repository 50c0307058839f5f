"""Folders of their own for every test, and the trained weights where they are at hand."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

#: a folder with yamnet.json and yamnet.npz
WEIGHTS = "ISOCORTEX_YAMNET_WEIGHTS"


@dataclass
class Stored:
    """What the two files hold."""

    json: dict[str, Any]
    npz: dict[str, Any]

    @property
    def ops(self) -> list[Any]:
        """The operators."""
        return self.json["ops"]


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Data and cache folders of this test alone."""
    folder = tmp_path_factory.mktemp("isocortex")
    monkeypatch.setenv("ISOCORTEX_DATA", str(folder / "data"))
    monkeypatch.setenv("ISOCORTEX_CACHE", str(folder / "cache"))
    return folder


@pytest.fixture(scope="session")
def weights() -> Path:
    """The folder of the trained weights, or a skip."""
    folder = Path(os.environ.get(WEIGHTS, "weights"))
    if not (folder / "yamnet.npz").is_file():
        pytest.skip(f"the trained weights are not in {folder}; set {WEIGHTS}")
    return folder


@pytest.fixture
def made_up(tmp_path: Path) -> Callable[..., Path]:
    """Write an untrained network in the format of the weights; ``change`` may spoil what is written."""

    def write(change: Callable[[Stored], object] | None = None) -> Path:
        from isocortex_yamnet.network import Yamnet

        stored = as_stored(Yamnet())
        if change is not None:
            change(stored)
        folder = tmp_path / "made-up"
        folder.mkdir()
        (folder / "yamnet.json").write_text(json.dumps(stored.json))
        np.savez(folder / "yamnet.npz", **stored.npz)
        return folder

    return write


def as_stored(network: Any) -> Stored:
    """A network as its two files: depthwise weights (1, h, w, c), the others (out, h, w, in)."""
    ops: list[dict[str, Any]] = []
    constants: dict[str, Any] = {}
    for name, module in network.named_modules():
        if not hasattr(module, "weight"):
            continue
        weight, key = module.weight.detach().numpy(), f"c{len(ops)}"
        depthwise = name.endswith("depthwise")
        stored = weight.transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1)) if weight.ndim == 4 else weight
        constants |= {key: stored, f"{key}b": module.bias.detach().numpy()}
        kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D" if weight.ndim == 4 else "FULLY_CONNECTED"
        place = "dense" if name == "logits" else name.replace(".", "/") + ("_conv" if "." in name else "")
        op = {"op": kind, "in": [0, key, f"{key}b"], "out": len(ops), "out_name": f"yamnet_frames/{place}/relu/Relu"}
        ops.append(op if name == "logits" else {**op, "act": "relu", "pad": "same", "stride": list(module.stride)})
    return Stored({"ops": ops, "quant": {}}, constants)
