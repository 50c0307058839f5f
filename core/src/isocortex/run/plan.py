"""The plan: models × benchmarks → cells, from manifests alone, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.activations.reductions import parse_reduction
from isocortex.catalogue.cards import ANY_MODALITY, MetricCard, Variant
from isocortex.errors import ModalityError, SettingsError, UsageError, shorten
from isocortex.files.digests import digest_of, short
from isocortex.loading.resolver import sibling, split_model_name
from isocortex.results.records import splits_mark, trial_mark
from isocortex.run.asked_null import Null
from isocortex.run.asked_splits import StricterSplits
from isocortex.run.choosing import choose_benchmarks, choose_models
from isocortex.run.same_name import refuse_shared_names
from isocortex.scoring.stats import DRAWS

if TYPE_CHECKING:
    from isocortex.catalogue.cards import BenchmarkCard
    from isocortex.loading.resolver import Resolver


#: the most draws that may be asked for; a thousand of them take 8 kB of memory for each stimulus
MOST_DRAWS = 100_000
#: of a trial: below it nothing could be split and fitted
FEWEST_STIMULI = 8


@dataclass(frozen=True)
class RunConfig:
    """How a run is done; what it scores is not part of it.

    Parameters
    ----------
    layers
        Patterns; empty: each model's default layers.
    device
        "auto", "cpu", "cuda", …
    batch_size
        Stimuli per batch; None: chosen by core, halved where memory does not suffice.
    seed
        Draws splits and bootstrap samples.
    keep
        Raw arrays to keep beside a result, in kept/NAME.nc: "prediction", "alpha", "training_r2"; "mapping"; "fitted".
    offline
        Never use the network.
    out
        Results folder.
    shard
        (i, n) with 1 ≤ i ≤ n: only the cells of the i-th of n shares; extractions are dealt out in turn, so that no
        share has more than one extraction more than another.
    cells
        IDs of cells: only these; empty: all.
    draws
        Bootstrap draws of each value, at least 1,000; a finished result that has fewer is given more. None: 1,000, or
        as many as a finished result has.
    null
        What chance gives is found by permuting stimuli: "default", "N", "within:COLUMN" or "N,within:COLUMN" (see
        ``run.permuting.Null``); a finished result without it is given it. None: not asked for.
    splits
        Stricter splits than those of the benchmark, by name: "leave-COLUMN-out", "leave-COLUMN=VALUE-out",
        "out-of-distribution" or "clusters:K:MODEL" (see ``run.asked_splits.StricterSplits``). None: as the benchmark
        says.
    limit
        A trial on so many stimuli, spread evenly over the canonical order; its results lie in a folder of their own.
    """

    layers: tuple[str, ...] = ()
    device: str = "auto"
    batch_size: int | None = None
    seed: int = 0
    keep: tuple[str, ...] = ()
    offline: bool = False
    out: Path = field(default_factory=lambda: Path("results"))
    shard: tuple[int, int] | None = None
    cells: tuple[str, ...] = ()
    draws: int | None = None
    null: str | None = None
    splits: str | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.draws is not None and not DRAWS <= self.draws <= MOST_DRAWS:
            raise SettingsError(f"Draws are {DRAWS:,} to {MOST_DRAWS:,}; found {self.draws:,}.")
        if self.null is not None:
            Null.parse(self.null)  # refused at once
        if self.splits is not None:
            StricterSplits.parse(self.splits)
        if self.limit is not None and self.limit < FEWEST_STIMULI:
            raise SettingsError(f"A trial takes {FEWEST_STIMULI} stimuli or more; found {self.limit}.")

    @property
    def folder(self) -> Path:
        """Where results go: trials beside those that are none."""
        return self.out if self.limit is None else self.out.with_name(f"{self.out.name}-trial")


@dataclass(frozen=True)
class Asked:
    """What a cell is asked about, in one spelling whatever was typed.

    Parameters
    ----------
    model, benchmark
        ``package::ID``, or the absolute path of a folder.
    variant
        As it is parsed; files by their absolute path.
    version
        Of the benchmark.
    """

    model: str
    variant: str
    benchmark: str
    version: int


@dataclass(frozen=True)
class Cell:
    """One model variant on one benchmark: names as they were typed, what they stand for, and suites with version."""

    model: str
    variant: str
    benchmark: str
    dataset: str
    stimuli: str
    metric: str
    reduction: str
    layers: tuple[str, ...]
    seed: int
    asked: Asked
    suites: tuple[str, ...] = ()
    limit: int | None = None
    summed: bool = False
    splits: str | None = None

    @property
    def id(self) -> str:
        """A digest of what was asked, known before anything is loaded; names the cell and its failure."""
        further = [item for item in (self.limit, self.splits) if item is not None]
        return short(digest_of([asdict(self.asked), self.layers, self.seed, *further]))

    @property
    def name(self) -> str:
        """``model@variant × benchmark``."""
        return f"{self.model}@{self.variant} × {self.named_benchmark}"

    @property
    def named_benchmark(self) -> str:
        """The benchmark as results call it: with stricter splits, or as a trial, it stands beside no other result."""
        return f"{self.benchmark}{splits_mark(self.splits)}{trial_mark(self.limit)}"

    @property
    def extraction(self) -> str:
        """What cells with one extraction share; they are in one shard."""
        return digest_of([self.model, self.variant, self.stimuli, self.reduction])


@dataclass(frozen=True)
class Plan:
    """Cells model by model as these were named, and within a model those with one extraction together."""

    cells: tuple[Cell, ...]
    left_out: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The plan as plain lists and dictionaries; each cell with its ID."""
        return {"cells": [{"id": cell.id, **asdict(cell)} for cell in self.cells], "left_out": list(self.left_out)}


