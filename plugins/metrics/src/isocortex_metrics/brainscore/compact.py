"""Features with at most as many columns as there are stimuli, for methods that a rotation of the features changes not.

Least squares, partial least squares and ridge regression depend on features only through the products of stimuli with
stimuli. A wide layer is therefore replaced by a triangular factor of its Gram matrix, read in blocks of units.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from isocortex.typing import Array
from isocortex_metrics.numerics.arrays import on_device, to_numpy
from isocortex_metrics.numerics.gram import gram_matrix

#: values of one block of units: 16 MB in float64
BLOCK_VALUES = 2_000_000


def centred_columns(block: Array) -> Array:
    """Columns less their mean over all rows, float64; exactly 0 where a column is constant.

    Examples
    --------
    >>> centred_columns(np.array([[0.1, 1.0], [0.1, 2.0], [0.1, 3.0]])).tolist()
    [[0.0, -1.0], [0.0, 0.0], [0.0, 1.0]]
    """
    # the first row goes before the mean does, because the rounded mean of equal values may differ from them
    centred = np.subtract(block, block[:1], dtype=np.float64)
    centred -= centred.mean(axis=0)
    return centred


def compact_features(blocks: Iterable[Array], n_stimuli: int, n_units: int, device: str = "cpu") -> Any:
    """Z (n_stimuli, at most n_stimuli) with Z Zᵀ = X̃ X̃ᵀ, X̃ the features less their mean over all stimuli.

    Up to ``n_stimuli`` units Z is X̃ itself. Beyond, it is the Cholesky factor, with pivoting, of the Gram matrix;
    directions whose singular value is below about 1e-8 √n_stimuli of the largest are lost in it.

    Parameters
    ----------
    blocks
        Column blocks (n_stimuli, width) of the features.
    n_stimuli, n_units
        Their size.
    device
        Where products are formed and Z lies (see ``backend.on_device``); the factorisation runs on the CPU.

    Returns
    -------
    (n_stimuli, n_columns) float64. Memory: three matrices (n_stimuli, n_stimuli) and one block, for any ``n_units``.

    Examples
    --------
    >>> wide = np.arange(12.0).reshape(2, 6) ** 2
    >>> z = compact_features([wide], 2, 6)
    >>> z.shape, np.allclose(z @ z.T, centred_columns(wide) @ centred_columns(wide).T)
    ((2, 1), True)
    """
    if n_units <= n_stimuli:
        return on_device(np.concatenate([centred_columns(to_numpy(block)) for block in blocks], axis=1), device)
    return on_device(cholesky_factor(to_numpy(gram_matrix(blocks, n_stimuli, device))), device)


def cholesky_factor(gram: Array) -> Array:
    """Z (n, rank) with Z Zᵀ = K for a positive semi-definite K (n, n), whose values are not kept.

    Higham 2002, *Accuracy and stability of numerical algorithms*, section 10.3; LAPACK's ``pstrf``.

    Examples
    --------
    >>> z = cholesky_factor(np.array([[4.0, 2.0], [2.0, 1.0]]))
    >>> z.tolist()
    [[2.0], [1.0]]
    """
    from scipy.linalg import get_lapack_funcs

    (factorise,) = get_lapack_funcs(("pstrf",), (gram,))
    # K is symmetric, so that its transpose is K in the order of LAPACK, without a copy
    factor, pivots, rank, _ = factorise(gram.T, lower=1, overwrite_a=1)
    found = np.zeros((len(gram), int(rank)))
    found[pivots - 1] = np.tril(factor)[:, : int(rank)]
    return found


def cross_product(features: Any, responses: Any, whole: Any, train: Array) -> Any:
    """XᵀY of some of the stimuli, centred by their means; from that of all stimuli where these are the most of them.

    Parameters
    ----------
    features, responses
        (n_stimuli, n_columns) float64, numpy or torch, centred over all stimuli; of the responses there may be several
        sets along a first axis.
    whole
        Their XᵀY.
    train
        Places of the stimuli.

    Examples
    --------
    >>> x = np.array([[-2.0], [-1.0], [0.0], [3.0]])
    >>> cross_product(x, x, x.T @ x, np.array([0, 1, 2])).tolist()  # that of -1, 0 and 1
    [[2.0]]
    """
    rest = np.delete(np.arange(len(features)), train)
    few = rest if len(rest) < len(train) else train
    x, y = features[few], responses[..., few, :]
    found = whole - x.T @ y if few is rest else x.T @ y
    # the sums over all stimuli are 0, so that those over the rest serve as well
    return found - x.sum(0)[:, None] * (y.sum(-2) / len(train))[..., None, :]
