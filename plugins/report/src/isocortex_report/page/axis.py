"""Where values lie on the axis of a strip, in percent of its width."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

#: of a strip, at most
MOST_TICKS = 6


@dataclass(frozen=True)
class Axis:
    """A linear axis from ``low`` to ``high`` with round marks."""

    low: float
    high: float
    marks: tuple[float, ...]

    def place(self, value: float) -> float:
        """Percent of the width at which a value lies.

        Examples
        --------
        >>> Axis(-0.5, 1.5, ()).place(0.5)
        50.0
        """
        return round(100 * (value - self.low) / (self.high - self.low), 2)

    @property
    def labels(self) -> list[tuple[float, str]]:
        """Place and text of each mark.

        Examples
        --------
        >>> axis_of([0.2, 0.9]).labels[:2]
        [(0.0, '0'), (20.0, '.2')]
        """
        digits = _digits(self.marks[1] - self.marks[0]) if len(self.marks) > 1 else 2
        return [(self.place(mark), _text(mark, digits)) for mark in self.marks]


def axis_of(values: Iterable[float | None], most: int = MOST_TICKS) -> Axis:
    """The axis that holds all values and zero, and ends on round marks, of which about ``most`` are steps.

    Examples
    --------
    >>> axis_of([0.13, 0.61, None])
    Axis(low=0.0, high=0.7, marks=(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7))
    >>> axis_of([-0.05, 0.92]).marks
    (-0.2, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    """
    known = [0.0, *(float(value) for value in values if value is not None and math.isfinite(value))]
    low, high = min(known), max(known)
    if high == low:
        return Axis(0.0, 1.0, (0.0, 0.5, 1.0))
    step = _step(high - low, most)
    first, last = math.floor(round(low / step, 9)), math.ceil(round(high / step, 9))
    marks = tuple(round(step * place, 12) for place in range(first, last + 1))
    return Axis(marks[0], marks[-1], marks)


def _step(span: float, most: int) -> float:
    """The smallest round step of which at most so many fit into the span, and a half."""
    exponent = 10.0 ** math.floor(math.log10(span / most))
    return next(exponent * factor for factor in (1, 2, 5, 10) if span / (exponent * factor) <= most + 0.5)


def _text(mark: float, digits: int) -> str:
    text = f"{abs(mark):.{digits}f}"
    return "0" if mark == 0 else ("−" if mark < 0 else "") + (text[1:] if text.startswith("0.") else text)


def _digits(step: float) -> int:
    return max(0, -math.floor(math.log10(step) + 1e-9))
