"""Files of a checkpoint: named, in the data folder, in the cache of the Hugging Face hub, or on the hub.

For models whose weights lie as ``save_pretrained`` writes them; a plugin that uses it requires huggingface_hub
(``isocortex[hub]``).

Weights are safetensors, or torch files that hold tensors alone; no code of a checkpoint is ever run.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.errors import DataError, FilesError
from isocortex.files.disk import check_space, data_folder, write_atomic

if TYPE_CHECKING:
    from isocortex.catalogue.cards import ModelCard

CONFIG, FEATURES = "config.json", "preprocessor_config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_WANTED = f"{CONFIG}, {FEATURES} and {' or '.join(WEIGHTS)}"


@dataclass(frozen=True)
class Checkpoint:
    """The files of a checkpoint; without a configuration the one of the model's row counts."""

    weights: Path
    config: Path | None = None
    features: Path | None = None

    @property
    def files(self) -> list[Path]:
        """All of them."""
        return [path for path in (self.config, self.features, self.weights) if path is not None]


def checkpoint_in(folder: Path, *, needs_config: bool = True) -> Checkpoint | None:
    """The checkpoint that lies directly in a folder; None where weights or configuration are absent.

    Examples
    --------
    >>> checkpoint_in(Path("nowhere")) is None
    True
    """
    weights = [folder / name for name in WEIGHTS if (folder / name).is_file()]
    config, features = (path if path.is_file() else None for path in (folder / CONFIG, folder / FEATURES))
    if not weights or (needs_config and config is None):
        return None
    return Checkpoint(weights[0], config, features)


def named_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint that ``file:PATH`` names: a folder, or a file of weights with what lies beside it.

    Raises
    ------
    FilesError
        There is none.
    """
    if path.is_file():
        beside = (path.with_name(CONFIG), path.with_name(FEATURES))
        return Checkpoint(path, *(found if found.is_file() else None for found in beside))
    found = checkpoint_in(path, needs_config=False) if path.is_dir() else None
    if found is None:
        shards = " Its weights are in several files; save them again in one (max_shard_size)."
        sharded = path.is_dir() and any(path.glob("*.index.json"))
        raise FilesError(
            f"There are no weights at {path}. Expected a folder that holds {' or '.join(WEIGHTS)}, as save_pretrained "
            f"writes it, or a .safetensors file.{shards if sharded else ''}"
        )
    return found


def own_folder_of(card: ModelCard) -> Path:
    """Where a model's files lie in the data folder: ``<ISOCORTEX_DATA>/<package>/<ID>``."""
    return data_folder() / (card.package or "python") / card.id


def repository(card: ModelCard) -> str:
    """The repository of the hub that a card names, ``weights = "hf:NAME"``."""
    return (card.weights or card.id).removeprefix("hf:")


def find_checkpoint(card: ModelCard) -> Checkpoint | None:
    """The checkpoint in the data folder, or else in the cache of the hub."""
    from huggingface_hub import try_to_load_from_cache

    own = checkpoint_in(own_folder_of(card))
    if own is not None:
        return own
    for name in WEIGHTS:
        cached = try_to_load_from_cache(repository(card), name)
        found = checkpoint_in(Path(cached).parent) if isinstance(cached, str) else None
        if found is not None:
            return found
    return None


def find_or_download_checkpoint(card: ModelCard, *, offline: bool) -> Checkpoint:
    """The checkpoint, after downloading it into the data folder where it is nowhere else.

    Raises
    ------
    FilesError
        It is nowhere, and the network is forbidden or did not give it; the message names every place.
    """
    return find_checkpoint(card) or _download(card, offline=offline)


def _download(card: ModelCard, *, offline: bool) -> Checkpoint:
    from huggingface_hub import constants

    where = f"the hub, {constants.ENDPOINT}/{repository(card)}"
    if offline or constants.HF_HUB_OFFLINE:
        reason = "isocortex runs offline" if offline else "HF_HUB_OFFLINE is set"
        raise absent(card, f"{where}: not asked, because {reason}")
    try:
        _fetch_files(card)
    except Exception as error:  # each version of the hub's client raises errors of another network library
        first = str(error).strip().partition("\n")[0] or "no reason given"
        raise absent(card, f"{where}: {type(error).__name__}: {first}") from error
    found = checkpoint_in(own_folder_of(card))
    if found is None:
        raise absent(card, f"{where}: it has not all of these files")
    return found


