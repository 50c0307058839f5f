"""A file from the network: several attempts unless it is refused, its checksum, whole or not at all (through pooch)."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator
from pathlib import Path

from isocortex.errors import FilesError
from isocortex.files.download import RefusalError, download
from isocortex.files.network_words import in_plain_words

N_ATTEMPTS = 3


def retrieve(url: str, path: Path, *, n_bytes: int | None, checksum: str | None, expected: str) -> None:
    """Download a file to its place, after which it is there whole and as its checksum says.

    Parameters
    ----------
    n_bytes, checksum
        What is known of it, the checksum as ``algorithm:digits``; without one the answer must look like the file
        (``isocortex.files.download``).
    expected
        For the message: where the checksum comes from.

    Raises
    ------
    FilesError
        The network fails, or what came is another file; nothing of it is kept.
    """
    import pooch

    attempts = _Attempts(path.name, n_bytes, is_known=checksum is not None)
    remote = pooch.create(
        path.parent,
        base_url="",
        registry={path.name: checksum},
        urls={path.name: url},
        retry_if_failed=N_ATTEMPTS - 1,
    )
    try:
        path.unlink(missing_ok=True)  # pooch keeps what is there where it knows no checksum
        with _silent(pooch.get_logger()):
            remote.fetch(path.name, downloader=attempts)  # pyright: ignore[reportArgumentType]
    except (OSError, ValueError, RefusalError) as error:  # a wrong checksum is a ValueError, too
        damaged = "does not match the known hash" in str(error)
        said = in_plain_words(error) if isinstance(error, OSError) else str(error)  # the first are our own words
        cause = f"the file has another checksum than {expected}" if damaged else said
        raise FilesError(
            f"{url} could not be downloaded in {attempts.n} attempt{'s' if attempts.n != 1 else ''}: {cause}. Nothing "
            "of it was kept. Try again, or get the file elsewhere and use 'isocortex fetch --from FOLDER'."
        ) from error


@contextlib.contextmanager
def _silent(logger: logging.Logger) -> Generator[None]:
    """Without lines of pooch on stderr, which name addresses with the passwords that are in them."""
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


class _Attempts:
    """What pooch calls for each attempt: after a ValueError it tries again."""

    def __init__(self, name: str, n_bytes: int | None, *, is_known: bool) -> None:
        self.name, self.n_bytes, self.is_known, self.n = name, n_bytes, is_known, 0

    def __call__(self, url: str, output_file: str, _: object) -> None:
        self.n += 1
        download(url, Path(output_file), name=self.name, n_bytes=self.n_bytes, is_known=self.is_known)
