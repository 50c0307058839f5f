"""One benchmark of the page: its panel with figures, stages, comparisons and published numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isocortex_report.page.axis import Axis
from isocortex_report.page.contents import Panel, Row, Score, number
from isocortex_report.page.pairs import Comparisons, Pair, pairs_of, placed
from isocortex_report.page.published import Published, published_of
from isocortex_report.page.stages import stages_of
from isocortex_report.page.words import TARGETS, counted

if TYPE_CHECKING:
    import pandas as pd

    from isocortex.interfaces import BenchmarkCard
    from isocortex_report.page.inline_figures import Shown

#: kinds of figures that have a place of their own in a benchmark's section
PLACED = ("ranking", "layers", "regions", "stages", "pairs")
#: what the list of files calls the table of a benchmark
LATEX = "the table for LaTeX of"
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
        named = [item for item in self.drawn if (item.kind == kind if kind else item.kind not in PLACED)]
        return [item for item in named if (item.region in ("", "all")) is whole]

    @property
    def has_ceiled(self) -> bool:
        """Whether some value is related to its ceiling."""
        return any(row.record["ceiled"] is not None for row in self.panel.rows)


def section_of(
    panel: Panel,
    panels: Sequence[Panel],
    compared: Comparisons,
    frame: pd.DataFrame,
    shown: Sequence[tuple[Shown, str]],
    files: Sequence[tuple[str, str]],
) -> Section:
    """Put a section together.

    Parameters
    ----------
    panel, panels
        The one, and all of the page.
    compared
        All pairs.
    frame
        Gathered rows.
    shown
        Figures, each with the benchmark that it is of.
    files
        What lies beside the page.
    """
    card = _card(panel.benchmark)
    pairs = pairs_of(panel, compared)
    ranked = sorted(pairs, key=lambda pair: (pair.a is not panel.rows[0], 0))[:MOST_PAIRS]
    axis, styles = placed(ranked)
    own = [figure for figure, benchmark in shown if benchmark == panel.benchmark]
    stage_regions, stages, note = stages_of(panel)
    return Section(
        panel=panel,
        title=_headline(panel, card),
        what=_what(panel),
        notes=card.notes if card is not None else "",
        caption=_caption(panel),
        family=compared.family if pairs else compared.why_none(panel.benchmark),
        shared=sum(other.benchmark == panel.benchmark for other in panels) > 1,
        against=_against(panel, compared),
        pairs=list(zip(ranked, styles, strict=True)),
        pair_axis=axis,
        pair_note=_pair_note(pairs, len(ranked)),
        stages=stages,
        stage_regions=stage_regions,
        stage_note=note,
        published=published_of(panel, frame),
        drawn=own,
        links=[
            ("CSV", "data/rows.csv"),
            *(("LaTeX", href) for text, href in files if text == f"{LATEX} {panel.benchmark}"),
        ],
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


def _against(panel: Panel, compared: Comparisons) -> dict[str, str]:
    """q of each row to the first one, by its members."""
    first = panel.rows[0]
    pairs = [compared.pair(first, row) for row in panel.rows[1:]]
    return {pair.b.record["members"]: number(pair.q) for pair in pairs if pair is not None}


def _pair_note(pairs: Sequence[Pair], n_shown: int) -> str:
    apart = sum(pair.told_apart for pair in pairs)
    text = f"Told apart (q ≤ .05): {apart:,} of {counted(len(pairs), 'pair')} of whole results here."
    if any(pair.n_tests > 1 for pair in pairs):
        text += " Of the seeds of a control, the pair with the largest q is shown."
    return text + (f" The first {n_shown:,} are shown." if n_shown < len(pairs) else "")
