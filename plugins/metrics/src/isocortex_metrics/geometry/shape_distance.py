"""Similarity of two clouds of points after the best rotation and scaling, from stimuli × stimuli matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from isocortex.activations import namespace
from isocortex.typing import Array
from isocortex_metrics.numerics.arrays import to_numpy
from isocortex_metrics.numerics.threads import few_threads

_EPS = float(np.finfo(np.float64).eps)


def unit_factor(values: Array) -> Array:
    r"""B with B Bᵀ = Y Yᵀ / ‖Y‖², at most as wide as there are stimuli.

    Parameters
    ----------
    values
        (n_stimuli, n_neuroids); Y is their deviation from the mean over stimuli.

    Returns
    -------
    (n_stimuli, min(n_stimuli, n_neuroids)) float64; 0 throughout where nothing varies.

    Examples
    --------
    >>> factor = unit_factor(np.arange(12.0).reshape(2, 6))
    >>> factor.shape, (factor @ factor.T).round(12).tolist()
    ((2, 2), [[0.5, -0.5], [-0.5, 0.5]])
    """
    # the first row goes before the mean does, because the rounded mean of equal values may differ from them
    centred = np.subtract(values, values[:1], dtype=np.float64)
    centred -= centred.mean(axis=0)
    if centred.shape[1] > len(centred):
        with few_threads(len(centred)):
            centred = np.asarray(np.linalg.qr(centred.T, mode="r")).T
    size = float(np.linalg.norm(centred))
    return centred / size if size > 0 else centred


def procrustes_similarity(kernel: Any, factor: Any) -> float:
    r"""‖XᵀY‖₊ / (‖X‖ ‖Y‖), ‖·‖₊ the sum of the singular values: the cosine of the angle between two shapes.

    It is the largest Σ_i x_i · (R y_i) over rotations and reflections R of clouds of size 1, so that 1 − s² is the
    residual of ordinary Procrustes analysis and arccos s the angular shape distance. The singular values of XᵀY are the
    square roots of the eigenvalues of Bᵀ K B, K = X Xᵀ and B Bᵀ = Y Yᵀ; what is below 1e-7 of the largest is lost.
    Williams et al. 2021, NeurIPS (section 2); Harvey et al. 2023 on the form in kernels.

    Parameters
    ----------
    kernel
        K (n_stimuli, n_stimuli) float64, of features centred over the stimuli.
    factor
        B (n_stimuli, rank) float64 of norm 1 (``unit_factor``), on the same device.

    Returns
    -------
    From 0 to 1; NaN where the features or the responses do not vary. Biased upwards: clouds of many dimensions can
    always be turned towards each other.

    Examples
    --------
    >>> cloud = np.array([[0.0, 2.0], [2.0, 0.0], [-2.0, -2.0]])
    >>> turned = cloud @ np.array([[0.0, 1.0], [-1.0, 0.0]])
    >>> round(procrustes_similarity(cloud @ cloud.T, unit_factor(5 * turned)), 12)
    1.0
    """
    return float(procrustes_similarities(kernel, factor[None])[0])


def procrustes_similarities(kernel: Any, factors: Any) -> Array:
    """``procrustes_similarity`` of one kernel with each of some factors (n_factors, n_stimuli, rank): (n_factors,)."""
    xp = namespace(kernel, factors)
    size = float(xp.linalg.trace(kernel))
    if size <= 0:
        return np.full(len(factors), np.nan)
    with few_threads(len(kernel)):
        n_factors, n_stimuli, rank = factors.shape
        # one product for all of them
        side_by_side = xp.reshape(xp.permute_dims(factors, (1, 0, 2)), (n_stimuli, -1))
        turned = xp.permute_dims(xp.reshape(kernel @ side_by_side, (n_stimuli, n_factors, rank)), (1, 0, 2))
        inner = xp.permute_dims(factors, (0, 2, 1)) @ turned
        squared = xp.linalg.eigvalsh((inner + xp.permute_dims(inner, (0, 2, 1))) / 2.0)
    kept = xp.where(squared > len(kernel) * _EPS * squared[:, -1:], squared, 0.0)
    found = to_numpy(xp.sum(xp.sqrt(kept), axis=1)) / size**0.5
    flat = to_numpy(xp.sum(factors * factors, axis=(1, 2))) == 0
    return np.where(flat, np.nan, np.minimum(found, 1.0))
