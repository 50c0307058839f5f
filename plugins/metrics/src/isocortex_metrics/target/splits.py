"""Splits into training and test stimuli, drawn on the canonical order by a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from isocortex.data import Dataset, stimulus_order
from isocortex.errors import DataError, SettingsError, shorten
from isocortex.interfaces import Split
from isocortex.scoring import MIN_TEST, joined
from isocortex.typing import Array
from isocortex_metrics.target.responses import labels_of

if TYPE_CHECKING:
    import xarray as xr


Labels = Mapping[str, Sequence[object] | Array]


def folds(
    n_stimuli: int,
    *,
    n_folds: int = 5,
    n_repeats: int = 2,
    seed: int = 0,
    strata: Sequence[object] | Array | None = None,
    groups: Sequence[object] | Array | None = None,
) -> list[Split]:
    """K folds, drawn several times: every stimulus is tested once per repeat.

    The draws are those of scikit-learn's ``KFold``, ``StratifiedKFold`` and ``GroupKFold`` with ``shuffle=True`` and
    ``random_state=RandomState([seed, repeat])``, and tested against them; importing them would cost every process 2 s.

    Parameters
    ----------
    strata
        Label of each stimulus; every fold gets its share of each label. A label with fewer stimuli than folds is in as
        many folds as it has stimuli.
    groups
        Label of each stimulus; stimuli of one group are never on both sides. Not together with ``strata``.

    Returns
    -------
    ``n_repeats × n_folds`` splits, the folds of one repeat in a row.

    Raises
    ------
    DataError
        Fewer than three stimuli in a test fold, fewer groups than folds, fewer than two folds, or labels that do not
        fit the stimuli.

    Examples
    --------
    >>> splits = folds(10, n_folds=2, n_repeats=1)
    >>> sorted([*splits[0].test.tolist(), *splits[1].test.tolist()])
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    if n_folds < 2 or n_repeats < 1:
        raise DataError(f"Splits need at least 2 folds and 1 repeat; found {n_folds} and {n_repeats}.")
    if strata is not None and groups is not None:
        raise DataError("Splits are stratified or grouped, not both; give strata or groups.")
    if n_stimuli < MIN_TEST * n_folds:
        raise DataError(
            f"{n_folds} folds need at least {MIN_TEST * n_folds} stimuli, so that a correlation over a fold means "
            f"something; found {n_stimuli}. Use fewer folds (setting n_folds) or more stimuli."
        )
    draw = _plain_folds
    codes = np.arange(n_stimuli)
    if groups is not None:
        codes = _codes(sorted(set(map(str, groups))), groups, n_stimuli, "groups")
        _refuse_few_groups(int(codes.max()) + 1, n_folds)
    elif strata is not None:
        codes = _codes(list(dict.fromkeys(map(str, strata))), strata, n_stimuli, "strata")
        draw = _stratified_folds
    found: list[Split] = []
    for repeat in range(n_repeats):
        # the stream of RandomState is frozen, so that splits outlive versions of numpy
        fold_of = draw(codes, n_folds, np.random.RandomState([seed, repeat]))
        found += _splits_of(fold_of, n_folds)
    return _checked(found)


def leave_one_group_out(groups: Sequence[object] | Array) -> list[Split]:
    """Test every group in turn, in order of first appearance, after training on all others.

    Raises
    ------
    DataError
        Fewer than two groups, or a group of fewer than three stimuli.

    Examples
    --------
    >>> [split.test.tolist() for split in leave_one_group_out(["dog", "cat", "dog", "dog", "cat", "cat"])]
    [[0, 2, 3], [1, 4, 5]]
    """
    names = list(dict.fromkeys(map(str, groups)))
    _refuse_few_groups(len(names), 2)
    return _checked(list(_splits_of(_codes(names, groups, len(groups), "groups"), len(names))))


def _checked(splits: list[Split]) -> list[Split]:
    smallest = min(len(split.test) for split in splits)
    if smallest < MIN_TEST:
        raise DataError(
            f"Every test fold needs at least {MIN_TEST} stimuli, so that a correlation over it means something; the "
            f"smallest of {len(splits)} folds has {smallest}. Use fewer folds (setting n_folds), larger groups or more "
            "stimuli."
        )
    return splits


def _refuse_few_groups(n_groups: int, n_folds: int) -> None:
    if n_groups < n_folds:
        raise DataError(
            f"{n_folds} folds need at least {n_folds} groups of stimuli; found {n_groups}. Stimuli that hold the same "
            "are one group."
        )


