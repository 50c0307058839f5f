"""A folder is a data set, and a folder of activations is a model: no package and no line of Python needed.

A data set folder::

    stimuli/            sounds or images; the file name without its ending is the stimulus_id
    stimuli.csv         optional: stimulus_id and further columns (category, …); its order is the canonical order
    responses.csv       stimulus_id[, repetition], then one column per neuroid; or responses.npy, responses.nc
    neuroids.csv        optional: neuroid_id and further columns (region, subject, …)
    dataset.toml        optional: id, modality, units, licence, reference; [benchmark] reduction, settings, select, …

An activations folder holds either what ``isocortex extract`` writes, or one ``<layer>.csv`` (first column
stimulus_id), ``<layer>.nc``, or ``<layer>.npy`` with the IDs of its rows in ``stimulus_id.txt``, per layer.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.activations.layer import Activations
from isocortex.catalogue.cards import BenchmarkCard, DatasetCard, ModelCard, StimuliCard, Variant
from isocortex.errors import DataError, UsageError, shorten
from isocortex.files.digests import digest_files, digest_of
from isocortex.files.disk import ActivationFolder, read_json
from isocortex.interfaces import (
    DataFiles,
    DatasetPlugin,
    Emit,
    LayerOutput,
    LoadedModel,
    ModelPlugin,
    StimuliPlugin,
)

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from isocortex.data.dataset import Dataset
    from isocortex.data.stimuli import StimulusBatch, StimulusSet

SETTINGS_FILE = "dataset.toml"
_DEFAULT_REDUCTION = {"audio": "time-mean"}
_PACKAGE = "folder"


# --- a folder as a data set -------------------------------------------------------------------------------------------


def folder_benchmark(name: str) -> BenchmarkCard:
    """The benchmark ``folder:PATH:METRIC``.

    Raises
    ------
    UsageError
        The name lacks a part, or ``dataset.toml`` holds what is not understood.
    """
    where, _, metric = name.removeprefix("folder:").rpartition(":")
    if not where or not metric or "/" in metric:
        raise UsageError(f"{name!r} lacks a part. Expected folder:PATH:METRIC, for example folder:mydata:ridge.")
    content = _settings(Path(where))
    card: dict[str, Any] = {
        "reduction": _DEFAULT_REDUCTION.get(_modality(Path(where)), "flatten"),
        **content.get("benchmark", {}),
    }
    identity = f"{_identity(Path(where))}.{metric}"
    try:
        return BenchmarkCard(id=identity, dataset=f"folder:{where}", metric=metric, package=_PACKAGE, **card)
    except (TypeError, ValueError) as error:
        raise UsageError(f"[benchmark] of {Path(where) / SETTINGS_FILE} is not valid: {error}") from error


def folder_dataset(name: str) -> DatasetCard:
    """The data set ``folder:PATH``."""
    path = Path(name.removeprefix("folder:"))
    about = {key: str(value) for key, value in _settings(path).items() if key in ("licence", "reference", "title")}
    return DatasetCard(
        id=_identity(path),
        object="isocortex.loading.folder_dataset:FolderDataset",
        stimuli=name,
        package=_PACKAGE,
        options={"path": str(path)},
        **about,  # pyright: ignore[reportArgumentType]
    )


def folder_stimuli(name: str) -> StimuliCard:
    """The stimuli of ``folder:PATH``: a data set's folder, or a folder of sounds or images."""
    path = Path(name.removeprefix("folder:"))
    return StimuliCard(
        id=_identity(path),
        object="isocortex.loading.folder_dataset:FolderStimuli",
        modality=_modality(path),
        package=_PACKAGE,
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
        table = _table(path / "stimuli.csv") if (path / "stimuli.csv").exists() else None
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
            responses = _with_neuroids(responses, _table(neuroids, "neuroid_id"), neuroids)
        return Dataset(self.card.id, stimuli, responses=responses)


def _table(path: Path, index: str = "stimulus_id") -> pd.DataFrame:
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
    table = _table(path)
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
    import numpy as np

    from isocortex.data.dataset import make_responses

    if not (path.parent / "stimuli.csv").exists():
        raise DataError(
            f"{path} has no stimulus IDs: {path.parent / 'stimuli.csv'} must list them in the order of its rows."
        )
    return make_responses(np.load(path, allow_pickle=False), stimuli.ids)


def _responses_nc(path: Path, stimuli: StimulusSet) -> xr.DataArray:
    import xarray as xr

    del stimuli
    try:
        return xr.load_dataarray(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as netCDF with one variable ({error}).") from error


RESPONSE_READERS: dict[str, Callable[[Path, Any], Any]] = {
    "responses.csv": _responses_csv,
    "responses.npy": _responses_npy,
    "responses.nc": _responses_nc,
}


def _with_neuroids(responses: xr.DataArray, table: pd.DataFrame, path: Path) -> xr.DataArray:
    ids = [str(name) for name in responses["neuroid_id"].values]
    absent = [name for name in ids if name not in table.index]
    if absent:
        raise DataError(f"{path} lacks {len(absent)} of {len(ids)} neuroids: {shorten(absent)}.")
    fitted = table.loc[ids]
    return responses.assign_coords({str(name): ("neuroid", column.to_numpy()) for name, column in fitted.items()})


# --- a folder of activations as a model -------------------------------------------------------------------------------


class FolderActivations(ModelPlugin):
    """Activations that lie in files, as a model for any stimuli that they cover."""

    @classmethod
    def at(cls, path: Path) -> FolderActivations:
        """The model of a folder.

        Raises
        ------
        UsageError
            The folder holds no activations.
        """
        layers = _layers_of(path)
        if not layers:
            raise UsageError(
                f"{path} holds no activations. Expected what 'isocortex extract' writes, or <layer>.npy with "
                "stimulus_id.txt, <layer>.csv or <layer>.nc."
            )
        identity = f"activations:{path.resolve().name}"
        card = ModelCard(
            id=identity,
            object="isocortex.loading.folder_dataset:FolderActivations",
            modality="any",
            layers=tuple(layers),
            package=_PACKAGE,
            options={"path": str(path)},
        )
        return cls(card)

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        """Open the files; nothing is read yet."""
        del variant, device
        return _LoadedActivations(_layers_of(Path(self.card.options["path"])))

    def digest(self, variant: Variant) -> str | None:
        """Digest over names and contents of the files."""
        del variant
        path = Path(self.card.options["path"])
        digests = digest_files(file for file in path.rglob("*") if file.is_file())
        return digest_of({file.relative_to(path).as_posix(): digest for file, digest in digests.items()})


class _LoadedActivations(LoadedModel):
    def __init__(self, openers: dict[str, Callable[[], Activations]]) -> None:
        self.layers = list(openers)
        self._openers = openers
        self._opened: dict[str, Activations] = {}

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        for layer in layers:
            if layer not in self._opened:
                self._opened[layer] = self._openers[layer]()
                self._opened[layer].rows(batch.whole.ids)  # all that are absent are named at once
            activations = self._opened[layer]
            emit(layer, LayerOutput(activations.array(batch.ids), ("unit",), units=activations.units))


def _layers_of(path: Path) -> dict[str, Callable[[], Activations]]:
    if not path.is_dir():
        raise UsageError(f"{path} is not a folder.")
    about = read_json(path / "activations.json")
    if isinstance(about, dict):
        kept = ActivationFolder(path, tuple(about["stimulus_id"]), int(about["chunk_size"]))
        return {str(layer): lambda layer=layer: kept.open(layer) for layer in about["layers"]}
    files = sorted((file for file in path.iterdir() if file.suffix in ACTIVATION_READERS), key=_natural)
    return {file.stem: lambda file=file: ACTIVATION_READERS[file.suffix](file) for file in files}


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.stem)]


def _activations_npy(path: Path) -> Activations:
    listing = path.with_name("stimulus_id.txt")
    if not listing.exists():
        raise DataError(
            f"{path} has no stimulus IDs: write them into {listing}, one per line, in the order of the rows."
        )
    return Activations(path.stem, listing.read_text(encoding="utf-8").split(), [path])


def _activations_csv(path: Path) -> Activations:
    table = _table(path)
    return Activations(path.stem, list(table.index), [table.to_numpy(dtype="float32")], units=list(table.columns))


def _activations_nc(path: Path) -> Activations:
    return Activations.from_xarray(_responses_nc(path, None), path.stem)  # pyright: ignore[reportArgumentType]


ACTIVATION_READERS: dict[str, Callable[[Path], Activations]] = {
    ".npy": _activations_npy,
    ".csv": _activations_csv,
    ".nc": _activations_nc,
}
