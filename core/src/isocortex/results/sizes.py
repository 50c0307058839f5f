"""What tables say of the size of the layer that is read out: its units, and its effective dimensionality."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from isocortex.results.frames import is_number

#: heading of the column; the dimensionality stands in brackets
HEADING = "units (log10 ED)"
NOTE = "units, and in brackets the decadic logarithm of the effective dimensionality, of the layer that is read out"


def size_text(row: Mapping[str, Any]) -> str:
    """Units and effective dimensionality of what a row reads out; a dash where several layers are, or it is not known.

    Examples
    --------
    >>> size_text({"n_units": 12288, "dimensionality": 20.0}), size_text({"n_units": 3, "dimensionality": None})
    ('12,288 (1.30)', '3 (–)')
    >>> size_text({"n_units": None, "dimensionality": None})
    '–'
    """
    if not is_number(row.get("n_units")):
        return "–"
    found = row.get("dimensionality")
    return f"{int(row['n_units']):,} ({f'{math.log10(found):.2f}' if is_number(found) else '–'})"
