"""A folder is a data set: no package and no line of Python needed.

A data set folder::

    stimuli/            sounds or images; the file name without its ending is the stimulus_id
    stimuli.csv         optional: stimulus_id and further columns (category, …); its order is the canonical order
    responses.csv       stimulus_id[, repetition], then one column per neuroid; or a row per trial and neuroid; or
                        responses.npy, .nc, .h5, .mat; or responses/ with such a file per participant
    neuroids.csv        optional: neuroid_id and further columns (region, subject, …)
    dataset.toml        optional: id, modality, units, licence, reference; [benchmark] reduction, settings, select, …
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from isocortex.catalogue.cards import BenchmarkCard, DatasetCard, StimuliCard
from isocortex.errors import DataError, UsageError, shorten
from isocortex.files.disk import home_expanded_name
from isocortex.files.file_store import DataFiles
from isocortex.files.not_fetched import is_of_the_system
from isocortex.interfaces import DatasetPlugin, StimuliPlugin
from isocortex.loading.folder_arrays import about
from isocortex.loading.folder_responses import is_there, read_responses
from isocortex.loading.folder_settings import FOLDER_PACKAGE, SETTINGS_FILE, identity_of, settings_of
from isocortex.loading.folder_tables import read_table

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from isocortex.data.dataset import Dataset
    from isocortex.data.stimuli import StimulusSet

_DEFAULT_REDUCTION = {"audio": "time-mean"}


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
    content = settings_of(Path(where))
    card: dict[str, Any] = {
        "reduction": _DEFAULT_REDUCTION.get(_modality(Path(where)), "flatten"),
        **content.get("benchmark", {}),
    }
    identity = f"{identity_of(Path(where))}.{metric}"
    try:
        return BenchmarkCard(id=identity, dataset=f"folder:{where}", metric=metric, package=FOLDER_PACKAGE, **card)
    except ValidationError as error:
        fields = shorten(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise UsageError(f"[benchmark] of {Path(where) / SETTINGS_FILE} is not valid ({fields}).") from error


def folder_dataset(name: str) -> DatasetCard:
    """The data set ``folder:PATH``."""
    path = Path(home_expanded_name(name).removeprefix("folder:"))
    about = {key: str(value) for key, value in settings_of(path).items() if key in ("licence", "reference", "title")}
    return DatasetCard(
        id=identity_of(path),
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
        id=identity_of(path),
        object="isocortex.loading.folder_dataset:FolderStimuli",
        modality=_modality(path),
        package=FOLDER_PACKAGE,
        options={"path": str(path)},
    )


def _stimuli_folder(path: Path) -> Path:
    return path / "stimuli" if (path / "stimuli").is_dir() else path


def _modality(path: Path) -> str:
    from isocortex.data.media import SUFFIXES

    declared = settings_of(path).get("modality")
    if declared:
        return str(declared)
    files = (file for file in _stimuli_folder(path).iterdir() if not is_of_the_system(file.name))
    endings = {file.suffix.lower() for file in files}
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
        table = read_table(path / "stimuli.csv") if is_there(path / "stimuli.csv") else None
        stimuli = from_folder(_stimuli_folder(path), modality=self.card.modality, table=table)
        stimuli.id = self.card.id
        return stimuli


class FolderDataset(DatasetPlugin):
    """The responses of a folder over its stimuli."""

    def load(self, files: DataFiles, stimuli: StimulusSet) -> Dataset:
        """Read the responses and the table of neuroids; what was left out of them is a warning."""
        from isocortex.data.dataset import Dataset

        del files
        path = Path(self.card.options["path"])
        settings = settings_of(path)
        responses, said = read_responses(self.card.id, path, stimuli, settings)
        neuroids = path / "neuroids.csv"
        if is_there(neuroids):
            with about(neuroids):
                responses, unused = _with_neuroids(responses, read_table(neuroids, "neuroid_id"), neuroids)
            said += unused
        gaps = str(settings.get("gaps", "refuse"))
        return Dataset(
            self.card.id,
            stimuli,
            responses=responses,
            warnings=tuple(said),
            gaps="refuse" if gaps == "keep" else gaps,  # pyright: ignore[reportArgumentType]
        )


def _with_neuroids(responses: xr.DataArray, table: pd.DataFrame, path: Path) -> tuple[xr.DataArray, list[str]]:
    """Responses with what a table says of their neuroids, and a warning of those that have no responses."""
    ids = responses["neuroid_id"].values.tolist()
    absent = [name for name in ids if name not in table.index]
    if absent:
        raise DataError(f"{path} lacks {len(absent)} of {len(ids)} neuroids: {shorten(absent)}.")
    fitted = table.loc[ids]
    surplus = sorted(set(table.index).difference(ids))
    said = f"{len(surplus)} neuroids of {path.name} have no responses and were left out: {shorten(surplus)}."
    columns = {str(name): ("neuroid", column.to_numpy()) for name, column in fitted.items()}
    taken = sorted({"stimulus_id", "repetition", "presentation", "neuroid"}.intersection(columns))
    if taken:
        raise DataError(f"{path} has columns whose names are taken: {shorten(taken)}. Call them otherwise.")
    return responses.assign_coords(columns), [said] if surplus else []
