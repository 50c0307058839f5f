"""Tensors out of pickles, without unpickling: what a pickle names stays a record, its bytes go to a safe reader.

A tensor is pickled as a call of ``_rebuild_tensor_v2`` with a storage; a storage is a call of ``_load_from_bytes`` with
what ``torch.save`` wrote. Those bytes are read by ``torch.load(weights_only=True)``, on the CPU whatever device they
were saved from, after a look at the sizes that they announce. Tensors of typed modules of NeMo carry a description of
their axes; it is passed over.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

from isocortex.files import ARRAYS, Record, as_size, as_text, described, read_pickle

_REBUILD, _TYPED = "torch._utils _rebuild_tensor_v2", "torch._tensor _rebuild_from_type_v2"
_PARAMETER, _LOAD = "torch._utils _rebuild_parameter", "torch.storage _load_from_bytes"
_ENCODE: Final = "_codecs encode"
_ELEMENTS = (
    "VoidType", "ChannelType", "EmbeddedTextType", "LogitsType", "ProbsType", "LogprobsType", "LabelsType",
    "HypothesisType", "LengthsType", "LossType", "EncodedRepresentation", "AcousticEncodedRepresentation",
    "AudioSignal", "SpectrogramType", "MelSpectrogramType", "MFCCSpectrogramType", "PredictionsType",
    "RegressionValuesType", "CategoricalValuesType", "MaskType", "BoolType", "IntType", "FloatType", "TokenIndex",
    "Length", "Index",
)  # fmt: skip
#: every global that pickles of what hooks were given name; none of them is called
ALLOWED: Final = frozenset(
    {
        *ARRAYS, _REBUILD, _TYPED, _PARAMETER, _LOAD, _ENCODE, "torch Tensor", "torch Size", "collections OrderedDict",
        "torch.nn.parameter Parameter",
        "nemo.core.neural_types.neural_type NeuralType", "nemo.core.neural_types.axes AxisType",
        "nemo.core.neural_types.axes AxisKind",
        *(f"nemo.core.neural_types.elements {name}" for name in _ELEMENTS),
    }
)  # fmt: skip
#: numbers in a tensor
MAX_VALUES: Final = 1 << 28
#: what the frame of a storage announces besides its own size
_PLAIN_NUMBERS: Final = 1001


def read_tensors(path: Path, max_bytes: int = 1 << 31) -> dict[str, Any]:
    """Layer → tensor, or list of tensors, of a pickled dictionary; None where a value holds no tensor.

    Raises
    ------
    DataError
        The file is no pickle of a dictionary of tensors, is damaged, or names anything that such pickles never need.
    """
    pickled = read_pickle(path, ALLOWED, max_bytes)
    with pickled.read_as("what forward hooks were given"):
        if not isinstance(pickled.value, dict):
            raise ValueError(f"it holds {described(pickled.value)} instead of a dictionary")
        content = cast("dict[Any, Any]", pickled.value)
        return {as_text(key): _value(value, pickled) for key, value in content.items()}


def _value(value: Any, pickled: Any) -> Any:
    if isinstance(value, list | tuple):
        items = cast("Sequence[Any]", value)
        return [_value(item, pickled) for item in items]
    if not isinstance(value, Record):
        return None
    if value.place in ARRAYS:
        import torch

        return torch.from_numpy(pickled.array(value).copy())
    return _tensor(value)


def _tensor(record: Record) -> Any:
    import torch

    parts: Any = record.args
    if record.place == _TYPED:
        function, _, arguments, _ = parts
        if not isinstance(function, Record) or function.place != _REBUILD:
            raise ValueError(f"a tensor is made by {described(function)}")
        parts = arguments
    elif record.place == _PARAMETER:
        inner = parts[0]
        if not isinstance(inner, Record):
            raise ValueError(f"a parameter is made of {described(inner)}")
        return _tensor(inner)
    elif record.place != _REBUILD or parts is None:
        raise ValueError(f"expected a tensor, found {described(record)}")
    storage, offset, size, stride = parts[:4]
    shape, steps = _sizes(size), _sizes(stride)
    held, dtype = _storage(storage)
    start, n_held = as_size(offset), held.nbytes() // dtype.itemsize
    if len(shape) != len(steps) or math.prod(shape) > MAX_VALUES:
        raise ValueError(f"a tensor has the size {shape} and the strides {steps}")
    last = start + sum((n - 1) * step for n, step in zip(shape, steps, strict=True))
    if math.prod(shape) and last >= n_held:
        raise ValueError(f"a tensor reaches to value {last} of a storage of {n_held}")
    return torch.empty(0, dtype=dtype).set_(held, start, shape, steps)


def _sizes(value: Any) -> tuple[int, ...]:
    if isinstance(value, Record) and value.place == "torch Size" and value.args is not None:
        value = value.args[0]
    if not isinstance(value, list | tuple):
        raise ValueError(f"a size is {described(value)}")
    return tuple(as_size(item) for item in cast("Sequence[Any]", value))


def _storage(record: Any) -> tuple[Any, Any]:
    """The storage of a record, on the CPU, and the type of its values."""
    import torch

    if not isinstance(record, Record) or record.place != _LOAD or not record.args:
        raise ValueError(f"expected a storage, found {described(record)}")
    data = _bytes(record.args[0])
    if data is None:
        raise ValueError(f"a storage is made of {described(record.args[0])}")
    _refuse_announced(data)
    try:
        found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, AssertionError) as error:
        raise ValueError(f"a storage cannot be read ({' '.join(str(error).split())[:200]})") from error
    if not isinstance(found, torch.TypedStorage):
        raise ValueError(f"a storage is a {type(found).__name__}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class that torch replaces one day; pickles hold it
        return found.untyped(), found.dtype


def _bytes(value: Any) -> bytes | None:
    """Bytes; the first three protocols write them as a text that is to be encoded."""
    if isinstance(value, Record) and value.place == _ENCODE and value.args is not None:
        text, code = value.args
        return text.encode("latin-1") if isinstance(text, str) and code == "latin1" else None
    return value if isinstance(value, bytes) else None


def _refuse_announced(data: bytes) -> None:
    """Refuse bytes that announce more values than they can hold; only the first format of ``torch.save`` is known."""
    stream = io.BytesIO(data)
    if data[:2] == b"PK":
        raise ValueError("a storage is an archive")
    for number in range(5):  # a mark, a version, sizes of types, the storage, its keys
        for _, argument, _ in pickletools.genops(stream):
            announced = argument if isinstance(argument, int) and not isinstance(argument, bool) else 0
            if number and announced > max(len(data), _PLAIN_NUMBERS):
                raise ValueError(f"a storage of {len(data)} bytes announces {announced} values")
