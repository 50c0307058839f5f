"""What a third party writes: a model, a data set or a metric, each 50 to 150 lines over these classes.

A plugin class is made from its card (the row of ``isocortex.toml``) and does nothing until it is used. Modules of
plugins import torch, nemo or transformers inside functions only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel

from isocortex.catalogue.cards import BenchmarkCard, DatasetCard, LayerRule, MetricCard, ModelCard, StimuliCard, Variant

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import xarray as xr

    from isocortex.activations.layer import Activations
    from isocortex.data.dataset import Dataset
    from isocortex.data.stimuli import StimulusBatch, StimulusSet
    from isocortex.results.result import Summary

    Array = np.ndarray[Any, Any]

_Schema = TypeVar("_Schema", bound=BaseModel)

__all__ = [
    "BenchmarkCard",
    "Ceiling",
    "Comparison",
    "DataFiles",
    "DatasetCard",
    "DatasetPlugin",
    "Emit",
    "LayerOutput",
    "LoadedModel",
    "MetricCard",
    "MetricPlugin",
    "ModelCard",
    "ModelPlugin",
    "Rules",
    "StimuliCard",
    "StimuliPlugin",
    "Variant",
    "check_settings",
]


# --- models -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LayerOutput:
    """What one layer gives for a batch.

    Attributes
    ----------
    array
        (n_stimuli, …), numpy or torch.
    axes
        Names of the axes after the first: "time", "channel", "frequency", "height", "width", "unit", …
    lengths
        Valid steps along "time" for each stimulus; None: all steps are valid.
    units
        Names of the units of a layer with the single axis "unit" (class labels, neuroid_id).
    step_ms
        Start and stop of each time step in ms, (n_steps, 2); for responses that go on in time.
    """

    array: Any
    axes: tuple[str, ...]
    lengths: Sequence[int] | None = None
    units: tuple[str, ...] | None = None
    step_ms: Array | None = None


Emit = Callable[[str, LayerOutput], None]


class LoadedModel(ABC):
    """A model in memory; a context manager that frees its memory on exit."""

    #: the default layers, in processing order
    layers: Sequence[str]
    #: how stimuli may be put together; core groups them accordingly
    batching: Literal["any", "equal-length", "single"] = "any"

    def find(self, pattern: str) -> Sequence[str]:
        """Layers that match a pattern: ``*`` stays inside one dotted segment, ``**`` crosses segments."""
        from isocortex.scoring.layer_choice import match_layers

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


class ModelPlugin(ABC):
    """A model that can be loaded in the variants that its card lists."""

    #: never use the network; set by whoever makes the plugin
    offline: bool = False
    #: under ``--device auto``, run on an accelerator where there is one
    accelerated: bool = False

    def __init__(self, card: ModelCard) -> None:
        self.card = card

    @abstractmethod
    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Build the model with the weights that the variant asks for."""

    def digest(self, variant: Variant) -> str | None:
        """Digest over code, card and weights, found without loading the model; None: never cached.

        The default covers the source of the plugin's package, the card and the variant. A model with weights in files
        adds their digest (``isocortex.digests.digest_files``); that of ``file:PATH`` is part of it already.
        """
        from isocortex.files.digests import digest_plugin, digests_of_variant

        return digest_plugin(self, self.card.id, self.card.options, str(variant), digests_of_variant(variant))

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


# --- data sets --------------------------------------------------------------------------------------------------------


class DataFiles(Mapping[str, "Path"]):
    """Files of a data set, present and verified: name → path."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = dict(paths)

    def __getitem__(self, name: str) -> Path:
        return self._paths[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def named(self, name: str) -> Path:
        """The path of a file by its name without folders.

        Raises
        ------
        DataError
            No file, or more than one, has that name.

        Examples
        --------
        >>> from pathlib import Path
        >>> files = DataFiles({"data/components.mat": Path("components.mat")})
        >>> files.named("components.mat") == files["data/components.mat"]
        True
        """
        from pathlib import PurePosixPath

        from isocortex.errors import DataError, shorten

        found = [path for listed, path in self._paths.items() if PurePosixPath(listed).name == name]
        if len(found) != 1:
            raise DataError(f"Expected one file {name}, found {len(found)} among {shorten(self._paths) or 'no files'}.")
        return found[0]


class StimuliPlugin(ABC):
    """Stimuli that data sets share, so that a model runs on them once."""

    def __init__(self, card: StimuliCard) -> None:
        self.card = card

    @abstractmethod
    def load(self, files: DataFiles) -> StimulusSet:
        """Make the stimulus set, in canonical order."""


class DatasetPlugin(ABC):
    """What a brain did with a set of stimuli."""

    def __init__(self, card: DatasetCard) -> None:
        self.card = card

    @abstractmethod
    def load(self, files: DataFiles, stimuli: StimulusSet) -> Dataset:
        """Make the data set over the stimuli that its card names."""

    def fetch(self, source: Path | None = None) -> Sequence[Path]:
        """Bring files here that the card cannot list, as they have no address or checksum; none by default.

        Raises
        ------
        FilesError
            They are neither here nor in ``source``; the message says how to get them.
        """
        del source
        return ()


# --- metrics ----------------------------------------------------------------------------------------------------------

KEEPABLE = ("prediction", "alpha", "training_r2")  # beside scores; "alpha" stands for "alpha_at_bound" too


@dataclass(frozen=True)
class Ceiling:
    """How well the best model could do, on the statistic and target that it belongs to.

    Attributes
    ----------
    estimator
        Name of the procedure, shown beside the value.
    statistic
        The statistic that it bounds ("r", "rho", …).
    value
        Per neuroid or per subject as a DataArray, or one number; None where only a band is known.
    lower, upper
        The band of an RDM ceiling; drawn, never a divisor.
    """

    estimator: str
    statistic: str
    value: xr.DataArray | float | None = None
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True)
class Rules:
    """How raw scores become a summary; from the benchmark's card and the run."""

    measure: str | None = None
    ceiling_mode: str = "none"
    layer_rule: LayerRule = field(default_factory=LayerRule)
    summary_by: tuple[str, ...] = ()
    n_draws: int = 1000
    seed: int = 0

    @classmethod
    def of(cls, card: BenchmarkCard, seed: int) -> Rules:
        """The rules that a benchmark declares."""
        return cls(card.measure, card.ceiling_mode, card.layer_rule, card.summary_by, seed=seed)


