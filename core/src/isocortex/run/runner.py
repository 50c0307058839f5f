"""Running a plan: extraction once per model and stimuli, comparison once per benchmark, every result on disk at once.

``execute`` is idempotent: a cell whose result is on disk is not computed again, a failed one is tried again, and its
record is replaced. Locks only save work; what two processes write at once is the same.
"""

from __future__ import annotations

import contextlib
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.catalogue.cards import ANY_MODALITY, Variant
from isocortex.errors import DataError, IsocortexError, ModalityError, SettingsError
from isocortex.extraction import extractor as extraction
from isocortex.extraction.cached import Extraction, device_of, lock
from isocortex.files import disk as store
from isocortex.files.digests import digest_array, digest_of, jsonable, short
from isocortex.interfaces import KEEPABLE, Rules
from isocortex.loading.resolver import split_model_name, variant_of
from isocortex.results.provenance import Stopwatch, provenance
from isocortex.results.result import Failure, Result
from isocortex.scoring.summary import by_region

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.catalogue.cards import BenchmarkCard
    from isocortex.data.dataset import Dataset
    from isocortex.hooks import HookCaller
    from isocortex.interfaces import Comparison, MetricPlugin, ModelPlugin
    from isocortex.loading.resolver import Resolver
    from isocortex.progress import Reporter
    from isocortex.results.result import Summary
    from isocortex.run.plan import Cell, Plan, RunConfig

#: part of every digest of a result: raised when the same scores are summarised in another way
VERSION = 3


@dataclass(frozen=True)
class Outcome:
    """A result, and whether it was computed in this run."""

    result: Result
    computed: bool


class Runner:
    """Executes cells one after the other and keeps what the next cell can use.

    Parameters
    ----------
    resolver
        Finds models, data sets and metrics.
    config
        How to run.
    reporter
        Told what happens.
    hooks
        Called around the run, where given.
    """

    def __init__(
        self, resolver: Resolver, config: RunConfig, reporter: Reporter, hooks: HookCaller | None = None
    ) -> None:
        unknown = [name for name in config.keep if name not in KEEPABLE]
        if unknown:
            raise SettingsError(f"--keep takes {', '.join(KEEPABLE)}; found {', '.join(unknown)}.")
        device_of(config.device)  # refused at once where there is none
        self.resolver = resolver
        self.config = config
        self.reporter = reporter
        self.hooks = hooks
        self._comparison: tuple[str, Comparison] | None = None

    def run(self, plan: Plan) -> list[Outcome]:
        """Execute every cell; a cell that fails leaves a record, and the run goes on."""
        store.check_writable(self.config.out)
        self._call("isocortex_before_run", plan=plan)
        outcomes: list[Outcome] = []
        for number, cell in enumerate(plan.cells, start=1):
            outcome = self.execute(cell)
            outcomes.append(outcome)
            state = "cached" if not outcome.computed else outcome.result.status
            self.reporter.line(f"[{number}/{len(plan.cells)}] {cell.name}: {state}{_reason(outcome.result)}")
        self._call("isocortex_after_run", results=[outcome.result for outcome in outcomes])
        return outcomes

    def _call(self, hook: str, **arguments: Any) -> None:
        if self.hooks is not None:
            self.hooks.call(hook, **arguments)

    def execute(self, cell: Cell) -> Outcome:
        """Score one cell, or find its result; whatever goes wrong becomes a record."""
        watch = Stopwatch()
        folder = self.config.out / store.folder_name(cell.benchmark) / store.folder_name(f"{cell.model}@{cell.variant}")
        try:
            work = _CellWork(self, cell, watch)
            path = folder / short(work.digest) / "result.json"
            with lock(work.digest):
                found = _finished(path) if work.cacheable else None
                result = found or self._scored(work, path)
            (folder / "failure.json").unlink(missing_ok=True)
            if found is not None:
                return Outcome(found, computed=False)
        except Exception as error:  # a third party's plugin may raise anything; the run goes on
            result = _failed(cell, error, watch)
            store.write_json_if_possible(folder / "failure.json", result.model_dump(mode="json"))
        self._call("isocortex_after_cell", result=result)
        return Outcome(result, computed=True)

    def _scored(self, work: _CellWork, path: Path) -> Result:
        """Score a cell and put the result on disk, whole, at once."""
        result, scores = work.score()
        dropped = [name for name in KEEPABLE if name not in self.config.keep]
        dropped += ["alpha_at_bound"] if "alpha" in dropped else []
        write_scores(path.with_name("scores.nc"), scores.drop_vars(dropped, errors="ignore"), result)
        store.write_json(path, result.model_dump(mode="json"), durable=True)
        return result

    def comparison(self, cell: Cell, card: BenchmarkCard, dataset: Dataset, metric: MetricPlugin) -> Comparison:
        """The prepared brain side of a benchmark; kept for the next cell."""
        key = digest_of([cell.benchmark, cell.seed, dataset.digest])
        if self._comparison is None or self._comparison[0] != key:
            selected = dataset.select(**card.select)
            comparison = metric.against(
                selected, settings=card.settings, seed=cell.seed, device=device_of(self.config.device)
            )
            comparison.rules = Rules.of(card, cell.seed)
            comparison.keep = ("prediction", *self.config.keep)  # the bootstrap needs predictions in any case
            if dataset.responses is not None:
                comparison.n_neuroids_total = dataset.responses.sizes["neuroid"]
            self._comparison = (key, comparison)
        return self._comparison[1]


