from __future__ import annotations

import errno
import hashlib
import io
import os
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from isocortex.errors import FilesError, IsocortexError, PluginError, StoreError
from isocortex.files import archives, digests
from isocortex.files.archives import unpack
from isocortex.files.file_store import FileSpec, FileStore, read_specs
from isocortex.progress import Reporter

CONTENT = b"sound" * 100


def spec_of(
    name: str, content: bytes = CONTENT, url: str = "http://localhost:9/never", unpack: bool = False
) -> FileSpec:
    return FileSpec(name, url, hashlib.sha256(content).hexdigest(), len(content), unpack)


def write(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# --- the list of files ------------------------------------------------------------------------------------------------

LISTING = """name,url,sha256,bytes,unpack
sounds/a.wav,https://example.org/a.wav,ABCDEF,12,
all.zip,https://example.org/all.zip,123,3,yes
"""


def test_a_listing_is_read(tmp_path: Path) -> None:
    write(tmp_path / "files.csv", LISTING.encode())
    assert read_specs(tmp_path, "files.csv") == [
        FileSpec("sounds/a.wav", "https://example.org/a.wav", "abcdef", 12, False),
        FileSpec("all.zip", "https://example.org/all.zip", "123", 3, True),
    ]
    assert read_specs(tmp_path, None) == []


def test_the_column_unpack_may_be_absent(tmp_path: Path) -> None:
    write(tmp_path / "files.csv", b"name,url,sha256,bytes\na,u,s,1\n")
    assert read_specs(tmp_path, "files.csv") == [FileSpec("a", "u", "s", 1)]


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"name,url,sha256\na,b,c\n",
        b"name,url,sha256,bytes\na,b,c,many\n",
        b"name,url,sha256,bytes\na,b\n",
        b"name,url,sha256,bytes\na,b,c\n",
        b"name,url,sha256,bytes\n\xff,b,c,1\n",
    ],
    ids=["absent", "no column", "no number", "two values", "three values", "no text"],
)
def test_a_listing_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        write(tmp_path / "files.csv", content)
    with pytest.raises(PluginError, match=r"files\.csv cannot be read .* columns name, url, sha256, bytes"):
        read_specs(tmp_path, "files.csv")


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a/../../b", "..\\a", "C:/a", "\\\\server\\a", "", "."])
def test_a_listing_stays_inside_the_data_folder(tmp_path: Path, name: str) -> None:
    write(tmp_path / "files.csv", f"name,url,sha256,bytes\n{name},u,s,1\n".encode())
    with pytest.raises(IsocortexError):
        read_specs(tmp_path, "files.csv")


# --- what is there ----------------------------------------------------------------------------------------------------


def test_files_lie_below_their_package(own_folders: Path, tmp_path: Path) -> None:
    spec = spec_of("sounds/a.wav")
    assert FileStore(tmp_path).path("iso-pack", spec) == tmp_path / "iso-pack" / "sounds" / "a.wav"
    assert FileStore().root == own_folders / "data"


def test_present_returns_the_verified_files(tmp_path: Path) -> None:
    store = FileStore(tmp_path, offline=True)
    specs = [spec_of("sounds/a.wav"), spec_of("b.csv", b"x,y")]
    paths = [write(store.path("iso-pack", specs[0])), write(store.path("iso-pack", specs[1]), b"x,y")]
    found = store.present("iso-pack", specs, "The data set")
    assert dict(found) == dict(zip(["sounds/a.wav", "b.csv"], paths, strict=True))
    assert len(found) == 2
    assert "b.csv" in found
    assert dict(store.present("iso-pack", [], "The data set")) == {}


def test_offline_names_what_is_missing(tmp_path: Path) -> None:
    store = FileStore(tmp_path, offline=True)
    specs = [spec_of(name) for name in ("a", "b", "c", "d", "e")]
    write(store.path("iso-pack", specs[0]))
    with pytest.raises(FilesError) as raised:
        store.present("iso-pack", specs, "The data set NH")
    message = str(raised.value)
    assert message.startswith(
        f"The data set NH needs 5 files; 4 are not in {tmp_path / 'iso-pack'} (b, c, d and 1 more)"
    )
    assert (
        "--offline forbids downloading. Run 'isocortex fetch' with network, or 'isocortex fetch --from FOLDER'"
        in message
    )


