"""Trained weights: where they lie, how they get there, and the names that published checkpoints give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from isocortex.errors import FilesError, shorten

if TYPE_CHECKING:
    from isocortex.interfaces import ModelCard

State = Mapping[str, Any]

PACKAGE = "isocortex-cochnets"
#: what a checkpoint of cochdnn puts before the network's own names
NETWORK_PREFIXES = ("module.model.1.", "model.1.")


def published_state(state: State, *, without: Sequence[str] = ()) -> dict[str, Any]:
    """Give the tensors of a published checkpoint the names of the network's own.

    A checkpoint of cochdnn holds every tensor twice, below ``module.model.1.`` and ``module.attacker.model.1.``, and
    the filters of its front end below ``module.model.0.``: the first are taken, the rest is dropped. Names without
    such a prefix are left as they are.

    Parameters
    ----------
    state
        Tensors by name.
    without
        Prefixes of the network's names that are dropped too: heads of unknown size.

    Examples
    --------
    >>> published_state({"module.model.1.conv0.weight": 1, "module.attacker.model.1.conv0.weight": 1})
    {'conv0.weight': 1}
    """
    for prefix in NETWORK_PREFIXES:
        if any(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
            break
    return {name: value for name, value in state.items() if not name.startswith(tuple(without))}


def places(card: ModelCard, endings: Sequence[str] = (".safetensors", ".pt")) -> list[Path]:
    """Where the trained weights of a model may lie, in the order in which they are looked for.

    ``<ISOCORTEX_DATA>/isocortex-cochnets/<ID><ending>``
    """
    from isocortex.files import data_folder

    return [data_folder() / (card.package or PACKAGE) / f"{card.id}{ending}" for ending in endings]


def find_weights(
    card: ModelCard, candidates: Sequence[Path], advice: str, is_there: Callable[[Path], bool] = Path.is_file
) -> Path:
    """The first place that holds weights.

    Parameters
    ----------
    card
        The model.
    candidates
        Places, in the order in which they are looked for.
    advice
        How to get the weights there.
    is_there
        Whether a place holds weights.

    Raises
    ------
    FilesError
        None does; the message names all of them.
    """
    for path in candidates:
        if is_there(path):
            return path
    looked = "".join(f"\n  {path}" for path in candidates)
    raise FilesError(
        f"The trained weights of {card.id} are not here, and isocortex cannot download them.\nLooked for{looked}\n"
        f"{advice}\nWhere you have them: isocortex fetch -m {card.id} --from FOLDER, or {card.id}@file:PATH. "
        f"An untrained network is {card.id}@random:0."
    )


def advice_for(card: ModelCard, wanted: Path) -> str:
    """How to get the checkpoint that a card names, ``address of the archive#path in it``, to a place.

    Examples
    --------
    >>> from isocortex.interfaces import ModelCard
    >>> card = ModelCard(id="a", object="m:A", modality="audio", layers=("x",), weights="https://b.org/c.tar#d/5.pt")
    >>> print(advice_for(card, Path("a.safetensors")))
    Get https://b.org/c.tar, unpack d/5.pt and convert it once, on purpose:
      python -m isocortex.models.convert_checkpoint 5.pt a.safetensors --i-trust-this-file
    """
    if card.weights is None:
        return "They are not published; ask the authors of the paper."
    address, _, member = card.weights.partition("#")
    command = convert_command(Path(member).name, wanted)
    return f"Get {address}, unpack {member} and convert it once, on purpose:\n  {command}"


def convert_command(checkpoint: Path | str, target: Path) -> str:
    """The command that turns a checkpoint into a file that is read without running code."""
    return f"python -m isocortex.models.convert_checkpoint {checkpoint} {target} --i-trust-this-file"


def names_of(card: ModelCard) -> list[str]:
    """What weights may be called in a folder that a user has, the first name before the next.

    The published checkpoints of all networks have one file name, so that the folder above it, which is the network's
    own, must be there too.

    Examples
    --------
    >>> from isocortex.interfaces import ModelCard
    >>> names_of(ModelCard(id="a", object="m:A", modality="audio", layers=("x",), weights="https://b.org/c.tar#d/e/5.pt"))
    ['a.safetensors', 'a.pt', 'e/5.safetensors', 'e/5.pt']
    """
    names = [f"{card.id}.safetensors", f"{card.id}.pt"]
    member = PurePosixPath((card.weights or "").partition("#")[2])
    if member.parent.name:
        published = PurePosixPath(member.parent.name) / member.name
        names += [published.with_suffix(".safetensors").as_posix(), published.as_posix()]
    return names


def find_below(folder: Path, names: Sequence[str]) -> Path | None:
    """The file anywhere below a folder that has the first of the names that occur.

    Raises
    ------
    FilesError
        Several files have that name, and they differ.
    """
    for name in names:
        paths = sorted(folder.rglob(PurePosixPath(name).name))
        found = [path for path in paths if path.is_file() and path.absolute().as_posix().endswith(f"/{name}")]
        if len(set(contents(found))) > 1:
            raise FilesError(
                f"{folder} holds {len(found)} different files {name}: {shorten(found)}. Name a folder with one."
            )
        if found:
            return found[0]
    return None


def contents(files: Sequence[Path]) -> list[str]:
    """SHA-256 of each file."""
    from isocortex.files import digest_files

    digests = digest_files(files)
    return [digests[file] for file in files]


def bring(found: Sequence[Path], targets: Sequence[Path], here: Sequence[Path]) -> None:
    """Copy files to where weights are looked for; each is there whole or not at all.

    Parameters
    ----------
    found, targets
        Files, and where each belongs.
    here
        Weights that are there already; none: an empty sequence.

    Raises
    ------
    FilesError
        Those that are there are others; nothing was changed.
    """
    from isocortex.files import copy_file

    if here and contents(here) != contents(found):
        raise FilesError(f"{here[0]} is there already and differs from {found[0]}. Delete it to take the other one.")
    if not here:
        for file, target in zip(found, targets, strict=True):
            copy_file(file, target)
