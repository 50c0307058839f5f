"""Which rows are told apart: ``isocortex.compare`` over all results, read pair by pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.errors import StoreError, UsageError
from isocortex_report.page.axis import Axis, axis_of
from isocortex_report.page.contents import WHOLE, Panel, Row, Score, number

if TYPE_CHECKING:
    import pandas as pd

    from isocortex.results import Result

#: pairs of rows that are tested, at most; a page with more says what to type instead
MOST_TESTS = 20_000
#: of a false discovery
LEVEL = 0.05


@dataclass(frozen=True)
class Pair:
    """Two rows and how they differ; of sets of seeds the pair with the largest q.

    Attributes
    ----------
    n_tests
        Pairs of results behind it.
    """

    a: Row
    b: Row
    difference: Score
    p: float
    q: float
    n_tests: int

    @property
    def told_apart(self) -> bool:
        """Whether the two differ at a false-discovery rate of .05."""
        return self.q <= LEVEL


@dataclass(frozen=True)
class Comparisons:
    """All comparisons of a page.

    Attributes
    ----------
    table
        As ``isocortex.compare`` gives it; None where nothing was compared.
    family
        One sentence: what was tested together, or why nothing was.
    """

    table: pd.DataFrame | None
    family: str
    found: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict[tuple[str, str], Any])

    def why_none(self, benchmark: str) -> str:
        """Why no pair of a benchmark was compared, in a sentence."""
        if self.table is None:
            return self.family
        own = self.table[(self.table["benchmark"] == benchmark) & self.table["reason"].notna()]
        reasons = list(dict.fromkeys(map(str, own["reason"])))
        return f"{reasons[0][0].upper()}{reasons[0][1:]}." if reasons else "There is no other model to compare with."

    def pair(self, a: Row, b: Row) -> Pair | None:
        """The comparison of two whole rows, or None where one of their results cannot be compared."""
        digests = list(product(a.record["members"].split(), b.record["members"].split()))
        compared = [self.found.get((one, other)) for one, other in digests]
        known = [test for test in compared if test is not None]
        if not known or len(known) < len(compared):
            return None
        worst = max(known, key=lambda test: test["q"])
        turned = (worst["digest_a"], worst["digest_b"]) not in set(digests)
        low, high = worst["interval_low"], worst["interval_high"]
        ends = (-high, -low) if turned else (low, high)
        difference = Score(-worst["difference"] if turned else worst["difference"], *ends, spread="interval")
        return Pair(a, b, difference, max(test["p"] for test in known), worst["q"], len(known))


def comparisons_of(results: Sequence[Result], folder: Path, most: int = MOST_TESTS) -> Comparisons:
    """Compare all pairs within each benchmark and region, as ``isocortex compare`` does, or say why not.

    Parameters
    ----------
    results
        Of the page.
    folder
        Where their draws lie.
    most
        Pairs in all. With more, only whole benchmarks are compared; with more of these, nothing is.
    """
    import isocortex

    regions: tuple[str, ...] = ()
    n_all = sum(_n_pairs(results, whole_only=False))
    if n_all > most:
        regions, n_all = (WHOLE,), sum(_n_pairs(results, whole_only=True))
    if n_all > most:
        return Comparisons(
            None,
            f"{n_all:,} pairs are too many to be tested together here. 'isocortex compare' tests those that you name "
            "with -b, -m and --against.",
        )
    try:
        table = isocortex.compare(results, regions=regions, out=folder)
    except (UsageError, StoreError) as error:
        return Comparisons(None, str(error))
    tested = table[table["q"].notna()]
    wholes = [_record(row) for row in tested[tested["region"].isna()].to_dict("records")]
    found = {(row["digest_a"], row["digest_b"]): row for row in wholes}
    found |= {(row["digest_b"], row["digest_a"]): row for row in wholes}
    return Comparisons(table, _family(tested, regions), found)


def _record(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in row.items()}


def _n_pairs(results: Sequence[Result], *, whole_only: bool) -> Iterator[int]:
    names = (
        (result.benchmark, region)
        for result in results
        if result.summary is not None
        for region in (None, *(() if whole_only else result.regions))
    )
    return (count * (count - 1) // 2 for count in Counter(names).values())


def _family(tested: pd.DataFrame, regions: Sequence[str]) -> str:
    """What was tested together, with how many draws, and how small p can be."""
    draws = sorted(set(tested["n_draws"].dropna().astype(int)))
    named = f"{draws[0]:,}" if len(draws) == 1 else f"{draws[0]:,} to {draws[-1]:,}"
    what = "whole benchmarks" if regions else "benchmarks and regions"
    return (
        f"q: Benjamini and Hochberg over {len(tested):,} pairs within {what} of this page, each on {named} bootstrap "
        f"draws that both share; p cannot fall below {number(2 / (draws[-1] + 1))}."
    )


def pairs_of(panel: Panel, compared: Comparisons) -> list[Pair]:
    """All pairs of a panel that were compared, better model first."""
    pairs = (compared.pair(a, b) for a, b in combinations(panel.rows, 2))
    return [pair for pair in pairs if pair is not None]


def placed(pairs: Sequence[Pair]) -> tuple[Axis, list[str]]:
    """An axis for differences, and the places of each pair on it."""
    ends = (end for pair in pairs for end in (pair.difference.value, pair.difference.low, pair.difference.high))
    axis = axis_of(ends, most=4)
    places = [{"v": pair.difference.value, "l": pair.difference.low, "h": pair.difference.high} for pair in pairs]
    return axis, [
        ";".join(f"--{name}:{axis.place(value)}%" for name, value in place.items() if value is not None)
        for place in places
    ]
