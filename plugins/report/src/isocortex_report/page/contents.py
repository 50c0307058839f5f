"""What the page shows, as plain data: every number comes from ``rows_frame`` and ``seed_sets``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from isocortex_report.page.axis import Axis, axis_of
from isocortex_report.page.words import counted, statistic_words, symbol

if TYPE_CHECKING:
    import pandas as pd

    from isocortex.results import Result
    from isocortex_report.page.looks import Look

#: what the row of a whole result is called
WHOLE = "all"
Record = dict[str, Any]


@dataclass(frozen=True)
class Score:
    """One value with its spread, as text and as places on an axis in percent.

    Attributes
    ----------
    spread
        "interval", "range" (over seeds), or "" where there is none.
    style
        The places, as variables of CSS.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    spread: str = ""
    style: str = ""

    @property
    def text(self) -> str:
        """Three digits, or a dash."""
        return number(self.value)

    @property
    def spread_text(self) -> str:
        """Lower and upper end, or nothing."""
        return f"{number(self.low)} … {number(self.high)}" if self.spread else ""


@dataclass(frozen=True)
class Row:
    """One model, or the seeds of one control, on one benchmark."""

    key: str
    look: Look
    model: str
    variant: str
    score: Score
    record: Record
    regions: Mapping[str, Score] = field(default_factory=dict[str, Score])
    records: Sequence[Record] = ()

    @property
    def name(self) -> str:
        """Model and variant."""
        return full_name(self.record)

    @property
    def short(self) -> str:
        """The name as a sentence has it: without a variant that goes without saying."""
        return self.model if self.variant in ("fixed", "pretrained") else self.name

    @property
    def layer_text(self) -> str:
        """The layer that is read out, and among how many it was chosen."""
        layers, rule = self.record["n_layers_searched"], self.record["layer_rule"]
        return str(rule) if layers == 1 else f"{rule}, of {layers} layers"


