"""Representational dissimilarity matrices as vectors of pairs: the upper triangle, row by row.

Products of patterns are accumulated over blocks of units, in double precision on the CPU or on an accelerator. Where a
caller allows it, many float32 patterns are multiplied in single precision and the outcome is checked, see ``_single``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from isocortex.activations import namespace
from isocortex.errors import DataError
from isocortex.typing import Array
from isocortex_metrics.geometry.kernels import linear_kernel
from isocortex_metrics.numerics.arrays import on_device, square_of_zeros, to_numpy
from isocortex_metrics.numerics.ranks import stable_order
from isocortex_metrics.numerics.threads import few_threads

Blocks = Callable[[], Iterator[Array]]

#: patterns that vary less than this share of their size over units are flat, up to rounding
_FLAT = 1e-12
#: squared distances below this share of the patterns' size are rounding
_EQUAL = 1e-12
#: fewer stimuli are multiplied in double precision in any case
SINGLE_FROM = 1024
#: stimuli on which single precision is checked
_CHECKED = 192
#: largest error of single precision, as a share of the spread of dissimilarities (both as standard deviations)
_SINGLE_ERROR = 1e-5
#: share of dissimilarities that may tie where single precision is used, because it takes ties apart
_SINGLE_TIES = 1e-3


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


@dataclass
class _Products:
    """Sums over units of shifted patterns: of their products (n, n), of themselves (n,); and the shift (n, 1)."""

    products: Any
    sums: Any
    shift: Any = 0.0
    n_units: int = 0

    @classmethod
    def none(cls, n_stimuli: int, device: str = "cpu") -> _Products:
        """Before the first unit."""
        return cls(square_of_zeros(n_stimuli, device), on_device(np.zeros(n_stimuli), device))

    def add(self, shifted: Any) -> None:
        """Take units into the sums, in double precision."""
        self.products += shifted @ shifted.T
        self.sums += namespace(shifted).sum(shifted, axis=1, dtype=self.sums.dtype)
        self.n_units += shifted.shape[1]

    def distances(self, *, centred: bool) -> Array:
        """1 − correlation, or 1 − cosine where nothing is centred."""
        products, sums = to_numpy(self.products), to_numpy(self.sums)
        if centred:
            products -= np.outer(sums, sums / max(self.n_units, 1))
        norm = np.sqrt(np.maximum(products.diagonal(), 0.0))
        if centred:
            size = np.abs(to_numpy(self.shift)[:, 0]) * np.sqrt(self.n_units)  # of a pattern that does not vary
            _refuse_flat(norm <= _FLAT * size, "correlation", f"a constant pattern of {self.n_units} units")
        else:
            _refuse_flat(norm == 0, "cosine", "a pattern of zeros")
        products /= norm
        products /= norm[:, None]
        return 1.0 - upper_triangle(products)


def _about_mean(values: Any) -> Any:
    """About the mean of each row, (n, 1), so that little cancels when it goes.

    The first unit goes before the mean does, because the rounded mean of equal values may differ from them.
    """
    first = values[:, :1]
    return first + namespace(values).mean(values - first, axis=1, keepdims=True)


def _products(blocks: Blocks, n_stimuli: int, device: str, *, centred: bool) -> _Products:
    """Accumulate in double precision; patterns are shifted by about the mean of their row where they are centred."""
    found = _Products.none(n_stimuli, device)
    for block in blocks():
        values = on_device(block if np.issubdtype(block.dtype, np.floating) else block.astype(np.float64), device)
        if centred:
            if not found.n_units:
                found.shift = _about_mean(values)
            values = values - found.shift
        found.add(values)
    return found


def _single(blocks: Blocks, n_stimuli: int, *, centred: bool) -> Array | None:
    """Distances from products in single precision, or None where those of some stimuli in double precision object.

    Double precision is kept where the error is not small against the spread of the dissimilarities, and where some of
    them tie: rounding would take ties apart, which changes ranks. Blocks are added up in double precision.
    """
    rows = np.linspace(0, n_stimuli - 1, _CHECKED).astype(np.intp)
    found, exact = _Products.none(n_stimuli), _Products.none(len(rows))
    for block in blocks():
        if block.dtype != np.float32:
            return None
        if not found.n_units:
            found.shift = _about_mean(block) if centred else np.zeros((n_stimuli, 1), dtype=np.float32)
            exact.shift = found.shift[rows]
        found.add(block - found.shift)
        exact.add(block[rows] - exact.shift.astype(np.float64))
    try:
        distances, checked = found.distances(centred=centred), exact.distances(centred=centred)
    except FlatPatternError:
        return None
    first, second = np.triu_indices(len(rows), 1)
    error = distances[pair_places(rows[first], rows[second], n_stimuli)] - checked
    ordered = checked[stable_order(checked)]
    ties = np.mean(np.diff(ordered) <= 1e-10 * np.abs(ordered).max())
    return distances if error.std() <= _SINGLE_ERROR * checked.std() and ties <= _SINGLE_TIES else None


def _distances(blocks: Blocks, n_stimuli: int, device: str, single: bool, *, centred: bool) -> Array:
    with few_threads(n_stimuli):
        if single and device == "cpu" and n_stimuli >= SINGLE_FROM:
            found = _single(blocks, n_stimuli, centred=centred)
            if found is not None:
                return found
        return _products(blocks, n_stimuli, device, centred=centred).distances(centred=centred)


def correlation_distance(blocks: Blocks, n_stimuli: int, device: str = "cpu", *, single: bool = False) -> Array:
    """1 − Pearson correlation between the patterns of every pair of stimuli.

    Parameters
    ----------
    blocks
        Gives the column blocks (n_stimuli, width) of the patterns, any real dtype; called once, or twice if ``single``.
    device
        Where products are formed; see ``backend.on_device``.
    single
        Multiply in single precision where there are at least ``SINGLE_FROM`` stimuli in float32, and where double
        precision on 192 of them says that the error is at most 1e-5 of the spread and that next to nothing ties.

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
    return _distances(blocks, n_stimuli, device, single, centred=True)


