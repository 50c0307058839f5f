"""What went wrong on the network, in plain words: libraries wrap one cause into many, and print them all."""

from __future__ import annotations

import socket
from collections.abc import Iterator

#: class name, of the standard library, urllib3 and requests → words
_WORDS = {
    "NameResolutionError": "its server is not known here: there is no network, or no such server",
    "gaierror": "its server is not known here: there is no network, or no such server",
    "ProxyError": "the proxy that is set for this machine does not answer",
    "SSLError": "the certificate of its server is not trusted",
    "SSLCertVerificationError": "the certificate of its server is not trusted",
    "ConnectTimeout": "its server did not answer in time",
    "ConnectTimeoutError": "its server did not answer in time",
    "ReadTimeout": "its server stopped sending",
    "ReadTimeoutError": "its server stopped sending",
    "TimeoutError": "its server did not answer in time",
    "ConnectionRefusedError": "its server refused the connection",
    "ConnectionResetError": "the connection broke off",
    "RemoteDisconnected": "the connection broke off",
    "IncompleteRead": "the connection broke off",
    "ChunkedEncodingError": "the connection broke off",
    "TooManyRedirects": "its server sends from one address to the next without end",
    "InvalidSchema": "its address is none of http or https",
    "InvalidURL": "its address is no address",
    "MissingSchema": "its address is no address",
}


def in_plain_words(error: BaseException) -> str:
    """One line that says why something could not be had from the network.

    Examples
    --------
    >>> in_plain_words(ConnectionError("(long text)", ConnectionRefusedError(111, "Connection refused")))
    'its server refused the connection'
    >>> in_plain_words(ValueError("3 bytes came where 4 were expected"))
    '3 bytes came where 4 were expected'
    """
    for cause in _causes(error):
        answer = getattr(getattr(cause, "response", None), "status_code", None)
        if answer is not None:
            reason = getattr(cause.response, "reason", "")  # pyright: ignore[reportAttributeAccessIssue]
            return f"its server answered {answer} {reason}".rstrip()
    found = {name: None for cause in _causes(error) for name in _names(cause)}
    words = next((words for name, words in _WORDS.items() if name in found), None)
    return words or " ".join(str(error).split())[:300] or type(error).__name__


def _names(error: BaseException) -> Iterator[str]:
    yield type(error).__name__
    if isinstance(error, socket.gaierror):
        yield "gaierror"
    if "Errno 111" in str(error) or "refused" in str(error).lower():
        yield "ConnectionRefusedError"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and what it was raised from or made of."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
