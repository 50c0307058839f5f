"""Results as files for other programs: tables of four levels, and scores in the form of the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.results import Result
from isocortex_report.paper.table_files import write_table
from isocortex_report.paper.tables import level_frame
from isocortex_report.selection import chosen_results

if TYPE_CHECKING:
    import pandas as pd


def export(
    results: Path | str | Iterable[Result],
    out: Path | str | None = None,
    *,
    level: str = "summary",
    kind: str = "csv",
    benchmarks: Sequence[str] = (),
    models: Sequence[str] = (),
    folder: Path | str | None = None,
    said: list[str] | None = None,
) -> pd.DataFrame:
    """Results as a tidy table, written to a file where one is named.

    Parameters
    ----------
    results
        A results folder, or results.
    out
        The file; None: the table is only returned.
    level
        "summary": ``isocortex.results.rows_frame``. "participant": a value per participant and region. "neuroid": a row
        per layer and neuroid. "split": a row per layer, split and neuroid.
    kind
        "csv", "parquet", "nc" or "mat".
    benchmarks, models
        IDs or globs of those that take part; empty: all.
    folder
        Where the raw scores of given results lie.
    said
        Told which results have no rows, and what is empty.

    Raises
    ------
    StoreError, UsageError
        No results, no rows of that level, another level or form, Parquet without pyarrow, or a file that cannot be
        written.
    """
    found, own = chosen_results(results, benchmarks, models)
    where = own or (Path(folder) if folder is not None else None)
    frame = level_frame(found, level, where, [] if said is None else said)
    if out is not None:
        write_table(frame, Path(out).expanduser(), kind)
    return frame
