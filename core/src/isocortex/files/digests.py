"""SHA-256 digests of values, arrays and files; digests of files are remembered by path, size and modification time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.errors import FilesError

if TYPE_CHECKING:
    import numpy as np


_BLOCK = 1 << 20


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


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes.

    Raises
    ------
    FilesError
        The file cannot be read.
    """
    sha = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                sha.update(block)
    except OSError as error:
        raise FilesError(f"{path} cannot be read ({error.strerror}).") from error
    return sha.hexdigest()


def digest_files(paths: Iterable[Path]) -> dict[Path, str]:
    """Return the SHA-256 of each file; a group of files that has not changed is not read again.

    The group is remembered in the cache folder under a digest of every path, size and modification time.
    """
    from isocortex.files import disk as store

    listed = sorted(set(paths))
    if not listed:
        return {}
    try:
        stats = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in listed]
    except OSError as error:
        raise FilesError(f"{error.filename} cannot be read ({error.strerror}).") from error
    memory = store.cache_folder() / "digests" / f"{digest_of(stats)}.json"
    remembered = store.read_json(memory)
    if isinstance(remembered, list) and len(remembered) == len(listed):
        return dict(zip(listed, remembered, strict=True))
    digests = [digest_file(path) for path in listed]
    store.write_json_if_possible(memory, digests)
    return dict(zip(listed, digests, strict=True))


def digest_code(folder: Path) -> str:
    """Return a digest over every Python source and manifest below a package folder.

    An edit of a plugin thereby never meets activations that its older code made.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix in {".py", ".toml"} and path.is_file())
    digests = digest_files(files)
    return digest_of({path.relative_to(folder).as_posix(): digests[path] for path in files})


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
