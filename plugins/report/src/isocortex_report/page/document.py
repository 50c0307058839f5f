"""The page of results: all that its template shows, put together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex_report.page.claims import sentences_of
from isocortex_report.page.contents import Panel, Row, keys_of, panels_of
from isocortex_report.page.gaps import Failed, Grid, grid_name, grid_of, warnings_of
from isocortex_report.page.looks import Look, looks_of
from isocortex_report.page.pairs import Comparisons, comparisons_of
from isocortex_report.page.sections import Section, section_of
from isocortex_report.page.sources import provenance_of, tags_of, versions_of
from isocortex_report.page.words import GLOSSARY, counted

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup

    from isocortex.results import Result
    from isocortex_report.figures import Material
    from isocortex_report.page.inline_figures import Shown


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
class Said:
    """What whoever makes the page says of it.

    Attributes
    ----------
    title
        None: from the results.
    left_out
        A sentence about figures that are not drawn; or empty.
    """

    title: str | None = None
    left_out: str = ""


@dataclass(frozen=True)
class Page:
    """All that the page shows."""

    title: str
    left_out: str
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
    material: Material,
    folder: Path,
    shown: Sequence[tuple[Shown, str]],
    paper: Paper,
    files: Sequence[tuple[str, str]],
    said: Said,
) -> tuple[Page, Comparisons]:
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
    said
        Title, and what is not drawn.
    """
    results = material.results
    looks = looks_of(material)
    frame, panels = panels_of(results, looks)
    compared = comparisons_of(results, folder)
    grid = grid_of(results, panels)
    keys = keys_of(frame[["model", "variant"]].astype(str).itertuples(index=False, name=None))
    tags = tags_of(results)
    page = Page(
        title=said.title or _title(grid, looks),
        left_out=said.left_out,
        kicker=_kicker(results),
        folder=str(folder),
        n_results=counted(len(results), "result"),
        sentences=sentences_of(panels, compared, grid),
        grid=grid,
        grid_keys=_grid_keys(frame, keys),
        grid_looks={grid_name(*name.rsplit("@", 1)): look for name, look in looks.items()},
        symbols=_symbols(panels),
        sections=[section_of(panel, panels, compared, frame, shown, files) for panel in panels],
        across=[figure for figure, benchmark in shown if not benchmark],
        controls=_controls(panels, compared),
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
    return page, compared


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
        found.setdefault(name, {})[keys[f"{record['model']}@{record['variant']}"]] = None
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


def _controls(panels: Sequence[Panel], compared: Comparisons) -> list[Control]:
    found: list[Control] = []
    for panel in panels:
        models = [row for row in panel.rows if not row.look.is_control and row.score.value is not None]
        lead = models[0] if models else None
        for row in panel.rows:
            if row.look.is_control:
                pair = compared.pair(lead, row) if lead is not None else None
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
