"""Public images of Brain-Score: a table and an archive of PNG files, which must name the same images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from isocortex.errors import AlignmentError, DataError, shorten
from isocortex.files import digest_file
from isocortex.interfaces import DataFiles, StimuliPlugin

if TYPE_CHECKING:
    import pandas as pd

    from isocortex.data import StimulusSet

#: columns that name an image, its file, and the SHA-1 of that file; the first that is there counts
IDS: Final = ("stimulus_id", "image_id")
FILE_NAMES: Final = ("filename", "image_path_within_store", "image_file_name")
CHECKSUMS: Final = ("image_file_sha1", "sha1")


def read_stimulus_table(path: Path) -> pd.DataFrame:
    """Read the table of a stimulus set, sorted by the ID of the images, in which recordings are averaged.

    Parameters
    ----------
    path
        CSV with ``stimulus_id`` or ``image_id``, the name of a file, and whatever is known of each image.

    Returns
    -------
    The index is ``stimulus_id``, sorted by code point; the column ``file`` has the names of the files.

    Raises
    ------
    DataError
        The file cannot be read, lacks a column, or names an image twice.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "stimulus_demo.csv"
    >>> _ = path.write_text("image_id,filename,object_name\\nb2,b2.png,dog\\na1,a1.png,cat\\n")
    >>> read_stimulus_table(path)["file"].to_dict()
    {'a1': 'a1.png', 'b2': 'b2.png'}
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=dict.fromkeys((*IDS, *FILE_NAMES, *CHECKSUMS), str))
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise DataError(f"{path.name} cannot be read as a table ({error}). Copy or download it again.") from error
    found = {what: next((name for name in names if name in table.columns), None) for what, names in _COLUMNS.items()}
    if found["id"] is None or found["file"] is None:
        raise DataError(
            f"{path.name}: expected a column {' or '.join(IDS)} and one of {', '.join(FILE_NAMES)}; found "
            f"{shorten(table.columns, 30)}."
        )
    ids = table[found["id"]].astype(str)
    twice = ids[ids.duplicated()].unique().tolist()
    if twice:
        raise DataError(f"{path.name} names {len(twice)} images twice: {shorten(twice)}.")
    table = table.assign(file=table[found["file"]].astype(str))
    return table.set_axis(pd.Index(ids, name="stimulus_id")).drop(columns=found["id"]).sort_index()


_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {"id": IDS, "file": FILE_NAMES}


def images_of(table: pd.DataFrame, files: Mapping[str, Path]) -> dict[str, Path]:
    """The file of each image, in the order of the table.

    Parameters
    ----------
    table
        As ``read_stimulus_table`` gives it.
    files
        Name, with or without folders → path.

    Raises
    ------
    AlignmentError
        Images without a file, or files that the table does not list.
    DataError
        A file that is not the one whose SHA-1 the table states.
    """
    by_name = {PurePosixPath(name).name: path for name, path in files.items()}
    listed = [PurePosixPath(name).name for name in table["file"]]
    absent = [name for name in listed if name not in by_name]
    beyond = sorted(set(by_name).difference(listed))
    if absent or beyond:
        raise AlignmentError(
            f"Table and archive of the images differ: {len(absent)} of {len(listed)} listed images have no file "
            f"({shorten(absent) or 'none'}), {len(beyond)} files are not listed ({shorten(beyond) or 'none'})."
        )
    found = {str(name): by_name[file] for name, file in zip(table.index, listed, strict=True)}
    stated = next((name for name in CHECKSUMS if name in table.columns), None)
    if stated is not None:
        wrong = [name for name, sha1 in table[stated].items() if digest_file(found[str(name)], "sha1") != sha1]
        if wrong:
            raise DataError(
                f"{len(wrong)} of {len(found)} images are not the listed ones, by their SHA-1: {shorten(wrong)}. "
                "Delete the archive and run 'isocortex fetch' to bring it again."
            )
    return found


class PublicImages(StimuliPlugin):
    """Images whose table and archive lie beside each other; ``options.category`` names the column of their category."""

    def load(self, files: DataFiles) -> StimulusSet:
        """Make the stimulus set, sorted by ID, which is the order in which recordings are averaged.

        Its table is that of the file, with the column ``category``, and ``truth`` where there is one.

        Raises
        ------
        AlignmentError, DataError
            Table and archive do not fit together, or an image is not the listed one.
        """
        from isocortex.data import StimulusSet

        listing = [name for name in files if name.lower().endswith(".csv")]
        if len(listing) != 1:
            raise DataError(f"{self.card.id}: expected one table of images, found {shorten(listing) or 'none'}.")
        table = read_stimulus_table(files[listing[0]])
        images = images_of(table, {name: path for name, path in files.items() if name not in listing})
        for name, choices in self.card.options.items():
            table[name] = _column(self.card.id, table, choices)
        return StimulusSet(self.card.id, self.card.modality, images, table=table.drop(columns="file"))


def _column(where: str, table: pd.DataFrame, choices: list[str]) -> pd.Series[str]:
    found = [name for name in choices if name in table.columns]
    if not found:
        raise DataError(
            f"The table of {where} has none of the columns {', '.join(choices)}; it has {shorten(table.columns, 30)}."
        )
    return table[found[0]].astype(str)
