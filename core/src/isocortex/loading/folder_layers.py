"""The layers of a folder of activations: what ``isocortex extract`` writes, or files of one layer each, or of several.

An HDF5 or MATLAB file with several arrays over the stimuli holds a layer in each, called FILE.ARRAY.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.activations.folder import ActivationFolder
from isocortex.activations.layer import Activations
from isocortex.data.numbers import FEW_STEPS, few_digits
from isocortex.data.suspect_columns import book_keeping
from isocortex.errors import DataError, UsageError, shorten
from isocortex.files.not_fetched import is_of_the_system
from isocortex.loading.array_containers import ENDINGS, arrays_in, read_array, read_labels
from isocortex.loading.folder_arrays import about, read_netcdf, read_npy
from isocortex.loading.folder_tables import read_lines, read_numbers

if TYPE_CHECKING:
    from isocortex.typing import Array

LISTING = "activations.json"
IDS_FILE = "stimulus_id.txt"
#: endings of files that hold numbers too, and are not read
_NOT_READ = frozenset(
    [
        ".npz",
        ".pkl",
        ".pickle",
        ".pt",
        ".pth",
        ".parquet",
        ".feather",
        ".tsv",
        ".txt",
        ".xlsx",
        ".xls",
        ".json",
    ]
)

Openers = dict[str, Callable[[], Activations]]


def layers_of(path: Path) -> Openers:
    """Layers in order of their names, numbers by value, and what opens each; nothing is read yet.

    Raises
    ------
    UsageError
        The folder is none.
    DataError
        ``activations.json`` is not what ``isocortex extract`` writes, or two files are of one layer.
    """
    if not path.is_dir():
        raise UsageError(f"{path} is not a folder.")
    if (path / LISTING).exists():
        return _listed(path)
    endings = (*ACTIVATION_READERS, *ENDINGS)
    files = [file for file in path.iterdir() if file.suffix in endings and not is_of_the_system(file.name)]
    found = [item for file in sorted(files, key=_natural) for item in _layers_in(file)]
    twice = [name for name, count in Counter(name for name, _ in found).items() if count > 1]
    if twice:
        raise DataError(f"{path} has several files for each of the layers {shorten(twice)}. Leave one of them there.")
    return dict(found)


def _layers_in(path: Path) -> list[tuple[str, Callable[[], Activations]]]:
    """Layers of one file, and what opens each."""
    if path.suffix not in ENDINGS:
        return [(path.stem, lambda: ACTIVATION_READERS[path.suffix](path))]
    names = _arrays_over_stimuli(path)
    layers = [path.stem] if len(names) == 1 else [f"{path.stem}.{name.replace('/', '.')}" for name in names]
    return [
        (layer, lambda layer=layer, name=name: _activations_in(path, layer, name))
        for layer, name in zip(layers, names, strict=True)
    ]


def _arrays_over_stimuli(path: Path) -> list[str]:
    """Names of the arrays of a file that may be layers: of several, those with a row for each stimulus."""
    found = arrays_in(path)
    n_stimuli = len(_ids_beside(path)) if len(found) > 1 else 0
    return [name for name, shape in found.items() if shape[0] == n_stimuli] or list(found)


def _listed(path: Path) -> Openers:
    """Layers that ``isocortex extract`` wrote."""
    kept = ActivationFolder.at(path)
    return {layer: lambda layer=layer: kept.open(layer) for layer in kept.listed}


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"([0-9]+)", path.stem)
    return [(int(part), "") if part.isascii() and part.isdigit() else (-1, part) for part in parts]


# --- one file per layer -----------------------------------------------------------------------------------------------


def _activations_npy(path: Path) -> Activations:
    return _over_stimuli(path, path.stem, read_npy(path))


def _activations_in(path: Path, layer: str, name: str) -> Activations:
    """A layer that is an array of a file with arrays by name."""
    return _over_stimuli(path, layer, read_array(path, name))


def _over_stimuli(path: Path, layer: str, values: Array) -> Activations:
    ids = _ids_beside(path)
    if values.ndim and len(ids) != len(values):
        raise DataError(f"{path} has {len(values)} rows in {layer!r} and {len(ids)} IDs. Write one ID per row.")
    with about(path):
        return Activations(layer, ids, [values])


def _ids_beside(path: Path) -> list[str]:
    """IDs of the rows of an array: the labels ``stimulus_id`` in its file, or the lines of a file beside it."""
    named = read_labels(path, "stimulus_id") if path.suffix in ENDINGS else None
    listing = path.with_name(IDS_FILE)
    if named is None and not listing.exists() and not listing.is_symlink():
        raise DataError(
            f"{path} has no stimulus IDs: write them into {listing}, one per line, in the order of the rows."
        )
    return read_lines(listing) if named is None else named


def _activations_csv(path: Path) -> Activations:
    table = read_numbers(path)
    if table.repetition is not None:
        raise DataError(f"{path} has the column 'repetition': activations have one row per stimulus. Leave it out.")
    named = book_keeping(table.names)
    said = f"{len(named)} of {len(table.names)} units of {path.name} are named as columns that keep the books of an "
    warnings = [f"{said}experiment: {shorten(named)}. Leave out what is no activation."] if named else []
    with about(path):
        return Activations(path.stem, table.stimulus_id, [table.values], units=table.names, warnings=warnings)


def _activations_nc(path: Path) -> Activations:
    with about(path):
        return Activations.from_xarray(read_netcdf(path), path.stem)


ACTIVATION_READERS: dict[str, Callable[[Path], Activations]] = {
    ".npy": _activations_npy,
    ".csv": _activations_csv,
    ".nc": _activations_nc,
}


def said_of_folder(path: Path) -> list[str]:
    """Warnings of what lies in a folder of files: what is not read, and what is odd about what is."""
    if (path / LISTING).exists():
        return []
    files = [file for file in path.iterdir() if file.is_file() and not is_of_the_system(file.name)]
    other = [file.name for file in files if file.suffix.lower() in _NOT_READ and file.name != IDS_FILE]
    said = [f"{len(other)} files in {path.name} are not read as layers: {shorten(sorted(other))}."] if other else []
    for file in sorted(file for file in files if file.suffix in ENDINGS):
        unread = sorted(set(arrays_in(file)).difference(_arrays_over_stimuli(file)))
        said += [f"{len(unread)} arrays in {file.name} have no row per stimulus: {shorten(unread)}."] if unread else []
    for open_layer in layers_of(path).values():
        try:
            activations = open_layer()
            said += activations.warnings
            said += _said_of_digits(activations)
        except DataError:
            continue  # said where the layer is used
    return said


def _said_of_digits(activations: Activations) -> list[str]:
    """A warning of units whose digits were gone before they were saved."""
    if activations.dtype.kind != "f":
        return []
    count, varies = 0, False
    for block in activations.blocks():
        count += len(few_digits(block))
        varies = varies or bool((block != block[:1]).any())
    if not varies:
        return [f"No unit of {activations.layer!r} varies over its {activations.shape[0]} stimuli."]
    if not count:
        return []
    return [
        f"{count} of {activations.n_units} units of {activations.layer!r} vary by less than {FEW_STEPS} steps of "
        f"{activations.dtype}: an offset has taken their digits. Subtract it before they are saved."
    ]
