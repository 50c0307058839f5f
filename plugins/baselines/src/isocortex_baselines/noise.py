"""Noise: features that know nothing of the stimuli, the negative control for every score."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def noise_features(seed: int, layer: str, stimulus_id: str, n_units: int) -> NDArray[np.float64]:
    """Give independent standard normal features for one stimulus.

    The SHA-256 digest of seed, layer and stimulus keys a counter-based generator (Philox), so the features
    depend on these three alone: not on the other stimuli, their order or how they are batched. Normal values
    come from the generator's bits through the inverse of the normal distribution function, and these bits are
    the same in every release of numpy.

    Parameters
    ----------
    seed
        Seed of the model.
    layer
        Name of the layer.
    stimulus_id
        Name of the stimulus.
    n_units
        Number of features.

    Returns
    -------
    (n_units,).

    References
    ----------
    Salmon, Moraes, Dror & Shaw (2011), Parallel random numbers: as easy as 1, 2, 3 (SC11).

    Examples
    --------
    >>> noise_features(0, "layer.0", "stim5_alarm_clock", 3).round(3)
    array([-1.401,  0.218, -0.446])
    """
    from scipy.special import ndtri

    name = f"{seed}\x1f{len(layer)}\x1f{layer}\x1f{stimulus_id}".encode()
    key = int.from_bytes(hashlib.sha256(name).digest()[:16], "little")
    bits = np.random.Philox(key=key).random_raw(n_units)
    # the middle of each of 2^53 equal intervals: never 0 or 1
    return ndtri(((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53)


def layer_names(n_layers: int) -> tuple[str, ...]:
    """Name the layers of a noise model.

    Examples
    --------
    >>> layer_names(2)
    ('layer.0', 'layer.1')
    """
    return tuple(f"layer.{number}" for number in range(n_layers))
