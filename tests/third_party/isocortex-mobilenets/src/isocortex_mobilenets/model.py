"""MobileNets as model plugins."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isocortex.data import StimulusBatch
from isocortex.errors import FilesError
from isocortex.interfaces import LoadedModel, ModelPlugin, Variant
from isocortex.models import TorchModel, TorchRecipe
from isocortex_mobilenets.weights import files_of, read_folder

if TYPE_CHECKING:
    from torch import nn


class MobileNetModel(ModelPlugin):
    """A MobileNet, trained, untrained, or with shuffled weights; ``file:`` takes a folder with both files."""

    accelerated = True

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Build the network with the weights of a variant.

        Raises
        ------
        FilesError
            The variant needs trained weights, and they are not here.
        DataError
            The weights cannot be read, or do not fit the network.
        """
        recipe = TorchRecipe(
            build=self.build,
            preprocess=partial(pixels, size=int(self.card.options["size"])),
            layers=self.card.layers,
            weights=None if variant.kind == "random" else partial(self._read, self._folder(variant)),
            batching="any",
        )
        return TorchModel(recipe, Variant(kind="pretrained") if variant.kind == "file" else variant, device=device)

    def build(self) -> nn.Module:
        """Construct the network."""
        from isocortex_mobilenets.network import NETWORKS

        return NETWORKS[self.card.options["network"]]()

    def fetch(self, variant: Variant, source: Path | None = None) -> Sequence[Path]:
        """Copy the weights from a folder; they have no address of their own.

        Raises
        ------
        FilesError
            They are neither here nor in ``source``.
        DataError
            They are not the network's.
        """
        from isocortex.files import copy_file

        if variant.kind == "random":
            return []
        names = files_of(self.card.options["file"])
        if source is not None and variant.path is None:
            self._read(source)
            for name in names:
                copy_file(source / name, self._own() / name)
        folder = self._folder(variant)
        self._read(folder)
        return [folder / name for name in names]

    def digest(self, variant: Variant) -> str | None:
        """Digest over the code, the row, the variant and the two files."""
        from isocortex.files import digest_files, digest_of

        own = super().digest(variant)
        if own is None or variant.kind not in ("pretrained", "permuted"):
            return own
        files = [self._folder(variant) / name for name in files_of(self.card.options["file"])]
        return digest_of([own, sorted(digest_files(files).values())])

    def _own(self) -> Path:
        from isocortex.files import data_folder

        return data_folder() / "isocortex-mobilenets"

    def _folder(self, variant: Variant) -> Path:
        folder = Path(variant.path) if variant.path is not None else self._own()
        absent = [name for name in files_of(self.card.options["file"]) if not (folder / name).is_file()]
        if absent:
            raise FilesError(
                f"The trained weights of {self.card.id} are not here: {folder} lacks {' and '.join(absent)}. Where you "
                f"have them: isocortex fetch -m {self.card.id} --from FOLDER, or {self.card.id}@file:FOLDER. An "
                f"untrained network is {self.card.id}@random:0."
            )
        return folder

    def _read(self, folder: Path) -> dict[str, object]:
        return read_folder(folder, self.card.options["file"], self.build())


def pixels(batch: StimulusBatch, size: int) -> NDArray[np.float32]:
    """Images squashed to size × size, value / 127.5 − 1: (n, 3, size, size)."""
    from PIL import Image

    resized = [Image.fromarray(stimulus.array).resize((size, size), Image.Resampling.BILINEAR) for stimulus in batch]
    return np.stack([np.asarray(image, np.float32).transpose(2, 0, 1) for image in resized]) / np.float32(127.5) - 1
