"""Which results a command takes, by globs of benchmarks and models."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import TYPE_CHECKING

from isocortex.errors import UsageError, shorten, suggest

if TYPE_CHECKING:
    from isocortex.results import Result


def selected(results: Sequence[Result], benchmarks: Sequence[str], models: Sequence[str]) -> list[Result]:
    """Results of the benchmarks and models that were asked for, IDs or globs; a model is ``ID`` or ``ID@variant``.

    Raises
    ------
    UsageError
        A name that no result has.
    """
    kept = list(results)
    for patterns, names_of, kind in (
        (benchmarks, lambda item: (item.benchmark,), "benchmark"),
        (models, lambda item: (item.model, f"{item.model}@{item.variant}"), "model"),
    ):
        for pattern in patterns:
            known = list(dict.fromkeys(name for item in results for name in names_of(item)))
            if not any(fnmatch.fnmatchcase(name, pattern) for name in known):
                raise UsageError(
                    f"No result has the {kind} {pattern!r}.{suggest(pattern, known)} There are {shorten(known, 8)}."
                )
        kept = [
            item
            for item in kept
            if not patterns
            or any(fnmatch.fnmatchcase(name, pattern) for name in names_of(item) for pattern in patterns)
        ]
    return kept
