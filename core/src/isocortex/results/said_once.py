"""What a table says once for all of its rows: counts, ceilings, and what brackets and layers mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isocortex.errors import shorten
from isocortex.results.frames import SHARED_DIGESTS, is_number
from isocortex.results.number_texts import decimals_of, number_text
from isocortex.results.scores_file import WHOLE

if TYPE_CHECKING:
    from isocortex.results.result import Result

Row = dict[str, Any]
#: lines below the models: a name, and a text for each region
Below = tuple[tuple[str, Mapping[str, str]], ...]
#: marks a layer that was chosen on what it is judged on
OPTIMISTIC = "†"


def facts_of(heads: Sequence[Row], *, in_line: bool) -> tuple[str, ...]:
    """Statistic, target and counts of the whole; a count that is not the same everywhere is a range.

    Neuroids are left to the line below the models where there is one.
    """
    first = heads[0]
    statistic = first["statistic"] + (" (smaller is better)" if first["better"] == "lower" else "")
    facts = [f"{statistic}, {first['target']}", f"{_span(heads, 'n_stimuli')} stimuli"]
    if any(row["n_subjects"] is not None for row in heads):
        facts.append(f"{_span(heads, 'n_subjects')} participants")
    if any(row["seed"] for row in heads):
        facts.append(f"seed {_span(heads, 'seed')}")
    if not in_line and any(row["n_neuroids"] is not None for row in heads):
        kept, total = _span(heads, "n_neuroids"), _span(heads, "n_neuroids_total")
        facts.append(f"{kept} neuroids" if kept == total else f"{kept} of {total} neuroids")
    return tuple(facts)


def _span(rows: Sequence[Row], name: str) -> str:
    found = sorted({row[name] for row in rows if row[name] is not None})
    return "–" if not found else str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def below_of(rows: Sequence[Row], regions: Sequence[str]) -> tuple[Below, list[str]]:
    """Ceiling and number of neuroids of each region, and a note where rows differ in them."""
    decimals = decimals_of(shown_numbers(rows))
    ceilings: dict[str, set[str]] = {region: set() for region in regions}
    counts: dict[str, set[str]] = {region: set() for region in regions}
    for row in rows:
        ceilings[row["region"]].add(_ceiling(row, decimals))
        if row["n_neuroids"] is not None:
            counts[row["region"]].add(_neuroids(row))
    below: list[tuple[str, Mapping[str, str]]] = []
    odd: list[str] = []
    for name, found in (("ceiling", ceilings), ("neuroids", counts)):
        known = {region: texts - {""} for region, texts in found.items()}
        if not any(known.values()) or (name == "neuroids" and _are_regions_neuroids(known)):
            continue
        differ = any(len(texts) > 1 for texts in known.values())
        below.append((name, {region: _one_of(texts) for region, texts in known.items()}))
        odd += [f"~ rows differ in their {name}: see --long"] if differ else []
    return tuple(below), odd


def _are_regions_neuroids(known: Mapping[str, set[str]]) -> bool:
    """Whether there is nothing to say of each region: it is the only one, or each holds a single neuroid."""
    return len(known) == 1 or all(texts == {"1"} for region, texts in known.items() if region != WHOLE)


def _neuroids(row: Row) -> str:
    """The number; of the whole also before any selection, where that is another."""
    kept, total = row["n_neuroids"], row["n_neuroids_total"]
    return f"{kept} of {total}" if row["region"] == WHOLE and kept != total else str(kept)


def shown_numbers(rows: Sequence[Row]) -> list[float | None]:
    """Values and ceilings, which are shown with the same decimals."""
    return [row[name] for row in rows for name in ("value", "ceiling", "ceiling_upper")]


def _one_of(texts: set[str]) -> str:
    return "–" if not texts else "~" if len(texts) > 1 else next(iter(texts))


def _ceiling(row: Row, decimals: int | None) -> str:
    if is_number(row["ceiling_lower"]) and is_number(row["ceiling_upper"]):
        return f"{number_text(row['ceiling_lower'], decimals)} to {number_text(row['ceiling_upper'], decimals)}"
    return number_text(row["ceiling"], decimals) if is_number(row["ceiling"]) else ""


def notes_of(rows: Sequence[Row], heads: Sequence[Row], names: Mapping[str, str]) -> list[str]:
    """What brackets, ceilings and layers are, and how many predictions are null."""
    over = sorted({row["resampled"] for row in rows if row["resampled"] != "none"})
    seeds = sorted({row["n_seeds"] for row in rows if row["n_seeds"] > 1})
    estimators = sorted({row["ceiling_estimator"] for row in rows if row["ceiling_estimator"] != "none"})
    notes = [f"[ ] 95 % interval over {text}" for text in over]
    if seeds:
        count = " or ".join(map(str, seeds))
        notes.append(f"( ) mean and range over {count} seeds, no interval")
    notes += [f"ceiling: {text}" for text in estimators]
    rules = {row["layer_rule"]: [] for row in heads if row["n_layers_searched"] > 1}
    for row in heads:
        if row["layer_rule"] in rules:
            rules[row["layer_rule"]].append(row)
    notes += [f"layer: {rule}, of {_span(own, 'n_layers_searched')}" for rule, own in rules.items()]
    if any(rule == "optimistic" for rule in rules):
        notes.append(f"{OPTIMISTIC} chosen on what it is judged on: too high")
    null = [f"{names[row['members']]} {row['n_null']}" for row in heads if row["n_null"]]
    return [*notes, *([f"null predictions: {shorten(null, 5)}"] if null else [])]


def versions_that_differ(results: Sequence[Result]) -> list[str]:
    """A note where results rest on different versions of what they share."""
    digests = [result.digests for result in results]
    parts = [part for part in SHARED_DIGESTS if len({each.get(part) for each in digests}) > 1]
    if not parts:
        return []
    return [f"rows rest on different versions of the {', '.join(parts)}: score them again before you compare them"]
