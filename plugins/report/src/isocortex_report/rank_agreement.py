"""Whether benchmarks, and metrics of one data set, put the same models in the same order: rank correlations.

Each pair is judged over the models that both have, and never beside a mean over other models.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.errors import UsageError, shorten
from isocortex.results import Result, selected_rows
from isocortex_report.figures.families import FEWEST_FAMILIES, drawn_counts, kendall, rank_correlation, with_interval
from isocortex_report.figures.material import CONTROLS, LABELS, Material, records
from isocortex_report.figures.words import best_first
from isocortex_report.selection import chosen_results

if TYPE_CHECKING:
    import pandas as pd

    from isocortex.typing import Array

#: models that two rankings must share
FEWEST_MODELS = 5
#: how the two sides of a pair are related
SAME_BENCHMARK, SAME_DATA, OTHER_DATA = "measures of one benchmark", "metrics on one data set", "other data"
COLUMNS = (
    *("region", "relation", "benchmark_a", "statistic_a", "target_a", "benchmark_b", "statistic_b", "target_b"),
    *("tau_b", "tau_b_low", "tau_b_high", "rho", "rho_low", "rho_high"),
    *("n_models", "n_families", "n_models_a", "n_models_b", "interval", "reason"),
)
_NUMBERS = ("tau_b", "tau_b_low", "tau_b_high", "rho", "rho_low", "rho_high")
_COUNTS = ("n_models", "n_families", "n_models_a", "n_models_b")


@dataclass(frozen=True)
class Ranking:
    """What a benchmark says of models by one statistic: larger is better, whatever the statistic is.

    Attributes
    ----------
    region, benchmark, statistic, target, dataset
        What was measured.
    values
        Model → value with its sign turned where less is better, and family.
    """

    region: str
    benchmark: str
    statistic: str
    target: str
    dataset: str
    values: Mapping[str, tuple[float, str]]

    @property
    def name(self) -> str:
        """Benchmark and statistic."""
        return f"{self.benchmark}, {self.statistic}"


@dataclass(frozen=True)
class Agreement:
    """Rank correlations of every pair of rankings.

    Attributes
    ----------
    frame
        A row per pair with the columns ``COLUMNS``; numbers are NaN where ``reason`` says why.
    averages
        Region → each ranking with its mean tau-b and rho with all others, over the models that all rankings have, and
        the number of these models; there is no mean where they are fewer than five, or rankings fewer than three.
    said
        What was left out, each a sentence.
    """

    frame: pd.DataFrame
    averages: Mapping[str, Averages]
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class Averages:
    """Means over pairs, of the models that all rankings of a region have; ``rows`` is empty where there are too few."""

    n_models: int
    n_rankings: int
    rows: Sequence[tuple[str, float, float]] = field(default_factory=list[tuple[str, float, float]])


def agreement(
    results: Path | str | Iterable[Result],
    benchmarks: Sequence[str] = (),
    models: Sequence[str] = (),
    regions: Sequence[str] = ("all",),
    *,
    also: bool = False,
    controls: bool = False,
) -> Agreement:
    r"""Correlate the order of models between benchmarks, and between metrics on one data set.

    Of each pair, over the models that both have (five at least), Kendall's tau-b and Spearman's rho:

    tau-b = (concordant − discordant) / √((pairs not tied in a) (pairs not tied in b)),

    rho = Pearson's r of mid-ranks. Values are those of the summaries, not divided by a ceiling: one benchmark has one
    ceiling for all models, and dividing by it changes no order. Errors and distances are turned, so that larger is
    better. The interval is that of 1,000 bootstrap draws of families of models.

    Parameters
    ----------
    results
        A results folder, or what ``isocortex.score`` returned.
    benchmarks, models, regions
        IDs or globs; no benchmarks or models: all. The region of a whole result is "all".
    also
        Further measures of each benchmark are rankings, too.
    controls
        Controls (untrained, permuted, labels) are models, too.

    Raises
    ------
    StoreError, UsageError
        No results, a name that is not among them, or fewer than two rankings.

    Examples
    --------
    >>> # agreement("results", benchmarks=["NH2015*"]).frame[["benchmark_a", "benchmark_b", "tau_b", "n_models"]]
    """
    import pandas as pd

    kept, folder = chosen_results(results, benchmarks, models)
    said: list[str] = []
    rankings = _rankings(Material(kept, folder), regions, also, controls, said)
    rows = [_row(a, b) for part in rankings.values() for a, b in combinations(part, 2)]
    if not rows:
        why = f" {shorten(said, 3)}" if said else ""
        raise UsageError(f"There are no two rankings of one region to compare: score a second benchmark.{why}")
    types = dict.fromkeys(_NUMBERS, "float64") | dict.fromkeys(_COUNTS, "Int64")
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(types)
    return Agreement(frame, {region: _averages(part) for region, part in rankings.items()}, tuple(said))


# --- rankings ---------------------------------------------------------------------------------------------------------


def _rankings(
    material: Material, regions: Sequence[str], also: bool, controls: bool, said: list[str]
) -> dict[str, list[Ranking]]:
    """Rankings by region."""
    rows = selected_rows(material.rows, regions)
    scored = rows[rows["status"] == "scored"]
    left_out = scored["role"].isin([CONTROLS, LABELS])
    if left_out.any() and not controls:
        names = shorten(dict.fromkeys(scored["label"][left_out]))
        said.append(f"Controls and labels are no models here and are left out: {names}. --controls takes them in.")
        scored = scored[~left_out]
    scored = _of_one_version(scored, material, said)
    found: dict[str, list[Ranking]] = {}
    for (region, benchmark, target), part in scored.groupby(["region", "benchmark", "target"], sort=False):
        for statistic, some in part.groupby("statistic", sort=False):
            key = str(region), str(benchmark), str(statistic), str(target), str(some["dataset"].iloc[0])
            found.setdefault(str(region), []).extend(_of_measures(key, some, also, said))
    return found


def _of_one_version(scored: pd.DataFrame, material: Material, said: list[str]) -> pd.DataFrame:
    """Rows of the version of each benchmark that most models have: values of two versions are no ranking."""
    versions = [_version(material.by_digest[str(row["members"]).split()[0]]) for row in records(scored)]
    kept = np.ones(len(scored), dtype=bool)
    own = np.array([f"{name}\n{version}" for name, version in zip(scored["benchmark"], versions, strict=True)])
    for benchmark in dict.fromkeys(scored["benchmark"]):
        inside = (scored["benchmark"] == benchmark).to_numpy()
        names, counts = np.unique(own[inside], return_counts=True)
        if len(names) < 2:
            continue
        other = inside & (own != names[counts.argmax()])
        kept &= ~other
        models = shorten(dict.fromkeys(scored["label"].to_numpy()[other]))
        said.append(
            f"{benchmark}: results of {models} were made with another version of data, metric or benchmark, or another "
            "seed, than most, and are left out. Score them again."
        )
    return scored[kept]


def _version(result: Result) -> str:
    """Data, metric and benchmark of a result, with the seed of its splits."""
    parts = [result.digests.get(part) for part in ("dataset", "stimuli", "metric", "benchmark")]
    return repr([*parts, result.benchmark_version, result.seed, result.limit])


def _of_measures(
    key: tuple[str, str, str, str, str], rows: pd.DataFrame, also: bool, said: list[str]
) -> Iterator[Ranking]:
    region, benchmark, statistic, target, dataset = key
    twice = rows["label"].duplicated(keep=False)
    if twice.any():
        names = shorten(dict.fromkeys(rows["label"][twice]))
        said.append(f"{benchmark} ({region}): {names} have several results each, and none of them counts.")
        rows = rows[~twice]
    sign = -1.0 if (rows["better"] == "lower").any() else 1.0
    yield Ranking(region, benchmark, statistic, target, dataset, _values(rows, "value", sign, (benchmark, said)))
    for column in rows.columns if also else ():
        name = str(column).removeprefix("also_")
        if str(column).startswith("also_") and rows[column].notna().any():
            sign = 1.0 if best_first(name) else -1.0
            yield Ranking(region, benchmark, name, target, dataset, _values(rows, str(column), sign, None))


def _values(
    rows: pd.DataFrame, column: str, sign: float, told: tuple[str, list[str]] | None
) -> dict[str, tuple[float, str]]:
    """Model → value, larger for better, and family; those without a value are not there, and it is said."""
    known = rows[column].notna()
    if told is not None and not known.all():
        benchmark, said = told
        names = shorten(dict.fromkeys(rows["label"][~known]))
        said.append(f"{benchmark}: {names} have no value and are left out of it.")
    return {row["label"]: (sign * float(row[column]), row["family"]) for row in records(rows[known])}


# --- pairs ------------------------------------------------------------------------------------------------------------


def _row(a: Ranking, b: Ranking) -> dict[str, Any]:
    shared = [name for name in a.values if name in b.values]
    families = [a.values[name][1] for name in shared]
    x, y = (np.array([side.values[name][0] for name in shared]) for side in (a, b))
    relation = SAME_BENCHMARK if a.benchmark == b.benchmark else SAME_DATA if a.dataset == b.dataset else OTHER_DATA
    head: dict[str, Any] = {"region": a.region, "relation": relation}
    for side, one in (("a", a), ("b", b)):
        head |= {f"benchmark_{side}": one.benchmark, f"statistic_{side}": one.statistic}
        head |= {f"target_{side}": one.target, f"n_models_{side}": len(one.values)}
    counts = {"n_models": len(shared), "n_families": len(set(families))}
    reason = _reason(a, b, x, y)
    if reason:
        return {**head, **counts, "interval": "none", "reason": reason}
    return {**head, **counts, **correlations(x, y, families), "reason": ""}


def _reason(a: Ranking, b: Ranking, x: Array, y: Array) -> str:
    """Why a pair has no correlation; empty where it has one."""
    if len(x) < FEWEST_MODELS:
        return f"{len(x)} models in common, and {FEWEST_MODELS} are needed"
    flat = [one.name for one, values in ((a, x), (b, y)) if np.ptp(values) == 0]
    return f"all {len(x)} models have the same value of {' and of '.join(flat)}" if flat else ""


def correlations(x: Array, y: Array, families: Sequence[str]) -> dict[str, Any]:
    """tau-b and rho of two rankings of the same models, with intervals over families.

    Parameters
    ----------
    x, y
        (n_models,), larger for better.
    families
        Of each model.

    Returns
    -------
    ``tau_b``, ``rho``, each with ``_low`` and ``_high``, NaN where there is no interval; ``interval`` says why.

    Examples
    --------
    >>> found = correlations(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0]), ["a", "b", "b"])
    >>> round(found["tau_b"], 3), round(found["rho"], 3), found["interval"]
    (0.333, 0.5, 'none: 2 families, and 3 are needed')
    """
    rho, rho_low, rho_high = with_interval(x, y, families)
    tau, tau_low, tau_high = float(kendall(x, y)[0]), float("nan"), float("nan")
    n_families = len(set(families))
    if n_families < FEWEST_FAMILIES:
        why = f"none: {n_families} families, and {FEWEST_FAMILIES} are needed"
    elif abs(tau) == 1:
        rho_low = rho_high = float("nan")
        why = "none: the order is the same in every draw of families, which tells nothing of others"
        why = why if tau > 0 else why.replace("the same", "the opposite")
    else:
        drawn = kendall(x, y, drawn_counts(families))
        why = "none: most draws of families hold models of one value"
        if np.isfinite(drawn).mean() >= 0.5:
            tau_low, tau_high = (float(end) for end in np.nanquantile(drawn, [0.025, 0.975]))
            why = f"95 % of 1,000 draws of {n_families} families"
    found = {"tau_b": tau, "tau_b_low": tau_low, "tau_b_high": tau_high, "rho": rho, "rho_low": rho_low}
    return {**found, "rho_high": rho_high, "interval": why}


def _averages(rankings: Sequence[Ranking]) -> Averages:
    """Mean of each ranking's correlations with the others, over the models that all of them have."""
    shared = [name for name in rankings[0].values if all(name in one.values for one in rankings)]
    values = [np.array([one.values[name][0] for name in shared]) for one in rankings]
    if len(shared) < FEWEST_MODELS or len(rankings) < 3 or any(np.ptp(one) == 0 for one in values):
        return Averages(len(shared), len(rankings))
    taus = np.array([[float(kendall(x, y)[0]) for y in values] for x in values])
    rhos = np.array([[rank_correlation(x, y) for y in values] for x in values])
    n_others = len(rankings) - 1
    rows = [
        (one.name, float(tau.sum() - 1) / n_others, float(rho.sum() - 1) / n_others)
        for one, tau, rho in zip(rankings, taus, rhos, strict=True)
    ]
    return Averages(len(shared), len(rankings), rows)
