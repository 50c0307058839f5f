"""What a step left out on the way from raw scores to a row, counted and named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from isocortex.errors import SettingsError, shorten, suggest

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.data.dataset import Dataset
    from isocortex.scoring.contract import Contract


def check_summary_by(dataset: Dataset, summary_by: Sequence[str]) -> None:
    """Refuse rows by a coordinate that the neuroids do not have.

    Raises
    ------
    SettingsError
        There is no such coordinate; the message names those that there are.
    """
    data = dataset.responses
    known = [] if data is None else [str(name) for name in data.coords if data[name].dims == ("neuroid",)]
    absent = [name for name in summary_by if name not in known]
    if absent:
        there = f"its neuroids have {', '.join(known)}" if known else f"it holds {dataset.kind}, which have no neuroids"
        raise SettingsError(
            f"summary_by asks for rows by {shorten(absent)}, which {dataset.id!r} does not have: {there}."
            f"{suggest(absent[0], known)}"
        )


def said_of_neuroids_without(dataset: Dataset, summary_by: Sequence[str]) -> list[str]:
    """Warnings of neuroids whose label is empty, so that they are in no row of their own."""
    data = dataset.responses
    if data is None:
        return []
    empty = {name: int((data[name].values.astype(str) == "").sum()) for name in summary_by if name in data.coords}
    total = data.sizes["neuroid"]
    return [
        f"{count} of {total} neuroids have no {name} and are in no row of one."
        for name, count in empty.items()
        if count
    ]


def said_of_left_out(comparison: Contract, scores: xr.Dataset) -> list[str]:
    """Warnings of neuroids and participants without a value, which an aggregate leaves out.

    Parameters
    ----------
    scores
        Of ``score_all``.
    """
    scores = comparison.layered(scores)
    measure = str(scores.attrs["measure"])
    said: list[str] = []
    for name in (measure, *comparison.further(scores)):
        values = comparison.readout_of(scores, name)
        for dim, coordinate in (("neuroid", "neuroid_id"), ("subject", "subject")):
            if dim not in values.dims:
                continue
            gone = values.isnull().all([other for other in values.dims if other != dim])
            if gone.any():
                names = gone[coordinate].values[gone.values] if coordinate in gone.coords else np.flatnonzero(gone)
                said.append(
                    f"{int(gone.sum())} of {gone.sizes[dim]} {_PLURAL[dim]} have no value of {name} and were left out "
                    f"of it: {shorten(names)}."
                )
    return said


_PLURAL = {"neuroid": "neuroids", "subject": "participants"}
