"""Dissimilarities and their comparison as in the RSA of Tuckute et al. 2023: units scaled by training sounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from isocortex.activations import namespace
from isocortex.errors import DataError, shorten
from isocortex.interfaces import Split
from isocortex.typing import Array
from isocortex_metrics.geometry.dissimilarity import Blocks, upper_triangle
from isocortex_metrics.geometry.pair_statistics import PUBLISHED_TIE_SHARE, unit_ranks
from isocortex_metrics.numerics.arrays import on_device, to_numpy
from isocortex_metrics.numerics.threads import few_threads

#: categories of sounds, in the order by which the published code sorts
CATEGORIES = (
    "Music",
    "Song",
    "EngSpeech",
    "ForSpeech",
    "HumVoc",
    "AniVoc",
    "HumNonVoc",
    "AniNonVoc",
    "Nature",
    "Mechanical",
    "EnvSound",
)
#: units that vary less than this share of their size, and patterns that vary less than this share of theirs, are flat
_FLAT = 1e-12


def category_order(categories: Sequence[str]) -> Array:
    """Places that sort stimuli by category as published, within a category as they were.

    Parameters
    ----------
    categories
        Of each stimulus, among ``CATEGORIES``.

    Raises
    ------
    DataError
        A category that is not among them: the paper has no place for it.

    Examples
    --------
    >>> category_order(["Nature", "Music", "Nature", "Song", "Music"]).tolist()
    [1, 4, 3, 0, 2]
    """
    unknown = [name for name in dict.fromkeys(categories) if name not in CATEGORIES]
    if unknown:
        raise DataError(f"Sounds are sorted by {', '.join(CATEGORIES)}; found {shorten(unknown)}.")
    return np.argsort([CATEGORIES.index(name) for name in categories], kind="stable")


def half_rdms(blocks: Blocks, splits: Sequence[Split], device: str = "cpu") -> list[tuple[Array, Array]]:
    """Dissimilarities among the training and among the test stimuli of each split, units scaled by the training ones.

    Every unit is z-scored with mean and standard deviation (ddof 0) over the training stimuli, a unit that does not
    vary there is only centred; 1 − Pearson correlation between stimuli.

    Parameters
    ----------
    blocks
        Gives column blocks (n_stimuli, width) of the patterns; called once.
    splits
        Places of rows.
    device
        Where products are formed; see ``backend.on_device``.

    Returns
    -------
    For each split the pairs among training stimuli and among test stimuli, float64, row by row; NaN throughout where a
    pattern does not vary over units.

    Examples
    --------
    >>> patterns, split = np.random.default_rng(0).normal(size=(9, 20)), Split(np.arange(5), np.arange(5, 9))
    >>> [(train.shape, test.shape) for train, test in half_rdms(lambda: iter([patterns]), [split])]
    [((10,), (6,))]
    """
    sums: list[list[tuple[Any, Any]]] = [[(0.0, 0.0), (0.0, 0.0)] for _ in splits]  # of products, of patterns
    n_units = 0
    with few_threads(len(splits[0].train)):
        for block in blocks():
            values = on_device(block if np.issubdtype(block.dtype, np.floating) else block.astype(np.float64), device)
            for parts, split in zip(sums, splits, strict=True):
                for place, half in enumerate(_scaled(values, split, device)):
                    products, total = parts[place]
                    parts[place] = products + half @ half.T, total + namespace(half).sum(half, axis=1)
            n_units += block.shape[1]
    rdms = [
        [_dissimilarity(to_numpy(products), to_numpy(total), n_units) for products, total in parts] for parts in sums
    ]
    return [(train, test) for train, test in rdms]


def _scaled(values: Any, split: Split, device: str) -> list[Any]:
    xp = namespace(values)
    train, test = (values[on_device(part, device), :] for part in split)
    mean = xp.mean(train, axis=0)
    centred = train - mean
    spread = xp.sqrt(xp.mean(centred * centred, axis=0))
    flat = spread <= _FLAT * xp.max(xp.abs(train), axis=0)
    spread = xp.where(flat, 1.0, spread)
    return [centred / spread, (test - mean) / spread]


def _dissimilarity(products: Array, sums: Array, n_units: int) -> Array:
    size = products.diagonal().copy()
    products = products - np.outer(sums, sums / n_units)
    variance = products.diagonal()
    pairs = upper_triangle(products)
    if (variance <= _FLAT * size).any() or n_units < 2:
        return np.full_like(pairs, np.nan)
    norm = np.sqrt(variance)
    return 1.0 - pairs / upper_triangle(np.outer(norm, norm))


def earliest_best_layers(train: Array) -> Array:
    """The first layer with the largest training value: (n_layers, …) → (…), NaN left out.

    Examples
    --------
    >>> earliest_best_layers(np.array([[0.1, np.nan], [0.3, 0.2], [0.3, 0.1]])).tolist()
    [1, 1]
    """
    return np.where(np.isnan(train), -np.inf, train).argmax(axis=0)


def participant_ceiling(rdms: Array, transform: Callable[..., Array] = unit_ranks) -> Array:
    """Correlation of each participant's matrix with the mean of the others': (n_participants, n_pairs) → (…,).

    Parameters
    ----------
    transform
        ``unit_ranks``: Spearman's rho, as models are scored; ``unit_values``: Pearson's r, as published.

    Examples
    --------
    >>> participant_ceiling(np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 9.0]])).round(12).tolist()
    [1.0, 1.0]
    """
    total = rdms.sum(axis=0)
    return np.array(
        [float(transform(own, PUBLISHED_TIE_SHARE) @ transform(total - own, PUBLISHED_TIE_SHARE)) for own in rdms]
    )


def median_over_splits(per_split: Array) -> tuple[float, Array]:
    """Median over splits, mean over participants: (n_splits, n_participants) → the value, and each participant's.

    Examples
    --------
    >>> median_over_splits(np.array([[0.1, 0.5], [0.2, 0.7], [0.9, 0.6]]))[0]
    0.4
    """
    medians = np.median(per_split, axis=0)
    return float(medians.mean()), medians
