"""Compared pairs of models as tables within the width of the terminal, as JSON, CSV, LaTeX and Markdown."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.errors import printable
from isocortex.results.frames import row_name
from isocortex.results.number_texts import Cell, decimals_of, number_text, spread_text
from isocortex.results.paired import FEW_PARTICIPANTS
from isocortex.results.sheets import shown_name
from isocortex.results.tables import print_title, write_csv
from isocortex.results.terminal import Piece, Printer, folded, one_line, padded, width_of
from isocortex.results.typeset import Typeset, latex, markdown

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
Key = tuple[str, str, str]
_HEADINGS = ("value", "difference", "", "p", "q")
_GAP = 2
_INDENT = 2


def print_pairs_json(table: pd.DataFrame) -> None:
    """Print a list with one object per pair, and per row that could not be compared."""
    print(json.dumps(_rows_of(table), indent=1))


def print_pairs_csv(table: pd.DataFrame) -> None:
    """Print the same rows as CSV."""
    write_csv(table)


def print_pairs(table: pd.DataFrame) -> None:
    """Print one table per benchmark, statistic and target, and below what could not be compared."""
    printer, rows = Printer(), _rows_of(table)
    tested = [row for row in rows if row["p"] is not None]
    names = _labels(tested)
    for key, own in _tables(tested):
        _print_pairs(printer, key, own, names)
        printer.line()
    printer.sentence("; ".join(_legend(tested)), "dim", indent=0)
    for row in rows:
        if row["reason"] is not None:
            where = f"{row['model_a']} × {row['benchmark']}{' ' + row['region'] if row['region'] else ''}"
            printer.sentence(f"not comparable: {where}: {row['reason']}")


def print_pairs_latex(table: pd.DataFrame) -> None:
    """Print the pairs that were compared for LaTeX, with the package booktabs."""
    print(printable(latex(_typeset(table))))


def print_pairs_markdown(table: pd.DataFrame) -> None:
    """Print the pairs that were compared in Markdown."""
    print(printable(markdown(_typeset(table))))


# --- rows -------------------------------------------------------------------------------------------------------------


def _rows_of(table: pd.DataFrame) -> list[Row]:
    return [{str(key): _plain(value) for key, value in row.items()} for row in table.to_dict("records")]


def _plain(value: Any) -> Any:
    import pandas as pd

    if pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _key(row: Row) -> Key:
    return row["benchmark"], row["statistic"], row["target"]


def _tables(rows: Sequence[Row]) -> Iterator[tuple[Key, list[Row]]]:
    for key in dict.fromkeys(map(_key, rows)):
        yield key, [row for row in rows if _key(row) == key]


def _labels(rows: Sequence[Row]) -> dict[str, str]:
    """Digest → name of the model, with the digest where one name has several on a benchmark."""
    named = {row[f"digest_{side}"]: shown_name(*_split(row[f"model_{side}"])) for row in rows for side in "ab"}
    per_benchmark = {(row["benchmark"], row[f"digest_{side}"]) for row in rows for side in "ab"}
    places = [(benchmark, named[digest]) for benchmark, digest in per_benchmark]
    twice = {name for benchmark, name in places if places.count((benchmark, name)) > 1}
    return {digest: f"{name} [{digest[:8]}]" if name in twice else name for digest, name in named.items()}


def _split(name: str) -> tuple[str, str]:
    model, _, variant = name.rpartition("@")
    return model, variant


def _facts(key: Key, rows: Sequence[Row]) -> str:
    facts = [f"{key[1]}, {key[2]}", f"{_span(rows, 'n_stimuli')} stimuli"]
    people = [f"{_span(rows, 'n_subjects')} participants"] if any(row["n_subjects"] for row in rows) else []
    seeds = {row["seed"] for row in rows}
    return ", ".join([*facts, *people, *([f"seeds {_span(rows, 'seed')}"] if len(seeds) > 1 else [])])


def _span(rows: Sequence[Row], name: str) -> str:
    found = sorted({row[name] for row in rows if row[name] is not None})
    return "–" if not found else str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def _decimals(rows: Sequence[Row]) -> int | None:
    return decimals_of(row[name] for row in rows for name in ("value_a", "value_b"))


def _p_decimals(rows: Sequence[Row]) -> int:
    """So many that the smallest p can be told from zero."""
    return max(3, math.ceil(-math.log10(min(smallest_p(row["n_draws"]) for row in rows))))


def smallest_p(n_draws: int) -> float:
    """The smallest p that a number of draws can give.

    Examples
    --------
    >>> round(smallest_p(1000), 4)
    0.002
    """
    return 2 / (n_draws + 1)


def _numbers(row: Row, side: str, decimals: int | None, p_decimals: int) -> tuple[str, ...]:
    """Value of one side, difference, its interval, p, q."""
    interval = Cell(row["difference"], row["interval_low"], row["interval_high"], "interval")
    difference = (number_text(row["difference"], decimals), spread_text(interval, decimals, fewer=0))
    return (number_text(row[f"value_{side}"], decimals), *difference, *(number_text(row[x], p_decimals) for x in "pq"))


# --- in the terminal --------------------------------------------------------------------------------------------------


def _print_pairs(printer: Printer, key: Key, rows: Sequence[Row], names: Mapping[str, str]) -> None:
    """One table: below each model those that it is compared with."""
    one_b = len({row["digest_b"] for row in rows}) == 1 and len(rows) > 1
    fixed, other = ("b", "a") if one_b else ("a", "b")
    decimals, p_decimals = _decimals(rows), _p_decimals(rows)
    texts = [_numbers(row, other, decimals, p_decimals) for row in rows]
    widths = [max(map(width_of, column)) for column in zip(_HEADINGS, *texts, strict=True)]
    room = printer.width - sum(width + _GAP for width in widths) - _INDENT
    name_width = min(room, max(width_of(one_line(names[row[f"digest_{other}"]])) for row in rows))
    print_title(printer, key[0], _facts(key, rows))
    headings = [padded(name, width, right=True) for name, width in zip(_HEADINGS, widths, strict=True)]
    printer.line(Piece((" " * _GAP).join([" " * (_INDENT + name_width), *headings]), "bold"))
    several = len({row["region"] for row in rows}) > 1
    together = groupby(zip(rows, texts, strict=True), lambda item: (item[0]["region"], item[0][f"digest_{fixed}"]))
    for (region, digest), members in together:
        pairs = list(members)
        place = f"{one_line(row_name(region)) or '(no region)'}: " if several or region is not None else ""
        model = f"{one_line(names[digest])} {number_text(pairs[0][0][f'value_{fixed}'], decimals)}"
        printer.sentence(place + (f"less {model}" if one_b else f"{model} less"))
        for row, numbers in pairs:
            _print_pair(printer, one_line(names[row[f"digest_{other}"]]), name_width, numbers, widths)


def _print_pair(printer: Printer, name: str, name_width: int, numbers: Sequence[str], widths: Sequence[int]) -> None:
    first, *rest = folded(name, name_width, indent=2)
    texts = [padded(text, width, right=True) for text, width in zip(numbers, widths, strict=True)]
    printer.line(Piece(" " * _INDENT + padded(first, name_width) + "".join(" " * _GAP + text for text in texts)))
    for part in rest:
        printer.line(Piece(" " * _INDENT + part))


def _legend(rows: Sequence[Row]) -> list[str]:
    numbers = sorted({row["n_draws"] for row in rows})
    digits = _p_decimals(rows)
    floors = " and ".join(f"{number_text(smallest_p(number), digits)} with {number} draws" for number in numbers)
    over = sorted({f"[ ] 95 % interval over {row['resampled']}" for row in rows})
    parts = [*over, f"smallest p: {floors}", f"q: Benjamini-Hochberg over these {len(rows)} tests"]
    needed = int(np.ceil(round(len(rows) * smallest_p(numbers[0]) / 0.05, 9)))
    if needed > 1:
        parts.append(f"q ≤ 0.05 needs at least {needed} tests at the smallest p: compare fewer, or with --against")
    people = [row["n_subjects"] for row in rows if "participants" in row["resampled"]]
    if people and min(people) < FEW_PARTICIPANTS:
        parts.append(f"{min(people)} participants are few: p and intervals come out too small (docs: comparing models)")
    if any(row["layer_rule_a"] == "optimistic" and row["n_layers_a"] != row["n_layers_b"] for row in rows):
        parts.append("layers chosen optimistically among different numbers of layers: the larger number is favoured")
    return parts


# --- LaTeX and Markdown -----------------------------------------------------------------------------------------------


def _typeset(table: pd.DataFrame) -> list[Typeset]:
    tested = [row for row in _rows_of(table) if row["p"] is not None]
    names, legend = _labels(tested), tuple(_legend(tested))
    found: list[Typeset] = []
    for key, rows in _tables(tested):
        decimals, p_decimals = _decimals(rows), _p_decimals(rows)
        lines = [_typeset_row(row, names, decimals, p_decimals) for row in rows]
        sections = tuple(tuple(own) for _, own in groupby(lines, lambda line: line[0]))
        headings = ("region", "model a", "model b", "a", "b", "a − b", "p", "q")
        found.append(Typeset(f"{key[0]}: {_facts(key, rows)}", headings, sections, legend, n_names=3))
    return found


def _typeset_row(row: Row, names: Mapping[str, str], decimals: int | None, p_decimals: int) -> tuple[str, ...]:
    value_b, difference, interval, *rest = _numbers(row, "b", decimals, p_decimals)
    region = row_name(row["region"]) or "(no region)"
    value_a = number_text(row["value_a"], decimals)
    return (region, names[row["digest_a"]], names[row["digest_b"]], value_a, value_b, f"{difference} {interval}", *rest)
