"""The networks as model plugins: thin adapters from stimuli to the modules of this package."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isocortex.data import StimulusBatch
from isocortex.errors import DataError, FilesError, shorten
from isocortex.interfaces import LoadedModel, ModelPlugin, Variant
from isocortex.models import TorchModel, TorchRecipe
from isocortex_cochnets.weights import (
    advice_for,
    bring,
    contents,
    convert_command,
    find_below,
    find_weights,
    names_of,
    places,
    published_state,
)

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
    accelerated = True

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
        candidates = self.places()
        return find_weights(self.card, candidates, advice_for(self.card, candidates[0]))

    def fetch(self, variant: Variant, source: Path | None = None) -> Sequence[Path]:
        """Bring the trained weights here from a folder, found by name at any depth; nothing is downloaded.

        They are read, without running any code, and compared with the network, before they are copied.

        Raises
        ------
        FilesError
            They are neither here nor in ``source``, or others are here.
        DataError
            They cannot be read without running code, or do not fit the network.
        """
        if not needs_weights(variant):
            return ()
        found = None if source is None else self.find_below(source)
        if found is None:
            weights = self._weights_without(source)
            self.check(weights)
            return self.files(weights)
        self.check(found)
        here = next((self.files(path) for path in self.places() if self.is_there(path)), [])
        ending = "" if found.is_dir() else ".safetensors" if found.suffix == ".safetensors" else ".pt"
        target = next(path for path in self.places() if path.suffix == ending)
        bring(self.files(found), self.files(target), here)
        return here or self.files(target)

    def _weights_without(self, source: Path | None) -> Path:
        """The weights that are here, where a folder holds none."""
        try:
            return self.weights()
        except FilesError as error:
            if source is None:
                raise
            raise FilesError(
                f"{source} holds no weights of {self.card.id}; expected one of {self.expected()}.\n{error}"
            ) from error

    def check(self, weights: Path) -> None:
        """Read weights and compare every name and shape with the network.

        Raises
        ------
        DataError
            They cannot be read without running code, or do not fit.
        """
        import torch

        from isocortex.models import load_state

        with torch.device("meta"):
            network = self.build()
        rename = self.recipe(Variant(kind="random", seed=0)).rename or dict
        state = rename(self.read(weights))
        load_state(network, {name: tensor.to("meta") for name, tensor in state.items()})

    def read(self, weights: Path) -> Mapping[str, Any]:
        """Tensors by name.

        Raises
        ------
        DataError
            The file cannot be read without running code; the message says how to convert it.
        """
        from pickle import UnpicklingError

        from isocortex.models import read_state

        try:
            return read_state(weights)
        except DataError as error:
            if not isinstance(error.__cause__, UnpicklingError):
                raise
            raise DataError(f"{error}\n  {convert_command(weights, self.places()[0])}") from error

    # --- where weights lie

    def places(self) -> list[Path]:
        """Where weights are looked for, in this order."""
        return places(self.card)

    def is_there(self, place: Path) -> bool:
        """Whether a place holds weights."""
        return place.is_file()

    def files(self, weights: Path) -> list[Path]:
        """The files that weights consist of."""
        return [weights]

    def find_below(self, folder: Path) -> Path | None:
        """Weights of this network anywhere below a folder of the user."""
        return find_below(folder, names_of(self.card))

    def expected(self) -> str:
        """How the files may be called."""
        return ", ".join(names_of(self.card))

    # --- in memory

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
            weights=self.weights() if needs_weights(variant) else None,
            rename=partial(published_state, without=unknown_head),
            front_end=(FRONT_END,),
            batching="any",  # every sound is brought to 2 s
        )

    def digest(self, variant: Variant) -> str | None:
        """Digest over the code (that of the filters, too), the row, the variant and the weights."""
        from isocortex.files import digest_files, digest_of

        own = super().digest(variant)
        if own is None:
            return None
        files = self.files(self.weights()) if needs_weights(variant) else []
        return digest_of([own, sorted(digest_files(files).values())])


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
        from isocortex_cochnets.kell2018_weights import FILES

        candidates = self.places()
        advice = f"Get {', '.join(FILES)} from {self.card.weights} and put them into\n  {candidates[0]}"
        return find_weights(self.card, candidates, advice, self.is_there)

    def read(self, weights: Path) -> Mapping[str, Any]:
        """Tensors by name, from the folder of the published files or one file.

        Raises
        ------
        DataError
            A file is damaged, or cannot be read without running code.
        """
        from isocortex_cochnets.kell2018_weights import read_folder

        return read_folder(weights) if weights.is_dir() else super().read(weights)

    def places(self) -> list[Path]:
        """The folder of the published files comes first."""
        return places(self.card, ("", ".safetensors", ".pt"))

    def is_there(self, place: Path) -> bool:
        """Whether a place holds all published files, or is one file."""
        from isocortex_cochnets.kell2018_weights import holds_weights

        return place.is_file() or holds_weights(place)

    def files(self, weights: Path) -> list[Path]:
        """The published files of a folder, or the one file."""
        from isocortex_cochnets.kell2018_weights import FILES

        one_file = weights.suffix in (".safetensors", ".pt") and not weights.is_dir()
        return [weights] if one_file else [weights / name for name in FILES]

    def find_below(self, folder: Path) -> Path | None:
        """A folder that holds all published files, or one file."""
        from isocortex_cochnets.kell2018_weights import FILES, holds_weights

        folders = [path.parent for path in sorted(folder.rglob(FILES[0])) if holds_weights(path.parent)]
        if len({tuple(contents(self.files(path))) for path in folders}) > 1:
            raise FilesError(f"{folder} holds different files of that name: {shorten(folders)}. Name one.")
        return folders[0] if folders else super().find_below(folder)

    def expected(self) -> str:
        """How the files may be called."""
        from isocortex_cochnets.kell2018_weights import FILES

        return f"{' + '.join(FILES)} in one folder, {super().expected()}"

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


def needs_weights(variant: Variant) -> bool:
    """Whether a variant is made of the trained weights."""
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
