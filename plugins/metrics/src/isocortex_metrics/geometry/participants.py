"""Responses apart by participant, for metrics that compare whole patterns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isocortex.data import averaged, stimulus_order
from isocortex.scoring import draw_counts, subject_codes
from isocortex.typing import Array
from isocortex_metrics.geometry.pair_statistics import crossed_draws

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Participants:
    """Mean responses of each participant.

    Attributes
    ----------
    names
        Of the participants, in order of appearance; "pooled" where the responses do not say.
    values
        One array (n_stimuli, n_neuroids of that participant) float64 each.
    stimulus_id
        The stimuli in order.
    target
        "participant", or "pooled".
    """

    names: tuple[str, ...]
    values: tuple[Array, ...]
    stimulus_id: tuple[str, ...]
    target: str


def participants_of(responses: xr.DataArray) -> Participants:
    """Average repetitions and take the neuroids apart by the coordinate ``subject``; without it they are pooled.

    Parameters
    ----------
    responses
        Dims ("presentation", "neuroid"), checked.

    Examples
    --------
    >>> from isocortex.data import make_responses
    >>> people = participants_of(make_responses(np.ones((2, 3)), ["x", "y"], neuroid={"subject": ["b", "a", "b"]}))
    >>> people.names, [part.shape for part in people.values]
    (('b', 'a'), [(2, 2), (2, 1)])
    """
    known = "subject" in responses.coords
    values = averaged(responses)
    names = tuple(dict.fromkeys(map(str, responses["subject"].values))) if known else ("pooled",)
    codes = subject_codes(responses["subject"].values if known else None, values.shape[1])
    parts = tuple(values[:, codes == code] for code in range(len(names)))
    return Participants(names, parts, stimulus_order(responses), "participant" if known else "pooled")


def draws_over_participants(drawn: Array, values: Array, seed: int) -> tuple[Array, str] | None:
    """Draws of the mean over participants, who are drawn too where there are several, and what was resampled.

    Parameters
    ----------
    drawn
        (n_draws, n_participants): the statistic of each participant in samples of stimuli; NaN is left out.
    values
        (n_participants,): the statistic in the whole sample; a participant without one (NaN) is left out.
    seed
        Draws the participants.

    Returns
    -------
    (n_draws,) and "stimuli" or "stimuli × participants"; None where no participant has a value.

    Examples
    --------
    >>> draws_over_participants(np.array([[0.1, np.nan], [0.3, np.nan]]), np.array([0.2, np.nan]), seed=0)
    (array([0.1, 0.3]), 'stimuli')
    """
    known = np.isfinite(values) & np.isfinite(drawn).any(axis=0)
    drawn, values = drawn[:, known], values[known]
    if not len(values):
        return None
    if len(values) == 1:
        return drawn[:, 0], "stimuli"
    weights = draw_counts(len(values), len(drawn), seed, "participants")
    return crossed_draws(drawn, values, weights), "stimuli × participants"