def _codes(names: Sequence[str], labels: Sequence[object] | Array, n_stimuli: int, what: str) -> Array:
    """Number of each stimulus's label among the names."""
    if len(labels) != n_stimuli:
        raise DataError(f"Splits need one entry of {what} per stimulus: expected {n_stimuli}, found {len(labels)}.")
    number = {name: place for place, name in enumerate(names)}
    return np.array([number[str(label)] for label in labels], dtype=np.intp)


def _plain_folds(codes: Array, n_folds: int, random: np.random.RandomState) -> Array:
    """Fold of each stimulus; stimuli of one code stay together, the first folds take what does not divide evenly."""
    n_codes = int(codes.max()) + 1 if len(codes) else 0
    fold_of = np.empty(n_codes, dtype=np.intp)
    for fold, members in enumerate(np.array_split(random.permutation(n_codes), n_folds)):
        fold_of[members] = fold
    return fold_of[codes]


def _stratified_folds(codes: Array, n_folds: int, random: np.random.RandomState) -> Array:
    """Fold of each stimulus; how many of a label a fold gets comes from dealing out the sorted labels in turn."""
    n_labels = int(codes.max()) + 1
    dealt = np.sort(codes)
    shares = np.array([np.bincount(dealt[fold::n_folds], minlength=n_labels) for fold in range(n_folds)])
    fold_of = np.empty(len(codes), dtype=np.intp)
    for label in range(n_labels):
        of_label = np.repeat(np.arange(n_folds), shares[:, label])
        random.shuffle(of_label)
        fold_of[codes == label] = of_label
    return fold_of


def _splits_of(fold_of: Array, n_folds: int) -> Iterator[Split]:
    for fold in range(n_folds):
        yield Split(np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold))


def stack_tests(arrays: Sequence[Array]) -> Array:
    """Stack arrays (n_test, …) of unequal length, the short ones filled with NaN (or −1 for places).

    Examples
    --------
    >>> stack_tests([np.array([1, 2]), np.array([3])]).tolist()
    [[1, 2], [3, -1]]
    """
    longest = max(len(array) for array in arrays)
    fill = -1 if np.issubdtype(arrays[0].dtype, np.integer) else np.nan
    stacked = np.full((len(arrays), longest, *arrays[0].shape[1:]), fill, dtype=arrays[0].dtype)
    for row, array in zip(stacked, arrays, strict=True):
        row[: len(array)] = array
    return stacked


