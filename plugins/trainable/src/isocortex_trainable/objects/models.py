"""The networks as feature models: untrained, or from a folder that ``isocortex train`` left."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from isocortex.errors import DataError
from isocortex.interfaces import LoadedModel, ModelPlugin, Variant
from isocortex.models import TorchModel, TorchRecipe
from isocortex_trainable.objects.inputs import Inputs, inputs_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from isocortex.data import StimulusBatch
    from isocortex.training import Fitted, TrainedOn

_MAPS, _UNITS = ("channel", "height", "width"), ("unit",)


class ObjectNetwork(ModelPlugin):
    """A network that names objects, as it was published in size unless a folder says otherwise."""

    accelerated = True
    #: layer or pattern → names of its axes after the first
    axes: ClassVar[Mapping[str, Sequence[str]]]
    #: every image is brought to one size
    batching: ClassVar[Literal["any", "single"]] = "any"

    @abstractmethod
    def architecture(self, settings: Mapping[str, Any] | None) -> Any:
        """The published architecture, or the one that settings of a training describe."""

    @abstractmethod
    def build(self, architecture: Any) -> nn.Module:
        """Construct the network."""

    def untrained_inputs(self) -> Inputs:
        """What an untrained network sees: pixels divided by 255."""
        return Inputs()

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Build the network, untrained or with the weights of a folder.

        Raises
        ------
        FilesError
            The folder is no training, or damaged.
        DataError
            It is that of another model, or its weights do not fit.
        """
        if variant.path is None:
            return self._loaded(self.architecture(None), variant, device, self.untrained_inputs())
        fitted = self._read(variant)
        architecture = self.architecture(fitted.settings["architecture"])
        inputs = inputs_of(fitted.tensors, 3 * architecture.size**2)
        return self._loaded(architecture, Variant(kind="pretrained"), device, inputs, fitted)

    def _read(self, variant: Variant) -> Fitted:
        from isocortex.training import read_fitted

        fitted = read_fitted(Path(str(variant.path)))
        if fitted.model != self.card.id:
            raise DataError(f"{variant.path} was trained as {fitted.model!r}, and is not opened as {self.card.id!r}.")
        return fitted

    def _loaded(
        self, architecture: Any, variant: Variant, device: str, inputs: Inputs, fitted: Fitted | None = None
    ) -> LoadedModel:
        weights = None if fitted is None else weights_of(fitted)
        units = {} if fitted is None else {"logits": tuple(map(str, fitted.settings["classes"]))}
        recipe = TorchRecipe(
            build=lambda: self.build(architecture),
            preprocess=lambda batch: _seen(batch, loaded),
            layers=self.card.layers,
            axes=self.axes,
            weights=weights,
            batching=self.batching,
            units=units,
        )
        loaded = Seeing(recipe, variant, device=device, inputs=inputs, size=architecture.size)
        if fitted is not None:
            for text in fitted.settings.get("warnings", ()):
                loaded.say(text)
        return loaded

    def trained_on(self, variant: Variant) -> TrainedOn | None:
        """The images that the network of a folder has seen."""
        return None if variant.path is None else self._read(variant).trained_on


class Seeing(TorchModel):
    """A network in memory, with what makes its input of images.

    Parameters
    ----------
    inputs
        How pixels become its input.
    size
        Height and width of that, in pixels.
    """

    def __init__(self, recipe: TorchRecipe, variant: Variant, *, device: str, inputs: Inputs, size: int) -> None:
        self.inputs, self.size = inputs, size
        super().__init__(recipe, variant, device=device)


def _seen(batch: StimulusBatch, model: Seeing) -> NDArray[Any]:
    """The input of a batch; that images have another size is said."""
    size = model.size
    if any(stimulus.array.shape[:2] != (size, size) for stimulus in batch):
        model.say(
            f"The network sees {size} × {size} pixels: images of another size were squashed to it (bilinear filter), "
            "whatever their aspect ratio."
        )
    return model.inputs.of_stimuli(batch, size)


def weights_of(fitted: Fitted) -> dict[str, Any]:
    """The network's tensors by its own names."""
    import torch

    prefix = "network."
    return {
        name.removeprefix(prefix): torch.from_numpy(values.copy())
        for name, values in fitted.tensors.items()
        if name.startswith(prefix)
    }


class CifarCNNModel(ObjectNetwork):
    """The CIFAR CNN."""

    axes: ClassVar[Mapping[str, Sequence[str]]] = {"dense**": _UNITS, "logits": _UNITS, "**": _MAPS}

    def architecture(self, settings: Mapping[str, Any] | None) -> Any:
        """The published one, or that of settings."""
        from isocortex_trainable.objects.cifar_cnn import CifarCNNArchitecture

        return CifarCNNArchitecture() if settings is None else CifarCNNArchitecture.of_settings(settings)

    def build(self, architecture: Any) -> nn.Module:
        """Construct the network."""
        from isocortex_trainable.objects.cifar_cnn import CifarCNN

        return CifarCNN(architecture)


class HDCNNModel(ObjectNetwork):
    """HD-CNN."""

    #: sums of thousands of products in 15 layers, none of them normalised: by its last digits alone, what a batch
    #: gives in single precision differs by 2e-5 standard deviations from what one image gives
    batching: ClassVar[Literal["any", "single"]] = "single"
    axes: ClassVar[Mapping[str, Sequence[str]]] = {
        **dict.fromkeys(["coarse", "fine_*", "**.dense**", "**logits"], _UNITS),
        "**": _MAPS,
    }

    def architecture(self, settings: Mapping[str, Any] | None) -> Any:
        """The published one, or that of settings."""
        from isocortex_trainable.objects.hd_cnn import HDArchitecture

        return HDArchitecture() if settings is None else HDArchitecture.of_settings(settings)

    def build(self, architecture: Any) -> nn.Module:
        """Construct the network."""
        from isocortex_trainable.objects.hd_cnn import HDCNN

        return HDCNN(architecture)

    def untrained_inputs(self) -> Inputs:
        """What an untrained network sees: pixels less mid-grey, divided by 255, as there are no images to whiten by."""
        import numpy as np

        return Inputs(np.full(3 * self.architecture(None).size ** 2, 127.5, np.float32))
