"""Bootstrap draws with the right spread: over stimuli, over pairs of stimuli, and over participants at once."""

from __future__ import annotations

import numpy as np

from isocortex.interfaces import Resampled
from isocortex.scoring import DRAWS, draw_counts, over_participants, widened
from isocortex.typing import Array

#: of the normal distribution, whose share a percentile interval takes for granted
_NORMAL = 1.959963984540054


def moved(r: Array, influence: Array, counts: Array) -> Array:
    r"""Correlations in bootstrap samples, to first order: tanh(atanh r + Σ_i (w_i − 1) influence_i / (1 − r²)).

    Parameters
    ----------
    r
        (n_columns,).
    influence
        (n_stimuli, n_columns): change of r with the weight of a stimulus.
    counts
        w (n_draws, n_stimuli): how often each stimulus is in each sample.

    Returns
    -------
    (n_draws, n_columns).

    Examples
    --------
    >>> moved(np.array([0.0]), np.array([[0.1], [-0.1]]), np.array([[1.0, 1.0], [2.0, 0.0]])).round(3).tolist()
    [[0.0], [0.197]]
    """
    bounded = np.clip(r, -1 + 1e-12, 1 - 1e-12)
    drawn = (counts - 1.0) @ (influence / (1 - bounded**2))
    drawn += np.arctanh(bounded)
    return np.tanh(drawn, out=drawn)


def first_order_share(draws: Array, value: Array) -> Array:
    r"""Factor for the spread of draws that count what pairs of stimuli do together twice, √((3 + s) / 4).

    Influence is exact for what stimuli do one by one. What a training and a test stimulus do only together (in noise
    there is nothing else) is in the influence of both, so that its variance is doubled (Efron & Stein 1981, *Annals of
    Statistics* 9). s = value² / (value² + variance) says how far a value is from noise: half of the doubling is taken
    off where nothing else is seen, and nothing where a value is clear.

    Parameters
    ----------
    draws
        (n_draws, n_participants).
    value
        (n_participants,).

    Examples
    --------
    >>> draws = np.array([[0.1, 1.1], [-0.1, 0.9]])
    >>> first_order_share(draws, np.array([0.0, 1.0])).round(3).tolist()
    [0.866, 0.999]
    """
    variance = _variance(draws[:DRAWS])
    return np.sqrt((3 + _certain(value, variance)) / 4)


def _certain(value: Array, variance: Array) -> Array:
    """How far a value is from noise: value² / (value² + variance), between 0 and 1."""
    whole = variance + value**2
    return value**2 / np.where(whole > 0, whole, 1.0)


def of_pairs(
    draws: Array, value: Array, left_out: Array, anew: Array | None = None, *, choice_stays: bool = False
) -> Array:
    r"""Draws of a statistic of pairs of stimuli, brought to the variance 2 V_left-out − V_draws around the value.

    With V_1 what stimuli do one by one and V_2 what pairs do beside, the bootstrap has V_1 + 3 V_2, since a pair is
    drawn by way of either stimulus and of both; leaving out one stimulus after the other (the jackknife) has V_1 + 2
    V_2. The difference is V_2. Not less than a third of the bootstrap's, where there is nothing but pairs.

    Parameters
    ----------
    draws
        (n_draws, n_participants), in samples of stimuli; NaN is left out.
    value
        (n_participants,).
    left_out
        (n_stimuli, n_participants), the statistic without each of the stimuli.
    anew
        Like ``draws``, with a layer that is chosen anew in each of them; what they vary more is added, as far as the
        value is not noise, of which layers are no better than each other: s of ``first_order_share``.
    choice_stays
        A layer was chosen, and the choice cannot be drawn: the variance is V_left-out, which is larger.

    Returns
    -------
    (n_draws, n_participants).

    Examples
    --------
    >>> draws, left_out = np.array([[0.3], [-0.3]]), np.array([[0.06], [0.0], [-0.06]])
    >>> of_pairs(draws, np.array([0.0]), left_out).round(3).tolist()  # a third of the variance
    [[0.177], [-0.177]]
    """
    n_stimuli, drawn = len(left_out), draws if anew is None else anew
    of_draws, of_drawn = _variance(draws[:DRAWS]), _variance(drawn[:DRAWS])
    jackknife = (n_stimuli - 1) * _variance(left_out)
    once = jackknife if choice_stays else 2 * jackknife - of_draws
    wanted = np.clip(once, of_draws / 3, of_draws)
    wanted = wanted + _certain(value, wanted) * np.maximum(of_drawn - of_draws, 0.0)
    return widened(drawn, value, np.sqrt(wanted / np.where(of_drawn > 0, of_drawn, 1.0)))


def _variance(values: Array) -> Array:
    """Along the first axis, of what is not NaN; 0 where nothing is."""
    known = np.isfinite(values)
    n = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, values, 0.0).sum(axis=0) / n
    return np.where(known, (values - mean) ** 2, 0.0).sum(axis=0) / n


