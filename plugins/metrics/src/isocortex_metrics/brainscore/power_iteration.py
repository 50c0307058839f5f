"""Power iteration of many small symmetric matrices at once, stopped as scikit-learn's NIPALS stops."""

from __future__ import annotations

from typing import Any

from isocortex.activations import namespace
from isocortex_metrics.numerics.threads import few_threads

#: scikit-learn's defaults: squared change of the weights at which the iteration stops, and its longest run
TOL, MAX_ITERATIONS = 1e-6, 500


def power_iteration(matrices: Any, vectors: Any, live: Any, *, stop_before: bool) -> Any:
    """Iterate v ← A v / |·| for many symmetric A until the weights that v stands for change by less than ``TOL``.

    Parameters
    ----------
    matrices
        (n, order, order): CᵀC or CCᵀ.
    vectors
        (n, order): with CᵀC, v = Cᵀw of unit weights w, which C v / |C v| follow; with CCᵀ, the weights themselves.
    live
        (n,) the others are left as they are.
    stop_before
        Return the vectors before the last product (CᵀC: the weights follow from them) or after it (CCᵀ).

    Returns
    -------
    (n, order). At most ``MAX_ITERATIONS`` sets of weights are compared, as scikit-learn does.

    Examples
    --------
    >>> import numpy as np
    >>> found = power_iteration(np.diag([4.0, 1.0])[None], np.array([[0.6, 0.8]]), np.array([True]), stop_before=False)
    >>> bool(found[0, 0] > 0.9999)
    True
    """
    xp = namespace(matrices)
    result = vectors + 0.0
    places = xp.nonzero(live)[0]
    active, v = matrices[places], vectors[places]
    with few_threads(matrices.shape[1]):
        for count in range(2, MAX_ITERATIONS + 1):
            if len(places) == 0:
                break
            cosine, following = _step(active, v, stop_before=stop_before)
            # the weights are of unit length: |w − w'|² = 2 − 2 w·w'
            going = (2.0 - 2.0 * cosine >= TOL) & (count < MAX_ITERATIONS)
            if bool(going.all()):
                v = following
                continue
            stops = ~going
            result[places[stops]] = (v if stop_before else following)[stops]
            places, active, v = places[going], active[going], following[going]
    return result


def _step(A: Any, v: Any, *, stop_before: bool) -> tuple[Any, Any]:
    """Cosine between the weights before and after one product, and what follows the vectors."""
    product = (A @ v[:, :, None])[:, :, 0]
    inner = (v * product).sum(1)
    square = inner if stop_before else (product * product).sum(1)
    if not bool((square > 0).all()):
        square = square + (square <= 0) * (1.0 - square)
    norm = square**0.5
    # with CᵀC: w = C v / |C v| follows v = Cᵀw', so that w·w' = v·v / |C v|
    cosine = ((v * v).sum(1) if stop_before else inner) / norm
    return cosine, product / norm[:, None]


def applied(matrices: Any, vectors: Any, *, transposed: bool = False) -> Any:
    """A matrix per split times a vector per split."""
    return ((transposed_each(matrices) if transposed else matrices) @ vectors[:, :, None])[:, :, 0]


def transposed_each(matrices: Any) -> Any:
    """The transpose of every matrix, (n, a, b) → (n, b, a)."""
    return namespace(matrices).permute_dims(matrices, (0, 2, 1))
