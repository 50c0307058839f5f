"""CORnet-S as a model: ``V4.output#2`` is what the area V4 gives at its third time step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isocortex_vision.preprocessing import Preprocessing, Published
from isocortex_vision.vision_network import VisionNetwork

if TYPE_CHECKING:
    from torch import nn

SIZE = 224


class CORnetModel(VisionNetwork):
    """CORnet-S."""

    def build(self) -> nn.Module:
        """Construct the network without weights."""
        from isocortex_vision.cornet_s import CORnetS

        return CORnetS()

    def published(self) -> Published:
        """Size, means and standard deviations: those of torchvision's networks of its time."""
        return Published(own=Preprocessing(height=SIZE, width=SIZE, shorter=256), height=SIZE, width=SIZE)
