"""The estimators of a ceiling that a benchmark's row may name: by repetitions, by split halves, by participants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from isocortex.data import repetitions
from isocortex.errors import DataError
from isocortex.interfaces import Ceiling
from isocortex.scoring import of_neuroids
from isocortex.typing import Array
from isocortex_metrics.ceilings.inter_subject import inter_subject, shared_neuroids
from isocortex_metrics.ceilings.reliability import reliability, reliability_of_trials
from isocortex_metrics.ceilings.split_half import split_half_reliability

if TYPE_CHECKING:
    import xarray as xr

#: times that repetitions are halved
N_HALVINGS = 100


class Estimate(NamedTuple):
    """How well the best model could do.

    Attributes
    ----------
    name
        Of what was estimated.
    reliability
        (n_neuroids,) of each neuroid's mean response, not clipped; None where only a band is known.
    band
        Lower and upper bound of r, drawn and never a divisor; None where there are reliabilities.
    """

    name: str
    reliability: Array | None = None
    band: tuple[float, float] | None = None


def from_repetitions(responses: xr.DataArray) -> Estimate | None:
    """The reliability of each neuroid's mean over its own trials; None where no stimulus was shown twice.

    Where all stimuli have equally many trials, it is that over all pairs of repetitions, by Spearman and Brown; else
    ``reliability_of_trials``, over the trials that are there.

    Parameters
    ----------
    responses
        Dims ("presentation", "neuroid"), checked.

    Examples
    --------
    >>> from isocortex.data import make_responses
    >>> from_repetitions(make_responses(np.ones((3, 2)), ["a", "b", "c"])) is None
    True
    """
    trials = repetitions(responses)
    if np.isnan(trials).any():
        c = reliability_of_trials(trials)
        counts = (~np.isnan(trials)).sum(axis=0)
        name = f"reliability of means over {counts.min()} to {counts.max()} trials, by variances"
        return Estimate(name, c) if np.isfinite(c).any() else None
    n_repetitions, n_stimuli = trials.shape[:2]
    if n_repetitions == 1:
        return None
    c = reliability(trials, n_averaged=1 / float(np.mean(1 / np.full(n_stimuli, n_repetitions))))
    return Estimate("Spearman-Brown reliability over repetitions", c)


def from_halves(responses: xr.DataArray) -> Estimate:
    """The reliability over random halves of each neuroid's own trials, which may be unequally many.

    Parameters
    ----------
    responses
        Dims ("presentation", "neuroid"), checked; every neuroid has at least two trials of every stimulus.

    Raises
    ------
    DataError
        A neuroid with a single trial of a stimulus.

    Examples
    --------
    >>> from isocortex.data import make_responses
    >>> same = make_responses(np.tile(np.arange(6.0).reshape(3, 2), (2, 1, 1)), ["a", "b", "c"])
    >>> from_halves(same).reliability.round(12).tolist()
    [1.0, 1.0]
    """
    c = split_half_reliability(responses.values, responses["stimulus_id"].values.astype(str), N_HALVINGS)
    return Estimate(f"split-half reliability, {N_HALVINGS} random halvings", c)


def from_participants(responses: xr.DataArray) -> Estimate:
    """The band of r between a participant's region means and those of others.

    Parameters
    ----------
    responses
        Dims ("presentation", "neuroid"), checked, with the coordinates ``subject`` and ``region`` on neuroid.

    Raises
    ------
    DataError
        No such coordinates, one participant, or no region that all share and that varies in all of them.

    Examples
    --------
    >>> from isocortex.data import make_responses
    >>> about = {"subject": ["x", "y"], "region": ["A1", "A1"]}
    >>> responses = make_responses(np.array([[1.0, 1.0], [2.0, 3.0], [3.0, 2.0]]), ["a", "b", "c"], neuroid=about)
    >>> np.round(from_participants(responses).band, 6).tolist()
    [0.5, 0.866025]
    """
    values, _, _ = shared_neuroids(responses, "region")
    return Estimate("inter-subject correlation by region, standardised averages", band=inter_subject(values).band())


@dataclass(frozen=True)
class SharedBand(Ceiling):
    """A band over participants, which is that of the neuroids that are asked for.

    Attributes
    ----------
    responses
        Of all neuroids.
    """

    responses: xr.DataArray | None = None

    def among(self, neuroid_ids: Sequence[str] | Array) -> Ceiling:
        """The band of some neuroids; none where one participant has them, or they do not vary in all of them."""
        assert self.responses is not None
        if len(neuroid_ids) == self.responses.sizes["neuroid"]:
            return self
        responses = of_neuroids(self.responses, neuroid_ids)
        try:
            lower, upper = inter_subject(shared_neuroids(responses, "region")[0]).band()
        except DataError:
            return Ceiling("none", self.statistic)
        return replace(self, lower=lower, upper=upper, responses=responses)


#: the key ``ceiling`` of a row → its estimator; None: the responses allow none, and nothing is made up in its place
ESTIMATORS: Mapping[str, Callable[[xr.DataArray], Estimate | None]] = {
    "repetitions": from_repetitions,
    "split-half": from_halves,
    "inter-subject": from_participants,
}
