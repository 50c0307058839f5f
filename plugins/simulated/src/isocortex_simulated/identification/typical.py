r"""Whether the values of all candidates on a brain are as they are where a candidate m is the truth.

Brains that are made of m apart from those that are judged, its references, say how: for each layer ℓ that they are made
of μ_ℓ is the mean of their values v, and Σ is their covariance about these means, a tenth of the way to its diagonal.
The distance of a brain to m is that to the closest layer,

    D²(v) = min_ℓ (v − μ_ℓ)ᵀ Σ⁻¹ (v − μ_ℓ),

and the brain is typical of m where D² is within the central 95 % of what the references have, each with itself left out
of μ and Σ. If m is the truth it and its references are exchangeable, so that it is typical in 95 % of the cases.
"""

from __future__ import annotations

import numpy as np

from isocortex.typing import Array
from isocortex_simulated.draws import Floats

CENTRAL = 0.95
FEWEST_REFERENCES = 20
"""References without which their central 95 % are not known."""
_FEWEST_OF_LAYER = 3
_TO_DIAGONAL = 0.1


class Typical:
    """What is typical of one candidate.

    Parameters
    ----------
    values
        (n_references, n_candidates), without NaN.
    layers
        (n_references,) the layer that each is made of. A layer of fewer than three has no mean of its own; where there
        is no other, all are one.

    Attributes
    ----------
    limit
        The largest D² that is typical.

    Examples
    --------
    >>> made = np.random.default_rng(0).normal(size=(199, 2)) * [0.1, 0.01] + [0.5, 0.3]
    >>> typical = Typical(made, np.zeros(199))
    >>> typical(np.array([[0.55, 0.3], [0.5, 0.4]])).tolist()
    [True, False]
    """

    def __init__(self, values: Floats, layers: Array) -> None:
        _, group, sizes = np.unique(layers, return_inverse=True, return_counts=True)
        many = sizes[group] >= _FEWEST_OF_LAYER
        if not many.any():
            group, many = np.zeros(len(values), dtype=int), np.ones(len(values), dtype=bool)
        values, group = values[many], np.unique(group[many], return_inverse=True)[1]
        self.varies = values.std(axis=0) > 0
        values = values[:, self.varies]
        sizes = np.bincount(group)
        self.means = np.stack([values[group == one].mean(axis=0) for one in range(len(sizes))])
        about = values - self.means[group]
        square = about.T @ about
        free = max(1, len(values) - len(sizes))
        self.inverse = _inverse(square / free)
        own = self._without_itself(values, about, square, group, sizes)
        rank = int(np.ceil(CENTRAL * (len(own) + 1)))
        self.limit = float("inf") if rank > len(own) else float(np.sort(own)[rank - 1])

    def _without_itself(self, values: Floats, about: Floats, square: Floats, group: Array, sizes: Array) -> Floats:
        """D² (n_references,) of each to the others."""
        n = len(values)
        size = sizes[group].astype(float)
        squares = square - (size / (size - 1))[:, None, None] * about[:, :, None] * about[:, None, :]
        inverses = _inverse(squares / max(1, n - len(sizes) - 1))
        means = np.repeat(self.means[None], n, axis=0)
        means[np.arange(n), group] -= about / (size - 1)[:, None]
        return _closest(values[:, None, :] - means, inverses)

    def __call__(self, values: Floats) -> Array:
        """Whether brains with the values (n_brains, n_candidates) are typical, (n_brains,); with NaN they are not."""
        away = values[:, None, self.varies] - self.means
        found = _closest(away, np.repeat(self.inverse[None], len(values), axis=0))
        return found <= self.limit


def _inverse(covariance: Floats) -> Floats:
    """Inverse of covariances (…, p, p), a tenth of the way to their diagonals."""
    shrunken = (1 - _TO_DIAGONAL) * covariance + _TO_DIAGONAL * covariance * np.eye(covariance.shape[-1])
    return np.linalg.inv(shrunken).astype(np.float64)


def _closest(away: Floats, inverses: Floats) -> Floats:
    """min over layers of dᵀ S d: away (n, n_layers, p), S (n, p, p) → (n,)."""
    return np.einsum("nlp,npq,nlq->nl", away, inverses, away, optimize=True).min(axis=1)
