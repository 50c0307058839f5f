"""The brain side of a result: its data set as it was scored, and its stimuli by category; nothing is downloaded."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import isocortex
from isocortex.errors import IsocortexError
from isocortex_report.figures.style import FAINT, HUES

if TYPE_CHECKING:
    import pandas as pd

    from isocortex.data import Dataset
    from isocortex.results import Result

#: columns of stimuli that say what they are of, and in which colour; the first that is there
CATEGORIES = ("category", "label", "object_name", "class")
COLOURS = ("category_colour", "category_color", "colour", "color")


def loaded_dataset(result: Result, cell: Path | None) -> Dataset | None:
    """The data set that a result was scored on, if it is on this machine and still the same.

    Parameters
    ----------
    result
        Its digest of the data set has to be that of what is found.
    cell
        Where it lies: the folders of results on folders of data are called after these.
    """
    benchmark = "" if cell is None else unquote(cell.parent.name)
    of_folder = benchmark.startswith("folder:")
    name = benchmark.removesuffix(f":{result.metric}") if of_folder else result.dataset
    try:
        whole = isocortex.load_dataset(name, offline=True)
    except IsocortexError:
        return None
    if whole.digest == result.digests.get("dataset"):
        chosen = _selected(whole, result)
        return whole if chosen is None else chosen
    chosen = _selected(whole, result)
    return chosen if chosen is not None and chosen.digest == result.digests.get("dataset") else None


def _selected(whole: Dataset, result: Result) -> Dataset | None:
    """What the benchmark's row takes of the data set; None where the row is not installed or takes all."""
    try:
        card: Any = isocortex.load_card("benchmark", result.benchmark_id)
        return whole.select(**card.select) if card.select else None
    except IsocortexError:
        return None


@dataclass(frozen=True)
class Order:
    """Stimuli as a figure shows them.

    Attributes
    ----------
    places
        Canonical place of each stimulus that is shown, category by category.
    categories
        Of each of them; empty texts where there are none.
    colours
        Of each category.
    """

    places: Sequence[int]
    categories: Sequence[str]
    colours: dict[str, str]


def by_category(table: pd.DataFrame) -> Order:
    """Stimuli by category, in the order in which the data set has them first, with its colours if it has any.

    Examples
    --------
    >>> import pandas as pd
    >>> found = by_category(pd.DataFrame({"category": ["b", "a", "b"]}))
    >>> list(found.places), list(found.colours)
    ([0, 2, 1], ['b', 'a'])
    """
    column = next((name for name in CATEGORIES if name in table.columns), None)
    if column is None or table[column].nunique() > 40:
        return Order(range(len(table)), [""] * len(table), {})
    names = table[column].astype(str).tolist()
    listed = list(dict.fromkeys(names))
    places = sorted(range(len(names)), key=lambda place: listed.index(names[place]))
    own = next((name for name in COLOURS if name in table.columns), None)
    given = {} if own is None else dict(zip(names, table[own].astype(str), strict=True))
    colours = {name: _colour(given.get(name), place) for place, name in enumerate(listed)}
    return Order(places, [names[place] for place in places], colours)


def _colour(given: str | None, place: int) -> str:
    from matplotlib.colors import is_color_like, to_hex

    if given is not None and is_color_like(given):
        return to_hex(given)
    return HUES[place % len(HUES)] if place < 2 * len(HUES) else FAINT


def edges_of(categories: Sequence[str]) -> list[int]:
    """Places before which another category begins.

    Examples
    --------
    >>> edges_of(["a", "a", "b"])
    [2]
    """
    return [place + 1 for place, (a, b) in enumerate(itertools.pairwise(categories)) if a != b]
