"""A brain as a model, ``brain:DATASET``: what some participants did with the stimuli predicts what another one did.

Whoever is predicted is never among the features: of a benchmark with several participants each is predicted by the
others, ``brain:DATASET``, or all but one by that one, ``brain:DATASET@participant:ID``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.activations.layer_names import match_layers
from isocortex.activations.output import Emit, LayerOutput
from isocortex.catalogue.cards import ModelCard, Variant
from isocortex.errors import DataError, UsageError, shorten, suggest
from isocortex.files.digests import digest_files, digest_of
from isocortex.interfaces import LoadedModel, ModelPlugin

if TYPE_CHECKING:
    from isocortex.catalogue.cards import DatasetCard
    from isocortex.data.dataset import Dataset
    from isocortex.data.stimuli import StimulusBatch, StimulusSet

BRAIN_PREFIX = "brain:"
PARTICIPANT = "participant"
#: files whose code makes the features
_CODE = ("brain_features.py", "brain_model.py")


class BrainModel(ModelPlugin):
    """The participants of a data set, each as far as somebody else is predicted.

    Parameters
    ----------
    dataset_card, modality
        Of the data set, and of its stimuli.
    load
        Loads the data set when it is needed.
    """

    def __init__(self, dataset_card: DatasetCard, modality: str, load: Callable[[], Dataset]) -> None:
        card = ModelCard(
            id=f"{BRAIN_PREFIX}{dataset_card.id}",
            object=f"{__name__}:BrainModel",
            modality=modality,
            layers=(),
            variants=("fixed", PARTICIPANT),
            title=f"participants of {dataset_card.id}",
            licence=dataset_card.licence,
            reference=dataset_card.reference,
            tags={"family": BRAIN_PREFIX.removesuffix(":")},
            package=dataset_card.package,
            package_version=dataset_card.package_version,
        )
        super().__init__(card)
        self._load = load

    @cached_property
    def dataset(self) -> Dataset:
        """The data set."""
        return self._load()

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """A brain is loaded only for whoever is predicted.

        Raises
        ------
        UsageError
            Always: the activations could be scored on the participants that they hold.
        """
        del variant, device
        raise UsageError(
            f"{self.card.id} is a model only on a benchmark, where whoever is predicted is left out of it: "
            f"'isocortex score -m {self.card.id} -b BENCHMARK'."
        )

    def digest(self, variant: Variant) -> str | None:
        """Digest over the data and the code that makes features of them."""
        code = digest_files([Path(__file__).with_name(name) for name in _CODE])
        return digest_of([sorted(code.values()), self.dataset.digest, str(variant)])

    def fits(self, stimuli: StimulusSet, reduction: str) -> Sequence[str]:
        """Refuse stimuli that these participants did not meet, or that hold something else.

        Raises
        ------
        DataError
            They do not fit.
        """
        del reduction
        own = self.dataset.stimuli
        if own.digest == stimuli.digest:
            return ()
        known = dict(zip(own.ids, own.contents, strict=True))
        absent = [name for name in stimuli.ids if name not in known]
        if absent:
            raise DataError(
                f"{self.card.id} knows nothing of {len(absent)} of the {len(stimuli)} stimuli ({shorten(absent)}): "
                f"its participants met those of {own.id!r}."
            )
        other = [name for name, holds in zip(stimuli.ids, stimuli.contents, strict=True) if known[name] != holds]
        if other:
            raise DataError(
                f"{len(other)} of the {len(stimuli)} stimuli of {self.card.id} have the same ID and hold something "
                f"else than those of {stimuli.id!r}: {shorten(other)}."
            )
        return ()

    def sources(self, variant: Variant, predicted: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Who predicts each participant; whoever would be predicted by nobody else is not in it.

        Parameters
        ----------
        variant
            "fixed": all others; ``participant:ID``: that one.
        predicted
            Names of the participants of the benchmark. Those of the same name are taken for the same person.

        Raises
        ------
        DataError
            It is not known whose the responses are, or nobody is left.
        UsageError
            No participant of that name.
        """
        from isocortex.loading.brain_features import participants_of

        known = participants_of(self.dataset)
        if not known or not predicted:
            which = f"The data of {self.card.id}" if not known else "The responses of the benchmark"
            raise DataError(
                f"{which} do not say whose they are (no coordinate 'subject'), so that whoever is predicted could not "
                "be left out of the features."
            )
        if variant.kind == PARTICIPANT and variant.label not in known:
            raise UsageError(
                f"{self.card.id} has no participant {variant.label!r}.{suggest(variant.label or '', known)} "
                f"It has {shorten(known, 12)}."
            )
        features = known if variant.kind == "fixed" else (variant.label or "",)
        found = {name: tuple(one for one in features if one != name) for name in predicted}
        found = {name: sources for name, sources in found.items() if sources}
        if not found:
            raise DataError(
                f"{self.card.id}@{variant} has no participant beside those that are predicted ({shorten(predicted)})."
            )
        return found

    def of(self, participants: Sequence[str], predicted: str = "") -> BrainPart:
        """Some of the participants, as a model that is extracted like any other; for one that they predict, or all."""
        name = f"{self.card.id} for {predicted}" if predicted else self.card.id
        return BrainPart(self, tuple(participants), name)


class BrainPart(ModelPlugin):
    """The participants of a data set that predict one other.

    Parameters
    ----------
    brain
        That they are part of.
    participants
        Whose responses are features.
    name
        For messages.
    """

    def __init__(self, brain: BrainModel, participants: tuple[str, ...], name: str) -> None:
        super().__init__(brain.card.model_copy(update={"id": name, "variants": ("fixed",)}))
        self.brain, self.participants, self.part = brain, participants, digest_of(participants)

    def digest(self, variant: Variant) -> str | None:
        """Digest over the whole brain and who of it is meant."""
        own = self.brain.digest(variant)
        return None if own is None else digest_of([own, self.participants])

    def fits(self, stimuli: StimulusSet, reduction: str) -> Sequence[str]:
        """As the whole brain."""
        return self.brain.fits(stimuli, reduction)

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Average repetitions."""
        del variant, device
        return _Responses(self.brain.dataset, self.participants)


class _Responses(LoadedModel):
    """Responses by stimulus: the layer "all", and on request one for each region."""

    def __init__(self, dataset: Dataset, participants: tuple[str, ...]) -> None:
        from isocortex.loading.brain_features import ALL, regions_of
        from isocortex.results.frames import row_name

        self.layers = (ALL,)
        self.dataset, self.participants = dataset, participants
        data = dataset.select(subject=participants) if dataset.responses is not None else dataset
        self.regions: Mapping[str, str | None] = {ALL: None, **{row_name(name): name for name in regions_of(data)}}
        self.rows = {name: place for place, name in enumerate(dataset.stimuli.ids)}
        self._made: dict[str, object] = {}

    def find(self, pattern: str) -> Sequence[str]:
        return match_layers(pattern, self.regions)

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        import numpy as np

        from isocortex.loading.brain_features import features_of

        for layer in layers:
            if layer not in self._made:
                self._made[layer] = features_of(self.dataset, self.participants, self.regions[layer])
            values = np.asarray(self._made[layer])[[self.rows[name] for name in batch.ids]]
            emit(layer, LayerOutput(values.astype(np.float32), ("unit",)))
