"""The ten half splits of Tuckute et al. 2023, the same for every model, layer and target."""

from __future__ import annotations

import numpy as np

from isocortex.errors import DataError
from isocortex.interfaces import Split
from isocortex.scoring import MIN_TEST

#: as published
N_SPLITS = 10


def tuckute_splits(n_stimuli: int, n_splits: int = N_SPLITS) -> list[Split]:
    """Draw the half splits of Tuckute et al. 2023, PLOS Biology, from their generator.

    ``RandomState(0)`` draws ⌈n / 2⌉ training stimuli (83 of 165) without replacement, then all others as test stimuli;
    the second draw changes nothing but the generator. The same table serves regression (on the stimuli in canonical
    order) and RSA (on the stimuli sorted by category).

    Parameters
    ----------
    n_stimuli
        Number of rows that the splits index.
    n_splits
        10 as published.

    Returns
    -------
    ``n_splits`` splits, places ascending.

    Raises
    ------
    DataError
        Fewer than three test stimuli.

    Examples
    --------
    >>> splits = tuckute_splits(165)
    >>> len(splits), len(splits[0].train), len(splits[0].test), splits[0].train[:4].tolist()
    (10, 83, 82, [2, 5, 7, 8])
    """
    n_train = (n_stimuli + 1) // 2
    if n_stimuli - n_train < MIN_TEST:
        raise DataError(
            f"Half splits need at least {2 * MIN_TEST} stimuli, so that a correlation over the test half means "
            f"something; found {n_stimuli}."
        )
    random, places, found = np.random.RandomState(0), np.arange(n_stimuli), list[Split]()
    for _ in range(n_splits):
        train = np.sort(random.choice(n_stimuli, n_train, replace=False))
        test = np.setdiff1d(places, train)
        random.choice(test, len(test), replace=False)  # as published; moves the generator on
        found.append(Split(train, test))
    return found
