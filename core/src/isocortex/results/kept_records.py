"""What ``--keep NAME`` put beside a result, whatever it is: ``kept/NAME.json`` names its files with their checksums."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.errors import FilesError, StoreError
from isocortex.files.digests import digest_file
from isocortex.files.sealed import read_sealed, write_sealed

if TYPE_CHECKING:
    from isocortex.results.result import Result


def write_kept(folder: Path, result: Result, name: str, files: Mapping[str, str], **more: Any) -> None:
    """Say what is kept under a name, once its files are written.

    Parameters
    ----------
    folder
        Of the result.
    files
        Place below ``kept/`` → SHA-256; empty: the cell gives no such thing.
    **more
        What else belongs to it.

    Raises
    ------
    StoreError
        It cannot be written.
    """
    write_sealed(folder / "kept" / f"{name}.json", {"result": result.digest, "name": name, "files": files, **more})


def is_kept(folder: Path, result: Result, name: str) -> bool:
    """Whether something was kept for this result, or is known not to be there, and every file is as it was written."""
    record = _own(folder, result, name)
    return record is not None and _whole(folder, record)


def read_kept(folder: Path, result: Result, name: str) -> dict[str, Any]:
    """The record of what was kept, with all of its files as they were written.

    Raises
    ------
    StoreError
        It was not kept, the metric gives none, or it is damaged.
    """
    record = _own(folder, result, name)
    if record is not None and not record["files"]:
        raise StoreError(f"The metric {result.metric!r} gives no {name}, so that none was kept.")
    if record is None or not _whole(folder, record):
        there = any(path.suffix != ".json" for path in (folder / "kept").glob(f"{name}*"))
        raise StoreError(
            f"The {name} of {result.model}@{result.variant} × {result.benchmark} "
            f"{'is not as it was written' if there else 'was not kept'}. 'isocortex score … --keep {name}' keeps it, "
            "and leaves the result as it is."
        )
    return record


def _own(folder: Path, result: Result, name: str) -> dict[str, Any] | None:
    state, record = read_sealed(folder / "kept" / f"{name}.json")
    own = (record.get("result"), record.get("name")) == (result.digest, name) and isinstance(record.get("files"), dict)
    return record if state == "whole" and own else None


def _whole(folder: Path, record: Mapping[str, Any]) -> bool:
    try:
        return all(digest_file(folder / "kept" / place) == digest for place, digest in record["files"].items())
    except FilesError:
        return False
