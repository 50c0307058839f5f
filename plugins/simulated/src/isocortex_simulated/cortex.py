r"""A cortex made of a known stage of a known model: pure functions on arrays.

A stage (a layer of a model) has features X (n_stimuli, n_units). Each unit is standardised over the stimuli, and Z
(n_stimuli, n_components) are the scores of its first principal components, each with variance 1. Neuroid j reads

    s_j = Σ_k w_jk z_k,   w_jk ~ N(0, k^-spectrum),   divided by its standard deviation over the stimuli,

and repetition m of its response is s_j + e_jm with e_jm ~ N(0, 1 / snr). The mean over M repetitions then has the
reliability snr M / (1 + snr M), whose square root bounds the correlation that any model can reach.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from isocortex_simulated.draws import Floats, Stream

CONSTANT = 1e-5
"""A unit whose standard deviation is below this share of its root mean square is constant up to rounding."""
RESOLUTION = 2.0**-10
"""Responses are whole multiples of this, as a recording would digitise them."""


def standardised_gram(blocks: Iterable[NDArray[np.floating]], n_stimuli: int) -> Floats:
    """Give the products of stimuli with stimuli over standardised units; constant units are left out.

    Parameters
    ----------
    blocks
        (n_stimuli, width), column blocks of the features.
    n_stimuli
        Number of rows.

    Returns
    -------
    (n_stimuli, n_stimuli); its trace is the number of units that vary times that of stimuli. Memory: three blocks.

    Examples
    --------
    >>> standardised_gram([np.array([[1.0, 5.0], [3.0, 5.0]])], 2).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    gram = np.zeros((n_stimuli, n_stimuli))
    for block in blocks:
        units = block.astype(np.float64)
        spread = units.std(axis=0)
        kept = spread > CONSTANT * np.sqrt(np.mean(np.square(units), axis=0))
        standard = (units[:, kept] - units[:, kept].mean(axis=0)) / spread[kept]
        gram += standard @ standard.T
    return gram


def principal_components(blocks: Iterable[NDArray[np.floating]], n_stimuli: int, n_components: int) -> Floats:
    """Give the scores of the first principal components of standardised features, each with variance 1.

    Units are centred and divided by their standard deviation; constant ones are left out. The sign of a component
    is such that its largest score is positive.

    Parameters
    ----------
    blocks
        (n_stimuli, width), column blocks of the features.
    n_stimuli
        Number of rows.
    n_components
        Components wanted, less than `n_stimuli`.

    Returns
    -------
    (n_stimuli, n_components), by falling variance; columns have mean 0, variance 1, and are uncorrelated.

    Examples
    --------
    >>> features = np.array([[1.0, 5.0], [2.0, 5.0], [6.0, 5.0]])
    >>> principal_components([features], 3, 1).round(3).ravel().tolist()
    [-0.926, -0.463, 1.389]
    """
    _, vectors = np.linalg.eigh(standardised_gram(blocks, n_stimuli))
    scores = vectors[:, ::-1][:, :n_components] * np.sqrt(n_stimuli)
    largest = np.take_along_axis(scores, np.abs(scores).argmax(axis=0)[None], axis=0)
    return scores * np.sign(largest)


def signals(components: Floats, n_neuroids: int, spectrum: float, stream: Stream) -> Floats:
    """Read components out with random weights.

    Parameters
    ----------
    components
        (n_stimuli, n_components), as `principal_components` gives them.
    n_neuroids
        Readouts wanted.
    spectrum
        Weights of the k-th component have variance ``k**-spectrum``.
    stream
        Draws the weights.

    Returns
    -------
    (n_stimuli, n_neuroids), standard deviation 1 over the stimuli.

    Examples
    --------
    >>> components = principal_components([np.eye(8)], 8, 3)
    >>> signals(components, 2, 1.0, Stream(0, "weights")).std(axis=0).round(12)
    array([1., 1.])
    """
    n_components = components.shape[1]
    scale = np.arange(1.0, n_components + 1) ** (-spectrum / 2)
    read = components @ (scale[:, None] * stream.normal(n_components, n_neuroids))
    return read / read.std(axis=0)


def responses(signal: Floats, snr: float, n_repetitions: int, stream: Stream) -> NDArray[np.float32]:
    """Add independent noise to each repetition of a signal of variance 1.

    Parameters
    ----------
    signal
        (n_stimuli, n_neuroids), variance 1, or all zeros for neuroids of pure noise.
    snr
        Variance of the signal over that of the noise of one repetition.
    n_repetitions
        Repetitions wanted.
    stream
        Draws the noise.

    Returns
    -------
    (n_repetitions, n_stimuli, n_neuroids), multiples of `RESOLUTION`.

    Examples
    --------
    >>> responses(np.zeros((5, 2)), 3.0, 4, Stream(0, "noise")).shape
    (4, 5, 2)
    """
    noisy = signal + stream.normal(n_repetitions, *signal.shape) / np.sqrt(snr)
    return (np.round(noisy / RESOLUTION) * RESOLUTION).astype(np.float32)


def reliability(snr: float, n_repetitions: int) -> float:
    """Give the reliability of the mean over repetitions, ``snr M / (1 + snr M)``; its square root bounds r.

    Spearman (1910) and Brown (1910), British Journal of Psychology 3:271-322.

    Examples
    --------
    >>> reliability(3.0, 3), reliability(5.0, 3)
    (0.9, 0.9375)
    """
    return snr * n_repetitions / (1 + snr * n_repetitions)