def plan(resolver: Resolver, models: Sequence[str], benchmarks: Sequence[str], config: RunConfig) -> Plan:
    """Cross models with benchmarks; nothing is loaded.

    Pairs of different modality are refused, unless a glob made them: then they are left out and counted.

    Raises
    ------
    UsageError
        Unknown or ambiguous IDs, a variant that is not offered, a cell that is not among them, nothing left to do.
    ModalityError
        A named model cannot take a named benchmark's stimuli.
    """
    chosen_models = choose_models(resolver, models)
    chosen_benchmarks = choose_benchmarks(resolver, benchmarks)
    refuse_shared_names(resolver, list(chosen_benchmarks))
    cells: dict[Cell, None] = {}
    left_out: list[str] = []
    for benchmark, how in chosen_benchmarks.items():
        card = resolver.benchmark_card(benchmark)
        dataset, stimuli, metric, modality = _parts(resolver, card)
        parse_reduction(card.reduction)
        for (model, variant), model_globbed in chosen_models.items():
            _refuse_sum(resolver, model, metric)
            _refuse_splits(resolver, model, card, metric, config.splits)
            problem = _mismatch(resolver, model, benchmark, modality)
            if problem is None:
                asked = _asked(resolver, model, variant, benchmark, card.version)
                parts = (dataset, stimuli, metric, card.reduction)
                suites = tuple(how.suites)
                summed = bool(resolver.summands(model))
                asked_for = (config.layers, config.seed, asked, suites, config.limit, summed, config.splits)
                cells[Cell(model, variant, benchmark, *parts, *asked_for)] = None
            elif model_globbed or how.globbed:
                left_out.append(f"{model}@{variant} × {benchmark}")
            else:
                raise ModalityError(problem)
    if not cells:
        raise UsageError(f"Nothing to score: every pair was left out because of its modality ({shorten(left_out)}).")
    first: dict[str, int] = {}
    for cell in cells:
        first.setdefault(cell.extraction, len(first))
    place = {key: number for number, key in enumerate(chosen_models)}
    chosen = _of_shard(_named(cells, config.cells), config.shard)
    ordered = sorted(chosen, key=lambda cell: (place[cell.model, cell.variant], first[cell.extraction]))
    return Plan(tuple(ordered), tuple(left_out))


def parse_shard(text: str) -> tuple[int, int]:
    """Read ``i/n``.

    Examples
    --------
    >>> parse_shard("2/8")
    (2, 8)
    """
    first, _, second = text.partition("/")
    if not (first.isdigit() and second.isdigit() and 1 <= int(first) <= int(second)):
        raise UsageError(f"{text!r} is no shard. Expected i/n with 1 ≤ i ≤ n, for example 2/8.")
    return int(first), int(second)