def leaving_one_out(n_stimuli: int) -> Array:
    """Weights (n_stimuli, n_stimuli) of samples that lack one stimulus each.

    Examples
    --------
    >>> leaving_one_out(2).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    return 1.0 - np.eye(n_stimuli)


def draws_over_participants(
    draws: Array, values: Array, n_stimuli: int, seed: int, *, bounded: bool = True
) -> Resampled | None:
    """Draws of the mean over participants, who are drawn too where there are several, and what was resampled.

    Parameters
    ----------
    draws
        (n_draws, n_participants): the statistic of each participant in samples of stimuli; NaN is left out.
    values
        (n_participants,): the statistic in the whole sample; a participant without one (NaN) is left out.
    n_stimuli
        In the whole sample.
    seed
        Draws the participants.
    bounded
        Whether the statistic lies within (−1, 1), so that draws are spread on Fisher's z scale.

    Returns
    -------
    None where no participant has a value.

    Examples
    --------
    >>> draws_over_participants(np.array([[0.1, np.nan], [0.3, np.nan]]), np.array([0.2, np.nan]), 9, seed=0)
    Resampled(draws=array([0.1, 0.3]), resampled='stimuli', reaching=None, error_kind=None)
    """
    known = np.isfinite(values) & np.isfinite(draws[:DRAWS]).any(axis=0)
    draws, values = draws[:, known], values[known]
    if not len(values):
        return None
    if len(values) == 1:
        return Resampled(draws[:, 0], "stimuli")
    weights = draw_counts(len(values), len(draws), seed, "participants")
    return crossed_draws(draws, values, weights, n_stimuli, bounded=bounded)


def crossed_draws(draws: Array, values: Array, weights: Array, n_stimuli: int, *, bounded: bool = True) -> Resampled:
    r"""Bootstrap of the mean over participants, over stimuli and participants at once, with the right spread.

    The variance is V_stimuli + V_participants − V_both. V_stimuli is that of the draws' mean over P participants,
    V_participants that of the values over P, and either has what varies with stimuli and participants together, V_both
    = (mean of the participants' variances − V_stimuli) / (P − 1). Compare Schütt et al. 2023, *eLife*, "corrected
    2-factor bootstrap". The interval reaches as far as Student's t with the degrees of freedom of Satterthwaite (1946,
    *Biometrics Bulletin* 2): P − 1 where participants are all of the variance.

    Parameters
    ----------
    draws
        (n_draws, n_participants), the statistic of each participant in samples of stimuli; NaN is left out.
    values
        (n_participants,), the statistic in the whole sample.
    weights
        (n_draws, n_participants), how often each participant is drawn.
    n_stimuli, bounded
        As for ``draws_over_participants``.

    Examples
    --------
    >>> draws = np.array([[0.1, 0.5], [0.3, 0.7], [0.2, 0.6]])
    >>> found = crossed_draws(draws, np.array([0.2, 0.6]), np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 2.0]]), 9)
    >>> found.draws.round(3).tolist(), float(np.ptp(found.reaching) > np.ptp(found.draws))
    ([0.076, 0.482, 0.584], 1.0)
    """
    n_people = len(values)
    both, value = over_participants(draws, weights), over_participants(values)
    of_stimuli = float(np.nanvar(over_participants(draws[:DRAWS])))
    of_people = float(np.var(values, ddof=1)) / n_people
    each = float(np.mean(_variance(draws[:DRAWS])))
    shared = min(max(0.0, (each - of_stimuli) / (n_people - 1)), of_people)
    total, drawn = of_stimuli + of_people - shared, float(np.nanvar(both[:DRAWS]))
    factor = np.sqrt(total / drawn) if drawn > 0 else 1.0
    reach = _student(of_people - shared, n_people - 1, of_stimuli, n_stimuli - 1)
    spread = widened if bounded else spread_apart
    return Resampled(spread(both, value, factor), "stimuli × participants", spread(both, value, factor * reach))


def _student(of_people: float, df_people: int, of_stimuli: float, df_stimuli: int) -> float:
    """97.5 % point of Student's t with Satterthwaite's degrees of freedom, over that of the normal distribution."""
    from scipy.special import stdtrit

    total = of_people + of_stimuli
    if total <= 0:
        return 1.0
    return float(stdtrit(total**2 / (of_people**2 / df_people + of_stimuli**2 / df_stimuli), 0.975)) / _NORMAL


def spread_apart(draws: Array, value: Array | float, factor: Array | float) -> Array:
    """As ``widened``, for a statistic that is not bound to (−1, 1).

    Examples
    --------
    >>> spread_apart(np.array([1.0, 3.0]), 5.0, 2.0).tolist()
    [3.0, 7.0]
    """
    return value + factor * (draws - np.nanmean(draws[:DRAWS], axis=0))
