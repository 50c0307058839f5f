r"""How strongly the response to stimuli is spread over the principal components of a layer.

The weights of a simulated neuroid on the k-th component of its layer have the variance q_k. Where stimuli were
repeated, q_k is estimated from the recorded responses without the bias that noise would give it: noise of one half of
the repetitions is independent of that of the other. Weights of a fitted regression would not do: they are noise that a
penalty has shrunk.
"""

from __future__ import annotations

import numpy as np

from isocortex.errors import DataError
from isocortex_simulated.draws import Floats, Stream

KEPT_SHARE = 0.99
"""Components are kept up to this cumulative share of the variance."""
N_HALVINGS = 20
"""Random halvings of the repetitions that are averaged."""
_STEEPEST = 8.0
_ROUNDING = 1e-10


def left_vectors(gram: Floats) -> Floats:
    """Give the left singular vectors of standardised features, but for the last: (n_stimuli, rank − 1).

    Parameters
    ----------
    gram
        (n_stimuli, n_stimuli) X Xᵀ of features that are centred over the stimuli.

    Raises
    ------
    DataError
        If no unit varies.

    Examples
    --------
    >>> left_vectors(np.diag([4.0, 1.0, 0.0])).round(3).tolist()
    [[1.0], [0.0], [0.0]]
    """
    values, vectors = np.linalg.eigh(gram)
    rank = int((values > _ROUNDING * values[-1]).sum()) if values[-1] > 0 else 0
    if rank == 0:
        raise DataError("no unit of the layer varies over the stimuli, so that nothing can be made of it")
    u = vectors[:, ::-1][:, : max(1, rank - 1)]
    largest = np.take_along_axis(u, np.abs(u).argmax(axis=0)[None], axis=0)
    return u * np.sign(largest)


def split_half_spectrum(u: Floats, trials: Floats, stream: Stream, n_halvings: int = N_HALVINGS) -> Floats:
    r"""Estimate q_k = max(0, mean over halvings and neuroids of (u_kᵀ y_j^A)(u_kᵀ y_j^B)), (n_components,).

    Parameters
    ----------
    u
        (n_stimuli, n_components), orthonormal.
    trials
        (n_repetitions, n_stimuli, n_neuroids), two repetitions or more, NaN where there is none; every neuroid is
        divided by the standard deviation of its mean over repetitions, so that each counts alike.
    stream
        Draws the halves.
    n_halvings
        How many of them.

    Raises
    ------
    DataError
        If fewer than two stimuli have two repetitions.

    Examples
    --------
    >>> u = np.linalg.qr(Stream(0, "u").normal(6, 3))[0]
    >>> twice = np.stack([2 * u[:, :1], 2 * u[:, :1]])  # the response is the first component alone
    >>> (split_half_spectrum(u - u.mean(axis=0), twice, Stream(0, "halves"))[0] > 0.5).item()
    True
    """
    twice = (~np.isnan(trials)).sum(axis=0).min(axis=1) >= 2
    if int(twice.sum()) < 2:
        raise DataError("too few stimuli were shown twice to estimate how the response is spread over components")
    spread = np.nanmean(trials, axis=0).std(axis=0)
    scaled = trials[:, :, spread > 0] / spread[spread > 0]
    total = np.zeros(u.shape[1])
    for _ in range(n_halvings):
        order = np.argsort(stream.uniform(len(trials)))
        halves = [_projected(u, scaled[part]) for part in np.array_split(order, 2)]
        total += (halves[0] * halves[1]).sum(axis=1) / max(1, scaled.shape[2])
    return np.maximum(total / n_halvings, 0.0)


def _projected(u: Floats, trials: Floats) -> Floats:
    """(n_components, n_neuroids) of the mean over some repetitions; what is not there counts as the neuroid's mean."""
    there = ~np.isnan(trials)
    mean = np.where(there, trials, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    known = there.any(axis=0)
    centre = np.where(known, mean, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return u.T @ np.where(known, mean - centre, 0.0)


def exponent_of(spectrum: Floats) -> float:
    r"""Fit k^−a to a spectrum: the a ≥ 0 at which Σ q_k log k / Σ q_k is that of the power law.

    It is the maximum-likelihood exponent of shares q_k / Σ q over ranks k = 1 … K, takes zeros as they are, and is
    found by bisection, to 1e-10. A spectrum that does not fall gives 0; one of nothing but its first component gives 8.

    Raises
    ------
    DataError
        If nothing is above zero: the recorded responses have nothing in common with the layer.

    Examples
    --------
    >>> round(exponent_of(np.arange(1.0, 51) ** -1.5), 6), exponent_of(np.ones(9))
    (1.5, 0.0)
    """
    if not spectrum.sum() > 0:
        raise DataError("the halves of the recorded responses share nothing with any component of the layer")
    logs = np.log(np.arange(1.0, len(spectrum) + 1))
    wanted = float(spectrum @ logs / spectrum.sum())
    low, high = 0.0, _STEEPEST
    if wanted >= logs.mean():
        return low
    while high - low > 1e-10:
        middle = (low + high) / 2
        weights = np.exp(-middle * logs)
        low, high = (middle, high) if float(weights @ logs / weights.sum()) > wanted else (low, middle)
    return (low + high) / 2


def power_law(exponent: float, n_components: int, kept_share: float = KEPT_SHARE) -> Floats:
    """Give k^−a for k = 1 … K, K the first at which the cumulative share of all n_components reaches `kept_share`.

    Examples
    --------
    >>> power_law(1.0, 3).round(3).tolist(), len(power_law(4.0, 100))
    ([1.0, 0.5, 0.333], 3)
    """
    law = np.arange(1.0, n_components + 1) ** -exponent
    shares = np.cumsum(law) / law.sum()
    return law[: int(np.searchsorted(shares, kept_share - 1e-12)) + 1]
