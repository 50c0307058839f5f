"""Responses apart by participant, for metrics that compare whole patterns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isocortex.data import averaged, stimulus_order
from isocortex.scoring import DRAWS, draw_counts, over_participants, subject_codes, widened
from isocortex.typing import Array

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
    known = np.isfinite(values) & np.isfinite(drawn[:DRAWS]).any(axis=0)
    drawn, values = drawn[:, known], values[known]
    if not len(values):
        return None
    if len(values) == 1:
        return drawn[:, 0], "stimuli"
    weights = draw_counts(len(values), len(drawn), seed, "participants")
    return crossed_draws(drawn, values, weights), "stimuli × participants"


def crossed_draws(drawn: Array, values: Array, weights: Array) -> Array:
    r"""Bootstrap of the mean over participants, over stimuli and participants at once, with the right spread.

    What varies with stimuli and participants together is counted three times where both are drawn, once or more where
    either is. The draws are therefore brought to the variance 2 (V_stimuli + V_participants) − V_both around the value,
    on Fisher's z scale. Schütt et al. 2023, eLife, "corrected 2-factor bootstrap". Variances are those of the first
    1,000 draws.

    Parameters
    ----------
    drawn
        (n_draws, n_participants), the statistic of each participant in samples of stimuli; NaN is left out.
    values
        (n_participants,), the statistic in the whole sample.
    weights
        (n_draws, n_participants), how often each participant is drawn.

    Returns
    -------
    (n_draws,).

    Examples
    --------
    >>> drawn = np.array([[0.1, 0.5], [0.3, 0.7], [0.2, 0.6]])
    >>> crossed_draws(drawn, np.array([0.2, 0.6]), np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 2.0]])).round(3).tolist()
    [0.076, 0.482, 0.584]
    """
    both, value = over_participants(drawn, weights), over_participants(values)
    of_stimuli, of_both = float(np.nanvar(over_participants(drawn[:DRAWS]))), float(np.nanvar(both[:DRAWS]))
    of_participants = float(np.var(values, ddof=1)) / len(values)
    # where nothing but pairs matters the bootstrap over stimuli has three times their variance
    corrected = max(2 * (of_stimuli + of_participants) - of_both, of_participants, of_stimuli / 3)
    factor = np.sqrt(min(corrected, of_both) / of_both) if of_both > 0 else 1.0
    return widened(both, value, float(factor))
