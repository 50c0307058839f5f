"""Behaviour as a checked table of trials: from a data set, a table, or an array of choices in a notebook.

A metric that depends on the order of the trials asks for ``Trials.in_order``: a data set puts its trials into the
canonical order of the stimuli and keeps the order in which they came in the column ``trial``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from isocortex.data import Dataset
from isocortex.errors import DataError, SettingsError, shorten, suggest
from isocortex.typing import Array

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


ORDER_COLUMN = "trial"


@dataclass(frozen=True)
class Trials:
    """Trials of known stimuli, one row each.

    Attributes
    ----------
    where
        Name of the data, for messages.
    table
        One row per trial, with the column ``stimulus_id`` (words).
    stimuli
        What is known of each stimulus; the index is ``stimulus_id`` in canonical order.

    Examples
    --------
    >>> import pandas as pd
    >>> trials = trials_of(pd.DataFrame({"stimulus_id": ["b", "a", "b"], "choice": ["x", "y", "y"]}), "accuracy")
    >>> trials.ids, trials.column("choice").tolist()
    (('b', 'a'), ['x', 'y', 'y'])
    """

    where: str
    table: pd.DataFrame
    stimuli: pd.DataFrame

    @property
    def ids(self) -> tuple[str, ...]:
        """``stimulus_id`` of every stimulus, in canonical order."""
        return tuple(map(str, self.stimuli.index))

    @property
    def rows(self) -> Array:
        """Place of each trial's stimulus among ``ids``, (n_trials,)."""
        import pandas as pd

        return self.stimuli.index.get_indexer(pd.Index(self.table["stimulus_id"]))

    def has(self, column: str) -> bool:
        """Whether the trials have a column."""
        return column in self.table.columns

    def column(self, name: str) -> Array:
        """A column of the trials as words, (n_trials,).

        Raises
        ------
        DataError
            There is no such column, or trials without a value in it.
        """
        if not self.has(name):
            known = [str(column) for column in self.table.columns]
            raise DataError(f"Trials of {self.where} have no column {name!r}.{suggest(name, known)} They have {known}.")
        words, missing = _words(self.table[name])
        if missing.any():
            ids = dict.fromkeys(self.table["stimulus_id"].to_numpy()[missing])
            raise DataError(
                f"{int(missing.sum())} of {len(words)} trials of {self.where} have no {name!r}: those of the stimuli "
                f"{shorten(ids)}. Leave these trials out; where a missed answer is an error, write a word such as "
                "'none'."
            )
        return words

    def of_stimuli(self, column: str) -> tuple[str, ...]:
        """What a column says of every stimulus, in canonical order: of the stimulus table, or else of the trials.

        Raises
        ------
        SettingsError
            There is no such column.
        DataError
            Stimuli without a value, or with two.
        """
        if column in self.stimuli.columns:
            words, missing = _words(self.stimuli[column])
            if missing.any():
                absent = [name for name, gap in zip(self.ids, missing, strict=True) if gap]
                raise DataError(f"{len(absent)} stimuli of {self.where} have no {column!r}: {shorten(absent)}.")
            return tuple(map(str, words))
        if not self.has(column):
            known = [str(name) for name in (*self.stimuli.columns, *self.table.columns)]
            raise SettingsError(
                f"Neither stimuli nor trials of {self.where} have a column {column!r}.{suggest(column, known)} "
                f"Known: {shorten(known, 12)}."
            )
        words, rows = self.column(column), self.rows
        _, first = np.unique(rows, return_index=True)  # every stimulus has a trial
        other = np.flatnonzero(words != words[first][rows])
        if len(other):
            name, found = self.ids[rows[other[0]]], words[first][rows[other[0]]]
            raise DataError(
                f"Stimulus {name!r} of {self.where} has two values of {column!r}: {found!r} and "
                f"{words[other[0]]!r}. Expected one for all of its trials."
            )
        return tuple(map(str, words[first]))

    def only(self, ids: Iterable[str]) -> Trials:
        """The trials of some of the stimuli."""
        inside = self.stimuli.index.isin(list(ids))
        kept = self.table.loc[inside[self.rows]]
        return Trials(self.where, kept, self.stimuli.loc[inside])

    def in_order(self) -> Trials:
        """The trials in the order of the column ``trial``; without it, as they are.

        Raises
        ------
        DataError
            ``trial`` does not number every trial once.
        """
        if self.has(ORDER_COLUMN):
            return Trials(self.where, self.table.iloc[np.argsort(self._numbers())], self.stimuli)
        return self

    def _numbers(self) -> Array:
        import pandas as pd

        numbers = pd.to_numeric(self.table[ORDER_COLUMN], errors="coerce").to_numpy(dtype=np.float64)
        if np.isnan(numbers).any() or len(np.unique(numbers)) < len(numbers):
            raise DataError(
                f"The column {ORDER_COLUMN!r} of {self.where} must number all {len(numbers)} trials, each once; found "
                f"{len(np.unique(numbers[~np.isnan(numbers)]))} numbers. Number them over all participants, or leave "
                "the column out."
            )
        return numbers


def _words(column: pd.Series[Any]) -> tuple[Array, Array]:
    """A column as words and where it has none."""
    import pandas as pd

    codes, values = pd.factorize(column, use_na_sentinel=True)  # one conversion per value, not per row
    words = np.array([*(str(value) for value in values), ""], dtype=object)  # -1, no value, is the last
    blank = np.array([not word.strip() for word in words], dtype=bool)
    return words[codes], blank[codes]


