"""SHA-256 digests of values, arrays and files.

Digests of files are remembered by what the file system says of each: device, inode, size and the times of its changes.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.errors import FilesError

if TYPE_CHECKING:
    import numpy as np


_BLOCK = 1 << 20
#: a file that changed less than this long ago may change again within one tick of the file system's clock
_SETTLED_NS = 2_000_000_000


def digest_of(value: object) -> str:
    """Return the SHA-256 of a JSON-able value, independent of the order of keys.

    Examples
    --------
    >>> digest_of({"b": 1, "a": 2}) == digest_of({"a": 2, "b": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_array(array: np.ndarray[Any, Any]) -> str:
    """Return the SHA-256 over dtype, shape and bytes of an array.

    Examples
    --------
    >>> import numpy as np
    >>> digest_array(np.zeros(2)) == digest_array(np.zeros((2, 1)))
    False
    """
    import numpy as np

    header = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(header + np.ascontiguousarray(array).tobytes()).hexdigest()


def digest_file(path: Path, algorithm: str = "sha256") -> str:
    """Return the SHA-256 of a file's bytes, or what another algorithm of ``hashlib`` makes of them.

    Raises
    ------
    FilesError
        The file cannot be read.
    """
    sha = hashlib.new(algorithm, usedforsecurity=False)
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                sha.update(block)
    except OSError as error:
        raise FilesError(f"{path} cannot be read ({error.strerror}).") from error
    return sha.hexdigest()


def digest_files(paths: Iterable[Path]) -> dict[Path, str]:
    """Return the SHA-256 of each file; one that has not changed is not read again.

    A group of files has one record in the cache folder. It holds device, inode, size, modification and change time of
    each, and its own checksum: a record that does not match it is made anew. Nothing is remembered of a file that
    changed less than two seconds ago.

    Raises
    ------
    FilesError
        A file cannot be read.

    Examples
    --------
    >>> digest_files([])
    {}
    """
    from isocortex.files.disk import cache_folder
    from isocortex.files.sealed import believed, write_sealed_if_possible

    listed = sorted(set(paths))
    if not listed:
        return {}
    if reads_every_byte():
        return {path: digest_file(path) for path in listed}
    names = {path: str(path.resolve()) for path in listed}
    memory = cache_folder() / "digests" / f"{digest_of(list(names.values()))}.json"
    known = believed(memory).get("files", {})
    digests: dict[Path, str] = {}
    kept: dict[str, list[Any]] = {}
    for path, name in names.items():
        digests[path], stamp = _digest_of_file(path, known.get(name))
        if stamp is not None:
            kept[name] = [*stamp, digests[path]]
    if kept != known:
        write_sealed_if_possible(memory, {"files": kept})
    return digests


_READING_ALL: ContextVar[bool] = ContextVar("_READING_ALL", default=False)


def reads_every_byte() -> bool:
    """Whether nothing that is remembered of files may be believed now."""
    return _READING_ALL.get()


@contextmanager
def reading_every_byte() -> Generator[None]:
    """Inside, ``digest_files`` remembers nothing and reads every file: for who wants to know what is there now.

    Examples
    --------
    >>> with reading_every_byte():
    ...     digest_files([])
    {}
    """
    before = _READING_ALL.set(True)
    try:
        yield
    finally:
        _READING_ALL.reset(before)


def _digest_of_file(path: Path, known: list[Any] | None) -> tuple[str, list[int] | None]:
    """The SHA-256 of a file, and its stamp where both may be remembered."""
    try:
        now, stamp = time.time_ns(), stamp_of(path)
        if known is not None and known[:-1] == stamp:
            return str(known[-1]), stamp
        digest = digest_file(path)
        whole = is_settled(stamp, now) and stamp_of(path) == stamp
    except OSError as error:
        raise FilesError(f"{error.filename} cannot be read ({error.strerror}).") from error
    return digest, stamp if whole else None


def stamp_of(path: Path) -> list[int]:
    """Device, inode, size, and times of modification and change in ns; a file of the same stamp is the same.

    Examples
    --------
    >>> from pathlib import Path
    >>> len(stamp_of(Path()))
    5
    """
    stat = path.stat()
    return [stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def is_settled(stamp: list[int], now: int) -> bool:
    """Whether a file has not changed for two seconds, so that a further change will show in its stamp.

    Examples
    --------
    >>> is_settled([0, 0, 0, 5, 5], now=6), is_settled([0, 0, 0, 5, 5], now=3_000_000_000)
    (False, True)
    """
    return now - max(stamp[-2:]) >= _SETTLED_NS


def short(digest: str) -> str:
    """The first 16 characters of a digest, as used in folder names."""
    return digest[:16]


def jsonable(value: Any) -> Any:
    """Turn mappings, sequences, paths, dates, arrays and numpy scalars into what JSON knows.

    Examples
    --------
    >>> jsonable({"a": (1, 2)})
    {'a': [1, 2]}
    """
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value) if isinstance(value, (set, frozenset)) else value
        return [jsonable(item) for item in items]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return jsonable(value.tolist())
    return value.isoformat() if hasattr(value, "isoformat") else value
