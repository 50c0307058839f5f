"""``isocortex compare``: models against each other on the same bootstrap draws, with false-discovery control.

Two results are compared where benchmark, region, statistic and target are the same and their draws are paired: drawn
with one seed from the same stimuli and participants. Where one has more draws, the first that both have are used.
Whatever cannot be compared is listed with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.errors import StoreError, UsageError, shorten
from isocortex.files.digests import short
from isocortex.results.frames import row_name
from isocortex.results.result import Result, read_results
from isocortex.results.scores_file import stored_draws
from isocortex.results.selection import Selection, full_name, is_model, matches, require, selected_results
from isocortex.scoring.stats import false_discovery_rate, interval, paired_p
from isocortex.scoring.summary import Summary
from isocortex.typing import Array

if TYPE_CHECKING:
    import pandas as pd


COLUMNS = (
    *("benchmark", "region", "statistic", "target", "seed", "model_a", "model_b", "value_a", "value_b"),
    *("difference", "interval_low", "interval_high", "p", "q", "n_draws", "resampled", "n_stimuli", "n_subjects"),
    *("layer_rule_a", "layer_rule_b", "n_layers_a", "n_layers_b", "digest_a", "digest_b", "reason"),
)
_NUMBERS = ("value_a", "value_b", "difference", "interval_low", "interval_high", "p", "q")
_COUNTS = ("seed", "n_draws", "n_stimuli", "n_subjects", "n_layers_a", "n_layers_b")
#: parts of a result's digest that may differ between models; a metric may split for several layers and not for one
_OF_MODEL = ("model", "run", "splits")
#: below so many participants the bootstrap over them is notably too narrow
FEW_PARTICIPANTS = 20


@dataclass(frozen=True, eq=False)
class _Entry:
    """One row of a result, with its draws, or none and the reason why."""

    result: Result
    region: str | None
    summary: Summary
    draws: Array
    problem: str | None

    @property
    def name(self) -> str:
        return full_name(self.result)

    @property
    def value(self) -> float:
        return np.nan if self.summary.value is None else self.summary.value


def compare_results(
    results: Path | str | Iterable[Result], selection: Selection | None = None, out: Path | str = "results"
) -> pd.DataFrame:
    """Compare every pair of models; see ``isocortex.compare``.

    Parameters
    ----------
    results, selection
        A results folder or results, and which of them.
    out
        The folder with the draws of results that do not carry them.

    Raises
    ------
    UsageError, StoreError
        As ``isocortex.compare``.
    """
    import pandas as pd

    chosen = selection or Selection()
    folder = Path(results) if isinstance(results, (str, Path)) else Path(out)
    found = read_results(folder) if isinstance(results, (str, Path)) else list(results)
    if not found:
        raise StoreError(f"There are no results to compare in {folder}. 'isocortex score' makes them.")
    kept = selected_results(found, chosen)
    rows = [_alone(result) for result in kept if result.summary is None]
    for group in _groups(_entries(kept, folder), chosen).values():
        rows += _group_rows(group, chosen.against)
    types = {**dict.fromkeys(_COUNTS, "Int64"), **dict.fromkeys(_NUMBERS, "float64")}
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(types)
    if not table["p"].notna().any():
        reasons = dict.fromkeys(f"{row['benchmark']}: {row['reason']}" for row in rows)
        raise UsageError(f"Nothing can be compared. {shorten(reasons, 3) or 'No region was left.'}")
    table["q"] = false_discovery_rate(table["p"].to_numpy())
    return table


# --- which results ----------------------------------------------------------------------------------------------------


def _entries(results: Sequence[Result], folder: Path) -> list[_Entry]:
    files: dict[str, Path] | None = None
    entries: list[_Entry] = []
    for result in results:
        if result.summary is None:
            continue
        parts: dict[str | None, Summary] = {None: result.summary, **result.regions}
        stored: dict[str | None, Array] | str = {}
        if any(part.draws is None and part.interval_low is not None for part in parts.values()):
            files = {path.parent.name: path for path in folder.rglob("scores.nc")} if files is None else files
            absent = f"its draws are not in {folder}; give the results folder that holds its scores.nc"
            path = files.get(short(result.digest))
            stored = absent if path is None else _stored_draws(path, result)
        entries += [_entry(result, region, part, stored) for region, part in parts.items()]
    return entries


def _entry(result: Result, region: str | None, part: Summary, stored: dict[str | None, Array] | str) -> _Entry:
    """One row; ``stored`` holds the draws of all rows of the result, or says why there are none."""
    draws = None if isinstance(stored, str) else stored.get(region)
    if part.draws is not None:
        draws = np.asarray(part.draws, dtype=np.float32).astype(np.float64)  # as they are stored, so that ties stay
    problem = None
    if part.value is None:
        problem = "it has no value"
    elif draws is None and isinstance(stored, str):
        problem = stored
    elif draws is None:
        problem = f"the metric {result.metric!r} gives no draws of its value that could be compared"
    return _Entry(result, region, part, np.empty(0) if draws is None else draws, problem)


def _stored_draws(path: Path, result: Result) -> dict[str | None, Array] | str:
    """Draws of each row of a result, or why they cannot be had."""
    try:
        return stored_draws(path, result)
    except StoreError as error:
        return str(error)


def _groups(entries: Sequence[_Entry], chosen: Selection) -> dict[tuple[str, str | None], list[_Entry]]:
    """Entries by benchmark and region, in their order, best value first."""
    for pattern in chosen.regions:
        require(pattern, [row_name(entry.region) for entry in entries], "region")
    groups: dict[tuple[str, str | None], list[_Entry]] = {}
    for entry in entries:
        if matches(row_name(entry.region), chosen.regions):
            groups.setdefault((entry.result.benchmark, entry.region), []).append(entry)
    for group in groups.values():
        group.sort(key=_rank)
    return groups


def _rank(entry: _Entry) -> float:
    """Best value first: of an error the smallest."""
    return np.nan_to_num(entry.value if entry.summary.better == "lower" else -entry.value, nan=np.inf)


# --- pairs ------------------------------------------------------------------------------------------------------------


def _group_rows(group: Sequence[_Entry], against: str | None) -> list[dict[str, Any]]:
    """Rows of all pairs whose draws are paired, and of what could not be compared."""
    sound = [entry for entry in group if entry.problem is None]
    pairs = list(combinations(sound, 2))
    if against is not None:
        named = {id(entry) for entry in sound if is_model(entry.result, against)}
        pairs = [pair for pair in pairs if (id(pair[0]) in named) != (id(pair[1]) in named)]
        pairs = [(b, a) if id(a) in named else (a, b) for a, b in pairs]
    refused = {pair: reason for pair in pairs if (reason := _unpaired(*pair))}
    compared = [pair for pair in pairs if pair not in refused]
    rows = [_compared(a, b) for a, b in compared]
    rows += _dropped(refused)
    rows += [{**_head(entry), "reason": entry.problem} for entry in group if entry.problem is not None]
    if not rows:
        reason = f"{against} has no result here" if against else "there is no other model to compare with"
        rows = [{**_head(entry), "reason": reason} for entry in group]
    return rows


def _dropped(refused: Mapping[tuple[_Entry, _Entry], str]) -> list[dict[str, Any]]:
    """One row for all pairs of two models that were refused: the reason of the first, and how many there are."""
    by_names: dict[frozenset[str], list[tuple[_Entry, _Entry]]] = {}
    for a, b in refused:
        by_names.setdefault(frozenset((a.name, b.name)), []).append((a, b))
    rows: list[dict[str, Any]] = []
    for (a, b), *others in by_names.values():
        more = f" (and {len(others)} more pairs of these models)" if others else ""
        rows.append({**_pair_head(a, b), "reason": refused[a, b] + more})
    return rows


def _unpaired(a: _Entry, b: _Entry) -> str | None:
    """Why the draws of two rows are not of the same samples, or None where they are."""
    one, other = a.result, b.result
    facts = {
        "statistic": (a.summary.statistic, b.summary.statistic),
        "target": (a.summary.target, b.summary.target),
        "seed": (one.seed, other.seed),
        "number of stimuli": (a.summary.n_stimuli, b.summary.n_stimuli),
        "number of participants": (a.summary.n_subjects, b.summary.n_subjects),
        "what was resampled": (a.summary.resampled, b.summary.resampled),
    }
    found = [f"{name} ({first} and {second})" for name, (first, second) in facts.items() if first != second]
    parts = [part for part in {**one.digests, **other.digests} if part not in _OF_MODEL]
    found += [f"version of the {part}" for part in parts if one.digests.get(part) != other.digests.get(part)]
    required = ("dataset", "stimuli", "metric")
    found += [f"the {part} has no digest" for part in required if one.digests.get(part) is None]
    if not found:
        return None
    return (
        f"not paired with {b.name}: they differ in {', '.join(found)}. Score both again with the same versions and seed"
    )


def _alone(result: Result) -> dict[str, Any]:
    reason = f"failed: {result.failure.message if result.failure else 'unknown'}"
    return {"benchmark": result.benchmark, "seed": result.seed, "model_a": full_name(result), "reason": reason}


def _head(entry: _Entry) -> dict[str, Any]:
    result, summary = entry.result, entry.summary
    return {
        "benchmark": result.benchmark,
        "region": entry.region,
        "statistic": summary.statistic,
        "target": summary.target,
        "seed": result.seed,
        "model_a": entry.name,
        "value_a": summary.value,
        "layer_rule_a": summary.layer_rule,
        "n_layers_a": summary.n_layers_searched,
        "digest_a": result.digest,
    }


def _pair_head(a: _Entry, b: _Entry) -> dict[str, Any]:
    second = {f"{key[:-1]}b": value for key, value in _head(b).items() if key.endswith("_a")}
    return {**_head(a), **second}


def _compared(a: _Entry, b: _Entry) -> dict[str, Any]:
    difference = a.value - b.value
    n_shared = min(len(a.draws), len(b.draws))  # the first of many draws are those of few
    drawn_a, drawn_b = a.draws[:n_shared], b.draws[:n_shared]
    low, high = interval(drawn_a - drawn_b)
    p, n_draws = paired_p(drawn_a, drawn_b, difference)
    return {
        **_pair_head(a, b),
        "difference": difference,
        "interval_low": low,
        "interval_high": high,
        "p": p,
        "n_draws": n_draws,
        "resampled": a.summary.resampled,
        "n_stimuli": a.summary.n_stimuli,
        "n_subjects": a.summary.n_subjects,
        "reason": None if n_draws else "no draw has a value in both",
    }
