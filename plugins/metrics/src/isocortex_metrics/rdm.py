"""Representational dissimilarity matrices as vectors of pairs: the upper triangle, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from isocortex.errors import DataError
from isocortex_metrics.dual_ridge import gram_matrix

Array = np.ndarray[Any, Any]
Blocks = Callable[[], Iterator[Array]]

#: patterns that vary less than this share of their size over units are flat, up to rounding
_FLAT = 1e-12
#: squared distances below this share of the patterns' size are rounding
_EQUAL = 1e-12


class FlatPatternError(DataError):
    """The dissimilarity of some patterns is not defined.

    Attributes
    ----------
    stimuli
        Their places in the canonical order.
    """

    def __init__(self, message: str, stimuli: Sequence[int]) -> None:
        super().__init__(message)
        self.stimuli = tuple(stimuli)


def standardised(blocks: Blocks) -> Iterator[Array]:
    """Column blocks with every unit z-scored over the stimuli (ddof 0); a unit that does not vary becomes zero.

    Where units have scales of their own (power in filters, components), the largest would otherwise be the pattern.

    Examples
    --------
    >>> next(standardised(lambda: iter([np.array([[1.0, 7.0], [3.0, 7.0]])]))).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    for block in blocks():
        centred = block - block.mean(axis=0, dtype=np.float64)
        spread = np.sqrt(np.mean(centred**2, axis=0))
        varies = spread > _FLAT * np.abs(block).max(axis=0, initial=0.0)
        yield np.where(varies, centred / np.where(varies, spread, 1.0), 0.0)


def correlation_distance(blocks: Blocks, n_stimuli: int) -> Array:
    """1 − Pearson correlation between the patterns of every pair of stimuli.

    Parameters
    ----------
    blocks
        Gives the column blocks (n_stimuli, width) of the patterns, any real dtype; called once.

    Returns
    -------
    (n_pairs,) float64. Kriegeskorte, Mur & Bandettini 2008.

    Raises
    ------
    FlatPatternError
        A pattern does not vary over its units, so that its correlation is undefined.

    Examples
    --------
    >>> patterns = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    >>> correlation_distance(lambda: iter([patterns]), 3).round(6).tolist()
    [2.0, 0.0, 2.0]
    """
    products, sums, largest = np.zeros((n_stimuli, n_stimuli)), np.zeros(n_stimuli), np.zeros(n_stimuli)
    shift, n_units = np.zeros((n_stimuli, 1)), 0
    for block in blocks():
        if not n_units:
            # about the mean of a row, so that little cancels below; the first unit goes before the mean does, because
            # the rounded mean of equal values may differ from them
            first = np.asarray(block[:, :1], dtype=np.float64)
            shift = first + np.subtract(block, first).mean(axis=1, keepdims=True)
        shifted = np.subtract(block, shift, dtype=np.float64)
        products += shifted @ shifted.T
        sums += shifted.sum(axis=1)
        largest = np.maximum(largest, np.abs(block).max(axis=1, initial=0.0))
        n_units += block.shape[1]
    products -= np.outer(sums, sums / max(n_units, 1))
    norm = np.sqrt(np.maximum(products.diagonal(), 0.0))
    _refuse_flat(norm <= _FLAT * largest * np.sqrt(n_units), "correlation", f"a constant pattern of {n_units} units")
    return 1.0 - upper_triangle(products) / upper_triangle(np.outer(norm, norm))


def cosine_distance(blocks: Blocks, n_stimuli: int) -> Array:
    """1 − cosine of the angle between the patterns of every pair of stimuli, (n_pairs,) float64.

    Raises
    ------
    FlatPatternError
        A pattern is 0 throughout.

    Examples
    --------
    >>> cosine_distance(lambda: iter([np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])]), 3).tolist()
    [1.0, 0.0, 1.0]
    """
    products = np.zeros((n_stimuli, n_stimuli))
    for block in blocks():
        values = np.asarray(block, dtype=np.float64)
        products += values @ values.T
    norm = np.sqrt(products.diagonal())
    _refuse_flat(norm == 0, "cosine", "a pattern of zeros")
    return 1.0 - upper_triangle(products) / upper_triangle(np.outer(norm, norm))


def euclidean_distance(blocks: Blocks, n_stimuli: int) -> Array:
    """Euclidean distance between the patterns of every pair of stimuli, (n_pairs,) float64; always defined.

    Examples
    --------
    >>> euclidean_distance(lambda: iter([np.array([[0.0, 0.0], [3.0, 4.0]])]), 2).round(12).tolist()
    [5.0]
    """
    gram = gram_matrix(blocks(), n_stimuli)
    size = upper_triangle(np.add.outer(gram.diagonal(), gram.diagonal()))
    squared = size - 2.0 * upper_triangle(gram)
    # equal patterns differ by rounding, which the square root would raise far above it
    return np.sqrt(np.where(squared > _EQUAL * size, squared, 0.0))


def upper_triangle(matrix: Array) -> Array:
    """The entries above the diagonal, row by row: (n, n) → (n (n − 1) / 2,).

    Examples
    --------
    >>> upper_triangle(np.arange(9).reshape(3, 3)).tolist()
    [1, 2, 5]
    """
    return matrix[~np.tri(len(matrix), dtype=bool)]


def _refuse_flat(flat: Array, distance: str, what: str) -> None:
    places = [int(place) for place in np.flatnonzero(flat)]
    if places:
        raise FlatPatternError(
            f"The {distance} distance needs patterns that vary over units; {len(places)} of {len(flat)} stimuli have "
            f"{what} (first: number {places[0]} of the canonical order). Use another reduction or dissimilarity.",
            places,
        )


DISSIMILARITIES: dict[str, Callable[[Blocks, int], Array]] = {
    "correlation": correlation_distance,
    "cosine": cosine_distance,
    "euclidean": euclidean_distance,
}
