"""Where the files of this package lie, and how the tables of the published tutorial get there.

Neither tables nor recordings have an address with a checksum: they come from a folder that the user names. Core records
the SHA-256 of each table the first time, and refuses another file of the same name from then on.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from isocortex.errors import FilesError, shorten
from isocortex.files import data_folder
from isocortex.interfaces import DataFiles
from isocortex.testing import CheckSkipped

if TYPE_CHECKING:
    from isocortex.files import FileSpec

#: below the data folder
TABLES: Final = "isocortex-allen2p/tables"
TRIALS: Final = "isocortex-allen2p/trials"
_SOURCE: Final = "https://github.com/ColinConwell/DeepMouseTrap"

IMAGES: Final = "stimulus_set.npy"
METADATA: Final = "cell_metadata_mini.csv"
AVERAGE: Final = "cell_response_average.csv"
HALVES: Final = ("cell_response_odd.csv", "cell_response_even.csv")
_ALL: Final = (IMAGES, METADATA, AVERAGE, *HALVES)


class FilesAbsentError(FilesError, CheckSkipped):
    """Files are not here; the conformance kit skips what needs them."""


def lacking(names: set[str]) -> list[str]:
    """Which of the tables that are needed are not among these names.

    Examples
    --------
    >>> lacking({"stimulus_set.npy", "cell_metadata_mini.csv", "cell_response_odd.csv", "cell_response_even.csv"})
    []
    >>> lacking({"stimulus_set.npy", "cell_response_odd.csv"})
    ['cell_metadata_mini.csv', 'cell_response_average.csv']
    """
    responses = [] if set(HALVES) <= names else [AVERAGE]
    return [name for name in (IMAGES, METADATA, *responses) if name not in names]


def _specs(names: list[str]) -> list[FileSpec]:
    from isocortex.files import FileSpec

    return [FileSpec(name, _SOURCE, None, None) for name in names]


def bring_tables(source: Path) -> None:
    """Copy the tables from anywhere below a folder; one that is here already must be the same.

    Raises
    ------
    FilesError
        Some are nowhere, or others are here already.
    """
    from isocortex.files import FileStore

    found = [name for name in _ALL if any(path.is_file() for path in source.rglob(name))]
    absent = lacking(set(found))
    if absent:
        raise FilesError(
            f"{source} lacks {len(absent)} of the tables of the published tutorial: {shorten(absent)}. Needed are "
            f"{IMAGES}, {METADATA}, and {AVERAGE} or both of {', '.join(HALVES)}."
        )
    FileStore().adopt(TABLES, _specs(found), source)


def tables() -> DataFiles:
    """The tables that were brought in, compared with the checksums that were recorded.

    Raises
    ------
    FilesError
        They were not brought in yet, or have changed since.
    """
    from isocortex.files import FileStore

    folder = data_folder() / TABLES
    found = [name for name in _ALL if (folder / name).is_file()]
    absent = lacking(set(found))
    if absent:
        raise FilesAbsentError(
            f"{len(absent)} of the tables of the published tutorial are not in {folder}: {shorten(absent)}. Get them "
            "from the tutorial of Conwell et al. 2021 and run 'isocortex fetch -b Allen2p.conwell2021 --from FOLDER'."
        )
    FileStore().verify(TABLES, _specs(found))
    return DataFiles({name: folder / name for name in found})
