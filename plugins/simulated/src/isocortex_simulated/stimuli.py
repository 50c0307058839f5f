"""The synthesised stimuli as plugins: made in memory from a seed, nothing to download."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from isocortex.data import Stimulus, StimulusSet
from isocortex.errors import PluginError
from isocortex.interfaces import DataFiles, StimuliCard, StimuliPlugin
from isocortex_simulated.draws import Stream


class Synthesis(BaseModel):
    """Options of a synthesised stimulus set."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    seed: int = Field(default=0, description="another seed gives other stimuli of the same categories")
    n_stimuli: int = Field(default=48, ge=16, description="spread evenly over the categories")


def synthesise(
    name: str,
    modality: str,
    options: Mapping[str, Any],
    categories: Mapping[str, object],
    make: Callable[[str, Stream], NDArray[Any]],
    sample_rate: float | None = None,
) -> StimulusSet:
    """Synthesise stimuli, categories taking turns in the canonical order.

    Parameters
    ----------
    name, modality
        Of the set.
    options
        See `Synthesis`.
    categories
        Names of the categories, in their order.
    make
        Takes a category and a stream of random numbers, and gives the array of a stimulus. Each stimulus has a stream
        of its own, so that it does not depend on how many there are.
    sample_rate
        Hz, for sounds.

    Returns
    -------
    IDs ``<category>.<number>`` with - for spaces; table column ``category``.

    Raises
    ------
    PluginError
        If an option is unknown or out of range.

    Examples
    --------
    >>> from isocortex_simulated.images import IMAGES, synthesise_image
    >>> synthesise("few", "image", {"n_stimuli": 16}, IMAGES, synthesise_image).ids[:2]
    ('grating.0', 'plaid.0')
    """
    import pandas as pd

    try:
        chosen = Synthesis.model_validate(dict(options))
    except ValidationError as error:
        raise PluginError(f"The options of the stimuli {name!r} are not valid: {error}.") from error
    sources: dict[str, Stimulus] = {}
    labels: list[str] = []
    kinds = list(categories)
    for number in range(chosen.n_stimuli):
        category = kinds[number % len(kinds)]
        stimulus_id = f"{category.replace(' ', '-')}.{number // len(kinds)}"
        array = make(category, Stream(chosen.seed, stimulus_id))
        sources[stimulus_id] = Stimulus(stimulus_id, modality, array, sample_rate)
        labels.append(category)
    return StimulusSet(name, modality, sources, table=pd.DataFrame({"category": labels}, index=list(sources)))


class SimulatedSounds(StimuliPlugin):
    """Two seconds of sound each, see `isocortex_simulated.sounds`."""

    card: StimuliCard

    def load(self, files: DataFiles) -> StimulusSet:
        """Synthesise the sounds."""
        from isocortex_simulated.sounds import SAMPLE_RATE, SOUNDS, synthesise_sound

        del files
        return synthesise(
            self.card.id, self.card.modality, self.card.options, SOUNDS, synthesise_sound, float(SAMPLE_RATE)
        )


class SimulatedImages(StimuliPlugin):
    """Colour images of 128 x 128 pixels, see `isocortex_simulated.images`."""

    card: StimuliCard

    def load(self, files: DataFiles) -> StimulusSet:
        """Synthesise the images."""
        from isocortex_simulated.images import IMAGES, synthesise_image

        del files
        return synthesise(self.card.id, self.card.modality, self.card.options, IMAGES, synthesise_image)
