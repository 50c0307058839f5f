"""Reading what the authors published: files by name, MATLAB variables without running anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isocortex.errors import DataError, shorten


def read_variables(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Read variables of a MATLAB file up to version 7.

    Parameters
    ----------
    path
        The file.
    names
        Variables that must be there.

    Returns
    -------
    Cell arrays as object arrays, every other variable with at least two dimensions.

    Raises
    ------
    DataError
        If the file cannot be read or lacks a variable.

    Examples
    --------
    >>> import tempfile
    >>> from scipy.io import savemat
    >>> path = Path(tempfile.mkdtemp()) / "r.mat"
    >>> savemat(path, {"R": np.eye(2)})
    >>> read_variables(path, ["R"])["R"].shape
    (2, 2)
    """
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=list(names))
    except Exception as error:  # scipy raises a dozen kinds of errors on damaged files
        raise DataError(
            f"{path.name} cannot be read as a MATLAB file up to version 7 ({error}). Copy or download it again."
        ) from error
    absent = [name for name in names if name not in content]
    if absent:
        raise DataError(f"{path.name} lacks the variable {shorten(absent)}. Expected {', '.join(names)}.")
    return {name: np.asarray(content[name]) for name in names}


def cell_texts(cells: NDArray[Any], where: str) -> tuple[str, ...]:
    """Return the text of each cell of a MATLAB cell array, nested or not, in MATLAB's order (columns first).

    Parameters
    ----------
    cells
        The cell array.
    where
        File and variable, for the message of an error.

    Raises
    ------
    DataError
        If a cell holds anything but one text.

    Examples
    --------
    >>> cells = np.empty((1, 2), dtype=object)
    >>> cells[0, 0], cells[0, 1] = np.array(["pitch"]), np.array([np.array(["music"])], dtype=object)
    >>> cell_texts(cells, "components.mat: component_names")
    ('pitch', 'music')
    """
    return tuple(_text(cell, where) for cell in cells.ravel(order="F"))


def _text(cell: object, where: str) -> str:
    while isinstance(cell, np.ndarray) and cell.size == 1:
        cell = cell.ravel()[0]
    if not isinstance(cell, str):
        found = f"an array of shape {cell.shape}" if isinstance(cell, np.ndarray) else type(cell).__name__
        raise DataError(f"{where}: expected a text in each cell, found {found}.")
    return str(cell)
