"""Cached activations of the Tuckute et al. 2023 release as folders that ``-m activations:FOLDER`` scores."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from isocortex.errors import AlignmentError, DataError, shorten
from isocortex.typing import Array
from isocortex_nh2015.pickled_tables import read_arrays
from isocortex_nh2015.sounds import canonical_order
from isocortex_nh2015.tuckute_models import PERMUTED, ReleasedModel, find_key, released_model

if TYPE_CHECKING:
    import h5py

Layers = Mapping[str, Array]

IN_HOUSE: Final = "natsound_activations"
_EXTERNAL: Final = "_activations"
_STIMULI: Final = "natsound165"


@dataclass(frozen=True)
class CachedModel:
    """One network of the release, trained or with permuted weights, and its files.

    Attributes
    ----------
    model
    permuted
    files
        One ``.h5``, or one ``.pkl`` per stimulus.
    """

    model: ReleasedModel
    permuted: bool
    files: tuple[Path, ...]

    @property
    def name(self) -> str:
        """Name of the folder of its activations."""
        return f"{self.model.shown}-permuted" if self.permuted else self.model.shown

    @property
    def by_stimulus(self) -> bool:
        """Whether there is one file per stimulus."""
        return self.files[0].suffix == ".pkl"


def listed_stimuli() -> tuple[str, ...]:
    """The 165 stimuli in canonical order, from the list of files of ``natsound165``."""
    listing = Path(__file__).parent / f"{_STIMULI}.csv"
    with listing.open(newline="", encoding="utf-8") as file:
        names = [PurePosixPath(row["name"]) for row in csv.DictReader(file)]
    return tuple(canonical_order([name.stem for name in names if name.suffix == ".wav"]))


def find_models(folder: Path) -> list[CachedModel]:
    """Find cached activations below a folder; the name of the folder that they lie in is the network's.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "Kell2018word"
    >>> folder.mkdir()
    >>> _ = (folder / "natsound_activations_randnetw.h5").write_bytes(b"")
    >>> [found.name for found in find_models(folder.parent)]
    ['CochCNN9-Word-permuted']
    """
    found: dict[tuple[Path, bool], list[Path]] = {}
    for path in sorted(folder.resolve().rglob(f"*{_EXTERNAL}*")):
        permuted = path.stem.endswith(PERMUTED)
        stem = path.stem.removesuffix(PERMUTED)
        in_house = path.suffix == ".h5" and stem == IN_HOUSE
        if path.is_file() and (in_house or (path.suffix == ".pkl" and stem.endswith(_EXTERNAL))):
            found.setdefault((path.parent, permuted), []).append(path)
    models: list[CachedModel] = []
    for (where, permuted), files in found.items():
        of_kind = [path for path in files if path.suffix == ".h5"] or files
        models.append(CachedModel(released_model(where.name), permuted, tuple(of_kind)))
    return models


# --- one file with every layer ----------------------------------------------------------------------------------------


def read_in_house(path: Path, keys: Mapping[str, str], n_stimuli: int) -> dict[str, Array]:
    """Read ``natsound_activations.h5``: ``layer_list`` and one dataset (n_stimuli, n_units) per layer.

    Parameters
    ----------
    path
        The file; rows are in the order of ``neural_stim_meta.npy``, which the file itself does not say.
    keys
        Layer to the name of its dataset; empty: every layer of ``layer_list``.
    n_stimuli
        Rows that every layer must have.

    Raises
    ------
    DataError
        If the file is damaged, has bytes in other files, or lacks a layer, or one has another shape.
    """
    import h5py

    from isocortex.files import check_hdf5

    check_hdf5(path)
    try:
        with h5py.File(path, "r") as file:
            wanted = keys or {name: name for name in _layer_list(file, path)}
            return {layer: _layer(file, name, n_stimuli, path) for layer, name in wanted.items()}
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, MemoryError) as error:
        raise DataError(f"{path} cannot be read as activations in HDF5 ({error}). Copy or unpack it again.") from error


def _layer_list(file: h5py.File, path: Path) -> list[str]:
    names = np.ravel(_dataset(file, "layer_list", path)[()])
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _layer(file: h5py.File, name: str, n_stimuli: int, path: Path) -> Array:
    found = _dataset(file, name, path)
    shape: tuple[int, ...] = found.shape or ()
    if len(shape) != 2 or shape[0] != n_stimuli or found.dtype.kind not in "fiu":
        raise DataError(
            f"{path}: expected numbers ({n_stimuli} stimuli, n_units) in {name!r}, found {found.dtype} of shape "
            f"{shape}."
        )
    return np.asarray(found[()])


def _dataset(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """A dataset of this file; links, which may lead into other files, are not followed."""
    import h5py

    parts = name.split("/")
    places = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    own = all(isinstance(file.get(place, getlink=True), h5py.HardLink) for place in places)
    found = file[name] if own else None
    if not isinstance(found, h5py.Dataset):
        raise DataError(f"{path} has no dataset {name!r}; it has {shorten(file, 12)}.")
    return found


# --- one file per stimulus --------------------------------------------------------------------------------------------


def read_external(files: Sequence[Path], keys: Mapping[str, str], ids: Sequence[str]) -> dict[str, Array]:
    """Read one pickled dictionary of vectors per stimulus, without unpickling it.

    Parameters
    ----------
    files
        ``<stimulus>_activations.pkl`` or ``<stimulus>_activations_randnetw.pkl``.
    keys
        Layer to its published key (see ``find_key``); empty: every key of the first file.
    ids
        The stimuli; rows come in their order.

    Returns
    -------
    Layer → activations (n_stimuli, n_units).

    Raises
    ------
    AlignmentError
        If a stimulus has no file, or a file is of none of the stimuli.
    DataError
        If a file is damaged, lacks a layer, or has another number of units than the others.
    """
    by_id = {path.stem.removesuffix(PERMUTED).removesuffix(_EXTERNAL): path for path in files}
    _same_stimuli(by_id, ids, str(files[0].parent))
    rows: dict[str, list[Array]] = {}
    names: dict[str, str] = {}
    for stimulus in ids:
        content = read_arrays(by_id[stimulus])
        where = str(by_id[stimulus])
        names = names or {
            layer: find_key(key, content, f"{where}, {layer}")
            for layer, key in (keys or {key: key for key in content}).items()
        }
        for layer, name in names.items():
            rows.setdefault(layer, []).append(_vector(content, name, where))
    return {layer: _stacked(layer, vectors, ids, str(files[0].parent)) for layer, vectors in rows.items()}


def _same_stimuli(found: Iterable[str], ids: Sequence[str], where: str) -> None:
    names = set(found)
    absent, unknown = [name for name in ids if name not in names], sorted(names - set(ids))
    if absent:
        raise AlignmentError(f"{where} lacks {len(absent)} of {len(ids)} stimuli: {shorten(absent)}.")
    if unknown:
        raise AlignmentError(f"{where} has files of {len(unknown)} unknown stimuli: {shorten(unknown)}.")


def _vector(content: Mapping[str, Array], name: str, where: str) -> Array:
    if name not in content:
        raise DataError(f"{where} lacks the key {name!r} that other files of the network have.")
    vector = content[name]
    if vector.ndim != 1 or not vector.size or vector.dtype.kind not in "fiu":
        raise DataError(f"{where}: expected a vector of numbers in {name!r}, found {vector.dtype} {vector.shape}.")
    return vector


def _stacked(layer: str, vectors: Sequence[Array], ids: Sequence[str], where: str) -> Array:
    n_units = len(vectors[0])
    other = [name for name, vector in zip(ids, vectors, strict=True) if len(vector) != n_units]
    if other:
        raise DataError(f"{where}, {layer}: {ids[0]} has {n_units} units, others have more or fewer: {shorten(other)}.")
    return np.stack(vectors)


# --- as isocortex keeps them ------------------------------------------------------------------------------------------


def read_cached(cached: CachedModel, rows: Sequence[str] | None, ids: Sequence[str]) -> dict[str, Array]:
    """Activations of a network, rows in the order of ``ids``.

    Parameters
    ----------
    cached
        The network.
    rows
        Stimulus of each row of the arrays of the release; in-house files need it, because they name no stimuli.
    ids
        The stimuli.

    Raises
    ------
    AlignmentError, DataError
        As ``read_in_house`` and ``read_external``; and if ``rows`` are needed and absent, or of other stimuli.
    """
    if cached.by_stimulus:
        return read_external(cached.files, cached.model.keys, ids)
    if rows is None:
        raise DataError(
            f"{cached.files[0]} does not name its stimuli: their order is in neural/NH2015/neural_stim_meta.npy of "
            "data.tar. Run 'isocortex import tuckute data.tar' first, or name a folder that holds both."
        )
    _same_stimuli(rows, ids, "neural_stim_meta.npy")
    place = {name: row for row, name in enumerate(rows)}
    order = [place[name] for name in ids]
    layers = read_in_house(cached.files[0], cached.model.keys, len(rows))
    return {layer: values[order] for layer, values in layers.items()}


def write_activations(folder: Path, layers: Layers, ids: Sequence[str], about: Mapping[str, Any]) -> None:
    """Write layers as ``isocortex extract`` does, whole or not at all; what was there before is replaced.

    Parameters
    ----------
    folder
        Where ``-m activations:FOLDER`` finds them.
    layers
        Layer → activations (n_stimuli, n_units), in processing order.
    ids
        The stimulus of each row.
    about
        What ``activations.json`` says beside layers and stimuli.

    Raises
    ------
    DataError
        If a value is not finite.
    StoreError
        If the folder cannot be written.
    """
    from isocortex.activations import ActivationFolder
    from isocortex.files import check_space, digest_of, whole_folder

    for layer, values in layers.items():
        bad = [name for name, row in zip(ids, values, strict=True) if not np.isfinite(row).all()]
        if bad:
            raise DataError(f"{folder.name}, {layer}: values of {len(bad)} stimuli are not finite: {shorten(bad)}.")
    check_space(folder, sum(4 * values.size for values in layers.values()), f"Activations of {folder.name}")
    with whole_folder(folder) as new:
        kept = ActivationFolder(new, tuple(ids), chunk_size=len(ids), key=digest_of([dict(about), list(ids)]))
        for layer, values in layers.items():
            for chunk in range(kept.n_chunks):
                kept.write(layer, chunk, values[list(kept.members(chunk))].astype(np.float32), None)
        kept.describe(dict(about), list(layers))
