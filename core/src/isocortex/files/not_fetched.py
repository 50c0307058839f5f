"""Files that stand for content that is elsewhere: links of git-annex and datalad, pointers of Git LFS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from isocortex.errors import DataError, shorten

#: longer files are no pointers
_POINTER_BYTES = 1024
_OF_THE_SYSTEM = frozenset({"thumbs.db", "desktop.ini", "icon\r", "ehthumbs.db"})


def is_of_the_system(name: str) -> bool:
    """Whether an operating system put a file there: hidden ones, resource forks of macOS, thumbnails of Windows.

    Examples
    --------
    >>> is_of_the_system("._layer1.npy"), is_of_the_system("Thumbs.db"), is_of_the_system("dog.wav")
    (True, True, False)
    """
    return name.startswith(".") or name.lower() in _OF_THE_SYSTEM


def why_not_fetched(path: Path) -> str | None:
    """What a file is, where its content is elsewhere; None: its content is here, or there is no such file.

    Examples
    --------
    >>> why_not_fetched(Path("there/is/none")) is None
    True
    """
    try:
        if path.is_symlink() and not path.exists():
            target = str(path.readlink())
            tool = " of git-annex (datalad)" if "annex" in target else ""
            return f"a link{tool} to {target}, which is not there"
        if path.is_file() and path.stat().st_size <= _POINTER_BYTES:
            head = path.read_bytes()
            if head.startswith(b"version https://git-lfs"):
                return "a pointer of Git LFS, a link to content that is elsewhere"
            if head.startswith(b"/annex/objects/"):
                return "a pointer of git-annex (datalad), a link to content that is elsewhere"
    except OSError:
        return None
    return None


def refuse_not_fetched(paths: Sequence[Path]) -> None:
    """Refuse files whose content was not fetched, and say how to get it.

    Raises
    ------
    DataError
        There are some.
    """
    found = {path: why for path in paths if (why := why_not_fetched(path)) is not None}
    if not found:
        return
    first = next(iter(found))
    raise DataError(
        f"The content of {len(found)} of {len(paths)} files in {first.parent} was not fetched: "
        f"{shorten(path.name for path in found)}. {first.name} is {found[first]}. "
        "Get it, for example with 'datalad get', 'git annex get' or 'git lfs pull'."
    )
