"""Transformers that hear, as models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.errors import DataError, FilesError
from isocortex.interfaces import LoadedModel, ModelPlugin
from isocortex.models import (
    Checkpoint,
    TorchModel,
    TorchRecipe,
    adopt_checkpoint,
    checkpoint_in,
    find_or_download_checkpoint,
    named_checkpoint,
    own_folder_of,
    tensor_shapes,
)
from isocortex_wav2vec2.architectures import Architecture, of_checkpoint, read_architecture
from isocortex_wav2vec2.families import build_network, family_named

if TYPE_CHECKING:
    from torch import nn

    from isocortex.interfaces import Variant

State = Mapping[str, Any]


class Blueprint:
    """Builds a network, and gives a checkpoint's tensors the names of the network that was built.

    Parameters
    ----------
    architecture
        What it is built from.
    """

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture
        self.family = family_named(architecture.family)
        self._own: dict[str, tuple[str, Any]] = {}

    def build(self) -> nn.Module:
        """Construct the network."""
        network = build_network(self.family, self.architecture.config)
        self._own = {self.family.canonical(name): (name, value) for name, value in network.state_dict().items()}
        return network

    def rename(self, state: State) -> dict[str, Any]:
        """A checkpoint's tensors by the names of the network that was built last, without heads.

        What a network does not use when it runs may be absent: it stays as it was built.

        Raises
        ------
        DataError
            Two tensors with one name.
        """
        names = self.family.encoder_names(state)
        twice = len(names) - len(set(names.values()))
        if twice:
            raise DataError(f"{twice} tensors of the checkpoint stand for the same part of the network as another.")
        found = {name: state[given] for given, name in names.items()}
        for name in self.family.optional:
            if name not in self._own:
                found.pop(name, None)
            elif name not in found:
                found[name] = self._own[name][1]
        return {self._own.get(name, (name, None))[0]: value for name, value in found.items()}


class SpeechNetwork(ModelPlugin):
    """A network of Hugging Face transformers that hears, as the row's ``options.architecture`` names it."""

    accelerated = True

    def architecture(self, checkpoint: Checkpoint | None = None) -> Architecture:
        """What the network is built from: the row's architecture, with a checkpoint's own values.

        Raises
        ------
        PluginError
            The row names no architecture that is known.
        DataError
            The checkpoint's files do not fit it.
        """
        architecture = read_architecture(self.card.folder, str(self.card.options.get("architecture")))
        if checkpoint is None:
            return architecture
        return of_checkpoint(architecture, checkpoint.config, checkpoint.features)

    def checkpoint(self, variant: Variant) -> Checkpoint | None:
        """The files that a variant needs; None for an untrained network.

        Raises
        ------
        FilesError, DataError
            They are not to be had.
        """
        if variant.path is not None:
            return named_checkpoint(Path(variant.path))
        if variant.kind in ("pretrained", "permuted"):
            return find_or_download_checkpoint(self.card, offline=self.offline)
        return None

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Build the network with the weights of a variant.

        Raises
        ------
        FilesError
            The variant needs trained weights, and they are not to be had.
        DataError
            The weights do not fit the network.
        """
        checkpoint = self.checkpoint(variant)
        if checkpoint is not None and variant.path is not None:
            variant = variant.model_copy(update={"path": str(checkpoint.weights)})
        dtype = str(self.card.options.get("dtype", "float32"))
        return TorchModel(self.recipe(checkpoint), variant, device=device, dtype=dtype)

    def recipe(self, checkpoint: Checkpoint | None) -> TorchRecipe:
        """How the network is built and fed."""
        from isocortex_wav2vec2.features import features_of

        architecture = self.architecture(checkpoint)
        blueprint, features = Blueprint(architecture), features_of(architecture)
        return TorchRecipe(
            build=blueprint.build,
            preprocess=features,
            layers=self.card.layers,
            axes=blueprint.family.layer_axes(architecture.config),
            weights=None if checkpoint is None else checkpoint.weights,
            rename=blueprint.rename,
            front_end=blueprint.family.constants,
            lengths=features.lengths,
            batching=features.batching,
            names=blueprint.family.layer,
            output=features.output,
        )

    def digest(self, variant: Variant) -> str | None:
        """Digest over the code, the card, the architecture, the variant, transformers' version and the files."""
        from importlib.metadata import version

        from isocortex.files import digest_files, digest_of
        from isocortex.interfaces import digest_plugin

        checkpoint = self.checkpoint(variant)
        row = self.architecture()
        own = digest_plugin(self, [row.family, row.config, row.features], str(variant))
        if own is None:
            return None
        files = [] if checkpoint is None else checkpoint.files
        contents = {path.name: digest for path, digest in digest_files(files).items()}
        return digest_of([own, version("transformers"), contents])

    def fetch(self, variant: Variant, source: Path | None = None) -> Sequence[Path]:
        """Bring a checkpoint here: from a folder, or from the hub; names and shapes of its tensors are checked.

        Raises
        ------
        FilesError
            It is not to be had, or does not fit the network.
        """
        if variant.path is not None:
            return self._verified(named_checkpoint(Path(variant.path))).files
        if variant.kind not in ("pretrained", "permuted"):
            return []
        own = checkpoint_in(own_folder_of(self.card))
        if source is not None and own is None:
            return adopt_checkpoint(self.card, source, self.refuse_others).files
        return self._verified(own or find_or_download_checkpoint(self.card, offline=self.offline)).files

    def _verified(self, checkpoint: Checkpoint) -> Checkpoint:
        try:
            self.refuse_others(checkpoint)
        except DataError as error:
            advice = f"Delete what is wrong in {checkpoint.weights.parent} and fetch it again."
            raise FilesError(f"{error} {advice}") from error
        return checkpoint

    def refuse_others(self, checkpoint: Checkpoint) -> None:
        """Compare names and shapes of a checkpoint's tensors with the network's.

        Raises
        ------
        DataError
            They differ, or the file is damaged.
        """
        import torch

        from isocortex.models import load_state

        stored = tensor_shapes(checkpoint.weights)
        blueprint = Blueprint(self.architecture(checkpoint))
        with torch.device("meta"):
            network = blueprint.build().to("meta")  # a few tensors come into being elsewhere all the same
            state = {name: torch.empty(tuple(shape)) for name, shape in stored.items()}
        load_state(network, blueprint.rename(state))