def test_files_of_another_size_are_missing(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    spec = spec_of("a")
    assert store.missing("iso-pack", [spec]) == [spec]
    write(store.path("iso-pack", spec), CONTENT[:-1])
    assert store.missing("iso-pack", [spec]) == [spec]
    write(store.path("iso-pack", spec))
    assert store.missing("iso-pack", [spec]) == []


def test_a_checksum_mismatch_removes_the_bad_file_alone(tmp_path: Path) -> None:
    store = FileStore(tmp_path, offline=True)
    specs = [spec_of("good"), spec_of("bad")]
    good, bad = write(store.path("p", specs[0])), write(store.path("p", specs[1]), CONTENT[::-1])
    with pytest.raises(
        FilesError, match=r"1 of 2 files in .* had another checksum than expected and were removed: bad"
    ):
        store.present("p", specs, "The data set")
    assert good.exists()
    assert not bad.exists()
    with pytest.raises(FilesError, match="1 are not in"):
        store.present("p", specs, "The data set")


def test_files_are_hashed_once_and_again_when_they_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    original = digests.digest_file
    monkeypatch.setattr(digests, "_SETTLED_NS", 0)
    monkeypatch.setattr(digests, "digest_file", lambda path: (read.append(path), original(path))[1])
    store = FileStore(tmp_path, offline=True)
    spec = spec_of("a")
    path = write(store.path("p", spec))
    for _ in range(3):
        store.present("p", [spec], "x")
    assert read == [path]
    write(path, CONTENT[::-1])
    os.utime(path, ns=(7, 7))
    with pytest.raises(FilesError, match="another checksum"):
        store.present("p", [spec], "x")


def test_what_is_remembered_is_no_reason_to_remove_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a record that is whole, and wrong."""
    monkeypatch.setattr(digests, "_SETTLED_NS", 0)
    store = FileStore(tmp_path, offline=True)
    spec = spec_of("a")
    path = write(store.path("p", spec))
    store.verify("p", [spec])
    monkeypatch.setattr("isocortex.files.file_store.digest_files", lambda paths: dict.fromkeys(paths, "0" * 64))
    assert store.verify("p", [spec]) == {spec: spec.sha256}
    assert path.read_bytes() == CONTENT


# --- from a folder ----------------------------------------------------------------------------------------------------


def test_files_are_adopted_by_name_and_checksum_at_any_depth(tmp_path: Path) -> None:
    store, source = FileStore(tmp_path / "data"), tmp_path / "source"
    specs = [spec_of("sounds/a.wav"), spec_of("b.csv", b"x,y"), spec_of("c.csv", b"absent")]
    write(source / "deep" / "deeper" / "a.wav")
    write(source / "a.wav", CONTENT[::-1])  # the right name and size, another content
    write(source / "other" / "b.csv", b"longer")
    write(source / "z" / "b.csv", b"x,y")
    write(source / "renamed.csv", b"absent")
    assert store.adopt("p", specs, source) == [specs[2]]
    assert store.path("p", specs[0]).read_bytes() == CONTENT
    assert store.path("p", specs[1]).read_bytes() == b"x,y"
    assert below(tmp_path / "data") == ["p/b.csv", "p/sounds/a.wav"]
    assert (source / "deep" / "deeper" / "a.wav").exists(), "files are copied, not moved"


def test_what_is_there_is_not_adopted_again(tmp_path: Path) -> None:
    store, source = FileStore(tmp_path / "data"), tmp_path / "source"
    source.mkdir()
    spec = spec_of("a")
    write(store.path("p", spec))
    assert store.adopt("p", [spec], source) == []


def test_files_of_one_name_in_two_folders(tmp_path: Path) -> None:
    """NH2015 and others have ``session1/data.csv`` and ``session2/data.csv``."""
    store, source = FileStore(tmp_path / "data"), tmp_path / "source"
    specs = [spec_of(f"session{number}/data.csv", f"session {number}".encode()) for number in (1, 2)]
    for number in (1, 2):
        write(source / str(number) / "data.csv", f"session {number}".encode())
    assert store.adopt("p", specs, source) == []
    assert store.path("p", specs[1]).read_bytes() == b"session 2"


def test_adopting_from_what_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FilesError, match=r"absent is not a folder. --from takes a folder"):
        FileStore(tmp_path).adopt("p", [spec_of("a")], tmp_path / "absent")


def test_a_folder_named_like_a_file_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "source" / "a").mkdir(parents=True)
    write(tmp_path / "source" / "x" / "a")
    assert FileStore(tmp_path / "data").adopt("p", [spec_of("a")], tmp_path / "source") == []


# --- downloading ------------------------------------------------------------------------------------------------------


class Server:
    """Answers with what is queued for a path: bytes, a status, or a cut connection; the last answer stays."""

    def __init__(self) -> None:
        self.answers: dict[str, list[bytes | int | None]] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                queue = outer.answers[self.path]
                answer = queue.pop(0) if len(queue) > 1 else queue[0]
                if isinstance(answer, int):
                    self.send_error(answer)
                    return
                content = CONTENT if answer is None else answer
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if answer is None else content)
                if answer is None:  # promises all, sends half and hangs up
                    self.wfile.flush()
                    self.connection.close()

            def log_message(self, *args: Any) -> None:
                del args

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def offer(self, path: str, *answers: bytes | int | None) -> str:
        self.answers[path] = list(answers)
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = Server()
    yield running
    running.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that are waited between attempts; nobody waits in a test."""
    asked: list[float] = []
    monkeypatch.setattr("time.sleep", asked.append)
    return asked


def test_missing_files_are_downloaded_and_present(
    server: Server, waits: list[float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = FileStore(tmp_path, reporter=Reporter())
    specs = [spec_of("sounds/a.wav", url=server.offer("/a", CONTENT)), spec_of("b", b"two", server.offer("/b", b"two"))]
    found = store.present("p", specs, "The data set")
    assert found["sounds/a.wav"].read_bytes() == CONTENT
    assert found["b"].read_bytes() == b"two"
    assert waits == []
    assert "The data set: downloading 2/2" in capsys.readouterr().err
    store.present("p", specs, "The data set")
    assert sorted(server.asked) == ["/a", "/b"], "what is there is not downloaded again"
    assert [name for name in below(tmp_path) if not name.endswith(".lock")] == ["p/b", "p/sounds/a.wav"]


@pytest.mark.parametrize("failure", [503, 500, None, b"another content", b""])
def test_a_download_is_tried_three_times(
    server: Server, waits: list[float], tmp_path: Path, failure: bytes | int | None
) -> None:
    store = FileStore(tmp_path)
    spec = spec_of("a", url=server.offer("/a", failure, failure, CONTENT))
    assert store.present("p", [spec], "x")["a"].read_bytes() == CONTENT
    assert server.asked == ["/a"] * 3
    assert len(waits) == 2
    assert waits[1] > waits[0] > 0


@pytest.mark.parametrize(
    ("failure", "cause"),
    [(503, "503"), (None, "."), (CONTENT[::-1], "the file has another checksum than expected")],
    ids=["down", "cut", "wrong"],
)
def test_a_download_that_fails_leaves_nothing(
    server: Server, waits: list[float], tmp_path: Path, failure: bytes | int | None, cause: str
) -> None:
    store = FileStore(tmp_path)
    spec = spec_of("a", url=server.offer("/a", failure))
    with pytest.raises(
        FilesError, match=f"/a could not be downloaded in 3 attempts: .*{cause}.*'isocortex fetch --from"
    ):
        store.present("p", [spec], "x")
    assert len(server.asked) == 3
    assert [name for name in below(tmp_path) if not name.endswith(".lock")] == []


@pytest.mark.parametrize(
    ("status", "said"),
    [(403, "does not give this file to everybody"), (404, "there is no such file"), (410, "Gone"), (429, "too often")],
)
def test_a_refusal_is_told_at_once_and_in_one_line(
    server: Server, waits: list[float], tmp_path: Path, status: int, said: str
) -> None:
    spec = spec_of("a", url=server.offer("/a", status))
    with pytest.raises(FilesError, match=f"in 1 attempt: the server answered {status}.*{said}.*Nothing") as refused:
        FileStore(tmp_path).present("p", [spec], "x")
    assert "\n" not in str(refused.value)
    assert (len(server.asked), waits) == (1, [])


def test_another_size_than_published_is_named(server: Server, waits: list[float], tmp_path: Path) -> None:
    spec = spec_of("a", url=server.offer("/a", CONTENT[:-1]))
    with pytest.raises(FilesError, match="in 3 attempts: 499 bytes came where 500 were expected"):
        FileStore(tmp_path).present("p", [spec], "x")
    assert [name for name in below(tmp_path) if not name.endswith(".lock")] == []


def test_a_full_disk_is_not_tried_again(waits: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(url: str, target: Path, **_: object) -> None:
        target.write_bytes(CONTENT[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("isocortex.files.retrieval.download", full)
    with pytest.raises(FilesError, match=r"/never could not be downloaded in 1 attempt: .*No space left on device"):
        FileStore(tmp_path).present("p", [spec_of("a")], "x")
    assert waits == []
    assert [name for name in below(tmp_path) if not name.endswith(".lock")] == []


def test_nobody_waits_after_the_last_attempt(server: Server, waits: list[float], tmp_path: Path) -> None:
    with pytest.raises(FilesError):
        FileStore(tmp_path).present("p", [spec_of("a", url=server.offer("/a", 503))], "x")
    assert len(waits) == 2


@pytest.mark.parametrize("url", ["no address at all", "http://", "gopher://127.0.0.1/a"])
def test_an_address_that_is_none_is_not_called_a_checksum(waits: list[float], tmp_path: Path, url: str) -> None:
    with pytest.raises(FilesError, match="could not be downloaded") as raised:
        FileStore(tmp_path).present("p", [spec_of("a", url=url)], "x")
    assert "another checksum" not in str(raised.value)


def test_no_server_is_a_files_error(waits: list[float], tmp_path: Path) -> None:
    with pytest.raises(FilesError, match="could not be downloaded in 3 attempts"):
        FileStore(tmp_path).present("p", [spec_of("a", url="http://127.0.0.1:9/a")], "x")


def test_a_half_file_is_replaced_by_a_download(server: Server, tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    spec = spec_of("a", url=server.offer("/a", CONTENT))
    write(store.path("p", spec), CONTENT[:10])
    assert store.present("p", [spec], "x")["a"].read_bytes() == CONTENT


def test_offline_never_asks(server: Server, tmp_path: Path) -> None:
    with pytest.raises(FilesError, match="--offline"):
        FileStore(tmp_path, offline=True).present("p", [spec_of("a", url=server.offer("/a", CONTENT))], "x")
    assert server.asked == []


def test_the_disk_is_checked_before_a_download(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil
    from types import SimpleNamespace

    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=len(CONTENT) - 1))
    with pytest.raises(StoreError, match="Downloading The data set needs"):
        FileStore(tmp_path).present("p", [spec_of("a", url=server.offer("/a", CONTENT))], "The data set")
    assert server.asked == []


def test_four_at_once_download_once(server: Server, tmp_path: Path) -> None:
    spec = spec_of("a", url=server.offer("/a", CONTENT))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: FileStore(tmp_path).present("p", [spec], "x")["a"].read_bytes(), range(4)))
    assert found == [CONTENT] * 4
    assert server.asked == ["/a"]


# --- archives ---------------------------------------------------------------------------------------------------------


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def make_tar(path: Path, members: dict[str, bytes | str], kind: bytes = tarfile.SYMTYPE) -> Path:
    """Members that are text are links to that place."""
    mode = "w:gz" if path.name.endswith("gz") else "w"
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = kind, content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


Make = Callable[[Path, dict[str, bytes]], Path]
MAKERS = {"a.zip": make_zip, "a.tar": make_tar, "a.tar.gz": make_tar}
MEMBERS = {"a.wav": CONTENT, "deep/b.wav": b"b"}


@pytest.mark.parametrize("name", MAKERS)
def test_archives_are_unpacked(tmp_path: Path, name: str) -> None:
    archive = MAKERS[name](tmp_path / name, MEMBERS)
    unpack(archive, tmp_path / "out")
    assert {path: (tmp_path / "out" / path).read_bytes() for path in below(tmp_path / "out")} == MEMBERS
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, "out"], "no partial folder is left"


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    "member", ["../evil", "a/../../evil", "/evil", "..\\evil", "C:\\evil", "\\evil", "a/b/../../../evil"]
)
def test_no_member_leaves_its_folder(tmp_path: Path, name: str, member: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    archive = MAKERS[name](inside / name, {"good": b"x", member: b"evil"})
    if name == "a.zip":  # the writer turns what is absolute into what is relative; read what was written
        with zipfile.ZipFile(archive) as opened:
            assert opened.namelist()[1].endswith("evil")
    with pytest.raises(FilesError, match=r"lies outside its folder. Nothing was unpacked"):
        unpack(archive, inside / "out")
    assert below(tmp_path) == [f"inside/{name}"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize("target", ["/etc/passwd", "../../secret", "good"])
def test_links_in_tar_archives_are_refused(tmp_path: Path, kind: bytes, target: str) -> None:
    archive = make_tar(tmp_path / "a.tar", {"good": b"x", "link": target}, kind)
    with pytest.raises(FilesError, match="holds 'link', which is neither a file nor a folder"):
        unpack(archive, tmp_path / "out")
    assert below(tmp_path) == ["a.tar"]


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_devices_in_tar_archives_are_refused(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(FilesError, match="neither a file nor a folder"):
        unpack(make_tar(tmp_path / "a.tar", {"device": ""}, kind), tmp_path / "out")
    assert below(tmp_path) == ["a.tar"]


def test_a_link_in_a_zip_archive_becomes_no_link(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    unpack(tmp_path / "a.zip", tmp_path / "out")
    assert not (tmp_path / "out" / "link").is_symlink()
    assert (tmp_path / "out" / "link").read_bytes() == b"/etc/passwd"


def test_a_tar_archive_of_a_whole_folder(tmp_path: Path) -> None:
    """``tar -C folder -cf a.tar .`` starts with the member ``.``"""
    write(tmp_path / "folder" / "a.wav")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "folder", arcname=".")
    unpack(tmp_path / "a.tar", tmp_path / "out")
    assert below(tmp_path / "out") == ["a.wav"]


@pytest.mark.parametrize("name", MAKERS)
def test_damaged_archives_are_refused_whole(tmp_path: Path, name: str) -> None:
    noise = bytes((number * number + number // 7) % 251 for number in range(5000))
    content = MAKERS[name](tmp_path / name, {"a": noise, "b": noise[::-1]}).read_bytes()
    for share in (0.0, 0.1, 0.4, 0.5):
        write(tmp_path / name, content[: int(share * len(content))])
        with pytest.raises(FilesError):
            unpack(tmp_path / name, tmp_path / "out")
        assert below(tmp_path) == [name]


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_flipped_bytes_of_archives_give_files_or_a_files_error(tmp_path: Path, name: str) -> None:
    import random

    noise = bytes((number * number + number // 7) % 251 for number in range(3000))
    content = MAKERS[name](tmp_path / name, {"a": noise}).read_bytes()
    stream, n_refused = random.Random(0), 0
    for number in range(60):
        damaged = bytearray(content)
        damaged[stream.randrange(len(content))] ^= 1 << stream.randrange(8)
        write(tmp_path / name, bytes(damaged))
        try:
            unpack(tmp_path / name, tmp_path / f"out{number}")
        except FilesError:
            n_refused += 1
    assert n_refused > 0


def test_an_encrypted_archive_is_a_files_error(tmp_path: Path) -> None:
    content = bytearray(make_zip(tmp_path / "a.zip", {"a": b"x"}).read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1  # the flag that says: encrypted
    write(tmp_path / "a.zip", bytes(content))
    with pytest.raises(FilesError, match=r"a\.zip"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_what_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(FilesError, match="is neither a zip nor a tar archive"):
        unpack(write(tmp_path / "a.zip", b"text"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def packed(store: FileStore, name: str, members: dict[str, bytes]) -> FileSpec:
    """Put an archive into the store."""
    path = store.root / "p" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    content = make_zip(path, members).read_bytes()
    return spec_of(name, content, unpack=True)


def test_members_of_an_archive_are_the_files(tmp_path: Path) -> None:
    store = FileStore(tmp_path, offline=True)
    spec = packed(store, "sub/sounds.zip", MEMBERS)
    plain = spec_of("table.csv", b"x")
    write(store.path("p", plain), b"x")
    found = store.present("p", [spec, plain], "x")
    assert {name: path.read_bytes() for name, path in found.items()} == {
        "sub/a.wav": CONTENT,
        "sub/deep/b.wav": b"b",
        "table.csv": b"x",
    }
    before = found["sub/a.wav"].stat().st_mtime_ns
    assert dict(store.present("p", [spec, plain], "x")) == dict(found)
    assert found["sub/a.wav"].stat().st_mtime_ns == before, "an archive is unpacked once"


def test_a_new_version_of_an_archive_is_unpacked_anew(tmp_path: Path) -> None:
    store = FileStore(tmp_path, offline=True)
    old = packed(store, "sounds.zip", {"a.wav": b"old"})
    assert store.present("p", [old], "x")["a.wav"].read_bytes() == b"old"
    new = packed(store, "sounds.zip", {"a.wav": b"newer", "b.wav": b"b"})
    os.utime(store.path("p", new), ns=(9, 9))
    found = store.present("p", [new], "x")
    assert {name: path.read_bytes() for name, path in found.items()} == {"a.wav": b"newer", "b.wav": b"b"}


def test_eight_at_once_unpack_one_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process finds the archive there and nothing unpacked; all must get all members."""
    store = FileStore(tmp_path, offline=True)
    members = {f"{number}.wav": CONTENT for number in range(40)}
    spec = packed(store, "sounds.zip", members)
    barrier = threading.Barrier(8)
    original = archives._unpack_zip

    def slowly(archive: Path, folder: Path) -> None:
        original(archive, folder)
        time.sleep(0.05)

    monkeypatch.setattr(archives, "_unpack_zip", slowly)

    def present(_: int) -> dict[str, bytes]:
        barrier.wait()
        return {
            name: path.read_bytes()
            for name, path in FileStore(tmp_path, offline=True).present("p", [spec], "x").items()
        }

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(present, range(8))) == [members] * 8


# --- without a published checksum -------------------------------------------------------------------------------------


def test_what_has_no_checksum_is_downloaded_and_held_to_what_came_first(
    server: Server, waits: list[float], tmp_path: Path
) -> None:
    store = FileStore(tmp_path)
    spec = FileSpec("a", server.offer("/a", CONTENT, CONTENT[::-1]), None, len(CONTENT))
    assert store.present("p", [spec], "x")["a"].read_bytes() == CONTENT
    store.path("p", spec).unlink()
    with pytest.raises(FilesError, match=r"another checksum than was recorded in .*recorded\.json"):
        store.present("p", [spec], "x")
    assert not store.path("p", spec).exists()
    server.offer("/a", CONTENT)
    assert store.present("p", [spec], "x")["a"].read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("failure", "cause"), [(None, "."), (CONTENT[:-1], "499 bytes came where 500 were expected"), (503, "503")]
)
def test_a_download_without_checksum_that_is_cut_leaves_nothing(
    server: Server, waits: list[float], tmp_path: Path, failure: bytes | int | None, cause: str
) -> None:
    n_bytes = None if failure is None else len(CONTENT)
    spec = FileSpec("a", server.offer("/a", failure), None, n_bytes)
    with pytest.raises(FilesError, match=f"could not be downloaded in 3 attempts: .*{cause}"):
        FileStore(tmp_path).present("p", [spec], "x")
    assert [name for name in below(tmp_path) if not name.endswith(".lock")] == []


def test_a_half_file_without_checksum_is_downloaded_again(server: Server, tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    spec = FileSpec("a", server.offer("/a", CONTENT), None, len(CONTENT))
    write(store.path("p", spec), CONTENT[:10])
    assert store.present("p", [spec], "x")["a"].read_bytes() == CONTENT


def test_an_archive_without_checksum_is_unpacked_and_recorded(tmp_path: Path) -> None:
    store = FileStore(tmp_path, offline=True)
    spec = FileSpec("deep/all.zip", "http://localhost:9/never", None, None, unpack=True)
    archive = store.path("p", spec)
    archive.parent.mkdir(parents=True)
    make_zip(archive, MEMBERS)
    assert sorted(store.present("p", [spec], "x")) == ["deep/a.wav", "deep/deep/b.wav"]
    make_zip(archive, {"a.wav": b"tampered"})
    os.utime(archive, ns=(3, 3))
    with pytest.raises(FilesError, match="recorded first"):
        store.present("p", [spec], "x")
