"""Layer choice and aggregation of Tuckute et al. 2023, PLOS Biology: halves of the ten splits choose, the others score.

Pure functions on arrays. Splits of the stimuli overlap, so that the half that scores has seen stimuli of the half that
chose: values of models with several layers are too high ("overlapping"). It is kept as published.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isocortex.scoring import by_participant
from isocortex.typing import Array

#: times that the splits are halved, as published
N_ITERATIONS = 10


@dataclass(frozen=True)
class HalfReadout:
    """Choices of a layer, and the values read out there.

    Attributes
    ----------
    chosen
        (n_iterations, n_neuroids): place of the layer.
    value
        (n_iterations, n_neuroids): median over the splits that did not choose.
    """

    chosen: Array
    value: Array


def half_masks(n_layers: int, n_neuroids: int, iteration: int, n_splits: int = 10) -> Array:
    """Which splits choose (the others score), drawn for every layer and neuroid by itself, as published.

    ``RandomState(iteration)`` shuffles [0, 1, 0, 1, …] once per neuroid, layer after layer.

    Returns
    -------
    (n_layers, n_neuroids, n_splits) bool.

    Examples
    --------
    >>> half_masks(1, 2, 0).astype(int).tolist()
    [[[0, 0, 0, 1, 1, 0, 1, 1, 0, 1], [1, 1, 1, 0, 1, 0, 0, 0, 1, 0]]]
    """
    shuffle = np.random.RandomState(iteration).shuffle
    masks = np.tile(np.arange(n_splits, dtype=np.int8) % 2, (n_layers * n_neuroids, 1))
    for mask in masks:
        shuffle(mask)
    return masks.reshape(n_layers, n_neuroids, n_splits).astype(bool)


def half_medians(values: Array, masks: Array, limit: float = np.inf) -> tuple[Array, Array]:
    """Median over the splits that choose, and over the others; neither above the limit.

    Parameters
    ----------
    values
        (n_layers, n_neuroids, n_splits).
    masks
        Of the same shape, as from ``half_masks``.
    limit
        1 for noise-corrected values.

    Returns
    -------
    Two arrays (n_layers, n_neuroids).

    Examples
    --------
    >>> choosing, scoring = half_medians(np.array([[[1.0, 2.0]]]), np.array([[[True, False]]]), limit=1.5)
    >>> choosing.tolist(), scoring.tolist()
    ([[1.0]], [[1.5]])
    """
    medians = [np.median(values[mask].reshape(*values.shape[:2], -1), axis=2) for mask in (masks, ~masks)]
    return np.minimum(medians[0], limit), np.minimum(medians[1], limit)


def read_halves(
    values: Array,
    *,
    limit: float = np.inf,
    n_iterations: int = N_ITERATIONS,
    places: Array | None = None,
    n_neuroids: int | None = None,
) -> HalfReadout:
    """Choose each neuroid's layer on one half of the splits, read it out on the other, several times.

    Parameters
    ----------
    values
        (n_layers, n_neuroids, n_splits).
    limit
        1 for noise-corrected values.
    places, n_neuroids
        Where the values belong to some of the neuroids of a data set: their places in it, and how many it has; halves
        are drawn for all of them. With several layers the choice among equals would need the others' values too, so
        that several layers are read out whole.

    References
    ----------
    Tuckute, Feather, Boebinger & McDermott 2023, PLOS Biology, "Best-predicting model stage".

    Examples
    --------
    >>> values = np.stack([np.full((3, 10), 0.2), np.full((3, 10), 0.6)])
    >>> found = read_halves(values)
    >>> found.chosen.shape, found.value.min().item(), found.value.max().item()
    ((10, 3), 0.6, 0.6)
    """
    n_layers, n_given, n_splits = values.shape
    where = np.arange(n_given) if places is None else places
    chosen, value = [], []
    for iteration in range(n_iterations):
        masks = half_masks(n_layers, n_neuroids or n_given, iteration, n_splits)[:, where]
        choosing, scoring = half_medians(values, masks, limit)
        layer, _ = best_layers(choosing)
        chosen.append(layer)
        value.append(scoring[layer, np.arange(n_given)])
    return HalfReadout(np.stack(chosen), np.stack(value))


def most_frequent(chosen: Array) -> Array:
    """The layer that each neuroid has in most iterations, the first of equals: (n_iterations, n_neuroids) → one row.

    Examples
    --------
    >>> most_frequent(np.array([[2, 0], [2, 1], [0, 1]])).tolist()
    [2, 1]
    """
    counts = np.stack([(chosen == layer).sum(axis=0) for layer in range(int(chosen.max()) + 1)])
    return counts.argmax(axis=0)


def layer_medians(values: Array, limit: float = np.inf) -> Array:
    """Median over all splits, not above the limit: (n_layers, n_neuroids, n_splits) → (n_layers, n_neuroids).

    Examples
    --------
    >>> layer_medians(np.array([[[0.5, 3.0, 2.0]]]), limit=1.0).tolist()
    [[1.0]]
    """
    return np.minimum(np.median(values, axis=2), limit)


def participant_medians(values: Array, codes: Array) -> Array:
    """Median over the neuroids of each participant: (…, n_neuroids) → (…, n_participants).

    Examples
    --------
    >>> participant_medians(np.array([1.0, 2.0, 9.0]), np.array([0, 0, 1])).tolist()
    [1.5, 9.0]
    """
    return by_participant(values, codes)


def standard_error(values: Array) -> float:
    """Standard deviation (ddof 0) over the root of n − 1; NaN for one value.

    Examples
    --------
    >>> standard_error(np.array([1.0, 3.0]))
    1.0
    """
    return float(np.std(values) / np.sqrt(len(values) - 1)) if len(values) > 1 else float("nan")


def best_layers(values: Array) -> tuple[Array, Array]:
    """The best layer of each neuroid, and whether it was drawn from several that are equally good.

    ``RandomState(0)``, made anew by every call, draws uniformly among equals, neuroid after neuroid, as Tuckute et al.
    2023 do.

    Parameters
    ----------
    values
        (n_layers, n_neuroids).

    Returns
    -------
    Place of the layer and whether there was a tie, (n_neuroids,).

    Examples
    --------
    >>> chosen, tied = best_layers(np.array([[1.0, 0.0], [0.5, 2.0]]))
    >>> chosen.tolist(), tied.tolist()
    ([0, 1], [False, False])
    """
    best = values == values.max(axis=0)
    chosen, tied = best.argmax(axis=0), best.sum(axis=0) > 1
    # a draw from one layer leaves the generator as it is, so that only ties need one
    choice = np.random.RandomState(0).choice
    for neuroid in np.flatnonzero(tied):
        chosen[neuroid] = choice(np.flatnonzero(best[:, neuroid]))
    return chosen, tied
