"""92 object images with human and monkey IT dissimilarities (Kriegeskorte et al. 2008)."""

from __future__ import annotations

from isocortex_kriegeskorte2008.datasets import HumanIT, MonkeyIT
from isocortex_kriegeskorte2008.images import ImageTable, ObjectImages, read_images
from isocortex_kriegeskorte2008.rdms import (
    SubjectRDMs,
    pair_indices,
    read_published_rdms,
    read_subject_rdms,
    upper_triangle,
)

__all__ = [
    "HumanIT",
    "ImageTable",
    "MonkeyIT",
    "ObjectImages",
    "SubjectRDMs",
    "pair_indices",
    "read_images",
    "read_published_rdms",
    "read_subject_rdms",
    "upper_triangle",
]
