"""The same networks with another preprocessing: ``conwell/alexnet``, ``torchvision/resnet50``, ``conwell/timm/…``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import isocortex
from isocortex.errors import PluginError, UnknownIDError
from isocortex.interfaces import LoadedModel, ModelCard, ModelPlugin
from isocortex_vision.preprocessing import NAMES

if TYPE_CHECKING:
    from isocortex.interfaces import Variant
    from isocortex_vision.vision_network import VisionNetwork


class WithPreprocessing(ModelPlugin):
    """Another row of this package, with the preprocessing that stands before the first slash of the ID."""

    accelerated = True

    @cached_property
    def network(self) -> VisionNetwork:
        """The network of the other row.

        Raises
        ------
        UnknownIDError
            This package has no such row.
        PluginError
            A second preprocessing is named.
        """
        preprocessing, _, name = self.card.id.partition("/")
        if name.partition("/")[0] in NAMES:
            raise PluginError(f"{self.card.id!r} names two ways of preprocessing. Expected one, and a network.")
        try:
            made = network_of(f"{self.card.package}::{name}", preprocessing)
        except UnknownIDError as error:
            raise UnknownIDError(
                f"{self.card.id!r} is {name!r} with the preprocessing {preprocessing!r}. {error}"
            ) from error
        made.offline = self.offline
        return made

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Build the network with the weights of a variant."""
        return self.network.load(variant, device=device)

    def digest(self, variant: Variant) -> str | None:
        """That of the other row with this preprocessing."""
        return self.network.digest(variant)

    def fetch(self, variant: Variant, source: Path | None = None) -> Sequence[Path]:
        """Bring the weights of the other row here."""
        return self.network.fetch(variant, source)


def network_of(reference: str, preprocessing: str | None = None) -> VisionNetwork:
    """The network of a row of this package, with another preprocessing where one is named.

    Raises
    ------
    UnknownIDError
        There is no such row.
    """
    card = isocortex.load_card("model", reference)
    assert isinstance(card, ModelCard)
    if preprocessing is not None:
        card = card.model_copy(update={"options": {**card.options, "preprocessing": preprocessing}})
    return _class_of(card)(card)


def _class_of(card: ModelCard) -> type[VisionNetwork]:
    from isocortex_vision.cornet_model import CORnetModel
    from isocortex_vision.cvt_model import CvtModel
    from isocortex_vision.timm_model import TimmModel
    from isocortex_vision.torchvision_model import TorchvisionModel

    classes = {kind.__name__: kind for kind in (CORnetModel, CvtModel, TimmModel, TorchvisionModel)}
    return classes[card.object.partition(":")[2]]
