"""Results as sheets, which terminal, LaTeX and Markdown print: models × regions of one benchmark, statistic and target.

Values stand beside each other only where these three are the same. What is the same for all rows, such as counts and
ceilings, is said once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from isocortex.errors import shorten
from isocortex.results.drops import drop_text, notes_of_drop
from isocortex.results.false_discovery import chance_text, notes_of_chance, p_text
from isocortex.results.frames import flat_rows, is_number, seed_of, seed_rows, seeds_text
from isocortex.results.number_texts import Cell, decimals_of
from isocortex.results.result import Result
from isocortex.results.said_once import OPTIMISTIC, below_of, facts_of, notes_of, shown_numbers, versions_that_differ
from isocortex.results.scores_file import WHOLE
from isocortex.results.selection import Selection, matches, require
from isocortex.results.sizes import HEADING as SIZE_HEADING, NOTE as SIZE_NOTE, size_text

Row = dict[str, Any]
#: variants that are what a name means when nothing else is said
_PLAIN = ("fixed", "pretrained")
#: models that were not run here and have lines of their own; more are counted
_MOST_NOT_RUN = 5
#: a model, and what stands in place of a value
Absent = tuple[str, str]


@dataclass(frozen=True)
class Order:
    """How the models of a sheet are ordered and grouped, and what is shown beside their values.

    Attributes
    ----------
    sort
        "value" (of the whole, best first), "model", a region, or a field of the models' cards.
    by
        A field of the models' cards: models with the same value stand together.
    fields
        Model → field → value, of the models whose card is known.
    sizes
        Whether units and dimensionality of the layer that is read out are shown, too.
    """

    sort: str = "value"
    by: str | None = None
    fields: Mapping[str, Mapping[str, object]] = field(default_factory=dict[str, Mapping[str, object]])
    sizes: bool = False


@dataclass(frozen=True)
class Line:
    """A model in a sheet: its name, a cell for each region that it has, and what is known of the whole."""

    name: str
    model: str
    cells: Mapping[str, Cell]
    group: str = ""
    #: read out most often, and among how many
    layer: str = ""
    n_layers: int = 0
    ceiled: float | None = None
    optimistic: bool = False
    #: calibrated value and chance of the whole, and p and q; empty where permutations were not asked for
    chance: str = ""
    p: str = ""
    #: of the whole, with its interval; empty where no stricter splits were asked for
    drop: str = ""
    #: units and dimensionality of the layer that is read out; empty where they were not asked for
    size: str = ""

    @property
    def has_values(self) -> bool:
        """Whether it has a value anywhere; a cell that failed or was not run is told once."""
        return any(cell.value is not None for cell in self.cells.values())


@dataclass(frozen=True)
class Sheet:
    """Models × regions of one benchmark, statistic and target.

    Attributes
    ----------
    facts
        What is the same for all rows: statistic, target, counts.
    regions
        The columns, the whole as "all".
    below
        Name of a line below the models, and its text for each region.
    notes
        What brackets, ceilings and layers are.
    decimals
        Of values; None: four digits wherever the point is.
    """

    benchmark: str
    facts: tuple[str, ...]
    regions: tuple[str, ...]
    lines: tuple[Line, ...]
    below: tuple[tuple[str, Mapping[str, str]], ...]
    notes: tuple[str, ...]
    decimals: int | None

    @property
    def further(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Headings and texts of what is known of the whole beside its value: layer, its size, chance, p, drop."""
        found = [("layer", tuple(line.layer for line in self.lines))] if self.has_layers else []
        if any(line.size for line in self.lines):
            found.append((SIZE_HEADING, tuple(line.size for line in self.lines)))
        if any(line.chance for line in self.lines):
            found.append(("calibrated (chance)", tuple(line.chance for line in self.lines)))
            found.append(("p, q", tuple(line.p for line in self.lines)))
        if any(line.drop for line in self.lines):
            found.append(("drop", tuple(line.drop for line in self.lines)))
        return tuple(found)

    @property
    def has_layers(self) -> bool:
        """Whether layers are shown: some were chosen, for the whole or the only region."""
        one = WHOLE in self.regions or len(self.regions) == 1
        return one and any(line.n_layers > 1 for line in self.lines)


