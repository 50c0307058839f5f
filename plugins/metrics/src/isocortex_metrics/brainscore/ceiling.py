"""Brain-Score's neural ceiling: internal consistency of halves of the repetitions, Spearman-Brown corrected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.errors import DataError
from isocortex.interfaces import Ceiling
from isocortex.scoring import of_neuroids
from isocortex.typing import Array
from isocortex_metrics.brainscore.splits import N_SPLITS, SEED

if TYPE_CHECKING:
    import xarray as xr


ESTIMATOR = "internal consistency (10 split halves of the repetitions, Spearman-Brown)"
#: values of one block of neuroids over all presentations: 64 MB in float64
_BLOCK_VALUES = 8_000_000


@dataclass(frozen=True)
class InternalConsistency(Ceiling):
    """A ceiling whose value is the mean over splits of the median over neuroids.

    Attributes
    ----------
    raw
        Dims ("split", "neuroid"), with the coordinates of the neuroids; NaN where a half does not vary.
    error
        Standard deviation of the medians over the splits, by n, over the root of their number.
    """

    raw: xr.DataArray | None = None
    error: float | None = None

    def among(self, neuroid_ids: Sequence[str] | Array) -> Ceiling:
        """The ceiling whose value is the consistency of each split and neuroid, for some of the neuroids."""
        return Ceiling(self.estimator, self.statistic, None if self.raw is None else of_neuroids(self.raw, neuroid_ids))


def aggregate_splits(raw: Array) -> tuple[float, float]:
    """Brain-Score's value and error of scores (n_splits, n_neuroids) or (n_splits,).

    The median over neuroids of each split, NaN left out; its mean over splits; its standard deviation over splits (by
    n) over the root of their number.

    Examples
    --------
    >>> aggregate_splits(np.array([[0.1, 0.2, 0.9], [0.4, 0.4, np.nan]]))
    (0.30000000000000004, 0.07071067811865475)
    """
    medians = np.array([_nanmedian(row) for row in raw]) if raw.ndim == 2 else raw
    valid = medians[~np.isnan(medians)]
    if len(valid) == 0:
        return float("nan"), float("nan")
    return float(valid.mean()), float(valid.std() / np.sqrt(len(medians)))


def _nanmedian(values: Array) -> float:
    valid = values[~np.isnan(values)]
    return float(np.median(valid)) if len(valid) else float("nan")


def internal_consistency(responses: xr.DataArray) -> InternalConsistency | None:
    """The ceiling of responses with repetitions, as Brain-Score's ``internal_consistency`` gives it.

    Parameters
    ----------
    responses
        Dims ("presentation", "neuroid"), checked, with the coordinate ``repetition`` on presentation.

    Returns
    -------
    None where there are no repetitions, or where some stimulus is absent from a half of them for some neuroid.

    Examples
    --------
    >>> from isocortex.data import make_responses
    >>> noise = np.random.default_rng(0).standard_normal((2, 50, 3))
    >>> ceiling = internal_consistency(make_responses(np.arange(50.0)[:, None] + noise, list(map(str, range(50)))))
    >>> ceiling.value > 0.99, ceiling.raw.shape
    (True, (10, 3))
    """
    import xarray as xr

    if "repetition" not in responses.coords or responses["repetition"].dims != ("presentation",):
        return None
    repetition = responses["repetition"].values
    stimulus = np.unique(responses["stimulus_id"].values.astype(str), return_inverse=True)[1]
    try:
        raw = split_half_consistency(responses.values, stimulus, repetition)
    except DataError:
        return None
    value, error = aggregate_splits(raw)
    neuroid = responses.isel(presentation=0, drop=True)
    named = xr.DataArray(raw, dims=("split", "neuroid"), coords=neuroid.coords)
    return InternalConsistency(ESTIMATOR, "r", value, raw=named, error=error)


def split_half_consistency(
    values: Array, stimulus: Array, repetition: Array, *, n_splits: int = N_SPLITS, seed: int = SEED
) -> Array:
    r"""Consistency 2r / (1 + r) of the mean responses to two halves of the repetitions, r their Pearson correlation.

    The sorted values of ``repetition`` are halved by scikit-learn's ``ShuffleSplit(train_size=0.5, random_state=1)``:
    of an odd number the smaller half has one fewer, and the two are treated alike.

    Parameters
    ----------
    values
        (n_presentations, n_neuroids), NaN where a trial is not there.
    stimulus
        (n_presentations,) number of the stimulus, from 0.
    repetition
        (n_presentations,) its repetition; sorted by its own type, numbers by value and strings by code point.

    Returns
    -------
    (n_splits, n_neuroids), not clipped; NaN where a half does not vary. Spearman 1910; Brown 1910.

    Raises
    ------
    DataError
        Fewer than two repetitions, or a stimulus that is absent from a half of them.

    Examples
    --------
    >>> twice = np.array([[0.0], [1.0], [2.0], [0.0], [2.0], [1.0]])
    >>> found = split_half_consistency(twice, np.array([0, 1, 2] * 2), np.array([0, 0, 0, 1, 1, 1]), n_splits=1)
    >>> found.round(6).tolist()  # r = 1/2
    [[0.666667]]
    """
    names, code = np.unique(repetition, return_inverse=True)
    if len(names) < 2:
        raise DataError(f"Internal consistency needs at least 2 repetitions; found {len(names)}.")
    halves = [tuple(map(np.asarray, half)) for half in _halves(len(names), n_splits, seed)]
    means = [tuple(_averaging(stimulus, np.isin(code, part)) for part in half) for half in halves]
    found = np.empty((n_splits, values.shape[1]))
    width = max(1, _BLOCK_VALUES // len(values))
    for start in range(0, values.shape[1], width):
        block = values[:, start : start + width].astype(np.float64)
        gone = np.isnan(block)
        block -= np.nanmean(block, axis=0) if gone.any() else block.mean(axis=0)  # keeps the digits of what varies
        for row, (first, second) in enumerate(means):
            r = _correlation(_over_trials(first, block, gone), _over_trials(second, block, gone))
            found[row, start : start + width] = 2 * r / np.where(r > -1, 1 + r, np.nan)
    return found


def _halves(n: int, n_splits: int, seed: int) -> Iterator[tuple[Array, Array]]:
    from sklearn.model_selection import ShuffleSplit

    yield from ShuffleSplit(n_splits, train_size=0.5, random_state=seed).split(np.empty(n))


def _averaging(stimulus: Array, inside: Array) -> Any:
    """Sparse (n_stimuli, n_presentations): the mean over the presentations of each stimulus that are inside."""
    from scipy.sparse import csr_array

    counts = np.bincount(stimulus[inside], minlength=int(stimulus.max()) + 1)
    if (counts == 0).any():
        raise DataError(f"{int((counts == 0).sum())} stimuli are absent from a half of the repetitions.")
    columns = np.flatnonzero(inside)
    rows = stimulus[columns]
    return csr_array((1 / counts[rows], (rows, columns)), shape=(len(counts), len(stimulus)))


def _over_trials(averaging: Any, block: Array, gone: Array) -> Array:
    """Means (n_stimuli, n_columns) over the trials that are there, as xarray skips those that are not."""
    if not gone.any():
        return averaging @ block
    weight = averaging @ (~gone).astype(np.float64)
    if (weight == 0).any():
        raise DataError(
            f"{int((weight == 0).any(axis=1).sum())} stimuli are absent from a half of some neuroids' trials."
        )
    return (averaging @ np.where(gone, 0.0, block)) / weight


def _correlation(first: Array, second: Array) -> Array:
    """Pearson r of each column; NaN where one does not vary."""
    from isocortex_metrics.numerics.correlation import pearson

    r, null = pearson(first, second)
    return np.where(null, np.nan, r)