class _CellWork:
    """One cell on its way: what it needs, its digest, and its score."""

    def __init__(self, runner: Runner, cell: Cell, watch: Stopwatch) -> None:
        self.runner, self.cell, self.watch = runner, cell, watch
        resolver = runner.resolver
        self.variant = Variant.parse(cell.variant)
        self.card = resolver.benchmark_card(cell.benchmark)
        self.model: ModelPlugin = resolver.model(cell.model)
        self.device = device_of(runner.config.device, self.model)
        self.dtype = str(self.model.card.options.get("dtype", "float32"))
        self.metric = resolver.metric(cell.metric)
        self.baselines = [_baseline(resolver, name) for name in self.card.baselines]
        with watch.phase("data"):
            self.dataset = resolver.dataset(cell.dataset)
            self.digests = self._digests()
        self._check_fit()
        self.digest = digest_of(self.digests)

    def _digests(self) -> dict[str, str | None]:
        card = self.card.model_dump(mode="json", exclude={"folder", "title", "notes", "licence", "published"})
        return {
            "model": self.model.digest(self.variant),
            "dataset": self.dataset.digest,
            "stimuli": self.dataset.stimuli.digest,
            "metric": self.metric.digest(),
            "benchmark": digest_of(jsonable(card)),
            "run": digest_of(
                [
                    VERSION,
                    extraction.VERSION,
                    self.cell.layers,
                    self.cell.seed,
                    self.runner.config.keep,
                    device_of(self.runner.config.device),
                    self.device,
                    self.cell.model,
                ]
            ),
            **{f"baseline {name}": model.digest(variant) for name, model, variant in self.baselines},
        }

    @property
    def cacheable(self) -> bool:
        """Whether a result on disk can stand for this cell."""
        return None not in self.digests.values()

    def _check_fit(self) -> None:
        found = self.dataset.stimuli.modality
        for name, model in ((self.cell.model, self.model), *((name, model) for name, model, _ in self.baselines)):
            if ANY_MODALITY not in (found, model.card.modality) and found != model.card.modality:
                raise ModalityError(f"{name!r} takes {model.card.modality}, but the stimuli are {found}.")
        accepts = self.metric.card.accepts
        if self.dataset.kind not in accepts:
            raise DataError(
                f"The metric {self.cell.metric!r} takes {accepts}, but the data set holds {self.dataset.kind}."
            )

    def score(self) -> tuple[Result, xr.Dataset]:
        """Extract, compare and summarise."""
        with contextlib.ExitStack() as stack:
            layers = stack.enter_context(self._extraction(self.model, self.variant).layers(self.cell.layers))
            baselines = {
                f"{name} {layer}": activations
                for name, model, variant in self.baselines
                for layer, activations in stack.enter_context(self._extraction(model, variant).layers()).items()
            }
            with self.watch.phase("prepare"):
                comparison = self.runner.comparison(self.cell, self.card, self.dataset, self.metric)
                comparison.baselines = baselines
            with self.watch.phase("score"):
                scores = comparison.score_all(layers)
        with self.watch.phase("summarise"):
            summary, regions = comparison.summarise(scores), by_region(comparison, scores)
        return self._result(summary, regions, list(layers), _splits_digest(scores)), scores

    def _extraction(self, model: ModelPlugin, variant: Variant) -> Extraction:
        runner = self.runner
        stimuli, reduction = self.dataset.stimuli, self.cell.reduction
        return Extraction(model, variant, stimuli, reduction, runner.config, runner.reporter, self.watch)

    def _result(self, summary: Summary, regions: dict[str, Summary], layers: list[str], splits: str | None) -> Result:
        cell = self.cell
        plugins = {
            f"{card.package or 'python'}::{card.id}": card.package_version
            for card in (self.model.card, self.metric.card, self.card, self.runner.resolver.dataset_card(cell.dataset))
        }
        return Result(
            status="scored",
            digest=self.digest,
            model=cell.model,
            variant=cell.variant,
            benchmark=self.card.id,
            benchmark_version=self.card.version,
            dataset=self.dataset.id,
            stimuli=self.dataset.stimuli.id,
            metric=cell.metric,
            settings=jsonable(self.card.settings),
            reduction=cell.reduction,
            seed=cell.seed,
            layers=layers,
            digests={**self.digests, "splits": splits},
            summary=summary,
            regions=regions,
            provenance=provenance(self.watch, plugins=plugins, device=self.device, dtype=self.dtype),
        )


