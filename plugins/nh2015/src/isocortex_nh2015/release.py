"""The data files of the Tuckute et al. 2023 release: found in a folder that the user gives, kept with their checksums.

No checksum of the release is published. The first time a file is brought in, its SHA-256 is recorded beside it; from
then on it is verified against that, and another file of the same name is refused.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from isocortex.digests import digest_file, digest_files
from isocortex.errors import FilesError, shorten
from isocortex.interfaces import DataFiles
from isocortex.store import check_space, data_folder, read_json, write_atomic, write_json
from isocortex.testing.outcomes import CheckSkipped

PACKAGE: Final = "isocortex-nh2015"
ADDRESS: Final = "https://mcdermottlab.mit.edu/tuckute_feather_2023/data.tar"
RECORD: Final = "recorded.json"

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
    return data_folder() / PACKAGE / "tuckute2023"


def find_in(folder: Path, name: str) -> Path | None:
    """The file below a folder whose path ends with a name of the release, or None.

    Raises
    ------
    isocortex.errors.FilesError
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


def record(folder: Path, dataset: str) -> list[str]:
    """Bring in the files of a data set, and record their checksums the first time.

    Parameters
    ----------
    folder : Path
        Holds the files at any depth, in the folders of the release.
    dataset : str
        "NH2015" or "B2021".

    Returns
    -------
    list of str
        Names of the files that were brought in now or before; empty where the folder holds none of them.

    Raises
    ------
    isocortex.errors.FilesError
        If some are missing, or one differs from what was recorded.
    """
    found = {name: find_in(folder, name) for name in (*NEEDED[dataset], *OPTIONAL.get(dataset, ()))}
    present = {name: path for name, path in found.items() if path is not None}
    if not any(name in present for name in NEEDED[dataset]):
        return []
    absent = [name for name in NEEDED[dataset] if name not in present]
    if absent:
        raise FilesError(
            f"{folder} lacks {len(absent)} of the {len(NEEDED[dataset])} files of {dataset}: {shorten(absent)}. "
            "Unpack the whole of data.tar."
        )
    _bring(present)
    return list(present)


def _bring(files: Mapping[str, Path]) -> None:
    root = release_folder()
    known: dict[str, Any] = read_json(root / RECORD) or {}
    wanted = {name: path for name, path in files.items() if path.resolve() != (root / name).resolve()}
    check_space(root, sum(path.stat().st_size for path in wanted.values()), "Copying the data of the release")
    for name, path in wanted.items():
        digest = digest_file(path)
        if name in known and known[name]["sha256"] != digest:
            raise FilesError(
                f"{path} differs from the file that was recorded first (SHA-256 {known[name]['sha256'][:16]}…, now "
                f"{digest[:16]}…). Find out which is right; to take the new one, delete {root} and import again."
            )
        if not (root / name).is_file():
            with path.open("rb") as source:
                write_atomic(root / name, lambda file, source=source: shutil.copyfileobj(source, file))
        known[name] = {"sha256": digest, "bytes": path.stat().st_size}
    write_json(root / RECORD, known)


def present(dataset: str) -> DataFiles:
    """The files of a data set, compared with the checksums that were recorded.

    Raises
    ------
    isocortex.errors.FilesError
        If they were not brought in yet, or have changed since.
    """
    root = release_folder()
    known: dict[str, Any] = read_json(root / RECORD) or {}
    absent = [name for name in NEEDED[dataset] if name not in known or not (root / name).is_file()]
    if absent:
        raise ReleaseAbsentError(
            f"{len(absent)} of {len(NEEDED[dataset])} files of {dataset!r} are not in {root}: get {ADDRESS} and run "
            "'isocortex import tuckute data.tar'."
        )
    names = [*NEEDED[dataset], *(name for name in OPTIONAL.get(dataset, ()) if (root / name).is_file())]
    _verify({name: root / name for name in names}, known)
    return DataFiles({name: root / name for name in names})


def _verify(paths: Mapping[str, Path], known: Mapping[str, Any]) -> None:
    digests = digest_files(paths.values())
    changed = [name for name, path in paths.items() if digests[path] != known.get(name, {}).get("sha256")]
    if changed:
        raise FilesError(
            f"{len(changed)} of {len(paths)} files in {release_folder()} have changed since they were recorded: "
            f"{shorten(changed)}. Delete them and run 'isocortex import tuckute' again."
        )


def bring_components(folder: Path) -> bool | None:
    """Take ``components.mat`` of ``NH2015comp`` from the release, where it is the file whose checksum is published.

    Returns
    -------
    bool, or None
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
    isocortex.errors.FilesError
        If one has changed since.
    """
    root = release_folder()
    known: dict[str, Any] = read_json(root / RECORD) or {}
    paths = {name: root / name for name in names if name in known and (root / name).is_file()}
    _verify(paths, known)
    return paths
