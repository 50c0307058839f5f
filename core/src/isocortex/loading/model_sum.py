"""Several models as one, ``a+b``: the feature spaces of a metric that gives each a penalty of its own.

A sum is never run as a whole: each of its models is extracted by itself, as if it had been named alone, so that
activations that are there serve the sum, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.catalogue.cards import ANY_MODALITY, ModelCard, Variant
from isocortex.errors import ModalityError, UsageError
from isocortex.files.digests import digest_of
from isocortex.interfaces import LoadedModel, ModelPlugin

if TYPE_CHECKING:
    from isocortex.training.trained_on import TrainedOn

PLUS = "+"


class ModelSum(ModelPlugin):
    """Models that are fitted together, by the names of their feature spaces.

    Parameters
    ----------
    parts
        Name of the feature space → model and variant, in the order in which they were named.

    Raises
    ------
    UsageError
        A model that learns from each split, or a name with a space, which ends it in names of layers.
    ModalityError
        Models that take different things.
    """

    def __init__(self, parts: Mapping[str, tuple[ModelPlugin, Variant]]) -> None:
        for name, (_, variant) in parts.items():
            if variant.kind == "trained":
                raise UsageError(
                    f"{name} learns from each split of a benchmark, and cannot be part of a sum, whose models are the "
                    "same in all splits. Score it by itself, or name a variant of it that does not learn here."
                )
            if " " in name:
                raise UsageError(f"{name!r} has a space in its name, and cannot be part of a sum. Rename its folder.")
        modalities = {name: plugin.card.modality for name, (plugin, _) in parts.items()}
        known = sorted(set(modalities.values()) - {ANY_MODALITY})
        if len(known) > 1:
            raise ModalityError(f"Models of a sum see the same stimuli; found {modalities}.")
        self.parts = dict(parts)
        card = ModelCard(
            id=PLUS.join(parts),
            object=f"{__name__}:ModelSum",
            modality=known[0] if known else ANY_MODALITY,
            layers=(),
        )
        super().__init__(card)
        self.accelerated = any(plugin.accelerated for plugin, _ in self.parts.values())

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """A sum is not loaded; its models are."""
        del variant, device
        raise UsageError(f"{self.card.id} is a sum, which only a run on a benchmark takes. Name its models one by one.")

    def digest(self, variant: Variant) -> str | None:
        """Over names and digests of the models; None where one has none."""
        del variant
        found = {name: plugin.digest(own) for name, (plugin, own) in self.parts.items()}
        return None if None in found.values() else digest_of(list(found.items()))

    def changed_by_running(self) -> bool:
        """Whether running changed one of them."""
        return any(plugin.changed_by_running() for plugin, _ in self.parts.values())

    def trained_on(self, variant: Variant) -> TrainedOn | None:
        """Asked of each model by itself."""
        del variant

    def fetch(self, variant: Variant, source: Path | None = None) -> Sequence[Path]:
        """Bring the weights of all models here."""
        del variant
        return [path for plugin, own in self.parts.values() for path in plugin.fetch(own, source)]

    def layers_of(self, space: str, patterns: Sequence[str]) -> tuple[str, ...]:
        """Patterns of layers that are meant for one of the models: ``SPACE PATTERN``, or without a name for all.

        Examples
        --------
        >>> # ModelSum(parts).layers_of("vgg", ["vgg conv*", "category label"])
        """
        others = tuple(f"{name} " for name in self.parts if name != space)
        return tuple(pattern.removeprefix(f"{space} ") for pattern in patterns if not pattern.startswith(others))
