"""Gram matrices of features, and a basis of the training stimuli of each split in which ridge is diagonal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from isocortex.activations import namespace
from isocortex.typing import Array
from isocortex_metrics.numerics.arrays import like, on_device, square_of_zeros, to_numpy
from isocortex_metrics.numerics.correlation import ROUNDING
from isocortex_metrics.numerics.threads import few_threads

_EPS = float(np.finfo(np.float64).eps)


def gram_matrix(blocks: Iterable[Array], n_stimuli: int, device: str = "cpu") -> Array:
    """K = X̃ X̃ᵀ of features centred by their mean over all stimuli, accumulated in float64 over column blocks.

    Parameters
    ----------
    blocks
        Column blocks (n_stimuli, width) of the features.
    n_stimuli
        Number of rows.
    device
        Where it is computed and stays (see ``numerics.arrays.on_device``).

    Returns
    -------
    (n_stimuli, n_stimuli) float64.

    Examples
    --------
    >>> gram_matrix([np.array([[1.0], [3.0]])], 2).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    gram = square_of_zeros(n_stimuli, device)
    for block in blocks:
        # the first row goes before the mean does, because the rounded mean of equal values may differ from them
        if device == "cpu":
            centred = np.subtract(to_numpy(block), to_numpy(block)[:1], dtype=np.float64)
        else:
            values = on_device(block, device).to(gram.dtype)
            centred = values - values[:1]
        centred -= centred.mean(axis=0)
        gram += centred @ centred.T
    return gram


@dataclass(frozen=True)
class SplitBasis:
    """What a split needs of the Gram matrix; arrays lie where the Gram matrix lay.

    Attributes
    ----------
    vectors
        U (n_train, n_train − 1): eigenvectors of the centred training Gram matrix, orthogonal to the constant.
    values
        (n_train − 1,) eigenvalues, ≥ 0; those that are nothing but rounding are 0.
    cross
        (n_test, n_train − 1): K[test, train] U, both sides centred by the training mean; 0 where the eigenvalue is.
    """

    vectors: Array
    values: Array
    cross: Array

    @property
    def mean_eigenvalue(self) -> float:
        """Scale of the alphas, so that rescaling the features changes nothing; 0 for features that do not vary."""
        return float(self.values.mean())

    @property
    def n_bytes(self) -> int:
        """What it holds."""
        return 8 * (self.vectors.shape[0] + self.cross.shape[0]) * self.vectors.shape[1]


def split_basis(gram: Array, train: Array, test: Array, *, rounding: float | None = None) -> SplitBasis:
    """Centre the Gram matrix by the training mean and decompose it.

    The constant is removed by an orthonormal basis of its complement, so that the intercept is exact and there is no
    spurious zero eigenvalue.

    Parameters
    ----------
    gram
        (n_stimuli, n_stimuli).
    train, test
        Places of the training and the test stimuli.
    rounding
        Eigenvalues below this share of the largest are 0; default twice the training stimuli times the precision.
    """
    xp = namespace(gram)
    to_train = xp.mean(gram[:, train], axis=1)
    mean = xp.mean(to_train[train])
    # in place: these are the largest arrays of a fit
    inner, outer = gram[train[:, None], train[None, :]], gram[test[:, None], train[None, :]]
    for part, rows in ((inner, train), (outer, test)):
        part -= to_train[rows][:, None]
        part -= to_train[train][None, :]
        part += mean
    mirror = like(_mirror(len(train)), gram)
    with few_threads(len(train)):
        _mirror_both_sides(inner, mirror)
        values, rotation = xp.linalg.eigh(inner[1:, 1:])
        del inner
        vectors = _off_constant(rotation, mirror)
        cross = outer @ vectors
    precision = 2 * len(train) * _EPS
    # features may vary over all stimuli and yet not over these; what centring leaves of them is rounding
    if values.sum() <= 10 * precision * gram[train, train].sum():
        values = xp.zeros_like(values)
    values = xp.where(values > (rounding or precision) * values[-1], values, xp.zeros_like(values))
    # without this, the smallest alphas would blow up the rounding of what is not there
    cross = xp.where(values > 0, cross, xp.zeros_like(cross))
    return SplitBasis(_determined(vectors, values, precision), values, cross)


def _determined(vectors: Array, values: Array, precision: float) -> Array:
    """Eigenvectors with exact zeros where a stimulus has no part in the directions that the features leave free.

    Such a stimulus alone determines some coefficient; its leave-one-out error would be a ratio of roundings.
    """
    xp = namespace(vectors)
    free = values == 0
    share = xp.sum(xp.where(free, vectors, xp.zeros_like(vectors)) ** 2, axis=1)  # (n_train,)
    return xp.where(free[None, :] & (share <= precision)[:, None], xp.zeros_like(vectors), vectors)


def _mirror(n: int) -> Array:
    """m (n,) with mᵀm = 2: the reflection H = I − m mᵀ (Householder) turns the constant into the first axis.

    The other columns of H are an orthonormal basis of what is orthogonal to the constant.
    """
    mirror = np.full(n, 1 / np.sqrt(n))
    mirror[0] += 1.0
    return mirror * np.sqrt(2.0 / (mirror @ mirror))


def _mirror_both_sides(matrix: Array, mirror: Array) -> None:
    """A symmetric A becomes H A H, in place and without a product of matrices."""
    seen = matrix @ mirror
    change = mirror[:, None] * (seen - 0.5 * (mirror @ seen) * mirror)[None, :]
    matrix -= change
    matrix -= change.T


def _off_constant(columns: Array, mirror: Array) -> Array:
    """The columns of H but the first, times a matrix: (n − 1, k) → (n, k)."""
    seen = mirror[1:] @ columns
    rest = columns - mirror[1:, None] * seen[None, :]
    return namespace(columns).concat([-mirror[0] * seen[None, :], rest], axis=0)


def centred_responses(responses: Array) -> tuple[Array, Array]:
    """Responses (…, n_stimuli, n_neuroids) less their mean over stimuli, exactly 0 where constant; and the mean.

    Examples
    --------
    >>> centred, mean = centred_responses(np.array([[0.1, 1.0], [0.1, 2.0], [0.1, 3.0]]))
    >>> centred.tolist(), mean.round(12).tolist()
    ([[0.0, -1.0], [0.0, 0.0], [0.0, 1.0]], [0.1, 2.0])
    """
    xp = namespace(responses)
    mean = xp.mean(responses, axis=-2)
    centred = responses - mean[..., None, :]
    constant = xp.max(xp.abs(centred), axis=-2) <= ROUNDING * xp.abs(mean)
    return xp.where(constant[..., None, :], xp.zeros_like(centred), centred), mean
