"""Files of data sets and weights: found, verified, downloaded, unpacked; no archive member outside its folder.

A plugin lists its files in a CSV beside its manifest (``name,url,sha256,bytes`` and optionally ``unpack``); they lie in
``<ISOCORTEX_DATA>/<package>/<name>``.
"""

from __future__ import annotations

import contextlib
import csv
import lzma
import shutil
import tarfile
import time
import uuid
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from isocortex.digests import digest_file, digest_files
from isocortex.errors import FilesError, PluginError, shorten
from isocortex.interfaces import DataFiles
from isocortex.store import check_space, data_folder, write_atomic

if TYPE_CHECKING:
    from isocortex.progress import Reporter

N_ATTEMPTS = 3
TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class FileSpec:
    """One file that a plugin needs.

    ``unpack`` archives are unpacked beside themselves into a folder of their name; their members become the files.
    """

    name: str
    url: str
    sha256: str
    n_bytes: int
    unpack: bool = False


def read_specs(folder: Path, listing: str | None) -> list[FileSpec]:
    """Read the CSV that a card names; no CSV, no files.

    Raises
    ------
    PluginError
        The CSV is absent, lacks a column, or names a file outside the data folder.
    """
    if not listing:
        return []
    path = folder / listing
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        specs = [
            FileSpec(row["name"], row["url"], row["sha256"].lower(), int(row["bytes"]), row.get("unpack") == "yes")
            for row in rows
        ]
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise PluginError(
            f"{path} cannot be read as a list of files with the columns name, url, sha256, bytes ({error})."
        ) from error
    for spec in specs:
        _refuse_outside(spec.name, path)
        if not PurePosixPath(spec.name).name:
            raise PluginError(f"{path} has a row without a file name.")
    return specs


def _refuse_outside(name: str, where: Path) -> None:
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or any(":" in part for part in parts.parts[:1]):
        raise FilesError(f"{where} holds {name!r}, which lies outside its folder. Nothing was unpacked; do not use it.")