def sheets_of(results: Sequence[Result], chosen: Selection | None = None, order: Order | None = None) -> list[Sheet]:
    """One sheet per benchmark, statistic and target; models whose cell failed or was not run are lines without values.

    A model that has results on the same stimuli in another benchmark, and none here, was not run here.

    Parameters
    ----------
    results
        Those of the benchmarks and models that are shown.
    chosen
        Its regions are the columns; none: all of them.
    order
        Default: best value first.

    Raises
    ------
    UsageError
        A region that no result has.
    """
    patterns = () if chosen is None else chosen.regions
    rows = flat_rows(results)
    for pattern in patterns:
        require(pattern, [row["region"] for row in rows if row["status"] == "scored"], "region")
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in seed_rows((row for row in rows if row["status"] == "scored"), results):
        if matches(row["region"], patterns):
            groups.setdefault((row["benchmark"], row["statistic"], row["target"]), []).append(row)
    benches = _Benches(results)
    return [_sheet(benchmark, group, benches, order or Order()) for (benchmark, _, _), group in groups.items()]


class _Benches:
    """What is known of the results of each benchmark beside their rows."""

    def __init__(self, results: Sequence[Result]) -> None:
        self.by_digest = {result.digest: result for result in results}
        self.names: dict[str, dict[str, str]] = {}  # stimuli → name → model
        self.run: dict[str, set[str]] = {}  # benchmark → names
        self.failed: dict[str, list[Result]] = {}
        for result in results:
            name = shown_name(result.model, result.variant)
            self.names.setdefault(result.stimuli, {})[name] = result.model
            self.run.setdefault(result.benchmark, set()).add(name)
            if result.summary is None:
                self.failed.setdefault(result.benchmark, []).append(result)

    def absent(self, benchmark: str, stimuli: str) -> dict[str, tuple[str, str]]:
        """Name → model and what stands in place of a value."""
        failed = {
            shown_name(item.model, item.variant): (item.model, "failed") for item in self.failed.get(benchmark, ())
        }
        run = self.run[benchmark]
        not_run = {name: (model, "–") for name, model in self.names[stimuli].items() if name not in run}
        return {**failed, **_seeds_together(not_run)}


def shown_name(model: str, variant: str) -> str:
    """The name under which a model is shown, and which ``-m`` takes: without the variant where it says nothing.

    Examples
    --------
    >>> shown_name("resnet50", "pretrained"), shown_name("resnet50", "random:0..4")
    ('resnet50', 'resnet50@random:0..4')
    """
    return model if variant in _PLAIN else f"{model}@{variant}"


