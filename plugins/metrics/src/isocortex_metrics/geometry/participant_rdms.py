"""Dissimilarity matrices of participants, from responses or as they were given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from isocortex.data import Dataset, repetitions
from isocortex.errors import DataError, shorten
from isocortex.scoring import subject_codes
from isocortex.typing import Array
from isocortex_metrics.geometry.dissimilarity import (
    DISSIMILARITIES,
    Blocks,
    FlatPatternError,
    crossvalidated_distance,
    standardised,
)
from isocortex_metrics.geometry.pair_statistics import TIE_SHARE, varies
from isocortex_metrics.geometry.participants import Participants, participants_of
from isocortex_metrics.target.responses import rdm_pairs, responses_of
from isocortex_metrics.target.splits import first_equal

if TYPE_CHECKING:
    import xarray as xr


CROSS_VALIDATED = "cross-validated-euclidean"


@dataclass(frozen=True)
class ParticipantRdms:
    """Dissimilarity matrices as vectors of pairs.

    Attributes
    ----------
    rdms
        (n_participants, n_pairs) float64: the upper triangle, row by row.
    stimulus_id
        The stimuli in order.
    subjects
        Names of the participants.
    target
        What the matrices stand for: "participant", "group-mean" or "pooled".
    tie_share
        Entries closer than this share of the largest are tied: 0 for matrices as they were given.
    first_equal
        For each stimulus the first that holds the same (``target.splits.first_equal``); empty: all differ.
    """

    rdms: Array
    stimulus_id: tuple[str, ...]
    subjects: tuple[str, ...]
    target: str
    tie_share: float = 0.0
    first_equal: tuple[str, ...] = ()


def participant_rdms(
    target: Dataset | xr.DataArray, dissimilarity: str, metric: str, *, standardise: bool = False
) -> ParticipantRdms:
    """Take the matrices of a target, sessions averaged, or make them from responses.

    Repetitions are averaged, but for the cross-validated dissimilarity, which needs them.

    Parameters
    ----------
    target
        Responses or RDMs, a data set or arrays.
    dissimilarity
        A name of ``rdm.DISSIMILARITIES``; for responses only.
    metric
        Who asks, for messages.
    standardise
        z-score every neuroid over the stimuli first.

    Raises
    ------
    DataError
        No responses or RDMs, patterns without a dissimilarity, or a participant whose dissimilarities are all equal.

    Examples
    --------
    >>> from isocortex.data import make_responses
    >>> responses = make_responses(np.array([[0.0, 1.0, 3.0], [1.0, 0.0, 2.0], [2.0, 5.0, 1.0]]), ["a", "b", "c"])
    >>> participant_rdms(responses, "euclidean", "weighted-rsa").rdms.round(3).tolist()
    [[1.732, 4.899, 5.196]]
    """
    rdm = target.rdm if isinstance(target, Dataset) else target if "pair" in getattr(target, "dims", ()) else None
    found = _made(responses_of(target, metric), dissimilarity, standardise) if rdm is None else _given(target, rdm)
    flat = [name for name, row in zip(found.subjects, found.rdms, strict=True) if not varies(row, found.tie_share)]
    if flat:
        raise DataError(f"The dissimilarities of {shorten(flat)} are all equal, so that nothing correlates with them.")
    return replace(found, first_equal=tuple(first_equal(target, found.stimulus_id)))


def _given(target: Dataset | xr.DataArray, rdm: xr.DataArray) -> ParticipantRdms:
    if isinstance(target, Dataset):
        named, ids = target.attrs.get("target", rdm.attrs.get("target")), target.stimuli.ids
    else:
        (rdm, ids), named = rdm_pairs(rdm), rdm.attrs.get("target")
    if "session" in rdm.dims:
        rdm = rdm.mean("session")
    names = rdm["subject"].values if "subject" in rdm.coords else range(len(rdm))
    return ParticipantRdms(rdm.values.astype(np.float64), ids, tuple(map(str, names)), str(named or "participant"))


def _made(responses: xr.DataArray, dissimilarity: str, standardise: bool) -> ParticipantRdms:
    people = participants_of(responses)
    if dissimilarity == CROSS_VALIDATED:
        shown = repetitions(responses)  # (n_repetitions, n_stimuli, n_neuroids)
        codes = subject_codes(
            responses["subject"].values if people.target == "participant" else None, responses.shape[1]
        )
        parts = [shown[:, :, codes == code] for code in range(len(people.names))]
        rdms = [crossvalidated_distance(part, standardise=standardise) for part in parts]
    else:
        rdms = [
            _one(name, values, people, dissimilarity, standardise)
            for name, values in zip(people.names, people.values, strict=True)
        ]
    return ParticipantRdms(np.stack(rdms), people.stimulus_id, people.names, people.target, TIE_SHARE)


def _one(name: str, values: Array, people: Participants, dissimilarity: str, standardise: bool) -> Array:
    try:
        return rdm_of(lambda: iter([values]), len(values), dissimilarity, standardise=standardise)
    except FlatPatternError as error:
        flat = shorten(people.stimulus_id[place] for place in error.stimuli)
        raise DataError(f"Participant {name!r}, stimuli {flat}: {error}") from error


def rdm_of(
    blocks: Blocks, n_stimuli: int, dissimilarity: str, *, standardise: bool = False, device: str = "cpu"
) -> Array:
    """Dissimilarities (n_pairs,) of patterns that come in column blocks, z-scored over stimuli first or not.

    Examples
    --------
    >>> rdm_of(lambda: iter([np.array([[0.0], [3.0]])]), 2, "euclidean").tolist()
    [3.0]
    """
    prepared = partial(standardised, blocks) if standardise else blocks
    return DISSIMILARITIES[dissimilarity](prepared, n_stimuli, device, single=True)
