"""The methods section: what was compared with what and how, every clause out of records, cards and settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from isocortex.results import Result
from isocortex_report.paper.benchmark_text import blocks_of, one_line, paragraphs_of
from isocortex_report.paper.citations import Citations
from isocortex_report.paper.comparisons_text import comparisons_paragraph
from isocortex_report.paper.facts import Group, cards_of, groups_of
from isocortex_report.paper.models_text import models_paragraph
from isocortex_report.paper.quantities import counted
from isocortex_report.paper.references import Entry, References, in_text
from isocortex_report.paper.software_text import software_paragraph
from isocortex_report.selection import chosen_results, score_files


@dataclass
class Methods:
    """A methods section.

    Attributes
    ----------
    paragraphs
        Title and text.
    entries
        References in the order of their numbers.
    unsaid
        What a reader may ask and the results do not hold, so that it is not said.
    """

    paragraphs: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    entries: list[Entry] = field(default_factory=list[Entry])
    unsaid: list[str] = field(default_factory=list[str])

    def __str__(self) -> str:
        parts = [f"{title}. {text}" for title, text in self.paragraphs]
        listed = [f"{place}. {in_text(entry)}" for place, entry in enumerate(self.entries, start=1)]
        return "\n\n".join([*parts, "\n".join(["References", *listed])] if listed else parts) + "\n"


def methods_text(results: Path | str | Iterable[Result]) -> str:
    """The methods section of results, with numbered references; see ``methods``."""
    return str(methods(results))


def methods(
    results: Path | str | Iterable[Result],
    *,
    benchmarks: Sequence[str] = (),
    models: Sequence[str] = (),
    folder: Path | None = None,
    compared: bool = False,
) -> Methods:
    """Say in English what was compared with what and how: one paragraph per benchmark, what is common once.

    Parameters
    ----------
    results
        A results folder, or results.
    benchmarks, models
        IDs or globs of those that take part; empty: all.
    folder
        Where the raw scores of given results lie; they hold the numbers of draws and of test stimuli.
    compared
        Say also how ``isocortex compare`` compares all pairs of these models; only where the paper shows that.

    Returns
    -------
    Text, references and what is not said. ``str()`` of it is the text.

    Raises
    ------
    StoreError, UsageError
        No results, or none of these names.
    """
    found, own = chosen_results(results, benchmarks, models)
    where = own or folder
    scored = [result for result in found if result.summary is not None and result.limit is None]
    cards = cards_of(scored)
    groups = groups_of(scored, score_files(where), cards)
    citations = Citations(References(card.folder for card in cards.values()))
    section = Methods(unsaid=_failures(found))
    if scored:
        section.paragraphs.append(("Models", models_paragraph(scored, cards, citations, section.unsaid)))
        _add_benchmarks(section, groups, citations)
        if compared:
            section.paragraphs.append(("Comparisons", comparisons_paragraph(scored, where, citations)))
        section.paragraphs.append(("Software", software_paragraph(scored, citations, section.unsaid)))
    section.entries = citations.entries
    section.unsaid = list(dict.fromkeys(section.unsaid))
    return section


def _add_benchmarks(section: Methods, groups: Sequence[Group], citations: Citations) -> None:
    titles = [_title(group, groups) for group in groups]
    blocks = [blocks_of(group, citations) for group in groups]
    texts = paragraphs_of(titles, blocks)
    section.paragraphs += zip(titles, texts, strict=True)
    if len(blocks) > 1 and len({one.statistics for one in blocks}) == 1:
        section.paragraphs.append(("Statistics", blocks[0].statistics))
    section.unsaid += [line for one in blocks for line in one.unsaid]


def _failures(results: Sequence[Result]) -> list[str]:
    lines: list[str] = []
    for what, chosen in (
        ("without a score", [one for one in results if one.summary is None]),
        ("of trials on some of the stimuli", [one for one in results if one.limit is not None and one.summary]),
    ):
        names = [f"{one_line(one.model)}@{one.variant} × {one_line(one.benchmark)}" for one in chosen]
        if names:
            lines.append(f"{counted(len(names), 'cell')} {what}, of which nothing is said: {', '.join(names)}")
    return lines


def _title(group: Group, groups: Sequence[Group]) -> str:
    """A benchmark with its version; the seed and models where several procedures share the name."""
    name = f"{one_line(group.first.benchmark)}, version {group.first.benchmark_version}"
    several = [other for other in groups if other.first.benchmark == group.first.benchmark]
    if len(several) == 1:
        return name
    models = dict.fromkeys(f"{one_line(result.model)}@{result.variant}" for result in group.results)
    return f"{name} (seed {group.first.seed}; {', '.join(models)})"