class SplitSettings(BaseModel):
    """How stimuli are split into training and test stimuli.

    Examples
    --------
    >>> SplitSettings(scheme="leave-one-group-out", group="category").group
    'category'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    scheme: str = Field(
        default="k-fold",
        description="k-fold; leave-one-group-out: each group of 'group' in turn; fixed: as 'split_column' says",
    )
    n_folds: int = Field(default=5, ge=2, description="folds per repeat")
    n_repeats: int = Field(default=2, ge=1, description="times the folds are drawn")
    stratify: str | None = Field(default=None, description="stimulus column of which every fold gets its share")
    group: str | None = Field(default=None, description="column whose stimuli are never on both sides")
    split_column: str = Field(default="split", description="column with the words train and test, for scheme = 'fixed'")

    @field_validator("scheme")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in SCHEMES:
            raise ValueError(f"expected {' or '.join(SCHEMES)}, found {value!r}")
        return value


def _k_fold(n_stimuli: int, labels: Labels, settings: SplitSettings, seed: int) -> list[Split]:
    return folds(
        n_stimuli,
        n_folds=settings.n_folds,
        n_repeats=settings.n_repeats,
        seed=seed,
        strata=labels.get("stratify"),
        groups=labels.get("group"),
    )


def _each_group(n_stimuli: int, labels: Labels, settings: SplitSettings, seed: int) -> list[Split]:
    del n_stimuli, seed
    if "group" not in labels:
        raise SettingsError(f"scheme = {settings.scheme!r} needs 'group', the stimulus column that is left out.")
    return leave_one_group_out(labels["group"])


def fixed_split(words: Sequence[str] | Array, column: str) -> Split:
    """The one split that a column of stimuli declares.

    Parameters
    ----------
    words
        (n_stimuli,) "train" or "test".
    column
        Its name, for messages.

    Raises
    ------
    DataError
        Other words, or fewer than three stimuli in one of the parts.

    Examples
    --------
    >>> fixed_split(["train"] * 3 + ["test"] * 3, "split").test.tolist()
    [3, 4, 5]
    """
    found = np.asarray(words, dtype=str)
    unknown = sorted(set(found.tolist()) - {"train", "test"})
    if unknown:
        raise DataError(f"The column {column!r} must say train or test; found {shorten(unknown)}.")
    split = Split(np.flatnonzero(found == "train"), np.flatnonzero(found == "test"))
    if min(len(split.train), len(split.test)) < MIN_TEST:
        raise DataError(
            f"A fixed split needs at least {MIN_TEST} training and test stimuli; the column {column!r} has "
            f"{len(split.train)} and {len(split.test)}."
        )
    return split


def _declared(n_stimuli: int, labels: Labels, settings: SplitSettings, seed: int) -> list[Split]:
    del n_stimuli, seed
    return [fixed_split([str(word) for word in labels["split"]], settings.split_column)]


#: scheme → splits of so many stimuli in canonical order, from labels ("stratify", "group", "split"), settings, seed
SCHEMES: dict[str, Callable[[int, Labels, SplitSettings, int], list[Split]]] = {
    "k-fold": _k_fold,
    "leave-one-group-out": _each_group,
    "fixed": _declared,
}


def columns_of(target: Dataset | xr.DataArray, settings: SplitSettings) -> dict[str, str]:
    """Stimulus columns that splits are stratified or grouped by, "" where by none: the settings', or the data set's.

    Examples
    --------
    >>> from isocortex.data import make_responses
    >>> columns_of(make_responses(np.ones((2, 1)), ["a", "b"]), SplitSettings(group="category"))
    {'stratify': '', 'group': 'category'}
    """
    asked = {name: getattr(settings, name) for name in ("stratify", "group")}
    if isinstance(target, Dataset) and not any(asked.values()):
        asked = {name: target.attrs.get(name) for name in asked}
    return {name: str(column or "") for name, column in asked.items()}


def draw_splits(
    target: Dataset | xr.DataArray, responses: xr.DataArray, settings: SplitSettings, seed: int
) -> list[Split]:
    """Splits of the stimuli in canonical order; a data set may ask for ``stratify`` or ``group``, settings go first.

    Stimuli of a data set that hold the same under several IDs are kept together as one, and with the groups that they
    belong to. Only a split that is declared (scheme = "fixed") is taken as it is.

    Raises
    ------
    SettingsError
        Strata and groups at once, an unknown column, or groups to leave out without 'group'.
    DataError
        Too few stimuli or groups, or stimuli without a label.

    Examples
    --------
    >>> import numpy as np
    >>> from isocortex.data import make_responses
    >>> responses = make_responses(np.ones((9, 2)), list("abcdefghi"))
    >>> len(draw_splits(responses, responses, SplitSettings(n_folds=3, n_repeats=4), seed=0))
    12
    """
    asked = columns_of(target, settings)
    if all(asked.values()):
        raise SettingsError("Splits are stratified or grouped, not both; give 'stratify' or 'group'.")
    stimulus_id = stimulus_order(responses)
    labels = {name: labels_of(target, responses, column, stimulus_id) for name, column in asked.items() if column}
    if settings.scheme == "fixed":
        declared = labels_of(target, responses, settings.split_column, stimulus_id)
        return SCHEMES[settings.scheme](len(stimulus_id), {"split": declared}, settings, seed)
    first = first_equal(target, stimulus_id)
    if first == list(stimulus_id):
        return SCHEMES[settings.scheme](len(stimulus_id), labels, settings, seed)
    if "stratify" in labels:
        return _drawn_on_the_first(stimulus_id, first, labels, settings, seed)
    labels = {"group": joined(labels["group"], first)} if "group" in labels else labels
    if settings.scheme == "k-fold":
        labels.setdefault("group", first)
    return SCHEMES[settings.scheme](len(stimulus_id), labels, settings, seed)


def first_equal(target: Dataset | xr.DataArray, stimulus_id: Sequence[str]) -> list[str]:
    """For each stimulus the first, in canonical order, that holds the same; itself where no other does."""
    equal = target.stimuli.equal if isinstance(target, Dataset) else ()
    first = {name: names[0] for names in equal for name in names}
    return [first.get(name, name) for name in stimulus_id]


def _drawn_on_the_first(
    stimulus_id: Sequence[str], first: Sequence[str], labels: Labels, settings: SplitSettings, seed: int
) -> list[Split]:
    """Splits of what differs, by the labels of the first of equal stimuli; its likes go where it goes."""
    own = [place for place, name in enumerate(stimulus_id) if first[place] == name]
    of_own = {name: [column[place] for place in own] for name, column in labels.items()}
    drawn = SCHEMES[settings.scheme](len(own), of_own, settings, seed)
    number = {stimulus_id[place]: row for row, place in enumerate(own)}
    rows = np.array([number[name] for name in first])  # (n_stimuli,) places among those that differ
    return [Split(*(np.flatnonzero(np.isin(rows, side)) for side in split)) for split in drawn]
