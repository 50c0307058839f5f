"""Macaque IT and V4 (Majaj, Hong et al. 2015), the course NX-414, and human choices (Rajalingham et al. 2018)."""

from __future__ import annotations

from isocortex_majajhong2015.behaviour import PublicBehaviour
from isocortex_majajhong2015.images import PublicImages
from isocortex_majajhong2015.nx414 import CourseImages, CourseRecordings
from isocortex_majajhong2015.recordings import PublicRecordings, TemporalRecordings

__all__ = [
    "CourseImages",
    "CourseRecordings",
    "PublicBehaviour",
    "PublicImages",
    "PublicRecordings",
    "TemporalRecordings",
]
