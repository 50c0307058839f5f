"""What tables say of the drop under stricter splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isocortex.results.frames import is_number
from isocortex.results.number_texts import Cell, number_text, spread_text

_DECIMALS = 3


def drop_text(row: Mapping[str, Any]) -> str:
    """The drop of a row with its interval; empty where none was computed.

    Examples
    --------
    >>> drop_text({"drop": 0.1234, "drop_low": 0.02, "drop_high": 0.21}), drop_text({"drop": None})
    ('.123 [.02, .21]', '')
    """
    if not is_number(row.get("drop")):
        return ""
    low, high = row.get("drop_low"), row.get("drop_high")
    cell = Cell(row["drop"], low, high, "interval" if is_number(low) and is_number(high) else "none")
    return f"{number_text(cell.value, _DECIMALS)} {spread_text(cell, _DECIMALS)}".rstrip()


def notes_of_drop(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the drop is, where a row has one."""
    shown = [row for row in rows if is_number(row.get("drop"))]
    if not shown:
        return []
    paired = any(is_number(row.get("drop_low")) for row in shown)
    drawn = "[ ] 95 % of draws of the same stimuli" if paired else "this metric has no interval of it"
    return [
        "drop: the same test stimuli predicted by as many training stimuli, with others of their kind among them, "
        f"less the value; {drawn}"
    ]
