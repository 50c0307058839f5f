"""The networks as model plugins: thin adapters from stimuli to the modules of this package."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isocortex.errors import DataError
from isocortex.interfaces import LoadedModel, ModelPlugin
from isocortex.manifest import Variant
from isocortex.stimuli import StimulusBatch
from isocortex.torch_model import TorchModel, TorchRecipe
from isocortex_cochnets.weights import advice_for, find_weights, places, published_state

if TYPE_CHECKING:
    from torch import nn

Axes = Mapping[str, Sequence[str]]
Prepare = Callable[[ArrayLike, float], NDArray[np.float64]]

#: prefix of the module that makes the cochleagram; it has no weights
FRONT_END = "cochleagram"
_MAPS, _UNITS = ("channel", "frequency", "time"), ("unit",)
_COCHCNN9_AXES: Axes = {
    **dict.fromkeys(["relufc", "fullyconnected", "dropout", "classification**"], _UNITS),
    "**": _MAPS,
}
_RESNET_AXES: Axes = {"fc**": _UNITS, "**": _MAPS}
_KELL2018_AXES: Axes = {"fc**": _UNITS, "**": _MAPS}
#: what the layer is called in some tables
_COCHCNN9_ALIASES = {"relu5": "relufc"}


class CochlearModel(TorchModel):
    """A network in memory, some of whose layers have a second name.

    Parameters
    ----------
    aliases
        Second name → layer.
    """

    def __init__(self, recipe: TorchRecipe, variant: Variant, *, device: str, aliases: Mapping[str, str]) -> None:
        self._aliases = dict(aliases)
        super().__init__(recipe, variant, device=device)

    def find(self, pattern: str) -> Sequence[str]:
        """Modules that match; a second name stands for the layer that it names."""
        return super().find(self._aliases.get(pattern, pattern))


class CochlearNetwork(ModelPlugin):
    """A network on a cochleagram of the first 2 s of a sound."""

    #: layer or pattern → names of its axes after the first
    axes: ClassVar[Axes]
    #: prefix of the names of the linear heads
    heads: ClassVar[str] = ""
    aliases: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def build(self) -> nn.Module:
        """Construct the network, from waveforms to logits."""

    @abstractmethod
    def prepare(self, samples: ArrayLike, rate: float) -> NDArray[np.float64]:
        """Bring a sound to the network's rate, length and level."""

    def weights(self) -> Path:
        """The trained weights.

        Raises
        ------
        FilesError
            They are not here.
        """
        candidates = places(self.card)
        return find_weights(self.card, candidates, advice_for(self.card, candidates[0]))

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Build the network with the weights of a variant.

        Raises
        ------
        FilesError
            The variant needs trained weights, and they are not here.
        DataError
            The weights do not fit the network.
        """
        return CochlearModel(self.recipe(variant), variant, device=device, aliases=self.aliases)

    def recipe(self, variant: Variant) -> TorchRecipe:
        """How the network is built and fed."""
        unknown_head = (self.heads,) if self.heads and "classes" not in self.card.options else ()
        return TorchRecipe(
            build=self.build,
            preprocess=partial(waveforms, prepare=self.prepare),
            layers=self.card.layers,
            axes=self.axes,
            weights=self.weights() if _needs_weights(variant) else None,
            rename=partial(published_state, without=unknown_head),
            front_end=(FRONT_END,),
            batching="any",  # every sound is brought to 2 s
        )

    def digest(self, variant: Variant) -> str | None:
        """Digest over the code of this package and of the filters, the card, the variant and the weights."""
        import isocortex_baselines
        from isocortex.digests import digest_code, digest_files, digest_of

        own = super().digest(variant)
        if own is None:
            return None
        filters = digest_code(Path(next(iter(isocortex_baselines.__path__))))
        weights = self.weights() if _needs_weights(variant) else None
        files = [] if weights is None else weights.iterdir() if weights.is_dir() else [weights]
        contents = sorted(digest_files(path for path in files if path.is_file()).values())
        return digest_of([own, filters, contents])


class _At20Kilohertz(CochlearNetwork):
    """A network on the cochleagram of 20 kHz."""

    def prepare(self, samples: ArrayLike, rate: float) -> NDArray[np.float64]:
        """The first 2 s at 20 kHz, mean 0 and rms 0.1."""
        from isocortex_baselines.sounds import prepare_cochcnn9

        return prepare_cochcnn9(samples, rate)


class CochCNN9(_At20Kilohertz):
    """CochCNN9, for one task or several."""

    axes = _COCHCNN9_AXES
    heads = "classification."
    aliases = _COCHCNN9_ALIASES

    def build(self) -> nn.Module:
        """Construct the network."""
        from isocortex_cochnets.cochcnn9 import CochCNN9 as Network

        return Network(self.card.options.get("classes"))


class CochResNet50(_At20Kilohertz):
    """CochResNet50, for one task or several."""

    axes = _RESNET_AXES
    heads = "fc."

    def build(self) -> nn.Module:
        """Construct the network."""
        from isocortex_cochnets.cochresnet50 import CochResNet50 as Network

        return Network(self.card.options.get("classes"))


class Kell2018(CochlearNetwork):
    """The network of Kell et al. (2018), with its branches for words and genres."""

    axes = _KELL2018_AXES

    def build(self) -> nn.Module:
        """Construct the network."""
        from isocortex_cochnets.kell2018 import Kell2018 as Network

        return Network()

    def prepare(self, samples: ArrayLike, rate: float) -> NDArray[np.float64]:
        """The first 2 s at 16 kHz, on the scale of 16-bit integers."""
        from isocortex_baselines.sounds import prepare_kell2018

        return prepare_kell2018(samples, rate)

    def weights(self) -> Path:
        """The folder of the published files, or one file with the network's own names.

        Raises
        ------
        FilesError
            They are not here.
        """
        from isocortex_cochnets.kell2018_weights import FILES, holds_weights

        folder, *files = places(self.card, ("", ".safetensors", ".pt"))
        advice = f"Get {', '.join(FILES)} from {self.card.weights} and put them into\n  {folder}"
        return find_weights(self.card, [folder, *files], advice, lambda path: path.is_file() or holds_weights(path))

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Build the network with the weights of a variant; ``file:`` takes the folder of the published files too.

        Raises
        ------
        FilesError
            The variant needs trained weights, and they are not here.
        DataError
            The weights do not fit the network.
        """
        from dataclasses import replace

        from isocortex_cochnets.kell2018_weights import read_folder

        recipe = self.recipe(variant)
        source: Any = Path(variant.path) if variant.path is not None else recipe.weights
        if isinstance(source, Path) and source.is_dir():
            recipe = replace(recipe, weights=partial(read_folder, source))
            variant = Variant(kind="pretrained") if variant.kind == "file" else variant
        return CochlearModel(recipe, variant, device=device, aliases=self.aliases)


def _needs_weights(variant: Variant) -> bool:
    return variant.kind in ("pretrained", "permuted")


def waveforms(batch: StimulusBatch, prepare: Prepare) -> NDArray[np.float32]:
    """Prepare the sounds of a batch, (n_sounds, n_samples).

    Raises
    ------
    DataError
        A sound cannot be used; the message names it.
    """
    rows: list[NDArray[np.float64]] = []
    for stimulus in batch:
        try:
            if stimulus.sample_rate is None:
                raise DataError("Expected a sound with its sampling rate in Hz, found none. Set sample_rate.")
            rows.append(prepare(stimulus.array, stimulus.sample_rate))
        except DataError as error:
            raise DataError(f"Stimulus {stimulus.id!r}: {error}") from error
    return np.stack(rows).astype(np.float32)
