"""Where the ``.nemo`` file of a model is looked for, and how it gets there."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

from isocortex.errors import FilesError, StoreError
from isocortex.files import check_space, data_folder, write_atomic
from isocortex_nemo.versions import state_of

if TYPE_CHECKING:
    from isocortex.interfaces import ModelCard

#: the prefix of models that no row lists: a file, or a repository of the hub
PREFIX = "nemo:"
NGC = "https://api.ngc.nvidia.com/v2/models"
#: s until a server that does not answer is told to be absent; the hub's client alone takes 23
REACHABLE_S = 1.0
_TIMEOUT_S = 30


def named_file(card: ModelCard) -> Path | None:
    """The file that ``nemo:PATH`` names; None where a row or ``nemo:OWNER/NAME`` names a repository."""
    if not card.id.startswith(PREFIX):
        return None
    path = Path(card.id.removeprefix(PREFIX)).expanduser()
    is_repository = len(path.parts) == 2 and path.suffix != ".nemo" and not path.exists()
    return None if is_repository else path


def repository_of(card: ModelCard) -> str:
    """The repository of the hub: ``nvidia/NAME``."""
    if card.weights and card.weights.startswith("hf:"):
        return card.weights.removeprefix("hf:")
    return card.id.removeprefix(PREFIX)


def file_name_of(card: ModelCard) -> str:
    """What the file is called everywhere: NAME.nemo."""
    return f"{repository_of(card).rpartition('/')[2]}.nemo"


def own_folder(card: ModelCard) -> Path:
    """Where the file lies in the data folder: ``<ISOCORTEX_DATA>/isocortex-nemo/OWNER/NAME``."""
    return data_folder() / (card.package or "python") / repository_of(card)


def ngc_address(card: ModelCard) -> str | None:
    """Where NVIDIA's catalogue serves the file, of a row with ``weights = "ngc:TEAM/NAME@VERSION"``."""
    if not (card.weights or "").startswith("ngc:"):
        return None
    name, _, version = str(card.weights).removeprefix("ngc:").partition("@")
    return f"{NGC}/{name}/versions/{version}/files/{file_name_of(card)}"


def find_file(card: ModelCard) -> Path | None:
    """The file where it lies: in the data folder, the hub's cache or NeMo's own; None where it is in none of them."""
    return next((path for path in _candidates(card) if path.is_file()), None)


def _candidates(card: ModelCard) -> Iterator[Path]:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    name = file_name_of(card)
    yield own_folder(card) / name
    yield own_folder(card).parent.parent / name
    try:
        cached = try_to_load_from_cache(repository_of(card), name)
    except HFValidationError:
        cached = None
    if isinstance(cached, str):
        yield Path(cached)
    for folder in nemo_caches():
        yield from sorted(folder.glob(f"{Path(name).stem}/*/{name}"))


def nemo_caches() -> Sequence[Path]:
    """Folders into which NeMo itself downloads, the newest version first."""
    named = os.environ.get("NEMO_CACHE_DIR")
    if named:
        return [Path(named)]
    return sorted((Path.home() / ".cache" / "torch" / "NeMo").glob("NeMo_*"), reverse=True)


def find_or_download(card: ModelCard, *, offline: bool) -> Path:
    """The file of a model, after downloading it into the data folder where it is nowhere else.

    Raises
    ------
    FilesError
        It is nowhere, and the network is forbidden or did not give it; the message names every place.
    """
    path = named_file(card)
    if path is not None:
        if path.is_file():
            return path
        raise FilesError(f"There is no .nemo file at {path}, which {card.id} names.")
    return find_file(card) or _download(card, offline=offline)


def _download(card: ModelCard, *, offline: bool) -> Path:
    from huggingface_hub import constants

    tried: list[str] = []
    hub = f"the hub, {hub_address()}/{repository_of(card)}"
    address = ngc_address(card)
    if offline or constants.HF_HUB_OFFLINE:
        tried.append(f"{hub}: not asked, because {'isocortex runs offline' if offline else 'HF_HUB_OFFLINE is set'}")
    else:
        try:
            return _from_hub(card)
        except StoreError:
            raise
        except Exception as error:  # each version of the hub's client raises errors of another network library
            tried.append(f"{hub}: {_first_line(error)}")
    if address is not None:
        if offline:
            tried.append(f"{address}: not asked, because isocortex runs offline")
        else:
            try:
                return _from_address(card, address)
            except (OSError, FilesError) as error:
                tried.append(f"{address}: {_first_line(error)}")
    raise absent(card, tried)


