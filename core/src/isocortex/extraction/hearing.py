"""What a model hears is what its card says: sounds come at the card's sampling rate, whatever their files have."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from isocortex.data.media import resample
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.errors import DataError, IsocortexError

if TYPE_CHECKING:
    from isocortex.catalogue.cards import ModelCard


class Heard(StimulusSet):
    """A stimulus set as a model gets it; IDs, order, table and digest are those of the set.

    Each array is the model's own: what a model writes into it reaches no other batch and no other model.

    Parameters
    ----------
    recorded
        The set.
    sample_rate
        Hz to which sounds are resampled, channels apart; None: they keep their own rate.
    resampler
        As for ``isocortex.data.resample``.
    """

    def __init__(self, recorded: StimulusSet, sample_rate: float | None, resampler: str) -> None:
        self.recorded, self.sample_rate, self.resampler = recorded, sample_rate, resampler
        self.id, self.modality, self.ids = recorded.id, recorded.modality, recorded.ids
        self.table, self.warnings = recorded.table, recorded.warnings

    def load(self, index: int) -> Stimulus:
        """Read one stimulus by its place, at the model's rate.

        Raises
        ------
        DataError
            The file is damaged, or a sound that has to be resampled has no rate or is none of floating point numbers.
        PluginError
            The resampler needs a library that is not installed.
        """
        stimulus = self.recorded.load(index)
        if self.sample_rate is None or stimulus.modality != "audio":
            return replace(stimulus, array=np.array(stimulus.array))
        if not stimulus.sample_rate or not 0 < stimulus.sample_rate < float("inf"):
            raise DataError(
                f"Stimulus {stimulus.id!r} of {self.id!r} has no sampling rate (found {stimulus.sample_rate}), and the "
                f"model takes sounds at {self.sample_rate:g} Hz. Set sample_rate, in Hz."
            )
        try:
            sound = resample(stimulus.array, stimulus.sample_rate, self.sample_rate, self.resampler)
        except IsocortexError as error:
            raise type(error)(f"Stimulus {stimulus.id!r} of {self.id!r}: {error}") from error
        own = np.array(sound) if sound is stimulus.array else sound
        return replace(stimulus, array=own, sample_rate=float(self.sample_rate))

    @property
    def files(self) -> tuple[Path, ...]:
        """The files behind the stimuli."""
        return self.recorded.files

    @cached_property
    def content_digests(self) -> tuple[str, ...]:
        """Digests of the stimuli as they were recorded."""
        return self.recorded.content_digests

    @cached_property
    def digest(self) -> str:
        """Digest of the set as it was recorded."""
        return self.recorded.digest


def heard(stimuli: StimulusSet, card: ModelCard) -> Heard:
    """Stimuli as the model of a card gets them: at its ``sample_rate``, unless it resamples them itself.

    Examples
    --------
    >>> from isocortex.catalogue.cards import ModelCard
    >>> tone = Stimulus("tone", "audio", np.zeros(44_100, dtype=np.float32), 44_100.0)
    >>> card = ModelCard(id="m", object="x:M", modality="audio", sample_rate=20_000, layers=("a",))
    >>> heard(StimulusSet("tones", "audio", {"tone": tone}), card).load(0).array.shape
    (20000,)
    """
    return Heard(stimuli, None if card.resampler == "model" else card.sample_rate, card.resampler)


class Shape(NamedTuple):
    """What a stimulus is put together by: nothing is resampled for it."""

    array: tuple[int, ...]
    sample_rate: float | None
    #: numbers that the model gets
    extent: float


def shape_of(stimuli: StimulusSet, place: int) -> Shape:
    """Shape and rate of one stimulus as it was recorded, and how much of it there is for the model."""
    stimulus = as_recorded(stimuli, place)
    wanted, rate, n_samples = getattr(stimuli, "sample_rate", None), stimulus.sample_rate, stimulus.array.size
    return Shape(stimulus.array.shape, rate, n_samples * wanted / rate if wanted and rate else n_samples)


def as_recorded(stimuli: StimulusSet, place: int) -> Stimulus:
    """One stimulus as it was recorded."""
    return (stimuli.recorded if isinstance(stimuli, Heard) else stimuli).load(place)
