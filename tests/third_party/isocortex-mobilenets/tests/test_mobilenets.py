"""The networks against torch's own padding-free arithmetic, files that are written here, and the contract."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from isocortex.errors import DataError
from isocortex.testing import conformance
from isocortex_mobilenets.network import NETWORKS, convolutions, same_padding
from isocortex_mobilenets.weights import files_of, read_folder

test_conformance = conformance("isocortex_mobilenets")


def write(folder: Path, name: str, network: torch.nn.Module, scale: float = 1e-3) -> None:
    """Write a network in the published format, one scale for each constant."""
    ops, quant, arrays = [], {}, {}
    for number, (_, module) in enumerate(convolutions(network)):
        depthwise = module.groups > 1
        stored = module.weight.detach().numpy().transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1))
        for key, values in ((f"c{number}", stored), (f"b{number}", module.bias.detach().numpy())):
            arrays[key] = np.rint(values / scale).astype(np.int32)
            quant[key] = {"scale": [scale], "zero": [0]}
        kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        op = {"op": kind, "in": [0, f"c{number}", f"b{number}"], "stride": [*module.stride], "pad": "same"}
        ops.append({**op, "act": module.act})
    operators, constants = files_of(name)
    (folder / operators).write_text(json.dumps({"ops": ops, "quant": quant}))
    np.savez(folder / constants, **arrays)


@pytest.mark.parametrize(("version", "n_parameters", "size"), [("v1", 1_326_633, 160), ("v2", 3_489_097, 224)])
def test_a_network_written_and_read_is_the_network(tmp_path: Path, version: str, n_parameters: int, size: int) -> None:
    network = NETWORKS[version]()
    assert sum(parameter.numel() for parameter in network.parameters()) == n_parameters
    assert network(torch.zeros(1, 3, size, size)).shape == (1, 1001, 1, 1)
    write(tmp_path, "made", network)
    read = read_folder(tmp_path, "made", NETWORKS[version]())
    for name, tensor in network.state_dict().items():
        assert (read[name] - tensor).abs().max() <= 0.5e-3 + 1e-7, name


def test_another_network_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "made", NETWORKS["v2"]())
    with pytest.raises(DataError, match=r"5[23] convolutions are there, expected 28"):
        read_folder(tmp_path, "made", NETWORKS["v1"]())
    (tmp_path / "made.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match="holds no made"):
        read_folder(tmp_path, "made", NETWORKS["v2"]())


def test_the_odd_row_comes_last() -> None:
    assert [same_padding(size, 3, 2) for size in (224, 7)] == [(0, 1), (1, 1)]
