"""Folders of the user, atomic writes and space.

A file is written under a temporary name and then moved, so that no reader ever sees half of one.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from isocortex.errors import StoreError
from isocortex.files.interruption import removed_after
from isocortex.files.leftovers import owner, partial_of

#: what a full disk gives, and one of which a user has taken his share
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def cache_folder() -> Path:
    """Where activations, digests of files and locks lie: ``ISOCORTEX_CACHE``, or the user's cache folder."""
    return _folder("ISOCORTEX_CACHE", "user_cache_path")


def scratch_folder() -> Path:
    """Where what lives no longer than a run lies: ``ISOCORTEX_SCRATCH`` (a fast disk of this machine), or the cache."""
    named = os.environ.get("ISOCORTEX_SCRATCH")
    return home_expanded(Path(named)) if named else cache_folder()


def data_folder() -> Path:
    """Where data sets and weights lie: ``ISOCORTEX_DATA``, or the user's data folder."""
    return _folder("ISOCORTEX_DATA", "user_data_path")


def _folder(variable: str, default: str) -> Path:
    import platformdirs

    named = os.environ.get(variable)
    return home_expanded(Path(named)) if named else Path(getattr(platformdirs, default)("isocortex"))


def home_expanded(path: Path) -> Path:
    """A path whose ``~`` is the home folder, as a shell would have made it; as it is where there is no such user.

    Examples
    --------
    >>> "~" in str(home_expanded(Path("~/results")))
    False
    >>> home_expanded(Path("results")).as_posix()
    'results'
    """
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def home_expanded_name(name: str) -> str:
    """As ``home_expanded``, of a name such as ``folder:~/mydata:ridge``, within which no shell does it.

    Examples
    --------
    >>> "~" in home_expanded_name("activations:~/features"), home_expanded_name("noise")
    (False, 'noise')
    """
    prefix, colon, path = name.partition(":")
    return f"{prefix}{colon}{home_expanded(Path(path))}" if path.startswith("~") else name


def folder_name(name: str) -> str:
    """A name as one folder name on any file system; different names stay different.

    Examples
    --------
    >>> folder_name("nvidia/parakeet")
    'nvidia%2Fparakeet'
    """
    quoted = quote(name, safe="@=+, ", errors="surrogatepass")
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted or "%"


def write_atomic(path: Path, write: Callable[[BinaryIO], object], *, durable: bool = False) -> None:
    """Write a file so that it is there whole or not at all.

    Raises
    ------
    StoreError
        No space, or no right to write; the message names the folder and the free space.
    """
    partial = partial_of(path)
    with removed_after(partial):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                write(file)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            raise StoreError(why_not_written(path, error)) from error


def why_not_written(path: Path, error: OSError) -> str:
    """What a user is told where a file cannot be written."""
    if error.errno in NO_SPACE:
        free = shutil.disk_usage(_existing(path)).free / 1e9
        return (
            f"No space left to write {path} ({free:.2f} GB free). Free some space or point ISOCORTEX_CACHE "
            "(activations), ISOCORTEX_DATA (data, weights) or --out (results) to another disk. What is finished is "
            "kept; a rerun goes on from there."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"{path.parent} cannot be written to ({error.strerror}). "
            "Choose another folder with --out (results), ISOCORTEX_CACHE (activations) or ISOCORTEX_DATA (data)."
        )
    return f"{path} cannot be written ({error.strerror or error})."


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())


def check_writable(folder: Path) -> None:
    """Fail early where results could not be written at the end.

    Raises
    ------
    StoreError
        The folder cannot be made or written to.
    """
    probe = folder / f".write-test-{owner()}"
    write_atomic(probe, lambda file: file.write(b""))
    probe.unlink(missing_ok=True)


def check_space(folder: Path, n_bytes: int, what: str, advice: str = "") -> None:
    """Fail before the work where its outcome would not fit.

    Parameters
    ----------
    advice
        What to do beside freeing some space.

    Raises
    ------
    StoreError
        Less than ``n_bytes`` are free.
    """
    free = shutil.disk_usage(_existing(folder)).free
    if n_bytes > free:
        raise StoreError(
            f"{what} needs {n_bytes / 1e9:.2f} GB in {folder}, but only {free / 1e9:.2f} GB are free. Free some space"
            f"{f', {advice}' if advice else ', or choose a folder on another disk'}."
        )


def read_json(path: Path) -> Any:
    """The content of a JSON file, or None where it is absent or unreadable."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def write_json(path: Path, content: object, *, durable: bool = False) -> None:
    """Write JSON atomically."""
    text = json.dumps(content, indent=1)
    write_atomic(path, lambda file: file.write(text.encode()), durable=durable)


def write_json_if_possible(path: Path, content: object) -> None:
    """Write what only saves work; a cache that cannot be written is no error."""
    with contextlib.suppress(StoreError):
        write_json(path, content)
