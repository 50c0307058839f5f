"""One attempt to download a file over HTTP: it ends at the announced bytes, in a bounded time, and is of its kind.

Redirects are followed by hand, so that each is looked at: none leads from https to http, or to another scheme. A watch
ends the connection where too little comes, whatever the connection waits in.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import os
import socket
import threading
import time
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Generator, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.error import HTTPError
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from isocortex.errors import without_credentials
from isocortex.files.network_words import in_plain_words

if TYPE_CHECKING:
    import ssl

#: seconds in which a connection must bring at least so many bytes, and bytes per second that the whole must reach
PATIENCE_S: Final = 30.0
LEAST_BYTES: Final = 10_000
SLOWEST: Final = 10_000
MOST_REDIRECTS: Final = 10
_BLOCK: Final = 1 << 16
_REDIRECTS: Final = (301, 302, 303, 307, 308)

#: how files begin that are called so; what begins otherwise is another thing, an error page mostly
_BEGINNINGS: Final[dict[str, tuple[bytes, ...]]] = {
    ".wav": (b"RIFF", b"RF64", b"RIFX", b"riff", b"NIST"),
    ".flac": (b"fLaC", b"ID3"),
    ".ogg": (b"OggS",),
    ".aiff": (b"FORM",),
    ".aif": (b"FORM",),
    ".png": (b"\x89PNG",),
    ".jpg": (b"\xff\xd8",),
    ".jpeg": (b"\xff\xd8",),
    ".bmp": (b"BM",),
    ".tif": (b"II", b"MM"),
    ".tiff": (b"II", b"MM"),
    ".webp": (b"RIFF",),
    ".npy": (b"\x93NUMPY",),
    ".npz": (b"PK",),
    ".zip": (b"PK",),
    ".gz": (b"\x1f\x8b",),
    ".tgz": (b"\x1f\x8b",),
    ".bz2": (b"BZh",),
    ".xz": (b"\xfd7zXZ",),
    ".nc": (b"CDF", b"\x89HDF"),
    ".h5": (b"\x89HDF",),
    ".hdf5": (b"\x89HDF",),
    ".nwb": (b"\x89HDF",),
    ".mat": (b"MATLAB", b"\x89HDF"),
    ".pdf": (b"%PDF",),
}
#: types that a server announces for messages, and the endings of files that are of such a type
_TEXTS: Final = {
    "text/html": (".html", ".htm"),
    "application/xhtml+xml": (".html", ".xhtml"),
    "application/json": (".json", ".geojson"),
    "application/problem+json": (".json",),
    "application/xml": (".xml",),
    "text/xml": (".xml",),
}


#: answers below 500 that another attempt may change: the server was waiting, or the connection was too young
_PASSING: Final = (408, 425)
_SAID: Final = {
    401: "it gives this file to those alone who have an account",
    403: "it does not give this file to everybody, or the file has moved",
    404: "there is no such file, or no longer",
    429: "it was asked too often; wait before the next request",
}


class RefusalError(Exception):
    """The server answered that it will not give the file; asked again at once, it would answer the same."""


def download(url: str, target: Path, *, name: str, n_bytes: int | None, is_known: bool) -> None:
    """Download a file.

    Parameters
    ----------
    url
        http or https; credentials in it are sent to its own host alone.
    target
        What is written to; after an error it may hold a part.
    name
        What the file is called; its ending says how it must begin where no checksum is known.
    n_bytes
        Its size, or None: then the server must announce one.
    is_known
        Whether a checksum of the file is known, which the caller compares.

    Raises
    ------
    RefusalError
        The server will not give the file (401, 403, 404, 410, 429 and others of their kind).
    ValueError
        What came is not the file: another status than 200, another size, a packed or an empty body, another type; or
        the connection fails, leads elsewhere, or is too slow. The message names no address.
    OSError
        The target cannot be written.
    """
    with _Watch(n_bytes) as watch, target.open("wb") as file:
        with _answer(url, watch) as answer:
            most = _announced(answer, n_bytes)
            watch.expect(most)
            for block in _blocks(answer, most, watch):
                if file.tell() == 0 and not is_known:
                    _refuse_other_type(name, answer.headers, block)
                file.write(block)
        if file.tell() != most:
            raise ValueError(f"{file.tell()} bytes came where {most} were expected")
        if not most and not is_known:
            raise ValueError("the server answered without a body")


class _Watch:
    """Shuts the socket of a connection that has brought too little for a while, or takes too long as a whole."""

    def __init__(self, n_bytes: int | None) -> None:
        self.n_bytes, self.expired = 0, False
        self._seen, self._socket, self._start = 0, None, time.monotonic()
        self._timer: threading.Timer | None = None
        self.expect(n_bytes or 0)

    def expect(self, n_bytes: int) -> None:
        """Set how long the whole may take: two windows, and what is left at the slowest speed."""
        self._until = self._start + 2 * PATIENCE_S + n_bytes / SLOWEST

    def __enter__(self) -> Self:
        self._arm()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        self._timer = threading.Timer(PATIENCE_S, self._look)
        self._timer.daemon = True
        self._timer.start()

    def _look(self) -> None:
        if self.n_bytes - self._seen >= LEAST_BYTES and time.monotonic() < self._until:
            self._seen = self.n_bytes
            self._arm()
            return
        self.expired = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def watched(self, kind: Callable[..., http.client.HTTPConnection]) -> Callable[..., http.client.HTTPConnection]:
        """Make connections of which the socket is known here."""

        def make(host: str, **options: Any) -> http.client.HTTPConnection:
            connection = kind(host, **options)
            connect = connection.connect

            def connect_and_tell() -> None:
                connect()
                self._socket = connection.sock

            connection.connect = connect_and_tell
            return connection

        return make

    @contextlib.contextmanager
    def telling_why(self) -> Generator[None]:
        """Turn errors of the network into what a user is told."""
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            if self.expired:
                raise ValueError(_TOO_SLOW) from error
            raise ValueError(without_credentials(in_plain_words(error))) from error
        if self.expired:
            raise ValueError(_TOO_SLOW)


_TOO_SLOW = (
    f"it was given up, since fewer than {LEAST_BYTES:,} bytes came in {PATIENCE_S:.0f} s or the whole took longer than "
    f"{SLOWEST:,} bytes per second"
)


class _HTTP(urllib.request.HTTPHandler):
    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self._watch = watch

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._watch.watched(http.client.HTTPConnection), req)


class _HTTPS(urllib.request.HTTPSHandler):
    def __init__(self, watch: _Watch) -> None:
        import certifi

        named = (os.environ.get(name) for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"))
        self._authorities = _authorities(next(filter(None, named), certifi.where()))
        super().__init__(context=self._authorities)
        self._watch = watch

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._watch.watched(http.client.HTTPSConnection), req, context=self._authorities)


@functools.lru_cache(maxsize=1)
def _authorities(file: str) -> ssl.SSLContext:
    """Who is believed to say whose server it is; reading the list takes as long as a small download."""
    import ssl

    return ssl.create_default_context(cafile=file)


class _Unfollowed(urllib.request.HTTPRedirectHandler):
    def http_error_302(self, req: object, fp: object, code: int, msg: str, headers: object) -> None:  # type: ignore[override]
        """Nothing is followed, and no body read, before it was looked at."""

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


@contextlib.contextmanager
def _answer(url: str, watch: _Watch) -> Generator[http.client.HTTPResponse]:
    """The answer with status 200 to which an address leads."""
    address, credentials = _parts(url)
    opener = urllib.request.build_opener(_HTTP(watch), _HTTPS(watch), _Unfollowed())
    for _ in range(MOST_REDIRECTS):
        request = urllib.request.Request(address, headers={**_HEADERS, **credentials})  # noqa: S310 - http(s) alone
        with watch.telling_why():
            try:
                answer = opener.open(request, timeout=PATIENCE_S)
            except HTTPError as error:
                with error:
                    if error.code not in _REDIRECTS or not error.headers.get("Location"):
                        raise _not_given(error) from error
                    new = followed(address, error.headers["Location"])
                credentials = credentials if _host(new) == _host(address) else {}
                address = new
                continue
        with answer:
            if answer.status != http.HTTPStatus.OK:
                raise ValueError(f"the server answered {answer.status} {answer.reason}")
            yield answer
        return
    raise ValueError(f"it leads from one address to another more than {MOST_REDIRECTS} times")


def _not_given(error: HTTPError) -> Exception:
    """What an answer without a file means: a refusal, or something that may pass."""
    said = f"the server answered {error.code} {error.reason}"
    if not 400 <= error.code < 500 or error.code in _PASSING:
        return ValueError(said)
    wait = error.headers.get("Retry-After", "")
    after = f" ({wait} s, it says)" if wait.isascii() and wait.isdecimal() else ""
    return RefusalError(f"{said}{f': {_SAID[error.code]}{after}' if error.code in _SAID else ''}")


_HEADERS: Final = {"Accept-Encoding": "identity", "Accept": "*/*", "User-Agent": "isocortex"}


def _parts(url: str) -> tuple[str, dict[str, str]]:
    """An address without its credentials, and the header that carries them."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("its address is none; expected http:// or https://, and a host")
    host = parts.netloc.rpartition("@")[2]
    address = urlunsplit(parts._replace(netloc=host, fragment=""))
    if parts.username is None:
        return address, {}
    known = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return address, {"Authorization": f"Basic {b64encode(known.encode()).decode()}"}


