"""NIPALS of many fits that advance together, one component at a time (see ``pls``).

What ``Fits`` holds, with B brains, S fits that advance together (all splits of the first brain, then of the next), n
stimuli, p columns of features, q columns of responses, m responses to start from and K components, of which k are found
(arrays are filled up to there):

==================  =============  ====================================================================================
symbol              shape          what it is
==================  =============  ====================================================================================
X                   (n, p)         features, centred over all stimuli; the same for all fits
Y                   (B, n, q)      responses, centred alike, or a factor of their Gram matrix (``compact_features``)
starts              (B, n, m)      responses that an iteration may start from, in order
inside              (S, n)         1 where a stimulus is for training in the split, else 0
n_train             (S,)           number of training stimuli
cross               (S, p, q)      C = XᵀY over the training stimuli, both centred there, as it was last formed
direct              one            whether there are few responses: then ``cross`` is C at present, without P and Q
P                   (S, p, K)      left factor of what was taken out of C since: XᵀT, a loading times tᵀt a column
Q                   (S, q, K)      right factor: YᵀT / tᵀt. At present the cross-product is C − P Qᵀ
small               (S, r, r)      the smaller of CᵀC (r = q) and CCᵀ (r = p), of the present C
by_response         one            whether ``small`` is CᵀC, that is q ≤ p
reference           (S,)           trace of ``small``, the squared norm of C, when C was last formed
T                   (S, K, n)      scores t of all stimuli, orthogonal to each other over the training stimuli
norms               (S, K)         tᵀt over the training stimuli; infinite where there is no such component
scale               (S, p)         norms of the columns of X times the norm of Y: what rounding in C is measured by
live                (S,)           whether something is left to find in the fit
start               (S,)           column of ``starts`` that the iteration starts from, −1 before the first
silent              (S,)           below this, what is left of that response counts as rounding
seed                (S, n)         what components have left of that response over the training stimuli
seed_weights        (S, p)         Xᵀ seed: along the weights w of a component before its first iteration
single              one            whether m = 1: then the first weights are the last, and nothing is iterated
==================  =============  ====================================================================================

The weights w (S, p) and c = Cᵀw (S, q) of a component, and its t (S, n), live only while it is formed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from isocortex.activations import namespace
from isocortex.interfaces import Split
from isocortex.typing import Array
from isocortex_metrics.brainscore.compact import cross_product
from isocortex_metrics.brainscore.power_iteration import applied, power_iteration, transposed_each
from isocortex_metrics.numerics.arrays import to_numpy
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
#: with at most as many responses, what a component takes out is taken from C at once: that is less than P and Q hold
_FEW_RESPONSES = 16


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
        return self.test @ ((self.train.T @ responses) / self.norms[:, None])

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


class Fits:
    """Fits that advance together; the first axis of every array is the fit: the splits of each brain in turn.

    ``cross`` (n_fits, n_columns, n_responses) is C when it was last formed; P and Q hold what components have taken
    out since, C − P Qᵀ being the present one. ``small`` is the smaller of CᵀC and CCᵀ at present.
    """

    def __init__(self, features: Any, responses: Any, starts: Any, splits: Sequence[Split]) -> None:
        self.xp = xp = namespace(features)
        self.X, self.Y, self.starts = features, responses, starts
        self.single = starts.shape[2] == 1
        self.n_splits, n_brains = len(splits), len(responses)
        inside = np.zeros((len(splits), len(features)))
        for row, split in zip(inside, splits, strict=True):
            row[split.train] = 1.0
        inside = np.tile(inside, (n_brains, 1))
        self.inside = _like(inside, features)  # (n_fits, n_stimuli)
        self.n_train = _like(inside.sum(axis=1), features)
        self.cross = self._crossed(splits)
        self.direct = responses.shape[2] <= _FEW_RESPONSES
        self.by_response = responses.shape[2] <= features.shape[1]
        #: norms that tell covariance from rounding
        of_brain = to_numpy(xp.sqrt(xp.sum(responses**2, axis=(1, 2))))
        norms = to_numpy(xp.sqrt(xp.sum(features**2, axis=0)))
        self.scale = _like(np.repeat(of_brain[:, None] * norms, len(splits), axis=0), features)
        self.live = self.n_train > 0
        self.start = np.full(len(inside), -1)
        self.silent = np.full(len(inside), _SILENT)
        self.seed = _zeros(features, len(inside), len(features))
        self.seed_weights = _zeros(features, len(inside), features.shape[1])

    def _crossed(self, splits: Sequence[Split]) -> Any:
        """C of each fit; brains lie side by side as further columns."""
        n_brains, n_stimuli, n_responses = self.Y.shape
        flat = self.xp.permute_dims(self.Y, (1, 0, 2)).reshape(n_stimuli, -1)
        whole = self.X.T @ flat
        cross = _zeros(self.X, n_brains * len(splits), self.X.shape[1], n_responses)
        for place, split in enumerate(splits):
            found = cross_product(self.X, flat, whole, split.train).reshape(self.X.shape[1], n_brains, n_responses)
            cross[place :: len(splits)] = self.xp.permute_dims(found, (1, 0, 2))
        return cross

    def _onto_responses(self, scores: Any) -> Any:
        """Scores (n_fits, n_stimuli) times the responses of their brains, (n_fits, n_responses)."""
        n_brains = len(self.Y)
        return (scores.reshape(n_brains, self.n_splits, scores.shape[1]) @ self.Y).reshape(len(scores), self.Y.shape[2])

    def extract(self, n_components: int) -> None:
        """Take out components one by one."""
        n_fits, n_stimuli = self.inside.shape
        self.T = _zeros(self.X, n_fits, n_components, n_stimuli)
        self.norms = _zeros(self.X, n_fits, n_components) + float("inf")
        if not self.direct:
            self.P = _zeros(self.X, n_fits, self.X.shape[1], n_components)
            self.Q = _zeros(self.X, n_fits, self.Y.shape[2], n_components)
        self._refresh(0)
        for k in range(n_components):
            self._find_starts(k)
            if not bool(self.xp.any(self.live)):
                return
            self._take(k, self._weights(k))

    def components(self, splits: Sequence[Split]) -> Iterator[PlsComponents]:
        """What was found, split by split, brain by brain."""
        for place in range(len(self.inside)):
            split = splits[place % len(splits)]
            scores = self.T[place].T
            yield PlsComponents(scores[split.train], scores[split.test], self.norms[place])

    # --- one component ------------------------------------------------------------------------------------------------

    def _find_starts(self, k: int) -> None:
        """Let each split start from the first response that is left, as scikit-learn does."""
        loud = to_numpy(self.xp.max(self.xp.abs(self.seed * self.inside), axis=1))
        for place in np.flatnonzero(to_numpy(self.live)):
            if self.start[place] < 0 or loud[place] < self.silent[place]:
                self._find_start(int(place), k)

    def _find_start(self, place: int, k: int) -> None:
        for candidate in range(int(self.start[place]) + 1, self.starts.shape[2]):
            residual = self._residual(place, candidate, k)
            if float(self.xp.max(self.xp.abs(residual))) >= self.silent[place]:
                self.start[place], self.seed[place] = candidate, residual
                self.seed_weights[place] = self.X.T @ residual
                return
        self.live[place] = False

    def _residual(self, place: int, candidate: int, k: int) -> Any:
        """What components leave of a response over the training stimuli; notes what is silence in it."""
        xp, inside = self.xp, self.inside[place]
        y = self.starts[place // self.n_splits][:, candidate] * inside
        self.silent[place] = max(_SILENT, 64 * _EPS * float(xp.max(xp.abs(y))))
        values = y - inside * (xp.sum(y) / self.n_train[place])
        T = self.T[place][:k]
        return values - inside * (((T @ values) / self.norms[place][:k]) @ T)

    def _weights(self, k: int) -> Any:
        """Weights (n_splits, n_columns) of unit length, after as many iterations as scikit-learn makes."""
        first = self._unit(self.seed_weights)
        if self.single:
            return first
        if not self.by_response:
            return power_iteration(self.small, first, self.live, stop_before=False)
        start = self._crossing(k, first, transposed=True)
        return self._unit(self._crossing(k, power_iteration(self.small, start, self.live, stop_before=True)))

    def _crossing(self, k: int, vectors: Any, *, transposed: bool = False) -> Any:
        """C − P Qᵀ, or its transpose, times a vector per fit."""
        found = applied(self.cross, vectors, transposed=transposed)
        if self.direct:
            return found
        left, right = (self.Q, self.P) if transposed else (self.P, self.Q)
        return found - applied(left[:, :, :k], applied(right[:, :, :k], vectors, transposed=True))

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
        q = self._onto_responses(inner) / norm[:, None]
        self._down_date(k, loading, q)
        self.T[:, k], self.norms[:, k] = t, norm
        if self.direct:
            self.cross = self.cross - loading[:, :, None] * q[:, None, :]
        else:
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
        earlier = self.T[:, :k]
        for _ in range(2):  # once more, because the first time leaves rounding of the size of what it took
            overlap = applied(earlier, t * self.inside) / self.norms[:, :k]
            t = t - applied(earlier, overlap, transposed=True)
        norm = xp.sum(t**2 * self.inside, axis=1)
        self.live = self.live & (norm > _DEPENDENT**2 * raw)
        t = xp.where(self.live[:, None], t, xp.zeros_like(t))
        return t, xp.where(self.live, norm, xp.full_like(norm, float("inf")))

    def _down_date(self, k: int, loading: Any, q: Any) -> None:
        """The smaller of CᵀC and CCᵀ for C − loading qᵀ, from that for C."""
        if self.by_response:
            cross = self._crossing(k, loading, transposed=True)
            outside, inside = q, loading
        else:
            cross = self._crossing(k, q)
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
        if k and not self.direct:
            self.cross = self.cross - self.P[:, :, :k] @ transposed_each(self.Q[:, :, :k])
            self.P[:, :, :k], self.Q[:, :, :k] = 0.0, 0.0
        turned = transposed_each(self.cross)
        self.small = turned @ self.cross if self.by_response else self.cross @ turned
        self.reference = self._trace()
        left = xp.sqrt(xp.sum(self.cross**2, axis=2)) > _ROUNDING * self.scale
        self.live = self.live & xp.any(left, axis=1)


def _zeros(like: Any, *shape: int) -> Any:
    return _like(np.zeros(shape), like)


def _like(array: Array, other: Any) -> Any:
    """A numpy array where another array lies."""
    return array if isinstance(other, np.ndarray) else namespace(other).asarray(array, device=other.device)
