"""Brain-Score's rows and splits: stimuli in the order of its averaging, and ten seeded splits over that order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from isocortex.data import Dataset, averaged, stimulus_order
from isocortex.errors import DataError, SettingsError
from isocortex.interfaces import Split
from isocortex.scoring import MIN_TEST
from isocortex.typing import Array
from isocortex_metrics.target.responses import labels_of, responses_of

if TYPE_CHECKING:
    import xarray as xr


#: as published
N_SPLITS, TRAIN_SIZE, SEED = 10, 0.9, 1
#: the column whose shares the published splits keep
STRATA = "object_name"


class Rows(NamedTuple):
    """What Brain-Score's metrics are given of a brain.

    Attributes
    ----------
    values
        (n_stimuli, n_neuroids) float64, repetitions averaged.
    stimulus_id
        Of each row, as strings.
    labels
        (n_stimuli,) what splits are stratified by, of its own type; None: splits are not stratified.
    neuroid
        DataArray ("neuroid",) whose coordinates are those of the responses.
    """

    values: Array
    stimulus_id: tuple[str, ...]
    labels: Array | None
    neuroid: xr.DataArray


class PermutedRows:
    """Places of rows whose responses a permutation of the canonical order brings to the rows.

    Parameters
    ----------
    stimulus_id
        Of the rows.
    canonical
        The same stimuli in canonical order.

    Examples
    --------
    >>> PermutedRows(["b", "a", "c"], ["a", "b", "c"])(np.array([2, 0, 1])).tolist()  # to b comes a, to a c, to c b
    [1, 2, 0]
    """

    def __init__(self, stimulus_id: Sequence[str], canonical: Sequence[str]) -> None:
        place = {name: number for number, name in enumerate(canonical)}
        self.canonical_place = np.array([place[name] for name in stimulus_id])
        self.row = np.argsort(self.canonical_place)

    def __call__(self, order: Array) -> Array:
        """(n_stimuli,) rows, of a permutation as for ``Comparison.permuted``."""
        return self.row[order[self.canonical_place]]


def brainscore_rows(
    target: Dataset | xr.DataArray, *, stratify: str | bool | None = None, metric: str = "This metric"
) -> Rows:
    """Average repetitions and put the stimuli into the order on which Brain-Score draws its splits.

    The averaging of the package sorts by ``stimulus_id`` (strings by code point, numbers by value). It runs where
    stimuli were shown several times, and for every data set; responses of a notebook that hold each stimulus once keep
    their order.

    Parameters
    ----------
    target
        Data set or responses, dims ("presentation", "neuroid").
    stratify
        Column of the stimulus table, or coordinate of the presentations, that splits are stratified by. None:
        ``object_name`` where there is one. False: no strata.
    metric
        ID for messages.

    Raises
    ------
    DataError
        Responses that are not valid, or stimuli without a label or with two.
    SettingsError
        The column that ``stratify`` names does not exist.

    Examples
    --------
    >>> from isocortex.data import make_responses
    >>> rows = brainscore_rows(make_responses(np.array([[[3.0], [1.0]], [[5.0], [1.0]]]), ["b", "a"]))
    >>> rows.stimulus_id, rows.values.tolist(), rows.labels
    (('a', 'b'), [[1.0], [4.0]], None)
    """
    responses = responses_of(target, metric)
    found = stimulus_order(responses)
    order = np.arange(len(found))
    if isinstance(target, Dataset) or len(found) < responses.sizes["presentation"]:
        order = _sorting(responses, found)
    stimulus_id = tuple(str(found[place]) for place in order)
    return Rows(
        averaged(responses)[order],
        stimulus_id,
        _labels(target, responses, stimulus_id, stratify),
        responses.isel(presentation=0, drop=True),
    )


def _sorting(responses: xr.DataArray, found: tuple[str, ...]) -> Array:
    """Places of the stimuli in the order of their IDs, numbers by value."""
    if responses["stimulus_id"].attrs.get("numbers"):
        return np.argsort(np.array(found).astype(np.int64), kind="stable")
    return np.argsort(np.array(found), kind="stable")


def _labels(
    target: Dataset | xr.DataArray, responses: xr.DataArray, stimulus_id: tuple[str, ...], stratify: str | bool | None
) -> Array | None:
    """Labels in the order of the rows. Their type matters: the generator serves labels in sorted order."""
    if stratify is False:
        return None
    column = STRATA if stratify is None or stratify is True else stratify
    table = target.stimuli.table if isinstance(target, Dataset) else None
    try:
        labels = labels_of(target, responses, column, stimulus_id)
    except SettingsError:
        if stratify is None:
            return None
        raise
    found = table[column] if table is not None and column in table.columns else responses[column]
    kind = np.asarray(found).dtype
    return np.array(labels).astype(kind) if np.issubdtype(kind, np.number) else np.array(labels)


def brainscore_splits(
    n: int,
    labels: Sequence[object] | Array | None,
    *,
    n_splits: int = N_SPLITS,
    train_size: float | None = None,
    test_size: float | None = None,
    seed: int = SEED,
    kfold: bool = False,
) -> list[Split]:
    """Draw splits as Brain-Score does: scikit-learn's (Stratified)ShuffleSplit, or its (Stratified)KFold, shuffled.

    Parameters
    ----------
    n
        Number of rows.
    labels
        (n,) strata; None: not stratified.
    n_splits
        Splits, or folds.
    train_size, test_size
        Shares of the rows; the other side is the rest. Neither: nine tenths are trained on, as in regressions. Not
        used by folds.
    seed
        1 as published.
    kfold
        Folds that test every row once.

    Returns
    -------
    Splits with places ascending.

    Raises
    ------
    DataError
        Strata that cannot be split so, or fewer than three rows in a test part.

    Examples
    --------
    >>> splits = brainscore_splits(40, None)
    >>> len(splits), len(splits[0].train), splits[0].test.tolist()
    (10, 36, [2, 3, 21, 31])
    """
    from sklearn import model_selection as draws

    if labels is not None and len(labels) != n:
        raise DataError(f"Splits need one label per stimulus: expected {n}, found {len(labels)}.")
    if kfold:
        draw = draws.KFold if labels is None else draws.StratifiedKFold
        splitter = draw(n_splits, shuffle=True, random_state=seed)
    else:
        draw = draws.ShuffleSplit if labels is None else draws.StratifiedShuffleSplit
        share = TRAIN_SIZE if train_size is None and test_size is None else train_size
        splitter = draw(n_splits, train_size=share, test_size=test_size, random_state=seed)
    try:
        found = [Split(np.sort(train), np.sort(test)) for train, test in splitter.split(np.empty(n), labels)]
    except ValueError as error:
        raise DataError(
            f"The splits of Brain-Score cannot be drawn on {n} stimuli: {error} Use more stimuli, or name another "
            "column by the setting 'stratify' (false: none)."
        ) from error
    smallest = min(len(split.test) for split in found)
    if smallest < MIN_TEST:
        raise DataError(
            f"Splits need at least {MIN_TEST} test stimuli, so that a correlation over them means something; {n} "
            f"stimuli give {smallest}. Use more stimuli."
        )
    return found
