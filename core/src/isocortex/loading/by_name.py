"""What is installed under an ID, loaded: the calls behind the face of isocortex."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from isocortex.errors import IsocortexError
from isocortex.loading.resolver import resolver, split_model_name, variant_of

if TYPE_CHECKING:
    from isocortex.catalogue.cards import Card
    from isocortex.data.dataset import Dataset
    from isocortex.data.stimuli import StimulusSet
    from isocortex.interfaces import LoadedModel, MetricPlugin


def load_model(name: str, *, device: str = "cpu") -> LoadedModel:
    """Load a model by ``ID`` or ``ID@variant``.

    It takes sounds at the ``sample_rate`` of its card, unless that says ``resampler = "model"``: ``isocortex.extract``
    resamples, ``run`` does not (``isocortex.data.resample`` does).

    Examples
    --------
    >>> # with load_model("noise@random:3") as model: print(model.layers)
    """
    found = resolver()
    model, variant = split_model_name(name)
    plugin = found.model(model)
    return plugin.load(variant_of(plugin.card, variant), device=device)


def model_digest(name: str) -> str | None:
    """The digest that stands for a model variant, found without loading it; None: it has none.

    Examples
    --------
    >>> # model_digest("noise@random:3") == model_digest("noise@random:4")
    """
    found = resolver(offline=True)
    model, variant = split_model_name(name)
    plugin = found.model(model)
    return plugin.digest(variant_of(plugin.card, variant))


def load_card(kind: str, name: str) -> Card:
    """The checked card of what is installed under an ID; nothing that it names is loaded.

    Parameters
    ----------
    kind
        "model", "stimuli", "dataset", "metric" or "benchmark".
    name
        ``ID`` or ``package::ID``.

    Raises
    ------
    UnknownIDError
        Nothing is installed under that ID.

    Examples
    --------
    >>> # load_card("benchmark", "NH2015comp.ridge").reference
    """
    return resolver(offline=True).card(kind, name)


def load_cards(kind: str, names: Iterable[str]) -> dict[str, Card]:
    """The cards of many IDs, for which what is installed is looked through once; IDs that are not are left out.

    Parameters
    ----------
    kind, names
        As for ``load_card``.

    Examples
    --------
    >>> load_cards("model", ["nothing-of-this-name"])
    {}
    """
    known = resolver(offline=True)
    found: dict[str, Card] = {}
    for name in dict.fromkeys(names):
        with contextlib.suppress(IsocortexError):
            found[name] = known.card(kind, name)
    return found


def load_stimuli(name: str) -> StimulusSet:
    """Load a stimulus set by ID."""
    return resolver().stimuli(name)


def load_dataset(name: str, *, offline: bool = False) -> Dataset:
    """Load a data set by ID or ``folder:PATH``; its files are downloaded where they are missing, unless offline."""
    return resolver(offline=offline).dataset(name)


def load_metric(name: str) -> MetricPlugin:
    """Make a metric by ID."""
    return resolver().metric(name)
