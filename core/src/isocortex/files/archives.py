"""Archives: unpacked whole or not at all, no member outside its folder, no links or devices."""

from __future__ import annotations

import contextlib
import lzma
import shutil
import tarfile
import uuid
import zipfile
import zlib
from collections.abc import Generator
from pathlib import Path, PurePosixPath
from typing import Any

from isocortex.errors import FilesError, StoreError
from isocortex.files.disk import NO_SPACE, check_space, data_folder, why_not_written


def refuse_outside(name: str, where: Path) -> None:
    """Refuse a name that leads out of the folder that it is relative to.

    Raises
    ------
    FilesError
        It does; ``where`` is what holds it.

    Examples
    --------
    >>> refuse_outside("../b", Path("a"))
    Traceback (most recent call last):
    isocortex.errors.FilesError: a holds '../b', which lies outside its folder. Nothing was unpacked; do not use it.
    """
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or any(":" in part for part in parts.parts[:1]):
        raise FilesError(f"{where} holds {name!r}, which lies outside its folder. Nothing was unpacked; do not use it.")


#: what zipfile, tarfile and the decompressors below them raise on damaged or encrypted archives
_DAMAGED = (
    OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error, lzma.LZMAError, zipfile.BadZipFile,
    tarfile.TarError,
)  # fmt: skip


#: what archives of files are called; checkpoints may be zip files, and zeros a tar archive, but are not called so
ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


@contextlib.contextmanager
def opened_source(source: Path) -> Generator[Path]:
    """The folder that ``--from`` names, or an archive unpacked beside the data for as long as it is needed.

    Raises
    ------
    FilesError
        It is neither a folder nor a zip or tar archive, or an archive that is damaged or unsafe.
    StoreError
        There is no room to unpack it.
    """
    if source.is_dir():
        yield source
        return
    if not (source.is_file() and source.name.lower().endswith(ENDINGS)):
        found = "is neither a folder nor a zip or tar archive" if source.exists() else "does not exist"
        raise FilesError(
            f"{source} {found}. --from takes a folder that holds the files at any depth, or an archive of one."
        )
    unpacked = data_folder() / f".unpacked-{uuid.uuid4().hex}"
    check_space(unpacked, source.stat().st_size, f"Unpacking {source.name}")
    try:
        unpack(source, unpacked / source.name)
        yield unpacked / source.name
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or tar archive into a new folder: whole or not at all, regular files only.

    Raises
    ------
    FilesError
        A member lies outside the folder or is a link or device, or the file is no archive.
    StoreError
        The folder cannot be written to.
    """
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.part")
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise StoreError(
            f"{folder.parent} cannot be written to ({error.strerror}). Choose another ISOCORTEX_DATA."
        ) from error
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
        if isinstance(error, OSError) and error.errno in NO_SPACE:
            raise StoreError(why_not_written(folder, error)) from error
        raise FilesError(f"{archive} cannot be unpacked ({error}). Delete it and fetch it again.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _unpack_zip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        for name in opened.namelist():
            refuse_outside(name, archive)
        opened.extractall(folder)  # noqa: S202 - every member was checked above


def _unpack_tar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as opened:
        for member in opened.getmembers():
            refuse_outside(member.name, archive)
            if not (member.isfile() or member.isdir()):
                raise FilesError(f"{archive} holds {member.name!r}, which is neither a file nor a folder.")
        extra: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        opened.extractall(folder, **extra)  # noqa: S202 - every member was checked above
