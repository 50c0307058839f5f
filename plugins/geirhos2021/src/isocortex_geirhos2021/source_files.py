"""Where decisions and pictures lie: the published repositories as they are cloned, or compact copies of their parts.

No checksum of a single file is published: core records the SHA-256 of each the first time, and refuses another file of
the same name from then on (`isocortex.files`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from isocortex.errors import FilesError
from isocortex.files import data_folder
from isocortex.interfaces import DataFiles
from isocortex.testing import CheckSkipped
from isocortex_geirhos2021.conditions import DATA_SETS
from isocortex_geirhos2021.decisions import CATEGORIES, CUE_CONFLICT

if TYPE_CHECKING:
    from isocortex.files import FileSpec

PACKAGE: Final = "isocortex-geirhos2021"
MODEL_VS_HUMAN: Final = "https://github.com/bethgelab/model-vs-human"
TEXTURE_VS_SHAPE: Final = "https://github.com/rgeirhos/texture-vs-shape"


class AbsentError(FilesError, CheckSkipped):
    """Files are not here; the conformance kit skips what needs them."""


@dataclass(frozen=True)
class Part:
    """Something that is brought as one.

    Attributes
    ----------
    what
        For messages.
    copies
        Names of archives, of which one holds all of it.
    pattern
        Of its files in the published repository; begins with a folder.
    address
        Of that repository.
    folders
        Names of the folders that the files lie in.
    """

    what: str
    copies: tuple[str, ...]
    pattern: str
    address: str
    folders: tuple[str, ...]


DECISIONS: Final = Part(
    "decisions of people",
    ("geirhos2021_model_vs_human.npz",),
    "raw-data/*/*_subject-*.csv",
    MODEL_VS_HUMAN,
    DATA_SETS,
)
PICTURES: Final[Mapping[str, Part]] = {
    name: Part(what, copies, f"{folder}/*/*.png", TEXTURE_VS_SHAPE, CATEGORIES)
    for name, what, copies, folder in (
        ("silhouette", "silhouettes", ("geirhos2019_silhouettes.zip",), "filled-silhouettes"),
        ("edge", "edges", ("geirhos2019_edges.zip",), "edges"),
        (
            CUE_CONFLICT,
            "pictures of the cue conflict",
            ("geirhos2019_cue_conflict.zip", "geirhos2019_cue_conflict_320_q92.zip"),
            "style-transfer-preprocessed-512",
        ),
    )
}


def _specs(part: Part, names: Iterable[str]) -> list[FileSpec]:
    from isocortex.files import FileSpec

    return [FileSpec(name, part.address, None, None, unpack=name in part.copies) for name in names]


def _below(folder: Path, part: Part, *, anywhere: bool) -> list[str]:
    """Names of the files of a part, as they end below a folder: those of the repository, or else of one copy."""
    depth = part.pattern.count("/") + 1
    paths = sorted(folder.rglob(part.pattern) if anywhere else folder.glob(part.pattern))
    found = [path for path in paths if path.parent.name in part.folders and path.is_file()]
    if found:
        return list(dict.fromkeys("/".join(path.parts[-depth:]) for path in found))
    for name in part.copies:
        if any(path.is_file() for path in (folder.rglob(name) if anywhere else [folder / name])):
            return [name]
    return []


def bring(part: Part, source: Path | None) -> list[Path]:
    """Bring a part here from a folder, and say where its files are.

    Raises
    ------
    FilesError
        They are neither here nor in the folder, or differ from those that were brought before.
    """
    from isocortex.files import FileStore

    names = _below(source, part, anywhere=True) if source is not None else []
    if source is not None and names:
        FileStore(offline=True).adopt(PACKAGE, _specs(part, names), source)
    try:
        return list(present(part).values())
    except AbsentError as error:
        where = "" if source is None else f"{source} holds no {part.what}. "
        raise FilesError(f"{where}{error}") from error


def present(part: Part) -> DataFiles:
    """The files of a part, compared with the checksums that were recorded; members of a copy by their names.

    Raises
    ------
    FilesError
        They were not brought yet, or have changed since.
    """
    from isocortex.files import FileStore

    root = data_folder() / PACKAGE
    names = _below(root, part, anywhere=False)
    if not names:
        raise AbsentError(
            f"The {part.what} are not in {root}: get {part.address} and run isocortex fetch -b 'Geirhos2021*' --from "
            f"FOLDER, where the clone is (looked for {part.pattern} or {' or '.join(part.copies)})."
        )
    return FileStore(offline=True).present(PACKAGE, _specs(part, names), part.what)
