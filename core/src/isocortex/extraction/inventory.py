"""What lies in the cache: activations by model, their size and their last use; removing and verifying them."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from isocortex.activations.folder import ActivationFolder
from isocortex.errors import DataError, FilesError, StoreError
from isocortex.extraction import in_use
from isocortex.files.digests import reading_every_byte, short
from isocortex.files.disk import cache_folder
from isocortex.files.leftovers import owner_of, partial_of, remove
from isocortex.files.sealed import believed, read_sealed
from isocortex.training.fitted import RECORD, read_fitted

UNKNOWN = "(not known)"


@dataclass(frozen=True)
class Kept:
    """Activations of one model variant on one set of stimuli under one reduction, or a network that was trained here.

    Attributes
    ----------
    folder
        Where they lie; its name stands for the key.
    reduction
        Of a network: the split that it was trained for.
    last_used
        Seconds since 1970: when they were written or scored last.
    """

    folder: Path
    package: str
    model: str
    stimuli: str
    reduction: str
    n_layers: int
    n_bytes: int
    last_used: float
    kind: Literal["activations", "network"] = "activations"

    @property
    def name(self) -> str:
        """``model@variant on stimuli (reduction)``."""
        what = "trained on" if self.kind == "network" else "on"
        return f"{self.model} {what} {self.stimuli} ({self.reduction})"

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), "folder": str(self.folder)}


def activations_folder() -> Path:
    """Where activations lie in the cache."""
    return cache_folder() / "activations"


def inventory() -> list[Kept]:
    """Everything that is kept, what was used last first; nothing of it is verified."""
    found: list[Kept] = []
    for place, look in ((activations_folder(), _kept), (cache_folder() / "fitted", _kept_fit)):
        with contextlib.suppress(OSError):
            folders = [path for path in place.iterdir() if path.is_dir() and owner_of(path.name) is None]
            found += [look(folder) for folder in folders]
    return sorted(found, key=lambda one: -one.last_used)


def _kept_fit(folder: Path) -> Kept:
    """A network that was trained here, or the last epochs of a training that was killed."""
    about = believed(folder / RECORD)
    seen = about.get("trained_on") or {}
    split = f"split {seen['split']}" if seen.get("split") else "not finished"
    model, stimuli = str(about.get("model", UNKNOWN)), str(seen.get("stimuli", UNKNOWN))
    n_bytes, last_used = 0, 0.0
    with contextlib.suppress(OSError):
        n_bytes, last_used = bytes_below(folder), folder.stat().st_mtime
    return Kept(folder, "(trained here)", model, stimuli, split, 0, n_bytes, last_used, "network")


def _kept(folder: Path) -> Kept:
    about = believed(folder / "activations.json")
    package, model, stimuli, reduction = (
        str(about.get(name, UNKNOWN)) for name in ("package", "model", "stimuli", "reduction")
    )
    n_layers, n_bytes, last_used = sum(1 for _ in folder.glob("*/layer.json")), 0, 0.0
    with contextlib.suppress(OSError):
        n_bytes, last_used = bytes_below(folder), folder.stat().st_mtime
    return Kept(folder, package, model, stimuli, reduction, n_layers, n_bytes, last_used)


def bytes_below(folder: Path) -> int:
    """Bytes of all files below a folder; links are not followed.

    Examples
    --------
    >>> bytes_below(Path("no such folder"))
    0
    """
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(where, name).lstat().st_size
    return total


# --- removing ---------------------------------------------------------------------------------------------------------


def choose(
    kept: Sequence[Kept],
    *,
    models: Sequence[str] = (),
    older_than_days: float | None = None,
    down_to_bytes: int | None = None,
    now: float | None = None,
) -> list[Kept]:
    """What has to go: what was not used for so long, and then what was used longest ago until the rest is small enough.

    Parameters
    ----------
    models
        Only these: ``ID[@variant]`` or globs; empty: all.
    older_than_days
        Days since the last use; None: age is no reason.
    down_to_bytes
        What may stay of these models; None: size is no reason.
    now
        Seconds since 1970; default: the present.

    Examples
    --------
    >>> days = {"a": 1, "b": 2}
    >>> one, other = (Kept(Path(name), "p", "m@fixed", "s", "r", 1, 60, days[name] * 86_400.0) for name in days)
    >>> [kept.folder.name for kept in choose([one, other], down_to_bytes=100)]
    ['a']
    """
    moment = time.time() if now is None else now
    wanted = [one for one in kept if not models or any(_is_model(one.model, pattern) for pattern in models)]
    gone = [one for one in wanted if older_than_days is not None and moment - one.last_used > 86_400 * older_than_days]
    left = sorted((one for one in wanted if one not in gone), key=lambda one: one.last_used)
    size = sum(one.n_bytes for one in left)
    while left and down_to_bytes is not None and size > down_to_bytes:
        size -= left[0].n_bytes
        gone.append(left.pop(0))
    return gone


def _is_model(name: str, pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(one, pattern) for one in (name, name.rpartition("@")[0]))


def is_in_use(kept: Kept) -> bool:
    """Whether a living process makes or uses the activations."""
    with _locked(kept) as mine:
        return not mine or in_use.is_used(kept.folder.name)


def prune(chosen: Iterable[Kept]) -> tuple[list[Kept], list[Kept]]:
    """Remove activations, but those that a living process makes or uses; returns what went and what is in use.

    Raises
    ------
    StoreError
        Something cannot be removed.
    """
    gone: list[Kept] = []
    used: list[Kept] = []
    for kept in chosen:
        with _locked(kept) as mine:
            if not mine or in_use.is_used(kept.folder.name):
                used.append(kept)
                continue
            aside = partial_of(kept.folder)  # in one step, so that a kill leaves nothing that looks whole
            try:
                kept.folder.rename(aside)
            except OSError as error:
                raise StoreError(f"{kept.folder} cannot be removed ({error.strerror}).") from error
        remove(aside)
        gone.append(kept)
    return gone, used


@contextlib.contextmanager
def _locked(kept: Kept) -> Generator[bool]:
    """The lock of those who extract, where it is free; False: somebody has it."""
    from filelock import FileLock, Timeout

    lock = FileLock(cache_folder() / "locks" / f"{kept.folder.name}.lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    except (OSError, NotImplementedError):  # no lock can be had here: the marks of those who use it are left
        yield True
        return
    try:
        yield True
    finally:
        lock.release()


# --- verifying --------------------------------------------------------------------------------------------------------


def verify() -> tuple[int, list[Path]]:
    """Read every byte of the cache and compare it with its checksums; nothing is removed.

    Returns
    -------
    Number of files that were looked at, and those that are damaged, of another place, or without checksum.
    """
    n_files, damaged = 0, list[Path]()
    with reading_every_byte():
        for kept in inventory():
            n_files += sum(1 for path in kept.folder.rglob("*") if path.is_file())
            damaged += _damaged_below(kept.folder) if kept.kind == "activations" else _damaged_fit(kept.folder)
        for memory in sorted((cache_folder() / "digests").glob("*.json")):
            n_files += 1
            damaged += [memory] if read_sealed(memory).state != "whole" else []
    return n_files, damaged


def _damaged_fit(folder: Path) -> list[Path]:
    """Of a network that was trained here; the epochs of one that is not finished are looked at when it goes on."""
    if not (folder / RECORD).exists():
        return []
    try:
        read_fitted(folder)
    except FilesError:
        return [folder]
    return []


def _damaged_below(folder: Path) -> list[Path]:
    selections = [path for path in sorted(folder.glob("selections/*.json")) if read_sealed(path).state != "whole"]
    try:
        kept = ActivationFolder.at(folder)
    except DataError:
        return [folder / "activations.json", *selections]
    if short(kept.key) != folder.name:
        return [folder / "activations.json", *selections]
    return [*(folder / name for name in kept.damaged(kept.listed)), *selections]