def _asked(resolver: Resolver, model: str, variant: str, benchmark: str, version: int) -> Asked:
    parsed = Variant.parse(variant)
    text = str(parsed) if parsed.path is None else f"file:{Path(parsed.path).absolute()}={parsed.label}"
    return Asked(resolver.reference("model", model), text, resolver.reference("benchmark", benchmark), version)


def _named(cells: dict[Cell, None], wanted: Sequence[str]) -> list[Cell]:
    """Cells of these IDs, or all."""
    absent = [name for name in wanted if name not in {cell.id for cell in cells}]
    if absent:
        raise UsageError(
            f"None of the {len(cells)} cells has the ID {shorten(absent)}. 'isocortex score … --dry-run --json' shows "
            "the IDs; they hold models, benchmarks, --layers and --seed."
        )
    return [cell for cell in cells if not wanted or cell.id in wanted]


def _of_shard(cells: list[Cell], shard: tuple[int, int] | None) -> list[Cell]:
    if shard is None:
        return cells
    number, count = shard
    dealt = {key: place % count for place, key in enumerate(dict.fromkeys(cell.extraction for cell in cells))}
    return [cell for cell in cells if dealt[cell.extraction] == number - 1]


def _parts(resolver: Resolver, card: BenchmarkCard) -> tuple[str, str, str, str]:
    """Names of data set, stimuli and metric of a benchmark, and the modality of the stimuli."""
    catalogue = resolver.catalogue
    dataset = sibling(catalogue, card, "dataset", card.dataset)
    dataset_card = resolver.dataset_card(dataset)
    stimuli = sibling(catalogue, dataset_card, "stimuli", dataset_card.stimuli)
    metric = sibling(catalogue, card, "metric", card.metric)
    metric_card = resolver.card("metric", metric)
    assert isinstance(metric_card, MetricCard)
    if dataset_card.kind not in metric_card.accepts:
        raise UsageError(
            f"The metric {metric!r} takes {' or '.join(metric_card.accepts)}, "
            f"but {card.dataset!r} holds {dataset_card.kind}."
        )
    return dataset, stimuli, metric, resolver.stimuli_card(stimuli).modality


def _refuse_sum(resolver: Resolver, model: str, metric: str) -> None:
    """Refuse a sum of models where the metric would take their layers for those of one model."""
    card = resolver.card("metric", metric)
    if resolver.summands(model) and not (isinstance(card, MetricCard) and card.spaces):
        able = [row.id for row in resolver.catalogue.of_kind("metric") if row.table.get("spaces")]
        raise UsageError(
            f"The metric {metric!r} takes one model at a time, and {model!r} is several. Metrics that fit several "
            f"feature spaces: {shorten(able) or 'none is installed'}."
        )


def _refuse_splits(resolver: Resolver, model: str, card: BenchmarkCard, metric: str, asked: str | None) -> None:
    """Refuse stricter splits for a metric that has splits of its own, or none, and by features of what is scored."""
    if asked is not None and card.splits is not None:
        raise UsageError(f"{card.id} has splits of its own ({card.splits}). Score it without --splits.")
    name = asked or card.splits
    if name is None:
        return
    of_metric = resolver.card("metric", metric)
    if not (isinstance(of_metric, MetricCard) and of_metric.splits):
        able = [row.id for row in resolver.catalogue.of_kind("metric") if row.table.get("splits")]
        raise UsageError(
            f"The metric {metric!r} of {card.id} cannot be given splits ({name}). Metrics that can: "
            f"{shorten(able, 9) or 'none is installed'}."
        )
    features = StricterSplits.parse(name).model
    if not features:
        return
    known = {resolver.model_card(split_model_name(one)[0]).id for one in resolver.summands(model) or [model]}
    if resolver.model_card(split_model_name(features)[0]).id in known:
        raise UsageError(
            f"Stimuli are clustered by features of another model than the one that is scored, and {model} is scored. "
            "Leave it out, or name another in --splits."
        )


def _mismatch(resolver: Resolver, model: str, benchmark: str, modality: str) -> str | None:
    card = resolver.model_card(model)
    if ANY_MODALITY in (card.modality, modality) or card.modality == modality:
        return None
    return (
        f"{model!r} takes {card.modality}, but the stimuli of {benchmark!r} are {modality}. "
        f"'isocortex list models --where modality={modality}' shows models that fit."
    )
