"""Running a plan: extraction once per model and stimuli, comparison once per benchmark, every result on disk at once.

``execute`` is idempotent: a cell whose result is on disk is not computed again, a failed one is tried again, and its
record is replaced. Locks only save work; what two processes write at once is the same.

Cells run model by model, so that the first result is on disk before the second model runs. Comparisons stay for the
next model as long as they take a quarter of the free memory; where the benchmarks need more, all models run on those
whose comparisons are kept, and then on the others. Memory: a quarter of what is free, one comparison, and one
extraction that is open at a time, whatever the number of models and benchmarks.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.catalogue.cards import OWN_PACKAGE
from isocortex.devices import device_of
from isocortex.display import number
from isocortex.errors import IsocortexError, PluginError, SettingsError, StoreError, printable, shorten
from isocortex.extraction.cached import Uncached, lock
from isocortex.files import disk as store
from isocortex.files.leftovers import sweep
from isocortex.files.sealed import write_sealed_if_possible
from isocortex.progress import Stopwatch, lasting
from isocortex.results.kept_arrays import absent_arrays, refuse_other_values, without_keepable, write_arrays
from isocortex.results.kept_fitted import FITTED
from isocortex.results.kept_mapping import MAPPING
from isocortex.results.provenance import provenance
from isocortex.results.records import FORMAT, cell_folder, record_path, write_record
from isocortex.results.result import Failure, Result, read_result
from isocortex.results.scores_file import write_draws, write_scores
from isocortex.run.asked_null import Null
from isocortex.run.cell import CellWork
from isocortex.run.comparisons import Comparisons
from isocortex.run.more_draws import add_draws
from isocortex.run.pace import Pace
from isocortex.run.permuting import add_null
from isocortex.run.same_name import said_of_other_computations
from isocortex.scoring.contract import KEEPABLE, Preparation, Rules
from isocortex.scoring.stats import DRAWS

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.activations.layer import Activations
    from isocortex.loading.resolver import Resolver
    from isocortex.progress import Reporter
    from isocortex.run.hook_caller import HookCaller
    from isocortex.run.plan import Cell, Plan, RunConfig
    from isocortex.scoring.comparison import Comparison
    from isocortex.scoring.contract import Split


#: what --keep takes that is no array of the scores
_NO_ARRAYS = (MAPPING, FITTED)


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
        unknown = [name for name in config.keep if name not in (*KEEPABLE, *_NO_ARRAYS)]
        if unknown:
            raise SettingsError(f"--keep takes {', '.join((*KEEPABLE, *_NO_ARRAYS))}; found {', '.join(unknown)}.")
        device = device_of(config.device)  # refused at once where there is none
        self.resolver = resolver
        self.config = config
        self.reporter = reporter
        self.hooks = hooks
        self.null = None if config.null is None else Null.parse(config.null)
        self.comparisons = Comparisons(device)
        self._uncached = Uncached()

    def run(self, plan: Plan) -> list[Result]:
        """Execute every cell; a cell that fails leaves a record, and the run goes on.

        Returns
        -------
        One result per cell, in the order of the plan.
        """
        store.check_writable(self.config.folder)
        sweep(self.config.folder)
        self.call("isocortex_before_run", plan=plan)
        done: dict[Cell, Result] = {}
        with self._uncached:
            pace, total = Pace(plan.cells), len(plan.cells)
            for place, cell in enumerate(self._in_order(plan.cells), start=1):
                self.reporter.overall(f"{total} cells{_still(pace)}", place - 1, total)
                start = time.perf_counter()
                result = done[cell] = self.execute(cell)
                seconds = time.perf_counter() - start
                extracting = result.provenance.seconds.get("extract", 0.0) if result.provenance else 0.0
                pace.done(cell, seconds, extracting, computed=not result.cached)
                self.tell(f"[{place}/{total}]", cell, result, seconds, _still(pace) if place < total else "")
        self.comparisons.forget()
        results = [done[cell] for cell in plan.cells]
        self.call("isocortex_after_run", results=results)
        return results

    def _in_order(self, cells: Sequence[Cell]) -> Iterator[Cell]:
        """Cells as they are given, but those that need a comparison for which there is no room after all others."""
        waiting = list(cells)
        while waiting:
            later: list[Cell] = []
            for cell in waiting:
                if (*_benchmark(cell), False) in self.comparisons or not self.comparisons.full:
                    yield cell
                else:
                    later.append(cell)
            self.comparisons.forget()
            waiting = later

    def tell(self, place: str, cell: Cell, result: Result, seconds: float | None = None, behind: str = "") -> None:
        """One line on how a cell has ended, with its value, and the warnings of its result.

        Parameters
        ----------
        seconds
            That it took, where it was done here.
        behind
            What the line ends with.
        """
        self.reporter.line(f"{place} {cell.name}: {_outcome(result, seconds)}{behind}")
        self.reporter.warn(result.warnings)

    def call(self, hook: str, **arguments: Any) -> None:
        """Call a hook of the plugins, where there are any."""
        if self.hooks is not None:
            self.hooks.call(hook, **arguments)

    def execute(self, cell: Cell) -> Result:
        """Score one cell, or find its result; whatever goes wrong becomes a record."""
        watch, folder = Stopwatch(), self.folder(cell)
        try:
            work = self._work(cell, watch)
            with lock(work.digest, f"the score of {cell.name}", self.reporter):
                sweep(folder, deep=True)
                found = self._finished(folder, work) if work.cacheable else None
                result = found or self._scored(work, folder)
                if found is not None:
                    self._keep_more(work, folder, found)
                    found = self._with_more_draws(work, folder, found)
                    found = result = self._with_null(work, folder, found)
            _forget_failure(folder, cell)
            if found is not None:
                return found.model_copy(update={"suites": list(dict.fromkeys([*found.suites, *cell.suites]))})
        except (Exception, SystemExit) as error:  # a third party's plugin may raise anything; the run goes on
            result = self.fail(cell, error, watch)
        self.call("isocortex_after_cell", result=result)
        return result

    def fail(self, cell: Cell, error: BaseException, watch: Stopwatch) -> Result:
        """The failure of a cell, with its record on disk."""
        result = _failed(cell, error, watch)
        write_sealed_if_possible(failure_path(self.folder(cell), cell), result.model_dump(mode="json"))
        return result

    def folder(self, cell: Cell) -> Path:
        """Where results and failures of a cell lie."""
        return cell_folder(self.config.folder, cell.named_benchmark, cell.model, cell.variant)

    def find(self, cell: Cell, *, with_kept: bool = True) -> Result | None:
        """The result of a cell where it is on disk; nothing is computed, and no fault is told.

        Parameters
        ----------
        with_kept
            Only where the arrays that ``--keep`` asks for are there, too. One with fewer draws than are asked for is
            not finished.
        """
        if not any(self.folder(cell).glob("*/result.json")):  # of many cells, without loading anything
            return None
        try:
            work = self._work(cell, Stopwatch())
            found = self._finished(self.folder(cell), work) if work.cacheable else None
        except (Exception, SystemExit):  # the task itself will say what is wrong
            return None
        if found is None or self._lacks_draws(found) or (self.null is not None and self.null.is_lacking(found)):
            return None
        place = record_path(self.folder(cell), found.digest).parent
        return None if with_kept and absent_arrays(place, found, self.config.keep) else found

    def _work(self, cell: Cell, watch: Stopwatch) -> CellWork:
        return CellWork(
            cell,
            watch,
            resolver=self.resolver,
            config=self.config,
            reporter=self.reporter,
            uncached=self._uncached,
        )

    def _scored(self, work: CellWork, folder: Path) -> Result:
        """Score a cell and put the result on disk, whole, at once."""
        result, scores = work.score(self.comparison, self.null)
        if work.model.card.package == OWN_PACKAGE:
            said = [*result.warnings, *said_of_other_computations(folder, result)]
            result = result.model_copy(update={"warnings": said})
        path = record_path(folder, result.digest)
        digest = write_scores(path.with_name("scores.nc"), without_keepable(scores), result)
        result = write_draws(path, result.model_copy(update={"scores_sha256": digest}))
        self._keep(work, scores, result, self.config.keep)
        write_record(path, result)
        return result

    def _keep(self, work: CellWork, scores: xr.Dataset, result: Result, names: Sequence[str]) -> None:
        folder = record_path(self.folder(work.cell), result.digest).parent
        absent = write_arrays(folder, scores, result, names, [fit.folder for fit in work.fits], work.mapping)
        if FITTED in absent:
            self.reporter.line(f"{result.model}@{result.variant} is not trained here, so that nothing fitted is kept.")
        absent = [name for name in absent if name != FITTED]
        if absent:
            self.reporter.line(f"The metric {result.metric!r} gives no {shorten(absent)}, so that none is kept.")

    def _finished(self, folder: Path, work: CellWork) -> Result | None:
        """The result of a cell that is whole, in its place and of this format, or None; what is damaged is told."""
        path = record_path(folder, work.digest)
        if not path.exists():
            return None
        try:
            result = read_result(path)
        except StoreError as error:
            self.reporter.line(f"{work.cell.name} is scored again: {error}")
            return None
        if result.format != FORMAT:
            self.reporter.line(f"{work.cell.name} is scored again: {path} is of an older version")
        own = result.format == FORMAT and result.digest == work.digest
        whole = result.status == "scored" and path.with_name("scores.nc").exists()
        return result.model_copy(update={"cached": True}) if own and whole else None

    def _keep_more(self, work: CellWork, folder: Path, found: Result) -> None:
        """Keep arrays of a result that was there before: computed again, and only where the values are its own."""
        path = record_path(folder, found.digest)
        names = absent_arrays(path.parent, found, self.config.keep)
        if not names:
            return
        self.reporter.line(f"{work.cell.name} is computed again, to keep {shorten(names)}")
        again, scores = work.score(self.comparison)
        refuse_other_values(path, found, again)
        self._keep(work, scores, found, names)

    def _lacks_draws(self, found: Result) -> bool:
        """Whether more draws are asked for than a result has."""
        return found.n_draws is not None and 0 < found.n_draws < (self.config.draws or 0)

    def _with_more_draws(self, work: CellWork, folder: Path, found: Result) -> Result:
        """A result that was there before, with as many draws as are asked for, if it has fewer; else as it is."""
        asked, n_draws = self.config.draws, found.n_draws
        if asked is None or not n_draws or asked == n_draws:
            return found
        if not self._lacks_draws(found):
            self.reporter.line(f"{work.cell.name} has {n_draws:,} draws, and all of them are used")
            return found
        self.reporter.line(f"{work.cell.name} has {n_draws:,} draws and is given {asked - n_draws:,} more")
        path = record_path(folder, found.digest)
        return add_draws(path, found, work.score(self.comparison)[0])

    def _with_null(self, work: CellWork, folder: Path, found: Result) -> Result:
        """A result that was there before, with what chance gives where that is asked for and absent; or as it is."""
        if self.null is None:
            return found
        other = self.null.said_of_other(found)
        if other:
            self.reporter.line(f"{work.cell.name}: {other}")
        if not self.null.is_lacking(found):
            return found
        self.reporter.line(f"{work.cell.name} is scored again, to find what chance gives")
        again = work.score(self.comparison, self.null)[0]
        return add_null(record_path(folder, found.digest), found, again)

    def comparison(
        self, work: CellWork, baselines: Mapping[str, Activations], splits: Sequence[Split] = ()
    ) -> Comparison:
        """The prepared brain side of a benchmark; kept for the next model.

        Baselines are the same for all cells of a benchmark: their models, stimuli and reduction are.

        Parameters
        ----------
        splits
            In place of those that the metric draws: the stricter ones, or their ordinary counterparts.
        """
        of_counterparts = work.left_out is not None and splits is work.left_out.ordinary
        key = (*_benchmark(work.cell), of_counterparts)
        return self.comparisons.get(key, lambda: self._prepared(work, baselines, splits))

    def _prepared(
        self, work: CellWork, baselines: Mapping[str, Activations], splits: Sequence[Split] = ()
    ) -> Comparison:
        cell, dataset = work.cell, work.dataset
        # the bootstrap needs predictions in any case
        arrays = [name for name in self.config.keep if name not in _NO_ARRAYS]
        comparison = work.metric.against(
            dataset.select(**work.card.select),
            settings=work.card.settings,
            seed=cell.seed,
            device=device_of(self.config.device),
            preparation=Preparation(
                Rules.of(work.card, cell.seed, self.config.draws or DRAWS),
                keep=("prediction", *arrays),
                baselines=baselines,
                n_neuroids_total=None if dataset.responses is None else dataset.responses.sizes["neuroid"],
                splits=splits,
            ),
        )
        if not _as_given(comparison.splits, splits):
            raise PluginError(f"{work.metric.card.id} says that it takes splits, and did not take those it was given.")
        return comparison


def _benchmark(cell: Cell) -> tuple[str, int, str | None]:
    """What cells with one comparison have in common."""
    return cell.benchmark, cell.seed, cell.splits


def _as_given(found: Sequence[Split], given: Sequence[Split]) -> bool:
    """Whether a comparison has the splits that it was given, if any."""
    import numpy as np

    same = (
        np.array_equal(one, other)
        for own, own_given in zip(found, given, strict=False)
        for one, other in zip(own, own_given, strict=True)
    )
    return not given or (len(found) == len(given) and all(same))


def failure_path(folder: Path, cell: Cell) -> Path:
    """Where the failure of a cell lies, beside the results of its model on its benchmark."""
    return folder / "failures" / f"{cell.id}.json"


def _forget_failure(folder: Path, cell: Cell) -> None:
    """Remove the record of this cell alone; one of an older version of isocortex goes where its seed is the same."""
    failure_path(folder, cell).unlink(missing_ok=True)
    older = store.read_json(folder / "failure.json")
    if isinstance(older, dict) and older.get("seed") == cell.seed:
        (folder / "failure.json").unlink(missing_ok=True)


def _failed(cell: Cell, error: BaseException, watch: Stopwatch) -> Result:
    expected = isinstance(error, IsocortexError)
    message = str(error) if expected else f"{type(error).__name__}: {error}"
    return Result(
        status="failed",
        digest="",
        model=cell.model,
        variant=cell.variant,
        benchmark=cell.named_benchmark,
        benchmark_version=0,
        dataset=cell.dataset,
        stimuli=cell.stimuli,
        metric=cell.metric,
        seed=cell.seed,
        splits=cell.splits,
        limit=cell.limit,
        failure=Failure(
            kind=type(error).__name__,
            message=printable(message),
            traceback=None if expected else printable("".join(traceback.format_exception(error))),
        ),
        provenance=provenance(watch, plugins={}, device="cpu"),
    )


def _outcome(result: Result, seconds: float | None) -> str:
    """State, value and time of a cell; what was found took none."""
    if result.summary is None:
        return f"failed{f' ({result.failure.message})' if result.failure else ''}"
    value = f"{result.summary.statistic} = {number(result.summary.value)}"
    took = "" if seconds is None else f", {lasting(seconds)}"
    return f"cached, {value}" if result.cached else f"scored, {value}{took}"


def _still(pace: Pace) -> str:
    left = pace.left()
    return "" if left is None else f"; about {lasting(left)} left"
