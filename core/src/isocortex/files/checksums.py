"""Files whose publisher states no SHA-256: their SHA-256 at first use is recorded beside them, and held to since.

``recorded.json`` lies in the folder that the names are relative to: ``{"files": {name: {"sha256": …, "bytes": …}}}``,
sealed. It is no proof of what was published; it makes sure that every later score is computed on the same bytes as the
first. Records of older versions hold the files alone; they get their seal with the next file that is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isocortex.errors import FilesError, shorten
from isocortex.files.locks import locked
from isocortex.files.sealed import read_sealed, write_sealed

RECORD = "recorded.json"


def read_record(folder: Path) -> dict[str, str]:
    """SHA-256 of the files that were recorded in a folder; nothing where there is no record.

    Raises
    ------
    FilesError
        The record cannot be read; it is never made anew silently.

    Examples
    --------
    >>> read_record(Path("no such folder"))
    {}
    """
    path = folder / RECORD
    if not path.exists():  # asked first: another process may write it for the first time meanwhile
        return {}
    return {str(name): entry["sha256"] for name, entry in _entries(path).items()}


def _entries(path: Path) -> dict[str, Any]:
    state, content = read_sealed(path)
    entries = content.get("files") if state == "whole" else content
    if state == "absent":
        return {}
    if state == "damaged" or not isinstance(entries, dict) or not all(map(_is_entry, entries.values())):
        raise FilesError(
            f"{path} cannot be read as a record of checksums: it is damaged or was edited. Put a copy of it back, or "
            "delete it: the files beside it are then taken as they are now."
        )
    return entries


def _is_entry(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("sha256"), str)


def hold_to_record(folder: Path, paths: Mapping[str, Path], digests: Mapping[str, str]) -> list[str]:
    """Compare files with their record, and record those that are used for the first time.

    Parameters
    ----------
    folder
        Where the record lies.
    paths, digests
        Name → file that is about to be used, and its SHA-256.

    Returns
    -------
    Names that were recorded now.

    Raises
    ------
    FilesError
        A file differs from its record, which stays as it is.
    StoreError
        The record cannot be written.
    """
    refuse_others(folder, paths, digests)
    if set(digests) <= set(read_record(folder)):
        return []
    with locked(folder / f".{RECORD}.lock", f"the checksums of {folder}"):
        refuse_others(folder, paths, digests)  # another process may have recorded them meanwhile
        known = read_record(folder)
        new = [name for name in digests if name not in known]
        entries = {name: {"sha256": digests[name], "bytes": paths[name].stat().st_size} for name in new}
        write_sealed(folder / RECORD, {"files": {**_entries(folder / RECORD), **entries}}, durable=True)
    return new


def refuse_others(folder: Path, paths: Mapping[str, Path], digests: Mapping[str, str]) -> None:
    """Compare files with their record; those without a record pass.

    Raises
    ------
    FilesError
        A file differs from its record.
    """
    known = read_record(folder)
    changed = [name for name, digest in digests.items() if known.get(name, digest) != digest]
    if not changed:
        return
    first = changed[0]
    raise FilesError(
        f"{len(changed)} of {len(digests)} files differ from those that were recorded first in {folder / RECORD}: "
        f"{shorten(changed)} ({paths[first]} has SHA-256 {digests[first][:16]}…, recorded is {known[first][:16]}…). "
        "Their publisher states no SHA-256, so find out which are right. To take these, delete "
        f"{folder / RECORD} with the recorded files, and fetch again; otherwise put the first ones back."
    )
