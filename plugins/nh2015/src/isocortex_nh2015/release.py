"""The data files of the Tuckute et al. 2023 release: found in a folder that the user gives, kept with their checksums.

No checksum of the release is published: core records the SHA-256 of each file the first time, verifies it against that
from then on, and refuses another file of the same name (`isocortex.files.checksums`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from isocortex.errors import FilesError, shorten
from isocortex.files import data_folder, digest_file
from isocortex.interfaces import DataFiles
from isocortex.testing import CheckSkipped

if TYPE_CHECKING:
    from isocortex.files import FileSpec

PACKAGE: Final = "isocortex-nh2015"
ADDRESS: Final = "https://mcdermottlab.mit.edu/tuckute_feather_2023/data.tar"
#: where the files lie, below the data folder
PLACE: Final = f"{PACKAGE}/tuckute2023"

STIMULUS_ORDER: Final = "neural/NH2015/neural_stim_meta.npy"
COMPONENTS: Final = "neural/NH2015comp/components.mat"
#: what each data set needs, below the folder ``data`` of the release
NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "NH2015": (
        STIMULUS_ORDER,
        "neural/NH2015/voxel_features_array.npy",
        "neural/NH2015/voxel_features_meta.npy",
        "neural/NH2015/df_roi_meta.pkl",
    ),
    "B2021": (
        "neural/B2021/stim_info_v4.mat",
        "neural/B2021/voxel_features_array.npy",
        "neural/B2021/voxel_features_meta.npy",
        "neural/B2021/df_roi_meta.pkl",
    ),
}
#: what is used where it is there
OPTIONAL: Final[Mapping[str, tuple[str, ...]]] = {"NH2015": ("neural/NH2015/roi_masks.cpy",)}


class ReleaseAbsentError(FilesError, CheckSkipped):
    """Files of the release are not here; the conformance kit skips what needs them."""


def release_folder() -> Path:
    """Where the files of the release lie once they were brought in."""
    return data_folder() / PLACE


def find_in(folder: Path, name: str) -> Path | None:
    """The file below a folder whose path ends with a name of the release, or None.

    Raises
    ------
    FilesError
        If there are several, and they differ.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "data/neural/NH2015").mkdir(parents=True)
    >>> _ = (folder / "data/neural/NH2015/df_roi_meta.pkl").write_bytes(b"")
    >>> find_in(folder, "neural/NH2015/df_roi_meta.pkl").relative_to(folder).as_posix()
    'data/neural/NH2015/df_roi_meta.pkl'
    """
    found = [
        path
        for path in sorted(folder.rglob(Path(name).name))
        if path.is_file() and path.absolute().as_posix().endswith(f"/{name}")
    ]
    if len(found) > 1 and len({digest_file(path) for path in found}) > 1:
        raise FilesError(
            f"{folder} holds {len(found)} different files {name}: {shorten(found)}. Name a folder with one."
        )
    return found[0] if found else None


def specs_of(names: Iterable[str]) -> list[FileSpec]:
    """Files of the release as core knows them: without checksum or size, in an archive that core does not download."""
    from isocortex.files import FileSpec

    return [FileSpec(name, ADDRESS, None, None) for name in names]


def record(folder: Path, dataset: str) -> list[str]:
    """Bring in the files of a data set, and record their checksums the first time.

    Parameters
    ----------
    folder
        Holds the files at any depth, in the folders of the release.
    dataset
        "NH2015" or "B2021".

    Returns
    -------
    Names of the files that were brought in now or before; empty where the folder holds none of them.

    Raises
    ------
    FilesError
        If some are missing, or one differs from what was recorded.
    """
    from isocortex.files import FileStore

    names = [*NEEDED[dataset], *OPTIONAL.get(dataset, ())]
    present = [name for name in names if find_in(folder, name) is not None]
    if not any(name in present for name in NEEDED[dataset]):
        return []
    absent = [name for name in NEEDED[dataset] if name not in present]
    if absent:
        raise FilesError(
            f"{folder} lacks {len(absent)} of the {len(NEEDED[dataset])} files of {dataset}: {shorten(absent)}. "
            "Unpack the whole of data.tar."
        )
    FileStore().adopt(PLACE, specs_of(present), folder)
    return present


def present(dataset: str) -> DataFiles:
    """The files of a data set, compared with the checksums that were recorded.

    Raises
    ------
    FilesError
        If they were not brought in yet, or have changed since.
    """
    absent = [name for name in NEEDED[dataset] if not (release_folder() / name).is_file()]
    if absent:
        raise ReleaseAbsentError(
            f"{len(absent)} of {len(NEEDED[dataset])} files of {dataset!r} are not in {release_folder()}: get "
            f"{ADDRESS} and run 'isocortex fetch -b {dataset}.ridge --from data.tar' or 'isocortex import tuckute "
            "data.tar'."
        )
    return DataFiles(in_release([*NEEDED[dataset], *OPTIONAL.get(dataset, ())]))


def fetch(dataset: str, source: Path | None) -> list[Path]:
    """Bring in the files of a data set from a folder, and say where they are.

    Raises
    ------
    FilesError
        If they are neither here nor in the folder; the message says how to get them.
    """
    if source is None or record(source, dataset):
        return list(present(dataset).values())
    try:
        return list(present(dataset).values())
    except ReleaseAbsentError as error:
        raise FilesError(f"{source} holds no neural/{dataset} of the release. {error}") from error


def bring_components(folder: Path) -> bool | None:
    """Take ``components.mat`` of ``NH2015comp`` from the release, where it is the file whose checksum is published.

    Returns
    -------
    Whether it has that checksum; None where the folder holds no such file.
    """
    from isocortex.files import FileStore, read_specs

    path = find_in(folder, COMPONENTS)
    if path is None:
        return None
    specs = read_specs(Path(__file__).parent, "NH2015comp.csv")
    return FileStore().adopt(PACKAGE, specs, path.parent) == []


def in_release(names: Iterable[str]) -> dict[str, Path]:
    """Those of the named files that were brought in before, verified.

    Raises
    ------
    FilesError
        If one has changed since.
    """
    from isocortex.files import FileStore

    root = release_folder()
    names = [name for name in names if (root / name).is_file()]
    FileStore().verify(PLACE, specs_of(names))
    return {name: root / name for name in names}
