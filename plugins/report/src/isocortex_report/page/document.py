"""The page of results: all that its template shows, put together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex_report.page.axis import Axis
from isocortex_report.page.claims import sentences_of
from isocortex_report.page.contents import Panel, Row, Score, full_name, keys_of, number, panels_of
from isocortex_report.page.gaps import Failed, Grid, grid_name, grid_of, warnings_of
from isocortex_report.page.looks import Look, looks_of
from isocortex_report.page.pairs import Pair, Tests, pairs_of, placed, tests_of
from isocortex_report.page.published import Published, published_of
from isocortex_report.page.sources import provenance_of, tags_of, versions_of
from isocortex_report.page.stages import stages_of
from isocortex_report.page.words import GLOSSARY, TARGETS, counted

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup

    from isocortex.interfaces import BenchmarkCard
    from isocortex.results import Result
    from isocortex_report.figures import Material
    from isocortex_report.page.inline_figures import Shown

#: kinds of figures that have a place of their own in a benchmark's section
RANKING, LAYERS = "ranking", "layers"
#: pairs of one benchmark that stand on the page; all are in the CSV
MOST_PAIRS = 400


@dataclass(frozen=True)
class Section:
    """One panel with all that is said of it."""

    panel: Panel
    title: str
    what: str
    notes: str
    caption: str
    family: str
    shared: bool
    against: Mapping[str, str]
    pairs: Sequence[tuple[Pair, str]]
    pair_axis: Axis
    pair_note: str
    stages: Sequence[tuple[Row, Mapping[str, Score]]]
    stage_regions: Sequence[str]
    stage_note: str
    published: Published | None
    drawn: Sequence[Shown] = ()
    links: Sequence[tuple[str, str]] = ()

    def figures(self, kind: str, *, whole: bool) -> list[Shown]:
        """Figures of a kind, of the whole or of regions; of the kind "" those that have no place of their own."""
        named = [item for item in self.drawn if (item.kind == kind if kind else item.kind not in (RANKING, LAYERS))]
        return [item for item in named if (item.region in ("", "all")) is whole]

    @property
    def has_ceiled(self) -> bool:
        """Whether some value is related to its ceiling."""
        return any(row.record["ceiled"] is not None for row in self.panel.rows)


@dataclass(frozen=True)
class Control:
    """A control beside the model with the best value."""

    panel: Panel
    row: Row
    lead: Row | None
    q: float | None


@dataclass(frozen=True)
class Paper:
    """Texts for a paper: titled paragraphs of methods, numbered references, and what results do not hold."""

    paragraphs: Sequence[tuple[str, str]]
    references: Sequence[str]
    unsaid: Sequence[str]
    bibtex: str


@dataclass(frozen=True)
class Page:
    """All that the page shows."""

    title: str
    kicker: str
    folder: str
    n_results: str
    sentences: Sequence[Markup]
    grid: Grid
    grid_keys: Mapping[str, str]
    grid_looks: Mapping[str, Look]
    symbols: Mapping[str, Sequence[str]]
    sections: Sequence[Section]
    across: Sequence[Shown]
    controls: Sequence[Control]
    failures: Sequence[Failed]
    gaps_text: str
    warnings: Mapping[str, Sequence[str]]
    paper: Paper
    provenance: Sequence[tuple[str, str]]
    versions: Sequence[tuple[str, str]]
    files: Sequence[tuple[str, str]]
    tags: Mapping[str, Sequence[str]]
    models: Sequence[Mapping[str, Any]]
    glossary: Mapping[str, tuple[str, str]] = field(default_factory=lambda: GLOSSARY)


def page_of(
    material: Material, folder: Path, shown: Sequence[tuple[Shown, str]], paper: Paper, files: Sequence[tuple[str, str]],
    title: str | None = None,
) -> tuple[Page, Tests]:  # fmt: skip
    """Put the page together.

    Parameters
    ----------
    material
        The results with their colours.
    folder
        Where their raw scores lie.
    shown
        Figures, each with the benchmark that it is of, or "".
    paper
        Methods and references.
    files
        What lies beside the page: what it is, and its address.
    title
        Of the page; None: from the results.
    """
    results = material.results
    looks = looks_of(material)
    frame, panels = panels_of(results, looks)
    tests = tests_of(results, folder)
    grid = grid_of(results, panels)
    keys = keys_of(frame.to_dict("records"))
    tags = tags_of(results)
    page = Page(
        title=title or _title(grid, looks),
        kicker=_kicker(results),
        folder=str(folder),
        n_results=counted(len(results), "result"),
        sentences=sentences_of(panels, tests, grid),
        grid=grid,
        grid_keys=_grid_keys(frame, keys),
        grid_looks={grid_name(*name.rsplit("@", 1)): look for name, look in looks.items()},
        symbols=_symbols(panels),
        sections=[_section(panel, panels, tests, frame, shown, files) for panel in panels],
        across=[figure for figure, benchmark in shown if not benchmark],
        controls=_controls(panels, tests),
        failures=[item for cell in grid.failed.values() for item in cell],
        gaps_text=_gaps_text(grid),
        warnings=warnings_of(results),
        paper=paper,
        provenance=provenance_of(results),
        versions=versions_of(results),
        files=files,
        tags=_filters(tags),
        models=_models(frame, keys, tags),
    )
    return page, tests


def _title(grid: Grid, looks: Mapping[str, Look]) -> str:
    controls = {grid_name(*name.rsplit("@", 1)) for name, look in looks.items() if look.is_control}
    n_models, n_controls = len(set(grid.names) - controls), len(controls & set(grid.names))
    parts = [counted(n_models, "model")] * bool(n_models) + [counted(n_controls, "control")] * bool(n_controls)
    return f"{' and '.join(parts)} on {counted(len(grid.benchmarks), 'benchmark')}"


def _kicker(results: Sequence[Result]) -> str:
    """When the results were made."""
    days = sorted({result.provenance.finished[:10] for result in results if result.provenance})
    return "Results" if not days else f"Results of {days[0]}" + (f" to {days[-1]}" if len(days) > 1 else "")


def _symbols(panels: Iterable[Panel]) -> dict[str, list[str]]:
    from collections import defaultdict

    found: dict[str, list[str]] = defaultdict(list)
    for panel in panels:
        if panel.symbol not in found[panel.benchmark]:
            found[panel.benchmark].append(panel.symbol)
    return found


def _grid_keys(frame: pd.DataFrame, keys: Mapping[str, str]) -> dict[str, str]:
    """Keys of all rows behind a row of the grid."""
    found: dict[str, dict[str, None]] = {}
    for record in frame[["model", "variant"]].to_dict("records"):
        name = grid_name(record["model"], record["variant"])
        found.setdefault(name, {})[keys[full_name({str(key): value for key, value in record.items()})]] = None
    return {name: " ".join(inside) for name, inside in found.items()}


# --- search -----------------------------------------------------------------------------------------------------------


def _models(
    frame: pd.DataFrame, keys: Mapping[str, str], tags: Mapping[str, Mapping[str, str]]
) -> list[dict[str, Any]]:
    """For search and filters: key, what is searched, and tags as NAME=VALUE."""
    of_model = {f"{model}@{variant}": model for model, variant in zip(frame["model"], frame["variant"], strict=True)}
    return [
        {
            "key": key,
            "search": f"{name} {' '.join(tags.get(of_model[name], {}).values())}".lower(),
            "tags": [f"{tag}={value}" for tag, value in tags.get(of_model[name], {}).items()],
        }
        for name, key in keys.items()
    ]


def _filters(tags: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """Tags by which a reader can filter: those with several values, and not one per model."""
    found: dict[str, dict[str, None]] = {}
    for of_model in tags.values():
        for tag, value in of_model.items():
            found.setdefault(tag, {})[value] = None
    return {tag: sorted(values) for tag, values in sorted(found.items()) if 1 < len(values) <= _MOST_VALUES}


#: values of a tag that are offered for filtering
_MOST_VALUES = 40


# --- one benchmark ----------------------------------------------------------------------------------------------------


def _section(
    panel: Panel,
    panels: Sequence[Panel],
    tests: Tests,
    frame: pd.DataFrame,
    shown: Sequence[tuple[Shown, str]],
    files: Sequence[tuple[str, str]],
) -> Section:
    card = _card(panel.benchmark)
    pairs = pairs_of(panel, tests)
    ranked = sorted(pairs, key=lambda pair: (pair.a is not panel.rows[0], 0))[:MOST_PAIRS]
    axis, styles = placed(ranked)
    own = [figure for figure, benchmark in shown if benchmark == panel.benchmark]
    stage_regions, stages, note = stages_of(panel)
    address = f"tables/{panel.anchor}.tex"
    return Section(
        panel=panel,
        title=_headline(panel, card),
        what=_what(panel),
        notes=card.notes if card is not None else "",
        caption=_caption(panel),
        family=tests.family,
        shared=sum(other.benchmark == panel.benchmark for other in panels) > 1,
        against=_against(panel, tests),
        pairs=list(zip(ranked, styles, strict=True)),
        pair_axis=axis,
        pair_note=_pair_note(pairs, len(ranked)),
        stages=stages,
        stage_regions=stage_regions,
        stage_note=note,
        published=published_of(panel, frame),
        drawn=own,
        links=[("CSV", "data/rows.csv"), *([("LaTeX", address)] if any(href == address for _, href in files) else [])],
    )


def _card(benchmark: str) -> BenchmarkCard | None:
    import isocortex
    from isocortex.interfaces import BenchmarkCard

    card = isocortex.load_cards("benchmark", [benchmark]).get(benchmark)
    return card if isinstance(card, BenchmarkCard) else None


def _headline(panel: Panel, card: BenchmarkCard | None) -> str:
    return card.title if card is not None and card.title else f"Benchmark {panel.benchmark}"


def _what(panel: Panel) -> str:
    """One sentence: what a value is, and of how many."""
    facts = dict(panel.facts)
    counts = [f"{facts[name]} {name.lower()}" for name in ("Stimuli", "Participants", "Neuroids") if name in facts]
    target = TARGETS.get(panel.target, panel.target)
    words = panel.words[0].upper() + panel.words[1:]
    return f"{words}, {target}: {', '.join(counts)}." if counts else f"{words}, {target}."


def _caption(panel: Panel) -> str:
    """One line below the ranking: interval, ceiling, layer rule."""
    facts = dict(panel.facts)
    ceiling = facts["Ceiling"] if facts["Ceiling"] != "none" else "not estimated"
    if panel.ceiling is not None:
        ends = dict.fromkeys(map(number, panel.ceiling))
        ceiling = f"{' to '.join(ends)}, {ceiling}"
    parts = [f"Interval: {facts['Interval']}", f"ceiling: {ceiling}", f"layer: {facts['Layer rule']}"]
    if facts["Null predictions"] != "none":
        parts.append(f"null predictions: {facts['Null predictions']}")
    return "; ".join(parts) + "."


def _against(panel: Panel, tests: Tests) -> dict[str, str]:
    """q of each row to the first one, by its members."""
    first = panel.rows[0]
    pairs = [tests.pair(first, row) for row in panel.rows[1:]]
    return {pair.b.record["members"]: number(pair.q) for pair in pairs if pair is not None}


def _pair_note(pairs: Sequence[Pair], n_shown: int) -> str:
    apart = sum(pair.told_apart for pair in pairs)
    text = f"Told apart (q ≤ .05): {apart:,} of {counted(len(pairs), 'pair')} of whole results here."
    if any(pair.n_tests > 1 for pair in pairs):
        text += " Of the seeds of a control, the pair with the largest q is shown."
    return text + (f" The first {n_shown:,} are shown." if n_shown < len(pairs) else "")


def _controls(panels: Sequence[Panel], tests: Tests) -> list[Control]:
    found: list[Control] = []
    for panel in panels:
        models = [row for row in panel.rows if not row.look.is_control and row.score.value is not None]
        lead = models[0] if models else None
        for row in panel.rows:
            if row.look.is_control:
                pair = tests.pair(lead, row) if lead is not None else None
                found.append(Control(panel, row, lead, None if pair is None else pair.q))
    return found


def _gaps_text(grid: Grid) -> str:
    cells = counted(len(grid.names) * len(grid.benchmarks), "cell")
    if not grid.n_failed and not grid.n_missing:
        return f"Nothing: all {cells} were scored."
    return (
        f"Of {cells}, {grid.n_scored:,} were scored, {grid.n_failed:,} failed and {grid.n_missing:,} were not run. "
        "A cell without a score has no value; it is never counted as 0."
    )
