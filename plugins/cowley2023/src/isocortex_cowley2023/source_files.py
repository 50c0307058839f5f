"""Where images, responses and networks lie: in the authors' repository, or as copies of its parts in plain arrays.

The repository states no checksums: core records the SHA-256 of each of its files at its first use, and refuses another
file of the same name from then on (`isocortex.files`). Copies have no address; their checksums are listed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from isocortex.errors import FilesError, PluginError, shorten
from isocortex.files import FileStore, data_folder, read_specs
from isocortex.interfaces import DataFiles
from isocortex.testing import CheckSkipped

if TYPE_CHECKING:
    from isocortex.files import FileSpec

PACKAGE: Final = "isocortex-cowley2023"
REPOSITORY: Final = "https://github.com/cowleygroup/V4_compact_models"
#: lists of files: the copies are looked for first, what is downloaded is of the repository
COPIES, LISTED = "copies.csv", "repository.csv"


class AbsentError(FilesError, CheckSkipped):
    """Files are not here; the conformance kit skips what needs them."""


def alternatives(part: str) -> dict[str, list[FileSpec]]:
    """The files of a part, by the list that names them.

    Parameters
    ----------
    part
        "images 210325", "trials 210325", "mean 190923" or "networks 190923".

    Raises
    ------
    PluginError
        There is no such part.

    Examples
    --------
    >>> {name: len(specs) for name, specs in alternatives("networks 190923").items()}
    {'copies.csv': 1, 'repository.csv': 33}
    """
    kind, _, session = part.partition(" ")
    endings = {
        "images": (f"_{session}_images.zip", f"images/images_{session}.zip"),
        "trials": (f"_{session}_trials.npz", f"responses_raw/responses_{session}.npy"),
        "mean": (f"_{session}_mean.npz", f"responses_repeat_averaged/responses_{session}.npy"),
        "networks": (f"_{session}_compact_models.npz", f"models_torch/compact_model_{session}_neuron"),
    }
    if kind not in endings:
        raise PluginError(f"{part!r} is no part of this data. Expected {', '.join(endings)} of a session.")
    folder = Path(__file__).parent
    found = {
        listing: [spec for spec in read_specs(folder, listing) if ending in spec.name]
        for listing, ending in zip((COPIES, LISTED), endings[kind], strict=True)
    }
    if not all(found.values()):
        raise PluginError(f"There are no {kind} of session {session!r}.")
    return found


def present(part: str) -> DataFiles:
    """The files of a part that were brought here, compared with their checksums; members of archives by their names.

    Raises
    ------
    FilesError
        They were not brought yet, or have changed since.
    """
    store = FileStore(offline=True)
    for specs in alternatives(part).values():
        if not store.missing(PACKAGE, specs):
            return store.present(PACKAGE, specs, f"The {part}")
    what = "-m 'cowley2023/*'" if part.startswith("networks") else "-b 'Cowley2023*'"
    raise AbsentError(
        f"The {part} of Cowley et al. 2023 are not in {data_folder() / PACKAGE}. Run isocortex fetch {what} with "
        f"network, or with --from FOLDER, a folder with a clone of {REPOSITORY} or with copies of its parts."
    )


def bring(part: str, source: Path | None, *, offline: bool = False) -> list[Path]:
    """Bring a part here, from a folder or from the repository, and say where its files lie.

    Raises
    ------
    FilesError
        They are not to be had, or differ from what was expected or brought before.
    """
    if offline and source is None:
        return list(present(part).values())
    store = FileStore(offline=source is not None, because="--from brings files from there alone")
    found = alternatives(part)
    if source is not None:
        absent = {listing: store.adopt(PACKAGE, specs, source) for listing, specs in found.items()}
        if all(absent.values()):
            first = [specs[0].name for specs in absent.values()]
            raise FilesError(
                f"{source} holds no {part} of Cowley et al. 2023: looked for {' and '.join(first)}"
                f"{', …' if any(len(specs) > 1 for specs in absent.values()) else ''} by name and, where one is known, "
                f"checksum. It must be a clone of {REPOSITORY}, or hold copies of its parts."
            )
    for listing in (COPIES, LISTED):
        specs = found[listing]
        if not store.missing(PACKAGE, specs):
            break
    else:
        specs = found[LISTED]
    store.present(PACKAGE, specs, f"The {part}")
    return [store.path(PACKAGE, spec) for spec in specs]


def only(files: DataFiles, part: str) -> Path:
    """The one file of a part.

    Raises
    ------
    FilesError
        There are none, or several.
    """
    paths = list(files.values())
    if len(paths) != 1:
        raise FilesError(f"Expected one file of the {part}; found {shorten(files) or 'none'}.")
    return paths[0]
