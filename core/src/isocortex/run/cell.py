"""One cell on its way: what it needs, its digest, and its score."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING

from isocortex.catalogue.cards import OWN_PACKAGE, Variant
from isocortex.devices import device_of
from isocortex.errors import DataError
from isocortex.extraction.cached import Extraction, Uncached, check_modality
from isocortex.files.core_content import digest_core
from isocortex.files.digests import digest_of
from isocortex.files.libraries import public_version
from isocortex.interfaces import digest_benchmark, settings_in_full
from isocortex.loading.brain_model import BrainModel
from isocortex.loading.folder_settings import FOLDER_PACKAGE
from isocortex.loading.model_sum import ModelSum
from isocortex.loading.own_data import OWN_PREFIX
from isocortex.progress import Stopwatch
from isocortex.results.kept_mapping import MAPPING
from isocortex.results.provenance import provenance
from isocortex.results.records import splits_mark, trial_mark
from isocortex.results.result import Result
from isocortex.run.asked_splits import StricterSplits, splits_of_card
from isocortex.run.beside import digest_of_clusters, model_beside
from isocortex.run.brains import Asked, refuse_stricter, score_brain
from isocortex.run.learning import FittedSplit, Learning, refuse_own_choice, refuse_seen
from isocortex.run.permuting import said_of_cost, with_null, without_null
from isocortex.run.same_name import said_of_shared_name
from isocortex.run.tested_stimuli import for_trial, splits_digest, with_names_of_tests
from isocortex.scoring.dimensionality import with_sizes
from isocortex.scoring.drop import rows_with_drop
from isocortex.scoring.equal_stimuli import said_of_equal_stimuli
from isocortex.scoring.layer_choice import LayerOfSplits, score_trained
from isocortex.scoring.left_out import check_summary_by, said_of_left_out, said_of_neuroids_without
from isocortex.scoring.participants_apart import LayerOfParticipants
from isocortex.scoring.summary import by_region

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from isocortex.activations.layer import Activations
    from isocortex.catalogue.cards import ModelCard
    from isocortex.interfaces import ModelPlugin
    from isocortex.loading.resolver import Resolver
    from isocortex.progress import Reporter
    from isocortex.run.asked_null import Null
    from isocortex.run.plan import Cell, RunConfig
    from isocortex.scoring.comparison import Comparison
    from isocortex.scoring.contract import Split
    from isocortex.scoring.left_out_splits import LeftOutSplits
    from isocortex.scoring.mapping import LinearMapping
    from isocortex.scoring.summary import Summary

    Layers = Mapping[str, Activations] | Mapping[str, LayerOfSplits] | Mapping[str, Activations | LayerOfParticipants]

#: layers of several models in one
_APART = (LayerOfSplits, LayerOfParticipants)


class CellWork:
    """A model variant on a benchmark: what it needs, its digest, and its score.

    Parameters
    ----------
    cell
        What is scored.
    watch
        Counts the time of its phases.
    resolver, config, reporter
        As of the run.
    uncached
        Keeps activations that have no key for the next cell; None: they are deleted when the cell is scored.
    """

    def __init__(
        self,
        cell: Cell,
        watch: Stopwatch,
        *,
        resolver: Resolver,
        config: RunConfig,
        reporter: Reporter,
        uncached: Uncached | None = None,
    ) -> None:
        self.cell, self.watch, self.resolver, self.config, self.reporter = cell, watch, resolver, config, reporter
        self.uncached = uncached
        self.variant = Variant.parse(cell.variant)
        self.card = resolver.benchmark_card(cell.benchmark)
        self.model: ModelPlugin = resolver.model(cell.asked.model)
        self.device = device_of(config.device, accelerated=self.model.accelerated)
        self.dtype = str(self.model.card.options.get("dtype", "float32"))
        self.metric = resolver.metric(cell.metric)
        self.baselines = [model_beside(resolver, name) for name in self.card.baselines]
        splits = cell.splits or self.card.splits
        self.stricter = StricterSplits.parse(splits) if splits else None
        self.left_out: LeftOutSplits | None = None
        self.fits: list[FittedSplit] = []
        self.mapping: LinearMapping | None = None
        self.learns = self.variant.kind == "trained"
        self.learning: Learning | None = None
        self.said_of_brain: list[str] = []
        with watch.phase("data"):
            self.dataset = for_trial(resolver.dataset(cell.dataset), cell.limit)
            self.digests = self._digests()
        self._check_fit()
        self.digest = digest_of(self.digests)

    def _digests(self) -> dict[str, str | None]:
        device = device_of(self.config.device)
        return {
            "model": self.model.digest(self.variant),
            "dataset": self.dataset.digest,
            "stimuli": self.dataset.stimuli.digest,
            "metric": self.metric.digest(),
            "benchmark": digest_benchmark(self.card, self.dataset.id, self.metric.card.id),
            "run": digest_of(
                [
                    digest_core("results"),
                    None if device == "cpu" else public_version("torch"),
                    self.cell.layers,
                    self.cell.seed,
                    device,
                    self.device,
                    self.model.card.id,
                    *([] if self.cell.limit is None else [self.cell.limit]),
                    *([] if self.cell.splits is None else [self.cell.splits]),
                    *([digest_core("training")] if self.learns else []),
                ]
            ),
            **{f"baseline {name}": model.digest(variant) for name, model, variant in self.baselines},
            **({} if self.stricter is None else digest_of_clusters(self.resolver, self.stricter)),
        }

    @property
    def cacheable(self) -> bool:
        """Whether a result on disk can stand for this cell."""
        return None not in self.digests.values()

    def _check_fit(self) -> None:
        for name, model in ((self.cell.model, self.model), *((name, model) for name, model, _ in self.baselines)):
            check_modality(name, model.card, self.dataset.stimuli)
        if self.stricter and isinstance(self.model, BrainModel):
            refuse_stricter(self.cell.model)
        check_summary_by(self.dataset, self.card.summary_by)
        accepts = self.metric.card.accepts
        if self.dataset.kind not in accepts:
            raise DataError(
                f"The metric {self.cell.metric!r} takes {' or '.join(accepts)}, "
                f"but the data set holds {self.dataset.kind}."
            )

    def score(self, prepared: Callable[..., Comparison], null: Null | None = None) -> tuple[Result, xr.Dataset]:
        """Extract, compare, summarise and, with ``null``, find what chance gives.

        ``prepared`` gives the brain side, of this work and the activations of its baselines, and of splits where these
        are stricter than the benchmark's.
        """
        with contextlib.ExitStack() as stack:
            layers = None
            if not self.learns and not isinstance(self.model, BrainModel):
                layers = stack.enter_context(self._activations(self.model, self.variant, self.cell.layers))
            given = {
                name: stack.enter_context(self._activations(model, variant)) for name, model, variant in self.baselines
            }
            baselines = {f"{name} {layer}": found for name, all_of in given.items() for layer, found in all_of.items()}
            if self.model.changed_by_running():
                self.digests["model"] = None
            with self.watch.phase("prepare"):
                comparison = prepared(self, baselines, *self._stricter_splits(stack))
            self._refuse_seen(comparison)
            if isinstance(self.model, BrainModel):
                comparison, layers, scores = self._of_brain(stack, self.model, comparison)
            elif layers is None:
                layers, scores = self._learned(stack, comparison)
            else:
                with self.watch.phase("score"):
                    scores = comparison.score_all(layers)
                    self.mapping = comparison.fit(layers) if MAPPING in self.config.keep else None
            digests = {**self.digests, **self._checksums(layers, given)}
            with self.watch.phase("summarise"):
                summary, regions = comparison.summarise(scores), by_region(comparison, scores)
            if self.left_out is not None and not self.learns:
                with self.watch.phase("drop"):
                    ordinary = prepared(self, baselines, self.left_out.ordinary)
                    summary, regions = rows_with_drop(ordinary, _of_one_network(layers), (summary, regions))
            summary, regions = self._with_sizes(layers, (summary, regions))
            summary, regions, said_of_null = self._with_null(comparison, layers, (summary, regions), null)
        result = self._result(summary, regions, list(layers))
        scores = with_names_of_tests(
            scores, comparison.split_ids or self.dataset.select(**self.card.select).stimuli.ids
        )
        found = {
            "digest": digest_of(digests),
            "digests": {**digests, "splits": splits_digest(scores)},
            "warnings": [*self._warnings(comparison, scores, [*layers.values(), *baselines.values()]), *said_of_null],
        }
        return result.model_copy(update=found), scores

    def _stricter_splits(self, stack: contextlib.ExitStack) -> tuple[Sequence[Split], ...]:
        """The splits that were asked for by name, if any."""
        if self.stricter is None:
            return ()
        dataset, features = self.dataset.select(**self.card.select), None
        if self.stricter.model:
            _, model, variant = model_beside(self.resolver, self.stricter.model)
            features = stack.enter_context(self._activations(model, variant))
        self.left_out = splits_of_card(self.stricter, self.card, dataset, self.cell.seed, features)
        return (self.left_out.stricter,)

    def _with_sizes(
        self,
        layers: Layers,
        rows: tuple[Summary, dict[str, Summary]],
    ) -> tuple[Summary, dict[str, Summary]]:
        """Summary and regions with the size of the layer that is read out."""
        summary, regions = rows
        with self.watch.phase("summarise"):
            ids = self.dataset.select(**self.card.select).stimuli.ids
            first, *others = with_sizes([summary, *regions.values()], _of_one_network(layers), ids)
        return first, dict(zip(regions, others, strict=True))

    def _with_null(
        self,
        comparison: Comparison,
        layers: Layers,
        rows: tuple[Summary, dict[str, Summary]],
        null: Null | None,
    ) -> tuple[Summary, dict[str, Summary], list[str]]:
        """Summary and regions with what chance gives, where it is asked for, and warnings."""
        if null is None:
            return *rows, []
        if self.learns:
            because = f"{self.cell.model} learns from the responses, and would have to be trained anew for each of many"
            return without_null(rows, f"{because} permutations")
        if self.said_of_brain:
            return without_null(rows, f"the features of {self.cell.model} are responses themselves")
        given = _of_one_network(layers)
        said = said_of_cost(self.cell.name, comparison, null, self.watch.seconds.get("score", 0.0))
        if said:
            self.reporter.line(said)
        dataset = self.dataset.select(**self.card.select)
        with self.watch.phase("permute"):
            return with_null(comparison, given, rows, dataset, null, self.cell.seed)

    @contextlib.contextmanager
    def _activations(
        self, model: ModelPlugin, variant: Variant, layers: Sequence[str] = ()
    ) -> Generator[dict[str, Activations]]:
        """Activations of a model on the stimuli of the cell, by layer; of a sum those of its models one by one."""
        if isinstance(model, ModelSum):
            with contextlib.ExitStack() as stack:
                found: dict[str, Activations] = {}
                for space, (part, own) in model.parts.items():
                    of_part = stack.enter_context(self._activations(part, own, model.layers_of(space, layers)))
                    found |= {one.layer: one for one in (layer.in_space(space) for layer in of_part.values())}
                yield found
            return
        stimuli, reduction = self.dataset.stimuli, self.cell.reduction
        device = device_of(self.config.device, accelerated=model.accelerated)
        size = self.config.batch_size
        made = Extraction(model, variant, stimuli, reduction, device, self.reporter, self.watch, size)
        with made.in_folder(layers, self.uncached) as (_, found):
            yield found

    def _learned(
        self, stack: contextlib.ExitStack, comparison: Comparison
    ) -> tuple[dict[str, LayerOfSplits], xr.Dataset]:
        """Layers of the networks that are trained for one split each, and their scores in it."""
        uncached = self.uncached or stack.enter_context(Uncached())
        learning = self.learning = Learning(
            self.cell.name, self.model, self.variant, device=self.device, reporter=self.reporter, uncached=uncached
        )
        with self.watch.phase("train"):
            self.fits = learning.fit_all(comparison, self.dataset.select(**self.card.select))
        found = [
            stack.enter_context(self._activations(learning.of_split(fit), self.variant, self.cell.layers))
            for fit in self.fits
        ]
        layers = {name: LayerOfSplits([of_split[name] for of_split in found]) for name in found[0]}
        refuse_own_choice(comparison, list(layers), self.cell.name)
        with self.watch.phase("score"):
            return layers, score_trained(comparison, layers)

    def _of_brain(
        self, stack: contextlib.ExitStack, brain: BrainModel, comparison: Comparison
    ) -> tuple[Comparison, Mapping[str, Activations | LayerOfParticipants], xr.Dataset]:
        """Scores of participants, each predicted by others, with a comparison that summarises them."""
        n_draws, total = comparison.rules.n_draws, comparison.n_neuroids_total
        asked = Asked(self.metric, self.card, self.cell.seed, device_of(self.config.device), n_draws, total)
        with self.watch.phase("score"):
            found, layers, scores, self.said_of_brain = score_brain(
                brain,
                self.variant,
                comparison,
                self.dataset.select(**self.card.select),
                asked,
                lambda part: stack.enter_context(self._activations(part, self.variant, self.cell.layers)),
            )
        return found, layers, scores

    def _refuse_seen(self, comparison: Comparison) -> None:
        """Refuse to test the model, or a baseline, on what it has learned from."""
        stimuli = self.dataset.select(**self.card.select).stimuli
        name = f"{self.model.card.id}@{self.variant}"
        parts = [(name, self.model, self.variant)]
        if isinstance(self.model, ModelSum):
            parts = [(space, *part) for space, part in self.model.parts.items()]
        for known, model, variant in (*parts, *self.baselines):
            refuse_seen(known, model.trained_on(variant), comparison, stimuli)

    def _warnings(
        self,
        comparison: Comparison,
        scores: xr.Dataset,
        layers: Sequence[Activations | LayerOfSplits | LayerOfParticipants],
    ) -> list[str]:
        """What was dropped, guessed or found odd on the way to the scores, each once."""
        dataset = self.dataset.select(**self.card.select)
        stimuli = dataset.stimuli
        said = [
            self.learning.warnings if self.learning else (),
            self.said_of_brain,
            stimuli.warnings,
            dataset.warnings,
            *(one.warnings for one in layers),
            comparison.warnings,
            self.left_out.warnings if self.left_out else (),
        ]
        if self.left_out and self.learns:
            said.append([f"There is no drop, because {self.cell.model} learns, and would have to be trained twice."])
        said.append(said_of_equal_stimuli(comparison, stimuli.equal, stimuli.ids))
        if self.cell.limit is not None:
            whole = len(self.resolver.dataset(self.cell.dataset).stimuli)
            said.append([f"A trial on {len(dataset.stimuli)} of {whole} stimuli, and no result of the benchmark."])
        said += [said_of_neuroids_without(dataset, self.card.summary_by), said_of_left_out(comparison, scores)]
        if self.card.package == FOLDER_PACKAGE or self.card.id.startswith(OWN_PREFIX):
            said.append(said_of_shared_name(self.config.folder, self.card.id, dataset.id, self.dataset.digest))
        twins = scores.attrs.get("identical_layers")
        said.append([f"{self.cell.name}: {twins}"] if twins else [])
        return list(dict.fromkeys(itertools.chain(*said)))

    def _checksums(
        self,
        layers: Layers,
        baselines: Mapping[str, Mapping[str, Activations]],
    ) -> dict[str, str | None]:
        """What stands for models without a digest: checksums of their activations, so that no two share a place."""
        given = {"model": layers, **{f"baseline {name}": found for name, found in baselines.items()}}
        return {
            f"activations of {name}": digest_of([[layer, item.units, item.digest] for layer, item in found.items()])
            for name, found in given.items()
            if self.digests[name] is None
        }

    def _result(self, summary: Summary, regions: dict[str, Summary], layers: list[str]) -> Result:
        cell = self.cell
        plugins = {
            f"{card.package or OWN_PACKAGE}::{card.id}": card.package_version
            for card in (*_cards(self.model), self.metric.card, self.card, self.resolver.dataset_card(cell.dataset))
        }
        return Result(
            status="scored",
            digest=self.digest,
            model=cell.model,
            variant=cell.variant,
            benchmark=f"{self.card.id}{splits_mark(cell.splits)}{trial_mark(cell.limit)}",
            benchmark_version=self.card.version,
            dataset=self.dataset.id,
            stimuli=self.dataset.stimuli.id,
            metric=cell.metric,
            settings=settings_in_full(self.metric.card, self.card.settings),
            reduction=cell.reduction,
            seed=cell.seed,
            suites=list(cell.suites),
            layers=layers,
            summary=summary,
            regions=regions,
            n_draws=max((len(part.draws or ()) for part in (summary, *regions.values())), default=0),
            splits=None if self.stricter is None else self.stricter.name,
            limit=cell.limit,
            training=[fit.record for fit in self.fits],
            provenance=provenance(self.watch, plugins=plugins, device=self.device, dtype=self.dtype),
        )


def _of_one_network(layers: Layers) -> dict[str, Activations]:
    """Layers of a model that is the same in all splits and for all participants."""
    return {name: layer for name, layer in layers.items() if not isinstance(layer, _APART)}


def _cards(model: ModelPlugin) -> list[ModelCard]:
    """Card of a model, or of those that it is the sum of."""
    return [part.card for part, _ in model.parts.values()] if isinstance(model, ModelSum) else [model.card]
