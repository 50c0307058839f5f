"""Which results take part: those of some benchmarks and models."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from pathlib import Path

from isocortex.errors import StoreError, UsageError, shorten, suggest
from isocortex.files import short
from isocortex.results import Result, read_results


def chosen_results(
    results: Path | str | Iterable[Result], benchmarks: Sequence[str] = (), models: Sequence[str] = ()
) -> tuple[list[Result], Path | None]:
    """Results of a folder, or those that are given, of some benchmarks and models; and the folder where there is one.

    Parameters
    ----------
    results
        A results folder, or what ``isocortex.score`` returned.
    benchmarks, models
        IDs or globs; a model is ``ID`` or ``ID@variant``. Empty: all.

    Raises
    ------
    StoreError
        No such folder, or nothing in it.
    UsageError
        A name that is not among the results.
    """
    folder = Path(results).expanduser() if isinstance(results, str | Path) else None
    found = read_results(folder) if folder is not None else list(results)  # pyright: ignore[reportArgumentType]
    if not found:
        raise StoreError(f"{folder or 'What was given'} holds no results yet. 'isocortex score' makes them.")
    for pattern in benchmarks:
        _require(pattern, [result.benchmark for result in found], "benchmark")
    for pattern in models:
        _require(pattern, [name for result in found for name in names_of(result)], "model")
    kept = [
        result
        for result in found
        if (not benchmarks or any(fnmatch.fnmatchcase(result.benchmark, pattern) for pattern in benchmarks))
        and (not models or any(fnmatch.fnmatchcase(name, pattern) for pattern in models for name in names_of(result)))
    ]
    if not kept:
        raise UsageError("No result is of these benchmarks and of these models at once.")
    return kept, folder


def names_of(result: Result) -> tuple[str, str]:
    """A model, and the model with its variant."""
    return result.model, f"{result.model}@{result.variant}"


def score_files(folder: Path | None) -> dict[str, Path]:
    """The files of raw scores below a results folder, by the short digest of their result."""
    return {} if folder is None else {path.parent.name: path for path in sorted(folder.rglob("scores.nc"))}


def scores_of(files: dict[str, Path], result: Result) -> Path | None:
    """The raw scores of a result among these files."""
    return files.get(short(result.digest))


def _require(pattern: str, names: Sequence[str], kind: str) -> None:
    known = list(dict.fromkeys(names))
    if not any(fnmatch.fnmatchcase(name, pattern) for name in known):
        raise UsageError(
            f"No result has the {kind} {pattern!r}.{suggest(pattern, known)} There are {shorten(known, 8)}."
        )
