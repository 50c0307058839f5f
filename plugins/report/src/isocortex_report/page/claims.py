"""Three sentences that open the page; each says no more than the statistics carry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isocortex_report.page.contents import Panel, Row
from isocortex_report.page.pairs import Comparisons
from isocortex_report.page.words import counted, listed

if TYPE_CHECKING:
    from markupsafe import Markup

    from isocortex_report.page.gaps import Grid


#: benchmarks that are spoken of one by one
_FEW = 3


@dataclass(frozen=True)
class Lead:
    """The model with the best value of a panel, and what it is not told apart from.

    Attributes
    ----------
    close
        Other rows from which it is not told apart; ``untested`` could not be compared with it.
    """

    panel: Panel
    row: Row
    n_models: int
    close: Sequence[Row]
    untested: Sequence[Row]

    @property
    def alone(self) -> bool:
        """Whether it is told apart from every other row."""
        return not self.close and not self.untested and len(self.panel.rows) > 1


def lead_of(panel: Panel, compared: Comparisons) -> Lead | None:
    """The model with the best value; controls do not lead, unless nothing else was scored."""
    valued = [row for row in panel.rows if row.score.value is not None]
    models = [row for row in valued if not row.look.is_control]
    if not valued:
        return None
    lead = (models or valued)[0]
    others = [row for row in valued if row is not lead]
    pairs = [(row, compared.pair(lead, row)) for row in others]
    close = [row for row, pair in pairs if pair is not None and not (pair.told_apart and _is_better(panel, lead, row))]
    return Lead(panel, lead, len(models), close, [row for row, pair in pairs if pair is None])


def _is_better(panel: Panel, a: Row, b: Row) -> bool:
    assert a.score.value is not None
    assert b.score.value is not None
    return a.score.value < b.score.value if panel.less_is_better else a.score.value > b.score.value


def sentences_of(panels: Sequence[Panel], compared: Comparisons, grid: Grid) -> list[Markup]:
    """What is known, how it stands to the controls, and what it rests on."""
    leads = [lead for panel in panels if (lead := lead_of(panel, compared)) is not None]
    if not leads:
        return [_escaped("No cell has a value."), _cells(grid)]
    known = _few_benchmarks if len(leads) <= _FEW else _several_benchmarks
    first = _one_benchmark(leads[0]) if len(leads) == 1 else known(leads)
    return [first, _controls(leads), _cells(grid)]


def _escaped(text: str, **names: object) -> Markup:
    """A sentence with names in it, which are escaped."""
    from markupsafe import Markup

    return Markup(text).format(**names)  # noqa: S704 - the text is ours, and names are escaped by format


def _bold(name: str) -> Markup:
    return _escaped("<b>{name}</b>", name=name)


# --- what is known ----------------------------------------------------------------------------------------------------


def _one_benchmark(lead: Lead) -> Markup:
    panel, score = lead.panel, lead.row.score
    named = {
        "name": _bold(lead.row.short),
        "benchmark": panel.benchmark,
        "value": f"{panel.symbol}\u00a0=\u00a0{score.text}",
    }
    named["spread"] = f" ({score.spread_text})" if score.spread else ""
    if len(panel.rows) == 1:
        text = "{name} reaches {value}{spread} on {benchmark}; nothing else was scored there."
        return _escaped(text, **named)
    named["n"] = counted(lead.n_models, "model") if lead.n_models else counted(len(panel.rows), "control")
    extreme = "lowest" if panel.less_is_better else "highest"
    if lead.alone:
        text = "Of {n}, {name} predicts {benchmark} best: {value}{spread}, told apart from all others (q ≤ .05)."
        if lead.n_models == 1:
            text = "{name} predicts {benchmark}, {value}{spread}, and is told apart from every control (q ≤ .05)."
        return _escaped(text, **named)
    head = _escaped(f"Of {{n}}, {{name}} has the {extreme} value on {{benchmark}}, {{value}}{{spread}}", **named)
    close = [row.short for row in lead.close if not row.look.is_control or not lead.n_models]
    if close:
        return head + _escaped(", and is not told apart from {names} (q > .05).", names=listed(close))
    if [row for row in lead.untested if not row.look.is_control]:
        return head + "; whether it is told apart from the others was not tested."
    return head + ("." if lead.n_models < 2 else ", told apart from all other models (q ≤ .05).")


def _few_benchmarks(leads: Sequence[Lead]) -> Markup:
    """Who leads on each, with its value and what it is not told apart from."""
    from markupsafe import Markup

    return Markup("; ").join(_clause(lead, first=place == 0) for place, lead in enumerate(leads)) + "."


def _clause(lead: Lead, *, first: bool) -> Markup:
    extreme = "lowest" if lead.panel.less_is_better else "highest"
    said = f"has the {extreme} value" if lead.n_models != 1 else "reaches"
    head = _escaped(
        f"{'On' if first else 'on'} {{benchmark}} {{name}} {said}, {{symbol}}\u00a0=\u00a0{{value}}".replace(
            "reaches,", "reaches"
        ),
        benchmark=lead.panel.benchmark,
        name=_bold(lead.row.short),
        symbol=lead.panel.symbol,
        value=lead.row.score.text,
    )
    close = [row.short for row in lead.close if not row.look.is_control or not lead.n_models]
    if lead.alone:
        return head + ", told apart from all others (q ≤ .05)"
    if close:
        return head + _escaped(", not told apart from {names}", names=listed(close, 3))
    return head


def _several_benchmarks(leads: Sequence[Lead]) -> Markup:
    """How often each model leads, and on how many benchmarks that is more than chance."""
    ahead = Counter(lead.row.short for lead in leads)
    extreme = "best" if any(lead.panel.less_is_better for lead in leads) else "highest"
    shown = [
        _escaped(
            f"{{name}} has the {extreme} value on {{n}}" if place == 0 else "{name} on {n}",
            name=_bold(name),
            n=n if place else f"{n} of {counted(len(leads), 'ranking')}",
        )
        for place, (name, n) in enumerate(ahead.most_common(3))
    ]
    rest = len(ahead) - len(shown)
    more = f", and {counted(rest, 'other model')} on the rest" if rest else ""
    head = _joined(shown) + more
    alone = [lead for lead in leads if lead.alone]
    if all(lead.untested and not lead.close for lead in leads):
        return head + "; whether that is more than chance was not tested."
    if len(alone) == len(leads):
        return head + ", each time told apart from all others (q ≤ .05)."
    if not alone:
        return head + "; on none is it told apart from all others (q ≤ .05)."
    where = listed([lead.panel.benchmark for lead in alone], 3)
    untested = [lead.panel.benchmark for lead in leads if lead.untested and not lead.close]
    rest = f"; on {listed(untested, 3)} that was not tested" if untested else ""
    return head + _escaped("; it is told apart from all others (q ≤ .05) on {where}{rest}.", where=where, rest=rest)


def _joined(parts: Sequence[Markup]) -> Markup:
    from markupsafe import Markup

    return Markup(", ").join(parts)


# --- controls ---------------------------------------------------------------------------------------------------------


def _controls(leads: Sequence[Lead]) -> Markup:
    """How the best model stands to controls: below, not told apart, or above all of them."""
    beside = [(lead, _rivals(lead)) for lead in leads]
    beside = [(lead, rivals) for lead, rivals in beside if rivals and lead.n_models]
    if not beside:
        return _escaped(
            "No control was scored beside a model: without one, nothing says how much any other features would reach."
        )
    above = [(lead, row) for lead, rivals in beside for row in rivals if _is_better(lead.panel, row, lead.row)]
    if len(beside) == 1:
        return _one_with_controls(*beside[0], [row for _, row in above])
    if len(leads) <= _FEW:
        return _few_with_controls(beside)
    clear = [lead for lead, rivals in beside if _is_clear(lead, rivals)]
    text = "The best model is told apart from every control on {n_clear} of {n}{where}"
    close = [lead.panel.benchmark for lead, rivals in beside if any(row in lead.close for row in rivals)]
    untested = [lead for lead, _ in beside if lead not in clear and lead.panel.benchmark not in close]
    where = f", not on {listed(close, 3)}" if close else ""
    if untested:
        where += f"; on {listed([lead.panel.benchmark for lead in untested], 3)} that was not tested"
    head = _escaped(text, n_clear=len(clear), n=counted(len(beside), "ranking"), where=where)
    if not above:
        return head + "."
    cases = listed([f"{row.short} on {lead.panel.benchmark}" for lead, row in above], 2)
    return head + _escaped("; a control has the better value: {cases}.", cases=cases)


def _few_with_controls(beside: Sequence[tuple[Lead, Sequence[Row]]]) -> Markup:
    """Where the best model is told apart from every control, and what is in its way elsewhere."""
    from markupsafe import Markup

    clear = [lead.panel.benchmark for lead, rivals in beside if _is_clear(lead, rivals)]
    parts = [_escaped("told apart from every control on {where}", where=listed(clear))] if clear else []
    for lead, rivals in beside:
        better = [row.short for row in rivals if _is_better(lead.panel, row, lead.row)]
        close = [row.short for row in rivals if row in lead.close]
        where = lead.panel.benchmark
        if better:
            parts.append(_escaped("below {names} on {where}", names=listed(better), where=where))
        elif close:
            parts.append(_escaped("not told apart from {names} on {where}", names=listed(close), where=where))
        elif not _is_clear(lead, rivals):
            parts.append(_escaped("not tested against controls on {where}", where=where))
    return Markup("The best model is ") + Markup("; it is ").join(parts) + "."


def _rivals(lead: Lead) -> list[Row]:
    """The controls beside the leading row, best first."""
    return [
        row for row in lead.panel.rows if row.look.is_control and row is not lead.row and row.score.value is not None
    ]


def _is_clear(lead: Lead, rivals: Sequence[Row]) -> bool:
    """Whether the leading row is better than every control, and told apart from it."""
    keys = {row.record["members"] for row in (*lead.close, *lead.untested)}
    return not any(row.record["members"] in keys for row in rivals)


def _one_with_controls(lead: Lead, rivals: Sequence[Row], above: Sequence[Row]) -> Markup:
    value = f"{lead.panel.symbol}\u00a0=\u00a0{rivals[0].score.text}"
    if above:
        names = listed([row.short for row in above])
        verb = "has" if len(above) == 1 else "have"
        return _escaped(f"Among the controls, {{names}} {verb} a better value ({{value}}).", names=names, value=value)
    if _is_clear(lead, rivals):
        text = "It is told apart from every control; {best} comes nearest, at {value}."
        return _escaped(text, best=rivals[0].short, value=value)
    close = [row.short for row in lead.close if row.look.is_control]
    if close:
        return _escaped("It is not told apart from the controls {names} (q > .05).", names=listed(close))
    return _escaped(
        "Whether it is told apart from its controls was not tested; {best} comes nearest, at {value}.",
        best=rivals[0].short,
        value=value,
    )


# --- what it rests on -------------------------------------------------------------------------------------------------


def _cells(grid: Grid) -> Markup:
    n_cells = len(grid.names) * len(grid.benchmarks)
    whole = f"{counted(len(grid.names), 'row')} × {counted(len(grid.benchmarks), 'benchmark')}"
    if len(grid.names) > 1:
        whole = f"{len(grid.names):,} models and controls × {counted(len(grid.benchmarks), 'benchmark')}"
    if n_cells == 1 and grid.n_scored == 1:
        return _escaped("The only cell was scored.")
    if not grid.n_missing and not grid.n_failed:
        return _escaped("All {n} ({whole}) were scored.", n=counted(n_cells, "cell"), whole=whole)
    failed = f", {grid.n_failed:,} failed" if grid.n_failed else ", none failed"
    were = "was" if grid.n_missing == 1 else "were"
    missing = f", and {grid.n_missing:,} {were} not run" if grid.n_missing else ""
    return _escaped(
        "Of {n} ({whole}), {scored:,} {verb} scored{failed}{missing}. A cell without a score has no value.",
        n=counted(n_cells, "cell"),
        whole=whole,
        scored=grid.n_scored,
        verb="was" if grid.n_scored == 1 else "were",
        failed=failed,
        missing=missing,
    )
