"""Ridge regression from the units themselves, for fewer units than training stimuli: equal to that from a Gram matrix.

With X̃ the training features less their mean and X̃ᵀX̃ = V Λ Vᵀ, the directions U = X̃ V Λ^−½ are the eigenvectors of the
Gram matrix whose eigenvalues are above 0; all others leave a response as it is. One decomposition of (n_units, n_units)
per split takes the place of one of (n_train, n_train). Where there are many stimuli, features are read and turned into
these directions anew, some rows at a time, whenever a sum over stimuli is formed: nothing grows with stimuli × units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from isocortex.typing import Array
from isocortex_metrics.numerics.dual_ridge import ALPHA_GRID, SplitFit, largest_of_the_best
from isocortex_metrics.numerics.gram import centred_responses
from isocortex_metrics.numerics.leave_one_out import distinct_alphas, neuroid_blocks
from isocortex_metrics.numerics.threads import few_threads

_EPS = float(np.finfo(np.float64).eps)
#: of the training stimuli: with this share of units or fewer, the units themselves cost less than a Gram matrix
FEW_UNITS = 0.5
#: rows of this size are kept; larger ones are formed anew for each pass, so many bytes at a time
HELD_BYTES, _BLOCK_BYTES = 128 * 1024**2, 32 * 1024**2


@dataclass(frozen=True)
class Units:
    """Features whose units are few.

    Attributes
    ----------
    read
        (n,) places of stimuli → their features (n, n_units) float64, less any constant row.
    n_units
        Number of units.
    """

    read: Callable[[Array], Array]
    n_units: int

    @classmethod
    def held_if_small(cls, read: Callable[[Array], Array], n_stimuli: int, n_units: int) -> Units:
        """Features that are read once, or where they are large whenever they are needed."""
        small = 8 * n_stimuli * n_units <= HELD_BYTES
        return cls(read(np.arange(n_stimuli)).__getitem__ if small else read, n_units)

    def blocks(self, places: Array) -> Iterator[tuple[slice, Array]]:
        """Features of some stimuli, a block of rows at a time."""
        step = max(1, _BLOCK_BYTES // (8 * max(1, self.n_units)))
        for start in range(0, len(places), step):
            part = slice(start, min(start + step, len(places)))
            yield part, self.read(places[part])


class Directions:
    """Features of some stimuli less a mean, times a rotation: (n_places, n_directions), kept where that is small.

    Parameters
    ----------
    units
        Features of all stimuli.
    places
        Of the rows.
    mean, rotation
        (n_units,) and (n_units, n_directions).

    Examples
    --------
    >>> units = Units(np.array([[1.0], [4.0]]).__getitem__, 1)
    >>> rows = Directions(units, np.array([1, 0]), np.array([1.0]), np.array([[2.0]]))
    >>> rows.times(np.array([[0.5]])).tolist(), rows.transposed_times(np.ones((2, 1))).tolist()
    ([[3.0], [0.0]], [[6.0]])
    """

    def __init__(self, units: Units, places: Array, mean: Array, rotation: Array) -> None:
        self.units, self.places, self.mean, self.rotation = units, places, mean, rotation
        self._kept: Array | None = None

    def __len__(self) -> int:
        return len(self.places)

    @property
    def is_kept(self) -> bool:
        """Whether the rows are formed once; else anew for each pass."""
        return 8 * len(self) * self.rotation.shape[1] <= HELD_BYTES

    @property
    def n_bytes(self) -> int:
        """What is kept of them between passes."""
        return 8 * len(self) * self.rotation.shape[1] if self.is_kept else 0

    def __iter__(self) -> Iterator[tuple[slice, Array]]:
        """Blocks of rows, in order."""
        if self.is_kept:
            if self._kept is None:
                self._kept = np.concatenate([block @ self.rotation for _, block in self._centred()])
            yield slice(0, len(self)), self._kept
            return
        for part, block in self._centred():
            yield part, block @ self.rotation

    def first(self, n_rows: int) -> Directions:
        """The leading rows alone."""
        found = Directions(self.units, self.places[:n_rows], self.mean, self.rotation)
        if self._kept is not None:
            found._kept = self._kept[:n_rows]
        return found

    def times(self, weights: Array) -> Array:
        """The rows times (n_directions, n_columns); rows that are not kept are not formed for it."""
        if self.is_kept:
            return np.concatenate([block @ weights for _, block in self])
        turned = self.rotation @ weights
        return np.concatenate([block @ turned for _, block in self._centred()])

    def transposed_times(self, values: Array) -> Array:
        """The transposed rows times (n_places, n_columns); rows that are not kept are not formed for it."""
        found = np.zeros((self.rotation.shape[int(self.is_kept)], values.shape[1]))
        for part, block in self if self.is_kept else self._centred():
            found += block.T @ values[part]
        return found if self.is_kept else self.rotation.T @ found

    def _centred(self) -> Iterator[tuple[slice, Array]]:
        return ((part, block - self.mean) for part, block in self.units.blocks(self.places))


@dataclass(frozen=True)
class PrimalBasis:
    """What a split needs of the features.

    Attributes
    ----------
    vectors
        U (n_train, n_directions), orthonormal, orthogonal to the constant.
    values
        (n_directions,) eigenvalues, all above 0, ascending.
    cross
        (n_test, n_directions): test features less the training mean, times V Λ^½.
    free
        (n_train,) the share of each stimulus that no direction explains, 1 − 1/n − Σ U²; exactly 0 for rounding.
    """

    vectors: Directions
    values: Array
    cross: Directions
    free: Array

    @property
    def mean_eigenvalue(self) -> float:
        """Scale of the alphas: the mean over all n_train − 1 eigenvalues of the Gram matrix, zeros included."""
        return float(self.values.sum()) / max(1, len(self.vectors) - 1)

    @property
    def n_bytes(self) -> int:
        """What it holds, or its rotation where rows are formed anew."""
        return self.vectors.n_bytes + self.cross.n_bytes + 8 * len(self.values) ** 2

    def of_tests(self, n_test: int) -> PrimalBasis:
        """Without what stands behind the first test stimuli."""
        return replace(self, cross=self.cross.first(n_test))


def primal_basis(units: Units, train: Array, test: Array) -> PrimalBasis:
    """Centre the features by the training mean and decompose what their units share.

    Parameters
    ----------
    units
        Features of all stimuli.
    train, test
        Places of the training and the test stimuli.

    Notes
    -----
    Eigenvalues are squares of singular values, and below twice the training stimuli times the precision of the largest
    they are rounding, as in the Gram matrix. Memory: (n_units, n_units) some times over, and of features 128 MB.
    """
    mean = np.sum([block.sum(axis=0) for _, block in units.blocks(train)], axis=0) / len(train)
    products, all_of_it = np.zeros((units.n_units, units.n_units)), 0.0
    with few_threads(units.n_units):
        for _, block in units.blocks(train):
            inner = block - mean
            products += inner.T @ inner
            all_of_it += float((block**2).sum())
        values, rotation = np.linalg.eigh(products)
    precision = 2 * len(train) * _EPS
    # features may vary over all stimuli and yet not over these; what centring leaves of them is rounding
    real = values > precision * max(float(values[-1]), 0.0)
    if float(values.sum()) <= 10 * precision * all_of_it:
        real[:] = False
    values, rotation = values[real], rotation[:, real]
    vectors = Directions(units, train, mean, rotation / np.sqrt(values))
    cross = Directions(units, test, mean, rotation * np.sqrt(values))
    free = 1.0 - 1.0 / len(train) - np.concatenate([(block**2).sum(axis=1) for _, block in vectors])
    return PrimalBasis(vectors, values, cross, np.where(free <= precision, 0.0, free))


def fit_primal(basis: PrimalBasis, responses: Array, grid: Array = ALPHA_GRID) -> SplitFit:
    """Choose alpha per neuroid by leave-one-out within the training stimuli, and predict the test stimuli.

    The same as ``dual_ridge.fit_split`` of the same features: with s = λ / (λ + alpha), the error left out is
    e_i = [y − U s Uᵀ y]_i / (1 − 1/n − Σ_k U_ik² s_k).

    Parameters
    ----------
    responses
        (n_train, n_neuroids) float64.
    grid
        Ascending multiples of the mean eigenvalue.

    Examples
    --------
    >>> stimuli = np.arange(5.0)[:, None]
    >>> units = Units(stimuli.__getitem__, 1)
    >>> fit = fit_primal(primal_basis(units, np.arange(4), np.array([4])), 3 * stimuli[:4] + 1)
    >>> fit.prediction.round(3).tolist(), fit.selection.round(3).tolist()
    ([[13.0]], [1.0])
    """
    centred, mean = centred_responses(responses)
    if not len(basis.values):
        nothing = np.zeros((len(basis.cross), len(mean)))
        return SplitFit(nothing, mean, np.full(len(mean), len(grid) - 1), np.zeros_like(mean))
    alphas = grid * basis.mean_eigenvalue
    with few_threads(len(basis.values)):
        rotated = basis.vectors.transposed_times(centred)
        chosen, best, without = _chosen(basis, centred, rotated, alphas)
        deviation = basis.cross.times(rotated / (basis.values[:, None] + alphas[chosen][None, :]))
    varies = without > 0
    selection = np.where(varies, 1.0 - best / np.where(varies, without, 1.0), 0.0)
    return SplitFit(deviation, mean, chosen, selection)


def _chosen(basis: PrimalBasis, centred: Array, rotated: Array, alphas: Array) -> tuple[Array, Array, Array]:
    """Place of the alpha with the smallest leave-one-out error, ties to the largest; its error; of infinite alpha."""
    distinct, place = distinct_alphas(basis.values, np.append(alphas, np.inf))
    errors = np.zeros((len(distinct), centred.shape[1]))
    for rows, vectors in basis.vectors:
        squared = vectors**2
        for number, alpha in enumerate(distinct):
            explained = basis.values / (basis.values + float(alpha))
            left = basis.free[rows] + squared @ (1.0 - explained)
            weights = np.where(left > 0, 1.0 / np.where(left > 0, left, 1.0), 0.0)
            shrunk = vectors * explained
            for part in neuroid_blocks(centred):
                residual = centred[rows, part] - shrunk @ rotated[:, part]
                errors[number, part] += np.sum((residual * weights[:, None]) ** 2, axis=0)
    last = int(place[-2]) + 1
    best = largest_of_the_best(errors[:last])
    largest_like = np.array([np.flatnonzero(place[:-1] == group)[-1] for group in range(last)])
    return largest_like[best], np.take_along_axis(errors, best[None], axis=0)[0], errors[int(place[-1])]
