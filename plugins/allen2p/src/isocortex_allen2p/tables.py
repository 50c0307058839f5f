"""The tables of the published tutorial: what is known of cells, and their mean response to each image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from isocortex.errors import AlignmentError, DataError, shorten
from isocortex.typing import Array
from isocortex_allen2p.cells import CellTable

if TYPE_CHECKING:
    import pandas as pd

CELL: Final = "cell_specimen_id"
AREA, DEPTH, RELIABILITY, RUNNING = "cortical_area", "cortical_layer", "splithalf_reliability", "significant_running"
SELECTIVE: Final = "image_selective"
#: what a table may call the grey screen
_BLANK: Final = ("-1", "-1.0", "blank")
_FLAGS: Final = {"True": "yes", "False": "no", "1": "yes", "0": "no", "1.0": "yes", "0.0": "no", "": ""}


@dataclass(frozen=True)
class Responses:
    """Mean responses of cells.

    Attributes
    ----------
    cell_id
        (n_cells,).
    image
        (n_images,) names of the columns.
    values
        (n_cells, n_images) float64.
    """

    cell_id: tuple[str, ...]
    image: tuple[str, ...]
    values: Array


def read_responses(path: Path) -> Responses:
    """Read a table with a row for each cell and a column for each image.

    Raises
    ------
    DataError
        The file is damaged, has no column ``cell_specimen_id``, a cell twice, or something else than numbers.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "cell_response_average.csv"
    >>> _ = path.write_text("cell_specimen_id,0,1\\n517394843,0.5,0.25\\n")
    >>> read_responses(path)
    Responses(cell_id=('517394843',), image=('0', '1'), values=array([[0.5 , 0.25]]))
    """
    table = _read(path)
    columns = [name for name in table.columns if name != CELL and not name.startswith("Unnamed")]
    try:
        values = table[columns].replace("", np.nan).to_numpy(dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise DataError(f"{path.name}: expected numbers in every column but {CELL} ({error}).") from error
    if not columns or not len(table):
        raise DataError(f"{path.name}: expected a row for each cell and a column for each image, found {table.shape}.")
    return Responses(tuple(table[CELL]), tuple(columns), values)


def read_cells(path: Path) -> tuple[CellTable, list[str]]:
    """Read what is known of cells, and say which columns are not used.

    Raises
    ------
    DataError
        The file is damaged, lacks a column, has a cell twice, or a value that its column cannot have.
    """
    table = _read(path)
    absent = [name for name in (AREA, RELIABILITY, RUNNING) if name not in table.columns]
    if absent:
        raise DataError(f"{path.name} lacks the columns {shorten(absent)}; it has {shorten(table.columns, 20)}.")
    without = [name for name, area in zip(table[CELL], table[AREA], strict=True) if not area]
    if without:
        raise DataError(f"{path.name}: {len(without)} cells have no {AREA}: {shorten(without)}.")
    try:
        reliability = table[RELIABILITY].replace("", np.nan).to_numpy(dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise DataError(f"{path.name}: expected numbers in {RELIABILITY} ({error}).") from error
    above = [name for name, value in zip(table[CELL], reliability, strict=True) if value > 1]
    if above:  # 2r / (1 + r) goes far below −1, but never above 1
        raise DataError(f"{path.name}: {RELIABILITY} of {len(above)} cells is above 1: {shorten(above)}.")
    also = {"image_selective": list(_flags(path, table, SELECTIVE))} if SELECTIVE in table.columns else {}
    depth = tuple(table[DEPTH]) if DEPTH in table.columns else ("",) * len(table)
    used = {CELL, AREA, DEPTH, RELIABILITY, RUNNING, SELECTIVE}
    unused = [name for name in table.columns if name not in used and not name.startswith("Unnamed")]
    said = [f"{path.name}: the columns {shorten(unused, 20)} are not used."] if unused else []
    cells = CellTable(tuple(table[CELL]), tuple(table[AREA]), depth, reliability, _flags(path, table, RUNNING), also)
    return cells, said


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, na_filter=False)
    except (OSError, ValueError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise DataError(f"{path.name} cannot be read as a table ({error}). Copy it again.") from error
    table = table.rename(columns=str).replace(["nan", "NaN", "None"], "")
    if CELL not in table.columns:
        raise DataError(f"{path.name} has no column {CELL}; it has {shorten(table.columns)}.")
    table[CELL] = [name.removesuffix(".0") for name in table[CELL]]
    twice = table[CELL][table[CELL].duplicated()].tolist()
    if twice or "" in set(table[CELL]):
        raise DataError(f"{path.name}: expected each cell once, found {shorten(twice) or 'one without a name'}.")
    return table


def _flags(path: Path, table: pd.DataFrame, column: str) -> tuple[str, ...]:
    other = sorted(set(table[column]) - set(_FLAGS))
    if other:
        raise DataError(f"{path.name}: expected True or False in {column}, found {shorten(other)}.")
    return tuple(_FLAGS[value] for value in table[column])


# --- tables that belong together --------------------------------------------------------------------------------------


def of_images(responses: Responses, path: Path, blank: list[bool]) -> tuple[Array, list[str]]:
    """Responses with a column for each image, in the order of the images, and what was made of the columns.

    Columns meet images by their order: nothing in the files names an image. A column that is called −1 is the blank. It
    must stand where the blank image stands; where there is no blank image it is left out.

    Parameters
    ----------
    responses
        As they were read.
    path
        Their file, for messages.
    blank
        For each image whether it is one grey throughout.

    Returns
    -------
    (n_cells, n_images), and warnings.

    Raises
    ------
    AlignmentError
        Another number of columns than of images, or a blank in another place.
    """
    named = [place for place, name in enumerate(responses.image) if name in _BLANK]
    places = list(range(len(responses.image)))
    said: list[str] = []
    if len(named) == 1 and not any(blank) and len(places) == len(blank) + 1:
        places.remove(named[0])
        said.append(f"{path.name}: the column {responses.image[named[0]]}, the blank, has no image and was left out.")
    elif named and any(blank) and [blank[place] for place in named if place < len(blank)] != [True]:
        raise AlignmentError(
            f"{path.name}: the blank is column {named[0]} ({responses.image[named[0]]!r}), and image "
            f"{blank.index(True)} is one grey throughout. Columns and images are in different orders, or of others."
        )
    if len(places) != len(blank):
        grey = [place for place, is_blank in enumerate(blank) if is_blank]
        raise AlignmentError(
            f"{path.name} has {len(places)} columns of responses, and there are {len(blank)} images"
            + (f", of which number {shorten(grey)} is one grey throughout (the blank)" if grey else "")
            + ". Columns meet images by their order, so that there must be as many: leave out of one what the other "
            "has not."
        )
    said.append(f"{path.name}: {len(places)} columns meet the images by their order, as published; no file names them.")
    return responses.values[:, places], said


def join(
    cells: CellTable, cells_path: Path, files: Mapping[Path, Responses]
) -> tuple[list[Array], CellTable, list[str]]:
    """Cells of all tables, in the order of the table that describes them.

    Parameters
    ----------
    cells
        What is known of cells.
    cells_path
        Its file.
    files
        Responses by their file.

    Returns
    -------
    Rows of each table of responses, for the cells that are left; these cells; and what was left out.

    Raises
    ------
    AlignmentError
        A described cell without responses: the tables are of different cells.
    """
    said: list[str] = []
    complete = np.ones(len(cells.cell_id), dtype=bool)
    rows: list[Array] = []
    for path, responses in files.items():
        place = {name: number for number, name in enumerate(responses.cell_id)}
        absent = [name for name in cells.cell_id if name not in place]
        if absent:
            raise AlignmentError(
                f"{path.name} has no responses of {len(absent):,} of the {len(cells.cell_id):,} cells that "
                f"{cells_path.name} describes ({shorten(absent)}): it is of other cells."
            )
        beyond = len(place) - len(cells.cell_id)
        if beyond:
            said.append(f"{path.name}: {beyond:,} cells that {cells_path.name} does not describe were left out.")
        found = np.array([place[name] for name in cells.cell_id])
        complete &= np.isfinite(responses.values[found]).all(axis=1)
        rows.append(found)
    if not complete.all():
        gaps = [name for name, whole in zip(cells.cell_id, complete, strict=True) if not whole]
        said.append(f"{len(gaps):,} cells have no response to some image and were left out: {shorten(gaps)}.")
    return [found[complete] for found in rows], cells.among(complete), said
