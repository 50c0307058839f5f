"""Numbers as a methods section writes them: small ones in words, powers of ten, shares, and lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log10
from typing import Any

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_TIMES = {1: "once", 2: "twice"}
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | str) -> str:
    """A number with commas by thousands, as short as it says the same; a text as it is.

    Examples
    --------
    >>> number(7694), number(0.001), number(1.0), number("category")
    ('7,694', '0.001', '1', 'category')
    """
    if isinstance(value, bool | str):
        return str(value)
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:g}"


def in_words(value: float) -> str:
    """A count up to twelve in words.

    Examples
    --------
    >>> in_words(10), in_words(165)
    ('ten', '165')
    """
    return _WORDS[int(value)] if float(value).is_integer() and 0 <= value < len(_WORDS) else number(value)


def times(value: float) -> str:
    """How often.

    Examples
    --------
    >>> times(1), times(2), times(10)
    ('once', 'twice', 'ten times')
    """
    return _TIMES.get(int(value), f"{in_words(value)} times")


def power(value: float) -> str:
    """A power of ten; other numbers as they are.

    Examples
    --------
    >>> power(1e-05), power(1e49), power(3.0)
    ('10⁻⁵', '10⁴⁹', '3')
    """
    exponent = round(log10(value)) if value > 0 else 0
    if value > 0 and abs(value / 10.0**exponent - 1) < 1e-9:
        return "10" + str(exponent).translate(_SUPERSCRIPT)
    return number(value)


def percent(value: float) -> str:
    """A share.

    Examples
    --------
    >>> percent(0.9)
    '90%'
    """
    return f"{100 * value:g}%"


#: what may stand behind the colon of a field
FORMATS: dict[str, Callable[[float], str]] = {"w": in_words, "times": times, "power": power, "percent": percent}


def listed(parts: Sequence[str]) -> str:
    """A list as English writes it.

    Examples
    --------
    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def between(values: Sequence[int]) -> str:
    """One number, or the range of several.

    Examples
    --------
    >>> between([3, 3]), between([14, 3])
    ('3', '3 to 14')
    """
    low, high = min(values), max(values)
    return number(low) if low == high else f"{number(low)} to {number(high)}"


def counted(value: int, one: str, several: str = "") -> str:
    """A count with its noun.

    Examples
    --------
    >>> counted(1, "model"), counted(165, "sound"), counted(2, "stimulus", "stimuli")
    ('one model', '165 sounds', 'two stimuli')
    """
    return f"{in_words(value)} {one if value == 1 else several or one + 's'}"


def seeds(values: Sequence[int]) -> str:
    """Seeds, neighbours as a range.

    Examples
    --------
    >>> seeds([2, 0, 1]), seeds([3]), seeds([0, 1, 7])
    ('seeds 0–2', 'seed 3', 'seeds 0, 1 and 7')
    """
    runs: list[list[int]] = []
    for value in sorted(set(values)):
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    parts = [part for run in runs for part in ([f"{run[0]}–{run[-1]}"] if len(run) > 2 else map(str, run))]
    return f"seed{'s' if len(values) > 1 else ''} {listed(parts)}"


def value_text(value: Any) -> str:
    """What a setting or a constant is, in a sentence.

    Examples
    --------
    >>> value_text([0.0, 0.5, 1.0]), value_text("category")
    ('0, 0.5 and 1', 'category')
    """
    if isinstance(value, list | tuple):
        return listed([value_text(item) for item in value])
    return number(value)
