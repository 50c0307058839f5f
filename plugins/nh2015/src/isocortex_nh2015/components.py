"""The data set ``NH2015comp``: responses of six components of human auditory cortex to 165 natural sounds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isocortex.errors import DataError, shorten
from isocortex.interfaces import DataFiles, DatasetPlugin
from isocortex_nh2015.reading import cell_texts, read_variables

if TYPE_CHECKING:
    from isocortex.data import Dataset, StimulusSet

COMPONENT_FILE = "components.mat"
COMPONENTS = ("lowfreq", "highfreq", "envsounds", "pitch", "speech", "music")
UNITS = "component response, arbitrary units"


@dataclass(frozen=True)
class ComponentProfiles:
    """Response profiles of components, rows in the order of the file.

    Attributes
    ----------
    responses
        (n_stimuli, n_components).
    stimulus_id
        (n_stimuli,).
    category
        (n_stimuli,).
    component
        (n_components,).
    """

    responses: NDArray[np.float64]
    stimulus_id: tuple[str, ...]
    category: tuple[str, ...]
    component: tuple[str, ...]


def read_components(path: Path) -> ComponentProfiles:
    """Read the response profiles R of the decomposition D = R W + noise of voxel responses D.

    Parameters
    ----------
    path
        ``components.mat``, MATLAB 5, with R (n_stimuli, 6), stim_names, category_labels and component_names.

    Returns
    -------
    Rows in the order of the file (by category), which is not the canonical order of the sounds.

    Raises
    ------
    DataError
        If the file cannot be read, or sizes or component names are not the expected ones.

    References
    ----------
    Norman-Haignere, Kanwisher & McDermott (2015), Neuron 88(6): 1281-1296, "Voxel decomposition".

    Examples
    --------
    >>> # read_components(Path("components.mat")).responses.shape == (165, 6)
    """
    content = read_variables(path, ["R", "stim_names", "category_labels", "component_names"])

    def texts(name: str) -> tuple[str, ...]:
        return cell_texts(content[name], f"{path.name}: {name}")

    profiles = ComponentProfiles(
        responses=_real_matrix(path, content["R"]),
        stimulus_id=texts("stim_names"),
        category=texts("category_labels"),
        component=texts("component_names"),
    )
    _check_components(path, profiles)
    return profiles


def _real_matrix(path: Path, values: NDArray[np.generic]) -> NDArray[np.float64]:
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.floating):
        raise DataError(
            f"{path.name}: expected R to be real numbers (n_stimuli, n_components), found {values.dtype} of shape "
            f"{values.shape}."
        )
    return values.astype(np.float64)


def _check_components(path: Path, profiles: ComponentProfiles) -> None:
    if sorted(profiles.component) != sorted(COMPONENTS):
        raise DataError(
            f"{path.name}: expected the components {', '.join(COMPONENTS)}, found {shorten(profiles.component, 10)}."
        )
    n_stimuli, n_components = len(profiles.stimulus_id), len(profiles.component)
    if profiles.responses.shape != (n_stimuli, n_components) or len(profiles.category) != n_stimuli:
        raise DataError(
            f"{path.name}: expected R of shape {(n_stimuli, n_components)} and as many category_labels as the "
            f"{n_stimuli} stim_names, found R of shape {profiles.responses.shape} and {len(profiles.category)} labels."
        )


class Components(DatasetPlugin):
    """Six components, pooled over ten participants: no repetitions, so no ceiling; no participant coordinate."""

    def load(self, files: DataFiles, stimuli: StimulusSet) -> Dataset:
        """Make the data set; ``neuroid_id`` and ``region`` are the name of the component.

        Rows are matched to ``stimuli`` by ``stimulus_id`` and come in their canonical order.

        Raises
        ------
        AlignmentError
            If the responses are to other stimuli.
        DataError
            If the file has other contents than expected.
        """
        from isocortex.data import Dataset, make_responses

        profiles = read_components(files.named(COMPONENT_FILE))
        names = {"neuroid_id": profiles.component, "region": profiles.component}
        responses = make_responses(profiles.responses, profiles.stimulus_id, neuroid=names, units=UNITS)
        attrs = {"units": UNITS, "target": "pooled", "licence": self.card.licence, "reference": self.card.reference}
        return Dataset(self.card.id, stimuli, responses=responses, attrs=attrs)
