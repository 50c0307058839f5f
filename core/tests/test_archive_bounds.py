"""Archives that promise too much, or become too large: refused before the disk or the memory is full."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import resource
import shutil
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isocortex.errors import FilesError, StoreError
from isocortex.files.archives import unpack

MANY = 120_000_000


def tar_header(name: str, n_bytes: int, kind: bytes = b"0", content: bytes = b"") -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = n_bytes, kind
    return member.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512)


def zeros(n_bytes: int, pack: object, head: bytes = b"") -> bytes:
    """A header and zeros behind it, packed without being held."""
    parts = [pack.compress(head)]  # type: ignore[attr-defined]
    parts += [pack.compress(bytes(10_000_000)) for _ in range(n_bytes // 10_000_000)]  # type: ignore[attr-defined]
    return b"".join([*parts, pack.flush()])  # type: ignore[attr-defined]


def gzipped(n_bytes: int, head: bytes = b"") -> bytes:
    return zeros(n_bytes, zlib.compressobj(9, zlib.DEFLATED, 31), head)


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method, compresslevel=9) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def zip_promising(n_bytes: int, content: bytes = bytes(1000)) -> bytes:
    """A zip archive whose directory announces another size than its member has."""
    changed = bytearray(zipped(("a", content)))
    place = changed.index(b"PK\1\2")
    struct.pack_into("<I", changed, place + 24, n_bytes)
    struct.pack_into("<I", changed, 22, n_bytes)
    return bytes(changed)


def overlapping(n: int, n_bytes: int) -> bytes:
    """Every entry of the directory points to the same packed member."""
    content = zipped(("a", bytes(n_bytes)))
    place, end = content.index(b"PK\1\2"), content.index(b"PK\5\6")
    entry = content[place:end]
    names = (f"{number:05d}".encode() for number in range(n))
    entries = b"".join(entry[:28] + struct.pack("<H", 5) + entry[30:46] + name for name in names)
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, n, n, len(entries), place, 0)
    return content[:place] + entries + tail


def sparse_tar(n_bytes: int, version: str) -> bytes:
    """A member that is a hole, in the formats of GNU tar that pax headers carry."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("sparse.bin")
        member.pax_headers = {"GNU.sparse.size": str(n_bytes), "GNU.sparse.numblocks": "1"}
        content = b""
        if version == "0.1":
            member.pax_headers["GNU.sparse.map"] = f"{n_bytes},0"
        else:
            member.pax_headers |= {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
            member.pax_headers |= {"GNU.sparse.name": "sparse.bin", "GNU.sparse.realsize": str(n_bytes)}
            content = f"1\n{n_bytes}\n0\n".encode().ljust(512, b"\0")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def old_sparse_tar(n_bytes: int) -> bytes:
    """The sparse format of old GNU tar: the map lies in the header of the member."""
    header = bytearray(tar_header("sparse.bin", 0, b"S"))
    header[386:410] = f"{n_bytes:011o}\0".encode() + b"00000000000\0"
    header[483:495] = f"{n_bytes:011o}\0".encode()
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header) + bytes(1024)


def many_members(n: int) -> bytes:
    return tar_header("a", 0) * n + bytes(1024)


