"""A speech recogniser of NeMo as a model: found, unpacked, checked, built, and heard layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.errors import DataError, FilesError
from isocortex.interfaces import LoadedModel, ModelPlugin, Variant
from isocortex.models import TorchModel, TorchRecipe, read_state
from isocortex_nemo import places
from isocortex_nemo.archives import WEIGHTS, facts_of, read_config, unpacked
from isocortex_nemo.layers import Heads, Layers, ValidSteps, prompt_of
from isocortex_nemo.network import batching_of, build, import_nemo, make_ready
from isocortex_nemo.targets import refuse_unknown
from isocortex_nemo.versions import installed_version, refuse_absent, refuse_other_version

if TYPE_CHECKING:
    from isocortex.data import StimulusBatch
    from isocortex.interfaces import Emit, ModelCard
    from isocortex.typing import Array

#: Hz, of every checkpoint that a row lists
RATE = 16_000
#: a tag of a row → what it says of the network, in messages
_FACTS = {
    "class": "class",
    "layers": "layers of the encoder",
    "width": "width of the encoder",
    "mel_bands": "mel bands",
    "vocabulary": "outputs",
}


class NemoModel(ModelPlugin):
    """A network of NVIDIA's NeMo, from a ``.nemo`` file.

    ``options`` of its row: ``expects``, facts that a checkpoint is held to, and ``look_ahead_ms`` of a streaming one.
    """

    accelerated = True

    def file_of(self, variant: Variant) -> Path:
        """The ``.nemo`` file of a variant; an untrained network takes its architecture from it, too.

        Raises
        ------
        FilesError
            It is not to be had.
        """
        if variant.path is not None:
            return Path(variant.path)
        return places.find_or_download(self.card, offline=self.offline)

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Build the network with the weights of a variant.

        Raises
        ------
        PluginError
            NeMo is absent, or its version cannot load this network.
        FilesError
            The file is not to be had.
        DataError
            It is damaged, unsafe, or another checkpoint than the row means.
        """
        refuse_other_version(self.card)
        path = self.file_of(variant)
        with unpacked(path) as folder:
            config = read_config(folder, path)
            self.refuse_other_checkpoint(config, path)
            refuse_absent(self.card)
            refuse_unknown(config, str(path), str(installed_version()))
            return HearingNetwork(self.card, NemoFile(path, folder, config), variant, device=device)

    def refuse_other_checkpoint(self, config: Mapping[str, Any], path: Path) -> None:
        """Compare what a checkpoint says of itself with its row.

        Raises
        ------
        DataError
            They differ: it is another checkpoint.
        """
        found = facts_of(config)
        expected: dict[str, Any] = dict(self.card.options.get("expects", {}))
        if "class" in self.card.tags:
            expected["class"] = self.card.tags["class"]
        wrong = [
            f"{_FACTS[name]} {found[name]}, expected {value}"
            for name, value in expected.items()
            if name in found and not _agrees(name, found[name], value)
        ]
        if wrong:
            raise DataError(f"{path} is not {self.card.id}: {'; '.join(wrong)}.")
        rate = config.get("sample_rate", config.get("preprocessor", {}).get("sample_rate", RATE))
        if rate != RATE:
            raise DataError(f"{path} hears {rate} Hz; networks of {RATE} Hz alone are known here.")

    def digest(self, variant: Variant) -> str | None:
        """Digest over code, row, libraries (NeMo's version among them), the variant, and the bytes of the file."""
        from isocortex.files import digest_files
        from isocortex.interfaces import digest_plugin

        path = self.file_of(variant)
        if not path.is_file():
            raise FilesError(f"There is no .nemo file at {path}.")
        kind = "file" if variant.path is not None else str(variant)
        return digest_plugin(self, kind, list(digest_files([path]).values()), installed_version())

    def fetch(self, variant: Variant, source: Path | None = None) -> Sequence[Path]:
        """Bring the checkpoint here: from a folder, or from the hub or NVIDIA's catalogue; it is looked into.

        Raises
        ------
        FilesError
            It is not to be had, or is another one.
        """
        has_a_path = variant.path is not None or places.named_file(self.card) is not None
        if source is None or has_a_path or places.find_file(self.card) is not None:
            return [self._verified(self.file_of(variant))]
        return [places.adopt(self.card, self._verified(places.file_in(source, self.card)))]

    def _verified(self, path: Path) -> Path:
        try:
            with unpacked(path) as folder:
                self.refuse_other_checkpoint(read_config(folder, path), path)
        except DataError as error:
            raise FilesError(str(error)) from error
        return path


