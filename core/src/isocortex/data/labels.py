"""Labels are text: IDs, regions, participants and categories, whatever a file or a library took them for.

A name that can be written in several ways of unicode is brought to one (NFC), so that an é of a Mac's file name and one
that was typed are the same; bytes are decoded as UTF-8.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from isocortex.errors import DataError, shorten

if TYPE_CHECKING:
    import pandas as pd

    from isocortex.typing import Array

#: coordinates and columns that are labels, also where all of them look like numbers
LABELS = frozenset(
    [
        "stimulus_id",
        "neuroid_id",
        "region",
        "subject",
        "participant",
        "hemisphere",
        "category",
        "stimulus_a",
        "stimulus_b",
        "animal",
        "area",
        "electrode",
        "site",
        "probe",
        "group",
        "label",
        "image",
    ]
)
#: those of stimuli; "animal", say, is a monkey where it stands with neuroids, and what a picture shows elsewhere
_OF_STIMULI = frozenset({"stimulus_id", "category", "group", "label", "image"})
#: labels without which nothing can be found again: an empty one is a gap too
_NEVER_EMPTY = frozenset({"stimulus_id", "neuroid_id", "subject", "stimulus_a", "stimulus_b"})


def label(value: Any) -> str:
    """One label as text.

    Raises
    ------
    DataError
        Bytes that are no UTF-8.

    Examples
    --------
    >>> label(b"dog"), label(7), label("cafe\u0301") == "caf\u00e9"
    ('dog', '7', True)
    """
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"The label {value!r} is no text in UTF-8. Write labels as UTF-8.") from error
    text = value if type(value) is str else str(value)
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def is_gap(value: Any) -> bool:
    """Whether a value stands for nothing: None, NaN, NaT.

    Examples
    --------
    >>> [is_gap(value) for value in (None, float("nan"), "nan", "")]
    [True, True, False, False]
    """
    if value is None:
        return True
    if isinstance(value, (str, bytes, int)):
        return False
    return type(value).__name__ in ("NAType", "NaTType") or bool(value != value)


def labels(values: Iterable[Any], name: str, where: str) -> list[str]:
    """Labels as text, none of them missing.

    Parameters
    ----------
    values
        Whatever a library gave: texts, bytes, numbers, dates.
    name
        What they are, such as "stimulus_id"; IDs and participants may not be empty either.
    where
        For the message: the file or data set.

    Raises
    ------
    DataError
        Gaps, whose places are named, or bytes that are no text.

    Examples
    --------
    >>> labels([b"a", "b", 7], "region", "demo")
    ['a', 'b', '7']
    """
    listed = list(values)
    gaps = [place for place, value in enumerate(listed) if is_gap(value)]
    found = [label(value) for value in listed]
    if name in _NEVER_EMPTY:
        gaps = sorted({*gaps, *(place for place, text in enumerate(found) if not text)})
    if gaps:
        raise DataError(
            f"{where} lacks the label {name!r} in {len(gaps)} of {len(found)} places, counted from 1: "
            f"{shorten(place + 1 for place in gaps)}. Write a name there, or leave these out."
        )
    return found


def are_text(values: Array) -> bool:
    """Whether an array of numpy holds text as it should be: unicode of one form."""
    return values.dtype.kind == "U" and all(map(str.isascii, values.ravel().tolist()))


def text_array(values: Array, name: str, where: str) -> Array:
    """An array of labels as text; unchanged where it is that already.

    Columns that are numbers stay so unless their name is one of ``LABELS``.

    Raises
    ------
    DataError
        As for ``labels``.

    Examples
    --------
    >>> import numpy as np
    >>> text_array(np.array([1, 2]), "subject", "demo").tolist(), text_array(np.array([1, 2]), "x", "demo").tolist()
    (['1', '2'], [1, 2])
    """
    import numpy as np

    if (values.dtype.kind in "biufcmM" and name not in LABELS) or (are_text(values) and name not in _NEVER_EMPTY):
        return values
    if values.dtype.kind == "O" and name not in LABELS and not _holds_text(values.ravel().tolist()):
        return values
    listed = list(values.ravel()) if values.dtype.kind in "mM" else values.ravel().tolist()
    found = labels(listed, name, where)
    if values.dtype.kind in "OU" and found == values.ravel().tolist():
        return values
    return np.array(found, dtype=object).reshape(values.shape)


def text_columns(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """A table whose labels are text; the same where they were that already. Gaps are refused where a label is used.

    Raises
    ------
    DataError
        Bytes that are no text.
    """
    changed: dict[str, Array] = {}
    for name, column in table.items():
        values = column.to_numpy()
        if values.dtype.kind not in "OSU" and not (name in _OF_STIMULI and values.dtype.kind in "iub"):
            continue
        whole = ~column.isna().to_numpy()
        text = values.astype(object)
        text[whole] = text_array(values[whole], str(name), where)
        if text[whole].tolist() != values[whole].tolist():
            changed[str(name)] = text
    return table.assign(**changed) if changed else table


def _holds_text(values: Sequence[Any]) -> bool:
    return any(isinstance(value, (str, bytes)) for value in values)
