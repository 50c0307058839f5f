"""A model of a row with other options: the same code, smaller; for trials."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import isocortex
from isocortex.errors import PluginError
from isocortex.interfaces import ModelCard, ModelPlugin

#: behind the ID of a model whose options are not those of its row
TRIAL = ".trial"


def with_options(name: str, options: Mapping[str, Any]) -> ModelPlugin:
    """A model of its own, ``ID.trial``, made from the row of another with some options replaced.

    Parameters
    ----------
    name
        ``ID`` or ``ID@variant``, without a seed.
    options
        Replace those of the row; within a table, entry by entry.

    Raises
    ------
    UnknownIDError
        There is no such row.
    PluginError
        What it names cannot be imported, or is no model.
    """
    model, _, variant = name.partition("@")
    card = isocortex.load_card("model", model)
    assert isinstance(card, ModelCard)
    kinds = (variant, *(kind for kind in card.variants if kind != variant)) if variant else card.variants
    module, _, named = card.object.partition(":")
    try:
        kind = getattr(import_module(module), named)
    except (ImportError, AttributeError) as error:
        raise PluginError(f"The model {model!r} of {card.package} cannot be loaded: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, ModelPlugin)):
        raise PluginError(f"The model {model!r} of {card.package} names {kind!r}, which is no model.")
    changed = {"id": f"{model}{TRIAL}", "options": _merged(card.options, options), "variants": kinds}
    return kind(card.model_copy(update=changed))


def _merged(own: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Options with others in their place.

    Examples
    --------
    >>> _merged({"size": 224, "grid": {"rates": [1], "n_epochs": 5}}, {"grid": {"n_epochs": 1}})
    {'size': 224, 'grid': {'rates': [1], 'n_epochs': 1}}
    """
    found = dict(own)
    for name, value in other.items():
        known = found.get(name)
        found[name] = _merged(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return found
