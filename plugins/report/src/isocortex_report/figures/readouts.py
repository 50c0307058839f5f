"""Values of single neuroids and participants, from the raw scores of a result; only where they give its value again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.scoring import by_participant, codes_of, over_participants
from isocortex.typing import Array

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

#: raw scores are kept in single precision
CLOSE = 1e-5


def readout_of(scores: xr.Dataset, region: str = "all") -> xr.DataArray | None:
    """What was read out, mean over splits, (n_neuroids,), of the neuroids of a row of the result.

    None where the scores hold no value per neuroid, or nothing that the row's name stands for.
    """
    if "readout" not in scores or "neuroid" not in scores["readout"].dims:
        return None
    readout = scores["readout"]
    others = [dim for dim in readout.dims if dim != "neuroid"]
    averaged = readout.mean(others) if others else readout
    places = places_of(averaged, region)
    return None if places is None else averaged.isel(neuroid=places)


def places_of(values: xr.DataArray, region: str) -> Array | None:
    """Places of the neuroids of a row that is called after a region, or "coordinate=value"; None: there are none."""
    if region == "all":
        return np.arange(values.sizes["neuroid"])
    coordinate, equals, value = region.partition("=")
    of_neuroids = [str(name) for name, item in values.coords.items() if item.dims == ("neuroid",)]
    wanted = [("region", region.strip("'") if region == "'all'" else region)]
    if equals:
        wanted.insert(0, (coordinate, value))
    wanted += [(name, region) for name in of_neuroids if name not in ("region", "neuroid_id", "subject")]
    for name, label in wanted:
        if name in of_neuroids:
            places = np.flatnonzero(values[name].values.astype(str) == label)
            if len(places):
                return places
    return None


def participants_of(scores: xr.Dataset, region: str, value: float) -> dict[str, float]:
    """The value of each participant, where their mean is the value of the row; empty otherwise.

    The aggregate over neuroids, median or mean, is the one that gives the value again.
    """
    per_subject = _by_subject(scores, region)
    if per_subject is not None and _is_close(over_participants(np.array(list(per_subject.values()))), value):
        return per_subject
    readout = readout_of(scores, region)
    if readout is None or "subject" not in readout.coords:
        return {}
    names = list(dict.fromkeys(map(str, readout["subject"].values)))
    for how in ("median-mean", "mean-mean"):
        values = by_participant(readout.values.astype(np.float64), codes_of(readout), how)
        if len(names) > 1 and _is_close(over_participants(values), value):
            return {name: float(one) for name, one in zip(names, values, strict=True) if one == one}
    return {}


def _by_subject(scores: xr.Dataset, region: str) -> dict[str, float] | None:
    """Of metrics that have one number per participant."""
    readout = scores.get("readout")
    if readout is None or region != "all" or "subject" not in readout.dims or "subject" not in readout.coords:
        return None
    others = [dim for dim in readout.dims if dim != "subject"]
    values = readout.mean(others) if others else readout
    if values.sizes["subject"] < 2:
        return None
    return {str(name): float(one) for name, one in zip(values["subject"].values, values.values, strict=True)}


def _is_close(found: Any, value: float) -> bool:
    return bool(abs(float(found) - value) <= CLOSE)


def neuroids_of(scores: xr.Dataset, region: str = "all") -> pd.DataFrame | None:
    """One row per neuroid: ``neuroid_id``, ``subject``, ``region``, ``reliability`` (NaN if unknown) and ``value``."""
    import pandas as pd

    readout = readout_of(scores, region)
    if readout is None or "neuroid_id" not in readout.coords:
        return None
    known = {
        name: readout[name].values
        for name in ("neuroid_id", "subject", "region", "reliability")
        if name in readout.coords and readout[name].dims == ("neuroid",)
    }
    found = pd.DataFrame({**known, "value": readout.values.astype(np.float64)})
    absent: dict[str, Any] = {"subject": "", "region": "", "reliability": np.nan}
    return found.assign(**{name: value for name, value in absent.items() if name not in found})