class FileStore:
    """The data folder: what is there, and how what is missing gets there.

    Parameters
    ----------
    folder
        Root of the data; default ``ISOCORTEX_DATA``.
    offline
        Never use the network.
    reporter
        Told about downloads.
    """

    def __init__(self, folder: Path | None = None, *, offline: bool = False, reporter: Reporter | None = None) -> None:
        self.root = folder or data_folder()
        self.offline = offline
        self.reporter = reporter

    def path(self, package: str, spec: FileSpec) -> Path:
        """Where a file of a package lies."""
        return self.root / package / spec.name

    def missing(self, package: str, specs: Iterable[FileSpec]) -> list[FileSpec]:
        """Files that are absent or have another size."""
        return [spec for spec in specs if not _has_size(self.path(package, spec), spec.n_bytes)]

    def present(self, package: str, specs: Sequence[FileSpec], what: str) -> DataFiles:
        """Return the verified files, after downloading what is missing unless offline.

        Raises
        ------
        FilesError
            Offline and missing, or a file is damaged (it is then removed).
        """
        missing = self.missing(package, specs)
        if missing and self.offline:
            raise FilesError(
                f"{what} needs {len(specs)} files; {len(missing)} are not in {self.root / package} "
                f"({shorten([spec.name for spec in missing], 3)}) and --offline forbids downloading. Run "
                "'isocortex fetch' with network, or 'isocortex fetch --from FOLDER' where the files are."
            )
        if missing:
            self.download(package, missing, what)
        self.verify(package, specs)
        paths: dict[str, Path] = {}
        for spec in specs:
            path = self.path(package, spec)
            paths.update(_members(path, spec) if spec.unpack else {spec.name: path})
        return DataFiles(paths)

    def verify(self, package: str, specs: Sequence[FileSpec]) -> None:
        """Compare every file with its checksum; files that have not changed since the last time are not read again.

        Raises
        ------
        FilesError
            A file differs; it is removed, so that the next fetch brings it anew.
        """
        paths = {spec: self.path(package, spec) for spec in specs}
        digests = digest_files(paths.values())
        wrong = [spec for spec, path in paths.items() if digests[path] != spec.sha256]
        for spec in wrong:
            paths[spec].unlink(missing_ok=True)
        if wrong:
            raise FilesError(
                f"{len(wrong)} of {len(specs)} files in {self.root / package} had another checksum than expected and "
                f"were removed: {shorten([spec.name for spec in wrong])}. Run 'isocortex fetch' to bring them again."
            )

    def adopt(self, package: str, specs: Sequence[FileSpec], folder: Path) -> list[FileSpec]:
        """Copy files from anywhere below a folder, found by name and checksum; returns those that are not there.

        Raises
        ------
        FilesError
            The folder does not exist.
        """
        if not folder.is_dir():
            raise FilesError(f"{folder} is not a folder. --from takes a folder that holds the files at any depth.")
        wanted = set(self.missing(package, specs))
        names = {PurePosixPath(spec.name).name for spec in wanted}
        by_name: dict[str, list[Path]] = {}
        for path in sorted(folder.rglob("*")):
            if path.name in names and path.is_file():
                by_name.setdefault(path.name, []).append(path)
        return [spec for spec in specs if spec in wanted and not self._adopt_one(package, spec, by_name)]

    def _adopt_one(self, package: str, spec: FileSpec, by_name: dict[str, list[Path]]) -> bool:
        for path in by_name.get(PurePosixPath(spec.name).name, []):
            if _has_size(path, spec.n_bytes) and digest_file(path) == spec.sha256:
                with path.open("rb") as source:
                    write_atomic(self.path(package, spec), lambda file, source=source: shutil.copyfileobj(source, file))
                return True
        return False

    def download(self, package: str, specs: Sequence[FileSpec], what: str) -> None:
        """Download files with retries, check their checksums, and put them in place atomically.

        Raises
        ------
        FilesError
            The network fails, or what came has another checksum (nothing of it is kept).
        """
        from filelock import FileLock

        n_bytes = sum(spec.n_bytes for spec in specs)
        check_space(self.root, n_bytes, f"Downloading {what}")
        (self.root / package).mkdir(parents=True, exist_ok=True)
        with FileLock(self.root / package / ".download.lock"):
            missing = self.missing(package, specs)
            for number, spec in enumerate(missing, start=1):
                self._download_one(package, spec)
                if self.reporter is not None:
                    self.reporter.step(f"{what}: downloading", number, len(missing))

    def _download_one(self, package: str, spec: FileSpec) -> None:
        import pooch

        path = self.path(package, spec)
        problem: Exception | None = None
        for attempt in range(N_ATTEMPTS):
            try:
                pooch.retrieve(
                    spec.url,
                    known_hash=f"sha256:{spec.sha256}",
                    fname=path.name,
                    path=path.parent,
                    downloader=pooch.HTTPDownloader(timeout=TIMEOUT_S),  # pyright: ignore[reportArgumentType]
                )
            except (OSError, ValueError) as error:  # requests' errors are OSErrors, a wrong checksum is a ValueError
                problem = error
                path.unlink(missing_ok=True)
                if attempt + 1 < N_ATTEMPTS:
                    time.sleep(0.2 * 2**attempt)
            else:
                return
        damaged = "does not match the known hash" in str(problem)
        cause = "the file has another checksum than expected" if damaged else str(problem)
        raise FilesError(
            f"{spec.url} could not be downloaded in {N_ATTEMPTS} attempts: {cause}. Nothing of it was kept. Try again, "
            "or get the file elsewhere and use 'isocortex fetch --from FOLDER'."
        ) from problem


def _has_size(path: Path, n_bytes: int) -> bool:
    try:
        return path.stat().st_size == n_bytes
    except OSError:
        return False


def _members(archive: Path, spec: FileSpec) -> dict[str, Path]:
    folder = archive.with_name(f"{archive.name}.{spec.sha256[:16]}")
    if not folder.is_dir():
        unpack(archive, folder)
    prefix = PurePosixPath(spec.name).parent
    return {
        (prefix / path.relative_to(folder).as_posix()).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


#: what zipfile, tarfile and the decompressors below them raise on damaged or encrypted archives
_DAMAGED = (
    OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error, lzma.LZMAError, zipfile.BadZipFile,
    tarfile.TarError,
)  # fmt: skip


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or tar archive into a new folder: whole or not at all, regular files only.

    Raises
    ------
    FilesError
        A member lies outside the folder or is a link or device, or the file is no archive.
    """
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.part")
    partial.mkdir(parents=True)
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, partial)
        elif tarfile.is_tarfile(archive):
            _unpack_tar(archive, partial)
        else:
            raise FilesError(f"{archive} is neither a zip nor a tar archive.")
        with contextlib.suppress(OSError):  # another process was here first, with the same members
            partial.replace(folder)
        if not folder.is_dir():
            raise FilesError(f"{folder} cannot be made.")
    except _DAMAGED as error:
        raise FilesError(f"{archive} cannot be unpacked ({error}). Delete it and fetch it again.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _unpack_zip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        for name in opened.namelist():
            _refuse_outside(name, archive)
        opened.extractall(folder)  # noqa: S202 - every member was checked above


def _unpack_tar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as opened:
        for member in opened.getmembers():
            _refuse_outside(member.name, archive)
            if not (member.isfile() or member.isdir()):
                raise FilesError(f"{archive} holds {member.name!r}, which is neither a file nor a folder.")
        extra: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        opened.extractall(folder, **extra)  # noqa: S202 - every member was checked above
