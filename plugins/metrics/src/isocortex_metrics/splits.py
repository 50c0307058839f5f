"""Splits into training and test stimuli, drawn on the canonical order by a seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from isocortex.errors import DataError

Array = np.ndarray[Any, Any]


class Split(NamedTuple):
    """Places of training and test stimuli in the canonical order, each ascending."""

    train: Array
    test: Array


def folds(
    n_stimuli: int,
    *,
    n_folds: int = 5,
    n_repeats: int = 2,
    seed: int = 0,
    strata: Sequence[object] | None = None,
    groups: Sequence[object] | None = None,
) -> list[Split]:
    """K folds, drawn several times: every stimulus is tested once per repeat.

    Parameters
    ----------
    strata
        Label of each stimulus; every fold gets its share of each label.
    groups
        Label of each stimulus; stimuli of one group are never on both sides.

    Raises
    ------
    DataError
        Fewer than three stimuli per fold, or fewer groups than folds.

    Examples
    --------
    >>> splits = folds(10, n_folds=2, n_repeats=1)
    >>> sorted([*splits[0].test.tolist(), *splits[1].test.tolist()])
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    if n_stimuli < 3 * n_folds:
        raise DataError(
            f"{n_folds} folds need at least {3 * n_folds} stimuli, so that a correlation over a fold means something; "
            f"found {n_stimuli}. Use fewer folds (setting n_folds) or more stimuli."
        )
    if groups is not None and len(set(groups)) < n_folds:
        raise DataError(f"{n_folds} folds need at least {n_folds} groups of stimuli; found {len(set(groups))}.")
    kind = "grouped" if groups is not None else "stratified" if strata is not None else "plain"
    labels = groups if groups is not None else strata
    places = np.arange(n_stimuli)
    found: list[Split] = []
    for repeat in range(n_repeats):
        maker = _MAKERS[kind](n_folds, np.random.RandomState([seed, repeat]))
        found += [Split(train, test) for train, test in maker.split(places, *_arguments(kind, labels))]
    return found


def _arguments(kind: str, labels: Sequence[object] | None) -> list[Any]:
    names = None if labels is None else [str(label) for label in labels]
    return {"plain": [], "stratified": [names], "grouped": [None, names]}[kind]


def _plain(n_folds: int, generator: np.random.RandomState) -> Any:
    from sklearn.model_selection import KFold

    return KFold(n_folds, shuffle=True, random_state=generator)


def _stratified(n_folds: int, generator: np.random.RandomState) -> Any:
    from sklearn.model_selection import StratifiedKFold

    return StratifiedKFold(n_folds, shuffle=True, random_state=generator)


def _grouped(n_folds: int, generator: np.random.RandomState) -> Any:
    from sklearn.model_selection import GroupKFold

    return GroupKFold(n_folds, shuffle=True, random_state=generator)


_MAKERS: dict[str, Callable[[int, np.random.RandomState], Any]] = {
    "plain": _plain,
    "stratified": _stratified,
    "grouped": _grouped,
}