def _seeds_together(names: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Seeds of one model under one name."""
    seeds: dict[tuple[str, str], list[int]] = {}
    found: dict[str, tuple[str, str]] = {}
    for name, (model, text) in names.items():
        seeded = seed_of(name.removeprefix(f"{model}@"))
        if seeded is None:
            found[name] = (model, text)
        else:
            seeds.setdefault((model, seeded[0]), []).append(seeded[1])
    for (model, kind), listed in seeds.items():
        found[f"{model}@{seeds_text(kind, listed)}"] = (model, "–")
    return found


def shared_notes(sheets: Sequence[Sheet]) -> list[str]:
    """What can be said once below all sheets: what no sheet says otherwise.

    Examples
    --------
    >>> shared_notes([])
    []
    """
    kinds: dict[str, set[tuple[str, ...]]] = {}
    for sheet in sheets:
        for kind in _KINDS:
            own = tuple(note for note in sheet.notes if note.startswith(kind))
            kinds.setdefault(kind, set()).update([own] if own else [])
    return [note for kind in _KINDS for own in kinds.get(kind, ()) if len(kinds[kind]) == 1 for note in own]


#: beginnings of notes that name no model
_KINDS = ("[ ]", "( )", "ceiling: ", "layer: ", "calibrated: ", "drop: ", f"{SIZE_HEADING}: ", OPTIMISTIC)


# --- one sheet --------------------------------------------------------------------------------------------------------


def _sheet(benchmark: str, rows: Sequence[Row], benches: _Benches, order: Order) -> Sheet:
    regions = tuple(dict.fromkeys(row["region"] for row in rows))
    regions = tuple(sorted(regions, key=lambda name: name != WHOLE))
    by_result: dict[str, list[Row]] = {}
    for row in rows:
        by_result.setdefault(row["members"], []).append(row)
    names = _names(list(by_result.values()))
    lines = [_line(names[key], own, order) for key, own in by_result.items()]
    lines = _ordered(lines, regions, order, lower=rows[0]["better"] == "lower")
    heads = [own[0] for own in by_result.values()]
    absent = dict(sorted(benches.absent(benchmark, heads[0]["stimuli"]).items()))
    told, not_run = _few_that_were_not_run(absent)
    lines += [
        Line(name, model, {regions[0]: Cell(absent=text)}, group=_group(model, order))
        for name, (model, text) in told.items()
    ]
    if order.by is not None:
        lines.sort(key=lambda line: _group_rank(line, order))
    below, odd = below_of(rows, regions)
    return Sheet(
        benchmark=benchmark,
        facts=facts_of(heads, in_line=any(name == "neuroids" for name, _ in below)),
        regions=regions,
        lines=tuple(lines),
        below=below,
        notes=(
            *notes_of(rows, heads, names),
            *notes_of_chance(heads),
            *notes_of_drop(heads),
            *([f"{SIZE_HEADING}: {SIZE_NOTE}"] if order.sizes else []),
            *odd,
            *not_run,
            *versions_that_differ([benches.by_digest[row["digest"]] for row in heads]),
        ),
        decimals=decimals_of(shown_numbers(rows)),
    )


def _few_that_were_not_run(absent: Mapping[str, Absent]) -> tuple[dict[str, Absent], list[str]]:
    """Lines for what failed and for few models that were not run; many are a note."""
    not_run = [name for name, (_, text) in absent.items() if text == Cell.absent]
    if len(not_run) <= _MOST_NOT_RUN:
        return dict(absent), []
    failed = {name: found for name, found in absent.items() if found[1] != Cell.absent}
    return failed, [f"– {len(not_run)} models of the same stimuli were not run: {shorten(not_run, 6)}"]


def _names(results: Sequence[Sequence[Row]]) -> dict[str, str]:
    """Members → name; where one name has several results, with the seed or else the digest."""
    plain = {own[0]["members"]: shown_name(own[0]["model"], own[0]["variant"]) for own in results}
    seeds: dict[str, list[int]] = {}
    for own in results:
        seeds.setdefault(plain[own[0]["members"]], []).append(own[0]["seed"])
    found: dict[str, str] = {}
    for own in results:
        members, name = own[0]["members"], plain[own[0]["members"]]
        if len(seeds[name]) == 1:
            found[members] = name
        elif len(set(seeds[name])) == len(seeds[name]):
            found[members] = f"{name} [seed {own[0]['seed']}]"
        else:
            found[members] = f"{name} [{members[:8]}]"
    return found


def _line(name: str, rows: Sequence[Row], order: Order) -> Line:
    whole = next((row for row in rows if row["region"] == WHOLE), rows[0])
    return Line(
        name=name,
        model=whole["model"],
        cells={row["region"]: _cell(row) for row in rows},
        group=_group(whole["model"], order),
        layer=whole["best_layer"],
        n_layers=whole["n_layers_searched"],
        ceiled=whole["ceiled"],
        optimistic=whole["n_layers_searched"] > 1 and whole["layer_rule"] == "optimistic",
        chance=chance_text(whole),
        p=p_text(whole),
        drop=drop_text(whole),
        size=size_text(whole) if order.sizes else "",
    )


def _cell(row: Row) -> Cell:
    if not is_number(row["value"]):
        return Cell()
    if row["n_seeds"] > 1:
        return Cell(row["value"], row["range_low"], row["range_high"], "range")
    if is_number(row["interval_low"]) and is_number(row["interval_high"]):
        return Cell(row["value"], row["interval_low"], row["interval_high"], "interval")
    return Cell(row["value"])


# --- order ------------------------------------------------------------------------------------------------------------


def _ordered(lines: Sequence[Line], regions: Sequence[str], order: Order, *, lower: bool) -> list[Line]:
    if order.sort == "model":
        return sorted(lines, key=lambda line: line.name)
    if order.sort != "value" and order.sort not in regions:
        return sorted(lines, key=lambda line: _place(order.fields.get(line.model, {}).get(order.sort)))
    column = order.sort if order.sort in regions else regions[0]

    def rank(line: Line) -> float:
        value = line.cells.get(column, Cell()).value
        return math.inf if value is None else value if lower else -value

    return sorted(lines, key=rank)


def _place(value: object) -> tuple[int, float, str]:
    """Numbers before texts, and nothing last."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return (0, float(value), "")
    return (2, 0.0, "") if value is None else (1, 0.0, field_text(value))


def field_text(value: object) -> str:
    """A field of a card as a text.

    Examples
    --------
    >>> field_text(["random", "fixed"]), field_text(True)
    ('random, fixed', 'true')
    """
    if isinstance(value, (list, tuple)):
        return ", ".join(map(field_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _group(model: str, order: Order) -> str:
    if order.by is None:
        return ""
    if model not in order.fields:
        return f"{order.by} not known, no card is installed:"
    value = order.fields[model].get(order.by)
    return f"without {order.by}:" if value is None else f"{order.by} {field_text(value)}:"


def _group_rank(line: Line, order: Order) -> tuple[int, tuple[int, float, str]]:
    known = order.fields.get(line.model)
    return (1, _place(None)) if known is None else (0, _place(known.get(order.by or "")))
