"""165 natural sounds, and the human auditory cortex that heard them: six components, and voxels of two studies."""

from __future__ import annotations

from isocortex_nh2015.components import ComponentProfiles, Components, read_components
from isocortex_nh2015.pickled_tables import read_arrays, read_frame
from isocortex_nh2015.sounds import NaturalSounds, read_categories, stimulus_number
from isocortex_nh2015.voxels import B2021Voxels, NH2015Voxels

__all__ = [
    "B2021Voxels",
    "ComponentProfiles",
    "Components",
    "NH2015Voxels",
    "NaturalSounds",
    "read_arrays",
    "read_categories",
    "read_components",
    "read_frame",
    "stimulus_number",
]
