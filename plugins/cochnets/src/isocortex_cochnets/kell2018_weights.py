"""The published weights of Kell et al. (2018): three pickled dictionaries of arrays, read without running any code.

Each file holds ``{layer: {"W": array, "b": array}}`` in the layout of TensorFlow, pickled into an array of one object
behind the header of ``numpy.save``. It is read as inert records, of which arrays are made, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from isocortex.errors import DataError
from isocortex.files import ARRAYS, Pickled, as_text, described, read_bounded, read_records
from isocortex.typing import Array

Layers = Mapping[str, Mapping[str, Array]]

FILES = tuple(f"network_weights_{part}.npy" for part in ("early_layers", "word_branch", "genre_branch"))
#: larger files are not read; all three together hold 59 million numbers
MAX_BYTES: Final = 1 << 30
#: as ``numpy.save`` writes it before one object, in either version of the format
_HEADER: Final = re.compile(
    rb"\x93NUMPY(?:\x01\x00..|\x02\x00....)"
    rb"{'descr': '\|O[48]?', 'fortran_order': (?:True|False), 'shape': \(\), ?} *\n",
    re.DOTALL,
)


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
    data = read_bounded(path, MAX_BYTES)
    header = _HEADER.match(data)
    if header is None:
        raise DataError(f"{path} cannot be read as weights of Kell et al. 2018: it is no array of one dictionary.")
    pickled = read_records(data, ARRAYS, str(path), header.end())
    with pickled.read_as("weights of Kell et al. 2018"):
        (content,) = pickled.objects(pickled.value)
        if not isinstance(content, dict):
            raise ValueError(f"expected layers with the arrays 'W' and 'b', found {described(content)}")
        return {as_text(name): _layer(pickled, layer) for name, layer in cast("dict[Any, Any]", content).items()}


def _layer(pickled: Pickled, layer: object) -> Mapping[str, Array]:
    content: Mapping[Any, Any] = cast("dict[Any, Any]", layer) if isinstance(layer, dict) else {}
    if not {"W", "b"} <= content.keys():
        raise ValueError("expected layers with the arrays 'W' and 'b'")
    arrays = {name: pickled.array(content[name]) for name in ("W", "b")}
    other = [name for name, values in arrays.items() if values.dtype.kind not in "fiu"]
    if other:
        raise ValueError(f"expected numbers in {other[0]!r}, found {arrays[other[0]].dtype}")
    return arrays


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
