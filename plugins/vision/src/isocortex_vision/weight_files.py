"""Files of weights that have an address: in the data folder, in torch's cache, in a folder of the user, downloaded.

The names that torchvision and others give their files end with the first digits of the SHA-256 of their contents:
``resnet50-0676ba61.pth``. Every use compares them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from isocortex.errors import FilesError

if TYPE_CHECKING:
    from isocortex.interfaces import ModelCard

_DIGITS = re.compile(r"-(?P<digits>[0-9a-f]{8,64})\.[a-z.]+$")


def name_of(url: str) -> str:
    """The name of the file at an address.

    Examples
    --------
    >>> name_of("https://example.org/models/resnet50-0676ba61.pth")
    'resnet50-0676ba61.pth'
    """
    return PurePosixPath(url).name


def has_contents(path: Path) -> bool:
    """Whether a file's contents are those that its name promises; a name without digits promises nothing."""
    from isocortex.files import digest_file, digest_files

    promised = _DIGITS.search(path.name)
    if promised is None or digest_files([path])[path].startswith(promised["digits"]):
        return True
    return digest_file(path).startswith(promised["digits"])  # what is remembered is no reason to refuse a file


def own_file(card: ModelCard, url: str) -> Path:
    """Where a file lies in the data folder: ``<ISOCORTEX_DATA>/<package>/<name>``."""
    from isocortex.files import data_folder

    return data_folder() / (card.package or "python") / name_of(url)


def torch_cache() -> Path:
    """Where torch keeps what its hub has downloaded."""
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
    return Path(home).expanduser() / "hub" / "checkpoints"


def find(card: ModelCard, url: str) -> Path | None:
    """The file at an address, where it is in the data folder or in torch's cache.

    Raises
    ------
    FilesError
        What is there has other contents than its name promises.
    """
    for path in _places(card, url):
        if path.is_file():
            if not has_contents(path):
                raise FilesError(
                    f"{path} is damaged: the digits in its name are the start of another checksum than its own. "
                    f"Delete it and run 'isocortex fetch -m {card.id}'."
                )
            return path
    return None


def find_or_download(card: ModelCard, url: str, *, offline: bool) -> Path:
    """The file at an address, after downloading it into the data folder where it is nowhere else.

    Raises
    ------
    FilesError
        It is nowhere, and the network is forbidden or did not give it; or what is there has other contents than its
        name promises.
    """
    found = find(card, url)
    if found is not None:
        return found
    if offline:
        raise _absent(card, url, _places(card, url), "not asked, because isocortex runs offline")
    _download(card, url, _places(card, url))
    return own_file(card, url)


def _places(card: ModelCard, url: str) -> list[Path]:
    return [own_file(card, url), torch_cache() / name_of(url)]


def adopt(card: ModelCard, url: str, source: Path) -> Path:
    """Copy the file at an address from anywhere below a folder into the data folder.

    Raises
    ------
    FilesError
        The folder holds no file of that name, or only one with other contents.
    """
    from isocortex.files import copy_file

    if not source.is_dir():
        raise FilesError(f"{source} is not a folder. --from takes a folder that holds the files.")
    named = [path for path in sorted(source.rglob(name_of(url))) if path.is_file()]
    fitting = [path for path in named if has_contents(path)]
    if not fitting:
        damaged = f" {named[0]} has another checksum than its name promises." if named else ""
        raise FilesError(f"{source} does not hold {card.id}: expected {name_of(url)}, at any depth.{damaged}")
    own = own_file(card, url)
    if not (own.is_file() and has_contents(own)):
        copy_file(fitting[0], own)
    return own


def _download(card: ModelCard, url: str, places: list[Path]) -> None:
    from isocortex.files import FileSpec, FileStore

    package = card.package or "python"
    try:
        # the checksum is compared here, as only its first digits are known
        FileStore().download(package, [FileSpec(name_of(url), url, None, None)], card.id)
    except FilesError as error:
        raise _absent(card, url, places, str(error).partition(" Nothing of it was kept")[0]) from error
    if not has_contents(places[0]):
        places[0].unlink()
        raise _absent(card, url, places, "what came has another checksum than the name promises; it was not kept")


def _absent(card: ModelCard, url: str, places: list[Path], asked: str) -> FilesError:
    looked = "".join(f"\n  {path}" for path in [*places, f"{url}: {asked}"])
    return FilesError(
        f"The trained weights of {card.id} are not here.\nLooked for{looked}\n"
        f"Run 'isocortex fetch -m {card.id}' with network, or with '--from FOLDER' where {name_of(url)} is; or name a "
        f"file: {card.id}@file:PATH. An untrained network is {card.id}@random:0."
    )
