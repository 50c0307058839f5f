"""JSON records that carry their own checksum, so that nothing but what was written is ever believed.

The last entry of a sealed record is ``"sha256"``, over all bytes of the file that stand before it. A byte that changed
anywhere, a cut, or an addition is found, whatever the bytes mean.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from isocortex.errors import StoreError
from isocortex.files.disk import write_atomic

#: absent: no such file; whole: as it was written; older: JSON of a version that did not seal; damaged: all else
State = Literal["absent", "whole", "older", "damaged"]

SEAL = "sha256"


class Sealed(NamedTuple):
    """What a record holds, without its seal, and whether that can be believed."""

    state: State
    content: dict[str, Any]


def _seal_of(body: bytes) -> bytes:
    return f',\n "{SEAL}": "{hashlib.sha256(body).hexdigest()}"\n}}'.encode()


_LENGTH = len(_seal_of(b""))


def sealed(content: Mapping[str, Any]) -> bytes:
    """A record as its bytes, with the seal as its last entry.

    Raises
    ------
    ValueError
        Nothing to seal, or an entry that has the name of the seal.

    Examples
    --------
    >>> sealed({"n_units": 3}).decode().splitlines()[:2]
    ['{', ' "n_units": 3,']
    """
    if not content or SEAL in content:
        raise ValueError(f"A sealed record needs entries, none of them called {SEAL!r}; found {list(content)}.")
    body = json.dumps(content, indent=1).encode()[:-2]
    return body + _seal_of(body)


def read_sealed(path: Path) -> Sealed:
    """A record from disk, and whether it is as it was written; unreadable ones are damaged.

    Examples
    --------
    >>> read_sealed(Path("no such file"))
    Sealed(state='absent', content={})
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return Sealed("absent", {})
    except OSError:
        return Sealed("damaged", {})
    return unsealed(content)


def unsealed(content: bytes, parse: Callable[[bytes], Any] = json.loads) -> Sealed:
    """The same for bytes that were read; ``parse`` reads JSON and raises ValueError where it is none.

    Examples
    --------
    >>> unsealed(sealed({"n_units": 3}))
    Sealed(state='whole', content={'n_units': 3})
    >>> unsealed(sealed({"n_units": 3}).replace(b"3,", b"4,")).state
    'damaged'
    """
    body, seal = content[:-_LENGTH], content[-_LENGTH:]
    whole = seal == _seal_of(body)
    try:
        record = parse(content)
    except (ValueError, RecursionError):
        return Sealed("damaged", {})
    if not isinstance(record, dict):
        return Sealed("damaged", {})
    if not whole:
        return Sealed("damaged", {}) if SEAL in record else Sealed("older", record)
    del record[SEAL]
    return Sealed("whole", record)


def believed(path: Path) -> dict[str, Any]:
    """What a record holds where it is whole; nothing otherwise. For what can be made again.

    Examples
    --------
    >>> believed(Path("no such file"))
    {}
    """
    state, content = read_sealed(path)
    return content if state == "whole" else {}


def write_sealed(path: Path, content: Mapping[str, Any], *, durable: bool = False) -> None:
    """Write a sealed record, whole or not at all.

    Raises
    ------
    StoreError
        It cannot be written.
    """
    text = sealed(content)
    write_atomic(path, lambda file: file.write(text), durable=durable)


def write_sealed_if_possible(path: Path, content: Mapping[str, Any]) -> None:
    """Write what only saves work; a cache that cannot be written is no error."""
    try:
        write_sealed(path, content)
    except StoreError:
        return