def _agrees(name: str, found: object, expected: object) -> bool:
    # NeMo lists one name under the class for characters, and the file is of the one for pieces of words
    return found == expected or (name == "class" and str(found).replace("BPE", "") == expected)


@dataclass(frozen=True)
class NemoFile:
    """An unpacked ``.nemo`` file that was looked into."""

    path: Path
    folder: Path
    config: Mapping[str, Any]


class HearingNetwork(TorchModel):
    """A network of NeMo in memory.

    Parameters
    ----------
    card
        Its row.
    file
        Where it is built from.
    variant
        Which weights it gets; an untrained network has those that its constructor draws.
    """

    def __init__(self, card: ModelCard, file: NemoFile, variant: Variant, *, device: str) -> None:
        self._card, self._file = card, file
        self._prompt: list[int] | None = None
        layers = Layers(
            str(facts_of(file.config).get("class")), is_convolutional="jasper" in file.config.get("encoder", {})
        )
        import_nemo()  # which draws numbers; none of the network's are among them
        trained = Variant.parse("pretrained") if variant.kind == "file" else variant
        recipe = TorchRecipe(
            build=self._build,
            preprocess=self._fed,
            layers=card.layers or layers.default,
            axes=layers.axes,
            weights=lambda: read_weights(file.folder, file.path),
            front_end=("preprocessor",),
            lengths=lambda fed, layer, n_steps: self._steps.lengths(fed, layer, n_steps),
            names=layers.name,
            output=layers.output,
        )
        super().__init__(recipe, trained, device=device, dtype=str(card.options.get("dtype", "float32")))
        self.batching = batching_of(self.module)

    def _build(self) -> Any:
        look_ahead = self._card.options.get("look_ahead_ms")
        model = build(self._file.config, self._file.folder, self._file.path)
        make_ready(model, None if look_ahead is None else int(look_ahead))
        self._steps, self._heads = ValidSteps(model), Heads(model)
        return model

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        """Run a batch; heads that were asked for run, too."""
        self._heads.wanted = frozenset(layers)
        try:
            super().run(batch, layers, emit)
        finally:
            self._heads.wanted = frozenset()

    def _fed(self, batch: StimulusBatch) -> dict[str, Any]:
        import numpy as np
        import torch

        how = self._card.resampler
        sounds = [heard(stimulus.array, stimulus.sample_rate, stimulus.id, how) for stimulus in batch]
        lengths = [len(sound) for sound in sounds]
        signal = np.zeros((len(sounds), max(lengths)), dtype=np.float32)
        for row, sound in zip(signal, sounds, strict=True):
            row[: len(sound)] = sound
        fed = {"input_signal": torch.from_numpy(signal), "input_signal_length": torch.tensor(lengths)}
        if any(layer.startswith("decoder.layers.") for layer in self._heads.wanted):
            fed |= self._transcript(len(sounds))
        return fed

    def _transcript(self, n_sounds: int) -> dict[str, Any]:
        """The prompt that a Canary is given before its first word, once for each clip."""
        import torch

        if self._prompt is None:
            self._prompt = prompt_of(self.module)
        tokens = torch.tensor([self._prompt] * n_sounds)
        return {"transcript": tokens, "transcript_length": torch.full((n_sounds,), tokens.shape[1])}


def heard(array: Array, rate: float | None, name: str, how: str = "soxr") -> Array:
    """One channel at 16 kHz: the mean of all channels, resampled where core has not done so.

    Raises
    ------
    DataError
        The sound is shorter than one frame of 10 ms.
    """
    import numpy as np

    from isocortex.data import resample

    mono = array.mean(axis=1) if array.ndim == 2 else array
    sound = mono if rate is None else resample(mono, rate, RATE, how)
    if len(sound) < RATE // 100:
        raise DataError(f"The sound {name!r} has {len(sound)} samples at 16 kHz; expected at least 160 (10 ms).")
    return np.ascontiguousarray(sound, dtype=np.float32)


def read_weights(folder: Path, path: Path) -> Any:
    """Tensors by name out of an unpacked ``.nemo`` file, read without running code.

    Raises
    ------
    DataError
        They are damaged, or more than tensors.
    """
    weights = folder / WEIGHTS
    try:
        return read_state(weights)
    except DataError as error:
        raise DataError(f"The weights in {path} cannot be used: {str(error).replace(str(weights), 'they')}") from error