BOMBS = {
    "zip of zeros": ("a.zip", lambda: zipped(("z", bytes(120_000_000)))),
    "zip of many zeros": ("a.zip", lambda: zipped(*((f"{k}", bytes(10_000_000)) for k in range(12)))),
    "zip that announces 4 GB": ("a.zip", lambda: zip_promising((1 << 32) - 2)),
    "zip that announces too little": ("a.zip", lambda: zip_promising(10, bytes(100_000_000))),
    "zip that announces a byte too much": ("a.zip", lambda: zip_promising(1001)),
    "zip whose members overlap": ("a.zip", lambda: overlapping(500, 1_000_000)),
    "zip by bzip2": ("a.zip", lambda: zipped(("z", bytes(1000)), method=zipfile.ZIP_BZIP2)),
    "zip by LZMA": ("a.zip", lambda: zipped(("z", bytes(1000)), method=zipfile.ZIP_LZMA)),
    "zip with a name twice": ("a.zip", lambda: zipped(("a", b"one"), ("./a", b"two"))),
    "zip of many names": ("a.zip", lambda: overlapping(15_000, 0) + bytes(0)),
    "tar that announces 1 TB": ("a.tar", lambda: tar_header("a", 1 << 33) + bytes(1024)),
    "tar with 1 TB of holes, 0.1": ("a.tar", lambda: sparse_tar(1 << 40, "0.1")),
    "tar with 1 TB of holes, 1.0": ("a.tar", lambda: sparse_tar(1 << 40, "1.0")),
    "tar with 4 GB of holes, old": ("a.tar", lambda: old_sparse_tar((1 << 32) - 1)),
    "tar with a name twice": (
        "a.tar",
        lambda: tar_header("a", 1, content=b"1") + tar_header("./a", 1, content=b"2") + bytes(1024),
    ),
    "tar of many members": ("a.tar.gz", lambda: gzip.compress(many_members(15_000), 9)),
    "tar.gz of zeros": ("a.tar.gz", lambda: gzipped(20_000_000)),
    "tar.gz with a member of 120 MB": ("a.tar.gz", lambda: gzipped(MANY, tar_header("a", MANY))),
    "tar.gz with an extended header of 20 MB": (
        "a.tar.gz",
        lambda: gzipped(20_000_000, tar_header("a", 20_000_000, b"x")),
    ),
    "tar.gz with a global header of 20 MB": (
        "a.tar.gz",
        lambda: gzipped(20_000_000, tar_header("a", 20_000_000, b"g")),
    ),
    "tar.gz with a name of 20 MB": ("a.tar.gz", lambda: gzipped(20_000_000, tar_header("a", 20_000_000, b"L"))),
    "tar.gz with a target of 20 MB": ("a.tar.gz", lambda: gzipped(20_000_000, tar_header("a", 20_000_000, b"K"))),
    "tar.gz with an unknown member of 120 MB": ("a.tar.gz", lambda: gzipped(MANY, tar_header("a", MANY, b"Z"))),
    "tar.bz2 with a member of 110 MB": (
        "a.tar.bz2",
        lambda: zeros(110_000_000, bz2.BZ2Compressor(9), tar_header("a", 110_000_000)),
    ),
    "tar.xz with a member of 120 MB": (
        "a.tar.xz",
        lambda: zeros(MANY, lzma.LZMACompressor(preset=0), tar_header("a", MANY)),
    ),
    "tar.gz that is cut": (
        "a.tar.gz",
        lambda: gzip.compress(tar_header("a", 5000, content=bytes(range(250)) * 20))[:-30],
    ),
    "tar.gz without its end": ("a.tar.gz", lambda: gzipped(0, tar_header("a", 5000))),
    "gzip of no archive": ("a.tar.gz", lambda: gzip.compress(b"text" * 1000)),
    "a tar that begins as zip": ("a.tar", lambda: b"PK\3\4" + tar_header("a", 1, content=b"x")[4:] + bytes(1024)),
    "a name of 300 letters": ("a.zip", lambda: zipped(("a" * 300, b"x"))),
    "a path of 3,000 folders": ("a.zip", lambda: zipped(("a/" * 3000 + "a", b"x"))),
    "a name that is a folder": ("a.zip", lambda: zipped(("a", b"x"), ("a/b", b"x"))),
    "a device of Windows": ("a.zip", lambda: zipped(("C:/a", b"x"))),
    "an absolute name": ("a.zip", lambda: zipped(("/etc/a", b"x"))),
    "a name with a zero": ("a.tar", lambda: tar_header("../a", 1, content=b"x") + bytes(1024)),
    "a hard link outside": ("a.tar", lambda: tar_header("a", 0, b"1") + bytes(1024)),
    "a link": ("a.tar", lambda: tar_header("a", 0, b"2") + bytes(1024)),
    "a pipe": ("a.tar", lambda: tar_header("a", 0, b"6") + bytes(1024)),
    "a device": ("a.tar", lambda: tar_header("a", 0, b"3") + bytes(1024)),
    "a size below zero": ("a.tar", lambda: negative_size()),
    "nothing": ("a.zip", lambda: b""),
    "a 7z archive": ("a.zip", lambda: b"7z\xbc\xaf\x27\x1c" + bytes(100)),
}


def negative_size() -> bytes:
    header = bytearray(tar_header("a", 0))
    header[124:136] = b"\xff" * 11 + b"\x9c"  # -100 in base 256
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header) + bytes(1024)


@pytest.fixture
def two_gigabytes() -> Iterator[None]:
    """What needs more memory than two GB beyond the present fails."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (2 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.usefixtures("two_gigabytes")
@pytest.mark.parametrize("name", BOMBS)
def test_what_is_no_archive_of_data_is_refused_whole(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    called, make = BOMBS[name]
    (tmp_path / called).write_bytes(make())
    largest: list[int] = []
    original = shutil.rmtree

    def look_and_remove(path: Path, **options: Any) -> None:
        largest.append(sum(one.stat().st_size for one in Path(path).rglob("*") if one.is_file()))
        original(path, **options)

    monkeypatch.setattr(shutil, "rmtree", look_and_remove)
    start = time.process_time()
    with pytest.raises(FilesError, match=called.replace(".", r"\.")):
        unpack(tmp_path / called, tmp_path / "out")
    assert time.process_time() - start < 5
    assert max(largest) < 250_000_000
    assert below(tmp_path) == [called]


def test_a_zip_archive_inside_of_a_tar_archive_is_a_member(tmp_path: Path) -> None:
    """Its end is at the end of the tar archive, where zip archives are recognised by."""
    inner = zipped(("inner", b"x"))
    (tmp_path / "a.tar").write_bytes(
        tar_header("outer", 3, content=b"abc") + tar_header("b.zip", len(inner), content=inner)
    )
    unpack(tmp_path / "a.tar", tmp_path / "out")
    assert below(tmp_path / "out") == ["b.zip", "outer"]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gz", "bz2", "xz"])
def test_archives_of_data_are_unpacked_as_they_were(tmp_path: Path, pack: object) -> None:
    """A table of responses becomes ten times its size, and an array of zeros may lie beside it."""
    table = "\n".join(f"stim{row},{row % 7}.0,{row % 5}.0" for row in range(100_000)).encode()
    content = tar_header("deep/table.csv", len(table), content=table) + tar_header("zeros.npy", 10_000_000)
    (tmp_path / "a.tar.any").write_bytes(pack(content + bytes(10_000_000 + 1024)))  # type: ignore[operator]
    unpack(tmp_path / "a.tar.any", tmp_path / "out")
    assert (tmp_path / "out" / "deep" / "table.csv").read_bytes() == table
    assert (tmp_path / "out" / "zeros.npy").stat().st_size == 10_000_000


def test_holes_within_bounds_are_zeros(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(sparse_tar(1_000_000, "0.1"))
    unpack(tmp_path / "a.tar", tmp_path / "out")
    assert (tmp_path / "out" / "sparse.bin").read_bytes() == bytes(1_000_000)


def test_the_disk_is_asked_before_a_zip_archive_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    (tmp_path / "a.zip").write_bytes(zipped(("a", bytes(1000))))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=999))
    with pytest.raises(StoreError, match=r"Unpacking a\.zip needs"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert below(tmp_path) == ["a.zip"]
