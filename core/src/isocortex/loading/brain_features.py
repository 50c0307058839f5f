"""Responses of participants as features of a model, and whether they hold what they are to predict."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from isocortex.data.dataset import Dataset, averaged
from isocortex.errors import DataError, shorten
from isocortex.typing import Array

if TYPE_CHECKING:
    import xarray as xr

#: the layer that holds everything
ALL = "all"
#: an eigenvalue of a matrix of correlations may be so far below 0 by rounding, as a share of the largest
_ROUNDING = 1e-6
#: two columns whose |r| is above it are one recording, whatever its units are
_SAME = 1 - 1e-6
#: products of one block of columns: 32 MB
_BLOCK = 4_000_000


def participants_of(dataset: Dataset) -> tuple[str, ...]:
    """Names of the participants of responses or matrices, in order of appearance; none where data do not say.

    Examples
    --------
    >>> # participants_of(isocortex.load_dataset("NH2015"))
    """
    data = _data(dataset)
    if data is None or "subject" not in data.coords:
        return ()
    return tuple(dict.fromkeys(map(str, np.atleast_1d(data["subject"].values).tolist())))


def regions_of(dataset: Dataset) -> tuple[str, ...]:
    """Names of the regions of neuroids, in order of appearance; "" is none."""
    if dataset.responses is None or "region" not in dataset.responses.coords:
        return ()
    return tuple(filter(None, dict.fromkeys(map(str, dataset.responses["region"].values.tolist()))))


def features_of(dataset: Dataset, participants: Collection[str], region: str | None = None) -> Array:
    """What some participants did with each stimulus, as features of a model.

    Parameters
    ----------
    dataset
        Responses, whose repetitions are averaged, as they are: nothing is standardised. Or matrices of 1 − correlation:
        features whose dissimilarities are their mean.
    participants
        Whose; all where data do not say whose they are.
    region
        Of neuroids; None: all of them.

    Returns
    -------
    (n_stimuli, n_units) float64, stimuli in canonical order.

    Raises
    ------
    DataError
        Trials, or matrices that are no 1 − correlation.
    """
    if dataset.responses is not None:
        kept = _mask(dataset.responses, participants)
        if region is not None:
            kept &= dataset.responses["region"].values.astype(str) == region
        return averaged(dataset.responses.isel(neuroid=np.flatnonzero(kept)))
    if dataset.rdm is None:
        raise DataError(f"{dataset.id} holds {dataset.kind}, which are no features of stimuli.")
    n_stimuli = len(dataset.stimuli)
    square = np.zeros((n_stimuli, n_stimuli))
    square[np.triu_indices(n_stimuli, k=1)] = _matrices(dataset, participants).mean(axis=0)
    return features_of_dissimilarity(square + square.T)


def features_of_dissimilarity(dissimilarity: Array) -> Array:
    """Features (n_stimuli, 2 n_stimuli) whose 1 − Pearson correlations are the dissimilarities.

    With R = 1 − D = F Fᵀ, rows of F have length 1, and those of [F, −F] / √2 the mean 0 besides, so that their
    correlations are R.

    Parameters
    ----------
    dissimilarity
        (n_stimuli, n_stimuli), 1 − correlation.

    Raises
    ------
    DataError
        It is no matrix of 1 − correlations: R has an eigenvalue below 0.

    Examples
    --------
    >>> distances = np.array([[0.0, 0.5, 1.2], [0.5, 0.0, 0.9], [1.2, 0.9, 0.0]])
    >>> bool(np.allclose(1 - np.corrcoef(features_of_dissimilarity(distances)), distances))
    True
    """
    values, vectors = np.linalg.eigh(1.0 - dissimilarity)
    if values[0] < -_ROUNDING * values[-1]:
        raise DataError(f"These dissimilarities are not 1 − correlation: an eigenvalue is {values[0]:.3g}.")
    rows = vectors * np.sqrt(np.maximum(values, 0.0))
    return np.concatenate([rows, -rows], axis=1) / np.sqrt(2)


def refuse_copies(name: str, brain: Dataset, of: Collection[str], target: Dataset, predicted: Collection[str]) -> None:
    """Refuse features that hold what they are to predict, under whatever name.

    Compared are single neuroids over the stimuli of the target, repetitions averaged, or whole matrices: two whose |r|
    is above 1 − 1e-6 are one recording.

    Parameters
    ----------
    name
        Of the model.
    brain, of
        The features' data set, and whose of it are features.
    target, predicted
        What is predicted, and whose of it.

    Raises
    ------
    DataError
        There is such a copy.
    """
    if (brain.responses is None) != (target.responses is None):
        return
    features, names = _columns(brain, of, target.stimuli.ids)
    targets, tested = _columns(target, predicted, target.stimuli.ids)
    width = max(1, _BLOCK // max(1, targets.shape[1]))
    for start in range(0, features.shape[1], width):
        found = np.abs(features[:, start : start + width].T @ targets) > _SAME
        if found.any():
            place, tested_place = (int(item) for item in np.argwhere(found)[0])
            raise DataError(
                f"{name} would predict what it holds: {names[start + place]} is the same as "
                f"{tested[tested_place]} of {target.id!r} ({int(found.sum())} such pairs). A participant that is "
                "predicted must not be among the features, under another name either."
            )


def _columns(dataset: Dataset, participants: Collection[str], stimulus_id: Collection[str]) -> tuple[Array, list[str]]:
    """Columns of mean 0 and length 1 over stimuli or pairs, and what each is; those that do not vary are left out."""
    if dataset.responses is not None:
        responses = dataset.responses.isel(neuroid=np.flatnonzero(_mask(dataset.responses, participants)))
        order = {stimulus: place for place, stimulus in enumerate(dataset.stimuli.ids)}
        values = averaged(responses)[[order[stimulus] for stimulus in stimulus_id]]
        names = [f"neuroid {name!r}" for name in responses["neuroid_id"].values.tolist()]
    else:
        kept = dataset.only(stimulus_id)
        values = _matrices(kept, participants).T
        names = [f"the matrix of {name!r}" for name in participants_of(kept) if name in participants]
    centred = values - values.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    varies = length > 1e-12 * np.abs(values).max(axis=0, initial=0.0)
    kept_names = [one for one, varied in zip(names, varies.tolist(), strict=True) if varied]
    return centred[:, varies] / length[varies], kept_names


def _data(dataset: Dataset) -> xr.DataArray | None:
    return dataset.responses if dataset.responses is not None else dataset.rdm


def _mask(data: xr.DataArray, participants: Collection[str]) -> Array:
    """Which neuroids, or rows of matrices, are of these participants."""
    if "subject" not in data.coords:
        return np.ones(data.sizes["neuroid" if "neuroid" in data.dims else "subject"], dtype=bool)
    return np.isin(data["subject"].values.astype(str), list(participants))


def _matrices(dataset: Dataset, participants: Collection[str]) -> Array:
    """Upper triangles of participants, (n_participants, n_pairs), sessions averaged."""
    assert dataset.rdm is not None
    kept = dataset.rdm.isel(subject=np.flatnonzero(_mask(dataset.rdm, participants)))
    if not kept.sizes["subject"]:
        raise DataError(f"{dataset.id} has no matrices of {shorten(participants)}.")
    means = kept.mean("session") if "session" in kept.dims else kept
    return means.transpose("subject", "pair").values.astype(np.float64)
