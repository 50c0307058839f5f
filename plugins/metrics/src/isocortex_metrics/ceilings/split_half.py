"""Ceilings from repetitions and from other participants: random split halves, and inter-subject correlation.

Both say how well a model could do. Halves bound the correlation with one participant's mean response by its own noise;
other participants bound what is common to people, which a model that is fitted to each participant may exceed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from isocortex.data import averaged, check_responses
from isocortex.errors import DataError, SettingsError, shorten, suggest
from isocortex.interfaces import Ceiling
from isocortex.scoring import by_participant, over_participants, subject_codes
from isocortex.typing import Array
from isocortex_metrics.ceilings.reliability import ceiling_of_r

if TYPE_CHECKING:
    import xarray as xr


#: columns that vary less than this share of their size are constant, up to rounding
_ROUNDING = 64 * float(np.finfo(np.float64).eps)


def spearman_brown(r: Array | float, n: float) -> Array:
    r"""Reliability of the mean of n measurements from that of one: n r / (1 + (n − 1) r).

    Parameters
    ----------
    r
        Any shape: correlation of two single measurements (for halves: of two halves, n = 2).
    n
        How many times more is averaged.

    Returns
    -------
    Same shape, not clipped; NaN where 1 + (n − 1) r is not above 0, because beyond that point the formula turns
    positive again. Spearman 1910, Brown 1910, British Journal of Psychology 3.

    Raises
    ------
    SettingsError
        n is not above 0.

    Examples
    --------
    >>> spearman_brown(np.array([0.5, -0.6]), 3).tolist()
    [0.75, nan]
    """
    if not n > 0:
        raise SettingsError(f"Spearman-Brown needs a positive number of measurements; found n = {n}.")
    r = np.asarray(r, dtype=np.float64)
    divisor = 1 + (n - 1) * r
    return n * r / np.where(divisor > 0, divisor, np.nan)


def column_correlation(first: Array, second: Array) -> Array:
    """Pearson correlation of each column, NaN where one does not vary.

    Parameters
    ----------
    first, second
        (n_stimuli, n_neuroids) float64.

    Examples
    --------
    >>> column_correlation(np.array([[1.0, 1.0], [2.0, 1.0]]), np.array([[4.0, 1.0], [2.0, 2.0]])).round(12).tolist()
    [-1.0, nan]
    """
    return np.clip(np.einsum("ij,ij->j", _units(first), _units(second)), -1.0, 1.0)


def _units(values: Array) -> Array:
    """Columns centred, of length 1; NaN where constant."""
    mean = values.mean(axis=-2, keepdims=True)
    centred = values - mean
    constant = np.abs(centred).max(axis=-2, keepdims=True) <= _ROUNDING * np.abs(mean)
    return centred / np.where(constant, np.nan, np.linalg.norm(centred, axis=-2, keepdims=True))


# --- halves -----------------------------------------------------------------------------------------------------------


def half_correlations(responses: Array, stimuli: Array, n_halvings: int = 100, seed: int = 0) -> Array:
    """Correlation over stimuli between means of two random halves of the repetitions, for each halving.

    Every stimulus is halved by itself: of its k presentations ⌊k/2⌋ go to either half; of an odd number one, drawn
    anew each time, is left out.

    Parameters
    ----------
    responses
        (n_presentations, n_neuroids).
    stimuli
        (n_presentations,): the stimulus of each, as names or numbers; any order, any number of times from two on.
    n_halvings
        How often halves are drawn.
    seed
        Draws them.

    Returns
    -------
    (n_halvings, n_neuroids), NaN where a half does not vary. Memory beyond it: one copy of the responses.

    Raises
    ------
    DataError
        A stimulus shown once, fewer than two stimuli, or responses that do not fit or are not finite.
    SettingsError
        No halvings.

    Examples
    --------
    >>> twice = np.array([[0.0], [1.0], [2.0], [0.0], [1.0], [2.0]])
    >>> half_correlations(twice, np.array(["a", "b", "c", "a", "b", "c"]), n_halvings=2).round(12).tolist()
    [[1.0], [1.0]]
    """
    if n_halvings < 1:
        raise SettingsError(f"n_halvings must be at least 1; found {n_halvings}.")
    values, codes, counts = _checked(responses, stimuli)
    half = counts // 2
    starts, begins = np.cumsum(counts) - counts, np.cumsum(half) - half
    grouped = np.repeat(np.arange(len(counts)), counts)
    stream = np.random.default_rng([seed, *b"halves"])
    found = np.empty((n_halvings, values.shape[1]))
    for number in range(n_halvings):
        order = np.lexsort((stream.random(len(codes)), codes))  # by stimulus, at random within each
        place = np.arange(len(codes)) - starts[grouped]
        sides = (place < half[grouped], (place >= half[grouped]) & (place < 2 * half[grouped]))
        first, second = (np.add.reduceat(values[order[side]], begins, axis=0) / half[:, None] for side in sides)
        found[number] = column_correlation(first, second)
    return found


def _checked(responses: Array, stimuli: Array) -> tuple[Array, Array, Array]:
    """Responses as float64, number of each presentation's stimulus, and how often each stimulus was shown."""
    values = np.asarray(responses, dtype=np.float64)
    names, codes, counts = np.unique(np.asarray(stimuli), return_inverse=True, return_counts=True)
    if values.ndim != 2 or len(values) != len(codes):
        raise DataError(
            f"Split halves need responses (n_presentations, n_neuroids) and a stimulus for each presentation; found "
            f"{values.shape} and {len(codes)}."
        )
    if not np.isfinite(values).all():
        raise DataError("Split halves need responses that are finite; found NaN or infinite values. Leave them out.")
    if len(names) < 2 or counts.min(initial=2) < 2:
        once = shorten(names[counts < 2]) or "none"
        raise DataError(
            f"Split halves need at least 2 stimuli, each shown at least twice; found {len(names)} stimuli, of which "
            f"{int((counts < 2).sum())} were shown once: {once}. Without repetitions there is no such ceiling."
        )
    return values, codes, counts


