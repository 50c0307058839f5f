"""The responses in a data set folder: one file in any of the formats that are read, or one per participant.

What a file lacks is a gap. Gaps are refused, unless ``dataset.toml`` says what the data set is to do with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.data.dataset import make_responses
from isocortex.data.labels import label
from isocortex.data.response_checks import check_trials
from isocortex.data.suspect_columns import CONTINUOUS
from isocortex.errors import DataError, shorten
from isocortex.files.not_fetched import is_of_the_system
from isocortex.loading.array_containers import read_array, read_labels, the_one_array
from isocortex.loading.folder_arrays import about, read_netcdf, read_npy
from isocortex.loading.folder_settings import GAPS, SETTINGS_FILE
from isocortex.loading.folder_tables import header_of, read_numbers
from isocortex.loading.long_tables import LONG, read_long_table

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.data.stimuli import StimulusSet

NAME = "responses"
REFUSE = GAPS[0]

Settings = Mapping[str, Any]
Found = tuple["xr.DataArray", list[str]]


def read_responses(where: str, path: Path, stimuli: StimulusSet, settings: Settings) -> Found:
    """The responses in a folder, NaN where there is a gap, and warnings of what was not used or guessed.

    Parameters
    ----------
    where
        For messages: the name of the data set.
    settings
        Of ``dataset.toml``: ``variable`` names the array of a file with several; ``gaps``, where it is there and not
        "refuse", lets gaps be.

    Raises
    ------
    DataError
        There is no file of responses, or more than one; or it cannot be read, or has gaps that nothing was said of.
    """
    names = [f"{NAME}{ending}" for ending in RESPONSE_READERS]
    found = [name for name in names if is_there(path / name)]
    folder = path / NAME
    if folder.is_dir():
        found.append(f"{NAME}/")
    if len(found) != 1:
        raise DataError(f"{path} needs one of {', '.join(names)}, {NAME}/; found {shorten(found) or 'none'}.")
    read = _of_participants if found[0] == f"{NAME}/" else _of_a_file
    place = folder if read is _of_participants else path / found[0]
    responses, said = read(place, stimuli, settings)
    with about(place):
        responses = check_trials(where, responses)
        if settings.get("gaps", REFUSE) == REFUSE:
            refuse_missing(responses)
    return responses, said


def is_there(path: Path) -> bool:
    """Whether there is a file, or a link that stands for one that was not fetched."""
    return path.exists() or path.is_symlink()


def _of_a_file(path: Path, stimuli: StimulusSet, settings: Settings) -> Found:
    with about(path):
        return RESPONSE_READERS[path.suffix](path, stimuli, settings)


# --- one file per participant -----------------------------------------------------------------------------------------


def _of_participants(folder: Path, stimuli: StimulusSet, settings: Settings) -> Found:
    """The files of a folder side by side: a participant each, by whose name its neuroids are called."""
    import xarray as xr

    files = sorted(file for file in folder.iterdir() if not is_of_the_system(file.name))
    other = [file.name for file in files if file.suffix not in RESPONSE_READERS]
    if other or not files:
        found = f"found {shorten(other)}" if other else "it is empty"
        raise DataError(
            f"{folder} holds one file per participant ({', '.join(RESPONSE_READERS)}), named as these are; {found}."
        )
    names = [label(file.stem) for file in files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{folder} has several files for each of {shorten(twice)}. Leave one of them there.")
    parts: list[xr.DataArray] = []
    said: list[str] = []
    for name, file in zip(names, files, strict=True):
        responses, more = _of_a_file(file, stimuli, settings)
        with about(file):
            parts.append(_of_participant(name, responses))
        said += more
    return xr.concat(parts, "neuroid", join="outer").reset_index("trial").transpose("trial", "neuroid").rename(
        trial="presentation"
    ), said  # fmt: skip


def _of_participant(name: str, responses: xr.DataArray) -> xr.DataArray:
    import numpy as np
    import pandas as pd

    if "subject" in responses.coords and set(map(str, responses["subject"].values.ravel().tolist())) != {name}:
        raise DataError(f"Its neuroids have another subject than {name!r}, as the file is called.")
    ids = [f"{name}/{label(neuroid)}" for neuroid in responses["neuroid_id"].values.tolist()]
    stimulus = [label(one) for one in responses["stimulus_id"].values.tolist()]
    numbered = "repetition" in responses.coords
    repetition = responses["repetition"].values.tolist() if numbered else [0] * len(stimulus)
    trial = pd.MultiIndex.from_arrays([repetition, stimulus], names=["repetition", "stimulus_id"])
    if trial.has_duplicates:
        raise DataError(f"A stimulus and repetition is there more than once: {shorten(trial[trial.duplicated()])}.")
    kept = {
        str(key): ("neuroid", coordinate.values)
        for key, coordinate in responses.coords.items()
        if coordinate.dims == ("neuroid",)
    }
    return _array(
        np.asarray(responses.values, dtype=np.float64), trial, {**kept, "neuroid_id": ("neuroid", ids)}, name
    )  # fmt: skip


def _array(values: Any, trial: Any, coords: Mapping[str, Any], name: str) -> xr.DataArray:
    import xarray as xr

    subject = {"subject": ("neuroid", [name] * values.shape[1])}
    index = xr.Coordinates.from_pandas_multiindex(trial, "trial")
    return xr.DataArray(values, dims=("trial", "neuroid"), coords={**coords, **subject}).assign_coords(index)


# --- gaps -------------------------------------------------------------------------------------------------------------


def refuse_missing(responses: xr.DataArray) -> None:
    """Refuse checked responses that hold NaN, and count them.

    Raises
    ------
    DataError
        There are some; the message says what else could be done.
    """
    import numpy as np

    gaps = np.isnan(responses.values)
    if not gaps.any():
        return
    trials, neuroids = gaps.any(axis=1), gaps.any(axis=0)
    raise DataError(
        f"{int(gaps.sum())} of {gaps.size} responses are gaps, in {int(trials.sum())} of {gaps.shape[0]} trials and "
        f"{int(neuroids.sum())} of {gaps.shape[1]} neuroids: "
        f"{shorten(map(str, responses['neuroid_id'].values[neuroids]))}. Fill them, or say in {SETTINGS_FILE} what is "
        f"to be done: gaps = {', '.join(repr(word) for word in GAPS[1:])}."
    )


# --- formats ----------------------------------------------------------------------------------------------------------


def _from_csv(path: Path, stimuli: StimulusSet, settings: Settings) -> Found:
    import numpy as np
    import xarray as xr

    del stimuli
    gaps = settings.get("gaps", REFUSE) != REFUSE
    if LONG in header_of(path, "stimulus_id"):
        return read_long_table(path, gaps=gaps)
    table = read_numbers(path, gaps=gaps)
    timed = [name for name in table.names if name in CONTINUOUS]
    if timed:
        raise DataError(
            f"{path} has responses that go on in time ({shorten(timed)}), which are not scored yet and never averaged "
            "in silence. Average over time within each presentation, and leave these columns out."
        )
    on_presentation: dict[str, Any] = {"stimulus_id": ("presentation", np.array(table.stimulus_id, dtype=object))}
    if table.repetition is not None:
        on_presentation["repetition"] = ("presentation", np.array(table.repetition))
    coords = {**on_presentation, "neuroid_id": ("neuroid", table.names)}
    return xr.DataArray(table.values, dims=("presentation", "neuroid"), coords=coords), []


def _from_npy(path: Path, stimuli: StimulusSet, settings: Settings) -> Found:
    import numpy as np

    del settings
    return make_responses(np.array(read_npy(path)), _ids_in_order(path, stimuli)), []


def _from_netcdf(path: Path, stimuli: StimulusSet, settings: Settings) -> Found:
    del stimuli, settings
    return read_netcdf(path), []


def _from_container(path: Path, stimuli: StimulusSet, settings: Settings) -> Found:
    """One array of an HDF5 or MATLAB file, in the layout of ``responses.npy``, with labels of its own or none."""
    name = the_one_array(path, settings.get("variable"), NAME)
    ids = read_labels(path, "stimulus_id") or _ids_in_order(path, stimuli)
    neuroid_id = read_labels(path, "neuroid_id")
    values = read_array(path, name)
    if neuroid_id is not None and len(neuroid_id) != values.shape[-1]:
        raise DataError(
            f"{name!r} has the shape {values.shape}, and there are {len(neuroid_id)} labels in 'neuroid_id'. Expected "
            "(n_stimuli, n_neuroids) or (n_repetitions, n_stimuli, n_neuroids)."
        )
    return make_responses(values, ids, neuroid=None if neuroid_id is None else {"neuroid_id": neuroid_id}), []


def _ids_in_order(path: Path, stimuli: StimulusSet) -> list[str]:
    """IDs of the rows of an array that names none: those of ``stimuli.csv``."""
    folder = path.parent.parent if path.parent.name == NAME else path.parent
    if not is_there(folder / "stimuli.csv"):
        raise DataError(
            f"{path} has no stimulus IDs: {folder / 'stimuli.csv'} must list them in the order of its rows."
        )
    return list(stimuli.ids)


RESPONSE_READERS: dict[str, Callable[[Path, Any, Settings], Found]] = {
    ".csv": _from_csv,
    ".npy": _from_npy,
    ".nc": _from_netcdf,
    ".h5": _from_container,
    ".hdf5": _from_container,
    ".mat": _from_container,
}
