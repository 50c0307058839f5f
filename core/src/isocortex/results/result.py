"""Results: the summary of one cell, where it comes from, and reading them back."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from isocortex.display import Displayed, Shown, number
from isocortex.errors import StoreError, shorten
from isocortex.files.sealed import SEAL
from isocortex.results.records import FORMAT, read_fields, refuse_foreign, row_of_benchmark, verify_scores
from isocortex.scoring.summary import Summary
from isocortex.training.record import TrainingRecord

if TYPE_CHECKING:
    import pandas as pd

#: names of records below a results folder; failure.json was written by older versions
RECORDS = ("result.json", "failure.json")
#: folder of the records of failures, each ID.json
FAILURES = "failures"


class Failure(BaseModel):
    """Why a cell has no score."""

    kind: str
    message: str
    traceback: str | None = None


class Provenance(BaseModel):
    """What is needed to make the result again, and to see what it was made with."""

    started: str
    finished: str
    seconds: dict[str, float] = Field(default_factory=dict)
    command: list[str] = Field(default_factory=list)
    revision: dict[str, str | bool | None] | None = None
    python: str = ""
    platform: str = ""
    distributions: dict[str, str] = Field(default_factory=dict)
    plugins: dict[str, str] = Field(default_factory=dict)
    device: str = "cpu"
    dtype: str = "float32"
    tf32: bool = False
    n_threads: int | None = None


class Result(Displayed, BaseModel):
    """One finished or failed cell: a model variant on a benchmark."""

    model_config = ConfigDict(extra="forbid")
    format: int = FORMAT
    status: Literal["scored", "failed"]
    digest: str
    model: str
    variant: str
    benchmark: str
    benchmark_version: int
    dataset: str
    stimuli: str
    metric: str
    settings: dict[str, Any] = Field(default_factory=dict)
    reduction: str = ""
    seed: int = 0
    suites: list[str] = Field(default_factory=list, description="by which it was asked for, each with its version")
    layers: list[str] = Field(default_factory=list)
    digests: dict[str, str | None] = Field(default_factory=dict)
    summary: Summary | None = None
    regions: dict[str, Summary] = Field(default_factory=dict)
    warnings: list[str] = Field(
        default_factory=list, description="what was dropped, guessed or found odd, and not refused"
    )
    scores_sha256: str | None = Field(default=None, description="of scores.nc beside the record; None: there is none")
    n_draws: int | None = Field(default=None, description="bootstrap draws of each row; 0: the metric draws nothing")
    draws_sha256: str | None = Field(default=None, description="of draws-N.nc; None: scores.nc holds all draws")
    splits: str | None = Field(default=None, description="stricter splits than those of the metric's settings, by name")
    limit: int | None = Field(default=None, description="a trial on so many of the stimuli, which is no result")
    training: list[TrainingRecord] = Field(
        default_factory=list, description="of a model that learned from the training part of each split"
    )
    failure: Failure | None = None
    provenance: Provenance | None = None
    cached: bool = Field(default=False, exclude=True, description="found on disk, not computed by this run")

    @model_validator(mode="before")
    @classmethod
    def _without_seal(cls, fields: Any) -> Any:
        """Whoever reads the bytes of a record meets its seal, which says nothing about the result."""
        return {name: value for name, value in fields.items() if name != SEAL} if isinstance(fields, dict) else fields

    def _shown(self) -> Shown:
        name = f"Result: {self.model}@{self.variant} × {self.benchmark}"
        if self.summary is None:
            return Shown(f"{name}: failed", {"reason": self.failure.message if self.failure else "unknown"})
        facts = {
            "regions": ", ".join(f"{region} {number(part.value)}" for region, part in self.regions.items()),
            "warnings": str(len(self.warnings) or ""),
            "digest": f"{self.digest[:8]}, seed {self.seed}",
        }
        title = f"{name}: {self.summary.statistic} = {number(self.summary.value)}, {self.summary.target}"
        return Shown(title, self.summary.facts() | facts)

    @property
    def benchmark_id(self) -> str:
        """The benchmark's own name, without the stricter splits or the trial that were asked for beside it."""
        return row_of_benchmark(self.benchmark, self.splits, self.limit)

    def rows(self) -> list[dict[str, Any]]:
        """One flat row for the whole, and one per region where the benchmark asks for them."""
        head: dict[str, Any] = {
            "model": self.model,
            "variant": self.variant,
            "benchmark": self.benchmark,
            "status": self.status,
            "seed": self.seed,
            "digest": self.digest,
        }
        if self.summary is None:
            reason = self.failure.message if self.failure else "unknown"
            return [{**head, "region": None, "failure": reason}]
        head["warnings"] = self.warnings
        parts: list[tuple[str | None, Summary]] = [(None, self.summary), *self.regions.items()]
        return [{**head, "region": region, **summary.model_dump()} for region, summary in parts]


