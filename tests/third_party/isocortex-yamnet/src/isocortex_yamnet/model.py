"""YAMNet as a model plugin: sounds are cut into windows, and what the windows give is laid end to end along time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isocortex.data import StimulusBatch
from isocortex.errors import DataError, FilesError
from isocortex.interfaces import Emit, LayerOutput, LoadedModel, ModelCard, ModelPlugin, Variant
from isocortex.models import TorchModel, TorchRecipe
from isocortex_yamnet.front_end import PATCH_FRAMES, patches, waveform
from isocortex_yamnet.weights import FILES, PUBLISHED, read_folder

if TYPE_CHECKING:
    from torch import nn

    from isocortex.files import FileSpec

PACKAGE = "isocortex-yamnet"
AXES = {"pool": ("unit",), "logits": ("unit",), "**": ("channel", "time", "frequency")}


class YamnetModel(ModelPlugin):
    """YAMNet, trained, untrained, or with shuffled weights."""

    accelerated = True

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Build the network with the weights of a variant; ``file:`` takes a folder with both files.

        Raises
        ------
        FilesError
            The variant needs the published weights, and they are not here.
        DataError
            The weights cannot be read, or do not fit the network.
        """
        return WindowedYamnet(self.card, variant, self._folder(variant), device=device)

    def fetch(self, variant: Variant, source: Path | None = None) -> Sequence[Path]:
        """Bring the published weights here from a folder, found by name and checksum at any depth.

        They have no address of their own, so that nothing is downloaded.

        Raises
        ------
        FilesError
            They are neither here nor in ``source``, or damaged.
        DataError
            The folder of ``file:`` lacks one of the two files.
        """
        from isocortex.files import FileStore

        if variant.kind not in ("pretrained", "permuted"):
            folder = self._folder(variant)
            return [] if folder is None else [folder / name for name in FILES]
        store, package, specs = FileStore(offline=self.offline), self.card.package or PACKAGE, _specs()
        absent = store.missing(package, specs) if source is None else store.adopt(package, specs, source)
        if absent:
            looked = [store.root / package, *([source] if source is not None else [])]
            raise FilesError(_where_from(self.card.id, [spec.name for spec in absent], looked))
        store.verify(package, specs)
        return [store.path(package, spec) for spec in specs]

    def _folder(self, variant: Variant) -> Path | None:
        """Where the weights of a variant lie; None where it needs none.

        The default digest covers them: checksums of the published files stand in the source of this package, and are
        verified here; core adds the digest of every file in the folder of ``file:``.
        """
        if variant.kind == "random":
            return None
        if variant.path is None:
            return self.fetch(variant)[0].parent
        folder = Path(variant.path)
        absent = [name for name in FILES if not (folder / name).is_file()]
        if absent:
            raise DataError(f"{folder} lacks {' and '.join(absent)}. Expected a folder with {' and '.join(FILES)}.")
        return folder


def _specs() -> list[FileSpec]:
    from isocortex.files import FileSpec

    return [FileSpec(name, "", sha256, n_bytes) for name, (sha256, n_bytes) in PUBLISHED.items()]


def _where_from(model: str, absent: Sequence[str], looked: Sequence[Path]) -> str:
    places = "".join(f"\n  {place}" for place in looked)
    return (
        f"The trained weights of {model} are not here ({' and '.join(absent)}, with the checksums of the published "
        f"files), and have no address to download them from. Looked for{places}\n"
        f"Where you have them: isocortex fetch -m {model} --from FOLDER, or {model}@file:FOLDER. "
        f"An untrained network is {model}@random:0."
    )


class WindowedYamnet(TorchModel):
    """YAMNet in memory.

    Each window is a pattern of its own for the network. Layers are given with all windows of a sound along "time":
    (n_sounds, channel, windows × steps, frequency), and (n_sounds, windows, unit) after the pooling.

    Parameters
    ----------
    card
        Names the layers.
    variant
        Which weights it gets.
    folder
        Where trained weights lie.
    device
        "cpu", "cuda", …
    """

    def __init__(self, card: ModelCard, variant: Variant, folder: Path | None, *, device: str) -> None:
        recipe = TorchRecipe(
            build=_build,
            preprocess=self._patches,
            layers=card.layers,
            axes=AXES,
            weights=None if folder is None else partial(read_folder, folder),
        )
        self._n_frames: list[int] = []
        super().__init__(recipe, Variant(kind="pretrained") if variant.kind == "file" else variant, device=device)

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        """Run a batch of sounds of one length and hand on every layer as soon as it exists.

        Raises
        ------
        DataError
            A sound cannot be used; the message names it.
        """
        super().run(batch, layers, lambda layer, output: emit(layer, end_to_end(output, self._n_frames)))

    def _patches(self, batch: StimulusBatch) -> NDArray[np.float32]:
        """Patches of all sounds, (n_sounds × n_windows, 1, 96, 64)."""
        found: list[tuple[NDArray[np.float32], int]] = []
        for stimulus in batch:
            try:
                found.append(patches(waveform(stimulus.array, stimulus.sample_rate)))
            except DataError as error:
                raise DataError(f"Stimulus {stimulus.id!r}: {error}") from error
        self._n_frames = [n_frames for _, n_frames in found]
        return np.concatenate([windows for windows, _ in found])


def end_to_end(output: LayerOutput, n_frames: Sequence[int]) -> LayerOutput:
    """Lay the windows of each sound end to end along "time".

    Parameters
    ----------
    output
        (n_sounds × n_windows, channel, time, frequency), or (n_sounds × n_windows, unit).
    n_frames
        For each sound, the frames of its window that hold sound; fewer than 96 only where there is one window.

    Returns
    -------
    (n_sounds, channel, n_windows × time, frequency) with the valid steps where a sound is shorter than a window, or
    (n_sounds, n_windows as time, unit).

    Examples
    --------
    >>> import torch
    >>> two_sounds = LayerOutput(torch.zeros(6, 32, 48, 32), ("channel", "time", "frequency"))
    >>> end_to_end(two_sounds, [96, 96]).array.shape
    torch.Size([2, 32, 144, 32])
    """
    windows: Any = output.array.unflatten(0, (len(n_frames), -1))
    if output.axes == ("unit",):
        return LayerOutput(windows, ("time", "unit"))
    n_steps = windows.shape[3]
    lengths = [-(-frames * n_steps // PATCH_FRAMES) for frames in n_frames] if min(n_frames) < PATCH_FRAMES else None
    return LayerOutput(windows.transpose(1, 2).flatten(2, 3), output.axes, lengths)


def _build() -> nn.Module:
    from isocortex_yamnet.network import Yamnet

    return Yamnet()
