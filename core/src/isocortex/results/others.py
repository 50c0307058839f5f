"""Scores of others in a results folder: shown as theirs, with source and coverage, and never ranked with ours.

``others/MODEL/NAME.json`` is a sealed record of what ``isocortex import`` brought in. Nothing of it was computed here,
so that there is no statistic, no interval and no ceiling to compare it by.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.errors import StoreError
from isocortex.files.digests import digest_of, short
from isocortex.files.disk import folder_name
from isocortex.files.sealed import read_sealed, write_sealed
from isocortex.results.terminal import Printer, one_line

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "others"
_MOST_LETTERS = 100
_COLUMNS = (
    *("benchmark", "region", "model", "variant", "status", "statistic", "value", "source", "coverage", "dataset"),
    *("date", "notes", "verified", "file"),
)


def others_path(folder: Path, model: str, name: str) -> Path:
    """Where scores of others for a model lie.

    Examples
    --------
    >>> others_path(Path("results"), "org/net", "gpqa").as_posix()
    'results/others/org%2Fnet/gpqa.json'
    """
    return folder / FOLDER / _bounded(model) / f"{_bounded(name)}.json"


def _bounded(name: str) -> str:
    """A name of a folder or file; a long one is cut and told apart by its digest."""
    whole = folder_name(name)
    return whole if len(whole) <= _MOST_LETTERS else f"{whole[:_MOST_LETTERS]}-{short(digest_of([name]))}"


def write_others(path: Path, model: str, entries: Sequence[Mapping[str, Any]]) -> None:
    """Write scores of others for a model; each entry has ``dataset``, ``task``, ``value`` and what else is known.

    Raises
    ------
    StoreError
        They cannot be written.
    """
    write_sealed(path, {"model": model, "entries": [dict(entry) for entry in entries]})


def others_frame(folder: Path) -> pd.DataFrame:
    """One row per model and task, in columns as of ``rows_frame`` as far as they are known.

    ``benchmark`` is the task, ``region`` "all", ``status`` "others", ``statistic`` empty; ``source`` says who scored
    and where, ``coverage`` how many of the tasks of the data set that anyone here has the model has, and ``verified``
    whether the entry carries a token, which is not checked here.

    Raises
    ------
    StoreError
        A file that is damaged or was edited.
    """
    import pandas as pd

    rows = list(_rows(folder / FOLDER))
    tasks: dict[str, set[str]] = {}
    own: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        tasks.setdefault(row["dataset"], set()).add(row["benchmark"])
        own.setdefault((row["dataset"], row["model"]), set()).add(row["benchmark"])
    for row in rows:
        n_own, n_all = len(own[row["dataset"], row["model"]]), len(tasks[row["dataset"]])
        row["coverage"] = f"{n_own} of {n_all} task{'s' if n_all > 1 else ''}"
    types = dict.fromkeys(_COLUMNS, "object") | {"value": "float64", "verified": "bool"}
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(types)


def _rows(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*/*.json")):
        state, record = read_sealed(path)
        if state != "whole":
            raise StoreError(f"{path} is not what was written: it is damaged or was edited. Import it again.")
        for entry in record["entries"]:
            yield {
                "benchmark": entry["task"],
                "region": "all",
                "model": record["model"],
                "variant": "",
                "status": FOLDER,
                "statistic": "",
                "value": float(entry["value"]),
                "source": entry.get("source") or "not named",
                "dataset": entry["dataset"],
                "date": entry.get("date", ""),
                "notes": entry.get("notes", ""),
                "verified": bool(entry.get("verified")),
                "file": str(path),
            }


def print_others(folder: Path, benchmarks: Sequence[str] = (), models: Sequence[str] = ()) -> None:
    """Print scores of others below the tables, one line each; nothing where there are none."""
    if not (folder / FOLDER).is_dir():
        return
    rows = others_frame(folder).to_dict("records")
    lines = [
        f"{row['model']} × {row['benchmark']}: {row['value']:g}  by {row['source']}; {row['coverage']} of "
        f"{row['dataset']}{_in_brackets(row['notes'])}"
        for row in rows
        if _any(row["benchmark"], benchmarks) and _any(row["model"], models)
    ]
    if lines:
        printer = Printer()
        printer.sentence("Scores of others, not computed here and not ranked with the above:")
        for line in lines:
            printer.sentence(one_line(line))


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _any(name: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
