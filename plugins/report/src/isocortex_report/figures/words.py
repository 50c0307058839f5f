"""What statistics, rules and counts are called in figures, and the line below each figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from isocortex_report.figures.style import FORM_WORDS, short_name

if TYPE_CHECKING:
    import pandas as pd

#: statistic of a result → on an axis
STATISTICS = {
    "r": "correlation r",
    "r2": "R², share of variance",
    "r2_corrected": "noise-corrected R²",
    "unique_r2": "unique variance, R² beyond the baseline",
    "rho": "rank correlation ρ of dissimilarities",
    "rho_a": "rank correlation ρₐ of dissimilarities",
    "tau_a": "rank correlation τₐ of dissimilarities",
    "cosine": "cosine of dissimilarities",
    "cka": "CKA",
    "procrustes": "Procrustes similarity",
    "kappa": "error consistency κ",
    "accuracy": "accuracy",
    "shape_bias": "shape bias",
    "mse": "mean squared error",
}
TARGETS = {"participant": "mean over participants", "group-mean": "of the group's mean", "pooled": "pooled"}
#: statistics of which a smaller value is the better one
LOWER_IS_BETTER = ("mse", "accuracy_difference", "procrustes_distance")
#: how layers were chosen: beginning of the rule → form of the mark
_FORMS = {"single layer": "single", "nested": "nested"}


def axis_label(statistic: str, target: str, *, held_out: bool) -> str:
    """The statistic in words, what it was computed on, and of whom it is.

    Examples
    --------
    >>> axis_label("r", "participant", held_out=True)
    'correlation r, held-out stimuli, mean over participants'
    """
    words = STATISTICS.get(statistic, short_name(statistic))
    parts = [words, "held-out stimuli" if held_out else "", TARGETS.get(target, short_name(target) if target else "")]
    return ", ".join(filter(None, parts))


def form_of(layer_rule: str) -> str:
    """How the layer of a row was chosen: "nested", "single", or "optimistic" for whatever is neither.

    Examples
    --------
    >>> form_of("nested by region"), form_of("single layer"), form_of("overlapping by neuroid")
    ('nested', 'single', 'optimistic')
    """
    return next((form for beginning, form in _FORMS.items() if layer_rule.startswith(beginning)), "optimistic")


def best_first(statistic: str) -> bool:
    """Whether larger values are better, so that rows are sorted descending."""
    return statistic not in LOWER_IS_BETTER


def number(value: float, digits: int = 3) -> str:
    """A number without a leading zero, as papers of the field print correlations; a true minus.

    Examples
    --------
    >>> number(0.1234), number(-0.5), number(12.0), number(float("nan"))
    ('.123', '−.500', '12.000', '–')
    """
    if value != value:
        return "–"
    text = f"{abs(value):.{digits}f}"
    sign = "−" if value < 0 and float(text) != 0 else ""
    return sign + (text[1:] if text.startswith("0.") else text)


def span(values: Iterable[Any], one: str = "") -> str:
    """One value, or the smallest and the largest; empty where there is none.

    Examples
    --------
    >>> span([3, 3], "layers"), span([1, 5]), span([])
    ('3 layers', '1 to 5', '')
    """
    known = sorted({value for value in values if value == value and value is not None})
    if not known:
        return ""
    text = f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,}"
    return f"{text} {one}".strip()


def note_of(rows: pd.DataFrame, more: Sequence[str] = ()) -> str:
    """The line below a figure: what the rows of results rest on, and what else has to be said."""
    parts = [counts_text(rows), *_ceilings(rows), *_intervals(rows), _rules(rows), *more]
    return "; ".join(part for part in parts if part) + "."


def counts_text(rows: pd.DataFrame) -> str:
    """Stimuli, neuroids kept of all, participants and splits of rows of results."""
    kept, total = span(rows["n_neuroids"].dropna()), span(rows["n_neuroids_total"].dropna())
    neuroids = "" if not kept else f"{kept} neuroids" if kept == total else f"{kept} of {total} neuroids"
    null = int(rows["n_null"].max()) if rows["n_null"].notna().any() else 0
    parts = [
        span(rows["n_stimuli"].dropna(), "stimuli"),
        neuroids,
        span(rows["n_subjects"].dropna(), "participants"),
        span(rows["n_splits"].dropna(), "splits"),
        f"up to {null} null predictions" if null else "",
    ]
    return "n: " + ", ".join(filter(None, parts)) if any(parts) else ""


def _ceilings(rows: pd.DataFrame) -> list[str]:
    named = [name for name in dict.fromkeys(rows["ceiling_estimator"]) if name and name != "none"]
    known = rows["ceiling"].notna() | rows["ceiling_lower"].notna()
    return [f"ceiling: {' / '.join(map(short_text, named))}"] if named and known.any() else ["no ceiling"]


def _intervals(rows: pd.DataFrame) -> list[str]:
    over = [name for name in dict.fromkeys(rows["resampled"]) if name and name != "none"]
    drawn = rows["interval_low"].notna()
    parts = [f"lines: 95 % intervals over {' / '.join(map(short_text, over))}"] if drawn.any() else ["no interval"]
    several = rows["n_seeds"].gt(1) if "n_seeds" in rows else drawn & False
    if several.any():
        parts.append(f"seeds of one model are one row: mean, and range over {span(rows['n_seeds'][several])} seeds")
    return parts


def _rules(rows: pd.DataFrame) -> str:
    listed = dict.fromkeys(zip(rows["layer_rule"], rows["n_layers_searched"], strict=True))
    found: dict[str, list[int]] = {}
    for rule, n_layers in listed:
        found.setdefault(str(rule), []).append(n_layers)
    texts = [
        rule if rule == "single layer" else f"{short_text(rule)}, {span(n)} layers" for rule, n in found.items() if rule
    ]
    return f"layer: {' / '.join(texts)}" if texts else ""


def forms_text(forms: Iterable[str]) -> str:
    """What the forms of marks mean, where there are several."""
    signs = {"nested": "circle", "single": "square", "optimistic": "triangle"}
    known = set(forms)
    present = [form for form in signs if form in known]
    return ", ".join(f"{signs[form]}: {FORM_WORDS[form]}" for form in present) if len(present) > 1 else ""


def short_text(text: str) -> str:
    """Words of a result in one line of bounded length."""
    return short_name(text, 90)


def about(region: str, benchmark: str) -> str:
    """What a figure is about: the benchmark, and the region where it is not the whole.

    Examples
    --------
    >>> about("all", "NH2015.ridge"), about("Primary", "NH2015.ridge")
    ('NH2015.ridge', 'Primary (NH2015.ridge)')
    """
    name = short_name(benchmark, 48)
    return name if region == "all" else f"{short_name(region, 40)} ({name})"
