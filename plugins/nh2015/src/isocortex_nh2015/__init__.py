"""165 natural sounds and six components of human auditory cortex (Norman-Haignere, Kanwisher & McDermott 2015)."""

from __future__ import annotations

from isocortex_nh2015.components import ComponentProfiles, Components, read_components
from isocortex_nh2015.sounds import NaturalSounds, read_categories, stimulus_number

__all__ = [
    "ComponentProfiles",
    "Components",
    "NaturalSounds",
    "read_categories",
    "read_components",
    "stimulus_number",
]
