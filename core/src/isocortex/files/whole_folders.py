"""Folders that are written whole: whoever looks sees the old one or the new one, at every moment, whoever else writes.

The new folder is made beside and then exchanged with the old one in one step of the file system (``renameat2`` on
Linux, ``renamex_np`` on macOS). Where the system or its file system has no such step, one writer after the other moves
the old one aside and the new one in, so that the folder is absent for a moment, and never mixed.
"""

from __future__ import annotations

import ctypes
import errno
import filecmp
import os
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from isocortex.errors import StoreError
from isocortex.files.disk import why_not_written
from isocortex.files.interruption import removed_after
from isocortex.files.leftovers import partial_of, remove, sweep
from isocortex.files.locks import locked

_EXCHANGE = 2
_HERE = -100
_N_TRIES = 1000
#: before the old folder is removed, for those who are in the middle of listing it
_GRACE_S = 0.1


@contextmanager
def whole_folder(target: Path) -> Generator[Path]:
    """A new folder to write into; it takes the place of ``target`` at the end, or leaves no trace where that fails.

    Raises
    ------
    StoreError
        It cannot be made or put in place.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "features"
    >>> for text in ("first", "second"):
    ...     with whole_folder(target) as folder:
    ...         _ = (folder / "note.txt").write_text(text)
    >>> (target / "note.txt").read_text(), [path.name for path in target.parent.iterdir()]
    ('second', ['features'])
    """
    target = Path(os.path.realpath(target))
    partial = partial_of(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent)
    except OSError as error:
        raise StoreError(why_not_written(target, error)) from error
    with removed_after(partial):
        partial.mkdir()
        yield partial
        if _are_equal(partial, target):
            return
        try:
            _put(partial, target)
        except OSError as error:
            raise StoreError(why_not_written(target, error)) from error


def _put(new: Path, target: Path) -> None:
    """Move ``new`` to ``target``; what was there lies at ``new`` afterwards, or nowhere."""
    for _ in range(_N_TRIES):
        try:
            if not os.path.lexists(target):
                new.rename(target)
            elif _exchanged(new, target):
                time.sleep(_GRACE_S)
            else:
                _moved_aside(new, target)
            return
        except OSError as error:  # another writer was there between the look and the step: look again
            if error.errno not in (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
    raise OSError(errno.EBUSY, "other processes replace it all the time")


def _are_equal(one: Path, other: Path) -> bool:
    """Whether two folders hold the same files, byte for byte; then nothing has to be replaced."""
    try:
        names = [sorted(path.relative_to(top) for path in top.rglob("*")) for top in (one, other)]
        return names[0] == names[1] and all(
            (other / name).is_dir() if (one / name).is_dir() else filecmp.cmp(one / name, other / name, shallow=False)
            for name in names[0]
        )
    except OSError:  # another writer replaces it meanwhile
        return False


def _exchanged(one: Path, other: Path) -> bool:
    """Let two folders change places in one step; False: that cannot be done here."""
    names = os.fsencode(one), os.fsencode(other)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            failed = library.renamex_np(*names, ctypes.c_uint(_EXCHANGE))
        else:
            failed = library.renameat2(_HERE, names[0], _HERE, names[1], ctypes.c_uint(_EXCHANGE))
    except (AttributeError, OSError, TypeError):
        return False
    if failed and ctypes.get_errno() == errno.ENOENT:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(other))
    return not failed


def _moved_aside(new: Path, target: Path) -> None:
    with locked(target.with_name(f".{target.name}.lock"), f"the replacement of {target}"):
        aside = partial_of(target)
        with suppress(FileNotFoundError):
            target.rename(aside)
        try:
            new.rename(target)
        except OSError:
            with suppress(OSError):
                aside.rename(target)
            if os.path.lexists(target):  # another writer put his own there meanwhile, so that the old one goes
                remove(aside)
            raise
        remove(aside)
