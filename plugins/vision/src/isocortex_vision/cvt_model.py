"""The convolutional vision transformer (Wu et al. 2021) through transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isocortex.errors import PluginError
from isocortex_vision.loaded_network import Sight
from isocortex_vision.preprocessing import Preprocessing, Published
from isocortex_vision.torchvision_import import import_torchvision
from isocortex_vision.vision_network import VisionNetwork

if TYPE_CHECKING:
    from torch import nn

#: what of the network the row's ``options.config`` may say
_CONFIGURED = ("embed_dim", "num_heads", "depth")
#: the centre of a crop is so much of its image
_CROPPED = 0.875


def import_cvt() -> tuple[Any, Any]:
    """transformers' configuration and network.

    Raises
    ------
    PluginError
        transformers is not installed, or does not import.
    """
    import_torchvision()  # transformers imports it, and without this could not where its operators do not fit torch
    try:
        from transformers import CvtConfig, CvtForImageClassification
    except ImportError as error:
        advice = "Expected: pip install 'isocortex-vision[cvt]'."
        raise PluginError(f"transformers cannot be imported ({error}). {advice}") from error
    return CvtConfig, CvtForImageClassification


class CvtModel(VisionNetwork):
    """CvT, of the size that ``options.config`` of the row gives, on images of ``options.size`` pixels."""

    def build(self) -> nn.Module:
        """Construct the network without weights."""
        config, network = import_cvt()
        sizes = {name: self.card.options["config"][name] for name in _CONFIGURED}
        return network(config(num_labels=1000, **sizes))

    def published(self) -> Published:
        """Size, means and standard deviations; Brain-Score squashes with Pillow's default, bicubic."""
        size = int(self.card.options["size"])
        own = Preprocessing(height=size, width=size, shorter=round(size / _CROPPED), interpolation="bicubic")
        return Published(own=own, height=size, width=size, interpolation="bicubic")

    def sight(self) -> Sight:
        """How it sees; the layers of the last stage have a class token."""
        return Sight(chosen=self.chosen(), tokens_without_place=_class_token, keyword="pixel_values")


def _class_token(network: nn.Module) -> int:
    del network
    return 1
