"""The trained weights: ``yamnet.json`` (operators, quantisation) and ``yamnet.npz`` (constants), read without code."""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isocortex.errors import DataError

OPERATORS, CONSTANTS = FILES = ("yamnet.json", "yamnet.npz")
#: the published weights: file → (SHA-256, bytes)
PUBLISHED = {
    OPERATORS: ("048c684146c2458096d2003c4db06666ac94844158266c5bcc29dcf6e153fafb", 13_448),
    CONSTANTS: ("33de188e87ccff2f1804cd5b54b4a2c59707d869c3efd4902366ba5f49a39dd7", 2_765_478),
}
_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
#: name of a tensor of the file → module of the network, where a block has two
_LAYER = re.compile(r"/(layer\d+)/(depthwise|pointwise)?")
_DENSE = "/dense/"
_DAMAGED = (zipfile.BadZipFile, zlib.error)

Arrays = Mapping[str, NDArray[Any]]


def read_folder(folder: Path) -> dict[str, Any]:
    """Read the trained weights of a folder as tensors by the names of the network's parameters.

    Raises
    ------
    DataError
        A file is absent, damaged or holds something else; the message names it.
    """
    import torch

    found: dict[str, Any] = {}
    operators, arrays = _read_operators(folder / OPERATORS), _read_constants(folder / CONSTANTS)
    try:
        for module, kind, weight, bias in _parameters(operators, arrays):
            for name, values in ((f"{module}.weight", _in_torch_order(weight, kind)), (f"{module}.bias", bias)):
                if name in found:
                    raise DataError(f"{name} is there twice")
                if not np.isfinite(values).all():
                    raise DataError(f"{name} holds NaN or infinite values")
                found[name] = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, DataError) as error:
        reason = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        again = f"Get {' and '.join(FILES)} again."
        raise DataError(f"{folder} holds no YAMNet that can be read: {reason}. {again}") from error
    if not found:
        raise DataError(f"{folder / OPERATORS} names no convolution of YAMNet. Get {' and '.join(FILES)} again.")
    return found


def _read_operators(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(_not_readable(path, error.strerror or str(error))) from error
    except (ValueError, RecursionError) as error:  # damaged JSON, or bytes that are no text
        raise DataError(f"{path} is no JSON ({error}). Get it again.") from error
    if not isinstance(content, dict) or not isinstance(content.get("ops"), list):
        raise DataError(f"{path}: expected an object with the list 'ops', found something else. Get it again.")
    return content


def _read_constants(path: Path) -> Arrays:
    """All arrays of an .npz; one that holds Python objects is refused, because reading it would run code."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except OSError as error:
        raise DataError(_not_readable(path, error.strerror or str(error))) from error
    except (ValueError, EOFError, AttributeError, TypeError, NotImplementedError, *_DAMAGED) as error:
        raise DataError(f"{path} is no file of arrays ({error}). Get it again.") from error


def _not_readable(path: Path, reason: str) -> str:
    return f"{path} cannot be read ({reason}). Expected a folder with {' and '.join(FILES)}."


def _parameters(operators: Mapping[str, Any], arrays: Arrays) -> Iterator[tuple[str, str, NDArray[Any], NDArray[Any]]]:
    """Module, kind of operator, weight and bias of everything that has learned weights."""
    from isocortex_yamnet.network import strides_by_name

    strides = strides_by_name()
    restored = {op["out"]: op["in"][0] for op in operators["ops"] if op["op"] == "DEQUANTIZE"}
    for op in operators["ops"]:
        module = _module_of(op)
        if module is None:
            continue
        if module in strides:
            _check_convolution(module, op, strides[module])
        names = [restored.get(name, name) for name in op["in"][1:3]]
        weight, bias = (dequantised(arrays[name], operators.get("quant", {}).get(name)) for name in names)
        yield module, op["op"], weight, bias


def _check_convolution(module: str, op: Mapping[str, Any], stride: int) -> None:
    found, wanted = (op["stride"], op["pad"], op["act"]), ([stride, stride], "same", "relu")
    if found != wanted:
        raise DataError(f"{module} has stride, padding and activation {found}, expected {wanted}")


def _module_of(op: Mapping[str, Any]) -> str | None:
    """The module that an operator is; None where it has no learned weights."""
    if op["op"] == "FULLY_CONNECTED":
        return "logits" if _DENSE in op["out_name"] else None
    found = _LAYER.search(op["out_name"]) if op["op"] in _CONVOLUTIONS else None
    return ".".join(part for part in found.groups() if part) if found else None


def dequantised(stored: NDArray[Any], quantisation: Mapping[str, Sequence[float]] | None) -> NDArray[np.float32]:
    """Real values of a stored constant, (q - zero) × scale; without quantisation the values themselves.

    Parameters
    ----------
    stored
        int8 or float32.
    quantisation
        "scale" and "zero": one of each, or one per channel along the only axis of that length.

    Raises
    ------
    DataError
        There are several scales, and none or several of the axes have that length; or integers without a scale.

    Examples
    --------
    >>> dequantised(np.array([[1, 2], [3, 4], [5, 6]], dtype=np.int8), {"scale": [1, 10], "zero": [0, 2]}).tolist()
    [[1.0, 0.0], [3.0, 20.0], [5.0, 40.0]]
    """
    if quantisation is None:
        if stored.dtype.kind != "f":
            raise DataError(f"constants of type {stored.dtype} come without a scale")
        return stored.astype(np.float32)
    scale, zero = (np.asarray(quantisation[name], dtype=np.float64) for name in ("scale", "zero"))
    if scale.size == 1:
        shape: tuple[int, ...] = ()
    else:
        axes = [axis for axis, length in enumerate(stored.shape) if length == scale.size]
        if len(axes) != 1:
            raise DataError(f"{scale.size} scales fit {len(axes)} of the axes of shape {stored.shape}, not one")
        shape = tuple(scale.size if axis == axes[0] else 1 for axis in range(stored.ndim))
    return ((stored.astype(np.float64) - zero.reshape(shape)) * scale.reshape(shape)).astype(np.float32)


def _in_torch_order(weight: NDArray[Any], kind: str) -> NDArray[Any]:
    """Channels first: (out, h, w, in) → (out, in, h, w); depthwise (1, h, w, channels) → (channels, 1, h, w)."""
    if kind == "FULLY_CONNECTED":
        return weight
    return weight.transpose((3, 0, 1, 2) if kind == "DEPTHWISE_CONV_2D" else (0, 3, 1, 2))
