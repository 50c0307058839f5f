"""How well participants predict each other: a band for what the best model could do.

Other participants bound what is common to people, which a model that is fitted to each participant may exceed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isocortex.data import averaged, check_responses
from isocortex.errors import DataError, shorten, suggest
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
        """Lower and upper bound, aggregated as values are: median over neuroids, mean over participants.

        Raises
        ------
        DataError
            No neuroid varies over the stimuli in all participants.
        """
        one = np.zeros(self.lower.shape[1], dtype=np.intp)
        lower, upper = (float(over_participants(by_participant(part, one)[:, 0])) for part in (self.lower, self.upper))
        if not np.isfinite((lower, upper)).all():
            raise DataError("Participants share nothing that varies over the stimuli in all of them.")
        return lower, upper


def inter_subject(values: Array) -> InterSubject:
    """Correlations over stimuli between participants who share neuroids.

    Responses are brought to mean 0 and variance 1 before they are averaged over participants, so that the mean over
    participants of ``upper`` holds for every response pattern.

    Parameters
    ----------
    values
        (n_participants, n_stimuli, n_neuroids) float64: mean responses.

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
    total = units.sum(axis=0)
    lower = np.stack([column_correlation(one, total - one) for one in units])
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
        Coordinate on neuroid that participants share; values that somebody lacks are left out, and so is "", which
        names nothing.

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
    shared = tuple(name for name in dict.fromkeys(map(str, labels)) if name and all(name in own for own in of_people))
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