def _fetch_files(card: ModelCard) -> None:
    """Download the first file of weights that the hub has, and what stands beside it; nothing else."""
    folder = own_folder_of(card)
    folder.mkdir(parents=True, exist_ok=True)
    with _progress_on_a_terminal():
        _fetch_file(card, CONFIG, folder)
        _fetch_file(card, FEATURES, folder)
        any(_fetch_file(card, name, folder) for name in WEIGHTS)


def _fetch_file(card: ModelCard, name: str, folder: Path) -> bool:
    """Whether the hub has a file; it is downloaded then."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        hf_hub_download(repository(card), name, local_dir=folder)
    except LocalEntryNotFoundError:
        raise  # the hub did not answer
    except EntryNotFoundError:
        return False
    return True


@contextmanager
def _progress_on_a_terminal() -> Generator[None]:
    import sys

    import huggingface_hub.utils

    bars: Any = huggingface_hub.utils
    hide = not sys.stderr.isatty() and not bars.are_progress_bars_disabled()
    if hide:
        bars.disable_progress_bars()
    try:
        yield
    finally:
        if hide:
            bars.enable_progress_bars()


def absent(card: ModelCard, hub: str) -> FilesError:
    """The error for weights that are nowhere: where they were looked for, and how they get here.

    Parameters
    ----------
    card
        The model.
    hub
        What came of the hub.
    """
    from huggingface_hub import constants

    places = [str(own_folder_of(card)), f"the hub's cache, {constants.HF_HUB_CACHE}", hub]
    looked = "".join(f"\n  {place}" for place in places)
    return FilesError(
        f"The trained weights of {card.id} are not here.\nLooked for {_WANTED} in{looked}\n"
        f"Run 'isocortex fetch -m {card.id}' with network, or with '--from FOLDER' where they are; or name a folder: "
        f"{card.id}@file:FOLDER. An untrained network is {card.id}@random:0."
    )


def adopt_checkpoint(card: ModelCard, source: Path, fits: Callable[[Checkpoint], None]) -> Checkpoint:
    """Copy a model's files from a folder into the data folder.

    The folder may be the checkpoint itself, or hold it at any depth in a folder with the model's name: ``OWNER/NAME``,
    ``NAME`` or, as in the hub's cache, ``models--OWNER--NAME/snapshots/…``.

    Parameters
    ----------
    card
        The model.
    source
        Where the files are.
    fits
        Raises DataError for a checkpoint that is not the model's.

    Raises
    ------
    FilesError
        There is no such folder, or none that fits.
    """
    problems: list[str] = []
    for found in _candidates(card, source):
        try:
            fits(found)
        except DataError as error:
            problems.append(f"\n  {found.weights.parent}: {error}")
        else:
            return _copy(card, found)
    raise FilesError(
        f"{source} does not hold {card.id}: expected {_WANTED}, in it or, at any depth, in a folder called "
        f"{Path(card.id).name}.{' What was found does not fit:' if problems else ''}{''.join(problems)}"
    )


def _candidates(card: ModelCard, source: Path) -> list[Checkpoint]:
    if not source.is_dir():
        raise FilesError(f"{source} is not a folder. --from takes a folder that holds the files.")
    name, cached = Path(card.id).name, f"models--{repository(card).replace('/', '--')}"
    inside = sorted({path.parent for file in WEIGHTS for path in source.rglob(file)} - {source})
    fitting = [path for path in inside if path.name == name or cached in path.parts]
    fitting.sort(key=lambda path: not path.as_posix().endswith(f"/{card.id}"))
    return [found for path in (*fitting, source) if (found := checkpoint_in(path)) is not None]


def _copy(card: ModelCard, found: Checkpoint) -> Checkpoint:
    folder = own_folder_of(card)
    check_space(folder, sum(path.stat().st_size for path in found.files), f"Copying {card.id}")
    for path in found.files:  # the weights last: with them the checkpoint is there
        with path.open("rb") as source:
            write_atomic(folder / path.name, lambda file, source=source: shutil.copyfileobj(source, file))
    copied = checkpoint_in(folder)
    if copied is None:
        raise absent(card, f"{found.weights.parent}: it was not copied whole")
    return copied


def tensor_shapes(path: Path) -> dict[str, Sequence[int]]:
    """Name → shape of every tensor in a file of weights, without reading more of it than that takes.

    Raises
    ------
    DataError
        The file is damaged, or holds more than tensors.
    """
    if path.suffix != ".safetensors":
        from isocortex.models.variants import read_state

        return {name: tuple(tensor.shape) for name, tensor in read_state(path).items()}
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as opened:
            return {name: opened.get_slice(name).get_shape() for name in opened.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} is no safetensors file ({error}). Fetch it again.") from error
