"""Scores that papers printed, where they are the same statistic by the same procedure as the rows beside them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import isocortex
from isocortex.errors import IsocortexError

if TYPE_CHECKING:
    import pandas as pd

#: beginning of what a table of published scores calls a statistic, in small letters → statistic of a result
_STATISTICS = {
    "pearson r": "r",
    "spearman's rho": "rho",
    "r2": "r2",
    "explained variance": "r2",
    "kappa": "kappa",
    "accuracy": "accuracy",
    "shape_bias": "shape_bias",
    "observed_consistency": "observed_consistency",
}


def published_scores(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Published scores of what these rows of one benchmark, region and statistic were scored on.

    A score is the same only if the benchmark lists it, the statistic is that of the rows, and the metric is the paper's
    own procedure: the paper that the metric's card refers to is the source. Whatever is another protocol is left out.

    Returns
    -------
    Dictionaries with ``model``, ``value`` and ``source``.
    """
    first = rows.iloc[0]
    found: list[dict[str, Any]] = []
    for row in _listed(str(first["benchmark"])):
        same = _statistic(row["statistic"]) == first["statistic"] and _is_row(row.get("region"), str(first["region"]))
        if same and _is_procedure(str(first["metric"]), row["source"]):
            found.append({"model": row["model"], "value": float(row["value"]), "source": row["source"]})
    return found


def _listed(benchmark: str) -> Iterable[dict[str, str]]:
    try:
        card: Any = isocortex.load_card("benchmark", benchmark)
    except IsocortexError:
        return []
    if not card.published:
        return []
    with (card.folder / card.published).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _statistic(words: str) -> str:
    """The statistic of a result that is meant, or nothing; what is corrected for noise is another one.

    Examples
    --------
    >>> _statistic("Pearson r, median over sites"), _statistic("noise-corrected r2, ten splits")
    ('r', '')
    """
    head = re.split(r"[,(:]", words)[0].strip().lower()
    return _STATISTICS.get(head, "")


def _is_row(region: str | None, name: str) -> bool:
    return (region or "all") in (name, name.partition("=")[2])


def _is_procedure(metric: str, source: str) -> bool:
    """Whether a metric is the procedure of the paper or package that a published score comes from."""
    try:
        reference = isocortex.load_card("metric", metric).reference
    except IsocortexError:
        return False
    doi = reference.removeprefix("doi:").lower()
    package = re.sub(r"[^a-z0-9]", "", metric.partition("-")[0].lower())
    return (bool(doi) and doi in source.lower()) or package == re.sub(
        r"[^a-z0-9]", "", source.partition(",")[0].lower()
    )


def same_name(published: str, model: str) -> bool:
    """Whether a published model is a model of ours: the same letters and digits.

    Examples
    --------
    >>> same_name("SpectroTemporal", "spectrotemporal"), same_name("AST (permuted weights)", "ast")
    (True, False)
    """
    own, theirs = (re.sub(r"[^a-z0-9]", "", name.lower()) for name in (model, published))
    return own == theirs
