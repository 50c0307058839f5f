"""Stages of models: the components that a region reads, kept in the package or computed from the model.

The components of the stages that the manifest names lie beside this module, so that the data sets load at once and
are the same everywhere; they were written by ``python -m isocortex_simulated.components_command``.
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
    stimuli
        What the stage is given.
    stage
        A layer of an installed model.
    reduction
        What is done to its output, as in a benchmark.
    n_components
        Components wanted.

    Returns
    -------
    (n_stimuli, n_components), see `isocortex_simulated.cortex.principal_components`.

    Raises
    ------
    IsocortexError
        If the model is not installed, has no such layer, or cannot take the stimuli.
    """
    kept = read_components(kept_path(stimuli, stage), fingerprint_of(stimuli, reduction))
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


def fingerprint_of(stimuli: StimulusSet, reduction: str) -> str:
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