def _host(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    return parts.scheme, parts.netloc


def followed(address: str, location: str) -> str:
    """Where a redirect leads: to the same scheme, or from http to https.

    Raises
    ------
    ValueError
        It leads to another scheme.

    Examples
    --------
    >>> followed("http://example.org/a/b", "../c")
    'http://example.org/c'
    """
    new = urljoin(address, location)
    before, after = urlsplit(address).scheme, urlsplit(new).scheme
    if after != before and (before, after) != ("http", "https"):
        raise ValueError(f"it leads from {before} to {after or 'nowhere'}, which is not followed")
    return _parts(new)[0]


def _announced(answer: http.client.HTTPResponse, n_bytes: int | None) -> int:
    """How many bytes must come."""
    packed = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if packed not in ("", "identity"):
        raise ValueError(f"the server packed it by {packed!r}, which was not asked for")
    length = answer.headers.get("Content-Length", "").strip()
    if n_bytes is not None:
        return n_bytes
    if not length.isascii() or not length.isdecimal() or answer.length is None:
        raise ValueError(
            "neither the list of files nor the server says how many bytes it has; the list may state 'bytes'"
        )
    return int(length)


def _blocks(answer: http.client.HTTPResponse, most: int, watch: _Watch) -> Iterator[bytes]:
    """What comes, up to the announced bytes; one more is an error."""
    while True:
        with watch.telling_why():
            block = answer.read1(_BLOCK)
        if not block:
            return
        watch.n_bytes += len(block)
        if watch.n_bytes > most:
            raise ValueError(f"more bytes came than the {most} that were expected")
        yield block


def _refuse_other_type(name: str, headers: Any, begins: bytes) -> None:
    """Refuse a message in place of a file, as servers send it with status 200."""
    ending = PurePosixPath(name).suffix.lower()
    announced = headers.get_content_type() if headers.get("Content-Type") else ""
    if announced in _TEXTS and ending not in _TEXTS[announced]:
        raise ValueError(f"the server sent {announced} where {ending or 'a file'} was expected, a message perhaps")
    known = _BEGINNINGS.get(ending)
    is_page = begins.lstrip()[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml")) and ending not in _PAGES
    if is_page or (known is not None and not begins.startswith(known)):
        raise ValueError(f"what came begins with {begins[:20]!r}, as no {ending or 'such'} file does")


_PAGES: Final = (".html", ".htm", ".xhtml", ".xml", ".svg")
