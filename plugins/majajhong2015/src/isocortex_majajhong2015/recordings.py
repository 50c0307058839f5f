"""The data sets ``MajajHong2015public`` and ``MajajHong2015public.temporal``: macaque IT and V4, multi-unit sites."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from isocortex.errors import DataError, shorten
from isocortex.interfaces import DataFiles, DatasetPlugin
from isocortex.typing import Array
from isocortex_majajhong2015.assembly import NEUROID, PRESENTATION, TIME_BIN, opened, read_recordings

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.data import Dataset, StimulusSet

FILE: Final = "assy_dicarlo_MajajHong2015_public.nc"
TEMPORAL_FILE: Final = "assy_dicarlo_MajajHong2015_temporal_public.nc"
UNITS: Final = "multi-unit spike counts, normalised per site and session"
BIN_MS: Final = (70, 170)
#: numbers that are read at a time: 64 MB in float32
_BLOCK_VALUES: Final = 16_000_000


def with_repetitions(path: Path, data: xr.DataArray) -> tuple[xr.DataArray, list[str]]:
    """Check the repetitions of recordings, and say which are missing.

    Returns
    -------
    The recordings with whole numbers as ``repetition``, and warnings.

    Raises
    ------
    DataError
        There is no ``repetition``, or a presentation without a number.
    """
    if "repetition" not in data.coords or data["repetition"].dims != (PRESENTATION,):
        raise DataError(
            f"{path.name}: the coordinate 'repetition' along 'presentation' is missing, without which there is no "
            f"ceiling; found {shorten(data.coords, 30)}. Get the published file again."
        )
    given = data["repetition"].values
    numbers = np.array([_whole(item) for item in given], dtype=np.float64)
    unknown = int(np.isnan(numbers).sum())
    if unknown:
        raise DataError(f"{path.name}: {unknown} of {len(numbers)} presentations have no whole number as 'repetition'.")
    numbered = data.assign_coords(repetition=(PRESENTATION, numbers.astype(np.int64)))
    return numbered, _missing(numbered["stimulus_id"].values, numbers.astype(np.int64))


def _whole(item: Any) -> float:
    try:
        number = float(item)
    except (TypeError, ValueError):
        return float("nan")
    return number if number.is_integer() else float("nan")


def _missing(stimulus_id: Array, repetition: Array) -> list[str]:
    """A warning of stimuli that lack a repetition before their last one."""
    names, rows = np.unique(stimulus_id.astype(str), return_inverse=True)
    count, last = np.bincount(rows), np.full(len(names), -1)
    np.maximum.at(last, rows, repetition)
    short = names[count <= last - repetition.min()]
    if not len(short):
        return []
    return [
        f"{len(short)} of {len(names)} stimuli lack a repetition between their first and their last: {shorten(short)}. "
        "Their means are over those that there are."
    ]


def along_neuroids(data: xr.DataArray) -> dict[str, tuple[str, Array]]:
    """Coordinates of the sites; the participant, ``subject``, is the animal."""
    found = {str(name): (NEUROID, item.values) for name, item in data.coords.items() if item.dims == (NEUROID,)}
    return {**found, "subject": found["animal"]} if "animal" in found else found


class PublicRecordings(DatasetPlugin):
    """Mean rates from 70 to 170 ms after the onset of an image, every presentation by itself."""

    def load(self, files: DataFiles, stimuli: StimulusSet) -> Dataset:
        """Make the data set, images sorted by ID as the package averages them.

        Memory: at most four times the recordings, while they are checked and put into canonical order (0.54 GB for the
        152 MB that are published), then once.

        Raises
        ------
        AlignmentError
            Recordings of other images.
        DataError
            The file is damaged, transposed, or lacks repetitions.
        """
        import xarray as xr

        from isocortex.data import Dataset

        path = files.named(FILE)
        data, warnings = with_repetitions(path, read_recordings(path))
        coords: dict[str, Any] = {
            "stimulus_id": (PRESENTATION, data["stimulus_id"].values),
            "repetition": (PRESENTATION, data["repetition"].values),
            **along_neuroids(data),
        }
        responses = xr.DataArray(data.values, dims=(PRESENTATION, NEUROID), coords=coords, attrs={"units": UNITS})
        attrs = {"time_bin_ms": list(BIN_MS), **attributes(self)}
        return Dataset(self.card.id, stimuli, responses=responses, attrs=attrs, warnings=tuple(warnings))


def attributes(plugin: DatasetPlugin) -> dict[str, Any]:
    """What belongs to all data sets of this recording; splits of our own metrics keep the shares of the objects."""
    return {
        "units": UNITS,
        "visual_degrees": 8,
        "stratify": "object_name",
        "licence": plugin.card.licence,
        "reference": plugin.card.reference,
    }


class TemporalRecordings(DatasetPlugin):
    """Rates in bins of time: one neuroid for each site and bin, averaged over repetitions while the file is read."""

    def load(self, files: DataFiles, stimuli: StimulusSet) -> Dataset:
        """Make the data set; neuroids have ``site``, ``time_bin``, ``time_bin_start`` and ``time_bin_end``.

        Memory: 26 bytes for each image, site and bin (21 MB for each bin, 3,200 images and 256 sites), and 0.4 GB while
        a part of the file is added, whatever its size. Repetitions are not kept, so that there is no ceiling.

        Raises
        ------
        AlignmentError
            Recordings of other images.
        DataError
            The file is damaged, transposed, or has no bins of time.
        """
        from isocortex.data import Dataset

        path = files.named(TEMPORAL_FILE)
        with opened(path, (PRESENTATION, NEUROID), in_parts=True) as data:
            responses, n_presentations = _averaged(path, data)
        said = (
            f"{n_presentations} presentations were averaged over repetitions while the file was read: no ceiling is "
            "estimated from them."
        )
        return Dataset(self.card.id, stimuli, responses=responses, attrs=attributes(self), warnings=(said,))


def _averaged(path: Path, data: xr.DataArray) -> tuple[xr.DataArray, int]:
    import xarray as xr

    if data.dims != (PRESENTATION, NEUROID, TIME_BIN):
        raise DataError(f"{path.name}: expected bins of time, found the dimensions {dict(data.sizes)}.")
    names, rows = np.unique(data["stimulus_id"].values.astype(str), return_inverse=True)
    sums, counts = np.zeros((len(names), *data.shape[1:])), np.zeros((len(names), *data.shape[1:]), dtype=np.uint16)
    for part, values in _parts(data):
        there = ~np.isnan(values)  # as the package averages: over what was recorded
        np.add.at(sums, rows[part], np.where(there, values, 0.0))
        np.add.at(counts, rows[part], there.astype(np.uint16))
    means = sums / np.where(counts > 0, counts, np.nan)
    coords = {"stimulus_id": (PRESENTATION, names.astype(object)), **_sites_and_bins(path, data)}
    flat = means.reshape(len(names), -1)
    return xr.DataArray(flat, dims=(PRESENTATION, NEUROID), coords=coords, attrs={"units": UNITS}), len(rows)


def _parts(data: xr.DataArray) -> Iterator[tuple[slice, Array]]:
    height = max(1, _BLOCK_VALUES // int(np.prod(data.shape[1:])))
    for start in range(0, len(data), height):
        part = slice(start, min(start + height, len(data)))
        yield part, data.isel({PRESENTATION: part}).values.astype(np.float64)


def _sites_and_bins(path: Path, data: xr.DataArray) -> dict[str, tuple[str, Array]]:
    """Coordinates of what has a site and a bin of time, bins within sites."""
    absent = [name for name in ("time_bin_start", "time_bin_end") if name not in data.coords]
    if absent:
        raise DataError(f"{path.name} lacks {shorten(absent)} along 'time_bin'; found {shorten(data.coords, 30)}.")
    n_sites, n_bins = data.sizes[NEUROID], data.sizes[TIME_BIN]
    start, end = (np.tile(data[name].values, n_sites) for name in ("time_bin_start", "time_bin_end"))
    bins = np.array([f"{first:g}-{last:g}" for first, last in zip(start, end, strict=True)], dtype=object)
    of_sites = {name: (dim, np.repeat(values, n_bins)) for name, (dim, values) in along_neuroids(data).items()}
    site = of_sites.pop("neuroid_id")[1]
    return {
        "neuroid_id": (NEUROID, np.array([f"{one}.{when}" for one, when in zip(site, bins, strict=True)], object)),
        "site": (NEUROID, site),
        "time_bin": (NEUROID, bins),
        "time_bin_start": (NEUROID, start),
        "time_bin_end": (NEUROID, end),
        **of_sites,
    }
