"""Neuroids that are probably none: columns of a table that came along, constants and running numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from isocortex.data.numbers import FEW_STEPS, few_digits
from isocortex.errors import shorten

if TYPE_CHECKING:
    from isocortex.typing import Array

#: names of columns that keep the books of an experiment
BOOK_KEEPING = frozenset(
    [
        "index",
        "idx",
        "id",
        "row",
        "number",
        "trial",
        "trial_number",
        "trial_id",
        "trial_type",
        "run",
        "run_number",
        "session",
        "session_number",
        "block",
        "block_number",
        "subject",
        "subject_id",
        "participant",
        "participant_id",
        "sub",
        "animal",
        "monkey",
        "rep",
        "repeat",
        "repeats",
        "repetitions",
        "repetition_number",
        "presentation",
        "presentation_number",
        "order",
        "position",
        "stimulus",
        "stimulus_number",
        "stimulus_index",
        "stim",
        "image",
        "image_id",
        "sound",
        "item",
        "condition",
        "fold",
        "split",
        "date",
        "time",
        "timestamp",
        "duration",
        "response_time",
        "rt",
    ]
)
#: rows from which on whole numbers without a gap are no chance
_RUN = 8
#: names that say when something happened: responses that go on in time
CONTINUOUS = frozenset(
    ["time_s", "onset", "onset_s", "onset_ms", "time_bin", "time_bin_start", "time_bin_end", "time_ms", "sample_id"]
)


def is_nameless(name: str) -> bool:
    """Whether a column has no name, or the one that pandas gives those without.

    Examples
    --------
    >>> is_nameless(""), is_nameless("Unnamed: 0"), is_nameless("n1")
    (True, True, False)
    """
    return not name.strip() or name.startswith("Unnamed: ")


def book_keeping(names: Sequence[str]) -> list[str]:
    """Names that are those of book-keeping, whatever their case and separators.

    Examples
    --------
    >>> book_keeping(["n1", "Trial", "trial number"])
    ['Trial', 'trial number']
    """
    return [name for name in names if _plain(name) in BOOK_KEEPING]


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_").replace(".", "_")


def suspect_columns(values: Array, names: Sequence[str], what: str) -> list[str]:
    """Warnings of columns that are probably no data: book-keeping, constants, running numbers, digits that are gone.

    Parameters
    ----------
    values
        (n_rows, n_columns) numbers.
    names
        Of the columns.
    what
        What they are taken for: "neuroids of 'demo'", "units of 'layer1'".

    Examples
    --------
    >>> suspect_columns(np.array([[0.0], [1.0], [2.0]]), ["trial"], "neuroids of 'demo'")[0][:46]
    "1 of 1 neuroids of 'demo' are named as columns"
    """
    if not len(values):
        return []
    constant = (values == values[:1]).all(axis=0)
    named = book_keeping(names)
    found = {
        "are named as columns that keep the books of an experiment": named,
        "have one value for all rows and can correlate with nothing": _at(names, np.flatnonzero(constant)),
        "are running numbers": _at(names, _counting(values)),
        f"vary by less than {FEW_STEPS} steps of {values.dtype}: an offset has taken their digits": _at(
            names, few_digits(values)
        ),
    }
    return [
        f"{len(which)} of {len(names)} {what} {why}: {shorten(which)}. Leave out what is no data."
        for why, which in found.items()
        if which
    ]


def _counting(values: Array) -> Array:
    """Columns that are whole numbers without a gap or a repeat, in any order."""
    if len(values) < _RUN:
        return np.array([], dtype=np.intp)
    whole = np.flatnonzero((values[:_RUN] == np.rint(values[:_RUN])).all(axis=0))
    steps = np.diff(np.sort(values[:, whole], axis=0).astype(np.float64), axis=0)
    return whole[(steps == 1).all(axis=0)]


def _at(names: Sequence[str], places: Array | Sequence[int]) -> list[str]:
    return [names[place] for place in places]