def trials_of(target: Dataset | pd.DataFrame | xr.DataArray, metric: str) -> Trials:
    """Trials of a data set, a table, or an array of choices.

    Parameters
    ----------
    target
        A data set with trials; a table with a column ``stimulus_id``; or a DataArray with dims ("presentation",),
        whose values (or whose coordinate ``choice``) are the choices and whose coordinates are the other columns. Rows
        of tables and arrays keep their order; the canonical order of their stimuli is that of first appearance.
    metric
        ID of the metric, for messages.

    Raises
    ------
    DataError
        There are no trials.

    Examples
    --------
    >>> import xarray as xr
    >>> ids = {"stimulus_id": ("presentation", ["b", "a"])}
    >>> trials_of(xr.DataArray(["dog", "cat"], dims="presentation", coords=ids), "accuracy").table.columns.tolist()
    ['stimulus_id', 'choice']
    """
    import pandas as pd

    if isinstance(target, Dataset):
        if target.trials is None:
            raise DataError(f"The metric {metric!r} takes trials, but the data set {target.id!r} holds {target.kind}.")
        table = target.trials.assign(stimulus_id=target.trials["stimulus_id"].astype(str))
        return Trials(repr(target.id), table, target.stimuli.table)
    table = target.reset_index(drop=True) if isinstance(target, pd.DataFrame) else _table_of(target, metric)
    if "stimulus_id" not in table.columns or not len(table):
        raise DataError(f"Trials need rows and a column 'stimulus_id'; found {len(table)} rows, {list(table.columns)}.")
    words, missing = _words(table["stimulus_id"])
    if missing.any():
        raise DataError(f"{int(missing.sum())} of {len(words)} trials have no stimulus_id. Leave them out.")
    ids = pd.Index(list(dict.fromkeys(words)), name="stimulus_id")
    return Trials("the table", table.assign(stimulus_id=words), pd.DataFrame(index=ids))


def _table_of(target: Any, metric: str) -> pd.DataFrame:
    import pandas as pd

    dims = getattr(target, "dims", None)
    if dims != ("presentation",):
        found = type(target).__name__ if dims is None else f"dims {dims}"
        raise DataError(
            f"The metric {metric!r} takes trials: a data set that holds them, a table, or choices with dims "
            f"('presentation',); found {found}."
        )
    columns = {str(name): target[name].values for name in target.coords if target[name].dims == dims}
    return pd.DataFrame({**columns, "choice": columns.get("choice", target.values)})


class BinaryTrials(NamedTuple):
    """Trials with two alternatives, as numbers.

    Attributes
    ----------
    stimulus_id, choices
        Names: the stimuli in canonical order, the choices sorted.
    truth
        (n_stimuli,), number of each stimulus's object among the choices.
    stimulus, distractor, choice
        (n_trials,), numbers among ``stimulus_id`` and ``choices``.
    """

    stimulus_id: tuple[str, ...]
    choices: tuple[str, ...]
    truth: Array
    stimulus: Array
    distractor: Array
    choice: Array


def binary_trials(trials: Trials) -> BinaryTrials:
    """Number trials in which one of two objects was chosen: that of the stimulus, or a distractor.

    Columns: ``sample_obj`` and ``truth`` (one of them is enough), ``dist_obj`` and ``choice``.

    Raises
    ------
    DataError
        A column is absent or has gaps, the sample is not the object of the stimulus, sample and distractor are the
        same, or something else was chosen.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"stimulus_id": ["a", "b"], "truth": ["dog", "cat"], "dist_obj": ["cat", "dog"],
    ...                       "choice": ["dog", "dog"]})
    >>> found = binary_trials(trials_of(table, "brainscore-i2n"))
    >>> found.choices, found.truth.tolist(), found.choice.tolist()
    (('cat', 'dog'), [1, 0], [1, 1])
    """
    import pandas as pd

    named = "truth" if trials.has("truth") or "truth" in trials.stimuli.columns else "sample_obj"
    if named == "sample_obj":
        trials.column(named)  # names the columns that there are
    truth = trials.of_stimuli(named)
    rows = trials.rows
    distractor, choice = trials.column("dist_obj"), trials.column("choice")
    of_trial = np.array(truth, dtype=object)[rows]
    sample = trials.column("sample_obj") if trials.has("sample_obj") else of_trial
    where = trials.table["stimulus_id"].to_numpy()
    _refuse(sample != of_trial, where, "have another sample_obj than the object ('truth') of their stimulus")
    _refuse(sample == distractor, where, "have the same object as sample_obj and dist_obj")
    _refuse((choice != sample) & (choice != distractor), where, "have a choice that is neither sample_obj nor dist_obj")
    choices = pd.Index(sorted({*truth, *map(str, distractor)}))
    of_truth, of_distractor, of_choice = (
        choices.get_indexer(pd.Index(words)) for words in (list(truth), distractor, choice)
    )
    return BinaryTrials(trials.ids, tuple(map(str, choices)), of_truth, rows, of_distractor, of_choice)


def _refuse(bad: Array, stimulus_id: Sequence[str] | Array, what: str) -> None:
    if bad.any():
        affected = dict.fromkeys(np.asarray(stimulus_id)[bad])
        raise DataError(
            f"{int(bad.sum())} of {len(bad)} trials {what}: those of the stimuli {shorten(affected)}. "
            "Expected trials with two alternatives, the object of the stimulus and a distractor."
        )
