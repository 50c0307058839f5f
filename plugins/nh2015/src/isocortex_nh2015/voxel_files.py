"""Reading voxels from the files of the Tuckute et al. 2023 release: arrays, stimuli of rows, descriptions of voxels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from isocortex.errors import AlignmentError, DataError, shorten
from isocortex.typing import Array
from isocortex_nh2015.pickled_tables import read_arrays, read_frame
from isocortex_nh2015.reading import cell_texts, read_variables

if TYPE_CHECKING:
    import pandas as pd


N_SCANS: Final = 3
REGIONS: Final = ("Primary", "Lateral", "Posterior", "Anterior")
FUNCTIONAL: Final = ("tonotopic", "pitch", "music", "speech")
RELIABILITIES: Final = ("kell_r_reliability", "pearson_r_reliability")
POSITION: Final = ("subj_idx", "hemi", "x_ras", "y_ras")
INSIDE: Final = "inside"
_DESCRIBED: Final = ("voxel_id", *POSITION, *RELIABILITIES, "roi_label_specific", "roi_label_general")


def read_array(path: Path, fields: tuple[str, ...] = ()) -> Array:
    """Map an array of a ``.npy`` file into memory; nothing pickled is read.

    Parameters
    ----------
    path
        The file.
    fields
        Fields that each of its records must have.

    Raises
    ------
    DataError
        If the file is damaged, holds objects, or lacks a field.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "voxel_features_meta.npy"
    >>> np.save(path, np.arange(3))
    >>> read_array(path).shape
    (3,)
    """
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise DataError(f"{path} cannot be read as an array ({error}). Copy or unpack it again.") from error
    if not isinstance(values, np.ndarray):
        raise DataError(f"{path} holds several arrays; expected one array as numpy.save writes it.")
    absent = [name for name in fields if name not in (values.dtype.names or ())]
    if absent:
        raise DataError(
            f"{path}: expected records with {', '.join(fields)}; {shorten(absent)} are not in {values.dtype}."
        )
    return cast("Array", values)


def read_stimulus_order(path: Path) -> tuple[str, ...]:
    """Read ``neural_stim_meta.npy``: the stimulus of each row of every array of the release.

    Raises
    ------
    DataError
        If a record has no ``filename`` that ends with ``.wav``, or a stimulus occurs twice.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "neural_stim_meta.npy"
    >>> np.save(path, np.array([(b"stim5_alarm_clock.wav", 5)], dtype=[("filename", "S40"), ("id", "i4")]))
    >>> read_stimulus_order(path)
    ('stim5_alarm_clock',)
    """
    names = [_text(name) for name in read_array(path, ("filename",))["filename"].ravel()]
    other = [name for name in names if not name.endswith(".wav")]
    if other:
        raise DataError(f"{path}: expected file names that end with .wav, found {shorten(other)}.")
    ids = tuple(name.removesuffix(".wav") for name in names)
    _refuse_twice(ids, f"{path}: stimuli")
    return ids


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _refuse_twice(names: Iterable[object], what: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{what} must be unique; found more than once: {shorten(twice)}.")


def read_stimulus_names(path: Path) -> tuple[str, ...]:
    """Read the stimulus of each row of B2021 from ``stim_info_v4.mat``: 165 sounds of NH2015, then others.

    Raises
    ------
    DataError
        If the file cannot be read or has no ``stim_info.stim_names``.
    """
    info = read_variables(path, ["stim_info"])["stim_info"]
    if info.dtype.names is None or "stim_names" not in info.dtype.names or info.size != 1:
        raise DataError(f"{path}: expected one struct stim_info with the field stim_names, found {info.dtype}.")
    cells = np.asarray(info["stim_names"].ravel()[0])
    return tuple(name.removesuffix(".wav") for name in cell_texts(cells, f"{path.name}: stim_info.stim_names"))


def read_voxels(path: Path, voxel_id: Array, also: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read ``df_roi_meta.pkl``, one row for each of the named voxels, in their order.

    Parameters
    ----------
    path
        The table; rows in any order.
    voxel_id
        (n_voxels,), the voxels whose responses there are.
    also
        Further columns that must be there.

    Returns
    -------
    Rows in the order of ``voxel_id``.

    Raises
    ------
    DataError
        If the table lacks a column, or describes a voxel twice.
    AlignmentError
        If the table describes other voxels.
    """
    table = read_frame(path)
    absent = [name for name in (*_DESCRIBED, *also) if name not in table.columns]
    if absent:
        raise DataError(f"{path} lacks the columns {shorten(absent)}; it has {shorten(table.columns, 30)}.")
    described = table["voxel_id"].tolist()
    wanted = np.asarray(voxel_id).tolist()
    _refuse_twice(described, f"{path}: voxels")
    _refuse_twice(wanted, f"voxels of {path.parent.name}")
    place = {name: row for row, name in enumerate(described)}
    without = [name for name in wanted if name not in place]
    beyond = [name for name in described if name not in set(wanted)] if len(described) != len(wanted) else []
    if without or beyond:
        raise AlignmentError(
            f"{path} describes {len(described)} voxels, the responses are of {len(wanted)}: {len(without)} are not "
            f"described ({shorten(without) or 'none'}), {len(beyond)} have no responses ({shorten(beyond) or 'none'})."
        )
    return table.iloc[[place[name] for name in wanted]].reset_index(drop=True)


