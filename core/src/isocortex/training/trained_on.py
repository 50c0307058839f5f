"""What a model has learned from, so that it is never tested on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from isocortex.data.stimuli import StimulusSet


class TrainedOn(BaseModel):
    """Stimuli by their contents, whatever they are called, and the responses that a model was fitted to.

    Examples
    --------
    >>> TrainedOn(contents=("array:1f", "array:2e"), split="1 of 10").n_stimuli
    2
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    contents: tuple[str, ...] = Field(description="digest of what each stimulus holds once it is read, sorted")
    groups: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="stimulus column → labels whose stimuli are nearly the same"
    )
    neuroid_ids: tuple[str, ...] = ()
    stimuli: str = Field(default="", description="name of the stimulus set")
    dataset: str = ""
    split: str = Field(default="", description="which part was trained on: '3 of 10'")
    responses: str = Field(default="", description="digest of the training responses")

    @property
    def n_stimuli(self) -> int:
        """How many stimuli, those of equal content once."""
        return len(self.contents)


def seen_in(trained_on: TrainedOn, stimuli: StimulusSet) -> tuple[str, ...]:
    """IDs of the stimuli of a set that were trained on: by content, or as near-duplicates by a column of groups.

    Examples
    --------
    >>> import numpy as np
    >>> from isocortex.data.stimuli import Stimulus, StimulusSet
    >>> pictures = [Stimulus(name, "image", np.full((2, 2, 3), level, "uint8")) for level, name in enumerate("ab")]
    >>> stimuli = StimulusSet("two", "image", {picture.id: picture for picture in pictures})
    >>> seen_in(TrainedOn(contents=stimuli.contents[:1]), stimuli)
    ('a',)
    """
    known = set(trained_on.contents)
    seen = {name for name, content in zip(stimuli.ids, stimuli.contents, strict=True) if content in known}
    for column, labels in trained_on.groups.items():
        if column in stimuli.table.columns:
            near = stimuli.table[column].astype(str).isin(set(labels))
            seen |= set(stimuli.table.index[near.to_numpy()])
    return tuple(name for name in stimuli.ids if name in seen)


def learned_from(
    stimuli: StimulusSet, group: str = "", *, facts: Mapping[str, str] | None = None, neuroid_ids: Sequence[str] = ()
) -> TrainedOn:
    """What a model that was trained on a set of stimuli has seen.

    Parameters
    ----------
    stimuli
        The training stimuli alone.
    group
        Column of their table whose equal labels are near-duplicates; "": none.
    facts
        ``dataset``, ``split`` and ``responses`` of ``TrainedOn``.
    neuroid_ids
        That it was fitted to.
    """
    groups = {group: tuple(sorted(set(stimuli.table[group].astype(str))))} if group else {}
    contents = tuple(sorted(set(stimuli.contents)))
    return TrainedOn(
        contents=contents, groups=groups, neuroid_ids=tuple(neuroid_ids), stimuli=stimuli.id, **(facts or {})
    )
