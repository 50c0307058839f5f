"""The choice of a layer, repeated for each of many permutations at once: what ``layer_choice`` does for one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from isocortex.scoring.stats import aggregate
from isocortex.typing import Array

if TYPE_CHECKING:
    from isocortex.activations.layer import Activations
    from isocortex.scoring.contract import Rules


class PermutedChoice:
    """Layers that are offered one by one; each permutation keeps what is best so far, the first of equals.

    Memory: the values of two layers and one criterion.

    Examples
    --------
    >>> choice = PermutedChoice()
    >>> choice.offer(np.array([[1.0], [2.0]]), np.array([[0.1], [0.9]]))
    >>> choice.offer(np.array([[3.0], [4.0]]), np.array([[0.2], [0.8]]))
    >>> choice.values.ravel().tolist()
    [3.0, 2.0]
    """

    def __init__(self) -> None:
        self.best: Array | None = None
        self.values: Array = np.empty(0)

    def offer(self, values: Array, criterion: Array) -> None:
        """Take a layer where its criterion is above that of those before.

        Parameters
        ----------
        values
            (n_permutations, …) of the measure.
        criterion
            Broadcasts to it; NaN is below all.
        """
        criterion = np.where(np.isnan(criterion), -np.inf, criterion)
        if self.best is None:
            self.best, self.values = criterion, values
            return
        better = criterion > self.best
        self.best = np.where(better, criterion, self.best)
        self.values = np.where(better, values, self.values)


def optimistic_criterion(values: Array, codes: Array | None, rules: Rules) -> Array:
    """What the best of all layers is chosen by where nothing is nested: (n_permutations, 1, …).

    Parameters
    ----------
    values
        (n_permutations, …[, n_neuroids]) of the measure.
    codes
        Participant of each neuroid; None: the last dim is none of neuroids, and the mean of all counts.
    """
    flat = (
        values.reshape(len(values), -1) if codes is None else values.reshape(len(values), -1, len(codes)).mean(axis=1)
    )
    found = mean_of_valid(flat) if codes is None else np.asarray(aggregate(flat, codes, how=rules.aggregate))
    return found.reshape(-1, *(1,) * (values.ndim - 1))


def mean_of_valid(values: Array) -> Array:
    """Mean along the last axis; NaN is left out, and of nothing there is none.

    Examples
    --------
    >>> mean_of_valid(np.array([[1.0, np.nan], [np.nan, np.nan]])).tolist()
    [1.0, nan]
    """
    valid = ~np.isnan(values)
    n = valid.sum(axis=-1)
    return np.where(n > 0, np.where(valid, values, 0.0).sum(axis=-1) / np.maximum(n, 1), np.nan)


def distinct_layers(layers: Mapping[str, Activations]) -> Iterator[Activations]:
    """Layers of different content, each once; the choice counts the others not at all."""
    seen: set[str] = set()
    for layer in layers.values():
        if layer.digest not in seen:
            seen.add(layer.digest)
            yield layer