def cosine_distance(blocks: Blocks, n_stimuli: int, device: str = "cpu", *, single: bool = False) -> Array:
    """1 − cosine of the angle between the patterns of every pair of stimuli, (n_pairs,) float64.

    Parameters are those of ``correlation_distance``.

    Raises
    ------
    FlatPatternError
        A pattern is 0 throughout.

    Examples
    --------
    >>> cosine_distance(lambda: iter([np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])]), 3).tolist()
    [1.0, 0.0, 1.0]
    """
    return _distances(blocks, n_stimuli, device, single, centred=False)


def euclidean_distance(blocks: Blocks, n_stimuli: int, device: str = "cpu", *, single: bool = False) -> Array:
    """Euclidean distance between the patterns of every pair of stimuli, (n_pairs,) float64; always defined.

    Always in double precision, because distances are differences of larger numbers.

    Examples
    --------
    >>> euclidean_distance(lambda: iter([np.array([[0.0, 0.0], [3.0, 4.0]])]), 2).round(12).tolist()
    [5.0]
    """
    return np.sqrt(squared_euclidean_distance(blocks, n_stimuli, device, single=single))


def squared_euclidean_distance(blocks: Blocks, n_stimuli: int, device: str = "cpu", *, single: bool = False) -> Array:
    """Squared Euclidean distance between the patterns of every pair of stimuli, (n_pairs,) float64.

    Examples
    --------
    >>> squared_euclidean_distance(lambda: iter([np.array([[0.0, 0.0], [3.0, 4.0]])]), 2).round(12).tolist()
    [25.0]
    """
    del single
    with few_threads(n_stimuli):
        gram = to_numpy(linear_kernel(blocks(), n_stimuli, device=device))
    size = upper_triangle(np.add.outer(gram.diagonal(), gram.diagonal()))
    squared = size - 2.0 * upper_triangle(gram)
    # equal patterns differ by rounding, which a square root would raise far above it
    return np.where(squared > _EQUAL * size, squared, 0.0)


def crossvalidated_distance(repetitions: Array, *, standardise: bool = False) -> Array:
    r"""Cross-validated squared Euclidean distance of every pair of stimuli: 0 on average where there is only noise.

    d_ij = 1 / (R (R − 1) P) Σ_{a≠b} (x_i^a − x_j^a) · (x_i^b − x_j^b) over pairs of the R repetitions, for P neuroids.
    Noise that is independent between repetitions does not add to it, so that it can be negative. Walther et al. 2016,
    NeuroImage 137, "crossnobis" without whitening.

    Where trials are missing, products are averaged over all pairs of different trials that each neuroid p has:
    d_ij = Σ_p ((ȳ_ip − ȳ_jp)² − s²_ip / k_ip − s²_jp / k_jp) / P.

    Parameters
    ----------
    repetitions
        x (n_repetitions, n_stimuli, n_neuroids), NaN where a trial is not there; at least two of every stimulus.
    standardise
        Divide every neuroid by its standard deviation over stimuli (root mean square over repetitions), which leaves
        the mean over noise at 0; a neuroid that does not vary counts as 0.

    Returns
    -------
    (n_pairs,) float64.

    Raises
    ------
    DataError
        A single repetition, or a neuroid with a single trial of a stimulus.

    Examples
    --------
    >>> crossvalidated_distance(np.array([[[0.0], [2.0]], [[1.0], [4.0]]])).tolist()
    [6.0]
    """
    n_repetitions, n_stimuli, n_neuroids = repetitions.shape
    if n_repetitions < 2:
        raise DataError(
            "The cross-validated distance multiplies differences of different repetitions, so that every stimulus "
            f"needs at least 2; found {n_repetitions}. Use another dissimilarity, or responses that are not averaged."
        )
    if np.isnan(repetitions).any():
        return _of_own_trials(repetitions, standardise=standardise)
    values = repetitions - repetitions.mean(axis=1, keepdims=True)
    if standardise:
        spread = np.sqrt(np.mean(values**2, axis=(0, 1)))
        varies = spread > _FLAT * np.abs(repetitions).max(axis=(0, 1))
        values = np.where(varies, values / np.where(varies, spread, 1.0), 0.0)
    gram = partial(linear_kernel, n_stimuli=n_stimuli)
    # the products of all pairs of repetitions are those of the sums, less those of each repetition with itself
    crossed = to_numpy(gram([values.sum(axis=0)])) - sum(to_numpy(gram([one])) for one in values)
    crossed /= n_repetitions * (n_repetitions - 1) * n_neuroids
    return upper_triangle(np.add.outer(crossed.diagonal(), crossed.diagonal())) - 2.0 * upper_triangle(crossed)


