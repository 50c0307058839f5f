"""How well participants predict each other: a band for what the best model could do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from isocortex.data import averaged, check_responses
from isocortex.errors import DataError, shorten, suggest
from isocortex.interfaces import Ceiling
from isocortex.scoring import by_participant, over_participants, subject_codes
from isocortex.typing import Array
from isocortex_metrics.ceilings.split_half import column_correlation, unit_columns

if TYPE_CHECKING:
    import xarray as xr


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
    units = unit_columns(values)
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
