"""Results: the summary of one cell, where it comes from, and reading them back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from isocortex.errors import StoreError, shorten

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1


class LayerValue(BaseModel):
    """One point of the curve over layers; no layer was chosen for it."""

    model_config = ConfigDict(extra="forbid")
    name: str
    value: float | None
    read_out: float = Field(default=0.0, description="share of splits × neuroids in which this layer is read out")


class Stage(BaseModel):
    """How deep in a model the layer lies that is best: 0 is the first layer, 1 the last."""

    model_config = ConfigDict(extra="forbid")
    value: float = Field(ge=0, le=1, description="mean over participants of the relative depth")
    error: float | None = None
    error_kind: str = "none"
    procedure: str = Field(description="what the layers were chosen on: nested, tuckute2023 all splits, …")
    n_layers: int = Field(description="layers that the depth is relative to, those of equal content among them")
    n_subjects: int | None = None
    participants: dict[str, float] = Field(default_factory=dict[str, float], description="by name; none if pooled")
    spread: float | None = Field(default=None, description="standard deviation over splits, mean over participants")
    agreement: float | None = Field(default=None, description="share of pairs of splits that choose the same layer")
    tied: float | None = Field(default=None, description="share of neuroids whose layer was drawn among equals")


class Summary(BaseModel):
    """A score with its context: never show ``value`` without ``statistic``, ``target`` and the counts."""

    model_config = ConfigDict(extra="forbid")
    statistic: str = Field(description="r, r2, r2_corrected, rho, …")
    target: str = Field(description="participant, group-mean or pooled")
    value: float | None
    error: float | None = None
    error_kind: str = "none"
    interval_low: float | None = Field(default=None, description="2.5 % of the draws")
    interval_high: float | None = Field(default=None, description="97.5 % of the draws")
    resampled: str = "none"
    ceiling: float | None = None
    ceiling_lower: float | None = None
    ceiling_upper: float | None = None
    ceiling_estimator: str = "none"
    ceiled: float | None = None
    layer_rule: str
    n_layers_searched: int
    best_layer: str
    layers: list[LayerValue] = Field(default_factory=list[LayerValue])
    stage: Stage | None = Field(default=None, description="depth of the best layer; none for a single layer")
    n_stimuli: int
    n_subjects: int | None = None
    n_neuroids: int | None = None
    n_neuroids_total: int | None = None
    n_splits: int | None = None
    n_null: int = 0
    also: dict[str, float | None] = Field(default_factory=dict, description="further measures, by name")
    draws: list[float] | None = Field(default=None, exclude=True, description="bootstrap draws; kept in scores.nc")


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


class Result(BaseModel):
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
    layers: list[str] = Field(default_factory=list)
    digests: dict[str, str | None] = Field(default_factory=dict)
    summary: Summary | None = None
    regions: dict[str, Summary] = Field(default_factory=dict)
    failure: Failure | None = None
    provenance: Provenance | None = None

    def rows(self) -> list[dict[str, Any]]:
        """One flat row for the whole, and one per region where the benchmark asks for them."""
        head = {
            "model": self.model,
            "variant": self.variant,
            "benchmark": self.benchmark,
            "status": self.status,
            "digest": self.digest,
        }
        if self.summary is None:
            reason = self.failure.message if self.failure else "unknown"
            return [{**head, "region": None, "failure": reason}]
        parts: list[tuple[str | None, Summary]] = [(None, self.summary), *self.regions.items()]
        return [{**head, "region": region, **summary.model_dump()} for region, summary in parts]


def read_results(folder: Path) -> list[Result]:
    """Read every result and failure below a folder, ordered by benchmark, model and variant.

    A record that is damaged or of another version is a failed result of its own, so that it hides no other.

    Raises
    ------
    StoreError
        The folder does not exist.
    """
    if not folder.is_dir():
        raise StoreError(f"There is no results folder {folder}. 'isocortex score --out {folder}' makes one.")
    found = [_read(path) for path in sorted([*folder.rglob("result.json"), *folder.rglob("failure.json")])]
    return sorted(found, key=lambda result: (result.benchmark, result.model, result.variant, result.digest))


def _read(path: Path) -> Result:
    try:
        return Result.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problems = shorten((f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()), 2)
        return _unreadable(path, f"{path} is not a result of this version ({problems}). Move it away and score again.")
    except OSError as error:
        return _unreadable(path, f"{path} cannot be read ({error.strerror}).")


def _unreadable(path: Path, message: str) -> Result:
    cell = path.parent if path.name == "failure.json" else path.parent.parent
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


def table(results: Iterable[Result]) -> pd.DataFrame:
    """Results as a table with one row per model × benchmark (× region)."""
    import pandas as pd

    return pd.DataFrame([row for result in results for row in result.rows()])
