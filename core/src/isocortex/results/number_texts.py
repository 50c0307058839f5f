"""Numbers as texts in tables: the decimals that a table needs, intervals in brackets, ranges in parentheses."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from isocortex.results.frames import is_number

#: decimals of values between .1 and 10; intervals have one less
_DECIMALS = 3


@dataclass(frozen=True)
class Cell:
    """What a model reaches in a region: a value with its interval, or with the range over seeds; or nothing."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    spread: Literal["none", "interval", "range"] = "none"
    #: shown where there is no value: "–" was not run, or has no value
    absent: str = "–"


def decimals_of(numbers: Iterable[float | None]) -> int | None:
    """Decimals with which numbers are shown side by side: three between .1 and 10, less above and more below.

    Examples
    --------
    >>> decimals_of([0.5, -0.02, None]), decimals_of([0.03]), decimals_of([250.0]), decimals_of([1e9])
    (3, 4, 1, None)
    """
    largest = max((abs(number) for number in numbers if is_number(number)), default=0.0)
    if largest == 0:
        return _DECIMALS
    power = math.floor(math.log10(largest)) if math.isfinite(largest) else 99
    if not -6 < power < 7:
        return None
    return max(0, _DECIMALS - max(power, 0) - min(power + 1, 0))


def number_text(number: float | None, decimals: int | None) -> str:
    """A number without the zero before the point, or a dash.

    Examples
    --------
    >>> number_text(0.12345, 3), number_text(-0.5, 2), number_text(1.25, 3), number_text(None, 3)
    ('.123', '-.50', '1.250', '–')
    >>> number_text(-0.0001, 3), number_text(123456789.0, None)  # the sign says on which side of zero it lies
    ('-.000', '1.235e+08')
    """
    if not is_number(number):
        return "–"
    if decimals is None:
        return f"{number:.4g}"
    text = f"{number:.{decimals}f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def spread_text(cell: Cell, decimals: int | None, fewer: int = 1) -> str:
    """An interval in brackets, a range over seeds in parentheses, or nothing; with fewer decimals than the value.

    Examples
    --------
    >>> spread_text(Cell(0.5, 0.41, 0.59, "interval"), 3), spread_text(Cell(0.5, 0.41, 0.59, "range"), 3)
    ('[.41, .59]', '(.41, .59)')
    """
    if cell.spread == "none":
        return ""
    less = None if decimals is None else max(0, decimals - fewer)
    inside = f"{number_text(cell.low, less)}, {number_text(cell.high, less)}"
    return f"[{inside}]" if cell.spread == "interval" else f"({inside})"