def scans_of(values: Array, n_stimuli: int, kept: Array, where: str) -> NDArray[np.floating[Any]]:
    """Responses of some voxels to the first stimuli, scan by scan.

    Parameters
    ----------
    values
        (n_rows, n_voxels, 3), stimulus × voxel × scan; may be mapped from a file.
    n_stimuli
        Rows to take.
    kept
        (n_voxels,), voxels to take.
    where
        Name of the file, for the message of an error.

    Returns
    -------
    (3, n_stimuli, n_kept), double precision where the file has it, else single.

    Raises
    ------
    DataError
        If the array is no such array.

    Examples
    --------
    >>> scans_of(np.arange(12.0).reshape(2, 2, 3), 1, np.array([False, True]), "demo").tolist()
    [[[3.0]], [[4.0]], [[5.0]]]
    """
    if values.ndim != 3 or values.shape[1:] != (len(kept), N_SCANS) or values.dtype.kind != "f":
        raise DataError(
            f"{where}: expected real numbers (n_stimuli, {len(kept)} voxels, {N_SCANS} scans), found {values.dtype} of "
            f"shape {values.shape}."
        )
    if len(values) < n_stimuli:
        raise DataError(f"{where}: expected {n_stimuli} rows, found {len(values)}.")
    dtype = np.float64 if values.dtype.itemsize == 8 else np.float32
    scans = np.empty((N_SCANS, n_stimuli, int(kept.sum())), dtype=dtype)
    for number in range(N_SCANS):
        scans[number] = values[:n_stimuli, :, number][:, kept]
    return scans


def coordinates_of(table: pd.DataFrame, dataset: str, functional: tuple[str, ...] = ()) -> dict[str, list[Any]]:
    """Coordinates of voxels: who, where, in which regions and how reliable.

    Parameters
    ----------
    table
        As ``read_voxels`` gives it.
    dataset
        Begins every ``neuroid_id``.
    functional
        Columns of 0 and 1 that become coordinates with the values "inside" and "".

    Raises
    ------
    DataError
        If a region, hemisphere or mask has a value that it cannot have.
    """
    regions = [name if isinstance(name, str) else "" for name in table["roi_label_general"]]
    hemispheres = [str(name) for name in table["hemi"]]
    _refuse_other(regions, ("", *REGIONS), f"{dataset}: roi_label_general")
    _refuse_other(hemispheres, ("lh", "rh"), f"{dataset}: hemi")
    found: dict[str, list[Any]] = {
        "neuroid_id": [f"{dataset}.{int(number)}" for number in table["voxel_id"]],
        "subject": [f"s{int(number)}" for number in table["subj_idx"]],
        "region": regions,
        "area": [name if isinstance(name, str) else "" for name in table["roi_label_specific"]],
        "hemisphere": hemispheres,
        **{name: table[name].astype(int).tolist() for name in ("x_ras", "y_ras", "voxel_id")},
        **{name: table[name].astype(float).tolist() for name in RELIABILITIES},
    }
    for name in functional:
        _refuse_other([float(mask) for mask in table[name]], (0.0, 1.0), f"{dataset}: {name}")
        found[name] = [INSIDE if mask else "" for mask in table[name]]
    return found


def _refuse_other(found: list[Any], known: tuple[Any, ...], what: str) -> None:
    other = sorted({str(value) for value in found if value not in known})
    if other:
        raise DataError(f"{what}: expected {', '.join(map(repr, known))}, found {shorten(other)}.")


def compare_positions(voxels: Array, table: pd.DataFrame) -> None:
    """Compare participant, hemisphere and coordinates of voxels as the array's records and the table have them.

    Raises
    ------
    AlignmentError
        If they differ: then they are of different releases.
    """
    for name in POSITION:
        of_array = [_text(value) if name == "hemi" else int(value) for value in voxels[name]]
        of_table = [_text(value) if name == "hemi" else int(value) for value in table[name]]
        differ = [voxel for voxel, one, two in zip(table["voxel_id"], of_array, of_table, strict=True) if one != two]
        if differ:
            raise AlignmentError(
                f"voxel_features_meta.npy and df_roi_meta.pkl of NH2015 differ in {name} of {len(differ)} voxels: "
                f"{shorten(differ)}. They are of different releases."
            )


def compare_masks(path: Path, table: pd.DataFrame) -> None:
    """Compare the functional regions of ``roi_masks.cpy``, rows in the order of the table, with those of the table.

    Raises
    ------
    DataError
        If the file holds other than masks of these voxels.
    AlignmentError
        If a region differs.
    """
    content = read_arrays(path)
    masks, names = content.get("masks"), content.get("mask_names")
    if masks is None or names is None or masks.shape != (len(table), len(names)):
        raise DataError(
            f"{path}: expected masks of {len(table)} voxels and their mask_names, found {shorten(content)}."
        )
    for number, name in enumerate(map(_text, names.ravel().tolist())):
        if name in table.columns and (masks[:, number].astype(bool) != table[name].to_numpy().astype(bool)).any():
            raise AlignmentError(f"{path} and df_roi_meta.pkl of NH2015 differ in the region {name!r}.")
