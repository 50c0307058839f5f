"""Trained weights: ``NAME.json`` (operators, quantisation) and ``NAME.npz`` (8-bit constants), read without code."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isocortex.errors import DataError

if TYPE_CHECKING:
    from torch import nn

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_DAMAGED = (OSError, ValueError, EOFError, AttributeError, TypeError, NotImplementedError, RecursionError)


def files_of(name: str) -> tuple[str, str]:
    """Names of the two files."""
    return f"{name}.json", f"{name}.npz"


def read_folder(folder: Path, name: str, network: nn.Module) -> dict[str, Any]:
    """Tensors by the network's names, from the files of a folder; convolutions are matched in the order of operators.

    Raises
    ------
    DataError
        A file is absent, damaged, or of another network; the message names the folder.
    """
    try:
        return _read(folder, name, network)
    except (KeyError, IndexError, zipfile.BadZipFile, zlib.error, *_DAMAGED, DataError) as error:
        reason = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        expected = f"Expected a folder with {' and '.join(files_of(name))}."
        raise DataError(f"{folder} holds no {name} that can be read: {reason}. {expected}") from error


def _read(folder: Path, name: str, network: nn.Module) -> dict[str, Any]:
    import torch

    from isocortex_mobilenets.network import convolutions

    operators, constants = files_of(name)
    content = json.loads((folder / operators).read_text(encoding="utf-8"))
    with np.load(folder / constants, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    ops = [op for op in content["ops"] if op["op"] in _CONVOLUTIONS]
    modules = list(convolutions(network))
    if len(ops) != len(modules):
        raise DataError(f"{len(ops)} convolutions are there, expected {len(modules)}")
    found: dict[str, Any] = {}
    for op, (module, convolution) in zip(ops, modules, strict=True):
        asked = ([*convolution.stride], "same", convolution.act)
        if (op["stride"], op["pad"], op["act"]) != asked:
            raise DataError(f"{module} has another stride, padding or activation than {asked}")
        weight, bias = (dequantised(arrays[key], content["quant"][key]) for key in op["in"][1:3])
        order = (3, 0, 1, 2) if op["op"] == "DEPTHWISE_CONV_2D" else (0, 3, 1, 2)
        for parameter, values in (("weight", weight.transpose(order)), ("bias", bias)):
            found[f"{module}.{parameter}"] = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
    return found


def dequantised(stored: NDArray[Any], quantisation: Mapping[str, Sequence[float]]) -> NDArray[np.float32]:
    """Real values of a stored constant with one scale, (q - zero) × scale.

    Examples
    --------
    >>> dequantised(np.array([3, 4], dtype=np.uint8), {"scale": [0.5], "zero": [3]}).tolist()
    [0.0, 0.5]
    """
    [scale], [zero] = quantisation["scale"], quantisation["zero"]
    return ((stored.astype(np.float64) - zero) * scale).astype(np.float32)
