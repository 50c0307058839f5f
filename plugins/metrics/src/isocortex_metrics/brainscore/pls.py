"""Partial least squares as scikit-learn's ``PLSRegression(scale=False)`` fits it, from cross-products alone.

NIPALS (Wegelin 2000) finds the weights of each component by power iteration, and scikit-learn stops that early: what it
gives is not the singular vector. Every iterate lies in the cross-product C = XᵀY of the training stimuli, so that the
same iterates, and the same stop, come from small matrices. Splits share XᵀY of all stimuli, less what they leave out,
and advance together, one component at a time: the large matrices are read once for all of them.

Permuted responses are further sets Y, each with all splits. What ``_Group`` holds, with B sets of responses, S splits
that advance together (those of the first set, of the second, …), n stimuli, p columns of features, q columns of
responses, m responses to start from and K components, of which k are found (arrays are filled up to there):

==================  =============  ====================================================================================
symbol              shape          what it is
==================  =============  ====================================================================================
X                   (n, p)         features, centred over all stimuli; the same for all splits
Y                   (B, n, q)      responses, centred alike, or a factor of their Gram matrix (``compact_features``)
starts              (n, m)         responses that an iteration may start from, in order
orders              (B, n)         the stimulus whose response stands at each place, in each set
inside              (S, n)         1 where a stimulus is for training in the split, else 0
n_train             (S,)           number of training stimuli
cross               (S, p, q)      C = XᵀY over the training stimuli, both centred there, as it was last formed
P                   (S, p, K)      left factor of what was taken out of C since: XᵀT, a loading times tᵀt a column
Q                   (S, q, K)      right factor: YᵀT / tᵀt. At present the cross-product is C − P Qᵀ
small               (S, r, r)      the smaller of CᵀC (r = q) and CCᵀ (r = p), of the present C
by_response         one            whether ``small`` is CᵀC, that is q ≤ p
reference           (S,)           trace of ``small``, the squared norm of C, when C was last formed
T                   (S, n, K)      scores t of all stimuli, orthogonal to each other over the training stimuli
norms               (S, K)         tᵀt over the training stimuli; infinite where there is no such component
scale               (p,)           norms of the columns of X times the norm of Y: what rounding in C is measured by
live                (S,)           whether something is left to find in the split
start               (S,)           column of ``starts`` that the iteration starts from, −1 before the first
silent              (S,)           below this, what is left of that response counts as rounding
seed                (S, n)         what components have left of that response over the training stimuli
seed_weights        (S, p)         Xᵀ seed: along the weights w of a component before its first iteration
single              one            whether m = 1: then the first weights are the last, and nothing is iterated
==================  =============  ====================================================================================

The weights w (S, p) and c = Cᵀw (S, q) of a component, and its t (S, n), live only while it is formed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from isocortex.activations import namespace
from isocortex.errors import DataError
from isocortex.interfaces import Split
from isocortex.typing import Array
from isocortex_metrics.brainscore.compact import centred_columns, compact_features, cross_product
from isocortex_metrics.brainscore.power_iteration import applied, power_iteration, transposed_each
from isocortex_metrics.numerics.arrays import on_device, to_numpy
from isocortex_metrics.numerics.gram import centred_responses
from isocortex_metrics.numerics.influence import role_of_smoother

_EPS = float(np.finfo(np.float64).eps)
#: scikit-learn starts from the first response that still reaches this value somewhere
_SILENT = 10 * _EPS
#: cross-products below this share of the norms they come from are rounding: features and responses have nothing left
_ROUNDING = 1e-13
#: shares of a component's norm that are left after the earlier ones are taken out: below, it is made of rounding
_DEPENDENT = 1e-10
#: C is formed anew when its squared norm has fallen to this share, so that subtractions never eat its digits
_REFRESH = 1e-4
#: bytes that splits which advance together may take
_GROUP_BYTES = 128 * 1024**2


class PlsComponents(NamedTuple):
    """Components of one split.

    Attributes
    ----------
    train, test
        Scores t (n_train | n_test, n_components), less the training mean; orthogonal over the training stimuli.
    norms
        (n_components,) tᵀt over the training stimuli; infinite where features or responses had nothing left.
    """

    train: Any
    test: Any
    norms: Any

    @property
    def n_found(self) -> int:
        """Number of components that exist."""
        return int(np.isfinite(to_numpy(self.norms)).sum())

    def deviations(self, responses: Any) -> Any:
        """Predictions of the test stimuli less the training mean, T_test (TᵀT)⁻¹ Tᵀ Y, (n_test, n_responses).

        Parameters
        ----------
        responses
            (n_train, n_responses) float64, any constant taken off or not.
        """
        return self.test @ ((self.train.swapaxes(-1, -2) @ responses) / self.norms[..., None])

    def training_role(self, responses: Any, gradient: Array) -> Array:
        """Influence of training stimuli on a statistic of the predictions, the components taken as given.

        Parameters
        ----------
        responses
            (n_train, n_responses) less their training mean.
        gradient
            (n_test, n_responses) of the statistic with the predictions.

        Returns
        -------
        (n_train, n_responses) numpy; see ``influence.role_of_smoother``.
        """
        return role_of_smoother(self.test, self.train, self.norms, responses, gradient)


class PlsPrediction(NamedTuple):
    """What partial least squares predict for one split.

    Attributes
    ----------
    deviation
        (n_test, n_neuroids): the prediction less the training mean of the responses.
    n_found
        Number of components, fewer than asked for where features or responses had nothing left.
    training_role
        Gradient (n_test, n_neuroids) of a statistic → influence (n_train, n_neuroids) of training stimuli on it.
    """

    deviation: Array
    n_found: int
    training_role: Callable[[Array], Array]


def pls_predictions(
    features: Any, responses: Array, splits: Sequence[Split], n_components: int, device: str = "cpu"
) -> Iterator[PlsPrediction]:
    """Predict the test stimuli of each split, as ``PLSRegression(n_components, scale=False)`` does.

    Parameters
    ----------
    features
        (n_stimuli, n_columns) float64, centred over all stimuli (``compact_features``), on the device.
    responses
        (n_stimuli, n_neuroids) float64.
    splits
        Places of training and test stimuli.
    n_components
        At most the number of columns and of training stimuli less one.
    device
        Where it is computed (see ``backend.on_device``).

    Yields
    ------
    What is predicted for each split.

    Raises
    ------
    DataError
        More components than training stimuli allow.

    Examples
    --------
    >>> stimuli = np.arange(-2.0, 3.0)[:, None]
    >>> splits = [Split(np.array([0, 1, 2, 3]), np.array([4]))]
    >>> found = pls_predictions(stimuli, 3 * stimuli + 1, splits, 1)
    >>> [(part.deviation.round(9).tolist(), part.n_found) for part in found]
    [([[7.5]], 1)]
    """
    targets = on_device(centred_columns(responses), device)
    compact = compact_features([responses], responses.shape[0], responses.shape[1], device)
    found = pls_components(features, compact, splits, n_components, starts=targets)
    for split, components in zip(splits, found, strict=True):
        # a response that is constant over the training stimuli must not be predicted by rounding
        training, _ = centred_responses(targets[split.train])
        deviation = to_numpy(components.deviations(training))
        yield PlsPrediction(deviation, components.n_found, partial(components.training_role, training))


def permuted_pls(
    features: Any, responses: Array, orders: Array, splits: Sequence[Split], n_components: int, device: str = "cpu"
) -> Iterator[Array]:
    """As ``pls_predictions`` with the responses in other orders (n_orders, n_stimuli), which advance together.

    Yields
    ------
    For each split the predictions less the training means, (n_orders, n_test, n_neuroids).
    """
    targets = on_device(centred_columns(responses), device)
    compact = compact_features([responses], responses.shape[0], responses.shape[1], device)
    found = _components(features, compact, splits, n_components, targets, orders)
    for split, components in zip(splits, found, strict=True):
        training, _ = centred_responses(targets[orders[:, split.train]])
        yield to_numpy(components.deviations(training))


def pls_components(
    features: Any, responses: Any, splits: Sequence[Split], n_components: int, *, starts: Any = None
) -> Iterator[PlsComponents]:
    """Fit the components of each split.

    Parameters
    ----------
    features
        (n_stimuli, n_columns) float64, numpy or torch, centred over all stimuli.
    responses
        (n_stimuli, n_columns) float64 alike, centred over all stimuli; where there are more responses than stimuli, a
        factor of their Gram matrix, which has the same components.
    splits
        Places of training and test stimuli.
    n_components
        At most the number of columns of the features and of training stimuli less one.
    starts
        (n_stimuli, n_candidates): responses, in order, that an iteration may start from; default ``responses``.

    Raises
    ------
    DataError
        More components than training stimuli allow.
    """
    smallest = min(len(split.train) for split in splits)
    if n_components > smallest - 1:
        raise DataError(
            f"{n_components} components need at least {n_components + 1} training stimuli; the smallest split has "
            f"{smallest}. Use fewer components (setting n_components) or more stimuli."
        )
    starts = responses if starts is None else starts
    alone = np.arange(len(features))[None]
    for found in _components(features, responses, splits, n_components, starts, alone):
        yield PlsComponents(found.train[0], found.test[0], found.norms[0])


def _components(
    features: Any, responses: Any, splits: Sequence[Split], n_components: int, starts: Any, orders: Array
) -> Iterator[PlsComponents]:
    """Components of each split for every order of the responses, along a first axis."""
    n_columns, n_responses = features.shape[1], responses.shape[1]
    per_split = n_columns * (n_responses + n_components) + min(n_columns, n_responses) ** 2
    size = max(1, _GROUP_BYTES // (8 * len(orders) * (per_split + len(features) * (n_components + 3))))
    for first in range(0, len(splits), size):
        part = splits[first : first + size]
        group = _Group(features, responses, starts, part, orders)
        group.extract(n_components)
        yield from group.components(part)


class _Group:
    """Splits that advance together; the first axis of every array is the split.

    ``cross`` (n_splits, n_columns, n_responses) is C when it was last formed; P and Q hold what components have taken
    out since, C − P Qᵀ being the present one. ``small`` is the smaller of CᵀC and CCᵀ at present.
    """

    def __init__(self, features: Any, responses: Any, starts: Any, splits: Sequence[Split], orders: Array) -> None:
        self.xp = xp = namespace(features)
        self.X, self.Y, self.starts, self.orders = features, responses[orders], starts, orders
        self.single = starts.shape[1] == 1
        inside = np.zeros((len(splits), len(features)))
        for row, split in zip(inside, splits, strict=True):
            row[split.train] = 1.0
        inside = np.tile(inside, (len(orders), 1))
        self.inside = _like(inside, features)  # (n_splits, n_stimuli)
        self.n_train = _like(inside.sum(axis=1), features)
        whole = features.T @ self.Y
        cross = [cross_product(features, self.Y, whole, split.train) for split in splits]
        self.cross = xp.stack(cross, axis=1).reshape(-1, *whole.shape[1:])
        self.by_response = responses.shape[1] <= features.shape[1]
        #: norms that tell covariance from rounding
        self.scale = xp.sqrt(xp.sum(features**2, axis=0)) * xp.sqrt(xp.sum(responses**2))
        self.live = self.n_train > 0
        self.start = np.full(len(inside), -1)
        self.silent = np.full(len(inside), _SILENT)
        self.seed = _zeros(features, *inside.shape)
        self.seed_weights = _zeros(features, len(inside), features.shape[1])

    def extract(self, n_components: int) -> None:
        """Take out components one by one."""
        n_splits, n_stimuli = self.inside.shape
        self.T = _zeros(self.X, n_splits, n_stimuli, n_components)
        self.norms = _zeros(self.X, n_splits, n_components) + float("inf")
        self.P = _zeros(self.X, n_splits, self.X.shape[1], n_components)
        self.Q = _zeros(self.X, n_splits, self.Y.shape[2], n_components)
        self._refresh(0)
        for k in range(n_components):
            self._find_starts(k)
            if not bool(self.xp.any(self.live)):
                return
            self._take(k, self._weights(k))

    def components(self, splits: Sequence[Split]) -> Iterator[PlsComponents]:
        """What was found, split by split, for all sets of responses."""
        n_sets, n_components = len(self.orders), self.norms.shape[1]
        T = self.T.reshape(n_sets, len(splits), -1, n_components)
        norms = self.norms.reshape(n_sets, len(splits), n_components)
        for place, split in enumerate(splits):
            of_split = T[:, place]
            yield PlsComponents(of_split[:, split.train], of_split[:, split.test], norms[:, place])

    # --- one component ------------------------------------------------------------------------------------------------

    def _find_starts(self, k: int) -> None:
        """Let each split start from the first response that is left, as scikit-learn does."""
        if k == 0:
            self._take_first()
        loud = to_numpy(self.xp.max(self.xp.abs(self.seed * self.inside), axis=1))
        for place in np.flatnonzero(to_numpy(self.live)):
            if self.start[place] < 0 or loud[place] < self.silent[place]:
                self._find_start(int(place), k)

    def _take_first(self) -> None:
        """Let all splits start from the first response, where it varies over their training stimuli."""
        xp, inside = self.xp, self.inside
        first = xp.repeat(self.starts[:, 0][self.orders], len(inside) // len(self.orders), axis=0) * inside
        self.silent = np.maximum(_SILENT, 64 * _EPS * to_numpy(xp.max(xp.abs(first), axis=1)))
        residual = first - inside * (xp.sum(first, axis=1) / self.n_train)[:, None]
        varies = to_numpy(xp.max(xp.abs(residual), axis=1)) >= self.silent
        places = np.flatnonzero(varies & to_numpy(self.live))
        self.start[places], self.seed[places] = 0, residual[places]
        self.seed_weights = self.seed @ self.X

    def _find_start(self, place: int, k: int) -> None:
        for candidate in range(int(self.start[place]) + 1, self.starts.shape[1]):
            residual = self._residual(place, candidate, k)
            if float(self.xp.max(self.xp.abs(residual))) >= self.silent[place]:
                self.start[place], self.seed[place] = candidate, residual
                self.seed_weights[place] = self.X.T @ residual
                return
        self.live[place] = False

    def _residual(self, place: int, candidate: int, k: int) -> Any:
        """What components leave of a response over the training stimuli; notes what is silence in it."""
        xp, inside = self.xp, self.inside[place]
        y = self.starts[self.orders[place // (len(self.inside) // len(self.orders))], candidate] * inside
        self.silent[place] = max(_SILENT, 64 * _EPS * float(xp.max(xp.abs(y))))
        values = y - inside * (xp.sum(y) / self.n_train[place])
        T = self.T[place][:, :k]
        return values - inside * (T @ ((T.T @ values) / self.norms[place][:k]))

    def _weights(self, k: int) -> Any:
        """Weights (n_splits, n_columns) of unit length, after as many iterations as scikit-learn makes."""
        first = self._unit(self.seed_weights)
        if self.single:
            return first
        if not self.by_response:
            return power_iteration(self.small, first, self.live, stop_before=False)
        start = applied(self.cross, first, transposed=True) - self._taken(k, first, transposed=True)
        c = power_iteration(self.small, start, self.live, stop_before=True)
        return self._unit(applied(self.cross, c) - self._taken(k, c))

    def _taken(self, k: int, vectors: Any, *, transposed: bool = False) -> Any:
        """P Qᵀ, or its transpose, times a vector per split."""
        left, right = (self.Q, self.P) if transposed else (self.P, self.Q)
        return applied(left[:, :, :k], applied(right[:, :, :k], vectors, transposed=True))

    def _unit(self, vectors: Any) -> Any:
        xp = self.xp
        norm = xp.sqrt(xp.sum(vectors**2, axis=1))[:, None]
        return vectors / xp.where(norm > 0, norm, xp.ones_like(norm))

    def _take(self, k: int, weights: Any) -> None:
        """Form the component of the weights and take it out of everything."""
        xp = self.xp
        t, norm = self._scores(k, weights)
        inner = t * self.inside
        loading = inner @ self.X  # XᵀT
        of_sets = inner.reshape(len(self.orders), -1, inner.shape[1]) @ self.Y
        q = of_sets.reshape(len(inner), -1) / norm[:, None]
        self._down_date(k, loading, q)
        self.T[:, :, k], self.norms[:, k] = t, norm
        self.P[:, :, k], self.Q[:, :, k] = loading, q
        of_seed = (xp.sum(inner * self.seed, axis=1) / norm)[:, None]
        self.seed = self.seed - inner * of_seed
        self.seed_weights = self.seed_weights - loading * of_seed
        if bool(xp.any(self.live & (self._trace() < _REFRESH * self.reference))):
            self._refresh(k + 1)

    def _scores(self, k: int, weights: Any) -> tuple[Any, Any]:
        """t (n_splits, n_stimuli), orthogonal to the earlier ones over the training stimuli, and tᵀt there."""
        xp = self.xp
        t = weights @ self.X.T
        t = t - (xp.sum(t * self.inside, axis=1) / self.n_train)[:, None]
        raw = xp.sum(t**2 * self.inside, axis=1)
        earlier = self.T[:, :, :k]
        for _ in range(2):  # once more, because the first time leaves rounding of the size of what it took
            overlap = applied(earlier, t * self.inside, transposed=True) / self.norms[:, :k]
            t = t - applied(earlier, overlap)
        norm = xp.sum(t**2 * self.inside, axis=1)
        self.live = self.live & (norm > _DEPENDENT**2 * raw)
        t = xp.where(self.live[:, None], t, xp.zeros_like(t))
        return t, xp.where(self.live, norm, xp.full_like(norm, float("inf")))

    def _down_date(self, k: int, loading: Any, q: Any) -> None:
        """The smaller of CᵀC and CCᵀ for C − loading qᵀ, from that for C."""
        if self.by_response:
            cross = applied(self.cross, loading, transposed=True) - self._taken(k, loading, transposed=True)
            outside, inside = q, loading
        else:
            cross = applied(self.cross, q) - self._taken(k, q)
            outside, inside = loading, q
        square = self.xp.sum(inside**2, axis=1)[:, None]
        # −(h qᵀ + q hᵀ) + s q qᵀ = −(h − s q/2) qᵀ − q (h − s q/2)ᵀ
        half = cross - 0.5 * square * outside
        change = half[:, :, None] * outside[:, None, :]
        self.small = self.small - change - transposed_each(change)

    def _trace(self) -> Any:
        return self.xp.sum(self.small.diagonal(0, 1, 2), axis=1)

    def _refresh(self, k: int) -> None:
        """Form C and its square anew, and end splits in which nothing but rounding is left."""
        xp = self.xp
        if k:
            self.cross = self.cross - self.P[:, :, :k] @ transposed_each(self.Q[:, :, :k])
            self.P[:, :, :k], self.Q[:, :, :k] = 0.0, 0.0
        turned = transposed_each(self.cross)
        self.small = turned @ self.cross if self.by_response else self.cross @ turned
        self.reference = self._trace()
        left = xp.sqrt(xp.sum(self.cross**2, axis=2)) > _ROUNDING * self.scale[None, :]
        self.live = self.live & xp.any(left, axis=1)


def _zeros(like: Any, *shape: int) -> Any:
    return _like(np.zeros(shape), like)


def _like(array: Array, other: Any) -> Any:
    """A numpy array where another array lies."""
    return array if isinstance(other, np.ndarray) else namespace(other).asarray(array, device=other.device)
