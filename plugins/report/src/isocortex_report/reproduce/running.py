"""Run a recipe: every part through ``isocortex.score``, so that what is finished is found again; then the rows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import isocortex
from isocortex.errors import FilesError, IsocortexError, UnknownIDError, UsageError
from isocortex_report.reproduce.own_options import TRIAL, with_options
from isocortex_report.reproduce.rows import (
    Row,
    absent_rows,
    difference_row,
    failed_rows,
    judged_rows,
    mean_rows,
    not_run_rows,
)

if TYPE_CHECKING:
    from isocortex.interfaces import ModelPlugin
    from isocortex.results import Result
    from isocortex_report.reproduce.recipe import Difference, Mean, Part, Recipe


@dataclass
class Reproduced:
    """What came of a recipe.

    Attributes
    ----------
    recipe
        What was run.
    rows
        One for each number, in the order of the recipe.
    said
        What holds for all of it: that data are made up, that it was a trial.
    """

    recipe: Recipe
    rows: list[Row]
    said: list[str] = field(default_factory=list[str])

    @property
    def ok(self) -> bool:
        """Whether all that could be run is within its tolerance."""
        return not any(row.status in ("beyond", "failed") for row in self.rows)


def reproduce(
    recipe: Recipe,
    out: Path,
    *,
    trial: bool = False,
    synthetic: Path | None = None,
    offline: bool = False,
    device: str = "auto",
    say: Callable[[str], None] | None = None,
) -> Reproduced:
    """Score every part of a recipe and set its numbers beside the published ones.

    Parameters
    ----------
    out
        Results folder; what lies there is found again.
    trial
        Smaller models, where the recipe has them; nothing is judged.
    synthetic
        A folder for data that are made up; nothing is judged.
    offline
        Never use the network.
    device
        As of ``isocortex.RunConfig``.
    say
        Told what begins; None: nobody is.

    Raises
    ------
    UsageError
        A trial or synthetic data of a recipe that has none.
    """
    if trial and not recipe.has_trial:
        raise UsageError(f"The recipe {recipe.id!r} has no trial: leave --trial away.")
    config = isocortex.RunConfig(out=out, offline=offline, device=device)
    with _data(recipe, synthetic) as made_up:
        said = [made_up] if made_up else []
        if trial:
            said.append("A trial: models are smaller than those of the paper, as the recipe says.")
        runner = _Runner(config, trial=trial, judging=not said)
        rows, n_done = list[Row](), 0
        for together in _groups(recipe.part, trial=trial):
            n_done += len(together)
            if say is not None:
                titles = (
                    together[0].title if len(together) == 1 else f"{together[0].title} and {len(together) - 1} more"
                )
                say(f"{n_done} of {len(recipe.part)} parts: {titles}")
            rows += runner.rows_of(together)
        rows += [row for one in recipe.mean for row in runner.mean(one)]
        rows += [runner.difference(one) for one in recipe.difference]
    return Reproduced(recipe, [*rows, *absent_rows(recipe.absent)], said)


class _Runner:
    """Scores parts, and knows what came of each."""

    def __init__(self, config: isocortex.RunConfig, *, trial: bool, judging: bool) -> None:
        self.config, self.trial, self.judging = config, trial, judging
        self.scored: dict[tuple[str, str], Result] = {}

    def rows_of(self, parts: Sequence[Part]) -> list[Row]:
        """The numbers of parts that are scored together; one by one where that cannot be done as it is asked."""
        try:
            results = self._score(parts)
        except IsocortexError as error:
            if len(parts) > 1:
                return [row for part in parts for row in self.rows_of([part])]
            rows = not_run_rows if isinstance(error, (UnknownIDError, FilesError)) else failed_rows
            return rows(parts[0], str(error))
        return [row for part, result in zip(parts, results, strict=True) for row in self._rows(part, result)]

    def _rows(self, part: Part, result: Result) -> list[Row]:
        if result.failure is not None:
            rows = not_run_rows if result.failure.kind in _kinds_of_files() else failed_rows
            name = part.model.partition("@")[0]  # a trial's own is known to no other command
            return rows(part, result.failure.message.replace(f"{name}{TRIAL}", name))
        self.scored[part.model, part.benchmark] = result
        return judged_rows(part, result, judging=self.judging)

    def _score(self, parts: Sequence[Part]) -> list[Result]:
        """Results of parts that have benchmark and layers in common.

        Raises
        ------
        UsageError
            Several of them are one, so that they have to be scored one by one.
        """
        models = [self._model(part) for part in parts]
        smaller = parts[0].trial if self.trial else None
        layers = parts[0].layers if smaller is None else (smaller.layers or parts[0].layers)
        results = isocortex.score(models, parts[0].benchmark, config=replace(self.config, layers=layers))
        if len(results) != len(parts):
            raise UsageError(f"{len(parts)} parts are {len(results)} models.")
        return list(results)

    def _model(self, part: Part) -> str | ModelPlugin:
        if part.object is not None:
            return _imported(part.object, f"The model {part.model!r}")(part.model)
        smaller = part.trial if self.trial else None
        return with_options(part.model, smaller.options) if smaller and smaller.options else part.model

    def mean(self, wanted: Mean) -> list[Row]:
        """A mean over models that were scored."""
        found = [self.scored.get((name, wanted.benchmark)) for name in wanted.models]
        return mean_rows(wanted, [result for result in found if result is not None], judging=self.judging)

    def difference(self, wanted: Difference) -> Row:
        """The first of two models less the second, over the same draws."""
        found = [self.scored.get((name, wanted.benchmark)) for name in (wanted.model, wanted.against)]
        absent = [name for name, one in zip((wanted.model, wanted.against), found, strict=True) if one is None]
        if absent:
            return difference_row(wanted, None, f"{' and '.join(absent)} could not be run")
        one, other = (result for result in found if result is not None)
        try:
            table = isocortex.compare(
                [one, other],
                regions=wanted.region or "all",
                against=f"{other.model}@{other.variant}",
                out=self.config.out,
            )
        except IsocortexError as error:
            return difference_row(wanted, None, str(error))
        return difference_row(wanted, {str(name): value for name, value in table.iloc[0].items()}, "")


def _kinds_of_files() -> set[str]:
    """Names of errors that say that a file is absent."""

    def below(kind: type[FilesError]) -> set[str]:
        return {kind.__name__}.union(*(below(one) for one in kind.__subclasses__()))

    return below(FilesError)


@contextlib.contextmanager
def _data(recipe: Recipe, folder: Path | None) -> Generator[str | None]:
    """Within, data are made up, where a folder for them is named; what they are."""
    if folder is None:
        yield None
        return
    if recipe.synthetic is None:
        raise UsageError(f"The recipe {recipe.id!r} has no synthetic data: leave --synthetic away.")
    within = _imported(recipe.synthetic, f"Synthetic data of {recipe.id!r}")
    with within(folder) as said:
        yield str(said)


def _imported(named: str, what: str) -> Callable[..., Any]:
    """What a recipe names as ``module:name``.

    Raises
    ------
    UnknownIDError
        It is not installed, or has another name.
    """
    module, _, name = named.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UnknownIDError(f"{what} cannot be made: {error}") from error


def _groups(parts: Sequence[Part], *, trial: bool) -> list[list[Part]]:
    """Parts that follow each other and are scored in one call: one benchmark, one choice of layers, no trial."""
    found: list[list[Part]] = []
    for part in parts:
        last = found[-1][0] if found else None
        alone = trial and any(one is not None and one.trial is not None for one in (part, last))
        if last is None or alone or (last.benchmark, last.layers) != (part.benchmark, part.layers):
            found.append([part])
        else:
            found[-1].append(part)
    return found
