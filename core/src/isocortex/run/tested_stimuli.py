"""Which stimuli are run and tested: those of a trial, their names in scores, and the digest that results keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from isocortex.files.digests import digest_array

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.data.dataset import Dataset


def for_trial(dataset: Dataset, limit: int | None) -> Dataset:
    """A data set, or so many of its stimuli, spread evenly over the canonical order."""
    n_stimuli = len(dataset.stimuli)
    if limit is None or limit >= n_stimuli:
        return dataset
    return dataset.only([dataset.stimuli.ids[place * n_stimuli // limit] for place in range(limit)])


def with_names_of_tests(scores: xr.Dataset, ids: Sequence[str]) -> xr.Dataset:
    """Scores that name the stimuli of each test, where they hold the places of these; beyond the last of one is ""."""
    if "test_stimulus" not in scores or scores["test_stimulus"].dtype.kind not in "iuf":
        return scores
    places = scores["test_stimulus"].values
    there = places >= 0  # what a shorter split lacks is -1 or NaN
    names = np.full(places.shape, "", dtype=object)
    names[there] = np.asarray(ids, dtype=object)[places[there].astype(np.intp)]
    return scores.assign_coords(test_stimulus_id=(scores["test_stimulus"].dims, names))


def splits_digest(scores: xr.Dataset) -> str | None:
    """Digest of which stimuli each split tests, where the metric has splits."""
    return digest_array(scores["test_stimulus"].values) if "test_stimulus" in scores else None
