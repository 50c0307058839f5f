"""All kinds of figures: what each asks, and how it is made of results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.errors import UsageError, shorten, suggest
from isocortex_report.figures import layers, ranking
from isocortex_report.figures.figure import Figure
from isocortex_report.figures.material import Material

if TYPE_CHECKING:
    from isocortex.results import Result


@dataclass(frozen=True)
class Kind:
    """One kind of figure.

    Attributes
    ----------
    name
        As it is asked for.
    question
        What it answers, in words.
    figures
        All figures of this kind that the material allows.
    needs
        What results need for it, in a sentence.
    """

    name: str
    question: str
    figures: Callable[[Material], Iterator[Figure]]
    needs: str


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("ranking", "Which model predicts it best?", ranking.figures, "It needs a result with a value."),
        Kind("layers", "Where in the models does it lie?", layers.figures, "It needs a model with several layers."),
    )
}


def figures_of(results: Sequence[Result], folder: Path | None = None, kinds: Sequence[str] = ()) -> Iterator[Figure]:
    """All figures that results allow, kind by kind; what cannot be drawn honestly is left out.

    Parameters
    ----------
    results
        Of any benchmarks; models have the same colours in all figures.
    folder
        The results folder, for what needs raw scores: participants, neuroids, tests of pairs.
    kinds
        Names in ``KINDS``; empty: all.

    Raises
    ------
    UsageError
        An unknown kind.
    """
    for name in kinds:
        kind_of(name)
    material = Material(list(results), folder)
    for name in kinds or KINDS:
        yield from KINDS[name].figures(material)


def kind_of(name: str) -> Kind:
    """A kind by name.

    Raises
    ------
    UsageError
        There is none.
    """
    if name not in KINDS:
        raise UsageError(f"No figure is called {name!r}.{suggest(name, KINDS)} There are {shorten(KINDS, 30)}.")
    return KINDS[name]