@dataclass(frozen=True)
class Panel:
    """All rows that may stand in one ranking: those of one benchmark, statistic and target.

    Attributes
    ----------
    axis
        Of the whole; ``region_axis`` is shared by all regions.
    rows
        Best first.
    """

    anchor: str
    benchmark: str
    statistic: str
    target: str
    axis: Axis
    region_axis: Axis
    rows: Sequence[Row]
    regions: Sequence[str]

    @property
    def symbol(self) -> str:
        """Short form of the statistic."""
        return symbol(self.statistic)

    @property
    def words(self) -> str:
        """The statistic in words."""
        return statistic_words(self.statistic)

    @property
    def less_is_better(self) -> bool:
        """Whether the best model has the smallest value."""
        return all(row.record["better"] == "lower" for row in self.rows)

    @property
    def ceiling(self) -> tuple[float, float] | None:
        """Lower and upper end of the band of the whole, if all rows share one."""
        found = {_band(row.record) for row in self.rows}
        return next(iter(found)) if len(found) == 1 else None

    @property
    def ceiling_style(self) -> str:
        """The band as places on the axis."""
        return _band_style(self.ceiling, self.axis)

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What holds for all rows: name and text."""
        return [item for item in _facts([row.record for row in self.rows]) if item[1]]


def number(value: float | None) -> str:
    """Three digits without a zero before the point, as papers of the field print them, or a dash.

    Examples
    --------
    >>> number(0.12345), number(None), number(-0.0001), number(-1.5)
    ('.123', '–', '.000', '−1.500')
    """
    if value is None or value != value:
        return "–"
    text = f"{abs(value):.3f}"
    sign = "−" if value < 0 and float(text) else ""
    return sign + (text[1:] if text.startswith("0.") else text)


def full_name(record: Mapping[str, Any]) -> str:
    """Model and variant as one text."""
    return f"{record['model']}@{record['variant']}"


def panels_of(results: Sequence[Result], looks: Mapping[str, Look]) -> tuple[pd.DataFrame, list[Panel]]:
    """The gathered frame, and one panel per benchmark, statistic and target.

    Parameters
    ----------
    results
        Scored and failed ones.
    looks
        Full name of a row to its colour and mark.
    """
    from isocortex.results import rows_frame, seed_sets

    frame = seed_sets(rows_frame(results), results)
    records = [_plain(record) for record in frame.to_dict("records")]
    scored = [record for record in records if record["status"] == "scored"]
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in scored:
        groups.setdefault((record["benchmark"], record["statistic"], record["target"]), []).append(record)
    keys = keys_of((record["model"], record["variant"]) for record in records)
    panels = [_panel(place, key, group, looks, keys) for place, (key, group) in enumerate(groups.items())]
    return frame, panels


def keys_of(models: Iterable[tuple[str, str]]) -> dict[str, str]:
    """A short key for each model and variant, by which search and filters find it everywhere on the page.

    Examples
    --------
    >>> keys_of([("noise", "random:0"), ("pixels", "fixed"), ("noise", "random:0")])
    {'noise@random:0': 'm0', 'pixels@fixed': 'm1'}
    """
    names = dict.fromkeys(f"{model}@{variant}" for model, variant in models)
    return {name: f"m{place}" for place, name in enumerate(names)}


def _plain(record: Mapping[Any, Any]) -> Record:
    """Gaps of whatever kind as None."""
    import pandas as pd

    return {str(name): None if pd.isna(value) else value for name, value in record.items()}


def _panel(
    place: int,
    key: tuple[str, str, str],
    records: Sequence[Record],
    looks: Mapping[str, Look],
    keys: Mapping[str, str],
) -> Panel:
    benchmark, statistic, target = key
    wholes = [record for record in records if record["region"] == WHOLE]
    parts = [record for record in records if record["region"] != WHOLE]
    axis, region_axis = _axis(wholes), _axis(parts or wholes)
    inside: dict[str, dict[str, Score]] = {}
    by_members: dict[str, list[Record]] = {}
    for record in records:
        by_members.setdefault(record["members"], []).append(record)
    for record in parts:
        inside.setdefault(record["members"], {})[record["region"]] = score_of(record, region_axis)
    rows = [
        Row(
            key=keys[full_name(record)],
            look=looks[full_name(record)],
            model=record["model"],
            variant=record["variant"],
            score=score_of(record, axis),
            record=record,
            regions=inside.get(record["members"], {}),
            records=by_members[record["members"]],
        )
        for record in sorted(wholes, key=_order)
    ]
    regions = list(dict.fromkeys(str(record["region"]) for record in parts))
    return Panel(f"b{place}", benchmark, statistic, target, axis, region_axis, rows, regions)


def _order(record: Record) -> tuple[bool, float]:
    """Best first; without a value last."""
    value = record["value"]
    return (value is None, 0.0 if value is None else value if record["better"] == "lower" else -value)


def _axis(records: Sequence[Record]) -> Axis:
    names = ("value", "interval_low", "interval_high", "range_low", "range_high", "ceiling", "ceiling_upper")
    return axis_of(record[name] for record in records for name in names)


def score_of(record: Record, axis: Axis) -> Score:
    """Value and spread of one record on an axis."""
    low, high, spread = record["interval_low"], record["interval_high"], "interval"
    if record["n_seeds"] is not None and record["n_seeds"] > 1:
        low, high, spread = record["range_low"], record["range_high"], "range"
    spread = spread if low is not None and high is not None else ""
    value = record["value"]
    if value is None:
        return Score(None)
    style = f"--v:{axis.place(value)}%"
    if low is not None and high is not None:
        style += f";--l:{axis.place(low)}%;--h:{axis.place(high)}%"
    return Score(value, low, high, spread, style + _ceiling_part(record, axis))


def _ceiling_part(record: Record, axis: Axis) -> str:
    style = _band_style(_band(record), axis)
    return f";{style}" if style else ""


def _band(record: Record) -> tuple[float, float] | None:
    """Lower and upper end of the ceiling; one number is a band without width."""
    low, high = record["ceiling_lower"], record["ceiling_upper"]
    if low is not None and high is not None:
        return (low, high)
    return None if record["ceiling"] is None else (record["ceiling"], record["ceiling"])


def _band_style(band: tuple[float, float] | None, axis: Axis) -> str:
    return "" if band is None else f"--c:{axis.place(band[0])}%;--d:{axis.place(band[1])}%"


# --- what holds for all rows ------------------------------------------------------------------------------------------


def _facts(records: Sequence[Record]) -> list[tuple[str, str]]:
    def shared(name: str) -> list[Any]:
        return list(dict.fromkeys(record[name] for record in records if record[name] is not None))

    def spans(name: str) -> str:
        found = sorted(shared(name))
        return "" if not found else f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,} to {found[-1]:,}"

    neuroids = _of_total(spans("n_neuroids"), spans("n_neuroids_total"))
    resampled = [kind for kind in shared("resampled") if kind != "none"]
    ceilings = [name for name in shared("ceiling_estimator") if name != "none"]
    return [
        ("Stimuli", spans("n_stimuli")),
        ("Participants", spans("n_subjects")),
        ("Neuroids", neuroids),
        ("Splits", spans("n_splits")),
        ("Layer rule", "; ".join(map(str, shared("layer_rule")))),
        ("Interval", f"95 %, drawn over {' or '.join(resampled)}" if resampled else "none"),
        ("Ceiling", "; ".join(ceilings) or "none"),
        ("Metric", ", ".join(map(str, shared("metric")))),
        ("Reduction", ", ".join(filter(None, map(str, shared("reduction"))))),
        ("Seed", ", ".join(map(str, shared("seed")))),
        ("Null predictions", _nulls(records)),
    ]


def _of_total(kept: str, total: str) -> str:
    """Neuroids that scores rest on; where scores have none of their own, those that were recorded."""
    return kept or total if not (kept and total) or kept == total else f"{kept} kept of {total}"


def _nulls(records: Sequence[Record]) -> str:
    """How many predictions do not vary, and whose."""
    found = [record for record in records if record["n_null"]]
    total = sum(record["n_null"] for record in found)
    return f"{total:,} in {counted(len(found), 'model')}" if found else "none"
