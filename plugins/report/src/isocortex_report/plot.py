"""Plots of tidy tables, one function per kind of figure: numbers come in, nothing is computed, axes come back.

``isocortex_report.figures.figures_of`` makes the tables from results; a table of your own needs the same columns.
"""

from __future__ import annotations

from isocortex_report.figures.agreement import plot as agreement
from isocortex_report.figures.confusion import plot as confusion
from isocortex_report.figures.heatmap import plot as heatmap
from isocortex_report.figures.layers import plot as layers
from isocortex_report.figures.neuroids import plot as neuroids
from isocortex_report.figures.paired import plot as paired
from isocortex_report.figures.pairs import plot as pairs
from isocortex_report.figures.predicted import plot as predicted
from isocortex_report.figures.ranking import plot as ranking
from isocortex_report.figures.rdm import plot as rdm
from isocortex_report.figures.recovery import plot as recovery
from isocortex_report.figures.regions import plot as regions
from isocortex_report.figures.reliability import plot as reliability
from isocortex_report.figures.stages import plot as stages
from isocortex_report.figures.surface import plot as surface
from isocortex_report.figures.tags import plot as tags

__all__ = [
    "agreement",
    "confusion",
    "heatmap",
    "layers",
    "neuroids",
    "paired",
    "pairs",
    "predicted",
    "ranking",
    "rdm",
    "recovery",
    "regions",
    "reliability",
    "stages",
    "surface",
    "tags",
]
