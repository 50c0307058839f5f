"""Labels of stimuli, by which they are permuted or left out together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isocortex.errors import DataError, SettingsError, shorten, suggest

if TYPE_CHECKING:
    from isocortex.data.dataset import Dataset


def labels_of_stimuli(dataset: Dataset, column: str) -> list[str]:
    """A label for every stimulus: a column of the stimuli, or a coordinate of the presentations that is one.

    Raises
    ------
    SettingsError
        There is none.
    DataError
        A stimulus without a label, or with two.
    """
    table, responses = dataset.stimuli.table, dataset.responses
    if column in table.columns:
        found = {str(name): str(text) for name, text in table[column].dropna().items()}
        absent = [name for name in dataset.stimuli.ids if name not in found]
        if absent:
            raise DataError(f"{len(absent)} stimuli have no {column!r}: {shorten(absent)}. Fill the column.")
        return [found[name] for name in dataset.stimuli.ids]
    shown = {} if responses is None else {str(name) for name in responses.coords if responses[name].ndim == 1}
    if responses is None or column not in shown or responses[column].dims != ("presentation",):
        known = list(map(str, table.columns))
        raise SettingsError(
            f"Stimuli have no column {column!r}.{suggest(column, known)} Known: {shorten(known) or 'none'}."
        )
    pairs = set(zip(map(str, responses["stimulus_id"].values), map(str, responses[column].values), strict=True))
    if len(pairs) != len(dataset.stimuli.ids):
        raise DataError(f"Some stimuli have two values of {column!r}, so that it is no column of stimuli.")
    of_stimulus = dict(pairs)
    return [of_stimulus[name] for name in dataset.stimuli.ids]
