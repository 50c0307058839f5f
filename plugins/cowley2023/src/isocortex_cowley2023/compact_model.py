"""The model whose outputs are V4 neurons: ``cowley2023/compact-190923``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.errors import DataError
from isocortex.files import digest_files
from isocortex.interfaces import DataFiles, LoadedModel, ModelPlugin, digest_plugin
from isocortex_cowley2023.datasets import neuroid_ids
from isocortex_cowley2023.responses import read_arrays
from isocortex_cowley2023.source_files import bring, present

if TYPE_CHECKING:
    from isocortex.data import StimulusBatch
    from isocortex.interfaces import Variant


class CompactModel(ModelPlugin):
    """The authors' networks of the neurons of the session that ``options.session`` of the row names.

    Untrained ones have as many filters as the trained ones, so that their files are needed too.
    """

    accelerated = True

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Build the networks with the weights of a variant; the layer ``neurons`` has a unit for each neuroid.

        Raises
        ------
        FilesError
            The networks are not here.
        DataError
            The files hold other networks.
        """
        from isocortex.models import TorchModel, TorchRecipe
        from isocortex_cowley2023.compact_networks import CompactNetworks, filters_of, joined

        n_neurons = int(self.card.options["n_neurons"])
        states = self._states(present(self._part), n_neurons)
        n_filters = filters_of(states)
        recipe = TorchRecipe(
            build=lambda: CompactNetworks(n_filters),
            preprocess=preprocessed,
            layers=self.card.layers,
            axes={"neurons": ("unit",)},
            weights=joined(states),
            units={"neurons": neuroid_ids(str(self.card.options["session"]), n_neurons)},
            batching="any",  # every image is brought to one size
        )
        return TorchModel(recipe, variant, device=device, dtype=str(self.card.options.get("dtype", "float32")))

    def digest(self, variant: Variant) -> str | None:
        """Of code, row, libraries, variant, and the files of the networks."""
        paths = [path for _, path in sorted(present(self._part).items())]
        return digest_plugin(self, str(variant), sorted(digest_files(paths).values()))

    def fetch(self, variant: Variant, source: Path | None = None) -> Sequence[Path]:
        """Bring the networks here, from a folder or from the authors' repository.

        Raises
        ------
        FilesError
            They are not to be had.
        """
        del variant
        return bring(self._part, source, offline=self.offline)

    @property
    def _part(self) -> str:
        return f"networks {self.card.options['session']}"

    def _states(self, files: DataFiles, n_neurons: int) -> list[Any]:
        from isocortex_cowley2023.compact_networks import states_of_arrays

        if len(files) == 1:
            return states_of_arrays(read_arrays(next(iter(files.values()))), n_neurons)
        from isocortex.models import read_state

        by_number = {int(path.stem.rpartition("neuron")[2]): path for path in files.values()}
        if sorted(by_number) != list(range(n_neurons)):
            raise DataError(f"Expected the networks of neurons 0 to {n_neurons - 1}; found {sorted(by_number)}.")
        return [read_state(by_number[number]) for number in range(n_neurons)]


def preprocessed(batch: StimulusBatch) -> Any:
    """Images less the mean colour of the authors' images, (n_images, 3, 112, 112) float32; those of another size are
    squashed, bilinearly by Pillow.
    """
    import torch

    from isocortex_cowley2023.compact_networks import MEAN_COLOUR

    images = np.stack([_squashed(stimulus.array) for stimulus in batch]).astype(np.float32)
    images -= np.asarray(MEAN_COLOUR, np.float32)
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def _squashed(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    from PIL import Image

    from isocortex_cowley2023.compact_networks import SIZE

    if image.shape[:2] == (SIZE, SIZE):
        return image
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.BILINEAR))
