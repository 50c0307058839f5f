"""Running a plan: extraction once per model and stimuli, comparison once per benchmark, every result on disk at once.

``execute`` is idempotent: a cell whose result is on disk is not computed again, a failed one is tried again, and its
record is replaced. Locks only save work; what two processes write at once is the same.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.devices import device_of
from isocortex.errors import IsocortexError, SettingsError
from isocortex.extraction.cached import lock
from isocortex.files import disk as store
from isocortex.files.digests import digest_of, short
from isocortex.progress import Stopwatch
from isocortex.results.provenance import provenance
from isocortex.results.result import FORMAT, Failure, Result
from isocortex.results.scores_file import write_scores
from isocortex.run.cell import CellWork
from isocortex.scoring.contract import KEEPABLE, Rules

if TYPE_CHECKING:
    from isocortex.loading.resolver import Resolver
    from isocortex.progress import Reporter
    from isocortex.run.hook_caller import HookCaller
    from isocortex.run.plan import Cell, Plan, RunConfig
    from isocortex.scoring.comparison import Comparison


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

    def run(self, plan: Plan) -> list[Result]:
        """Execute every cell; a cell that fails leaves a record, and the run goes on."""
        store.check_writable(self.config.out)
        self._call("isocortex_before_run", plan=plan)
        results: list[Result] = []
        for number, cell in enumerate(plan.cells, start=1):
            result = self.execute(cell)
            results.append(result)
            state = "cached" if result.cached else result.status
            self.reporter.line(f"[{number}/{len(plan.cells)}] {cell.name}: {state}{_reason(result)}")
        self._call("isocortex_after_run", results=results)
        return results

    def _call(self, hook: str, **arguments: Any) -> None:
        if self.hooks is not None:
            self.hooks.call(hook, **arguments)

    def execute(self, cell: Cell) -> Result:
        """Score one cell, or find its result; whatever goes wrong becomes a record."""
        watch = Stopwatch()
        folder = self.config.out / store.folder_name(cell.benchmark) / store.folder_name(f"{cell.model}@{cell.variant}")
        try:
            work = CellWork(cell, watch, resolver=self.resolver, config=self.config, reporter=self.reporter)
            path = folder / short(work.digest) / "result.json"
            with lock(work.digest):
                found = _finished(path, work.digest) if work.cacheable else None
                result = found or self._scored(work, path)
            (folder / "failure.json").unlink(missing_ok=True)
            if found is not None:
                return found
        except (Exception, SystemExit) as error:  # a third party's plugin may raise anything; the run goes on
            result = _failed(cell, error, watch)
            store.write_json_if_possible(folder / "failure.json", result.model_dump(mode="json"))
        self._call("isocortex_after_cell", result=result)
        return result

    def _scored(self, work: CellWork, path: Path) -> Result:
        """Score a cell and put the result on disk, whole, at once."""
        result, scores = work.score(self.comparison)
        dropped = [name for name in KEEPABLE if name not in self.config.keep]
        dropped += ["alpha_at_bound"] if "alpha" in dropped else []
        write_scores(path.with_name("scores.nc"), scores.drop_vars(dropped, errors="ignore"), result)
        store.write_json(path, result.model_dump(mode="json"), durable=True)
        return result

    def comparison(self, work: CellWork) -> Comparison:
        """The prepared brain side of a benchmark; kept for the next cell."""
        cell, dataset = work.cell, work.dataset
        key = digest_of([cell.benchmark, cell.seed, dataset.digest])
        if self._comparison is None or self._comparison[0] != key:
            comparison = work.metric.against(
                dataset.select(**work.card.select),
                settings=work.card.settings,
                seed=cell.seed,
                device=device_of(self.config.device),
            )
            comparison.rules = Rules.of(work.card, cell.seed)
            comparison.keep = ("prediction", *self.config.keep)  # the bootstrap needs predictions in any case
            if dataset.responses is not None:
                comparison.n_neuroids_total = dataset.responses.sizes["neuroid"]
            self._comparison = (key, comparison)
        return self._comparison[1]


def _finished(path: Path, digest: str) -> Result | None:
    """A result of this digest that is whole and of this format, or None."""
    try:
        result = Result.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    own = result.format == FORMAT and result.digest == digest
    whole = result.status == "scored" and path.with_name("scores.nc").exists()
    return result.model_copy(update={"cached": True}) if own and whole else None


def _failed(cell: Cell, error: BaseException, watch: Stopwatch) -> Result:
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
