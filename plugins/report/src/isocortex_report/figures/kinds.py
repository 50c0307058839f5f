"""All kinds of figures: what each asks, and how it is made of results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.errors import UsageError, shorten, suggest
from isocortex_report.figures import (
    agreement,
    confusion,
    heatmap,
    layers,
    neuroids,
    paired,
    pairs,
    predicted,
    ranking,
    rdm,
    recovery,
    regions,
    reliability,
    stages,
    surface,
    tags,
)
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
    name: Kind(name, question, figures, needs)
    for name, figures, question, needs in (
        ("ranking", ranking.figures, "Which model predicts it best?", "It needs a result with a value."),
        ("layers", layers.figures, "Where in the models does it lie?", "It needs a model with several layers."),
        ("regions", regions.figures, "Which model predicts which region?", "It needs results with several regions."),
        (
            *("stages", stages.figures, "Which depth is read out in which region?"),
            "It needs a model with several layers on a benchmark with regions.",
        ),
        (
            *("pairs", pairs.figures, "Which of many models differ?"),
            "It needs 13 to 40 models with draws; of fewer, the ranking has marks.",
        ),
        (
            *("paired", paired.figures, "Which of two models predicts which neuroid better?"),
            "It needs two models with scores of at least 8 neuroids.",
        ),
        (
            *("neuroids", neuroids.figures, "Are some neuroids predicted better than others?"),
            "It needs scores of at least 20 neuroids.",
        ),
        (
            *("reliability", reliability.figures, "Does a model fail where the data are noisy?"),
            "It needs scores of at least 8 neuroids with a reliability.",
        ),
        (
            *("tags", tags.figures, "Does a number of a model go with its score?"),
            "It needs at least 5 models whose cards have the same numeric tag.",
        ),
        (
            *("agreement", agreement.figures, "Do benchmarks agree on models?"),
            "It needs two benchmarks with at least 8 models in common, controls not counted.",
        ),
        (
            *("rdm", rdm.figures, "Are stimuli alike for model and brain?"),
            "It needs a score on dissimilarities with --keep prediction, and its data set on this machine.",
        ),
        (
            *("predicted", predicted.figures, "What was predicted, and what was measured?"),
            "It needs an encoding score with --keep prediction, and its data set on this machine.",
        ),
        (
            *("heatmap", heatmap.figures, "Which responses does a model miss?"),
            "It needs an encoding score with --keep prediction, and its data set on this machine.",
        ),
        (
            *("confusion", confusion.figures, "Which labels are taken for which?"),
            "It needs a score of the metric accuracy with at most 40 labels.",
        ),
        (
            *("recovery", recovery.figures, "Would the benchmark know the model that a brain was made of?"),
            "It needs what 'isocortex recover BENCHMARK' keeps below the results folder.",
        ),
        (
            *("surface", surface.figures, "Where on the cortex does a model predict?"),
            "It needs neuroids with coordinates x, y, z in mm and a coordinate space (fsaverage, MNI305 or MNI152); "
            "components have none and are on no cortex.",
        ),
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
