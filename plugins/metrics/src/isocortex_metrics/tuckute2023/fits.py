"""The voxelwise ridge of Tuckute et al. 2023, PLOS Biology: half splits, all scans, noise correction by the model.

Pure functions on arrays, numpy or torch. Responses come as scans (n_scans, n_stimuli, n_neuroids); a scan is one
repetition of all stimuli. With a single scan (components) there is no noise correction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np

from isocortex.activations import namespace
from isocortex.interfaces import Split
from isocortex.typing import Array
from isocortex_metrics.numerics.arrays import to_numpy
from isocortex_metrics.numerics.correlation import NULL_SHARE, ROUNDING
from isocortex_metrics.numerics.dual_ridge import chosen_alphas, deviations
from isocortex_metrics.numerics.gram import SplitBasis, centred_responses, split_basis
from isocortex_metrics.numerics.leave_one_out import Operators, column_products, kept_operators, neuroid_blocks
from isocortex_metrics.numerics.threads import in_threads

#: the published grid, absolute, ascending
ABSOLUTE_ALPHAS: Array = 10.0 ** np.arange(-50, 50)
#: leave-one-out errors closer than this (relative) differ by rounding only; the paper's ties are exact ones
EXACT_TIE = 1e-13
#: with fewer units than training stimuli, eigenvalues below this share of the largest are rounding
RANK = 1e-12
#: the smallest reliability that responses, and predictions, are given
RESPONSE_FLOOR, PREDICTION_FLOOR = 0.182, 0.183


@dataclass(frozen=True)
class SplitScores:
    """What one half split gives; (n_neuroids,) unless another shape is said.

    Attributes
    ----------
    r_prior_zero
        Pearson correlation of prediction and mean response over the test stimuli; NaN where null.
    r, r2
        The same, negative and null ones set to 0; its square.
    training_r2
        The same over the training stimuli, squared.
    null
        Where the prediction varies by less than 1e-10 of the response, or the response does not vary.
    alpha_index
        (1 + n_scans, n_neuroids): place in the grid for the mean over scans, then for each scan; (1, n_neuroids) with
        one scan.
    prediction_std, training_prediction_std, response_std, training_response_std
        Standard deviations (ddof 0) over test or training stimuli, of the mean over scans.
    null_scans
        Number of scans whose prediction is null.
    prediction_pairs
        (n_pairs, n_neuroids): correlations over the test stimuli between the predictions of two scans.
    prediction_reliability
        Their ``reliability_of_mean``; NaN with one scan.
    r2_corrected
        r2 / (reliability of the responses × reliability of the predictions), not clipped; NaN with one scan.
    prediction
        (n_test, n_neuroids): of the mean over scans, less its training mean.
    training_mean
        Of the mean over scans.
    scan_predictions
        (n_scans, n_test, n_neuroids), less their training means; with one scan there are none.
    """

    r_prior_zero: Array
    r: Array
    r2: Array
    training_r2: Array
    null: Array
    alpha_index: Array
    prediction_std: Array
    training_prediction_std: Array
    response_std: Array
    training_response_std: Array
    null_scans: Array
    prediction_pairs: Array
    prediction_reliability: Array
    r2_corrected: Array
    prediction: Array
    training_mean: Array
    scan_predictions: Array


def score_half(
    basis: SplitBasis,
    train: Array,
    test: Array,
    response_reliability: Array,
    alphas: Array = ABSOLUTE_ALPHAS,
    operators: Operators | None = None,
) -> SplitScores:
    """Fit the mean over scans and each scan, each at its own alpha, and relate predictions to responses.

    Parameters
    ----------
    basis
        Of the split.
    train, test
        Scans (n_scans, n_train, n_neuroids) and (n_scans, n_test, n_neuroids), float64, where the basis lies.
    response_reliability
        (n_neuroids,): ``reliability_of_mean`` of the training scans; not used with one scan.
    alphas
        (n_alphas,) ascending.
    operators
        ``kept_operators`` of these alphas, where the neuroids come in pieces.

    References
    ----------
    Tuckute, Feather, Boebinger & McDermott 2023, PLOS Biology, "Voxel response modeling".

    Examples
    --------
    >>> from isocortex_metrics.numerics.gram import gram_matrix
    >>> x = np.random.default_rng(0).standard_normal((20, 4))
    >>> y = x @ np.ones((4, 1))
    >>> basis = split_basis(gram_matrix([x], 20), np.arange(10), np.arange(10, 20))
    >>> float(score_half(basis, y[None, :10], y[None, 10:], np.ones(1)).r2.round(6)[0])
    1.0
    """
    xp = namespace(train)
    rotated = _rotated(basis, train)
    n_scans, n_neuroids = rotated.shape[1:]
    targets = rotated if n_scans > 1 else rotated[:, 0]
    alpha_index = chosen_alphas(basis, targets, alphas, EXACT_TIE, operators)[0].reshape(-1, n_neuroids)
    fit = _fit(basis, rotated, xp.asarray(alphas, device=alpha_index.device)[alpha_index])
    (predicted, predicted_norm), (on_training, on_training_norm) = _units(fit.prediction), _units(fit.on_training)
    (tested, tested_norm), (trained, trained_norm) = _units(xp.mean(test, axis=0)), _units(xp.mean(train, axis=0))
    null = _is_null(predicted_norm, tested_norm)
    r = _correlation(predicted, tested, null)
    training_r = _correlation(on_training, trained, _is_null(on_training_norm, trained_norm))
    scan_units, scan_norms = _units(fit.scan_predictions)
    null_scans = _is_null(scan_norms, _units(test[: len(scan_norms)])[1])  # (n_scans, n_neuroids)
    pairs = _pairs(scan_units, null_scans)
    reliability = reliability_of_mean(pairs, len(test), PREDICTION_FLOOR)
    r2 = _rectified(r) ** 2
    return SplitScores(
        r_prior_zero=r,
        r=_rectified(r),
        r2=r2,
        training_r2=_rectified(training_r) ** 2,
        null=null,
        alpha_index=alpha_index,
        prediction_std=predicted_norm / predicted.shape[0] ** 0.5,
        training_prediction_std=on_training_norm / on_training.shape[0] ** 0.5,
        response_std=tested_norm / tested.shape[0] ** 0.5,
        training_response_std=trained_norm / trained.shape[0] ** 0.5,
        null_scans=xp.sum(xp.astype(null_scans, xp.int8), axis=0),
        prediction_pairs=pairs,
        prediction_reliability=reliability,
        r2_corrected=r2 / (response_reliability * reliability),
        prediction=fit.prediction,
        training_mean=xp.mean(xp.mean(train, axis=1), axis=0),
        scan_predictions=fit.scan_predictions,
    )


def _rotated(basis: SplitBasis, train: Array) -> Array:
    """(n_train − 1, n_scans, n_neuroids): Uᵀ of the centred responses of every scan."""
    centred, _ = centred_responses(train)
    n_scans, n_train, n_neuroids = centred.shape
    columns = namespace(train).permute_dims(centred, (1, 0, 2)).reshape(n_train, -1)  # (n_train, n_scans * n_neuroids)
    return (basis.vectors.T @ columns).reshape(-1, n_scans, n_neuroids)


@dataclass(frozen=True)
class _Fit:
    prediction: Array
    on_training: Array
    scan_predictions: Array


def _fit(basis: SplitBasis, rotated: Array, alpha: Array) -> _Fit:
    """Predictions of the mean over scans on both halves, and of each scan on the test half."""
    xp = namespace(rotated)
    left = xp.concat([basis.cross, basis.vectors * basis.values], axis=0)  # (n_test + n_train, n_train - 1)
    both = deviations(left, basis.values, xp.mean(rotated, axis=1), alpha[0])
    several = rotated if rotated.shape[1] > 1 else rotated[:, :0]
    of_scans = deviations(basis.cross, basis.values, several, alpha[1:])
    n_test = basis.cross.shape[0]
    return _Fit(both[:n_test], both[n_test:], xp.permute_dims(of_scans, (1, 0, 2)))


# --- reliability ------------------------------------------------------------------------------------------------------


def response_pairs(scans: Array) -> Array:
    """Pearson correlations over stimuli between the responses of two scans.

    Parameters
    ----------
    scans
        (n_scans, n_stimuli, n_neuroids).

    Returns
    -------
    (n_pairs, n_neuroids), pairs (0, 1), (0, 2), …, (1, 2), …; NaN where a scan does not vary.

    Examples
    --------
    >>> response_pairs(np.array([[[1.0], [2.0], [3.0]], [[1.0], [3.0], [2.0]]])).round(6).tolist()
    [[0.5]]
    """
    units, norms = _units(scans)
    return _pairs(units, norms == 0)


def reliability_of_mean(pairs: Array, n_scans: int, floor: float) -> Array:
    r"""Spearman-Brown from the median pair: max(K m / (1 + (K − 1) m), floor).

    Tuckute et al. 2023 have K = 3 scans, a floor of .182 for responses and of .183 for predictions. As published, there
    is no upper bound: for m below −1 / (K − 1) the fraction turns positive again.

    Parameters
    ----------
    pairs
        (n_pairs, n_neuroids); pairs that are NaN are left out of the median m, and without any it is the floor.

    Returns
    -------
    (n_neuroids,); NaN where there are no pairs at all (one scan).

    Examples
    --------
    >>> reliability_of_mean(np.array([[0.5, 0.0], [0.2, np.nan], [0.5, 0.0]]), 3, 0.182).tolist()
    [0.75, 0.182]
    """
    xp = namespace(pairs)
    if len(pairs) == 0:
        return xp.sum(pairs, axis=0) * np.nan
    m = _median(pairs)
    below = 1 + (n_scans - 1) * m
    found = n_scans * m / xp.where(below == 0, xp.ones_like(m), below)
    return xp.where((below != 0) & (found > floor), found, xp.zeros_like(m) + floor)


def _median(values: Array) -> Array:
    """Median along the first axis of what is not NaN; NaN where nothing is."""
    xp = namespace(values)
    ordered = xp.sort(values, axis=0)  # NaN last
    last = xp.sum(xp.astype(~xp.isnan(values), xp.int64), axis=0) - 1
    low, high = xp.clip(last // 2, min=0), xp.clip((last + 1) // 2, min=0)
    middle = [xp.take_along_axis(ordered, place[None], axis=0)[0] for place in (low, high)]
    return (middle[0] + middle[1]) / 2


def _pairs(units: Array, null: Array) -> Array:
    """Correlations of all pairs along the first axis of unit columns, NaN where one is null."""
    xp = namespace(units)
    found = [_correlation(units[a], units[b], null[a] | null[b]) for a, b in combinations(range(len(units)), 2)]
    return xp.stack(found, axis=0) if found else units[:0, 0]


def _units(values: Array) -> tuple[Array, Array]:
    """Columns (along the last axis but one) centred and with norm 1, or 0 where constant; and their norms."""
    xp = namespace(values)
    mean = xp.mean(values, axis=-2)
    units = values - mean[..., None, :]
    norm = xp.sqrt(column_products(units, units))
    constant = norm <= ROUNDING * values.shape[-2] ** 0.5 * xp.abs(mean)
    units *= xp.where(constant, xp.zeros_like(norm), 1 / xp.where(constant, xp.ones_like(norm), norm))[..., None, :]
    return units, xp.where(constant, xp.zeros_like(norm), norm)


def _is_null(predicted_norm: Array, response_norm: Array) -> Array:
    return (predicted_norm == 0) | (response_norm == 0) | (predicted_norm < NULL_SHARE * response_norm)


def _correlation(first: Array, second: Array, null: Array) -> Array:
    xp = namespace(first)
    r = xp.clip(column_products(first, second), -1.0, 1.0)
    return xp.where(null, xp.zeros_like(r) + np.nan, r)


def _rectified(r: Array) -> Array:
    xp = namespace(r)
    return xp.where(r > 0, r, xp.zeros_like(r))


# --- all splits -------------------------------------------------------------------------------------------------------


def basis_of(gram: Array, split: Split, n_units: int) -> SplitBasis:
    """The decomposed training half; with fewer units than stimuli, directions that units cannot span are left out."""
    return split_basis(gram, split.train, split.test, rounding=RANK if n_units < len(split.train) else None)


def score_halves(
    gram: Array, splits: Sequence[Split], scans: Array, response_reliability: Array, n_units: int, names: Sequence[str]
) -> dict[str, Array]:
    """``score_half`` over splits and pieces of the neuroids, splits in threads where BLAS may use several.

    Parameters
    ----------
    gram
        (n_stimuli, n_stimuli), where the scans lie.
    scans
        (n_scans, n_stimuli, n_neuroids) float64.
    response_reliability
        (n_splits, n_neuroids).
    n_units
        Of the layer.
    names
        Attributes of ``SplitScores`` that are kept.

    Returns
    -------
    Name → numpy array with the splits first. Memory beyond it: one piece of the neuroids per thread.
    """

    whole: dict[str, Array] = {}

    def one(number: int) -> None:
        split = splits[number]
        basis = basis_of(gram, split, n_units)
        operators = kept_operators(basis, ABSOLUTE_ALPHAS, len(scans) * scans.shape[-1])
        for piece in neuroid_blocks(scans):
            halves = scans[:, split.train, piece], scans[:, split.test, piece]
            found = score_half(basis, *halves, response_reliability[number, piece], ABSOLUTE_ALPHAS, operators)
            for name in names:
                part = to_numpy(getattr(found, name))
                if name not in whole:
                    whole.setdefault(name, np.empty((len(splits), *part.shape[:-1], scans.shape[-1]), part.dtype))
                whole[name][number, ..., piece] = part

    in_threads(one, range(len(splits)), n_threads=None if isinstance(scans, np.ndarray) else 1)
    return whole


def predict_splits(gram: Array, splits: Sequence[Split], scans: Array, n_units: int, alpha_index: Array) -> Array:
    """Predictions of the mean over scans at alphas that were found before.

    Parameters
    ----------
    gram, splits, scans, n_units
        As for ``score_halves``.
    alpha_index
        (n_splits, n_neuroids) places in ``ABSOLUTE_ALPHAS``.

    Returns
    -------
    (n_splits, n_test, n_neuroids) numpy array, in the units of the responses.
    """
    xp = namespace(scans)
    responses = xp.mean(scans, axis=0)
    prediction = np.empty((len(splits), len(splits[0].test), scans.shape[-1]))

    def one(number: int) -> None:
        split = splits[number]
        basis = basis_of(gram, split, n_units)
        centred, mean = centred_responses(responses[split.train])
        alpha = xp.asarray(ABSOLUTE_ALPHAS[alpha_index[number]], device=responses.device)
        rotated = basis.vectors.T @ centred
        prediction[number] = to_numpy(deviations(basis.cross, basis.values, rotated, alpha) + mean)

    in_threads(one, range(len(splits)), n_threads=None if isinstance(scans, np.ndarray) else 1)
    return prediction


def reliabilities(splits: Sequence[Split], scans: Array) -> Array:
    """(n_splits, n_neuroids): reliability of the mean of the training scans of every split; NaN with one scan."""
    of_split = partial(_reliability, scans)
    return namespace(scans).stack([of_split(split.train) for split in splits], axis=0)


def _reliability(scans: Array, train: Array) -> Array:
    return reliability_of_mean(response_pairs(scans[:, train]), len(scans), RESPONSE_FLOOR)
