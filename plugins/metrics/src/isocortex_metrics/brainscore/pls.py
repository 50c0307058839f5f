"""Partial least squares as scikit-learn's ``PLSRegression(scale=False)`` fits it, from cross-products alone.

NIPALS (Wegelin 2000) finds the weights of each component by power iteration, and scikit-learn stops that early: what it
gives is not the singular vector. Every iterate lies in the cross-product C = XᵀY of the training stimuli, so that the
same iterates, and the same stop, come from small matrices. Splits share XᵀY of all stimuli, less what they leave out,
and advance together, one component at a time: the large matrices are read once for all of them. So do several brains
that share features and splits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from isocortex.errors import DataError
from isocortex.interfaces import Split
from isocortex.typing import Array
from isocortex_metrics.brainscore.compact import centred_columns, compact_features
from isocortex_metrics.brainscore.nipals import Fits, PlsComponents
from isocortex_metrics.numerics.arrays import on_device, to_numpy
from isocortex_metrics.numerics.gram import centred_responses

#: bytes that fits which advance together may take
_GROUP_BYTES = 128 * 1024**2


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
    _refuse_many(splits, n_components)
    starts = responses if starts is None else starts
    size = _at_once(features, responses.shape[1], n_components)
    for first in range(0, len(splits), size):
        part = splits[first : first + size]
        group = Fits(features, responses[None], starts[None], part)
        group.extract(n_components)
        yield from group.components(part)


def pls_of_brains(
    features: Any, brains: Array, splits: Sequence[Split], n_components: int, device: str = "cpu"
) -> Array:
    """Predict several sets of responses to the same stimuli, each as ``pls_predictions`` does.

    Parameters
    ----------
    features, splits, n_components, device
        As for ``pls_predictions``.
    brains
        (n_brains, n_stimuli, n_neuroids) float64.

    Returns
    -------
    (n_brains, n_splits, n_test, n_neuroids): predictions less the training mean, NaN beyond a short test part. Memory
    beyond that: fits that advance together, at most 128 MB.

    Raises
    ------
    DataError
        More components than training stimuli allow.
    """
    n_brains, n_stimuli, n_neuroids = brains.shape
    found = np.full((n_brains, len(splits), max(len(split.test) for split in splits), n_neuroids), np.nan)
    if n_neuroids > n_stimuli:
        for place, responses in enumerate(brains):
            parts = pls_predictions(features, responses, splits, n_components, device)
            for number, one in enumerate(parts):
                found[place, number, : len(one.deviation)] = one.deviation
        return found
    _refuse_many(splits, n_components)
    targets = on_device(np.stack([centred_columns(responses) for responses in brains]), device)
    size = max(1, _at_once(features, n_neuroids, n_components) // len(splits))
    for first in range(0, n_brains, size):
        part = targets[first : first + size]
        group = Fits(features, part, part, splits)
        group.extract(n_components)
        fits = iter(group.components(splits))
        for place, responses in enumerate(part):
            for number, (split, components) in enumerate(zip(splits, fits, strict=False)):
                training, _ = centred_responses(responses[split.train])
                found[first + place, number, : len(split.test)] = to_numpy(components.deviations(training))
    return found


def _refuse_many(splits: Sequence[Split], n_components: int) -> None:
    smallest = min(len(split.train) for split in splits)
    if n_components > smallest - 1:
        raise DataError(
            f"{n_components} components need at least {n_components + 1} training stimuli; the smallest split has "
            f"{smallest}. Use fewer components (setting n_components) or more stimuli."
        )


def _at_once(features: Any, n_responses: int, n_components: int) -> int:
    """How many fits advance together."""
    n_stimuli, n_columns = features.shape
    per_fit = n_columns * (n_responses + n_components) + min(n_columns, n_responses) ** 2
    return max(1, _GROUP_BYTES // (8 * (per_fit + n_stimuli * (n_components + 3))))
