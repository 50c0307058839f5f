"""Numbers are kept whole or refused: what double precision holds, in a range in which sums of squares neither overflow
nor vanish.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.errors import DataError, shorten

if TYPE_CHECKING:
    from isocortex.typing import Array

#: fourth powers of larger numbers, which metrics sum, come near the end of double precision; those of numbers that are
#: below the inverse come near zero
LARGEST = 1e75
#: whole numbers beyond it have neighbours that double precision cannot tell apart
_WHOLE = 2**53
#: values of one look at an array: 32 MB
_VALUES = 4_000_000
#: values that differ by fewer steps of their type have lost their digits before they came here
FEW_STEPS = 256


def real_numbers(values: Any, what: str) -> Array:
    """An array of real numbers, as it is; anything else is refused by name.

    Parameters
    ----------
    values
        Any shape; a masked array without a masked value is taken.
    what
        For the message: "Responses of 'demo'".

    Raises
    ------
    DataError
        Complex, text, objects, truth values, dates; masked values; whole numbers or extended precision that double
        precision cannot hold.

    Examples
    --------
    >>> real_numbers(np.arange(3, dtype=np.uint8), "Responses").dtype.name
    'uint8'
    """
    array = refuse_unreal(values, what)
    if array.dtype.itemsize >= 8 and array.dtype != np.float64:
        _refuse_beyond_double(array, what)
    return array


def refuse_unreal(values: Any, what: str) -> Array:
    """As ``real_numbers``, without a look at every value; for arrays that lie in files.

    Raises
    ------
    DataError
        Complex, text, objects, truth values, dates; masked values.
    """
    if np.ma.isMaskedArray(values):
        n_masked = int(np.ma.count_masked(values))
        if n_masked:
            raise DataError(f"{what} have {n_masked} masked values. Leave them out, or fill them, before scoring.")
    array = np.asarray(values)
    if array.dtype.kind == "c":
        raise DataError(f"{what} are complex ({array.dtype}). Give their real part, modulus or phase.")
    if array.dtype.kind not in "iuf":
        raise DataError(
            f"{what} must be real numbers; found dtype {array.dtype}{_KINDS.get(array.dtype.kind, '')}. "
            "Convert them, for example with numpy's astype(float)."
        )
    return array


_KINDS = {"O": " (Python objects)", "b": " (truth values)", "U": " (text)", "S": " (bytes)", "M": " (dates)"}


def _refuse_beyond_double(array: Array, what: str) -> None:
    """Refuse whole numbers and extended precision of which double precision would lose a digit."""
    flat = array.reshape(-1)
    for start in range(0, flat.size, _VALUES):
        part = flat[start : start + _VALUES]
        if array.dtype.kind == "f":
            lost = part != part.astype(np.float64)
            lost &= part == part
        else:
            lost = part > _WHOLE if array.dtype.kind == "u" else (part > _WHOLE) | (part < -_WHOLE)
        if lost.any():
            raise DataError(
                f"{what} hold numbers that double precision cannot tell from their neighbours, such as "
                f"{part[lost.argmax()]} ({array.dtype}). Subtract an offset, or give them as float64."
            )


def refuse_range(values: Array, names: Sequence[Any] | None, what: str, unit: str) -> None:
    """Refuse columns whose squares would overflow or vanish.

    Parameters
    ----------
    values
        (n, n_columns) finite floats.
    names
        Of the columns; None: numbers.
    what, unit
        For the message: "Responses of 'demo'" and "neuroid".

    Raises
    ------
    DataError
        Columns with values beyond 1e75; or whose largest is below 1e-75, or below what their type holds in full.

    Examples
    --------
    >>> refuse_range(np.array([[1e-12], [0.0]]), ["n1"], "Responses", "neuroid")
    """
    if values.dtype.kind != "f" or not values.size:
        return
    largest = np.abs(values).max(axis=0).astype(np.float64)
    smallest = max(1 / LARGEST, float(np.finfo(values.dtype).tiny))
    for word, bad, advice in (
        ("large", largest > LARGEST, "Divide"),
        ("small", (largest > 0) & (largest < smallest), "Multiply"),
    ):
        if bad.any():
            columns = np.flatnonzero(bad)
            named = [f"number {place}" if names is None else names[place] for place in columns.tolist()]
            raise DataError(
                f"{what} are too {word} in {len(columns)} of {values.shape[1]} {unit}s ({shorten(named)}; largest "
                f"absolute value {float(largest[columns[0]]):.3g}): their squares leave the range of the numbers. "
                f"{advice} them by a power of ten."
            )


def few_digits(values: Array) -> Array:
    """Columns that vary, but by so few steps of their type that their digits are gone: (n, n_columns) → places.

    Such values had a large offset when they were rounded to their type.

    Examples
    --------
    >>> few_digits(np.float32([[1e9, 0.1], [1e9 + 128, 0.2]])).tolist()
    [0]
    """
    if values.dtype.kind != "f" or not len(values):
        return np.array([], dtype=np.intp)
    spread = values.max(axis=0) - values.min(axis=0)
    step = np.spacing(np.abs(values).max(axis=0))
    return np.flatnonzero((spread > 0) & (spread < FEW_STEPS * step))
