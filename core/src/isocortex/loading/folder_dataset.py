"""A folder is a data set: no package and no line of Python needed.

A data set folder::

    stimuli/            sounds or images; the file name without its ending is the stimulus_id
    stimuli.csv         optional: stimulus_id and further columns (category, …); its order is the canonical order
    responses.csv       stimulus_id[, repetition], then one column per neuroid; or responses.npy, responses.nc
    neuroids.csv        optional: neuroid_id and further columns (region, subject, …)
    dataset.toml        optional: id, modality, units, licence, reference; [benchmark] reduction, settings, select, …
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.catalogue.cards import BenchmarkCard, DatasetCard, StimuliCard
from isocortex.errors import DataError, UsageError, shorten
from isocortex.files.disk import home_expanded_name
from isocortex.files.file_store import DataFiles
from isocortex.interfaces import DatasetPlugin, StimuliPlugin

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from isocortex.data.dataset import Dataset
    from isocortex.data.stimuli import StimulusSet

SETTINGS_FILE = "dataset.toml"
_DEFAULT_REDUCTION = {"audio": "time-mean"}
FOLDER_PACKAGE = "folder"


# --- a folder as a data set -------------------------------------------------------------------------------------------


def folder_benchmark(name: str) -> BenchmarkCard:
    """The benchmark ``folder:PATH:METRIC``.

    Raises
    ------
    UsageError
        The name lacks a part, or ``dataset.toml`` holds what is not understood.
    """
    where, _, metric = home_expanded_name(name).removeprefix("folder:").rpartition(":")
    if not where or not metric or "/" in metric:
        raise UsageError(f"{name!r} lacks a part. Expected folder:PATH:METRIC, for example folder:mydata:ridge.")
    content = _settings(Path(where))
    card: dict[str, Any] = {
        "reduction": _DEFAULT_REDUCTION.get(_modality(Path(where)), "flatten"),
        **content.get("benchmark", {}),
    }
    identity = f"{_identity(Path(where))}.{metric}"
    try:
        return BenchmarkCard(id=identity, dataset=f"folder:{where}", metric=metric, package=FOLDER_PACKAGE, **card)
    except (TypeError, ValueError) as error:
        raise UsageError(f"[benchmark] of {Path(where) / SETTINGS_FILE} is not valid: {error}") from error


def folder_dataset(name: str) -> DatasetCard:
    """The data set ``folder:PATH``."""
    path = Path(home_expanded_name(name).removeprefix("folder:"))
    about = {key: str(value) for key, value in _settings(path).items() if key in ("licence", "reference", "title")}
    return DatasetCard(
        id=_identity(path),
        object="isocortex.loading.folder_dataset:FolderDataset",
        stimuli=name,
        package=FOLDER_PACKAGE,
        options={"path": str(path)},
        **about,  # pyright: ignore[reportArgumentType]
    )


def folder_stimuli(name: str) -> StimuliCard:
    """The stimuli of ``folder:PATH``: a data set's folder, or a folder of sounds or images."""
    path = Path(home_expanded_name(name).removeprefix("folder:"))
    return StimuliCard(
        id=_identity(path),
        object="isocortex.loading.folder_dataset:FolderStimuli",
        modality=_modality(path),
        package=FOLDER_PACKAGE,
        options={"path": str(path)},
    )


