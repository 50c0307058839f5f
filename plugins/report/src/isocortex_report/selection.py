"""Which results a command or a call of this package takes, and where their raw scores lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from isocortex.errors import StoreError, UsageError
from isocortex.files import short
from isocortex.results import Result, Selection, read_results, selected_results


def chosen_results(
    results: Path | str | Iterable[Result],
    benchmarks: Sequence[str] = (),
    models: Sequence[str] = (),
    against: str | None = None,
) -> tuple[list[Result], Path | None]:
    """Results of a folder, or those that are given, of some benchmarks and models; and the folder where there is one.

    Parameters
    ----------
    results
        A results folder, or what ``isocortex.score`` returned.
    benchmarks, models
        IDs or globs; a model is ``ID`` or ``ID@variant``. Empty: all.
    against
        A model that takes part whatever ``models`` says.

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
    kept = selected_results(found, Selection.of(benchmarks, models, against=against))
    if not kept:
        raise UsageError("No result is of these benchmarks and of these models at once.")
    return kept, folder


def score_files(folder: Path | None) -> dict[str, Path]:
    """The files of raw scores below a results folder, by the short digest of their result."""
    return {} if folder is None else {path.parent.name: path for path in sorted(folder.rglob("scores.nc"))}


def scores_of(files: dict[str, Path], result: Result) -> Path | None:
    """The raw scores of a result among these files."""
    return files.get(short(result.digest))
