"""Labels of stimuli, by which splits are drawn, and stimuli are permuted or left out together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from isocortex.errors import DataError, SettingsError, shorten, suggest

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from isocortex.data.dataset import Dataset


def labels_of_dataset(dataset: Dataset, column: str) -> list[str]:
    """``labels_of_stimuli`` of a data set, in canonical order."""
    return labels_of_stimuli(column, dataset.stimuli.ids, dataset.stimuli.table, dataset.responses)


def labels_of_stimuli(
    column: str, stimulus_id: Sequence[str], table: pd.DataFrame | None, responses: xr.DataArray | None
) -> list[str]:
    """A label for every stimulus: a column of the stimulus table, or a coordinate of the presentations.

    Parameters
    ----------
    column
        Name of the column, or of the coordinate where there is no such column.
    stimulus_id
        The stimuli in the order of the result.
    table
        Rows by ``stimulus_id``; None: there is none.
    responses
        With coordinates on "presentation"; None: there are none.

    Raises
    ------
    SettingsError
        There is no such column or coordinate.
    DataError
        A stimulus without a label, or with two.
    """
    if table is not None and column in table.columns:
        found = {str(name): str(label) for name, label in table[column].dropna().items()}
        absent = [name for name in stimulus_id if name not in found]
        if absent:
            raise DataError(f"{len(absent)} stimuli have no {column!r}: {shorten(absent)}. Fill the column.")
        return [found[name] for name in stimulus_id]
    coordinates = {} if responses is None else responses.coords
    names = [str(name) for name, values in coordinates.items() if values.dims == ("presentation",)]
    if responses is None or column not in names:
        known = [*([] if table is None else map(str, table.columns)), *names]
        raise SettingsError(
            f"Stimuli have no column {column!r}.{suggest(column, known)} Known: {shorten(known) or 'none'}."
        )
    found = dict[str, str]()
    for name, label in zip(responses["stimulus_id"].values, responses[column].values, strict=True):
        if found.setdefault(str(name), str(label)) != str(label):
            raise DataError(
                f"Stimulus {str(name)!r} has two values of {column!r}: {found[str(name)]!r}, {str(label)!r}."
            )
    return [found[name] for name in stimulus_id]
