"""Plots of tidy tables, one function per kind of figure: numbers come in, nothing is computed, axes come back.

``isocortex_report.figures.figures_of`` makes the tables from results; a table of your own needs the same columns.
"""

from __future__ import annotations

from isocortex_report.figures.layers import plot as layers
from isocortex_report.figures.ranking import plot as ranking

__all__ = ["layers", "ranking"]
