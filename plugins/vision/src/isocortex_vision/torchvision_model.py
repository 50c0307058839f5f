"""Networks of torchvision that classify or segment images, by their names there."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

from isocortex.errors import PluginError, suggest
from isocortex_vision.checkpoint_names import State
from isocortex_vision.loaded_network import Sight
from isocortex_vision.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing, Published
from isocortex_vision.torchvision_import import import_torchvision
from isocortex_vision.vision_network import VisionNetwork

if TYPE_CHECKING:
    from torch import nn

#: families that run at one size only
_ONE_SIZE = ("vit_", "maxvit_", "inception_")
#: what constructors are called with beside what the weights ask for; parts that only training uses are left out
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "transform_input": True, "init_weights": True},
    "inception_v3": {"transform_input": True, "init_weights": True},
}
#: names of the first published DenseNets: "norm.1" for "norm1"
_OF_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)$")


class TorchvisionModel(VisionNetwork):
    """A network of torchvision.

    ``options.network`` of the row is its name there, default the ID up to the first dot; ``options.weights`` the name
    of the published weights, default the first. They say which size the network has, also where it is untrained.
    """

    @cached_property
    def network(self) -> str:
        """The name in torchvision."""
        return str(self.card.options.get("network", self.card.id.partition(".")[0]))

    @cached_property
    def trained(self) -> Any:
        """torchvision's record of the published weights: address, transforms, number of parameters, labels.

        Raises
        ------
        PluginError
            The installed torchvision has no such network, or no such weights of it.
        """
        torchvision = import_torchvision()
        models = torchvision.models
        known = models.list_models()
        if self.network not in known:
            raise PluginError(
                f"torchvision {torchvision.__version__} has no network {self.network!r}.{suggest(self.network, known)} "
                "Another version may have it."
            )
        enum = models.get_model_weights(self.network)
        name = str(self.card.options.get("weights", next(iter(enum)).name))
        if name not in enum.__members__:
            raise PluginError(
                f"torchvision {torchvision.__version__} has no weights {name!r} of {self.network}; it has "
                f"{', '.join(enum.__members__)}."
            )
        return enum[name]

    @property
    def segments(self) -> bool:
        """Whether it names the class of every pixel, rather than of the image."""
        return "resize_size" in self._transforms and "crop_size" not in self._transforms

    @property
    def _transforms(self) -> dict[str, Any]:
        return self.trained.transforms.keywords

    def build(self) -> nn.Module:
        """Construct the network without weights."""
        meta, arguments = self.trained.meta, dict(_ARGUMENTS.get(self.network, {}))
        if self.network.startswith("vit_"):
            arguments["image_size"] = min(meta["min_size"])
        if self.segments:
            arguments["weights_backbone"] = None
            if not self.network.startswith("lraspp"):
                arguments["aux_loss"] = True
        network = import_torchvision().models.get_model(self.network, weights=None, **arguments)
        if self.network.startswith("mnasnet"):
            _of_version_two(network)
        return network

    def published(self) -> Published:
        """Size, means and standard deviations, by torchvision's record."""
        transforms = self._transforms
        if self.segments:
            size = transforms["resize_size"]
            return Published(own=None, height=size, width=size)
        size, shorter = transforms["crop_size"], transforms.get("resize_size", 256)
        interpolation: Any = getattr(transforms.get("interpolation"), "value", "bilinear")
        mean, std = transforms.get("mean", IMAGENET_MEAN), transforms.get("std", IMAGENET_STD)
        own = Preprocessing(height=size, width=size, shorter=shorter, interpolation=interpolation, mean=mean, std=std)
        one_size = self.network.startswith(_ONE_SIZE)
        return Published(own=own, height=size, width=size, one_size=one_size, mean=mean, std=std)

    def sight(self) -> Sight:
        """How it sees; transformers have a class token."""
        return Sight(chosen=self.chosen(), tokens_without_place=lambda network: int(hasattr(network, "class_token")))

    def translate(self, state: State, network: nn.Module) -> State:
        """Names of the first published DenseNets as they are now."""
        del network
        if not self.network.startswith("densenet"):
            return state
        return {_OF_DENSENET.sub(r"\1\2", name): tensor for name, tensor in state.items()}


def _of_version_two(network: Any) -> None:
    """Let MNASNet take tensors of which no version is known: shapes tell whether they are of its first version."""
    load = network._load_from_state_dict

    def load_version_two(state: State, prefix: str, metadata: dict[str, Any], *rest: Any) -> None:
        load(state, prefix, {"version": 2, **metadata}, *rest)

    network._load_from_state_dict = load_version_two
