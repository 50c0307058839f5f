"""Humans against machines: decisions about 17 data sets of pictures, and shape bias (Geirhos et al. 2019, 2021)."""

from __future__ import annotations

from isocortex_geirhos2021.conditions import DATA_SETS, LEFT_OUT, condition_of, counts
from isocortex_geirhos2021.datasets import HumanDecisions
from isocortex_geirhos2021.decisions import CATEGORIES, one_table, read_compact, read_cue_conflict, read_trials
from isocortex_geirhos2021.stimuli import Pictures, StoredStimuli, stored_decisions

__all__ = [
    "CATEGORIES",
    "DATA_SETS",
    "LEFT_OUT",
    "HumanDecisions",
    "Pictures",
    "StoredStimuli",
    "condition_of",
    "counts",
    "one_table",
    "read_compact",
    "read_cue_conflict",
    "read_trials",
    "stored_decisions",
]
