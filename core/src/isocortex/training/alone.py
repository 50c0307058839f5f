"""A training that no run conducts, such as a command's: its device, its journal, and what it tells a terminal."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Generator
from dataclasses import dataclass

from isocortex.devices import device_of
from isocortex.files.digests import digest_of, short
from isocortex.files.disk import cache_folder
from isocortex.files.locks import locked
from isocortex.progress import Reporter
from isocortex.training.journal import Journal


@dataclass(frozen=True)
class Alone:
    """What a training needs that is conducted by nobody.

    Attributes
    ----------
    journal
        Keeps its epochs, and tells how far it is.
    device
        The one that is meant: "auto" is an accelerator where there is one.
    reporter
        Writes to stderr.
    """

    journal: Journal
    device: str
    reporter: Reporter


@contextlib.contextmanager
def training_alone(key: str, name: str, *, device: str = "auto", quiet: bool = False) -> Generator[Alone]:
    """Train something outside of a run: one process at a time, and on at its last epoch where it was killed.

    The journal lies in the cache, and is taken away once the body has ended without an error.

    Parameters
    ----------
    key
        Digest over all that decides what is trained but the device; two of one key on one device wait for each other.
    name
        What is trained, for whoever waits.
    device
        "auto", "cpu", "cuda", "cuda:1", "mps".
    quiet
        Tell nothing.

    Raises
    ------
    UsageError
        There is no such device.
    """
    place, reporter = device_of(device, accelerated=True), Reporter(quiet=quiet)
    own = short(digest_of([key, place]))
    folder, lock = cache_folder() / "fitted" / f"{own}.journal", cache_folder() / "locks" / f"{own}.lock"
    try:
        with locked(lock, f"the training of {name}", reporter.line):
            yield Alone(Journal(folder, reporter, name), place, reporter)
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        reporter.close()
