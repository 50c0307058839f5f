"""Which results are meant: benchmarks, models and regions by ID or glob, one way for tables, pairs and figures."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isocortex.catalogue.cards import Variant
from isocortex.errors import UsageError, shorten, suggest

if TYPE_CHECKING:
    import pandas as pd

    from isocortex.results.result import Result


@dataclass(frozen=True)
class Selection:
    """Which results are meant; empty means all.

    A name that is written out is taken as it is, else as a glob: ``*``, ``?``, ``[…]``.

    Attributes
    ----------
    benchmarks
        IDs or globs.
    models
        ``ID``, ``ID@variant``, or ``ID@random:0..4`` for several seeds; each part may be a glob.
    regions
        As ``rows_frame`` calls them; that of a whole result is "all".
    against
        The model that others are compared with; it is among the results whatever ``models`` says.
    """

    benchmarks: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    against: str | None = None

    @classmethod
    def of(
        cls,
        benchmarks: str | Sequence[str] = (),
        models: str | Sequence[str] = (),
        regions: str | Sequence[str] = (),
        against: str | None = None,
    ) -> Selection:
        """The same from single names or lists of them.

        Examples
        --------
        >>> Selection.of("NH2015*").benchmarks
        ('NH2015*',)
        """
        return cls(_listed(benchmarks), _listed(models), _listed(regions), against)


def _listed(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def selected_results(results: Sequence[Result], chosen: Selection) -> list[Result]:
    """Results of the benchmarks and models that are meant, in their order; regions are left to ``selected_rows``.

    Raises
    ------
    UsageError
        A benchmark or model that none of the results has.
    """
    for pattern in chosen.benchmarks:
        require(pattern, [result.benchmark for result in results], "benchmark")
    asked = [*chosen.models, *([chosen.against] if chosen.against else [])]
    for pattern in asked:
        if not any(is_model(result, pattern) for result in results):
            require(pattern, [name for result in results for name in (result.model, full_name(result))], "model")
    return [
        result
        for result in results
        if matches(result.benchmark, chosen.benchmarks)
        and (not chosen.models or any(is_model(result, pattern) for pattern in asked))
    ]


def selected_rows(frame: pd.DataFrame, regions: Sequence[str]) -> pd.DataFrame:
    """Rows of these regions; cells that failed have none, and stay whatever is asked for.

    Parameters
    ----------
    frame
        With a column "region", and "status" where some may have failed; as from ``rows_frame`` or ``layers_frame``.

    Raises
    ------
    UsageError
        A region that none of the rows has.
    """
    status = frame["status"] if "status" in frame else ["scored"] * len(frame)
    rows = list(zip(map(str, frame["region"]), (word == "failed" for word in status), strict=True))
    known = [name for name, failed in rows if not failed]
    for pattern in regions if known else ():
        require(pattern, known, "region")
    kept = [failed or matches(name, regions) for name, failed in rows]
    return frame.loc[kept].reset_index(drop=True)


def full_name(result: Result) -> str:
    """``model@variant``."""
    return f"{result.model}@{result.variant}"


def is_model(result: Result, pattern: str) -> bool:
    """Whether a result is of a model that a pattern names, with or without its variant."""
    return any(_is(name, one) for one in _seeds_of(pattern) for name in (result.model, full_name(result)))


def _seeds_of(pattern: str) -> list[str]:
    """``ID@random:0..4`` as the five that it stands for; anything else as it is."""
    model, at, variant = pattern.rpartition("@")
    if not at or ".." not in variant:
        return [pattern]
    try:
        return [pattern, *(f"{model}@{one}" for one in Variant.parse_all(variant))]
    except UsageError:  # a name that happens to hold dots
        return [pattern]


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns names it; without patterns, everything does."""
    return not patterns or any(_is(name, pattern) for pattern in patterns)


def _is(name: str, pattern: str) -> bool:
    return name == pattern or fnmatch.fnmatchcase(name, pattern)


def require(pattern: str, names: Iterable[str], kind: str) -> None:
    """Refuse what none of the names is.

    Raises
    ------
    UsageError
        It says what there is.
    """
    known = list(dict.fromkeys(names))
    if not any(_is(name, pattern) for name in known):
        raise UsageError(
            f"No result has the {kind} {pattern!r}.{suggest(pattern, known)} There are {shorten(known, 8)}."
        )