class Comparison(ABC):
    """A metric with its target prepared: everything that depends on the brain alone is done once.

    ``score`` returns a Dataset that holds the measure (its name is ``statistic`` unless the rules say otherwise) with
    dims ("split", "neuroid"), ("subject",) or none, and may hold

    - ``selection`` ("split", "neuroid"): how well the layer does *within the training stimuli* of each split; with it
      the layer is chosen nested, without it the best layer is reported as optimistic;
    - ``prediction``: whatever ``resample`` needs of the layer that is read out, with dims ("split", "test", "neuroid")
      or ("pair",); kept for that layer only;
    - ``null`` ("split", "neuroid"): where there is no prediction, so that the measure was set to 0;
    - ``alpha``, ``alpha_at_bound`` (-1 lowest, 0 inside, 1 highest of its grid), ``training_r2`` ("split", "neuroid").

    Coordinates on neuroid (``neuroid_id``, ``region``, ``subject``) are those of the responses.
    """

    #: the statistic that ``value`` is, and the name of its variable in the scores
    statistic: ClassVar[str] = "r"
    #: the variable that ``value`` is made of, where its name is another
    measure: ClassVar[str | None] = None
    #: modes that fit the ceiling; one that is a reliability and no r takes "r2_over_c" or "r_over_c_squared"
    ceiling_modes: ClassVar[tuple[str, ...]] = ("r_over_sqrt_c",)
    #: what ``error`` is, where ``resample`` gives draws
    error_kind: ClassVar[str] = "bootstrap standard deviation"
    ceiling: Ceiling | None = None
    rules: Rules = Rules()
    #: number of stimuli that are compared, and of neuroids before any selection, where that is known
    n_stimuli: int = 0
    n_neuroids_total: int | None = None
    #: what is kept beside the scores; the rest need not be computed
    keep: tuple[str, ...] = KEEPABLE
    #: activations of the models that the benchmark names as baselines, one entry per layer
    baselines: Mapping[str, Activations] = MappingProxyType({})
    #: regions of a metric whose scores have no neuroids; the scores hold theirs along the dim "part" as "part_NAME"
    parts: Mapping[str, Comparison] = MappingProxyType({})

    @abstractmethod
    def score(self, activations: Activations | xr.DataArray) -> xr.Dataset:
        """Compare one layer with the target."""

    def score_all(self, layers: Mapping[str, Activations]) -> xr.Dataset:
        """Compare all layers, one by one, and choose the one that is read out.

        Adds ``chosen`` (index of the layer) and ``readout`` (the measure there) with the dims of the measure, keeps
        ``prediction`` of the chosen layers only.
        """
        from isocortex.scoring.layer_choice import score_layers

        return score_layers(self, layers)

    def resample(self, scores: xr.Dataset, n_draws: int, seed: int) -> tuple[Array, str] | None:
        """Bootstrap the value: (n_draws,) draws and what was resampled ("stimuli", "stimuli × participants").

        ``scores`` may be restricted to some of the neuroids. None: this metric has no interval.
        """
        del scores, n_draws, seed
        return None

    def summarise(self, scores: xr.Dataset) -> Summary:
        """Reduce raw scores (of ``score`` or ``score_all``, whole or restricted to a region) to one row."""
        from isocortex.scoring.summary import summarise

        return summarise(self, scores)


class MetricPlugin(ABC):
    """A way to compare activations with a brain."""

    def __init__(self, card: MetricCard) -> None:
        self.card = card

    @abstractmethod
    def against(
        self,
        target: Dataset | xr.DataArray,
        *,
        settings: Mapping[str, object],
        seed: int,
        device: str = "cpu",
    ) -> Comparison:
        """Prepare everything that depends on the brain alone.

        Raises
        ------
        SettingsError
            A setting that the metric does not know, or a seed that a published metric does not use.
        DataError
            A target of a kind that the metric cannot use.
        """

    def digest(self) -> str | None:
        """Digest over the metric's code and card, part of every result's digest; None: never cached."""
        from isocortex.files.digests import digest_plugin

        return digest_plugin(self, self.card.id, self.card.options)


def check_settings(schema: type[_Schema], settings: Mapping[str, object], metric: str) -> _Schema:
    """Check the settings of a metric against its pydantic schema (which should forbid extra keys).

    Raises
    ------
    SettingsError
        An unknown key or a value out of range; the message names the closest key.

    Examples
    --------
    >>> from pydantic import BaseModel
    >>> class Settings(BaseModel, extra="forbid"):
    ...     n_folds: int = 5
    >>> check_settings(Settings, {"n_folds": 3}, "ridge").n_folds
    3
    """
    from pydantic import ValidationError

    from isocortex.errors import SettingsError, suggest

    known = list(schema.model_fields)
    for name in settings:
        if name not in known:
            raise SettingsError(f"{metric} has no setting {name!r}.{suggest(name, known)} It has {', '.join(known)}.")
    try:
        return schema.model_validate(dict(settings))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise SettingsError(f"Settings of {metric} are not valid: {problems}.") from error
