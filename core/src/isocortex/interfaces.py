"""What a third party writes: a model, a data set, a metric or an executor, 50 to 150 lines over these classes.

A plugin class is made from its card (the row of ``isocortex.toml``) and does nothing until it is used. Modules of
plugins import torch, nemo or transformers inside functions only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from isocortex.activations.output import Emit, LayerOutput
from isocortex.catalogue.cards import (
    BenchmarkCard,
    DatasetCard,
    ExecutorCard,
    MetricCard,
    ModelCard,
    StimuliCard,
    Variant,
    shown_metric,
    shown_model,
)
from isocortex.display import Displayed, Shown
from isocortex.errors import DataError, UsageError
from isocortex.files.file_store import DataFiles
from isocortex.files.row_digests import (
    digest_benchmark as digest_benchmark,
    digest_plugin,
    digest_row as digest_row,
    digests_of_variant,
)
from isocortex.scoring.comparison import Comparison
from isocortex.scoring.contract import Ceiling, Preparation, Resampled, Rules, Split
from isocortex.scoring.metric_settings import check_settings, named_object, settings_in_full
from isocortex.training.fitted import Fitted, read_fitted, read_trained_on
from isocortex.training.journal import Journal
from isocortex.training.trained_on import TrainedOn

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.data.dataset import Dataset
    from isocortex.data.stimuli import StimulusBatch, StimulusSet

__all__ = [
    "BenchmarkCard",
    "Ceiling",
    "Comparison",
    "DataFiles",
    "DatasetCard",
    "DatasetPlugin",
    "Emit",
    "Executor",
    "ExecutorCard",
    "LayerOutput",
    "LoadedModel",
    "MetricCard",
    "MetricPlugin",
    "ModelCard",
    "ModelPlugin",
    "Preparation",
    "Resampled",
    "Rules",
    "Split",
    "StimuliCard",
    "StimuliPlugin",
    "Task",
    "TrainableModel",
    "Variant",
    "check_settings",
    "digest_benchmark",
    "digest_plugin",
    "named_object",
    "settings_in_full",
]


# --- models -----------------------------------------------------------------------------------------------------------


class LoadedModel(ABC):
    """A model in memory; a context manager that frees its memory on exit."""

    #: the default layers, in processing order
    layers: Sequence[str]
    #: how stimuli may be put together; core groups them accordingly
    batching: Literal["any", "equal-length", "single"] = "any"
    #: what was found odd or guessed while the model was loaded or ran; every result that is made of it says it
    warnings: Sequence[str] = ()

    def find(self, pattern: str) -> Sequence[str]:
        """Layers that match a pattern: ``*`` stays inside one dotted segment, ``**`` crosses segments."""
        from isocortex.activations.layer_names import match_layers

        return match_layers(pattern, self.layers)

    @abstractmethod
    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        """Run a batch and call ``emit(layer, output)`` for each of ``layers`` as soon as its output exists."""

    def close(self) -> None:  # noqa: B027 - most models have nothing to free
        """Free the model's memory."""

    def __enter__(self) -> LoadedModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ModelPlugin(Displayed, ABC):
    """A model that can be loaded in the variants that its card lists."""

    #: never use the network; set by whoever makes the plugin
    offline: bool = False
    #: tells apart models of one name in one run, such as the networks of several splits
    part: str = ""
    #: under ``--device auto``, run on an accelerator where there is one
    accelerated: bool = False

    def __init__(self, card: ModelCard) -> None:
        self.card = card

    def _shown(self) -> Shown:
        return shown_model(self.card)

    @abstractmethod
    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Build the model with the weights that the variant asks for."""

    def digest(self, variant: Variant) -> str | None:
        """Digest over code, card and weights, found without loading the model; None: never cached.

        The default covers the source that the plugin's class stands on, the row, versions of libraries and the
        variant. A model with weights in files adds their digest (``isocortex.files.digest_files``); that of
        ``file:PATH`` is part of it already.
        """

        return digest_plugin(self, str(variant), digests_of_variant(variant))

    def changed_by_running(self) -> bool:
        """Whether running the model changed what its digest covers: then its activations stand for it in a result."""
        return False

    def fits(self, stimuli: StimulusSet, reduction: str) -> Sequence[str]:
        """Refuse stimuli or a reduction that the model is not for, before it is loaded; returns warnings for results.

        Most models take any; activations in a folder were made of certain stimuli under one reduction.

        Raises
        ------
        DataError
            They do not fit; the message says what does.
        """
        del stimuli, reduction
        return ()

    def trained_on(self, variant: Variant) -> TrainedOn | None:
        """What the variant has learned from, so that it is never tested on it; None: nothing that a benchmark holds."""
        del variant
        return None

    def fetch(self, variant: Variant, source: Path | None = None) -> Sequence[Path]:
        """Bring the weights of a variant here, from the folder ``source`` or, unless ``offline``, from the network.

        Returns the files or folders that the variant needs, verified; the default is for models without files.

        Raises
        ------
        FilesError
            They are neither here nor in ``source`` nor downloadable; the message names every place that was looked at.
        """
        del variant, source
        return ()


class TrainableModel(ModelPlugin):
    """A model that learns from the training part of a benchmark, and is scored on the rest alone.

    Its variant ``trained:SEED`` is fitted once for every split; ``file:FOLDER`` is one such fit, wherever it lies.
    Features that lie beside the responses, such as layers before the last, may be compared by any metric with splits.
    """

    @abstractmethod
    def fit(self, stimuli: StimulusSet, responses: xr.DataArray, *, seed: int, device: str, journal: Journal) -> Fitted:
        """Learn from the training part of one split; everything that is chosen is chosen inside it.

        Parameters
        ----------
        stimuli
            The training stimuli in canonical order, with their table; nothing leads from them to others.
        responses
            Theirs, every presentation: dims ("presentation", "neuroid").
        seed
            Draws weights, batches and inner splits; equal seeds give equal bytes.
        device
            Where it learns.
        journal
            Keeps the state at the end of every epoch, and tells how far it is.
        """

    @abstractmethod
    def open(self, fitted: Fitted, *, device: str) -> LoadedModel:
        """The network that was fitted; outputs that stand for neuroids are named after them (``LayerOutput.units``)."""

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """The network of ``file:FOLDER``; an untrained one (``random``) is for who offers it.

        Raises
        ------
        UsageError
            ``trained``, which is not one network but one for each split of a benchmark.
        DataError
            The folder holds a fit of another model.
        """
        if variant.path is not None:
            fitted = read_fitted(Path(variant.path))
            if fitted.model != self.card.id:
                raise DataError(
                    f"{variant.path} was fitted as {fitted.model!r}, and is not opened as {self.card.id!r}."
                )
            return self.open(fitted, device=device)
        raise UsageError(
            f"{self.card.id}@{variant} is one network for each split of a benchmark: 'isocortex score' trains and "
            f"tests them. '--keep fitted' keeps them; {self.card.id}@file:FOLDER is one of them."
        )

    def trained_on(self, variant: Variant) -> TrainedOn | None:
        """What the fit in a folder has learned from."""
        return None if variant.path is None else read_trained_on(Path(variant.path))


# --- data sets --------------------------------------------------------------------------------------------------------


class StimuliPlugin(ABC):
    """Stimuli that data sets share, so that a model runs on them once."""

    def __init__(self, card: StimuliCard) -> None:
        self.card = card

    @abstractmethod
    def load(self, files: DataFiles) -> StimulusSet:
        """Make the stimulus set, in canonical order."""


class DatasetPlugin(ABC):
    """What a brain did with a set of stimuli."""

    #: never use the network; set by whoever makes the plugin
    offline: bool = False

    def __init__(self, card: DatasetCard) -> None:
        self.card = card

    @abstractmethod
    def load(self, files: DataFiles, stimuli: StimulusSet) -> Dataset:
        """Make the data set over the stimuli that its card names."""

    def fetch(self, source: Path | None = None) -> Sequence[Path]:
        """Bring files here that the card cannot list, as they have no address or checksum; none by default.

        From the folder ``source`` or, unless ``offline``, from the network.

        Raises
        ------
        FilesError
            They are neither here nor in ``source``; the message says how to get them.
        """
        del source
        return ()


# --- metrics ----------------------------------------------------------------------------------------------------------


class MetricPlugin(Displayed, ABC):
    """A way to compare activations with a brain."""

    def __init__(self, card: MetricCard) -> None:
        self.card = card

    def _shown(self) -> Shown:
        return shown_metric(self.card)

    @abstractmethod
    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object] = {},
        seed: int = 0,
        device: str = "cpu",
        preparation: Preparation = Preparation(),
    ) -> Comparison:
        """Prepare everything that depends on the brain alone; the comparison is whole when it is made.

        Parameters
        ----------
        target
            A data set, or its responses or matrices.
        settings
            Of the metric.
        seed
            Draws what the metric draws.
        device
            Where products are formed.
        preparation
            Rules, what is kept and baselines, for ``Comparison.__init__``.

        Raises
        ------
        SettingsError
            A setting that the metric does not know, an aggregate or a ceiling that it does not offer, or a seed that a
            published metric does not use.
        DataError
            A target of a kind that the metric cannot use.
        """

    def digest(self) -> str | None:
        """Digest over the metric's code, row and libraries, part of every result's digest; None: never cached."""

        return digest_plugin(self)


# --- where a run is done ----------------------------------------------------------------------------------------------


class Task(ABC):
    """A piece of a run that any process can do by itself: what ``isocortex run-task FILE`` takes, as JSON.

    A task names everything that it needs; only the folders of data and cache come from the environment. Done twice, it
    is computed once. Core makes tasks and runs them, an executor only hands them on.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """What a person calls it."""

    @property
    @abstractmethod
    def group(self) -> str:
        """What tasks that share an extraction have in common: they belong into one process, one after the other."""

    @property
    def needs(self) -> Task | None:
        """The extraction without which this task would have to extract first; equal for all that share it, or None."""
        return None

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The task as plain lists, dictionaries, texts and numbers."""


class Executor(ABC):
    """Where the tasks of a run are done; ``score --executor ID`` makes it from its row."""

    #: at most so many tasks at once, where the user says so with ``--jobs``
    n_jobs: int | None = None
    #: the tasks run on other machines: what is finished is not handed over, and nothing is computed here afterwards
    remote: bool = False
    #: the file to which tasks add their lines, for ``run-task --log``, where the user names one
    log: Path | None = None

    def __init__(self, card: ExecutorCard) -> None:
        self.card = card

    def say(self, text: str) -> None:
        """Tell the user a line; core puts its own in this place."""
        del text

    @abstractmethod
    def run(self, tasks: Sequence[Task]) -> Mapping[Task, str] | None:
        """Have every task run and return when all have ended; what they find lies in the results folder then.

        Returns
        -------
        Why tasks ended that could not say it themselves: killed, out of memory, out of time. Where such a task has left
        neither result nor failure, its reason is kept as the failure of its cell (only of a ``remote`` executor).

        Raises
        ------
        IsocortexError
            A task could not be started, or its process died; a score that fails is a record and no error.
        """
