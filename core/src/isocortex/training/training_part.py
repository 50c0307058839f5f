"""The part of a data set that one split trains on: nothing that is handed over leads to what is tested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isocortex.errors import DataError, shorten
from isocortex.files.digests import digest_array, digest_of
from isocortex.training.trained_on import TrainedOn, learned_from, seen_in

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.data.dataset import Dataset
    from isocortex.data.stimuli import StimulusSet

#: fewer stimuli cannot be divided into those to fit on and those to choose by
FEWEST = 8


@dataclass(frozen=True)
class TrainingPart:
    """What a model may learn from in one split.

    Attributes
    ----------
    stimuli, responses
        Of the training part alone; responses are a copy, every presentation, dims ("presentation", "neuroid").
    trained_on
        Travels with what is fitted.
    left_out
        IDs of training stimuli that hold the same as a tested one, or are nearly the same by the column of groups.
    digest
        Of contents: stimuli, responses and names of neuroids.
    """

    stimuli: StimulusSet
    responses: xr.DataArray
    trained_on: TrainedOn
    left_out: tuple[str, ...]
    digest: str


def training_part(
    dataset: Dataset, train: Sequence[str], test: Sequence[str], *, group: str = "", split: str = ""
) -> TrainingPart:
    """The training stimuli of a split with their responses, without those that are tested under another ID.

    Parameters
    ----------
    dataset
        Holds responses.
    train, test
        IDs of the stimuli of the split.
    group
        Column of the stimuli whose equal labels are near-duplicates; "": none.
    split
        Which one it is, for whoever reads what was fitted.

    Raises
    ------
    DataError
        No responses, or fewer than eight stimuli to train on.
    """
    if dataset.responses is None:
        raise DataError(f"A model learns from responses; the data set {dataset.id!r} holds {dataset.kind}.")
    wanted = dataset.stimuli.apart(train)
    twins = set(seen_in(learned_from(dataset.stimuli.apart(test), group), wanted)) if len(test) else set[str]()
    kept = [name for name in wanted.ids if name not in twins]
    if len(kept) < FEWEST:
        raise DataError(
            f"A model needs {FEWEST} stimuli to learn from; split {split or '1'} of {dataset.id!r} leaves {len(kept)}, "
            f"and {len(twins)} more are like tested ones ({shorten(sorted(twins))})."
        )
    stimuli = wanted.apart(kept)
    rows = dataset.responses["stimulus_id"].to_index().isin(kept).nonzero()[0]
    responses = dataset.responses.isel(presentation=rows).copy(deep=True)
    neuroid_ids = [str(name) for name in responses["neuroid_id"].values]
    ids = responses["stimulus_id"].values.astype(str).tolist()
    digest = digest_of([digest_array(responses.values), ids, neuroid_ids])
    facts = {"dataset": dataset.id, "split": split, "responses": digest}
    trained_on = learned_from(stimuli, group, facts=facts, neuroid_ids=neuroid_ids)
    return TrainingPart(
        stimuli, responses, trained_on, tuple(sorted(twins)), digest_of([stimuli.digest, digest, trained_on.groups])
    )
