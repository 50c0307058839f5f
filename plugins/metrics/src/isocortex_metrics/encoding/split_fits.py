"""Fit and test one split: ridge on all of a layer, or on its leading principal components; on plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from isocortex.activations import namespace
from isocortex.interfaces import Split
from isocortex.typing import Array
from isocortex_metrics.numerics.arrays import like, to_numpy
from isocortex_metrics.numerics.correlation import pearson, signed_square
from isocortex_metrics.numerics.dual_ridge import ALPHA_GRID, SplitFit, fit_split
from isocortex_metrics.numerics.explained import explained_variance, mean_squared_error, r2_score
from isocortex_metrics.numerics.gram import SplitBasis, centred_responses, split_basis
from isocortex_metrics.numerics.influence import role_in_test, role_in_training
from isocortex_metrics.numerics.primal_ridge import PrimalBasis, Units, fit_primal, primal_basis

#: what tells how far predictions are from responses, and not only how they vary together
ERRORS = ("explained_variance", "r2_score", "mse")
#: of responses that are fitted at once; what is beyond follows
_RESPONSE_BYTES = 64 * 1024**2
#: the same where features are turned anew for each: the more neuroids share that, the less it costs
_STREAMED_BYTES = 256 * 1024**2
_EPS = float(np.finfo(np.float64).eps)

Basis = SplitBasis | PrimalBasis


@dataclass(frozen=True)
class FitPlan:
    """What is fitted in a split and what is kept of it.

    Attributes
    ----------
    alpha
        Penalty on the scale of the features, as scikit-learn's ``Ridge(alpha)``; 0: least squares, and where several
        solutions fit, the shortest; None: chosen by leave-one-out.
    n_components
        Principal components of the training stimuli that are regressed on; of several numbers the one that does best
        within the training stimuli, by the mean over neuroids of the selection; None: all features.
    keep
        "prediction", "alpha", "training_r2", "influence": what to return beside the scores.
    with_errors
        Whether ``ERRORS`` are among the scores.
    """

    alpha: float | None = None
    n_components: tuple[int, ...] | None = None
    keep: tuple[str, ...] = ()
    with_errors: bool = False


def decomposed(features: Array | Units, train: Array, test: Array) -> Basis:
    """What a split needs of the features: from their Gram matrix, or from few units themselves."""
    if isinstance(features, Units):
        return primal_basis(features, train, test)
    return split_basis(features, train, test)


def score_split(features: Array | Units, responses: Array, split: Split, plan: FitPlan) -> dict[str, Array]:
    """Fit the training stimuli of a split, predict its test stimuli and compare.

    Parameters
    ----------
    features
        (n_stimuli, n_stimuli) Gram matrix of the features, on any device; or the features, where their units are few.
    responses
        (n_stimuli, n_neuroids) float64 numpy array.
    split
        Training and test stimuli.
    plan
        What is fitted and kept.

    Returns
    -------
    numpy arrays (n_neuroids,): r, null (no prediction, or a response that does not vary), selection (see
    ``dual_ridge.SplitFit``); with components n_components (how many there are, no dims); as the plan says
    explained_variance, r2_score and mse; with ``keep`` alpha (log10 of the multiple of the mean eigenvalue),
    alpha_at_bound (−1 lowest, 0 inside, 1 highest of the grid), training_r2 (sign(r) r² of the fit on its own training
    stimuli), prediction (n_test, n_neuroids), influence (n_stimuli, n_neuroids) float32: change of r with the weight of
    each stimulus, 0 for those that the split leaves out.

    Examples
    --------
    >>> x = np.arange(12.0)[:, None]
    >>> found = score_split(x @ x.T, 3 * x + 1, Split(np.arange(8), np.arange(8, 12)), FitPlan())
    >>> found["r"].round(6).tolist(), found["null"].tolist()
    ([1.0], [False])
    """
    train, test = split
    # predictions for the training stimuli come from the same product as those for the test stimuli
    predicted = np.concatenate([test, train]) if "training_r2" in plan.keep else test
    basis = decomposed(features, train, predicted)
    step = _at_once(basis, responses, plan)
    parts = [
        score_basis(basis, responses[:, first : first + step], split, plan)
        for first in range(0, responses.shape[1], step)
    ]
    if len(parts) == 1:
        return parts[0]
    return {
        name: np.concatenate([part[name] for part in parts], axis=-1) if value.ndim else value
        for name, value in parts[0].items()
    }


def _at_once(basis: Basis, responses: Array, plan: FitPlan) -> int:
    """How many neuroids are fitted together; all, where they choose one number of components together."""
    if len(plan.n_components or ()) > 1:
        return responses.shape[1]
    streamed = isinstance(basis, PrimalBasis) and not basis.vectors.is_kept
    return max(1, (_STREAMED_BYTES if streamed else _RESPONSE_BYTES) // (8 * len(responses)))


def score_basis(basis: Basis, responses: Array, split: Split, plan: FitPlan) -> dict[str, Array]:
    """``score_split`` where the Gram matrix is decomposed: many sets of responses are columns of one.

    Parameters
    ----------
    basis
        ``decomposed`` for the split; with "training_r2" the training stimuli stand behind those of the test.
    responses, split, plan
        As for ``score_split``.
    """
    train, test = split
    with_training = "training_r2" in plan.keep
    basis, grid, fit = _best_fit(basis, like(responses[train], basis.values), plan)
    deviation, mean, alpha_index = to_numpy(fit.deviation), to_numpy(fit.mean), to_numpy(fit.alpha_index)
    of_test = deviation[: len(test)]
    r, null = pearson(of_test, responses[test])
    found = {"r": r, "null": null, "selection": to_numpy(fit.selection)}
    if plan.with_errors:
        found["explained_variance"] = explained_variance(of_test, responses[test])
        found["r2_score"] = r2_score(of_test + mean, responses[test])
        found["mse"] = mean_squared_error(of_test + mean, responses[test])
    if plan.n_components is not None:
        found["n_components"] = np.array(int((to_numpy(basis.values) > 0).sum()))
    if "alpha" in plan.keep:
        found |= {"alpha": np.log10(grid)[alpha_index], "alpha_at_bound": at_bound(alpha_index, len(grid))}
    if with_training:
        found["training_r2"] = signed_square(pearson(deviation[len(test) :], responses[train])[0])
    if "prediction" in plan.keep:
        found["prediction"] = of_test + mean
    if "influence" in plan.keep:
        alpha = grid[alpha_index] * basis.mean_eigenvalue
        found["influence"] = _influence(_tested(basis, len(test)), responses, split, of_test, alpha)
    return found


def _tested(basis: Basis, n_test: int) -> Basis:
    """The basis without the training stimuli that may stand behind those of the test."""
    return basis.of_tests(n_test) if isinstance(basis, PrimalBasis) else replace(basis, cross=basis.cross[:n_test])


def _influence(basis: Basis, responses: Array, split: Split, deviation: Array, alpha: Array) -> Array:
    """(n_stimuli, n_neuroids) float32: what each stimulus does to r, as a test or as a part of the training."""
    train, test = split
    found = np.zeros(responses.shape, dtype=np.float32)
    role = role_in_test(deviation, responses[test])
    found[test] = role.influence
    centred, _ = centred_responses(like(responses[train], basis.values))
    found[train] = role_in_training(basis, centred, alpha, role.gradient)
    return found


def _best_fit(basis: Basis, responses: Array, plan: FitPlan) -> tuple[Basis, Array, SplitFit]:
    """The fit of the number of components that does best within the training stimuli; the first of equal ones."""
    best: tuple[Basis, Array, SplitFit] | None = None
    highest = -np.inf
    for n_components in plan.n_components or (None,):
        part = basis if n_components is None or isinstance(basis, PrimalBasis) else leading(basis, n_components)
        grid = _grid(part, plan.alpha)
        fit = fit_primal(part, responses, grid) if isinstance(part, PrimalBasis) else fit_split(part, responses, grid)
        within = float(np.mean(to_numpy(fit.selection)))
        if best is None or within > highest:
            best, highest = (part, grid, fit), within
    assert best is not None
    return best


def leading(basis: SplitBasis, n_components: int) -> SplitBasis:
    """Keep the leading principal components of the training stimuli; what they leave out predicts nothing.

    The principal components of features centred by the training mean are the eigenvectors of their Gram matrix; a
    ridge regression on them is one in which the other eigenvalues are 0. Features are not needed, and test stimuli are
    only projected.

    Parameters
    ----------
    basis
        Of a split, eigenvalues ascending.
    n_components
        How many to keep; all that there are where there are fewer.

    Examples
    --------
    >>> basis = split_basis(np.diag([9.0, 4.0, 1.0, 1.0]), np.arange(4), np.array([0]))
    >>> (leading(basis, 1).values > 0).tolist()
    [False, False, True]
    """
    xp = namespace(basis.values)
    left_out = np.arange(len(basis.values)) < len(basis.values) - n_components
    kept = like(~left_out, basis.values)
    values = xp.where(kept, basis.values, xp.zeros_like(basis.values))
    return SplitBasis(basis.vectors, values, xp.where(values > 0, basis.cross, xp.zeros_like(basis.cross)))


def _grid(basis: Basis, alpha: float | None) -> Array:
    """Ascending multiples of the mean eigenvalue.

    Least squares are ridge with an alpha so small that its part in the smallest eigenvalue is lost in rounding.
    """
    if alpha is None:
        return ALPHA_GRID
    scale = basis.mean_eigenvalue
    if scale == 0:
        return np.ones(1)
    if alpha == 0:
        values = to_numpy(basis.values)
        alpha = _EPS * float(values[values > 0].min())
    return np.array([alpha / scale])


def at_bound(index: Array, n_alphas: int) -> Array:
    """−1 where the lowest of several alphas was chosen, 1 where the highest, 0 inside; int8.

    Examples
    --------
    >>> at_bound(np.array([0, 1, 2]), 3).tolist(), at_bound(np.array([0]), 1).tolist()
    ([-1, 0, 1], [0])
    """
    if n_alphas == 1:
        return np.zeros(index.shape, dtype=np.int8)
    return ((index == n_alphas - 1).astype(np.int8) - (index == 0).astype(np.int8)).astype(np.int8)
