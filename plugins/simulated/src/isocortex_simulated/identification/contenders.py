"""The models among which the truth is looked for, their families, and what scoring needs of their layers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np

from isocortex.errors import DataError, UsageError, shorten
from isocortex_simulated.cortex import standardised_gram
from isocortex_simulated.draws import Floats
from isocortex_simulated.identification.spectrum import left_vectors

if TYPE_CHECKING:
    from isocortex.activations import Activations
    from isocortex.data import StimulusSet
    from isocortex.interfaces import ModelCard

_SEEDS = re.compile(r"(?P<model>.*):(?P<first>\d+)\.\.(?P<last>\d+)")


@dataclass(frozen=True, eq=False)
class Contender:
    """A model that may be the truth, and may be taken for it.

    Attributes
    ----------
    name
        ``ID`` or ``ID@variant``, as it was named.
    family
        The tag ``family`` of its card, or else its ID: two seeds of one architecture are one family.
    stimulus_id
        The stimuli in the order of the responses.
    layers
        Its default layers.
    """

    name: str
    family: str
    stimulus_id: tuple[str, ...]
    layers: Mapping[str, Activations]

    @cached_property
    def components(self) -> dict[str, Floats]:
        """Left singular vectors (n_stimuli, rank − 1) of each layer that varies."""
        found: dict[str, Floats] = {}
        for name, layer in self.layers.items():
            try:
                found[name] = left_vectors(standardised_gram(layer.blocks(self.stimulus_id), len(self.stimulus_id)))
            except DataError:
                continue
        if not found:
            raise DataError(f"No unit of {self.name} varies over the stimuli, so that no brain can be made of it.")
        return found

    @cached_property
    def compact(self) -> dict[str, Activations]:
        """Layers of at most as many units as there are stimuli, with the same products of stimuli with stimuli.

        For methods that a rotation of the units changes not.
        """
        return {name: _compact(layer, self.stimulus_id) for name, layer in self.layers.items()}


def _compact(layer: Activations, stimulus_id: tuple[str, ...]) -> Activations:
    from isocortex.activations import Activations

    n_stimuli = len(stimulus_id)
    if layer.n_units <= n_stimuli:
        return layer
    gram = np.zeros((n_stimuli, n_stimuli))
    for block in layer.blocks(stimulus_id):
        centred = np.subtract(block, block[:1], dtype=np.float64)
        centred -= centred.mean(axis=0)
        gram += centred @ centred.T
    values, vectors = np.linalg.eigh(gram)
    kept = values > n_stimuli * np.finfo(np.float64).eps * values[-1]
    return Activations(layer.layer, stimulus_id, [vectors[:, kept] * np.sqrt(values[kept])])


def contenders_of(
    models: Sequence[str], stimuli: StimulusSet, stimulus_id: tuple[str, ...], reduction: str
) -> list[Contender]:
    """Load models and extract their layers, or find them in the cache.

    Parameters
    ----------
    models
        ``ID``, ``ID@variant``, or ``ID@random:0..4`` for a range of seeds.
    stimuli, stimulus_id
        Of the benchmark, and their order in the responses.
    reduction
        As in the benchmark.

    Raises
    ------
    UsageError
        If fewer than two are named, one is unknown, or two hold the same values and so cannot be told apart.
    """
    import isocortex

    names = list(dict.fromkeys(name for model in models for name in seeds_of(model)))
    if len(names) < 2:
        raise UsageError(f"Telling models apart needs two or more; found {len(names)}. Name each with -m.")
    config = isocortex.RunConfig(device="cpu", offline=True)
    found: list[Contender] = []
    contents: dict[tuple[str, ...], str] = {}
    for name in names:
        card = cast("ModelCard", isocortex.load_card("model", name.partition("@")[0]))
        layers = isocortex.extract(name, stimuli, reduction=reduction, config=config)
        content = tuple(layer.digest for layer in layers.values())
        if (twin := contents.setdefault(content, name)) != name:
            raise UsageError(f"{name} and {twin} hold the same values and cannot be told apart. Leave one out.")
        found.append(Contender(name, str(card.tags.get("family", card.id)), stimulus_id, layers))
    return found


def seeds_of(model: str) -> list[str]:
    """Spell out a range of seeds.

    Raises
    ------
    UsageError
        If a range runs backwards, or a glob is used.

    Examples
    --------
    >>> seeds_of("noise@random:0..2"), seeds_of("pixels")
    (['noise@random:0', 'noise@random:1', 'noise@random:2'], ['pixels'])
    """
    if any(sign in model for sign in "*?["):
        raise UsageError(
            f"Name each model; a glob such as {model!r} is not taken. Ranges of seeds are: ID@random:0..4."
        )
    found = _SEEDS.fullmatch(model)
    if found is None:
        return [model]
    first, last = int(found["first"]), int(found["last"])
    if last < first:
        raise UsageError(f"{model!r} names no seed: {first} lies behind {last}.")
    return [f"{found['model']}:{seed}" for seed in range(first, last + 1)]


def families_of(contenders: Sequence[Contender]) -> str:
    """Say how many families there are, and name them."""
    families = list(dict.fromkeys(one.family for one in contenders))
    return f"{len(families)} families ({shorten(families, 12)})"
