"""Learning rates by epoch and update."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

#: (epoch, number of updates before this one) → learning rate; both are counted from 0 within one training run
Rate = Callable[[int, int], float]


def constant(rate: float) -> Rate:
    """One rate for all.

    Examples
    --------
    >>> constant(0.1)(7, 1000)
    0.1
    """
    return lambda _epoch, _n_updates: rate


def cosine(rate: float, n_epochs: int) -> Rate:
    """Half a cosine from ``rate`` towards 0: ``rate (1 + cos(π epoch / n_epochs)) / 2``.

    Examples
    --------
    >>> [round(cosine(1.0, 4)(epoch, 0), 3) for epoch in range(4)]
    [1.0, 0.854, 0.5, 0.146]
    """
    return lambda epoch, _n_updates: rate * (1 + math.cos(math.pi * epoch / n_epochs)) / 2


def falling(rates: Sequence[float], ends: Sequence[int], decay: float = 0.0) -> Rate:
    """Steps, each divided by ``1 + decay · updates``, as Keras' SGD has it.

    Parameters
    ----------
    rates
        One for each step.
    ends
        The epoch with which each step but the last ends.
    decay
        For each update.

    Examples
    --------
    >>> rate = falling([0.01, 0.001], [2], decay=1e-6)
    >>> rate(1, 0), rate(2, 0), round(rate(0, 1_000_000), 6)
    (0.01, 0.001, 0.005)
    """
    if len(ends) != len(rates) - 1:
        raise ValueError(f"{len(rates)} rates have {len(rates) - 1} ends, not {len(ends)}.")
    return lambda epoch, n_updates: rates[sum(epoch >= end for end in ends)] / (1 + decay * n_updates)
