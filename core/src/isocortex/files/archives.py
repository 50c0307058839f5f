"""Archives: unpacked whole or not at all, within bounds, no member outside its folder, no links or devices."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Generator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final, cast

from isocortex.errors import FilesError, StoreError
from isocortex.files.disk import NO_SPACE, check_space, data_folder, why_not_written
from isocortex.files.leftovers import owner, partial_of, sweep


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


#: bytes that an archive may become for each of its own; tables become ten to twenty times their size
MOST_TIMES: Final = 100
#: the largest header of tar (a path, or an extended one), and the largest dictionary of xz (``xz -9`` has 64 MiB)
_LARGEST_HEADER: Final = 4 << 20
_LARGEST_DICTIONARY: Final = 256 << 20

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
    sweep(data_folder())
    unpacked = data_folder() / f".unpacked-{owner()}"
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
        A member lies outside the folder, is there twice, or is a link or device; the file is no archive, or becomes too
        large: more than a hundred times its size and 100 MB, or a member for every 20 of its bytes and 10,000.
    StoreError
        The folder cannot be written to, or there is no space.
    """
    partial = partial_of(folder)
    sweep(folder.parent)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise StoreError(
            f"{folder.parent} cannot be written to ({error.strerror}). Choose another ISOCORTEX_DATA."
        ) from error
    try:
        (_unpack_zip if _is_zip(archive) else _unpack_tar)(archive, partial)
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


def _is_zip(archive: Path) -> bool:
    """What an archive begins as; at the end of a tar archive a zip archive may lie."""
    with archive.open("rb") as file:
        return file.read(4) in (b"PK\3\4", b"PK\5\6")


def _unpack_zip(archive: Path, folder: Path) -> None:
    bound = _Bound(archive)
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        for member in members:
            bound.add(member.filename, member.file_size)
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise FilesError(f"{archive} packs {member.filename!r} in a way that is not read; expected deflate.")
        bound.check(folder)
        for member in members:
            path = Path(opened.extract(member, folder))
            if path.is_file() and path.stat().st_size != member.file_size:
                raise zipfile.BadZipFile(f"{member.filename!r} has another size than announced")


def _unpack_tar(archive: Path, folder: Path) -> None:
    bound = _Bound(archive)
    extra: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with _decompressed(archive) as stream, _opened_tar(_BoundedReader(stream, bound), archive) as opened:
        for member in opened:
            bound.add(member.name, member.size)
            if not (member.isfile() or member.isdir()):
                raise FilesError(f"{archive} holds {member.name!r}, which is neither a file nor a folder.")
        bound.check(folder)
        opened.extractall(folder, **extra)  # noqa: S202 - every member was checked above


def _opened_tar(stream: Any, archive: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=stream, mode="r:")
    except tarfile.ReadError as error:
        raise FilesError(f"{archive} is neither a zip nor a tar archive ({error}).") from error


class _Bound:
    """What an archive may become: the names, the number and the announced sizes of its members are held to it.

    Parameters
    ----------
    archive
        Its size decides: at most ``MOST_TIMES`` as many bytes and 100 MB, a member for every 20 bytes and 10,000.
    """

    def __init__(self, archive: Path) -> None:
        size = archive.stat().st_size
        self.archive, self.most_bytes, self.most_members = archive, MOST_TIMES * size + 100_000_000, 10_000 + size // 20
        self.n_bytes = self.n_members = 0
        self._names: set[str] = set()

    def add(self, name: str, n_bytes: int) -> None:
        """Count a member."""
        refuse_outside(name, self.archive)
        place = PurePosixPath(name).as_posix()
        if place in self._names and n_bytes:
            raise FilesError(f"{self.archive} holds {name!r} twice. Nothing was unpacked; get it elsewhere.")
        self._names.add(place)
        self.n_bytes += n_bytes
        self.n_members += 1
        self.refuse_beyond(self.n_bytes)
        if self.n_members > self.most_members:
            raise FilesError(f"{self.archive} holds more than {self.most_members:,} members. {_NO_ARCHIVE_OF_DATA}")

    def check(self, folder: Path) -> None:
        """Refuse what has no members, or does not fit on the disk."""
        if not self.n_members:
            raise FilesError(f"{self.archive} holds no files.")
        check_space(folder, self.n_bytes, f"Unpacking {self.archive.name}")

    def refuse_beyond(self, n_bytes: int) -> None:
        """Refuse more bytes than the archive may become."""
        if n_bytes > self.most_bytes:
            raise FilesError(
                f"{self.archive} would become {n_bytes / 1e9:,.1f} GB or more, over {MOST_TIMES} times its size. "
                f"{_NO_ARCHIVE_OF_DATA}"
            )


_NO_ARCHIVE_OF_DATA = "Archives of data do not; nothing of it was kept. Unpack it yourself if you trust it."


class _BoundedReader:
    """What tarfile reads from: it ends where the archive has become too large, and no header fills the memory."""

    def __init__(self, stream: BinaryIO, bound: _Bound) -> None:
        self._stream, self._bound = stream, bound

    def read(self, n_bytes: int) -> bytes:
        """Some bytes, as tarfile asks for headers at once and for members in small blocks."""
        if n_bytes > _LARGEST_HEADER:
            raise FilesError(f"{self._bound.archive} has a header of {n_bytes:,} bytes. {_NO_ARCHIVE_OF_DATA}")
        content = self._stream.read(n_bytes)
        self._bound.refuse_beyond(self._stream.tell())
        return content

    def seek(self, position: int) -> int:
        """Go on to another member."""
        self._bound.refuse_beyond(position)
        return self._stream.seek(position)

    def tell(self) -> int:
        """Where it is."""
        return self._stream.tell()


def _decompressed(archive: Path) -> BinaryIO:
    """The bytes of a tar archive, unpacked as they are read."""
    with archive.open("rb") as file:
        begins = file.read(1 << 16)
    if begins.startswith(b"\x1f\x8b"):
        return cast("BinaryIO", gzip.open(archive))
    if begins.startswith(b"BZh"):
        return cast("BinaryIO", bz2.open(archive))
    if begins.startswith(b"\xfd7zXZ\0"):
        lzma.LZMADecompressor(memlimit=_LARGEST_DICTIONARY).decompress(begins, max_length=1)
        return cast("BinaryIO", lzma.open(archive))
    return archive.open("rb")
