"""A folder of activations is a model: no package and no line of Python needed.

It holds either what ``isocortex extract`` writes, or one ``<layer>.csv`` (first column stimulus_id), ``<layer>.nc``, or
``<layer>.npy`` with the IDs of its rows in ``stimulus_id.txt``, one per line, per layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.activations.folder import ActivationFolder
from isocortex.activations.layer import Activations
from isocortex.activations.output import Emit, LayerOutput
from isocortex.activations.reductions import parse_reduction
from isocortex.catalogue.cards import ModelCard, Variant
from isocortex.data.stimuli import digest_loaded
from isocortex.errors import DataError, SettingsError, UsageError, shorten
from isocortex.files.digests import digest_files, digest_of
from isocortex.interfaces import LoadedModel, ModelPlugin
from isocortex.loading.folder_layers import layers_of, said_of_folder
from isocortex.loading.folder_settings import FOLDER_PACKAGE
from isocortex.training.trained_on import TrainedOn

if TYPE_CHECKING:
    from isocortex.data.stimuli import StimulusBatch, StimulusSet


class FolderActivations(ModelPlugin):
    """Activations that lie in files, as a model for any stimuli that they cover."""

    @classmethod
    def at(cls, path: Path) -> FolderActivations:
        """The model of a folder.

        Raises
        ------
        UsageError
            The folder holds no activations.
        """
        layers = layers_of(path)
        if not layers:
            raise UsageError(
                f"{path} holds no activations. Expected what 'isocortex extract' writes, or <layer>.npy with "
                "stimulus_id.txt, <layer>.csv or <layer>.nc."
            )
        identity = f"activations:{path.resolve().name}"
        card = ModelCard(
            id=identity,
            object="isocortex.loading.folder_activations:FolderActivations",
            modality="any",
            layers=tuple(layers),
            package=FOLDER_PACKAGE,
            options={"path": str(path)},
        )
        return cls(card)

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Open the files; nothing is read yet."""
        del variant, device
        return _LoadedActivations(layers_of(Path(self.card.options["path"])))

    def fits(self, stimuli: StimulusSet, reduction: str) -> Sequence[str]:
        """Refuse other stimuli, and another reduction, than the activations were made with, where they say so.

        Raises
        ------
        DataError
            Stimuli have the same IDs and hold something else, or the reduction is another.
        """
        path = Path(self.card.options["path"])
        kept = ActivationFolder.at(path) if (path / "activations.json").exists() else None
        about = {} if kept is None else kept.record("activations.json")
        _refuse_reduction(self.card.id, about.get("reduction"), reduction)
        said = () if kept is None else kept.warnings
        return [*said, *said_of_folder(path), *_unlike(self.card.id, about, stimuli)]

    def trained_on(self, variant: Variant) -> TrainedOn | None:
        """What the model whose activations these are had learned from, where the folder says so."""
        del variant
        path = Path(self.card.options["path"])
        if not (path / "activations.json").exists():
            return None
        known = ActivationFolder.at(path).record("activations.json").get("trained_on")
        return None if known is None else TrainedOn.model_validate(known)

    def digest(self, variant: Variant) -> str | None:
        """Digest over names and contents of the files."""
        del variant
        path = Path(self.card.options["path"])
        digests = digest_files(file for file in path.rglob("*") if file.is_file())
        return digest_of({file.relative_to(path).as_posix(): digest for file, digest in digests.items()})


class _LoadedActivations(LoadedModel):
    def __init__(self, openers: dict[str, Callable[[], Activations]]) -> None:
        self.layers = list(openers)
        self._openers = openers
        self._opened: dict[str, Activations] = {}

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        for layer in layers:
            if layer not in self._opened:
                self._opened[layer] = self._openers[layer]()
                self._opened[layer].rows(batch.whole.ids)  # all that are absent are named at once
            activations = self._opened[layer]
            emit(layer, LayerOutput(activations.array(batch.ids), ("unit",), units=activations.units))


def _refuse_reduction(name: str, made: Any, wanted: str) -> None:
    """Refuse activations of another reduction."""
    if isinstance(made, str) and made != wanted and _steps(made) != _steps(wanted):
        raise DataError(
            f"{name} was made with the reduction {made!r}, and the benchmark asks for {wanted!r}. Extract them again "
            f"with 'isocortex extract --reduction {wanted}', or score them with a benchmark of {made!r}."
        )


def _steps(reduction: str) -> list[str]:
    try:
        return parse_reduction(reduction)
    except SettingsError:
        return [reduction]


def _unlike(name: str, about: Mapping[str, Any], stimuli: StimulusSet) -> list[str]:
    """Compare what stimuli hold with what they held when activations were made of them; warns of what is not known."""
    ids, contents = about.get("stimulus_id"), about.get("contents")
    if not isinstance(ids, list) or not isinstance(contents, list) or len(ids) != len(contents):
        return [f"{name} says nothing of what its stimuli held: they were met by ID alone."]
    known = dict(zip(map(str, ids), map(str, contents), strict=True))
    other: list[str] = []
    unknown: list[str] = []
    for place, (stimulus, now) in enumerate(zip(stimuli.ids, stimuli.content_digests, strict=True)):
        made = known.get(stimulus, now)  # one without activations is named when they are read
        if made == now:
            continue
        if made.startswith("file:") and now.startswith("array:"):
            unknown.append(stimulus)
        elif made.startswith("file:") or digest_loaded(stimuli.load(place)) != made:
            other.append(stimulus)
    if other:
        raise DataError(
            f"{name} was made of other stimuli than those of {stimuli.id!r}: {len(other)} of {len(stimuli)} have the "
            f"same ID and hold something else ({shorten(other)}). Extract them again from these stimuli."
        )
    which = f"{len(unknown)} of its stimuli ({shorten(unknown)})"
    return [f"{name} was made of files, and {which} are in memory: they were met by ID alone."] if unknown else []
