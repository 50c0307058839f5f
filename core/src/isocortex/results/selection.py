"""Which results are meant: IDs or globs of benchmarks, models and regions; a name that no result has is refused."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isocortex.errors import UsageError, shorten, suggest

if TYPE_CHECKING:
    from isocortex.results.result import Result


@dataclass(frozen=True)
class Selection:
    """Which results are meant; empty means all. IDs or globs; a model is ``ID`` or ``ID@variant``.

    Attributes
    ----------
    benchmarks, models, regions
        What takes part; the region of a whole result is called "all".
    against
        Compare each model with this one only; it takes part, too.
    """

    benchmarks: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    against: str | None = None


def select_results(results: Sequence[Result], chosen: Selection) -> list[Result]:
    """Results of the benchmarks and models that were asked for; regions are parts of a result and chosen later.

    Raises
    ------
    UsageError
        A benchmark or model that no result has.
    """
    for pattern in chosen.benchmarks:
        require(pattern, [result.benchmark for result in results], "benchmark")
    asked = [*chosen.models, *([chosen.against] if chosen.against else [])]
    for pattern in asked:
        if not any(is_model(result, pattern) for result in results):
            require(pattern, [name for result in results for name in (result.model, model_name(result))], "model")
    return [
        result
        for result in results
        if fits(result.benchmark, chosen.benchmarks)
        and (not chosen.models or any(is_model(result, pattern) for pattern in asked))
    ]


def model_name(result: Result) -> str:
    """The model with its variant, ``ID@variant``."""
    return f"{result.model}@{result.variant}"


def is_model(result: Result, pattern: str) -> bool:
    """Whether a result is of the model that an ID, ``ID@variant`` or a glob names."""
    return any(fits(name, (pattern,)) for name in (result.model, model_name(result)))


def fits(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name is one of several IDs, or what one of several globs means; none: any name.

    Examples
    --------
    >>> fits("rnn[0]", ("rnn[0]",)), fits("V4", ("V*",)), fits("IT", ("V*",)), fits("IT", ())
    (True, True, False, True)
    """
    return not patterns or any(name == pattern or fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def require(pattern: str, names: Iterable[str], kind: str) -> None:
    """Refuse a name that nothing has.

    Raises
    ------
    UsageError
        It names the closest that there are.
    """
    known = list(dict.fromkeys(names))
    if not any(fits(name, (pattern,)) for name in known):
        raise UsageError(
            f"No result has the {kind} {pattern!r}.{suggest(pattern, known)} There are {shorten(known, 8)}."
        )
