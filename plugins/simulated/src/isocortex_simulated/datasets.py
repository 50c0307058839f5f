"""The simulated cortices as data sets, and the truth about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from isocortex.errors import PluginError
from isocortex.interfaces import DataFiles, DatasetCard, DatasetPlugin
from isocortex_simulated.cortex import reliability, responses, signals
from isocortex_simulated.draws import Floats, Stream
from isocortex_simulated.stages import Stage, components_of

if TYPE_CHECKING:
    from isocortex.data import Dataset, StimulusSet

DATASETS = ("simulated-auditory", "simulated-visual")
"""IDs of the data sets of this package."""


class Region(BaseModel):
    """What a region reads; neither model nor layer: pure noise."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: str | None = None
    layer: str | None = None

    @model_validator(mode="after")
    def _both_or_neither(self) -> Region:
        if (self.model is None) != (self.layer is None):
            raise ValueError("a region names a model and a layer, or neither for pure noise")
        return self


class Simulation(BaseModel):
    """Options of a simulated cortex; `isocortex_simulated.cortex` has the formulas."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    seed: int = 0
    snr: float = Field(gt=0, description="variance of the signal over that of the noise of one repetition")
    n_repetitions: int = Field(ge=1)
    n_subjects: int = Field(ge=1)
    n_neuroids: int = Field(ge=1, description="per region and participant")
    n_components: int = Field(ge=1, description="principal components of its stage that a region reads")
    spectrum: float = Field(ge=0, description="weights of the k-th component have variance k^-spectrum")
    reduction: str = Field(description="what is done to the output of a stage, as in the benchmark")
    regions: dict[str, Region]

    @property
    def stages(self) -> dict[str, Stage | None]:
        """Region to the stage that it reads; None for pure noise."""
        return {
            name: Stage(region.model, region.layer) if region.model and region.layer else None
            for name, region in self.regions.items()
        }


def read_simulation(name: str, options: Mapping[str, Any]) -> Simulation:
    """Check the options of a simulated data set.

    Raises
    ------
    PluginError
        If an option is unknown, missing or out of range.
    """
    try:
        return Simulation.model_validate(dict(options))
    except ValidationError as error:
        raise PluginError(f"The options of the data set {name!r} are not valid: {error}.") from error


def simulation_of(dataset_id: str) -> tuple[str, Simulation]:
    """Give the stimuli and the options of an installed data set, without making it.

    Raises
    ------
    UnknownIDError
        If it is not installed.
    PluginError
        If it is not simulated.
    """
    from isocortex import load_card

    card = cast("DatasetCard", load_card("dataset", dataset_id))
    return card.stimuli, read_simulation(card.id, card.options)


def truth(dataset_id: str) -> dict[str, Stage | None]:
    """Give the stage that each region of a simulated data set reads; None for pure noise.

    Parameters
    ----------
    dataset_id
        ``simulated-auditory`` or ``simulated-visual``.

    Returns
    -------
    Region to `Stage` (model, layer) or None.

    Raises
    ------
    UnknownIDError, PluginError
        If there is no such data set, or it is not simulated.

    Examples
    --------
    >>> truth("simulated-visual")["orientation"]
    Stage(model='gabor-pyramid', layer='sigma.8')
    """
    return simulation_of(dataset_id)[1].stages


class SimulatedCortex(DatasetPlugin):
    """Responses of simulated participants, made from the options of the card."""

    card: DatasetCard

    def load(self, files: DataFiles, stimuli: StimulusSet) -> Dataset:
        """Simulate the responses to the stimuli.

        Raises
        ------
        PluginError
            If an option of the card is not valid.
        """
        del files
        return simulate(self.card.id, stimuli, read_simulation(self.card.id, self.card.options))


def simulate(name: str, stimuli: StimulusSet, simulation: Simulation) -> Dataset:
    """Make a simulated cortex.

    Parameters
    ----------
    name
        ID of the data set; part of what is drawn, so that two data sets with one seed differ.
    stimuli
        What the participants hear or see.
    simulation
        Regions, participants, repetitions, signal-to-noise ratio.

    Returns
    -------
    Neuroids ordered by region and participant, with the coordinates ``neuroid_id``, ``region`` and ``subject``;
    ``attrs`` hold the truth and the reliability that the options imply.

    Raises
    ------
    IsocortexError
        If a stage cannot be computed.
    """
    from isocortex.data import Dataset, make_responses

    columns: dict[str, list[str]] = {"neuroid_id": [], "region": [], "subject": []}
    parts: list[Any] = []
    for region, stage in simulation.stages.items():
        components = (
            components_of(stimuli, stage, simulation.reduction, simulation.n_components)
            if stage is not None
            else np.zeros((len(stimuli), 0))
        )
        for number in range(1, simulation.n_subjects + 1):
            subject = f"S{number}"
            parts.append(_participant(components, simulation, f"{name}/{region}/{subject}"))
            columns["neuroid_id"] += [f"{region}.{subject}.{place}" for place in range(simulation.n_neuroids)]
            columns["region"] += [region] * simulation.n_neuroids
            columns["subject"] += [subject] * simulation.n_neuroids
    values = np.concatenate(parts, axis=2)  # (n_repetitions, n_stimuli, n_neuroids)
    made = make_responses(values, stimuli.ids, neuroid=columns, units="standard deviations of the signal")
    return Dataset(name, stimuli, responses=made, attrs=_attributes(simulation))


def _participant(components: Floats, simulation: Simulation, name: str) -> Any:
    """Give the responses of one participant's neuroids in one region, (n_repetitions, n_stimuli, n_neuroids)."""
    n_neuroids = simulation.n_neuroids
    signal = (
        signals(components, n_neuroids, simulation.spectrum, Stream(simulation.seed, f"{name}/weights"))
        if components.shape[1]
        else np.zeros((len(components), n_neuroids))
    )
    noise = Stream(simulation.seed, f"{name}/noise")
    return responses(signal, simulation.snr, simulation.n_repetitions, noise)


def _attributes(simulation: Simulation) -> dict[str, Any]:
    return {
        "truth": {region: stage and stage._asdict() for region, stage in simulation.stages.items()},
        "snr": simulation.snr,
        "reliability": reliability(simulation.snr, simulation.n_repetitions),
    }
