"""The user's own data as a benchmark: a data set or an array of responses, made in Python, with a metric by its ID.

Whatever it is called, its results are known by what it holds: the digest of a data set covers stimuli and responses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from isocortex.catalogue.cards import BenchmarkCard, DatasetCard, StimuliCard
from isocortex.errors import DataError, UsageError, shorten
from isocortex.files.disk import home_expanded

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.data.dataset import Dataset
    from isocortex.data.stimuli import StimulusSet

#: what stands before the name of such a benchmark, so that it is never taken for one that is installed
OWN_PREFIX = "own:"
#: a coordinate that names the file of each stimulus
FILE_COORDINATE = "stimulus_file"
#: what the rows of an array may be called
_ROWS = ("presentation", "stimulus")


class OwnSettings(TypedDict, total=False):
    """What belongs to data that are handed over as they are.

    Attributes
    ----------
    metric
        ID; default "ridge".
    stimuli
        Of an array: a set, or ID or ``folder:PATH``.
    settings
        Of the metric.
    reduction
        Of activations: "flatten", "time-mean", "spatial-mean", …
    ceiling_mode
        How a value is related to its ceiling.
    seed
        Draws splits and bootstrap samples; in place of that of the config.
    """

    metric: str
    stimuli: StimulusSet | str
    settings: Mapping[str, Any]
    reduction: str
    ceiling_mode: str
    seed: int


@dataclass(frozen=True, eq=False)
class OwnBenchmark:
    """Data of the user with a metric, and the cards that a run asks for."""

    dataset: Dataset
    card: BenchmarkCard

    @classmethod
    def of(cls, dataset: Dataset, how: OwnSettings) -> OwnBenchmark:
        """The benchmark that results call ``own:DATASET.METRIC``; rows per region, where there are several."""
        metric = how.get("metric", "ridge")
        regions: set[str] = set()
        if dataset.responses is not None and "region" in dataset.responses.coords:
            regions = set(map(str, dataset.responses["region"].values))
        card = BenchmarkCard(
            id=f"{OWN_PREFIX}{dataset.id}.{metric}",
            dataset=f"{OWN_PREFIX}{dataset.id}",
            metric=metric,
            reduction=how.get("reduction", "flatten"),
            settings=dict(how.get("settings", {})),
            ceiling_mode=how.get("ceiling_mode", "none"),  # pyright: ignore[reportArgumentType] - checked by the card
            summary_by=("region",) if len(regions) > 1 else (),
        )
        return cls(dataset, card)

    @property
    def dataset_card(self) -> DatasetCard:
        """The card of the data."""
        return DatasetCard(
            id=self.dataset.id,
            object="",
            stimuli=self.card.dataset,
            kind=self.dataset.kind,  # pyright: ignore[reportArgumentType] - one of three words
        )

    @property
    def stimuli_card(self) -> StimuliCard:
        """The card of their stimuli."""
        stimuli = self.dataset.stimuli
        return StimuliCard(id=stimuli.id, object="", modality=stimuli.modality)


def dataset_of(data: object, stimuli: StimulusSet | None = None) -> Dataset:
    """A data set as it is, or made of an array of responses and its stimuli.

    Parameters
    ----------
    data
        A data set; or a DataArray with the dims ("presentation" or "stimulus", "neuroid"), whose rows are named by
        ``stimulus_id`` or by the index of "stimulus". Neuroids without a name are counted. Its name is that of the
        data set, "data" where it has none.
    stimuli
        Of an array; where it is left out, the coordinate ``stimulus_file`` names a sound or picture for each row.

    Raises
    ------
    UsageError
        Stimuli beside a data set, which has its own; or an array without any.
    DataError, AlignmentError
        Dims in another order or of other names, rows without names, stimuli that do not fit, values that cannot be
        scored.
    """
    import xarray as xr

    from isocortex.data.dataset import Dataset

    if isinstance(data, Dataset):
        if stimuli is not None:
            raise UsageError(f"The data set {data.id!r} has stimuli of its own; leave stimuli= out.")
        return data
    if not isinstance(data, xr.DataArray):
        raise UsageError(
            f"Data are an isocortex.data.Dataset or an xarray.DataArray; found {type(data).__name__}. "
            "isocortex.data.make_responses(values, stimulus_id) makes an array whose rows and columns are named."
        )
    name = str(data.name or data.attrs.get("id") or "data")
    if "pair" in data.dims:
        return Dataset(name, _of_array(name, data, stimuli), rdm=data)
    responses = _named(name, data)
    shown = _of_array(name, responses, stimuli)
    return Dataset(name, shown, responses=responses.drop_vars(FILE_COORDINATE, errors="ignore"))


def _named(name: str, data: xr.DataArray) -> xr.DataArray:
    """Responses (presentation, neuroid) with a name for each row and column."""
    rows = [dim for dim in _ROWS if dim in data.dims]
    if len(rows) != 1 or "neuroid" not in data.dims:
        raise DataError(
            f"The array {name!r} needs the dims ('stimulus', 'neuroid'), or ('presentation', 'neuroid') with several "
            f"rows of a stimulus; found {data.dims}. data.rename(…) gives them these names."
        )
    row = rows[0]
    if data.ndim == 2 and data.dims != (row, "neuroid"):
        raise DataError(
            f"The array {name!r} is transposed: rows are stimuli and columns are neuroids, but it has {data.dims} with "
            f"shape {data.shape}. data.transpose({row!r}, 'neuroid') turns it."
        )
    if "stimulus_id" not in data.coords:
        if row not in data.indexes:
            raise DataError(
                f"The rows of {name!r} have no names. Give it the coordinate 'stimulus_id' on {row!r}: the order of "
                "rows is never taken for that of stimuli."
            )
        data = data.assign_coords(stimulus_id=(row, data[row].values))
    plain = data.reset_index([dim for dim in (row, "neuroid") if dim in data.indexes])
    if "neuroid_id" not in plain.coords:
        own = plain["neuroid"].values if "neuroid" in plain.coords else None
        names = own if own is not None else [f"neuroid{place}" for place in range(plain.sizes["neuroid"])]
        plain = plain.assign_coords(neuroid_id=("neuroid", names))
    return plain.drop_vars([row, "neuroid"], errors="ignore").rename({row: "presentation"} if row == "stimulus" else {})


def _of_array(name: str, data: xr.DataArray, stimuli: StimulusSet | None) -> StimulusSet:
    """The stimuli of an array: those that are given, or those whose files it names."""
    from isocortex.data.media import SUFFIXES
    from isocortex.data.stimuli import StimulusSet

    if stimuli is not None:
        return stimuli
    if FILE_COORDINATE not in data.coords or "stimulus_id" not in data.coords:
        raise UsageError(
            f"The array {name!r} does not say what was shown. Give stimuli=, a StimulusSet, an ID or 'folder:PATH', "
            f"whose names are those of 'stimulus_id'; or the coordinate {FILE_COORDINATE!r}, a sound or picture for "
            "each row."
        )
    ids = list(map(str, data["stimulus_id"].values))
    files: dict[str, Path] = {}
    for one, text in zip(ids, data[FILE_COORDINATE].values, strict=True):
        path = home_expanded(Path(str(text)))
        if files.setdefault(one, path) != path:
            raise DataError(f"Rows of {name!r} name two files of the stimulus {one!r}: {files[one]} and {path}.")
    absent = [str(path) for path in files.values() if not path.is_file()]
    if absent:
        raise DataError(f"{len(absent)} files that {name!r} names are not here: {shorten(absent)}.")
    found = {kind for kind, endings in SUFFIXES.items() for path in files.values() if path.suffix.lower() in endings}
    if len(found) != 1:
        kinds = " and ".join(sorted(found)) or "neither sounds nor pictures"
        raise DataError(f"The files that {name!r} names are {kinds}. Expected files of one kind.")
    return StimulusSet(name, found.pop(), files)
