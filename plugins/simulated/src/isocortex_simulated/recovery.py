r"""Recovery: does scoring name the stage that a region was made of, and no other where that stage is not offered?

A model is named for a region where all three hold:

- **it wins**: the lower 95 % bound of its difference from every other candidate, over the same bootstrap draws, is
  above zero;
- **it suffices**: the upper end of its interval reaches √0.9 of the ceiling on r, so that it is compatible with
  explaining 90 % of the explainable variance, (r / ceiling)²;
- **it explains at all**: its interval lies above zero.

Otherwise no model is named. A best model that does not suffice is a neighbour of the truth, however clearly it wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isocortex.errors import StoreError
from isocortex.scoring import paired_difference
from isocortex_simulated.draws import Floats

if TYPE_CHECKING:
    from pathlib import Path

    from isocortex.results import Result
    from isocortex.scoring import Summary

EXPLAINED = 0.9
"""Share of the explainable variance that a model must be compatible with.

The true stage itself loses some of it, because its weights are estimated: with K components, n training stimuli and
noise of variance 1/(snr M) in the mean of M repetitions, even least squares on the true components loses a share of
K/(n snr M), 1 % here, and a regression that must find them among thousands of units several times that. A tenth leaves
room for this and for little else.
"""


@dataclass(frozen=True)
class Candidate:
    """What a model reaches in a region.

    Attributes
    ----------
    model, layer
        The model, and the layer that is read out.
    value, low, high
        r and its 95 % interval.
    ceiling
        Bound on r; None where responses are not reliable.
    draws
        (n_draws,) bootstrap draws of the value, the same stimuli and participants for every model.
    """

    model: str
    layer: str
    value: float
    low: float
    high: float
    ceiling: float | None
    draws: Floats

    @classmethod
    def of(cls, model: str, summary: Summary, draws: Floats) -> Candidate:
        """Take what a summary holds."""
        numbers = (summary.value, summary.interval_low, summary.interval_high)
        value, low, high = (float("nan") if number is None else number for number in numbers)
        return cls(model, summary.best_layer, value, low, high, summary.ceiling, draws)


@dataclass(frozen=True)
class Verdict:
    """Which model and layer are named for a region, if any, and why.

    Attributes
    ----------
    model, layer
        What is named; None where nothing is.
    best
        The candidate of the highest value, named or not.
    reason
        One clause for the reader.
    """

    model: str | None
    layer: str | None
    best: Candidate
    reason: str


def recover(candidates: Sequence[Candidate], explained: float = EXPLAINED) -> Verdict:
    """Name the model and layer of a region, or none.

    Parameters
    ----------
    candidates
        At least one; their draws are paired.
    explained
        Share of the explainable variance that the named model must be compatible with.

    Returns
    -------
    Verdict

    Examples
    --------
    >>> draws = np.linspace(-0.02, 0.02, 101)
    >>> near = Candidate("near", "layer", 0.6, 0.58, 0.62, 0.9, 0.6 + draws)
    >>> true = Candidate("true", "layer", 0.88, 0.86, 0.90, 0.9, 0.88 + draws)
    >>> recover([near, true]).model, recover([near]).reason
    ('true', 'it explains at most 47 % of what can be explained')
    """
    ranked = sorted(candidates, key=lambda candidate: -np.nan_to_num(candidate.value, nan=-np.inf))
    best, others = ranked[0], ranked[1:]
    reason = _nothing_there(best) or _not_enough(best, explained) or _not_alone(best, others)
    if reason is not None:
        return Verdict(None, None, best, reason)
    return Verdict(best.model, best.layer, best, _why(best, others))


def _interval(candidate: Candidate) -> str:
    return f"{candidate.low:.3f} … {candidate.high:.3f}"


def _nothing_there(best: Candidate) -> str | None:
    """Say that the interval of the best model does not lie above zero."""
    return None if best.low > 0 else f"its interval {_interval(best)} does not lie above 0"


def _not_enough(best: Candidate, explained: float) -> str | None:
    """Say that the best model does not reach the ceiling, or that there is none."""
    if best.ceiling is None or best.ceiling <= 0:
        return "there is no ceiling to reach"
    reached = (best.high / best.ceiling) ** 2
    return None if reached >= explained else f"it explains at most {100 * reached:.0f} % of what can be explained"


def _not_alone(best: Candidate, others: Sequence[Candidate]) -> str | None:
    """Say which other candidates the best one does not surely beat."""
    equals = [other.model for other in others if not paired_difference(best.draws, other.draws)[1] > 0]
    return f"it is not surely better than {', '.join(equals)}" if equals else None


def _why(best: Candidate, others: Sequence[Candidate]) -> str:
    """Say what speaks for the model that is named."""
    reached = f"r {best.value:.3f} ({_interval(best)}) of {best.ceiling:.3f}"
    if not others:
        return reached
    _, low, high = paired_difference(best.draws, others[0].draws)
    return f"{reached}, ahead of {others[0].model} by {low:.3f} … {high:.3f}"


def candidates_of(results: Sequence[Result], region: str, out: Path) -> list[Candidate]:
    """Take the candidates of a region from finished results and their stored draws.

    Parameters
    ----------
    results
        One per model, on one benchmark.
    region
        A row of the results.
    out
        The results folder, which holds the draws.

    Returns
    -------
    list of Candidate

    Raises
    ------
    StoreError
        If the draws of a result cannot be read.
    """
    return [Candidate.of(result.model, result.regions[region], stored_draws(result, region, out)) for result in results]


def stored_draws(result: Result, region: str, out: Path) -> Floats:
    """Read the bootstrap draws (n_draws,) of one row of a result.

    Raises
    ------
    StoreError
        If the file is absent or damaged.
    """
    from isocortex.results import cell_folder, open_scores, record_path

    cell = cell_folder(out, result.benchmark, result.model, result.variant)
    path = record_path(cell, result.digest).with_name("scores.nc")
    try:
        return open_scores(path, result)["draws"].sel(row=region).values.astype(np.float64)
    except (KeyError, ValueError) as error:
        raise StoreError(f"{path} does not hold the draws of {region!r} ({error}). Delete it and run again.") from error
