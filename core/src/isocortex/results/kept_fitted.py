"""Networks that ``--keep fitted`` asks for: ``kept/fitted/split-NN/`` in the folder of a result, checksums beside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from isocortex.files.digests import digest_file
from isocortex.files.file_store import copy_file

FITTED = "fitted"


def copy_fits(folder: Path, fits: Sequence[Path]) -> dict[str, str]:
    """Copy what was fitted for each split; returns the checksum of every file by its place below ``kept/``.

    Parameters
    ----------
    folder
        Of the result.
    fits
        Folders in the order of the splits.

    Raises
    ------
    StoreError
        They cannot be written.
    """
    found: dict[str, str] = {}
    for number, fit in enumerate(fits):
        for source in sorted(fit.iterdir()):
            place = f"{FITTED}/split-{number:02d}/{source.name}"
            copy_file(source, folder / "kept" / place)
            found[place] = digest_file(folder / "kept" / place)
    return found
