"""Servers that send something else than the file, or never end: nothing of it is kept, and the command ends."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isocortex.errors import FilesError
from isocortex.files import download as downloading
from isocortex.files.file_store import FileSpec, FileStore

WAV = b"RIFF" + bytes(range(256)) * 4
Act = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Does what was asked for the path; knows the headers of each request."""

    acts: dict[str, Act]
    seen: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        """Answer as the test says."""
        self.seen.append((self.path, dict(self.headers)))
        with contextlib.suppress(OSError):
            self.acts[self.path](self)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""

    def head(self, status: int = 200, **headers: object) -> None:
        """Status and headers."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()


class Server:
    """Two of them on this machine are two hosts."""

    def __init__(self) -> None:
        self.handler = type("Handler", (Handler,), {"acts": {}, "seen": []})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def at(self, path: str, act: Act) -> str:
        """The address of an act."""
        self.handler.acts[path] = act
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def close(self) -> None:
        """End it."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = Server()
    yield running
    running.close()


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of a second is a long time, and nobody waits between attempts."""
    monkeypatch.setattr(downloading, "PATIENCE_S", 0.3)
    monkeypatch.setattr("isocortex.files.retrieval.N_ATTEMPTS", 1)


def sends(body: bytes, *, status: int = 200, **headers: object) -> Act:
    def act(handler: Handler) -> None:
        handler.head(status, **{"Content_Length": len(body), **headers})
        handler.wfile.write(body)

    return act


def raw(content: bytes, *, then: bytes | None = None, every: float = 0.0, for_s: float = 5.0) -> Act:
    """Bytes as they are, and more of them, or none, for some seconds."""

    def act(handler: Handler) -> None:
        handler.wfile.write(content)
        handler.wfile.flush()
        end = time.monotonic() + (0 if then is None else for_s)
        while time.monotonic() < end:
            handler.wfile.write(then or b"")
            handler.wfile.flush()
            time.sleep(every)

    return act


def redirects(location: str, status: int = 302) -> Act:
    return lambda handler: handler.head(status, Location=location, Content_Length=0)


HEAD = b"HTTP/1.1 200 OK\r\n"
LENGTH = HEAD + f"Content-Length: {len(WAV)}\r\n\r\n".encode()
HTML = b"<!DOCTYPE html>\n<html><body>Sign in</body></html>"
MIB = bytes(1 << 20)

#: what a server does, and what is said of it
HOSTILE: dict[str, tuple[Act, str]] = {
    "endless": (raw(HEAD + b"\r\n", then=MIB), "more bytes came than the 1028"),
    "endless with the right length": (raw(LENGTH, then=MIB), "another checksum"),
    "endless with another length": (raw(HEAD + b"Content-Length: 999999999999\r\n\r\n", then=MIB), "more bytes came"),
    "endless chunks": (
        raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", then=b"100000\r\n" + MIB + b"\r\n"),
        "more bytes",
    ),
    "endless size of a chunk": (raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", then=bytes(b"a" * 4000)), "."),
    "a chunk of 2**60 bytes": (
        raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1000000000000000\r\n", then=MIB),
        "more bytes",
    ),
    "a chunk of -1 bytes": (raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nabc"), "."),
    "endless headers": (raw(HEAD, then=b"X-A: " + b"a" * 1000 + b"\r\n"), "."),
    "an endless header": (raw(HEAD + b"X-A: ", then=b"a" * 10_000), "."),
    "an endless status": (raw(b"HTTP/1.1 200 ", then=b"a" * 10_000), "."),
    "no answer": (raw(b""), "."),
    "silence": (raw(b"", then=b"", for_s=1, every=1), "it was given up"),
    "silence after the headers": (raw(LENGTH, then=b"", for_s=1, every=1), "it was given up"),
    "a byte now and then": (raw(LENGTH, then=b"R", every=0.05, for_s=2), "it was given up"),
    "a byte of a header now and then": (raw(HEAD + b"X-A: ", then=b"a", every=0.05, for_s=2), "it was given up"),
    "a byte of the size of a chunk now and then": (
        raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", then=b"a", every=0.05, for_s=2),
        "it was given up",
    ),
    "gzip that was not asked for": (sends(zlib.compress(WAV), Content_Encoding="gzip"), "packed it by 'gzip'"),
    "endless gzip": (raw(HEAD + b"Content-Encoding: gzip\r\n\r\n", then=MIB), "packed it by 'gzip'"),
    "cut": (raw(LENGTH + WAV[:500]), "500 bytes came where 1028 were expected"),
    "too short": (sends(WAV[:-1]), "1027 bytes came where 1028 were expected"),
    "nothing": (sends(b""), "0 bytes came where 1028 were expected"),
    "no content": (sends(b"", status=204), "answered 204"),
    "a part": (sends(WAV, status=206, Content_Range=f"bytes 0-{len(WAV) - 1}/9999"), "answered 206"),
    "not authoritative": (sends(WAV, status=203), "answered 203"),
    "not modified": (lambda handler: handler.head(304), "answered 304"),
    "too many requests": (sends(HTML, status=429), "answered 429"),
    "gone": (sends(HTML, status=410), "answered 410"),
    "down": (sends(HTML, status=503), "answered 503"),
    "a status with escapes": (raw(b"HTTP/1.1 500 \x1b[2Jgone\r\nContent-Length: 0\r\n\r\n"), r"500 \\x1b\[2Jgone"),
    "a redirect to itself": (
        lambda handler: handler.head(302, Location=handler.path, Content_Length=0),
        "more than 10 times",
    ),
    "a redirect without a place": (lambda handler: handler.head(302, Content_Length=0), "answered 302"),
    "a redirect to a file": (redirects("file:///etc/passwd"), "from http to file"),
    "a redirect to ftp": (redirects("ftp://127.0.0.1/a.wav"), "from http to ftp"),
    "a redirect to data": (redirects("data:text/plain,hello"), "from http to data"),
    "a redirect to no host": (redirects("http:///a"), "more than 10 times"),
    "a redirect with an endless body": (raw(b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", then=MIB), "."),
    "another file": (sends(WAV[::-1]), "another checksum than expected"),
    "no HTTP": (raw(b"SSH-2.0-OpenSSH_9\r\n"), "."),
    "HTTP/0.9": (raw(WAV), "."),
}


def present(folder: Path, spec: FileSpec) -> Path:
    return FileStore(folder).present("p", [spec], "x")[spec.name]


def kept(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".lock")]


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_hostile_server_sends_is_not_kept(server: Server, tmp_path: Path, name: str) -> None:
    act, said = HOSTILE[name]
    server.at("/x", sends(WAV[::-1]))
    spec = FileSpec("a.wav", server.at("/a", act), hashlib.sha256(WAV).hexdigest(), len(WAV))
    start = time.monotonic()
    with pytest.raises(FilesError, match=rf"^http://127.0.0.1:\d+/a could not be downloaded in 1 attempt: .*{said}"):
        present(tmp_path, spec)
    assert time.monotonic() - start < 3
    assert kept(tmp_path) == []


@pytest.mark.usefixtures("hurry")
def test_a_download_ends_at_the_announced_bytes(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "part"
    url = server.at("/a", raw(HEAD + b"\r\n", then=MIB))
    with pytest.raises(ValueError, match="more bytes came than the 200000"):
        downloading.download(url, target, name="a.bin", n_bytes=200_000, is_known=True)
    assert target.stat().st_size <= 200_000


def test_a_whole_that_is_too_slow_is_given_up_though_something_comes(
    server: Server, tmp_path: Path, hurry: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloading, "LEAST_BYTES", 10)
    url = server.at("/a", raw(HEAD + b"Content-Length: 9999\r\n\r\n", then=b"R" * 20, every=0.02, for_s=10))
    start = time.monotonic()
    with pytest.raises(FilesError, match="the whole took longer"):
        present(tmp_path, FileSpec("a.bin", url, None, 9999))
    assert time.monotonic() - start < 4


# --- without a published checksum -------------------------------------------------------------------------------------

NPY = b"\x93NUMPY\x01\x00" + bytes(100)
NO_TRUTH: dict[str, tuple[str, Act, str]] = {
    "a page": ("a.wav", sends(HTML, Content_Type="text/html; charset=utf-8"), "sent text/html where .wav was expected"),
    "a page of no type": ("a.wav", sends(HTML), "what came begins with"),
    "a page called octets": ("a.nc", sends(HTML, Content_Type="application/octet-stream"), "what came begins with"),
    "a page for an unknown ending": ("a.vhdr", sends(HTML), "what came begins with"),
    "a page for no ending": ("data", sends(b"\n  " + HTML.lower()), "what came begins with"),
    "a page for a table": ("a.csv", sends(HTML, Content_Type="text/html"), "sent text/html where .csv"),
    "a message": (
        "a.npz",
        sends(b'{"message": "Not found"}', Content_Type="application/json"),
        "sent application/json",
    ),
    "a message for a table": (
        "a.csv",
        sends(b'{"message": "Not found"}', Content_Type="application/json"),
        "sent application",
    ),
    "an error in XML": (
        "a.zip",
        sends(b"<Error><Code>AccessDenied</Code></Error>", Content_Type="application/xml"),
        "sent",
    ),
    "XML called octets": ("a.dat", sends(b"<?xml version='1.0'?><Error/>"), "what came begins with"),
    "text": ("a.flac", sends(b"quota exceeded", Content_Type="text/plain"), "what came begins with"),
    "another format": ("a.npy", sends(WAV), "what came begins with"),
    "a pointer of git lfs": ("a.h5", sends(b"version https://git-lfs.github.com/spec/v1\n"), "what came begins with"),
    "nothing": ("a.csv", sends(b""), "without a body"),
    "no length": ("a.wav", raw(HEAD + b"\r\n" + WAV), "neither the list of files nor the server says how many"),
    "chunks without a length": (
        "a.wav",
        raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nRIFF\r\n0\r\n\r\n"),
        "neither",
    ),
    "a length below zero": ("a.wav", raw(HEAD + b"Content-Length: -4\r\n\r\nRIFF"), "neither"),
    "two lengths": ("a.wav", raw(HEAD + b"Content-Length: 4, 900\r\n\r\nRIFF"), "neither"),
    "cut": ("a.wav", raw(LENGTH + WAV[:100]), "100 bytes came where 1028 were expected"),
    "203": ("a.wav", sends(WAV, status=203), "answered 203"),
    "206": ("a.wav", sends(WAV, status=206), "answered 206"),
    "a redirect to a page": ("a.wav", redirects("/page"), "sent text/html"),
}


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("name", NO_TRUTH)
def test_an_answer_of_another_kind_is_never_recorded(server: Server, tmp_path: Path, name: str) -> None:
    called, act, said = NO_TRUTH[name]
    server.at("/page", sends(HTML, Content_Type="text/html"))
    with pytest.raises(FilesError, match=f"could not be downloaded in 1 attempt: .*{said}"):
        present(tmp_path, FileSpec(called, server.at("/a", act), None, None))
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    ("called", "body", "kind"),
    [
        ("a.wav", WAV, "audio/x-wav"),
        ("a.npy", NPY, "application/octet-stream"),
        ("a.csv", b"stimulus_id,v1\n", "text/plain"),
        ("a.json", b'{"a": 1}', "application/json"),
        ("a.html", HTML, "text/html"),
        ("a.vhdr", b"Brain Vision", None),
        ("a.wav", WAV, "text/plain"),
    ],
)
def test_a_file_of_its_kind_is_recorded(
    server: Server, tmp_path: Path, called: str, body: bytes, kind: str | None
) -> None:
    act = sends(body) if kind is None else sends(body, Content_Type=kind)
    spec = FileSpec(called, server.at("/a", act), None, None)
    assert present(tmp_path, spec).read_bytes() == body
    recorded = json.loads((tmp_path / "p" / "recorded.json").read_text())
    assert recorded["files"] == {called: {"sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)}}


def test_a_page_is_taken_where_its_checksum_is_published(server: Server, tmp_path: Path) -> None:
    """What a publisher states comes before what we think of it."""
    spec = FileSpec(
        "a.wav", server.at("/a", sends(HTML, Content_Type="text/html")), hashlib.sha256(HTML).hexdigest(), None
    )
    assert present(tmp_path, spec).read_bytes() == HTML


# --- redirects and credentials ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(server: Server, tmp_path: Path, status: int) -> None:
    server.at("/deep/b", redirects("../c?key=1", status))
    server.at("/c?key=1", sends(WAV))
    spec = FileSpec("a.wav", server.at("/a", redirects("/deep/b", status)), None, None)
    assert present(tmp_path, spec).read_bytes() == WAV


def test_credentials_go_to_their_host_alone_and_are_not_printed(
    server: Server, tmp_path: Path, hurry: None, capfd: pytest.CaptureFixture[str]
) -> None:
    other = Server()
    try:
        server.at("/here", redirects(other.at("/a", sends(WAV[:-1]))))
        address = server.at("/a?token=query-secret", redirects("/here")).replace("//", "//me:pass%40secret@")
        with pytest.raises(FilesError, match=r"^http://…@127\.0\.0\.1:\d+/a\?… could not be downloaded") as raised:
            present(tmp_path, FileSpec("a.wav", address, "0" * 64, len(WAV)))
    finally:
        other.close()
    given = [headers.get("Authorization") for _, headers in server.handler.seen]
    assert given == ["Basic bWU6cGFzc0BzZWNyZXQ="] * 2
    assert [headers.get("Authorization") for _, headers in other.handler.seen] == [None]
    assert "secret" not in str(raised.value) + repr(raised.value) + "".join(capfd.readouterr())


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize(
    ("before", "after"), [("https://example.org/a", "http://example.org/a"), ("http://a/a", "HTTPS://a/b?c#d")]
)
def test_only_from_http_to_https(before: str, after: str) -> None:
    if before.startswith("https"):
        with pytest.raises(ValueError, match="from https to http, which is not followed"):
            downloading.followed(before, after)
    else:
        assert downloading.followed(before, after) == "https://a/b?c"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/a", "data:,a", "doi:10.1/a", "/etc/passwd", ""])
def test_other_addresses_are_not_opened(tmp_path: Path, url: str, hurry: None) -> None:
    with pytest.raises(FilesError, match="its address is none"):
        present(tmp_path, FileSpec("a", url, None, None))


def test_a_large_file_comes_as_it_is(server: Server, tmp_path: Path) -> None:
    body = np.random.default_rng(0).integers(0, 256, 5_000_000, dtype=np.uint8).tobytes()
    spec = FileSpec("a.bin", server.at("/a", sends(body)), hashlib.sha256(body).hexdigest(), None)
    assert present(tmp_path, spec).read_bytes() == body
