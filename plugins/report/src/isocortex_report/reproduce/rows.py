"""Rows of a reproduced table: what is printed, what came out, the deviation, and why."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from isocortex.results import Result
    from isocortex.scoring import Summary
    from isocortex_report.reproduce.recipe import Absent, Difference, Mean, Number, Part

#: within, beyond: of a tolerance; not judged: there is none, or nothing to compare with; not run: a file or a package
#: is missing; failed: something else went wrong; absent: the recipe does not do it
Status = Literal["within", "beyond", "not judged", "stand-in", "not run", "failed", "absent"]


@dataclass(frozen=True)
class Row:
    """One number.

    Attributes
    ----------
    part, number
        What it is.
    model, benchmark
        What gave it, as results call it; "" where nothing did.
    published, ours, deviation
        deviation = ours − published; None where one of them is.
    low, high
        95 % interval of ours, where the result has one of this number.
    why
        What is missing, or why ours may be another.
    """

    part: str
    number: str
    status: Status
    model: str = ""
    benchmark: str = ""
    published: float | None = None
    ours: float | None = None
    deviation: float | None = None
    tolerance: float | None = None
    low: float | None = None
    high: float | None = None
    source: str = ""
    why: str = ""
    digest: str = ""

    def to_json(self) -> dict[str, Any]:
        """As a plain dictionary."""
        return asdict(self)


def judged_rows(part: Part, result: Result, *, judging: bool) -> list[Row]:
    """The numbers of a part whose result is there.

    Parameters
    ----------
    judging
        Whether deviations are held against tolerances; not of data that are made up, and not in a trial.
    """
    return [_row(part, number, result, judging=judging) for number in part.number]


def _row(part: Part, number: Number, result: Result, *, judging: bool) -> Row:
    ours, interval, missing = _read(number, result)
    deviation = None if ours is None or number.published is None else ours - number.published
    status: Status = "stand-in" if part.stand_in else "not judged"
    if missing:
        status = "failed"
    elif judging and number.tolerance is not None and not part.stand_in:
        # an undefined value is not within anything
        status = "within" if deviation is not None and abs(deviation) <= number.tolerance else "beyond"
    return Row(
        part.title,
        number.name,
        status,
        model=f"{result.model}@{result.variant}",
        benchmark=result.benchmark,
        published=number.published,
        ours=ours,
        deviation=deviation,
        tolerance=number.tolerance,
        low=interval[0],
        high=interval[1],
        source=number.source,
        why=missing or number.why,
        digest=result.digest,
    )


def _read(number: Number, result: Result) -> tuple[float | None, tuple[float | None, float | None], str]:
    """The number in a result, its interval, and what is missing."""
    nothing = (None, None)
    summary = result.summary if number.region is None else result.regions.get(number.region)
    if summary is None:
        known = ", ".join(result.regions) or "none"
        return None, nothing, f"the result has no region {number.region!r}; it has {known}"
    field, _, name = number.read.partition(".")
    if field == "also":
        if name not in summary.also:
            return None, nothing, f"the result has no measure {name!r}; it has {', '.join(summary.also)}"
        return summary.also[name], nothing, ""
    if field == "layer":
        curve = {point.name: point.value for point in summary.layers}
        if name not in curve:
            return None, nothing, f"the result has no layer {name!r}; it has {', '.join(curve)}"
        return curve[name], nothing, ""
    if field in ("stage", "median_layer"):
        depth = _depth(summary, field)
        return depth, nothing, "" if depth is not None else "the result has no stage of this kind"
    interval = (summary.interval_low, summary.interval_high) if field == "value" else nothing
    if field == "ceiled":
        interval = (summary.ceiled_low, summary.ceiled_high)
    return getattr(summary, field), interval, ""


def _depth(summary: Summary, field: str) -> float | None:
    """Depth of the best layer, 0 to 1; or its place from 1, median over participants."""
    stage = summary.stage
    if stage is None:
        return None
    if field == "stage":
        return stage.value
    depths = list(stage.participants.values()) or [stage.value]
    return 1 + statistics.median(depths) * (stage.n_layers - 1)


def mean_rows(wanted: Mean, results: Sequence[Result], *, judging: bool) -> list[Row]:
    """Means over models, once all that were published could be run; until then how many are missing."""
    n_results, rows = len(results), list[Row]()
    for number in wanted.number:
        values = [value for value in (_read(number, result)[0] for result in results) if value is not None]
        whole = len(values) == wanted.n_published
        ours = sum(values) / len(values) if values else None
        deviation = None if ours is None or number.published is None or not whole else ours - number.published
        status: Status = "not judged" if whole else "not run"
        if judging and whole and number.tolerance is not None:
            status = "within" if deviation is not None and abs(deviation) <= number.tolerance else "beyond"
        missing = f"{wanted.n_published - len(values)} of {wanted.n_published} models are not here"
        rows.append(
            Row(
                wanted.title,
                number.name,
                status,
                model=f"mean of {n_results} models",
                benchmark=wanted.benchmark,
                published=number.published,
                ours=ours if whole else None,
                deviation=deviation,
                tolerance=number.tolerance,
                source=number.source,
                why=number.why if whole else missing,
            )
        )
    return rows


def not_run_rows(part: Part, why: str) -> list[Row]:
    """The numbers of a part for which a file or a package is missing."""
    return _without(part, "not run", why)


def failed_rows(part: Part, why: str) -> list[Row]:
    """The numbers of a part that went wrong."""
    return _without(part, "failed", why)


def _without(part: Part, status: Status, why: str) -> list[Row]:
    return [
        Row(
            part.title,
            number.name,
            status,
            model=part.model,
            benchmark=part.benchmark,
            published=number.published,
            tolerance=number.tolerance,
            source=number.source,
            why=why,
        )
        for number in part.number
    ]


def difference_row(wanted: Difference, found: Mapping[str, Any] | None, why: str) -> Row:
    """The row of a difference, from what ``isocortex.compare`` says of it, or why there is none."""
    reason = why if found is None else found.get("reason")
    row = Row(
        wanted.title,
        "difference",
        "not run" if found is None else "failed",
        model=f"{wanted.model} less {wanted.against}",
        benchmark=wanted.benchmark,
        published=wanted.published,
        why=str(reason),
    )
    if found is None or (isinstance(reason, str) and reason):
        return row
    sign = 1.0 if str(found["model_a"]).partition("@")[0] == wanted.model.partition("@")[0] else -1.0
    ends = sorted((sign * float(found["interval_low"]), sign * float(found["interval_high"])))
    ours = sign * float(found["difference"])
    return replace(
        row,
        status="not judged",
        ours=ours,
        deviation=None if wanted.published is None else ours - wanted.published,
        low=ends[0],
        high=ends[1],
        why=wanted.why,
    )


def absent_rows(absent: Sequence[Absent]) -> list[Row]:
    """What the paper reports and the recipe does not do."""
    return [Row(one.title, "", "absent", why=one.why) for one in absent]
