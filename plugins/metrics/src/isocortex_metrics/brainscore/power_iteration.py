"""Power iteration of many small symmetric matrices at once, stopped as scikit-learn's NIPALS stops."""

from __future__ import annotations

from typing import Any

import numpy as np

from isocortex.activations import namespace
from isocortex.typing import Array
from isocortex_metrics.numerics.threads import few_threads

#: scikit-learn's defaults: squared change of the weights at which the iteration stops, and its longest run
TOL, MAX_ITERATIONS = 1e-6, 500
#: matrices up to this order are laid out side by side, so that one instruction works on many of them
_SMALL_ORDER = 16
#: products of such matrices before it is asked which of them have stopped
_STEPS = 8
#: values of the matrices that are iterated at a time, 16 MB, so that they stay in the cache
_CACHED_VALUES = 2_000_000
#: share of the matrices still at work below which the others are taken out: until then a copy of all costs more
_WORTH_KEEPING = 0.75
_TINY = float(np.finfo(np.float64).tiny)


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
    if isinstance(matrices, np.ndarray) and matrices.shape[1] <= _SMALL_ORDER:
        return _side_by_side(matrices, vectors, live, stop_before=stop_before)
    result, places = vectors + 0.0, namespace(matrices).nonzero(live)[0]
    width = max(1, _CACHED_VALUES // matrices.shape[1] ** 2) if isinstance(matrices, np.ndarray) else len(places)
    with few_threads(matrices.shape[1]):
        for start in range(0, len(places), max(1, width)):
            _iterate(matrices, result, places[start : start + width], stop_before=stop_before)
    return result


def _iterate(matrices: Any, vectors: Any, places: Any, *, stop_before: bool) -> None:
    """Iterate some of the vectors in place."""
    active, v = matrices[places], vectors[places]
    going = places >= 0
    for count in range(2, MAX_ITERATIONS + 1):
        cosine, following = _step(active, v, stop_before=stop_before)
        # the weights are of unit length: |w − w'|² = 2 − 2 w·w'
        stops = going & ~((2.0 - 2.0 * cosine >= TOL) & (count < MAX_ITERATIONS))
        if bool(stops.any()):
            vectors[places[stops]] = (v if stop_before else following)[stops]
            going = going & ~stops
        n_going, v = int(going.sum()), following
        if n_going == 0:
            return
        if n_going <= _WORTH_KEEPING * len(places):
            places, active, v, going = places[going], active[going], v[going], going[going]


def _side_by_side(matrices: Array, vectors: Array, live: Array, *, stop_before: bool) -> Array:
    """The same with the matrices along the last axis, several products at a time; only directions are kept.

    With the iterates u_j = A^j v, each of some length, weights change as

    - CᵀC: w_j ∝ C u_{j−1}, so that w_j·w_{j+1} = u_j·u_j / √((u_{j−1}·u_j) (u_j·u_{j+1})),
    - CCᵀ: w_j ∝ u_j.
    """
    result = vectors.copy()
    size = np.linalg.norm(vectors, axis=1)
    places = np.flatnonzero(live & (size > 0))
    trace = np.trace(matrices[places], axis1=1, axis2=2)
    scaled = np.ascontiguousarray(
        (matrices[places] / np.where(trace > 0, trace, 1.0)[:, None, None]).transpose(1, 2, 0)
    )
    u = np.ascontiguousarray((vectors[places] / size[places, None]).T)
    before = trace / size[places] ** 2  # u_{−1}·u_0, as v = Cᵀw of unit weights w
    left = MAX_ITERATIONS - 1
    while len(places) and left > 0:
        n_steps = min(_STEPS, left)
        left -= n_steps
        steps = np.empty((n_steps + 1, *u.shape))
        steps[0] = u
        for step in range(n_steps):
            np.einsum("ijn,jn->in", scaled, steps[step], out=steps[step + 1])
        squares = np.einsum("kin,kin->kn", steps, steps)
        inner = np.maximum(np.einsum("kin,kin->kn", steps[:-1], steps[1:]), 0.0)
        if stop_before:
            above, below = squares[:-1], np.sqrt(np.concatenate([before[None], inner[:-1]])) * np.sqrt(inner)
        else:
            above, below = inner, np.sqrt(squares[:-1]) * np.sqrt(squares[1:])
        stops = 2.0 - 2.0 * above / np.where(below > 0, below, 1.0) < TOL
        stops[-1] |= left == 0
        ends = stops.any(axis=0)
        at = stops.argmax(axis=0)[ends] + (not stop_before)
        found = steps[at, :, np.flatnonzero(ends)]
        result[places[ends]] = found / np.maximum(np.linalg.norm(found, axis=1), _TINY)[:, None]
        going = ~ends
        places, scaled = places[going], scaled if going.all() else np.ascontiguousarray(scaled[:, :, going])
        scale = np.maximum(np.sqrt(squares[-1, going]), _TINY)
        u, before = steps[-1][:, going] / scale, inner[-1, going] / scale**2
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
