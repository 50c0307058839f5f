"""Which numbers activations may be: no value is cast away.

Real numbers of every type are taken; integers beyond single precision are raised to double. What no float holds, or
what a cast would change without a word (complex numbers, masks, extended precision), is refused by name.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isocortex.errors import DataError, PluginError
from isocortex.typing import Array

#: the largest and the smallest magnitude of a layer, so that double precision holds sums of fourth powers, as of CKA
LARGEST, SMALLEST = 1e60, 1e-60
#: share of a unit's spread over stimuli that rounding to single precision may change
MOST_ROUNDING = 1e-4
_EXACT = 2**53


def real_numbers(array: Any, layer: str) -> Any:
    """Real values of an output, floats of a type that holds each of them.

    Parameters
    ----------
    array
        numpy or torch, of any type.

    Returns
    -------
    The array itself where it holds floats; float32 or float64 where it holds truth values or integers.

    Raises
    ------
    PluginError
        Complex numbers, masked values, objects, dates, texts, or numbers that double precision does not hold.

    Examples
    --------
    >>> real_numbers(np.array([[2**24 + 1]]), "layer").item()
    16777217.0
    """
    return _real_tensor(array, layer) if hasattr(array, "detach") else _real_array(array, layer)


def _real_tensor(tensor: Any, layer: str) -> Any:
    import torch

    if tensor.is_complex():
        raise _complex(layer)
    if tensor.is_floating_point():
        return tensor if tensor.element_size() > 1 else tensor.float()
    if tensor.dtype == torch.bool or tensor.element_size() < 4:
        return tensor.float()
    if tensor.device.type == "mps":  # it knows no double precision
        tensor = tensor.cpu()
    _refuse_inexact(tensor, layer)
    return tensor.double()


def _real_array(array: Array, layer: str) -> Array:
    if np.iscomplexobj(array):
        raise _complex(layer)
    if np.ma.is_masked(array):
        raise PluginError(
            f"Layer {layer!r} gave {int(np.ma.count_masked(array))} masked values, which activations cannot hold. Fill "
            "them, for example with array.filled(0)."
        )
    array = np.ma.getdata(array)
    if array.dtype.kind not in "fbiu":
        raise PluginError(f"Layer {layer!r} gave values of the type {array.dtype}; expected numbers.")
    if array.dtype.kind == "f" and array.dtype.itemsize <= 8:
        return array
    if array.dtype.kind == "b" or array.dtype.itemsize < 4:
        return array.astype(np.float32)
    _refuse_inexact(array, layer)
    return array.astype(np.float64)


def _refuse_inexact(array: Any, layer: str) -> None:
    """Refuse what double precision does not hold: integers beyond 2^53, and digits of longer floats."""
    if array.shape and 0 in array.shape:
        return
    if getattr(array.dtype, "kind", "i") == "f":
        exact = np.array_equal(array, array.astype(np.float64).astype(array.dtype), equal_nan=True)
    else:
        exact = int(array.min()) >= -_EXACT and int(array.max()) <= _EXACT
    if not exact:
        raise PluginError(
            f"Layer {layer!r} gave {array.dtype} values that double precision does not hold. Give float64, with what "
            "all stimuli have in common taken off."
        )


def _complex(layer: str) -> PluginError:
    return PluginError(f"Layer {layer!r} gave complex numbers. Emit their real part, modulus or phase.")


def without_loss(values: Array) -> Array:
    """Single precision where it holds each value exactly, else the values as they are.

    Examples
    --------
    >>> without_loss(np.array([[2.0, 0.5]])).dtype.name, without_loss(np.array([[0.1]])).dtype.name
    ('float32', 'float64')
    """
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    return single if np.array_equal(single, values, equal_nan=True) else values


def as_stored(values: Array, layer: str) -> Array:
    """Values as they are kept: single precision where that suffices, else double.

    Parameters
    ----------
    values
        (n_stimuli, n_units) of one chunk.

    Returns
    -------
    float32 where ``single_suffices``; else the values as they are.

    Raises
    ------
    DataError
        Magnitudes whose powers double precision does not hold.

    Examples
    --------
    >>> values = np.array([[0.1], [0.9]])
    >>> as_stored(values, "layer").dtype.name, as_stored(1e9 + values, "layer").dtype.name
    ('float32', 'float64')
    """
    if values.dtype != np.float64:
        return values
    refuse_extreme(values, layer)
    return values.astype(np.float32) if single_suffices(values) else values


def single_suffices(values: Array) -> bool:
    """Whether rounding to single precision changes each unit by at most ``MOST_ROUNDING`` of its spread over stimuli.

    Memory: 32 MB beside the values, which may lie in a file that is mapped.

    Examples
    --------
    >>> single_suffices(np.array([[0.1], [0.9]])), single_suffices(1e9 + np.array([[0.1], [0.9]]))
    (True, False)
    """
    width = max(1, 1_000_000 // max(1, len(values)))
    return all(_suffices(values[:, first : first + width]) for first in range(0, values.shape[1], width))


def _suffices(values: Array) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        rounding = np.abs(values - values.astype(np.float32)).max(axis=0, initial=0)
    return bool((rounding <= MOST_ROUNDING * np.ptp(values, axis=0)).all())


def refuse_extreme(values: Array, layer: str) -> None:
    """Refuse magnitudes whose powers double precision does not hold; values that are not finite are told elsewhere.

    Raises
    ------
    DataError
        The largest magnitude of the layer is above ``LARGEST`` or below ``SMALLEST``.
    """
    if values.dtype != np.float64 or not values.size:
        return
    largest = max(abs(float(np.min(values))), abs(float(np.max(values))))
    if np.isfinite(largest) and largest and not SMALLEST <= largest <= LARGEST:
        raise DataError(
            f"Layer {layer!r} has values of the order {largest:.0e}, whose powers a computer cannot hold. Multiply "
            "the features so that they lie near 1."
        )
