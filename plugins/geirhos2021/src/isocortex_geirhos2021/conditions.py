"""The 17 data sets, and the conditions that the published benchmark leaves out.

``EXCLUDE_CONDITIONS`` in ``modelvshuman/plotting/plot.py`` of bethgelab/model-vs-human: conditions without
manipulation, and those under which people are right in less than 20 % of the trials, so that consistency says little.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

#: data set → conditions that do not count; in the files the same condition is written "0" and "0.0", "True" and "true"
LEFT_OUT: Final[Mapping[str, tuple[str, ...]]] = {
    "colour": ("cr",),
    "contrast": ("c100", "c03", "c01"),
    "cue-conflict": (),
    "edge": (),
    "eidolonI": ("1-10-10", "64-10-10", "128-10-10"),
    "eidolonII": ("1-3-10", "32-3-10", "64-3-10", "128-3-10"),
    "eidolonIII": ("1-0-10", "16-0-10", "32-0-10", "64-0-10", "128-0-10"),
    "false-colour": ("true",),
    "high-pass": ("inf", "0.55", "0.45", "0.4"),
    "low-pass": ("0", "15", "40"),
    "phase-scrambling": ("0", "150", "180"),
    "power-equalisation": ("0",),
    "rotation": ("0",),
    "silhouette": (),
    "sketch": (),
    "stylized": (),
    "uniform-noise": ("0", "0.6", "0.9"),
}
DATA_SETS: Final = tuple(LEFT_OUT)
#: what a data set with one condition has in its place
NO_CONDITION: Final = "-"

_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?")


def condition_of(data_set: str, text: str) -> str:
    """One spelling of a condition: numbers by their value, other words in lower case.

    Five of the data sets have one condition, which is ``0`` in the tables of people and no number in those of machines;
    here it is ``-``.

    Examples
    --------
    >>> [condition_of("rotation", text) for text in ("0.0", "0", "90")]
    ['0', '0', '90']
    >>> condition_of("false-colour", "True"), condition_of("eidolonI", "1-10-10"), condition_of("sketch", "NaN")
    ('true', '1-10-10', '-')
    """
    if not LEFT_OUT[data_set]:
        return NO_CONDITION
    word = text.strip().lower()
    return f"{float(word):g}" if _NUMBER.fullmatch(word) else word


def counts(data_set: str, condition: str) -> bool:
    """Whether trials of a data set under a condition count in the published benchmark.

    Examples
    --------
    >>> counts("rotation", "0.0"), counts("rotation", "90")
    (False, True)
    """
    return condition_of(data_set, condition) not in LEFT_OUT[data_set]
