"""Mouse visual cortex that saw 118 natural scenes: Allen Brain Observatory, Visual Coding, two-photon imaging."""

from __future__ import annotations

from isocortex_allen2p.cells import CellTable, seeded_subset
from isocortex_allen2p.datasets import TableCells, TrialCells
from isocortex_allen2p.nwb import Recording, read_recording
from isocortex_allen2p.reliability import running_p, split_half_reliability
from isocortex_allen2p.scenes import TableScenes, TrialScenes, read_images
from isocortex_allen2p.tables import read_cells, read_responses

__all__ = [
    "CellTable",
    "Recording",
    "TableCells",
    "TableScenes",
    "TrialCells",
    "TrialScenes",
    "read_cells",
    "read_images",
    "read_recording",
    "read_responses",
    "running_p",
    "seeded_subset",
    "split_half_reliability",
]
