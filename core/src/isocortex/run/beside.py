"""Models beside the one that is scored: baselines, and those by whose features stimuli are clustered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isocortex.errors import UsageError
from isocortex.loading.resolver import split_model_name, variant_of

if TYPE_CHECKING:
    from isocortex.catalogue.cards import Variant
    from isocortex.interfaces import ModelPlugin
    from isocortex.loading.resolver import Resolver
    from isocortex.run.asked_splits import StricterSplits


def model_beside(resolver: Resolver, name: str) -> tuple[str, ModelPlugin, Variant]:
    """A model that a benchmark or its splits name, ``ID[@VARIANT]``, with its variant.

    Raises
    ------
    UsageError
        It learns from the benchmark.
    """
    model, variant = split_model_name(name)
    plugin = resolver.model(model)
    found = variant_of(plugin.card, variant)
    if found.kind == "trained":
        raise UsageError(
            f"{name} learns from each split of a benchmark: it cannot be a baseline, nor what stimuli are clustered by."
        )
    return name, plugin, found


def digest_of_clusters(resolver: Resolver, stricter: StricterSplits) -> dict[str, str]:
    """The digest of the model by whose features stimuli are clustered, as part of a result's; empty without one.

    Raises
    ------
    UsageError
        It has none.
    """
    if not stricter.model:
        return {}
    name, model, variant = model_beside(resolver, stricter.model)
    found = model.digest(variant)
    if found is None:
        raise UsageError(f"{name} has no digest, so that nothing says by which features stimuli would be clustered.")
    return {f"clusters by {name}": found}
