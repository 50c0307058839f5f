"""Any network of timm by its name there, ``timm/NAME`` or ``timm/NAME.TAG``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from isocortex.errors import DataError, PluginError, suggest
from isocortex_vision.checkpoint_names import State
from isocortex_vision.layer_shapes import Layers
from isocortex_vision.loaded_network import Sight
from isocortex_vision.preprocessing import Published
from isocortex_vision.torchvision_import import import_torchvision
from isocortex_vision.vision_network import HUB, VisionNetwork

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from isocortex.data import StimulusBatch
    from isocortex.interfaces import ModelCard


#: how timm calls networks that were trained in TensorFlow and pad as it does
PORTED: Final = "tf_"


def import_timm() -> Any:
    """The package ``timm``.

    Raises
    ------
    PluginError
        It is not installed, or does not import.
    """
    import_torchvision()
    try:
        import timm
    except ImportError as error:
        raise PluginError(
            f"timm cannot be imported ({error}). Expected: pip install 'isocortex-vision[timm]'."
        ) from error
    return timm


class TimmModel(VisionNetwork):
    """A network of timm; the ID behind ``timm/`` is its name there, with or without the tag of its weights."""

    @cached_property
    def network(self) -> str:
        """The name in timm.

        Raises
        ------
        PluginError
            The installed timm has no network of that name, or no weights of that tag.
        """
        timm = import_timm()
        name = self.card.id.removeprefix("timm/")
        architecture, _, tag = name.partition(".")
        if not timm.is_model(architecture):
            known = timm.list_models()
            raise PluginError(
                f"timm {timm.__version__} has no network {architecture!r}.{suggest(architecture, known)} It has "
                f"{len(known):,}: python -c 'import timm; print(timm.list_models())'"
            )
        try:
            timm.get_pretrained_cfg(name)
        except RuntimeError as error:
            tags = [one.partition(".")[2] for one in timm.list_pretrained(f"{architecture}.*")]
            raise PluginError(
                f"timm {timm.__version__} has no weights {tag!r} of {architecture}.{suggest(tag, tags)} It has "
                f"{', '.join(tags) or 'none'}."
            ) from error
        return name

    @cached_property
    def config(self) -> Any:
        """timm's record of the weights: size, means, where they are published."""
        timm = import_timm()
        return timm.get_pretrained_cfg(self.network) or timm.models.PretrainedCfg()

    def build(self) -> nn.Module:
        """Construct the network without weights."""
        return import_timm().create_model(self.network, pretrained=False)

    def source(self) -> ModelCard:
        """The card with the repository of the hub, or else the address, that timm names."""
        weights = f"{HUB}{self.config.hf_hub_id}" if self.config.hf_hub_id else self.config.url or None
        return self.card.model_copy(update={"weights": weights})

    @cached_property
    def _data_config(self) -> dict[str, Any]:
        timm = import_timm()
        return timm.data.resolve_data_config(pretrained_cfg=self.config.to_dict())

    def published(self) -> Published:
        """Size, means and standard deviations, by timm's record."""
        config = self._data_config
        _, height, width = config["input_size"]
        return Published(
            own=self._own,
            height=height,
            width=width,
            one_size=bool(self.config.fixed_input_size),
            mean=config["mean"],
            std=config["std"],
        )

    def _own(self, batch: StimulusBatch) -> NDArray[np.float32]:
        """timm's own evaluation of the images of a batch."""
        from PIL import Image

        transform = import_timm().data.create_transform(**self._data_config, is_training=False)
        return np.stack([np.asarray(transform(Image.fromarray(stimulus.array))) for stimulus in batch])

    def sight(self) -> Sight:
        """How it sees; layers are the ends of stages or blocks, as timm lists them."""
        return Sight(chosen=self.chosen(), tokens_without_place=_prefix_tokens, layers=stages)

    @property
    def twin(self) -> str | None:
        """The network with the same tensors that pads and normalises otherwise: ported from TensorFlow, or not."""
        architecture = self.network.partition(".")[0]
        bare = architecture.removeprefix(PORTED)
        other = bare if bare != architecture else f"{PORTED}{bare}"
        return other if import_timm().is_model(other) else None

    def said_of(self, weights: Path) -> Sequence[str]:
        """A warning where names and shapes of the weights in a file fit two networks.

        Raises
        ------
        DataError
            The file is called after the other one.
        """
        twin, architecture = self.twin, self.network.partition(".")[0]
        if twin is None:
            return ()
        called = max((architecture, twin), key=lambda name: len(name) * (name in weights.name))
        if called == twin:
            raise DataError(
                f"{weights} is called after {twin}, which has tensors of the same names and shapes as {architecture}, "
                f"and pads and normalises otherwise. Load it as timm/{twin}@file:PATH, or rename it."
            )
        if called in weights.name:
            return ()
        return (
            f"The weights of {self.card.id} fit {twin}, too, which pads and normalises otherwise: nothing in the file "
            f"says which of the two they are of. Load them as timm/{twin} where they were trained as that.",
        )

    def translate(self, state: State, network: nn.Module) -> State:
        """Names and shapes of other publishers as timm turns them into its own."""
        own = {name: tensor.shape for name, tensor in network.state_dict().items()}
        if all(own.get(name) == tensor.shape for name, tensor in state.items()):
            return state
        overlay = {"state_dict": dict(state), "url": "", "file": None, "hf_hub_id": None}
        try:
            made = import_timm().create_model(self.network, pretrained=True, pretrained_cfg_overlay=overlay)
        except Exception:  # whatever timm's filters raise for names that they do not know
            return state  # what does not fit is then said of the names as they are
        return made.state_dict()


def _prefix_tokens(network: nn.Module) -> int:
    return int(getattr(network, "num_prefix_tokens", 0))


def stages(network: nn.Module, layers: Layers) -> Sequence[str]:
    """Ends of the stages or blocks that timm lists of a network, and those that are numbered with them.

    timm lists one stage for each size of the maps; the others, which it passes over, can be those that are most like a
    brain. Where it lists none, they are the outermost parts. A stage that gives several tensors is several layers, as
    the two branches of CrossViT.
    """
    info = getattr(network, "feature_info", None) or ()
    listed = {one["module"] for one in getattr(info, "info", info)}
    numbered = {name.rpartition(".")[0] for name in listed if name.rpartition(".")[2].isdigit()}

    def is_taken(module: str) -> bool:
        above, _, last = module.rpartition(".")
        return module in listed or (above in numbered and last.isdigit())

    found = [name for name in layers.shapes if is_taken(re.split(r"[#\[]", name)[0])]
    depth = min(name.count(".") for name in layers.shapes)
    return found or [name for name in layers.shapes if name.count(".") == depth]