def _baseline(resolver: Resolver, name: str) -> tuple[str, ModelPlugin, Variant]:
    """A model that a benchmark names as baseline, with its variant."""
    model, variant = split_model_name(name)
    plugin = resolver.model(model)
    return name, plugin, variant_of(plugin.card, variant)


def _splits_digest(scores: xr.Dataset) -> str | None:
    """Digest of which stimuli each split tests, where the metric has splits."""
    return digest_array(scores["test_stimulus"].values) if "test_stimulus" in scores else None


def _finished(path: Path) -> Result | None:
    """A result that is whole and of this format, or None."""
    try:
        result = Result.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    return result if result.status == "scored" and path.with_name("scores.nc").exists() else None


def write_scores(path: Path, scores: xr.Dataset, result: Result) -> None:
    """Write raw scores as netCDF4, float32, with the bootstrap draws of every row of the result."""
    import numpy as np

    parts = {"all": result.summary, **result.regions}
    draws = {name: part.draws for name, part in parts.items() if part is not None and part.draws is not None}
    if draws:
        scores = scores.assign_coords(row=("row", list(draws))).assign(
            draws=(("row", "draw"), np.array(list(draws.values())))
        )
    floats = {name: "float32" for name, item in scores.data_vars.items() if np.issubdtype(item.dtype, np.floating)}
    encoding = {name: {"zlib": True, "dtype": dtype} for name, dtype in floats.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".scores-", dir=path.parent) as partial:
        written = Path(partial) / path.name
        scores.to_netcdf(written, engine="netcdf4", encoding=encoding)
        written.replace(path)


def _failed(cell: Cell, error: Exception, watch: Stopwatch) -> Result:
    expected = isinstance(error, IsocortexError)
    message = str(error) if expected else f"{type(error).__name__}: {error}"
    return Result(
        status="failed",
        digest="",
        model=cell.model,
        variant=cell.variant,
        benchmark=cell.benchmark,
        benchmark_version=0,
        dataset=cell.dataset,
        stimuli=cell.stimuli,
        metric=cell.metric,
        seed=cell.seed,
        failure=Failure(
            kind=type(error).__name__,
            message=message,
            traceback=None if expected else "".join(traceback.format_exception(error)),
        ),
        provenance=provenance(watch, plugins={}, device="cpu"),
    )


def _reason(result: Result) -> str:
    return f" ({result.failure.message})" if result.failure else ""