def _first_line(error: BaseException) -> str:
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}"[:300] if first else type(error).__name__


def hub_address() -> str:
    """Where the hub is; ``HF_ENDPOINT`` names a mirror."""
    from huggingface_hub import constants

    return constants.ENDPOINT


def _from_hub(card: ModelCard) -> Path:
    from huggingface_hub import hf_hub_download

    refuse_unreachable(hub_address())
    folder = own_folder(card)
    folder.mkdir(parents=True, exist_ok=True)
    return Path(hf_hub_download(repository_of(card), file_name_of(card), local_dir=folder, endpoint=hub_address()))


def refuse_unreachable(address: str) -> None:
    """Raise ``ConnectionError`` if no connection to an address, or to the proxy for it, is made in ``REACHABLE_S``."""
    parts = urlsplit(address)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    outcome: list[OSError | None] = []

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=REACHABLE_S).close()
            outcome.append(None)
        except OSError as error:
            outcome.append(error)

    # a thread, as looking up a name cannot be given a time
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(REACHABLE_S)
    error = outcome[0] if outcome else TimeoutError(f"no answer in {REACHABLE_S:g} s")
    if error is not None:
        raise ConnectionError(f"{host}:{port} cannot be reached ({error})")


def _from_address(card: ModelCard, address: str) -> Path:
    """Download by plain HTTPS; what comes must be as long as it was announced."""
    refuse_unreachable(address)
    path = own_folder(card) / file_name_of(card)
    with urllib.request.urlopen(address, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - a fixed https address
        announced = answer.headers.get("Content-Length")
        if announced is None or not announced.isdigit():
            raise OSError("the server does not say how large the file is")
        path.parent.mkdir(parents=True, exist_ok=True)
        check_space(path.parent, int(announced), f"Downloading {card.id}")
        write_atomic(path, lambda file: _copy_exactly(answer, file, int(announced)))
    return path


def _copy_exactly(source: Any, file: BinaryIO, n_bytes: int) -> None:
    left = n_bytes
    while left > 0:
        chunk = source.read(min(left, 1 << 20))
        if not chunk:
            raise FilesError(f"{n_bytes - left} bytes came of {n_bytes}")
        file.write(chunk)
        left -= len(chunk)
    if source.read(1):
        raise FilesError(f"more than the announced {n_bytes} bytes came")


def absent(card: ModelCard, tried: Sequence[str]) -> FilesError:
    """The error for a file that is nowhere: where it was looked for, what it is called, and how it gets here."""
    from huggingface_hub import constants

    name = file_name_of(card)
    caches = ", ".join(map(str, nemo_caches())) or str(Path.home() / ".cache" / "torch" / "NeMo")
    places = [
        str(own_folder(card) / name),
        str(own_folder(card).parent.parent / name),
        f"the hub's cache, {constants.HF_HUB_CACHE}",
        f"NeMo's cache, {caches}",
        *tried,
    ]
    return FilesError(
        f"The checkpoint of {card.id}, {name}, is not here; {state_of(card)}.\nLooked for {name} in"
        + "".join(f"\n  {place}" for place in places)
        + f"\nRun 'isocortex fetch -m {card.id}' with network, or with '--from FOLDER' where it is; or name the file: "
        f"nemo:{name}."
    )


def file_in(source: Path, card: ModelCard) -> Path:
    """A model's file in a folder that holds it at any depth.

    Raises
    ------
    FilesError
        There is no such folder, no such file, or several have the name and other contents.
    """
    from isocortex.files import digest_files

    name = file_name_of(card)
    if not source.is_dir():
        raise FilesError(f"{source} is not a folder. --from takes a folder that holds the files.")
    found = sorted(path for path in source.rglob(name) if path.is_file())
    if not found:
        raise FilesError(f"{source} does not hold {name}, at any depth.")
    if len(found) > 1 and len(set(digest_files(found).values())) > 1:
        raise FilesError(f"{source} holds {len(found)} different files called {name}. Leave one.")
    return found[0]


def adopt(card: ModelCard, path: Path) -> Path:
    """Copy a model's file into the data folder."""
    target = own_folder(card) / file_name_of(card)
    target.parent.mkdir(parents=True, exist_ok=True)
    check_space(target.parent, path.stat().st_size, f"Copying {card.id}")
    with path.open("rb") as opened:
        write_atomic(target, lambda file: shutil.copyfileobj(opened, file))
    return target
