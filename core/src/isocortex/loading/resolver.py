"""From IDs to objects: cards, plugin classes, stimuli, data sets, metrics and loaded models."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from isocortex.catalogue.cards import (
    BenchmarkCard,
    Card,
    DatasetCard,
    MetricCard,
    ModelCard,
    StimuliCard,
    Variant,
    read_card,
)
from isocortex.catalogue.rows import Catalogue, Row
from isocortex.errors import AmbiguousIDError, PluginError, UnknownIDError, UsageError
from isocortex.files.disk import home_expanded_name
from isocortex.interfaces import DatasetPlugin, Executor, MetricPlugin, ModelPlugin, StimuliPlugin
from isocortex.loading.brain_model import BRAIN_PREFIX, PARTICIPANT, BrainModel

if TYPE_CHECKING:
    from isocortex.data.dataset import Dataset
    from isocortex.data.stimuli import StimulusSet
    from isocortex.files.file_store import FileStore
    from isocortex.loading.own_data import OwnBenchmark

_Plugin = TypeVar("_Plugin")

ACTIVATIONS_PREFIX = "activations:"
FOLDER_PREFIX = "folder:"

#: kind of row → the interface that its object must implement
INTERFACES: dict[str, type[Any]] = {
    "model": ModelPlugin,
    "stimuli": StimuliPlugin,
    "dataset": DatasetPlugin,
    "metric": MetricPlugin,
    "executor": Executor,
}


def load_object(card: Card) -> Any:
    """Import what a card names in ``object`` ("module:Name").

    Raises
    ------
    PluginError
        The import fails or the name does not exist; the message names package, version and reason.
    """
    target = str(getattr(card, "object", ""))
    module, _, name = target.partition(":")
    where = f"{card.id!r} of {card.package} {card.package_version}"
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError as error:
        raise PluginError(f"{where} names the object {target!r}, but {module} has no {name!r}.") from error
    except (Exception, SystemExit) as error:  # whatever a third party's module raises at import
        raise PluginError(
            f"{where} cannot be loaded: importing {module} failed with {type(error).__name__}: {error}. "
            f"'isocortex check {card.package}' says more."
        ) from error


def make_plugin(kind: str, card: Card) -> Any:
    """Make the plugin object of a card and check that it implements the interface of its kind.

    Raises
    ------
    PluginError
        It does not load, or is of another kind.
    """
    factory = load_object(card)
    interface = INTERFACES[kind]
    if not (isinstance(factory, type) and issubclass(factory, interface)):
        raise PluginError(
            f"{kind} {card.id!r} of {card.package} names {factory!r}, which is no subclass of {interface.__name__}."
        )
    try:
        return factory(card)
    except Exception as error:  # whatever a third party's constructor raises
        raise PluginError(
            f"{kind} {card.id!r} of {card.package} {card.package_version} cannot be made: "
            f"{type(error).__name__}: {error}"
        ) from error


def split_model_name(name: str) -> tuple[str, str | None]:
    """Split ``ID@variant``; paths of ``activations:`` and files may hold an ``@`` themselves.

    Examples
    --------
    >>> split_model_name("noise@random:3"), split_model_name("brain:folder:a@b@participant:P1")
    (('noise', 'random:3'), ('brain:folder:a@b', 'participant:P1'))
    """
    if name.startswith(ACTIVATIONS_PREFIX):
        return name, None
    if name.startswith(BRAIN_PREFIX):
        model, at, participant = name.rpartition(f"@{PARTICIPANT}:")
        if at:
            return model, f"{PARTICIPANT}:{participant}"
        return name.removesuffix("@fixed"), None
    model, at, variant = name.partition("@")
    return model, variant if at else None


def variant_of(card: ModelCard, text: str | None) -> Variant:
    """The variant that is asked for, or the card's first.

    Raises
    ------
    UsageError
        The model does not offer it.
    """
    variants = variants_of(card, text)
    if len(variants) > 1:
        raise UsageError(f"{text!r} stands for {len(variants)} variants of {card.id}. Expected one of them here.")
    return variants[0]


def variants_of(card: ModelCard, text: str | None) -> Sequence[Variant]:
    """As ``variant_of``, but a range of seeds is taken, too.

    Raises
    ------
    UsageError
        The model does not offer it.
    """
    variants = Variant.parse_all(text if text is not None else card.variants[0])
    if variants[0].kind not in card.variants:
        raise UsageError(f"{card.id} has no variant {text!r}; it offers {', '.join(card.variants)}.")
    return variants


class Resolver:
    """Finds and makes what IDs name, and remembers data sets that were loaded.

    Parameters
    ----------
    catalogue
        What is installed.
    files
        The data folder.
    objects
        Models that were passed as objects, by name; they come before the catalogue.
    own
        A benchmark of the user's own data.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        files: FileStore,
        objects: Mapping[str, ModelPlugin] | None = None,
        own: OwnBenchmark | None = None,
    ) -> None:
        self.own = own
        self.catalogue = catalogue
        self.files = files
        self.objects = {name: _as_wanted(model, files) for name, model in (objects or {}).items()}
        self._stimuli: dict[str, StimulusSet] = {}
        self._datasets: dict[str, Dataset] = {}
        self._models: dict[str, ModelPlugin] = {}

    # --- cards -----------------------------------------------------------------------------------------------------

    def card(self, kind: str, name: str) -> Card:
        """The checked card of a row, or that of a brain as a model."""
        if kind == "model" and name.startswith(BRAIN_PREFIX):
            return self.model(name).card
        return read_card(self.catalogue.find(kind, name))

    def reference(self, kind: str, name: str) -> str:
        """One spelling of a name whatever was typed: ``package::ID``; of what lies in a folder, its absolute path."""
        if (kind == "model" and name in self.objects) or self._own(name) is not None:
            return name
        if kind == "model" and (summands := self.summands(name)):
            return "+".join(self._reference_of(summand) for summand in summands)
        if name.startswith(BRAIN_PREFIX):
            return f"{BRAIN_PREFIX}{self.reference('dataset', name.removeprefix(BRAIN_PREFIX))}"
        for prefix in (ACTIVATIONS_PREFIX, FOLDER_PREFIX):
            if name.startswith(prefix):
                return f"{prefix}{Path(home_expanded_name(name).removeprefix(prefix)).absolute()}"
        return self.catalogue.find(kind, name).reference

    def _reference_of(self, summand: str) -> str:
        name, variant = split_model_name(summand)
        return self.reference("model", name) + ("" if variant is None else f"@{variant}")

    def _own(self, name: str) -> OwnBenchmark | None:
        """The benchmark of the user's own data, where its name or that of its data is meant."""
        return self.own if self.own is not None and name in (self.own.card.id, self.own.card.dataset) else None

    def canonical(self, kind: str, name: str) -> str:
        """The one name of a row: its ID, and ``package::ID`` where several packages offer that."""
        row = self.catalogue.find(kind, name)
        try:
            self.catalogue.find(kind, row.id)
        except AmbiguousIDError:
            return row.reference
        return row.id

    def summands(self, name: str) -> list[str]:
        """The models of ``a+b``, each ``ID[@VARIANT]``; none where one model is meant, whose name may hold a plus."""
        if "+" not in name or name in self.objects or name.startswith((ACTIVATIONS_PREFIX, BRAIN_PREFIX)):
            return []
        model, variant = split_model_name(name)
        if "+" not in model:  # it stands in the first variant, or in the path of one
            return [] if str(variant).startswith("file:") else name.split("+")
        try:
            self.catalogue.find("model", model)
        except AmbiguousIDError:
            return []
        except UnknownIDError:
            return name.split("+")
        return []

    def model_card(self, name: str) -> ModelCard:
        """Card of a model by ID, name of an object, ``activations:FOLDER``, or a sum of such."""
        if name in self.objects:
            return self.objects[name].card
        if name.startswith((ACTIVATIONS_PREFIX, BRAIN_PREFIX)) or self.summands(name):
            return self.model(name).card
        return cast("ModelCard", self.card("model", name))

    def benchmark_card(self, name: str) -> BenchmarkCard:
        """Card of a benchmark by ID, ``folder:PATH:METRIC``, or that of the user's own data."""
        if (own := self._own(name)) is not None:
            return own.card
        if name.startswith(FOLDER_PREFIX):
            from isocortex.loading.folder_dataset import folder_benchmark

            return folder_benchmark(name)
        return cast("BenchmarkCard", self.card("benchmark", name))

    def dataset_card(self, name: str) -> DatasetCard:
        """Card of a data set by ID or ``folder:PATH``, or that of the user's own data."""
        if (own := self._own(name)) is not None:
            return own.dataset_card
        if name.startswith(FOLDER_PREFIX):
            from isocortex.loading.folder_dataset import folder_dataset

            return folder_dataset(name)
        return cast("DatasetCard", self.card("dataset", name))

    def stimuli_card(self, name: str) -> StimuliCard:
        """Card of a stimulus set by ID or ``folder:PATH``, or that of the user's own data."""
        if (own := self._own(name)) is not None:
            return own.stimuli_card
        if name.startswith(FOLDER_PREFIX):
            from isocortex.loading.folder_dataset import folder_stimuli

            return folder_stimuli(name)
        return cast("StimuliCard", self.card("stimuli", name))

    # --- objects ---------------------------------------------------------------------------------------------------

    def model(self, name: str) -> ModelPlugin:
        """The plugin object of a model."""
        if name in self.objects:
            return self.objects[name]
        if name not in self._models:
            if name.startswith(ACTIVATIONS_PREFIX):
                from isocortex.loading.folder_activations import FolderActivations

                folder = home_expanded_name(name).removeprefix(ACTIVATIONS_PREFIX)
                self._models[name] = FolderActivations.at(Path(folder))
            elif name.startswith(BRAIN_PREFIX):
                self._models[name] = self._brain(name.removeprefix(BRAIN_PREFIX))
            elif summands := self.summands(name):
                self._models[name] = self._sum(summands)
            else:
                self._models[name] = cast("ModelPlugin", make_plugin("model", self.model_card(name)))
            self._models[name].offline = self.files.offline
        return self._models[name]

    def _brain(self, dataset: str) -> BrainModel:
        """The participants of a data set as a model; nothing is loaded yet."""
        card = self.dataset_card(dataset)
        stimuli = self.stimuli_card(self._sibling(card, "stimuli", card.stimuli))
        return BrainModel(card, stimuli.modality, lambda: self.dataset(dataset))

    def _sum(self, summands: Sequence[str]) -> ModelPlugin:
        """Several models as one; each is a feature space by its name, however it was spelled."""
        from isocortex.loading.model_sum import ModelSum

        parts: dict[str, tuple[ModelPlugin, Variant]] = {}
        for summand in summands:
            name, text = split_model_name(summand)
            if name.startswith(BRAIN_PREFIX):
                raise UsageError(f"{name} is other features for each participant, and cannot be part of a sum.")
            plugin = self.model(name)
            variant = variant_of(plugin.card, text)
            space = plugin.card.id if text is None else f"{plugin.card.id}@{variant}"
            if space in parts:
                raise UsageError(f"{space} is named twice in {'+'.join(summands)}.")
            parts[space] = plugin, variant
        return ModelSum(parts)

    def metric(self, name: str) -> MetricPlugin:
        """The plugin object of a metric."""
        return cast("MetricPlugin", make_plugin("metric", cast("MetricCard", self.card("metric", name))))

    def executor(self, name: str) -> Executor:
        """What runs tasks, made from the row of a plugin."""
        return cast("Executor", make_plugin("executor", self.card("executor", name)))

    def stimuli(self, name: str) -> StimulusSet:
        """The stimulus set, its files fetched and verified."""
        if (own := self._own(name)) is not None:
            return own.dataset.stimuli
        if name not in self._stimuli:
            card = self.stimuli_card(name)
            plugin = cast("StimuliPlugin", make_plugin("stimuli", card))
            self._stimuli[name] = plugin.load(self.data_files(card, f"The stimuli {card.id}"))
        return self._stimuli[name]

    def dataset(self, name: str) -> Dataset:
        """The data set over its stimuli, its files fetched and verified."""
        if (own := self._own(name)) is not None:
            return own.dataset
        if name not in self._datasets:
            card = self.dataset_card(name)
            plugin = cast("DatasetPlugin", make_plugin("dataset", card))
            files = self.data_files(card, f"The data set {card.id}")
            self._datasets[name] = plugin.load(files, self.stimuli(self._sibling(card, "stimuli", card.stimuli)))
        return self._datasets[name]

    def data_files(self, card: Card, what: str) -> Any:
        """Files that a card lists, present and verified."""
        from isocortex.files.file_store import read_specs

        specs = read_specs(card.folder, getattr(card, "files", None))
        return self.files.present(card.package, specs, what)

    def _sibling(self, card: Card, kind: str, name: str) -> str:
        return sibling(self.catalogue, card, kind, name)


def _as_wanted(model: ModelPlugin, files: FileStore) -> ModelPlugin:
    """A model that was passed as an object; offline, one that stays so in this run alone."""
    if not files.offline or model.offline:
        return model
    offline = copy.copy(model)
    offline.offline = True
    return offline


def sibling(catalogue: Catalogue, card: Card, kind: str, name: str) -> str:
    """How to name what a card refers to: its own package's row comes first, where several packages offer the ID."""
    own = f"{card.package}::{name}"
    rows = [row for row in catalogue.of_kind(kind) if name in row.names]
    return own if len(rows) > 1 and any(row.package == card.package for row in rows) else name


def resolver(*, offline: bool = False) -> Resolver:
    """A resolver over what is installed now and the default data folder."""
    from isocortex.files.file_store import FileStore

    return Resolver(Catalogue.discover(), FileStore(offline=offline))


def row_of(catalogue: Catalogue, name: str) -> Row | None:
    """The first row of any kind with that ID; for commands that take any ID."""
    from isocortex.errors import UnknownIDError

    for kind in ("model", "benchmark", "dataset", "stimuli", "metric"):
        try:
            return catalogue.find(kind, name)
        except UnknownIDError:
            continue
    return None
