"""Tables that people write: labels stay as they were written, numbers are numbers, and all else is refused by cell.

Nothing is taken for a number, a gap, a date or a truth value because it looks like one.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.data.labels import LABELS, label
from isocortex.data.suspect_columns import is_nameless
from isocortex.errors import DataError, shorten
from isocortex.files.not_fetched import why_not_fetched

if TYPE_CHECKING:
    import pandas as pd

    from isocortex.typing import Array

#: columns of tables of stimuli and neuroids that are numbers; all others are labels
NUMBER_COLUMNS = frozenset(
    [
        "x",
        "y",
        "z",
        "x_mm",
        "y_mm",
        "z_mm",
        "x_ras",
        "y_ras",
        "z_ras",
        "depth",
        "depth_um",
        "latency",
        "latency_ms",
        "onset",
        "onset_ms",
        "duration",
        "duration_s",
        "reliability",
        "snr",
        "noise_ceiling",
        "rf_x",
        "rf_y",
        "rf_size",
    ]
)
_PLAIN = frozenset("0123456789+-.eE")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHER_FORMATS = {
    b"PK\x03\x04": "a zip archive, such as an Excel workbook (.xlsx)",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls)",
    b"\x93NUMPY": "an array of numpy (.npy)",
    b"\x89HDF": "an HDF5 or netCDF4 file",
    b"CDF": "a netCDF file",
    b"\x1f\x8b": "compressed by gzip",
    b"<!": "a web page",
    b"<html": "a web page",
}
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
#: whole numbers beyond it have neighbours that double precision cannot tell apart
_WHOLE = 2**53


@dataclass(frozen=True)
class NumberTable:
    """A table of numbers by stimulus.

    Attributes
    ----------
    stimulus_id
        Of each row.
    repetition
        Of each row, whole numbers or text; None: there is no such column.
    names
        Of the columns of numbers.
    values
        (n_rows, n_columns) float64.
    """

    stimulus_id: list[str]
    repetition: list[int] | list[str] | None
    names: list[str]
    values: Array


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 or UTF-32 with a byte order mark.

    Raises
    ------
    DataError
        The file cannot be read, was not fetched, is empty, or is no text in one of these.
    """
    why = why_not_fetched(path)
    if why is not None:
        raise DataError(f"{path} is {why}. Get its content, for example with 'datalad get' or 'git lfs pull'.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}).") from error
    for beginning, what in _OTHER_FORMATS.items():
        if content[:6].lower().startswith(beginning.lower()):
            raise DataError(f"{path} is {what}, no plain text. Save the table as CSV in UTF-8.")
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"{path} is no text in {encoding} (line {line}). Save it as UTF-8.") from error
    if "\0" in text:
        raise DataError(f"{path} holds zero bytes: it is no text, or in UTF-16 without a mark. Save it as UTF-8.")
    if not text.strip():
        raise DataError(f"{path} is empty.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_lines(path: Path) -> list[str]:
    """Labels, one per line.

    Raises
    ------
    DataError
        As for ``read_text``, or an empty line among the others.
    """
    lines = read_text(path).rstrip("\n").split("\n")
    empty = [number for number, line in enumerate(lines, 1) if not line.strip()]
    if empty:
        raise DataError(f"{path} has empty lines: {shorten(empty)}. Write one ID per line.")
    return [label(line) for line in lines]


def read_table(path: Path, index: str = "stimulus_id") -> pd.DataFrame:
    """A CSV file of labels by one of its columns; everything is text but ``NUMBER_COLUMNS``.

    An empty cell is refused in columns that are known as labels and in those of numbers, and is missing in others.

    Raises
    ------
    DataError
        The file is no such table; the message names rows and columns.
    """
    import pandas as pd

    header, rows = _table(path, index)
    cells = list(rows)
    columns: dict[str, list[object]] = {}
    for place, name in enumerate(header):
        written = [row[place] for _, row in cells]
        if name in NUMBER_COLUMNS:
            numbers = [number_of(text) for text in written]
            refuse_cells(path, [(cells[n][0], name, written[n]) for n, found in enumerate(numbers) if found is None])
            columns[name] = list(numbers)
            continue
        refuse_gaps(
            path,
            name,
            [number for (number, _), text in zip(cells, written, strict=True) if not text.strip()],
            name == index,
        )
        columns[name] = [label(text) if text.strip() else None for text in written]
    twice = [name for name, count in Counter(columns[index]).items() if count > 1]
    if twice:
        raise DataError(f"{path} has more than one row for {len(twice)} of its {index}s: {shorten(twice)}.")
    return (
        pd.DataFrame(columns, index=range(len(cells)))
        .astype({name: object for name in columns if name not in NUMBER_COLUMNS})
        .set_index(index)
    )


def read_numbers(path: Path, *, gaps: bool = False) -> NumberTable:
    """A CSV file with ``stimulus_id``, perhaps ``repetition``, and columns of numbers.

    Parameters
    ----------
    gaps
        Whether a cell may be empty, or nan: such is NaN.

    Raises
    ------
    DataError
        The file is no such table, or a cell is no number; the message names rows and columns.
    """
    import numpy as np

    header, rows = _table(path, "stimulus_id")
    labelled = [place for place, name in enumerate(header) if name in ("stimulus_id", "repetition")]
    numeric = [place for place in range(len(header)) if place not in labelled]
    if not numeric:
        raise DataError(f"{path} needs columns of numbers beside {shorten(header)}; there are none.")
    names = [header[place] for place in numeric]
    found: list[Array] = []
    lines: list[int] = []
    labels: list[list[str]] = []
    bad: list[tuple[int, str, str]] = []
    for number, row in rows:
        cells = [row[place] for place in numeric]
        lines.append(number)
        labels.append([row[place] for place in labelled])
        if set("".join(cells)) <= _PLAIN and all(cells):
            values = [_of_plain(cell) for cell in cells]
        else:
            values = [number_of(cell) for cell in cells]
        bad += [
            (number, name, cell)
            for name, cell, value in zip(names, cells, values, strict=True)
            if value is None and not (gaps and is_empty(cell))
        ]
        found.append(np.array([math.nan if value is None else value for value in values]))
    if not found:
        raise DataError(f"{path} has a header and no rows.")
    refuse_cells(path, bad)
    columns = dict(zip([header[place] for place in labelled], zip(*labels, strict=True), strict=True))
    ids = [label(text) for text in columns["stimulus_id"]]
    for name, written in columns.items():
        empty = [line for line, text in zip(lines, written, strict=True) if not text.strip()]
        refuse_gaps(path, name, empty, needed=True)
    repetition = columns.get("repetition")
    return NumberTable(ids, None if repetition is None else repetitions_of(repetition), names, np.stack(found))


def header_of(path: Path, index: str) -> list[str]:
    """Names of the columns of a CSV file.

    Raises
    ------
    DataError
        The file is no table with the column ``index``.
    """
    return _table(path, index)[0]


def cells_of(path: Path, index: str) -> tuple[list[int], dict[str, list[str]]]:
    """Numbers of the lines, and the text of every column of a CSV file.

    Raises
    ------
    DataError
        The file is no table with the column ``index``, or has no rows.
    """
    header, rows = _table(path, index)
    found = list(rows)
    if not found:
        raise DataError(f"{path} has a header and no rows.")
    columns = zip(*(row for _, row in found), strict=True)
    return [line for line, _ in found], dict(zip(header, map(list, columns), strict=True))


# --- rows -------------------------------------------------------------------------------------------------------------


def _table(path: Path, index: str) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Header and numbered rows of a CSV file, as text."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        header = [label(name) for name in next(row for row in reader if row)]
    except csv.Error as error:
        raise DataError(f"{path} is no CSV ({error} in line {reader.line_num}).") from error
    _check_header(path, header, index)
    return header, _rows(path, reader, len(header))


def _rows(path: Path, reader: Iterator[list[str]], n_columns: int) -> Iterator[tuple[int, list[str]]]:
    try:
        for row in reader:
            line: int = reader.line_num  # pyright: ignore[reportAttributeAccessIssue]
            if not row:
                continue
            if len(row) != n_columns:
                raise DataError(
                    f"{path}, line {line}: {len(row)} cells, but the header names {n_columns} columns. A comma within "
                    "a cell needs quotes around it; decimals are written with a point."
                )
            yield line, row
    except csv.Error as error:
        raise DataError(f"{path} is no CSV ({error}).") from error


def _check_header(path: Path, header: Sequence[str], index: str) -> None:
    other = [word for mark, word in _SEPARATORS.items() if index in header[0].replace('"', "").split(mark)]
    if other and len(header[0]) > len(index):
        raise DataError(
            f"{path} is separated by {other[0]}. Save it with commas between the cells, and decimals with a point."
        )
    nameless = [place for place, name in enumerate(header, 1) if is_nameless(name)]
    if nameless:
        raise DataError(
            f"{path} has columns without a name (number {shorten(nameless)}), such as the index that pandas writes. "
            "Save the table with index=False, or name them."
        )
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise DataError(f"{path} has columns of one name: {shorten(twice)}. Name each apart.")
    if index not in header:
        close = difflib.get_close_matches(index, header, n=1, cutoff=0.6)
        advice = f" Is it {close[0]!r}? Call it {index!r}." if close else ""
        raise DataError(f"{path} needs a column {index!r}; found {shorten(header)}.{advice}")


# --- cells ------------------------------------------------------------------------------------------------------------


def _of_plain(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    if not math.isfinite(value) or (abs(value) >= _WHOLE and text.lstrip("+-").isdigit() and int(text) != int(value)):
        return None
    return value


def number_of(text: str) -> float | None:
    """A plain decimal number; None: something else."""
    bare = text.strip()
    return _of_plain(bare) if bare and set(bare) <= _PLAIN else None


def is_empty(text: str) -> bool:
    """Whether a cell says that there is no number.

    Examples
    --------
    >>> [is_empty(text) for text in ("", " NaN", "0", "NA")]
    [True, True, False, False]
    """
    return text.strip().lower() in ("", "nan")


def refuse_cells(path: Path, bad: Sequence[tuple[int, str, str]]) -> None:
    """Refuse cells that are no numbers: line, column and text of each.

    Raises
    ------
    DataError
        There are some.
    """
    if not bad:
        return
    listed = shorten((f"{text!r} in line {line}, column {name!r}" for line, name, text in bad), 3)
    if all("," in text for _, _, text in bad):
        advice = "Write decimals with a point, and thousands without a separator."
    else:
        advice = "Every cell is a plain number that double precision holds; leave out stimuli or columns with gaps."
    raise DataError(f"{path}: {len(bad)} cells are not numeric or not finite: {listed}. {advice}")


def refuse_gaps(path: Path, name: str, lines: Sequence[int], needed: bool) -> None:
    """Refuse empty cells of a column that is needed, or known as one of labels.

    Raises
    ------
    DataError
        There are some.
    """
    if lines and (needed or name in LABELS):
        raise DataError(
            f"{path} has no {name!r} in {len(lines)} rows (lines {shorten(lines)}). Write a name there, or leave these "
            "out."
        )


def repetitions_of(written: Sequence[str]) -> list[int] | list[str]:
    """A column of repetitions: whole numbers where all are, else text."""
    if all(text.strip().isdigit() for text in written):
        return [int(text) for text in written]
    return [label(text.strip()) for text in written]
