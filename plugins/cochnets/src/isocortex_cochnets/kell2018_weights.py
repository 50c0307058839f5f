"""The published weights of Kell et al. (2018): three pickled dictionaries of arrays, read without running any code.

Each file holds ``{layer: {"W": array, "b": array}}`` in the layout of TensorFlow. The unpickler that reads them knows
arrays, dictionaries, texts and numbers and refuses everything else.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from isocortex.errors import DataError
from isocortex.typing import Array

Layers = Mapping[str, Mapping[str, Array]]

FILES = tuple(f"network_weights_{part}.npy" for part in ("early_layers", "word_branch", "genre_branch"))


def holds_weights(folder: Path) -> bool:
    """Whether all files lie in a folder."""
    return all((folder / name).is_file() for name in FILES)


def read_folder(folder: Path) -> dict[str, Any]:
    """Read the published weights of a folder.

    Returns
    -------
    Tensors by the names of `isocortex_cochnets.kell2018.Kell2018`.

    Raises
    ------
    DataError
        A file is missing, damaged, or holds more than arrays.
    """
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{folder} lacks {', '.join(missing)}: expected {', '.join(FILES)}.")
    layers: dict[str, Mapping[str, Array]] = {}
    for name in FILES:
        layers.update(read_layers(folder / name))
    return torch_state(layers)


def read_layers(path: Path) -> dict[str, Mapping[str, Array]]:
    """Read one file.

    Raises
    ------
    DataError
        It is damaged, or holds more than arrays.
    """
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, _, dtype = header[version](file)
            if shape != () or not dtype.hasobject:
                raise DataError(f"{path} holds an array {shape} of {dtype}; expected one dictionary.")
            content = _ArraysOnly(file, encoding="latin1").load().item()
    except (OSError, EOFError, KeyError, ValueError, AttributeError, pickle.UnpicklingError) as error:
        raise DataError(
            f"{path} cannot be read as weights of Kell et al. 2018 ({error}). Download it again."
        ) from error
    if not isinstance(content, dict) or not all(_is_layer(layer) for layer in content.values()):
        raise DataError(f"{path} holds {type(content).__name__}; expected layers with the arrays 'W' and 'b'.")
    return content


def _is_layer(layer: object) -> bool:
    return isinstance(layer, dict) and all(isinstance(layer.get(name), np.ndarray) for name in ("W", "b"))


def _encoded(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes for Python 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin1")


class _ArraysOnly(pickle.Unpickler):
    """Unpickles arrays; any other name that a pickle asks for is refused before it is looked up."""

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        known: dict[tuple[str, str], Callable[..., Any]] = {
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("_codecs", "encode"): _encoded,
        }
        for core in ("numpy.core.multiarray", "numpy._core.multiarray"):
            known[core, "_reconstruct"] = np.empty(0).__reduce__()[0]  # pyright: ignore[reportArgumentType]
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no array; do not use it")
        return known[module, name]


def torch_state(layers: Layers) -> dict[str, Any]:
    """Weights in torch's layout and under the network's names.

    Convolutions (height, width, n_in, n_out) → (n_out, n_in, height, width), matrices (n_in, n_out) → (n_out, n_in).
    The units that come into fc6 stay in their order, the channel fastest, as the network flattens its maps.

    Raises
    ------
    DataError
        Weights have neither two nor four axes.

    Examples
    --------
    >>> state = torch_state({"conv1": {"W": np.zeros((9, 9, 1, 96)), "b": np.zeros(96)}})
    >>> {name: tuple(tensor.shape) for name, tensor in state.items()}
    {'conv1.weight': (96, 1, 9, 9), 'conv1.bias': (96,)}
    """
    import torch

    axes = {2: (1, 0), 4: (3, 2, 0, 1)}
    state: dict[str, Any] = {}
    for layer, arrays in layers.items():
        weight, bias = np.asarray(arrays["W"], np.float32), np.asarray(arrays["b"], np.float32)
        if weight.ndim not in axes:
            raise DataError(f"The weights of {layer} have shape {weight.shape}; expected two or four axes.")
        state[f"{layer}.weight"] = torch.from_numpy(np.ascontiguousarray(weight.transpose(axes[weight.ndim])))
        state[f"{layer}.bias"] = torch.from_numpy(bias.reshape(-1).copy())
    return state