def _of_own_trials(trials: Array, *, standardise: bool) -> Array:
    """As ``crossvalidated_distance``, over the trials that each neuroid has."""
    there = ~np.isnan(trials)
    counts = there.sum(axis=0)
    few = (counts < 2).any(axis=1)
    if few.any():
        raise DataError(
            "The cross-validated distance multiplies differences of different repetitions, so that every neuroid needs "
            f"at least 2 trials of every stimulus; {int(few.sum())} of {len(few)} stimuli have fewer. Use another "
            "dissimilarity, or leave those stimuli out."
        )
    means = np.where(there, trials, 0.0).sum(axis=0) / counts  # (n_stimuli, n_neuroids)
    noise = (np.where(there, trials - means, 0.0) ** 2).sum(axis=0) / (counts - 1) / counts
    means = means - means.mean(axis=0)
    if standardise:
        spread = np.sqrt((means**2 + noise * (counts - 1)).mean(axis=0))
        varies = spread > _FLAT * np.nanmax(np.abs(trials), axis=(0, 1))
        scale = np.where(varies, 1.0 / np.where(varies, spread, 1.0), 0.0)
        means, noise = means * scale, noise * scale**2
    gram = to_numpy(linear_kernel([means], len(means)))
    size = gram.diagonal() - noise.sum(axis=1)
    return upper_triangle(np.add.outer(size, size) - 2.0 * gram) / means.shape[1]


def upper_triangle(matrix: Array) -> Array:
    """The entries above the diagonal, row by row: (n, n) → (n (n − 1) / 2,).

    Examples
    --------
    >>> upper_triangle(np.arange(9).reshape(3, 3)).tolist()
    [1, 2, 5]
    """
    return matrix[~np.tri(len(matrix), dtype=bool)]


def pair_places(first: Array, second: Array, n_stimuli: int) -> Array:
    """Places of pairs i < j among all pairs, as ``upper_triangle`` gives them.

    Examples
    --------
    >>> pair_places(np.array([0, 1]), np.array([2, 2]), 3).tolist()
    [1, 2]
    """
    return first * (2 * n_stimuli - first - 1) // 2 + second - first - 1


def pairs_among(members: Array, n_stimuli: int) -> Array:
    """Places of the pairs within some of the stimuli, row by row.

    Parameters
    ----------
    members
        (n_members,) places of stimuli, ascending.

    Examples
    --------
    >>> pairs_among(np.array([0, 2, 3]), 4).tolist()
    [1, 2, 5]
    """
    return upper_triangle(pair_places(members[:, None], members[None, :], n_stimuli))


def _refuse_flat(flat: Array, distance: str, what: str) -> None:
    places = [int(place) for place in np.flatnonzero(flat)]
    if places:
        raise FlatPatternError(
            f"The {distance} distance needs patterns that vary over units; {len(places)} of {len(flat)} stimuli have "
            f"{what} (first: number {places[0]} of the canonical order). Use another reduction or dissimilarity.",
            places,
        )


class Dissimilarity(Protocol):
    """What a function of this module takes; see ``correlation_distance``."""

    def __call__(self, blocks: Blocks, n_stimuli: int, device: str = "cpu", *, single: bool = False) -> Array: ...


#: of a model's patterns; for responses "cross-validated-euclidean" is ``crossvalidated_distance``
DISSIMILARITIES: dict[str, Dissimilarity] = {
    "correlation": correlation_distance,
    "cosine": cosine_distance,
    "euclidean": euclidean_distance,
    "cross-validated-euclidean": squared_euclidean_distance,
}
