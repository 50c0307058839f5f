"""Stages of many results in rows: models, means over models with their test, and what was published.

Results are put together only where benchmark, procedure and kind of weights are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isocortex.results import Result
from isocortex.scoring import NESTED, Stage, Summary
from isocortex_report.signed_ranks import wilcoxon_columns

COLUMNS = (
    *("benchmark", "procedure", "weights", "kind", "model", "region", "stage", "error", "n_subjects", "n_layers"),
    *("spread", "agreement", "tied", "predicted", "reference", "difference", "difference_error", "n_paired"),
    *("n_models", "w", "p", "p_normal", "source", "digest", "reason"),
)
#: fewer models cannot give a two-sided p of .05 or less
MIN_MODELS = 6
#: name of the row of a whole result
WHOLE = "all"
#: the reference region of the paper
PRIMARY = "Primary"
TRAINED, PERMUTED, RANDOM, FIXED = "trained", "permuted", "random", "fixed"
_KINDS = {"pretrained": TRAINED, "file": TRAINED, "trained": TRAINED, "permuted": PERMUTED, "random": RANDOM}
#: digests that results must share to be wilcoxon_columns together
_SHARED = ("dataset", "stimuli", "metric", "benchmark")

Row = dict[str, Any]
Group = tuple[str, str, str]


@dataclass(frozen=True)
class Entry:
    """The stages of one result: region to stage and whether the region is predicted at all."""

    result: Result
    stages: Mapping[str, tuple[Stage, bool | None]]

    @property
    def name(self) -> str:
        """The model with its variant."""
        return f"{self.result.model}@{self.result.variant}"


def weights_of(result: Result) -> str:
    """Which weights a model ran with: trained, permuted, random, or fixed where the variant does not say.

    A folder of activations whose name ends in "-permuted", as 'isocortex import tuckute' writes them, is permuted.

    Examples
    --------
    >>> made = {"status": "failed", "digest": "", "benchmark": "", "benchmark_version": 1, "dataset": ""}
    >>> made |= {"stimuli": "", "metric": ""}
    >>> weights_of(Result(model="resnet50", variant="random:3", **made))
    'random'
    >>> weights_of(Result(model="activations:AST-permuted", variant="fixed", **made))
    'permuted'
    """
    if result.model.startswith("activations:") and result.model.endswith("-permuted"):
        return PERMUTED
    return _KINDS.get(result.variant.partition(":")[0], FIXED)


def region_of(label: str) -> tuple[str, str]:
    """Coordinate and region of a row: "region=Primary" is ("region", "Primary"), "Primary" is ("", "Primary").

    Examples
    --------
    >>> region_of("hemisphere=lh"), region_of("Primary")
    (('hemisphere', 'lh'), ('', 'Primary'))
    """
    coordinate, equals, region = label.partition("=")
    return (coordinate, region) if equals else ("", label)


def entries_of(results: Iterable[Result]) -> dict[Group, list[Entry]]:
    """Results that have a stage, by benchmark, procedure and kind of weights."""
    groups: dict[Group, list[Entry]] = {}
    for result in results:
        if result.summary is None:
            continue
        parts = {WHOLE: result.summary, **result.regions}
        found = {name: (part.stage, _is_predicted(part)) for name, part in parts.items() if part.stage is not None}
        for procedure in dict.fromkeys(stage.procedure for stage, _ in found.values()):
            stages = {name: item for name, item in found.items() if item[0].procedure == procedure}
            groups.setdefault((result.benchmark, procedure, weights_of(result)), []).append(Entry(result, stages))
    return groups


def _is_predicted(part: Summary) -> bool | None:
    """Whether the value is above zero beyond its interval; None where the metric does not say, or as published."""
    if part.stage is None or part.stage.procedure != NESTED or part.interval_low is None:
        return None
    return None if part.better == "lower" else part.interval_low > 0  # an error of zero is no sign of knowing nothing


def rows_of(group: Group, entries: Sequence[Entry], reference: str | None) -> list[Row]:
    """Rows of one table: one per model and region, and one per region over models.

    Parameters
    ----------
    group
        Benchmark, procedure, kind of weights.
    entries
        The results.
    reference
        The region that others are compared with, or none.
    """
    labels = list(dict.fromkeys(label for entry in entries for label in entry.stages))
    against = reference_label(labels, reference)
    head = dict(zip(("benchmark", "procedure", "weights"), group, strict=True))
    names = [entry.name for entry in entries]
    rows: list[Row] = []
    for entry in entries:
        several = names.count(entry.name) > 1
        reason = "several results of one name: not in the mean; move all but one away" if several else None
        rows += [_blank() | head | _model_row(entry, label, against) | {"reason": reason} for label in entry.stages]
    versions = _versions(entries)
    counted = [row for row in rows if row["reason"] is None and row["predicted"] is not False]
    for label in labels:
        inside = [row for row in counted if row["region"] == label]
        if len({_model_of(row) for row in inside}) > 1:
            rows.append(_blank() | head | _mean_row(inside, versions))
    return rows


def _versions(entries: Sequence[Entry]) -> str | None:
    """Why results cannot be wilcoxon_columns together: they rest on other data or on another version of the metric."""
    differ = [part for part in _SHARED if len({entry.result.digests.get(part) for entry in entries}) > 1]
    return f"no test: results differ in the version of the {', '.join(differ)}; score them again" if differ else None


def _blank() -> Row:
    return dict.fromkeys(COLUMNS)


def reference_label(labels: Sequence[str], reference: str | None) -> str | None:
    """The row that stands for a region, whichever way rows are named: "Primary" or "region=Primary".

    Examples
    --------
    >>> reference_label(["all", "region=Primary", "hemisphere=lh"], "Primary")
    'region=Primary'
    """
    return next((label for label in labels if reference in (label, region_of(label)[1]) and label != WHOLE), None)


def is_compared(label: str, reference: str | None) -> bool:
    """Whether a row is another region of the same coordinate as the reference."""
    if reference is None or label in (WHOLE, reference):
        return False
    return region_of(label)[0] == region_of(reference)[0]


def _model_row(entry: Entry, label: str, reference: str | None) -> Row:
    stage, predicted = entry.stages[label]
    row: Row = {
        "kind": "model",
        "model": entry.name,
        "region": label,
        "stage": stage.value,
        "error": stage.error,
        "n_subjects": stage.n_subjects,
        "n_layers": stage.n_layers,
        "spread": stage.spread,
        "agreement": stage.agreement,
        "tied": stage.tied,
        "predicted": predicted,
        "digest": entry.result.digest,
    }
    known = entry.stages.get(reference) if reference is not None else None
    if known is None or not is_compared(label, reference) or False in (predicted, known[1]):
        return row
    return row | {"reference": reference} | _paired(stage, known[0])


def _paired(stage: Stage, reference: Stage) -> Row:
    """Difference of two regions over the participants who have both, with its standard error."""
    if not stage.participants and not reference.participants:
        return {"difference": stage.value - reference.value}
    both = [name for name in stage.participants if name in reference.participants]
    if not both:
        return {}
    found = np.array([stage.participants[name] - reference.participants[name] for name in both])
    error = float(found.std(ddof=1) / np.sqrt(len(found))) if len(found) > 1 else None
    return {"difference": float(found.mean()), "difference_error": error, "n_paired": len(found)}


def _mean_row(inside: Sequence[Row], versions: str | None) -> Row:
    """Mean over models of one region, variants of one model averaged first, and the test of their differences."""
    stages = _per_model(inside, "stage")
    row: Row = {
        "kind": "mean",
        "model": f"mean of {len(stages)} models",
        "region": inside[0]["region"],
        "stage": float(stages.mean()),
        "error": float(stages.std(ddof=1) / np.sqrt(len(stages))),
        "n_models": len(stages),
    }
    differences = _per_model([item for item in inside if item["difference"] is not None], "difference")
    n_models = len(differences)
    if not n_models:
        return row
    spread = float(differences.std(ddof=1) / np.sqrt(n_models)) if n_models > 1 else None
    row |= {"difference": float(differences.mean()), "difference_error": spread, "n_models": n_models}
    row["reference"] = next(item["reference"] for item in inside if item["reference"] is not None)
    if versions is not None:
        return row | {"reason": versions}
    if n_models < MIN_MODELS:
        return row | {"reason": f"no test over fewer than {MIN_MODELS} models: p could not reach .05"}
    return row | (wilcoxon_columns(differences) or {"reason": "no test: no model differs between the regions"})


def _per_model(rows: Sequence[Row], column: str) -> np.ndarray[Any, Any]:
    """One number per model: the mean over its variants."""
    models: dict[str, list[float]] = {}
    for row in rows:
        models.setdefault(_model_of(row), []).append(row[column])
    return np.array([np.mean(values) for values in models.values()])


def _model_of(row: Row) -> str:
    return str(row["model"]).rpartition("@")[0]
