"""q-values of rows whose p comes from permutations, and what a table says of chance.

A family is a benchmark and statistic; the regions of a benchmark are one family, and whole results are another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from isocortex.display import number
from isocortex.results.scores_file import WHOLE
from isocortex.scoring.stats import false_discovery_rate

Row = dict[str, Any]


def with_q(rows: Sequence[Row]) -> list[Row]:
    """Rows with ``q``, over all rows of their family that are given; None where there is no p.

    Examples
    --------
    >>> one = {"benchmark": "b", "statistic": "r", "target": "pooled", "permuted": "unrestricted", "region": None}
    >>> [row["q"] for row in with_q([{**one, "p": 0.01}, {**one, "p": 0.03}, {**one, "p": None}])]
    [0.02, 0.03, None]
    """
    families: dict[tuple[Any, ...], list[int]] = {}
    for place, row in enumerate(rows):
        if row.get("p") is not None:
            families.setdefault(_family(row), []).append(place)
    found: dict[int, float] = {}
    for places in families.values():
        q = false_discovery_rate(np.array([rows[place]["p"] for place in places]))
        found.update(zip(places, q.tolist(), strict=True))
    return [{**row, "q": found.get(place)} if "statistic" in row else row for place, row in enumerate(rows)]


def _family(row: Mapping[str, Any]) -> tuple[Any, ...]:
    whole = row["region"] is None or row["region"] == WHOLE
    return (*(row[name] for name in ("benchmark", "statistic", "target", "permuted")), whole)


def notes_of_chance(rows: Sequence[Row]) -> list[str]:
    """What chance, p and q are, how large the family is, and the smallest q that the permutations allow.

    Parameters
    ----------
    rows
        Of ``with_q``, of one benchmark and statistic: whole results, or regions.
    """
    tested = [row for row in rows if row.get("p") is not None]
    if not tested:
        return []
    notes: list[str] = []
    for how in dict.fromkeys(row["permuted"] for row in tested):
        own = [row for row in tested if row["permuted"] == how]
        most = min(row["most_permutations"] for row in own)
        alone = min(1.0, len(own) / (most + 1))
        exact = "" if own[0].get("p_participants") is None else "; over participants (exact sign flips): p_participants"
        notes.append(f"calibrated: value less chance, its mean over permutations of the stimuli ({how})")
        notes.append(
            f"p: one-sided; q over {len(own)} rows (Benjamini & Hochberg); {most:,} permutations allow p ≥ "
            f"{1 / (most + 1):.2g} and, for one row alone, q ≥ {alone:.2g}{exact}"
        )
    return notes


def chance_text(row: Mapping[str, Any]) -> str:
    """Calibrated value and chance of a row; empty where there is none.

    Examples
    --------
    >>> chance_text({"chance": 0.01, "calibrated": 0.3})
    '0.300 (0.010)'
    """
    if row.get("chance") is None:
        return ""
    return f"{number(row['calibrated'])} ({number(row['chance'])})"


def p_text(row: Mapping[str, Any]) -> str:
    """p and q of a row; empty where there are none.

    Examples
    --------
    >>> p_text({"p": 0.005, "q": 0.06})
    '0.005, 0.06'
    """
    found = [row.get(name) for name in ("p", "q")]
    return "" if found[0] is None else ", ".join("–" if value is None else f"{value:.2g}" for value in found)
