"""Reading MATLAB struct arrays without running anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isocortex.errors import DataError, shorten


def read_structs(path: Path, variable: str, fields: Sequence[str]) -> list[dict[str, NDArray[Any]]]:
    """Read a struct array of a MATLAB file up to version 7, in MATLAB's order (first index fastest).

    Parameters
    ----------
    path
        The file.
    variable
        Name of the struct array.
    fields
        Fields that every struct must have.

    Returns
    -------
    One dictionary per struct, field to array.

    Raises
    ------
    DataError
        If the file cannot be read, or the variable is absent, no struct array, or lacks a field.

    Examples
    --------
    >>> import tempfile
    >>> from scipy.io import savemat
    >>> path = Path(tempfile.mkdtemp()) / "models.mat"
    >>> savemat(path, {"Models": {"name": "animacy", "RDM": np.zeros((2, 2))}})
    >>> read_structs(path, "Models", ["name", "RDM"])[0]["RDM"].shape
    (2, 2)
    """
    structs = _read_variable(path, variable)
    if structs.dtype.names is None:
        raise DataError(f"{path.name}: expected {variable} to be a struct array, found {structs.dtype}.")
    absent = [field for field in fields if field not in structs.dtype.names]
    if absent or not structs.size:
        found = f"{structs.size} structs with {shorten(structs.dtype.names, 10)}"
        raise DataError(f"{path.name}: expected {variable} to have the fields {', '.join(fields)}; found {found}.")
    return [dict(zip(fields, values, strict=True)) for values in _values(structs, fields)]


def _values(structs: NDArray[Any], fields: Sequence[str]) -> Iterator[list[NDArray[Any]]]:
    columns = [structs[field].ravel(order="F") for field in fields]
    return ([np.asarray(column[place]) for column in columns] for place in range(structs.size))


def _read_variable(path: Path, variable: str) -> NDArray[Any]:
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=[variable])
    except Exception as error:  # scipy raises a dozen kinds of errors on damaged files
        raise DataError(
            f"{path.name} cannot be read as a MATLAB file up to version 7 ({error}). Copy or download it again."
        ) from error
    if variable not in content:
        raise DataError(f"{path.name} lacks the variable {variable}. It is another file than expected.")
    return np.asarray(content[variable])


def as_text(value: NDArray[Any], where: str) -> str:
    """Return the one text in a field.

    Raises
    ------
    DataError
        If the field holds anything else.

    Examples
    --------
    >>> as_text(np.array(["human face"]), "category")
    'human face'
    """
    if value.size != 1 or value.dtype.kind != "U":
        raise DataError(f"{where}: expected one text, found {value.dtype} of shape {value.shape}.")
    return str(value.ravel()[0])


def as_flag(value: NDArray[Any], where: str) -> int:
    """Return the one 0 or 1 in a field.

    Raises
    ------
    DataError
        If the field holds anything else.

    Examples
    --------
    >>> as_flag(np.array([[1]], dtype=np.uint8), "human")
    1
    """
    if value.size != 1 or value.ravel()[0] not in (0, 1):
        raise DataError(f"{where}: expected one 0 or 1, found {value.dtype} of shape {value.shape}.")
    return int(value.ravel()[0])
