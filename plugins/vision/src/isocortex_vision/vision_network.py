"""What the networks of this package have in common as plugins: how they are made, and where their weights come from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.errors import DataError, FilesError
from isocortex.interfaces import LoadedModel, ModelPlugin
from isocortex.models import (
    Checkpoint,
    TorchRecipe,
    adopt_checkpoint,
    find_or_download_checkpoint,
    load_state,
    named_checkpoint,
    tensor_shapes,
)
from isocortex_vision.checkpoint_names import Blueprint, State
from isocortex_vision.empty_network import construct_empty
from isocortex_vision.loaded_network import LoadedNetwork, Sight
from isocortex_vision.preprocessing import Chosen, Published, at_size, choose_preprocessing
from isocortex_vision.weight_files import adopt, find, find_or_download

if TYPE_CHECKING:
    from torch import nn

    from isocortex.interfaces import ModelCard, Variant

HUB = "hf:"


class VisionNetwork(ModelPlugin):
    """A network that sees, as its row names it.

    ``options.preprocessing`` of the row is one of ``isocortex_vision.preprocessing.NAMES``, default "brainscore";
    ``options.size`` the height and width of its input in pixels, where it is not to be that of the published weights;
    ``options.dtype`` as for ``isocortex.models.TorchModel``.
    """

    accelerated = True

    @abstractmethod
    def build(self) -> nn.Module:
        """Construct the network."""

    @abstractmethod
    def published(self) -> Published:
        """What the network was trained for."""

    def sight(self) -> Sight:
        """How it sees."""
        return Sight(chosen=self.chosen())

    def translate(self, state: State, network: nn.Module) -> State:
        """A checkpoint's tensors by the network's names, where its publisher gave them others."""
        del network
        return state

    def said_of(self, weights: Path) -> Sequence[str]:
        """Warnings of a file of the user's whose weights may be of another network although they fit.

        Raises
        ------
        DataError
            It is called after the other network.
        """
        del weights
        return ()

    def source(self) -> ModelCard:
        """The card that says where the trained weights are, ``weights = "hf:OWNER/NAME"`` or an address."""
        return self.card

    def chosen(self) -> Chosen:
        """The preprocessing that the row names.

        Raises
        ------
        PluginError
            There is none of that name, or the network does not run at the size that the row names.
        """
        name, size = str(self.card.options.get("preprocessing", "brainscore")), self.card.options.get("size")
        published = self.published() if size is None else at_size(self.published(), int(size), self.card.id)
        return choose_preprocessing(name, published, self.card.id)

    # --- in memory

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Build the network with the weights of a variant.

        Raises
        ------
        FilesError
            The variant needs trained weights, and they are not to be had.
        DataError
            The weights do not fit the network.
        """
        weights = self.weights(variant)
        said = () if variant.path is None else self.said_of(Path(variant.path))
        if variant.path is not None:
            variant = variant.model_copy(update={"path": str(weights)})
        blueprint, sight = Blueprint(self.build, self.translate), self.sight()
        recipe = TorchRecipe(
            build=blueprint.build,
            preprocess=lambda batch: sight.fed(sight.chosen.make(batch)),
            layers=(),
            weights=weights,
            rename=blueprint.rename,
            batching="any",  # every image is brought to one size
        )
        try:
            loaded = LoadedNetwork(
                recipe,
                variant,
                device=device,
                dtype=str(self.card.options.get("dtype", "float32")),
                patterns=self.card.layers,
                sight=sight,
                blueprint=blueprint,
            )
        except DataError as error:
            raise self._other(weights, error) from error
        for text in said:
            loaded.say(text)
        return loaded

    def _other(self, weights: Path | None, error: DataError) -> DataError:
        return DataError(f"{weights} is no checkpoint of {self.card.id}. {error}")

    # --- weights

    def weights(self, variant: Variant) -> Path | None:
        """The file of weights that a variant needs; None for an untrained network.

        Raises
        ------
        FilesError
            It is not to be had.
        """
        if variant.path is not None:
            return named_checkpoint(Path(variant.path)).weights
        return self._trained() if _is_trained(variant) else None

    def _trained(self) -> Path:
        card = self.source()
        if card.weights is None:
            raise FilesError(
                f"No trained weights of {card.id} are published. Name a file that you have, {card.id}@file:PATH, or "
                f"take an untrained network, {card.id}@random:0."
            )
        if card.weights.startswith(HUB):
            return find_or_download_checkpoint(card, offline=self.offline).weights
        return find_or_download(card, card.weights, offline=self.offline)

    def digest(self, variant: Variant) -> str | None:
        """Digest over the code, the row, the variant, libraries and the trained weights."""
        from isocortex.files import digest_files, digest_of

        own = super().digest(variant)
        if own is None or not _is_trained(variant):
            return own
        return digest_of([own, sorted(digest_files([self._trained()]).values())])

    def fetch(self, variant: Variant, source: Path | None = None) -> Sequence[Path]:
        """Bring trained weights here, from a folder or from where they are published; names and shapes are compared.

        Raises
        ------
        FilesError
            They are not to be had, or do not fit the network.
        """
        if variant.path is not None:
            return [self._fitting(named_checkpoint(Path(variant.path)).weights)]
        if not _is_trained(variant):
            return []
        card = self.source()
        if source is None or card.weights is None:
            here = find(card, card.weights) if card.weights and not card.weights.startswith(HUB) else None
            # what is here has the published checksum, and was compared when it came
            return [here or self._fitting(self._trained())]
        if card.weights.startswith(HUB):
            return [adopt_checkpoint(card, source, self._refuse_others).weights]
        return [self._fitting(adopt(card, card.weights, source))]

    def _fitting(self, weights: Path) -> Path:
        try:
            self.refuse_others(weights)
        except DataError as error:
            raise FilesError(str(error)) from error
        return weights

    def _refuse_others(self, checkpoint: Checkpoint) -> None:
        self.refuse_others(checkpoint.weights)

    def refuse_others(self, weights: Path) -> None:
        """Compare names and shapes of a checkpoint's tensors with the network's.

        Raises
        ------
        DataError
            They differ, or the file is damaged or holds more than tensors.
        """
        import torch

        shapes = tensor_shapes(weights)
        blueprint = Blueprint(self.build, self.translate)
        network = construct_empty(blueprint.build)
        state = {name: torch.empty(tuple(shape), device="meta") for name, shape in shapes.items()}
        try:
            load_state(network, blueprint.rename(state))
        except DataError as error:
            raise self._other(weights, error) from error


def _is_trained(variant: Variant) -> bool:
    """Whether a variant is made of the published weights."""
    return variant.kind in ("pretrained", "permuted")
