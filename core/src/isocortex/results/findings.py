"""What was found out about a benchmark itself, such as which models it can tell apart: lines that ``info`` shows.

``DATA/findings/BENCHMARK/NAME.json`` is a sealed record that a command wrote on this machine. It belongs to the version
of the benchmark that it names; one that is damaged, or of another version, is not shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from isocortex.files.disk import data_folder, folder_name
from isocortex.files.sealed import believed, write_sealed

FOLDER = "findings"


def findings_folder(benchmark: str) -> Path:
    """Where the findings about a benchmark lie."""
    return data_folder() / FOLDER / folder_name(benchmark)


def write_finding(benchmark: str, version: int, name: str, lines: Sequence[str]) -> Path:
    """Keep what was found out about a benchmark; an earlier finding of that name is superseded.

    Parameters
    ----------
    benchmark, version
        ID and version of its row.
    name
        What the finding is about; one benchmark may have several.
    lines
        Sentences that ``isocortex info BENCHMARK`` shows, each complete by itself.

    Raises
    ------
    StoreError
        It cannot be written.
    """
    path = findings_folder(benchmark) / f"{folder_name(name)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_sealed(path, {"benchmark": benchmark, "version": version, "lines": list(lines)})
    return path


def findings_of(benchmark: str, version: int) -> list[str]:
    """Lines of all whole findings about this version of a benchmark, by their names.

    Examples
    --------
    >>> findings_of("a benchmark of which nothing was found out", 1)
    []
    """
    found: list[str] = []
    for path in sorted(findings_folder(benchmark).glob("*.json")):
        content = believed(path)
        if content.get("benchmark") == benchmark and content.get("version") == version:
            found += map(str, content["lines"])
    return found
