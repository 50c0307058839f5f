"""How surely the best candidate beats those of other families, by the paired comparison of ``isocortex compare``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from isocortex.scoring import paired_p
from isocortex_simulated.draws import Floats

LARGEST_Q = 0.05
"""q at which a candidate beats another."""


def largest_p(
    values: Floats, samples: Callable[[int], Floats | None], families: Sequence[str], without: str | None = None
) -> float:
    """Give the largest p with which the candidate of the largest value beats those of other families.

    The comparisons stop at the first p above the largest that can be called, the closest rivals first.

    Parameters
    ----------
    values
        (n_candidates,).
    samples
        Takes a candidate, and gives bootstrap samples of its value; None where the metric has none.
    families
        Of the candidates.
    without
        A family that is left out.

    Returns
    -------
    p; NaN where nothing can be compared: no samples, or no candidate of another family.

    Examples
    --------
    >>> drawn = np.random.default_rng(0).normal(size=(2, 99)) * 0.01
    >>> largest_p(np.array([0.5, 0.9]), lambda k: drawn[k] + [0.5, 0.9][k], ["a", "b"])
    0.02
    """
    offered = [k for k, family in enumerate(families) if family != without and np.isfinite(values[k])]
    if not offered:
        return float("nan")
    best = max(offered, key=lambda k: (values[k], -k))
    rivals = sorted((k for k in offered if families[k] != families[best]), key=lambda k: -values[k])
    own = samples(best)
    largest = float("nan")
    for rival in rivals if own is not None else ():
        theirs = samples(rival)
        if own is None or theirs is None:
            return float("nan")
        p, _ = paired_p(own, theirs, float(values[best] - values[rival]))
        largest = p if np.isnan(largest) else max(largest, p)
        if not largest <= LARGEST_Q:
            break
    return largest