class Results(list[Result], Displayed):
    """Results in a list that shows itself as a table; what ``isocortex.score`` returns."""

    def frame(self) -> pd.DataFrame:
        """One row per model × benchmark × region, as ``isocortex.results`` gives them.

        Examples
        --------
        >>> # isocortex.score("noise", "NH2015comp.ridge").frame()[["model", "region", "value"]]
        """
        from isocortex.results.frames import rows_frame

        return rows_frame(self)

    def _shown(self) -> Shown:
        failed = sum(result.status == "failed" for result in self)
        title = f"Results: {len(self) - failed} scored, {failed} failed"
        return Shown(title, {}, ("model", "benchmark", "value", "95 % interval", "layer"), [*map(_cells, self)])

    __repr__ = Displayed.__repr__
    __str__ = Displayed.__str__


def _cells(result: Result) -> tuple[str, ...]:
    found = result.summary
    if found is None:
        return f"{result.model}@{result.variant}", result.benchmark, "failed", "", ""
    between = f"{number(found.interval_low)} … {number(found.interval_high)}" if found.interval_low is not None else "–"
    value = f"{found.statistic} {number(found.value)}"
    return f"{result.model}@{result.variant}", result.benchmark, value, between, found.best_layer


def read_results(folder: Path) -> Results:
    """Read every result and failure below a folder, ordered by benchmark, model and variant.

    A record that is damaged, was edited, lies where another belongs, or has damaged scores is a failed result of its
    own: it is named, shows no value, and hides no other. Every byte of records and scores is read.

    Raises
    ------
    StoreError
        The folder does not exist.
    """
    try:
        found_here = folder.is_dir()
        paths = record_paths(folder) if found_here else []
    except OSError as error:
        raise StoreError(f"{folder} cannot be searched for results ({error.strerror or error}).") from error
    if not found_here:
        raise StoreError(f"There is no results folder {folder}. 'isocortex score --out {folder}' makes one.")
    with no_collection():
        found = [_read(path) for path in paths]
    return Results(sorted(found, key=lambda result: (result.benchmark, result.model, result.variant, result.digest)))


def record_paths(folder: Path) -> list[Path]:
    """Where records of results and failures lie below a folder, sorted; a folder that may not be read holds none.

    Examples
    --------
    >>> record_paths(Path("no such folder"))
    []
    """
    found: list[Path] = []
    for place, folders, files in os.walk(folder, onerror=_unless_forbidden):
        of_failures = Path(place).name == FAILURES
        names = (name for name in (*folders, *files) if name in RECORDS or (of_failures and name.endswith(".json")))
        found += (Path(place, name) for name in names)
    return sorted(found)


def _unless_forbidden(error: OSError) -> None:
    if not isinstance(error, (PermissionError, FileNotFoundError)):
        raise error


@contextmanager
def no_collection() -> Generator[None]:
    """Do not look for cycles again and again while records are read, which hold none: they take half the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def read_result(path: Path) -> Result:
    """Read one record, compared with its checksum, its place and its scores.

    Raises
    ------
    StoreError
        It is damaged, was edited, lies where another belongs, is of another version, or has damaged scores.
    """
    fields = read_fields(path)
    try:
        result = Result.model_validate(fields)
    except ValidationError as error:
        problems = shorten((f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()), 2)
        raise StoreError(
            f"{path} is not a result of this version ({problems}). Move it away and score again."
        ) from error
    if path.name == "result.json":
        refuse_foreign(path, result)
        verify_scores(path, result)
    return result


def _read(path: Path) -> Result:
    try:
        return read_result(path)
    except StoreError as error:
        return _unreadable(path, str(error))


def _unreadable(path: Path, message: str) -> Result:
    cell = path.parent if path.name == "failure.json" else path.parent.parent  # of a result, and of failures/ID.json
    model, _, variant = unquote(cell.name).rpartition("@")
    return Result(
        status="failed",
        digest=path.parent.name,
        model=model or cell.name,
        variant=variant,
        benchmark=unquote(cell.parent.name),
        benchmark_version=0,
        dataset="",
        stimuli="",
        metric="",
        failure=Failure(kind="StoreError", message=message),
    )