def split_half_reliability(responses: Array, stimuli: Array, n_halvings: int = 100, seed: int = 0) -> Array:
    r"""Reliability of each neuroid's mean over all repetitions, from random halves.

    c = n r̄ / (1 + (n − 1) r̄), r̄ the mean of ``half_correlations`` and n how much less noise variance the mean over all
    presentations has than that over one half: n = mean(1/⌊k/2⌋) / mean(1/k) over stimuli shown k times; 2 where all k
    are even. The mean is taken before the formula, which is not linear and runs to −∞ for halves that disagree.

    Parameters
    ----------
    responses, stimuli, n_halvings, seed
        As ``half_correlations``.

    Returns
    -------
    (n_neuroids,), not clipped: below 0 where halves disagree, NaN where a half does not vary.

    Raises
    ------
    DataError, SettingsError
        As ``half_correlations``.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(4, 500, 1))
    >>> signal = np.random.default_rng(1).normal(size=(500, 1))
    >>> found = split_half_reliability((signal + noise).reshape(-1, 1), np.tile(np.arange(500), 4))
    >>> bool(abs(found[0] - 4 / 5) < 0.05)  # variance of the signal 1, of the mean of four noises 1/4
    True
    """
    counts = np.unique(np.asarray(stimuli), return_counts=True)[1]
    mean_r = half_correlations(responses, stimuli, n_halvings, seed).mean(axis=0)
    return spearman_brown(mean_r, float(np.mean(1 / (counts // 2)) / np.mean(1 / counts)))


def split_half_ceiling(responses: xr.DataArray, n_halvings: int = 100, seed: int = 0) -> Ceiling:
    """The square root of the split-half reliability: what a perfect model's r with the mean response would be.

    Parameters
    ----------
    responses
        Dims ("presentation", "neuroid"), every stimulus at least twice.
    n_halvings, seed
        As ``half_correlations``.

    Returns
    -------
    A ceiling on r per neuroid, signed as ``reliability.ceiling_of_r``.

    Raises
    ------
    DataError, SettingsError
        As ``half_correlations``, and responses that are not valid.

    Examples
    --------
    >>> from isocortex.data import make_responses
    >>> same = make_responses(np.tile(np.arange(6.0).reshape(3, 2), (2, 1, 1)), ["a", "b", "c"])
    >>> split_half_ceiling(same, n_halvings=5).value.values.round(12).tolist()
    [1.0, 1.0]
    """
    responses = check_responses("the responses", responses)
    c = split_half_reliability(responses.values, responses["stimulus_id"].values.astype(str), n_halvings, seed)
    bound = responses.isel(presentation=0, drop=True).copy(data=ceiling_of_r(c))
    return Ceiling(f"square root of the split-half reliability, {n_halvings} random halvings", "r", bound)


# --- other participants -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class InterSubject:
    """How well participants predict each other; (n_participants, n_neuroids), NaN where somebody's does not vary.

    Attributes
    ----------
    lower
        r of each participant with the mean of the others.
    upper
        r of each participant with the mean of all, the participant included.
    pairwise
        Mean r of each participant with each other one.
    """

    lower: Array
    upper: Array
    pairwise: Array

    def band(self) -> tuple[float, float]:
        """Lower and upper bound, aggregated as values are: median over neuroids, mean over participants."""
        one = np.zeros(self.lower.shape[1], dtype=np.intp)
        lower, upper = (float(over_participants(by_participant(part, one)[:, 0])) for part in (self.lower, self.upper))
        return lower, upper


def inter_subject(values: Array, average: Literal["standardised", "raw"] = "standardised") -> InterSubject:
    """Correlations over stimuli between participants who share neuroids.

    Parameters
    ----------
    values
        (n_participants, n_stimuli, n_neuroids) float64: mean responses.
    average
        "standardised": responses are brought to mean 0 and variance 1 before they are averaged over participants, so
        that the mean over participants of ``upper`` holds for every response pattern. "raw": averaged as they are;
        participants with large responses weigh more, and a model can exceed it.

    Raises
    ------
    DataError
        Fewer than two participants or stimuli, or values that are not finite.

    References
    ----------
    Hasson et al. 2004, Science 303 (inter-subject correlation); Nili et al. 2014, PLOS Computational Biology (bounds).

    Examples
    --------
    >>> people = np.array([[[1.0], [2.0], [3.0]], [[1.0], [3.0], [2.0]]])
    >>> found = inter_subject(people)
    >>> found.lower.round(6).tolist(), found.upper.round(6).tolist()
    ([[0.5], [0.5]], [[0.866025], [0.866025]])
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 3 or values.shape[0] < 2 or values.shape[1] < 2:
        raise DataError(
            f"Inter-subject correlations need (n_participants, n_stimuli, n_neuroids), two or more of the first two; "
            f"found {values.shape}."
        )
    if not np.isfinite(values).all():
        raise DataError("Inter-subject correlations need finite responses; found NaN or infinite values.")
    units = _units(values)
    parts = units if average == "standardised" else values
    total = parts.sum(axis=0)
    lower = np.stack([column_correlation(one, total - own) for one, own in zip(units, parts, strict=True)])
    upper = np.stack([column_correlation(one, total) for one in units])
    pairwise = (np.einsum("sij,ij->sj", units, units.sum(axis=0)) - 1.0) / (len(values) - 1)
    return InterSubject(lower, upper, pairwise)


def shared_neuroids(responses: xr.DataArray, by: str = "region") -> tuple[Array, tuple[str, ...], tuple[str, ...]]:
    """Responses as (n_participants, n_stimuli, n_shared), where a value of a coordinate names the same in everybody.

    Repetitions are averaged, and so are the neuroids of a participant that share the value: with ``by="region"`` these
    are region means, with a coordinate such as a vertex or a component they are the neuroids themselves.

    Parameters
    ----------
    responses
        Dims ("presentation", "neuroid"), with the coordinate ``subject`` on neuroid.
    by
        Coordinate on neuroid that participants share; values that somebody lacks are left out.

    Returns
    -------
    Values, names of the participants, and the shared values of the coordinate.

    Raises
    ------
    DataError
        No such coordinates, one participant, or nothing that all share.

    Examples
    --------
    >>> from isocortex.data import make_responses
    >>> about = {"subject": ["x", "x", "y"], "region": ["A1", "A1", "A1"]}
    >>> responses = make_responses(np.array([[1.0, 3.0, 5.0], [0.0, 0.0, 1.0]]), ["a", "b"], neuroid=about)
    >>> shared_neuroids(responses)[0].tolist()
    [[[2.0], [0.0]], [[5.0], [1.0]]]
    """
    responses = check_responses("the responses", responses)
    known = [str(name) for name in responses.coords if responses[name].dims == ("neuroid",)]
    for name in ("subject", by):
        if name not in known:
            raise DataError(f"Neuroids have no coordinate {name!r}.{suggest(name, known)} They have {shorten(known)}.")
    people = tuple(dict.fromkeys(map(str, responses["subject"].values)))
    if len(people) < 2:
        raise DataError(f"Inter-subject correlations need at least two participants; found {shorten(people)}.")
    labels = responses[by].values.astype(str)
    codes = subject_codes(responses["subject"].values, len(labels))
    of_people = [set(labels[codes == code]) for code in range(len(people))]
    shared = tuple(name for name in dict.fromkeys(map(str, labels)) if all(name in own for own in of_people))
    if not shared:
        raise DataError(f"There is no {by!r} that all of {shorten(people)} have: {shorten(dict.fromkeys(labels))}.")
    means = averaged(responses)
    values = np.stack(
        [
            np.stack([means[:, (codes == code) & (labels == name)].mean(axis=1) for name in shared], axis=1)
            for code in range(len(people))
        ]
    )
    return values, people, shared


def inter_subject_ceiling(
    responses: xr.DataArray, by: str = "region", average: Literal["standardised", "raw"] = "standardised"
) -> Ceiling:
    """The band of r between a participant's responses and those of others.

    Parameters
    ----------
    responses, by
        As ``shared_neuroids``.
    average
        As ``inter_subject``.

    Returns
    -------
    A band on r: drawn, never a divisor.

    Raises
    ------
    DataError
        As ``shared_neuroids`` and ``inter_subject``.

    Examples
    --------
    >>> from isocortex.data import make_responses
    >>> about = {"subject": ["x", "y"], "region": ["A1", "A1"]}
    >>> responses = make_responses(np.array([[1.0, 1.0], [2.0, 3.0], [3.0, 2.0]]), ["a", "b", "c"], neuroid=about)
    >>> band = inter_subject_ceiling(responses)
    >>> round(band.lower, 6), round(band.upper, 6)
    (0.5, 0.866025)
    """
    values, _, _ = shared_neuroids(responses, by)
    lower, upper = inter_subject(values, average).band()
    if not np.isfinite((lower, upper)).all():
        raise DataError(f"No {by!r} has responses that vary over the stimuli in all participants.")
    return Ceiling(f"inter-subject correlation by {by}, {average} averages", "r", None, lower, upper)
