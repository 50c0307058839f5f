"""Networks with ImageNet's 1,000 classes as observers who name one of 16 objects: ``16-way/resnet50``.

The categories and the classes that belong to each are those of Geirhos et al. 2018 (doi:10.48550/arXiv.1808.08750) and
2021, as in ``modelvshuman/helper/human_categories.py`` of bethgelab/model-vs-human (MIT licence).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from isocortex.activations import Emit, LayerOutput
from isocortex.errors import DataError, LayerError, PluginError, UnknownIDError
from isocortex.interfaces import LoadedModel, ModelPlugin
from isocortex_vision.preprocessing import NAMES
from isocortex_vision.with_preprocessing import network_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isocortex.data import StimulusBatch
    from isocortex.interfaces import Variant
    from isocortex_vision.loaded_network import LoadedNetwork
    from isocortex_vision.vision_network import VisionNetwork

N_CLASSES: Final = 1000
LAYER: Final = "categories"
#: category → its classes among ImageNet's 1,000, in the order that all libraries share; "a-b" holds both ends
CLASSES: Final = {
    "airplane": "404",
    "bear": "294-297",
    "bicycle": "444 671",
    "bird": "8 10-16 18-20 22-24 80-83 87-96 98-100 127-133 135-145",
    "boat": "472 554 625 814 914",
    "bottle": "440 720 737 898-899 901 907",
    "car": "436 511 817",
    "cat": "281-286",
    "chair": "423 559 765 857",
    "clock": "409 530 892",
    "dog": "152-191 193-203 205-226 228-241 243-250 252-257 259 261-263 265-268",
    "elephant": "385-386",
    "keyboard": "508 878",
    "knife": "499",
    "oven": "766",
    "truck": "555 569 656 675 717 734 864 867",
}
CATEGORIES: Final = tuple(CLASSES)


def classes_of(category: str) -> tuple[int, ...]:
    """Classes of ImageNet that belong to a category.

    Examples
    --------
    >>> classes_of("bottle")
    (440, 720, 737, 898, 899, 901, 907)
    """
    ends = [part.partition("-") for part in CLASSES[category].split()]
    return tuple(place for first, _, last in ends for place in range(int(first), int(last or first) + 1))


def category_probabilities(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Mean probability of the classes of each category; the largest is the observer's decision.

    p_c = mean over the classes k of category c of exp(z_k) / Σ_j exp(z_j), j over all 1,000 classes.

    Parameters
    ----------
    logits
        (n_stimuli, 1000).

    Returns
    -------
    (n_stimuli, 16), in the order of ``CATEGORIES``.

    Examples
    --------
    >>> logits = np.zeros((1, 1000))
    >>> logits[0, 404] = 9.0
    >>> CATEGORIES[category_probabilities(logits).argmax()]
    'airplane'
    """
    values = logits.astype(np.float64)
    weights = np.exp(values - values.max(axis=1, keepdims=True))
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    return np.stack([probabilities[:, list(classes_of(name))].mean(axis=1) for name in CATEGORIES], axis=1)


class SixteenWay(ModelPlugin):
    """Another row of this package, also with another preprocessing, of which only the decision is seen."""

    accelerated = True

    @cached_property
    def network(self) -> VisionNetwork:
        """The network of the other row.

        Raises
        ------
        UnknownIDError
            This package has no such row.
        PluginError
            It is an observer already, or two ways of preprocessing are named.
        """
        first, _, rest = self.card.id.partition("/")[2].partition("/")
        preprocessing, name = (first, rest) if first in NAMES and rest else (None, self.card.id.partition("/")[2])
        if name.partition("/")[0] in (*NAMES, self.card.id.partition("/")[0]):
            raise PluginError(f"{self.card.id!r} must be 16-way/NETWORK or 16-way/PREPROCESSING/NETWORK.")
        try:
            made = network_of(f"{self.card.package}::{name}", preprocessing)
        except UnknownIDError as error:
            raise UnknownIDError(f"{self.card.id!r} is {name!r} as an observer of 16 categories. {error}") from error
        made.offline = self.offline
        return made

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Build the network with the weights of a variant.

        Raises
        ------
        LayerError
            What it gives last are not 1,000 logits.
        """
        from isocortex_vision.loaded_network import LoadedNetwork

        loaded = self.network.load(variant, device=device)
        assert isinstance(loaded, LoadedNetwork)
        try:
            return _LoadedObserver(loaded, self.card.id)
        except LayerError:
            loaded.close()
            raise

    def digest(self, variant: Variant) -> str | None:
        """That of the other row, with what makes decisions of its logits."""
        from isocortex.files import digest_of

        digests = super().digest(variant), self.network.digest(variant)
        return None if None in digests else digest_of(list(digests))

    def fetch(self, variant: Variant, source: Path | None = None) -> Sequence[Path]:
        """Bring the weights of the other row here."""
        return self.network.fetch(variant, source)


class _LoadedObserver(LoadedModel):
    """A network in memory, of whose layers only the last is used."""

    def __init__(self, network: LoadedNetwork, name: str) -> None:
        self._network, self._name = network, name
        self.layers, self.batching, self.warnings = [LAYER], network.batching, network.warnings
        self._logits, shape = list(network.shapes.items())[-1]
        if prod(shape) != N_CLASSES:
            raise LayerError(
                f"{name}: the last layer, {self._logits!r}, gives {' × '.join(map(str, shape))} numbers for an image. "
                f"Expected the {N_CLASSES} logits of ImageNet's classes: a network, and weights, that name objects."
            )

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        """Run a batch and hand on the probabilities of the categories.

        Raises
        ------
        DataError
            The network gives probabilities, of which no softmax is to be taken again, or what is no number.
        """
        del layers

        def hand_on(layer: str, output: LayerOutput) -> None:
            del layer
            logits = np.asarray(output.array.detach().cpu().double()).reshape(len(batch), N_CLASSES)
            self._refuse_others(logits)
            emit(LAYER, LayerOutput(category_probabilities(logits), ("unit",), units=CATEGORIES))

        self._network.run(batch, [self._logits], hand_on)

    def _refuse_others(self, logits: NDArray[np.float64]) -> None:
        if not np.isfinite(logits).all():
            raise DataError(f"{self._name}: {self._logits!r} gives values that are no numbers. Check the weights.")
        if (logits >= 0).all() and np.allclose(logits.sum(axis=1), 1, rtol=0, atol=1e-3):
            raise DataError(f"{self._name}: {self._logits!r} gives probabilities. Expected logits, before the softmax.")

    def close(self) -> None:
        """Free the network's memory."""
        self._network.close()