def _settings(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise UsageError(f"{path} is not a folder. A data set folder holds stimuli/ and responses.csv.")
    file = path / SETTINGS_FILE
    try:
        return tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except ValueError as error:
        raise UsageError(f"{file} is not valid TOML: {error}") from error


def _identity(path: Path) -> str:
    return str(_settings(path).get("id") or path.resolve().name)


def _stimuli_folder(path: Path) -> Path:
    return path / "stimuli" if (path / "stimuli").is_dir() else path


def _modality(path: Path) -> str:
    from isocortex.data.media import SUFFIXES

    declared = _settings(path).get("modality")
    if declared:
        return str(declared)
    endings = {file.suffix.lower() for file in _stimuli_folder(path).iterdir()}
    present = [modality for modality, suffixes in SUFFIXES.items() if endings & set(suffixes)]
    if len(present) != 1:
        found = " and ".join(present) or "neither sounds nor images"
        raise DataError(
            f"{_stimuli_folder(path)} holds {found}. Give files of one kind, or 'modality' in {SETTINGS_FILE}."
        )
    return present[0]


class FolderStimuli(StimuliPlugin):
    """The sounds or images of a folder."""

    def load(self, files: DataFiles) -> StimulusSet:
        """Read the table and list the files."""
        from isocortex.data.stimuli import from_folder

        del files
        path = Path(self.card.options["path"])
        table = read_table(path / "stimuli.csv") if (path / "stimuli.csv").exists() else None
        stimuli = from_folder(_stimuli_folder(path), modality=self.card.modality, table=table)
        stimuli.id = self.card.id
        return stimuli


class FolderDataset(DatasetPlugin):
    """The responses of a folder over its stimuli."""

    def load(self, files: DataFiles, stimuli: StimulusSet) -> Dataset:
        """Read the responses and the table of neuroids."""
        from isocortex.data.dataset import Dataset

        del files
        path = Path(self.card.options["path"])
        found = [name for name in RESPONSE_READERS if (path / name).exists()]
        if len(found) != 1:
            raise DataError(f"{path} needs one of {', '.join(RESPONSE_READERS)}; found {found or 'none'}.")
        responses = RESPONSE_READERS[found[0]](path / found[0], stimuli)
        neuroids = path / "neuroids.csv"
        if neuroids.exists():
            responses = _with_neuroids(responses, read_table(neuroids, "neuroid_id"), neuroids)
        return Dataset(self.card.id, stimuli, responses=responses)


def read_table(path: Path, index: str = "stimulus_id") -> pd.DataFrame:
    """A CSV file as a table by one of its columns, which holds text.

    Raises
    ------
    DataError
        The file cannot be read, or lacks the column.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype={index: str})
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as CSV ({error}).") from error
    if index not in table.columns:
        raise DataError(f"{path} needs a column {index!r}; found {shorten(table.columns)}.")
    return table.set_index(index)


def _responses_csv(path: Path, stimuli: StimulusSet) -> xr.DataArray:
    import numpy as np
    import xarray as xr

    del stimuli
    table = read_table(path)
    repetition = table.pop("repetition") if "repetition" in table.columns else None
    words = [str(name) for name, column in table.items() if not np.issubdtype(column.to_numpy().dtype, np.number)]
    if words or not len(table.columns):
        raise DataError(
            f"{path} needs numeric columns, one per neuroid; not numeric: {shorten(words) or 'no columns'}."
        )
    on_presentation = {"stimulus_id": ("presentation", table.index.to_numpy(dtype=object))}
    if repetition is not None:
        on_presentation["repetition"] = ("presentation", repetition.to_numpy())
    return xr.DataArray(
        table.to_numpy(dtype=np.float64),
        dims=("presentation", "neuroid"),
        coords={**on_presentation, "neuroid_id": ("neuroid", [str(name) for name in table.columns])},
    )


def _responses_npy(path: Path, stimuli: StimulusSet) -> xr.DataArray:
    from isocortex.data.dataset import make_responses
    from isocortex.files.array_files import load_npy

    if not (path.parent / "stimuli.csv").exists():
        raise DataError(
            f"{path} has no stimulus IDs: {path.parent / 'stimuli.csv'} must list them in the order of its rows."
        )
    return make_responses(load_npy(path), stimuli.ids)


def read_netcdf(path: Path, stimuli: StimulusSet | None = None) -> xr.DataArray:
    """The one variable of a netCDF file.

    Raises
    ------
    DataError
        The file cannot be read, holds several variables, is truncated, or has bytes in other files.
    """
    import xarray as xr

    from isocortex.files.array_files import check_netcdf

    del stimuli
    check_netcdf(path)
    try:
        return xr.load_dataarray(path, engine="netcdf4")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as netCDF with one variable ({error}).") from error


RESPONSE_READERS: dict[str, Callable[[Path, Any], Any]] = {
    "responses.csv": _responses_csv,
    "responses.npy": _responses_npy,
    "responses.nc": read_netcdf,
}


def _with_neuroids(responses: xr.DataArray, table: pd.DataFrame, path: Path) -> xr.DataArray:
    ids = [str(name) for name in responses["neuroid_id"].values]
    absent = [name for name in ids if name not in table.index]
    if absent:
        raise DataError(f"{path} lacks {len(absent)} of {len(ids)} neuroids: {shorten(absent)}.")
    fitted = table.loc[ids]
    return responses.assign_coords({str(name): ("neuroid", column.to_numpy()) for name, column in fitted.items()})
