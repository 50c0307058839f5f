"""Stages of models: the components that a region reads, kept in the package or computed from the model.

The components of the stages that the manifest names lie beside this module, so that the data sets load at once and
are the same everywhere; they were written by ``python -m isocortex_simulated.stages``, which computes them as any other
stage is computed: from the model, through the same store of activations as a score.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from isocortex_simulated.cortex import principal_components
from isocortex_simulated.draws import Floats

if TYPE_CHECKING:
    from isocortex.activations import Activations
    from isocortex.data import StimulusSet

FOLDER = Path(__file__).parent / "components"


class Stage(NamedTuple):
    """A layer of a model."""

    model: str
    layer: str


def components_of(stimuli: StimulusSet, stage: Stage, reduction: str, n_components: int) -> Floats:
    """Give the principal components of a stage: those that are kept in the package, or computed ones.

    Parameters
    ----------
    stimuli : StimulusSet
        What the stage is given.
    stage : Stage
        A layer of an installed model.
    reduction : str
        What is done to its output, as in a benchmark.
    n_components : int
        Components wanted.

    Returns
    -------
    ndarray of float64, shape (n_stimuli, n_components)
        See `isocortex_simulated.cortex.principal_components`.

    Raises
    ------
    isocortex.errors.IsocortexError
        If the model is not installed, has no such layer, or cannot take the stimuli.
    """
    kept = read_components(kept_path(stimuli, stage), _fingerprint(stimuli, reduction))
    if kept is not None and kept.shape[1] >= n_components:
        return kept[:, :n_components]
    return computed_components(stimuli, stage, reduction, n_components)


def computed_components(stimuli: StimulusSet, stage: Stage, reduction: str, n_components: int) -> Floats:
    """Give the principal components of a stage, computed from the model's activations."""
    activations = stage_activations(stimuli, stage, reduction)
    return principal_components(activations.blocks(stimuli.ids), len(stimuli), n_components)


def stage_activations(stimuli: StimulusSet, stage: Stage, reduction: str) -> Activations:
    """Give the activations of a stage; they are shared with a run that scores the model."""
    import isocortex

    config = isocortex.RunConfig(device="cpu", offline=True)
    found = isocortex.extract(
        stage.model, stimuli, reduction=reduction, layers=[stage.layer], config=config, quiet=True
    )
    return found[stage.layer]


# --- components that are kept -----------------------------------------------------------------------------------------


def kept_path(stimuli: StimulusSet, stage: Stage) -> Path:
    """Give the place where the components of a stage are kept."""
    from isocortex.files import folder_name

    return FOLDER / stimuli.id / f"{folder_name(stage.model)}.{folder_name(stage.layer)}.csv"


def _fingerprint(stimuli: StimulusSet, reduction: str) -> str:
    """Give what kept components must have been made of, to stand for computed ones."""
    return f"{stimuli.digest} {reduction}"


def read_components(path: Path, fingerprint: str) -> Floats | None:
    """Read kept components (n_stimuli, n_components); None where there are none, or they are of other stimuli."""
    if not path.is_file():
        return None
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    if header[0] != fingerprint:
        return None
    return np.array([[float(value) for value in row[1:]] for row in rows])


def write_components(path: Path, components: Floats, stimuli: StimulusSet, reduction: str) -> None:
    """Keep components: one row per stimulus, nine digits, the fingerprint in the corner."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [f"component.{number}" for number in range(components.shape[1])]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([_fingerprint(stimuli, reduction), *names])
        for stimulus_id, row in zip(stimuli.ids, components, strict=True):
            writer.writerow([stimulus_id, *(f"{value:.9g}" for value in row)])


def main() -> None:
    """Compute and keep the components of every stage that the manifest names."""
    from isocortex import load_stimuli
    from isocortex_simulated.datasets import DATASETS, simulation_of

    for dataset in DATASETS:
        stimuli_id, simulation = simulation_of(dataset)
        stimuli = load_stimuli(stimuli_id)
        for stage in simulation.stages.values():
            if stage is not None:
                computed = computed_components(stimuli, stage, simulation.reduction, simulation.n_components)
                write_components(kept_path(stimuli, stage), computed, stimuli, simulation.reduction)
                print(f"{dataset}: {stage.model} {stage.layer}, {computed.shape}")


if __name__ == "__main__":
    main()
