"""Long tables: one row per trial and neuroid, as statistics programs keep them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.data.labels import LABELS, label
from isocortex.data.suspect_columns import CONTINUOUS
from isocortex.errors import DataError, shorten
from isocortex.loading.folder_tables import cells_of, is_empty, number_of, refuse_cells, refuse_gaps, repetitions_of

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.typing import Array

#: the column that a table is known by, and those that say where a value belongs
LONG = "neuroid_id"
_PLACE = ("stimulus_id", LONG, "repetition")
#: the name of the column of values where there are several columns of numbers
RESPONSE = "response"


def read_long_table(path: Path, *, gaps: bool = False) -> tuple[xr.DataArray, list[str]]:
    """Responses (presentation, neuroid) of a CSV file with ``stimulus_id``, ``neuroid_id`` and one column of values.

    Stimuli, repetitions and neuroids keep the order in which they first appear. What no row says is NaN: a gap. Without
    the column ``repetition``, rows of one stimulus and neuroid are its repetitions in their order. Labels that are the
    same in all rows of a neuroid (``region``, ``subject``, …) become its coordinates.

    Parameters
    ----------
    gaps
        Whether a cell may be empty, or nan.

    Returns
    -------
    The responses, and warnings of columns that were not used.

    Raises
    ------
    DataError
        The file is no such table, a cell is no number, or two rows say something of the same trial.
    """
    lines, columns = cells_of(path, "stimulus_id")
    timed = sorted(CONTINUOUS & columns.keys())
    if timed:
        raise DataError(
            f"{path} has responses that go on in time ({shorten(timed)}), which are not scored yet and never averaged "
            "in silence. Average over time within each presentation, and leave these columns out."
        )
    name = _column_of_values(path, columns)
    values = _numbers(path, name, columns[name], lines, gaps=gaps)
    placed = {key: _labels(path, key, columns[key], lines) for key in _PLACE if key in columns}
    repetition, said = _repetition(path, placed, lines)
    responses = _pivot(placed["stimulus_id"], repetition, placed[LONG], values)
    told, unused = _of_neuroids(columns, placed[LONG], {*_PLACE, name})
    if unused:
        said.append(f"Columns of {path.name} that are not used: {shorten(unused)}.")
    return responses.assign_coords({key: ("neuroid", found) for key, found in told.items()}), said


def _column_of_values(path: Path, columns: dict[str, list[str]]) -> str:
    others = [name for name in columns if name not in _PLACE and name not in LABELS]
    if RESPONSE in others:
        return RESPONSE
    numeric = [name for name in others if all(number_of(text) is not None or is_empty(text) for text in columns[name])]
    if len(numeric) != 1:
        found = f"found {shorten(numeric)}" if numeric else "there is none"
        raise DataError(
            f"{path} has a row per trial and neuroid, as its column {LONG!r} says, and needs one column of numbers; "
            f"{found}. Call the one that is meant {RESPONSE!r}."
        )
    return numeric[0]


def _numbers(path: Path, name: str, written: Sequence[str], lines: Sequence[int], *, gaps: bool) -> list[float]:
    found = [math.nan if gaps and is_empty(text) else number_of(text) for text in written]
    bad = [(line, name, text) for line, text, value in zip(lines, written, found, strict=True) if value is None]
    refuse_cells(path, bad)
    return [value for value in found if value is not None]


def _labels(path: Path, name: str, written: Sequence[str], lines: Sequence[int]) -> list[str]:
    refuse_gaps(path, name, [line for line, text in zip(lines, written, strict=True) if not text.strip()], needed=True)
    return [label(text) for text in written]


def _repetition(path: Path, placed: dict[str, list[str]], lines: Sequence[int]) -> tuple[list[int | str], list[str]]:
    """The repetition of each row, and a warning where it was counted."""
    pairs = list(zip(placed["stimulus_id"], placed[LONG], strict=True))
    if "repetition" in placed:
        given: list[int | str] = list(repetitions_of(placed["repetition"]))
        seen = Counter(zip(pairs, given, strict=True))
        twice = [line for line, key in zip(lines, zip(pairs, given, strict=True), strict=True) if seen[key] > 1]
        if twice:
            raise DataError(
                f"{path} says the response of the same stimulus, neuroid and repetition more than once (lines "
                f"{shorten(twice)}). Number the repetitions, or leave out what is there twice."
            )
        return given, []
    so_far: Counter[tuple[str, str]] = Counter()
    counted: list[int | str] = []
    for pair in pairs:
        counted.append(so_far[pair])
        so_far[pair] += 1
    most = max(so_far.values())
    said = f"{path.name} has no column 'repetition': up to {most} rows of one stimulus and neuroid were taken as its "
    return counted, [f"{said}repetitions, in the order of the rows."] if most > 1 else []


def _pivot(
    stimulus: Sequence[str], repetition: Sequence[int | str], neuroid: Sequence[str], values: Sequence[float]
) -> xr.DataArray:
    import numpy as np
    import xarray as xr

    trials = {key: row for row, key in enumerate(dict.fromkeys(zip(repetition, stimulus, strict=True)))}
    columns = {name: place for place, name in enumerate(dict.fromkeys(neuroid))}
    found: Array = np.full((len(trials), len(columns)), np.nan)
    rows = [trials[key] for key in zip(repetition, stimulus, strict=True)]
    found[rows, [columns[name] for name in neuroid]] = values
    return xr.DataArray(
        found,
        dims=("presentation", "neuroid"),
        coords={
            "stimulus_id": ("presentation", np.array([name for _, name in trials], dtype=object)),
            "repetition": ("presentation", np.array([number for number, _ in trials])),
            "neuroid_id": ("neuroid", list(columns)),
        },
    )


def _of_neuroids(
    columns: dict[str, list[str]], neuroid: Sequence[str], used: set[str]
) -> tuple[dict[str, list[str]], list[str]]:
    """Labels that belong to neuroids, one for each; and names of the columns that say nothing of them."""
    told: dict[str, list[str]] = {}
    unused: list[str] = []
    for name, written in columns.items():
        if name in used:
            continue
        pairs = dict.fromkeys(zip(neuroid, map(label, written), strict=True))
        if name in LABELS and len(pairs) == len(set(neuroid)) and all(text.strip() for _, text in pairs):
            told[name] = [text for _, text in pairs]
        else:
            unused.append(name)
    return told, unused
