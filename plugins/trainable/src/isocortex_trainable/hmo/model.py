"""``hmo`` and ``hmo-demo`` as models: a configuration of a file, of a seed, or the one that is shipped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.errors import UsageError
from isocortex.interfaces import LoadedModel, ModelPlugin
from isocortex.models import TorchModel, TorchRecipe

if TYPE_CHECKING:
    from isocortex.interfaces import Variant
    from isocortex_trainable.hmo.configuration import Configuration

FOUND = Path(__file__).with_name("demo.json")
"""What the search found that README describes."""


class Hmo(ModelPlugin):
    """A network of fixed random filters, as a configuration says.

    ``options.found`` of the row: whether it ships a configuration (``fixed``). Then ``random:SEED`` has as many stacks
    of the same depths, and all else drawn by the seed; otherwise those are drawn, too.
    """

    accelerated = True

    def configuration(self, variant: Variant) -> Configuration:
        """The configuration of a variant.

        Raises
        ------
        SettingsError
            A file that holds none.
        UsageError
            A variant that the row does not have.
        """
        from isocortex_trainable.hmo.configuration import ImageSettings, read_configuration
        from isocortex_trainable.hmo.search_space import SearchSpace

        found = read_configuration(FOUND) if self.card.options.get("found") else None
        if variant.kind == "random":
            image, depths = (ImageSettings(), None) if found is None else (found.image, found.depths)
            return SearchSpace().draw_configuration(variant.seed or 0, image, depths)
        if variant.kind == "file" and variant.path is not None:
            return read_configuration(Path(variant.path))
        if variant.kind == "fixed" and found is not None:
            return found
        raise UsageError(f"{self.card.id} has no variant {variant}; it has {', '.join(self.card.variants)}.")

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Build the network; its filters are drawn by the seeds in the configuration."""
        from isocortex.interfaces import Variant as AnyVariant
        from isocortex_trainable.hmo.network import HmoNetwork, layer_names
        from isocortex_trainable.hmo.preprocessing import prepare_batch

        configuration = self.configuration(variant)
        recipe = TorchRecipe(
            build=lambda: HmoNetwork(configuration),
            preprocess=lambda batch: prepare_batch(batch, configuration.image),
            layers=layer_names(configuration),
            axes={"**": ("channel", "height", "width")},
            batching="any",
            modality="image",
        )
        return TorchModel(recipe, AnyVariant(kind="fixed"), device=device)
