"""What a user's function returned, as arrays by layer; and what went wrong in it, in one sentence."""

from __future__ import annotations

import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from isocortex.devices import is_out_of_memory
from isocortex.errors import IsocortexError, PluginError, shorten

#: characters of another's message that are passed on
_MESSAGE = 300
_CORE = Path(__file__).parents[1]


def features_of(found: Any, layer: str, name: str) -> Any:
    """What a function returned for a layer, as numpy or torch, (n_stimuli, …); nothing is cast.

    Raises
    ------
    PluginError
        No array: nothing, several things, texts, rows of different lengths, or one number for a batch.

    Examples
    --------
    >>> features_of([[1.0, 2.0]], "output", "mine").shape, features_of(np.ones(3), "output", "mine").shape
    ((1, 2), (3, 1))
    """
    array = _array(found, f"{name} returned", layer)
    if array.ndim == 0:
        raise PluginError(f"{name} returned one value for a batch; expected (n_stimuli, …).")
    return array[:, None] if array.ndim == 1 else array


def _array(found: Any, returned: str, layer: str) -> Any:
    expected = f"expected features (n_stimuli, …) for the layer {layer!r}, or a mapping layer → features"
    if found is None or isinstance(found, str | bytes):
        raise PluginError(f"{returned} {'None' if found is None else 'a text'}; {expected}.")
    if isinstance(found, tuple):
        raise PluginError(f"{returned} a tuple of {len(found)}; {expected}: say which of them is meant.")
    if hasattr(found, "detach"):
        return _tensor(found)
    if hasattr(found, "toarray") and hasattr(found, "nnz"):
        return np.asarray(found.toarray())
    if isinstance(found, list) and any(hasattr(row, "detach") for row in found):
        return _stacked(found, returned)
    if isinstance(found, list) and any(np.ma.isMaskedArray(row) for row in found):
        return np.ma.stack(found)
    try:
        array = np.asanyarray(found)
    except Exception as error:  # whatever another library's array answers
        raise PluginError(f"{returned} {type(found).__name__} that is no array ({error}); {expected}.") from error
    if array.dtype.kind not in "fbiuc":
        raise PluginError(f"{returned} {_described(found, array)}; {expected}.")
    return array


def _tensor(tensor: Any) -> Any:
    import torch

    plain = tensor.detach()
    if plain.is_quantized:
        return plain.dequantize()
    return plain if plain.layout == torch.strided else plain.to_dense()


def _stacked(rows: list[Any], returned: str) -> Any:
    import torch

    try:
        return torch.stack([torch.as_tensor(row).detach() for row in rows])
    except (RuntimeError, TypeError, ValueError) as error:
        shapes = shorten([tuple(getattr(row, "shape", ())) for row in rows], 3)
        raise PluginError(
            f"{returned} a list of {len(rows)} rows of the shapes {shapes}, which are no array."
        ) from error


def _described(found: Any, array: np.ndarray[Any, Any]) -> str:
    dtypes = getattr(found, "dtypes", None)
    if dtypes is not None and hasattr(found, "columns"):
        other = [name for name, dtype in zip(found.columns, dtypes, strict=True) if dtype.kind not in "fbiu"]
        return f"a table with columns that hold no numbers ({shorten(other)})"
    return f"{type(found).__name__} of {array.dtype} values" if array.ndim else f"a {type(found).__name__}"


@contextmanager
def blamed(name: str) -> Generator[None]:
    """Whatever a user's code raises becomes one sentence that says where; memory that does not suffice passes.

    Examples
    --------
    >>> with blamed("mine"):  # doctest: +ELLIPSIS
    ...     1 / 0
    Traceback (most recent call last):
    isocortex.errors.PluginError: mine failed in <module> (<doctest ...>, line 2): ZeroDivisionError: division by zero
    """
    try:
        yield
    except IsocortexError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, MemoryError | RuntimeError) and is_out_of_memory(error):
            raise
        raise PluginError(f"{name} failed{_place(error)}: {type(error).__name__}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "without a message")
    return line if len(line) <= _MESSAGE else f"{line[:_MESSAGE]}…"


def _place(error: BaseException) -> str:
    """The last line of the user's code that was reached."""
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if _CORE not in Path(frame.filename).parents and "site-packages" not in frame.filename
    ]
    return f" in {own[-1].name} ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
