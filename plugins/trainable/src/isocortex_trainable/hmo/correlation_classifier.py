"""The maximum-correlation classifier: a sample is of the class with whose mean it correlates best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isocortex.errors import DataError


def classify(
    training: NDArray[np.floating],
    labels: NDArray[np.integer],
    test: NDArray[np.floating],
    weights: NDArray[np.floating] | None = None,
) -> NDArray[np.int64]:
    """Give each test sample the class whose mean over the training samples it has the highest Pearson correlation with.

    Computed in double precision. What does not vary over features correlates 0 with everything; of classes that are
    equally good the smallest number is taken.

    Parameters
    ----------
    training
        (n_training, n_features).
    labels
        (n_training,), a number for each class.
    test
        (n_test, n_features).
    weights
        (n_training,), of the means, not below 0; default: equal.

    Returns
    -------
    (n_test,), numbers of classes.

    Raises
    ------
    DataError
        A class whose weights are all 0.

    Examples
    --------
    >>> training = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    >>> classify(training, np.array([0, 1]), np.array([[0.0, 0.0, 9.0], [5.0, 4.0, 0.0]]))
    array([0, 1])
    """
    weighted = np.ones(len(labels)) if weights is None else np.asarray(weights, dtype=np.float64)
    classes = np.unique(labels)
    shares = (labels == classes[:, None]) * weighted
    totals = shares.sum(axis=1, keepdims=True)
    if (totals <= 0).any():
        raise DataError(f"Class {classes[int(totals.argmin())]} has no weight, so that it has no mean.")
    means = (shares / totals) @ np.asarray(training, dtype=np.float64)
    correlations = _standardised(np.asarray(test, dtype=np.float64)) @ _standardised(means).T
    return classes[correlations.argmax(axis=1)].astype(np.int64)


def _standardised(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of mean 0 and norm 1; those that do not vary, but for rounding, are 0."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    norms = np.sqrt(np.square(centred).sum(axis=1, keepdims=True))
    varies = norms > 1e-10 * np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
    return np.divide(centred, norms, out=np.zeros_like(centred), where=varies)


def stratified_folds(labels: NDArray[np.integer], n_folds: int, seed: int) -> NDArray[np.int64]:
    """Deal the samples of each class out over folds, by chance; sizes differ by at most one per class.

    Parameters
    ----------
    labels
        (n_samples,).
    n_folds
        At least 2, at most the size of the smallest class.
    seed
        Draws who goes where.

    Returns
    -------
    (n_samples,), the fold of each sample.

    Raises
    ------
    DataError
        A class with fewer samples than folds.

    Examples
    --------
    >>> np.bincount(stratified_folds(np.array([0] * 6 + [1] * 3), 3, seed=0)).tolist()
    [3, 3, 3]
    """
    classes, counts = np.unique(labels, return_counts=True)
    if n_folds < 2 or counts.min() < n_folds:
        raise DataError(
            f"Class {classes[counts.argmin()]} has {counts.min()} samples; {n_folds} folds need at least 2 folds and "
            "as many samples of each class."
        )
    generator, folds = np.random.default_rng(seed), np.empty(len(labels), dtype=np.int64)
    for label in classes:
        members = generator.permutation(np.flatnonzero(labels == label))
        folds[members] = np.arange(len(members)) % n_folds
    return folds


def held_out_correct(
    features: NDArray[np.floating],
    labels: NDArray[np.integer],
    folds: NDArray[np.integer],
    weights: NDArray[np.floating] | None = None,
) -> NDArray[np.bool_]:
    """Whether each sample is classified correctly by means that are made of the other folds alone.

    Parameters
    ----------
    features
        (n_samples, n_features).
    labels, folds
        (n_samples,).
    weights
        (n_samples,), of the means.

    Returns
    -------
    (n_samples,).
    """
    correct = np.zeros(len(labels), dtype=bool)
    for fold in np.unique(folds):
        out = folds == fold
        kept = None if weights is None else weights[~out]
        correct[out] = classify(features[~out], labels[~out], features[out], kept) == labels[out]
    return correct
