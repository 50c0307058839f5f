r"""Answers: which candidate a simulated brain is taken for, and how often that is right.

Closed set: the candidate of the largest value. Open set: that candidate m is *named* where

- the values of all candidates lie within the central 95 % of what they are where m itself is the truth at the same
  reliability (``typical``; the truth never reaches its ceiling, so that reaching it cannot be the rule), and
- it beats every candidate of another family: q ≤ .05 in paired comparisons over bootstrap samples, false discoveries
  controlled over these comparisons. As all of them are asked for, this is p ≤ .05 of the largest p.

Otherwise the answer is *undecided*. Han, Poggio & Cheung 2023, ICML, put known networks in the place of brains, and
found that how often these are identified varies much with stimuli and candidates. In Avitan & Golan 2025 recovery among
twenty models of vision stayed below 80 % with millions of trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from isocortex.typing import Array
from isocortex_simulated.draws import Floats
from isocortex_simulated.identification.comparing import LARGEST_Q
from isocortex_simulated.identification.typical import FEWEST_REFERENCES, Typical

TOLD_APART = 0.95
"""Share of its own brains that a candidate has to be found in."""


class Share(NamedTuple):
    """A share with its 95 % interval after Wilson (1927), Journal of the American Statistical Association 22.

    Examples
    --------
    >>> share = Share.of(95, 100)
    >>> round(share.low, 4), round(share.high, 4)
    (0.8882, 0.9785)
    """

    n_right: int
    n: int
    low: float
    high: float

    @classmethod
    def of(cls, n_right: int, n: int, z: float = 1.959963984540054) -> Share:
        """Count; of none there is no interval."""
        if n == 0:
            return cls(0, 0, 0.0, 1.0)
        share, turn = n_right / n, z * z / n
        middle = (share + turn / 2) / (1 + turn)
        half = z / (1 + turn) * float(np.sqrt(share * (1 - share) / n + turn / (4 * n)))
        return cls(n_right, n, max(0.0, middle - half), min(1.0, middle + half))

    @property
    def value(self) -> float:
        """The share; NaN of none."""
        return self.n_right / self.n if self.n else float("nan")


class References(NamedTuple):
    """Brains that say what values a candidate gives as the truth; none of them is judged.

    Attributes
    ----------
    truth
        (n_references,) which candidate each was made of.
    layer
        (n_references,) of which of its layers.
    values
        (n_references, n_candidates).
    """

    truth: Array
    layer: Array
    values: Floats


@dataclass(frozen=True, eq=False)
class Answered:
    """What scoring said about the brains of one metric at one reliability.

    Attributes
    ----------
    names, families
        Of the candidates.
    truth
        (n_brains,) which candidate each was made of.
    values
        (n_brains, n_candidates).
    p, p_left_out
        (n_brains,) of `largest_p` among all candidates, and among those of other families than the truth's.
    references
        None where the open set was not asked.
    """

    names: Sequence[str]
    families: Sequence[str]
    truth: Array
    values: Floats
    p: Floats
    p_left_out: Floats
    references: References | None = None

    @property
    def closed(self) -> Array:
        """(n_brains,) the candidate of the largest value, the first of equal ones; −1 where none has a value."""
        best = np.where(np.isnan(self.values), -np.inf, self.values).argmax(axis=1)
        return np.where(np.isnan(self.values).all(axis=1), -1, best)

    @property
    def right(self) -> Share:
        """How often the truth itself is taken."""
        return Share.of(int((self.closed == self.truth).sum()), len(self.truth))

    @property
    def right_family(self) -> Share:
        """How often a candidate of the truth's family is taken."""
        return Share.of(int(self._of_family(self.closed).sum()), len(self.truth))

    def _of_family(self, answers: Array) -> Array:
        """Whether each answer (n_brains,) is of the truth's family; −1 is of none."""
        family = np.asarray(self.families)
        return (answers >= 0) & (family[answers] == family[self.truth])

    @property
    def confusion(self) -> Array:
        """(n_candidates, n_candidates): brains of each truth (rows) by answer; those without an answer are in none."""
        counts = np.zeros((len(self.names), len(self.names)), dtype=int)
        there = self.closed >= 0
        np.add.at(counts, (self.truth[there], self.closed[there]), 1)
        return counts

    @property
    def told_apart(self) -> list[str]:
        """Candidates that are taken for themselves in `TOLD_APART` of their brains."""
        n_brains = np.bincount(self.truth, minlength=len(self.names))
        return [
            name
            for name, n, own in zip(self.names, n_brains, np.diag(self.confusion), strict=True)
            if n and own >= TOLD_APART * n
        ]

    @property
    def families_told_apart(self) -> list[str]:
        """The same for families: one of which is taken in `TOLD_APART` of the brains that were made of it."""
        family, found = np.asarray(self.families), self._of_family(self.closed)
        own = {name: found[family[self.truth] == name] for name in dict.fromkeys(self.families)}
        return [name for name, hits in own.items() if len(hits) and hits.mean() >= TOLD_APART]

    # --- the open set -------------------------------------------------------------------------------------------------

    def named(self, *, left_out: bool = False) -> Array | None:
        """Answers of the open set, (n_brains,): the candidate that is named, −1 for undecided.

        Parameters
        ----------
        left_out
            The whole family of the truth is no candidate.

        Returns
        -------
        None where there is no comparison of models, or fewer than `FEWEST_REFERENCES` references of a candidate.
        """
        p = self.p_left_out if left_out else self.p
        if np.isnan(self.p).all() or not self._known:
            return None
        family = np.asarray(self.families)
        hidden = (family[None, :] == family[self.truth][:, None]) if left_out else np.zeros(self.values.shape, bool)
        offered = np.where(np.isnan(self.values) | hidden, -np.inf, self.values)
        best = offered.argmax(axis=1)
        return np.where(self._typical(best, hidden) & (p <= LARGEST_Q), best, -1)

    @property
    def _known(self) -> bool:
        if self.references is None:
            return False
        return int(np.bincount(self.references.truth, minlength=len(self.names)).min()) >= FEWEST_REFERENCES

    def _typical(self, candidates: Array, hidden: Array) -> Array:
        """Whether each brain is typical of a candidate, by the values of those that are not hidden, (n_brains,)."""
        assert self.references is not None
        found = np.zeros(len(candidates), dtype=bool)
        alike = np.concatenate([candidates[:, None], hidden], axis=1)
        for kind in np.unique(alike, axis=0):
            rows = (alike == kind).all(axis=1)
            own = self.references.truth == kind[0]
            values = self.references.values[own]
            offered = ~kind[1:].astype(bool) & ~np.isnan(values).any(axis=0)
            found[rows] = Typical(values[:, offered], self.references.layer[own])(self.values[rows][:, offered])
        return found

    def typical_of_truth(self) -> Share | None:
        """How often a brain is typical of the truth, which should be 95 %."""
        if self.named() is None:
            return None
        hits = self._typical(self.truth, np.zeros(self.values.shape, dtype=bool))
        return Share.of(int(hits.sum()), len(hits))

    def named_right(self) -> Share | None:
        """How often a candidate of the truth's family is named."""
        named = self.named()
        if named is None:
            return None
        return Share.of(int(self._of_family(named).sum()), len(named))

    def named_wrong(self) -> Share | None:
        """How often a candidate of another family is named."""
        named = self.named()
        if named is None:
            return None
        misses = (named >= 0) & ~self._of_family(named)
        return Share.of(int(misses.sum()), len(named))

    def named_left_out(self) -> Share | None:
        """How often something is named although the whole family of the truth is left out."""
        named = self.named(left_out=True)
        return None if named is None else Share.of(int((named >= 0).sum()), len(named))
