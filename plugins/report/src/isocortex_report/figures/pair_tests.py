"""Which models differ: the pairs of one benchmark and region as one family of tests, for marks in figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isocortex.typing import Array
from isocortex_report.figures.letters import letter_display
from isocortex_report.figures.words import number

if TYPE_CHECKING:
    import pandas as pd

    from isocortex_report.figures.material import Material

#: q at which two models are called different
LEVEL = 0.05
#: of more models in one ranking no pair is marked; the pairs are a figure of their own
MOST_MARKED = 12
#: of more models no pairs are tested: all of them are too many for any to be found
MOST_TESTED = 40


@dataclass(frozen=True, eq=False)
class Family:
    """Tests of one figure.

    Attributes
    ----------
    pairs
        Rows of ``isocortex.compare`` with a p, and ``q`` after Benjamini & Hochberg over these rows alone.
    reason
        Why there are none; empty where there are.
    """

    pairs: pd.DataFrame
    reason: str = ""

    def q_matrix(self, digests: Sequence[str]) -> Array:
        """q of every pair, (n_models, n_models), NaN where a pair was not tested; in the order of the digests."""
        place = {digest: index for index, digest in enumerate(digests)}
        q = np.full((len(place), len(place)), np.nan)
        for a, b, value in zip(self.pairs["digest_a"], self.pairs["digest_b"], self.pairs["q"], strict=True):
            if a in place and b in place:
                q[place[a], place[b]] = q[place[b], place[a]] = value
        return q

    @property
    def note(self) -> str:
        """The family, its size, its draws and the smallest q that it can reach."""
        if self.reason:
            return f"no tests: {self.reason}"
        n_tests, n_draws = len(self.pairs), int(self.pairs["n_draws"].min())
        floor = 2 / (n_draws + 1)
        alone = f", {number(min(1.0, floor * n_tests))} for one difference alone" if n_tests > 1 else ""
        tests = "1 test" if n_tests == 1 else f"{n_tests:,} tests"
        return (
            f"{tests} of pairs on {n_draws:,} shared draws, q after Benjamini-Hochberg over them, "
            f"smallest reachable q {number(floor)}{alone}"
        )


def family_of_pairs(material: Material, rows: pd.DataFrame, against: str | None = None) -> Family:
    """The tests among rows of one benchmark, region, statistic and target; against one model where it is named.

    Rows that stand for several seeds take no part: a set of seeds has no draws.
    """
    import pandas as pd
    from scipy.stats import false_discovery_control

    none = pd.DataFrame(columns=["digest_a", "digest_b", "q", "n_draws"])
    single = rows[rows["n_seeds"] == 1]
    first = rows.iloc[0]
    if len(single) < 2:
        return Family(none, "there is one model")
    if len(single) > MOST_TESTED and against is None:
        n_pairs = len(single) * (len(single) - 1) // 2
        return Family(none, f"{len(single)} models are {n_pairs:,} pairs; choose at most {MOST_TESTED}, or a reference")
    found = material.compared(str(first["benchmark"]))
    if isinstance(found, str):
        return Family(none, found.rstrip("."))
    inside = found["digest_a"].isin(single["digest"]) & found["digest_b"].isin(single["digest"])
    inside &= (found["region"] == first["region"]) & (found["statistic"] == first["statistic"])
    if against is not None:
        inside &= (found["digest_a"] == against) | (found["digest_b"] == against)
    pairs = found[inside]
    if not len(pairs):
        return Family(none, "no pair shares its draws")
    return Family(pairs.assign(q=false_discovery_control(pairs["p"].to_numpy(dtype=float))))


def letters_of(family: Family, digests: Sequence[str]) -> dict[str, str]:
    """Letters of models, best first: those who share one do not differ (q > .05).

    A model of which some pair was not tested has no letters, since sharing none would look like a difference.
    """
    kept = list(digests)
    q = family.q_matrix(kept)
    while len(kept) > 1:
        missing = np.isnan(q).sum(axis=1) - 1
        if not missing.any():
            break
        worst = int(np.argmax(missing[::-1]))
        del kept[len(kept) - 1 - worst]
        q = family.q_matrix(kept)
    if len(kept) < 2:
        return {}
    letters = letter_display(q <= LEVEL)
    return {} if letters is None else dict(zip(kept, letters, strict=True))
