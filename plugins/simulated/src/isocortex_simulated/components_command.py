"""``python -m isocortex_simulated.components_command``: compute the components of every stage and keep them here.

They are computed as those of any other stage: from the model, through the same store of activations as a score.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from isocortex_simulated.draws import Floats
from isocortex_simulated.stages import computed_components, fingerprint_of, kept_path

if TYPE_CHECKING:
    from isocortex.data import StimulusSet


def write_components(path: Path, components: Floats, stimuli: StimulusSet, reduction: str) -> None:
    """Keep components: one row per stimulus, nine digits, the fingerprint in the corner."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [f"component.{number}" for number in range(components.shape[1])]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([fingerprint_of(stimuli, reduction), *names])
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
