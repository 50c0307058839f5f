"""Responses apart by participant, for metrics that compare whole patterns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isocortex.data import averaged, stimulus_order
from isocortex.interfaces import Comparison, Resampled
from isocortex.scoring import subject_codes
from isocortex.typing import Array
from isocortex_metrics.numerics.draws import draws_over_participants

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
    >>> import numpy as np
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


class OfParticipants(Comparison):
    """A comparison of whole patterns, whose value is the mean over participants."""

    def joined_draws(self, draws: Array, values: Array, seed: int) -> Resampled | None:
        """As any metric, with what varies with stimuli and participants counted once (``draws_over_participants``)."""
        return draws_over_participants(draws, values, self.n_stimuli, seed)
